"""rollback: the template before the one that was rolled out shortly before the alert began.

The new template is written at once with the restart's token in it: so it is a revision of its own, a repeated write
starts no second rollout, and what came of it is judged as of a restart. Nothing is owed: which version is the right one
people decide.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile

from goldseam.actions import restart
from goldseam.actions.ownership import by_controller
from goldseam.actions.replies import GONE, bounded, nothing, refusal
from goldseam.api.base import Model, format_duration
from goldseam.api.incident import ObjectRef
from goldseam.api.ladder import Rollback
from goldseam.engine.objects import Json, Workload, reference
from goldseam.engine.owners import controller_owner, gitops_owner
from goldseam.engine.proposal import Action, Plan, Proposal, Refusal, Right, World
from goldseam.engine.record import cut
from goldseam.engine.revisions import Revision, content, revisions
from goldseam.engine.strategy import taken_at_once

VERB = "rollback"
"""A verb of our own on workloads: whether they may be rolled back, and not merely restarted."""
TEMPLATE = "spec.template"
_IDENTITY = ("serviceAccountName", "hostNetwork", "hostPID", "hostIPC")


def plan(parameters: Model, world: World, token: str) -> Plan:
    """Replace the template by the former one, if what is there came within the window before the alert."""
    assert isinstance(parameters, Rollback)
    if world.target is None:
        return GONE
    ref = reference(world.target)
    if owner := controller_owner(world.target):
        return by_controller(owner, ref, "a rollback")
    if Workload(world.target).replicas == 0:
        return nothing(f"{ref} has no pods that could be rolled back")
    if refused := restart.settled(world.target) or restart.partial(Workload(world.target)):
        return refused
    found = revisions(world.target, world.revisions or ())
    if not found or found[0].content != content(world.target["spec"]["template"]):
        return refusal("RevisionUnseen", f"the template of {ref} is not the one of its newest revision (yet)")
    same = list(takewhile(lambda revision: revision.content == found[0].content, found))
    if refused := _untimely(same[-1], ref, parameters.window, world.active_at):
        return refused
    before = found[len(same)] if len(found) > len(same) else None
    if before is None or found[0].number - before.number != len(same):
        gone = f"the revision of {ref} before {same[-1].number} is gone (spec.revisionHistoryLimit)"
        return refusal("RevisionGone", gone)
    return _elsewhere(world.target, before, same[-1]) or _proposed(world.target, before, same[-1], token)


def _untimely(rolled: Revision, ref: ObjectRef, window: timedelta, active_at: datetime) -> Refusal | None:
    """What was rolled out long before the alert, or after it, is hardly its cause."""
    at, began = f"{rolled.created:%Y-%m-%d %H:%M:%S} UTC", f"{active_at:%H:%M:%S} UTC"
    which = f"revision {rolled.number} of {ref} came at {at}"
    if rolled.created > active_at:
        return refusal("RolledOutSince", f"{which}, after the alert began ({began}): it is not what broke it")
    if active_at - rolled.created > window:
        late = f"{which}, more than {format_duration(window)} before the alert began ({began})"
        return refusal("NoRecentRollout", late)
    return None


def _elsewhere(target: Json, before: Revision, rolled: Revision) -> Refusal | None:
    """Who would undo it, and what admission would refuse."""
    ref = reference(target)
    if owner := gitops_owner(target, TEMPLATE):
        message = (
            f"{owner} owns {TEMPLATE} of {ref} ({owner.evidence}) and would undo a rollback: revert in Git what brought"
            f" revision {rolled.number} at {rolled.created:%Y-%m-%d %H:%M:%S} UTC ({_changes(before, rolled)})"
        )
        return refusal("OwnedByGitOps", message)
    now, then = rolled.template.get("spec") or {}, before.template.get("spec") or {}
    if other := [field for field in _IDENTITY if now.get(field) != then.get(field)]:
        differs = f"revision {before.number} of {ref} has another {' and '.join(other)}: roll it back by hand"
        return refusal("OtherIdentity", differs)
    return None


def _proposed(target: Json, before: Revision, rolled: Revision, token: str) -> Proposal:
    ref = reference(target)
    write = restart.mark(target, token).model_copy(update={"template": before.source})
    return Proposal(
        writes=(write,),
        summary=cut(
            f"roll {ref} back to revision {before.number}, which revision {rolled.number} replaced at"
            f" {rolled.created:%H:%M:%S} UTC ({_changes(before, rolled)})"
        ),
        rights=tuple(replace(right, namespace=ref.namespace, name=ref.name) for right in _rights(ref.kind)),
        takes_ready=taken_at_once(Workload(target)),
    )


def _rights(kind: str) -> tuple[Right, ...]:
    return restart.rights_with(VERB, kind, "rollback")


def _changes(before: Revision, rolled: Revision) -> str:
    """What the rollout changed, as far as people would name it: its cause, else the images."""
    if rolled.cause and rolled.cause != before.cause:
        return cut(rolled.cause, 120)
    old, new = _images(before.template), _images(rolled.template)
    changed = [f"{name}: {old.get(name, 'none')} → {image}" for name, image in new.items() if old.get(name) != image]
    return bounded(changed) if changed else "the images are the same"


def _images(template: Json) -> dict[str, str]:
    pods = template.get("spec") or {}
    containers = [*(pods.get("initContainers") or ()), *(pods.get("containers") or ())]
    return {str(one.get("name")): str(one.get("image")) for one in containers}


ACTION = Action(
    "rollback",
    frozenset(restart.RESOURCES),
    plan,
    restart.observe,
    lambda _, kind: _rights(kind),
    looks_at=frozenset({"revisions", "disruption_budgets"}),
    fields=frozenset(f"{kind} {TEMPLATE}" for kind in restart.RESOURCES),
)
