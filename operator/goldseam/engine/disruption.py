"""PodDisruptionBudgets: whom they cover, and what they let go; and the marks that say the same of one pod.

Source: kubernetes `pkg/registry/core/pod/storage/eviction.go`, which asks them, and
`pkg/controller/disruption/disruption.go`, which counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from goldseam.api.durations import parse_duration
from goldseam.engine.objects import Json, annotation, is_ready, metadata, selects


class DisruptionBudget:
    """A PodDisruptionBudget."""

    def __init__(self, obj: Json) -> None:
        self._meta, self._spec = metadata(obj), obj.get("spec") or {}
        self._status: Json = obj.get("status") or {}

    def __str__(self) -> str:
        return f"PodDisruptionBudget {self._meta.get('namespace')}/{self._meta.get('name')}"

    def covers(self, labels: Json) -> bool:
        """Whether it selects pods with these labels in its namespace."""
        return selects(self._spec.get("selector"), labels)

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self._meta.get("namespace"))

    @property
    def counted(self) -> bool:
        """Whether the cluster has counted its pods since it was last changed."""
        return self._number("observedGeneration") >= int(self._meta.get("generation") or 0)

    @property
    def allowed(self) -> int:
        """How many ready pods it lets go now."""
        return self._number("disruptionsAllowed")

    @property
    def most(self) -> int:
        """How many of its pods may be away at once, while all others are ready."""
        return max(self._number("expectedPods") - self._number("desiredHealthy"), 0)

    def keeps_one_of(self, replicas: int) -> bool:
        """Whether it counts so many pods, which are those of one workload, and wants one of them at least."""
        return self._number("expectedPods") == replicas and self._number("desiredHealthy") > 0

    @property
    def health(self) -> str:
        """How many pods it counts, for people."""
        return f"{self._number('currentHealthy')} healthy, {self._number('desiredHealthy')} wanted"

    def never(self, pod: Json) -> bool:
        """Whether it would not let this pod go even if all of its pods were ready."""
        if not self.counted or self._number("desiredHealthy") < self._number("expectedPods"):
            return False
        return is_ready(pod) or not self.lets_unready_go

    @property
    def lets_unready_go(self) -> bool:
        """Whether a pod that is not ready goes though no ready one may: its policy for unhealthy pods says so
        (KEP-3017), or the others are enough."""
        enough = self._number("currentHealthy") >= self._number("desiredHealthy") > 0
        return enough or self._spec.get("unhealthyPodEvictionPolicy") == "AlwaysAllow"

    def _number(self, field: str) -> int:
        return int(self._status.get(field) or 0)


def of_pod(pod: Json, budgets: Iterable[DisruptionBudget]) -> list[DisruptionBudget]:
    """The budgets that are asked when this pod is evicted; none where it does not run yet, or not any more."""
    meta = metadata(pod)
    if (pod.get("status") or {}).get("phase") in ("Pending", "Succeeded", "Failed"):
        return []
    return [one for one in budgets if one.namespace == meta.get("namespace") and one.covers(meta.get("labels") or {})]


def must_not_be_disturbed(pod: Json, now: datetime) -> bool:
    """Marks of other drainers that mean us too: Karpenter's and the Cluster Autoscaler's.

    Karpenter's may be a time from the pod's start on (karpenter.sh/preview/reference/annotations). One that cannot be
    read, or of a pod that does not say when it was started, protects: nobody knows until when.
    """
    if annotation(pod, "cluster-autoscaler.kubernetes.io/safe-to-evict") == "false":
        return True
    told = annotation(pod, "karpenter.sh/do-not-disrupt") or "false"
    try:
        lasts = parse_duration(told)
        return now < datetime.fromisoformat(str((pod.get("status") or {}).get("startTime"))) + lasts
    except ValueError:
        return told != "false"
