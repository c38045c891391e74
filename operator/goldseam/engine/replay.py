"""A situation as JSON, and back: what was recorded in life is decided again, to the same answer, as a test.

The core is deterministic, so a recording that decides otherwise shows a change of behaviour.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from goldseam.engine.decide import decide
from goldseam.engine.situation import Decision, Situation

_SITUATION: TypeAdapter[Situation] = TypeAdapter(Situation)


@dataclass(frozen=True)
class Recording:
    """One situation, when it was, and what was decided."""

    now: datetime
    situation: Situation
    kind: str
    reason: str
    message: str


def recorded(situation: Situation, decision: Decision, now: datetime) -> str:
    """The recording as JSON text, one value a line, so that two recordings can be compared."""
    recording = {
        "now": now.isoformat(),
        "decision": {"kind": decision.kind, "reason": decision.reason, "message": decision.message},
        "situation": _SITUATION.dump_python(situation, mode="json", by_alias=True),
    }
    return json.dumps(recording, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read(text: str) -> Recording:
    """A recording from its JSON text.

    Raises:
        ValueError: it is not one.
    """
    try:
        raw: dict[str, Any] = json.loads(text)
        decision = raw["decision"]
        now = datetime.fromisoformat(raw["now"])
        situation = _SITUATION.validate_python(raw["situation"])
        return Recording(now, situation, decision["kind"], decision["reason"], decision["message"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"this is no recording: {type(error).__name__}: {error}") from error


def replayed(recording: Recording) -> Decision:
    """What is decided now."""
    return decide(recording.situation, recording.now)
