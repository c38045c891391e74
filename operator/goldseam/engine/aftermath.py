"""What a drain waits for once its pods are gone, and for how long: then it is done nevertheless, and says what was not
there."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from goldseam.api.incident import Step
from goldseam.api.ladder import Rung
from goldseam.engine import record
from goldseam.engine.detaching import PATIENCE
from goldseam.engine.proposal import Effect
from goldseam.engine.situation import Situation


def seen(s: Situation, step: Step, ends: datetime, now: datetime) -> tuple[Situation, Step]:
    """The step with since when it waits for that, or with how it ended; and the situation in which the step is done
    once that is not waited for any longer. `ends`: when the rung's time is over."""
    after, effect = step.aftermath, s.effect
    if after is None or after.until is not None or effect is None or not (effect.done or effect.waits_for):
        return s, step
    since = after.since or now
    if effect.waits_for and now >= min(since + PATIENCE, ends):
        effect = Effect(True, record.cut(f"{effect.message}; not waited for any longer: {effect.waits_for}"))
    fields = {"since": since, "until": now if effect.done else None, "message": effect.message if effect.done else ""}
    return replace(s, effect=effect), step.model_copy(update={"aftermath": after.model_copy(update=fields)})


def said(s: Situation, rung: Rung) -> str:
    """What it waits for, for people; empty where it does not."""
    effect = s.effect
    if effect is None or not effect.waits_for or not (rung.verify.rollout or rung.go_on == "WhenDone"):
        return ""
    return f"{rung.title}: {effect.message}; waiting for {effect.waits_for}"
