"""Whether a step, or its ladder, goes on, and how when a rung has helped, or is done.

One that prepares the next one (`goOn: WhenDone`) is not waited for to help: a drain cures no node; but without it none
is rebooted.
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


def helped(s: Situation, status: IncidentStatus, step: Step, rung: Rung, now: datetime) -> Decision:
    """Nothing is missing any more."""
    complete = _complete(s, step) if rung.verify.rollout else ""
    well = ["the alert is Cleared", *([complete] if complete else [])]
    message = ", ".join([*well, *(answer.message for answer in s.answers)])
    status = record.ended(status, step, "Passed", message, now)
    kpis = status.kpis.model_copy(update={"fixed_at": status.kpis.fixed_at or now})
    status = record.changed(status, kpis=kpis, rung=step.rung + 1)  # for the case that it comes back
    status = record.moved(status, "Monitoring", now, f"{rung.title} helped: {message}")
    return answers.answer("wait", "Passed", status, answers.SOON)


def _complete(s: Situation, step: Step) -> str:
    """What was seen to be done besides: a node rolls nothing out, and of a rung that only waits nothing is asked."""
    after = step.aftermath
    if after is not None and after.until is not None:
        return after.message
    if s.effect is None:
        return ""
    return s.effect.message if s.spec.target.kind == "Node" else "the rollout is complete"


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
