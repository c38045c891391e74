"""The namespace has no room: for the pods that a rung asks for, or for the Incident that would tell of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.objects_on_cluster import deployment, effects, outcomes, policy, reached, running, status
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]


def quota(namespace: str, **hard: str) -> dict[str, Any]:
    meta = {"name": "little", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": hard}}


def in_force(plane: Plane, namespace: str) -> None:
    """Wait until its controller has counted: before that nothing is refused."""
    eventually(lambda: plane.get("resourcequota", "little", namespace).get("status", {}).get("used"), "the quota", 150)


def test_a_scale_for_which_there_is_no_room_fails_and_is_undone(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    ladder = {"scale": {"replicas": 6}, "timeout": "8s"}
    installed.apply(quota(namespace, pods="4"), deployment(namespace, "worker"), policy(namespace, ladder))
    in_force(installed, namespace)
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    found = reached(installed, namespace, "Escalated")
    assert outcomes(found) == [("scale", "Failed")]
    trouble(0, deployment="worker")
    eventually(lambda: status(installed, namespace)["owes"] == 0, "the debt to be paid", 90)
    running(installed, namespace, "worker", 3)
    assert installed.get("deployment", "worker", namespace)["spec"]["replicas"] == 3
    assert effects(installed, namespace) == ["patch deployments/scale"] * 2


def test_where_no_incident_can_be_written_nothing_is_done(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(quota(namespace, **{"count/incidents.goldseam.dev": "0"}))
    installed.apply(deployment(namespace, "worker"), policy(namespace, {"restart": {}, "timeout": "60s"}))
    in_force(installed, namespace)
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    eventually(lambda: unopened(operator), "the operator to say why it opens no incident")
    assert effects(installed, namespace) == []
    installed.must("delete", "resourcequota", "little", "-n", namespace)
    eventually(lambda: "patch deployments" in effects(installed, namespace), "the rung")
    trouble(0, deployment="worker")
    reached(installed, namespace, "Resolved")
    assert effects(installed, namespace) == ["patch deployments"]


def unopened(operator: OperatorProcess) -> list[str]:
    return [line["problem"] for line in operator.lines() if line["msg"] == "not_opened" and "quota" in line["problem"]]
