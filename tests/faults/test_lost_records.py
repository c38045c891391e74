"""Records that are lost: work goes on, nothing is done twice, and what cannot be known is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import protected
from tests.support.objects_on_cluster import (
    deployment,
    effects,
    guardrails,
    holding,
    incident,
    policy,
    reached,
    running,
    status,
)
from tests.support.operator_process import OperatorProcess
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually

Json = dict[str, Any]
Trouble = Callable[..., None]
BINDING = "validatingadmissionpolicybindings/goldseam-incidents"
SCALE = {"scale": {"replicas": 5}, "timeout": "120s"}
RESTART = {"restart": {}, "timeout": "120s"}
WRITES = {"scale": "patch deployments/scale", "restart": "patch deployments"}


@contextmanager
def unprotected(plane: Plane) -> Iterator[None]:
    """As long as this lasts an admin may write and delete Incidents: while a backup is restored."""
    binding = json.loads(plane.must("get", BINDING, "-o", "json"))
    binding["metadata"] = {"name": binding["metadata"]["name"]}
    plane.must("delete", BINDING)
    try:
        eventually(lambda: not protected(plane), "the protection to be off")
        yield
    finally:
        plane.apply(binding)
        eventually(lambda: protected(plane), "the protection to be in force again")


def restore(plane: Plane, found: Json) -> None:
    """As backup tools do: without the status, and the object is a new one. They leave one that is there already: an
    operator that runs may open its own first."""
    meta = {key: found["metadata"][key] for key in ("name", "namespace", "labels") if key in found["metadata"]}
    body = {key: found[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": meta}
    with unprotected(plane):
        plane.must("delete", "incident", meta["name"], "-n", meta["namespace"])
        made = plane.kubectl("create", "-f", "-", input=json.dumps(body))
    assert made.returncode == 0 or "AlreadyExists" in made.stderr, made.stderr


def warnings(plane: Plane, namespace: str) -> list[str]:
    """What Events say of lost records in that namespace."""
    events = plane.all("events.events.k8s.io")
    return [e.get("note", "") for e in events if e.get("reason") == "RecordMissing" and f"{namespace}/" in e["note"]]


@pytest.mark.parametrize("rung", [SCALE, RESTART])
def test_an_incident_restored_without_status_does_nothing_twice(
    rung: Json,
    installed: Plane,
    namespace: str,
    source: str,
    operator_kubeconfig: Path,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    write = WRITES[next(iter(rung))]
    with running_operator(operator_kubeconfig, tmp_path / "first.log") as first:
        installed.apply(deployment(namespace, "worker"), policy(namespace, rung))
        running(installed, namespace, "worker", 3)
        trouble(1, deployment="worker")
        eventually(lambda: write in effects(installed, namespace), "the rung")
        eventually(lambda: status(installed, namespace)["steps"][0]["actedAt"], "its record")
        first.kill()
    restore(installed, incident(installed, namespace))
    with running_operator(operator_kubeconfig, tmp_path / "second.log"):
        said = eventually(lambda: warnings(installed, namespace), "what is not known to be said")
        assert f"Goldseam acted on Deployment {namespace}/worker" in said[0]
        assert "limits.cooldown" in holding(installed, namespace, "Cooldown")["message"]
        trouble(0, deployment="worker")
        reached(installed, namespace, "Resolved")
    assert effects(installed, namespace) == [write]


def test_incidents_that_are_replaced_under_a_running_operator_do_not_stop_it(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "worker"), policy(namespace, SCALE))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    running(installed, namespace, "worker", 5)
    eventually(lambda: status(installed, namespace)["steps"][0]["actedAt"], "its record")
    old = incident(installed, namespace)
    restore(installed, old)
    eventually(lambda: status(installed, namespace).get("phase"), "the new one to be taken up")
    assert incident(installed, namespace)["metadata"]["uid"] != old["metadata"]["uid"]
    trouble(0, deployment="worker")
    reached(installed, namespace, "Resolved")
    assert effects(installed, namespace) == ["patch deployments/scale"]
    assert operator.ready()


@pytest.mark.parametrize("restarted", [False, True])
def test_budgets_outlive_the_guardrails_in_which_they_are_counted(
    restarted: bool,
    installed: Plane,
    namespace: str,
    source: str,
    operator_kubeconfig: Path,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    """As when a GitOps tool prunes them, and somebody applies them again."""
    budget = {"concurrent": 5, "actions": [{"count": 1, "per": "1h"}]}
    installed.apply(guardrails(), deployment(namespace, "worker"), deployment(namespace, "other"))
    installed.apply(policy(namespace, RESTART, limits=budget))
    running(installed, namespace, "worker", 3)
    running(installed, namespace, "other", 3)
    with running_operator(operator_kubeconfig, tmp_path / "first.log") as first:
        trouble(1, deployment="worker")
        eventually(lambda: "patch deployments" in effects(installed, namespace), "the rung")
        eventually(lambda: status(installed, namespace)["steps"][0]["actedAt"], "its record")
        if restarted:
            first.kill()
        installed.must("delete", "guardrails", "cluster")
        if not restarted:
            _refused(installed, namespace, trouble)
            return
    with running_operator(operator_kubeconfig, tmp_path / "second.log"):
        ledger = eventually(lambda: _ledger(installed), "the ledger to be back")
        assert [e["target"] for e in ledger if f"/{namespace}/" in e["target"]] == [f"Deployment/{namespace}/worker"]
        _refused(installed, namespace, trouble)


def _refused(plane: Plane, namespace: str, trouble: Trouble) -> None:
    """The next target finds that the budget is used up."""
    trouble(1, deployment="other")

    def hold() -> list[str]:
        mine = [i for i in plane.all("incidents", namespace) if i["spec"]["target"]["name"] == "other"]
        return [h["reason"] for i in mine for h in i.get("status", {}).get("holds", [])]

    eventually(lambda: "PolicyBudget" in hold(), "the budget to be used up")
    assert effects(plane, namespace) == ["patch deployments"]


def _ledger(plane: Plane) -> list[Json]:
    found: list[Json] = plane.get("guardrails", "cluster").get("status", {}).get("ledger", [])
    return found
