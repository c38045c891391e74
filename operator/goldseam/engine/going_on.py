"""A rung that prepares the next one (`goOn: WhenDone`): once it is done, the ladder goes on without waiting for it to
help. A drain cures no node; but without it none is rebooted."""

from __future__ import annotations

from datetime import datetime

from goldseam.api.incident import IncidentStatus, Step
from goldseam.api.ladder import Rung
from goldseam.engine import answers, record
from goldseam.engine.situation import Decision, Situation


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
