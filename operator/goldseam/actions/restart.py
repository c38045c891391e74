"""restart: a rolling restart of every pod, by one annotation of the template; or one eviction after the other; or of an
Argo Rollout by its controller.

The annotation is `goldseam.dev/token`, and no other: repeated with the same token it starts no second rollout, Flux and
Argo CD leave it alone as they do `kubectl.kubernetes.io/restartedAt` (it is not in Git, and the field manager does not
begin with `kubectl`, which Flux strips by prefix), and `restartedAt` means a time to the tools that show it, which a
token is not.
"""

from __future__ import annotations

import json
from dataclasses import replace

from goldseam.actions import restart_at
from goldseam.actions.one_by_one import one_by_one
from goldseam.actions.ownership import by_controller
from goldseam.actions.pods import EVICTING, PODS, gone
from goldseam.actions.replies import GONE, effect, nothing, pods, refusal
from goldseam.actions.rollout import course
from goldseam.actions.writes import EVICTION, patch
from goldseam.api.base import Model
from goldseam.api.incident import ObjectRef, Step, Write
from goldseam.api.ladder import Restart
from goldseam.engine.objects import RESTART as FIELD
from goldseam.engine.objects import RESTART_AT, Json, Workload, reference, value_at
from goldseam.engine.owners import controller_owner
from goldseam.engine.proposal import Action, Effect, Plan, Proposal, Refusal, Right, World
from goldseam.engine.strategy import on_delete, partition, taken_at_once

RESOURCES = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
"""What has a template that may be marked."""
MARKING = {kind: Right("patch", "apps", plural, piece="restart") for kind, plural in RESOURCES.items()}
"""The right to begin a rolling restart, by the target's kind."""
_BEGINNING = MARKING | {"Rollout": restart_at.ASKING}
MARKS = frozenset(f"{kind} {FIELD}" for kind in RESOURCES)
"""What a mark writes, as an action declares it."""
_LONGEST_TOKEN = 64


def plan(parameters: Model, world: World, token: str) -> Plan:
    """Mark the template with the token, so that the workload's own controller replaces its pods one after the other; or
    evict them one after the other, where somebody would undo the mark, or it would not replace them all. The template
    of a Rollout is not marked: that would be a new release, with all of its steps."""
    assert isinstance(parameters, Restart)
    if world.target is None:
        return GONE
    ref, workload = reference(world.target), Workload(world.target)
    if workload.replicas == 0:
        return nothing(f"{ref} has no pods that could be restarted")
    if evicts(parameters, world.target):
        return _rolling(workload) or one_by_one(workload, world)
    if ref.kind == "Rollout":
        return settled(world.target) or _rolling(workload) or restart_at.plan(workload, world, right(ref))
    return refused(world.target, instead="write method: Eviction") or Proposal(
        writes=(mark(world.target, token),),
        summary=f"restart {ref} ({pods(workload.replicas)})",
        rights=(right(ref),),
        takes_ready=taken_at_once(workload),
    )


def mark(target: Json, token: str) -> Write:
    """The write that begins it."""
    return patch(reference(target), target, FIELD, json.dumps(token))


def right(ref: ObjectRef) -> Right:
    """The right that it needs."""
    return replace(_BEGINNING[ref.kind], namespace=ref.namespace, name=ref.name)


def rights_with(verb: str, kind: str, piece: str) -> tuple[Right, ...]:
    """The rights to write more of the template than a mark: for that there is a verb of our own."""
    patching = replace(MARKING[kind], piece=piece)
    return patching, replace(patching, verb=verb)


def evicts(parameters: Model, target: Json) -> bool:
    """Whether this target is restarted by evictions."""
    assert isinstance(parameters, Restart)
    workload = Workload(target)
    kept = on_delete(workload) or partition(workload) > 0 or workload.kind == "Rollout"
    return parameters.method == "Eviction" or (parameters.method == "Auto" and bool(kept or controller_owner(target)))


def _picks_pods(parameters: Model, target: Json) -> bool:
    return evicts(parameters, target) or Workload(target).kind == "Rollout"


def refused(target: Json, instead: str = "") -> Refusal | None:
    """Why the target cannot be restarted by a mark; `instead`: what to do where another controller owns it."""
    if owner := controller_owner(target):
        return by_controller(owner, reference(target), "a restart half-way", instead)
    return settled(target) or _rolling(Workload(target)) or partial(Workload(target), instead)


def settled(target: Json) -> Refusal | None:
    """A rollout would not begin, or its token could not be told from another's."""
    ref, workload = reference(target), Workload(target)
    if workload.spec.get("paused"):
        return refusal("RolloutPaused", f"the rollout of {ref} is paused (spec.paused): another would not begin")
    if len(value_at(target, FIELD)) > _LONGEST_TOKEN + 2:  # an Incident could not hold it
        return refusal("ForeignToken", f"{FIELD} of {ref} was not written by Goldseam: remove it")
    return None


def _rolling(workload: Workload) -> Refusal | None:
    """A restart would run into a rollout that somebody else has begun. A stuck one is fair game."""
    if not workload.updating or workload.stuck:
        return None
    return refusal("RolloutInProgress", f"a rollout of {reference(workload.obj)} is in progress: {workload.progress}")


def partial(workload: Workload, instead: str = "") -> Refusal | None:
    """The workload's strategy would not replace all of its pods; `instead`: what to do about it."""
    ref = reference(workload.obj)
    if on_delete(workload):
        why = f"{ref} replaces a pod only once it is deleted (updateStrategy OnDelete)"
        return refusal("UpdateOnDelete", f"{why}: {instead or 'delete its pods one by one'}")
    if below := partition(workload):
        why = f"{ref} keeps its pods below {below} as they are (partition)"
        return refusal("Partitioned", f"{why}: {instead or 'only part of them would be replaced'}")
    return None


def observe(step: Step, world: World) -> Effect:
    """Done when the template carries the token and every pod is of that template and ready; or when those that were to
    be evicted are gone, and all are ready: no clocks are compared."""
    if world.target is None:
        return effect(False, GONE.message)
    first = step.writes[0] if step.writes else None
    if first is not None and first.verb == "Evict":
        return gone(step, world)
    if first is not None and first.field == RESTART_AT:
        return restart_at.restarted(step, world)
    if value_at(world.target, FIELD) not in [write.want for write in step.writes if write.field == FIELD]:
        return effect(False, f"the template of {reference(world.target)} does not carry the restart's token")
    return course(Workload(world.target))


def _needs(parameters: Model, kind: str) -> tuple[Right, ...]:
    assert isinstance(parameters, Restart)
    by_eviction = parameters.method == "Eviction" or (parameters.method == "Auto" and kind == "Rollout")
    return (EVICTING,) if by_eviction else (_BEGINNING[kind],)


ACTION = Action(
    "restart",
    frozenset(_BEGINNING),
    plan,
    observe,
    _needs,
    looks_at=PODS | {"disruption_budgets"},
    watches=PODS,
    picks_pods=_picks_pods,
    fields=MARKS | {EVICTION, f"Rollout {RESTART_AT}"},
)
