"""Which Incidents may go: old ones, or too many; never one that owes something or that a budget still counts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from goldseam.api.durations import parse_duration
from goldseam.api.guardrails import GuardrailsSpec
from goldseam.api.incident import IncidentStatus
from goldseam.api.policy import Limits


@dataclass(frozen=True)
class Past:
    """An Incident that is over."""

    uid: str
    namespace: str
    name: str
    status: IncidentStatus


def expendable(past: Iterable[Past], limits: GuardrailsSpec, now: datetime) -> list[Past]:
    """Those that go now, oldest first."""
    closed = [(p.status.closed_at, p) for p in past if p.status.closed_at is not None]
    closed.sort(key=lambda pair: (pair[0], pair[1].uid))
    surplus = len(closed) - limits.retention.count
    return [
        incident
        for number, (at, incident) in enumerate(closed)
        if (number < surplus or now - at > limits.retention.age) and _is_free(incident.status, limits, now)
    ]


def _is_free(status: IncidentStatus, limits: GuardrailsSpec, now: datetime) -> bool:
    if status.open_obligations():
        return False
    acted = [step.ended_at or step.intent_at for step in status.steps if step.purpose == "Rung"]
    return not acted or now - max(acted) > longest_window(status, limits)


def longest_window(status: IncidentStatus, limits: GuardrailsSpec) -> timedelta:
    """The longest time for which one of its actions counts for a budget, a cooldown or a `skipIfFailedWithin`."""
    own = _own_limits(status)
    counts = [*limits.budgets.cluster, *limits.budgets.namespace, *own.actions]
    return max([own.cooldown, *(count.per for count in counts), *_skips(status)])


def _skips(status: IncidentStatus) -> Iterator[timedelta]:
    ladder = status.policy_snapshot.spec.get("ladder") if status.policy_snapshot else None
    for rung in ladder if isinstance(ladder, list) else ():
        with contextlib.suppress(ValueError, AttributeError):  # not a snapshot of ours
            yield parse_duration(rung.get("skipIfFailedWithin") or "0s")


def _own_limits(status: IncidentStatus) -> Limits:
    spec = status.policy_snapshot.spec if status.policy_snapshot else {}
    try:
        return Limits.model_validate(spec.get("limits") or {})
    except ValidationError:
        return Limits()
