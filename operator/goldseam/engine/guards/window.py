"""Guards: outside the allowed windows, or inside a freeze."""

from __future__ import annotations

from datetime import datetime

from goldseam.engine import timetable
from goldseam.engine.guards.hold import Hold
from goldseam.engine.situation import Situation


def window(s: Situation, now: datetime) -> Hold | None:
    """No window of the Guardrails that concerns the target is open."""
    closed = timetable.open_at(s.guardrails.windows, s.spec.target.namespace, now)
    return Hold("window", "Wait", "OutsideWindow", closed.message, closed.opens) if closed else None


def freeze(s: Situation, now: datetime) -> Hold | None:
    """A freeze of the Guardrails holds."""
    found = timetable.frozen(s.guardrails.freezes, s.spec.target.namespace, now)
    return Hold("window", "Wait", "Frozen", found.message, found.ends) if found else None
