"""resources: limits and requests of one container to at least so much, by a new template, which is a rolling restart.

All of it is one patch, with the restart's token in it: so it is made whole or not at all, a repeated one starts no
second rollout, and what came of it is judged as of a restart.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import product

from goldseam.actions import restart
from goldseam.actions.ownership import by_controller, by_gitops, by_rollout
from goldseam.actions.replies import GONE, bounded, nothing, pods, refusal
from goldseam.actions.writes import owed, patch, unnumbered
from goldseam.api.base import Model
from goldseam.api.ladder import Resources
from goldseam.api.quantities import canonical, size_of
from goldseam.engine.objects import Json, Workload, reference, value_at
from goldseam.engine.owners import controller_owner, gitops_owner, rollout_of, sized_by
from goldseam.engine.proposal import Action, Plan, Proposal, Refusal, Right, World
from goldseam.engine.record import cut
from goldseam.engine.resizing import MOST, field_of, title
from goldseam.engine.strategy import taken_at_once

VERB = "resize"
"""A verb of our own on workloads: whether their containers may be resized, and not merely restarted."""


@dataclass(frozen=True)
class _Raise:
    """One amount that is too low."""

    field: str
    has: str
    want: str

    def __str__(self) -> str:
        return f"{title(self.field).partition(' ')[0]} from {self.has} to {self.want}"


def plan(parameters: Model, world: World, token: str) -> Plan:
    """Raise what is lower than the policy says, and the token with it."""
    assert isinstance(parameters, Resources)
    if world.target is None:
        return GONE
    ref = reference(world.target)
    found = _raises(parameters, world.target)
    if isinstance(found, Refusal):
        return found
    if not found:
        return nothing(f"container {parameters.container} of {ref} has as much already, or more")
    if Workload(world.target).replicas == 0:
        return nothing(f"{ref} has no pods that could be given more")
    refused = contested(parameters, world) or restart.refused(world.target) or _unfit(found, world.target)
    return refused or _proposed(parameters.container, found, world.target, token)


def _raises(parameters: Resources, target: Json) -> list[_Raise] | Refusal:
    """What is lower than it should be. What is not set is no limit that could be raised."""
    ref, name = reference(target), parameters.container
    there = [str(one.get("name")) for one in json.loads(value_at(target, "spec.template.spec.containers")) or ()]
    if name not in there:
        return refusal("ContainerMissing", f"{ref} has no container {name}; it has {bounded(there)}")
    found = []
    for part, resource, amount in parameters.amounts():
        field = field_of(name, part, resource)
        has = json.loads(value_at(target, field))
        if not (size := size_of(has)):
            message = f"{title(field)} of {ref} is not set: there is nothing to raise; set it, or leave it out"
            return refusal("ResourceNotSet", message)
        if (want := size_of(amount)) is not None and want > size:
            found.append(_Raise(field, has, canonical(amount)))
    return found


def contested(parameters: Model, world: World) -> Refusal | None:
    """Who would undo it, or decides about it: known before any incident."""
    assert isinstance(parameters, Resources)
    if world.target is None:
        return None
    ref = reference(world.target)
    if owner := rollout_of(world.target, world.rollouts):
        return by_rollout(owner, ref)
    if owner := controller_owner(world.target):
        return by_controller(owner, ref, "a change of its resources")
    if vpa := sized_by(world.target, filter(_acts, world.vpas)):
        why = f"VerticalPodAutoscaler {vpa} sizes the pods of {ref}, whatever the template says"
        return refusal("SizedByVpa", f"{why}: raise minAllowed or maxAllowed there, or set updateMode: Off")
    for part, resource, _ in parameters.amounts():
        field = field_of(parameters.container, part, resource)
        if owner := gitops_owner(world.target, field):
            return by_gitops(owner, ref, field, world.target)
    return None


def _acts(vpa: Json) -> bool:
    """Whether it does more than recommend. Source: VerticalPodAutoscaler `pkg/apis/autoscaling.k8s.io/v1/types.go`."""
    return ((vpa.get("spec") or {}).get("updatePolicy") or {}).get("updateMode") != "Off"


def _unfit(found: list[_Raise], target: Json) -> Refusal | None:
    """More than one write may do, or a request above its limit, which no API server takes."""
    ref = reference(target)
    for one in found:
        if (size_of(one.want) or 0) > MOST * (size_of(one.has) or 0):
            why = f"{one.want} is more than {MOST} times what {title(one.field)} of {ref} is now ({one.has})"
            return refusal("TooMuchAtOnce", f"{why}: ask for less, or raise it in several rungs")
    wanted = {one.field: one.want for one in found}
    for one in found:
        limit = one.field.replace(".requests.", ".limits.")
        most = wanted.get(limit) or json.loads(value_at(target, limit))
        if (size_of(most) or size_of(one.want) or 0) < (size_of(one.want) or 0):
            why = f"{title(one.field)} of {ref} would be {one.want}, and its limit is {most}"
            return refusal("RequestAboveLimit", f"{why}: raise limits, too")
    return None


def _proposed(container: str, found: list[_Raise], target: Json, token: str) -> Proposal:
    ref, workload = reference(target), Workload(target)
    writes = [unnumbered(patch(ref, target, one.field, json.dumps(one.want))) for one in found]
    what = " and ".join(map(str, found))
    return Proposal(
        writes=(*writes, unnumbered(restart.mark(target, token))),
        summary=cut(f"raise {what} of container {container} of {ref} and restart it ({pods(workload.replicas)})"),
        rights=tuple(replace(right, namespace=ref.namespace, name=ref.name) for right in _rights(ref.kind)),
        obligations=tuple(owed("ResourcesBack", write, write.before) for write in writes),
        takes_ready=taken_at_once(workload),
    )


def _rights(kind: str) -> tuple[Right, ...]:
    return restart.rights_with(VERB, kind, "resources")


FIELDS = [field_of("*", *which) for which in product(("limits", "requests"), ("cpu", "memory"))]

ACTION = Action(
    "resources",
    frozenset(restart.RESOURCES),
    plan,
    restart.observe,
    lambda _, kind: _rights(kind),
    looks_at=frozenset({"owners", "disruption_budgets"}),
    contested=contested,
    fields=frozenset({f"{kind} {field}" for kind in restart.RESOURCES for field in FIELDS} | restart.MARKS),
)
