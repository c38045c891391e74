"""Situations recorded by an operator on a real control plane are decided as they were then.

To add one: set GOLDSEAM_RECORD_DIR (docs/reference/settings.md), and put the file into tests/data/recordings under a
name that says what happened.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from goldseam.engine.replay import read, recorded, replayed
from goldseam.engine.situation import PauseInForce

RECORDINGS = sorted((Path(__file__).resolve().parents[1] / "data" / "recordings").glob("*.json"))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_what_happened_once_is_decided_the_same_again(path: Path) -> None:
    recording = read(path.read_text())
    decision = replayed(recording)
    assert (decision.kind, decision.reason, decision.message) == (recording.kind, recording.reason, recording.message)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_recording_holds_the_whole_situation(path: Path) -> None:
    recording = read(path.read_text())
    assert recorded(recording.situation, replayed(recording), recording.now) == path.read_text()


def test_there_are_at_least_five() -> None:
    assert len(RECORDINGS) >= 5


@pytest.mark.parametrize(
    "path", [p for p in RECORDINGS if read(p.read_text()).kind in ("act", "undo")], ids=lambda path: path.stem
)
def test_another_situation_is_decided_otherwise(path: Path) -> None:
    recording = read(path.read_text())
    stop = PauseInForce("shop/stop", "Everything", "stop", recording.now + timedelta(hours=1))
    paused = replace(recording, situation=replace(recording.situation, pauses=(stop,)))
    assert replayed(paused).kind == "hold"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"now": "x", "decision": {}, "situation": {}}'])
def test_what_is_no_recording_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json and pydantic say it in their own words
        read(text)
