"""Objects that the cluster tests apply, and what they ask of the incident."""

from __future__ import annotations

from typing import Any

from tests.support.plane import Plane, eventually

Json = dict[str, Any]
QUICK = {"settle": "1s"}
TINY = {"requests": {"cpu": "10m"}}


def alert_source(url: str, **spec: Any) -> Json:
    """The default AlertSource."""
    kind = {"apiVersion": "goldseam.dev/v1alpha1", "kind": "AlertSource", "metadata": {"name": "default"}}
    return {**kind, "spec": {"url": url, **spec}}


def deployment(namespace: str, name: str, replicas: int = 3, *, annotations: Json | None = None, **spec: Any) -> Json:
    """A Deployment whose pods KWOK starts, or a real kubelet."""
    labels = {"app": name}
    container = {"name": "app", "image": "busybox:1.37", "command": ["sleep", "infinity"], "resources": TINY}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations or {}},
                "spec": {"containers": [container]},
            },
            **spec,
        },
    }


def scaler(namespace: str, name: str, low: int, high: int) -> Json:
    """A HorizontalPodAutoscaler of the Deployment of that name. There are no metrics, so it keeps to its bounds."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"scaleTargetRef": target, "minReplicas": low, "maxReplicas": high},
    }


def scaled_object(namespace: str, name: str, *, annotations: Json | None = None, **bounds: int) -> Json:
    """A KEDA ScaledObject of the Deployment of that name; its trigger sleeps all year but for one minute."""
    when = {"timezone": "UTC", "start": "0 0 1 1 *", "end": "1 0 1 1 *", "desiredReplicas": "9"}
    trigger = {"type": "cron", "metadata": when}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations or {}},
        "spec": {"scaleTargetRef": {"name": name}, "triggers": [trigger], **bounds},
    }


def rollout(namespace: str, name: str, replicas: int, **spec: Any) -> Json:
    """A Rollout of Argo Rollouts."""
    made = deployment(namespace, name, replicas)
    return made | {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": made["spec"] | spec}


def policy(namespace: str, *ladder: Json, name: str = "heal", **spec: Any) -> Json:
    """A RemediationPolicy in mode Act, quick in everything."""
    return {
        "apiVersion": "goldseam.dev/v1alpha1",
        "kind": "RemediationPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"mode": "Act", "alert": {"name": "Trouble"}, **quick(ladder), **spec},
    }


def cluster_policy(name: str, *ladder: Json, **spec: Any) -> Json:
    """A ClusterRemediationPolicy in mode Act, quick in everything."""
    return {
        "apiVersion": "goldseam.dev/v1alpha1",
        "kind": "ClusterRemediationPolicy",
        "metadata": {"name": name},
        "spec": {"mode": "Act", "alert": {"name": "Trouble"}, **quick(ladder), **spec},
    }


def quick(ladder: tuple[Json, ...]) -> Json:
    """A ladder whose rungs give up after 10 s, a resolution after 2 s, and an end for good 1 s later."""
    rungs = [{"timeout": "10s", "verify": QUICK, **rung} for rung in ladder]
    return {"ladder": rungs, "resolve": {"after": "2s", "revertAfter": "2s"}, "flapWindow": "1s"}


def pause(namespace: str, **spec: Any) -> Json:
    """A Pause."""
    return {
        "apiVersion": "goldseam.dev/v1alpha1",
        "kind": "Pause",
        "metadata": {"name": "pause", "namespace": namespace},
        "spec": {"reason": "we are deploying", **spec},
    }


def budget(namespace: str, name: str, **spec: Any) -> Json:
    """A PodDisruptionBudget for the Deployment of this name."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"app": name}}, **spec},
    }


def guardrails(**spec: Any) -> Json:
    """The one Guardrails object."""
    return {"apiVersion": "goldseam.dev/v1alpha1", "kind": "Guardrails", "metadata": {"name": "cluster"}, "spec": spec}


def response(incident: Json, decision: str, by: str, **spec: Any) -> Json:
    """A Response about an incident; Approve and Deny answer its newest question."""
    meta = incident["metadata"]
    about: Json = {}
    if decision in ("Approve", "Deny"):
        question = incident["status"]["approvals"][-1]
        about = {"step": question["step"], "planHash": question["planHash"]}
    ref = {"name": meta["name"], "uid": meta["uid"]}
    return {
        "apiVersion": "goldseam.dev/v1alpha1",
        "kind": "Response",
        "metadata": {"generateName": "word-", "namespace": meta["namespace"]},
        "spec": {"incidentRef": ref, "decision": decision, "by": by, **about, **spec},
    }


def incident(plane: Plane, namespace: str) -> Json:
    """The one incident of the namespace; empty while there is none."""
    found = plane.all("incidents", namespace)
    assert len(found) <= 1, f"{len(found)} incidents"
    return found[0] if found else {}


def condition(plane: Plane, kind: str, name: str, namespace: str, wanted: str) -> dict[str, str]:
    """One condition of an object; empty while it is not there."""
    found = plane.get(kind, name, namespace).get("status", {}).get("conditions", [])
    return next((entry for entry in found if entry["type"] == wanted), {})


def source_says(plane: Plane, wanted: str) -> tuple[str, str]:
    """Status and message of a condition of the default AlertSource; empty while it is not there."""
    found = condition(plane, "alertsource", "default", "", wanted)
    return found.get("status", ""), found.get("message", "")


def status(plane: Plane, namespace: str) -> Json:
    """The status of the one incident; empty while there is none."""
    found: Json = incident(plane, namespace).get("status", {})
    return found


def reached(plane: Plane, namespace: str, phase: str) -> Json:
    """The incident's status once it is in the phase."""

    def ask() -> Json:
        found = status(plane, namespace)
        return found if found.get("phase") == phase else {}

    return eventually(ask, f"phase {phase}", 90)


def holding(plane: Plane, namespace: str, reason: str) -> Json:
    """The hold of this reason, once the incident shows it."""

    def ask() -> Json:
        holds = status(plane, namespace).get("holds", [])
        return next((hold for hold in holds if hold["reason"] == reason), {})

    return eventually(ask, f"a hold {reason}", 60)


def outcomes(found: Json) -> list[tuple[str, str | None]]:
    """What each rung came to."""
    return [(step["action"], step.get("outcome")) for step in found.get("steps", []) if step.get("purpose") != "Undo"]


def seen(plane: Plane, namespace: str, name: str = "heal") -> None:
    """Wait until a policy was seen, and judged."""

    def judged() -> bool:
        return bool(plane.get("rempol", name, namespace).get("status", {}).get("conditions"))

    eventually(judged, f"the policy {name} to be seen")


def ready(plane: Plane, namespace: str, name: str, kind: str = "Deployment") -> int:
    """How many pods of a Deployment are ready, or of a StatefulSet."""
    return int(plane.get(kind.lower(), name, namespace).get("status", {}).get("readyReplicas") or 0)


def running(plane: Plane, namespace: str, name: str, count: int, kind: str = "Deployment") -> None:
    """Wait until so many pods are ready."""
    eventually(lambda: ready(plane, namespace, name, kind) == count, f"{count} ready pods of {name}")


def writes_of_operator(plane: Plane) -> list[Json]:
    """Every write of the operator's ServiceAccount that the API server accepted."""
    user = "system:serviceaccount:goldseam-system:goldseam"
    return [
        entry
        for entry in plane.audit()
        if entry["user"].get("username") == user  # empty where the token was refused
        and entry["verb"] in ("create", "update", "patch", "delete")
        and entry.get("responseStatus", {}).get("code", 0) < 300
        and "dryRun=All" not in entry["requestURI"]
    ]


def effects(plane: Plane, namespace: str) -> list[str]:
    """The operator's accepted writes in a namespace outside our own kinds, as `patch deployments/scale`."""
    result = []
    for entry in writes_of_operator(plane):
        ref = entry["objectRef"]
        if ref.get("namespace") == namespace and ref.get("apiGroup") not in ("goldseam.dev", "events.k8s.io"):
            sub = f"/{ref['subresource']}" if ref.get("subresource") else ""
            result.append(f"{entry['verb']} {ref['resource']}{sub}")
    return result


def refusals(plane: Plane, namespace: str) -> list[str]:
    """What the API server refused the operator in a namespace, as `409 patch deployments/scale`."""
    user = "system:serviceaccount:goldseam-system:goldseam"
    result = []
    for entry in plane.audit():
        ref, code = entry.get("objectRef") or {}, entry.get("responseStatus", {}).get("code", 0)
        if entry["user"].get("username") == user and ref.get("namespace") == namespace and code >= 400:
            sub = f"/{ref['subresource']}" if ref.get("subresource") else ""
            result.append(f"{code} {entry['verb']} {ref['resource']}{sub}")
    return result


def forgotten(plane: Plane) -> None:
    """Delete the incidents of nodes, once nothing is owed any more: until then the API server refuses it."""
    command = ("delete", "incidents", "--all", "-n", "goldseam-system")
    eventually(lambda: plane.kubectl(*command).returncode == 0, "nothing to be owed for nodes")
