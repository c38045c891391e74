"""Breakers: when they trip, and when they let through again. With hysteresis, so that they do not flutter."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from goldseam.api.guardrails import Breaker, Storm, Trip
from goldseam.engine.alerts import ActiveAlert
from goldseam.engine.record import cut


def share_tripped(old: Trip | None, limits: Breaker, unhealthy: int, of: int, what: str, now: datetime) -> Trip:
    """The breaker over a pool of `what` (targets or nodes), of which some are unhealthy.

    It trips when at least `atLeast` and at least `percent` of the pool are unhealthy. It is calm below `atLeast`, or
    below half of `percent`, and re-arms after `rearmAfter` of calm.
    """
    share = 100 * unhealthy / of if of else 0.0
    trips = unhealthy >= limits.at_least and share >= limits.percent
    calm = unhealthy < limits.at_least or share < limits.percent / 2
    message = (
        f"{unhealthy} of {of} {what} are unhealthy at once ({share:.0f}%); the Guardrails' breaker trips at"
        f" {limits.percent}% and at least {limits.at_least}: look for one cause of all"
    )
    return _next(old, trips=trips, calm=calm, rearm_after=limits.rearm_after, message=message, now=now)


def storm_tripped(old: Trip | None, limits: Storm, alerts: Iterable[tuple[str, ActiveAlert]], now: datetime) -> Trip:
    """The storm over (source, alert) pairs that fire: of how many rules, in how many namespaces, have begun lately."""
    lately = [(s, a) for s, a in alerts if timedelta(0) <= now - a.active_at <= limits.within]
    rules = {(source, alert.labels.get("alertname", "")) for source, alert in lately}
    namespaces = {alert.labels["namespace"] for _, alert in lately if alert.labels.get("namespace")}
    trips = len(rules) >= limits.rules and len(namespaces) >= limits.namespaces
    minutes = int(limits.within.total_seconds() // 60)
    message = (
        f"alerts of {len(rules)} rules in {len(namespaces)} namespaces began within {minutes} min: monitoring itself,"
        " or what everything stands on, may be broken"
    )
    return _next(old, trips=trips, calm=not trips, rearm_after=limits.rearm_after, message=message, now=now)


def _next(old: Trip | None, *, trips: bool, calm: bool, rearm_after: timedelta, message: str, now: datetime) -> Trip:
    if old is None or old.state == "Armed":
        if trips:
            return Trip(state="Tripped", since=now, message=cut(message))
        return old or Trip(state="Armed", since=now, message="")
    if not calm:
        return old if old.calm_since is None else old.model_copy(update={"calm_since": None})
    since = old.calm_since or now
    if now - since >= rearm_after:
        return Trip(state="Armed", since=now, message="")
    return old if old.calm_since else old.model_copy(update={"calm_since": since})
