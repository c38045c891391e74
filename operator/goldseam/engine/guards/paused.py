"""Guard: somebody asked us to stop."""

from __future__ import annotations

from datetime import datetime

from goldseam.engine.guards.hold import Hold
from goldseam.engine.objects import IGNORE, annotation
from goldseam.engine.situation import PauseInForce, Situation


def paused(s: Situation, now: datetime) -> Hold | None:
    """A Pause, `spec.suspend`, or the target's annotation `goldseam.dev/ignore: "true"`."""
    for pause in s.pauses:
        return Hold("paused", "Wait", "Paused", in_words(pause), pause.ends)
    if s.policy and s.policy.spec and s.policy.spec.suspend:
        return Hold("paused", "Wait", "Suspended", "spec.suspend of the policy is true")
    if s.world.target is not None and annotation(s.world.target, IGNORE) == "true":
        message = f"{s.spec.target} carries the annotation {IGNORE}: remove it to let Goldseam act"
        return Hold("paused", "Wait", "Ignored", message)
    return None


def everything_paused(s: Situation, now: datetime) -> Hold | None:
    """A Pause of level Everything: not even what is owed is paid."""
    for pause in s.pauses:
        if pause.level == "Everything":
            ends = f"{pause.ends:%Y-%m-%d %H:%M} UTC"
            message = f"Pause {pause.name}{_of(pause)} stops everything until {ends}: {pause.reason}"
            return Hold("paused", "Wait", "EverythingPaused", message, pause.ends)
    return None


def in_words(pause: PauseInForce) -> str:
    """Which Pause holds, whose, until when and why."""
    return f"Pause {pause.name}{_of(pause)} holds until {pause.ends:%Y-%m-%d %H:%M} UTC: {pause.reason}"


def _of(pause: PauseInForce) -> str:
    return f" of {pause.by}" if pause.by else ""
