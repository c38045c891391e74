"""How a workload replaces its pods: the strategy of its rollouts."""

from __future__ import annotations

from goldseam.engine.objects import Json, Workload, share


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
