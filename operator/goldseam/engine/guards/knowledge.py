"""Guards: no knowledge, no action."""

from __future__ import annotations

from datetime import datetime

from goldseam.engine.guards.hold import Hold
from goldseam.engine.situation import Situation


def source(s: Situation, now: datetime) -> Hold | None:
    """The alert is not freshly firing, read just now."""
    if s.reading.state == "Firing" and s.reading.fresh:
        return None
    return Hold("source", "Wait", f"Alert{s.reading.state}", s.reading.message)


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
