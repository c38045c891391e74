"""scale: at least so many replicas, through whoever owns their number."""

from __future__ import annotations

import json

from goldseam.actions.ownership import by_controller, by_gitops, by_keda
from goldseam.actions.replies import GONE, effect, nothing, refusal
from goldseam.actions.rollout import course
from goldseam.actions.writes import owed, patch
from goldseam.api.base import Model
from goldseam.api.incident import ObjectRef, Step
from goldseam.api.ladder import Scale
from goldseam.engine.objects import Json, Workload, reference, value_at
from goldseam.engine.owners import autoscalers_of, controller_owner, gitops_owner, keda_owner
from goldseam.engine.proposal import Action, Effect, Plan, Proposal, Refusal, Right, World

REPLICAS = "spec.replicas"
FLOOR = "spec.minReplicas"
HPA = "HorizontalPodAutoscaler"
RESOURCES = {"Deployment": "deployments", "StatefulSet": "statefulsets"}


def plan(parameters: Model, world: World, token: str) -> Plan:
    """Raise the target to N replicas: through its HorizontalPodAutoscaler where it has one, else through `/scale`.

    Never lowers. What has no replicas was switched off on purpose (an HPA, too, then stands still: its maintenance
    mode, kubernetes `pkg/controller/podautoscaler`).
    """
    assert isinstance(parameters, Scale)
    if world.target is None or world.scale is None:
        return GONE
    want, ref = parameters.replicas, reference(world.target)
    has = json.loads(value_at(world.scale, REPLICAS)) or 0
    if has == 0:
        return refusal("SwitchedOff", f"{ref} has 0 replicas: somebody switched it off; Goldseam does not switch it on")
    if has >= want:
        return nothing(f"{ref} has {has} replicas already, and at least {want} are asked for")
    hpas = autoscalers_of(world.target, world.hpas)
    if hpas:
        return _by_autoscaler(hpas, ref, want)
    return _refused(world.target, REPLICAS, "a change of its replicas") or _directly(
        world.target, world.scale, has, want
    )


def _refused(obj: Json, field: str, what: str) -> Refusal | None:
    ref = reference(obj, "autoscaling/v2", HPA)
    if owner := controller_owner(obj):
        return by_controller(owner, ref, what)
    owner = gitops_owner(obj, field)
    return by_gitops(owner, ref, field) if owner else None


def _directly(target: Json, scale: Json, has: int, want: int) -> Proposal:
    ref = reference(target)
    write = patch(ref, target, REPLICAS, json.dumps(want), scale)
    return Proposal(
        writes=(write,),
        summary=f"scale {ref} from {has} to {want} replicas",
        rights=(Right("patch", "apps", RESOURCES[ref.kind], "scale", ref.namespace, ref.name),),
        obligations=(owed("ScaleBack", write, write.before),),
    )


def _by_autoscaler(hpas: list[Json], target: ObjectRef, want: int) -> Plan:
    """An HPA puts replicas back within 15 s, but keeps to its floor, even without metrics."""
    refs = [reference(hpa, "autoscaling/v2", HPA) for hpa in hpas]
    if len(hpas) > 1:
        names = " and ".join(ref.name for ref in refs[:2])
        return refusal("TwoAutoscalers", f"{HPA}s {names} both scale {target} and fight: delete one of them")
    hpa, ref = hpas[0], refs[0]
    if keda := keda_owner(hpa):
        return by_keda(keda, ref, want)
    most = int(hpa["spec"]["maxReplicas"])
    if want > most:
        return refusal(
            "AboveHpaMaximum",
            f"{ref} allows at most {most} replicas of {target}, and {want} are asked for: write maxReplicas: {want}"
            f" there, or at most replicas: {most} in the policy",
        )
    floor = json.loads(value_at(hpa, FLOOR))
    floor = 1 if floor is None else int(floor)  # the API server's default
    if floor >= want:
        return nothing(f"the floor of {ref} is {floor} already; it has not brought {target} there yet")
    return _refused(hpa, FLOOR, "a change of its floor") or _raised(hpa, ref, target, floor, want)


def _raised(hpa: Json, ref: ObjectRef, target: ObjectRef, floor: int, want: int) -> Proposal:
    write = patch(ref, hpa, FLOOR, json.dumps(want))
    return Proposal(
        writes=(write,),
        summary=f"raise the floor of {ref} from {floor} to {want} (it owns the replicas of {target})",
        rights=(Right("patch", "autoscaling", "horizontalpodautoscalers", "", ref.namespace, ref.name, piece="hpa"),),
        obligations=(owed("FloorBack", write, json.dumps(floor)),),
    )


def observe(step: Step, world: World) -> Effect:
    """Done when so many replicas are wanted, and all of them are updated and ready."""
    if world.target is None:
        return effect(False, GONE.message)
    write, workload = step.writes[0], Workload(world.target)
    want = int(json.loads(write.want))
    if workload.replicas < want:
        late = f": {write.object} has not raised it yet" if write.field == FLOOR else ""
        return effect(False, f"{reference(world.target)} has {workload.replicas} replicas, not yet {want}{late}")
    return course(workload)


ACTION = Action(
    "scale",
    frozenset(RESOURCES),
    plan,
    observe,
    "scale",
    (Right("patch", "apps", "", "scale"),),
    frozenset({"scale", "autoscalers"}),
)
