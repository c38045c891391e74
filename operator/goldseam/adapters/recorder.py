"""Records decisions as files: one JSON each, numbered, so that what happened can be replayed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog

from goldseam.engine import replay
from goldseam.engine.situation import Decision, Situation

log = structlog.get_logger("goldseam.recorder")

MOST = 10_000
"""Files; then no more is recorded."""

Record = Callable[[Situation, Decision, datetime], None]


def recorder(directory: Path | None) -> Record:
    """Writes to that directory; without one it does nothing. A recording that fails is only a lost recording."""
    if directory is None:
        return lambda *_: None
    directory.mkdir(parents=True, exist_ok=True)
    count = sum(1 for _ in directory.glob("*.json"))

    def record(situation: Situation, decision: Decision, now: datetime) -> None:
        nonlocal count
        if count >= MOST:
            return
        count += 1
        name = f"{count:05}-{situation.name}-{decision.kind}-{decision.reason}.json"
        try:
            (directory / name).write_text(replay.recorded(situation, decision, now), encoding="utf-8")
        except (OSError, ValueError) as error:
            log.warning("not_recorded", file=name, problem=str(error)[:300])
            with contextlib.suppress(OSError):
                (directory / name).unlink(missing_ok=True)  # half of it

    return record
