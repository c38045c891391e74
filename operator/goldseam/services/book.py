"""The incidents that are not over, in memory: found by policy and target, and shown to each other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from goldseam.api.incident import IncidentStatus
from goldseam.engine.closing import may_reopen
from goldseam.engine.matching import PolicyKey, TargetKey
from goldseam.engine.situation import Other, Spent
from goldseam.engine.views import IncidentView


class IncidentBook:
    """Every incident that is not over, as last read or written."""

    def __init__(self) -> None:
        self._views: dict[str, IncidentView] = {}

    def put(self, incident: IncidentView) -> None:
        """Take in what was read or written."""
        if incident.over:
            self._views.pop(incident.uid, None)
        else:
            self._views[incident.uid] = incident

    def drop(self, uid: str) -> None:
        """Forget an incident that was deleted."""
        self._views.pop(uid, None)

    def get(self, uid: str) -> IncidentView | None:
        """The incident of that uid."""
        return self._views.get(uid)

    def all(self) -> list[IncidentView]:
        """All that are not over."""
        return list(self._views.values())

    def handling(self, policy: PolicyKey, uid: str, target: TargetKey, now: datetime) -> IncidentView | None:
        """The incident in which the policy of this uid handles the target.

        Also one that is resolved, for as long as the alert would re-open it; after that, as one that is abandoned, it
        only pays.
        """
        for incident in self._views.values():
            phase = incident.status.phase if incident.status else "Investigating"
            mine = incident.policy == policy and target_key(incident) == target
            reopens = incident.spec.policy_ref.uid == uid and may_reopen(incident.status, now)
            if mine and phase != "Abandoned" and (phase != "Resolved" or reopens):
                return incident
        return None

    def others(self, mine: IncidentView) -> tuple[Other, ...]:
        """All incidents but this one, as far as they matter to it."""
        return tuple(_other(incident) for incident in self._views.values() if incident.uid != mine.uid)


def target_key(incident: IncidentView) -> TargetKey:
    """The incident's target by name."""
    ref = incident.spec.target
    return TargetKey(ref.kind, ref.namespace, ref.name)


def _other(incident: IncidentView) -> Other:
    status = incident.status
    created = datetime.fromisoformat(incident.created)
    phase = status.phase if status else "Investigating"
    active = phase not in ("Resolved", "Abandoned")
    return Other(
        name=incident.title,
        uid=incident.uid,
        opened=(status.kpis.detected_at if status else None) or created,
        target_uid=incident.spec.target.uid,
        policy=incident.policy,
        policy_created=None,
        claims=active and status is not None and status.mode != "Observe" and not status.handed_over,
        busy=_acts(status),
        labels=incident.spec.alert.labels,
        active=active,
        obligations=tuple(status.open_obligations()) if status else (),
    )


def _acts(status: IncidentStatus | None) -> bool:
    """Whether it is at work on the target: a step that only waits, or is only written down in Observe, is not."""
    step = status.open_step() if status is not None and status.mode != "Observe" else None
    return step is not None and bool(step.writes)


def spent(incidents: Iterator[IncidentView]) -> Iterator[Spent]:
    """What the incidents' own steps say of the budgets."""
    for incident in incidents:
        target = target_key(incident)
        for step in incident.status.steps if incident.status else ():
            if step.purpose == "Rung" and step.writes:
                yield Spent(str(incident.policy), str(target), step.intent_at, 1)
