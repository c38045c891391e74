"""Guards: too much is unhealthy at once, or monitoring itself may be broken."""

from __future__ import annotations

from datetime import datetime

from goldseam.engine.guards.hold import Hold
from goldseam.engine.situation import Situation


def breaker(s: Situation, now: datetime) -> Hold | None:
    """Too many targets (for a node: too many nodes) are unhealthy at once, or it cannot be counted."""
    if s.fleet.unknown:
        return Hold("breaker", "Wait", "BreakerUnknown", f"how much is unhealthy cannot be told: {s.fleet.unknown}")
    trip = s.fleet.node_breaker if s.spec.target.kind == "Node" else s.fleet.breaker
    if trip is None or trip.state == "Armed":
        return None
    return Hold("breaker", "Wait", "BreakerTripped", trip.message)


def storm(s: Situation, now: datetime) -> Hold | None:
    """Alerts of many rules in many namespaces began at once."""
    trip = s.fleet.storm
    return Hold("storm", "Wait", "AlertStorm", trip.message) if trip is not None and trip.state == "Tripped" else None
