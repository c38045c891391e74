"""How far a workload has replaced its pods."""

from __future__ import annotations

from collections.abc import Iterable

from goldseam.actions.replies import bounded, effect, pods
from goldseam.engine.objects import Json, Workload, condition_of, metadata, reference
from goldseam.engine.proposal import Effect
from goldseam.engine.quotable import quotable
from goldseam.engine.strategy import on_delete, partition


def course(workload: Workload, pending: Iterable[Json] = ()) -> Effect:
    """Whether the rollout is complete. Where its strategy never completes it, all pods must be available.

    `pending`: the pods that do not run yet, for saying what keeps them.
    """
    partial = on_delete(workload) or (workload.kind == "StatefulSet" and partition(workload) > 0)
    partial |= workload.kind == "Rollout"  # its steps go on, or stay aborted, whatever the number of its pods
    if workload.rolled_out or (partial and workload.available >= workload.replicas):
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
