"""Whether a step, or its ladder, goes on.

A rung that prepares the next one (`goOn: WhenDone`): once it is done, the ladder goes on without waiting for it to
help. A drain cures no node; but without it none is rebooted.
"""

from __future__ import annotations

from datetime import datetime

from goldseam.api.incident import IncidentStatus, Step
from goldseam.api.ladder import Rung
from goldseam.engine import answers, record
from goldseam.engine.guards.order import BEFORE_UNDOING, BETWEEN_WRITES, holding
from goldseam.engine.situation import Decision, Situation
from goldseam.engine.taken_back import cordon_taken


def still_free(s: Situation, step: Step, now: datetime) -> bool:
    """At a safe point between two writes of a step: whether nothing holds, and nobody has taken the node."""
    guards = BEFORE_UNDOING if step.purpose == "Undo" else BETWEEN_WRITES
    return not (cordon_taken(step, s.world.target) or holding(guards, s, now))


def went_on(s: Situation, status: IncidentStatus, step: Step, rung: Rung, now: datetime) -> Decision | None:
    """What the rung does is done, and the alert still fires, as an evaluation after it shows. Neither has it failed:
    what it makes us owe does not fall due."""
    if rung.go_on != "WhenDone" or s.effect is None or not s.effect.done:
        return None
    if s.reading.state != "Firing" or not s.reading.fresh:
        return None
    why = f"{s.effect.message}; the alert still fires, and the next rung is next (goOn: WhenDone)"
    status = record.ended(status, step, "WentOn", record.cut(why), now)
    status = record.say(record.changed(status, rung=step.rung + 1), f"{rung.title} was done: the next rung is next")
    return answers.answer("wait", "NextRung", status, answers.SOON)
