"""scale: at least so many replicas, through whoever owns their number."""

from __future__ import annotations

import json
from dataclasses import replace

from goldseam.actions.autoscalers import KEDA, autoscaler, raised
from goldseam.actions.ownership import by_controller, by_gitops, by_rollout
from goldseam.actions.replies import GONE, effect, nothing, refusal
from goldseam.actions.rollout import course
from goldseam.actions.writes import owed, patch
from goldseam.api.base import Model
from goldseam.api.incident import Step
from goldseam.api.ladder import Scale
from goldseam.engine.objects import Workload, reference, value_at
from goldseam.engine.owners import controller_owner, gitops_owner, rollout_of, sized_by
from goldseam.engine.proposal import Action, Effect, Plan, Proposal, Refusal, Right, World
from goldseam.engine.record import cut

REPLICAS = "spec.replicas"
RESOURCES = {
    "Deployment": ("apps", "deployments"),
    "StatefulSet": ("apps", "statefulsets"),
    "Rollout": ("argoproj.io", "rollouts"),
}


def plan(parameters: Model, world: World, token: str) -> Plan:
    """Raise the target to N replicas: through whoever scales it by itself, else through `/scale`.

    Never lowers. What has no replicas was switched off on purpose (an HPA, too, then stands still: its maintenance
    mode, kubernetes `pkg/controller/podautoscaler`), unless KEDA has idled it.
    """
    assert isinstance(parameters, Scale)
    if world.target is None or world.scale is None:
        return GONE
    ref, has = reference(world.target), json.loads(value_at(world.scale, REPLICAS)) or 0
    if has >= parameters.replicas:
        return nothing(f"{ref} has {has} replicas already, and at least {parameters.replicas} are asked for")
    scaler = autoscaler(world)
    if isinstance(scaler, Refusal):
        return scaler
    if owner := rollout_of(world.target, world.rollouts):
        return by_rollout(owner, ref)
    if has == 0 and (scaler is None or scaler.kind is not KEDA):
        return refusal("SwitchedOff", f"{ref} has 0 replicas: somebody switched it off; Goldseam does not switch it on")
    found = raised(scaler, ref, parameters) if scaler else _owned(world) or _directly(world, has, parameters.replicas)
    return _beside_vpa(found, world)


def _owned(world: World) -> Refusal | None:
    assert world.target is not None
    ref = reference(world.target)
    if owner := controller_owner(world.target):
        return by_controller(owner, ref, "a change of its replicas")
    owner = gitops_owner(world.target, REPLICAS)
    return by_gitops(owner, ref, REPLICAS) if owner else None


def _directly(world: World, has: int, want: int) -> Proposal:
    assert world.target is not None
    ref, (group, plural) = reference(world.target), RESOURCES[str(world.target["kind"])]
    write = patch(ref, world.target, REPLICAS, json.dumps(want), world.scale)
    return Proposal(
        writes=(write,),
        summary=f"scale {ref} from {has} to {want} replicas",
        rights=(Right("patch", group, plural, "scale", ref.namespace, ref.name),),
        obligations=(owed("ScaleBack", write, write.before),),
    )


def _beside_vpa(found: Plan, world: World) -> Plan:
    """A VerticalPodAutoscaler changes what each pod asks for, not how many there are: it is said, and does not hold."""
    assert world.target is not None
    vpa = sized_by(world.target, world.vpas)
    if not vpa or not isinstance(found, Proposal):
        return found
    return replace(found, summary=cut(f"{found.summary}; VerticalPodAutoscaler {vpa} sizes the pods, and may go on"))


def contested(parameters: Model, world: World) -> Refusal | None:
    """Who would refuse it, or undo it, whenever the target has too few replicas: known before any incident."""
    if world.target is None:
        return None
    found = plan(parameters, replace(world, scale={"spec": {"replicas": 1}, "metadata": world.target["metadata"]}), "")
    return found if isinstance(found, Refusal) else None


def observe(step: Step, world: World) -> Effect:
    """Done when so many replicas are wanted, and all of them are updated and ready."""
    if world.target is None:
        return effect(False, GONE.message)
    write, workload = step.writes[-1], Workload(world.target)
    want = int(json.loads(write.want))
    if workload.replicas < want:
        late = "" if write.subresource else f": {write.object} has not raised it yet"
        return effect(False, f"{reference(world.target)} has {workload.replicas} replicas, not yet {want}{late}")
    return course(workload, world.pending)


ACTION = Action(
    "scale",
    frozenset(RESOURCES),
    plan,
    observe,
    "scale",
    (Right("patch", "", "", "scale"),),
    frozenset({"scale", "autoscalers", "owners"}),
    frozenset({"pending"}),
    contested,
)
