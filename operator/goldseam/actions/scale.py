"""scale: at least so many replicas, or at most, through whoever owns their number."""

from __future__ import annotations

import json
from dataclasses import replace

from goldseam.actions.autoscalers import HPA, KEDA, autoscaler, by_autoscaler, raised
from goldseam.actions.ownership import by_controller, by_gitops, by_rollout
from goldseam.actions.replies import GONE, effect, nothing, pods, refusal
from goldseam.actions.rollout import course
from goldseam.actions.writes import owed, patch
from goldseam.api.base import Model
from goldseam.api.incident import Step
from goldseam.api.scaling import Scale
from goldseam.engine.lowered import half_way
from goldseam.engine.objects import Workload, reference, value_at
from goldseam.engine.owners import controller_owner, gitops_owner, rollout_of, sized_by
from goldseam.engine.proposal import Action, Effect, Plan, Proposal, Refusal, Right, World
from goldseam.engine.record import cut

REPLICAS = "spec.replicas"
SCALING = {
    "Deployment": Right("patch", "apps", "deployments", "scale", piece="scale"),
    "StatefulSet": Right("patch", "apps", "statefulsets", "scale", piece="scale"),
    "Rollout": Right("patch", "argoproj.io", "rollouts", "scale", piece="rollouts"),
}
"""The right that it needs, by the target's kind."""
ZERO = "zero"
"""A verb of our own on `/scale`: by it admission tells where the operator may scale to zero, and back."""


def plan(parameters: Model, world: World, token: str) -> Plan:
    """Raise the target to N replicas, or lower it: through whoever scales it by itself, else through `/scale`.

    Never lowers unless told, and never below what an autoscaler wants. What has no replicas was switched off on purpose
    (an HPA, too, then stands still: its maintenance mode, kubernetes `pkg/controller/podautoscaler`), unless KEDA would
    wake it by its floor.
    """
    assert isinstance(parameters, Scale)
    if world.target is None or world.scale is None:
        return GONE
    ref, has, want = reference(world.target), json.loads(value_at(world.scale, REPLICAS)) or 0, parameters.replicas
    if has <= want if parameters.lowers else has >= want:
        asked = "at most" if parameters.lowers else "at least"
        return nothing(f"{ref} has {has} replicas already, and {asked} {want} are asked for")
    scaler = autoscaler(world)
    if isinstance(scaler, Refusal):
        return scaler
    if owner := rollout_of(world.target, world.rollouts):
        return by_rollout(owner, ref)
    if parameters.lowers:
        return by_autoscaler(scaler, ref) if scaler else _owned(world) or _down(world, has, want)
    if has == 0 and not (scaler and scaler.wakes):
        idle = f"{scaler.ref} has idleReplicaCount" if scaler and scaler.kind is KEDA else "somebody switched it off"
        return refusal("SwitchedOff", f"{ref} has 0 replicas: {idle}; Goldseam does not switch it on")
    found = raised(scaler, ref, parameters) if scaler else _owned(world) or _up(world, has, want)
    return _beside_vpa(found, world)


def _owned(world: World) -> Refusal | None:
    assert world.target is not None
    ref = reference(world.target)
    if owner := controller_owner(world.target):
        return by_controller(owner, ref, "a change of its replicas")
    owner = gitops_owner(world.target, REPLICAS)
    return by_gitops(owner, ref, REPLICAS) if owner else None


def _up(world: World, has: int, want: int) -> Proposal:
    assert world.target is not None
    ref = reference(world.target)
    write = patch(ref, world.target, REPLICAS, json.dumps(want), world.scale)
    return Proposal(
        writes=(write,),
        summary=f"scale {ref} from {has} to {want} replicas",
        rights=tuple(replace(right, namespace=ref.namespace, name=ref.name) for right in _rights(ref.kind, want)),
        obligations=(owed("ScaleBack", write, write.before),),
    )


def _down(world: World, has: int, want: int) -> Proposal:
    """Down by at most half in one write, for admission lets no more through; each is made when the one before is. All
    that go are counted as ready as long as there are ready ones: which go, the target's controller decides."""
    assert world.target is not None
    up = _up(world, has, want)
    (last,) = up.writes
    writes = [patch(last.object, world.target, REPLICAS, json.dumps(half_way(has, want)), world.scale)]
    while (now := int(writes[-1].want)) != want:
        step = {"before": writes[-1].want, "want": json.dumps(half_way(now, want)), "resource_version": ""}
        writes.append(last.model_copy(update=step))
    summary = f"scale {last.object} down from {has} to {want} replicas{', by halves' if len(writes) > 1 else ''}"
    ready = Workload(world.target).ready
    return replace(up, writes=tuple(writes), summary=summary, takes_ready=min(ready, has - want))


def _rights(kind: str, want: int) -> tuple[Right, ...]:
    """To scale; and to switch off, where that is asked for."""
    off = replace(SCALING[kind], verb=ZERO, piece="scale-to-zero")
    return (SCALING[kind], *([off] if want == 0 else []))


def _beside_vpa(found: Plan, world: World) -> Plan:
    """A VerticalPodAutoscaler changes what each pod asks for, not how many there are: it is said, and does not hold."""
    assert world.target is not None
    vpa = sized_by(world.target, world.vpas)
    if not vpa or not isinstance(found, Proposal):
        return found
    return replace(found, summary=cut(f"{found.summary}; VerticalPodAutoscaler {vpa} sizes the pods, and may go on"))


def needs(parameters: Model, kind: str) -> tuple[Right, ...]:
    """The rights that it needs, whoever owns the replicas."""
    assert isinstance(parameters, Scale)
    return _rights(kind, parameters.replicas)


def contested(parameters: Model, world: World) -> Refusal | None:
    """Who would refuse it, or undo it, whenever the target has too few replicas, or too many: known before any
    incident."""
    assert isinstance(parameters, Scale)
    if world.target is None:
        return None
    has = parameters.replicas + 1 if parameters.lowers else 1
    scale = {"spec": {"replicas": has}, "metadata": world.target["metadata"]}
    found = plan(parameters, replace(world, scale=scale), "")
    return found if isinstance(found, Refusal) else None


def observe(step: Step, world: World) -> Effect:
    """Done when so many replicas are wanted, and all of them are updated and ready. On the way down: when the others
    are gone; whether those that stay are ready is no matter of it."""
    if world.target is None:
        return effect(False, GONE.message)
    write, workload = step.writes[-1], Workload(world.target)
    want = int(json.loads(write.want))
    if want < (json.loads(write.before) or 0):
        gone = workload.observed and not workload.surplus and workload.replicas <= want
        return effect(gone, f"{reference(world.target)}: {pods(workload.left)} left, {want} wanted")
    if workload.replicas < want:
        late = "" if write.subresource else f": {write.object} has not raised it yet"
        return effect(False, f"{reference(world.target)} has {workload.replicas} replicas, not yet {want}{late}")
    return course(workload, world.pending)


ACTION = Action(
    "scale",
    frozenset(SCALING),
    plan,
    observe,
    needs,
    looks_at=frozenset({"scale", "autoscalers", "owners", "disruption_budgets"}),
    watches=frozenset({"pending"}),
    contested=contested,
    fields=frozenset({*(f"{kind}/scale {REPLICAS}" for kind in SCALING), *HPA.fields, *KEDA.fields}),
)
