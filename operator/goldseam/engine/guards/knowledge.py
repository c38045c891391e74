"""Guards: no knowledge, no action."""

from __future__ import annotations

from datetime import datetime

from goldseam.engine.guards.hold import Hold
from goldseam.engine.missing import evaluated_since, settling
from goldseam.engine.situation import Situation
from goldseam.engine.verdict import Reading


def source(s: Situation, now: datetime) -> Hold | None:
    """The alert is not freshly firing, read just now."""
    if s.reading.state == "Firing" and s.reading.fresh:
        return _outdated(s)
    return unsure(s.reading)


def unsure(reading: Reading, before: str = "") -> Hold:
    """What is said of a verdict on which nothing is done; `before` says what cannot be told, or done."""
    if reading.inputs_gone:
        return Hold("source", "Wait", "InputsGone", before + reading.message)
    return Hold("source", "Wait", f"Alert{reading.state}", before + reading.message)


def _outdated(s: Situation) -> Hold | None:
    """What was evaluated before the last action had settled says nothing about its effect."""
    acted = (step for step in s.status.steps if step.acted_at and step.phase != "Intended")  # not what goes on still
    last = max(acted, key=lambda step: step.intent_at, default=None)
    if last is None or last.acted_at is None or last.purpose == "Undo" or last.action == "wait":
        return None
    rung = s.pinned.ladder[last.rung]
    if evaluated_since(s, last, rung):
        return None
    message = f"what comes after {last.action} waits for {settling(last, rung)}"
    return Hold("source", "Wait", "NotEvaluatedSince", message)


def unread(s: Situation, now: datetime) -> Hold | None:
    """Something that the decision needs could not be read."""
    if s.unknown:
        return Hold("unread", "Wait", "NotRead", f"could not be read: {'; '.join(s.unknown)}")
    return None


def invalid(s: Situation, now: datetime) -> Hold | None:
    """The policy was changed, and is invalid now."""
    if s.policy is not None and s.policy.spec is None:
        return Hold("policy", "Wait", "PolicyInvalid", f"the policy is invalid now: {s.policy.problem}")
    return None
