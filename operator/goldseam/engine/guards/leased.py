"""Guard: another operator has the node's Medik8s lease."""

from __future__ import annotations

from datetime import datetime

from goldseam.engine import node_lease
from goldseam.engine.guards.hold import Hold
from goldseam.engine.situation import Situation


def leased(s: Situation, now: datetime) -> Hold | None:
    """Another operator holds the node's Medik8s lease, or whether it does may not be read."""
    if not s.world.leases:
        return None
    where = f"{node_lease.NAMESPACE}/{node_lease.name_of(s.spec.target.name)}"
    if "lease" in s.world.closed:
        return Hold("leased", "Refuse", "NodeLeaseClosed", node_lease.closed(f"Lease {where}"))
    if theirs := node_lease.by_another(s.world.node_lease, now):
        message = f"{theirs.by} is at work on {s.spec.target}: it holds Lease {where} until {theirs.until:%H:%M:%S} UTC"
        return Hold("leased", "Wait", "NodeLeaseHeld", message, theirs.until)
    return None
