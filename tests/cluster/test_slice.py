"""Watch, decide, act, verify, resolve: on the real control plane, with real Prometheus rules and the operator's rights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually

Json = dict[str, Any]
QUICK = {"settle": "1s"}


def deployment(namespace: str, name: str, replicas: int = 3, **spec: Any) -> Json:
    labels = {"app": name}
    container = {"name": "app", "image": "example.com/app:1", "resources": {"requests": {"cpu": "10m"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            **spec,
        },
    }


def policy(namespace: str, *ladder: Json, name: str = "heal", **spec: Any) -> Json:
    return {
        "apiVersion": "goldseam.dev/v1alpha1",
        "kind": "RemediationPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "mode": "Act",
            "alert": {"name": "Trouble"},
            "ladder": [{"timeout": "10s", "verify": QUICK, **rung} for rung in ladder],
            "resolve": {"after": "2s", "revertAfter": "2s"},
            **spec,
        },
    }


def incident(plane: Plane, namespace: str) -> Json:
    """The one incident of the namespace; empty while there is none."""
    found = plane.all("incidents", namespace)
    assert len(found) <= 1, f"{len(found)} incidents"
    return found[0] if found else {}


def reached(plane: Plane, namespace: str, phase: str) -> Json:
    """The incident once it is in the phase."""

    def ask() -> Json:
        found = incident(plane, namespace)
        return found if found.get("status", {}).get("phase") == phase else {}

    return eventually(ask, f"phase {phase}", 90)


def ready(plane: Plane, namespace: str, name: str) -> int:
    return int(plane.get("deployment", name, namespace).get("status", {}).get("readyReplicas") or 0)


def test_scale_heals_and_is_undone(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Callable[..., None]
) -> None:
    installed.apply(deployment(namespace, "worker"), policy(namespace, {"scale": {"replicas": 8}}))
    eventually(lambda: ready(installed, namespace, "worker") == 3, "three pods")
    trouble(1, deployment="worker")
    eventually(lambda: ready(installed, namespace, "worker") == 8, "eight pods")
    trouble(0, deployment="worker")
    found = reached(installed, namespace, "Resolved")
    assert [step["outcome"] for step in found["status"]["steps"]][0] == "Passed"
    eventually(lambda: incident(installed, namespace)["status"]["owes"] == 0, "the debt to be paid")
    assert installed.get("deployment", "worker", namespace)["spec"]["replicas"] == 3
