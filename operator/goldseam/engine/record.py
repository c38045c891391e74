"""Changes of an incident's status, as pure functions: each returns a new status."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from goldseam.api.incident import (
    IncidentStatus,
    Obligation,
    Step,
    TimelineEntry,
    Verdict,
)
from goldseam.api.outcomes import Outcome
from goldseam.engine import naming

_NUMBERS = re.compile(r"[0-9]+")
TIMELINE = 50
STEPS = 60
OBLIGATIONS = 16


def changed(status: IncidentStatus, **fields: Any) -> IncidentStatus:
    """The status with other values; `owes` follows from the obligations."""
    if "obligations" in fields:
        fields["owes"] = sum(1 for o in fields["obligations"] if o.state == "Open")
    return status.model_copy(update=fields)


def cut(text: str, size: int = 512) -> str:
    """The text, or as much of it as fits into so many bytes, with an ellipsis (which takes three)."""
    raw = text.encode(errors="replace")  # half a character is no text, and no status could hold it
    return raw.decode() if len(raw) <= size else raw[: size - 3].decode(errors="ignore") + "…"


_ODD = re.compile(r"[^ -\[\]-~]")
"""What names, images and reasons do not have."""


def legible(text: str, size: int) -> str:
    """Other people's text, cut, with a question mark for each character that no name, image or reason has."""
    return cut(_ODD.sub("?", text), size)


LEGIBLE = 120
"""Characters of an expression that a message shows: what was found must not be cut off behind it."""


def shown(expression: str) -> str:
    """An expression for a message."""
    return expression if len(expression) <= LEGIBLE else expression[: LEGIBLE - 1] + "…"


def is_news(old: str, new: str) -> bool:
    """Whether a message says something else than before, and not only other numbers."""
    return _NUMBERS.sub("", old) != _NUMBERS.sub("", new)


def note(status: IncidentStatus, now: datetime, kind: str, message: str) -> IncidentStatus:
    """Add an entry to the timeline; beyond 50 the oldest is dropped and counted."""
    entries = [*status.timeline, TimelineEntry(at=now, kind=kind, message=cut(message))]
    surplus = max(0, len(entries) - TIMELINE)
    return changed(status, timeline=entries[surplus:], timeline_folded=status.timeline_folded + surplus)


def say(status: IncidentStatus, message: str) -> IncidentStatus:
    """Set the sentence that says what is going on."""
    return changed(status, message=cut(message))


def moved(status: IncidentStatus, phase: str, now: datetime, message: str) -> IncidentStatus:
    """Enter a phase, and say why."""
    if status.phase == phase:
        return say(status, message)
    return note(say(changed(status, phase=phase), message), now, phase, message)


def with_step(status: IncidentStatus, step: Step) -> IncidentStatus:
    """Add the step, or put it in the place of the one with its id. Old ended steps go when there are too many."""
    if any(old.id == step.id for old in status.steps):
        return changed(status, steps=[step if old.id == step.id else old for old in status.steps])
    return changed(status, steps=[*status.steps, step][-STEPS:])


def ended(status: IncidentStatus, step: Step, outcome: Outcome, message: str, now: datetime) -> IncidentStatus:
    """End a step, and put it on the timeline."""
    done = step.model_copy(
        update={"phase": "Done", "outcome": outcome, "message": cut(message), "ended_at": now, "holding_since": None}
    )
    return note(
        with_step(status, done), now, outcome, message if step.purpose == "Undo" else f"{step.action}: {message}"
    )


def each_obligation(status: IncidentStatus, change: Callable[[Obligation], Obligation]) -> IncidentStatus:
    """Change every open obligation."""
    return changed(status, obligations=[change(o) if o.state == "Open" else o for o in status.obligations])


def settled(obligation: Obligation, state: str, message: str) -> Obligation:
    """The obligation, no longer open."""
    return obligation.model_copy(update={"state": state, "message": cut(message), "due_at": None})


def voided(status: IncidentStatus, obligation: Obligation, why: str) -> IncidentStatus:
    """That one is not owed any more."""
    return each_obligation(status, lambda o: settled(o, "Void", why) if o == obligation else o)


def with_obligations(status: IncidentStatus, new: Iterable[Obligation]) -> IncidentStatus:
    """Add obligations. One on the same field inherits the `original` of the open one and takes its place."""
    result = list(status.obligations)
    for obligation in new:
        old = next((o for o in result if o.key == obligation.key and o.state == "Open"), None)
        if old is not None:
            result.remove(old)
            obligation = obligation.model_copy(update={"original": old.original})
        result.append(obligation)
    surplus = [o for o in result if o.state != "Open"][: max(0, len(result) - OBLIGATIONS)]
    return changed(status, obligations=[o for o in result if o not in surplus])


def seen(status: IncidentStatus, state: str, fresh: bool, message: str, now: datetime) -> IncidentStatus:
    """Record the verdict, if it is another one than before, or for another reason."""
    old = status.verdict
    if old is not None and (old.state, old.fresh) == (state, fresh) and not is_news(old.message, cut(message)):
        return status
    since = old.since if old is not None and old.state == state else now
    return changed(status, verdict=Verdict(state=state, fresh=fresh, since=since, message=cut(message)))  # type: ignore[arg-type]


def paused(status: IncidentStatus, is_paused: bool, now: datetime) -> IncidentStatus:
    """Count the time that the incident is paused."""
    if is_paused and status.paused_since is None:
        return changed(status, paused_since=now)
    if not is_paused and status.paused_since is not None:
        total = min(status.paused_for + (now - status.paused_since), timedelta(days=7))
        return changed(status, paused_since=None, paused_for=timedelta(seconds=int(total.total_seconds())))
    return status


def unpaused_age(status: IncidentStatus, active_at: datetime, now: datetime) -> timedelta:
    """How long the alert has been active, without the time that the incident was paused."""
    pause = status.paused_for + (now - status.paused_since if status.paused_since else timedelta(0))
    return now - active_at - pause


def next_step(status: IncidentStatus, action: str) -> str:
    """The name of the step that would come next."""
    last = max((int(step.id.split("-", 1)[0]) for step in status.steps), default=0)
    return naming.step_id(last + 1, action)
