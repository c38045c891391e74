"""scale with `direction: Down` on a real control plane: by halves past admission, to zero by a right, and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.support.objects_on_cluster import (
    condition,
    deployment,
    effects,
    outcomes,
    policy,
    reached,
    refusals,
    running,
    status,
)
from tests.support.operator_process import OperatorProcess
from tests.support.pieces import OPERATOR, bound, piece
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
Json = dict[str, Any]


def down(to: int, **rung: Any) -> Json:
    told = {"replicas": to, "direction": "Down"} | ({"allowZero": True} if to == 0 else {})
    return {"scale": told, "timeout": "120s", **rung}


def back(plane: Plane, namespace: str, name: str, replicas: int) -> None:
    """All is paid, and all pods are there again."""
    reached(plane, namespace, "Resolved")
    eventually(lambda: status(plane, namespace).get("owes") == 0, "the debt to be paid")
    assert [o["state"] for o in status(plane, namespace)["obligations"]] == ["Paid"]
    assert plane.get("deployment", name, namespace)["spec"]["replicas"] == replicas


def test_it_goes_down_as_far_as_admission_lets_it_in_one_write_and_comes_back(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "worker", 8), policy(namespace, down(1), limits={"minAvailable": 1}))
    running(installed, namespace, "worker", 8)
    trouble(1, deployment="worker")
    running(installed, namespace, "worker", 1)
    assert effects(installed, namespace) == ["patch deployments/scale"] * 3  # 4, 2, 1
    trouble(0, deployment="worker")
    back(installed, namespace, "worker", 8)
    assert effects(installed, namespace) == ["patch deployments/scale"] * 4
    assert "403 patch deployments/scale" not in refusals(installed, namespace)


def test_it_goes_to_zero_and_comes_back_where_the_right_is_bound(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    """The API server does not track who writes replicas by `/scale` from zero on."""
    group = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": f"goldseam:policies:{namespace}"}
    role = {"kind": "ClusterRole", "name": "goldseam-scale-to-zero"}
    with piece(installed, "scale-to-zero"):
        installed.apply(bound(namespace, "may-stop", role, [OPERATOR, group]))
        installed.apply(deployment(namespace, "worker", 2), policy(namespace, down(0), limits={"minAvailable": 0}))
        running(installed, namespace, "worker", 2)
        trouble(1, deployment="worker")
        eventually(lambda: not installed.all("pods", namespace), "all pods to be gone")
        assert owners(installed, namespace) == [], "that is why the value alone must tell"
        eventually(lambda: status(installed, namespace)["steps"][0]["phase"] == "Acted", "the step to be carried out")
        trouble(0, deployment="worker")
        back(installed, namespace, "worker", 2)
        running(installed, namespace, "worker", 2)
    assert effects(installed, namespace) == ["patch deployments/scale"] * 3  # 1, 0, 2
    assert "403 patch deployments/scale" not in refusals(installed, namespace)


def owners(plane: Plane, namespace: str) -> list[str]:
    """Who owns the replicas of the Deployment."""
    fields = plane.get("deployment", "worker", namespace)["metadata"]["managedFields"]
    return [entry["manager"] for entry in fields if "f:replicas" in entry["fieldsV1"].get("f:spec", {})]


def test_without_the_right_to_zero_nothing_is_written_and_the_policy_says_so_before(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    ladder = (down(0), {"wait": {"duration": "1h"}, "timeout": "2h"})
    installed.apply(deployment(namespace, "worker", 2), policy(namespace, *ladder, limits={"minAvailable": 0}))
    running(installed, namespace, "worker", 2)
    told = partial(condition, installed, "remediationpolicy", "heal", namespace, "Permitted")
    assert "zero deployments/scale.apps" in eventually(lambda: told().get("message"), "Permitted to be told")
    trouble(1, deployment="worker")
    eventually(lambda: outcomes(status(installed, namespace))[:1] == [("scale", "Refused")], "a refusal")
    assert "component scale-to-zero" in status(installed, namespace)["steps"][0]["message"]
    assert effects(installed, namespace) == []
