"""What is owed is paid, whatever happens between the act and the undoing; the audit log is the judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.objects_on_cluster import (
    cluster_policy,
    deployment,
    effects,
    forgotten,
    guardrails,
    pause,
    policy,
    reached,
    running,
    status,
)
from tests.support.operator_process import NAMESPACE as HOME
from tests.support.operator_process import OperatorProcess
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.sampling import SLOW, sampled

Trouble = Callable[..., None]
SCALE = {"scale": {"replicas": 8}, "timeout": "120s"}


def scaled(plane: Plane, namespace: str, trouble: Trouble, *extra: dict[str, Any]) -> None:
    """A worker that was scaled from 3 to 8, so that something is owed."""
    plane.apply(deployment(namespace, "worker"), policy(namespace, SCALE, *extra))
    running(plane, namespace, "worker", 3)
    trouble(1, deployment="worker")
    running(plane, namespace, "worker", 8)
    eventually(lambda: status(plane, namespace).get("owes") == 1, "the debt")


def acted(plane: Plane, namespace: str) -> bool:
    """Whether the first step's writes are known to be made; killed before, the next operator has to find that out."""
    return any(step["phase"] != "Intended" for step in status(plane, namespace).get("steps", []))


def delete_policy(plane: Plane, namespace: str) -> None:
    plane.must("delete", "rempol", "heal", "-n", namespace)


def suspend(plane: Plane, namespace: str) -> None:
    plane.must("patch", "rempol", "heal", "-n", namespace, "--type=merge", "-p", '{"spec": {"suspend": true}}')


def pause_new_work(plane: Plane, namespace: str) -> None:
    plane.apply(pause(namespace))


def observe(plane: Plane, namespace: str) -> None:
    plane.must("patch", "rempol", "heal", "-n", namespace, "--type=merge", "-p", '{"spec": {"mode": "Observe"}}')


def delete_guardrails(plane: Plane, namespace: str) -> None:
    plane.must("delete", "guardrails", "cluster")


@pytest.mark.parametrize("change", sampled([delete_policy, suspend, pause_new_work, observe, delete_guardrails]))
def test_a_debt_is_paid_though_the_operator_dies_and_the_world_changes(
    change: Callable[[Plane, str], None],
    installed: Plane,
    namespace: str,
    source: str,
    operator_kubeconfig: Path,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    installed.apply(guardrails())
    with running_operator(operator_kubeconfig, tmp_path / "first.log") as first:
        scaled(installed, namespace, trouble)
        first.kill()
    change(installed, namespace)
    with running_operator(operator_kubeconfig, tmp_path / "second.log"):
        trouble(0, deployment="worker")
        running(installed, namespace, "worker", 3)
        eventually(lambda: status(installed, namespace).get("owes") == 0, "the debt to be settled")
    assert [o["state"] for o in status(installed, namespace)["obligations"]] == ["Paid"]
    assert effects(installed, namespace) == ["patch deployments/scale"] * 3, "up once, and down by half at most"


@pytest.mark.parametrize("dies", [pytest.param(False, marks=SLOW, id="lives"), pytest.param(True, id="dies")])
def test_of_two_incidents_on_one_field_the_second_inherits_what_was_there_before_the_first(
    dies: bool,
    installed: Plane,
    namespace: str,
    source: str,
    operator_kubeconfig: Path,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    first = policy(namespace, {**SCALE, "scale": {"replicas": 6}}, resolve={"after": "1s", "revertAfter": "10m"})
    second = policy(
        namespace, {**SCALE, "scale": {"replicas": 9}}, name="second", alert={"name": "Second"},
        resolve={"after": "1s", "revertAfter": "1s"},
    )  # fmt: skip
    installed.apply(deployment(namespace, "worker"), first, second)
    running(installed, namespace, "worker", 3)
    with running_operator(operator_kubeconfig, tmp_path / "first.log") as operator:
        trouble(1, deployment="worker")
        running(installed, namespace, "worker", 6)
        trouble(0, deployment="worker")
        reached_by(installed, namespace, "heal", "Resolved")
        trouble(1, alert="Second", deployment="worker")
        running(installed, namespace, "worker", 9)
        if not dies:
            states = both_are_paid(installed, namespace, trouble)
        else:
            operator.kill()
    if dies:
        with running_operator(operator_kubeconfig, tmp_path / "second.log"):
            states = both_are_paid(installed, namespace, trouble)
    assert states == {"heal": ["Void"], "second": ["Paid"]}


def both_are_paid(plane: Plane, namespace: str, trouble: Trouble) -> dict[str, list[str]]:
    """The second alert ends too. Returns what became of each debt."""
    trouble(0, alert="Second", deployment="worker")
    running(plane, namespace, "worker", 3)
    return eventually(lambda: settled(plane, namespace), "both to owe nothing")


@SLOW
def test_the_incident_that_wrote_last_pays_though_it_was_opened_first_and_the_operator_dies(
    installed: Plane, namespace: str, source: str, operator_kubeconfig: Path, trouble: Trouble, tmp_path: Path
) -> None:
    waits = policy(namespace, {"wait": {"duration": "15s"}}, {**SCALE, "scale": {"replicas": 9}}, name="opened-first")
    acts = policy(
        namespace, {**SCALE, "scale": {"replicas": 6}}, name="acts-first", alert={"name": "Second"},
        resolve={"after": "1s", "revertAfter": "10m"},
    )  # fmt: skip
    installed.apply(deployment(namespace, "worker"), acts)  # the older policy comes first on the target, by its second
    installed.apply(waits)
    running(installed, namespace, "worker", 3)
    with running_operator(operator_kubeconfig, tmp_path / "first.log") as first:
        trouble(1, deployment="worker")
        reached_by(installed, namespace, "opened-first", "Fixing")
        trouble(1, alert="Second", deployment="worker")
        running(installed, namespace, "worker", 6)
        trouble(0, alert="Second", deployment="worker")
        running(installed, namespace, "worker", 9)
        first.kill()
    with running_operator(operator_kubeconfig, tmp_path / "second.log"):
        trouble(0, deployment="worker")
        running(installed, namespace, "worker", 3)
        states = eventually(lambda: settled(installed, namespace), "both to owe nothing")
    assert states == {"opened-first": ["Paid"], "acts-first": ["Void"]}


def by_policy(plane: Plane, namespace: str) -> dict[str, Any]:
    return {i["spec"]["policyRef"]["name"]: i.get("status", {}) for i in plane.all("incidents", namespace)}


def reached_by(plane: Plane, namespace: str, name: str, phase: str) -> None:
    eventually(lambda: by_policy(plane, namespace).get(name, {}).get("phase") == phase, f"{name} to be {phase}")


def settled(plane: Plane, namespace: str) -> dict[str, list[str]]:
    found = by_policy(plane, namespace)
    if any(one.get("owes") for one in found.values()):
        return {}
    return {name: [o["state"] for o in one.get("obligations", [])] for name, one in found.items()}


@pytest.mark.parametrize("manager", ["kubectl-scale", "argocd-controller"])
def test_a_field_that_somebody_else_moved_is_reported_and_left_alone(
    manager: str, installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    scaled(installed, namespace, trouble)
    move(installed, namespace, manager)
    left_alone(installed, namespace, manager, trouble)


def test_a_field_that_somebody_else_moved_while_no_operator_ran_is_left_alone_too(
    installed: Plane, namespace: str, source: str, operator_kubeconfig: Path, trouble: Trouble, tmp_path: Path
) -> None:
    with running_operator(operator_kubeconfig, tmp_path / "first.log") as first:
        scaled(installed, namespace, trouble)
        first.kill()
    move(installed, namespace, "argocd-controller")
    with running_operator(operator_kubeconfig, tmp_path / "second.log"):
        left_alone(installed, namespace, "argocd-controller", trouble)


def test_a_value_that_somebody_else_applies_too_is_theirs(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    scaled(installed, namespace, trouble)
    move(installed, namespace, "argocd-controller", 8)
    found = reached(installed, namespace, "Escalated")
    assert [o["state"] for o in found["obligations"]] == ["Lost"]
    trouble(0, deployment="worker")
    reached(installed, namespace, "Resolved")
    assert effects(installed, namespace) == ["patch deployments/scale"]


def move(plane: Plane, namespace: str, manager: str, replicas: int = 5) -> None:
    """Server-side apply, as that field manager."""
    moved = deployment(namespace, "worker", replicas)
    plane.must(
        *("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "-f", "-"),
        input=json.dumps(moved),
    )


def left_alone(plane: Plane, namespace: str, manager: str, trouble: Trouble) -> None:
    """People have the incident, who moved the field is named, and nothing of it is undone."""
    found = reached(plane, namespace, "Escalated")
    assert [o["state"] for o in found["obligations"]] == ["Lost"]
    assert manager in found["obligations"][0]["message"]
    trouble(0, deployment="worker")
    reached(plane, namespace, "Resolved")
    assert plane.get("deployment", "worker", namespace)["spec"]["replicas"] == 5
    assert effects(plane, namespace) == ["patch deployments/scale"]


def test_what_is_owed_is_seen_at_a_glance_and_its_record_cannot_be_deleted(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    scaled(installed, namespace, trouble)
    header, line = installed.must("get", "inc", "-n", namespace).splitlines()
    assert line.split()[header.split().index("OWES")] == "1"
    refused = installed.kubectl("delete", "incidents", "--all", "-n", namespace)
    assert "still owes something" in refused.stderr


def test_a_namespace_that_is_deleted_in_the_middle_takes_debts_and_incident_with_it(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    scaled(installed, namespace, trouble, {"restart": {}})
    installed.must("delete", "namespace", namespace, "--timeout=90s")
    assert installed.all("incidents", namespace) == []
    installed.must("create", "namespace", namespace)
    eventually(lambda: "goldseam_incidents_open 0.0" in operator.get("/metrics")[1], "nothing to be left")
    last = [line for line in operator.lines() if str(line.get("incident")).startswith(f"{namespace}/")][-1]
    deleted, without = last["msg"] == "incident_deleted", last.get("phase") == "Abandoned"
    assert deleted or without, f"policy and target may be gone a while before the incident: {last}"
    assert operator.get("/healthz")[0] == 200


def test_a_namespace_that_is_deleted_while_no_operator_runs_leaves_nothing_behind(
    installed: Plane, namespace: str, source: str, operator_kubeconfig: Path, trouble: Trouble, tmp_path: Path
) -> None:
    with running_operator(operator_kubeconfig, tmp_path / "first.log") as first:
        scaled(installed, namespace, trouble)
        first.kill()
    installed.must("delete", "namespace", namespace, "--timeout=90s")
    installed.must("create", "namespace", namespace)
    with running_operator(operator_kubeconfig, tmp_path / "second.log") as second:
        eventually(lambda: "goldseam_incidents_open 0.0" in second.get("/metrics")[1], "nothing to be open")
        trouble(0, deployment="worker")
    assert installed.all("incidents", namespace) == []


def test_a_node_that_is_deleted_while_no_operator_runs_settles_what_was_owed_on_it(
    installed: Plane, namespace: str, source: str, operator_kubeconfig: Path, trouble: Trouble, tmp_path: Path
) -> None:
    node = f"node-{namespace}"
    rung = {"cordon": {}, "timeout": "120s"}
    installed.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    installed.apply(cluster_policy("cordon", rung, alert={"name": "NodeTrouble"}))
    with running_operator(operator_kubeconfig, tmp_path / "first.log") as first:
        trouble(1, alert="NodeTrouble", node=node)
        eventually(lambda: status(installed, HOME).get("owes") == 1, "the debt")
        eventually(lambda: acted(installed, HOME), "the cordon to be recorded as made")
        first.kill()
    assert installed.get("node", node)["spec"]["unschedulable"] is True
    installed.must("delete", "node", node)
    with running_operator(operator_kubeconfig, tmp_path / "second.log"):
        eventually(lambda: status(installed, HOME).get("owes") == 0, "the debt to be settled", 90)
        found = reached(installed, HOME, "Abandoned")
    assert [(o["state"], o["message"]) for o in found["obligations"]] == [
        ("Void", f"Node {node} is gone or was replaced")
    ]
    assert f"Node {node} is gone" in found["message"]
    forgotten(installed)
