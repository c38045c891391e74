"""Facts read from raw Kubernetes objects."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from goldseam.api.incident import ObjectRef

Json = Mapping[str, Any]

FIELD_MANAGER = "goldseam"
TOKEN = "goldseam.dev/token"  # noqa: S105 - an annotation's name
INCIDENT = "goldseam.dev/incident"
RESTART = f"spec.template.metadata.annotations[{TOKEN}]"
"""The field whose change begins a rolling restart: no clocks are compared, and a repeated one begins no second."""
IGNORE = "goldseam.dev/ignore"
ZONE = "topology.kubernetes.io/zone"


def metadata(obj: Json) -> Json:
    """The object's metadata."""
    found: Json = obj.get("metadata") or {}
    return found


def annotation(obj: Json, name: str) -> str | None:
    """The value of an annotation."""
    value = (metadata(obj).get("annotations") or {}).get(name)
    return None if value is None else str(value)


def reference(obj: Json, api_version: str = "", kind: str = "") -> ObjectRef:
    """A reference to the object. Items of a list carry neither apiVersion nor kind: give them."""
    meta = metadata(obj)
    return ObjectRef(
        api_version=str(obj.get("apiVersion") or api_version),
        kind=str(obj.get("kind") or kind),
        namespace=str(meta.get("namespace") or ""),
        name=str(meta["name"]),
        uid=str(meta["uid"]),
    )


def controller(obj: Json) -> Json | None:
    """The owner reference with `controller: true`."""
    owners = metadata(obj).get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def controlled_by(obj: Json, uid: object) -> bool:
    """Whether the object with this uid controls it."""
    return (controller(obj) or {}).get("uid") == uid


def steps_of(path: str) -> list[str]:
    """The keys of a field path: dots separate, brackets hold keys that have dots themselves.

    `spec.template.metadata.annotations[goldseam.dev/token]` has five.
    """
    return [bracketed or plain for bracketed, plain in re.findall(r"\[([^\]]+)\]|([^.\[\]]+)", path)]


def value_at(obj: Json | None, path: str) -> str:
    """The field's value as JSON; `null` where it is not set."""
    current: Any = obj
    for key in steps_of(path):
        current = current.get(key) if isinstance(current, Mapping) else None
    return json.dumps(current, sort_keys=True)


def patch_of(fields: Mapping[str, object]) -> dict[str, Any]:
    """A merge patch that sets fields, by their paths; None removes one."""
    patch: dict[str, Any] = {}
    for path, value in fields.items():
        *parents, last = steps_of(path)
        inner = patch
        for key in parents:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return patch


def managers_of(obj: Json, path: str) -> Iterator[tuple[str, str, str]]:
    """Who owns a field: (manager, operation, subresource) of each managedFields entry that has it (KEP-555)."""
    for entry in metadata(obj).get("managedFields") or []:
        current: Any = entry.get("fieldsV1") or {}
        for key in steps_of(path):
            current = current.get(f"f:{key}") if isinstance(current, Mapping) else None
        if current is not None:
            yield str(entry.get("manager")), str(entry.get("operation")), str(entry.get("subresource") or "")


def condition_of(obj: Json, kind: str) -> Json:
    """The object's condition of this type; empty where it has none."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one.get("type") == kind), {})


def is_ready(obj: Json) -> bool:
    """Whether the node's or pod's condition Ready is True."""
    return condition_of(obj, "Ready").get("status") == "True"


def must_not_be_disturbed(pod: Json) -> bool:
    """Marks of other drainers that mean us too: Karpenter's and the Cluster Autoscaler's."""
    marks = {"karpenter.sh/do-not-disrupt": "true", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    return any(annotation(pod, name) == value for name, value in marks.items())


def selector_of(obj: Json) -> str:
    """The workload's `spec.selector` as a label selector in text, as lists take it; empty where it selects nothing."""
    selector = (obj.get("spec") or {}).get("selector") or {}
    equal = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    return ",".join([*equal, *(_requirement(one) for one in selector.get("matchExpressions") or ())])


def _requirement(one: Json) -> str:
    key, values = one["key"], ",".join(one.get("values") or ())
    said: dict[str, str] = {
        "In": f"{key} in ({values})",
        "NotIn": f"{key} notin ({values})",
        "Exists": key,
        "DoesNotExist": f"!{key}",
    }
    return said[str(one["operator"])]


def selects(selector: Json | None, labels: Json) -> bool:
    """Whether a LabelSelector selects what carries these labels: an empty one everything, none nothing (KEP-85).

    Source: `LabelSelectorAsSelector` in kubernetes `staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/helpers.go`.
    """
    if selector is None:
        return False
    equal = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return equal and all(_meets(labels, one) for one in selector.get("matchExpressions") or ())


def _meets(labels: Json, one: Json) -> bool:
    value, values = labels.get(one["key"]), one.get("values") or ()
    met: dict[str, bool] = {
        "In": value is not None and value in values,
        "NotIn": value is None or value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }
    return met[str(one["operator"])]


def share(value: int | str, of: int, *, up: bool) -> int:
    """A count, or a percentage of `of`, rounded as asked."""
    if isinstance(value, int):
        return value
    exact = int(value.removesuffix("%")) * of / 100
    return math.ceil(exact) if up else math.floor(exact)


CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


def of_control_plane(node: Json) -> bool:
    """Whether the node is one of the control plane."""
    return CONTROL_PLANE in (metadata(node).get("labels") or {})


def cordoned_by_us(node: Json) -> bool:
    """Whether the node is cordoned, and it was Goldseam who did it."""
    if not (node.get("spec") or {}).get("unschedulable") or annotation(node, TOKEN) is None:
        return False
    return any(manager == FIELD_MANAGER for manager, _, _ in managers_of(node, "spec.unschedulable"))


class Workload:
    """A Deployment, StatefulSet or DaemonSet, or a Rollout of Argo Rollouts."""

    def __init__(self, obj: Json) -> None:
        self.obj = obj
        self.spec: Json = obj.get("spec") or {}
        self.status: Json = obj.get("status") or {}
        self.kind = str(obj.get("kind"))

    @property
    def replicas(self) -> int:
        """How many pods are wanted."""
        if self.kind == "DaemonSet":
            return int(self.status.get("desiredNumberScheduled") or 0)
        return int(self.spec.get("replicas", 1))

    @property
    def ready(self) -> int:
        """How many pods are ready."""
        return int(self.status.get("numberReady" if self.kind == "DaemonSet" else "readyReplicas") or 0)

    @property
    def _updated(self) -> int:
        field = "updatedNumberScheduled" if self.kind == "DaemonSet" else "updatedReplicas"
        return int(self.status.get(field) or 0)

    @property
    def observed(self) -> bool:
        """Whether its controller has seen the newest change."""
        seen = str(self.status.get("observedGeneration") or "0")  # of a Rollout it is a text; once it was a hash
        return seen.isdecimal() and int(seen) >= int(metadata(self.obj).get("generation") or 0)

    @property
    def rolled_out(self) -> bool:
        """Whether every wanted pod is updated and ready, and no other is left (kubectl's `rollout status`)."""
        return self.observed and self._updated >= self.replicas and self.ready >= self.replicas and not self._surplus

    @property
    def _surplus(self) -> bool:
        return self.kind != "DaemonSet" and int(self.status.get("replicas") or 0) > self.replicas

    @property
    def updating(self) -> bool:
        """Whether a new template is being rolled out. Pods that are merely not ready are no rollout."""
        if not self.observed:
            return True
        if self.kind == "StatefulSet":
            new = self.status.get("updateRevision") != self.status.get("currentRevision")
            return new and self._updated < self.replicas - self._partition and not self._on_delete
        if self.kind == "DaemonSet":
            return self._updated < self.replicas and not self._on_delete
        if self.kind == "Rollout":  # one that was aborted stays so, on its stable pods
            return self.status.get("currentPodHash") != self.status.get("stableRS") and not self.status.get("abort")
        return self._updated < self.replicas or int(self.status.get("replicas") or 0) > self._updated

    @property
    def _partition(self) -> int:
        rolling = (self.spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
        return int(rolling.get("partition") or 0)

    @property
    def _on_delete(self) -> bool:
        return (self.spec.get("updateStrategy") or {}).get("type") == "OnDelete"

    @property
    def stuck(self) -> bool:
        """Whether the rollout is past its `progressDeadlineSeconds`."""
        return condition_of(self.obj, "Progressing").get("reason") == "ProgressDeadlineExceeded"

    @property
    def progress(self) -> str:
        """How far the rollout is, for people."""
        return f"{self._updated} of {self.replicas} pods updated, {self.ready} ready"
