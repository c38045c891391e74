"""Facts read from raw Kubernetes objects."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from goldseam.api.incident import ObjectRef

Json = Mapping[str, Any]

FIELD_MANAGER = "goldseam"
TOKEN = "goldseam.dev/token"  # noqa: S105 - an annotation's name
INCIDENT = "goldseam.dev/incident"
RESTART = f"spec.template.metadata.annotations[{TOKEN}]"
"""The field whose change begins a rolling restart: no clocks are compared, and a repeated one begins no second."""
RESTART_AT = "spec.restartAt"
"""The time as of which the controller of an Argo Rollout restarts its pods."""
_ENTRIES = ("name=", "key=")
"""By what an entry of a list is told: containers by their name, taints by their key."""
IGNORE = "goldseam.dev/ignore"
ZONE = "topology.kubernetes.io/zone"
REVISION = "controller-revision-hash"


def metadata(obj: Json) -> Json:
    """The object's metadata."""
    found: Json = obj.get("metadata") or {}
    return found


def title(obj: Json) -> str:
    """The object's namespace and name."""
    return f"{metadata(obj).get('namespace')}/{metadata(obj).get('name')}"


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

    `spec.template.metadata.annotations[goldseam.dev/token]` has five. `containers[name=app]` is the entry of a list
    that has this name, `taints[key=a]` the one that has this key.
    """
    return [bracketed or plain for bracketed, plain in re.findall(r"\[([^\]]+)\]|([^.\[\]]+)", path)]


def value_at(obj: Json | None, path: str) -> str:
    """The field's value as JSON; `null` where it is not set."""
    current: Any = obj
    for key in steps_of(path):
        current = _below(current, key)
    return json.dumps(current, sort_keys=True)


def in_list(path: str) -> bool:
    """Whether the field is one of an entry of a list."""
    return any(key.startswith(_ENTRIES) for key in steps_of(path))


def pointer_of(obj: Json, path: str) -> str:
    """The field as a JSON pointer (RFC 6901), which knows an entry of a list by its place only."""
    keys: list[str] = []
    current: Any = obj
    for key in steps_of(path):
        below = _below(current, key)
        keys.append(str(current.index(below)) if isinstance(current, list) and below is not None else key)
        current = below
    return "/" + "/".join(keys)


def _below(current: Any, key: str) -> Any:
    if isinstance(current, list) and key.startswith(_ENTRIES):
        by, _, name = key.partition("=")
        return next((one for one in current if isinstance(one, Mapping) and one.get(by) == name), None)
    return current.get(key) if isinstance(current, Mapping) else None


def patch_of(fields: Mapping[str, object], obj: Json | None = None) -> dict[str, Any]:
    """A merge patch that sets fields, by their paths; None removes one.

    A merge patch replaces a list as a whole: so a field of an entry needs the object, and the patch holds for the
    resourceVersion only that this was read at.
    """
    patch: dict[str, Any] = {}
    for path, value in fields.items():
        *parents, last = steps_of(path)
        inner: Any = patch
        live: Any = obj
        for key in parents:
            live = _below(live, key)
            whole = copy.deepcopy(live) if isinstance(live, list) else {}
            inner = _below(inner, key) if isinstance(inner, list) else inner.setdefault(key, whole)
        if last.startswith(_ENTRIES):
            _replace(patch, parents, _with_entry(inner, last, value))
        else:
            inner[last] = value
    return patch


def _with_entry(entries: Any, key: str, value: object) -> list[Any]:
    """The list with another entry of this name or key, or without it; a new one comes last."""
    known = list(entries) if isinstance(entries, list) else []
    old = _below(known, key)
    if old is None:
        return [*known, value] if value is not None else known
    return [value if one is old else one for one in known if one is not old or value is not None]


def _replace(patch: dict[str, Any], path: list[str], value: object) -> None:
    for key in path[:-1]:
        patch = patch[key]
    patch[path[-1]] = value


def managers_of(obj: Json, path: str) -> Iterator[tuple[str, str, str]]:
    """Who owns a field: (manager, operation, subresource) of each managedFields entry that has it (KEP-555)."""
    for entry in metadata(obj).get("managedFields") or []:
        current: Any = entry.get("fieldsV1") or {}
        for key in steps_of(path):
            current = current.get(as_managed(key)) if isinstance(current, Mapping) else None
        if current is not None:
            yield str(entry.get("manager")), str(entry.get("operation")), str(entry.get("subresource") or "")


def as_managed(key: str) -> str:
    """A key of a field path as managedFields have it: `f:spec`, `k:{"name":"app"}`."""
    by, _, name = key.partition("=")
    return f'k:{{"{by}":"{name}"}}' if key.startswith(_ENTRIES) else f"f:{key}"


def condition_of(obj: Json, kind: str) -> Json:
    """The object's condition of this type; empty where it has none."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one.get("type") == kind), {})


def is_ready(obj: Json) -> bool:
    """Whether the node's or pod's condition Ready is True."""
    return condition_of(obj, "Ready").get("status") == "True"


def is_over(pod: Json) -> bool:
    """Whether the pod's containers have ended for good: it takes no room, and nobody misses it."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def ends_at(obj: Json) -> datetime | None:
    """When an object that is being deleted should be gone: its grace period is in `deletionTimestamp` (kubernetes
    `apimachinery/pkg/apis/meta/v1`, ObjectMeta). None where nobody deletes it."""
    until = metadata(obj).get("deletionTimestamp")
    return None if until is None else datetime.fromisoformat(str(until))


def selector_of(obj: Json) -> str:
    """The workload's `spec.selector` as a label selector in text, as lists take it; empty where it selects nothing.

    A Rollout that takes its template from a Deployment has it in its status, as text.
    """
    selector = (obj.get("spec") or {}).get("selector") or {}
    equal = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    found = ",".join([*equal, *(_requirement(one) for one in selector.get("matchExpressions") or ())])
    told = (obj.get("status") or {}).get("selector") if obj.get("kind") == "Rollout" else None
    return found or str(told or "")


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


def cordoned(node: Json) -> bool:
    """Whether the node takes no new pods, whoever said so."""
    return bool((node.get("spec") or {}).get("unschedulable"))


def cordoned_by_us(node: Json) -> bool:
    """Whether the node is cordoned, and it was Goldseam who did it."""
    if not cordoned(node) or annotation(node, TOKEN) is None:
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
    def available(self) -> int:
        """How many pods have been ready for `minReadySeconds`."""
        if not self.spec.get("minReadySeconds"):
            return self.ready
        return int(self.status.get("numberAvailable" if self.kind == "DaemonSet" else "availableReplicas") or 0)

    @property
    def misscheduled(self) -> int:
        """How many pods of a DaemonSet run on nodes where none would be started any more."""
        return int(self.status.get("numberMisscheduled") or 0)

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
        """Whether every wanted pod is updated and available, and no other is left (kubectl's `rollout status`)."""
        complete = self._updated >= self.replicas and self.available >= self.replicas
        return self.observed and complete and not self.surplus

    @property
    def left(self) -> int:
        """How many pods are there, but for those that go."""
        return int(self.status.get("replicas") or 0)

    @property
    def surplus(self) -> bool:
        """Whether more pods are there than are wanted."""
        return self.kind != "DaemonSet" and self.left > self.replicas

    @property
    def updating(self) -> bool:
        """Whether a new template is being rolled out. Pods that are merely not ready, or are missing, are no rollout.

        Source: `isCompleteDeployment` in kubernetes `pkg/controller/deployment/progress.go`.
        """
        if not self.observed:
            return True
        if self.kind == "StatefulSet":
            new = self.status.get("updateRevision") != self.status.get("currentRevision")
            behind = self._updated < self.replicas
            if self._partition:  # a pod that is on its way out counts on neither side
                behind = int(self.status.get("currentReplicas") or 0) > self._partition
            return new and behind and not self._on_delete
        if self.kind == "DaemonSet":
            return self._updated < self._scheduled and not self._on_delete
        there = int(self.status.get("replicas") or 0)
        if self.kind == "Rollout":
            return self._stepping or self._restarting
        had_completed = condition_of(self.obj, "Progressing").get("reason") == "NewReplicaSetAvailable"
        # None at all: before it makes new ones, `Recreate` lets all old ones end.
        missing = self._updated < self.replicas and not (had_completed and there)
        return missing or there > self._updated

    @property
    def _stepping(self) -> bool:
        """Of a Rollout; one that was aborted stays so, on its stable pods."""
        return self.status.get("currentPodHash") != self.status.get("stableRS") and not self.status.get("abort")

    @property
    def _restarting(self) -> bool:
        """Of a Rollout, by its controller."""
        return self.spec.get("restartAt") not in (None, self.status.get("restartedAt"))

    @property
    def _scheduled(self) -> int:
        """On how many of its nodes a DaemonSet has a pod."""
        return int(self.status.get("currentNumberScheduled", self.replicas))

    @property
    def _partition(self) -> int:
        rolling = (self.spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
        return int(rolling.get("partition") or 0)

    @property
    def _on_delete(self) -> bool:
        return (self.spec.get("updateStrategy") or {}).get("type") == "OnDelete"

    def outdated(self, pods: Iterable[Json]) -> bool:
        """Whether some of its pods, which are these, are not of the template as it is now.

        A StatefulSet does not count terminating pods as updated, so its pods are asked (`updateStatus` in kubernetes
        `pkg/controller/statefulset`); a DaemonSet's status counts nodes (`updateDaemonSetStatus`).
        """
        if self.kind == "DaemonSet":
            return self._updated < self._scheduled
        newest = self.status.get("updateRevision")
        return any((metadata(pod).get("labels") or {}).get(REVISION) != newest for pod in pods)

    @property
    def stuck(self) -> bool:
        """Whether the rollout is past its `progressDeadlineSeconds`."""
        return condition_of(self.obj, "Progressing").get("reason") == "ProgressDeadlineExceeded"

    @property
    def progress(self) -> str:
        """How far the rollout is, for people."""
        available = f", {self.available} available" if self.spec.get("minReadySeconds") else ""
        return f"{self._updated} of {self.replicas} pods updated, {self.ready} ready{available}"
