"""Guards on the plan itself: what it would take away, who owns the knob, and whether it is allowed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from goldseam.engine.disruption import DisruptionBudget
from goldseam.engine.guards.hold import Hold
from goldseam.engine.lowered import was_lowered
from goldseam.engine.matching import protected
from goldseam.engine.objects import Workload, metadata, share
from goldseam.engine.owners import YIELDED, yielded
from goldseam.engine.proposal import Proposal, Refusal, World
from goldseam.engine.situation import Situation


def headroom(s: Situation, now: datetime) -> Hold | None:
    """The action would take ready pods below `limits.minAvailable`. Replacing a pod that is not ready costs nothing."""
    if not isinstance(s.plan, Proposal) or not s.plan.takes_ready or s.world.target is None:
        return None
    workload = Workload(s.world.target)
    live = s.policy.spec.limits.min_available if s.policy and s.policy.spec else s.pinned.limits.min_available
    wanted = {share(value, workload.replicas, up=True): value for value in (live, s.pinned.limits.min_available)}
    needed = max(wanted)
    left = workload.ready - s.plan.takes_ready
    if left >= needed:
        return None
    message = (
        f"it would leave {max(left, 0)} of {workload.replicas} pods ready, and limits.minAvailable"
        f" ({wanted[needed]}) asks for {needed}"
    )
    return Hold("headroom", "Refuse", "TooFewLeft", message)


def disruption(s: Situation, now: datetime) -> Hold | None:
    """The action would take more ready pods than a PodDisruptionBudget allows. A rollout does not ask for one itself.

    Source: Kubernetes documentation, "Specifying a Disruption Budget": only evictions are bound by it.
    """
    if not isinstance(s.plan, Proposal) or s.plan.by_eviction:
        return None
    return disrupted(s.world, s.plan.takes_ready)


def disrupted(world: World, takes: int) -> Hold | None:
    """Whether any budget is in the way of so many ready pods of the target going at once."""
    if not takes or world.target is None:
        return None
    labels = metadata((world.target.get("spec") or {}).get("template") or {}).get("labels") or {}
    covering = [budget for budget in map(DisruptionBudget, world.pdbs) if budget.covers(labels)]
    holds = [hold for budget in covering if (hold := _disrupted(budget, takes))]
    return max(holds, key=lambda hold: hold.kind == "Refuse", default=None)


def _disrupted(budget: DisruptionBudget, takes: int) -> Hold | None:
    """Whether one budget is in the way."""
    if not budget.counted:
        message = f"{budget} covers the pods, and the cluster has not counted yet how many it lets go"
        return Hold("headroom", "Wait", "DisruptionUnknown", message)
    if takes <= budget.allowed:
        return None
    pods = "1 ready pod" if takes == 1 else f"{takes} ready pods"
    message = f"it would take {pods} at once, and {budget} lets {budget.allowed} go ({budget.health})"
    return Hold("headroom", "Refuse", "BreaksDisruptionBudget", message)


def owner(s: Situation, now: datetime) -> Hold | None:
    """Something else owns the knob and would undo it, or the action does not fit the target."""
    if isinstance(s.plan, Refusal):
        kind: Literal["Wait", "Refuse"] = "Wait" if s.plan.waits else "Refuse"
        return Hold(s.plan.guard, kind, s.plan.reason, s.plan.message, s.plan.until)
    if isinstance(s.plan, Proposal) and any(w.subresource == "scale" for w in s.plan.writes) and _in_git(s):
        message = (
            f"{s.status.git_owner} held spec.replicas of {s.spec.target} in Git, before somebody else scaled it: it"
            f' would undo a change. Tell it to leave the field alone, then annotate the target: {YIELDED}: "true"'
        )
        return Hold("owner", "Refuse", "HeldInGit", message)
    return _held_down(s)


def _held_down(s: Situation) -> Hold | None:
    """Another incident has taken replicas away, on purpose: to bring some back would be to fight it."""
    up = [o for o in (s.plan.obligations if isinstance(s.plan, Proposal) else ()) if not was_lowered(o)]
    for other in s.others:
        keys = {o.key for o in other.obligations if o.state == "Open" and other.uid != s.uid and was_lowered(o)}
        if any(o.key in keys for o in up):
            message = (
                f"Incident {other.name} has scaled {s.spec.target} down, and brings it back when its alert is over"
            )
            return Hold("owner", "Refuse", "HeldDown", message)
    return None


def _in_git(s: Situation) -> bool:
    """Whether GitOps was seen to hold the target's replicas, and nobody says that it leaves them alone by now."""
    return bool(s.status.git_owner) and not yielded(s.world.target or {})


def protection(s: Situation, now: datetime) -> Hold | None:
    """The target's namespace is protected by the Guardrails."""
    namespace = s.spec.target.namespace
    if namespace and protected(namespace, [*s.guardrails.protected_namespaces, s.operator_namespace]):
        message = f"namespace {namespace} is protected by the Guardrails (protectedNamespaces)"
        return Hold("permission", "Refuse", "ProtectedNamespace", message)
    return None


def permission(s: Situation, now: datetime) -> Hold | None:
    """The policy's identity may not do it, it could not be asked, or nothing protects Incidents."""
    if not s.incidents_protected:
        message = (
            "mode Act needs the admission policy goldseam-incidents, so that nobody else writes Incidents:"
            " install deploy/kustomize/base"
        )
        return Hold("permission", "Wait", "IncidentsUnprotected", message)
    if s.permission.problem:
        return Hold("permission", "Wait", "PermissionUnknown", s.permission.problem)
    if s.permission.denied:
        return Hold("permission", "Refuse", "PermissionMissing", "; ".join(s.permission.denied))
    return None
