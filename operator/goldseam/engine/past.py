"""What has been tried before, and did not help: from the Incidents that are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from goldseam.api.ladder import Rung
from goldseam.engine.situation import Failure
from goldseam.engine.views import IncidentView


def failures(mine: IncidentView, others: Iterable[IncidentView]) -> Iterator[Failure]:
    """The failed rungs of the same policy on the same target, in Incidents of the same namespace but this one.

    The policy is told by its name: deleted and made again, it does not forget.
    """
    for other in others:
        same = (other.namespace, other.policy, other.spec.target) == (mine.namespace, mine.policy, mine.spec.target)
        if same and other.uid != mine.uid:
            yield from _of(other)


def _of(incident: IncidentView) -> Iterator[Failure]:
    ladder = _ladder(incident)
    for step in incident.status.steps if incident.status else ():
        if step.outcome != "Failed" or step.purpose != "Rung" or step.ended_at is None or step.rung >= len(ladder):
            continue
        rung = ladder[step.rung]
        if rung.action == step.action:
            yield Failure(incident.title, step.action, rung.parameters.dump(), step.ended_at, step.message)


def _ladder(incident: IncidentView) -> list[Rung]:
    try:
        return list(incident.pinned.ladder) if incident.status else []
    except ValidationError:  # not one that we wrote
        return []
