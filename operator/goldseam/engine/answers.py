"""The forms that a decision takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from goldseam.api.incident import HoldRecord, IncidentStatus
from goldseam.engine import record
from goldseam.engine.guards.hold import COUNTING, Hold
from goldseam.engine.situation import Decision, Kind, Situation

_COUNTS = re.compile(r"(?<![\w-])[0-9]+(?![\w-])")
"""Numbers by themselves, and not in a name."""
SOON = timedelta(0)
"""Look again at once: the status has changed, and with it the question."""
SHORTLY = timedelta(seconds=2)
"""Look again while something is under way."""
IDLE = timedelta(hours=1)
"""Nothing is known to change at any time: whoever looks decides how soon it looks again."""


def held(s: Situation, status: IncidentStatus, holds: Sequence[Hold], now: datetime) -> Decision:
    """Nothing is done now, and all the reasons are on the incident."""
    first = holds[0]
    status = record.changed(status, holds=[_record(hold, s, now) for hold in holds[:16]])
    status = record.say(status, f"on hold: {_kept(s, first)}")
    again = max(first.until - now, timedelta(seconds=1)) if first.until else IDLE
    return Decision("hold", first.reason, first.message, status, again)


def _kept(s: Situation, hold: Hold) -> str:
    old = _before(s, hold)
    return old.message if old else hold.message


def _before(s: Situation, hold: Hold) -> HoldRecord | None:
    """The record of a hold that holds still, with what it says now where that is something else."""
    old = next((h for h in s.status.holds if (h.guard, h.reason) == (hold.guard, hold.reason)), None)
    if old is None:
        return None
    message = record.cut(hold.message)
    if _told_anew(hold, old.message, message):
        return old.model_copy(update={"message": message, "place": hold.place})
    return old


def _told_anew(hold: Hold, old: str, new: str) -> bool:
    """What is not known of an alert, whose pause holds, who or what is waited for, and a node's place in its line. Not
    how far something is: such numbers change all the time, and each time were a write."""
    if hold.guard == "source":
        return record.is_news(old, new)
    if hold.reason in COUNTING:
        return _COUNTS.sub("", old) != _COUNTS.sub("", new)
    return hold.guard in ("paused", "busy", "nodes", "collateral") and old != new


def _record(hold: Hold, s: Situation, now: datetime) -> HoldRecord:
    """A hold that holds still keeps its beginning and its words: nothing is written while nothing changes."""
    old = _before(s, hold)
    again = hold.until or now + s.pinned.unknown_timeout
    if old is None:
        message = record.cut(hold.message)
        return HoldRecord(
            guard=hold.guard,
            kind=hold.kind,
            reason=hold.reason,
            message=message,
            since=now,
            look_again_at=again,
            place=hold.place,
        )
    expired = old.look_again_at is None or old.look_again_at <= now
    return old.model_copy(update={"look_again_at": again}) if expired else old


def answer(
    kind: Kind, reason: str, status: IncidentStatus, look_again: timedelta, *, step: str = "", message: str = ""
) -> Decision:
    """Any other decision: no hold is left on the incident."""
    status = record.changed(status, holds=[])
    return Decision(kind, reason, message or status.message, status, look_again, step)
