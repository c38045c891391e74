"""How a workload replaces its pods, and how far it is."""

from __future__ import annotations

from collections.abc import Iterable

from goldseam.actions.replies import bounded, effect, pods
from goldseam.engine.objects import Json, Workload, condition_of, metadata, reference, share
from goldseam.engine.proposal import Effect
from goldseam.engine.quotable import quotable


def strategy(workload: Workload) -> Json:
    """The workload's strategy: a Deployment has `strategy`, the others `updateStrategy`."""
    found: Json = workload.spec.get("strategy" if workload.kind == "Deployment" else "updateStrategy") or {}
    return found


def rolling(workload: Workload) -> Json:
    """The parameters of its rolling update."""
    found: Json = strategy(workload).get("rollingUpdate") or {}
    return found


def on_delete(workload: Workload) -> bool:
    """Whether a pod is replaced only once somebody deletes it."""
    return strategy(workload).get("type") == "OnDelete"


def partition(workload: Workload) -> int:
    """The ordinal below which a StatefulSet's pods keep the old template."""
    return int(rolling(workload).get("partition") or 0)


def taken_at_once(workload: Workload) -> int:
    """How many ready pods a rollout takes away at the same time at most. Replacing an unready pod costs nothing.

    Source: `ResolveFenceposts` and `MaxUnavailable` in kubernetes `pkg/controller/deployment/util`, and the update
    loops of `pkg/controller/{daemon,statefulset}`. A StatefulSet takes its highest ordinal even while a lower one is
    unready, so there an unready pod saves nothing.
    """
    if strategy(workload).get("type") == "Recreate":
        return workload.ready
    if workload.kind == "StatefulSet":
        most = max(share(rolling(workload).get("maxUnavailable", 1), workload.replicas, up=True), 1)
        return min(most, workload.ready)
    left = workload.replicas - _max_unavailable(workload)
    return min(max(workload.ready - left, 0), workload.ready)


def _max_unavailable(workload: Workload) -> int:
    deployment = workload.kind == "Deployment"
    unavailable = rolling(workload).get("maxUnavailable", "25%" if deployment else 1)
    surge = rolling(workload).get("maxSurge", "25%" if deployment else 0)
    count = share(unavailable, workload.replicas, up=not deployment)
    if count == 0 and share(surge, workload.replicas, up=True) == 0:
        return 1  # neither may be zero: the controller takes one away
    return count


def course(workload: Workload, pending: Iterable[Json] = ()) -> Effect:
    """Whether the rollout is complete. One that never completes by its own strategy counts when all pods are ready.

    `pending`: the pods that do not run yet, for saying what keeps them.
    """
    partial = on_delete(workload) or (workload.kind == "StatefulSet" and partition(workload) > 0)
    partial |= workload.kind == "Rollout"  # its steps go on, or stay aborted, whatever the number of its pods
    if workload.rolled_out or (partial and workload.ready >= workload.replicas):
        return effect(True, workload.progress)
    trouble = _trouble(workload) + _unscheduled(pending)
    return effect(False, f"{reference(workload.obj)}: {workload.progress}", trouble)


def _unscheduled(pending: Iterable[Json]) -> str:
    """How many pods find no node, for people: a quota makes no pods, a full cluster makes such."""

    waiting = (pod for pod in pending if condition_of(pod, "PodScheduled").get("reason") == "Unschedulable")
    names = [str(metadata(pod).get("name")) for pod in waiting]
    if not names:
        return ""
    return f"; {pods(len(names))} cannot be scheduled (`kubectl describe pod` says why): {bounded(names)}"


def _trouble(workload: Workload) -> str:
    """Why no pods are made, such as a used up ResourceQuota, or that the rollout is stuck."""
    failure = condition_of(workload.obj, "ReplicaFailure")
    if failure.get("status") == "True":
        return f"; no pods are made: {quotable(str(failure.get('message'))) or failure.get('reason')}"
    return "; it is past its progressDeadlineSeconds" if workload.stuck else ""
