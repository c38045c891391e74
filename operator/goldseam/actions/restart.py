"""restart: a rolling restart of every pod, by one annotation of the template.

The annotation is `goldseam.dev/token`, and no other: repeated with the same token it starts no second rollout, Flux and
Argo CD leave it alone as they do `kubectl.kubernetes.io/restartedAt` (it is not in Git, and the field manager does not
begin with `kubectl`, which Flux strips by prefix), and `restartedAt` means a time to the tools that show it, which a
token is not.
"""

from __future__ import annotations

import json

from goldseam.actions.ownership import by_controller
from goldseam.actions.replies import GONE, effect, nothing, pods, refusal
from goldseam.actions.rollout import course, on_delete, partition, taken_at_once
from goldseam.actions.writes import patch
from goldseam.api.base import Model
from goldseam.api.incident import Step
from goldseam.engine.objects import TOKEN, Workload, reference, value_at
from goldseam.engine.owners import controller_owner
from goldseam.engine.proposal import Action, Effect, Plan, Proposal, Refusal, Right, World

FIELD = f"spec.template.metadata.annotations[{TOKEN}]"
RESOURCES = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
_LONGEST_TOKEN = 64


def plan(parameters: Model, world: World, token: str) -> Plan:
    """Mark the template with the token, so that the workload's own controller replaces its pods one after the other."""
    if world.target is None:
        return GONE
    ref, workload = reference(world.target), Workload(world.target)
    if owner := controller_owner(world.target):
        return by_controller(owner, ref, "a restart half-way")
    if workload.replicas == 0:
        return nothing(f"{ref} has no pods that could be restarted")
    if refused := _held_up(workload) or _partial(workload):
        return refused
    return Proposal(
        writes=(patch(ref, world.target, FIELD, json.dumps(token)),),
        summary=f"restart {ref} ({pods(workload.replicas)})",
        rights=(Right("patch", "apps", RESOURCES[ref.kind], "", ref.namespace, ref.name),),
        takes_ready=taken_at_once(workload),
    )


def _held_up(workload: Workload) -> Refusal | None:
    """A restart would not begin, or would run into a rollout that somebody else has begun. A stuck one is fair game."""
    ref = reference(workload.obj)
    if workload.spec.get("paused"):
        return refusal("RolloutPaused", f"the rollout of {ref} is paused (spec.paused): a restart would not begin")
    if workload.updating and not workload.stuck:
        return refusal("RolloutInProgress", f"a rollout of {ref} is in progress: {workload.progress}")
    if len(value_at(workload.obj, FIELD)) > _LONGEST_TOKEN + 2:  # an Incident could not hold it
        return refusal("ForeignToken", f"{FIELD} of {ref} was not written by Goldseam: remove it")
    return None


def _partial(workload: Workload) -> Refusal | None:
    """The workload's strategy would not replace all of its pods."""
    ref = reference(workload.obj)
    if on_delete(workload):
        return refusal(
            "UpdateOnDelete",
            f"{ref} replaces a pod only once it is deleted (updateStrategy OnDelete): delete its pods one by one",
        )
    if below := partition(workload):
        return refusal(
            "Partitioned", f"{ref} keeps its pods below {below} as they are (partition): only part would restart"
        )
    return None


def observe(step: Step, world: World) -> Effect:
    """Done when the template carries the token and every pod is of that template and ready: no clocks are compared."""
    if world.target is None:
        return effect(False, GONE.message)
    if value_at(world.target, FIELD) != step.writes[0].want:
        return effect(False, f"the template of {reference(world.target)} does not carry the restart's token")
    return course(Workload(world.target))


ACTION = Action(
    "restart",
    frozenset(RESOURCES),
    plan,
    observe,
    "restart",
    (Right("patch", "apps", ""),),
    frozenset({"disruption_budgets"}),
)
