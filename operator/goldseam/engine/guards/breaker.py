"""Guards: too much is unhealthy at once, or monitoring itself may be broken."""

from __future__ import annotations

from datetime import datetime, timedelta

from goldseam.api.guardrails import Trip
from goldseam.engine.guards.hold import Hold
from goldseam.engine.situation import Situation


def breaker(s: Situation, now: datetime) -> Hold | None:
    """Too many targets (for a node: too many nodes) are unhealthy at once, or it cannot be counted."""
    if s.fleet.unknown:
        return Hold("breaker", "Wait", "BreakerUnknown", f"how much is unhealthy cannot be told: {s.fleet.unknown}")
    trip = s.fleet.node_breaker if s.spec.target.kind == "Node" else s.fleet.breaker
    if trip is None or trip.state == "Armed":
        return None
    message, again = _told(trip, s.guardrails.breaker.rearm_after)
    return Hold("breaker", "Wait", "BreakerTripped", message, again)


def storm(s: Situation, now: datetime) -> Hold | None:
    """Alerts of many rules in many namespaces began at once."""
    trip = s.fleet.storm
    if trip is None or trip.state == "Armed":
        return None
    message, again = _told(trip, s.guardrails.storm.rearm_after)
    return Hold("storm", "Wait", "AlertStorm", message, again)


def _told(trip: Trip, rearm_after: timedelta) -> tuple[str, datetime | None]:
    """What was counted as it tripped is no news any more once it is calm: then it is said until when it holds still."""
    if trip.calm_since is None:
        return trip.message, None
    again = trip.calm_since + rearm_after
    message = (
        f"it is calm since {trip.calm_since:%H:%M:%S} UTC, and lets through again at {again:%H:%M:%S} UTC if it stays"
        f" so; it tripped at {trip.since:%H:%M:%S} UTC: {trip.message}"
    )
    return message, again
