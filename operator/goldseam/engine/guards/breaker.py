"""Guards: too much is unhealthy at once, or monitoring itself may be broken."""

from __future__ import annotations

from datetime import datetime, timedelta

from goldseam.api.durations import format_duration
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
    return Hold("breaker", "Wait", "BreakerTripped", _told(trip, s.guardrails.breaker.rearm_after))


def storm(s: Situation, now: datetime) -> Hold | None:
    """Alerts of many rules in many namespaces began at once."""
    trip = s.fleet.storm
    if trip is None or trip.state == "Armed":
        return None
    return Hold("storm", "Wait", "AlertStorm", _told(trip, s.guardrails.storm.rearm_after))


def _told(trip: Trip, rearm_after: timedelta) -> str:
    """What was counted as it tripped, and when that was: it may be less by now. The same words until it is armed, for
    what holds many keeps them."""
    calm = format_duration(rearm_after)
    return f"tripped at {trip.since:%H:%M:%S} UTC: {trip.message}; lets through again after {calm} of calm"
