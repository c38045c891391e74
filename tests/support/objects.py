"""Small live objects, as the API server would return them: only what an action looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from goldseam.engine.objects import as_managed, steps_of

Json = dict[str, Any]

MARK = {"goldseam.dev/token": "0123456789abcdef"}


def manages(manager: str, *fields: str, operation: str = "Update", subresource: str = "", at: str = "") -> Json:
    """An entry of managedFields: the manager owns the fields, such as `spec.replicas`, and wrote them last at `at`."""
    tree: Json = {}
    for field in fields:
        node = tree
        for key in steps_of(field):
            node = node.setdefault(as_managed(key), {})
    entry: Json = {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": tree}
    return entry | ({"subresource": subresource} if subresource else {}) | ({"time": at} if at else {})


def owned_by(kind: str, name: str, *, controller: bool = True) -> list[Json]:
    """The ownerReferences of an object that another one brought."""
    return [
        {"apiVersion": "example.com/v1", "kind": kind, "name": name, "uid": f"uid-{name}", "controller": controller}
    ]


def workload(kind: str = "Deployment", replicas: int = 3, *, ready: int | None = None, **more: Any) -> Json:
    """A workload whose rollout is complete. `spec`, `status` and `metadata` in `more` are laid over it."""
    if kind == "Rollout":
        settled = {"observedGeneration": "4", "currentPodHash": "a", "stableRS": "a", "phase": "Healthy"}
        more = more | {"status": settled | more.get("status", {})}
    ready = replicas if ready is None else ready
    status: Json = {"observedGeneration": 4}
    if kind == "DaemonSet":
        status |= {"desiredNumberScheduled": replicas, "updatedNumberScheduled": replicas, "numberReady": ready}
    else:
        status |= {"replicas": replicas, "updatedReplicas": replicas, "readyReplicas": ready}
    if kind == "StatefulSet":
        status |= {"currentRevision": "api-1", "updateRevision": "api-1"}
    meta: Json = {"namespace": "shop", "name": "api", "uid": "uid-api", "resourceVersion": "100", "generation": 4}
    return {
        "apiVersion": "argoproj.io/v1alpha1" if kind == "Rollout" else "apps/v1",
        "kind": kind,
        "metadata": meta | more.get("metadata", {}),
        "spec": ({} if kind == "DaemonSet" else {"replicas": replicas}) | {"template": {}} | more.get("spec", {}),
        "status": status | more.get("status", {}),
    }


def scale_of(obj: Json) -> Json:
    """The workload's `/scale`. It leaves out a zero, as the API server does."""
    meta = {key: obj["metadata"][key] for key in ("namespace", "name", "uid", "resourceVersion")}
    replicas = obj["spec"]["replicas"]
    spec = {"replicas": replicas} if replicas else {}
    return {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": meta, "spec": spec}


def hpa(floor: int | None = 2, most: int = 8, *, name: str = "api", target: Json | None = None, **meta: Any) -> Json:
    """A HorizontalPodAutoscaler of Deployment `api`, as an item of a list: without apiVersion and kind."""
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"} | (target or {})
    spec = {"scaleTargetRef": ref, "maxReplicas": most} | ({} if floor is None else {"minReplicas": floor})
    return {
        "metadata": {"namespace": "shop", "name": name, "uid": f"uid-hpa-{name}", "resourceVersion": "200"} | meta,
        "spec": spec,
    }


def scaled_object(floor: int | None = 2, most: int | None = 8, *, target: Json | None = None, **meta: Any) -> Json:
    """A KEDA ScaledObject of Deployment `api`, as an item of a list."""
    bounds = {"minReplicaCount": floor, "maxReplicaCount": most}
    spec = {"scaleTargetRef": {"name": "api"} | (target or {}), "triggers": [{"type": "cron"}]}
    return {
        "metadata": {
            "namespace": "shop", "name": "queue", "uid": "uid-queue", "resourceVersion": "250", "generation": 1
        } | meta,
        "spec": spec | {key: value for key, value in bounds.items() if value is not None},
    }  # fmt: skip


def node(
    name: str = "worker-1",
    *,
    ready: bool | None = True,
    cordoned: str = "",
    labels: Json | None = None,
    boot: str = "",
    since: str = "",
    taints: Sequence[Json] = (),
) -> Json:
    """A node; `ready` is None where its kubelet is silent, and `since` says since when; `cordoned` is the field manager
    who did it, and `goldseam` leaves its mark; `boot` is its bootID."""
    meta: Json = {"name": name, "uid": f"uid-{name}", "resourceVersion": "300", "labels": labels or {}}
    if cordoned:
        meta |= {"managedFields": [manages(cordoned, "spec.unschedulable")]}
        meta |= {"annotations": MARK} if cordoned == "goldseam" else {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": meta,
        "spec": ({"unschedulable": True} if cordoned else {}) | ({"taints": list(taints)} if taints else {}),
        "status": {
            "conditions": [
                {"type": "Ready", "status": "Unknown" if ready is None else str(ready)}
                | ({"lastTransitionTime": since} if since else {})
            ],
            **({"nodeInfo": {"bootID": boot}} if boot else {}),
        },
    }


def heartbeats(mine: str, others: str = "", name: str = "worker-1") -> tuple[Json, ...]:
    """The Leases of a node and of another one, with when each was renewed; none where nothing is said."""
    times = {name: mine, "worker-9": others}
    return tuple(
        {"metadata": {"namespace": "kube-node-lease", "name": node}, "spec": {"renewTime": at}}
        for node, at in times.items()
        if at
    )


def reboot_cron_job(**spec: Any) -> Json:
    """The CronJob of the piece reboot; `spec` is laid over what it says of its Jobs."""
    pod = {
        "restartPolicy": "Never",
        "hostPID": True,
        "containers": [
            {
                "name": "reboot",
                "image": "goldseam:1",
                "env": [
                    {
                        "name": "BOOT_ID",
                        "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['goldseam.dev/boot-id']"}},
                    }
                ],
            }
        ],
    }
    jobs = {"backoffLimit": 0, "activeDeadlineSeconds": 300, "template": {"spec": pod}} | spec
    meta = {"namespace": "goldseam-reboot", "name": "reboot", "uid": "uid-cron", "generation": 2}
    return {"metadata": meta, "spec": {"schedule": "0 0 31 2 *", "jobTemplate": {"spec": jobs}}}


def pod(name: str, owner: str = "ReplicaSet", *, ready: bool = True, phase: str = "Running", **more: Any) -> Json:
    """A pod on `worker-1`, as an item of a list; `owner` is the kind of its controller, empty for none."""
    meta: Json = {"namespace": "shop", "name": name, "uid": f"uid-{name}", "resourceVersion": "400"}
    if owner:
        meta["ownerReferences"] = owned_by(owner, "of-it")
    return {
        "metadata": meta | more.get("metadata", {}),
        "spec": {"nodeName": "worker-1"} | more.get("spec", {}),
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def troubled(
    name: str,
    reason: str = "",
    *,
    phase: str = "Running",
    since: str = "2026-11-23T11:00:00Z",
    owner: str = "uid-set",
    init: bool = False,
    **more: Any,
) -> Json:
    """A pod of ReplicaSet `set`, not ready since that time; `reason` is why a container waits."""
    found = pod(name, ready=False, phase=phase, **more)
    found["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "set", "uid": owner, "controller": True}]
    found["status"]["conditions"][0]["lastTransitionTime"] = since
    if reason:
        statuses = "initContainerStatuses" if init else "containerStatuses"
        found["status"][statuses] = [{"state": {"running": {}}}, {"state": {"waiting": {"reason": reason}}}]
    return found


def replica_set(uid: str = "uid-set", owner: str = "uid-api") -> Json:
    """A ReplicaSet of the workload with the uid `owner`."""
    ref = {"kind": "Deployment", "name": "api", "uid": owner, "controller": True}
    return {"metadata": {"namespace": "shop", "name": uid, "uid": uid, "ownerReferences": [ref]}}


def config_map(data: Json | None = None, *, immutable: bool = False, binary: Json | None = None, **meta: Any) -> Json:
    """ConfigMap `settings`; by default it has a key LEVEL with the value info."""
    found: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": "shop", "name": "settings", "uid": "uid-settings", "resourceVersion": "500"} | meta,
        "data": {"LEVEL": "info"} if data is None else data,
    }
    return found | ({"immutable": True} if immutable else {}) | ({"binaryData": binary} if binary else {})


def kept(number: int, template: Json, created: str, *, kind: str = "ReplicaSet", owner: str = "uid-api") -> Json:
    """A former template of the workload as its controller keeps it, with a label or a directive of its own."""
    ref = {"kind": "Deployment", "name": "api", "uid": owner, "controller": True}
    meta: Json = {"namespace": "shop", "name": f"api-{number}", "uid": f"uid-api-{number}", "labels": {"app": "api"}}
    meta |= {"ownerReferences": [ref], "creationTimestamp": created}
    inner = {"creationTimestamp": None} | (template.get("metadata") or {})
    if kind == "ControllerRevision":
        data = {"spec": {"template": template | {"metadata": inner, "$patch": "replace"}}}
        return {"metadata": meta, "revision": number, "data": data}
    inner |= {"labels": {**(inner.get("labels") or {}), "pod-template-hash": f"hash{number}"}}
    meta |= {"annotations": {"deployment.kubernetes.io/revision": str(number)}}
    return {"metadata": meta, "spec": {"template": template | {"metadata": inner}}}


def template(image: str, *, annotations: Json | None = None, **spec: Any) -> Json:
    """A pod template with one container."""
    meta: Json = {"labels": {"app": "api"}} | ({"annotations": annotations} if annotations else {})
    return {"metadata": meta, "spec": {"containers": [{"name": "app", "image": image}]} | spec}


def pod_template(image: str = "api:1", *, env: str = "", token: str = "", **labels: str) -> Json:
    """A pod template with one container `app`; `token` is our restart's mark."""
    marks = {"annotations": {"goldseam.dev/token": token}} if token else {}
    container = {"name": "app", "image": image} | ({"env": [{"name": "PASSWORD", "value": env}]} if env else {})
    meta: Json = {"labels": {"app": "api", **labels}} | marks
    return {"metadata": meta, "spec": {"containers": [container]}}


def revision(
    number: int, at: str, pods: Json, *, again: str = "", kind: str = "ReplicaSet", owner: str = "uid-api"
) -> Json:
    """A revision of the workload with the uid `owner`, made at `at`; `again`: when it came back, or its old number."""
    meta: Json = {
        "namespace": "shop",
        "name": f"api-{number}",
        "uid": f"uid-{number}",
        "creationTimestamp": at,
        "labels": {"app": "api"},
        "ownerReferences": [{"kind": "Deployment", "name": "api", "uid": owner, "controller": True}],
    }
    if kind == "ControllerRevision":
        meta["managedFields"] = [manages("kube-controller-manager", "revision", at=again or at)]
        return {"metadata": meta, "revision": number, "data": {"spec": {"template": pods | {"$patch": "replace"}}}}
    marks = {"deployment.kubernetes.io/revision": str(number)}
    meta["annotations"] = marks | ({"deployment.kubernetes.io/revision-history": again} if again else {})
    labels = {**pods["metadata"]["labels"], "pod-template-hash": str(number)}
    return {"metadata": meta, "spec": {"template": pods | {"metadata": {**pods["metadata"], "labels": labels}}}}
