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
from goldseam.api.incident import ObjectRef, Step, Write
from goldseam.engine.objects import RESTART as FIELD
from goldseam.engine.objects import Json, Workload, reference, value_at
from goldseam.engine.owners import controller_owner
from goldseam.engine.proposal import Action, Effect, Plan, Proposal, Refusal, Right, World

RESOURCES = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
COMPONENT = "restart"
_LONGEST_TOKEN = 64


def plan(parameters: Model, world: World, token: str) -> Plan:
    """Mark the template with the token, so that the workload's own controller replaces its pods one after the other."""
    if world.target is None:
        return GONE
    ref, workload = reference(world.target), Workload(world.target)
    if workload.replicas == 0:
        return nothing(f"{ref} has no pods that could be restarted")
    return refused(world.target) or Proposal(
        writes=(mark(world.target, token),),
        summary=f"restart {ref} ({pods(workload.replicas)})",
        rights=(right(ref),),
        takes_ready=taken_at_once(workload),
    )


def mark(target: Json, token: str) -> Write:
    """The write that begins it."""
    return patch(reference(target), target, FIELD, json.dumps(token))


def right(ref: ObjectRef, piece: str = "") -> Right:
    """The right that it needs."""
    return Right("patch", "apps", RESOURCES[ref.kind], "", ref.namespace, ref.name, piece=piece)


def refused(target: Json) -> Refusal | None:
    """Why the target cannot be restarted."""
    if owner := controller_owner(target):
        return by_controller(owner, reference(target), "a restart half-way")
    return settled(target) or _in_progress(Workload(target)) or partial(Workload(target))


def settled(target: Json) -> Refusal | None:
    """A rollout would not begin, or its token could not be told from another's."""
    ref, workload = reference(target), Workload(target)
    if workload.spec.get("paused"):
        return refusal("RolloutPaused", f"the rollout of {ref} is paused (spec.paused): another would not begin")
    if len(value_at(target, FIELD)) > _LONGEST_TOKEN + 2:  # an Incident could not hold it
        return refusal("ForeignToken", f"{FIELD} of {ref} was not written by Goldseam: remove it")
    return None


def _in_progress(workload: Workload) -> Refusal | None:
    """A restart would run into a rollout that somebody else has begun. A stuck one is fair game."""
    if not workload.updating or workload.stuck:
        return None
    return refusal("RolloutInProgress", f"a rollout of {reference(workload.obj)} is in progress: {workload.progress}")


def partial(workload: Workload) -> Refusal | None:
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
    if value_at(world.target, FIELD) not in [write.want for write in step.writes if write.field == FIELD]:
        return effect(False, f"the template of {reference(world.target)} does not carry the restart's token")
    return course(Workload(world.target))


ACTION = Action(
    "restart",
    frozenset(RESOURCES),
    plan,
    observe,
    COMPONENT,
    (Right("patch", "apps", ""),),
    frozenset({"disruption_budgets"}),
)
