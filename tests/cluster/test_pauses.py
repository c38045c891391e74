"""Pauses on the real control plane: what each stops, whose they are, and that GitOps cannot take them back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from goldseam.adapters.clock import SystemClock
from tests.support.objects_on_cluster import (
    budget,
    cluster_policy,
    deployment,
    effects,
    forgotten,
    guardrails,
    holding,
    pause,
    policy,
    reached,
    running,
    status,
)
from tests.support.operator_process import NAMESPACE, OperatorProcess
from tests.support.people import bound, user
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
SCALE = {"scale": {"replicas": 8}, "timeout": "60s"}
RESTART = {"restart": {}, "timeout": "60s"}


@pytest.fixture
def worker(installed: Plane, namespace: str) -> str:
    installed.apply(deployment(namespace, "worker"), policy(namespace, SCALE, RESTART))
    running(installed, namespace, "worker", 3)
    return namespace


def free(plane: Plane, namespace: str) -> None:
    """The work goes on."""
    running(plane, namespace, "worker", 8)


@pytest.mark.parametrize(
    ("where", "spec"),
    [
        ("own", {}),
        ("own", {"policy": "heal"}),
        ("own", {"target": {"kind": "Deployment", "name": "worker"}}),
        ("operator", {"cluster": True}),
    ],
    ids=["namespace", "policy", "target", "cluster"],
)
def test_a_pause_of_each_scope_holds_what_it_names_until_it_is_deleted(
    where: str, spec: dict[str, Any], installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    at = worker if where == "own" else NAMESPACE
    installed.apply(pause(at, **spec))
    trouble(1, deployment="worker")
    assert "we are deploying" in holding(installed, worker, "Paused")["message"]
    assert effects(installed, worker) == []
    installed.must("delete", "pause", "pause", "-n", at)
    free(installed, worker)


def test_a_pause_of_something_else_holds_nothing(
    installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(pause(worker, policy="another"), pause("default"), pause(NAMESPACE))
    trouble(1, deployment="worker")
    free(installed, worker)


def test_new_work_stops_and_debts_are_paid_but_not_when_everything_stops(
    installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    trouble(1, deployment="worker")
    free(installed, worker)
    installed.apply(pause(worker, level="Everything"))
    trouble(0, deployment="worker")
    assert "stops everything" in holding(installed, worker, "EverythingPaused")["message"]
    assert effects(installed, worker) == ["patch deployments/scale"]
    installed.must("delete", "pause", "pause", "-n", worker)
    installed.apply(pause(worker))
    running(installed, worker, "worker", 3)


def test_a_pause_ends_by_itself(installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble) -> None:
    installed.apply(pause(worker))
    trouble(1, deployment="worker")
    holding(installed, worker, "Paused")
    soon = SystemClock().now().replace(microsecond=0) + timedelta(seconds=8)  # as it is written
    installed.apply(pause(worker, until=f"{soon:%Y-%m-%dT%H:%M:%SZ}"))
    free(installed, worker)
    assert SystemClock().now() >= soon


def test_nobody_pauses_in_anothers_name(
    installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    jane = bound(installed, user(installed, "jane@aurum.com"), "goldseam-oncall", worker)
    refused = jane.create(pause(worker, by="joe@aurum.com"))
    assert "spec.by must be who you are: jane@aurum.com" in refused.stderr
    made = jane.create(pause(worker, by=jane.name))
    assert made.returncode == 0, made.stderr
    trouble(1, deployment="worker")
    assert f"of {jane.name}" in holding(installed, worker, "Paused")["message"]


@contextmanager
def reapplied(plane: Plane, *objects: dict[str, Any]) -> Iterator[Callable[[], int]]:
    """What a GitOps tool does: apply the objects again and again, every two seconds."""
    stop, rounds = threading.Event(), [0]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})

    def work() -> None:
        while not stop.wait(2):
            plane.must(
                *("apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-"),
                input=text,
            )
            rounds[0] += 1

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield lambda: rounds[0]
    finally:
        stop.set()
        thread.join(30)


def test_a_pause_holds_however_often_gitops_applies_policy_namespace_and_guardrails(
    installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    name = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": worker}}
    with reapplied(installed, name, policy(worker, SCALE, RESTART), guardrails()) as rounds:
        installed.apply(pause(worker))
        trouble(1, deployment="worker")
        holding(installed, worker, "Paused")
        seen = rounds()
        eventually(lambda: rounds() >= seen + 5, "five more rounds")
        assert effects(installed, worker) == []
        assert status(installed, worker)["holds"][0]["reason"] == "Paused"
        installed.must("delete", "pause", "pause", "-n", worker)
        free(installed, worker)
        trouble(0, deployment="worker")
        reached(installed, worker, "Resolved")


def test_a_drain_stops_between_two_evictions_and_goes_on_afterwards(
    installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(worker, "api", 6), budget(worker, "api", maxUnavailable=1))
    running(installed, worker, "api", 6)
    of_api = [pod for pod in installed.all("pods", worker) if pod["metadata"]["labels"]["app"] == "api"]
    node = of_api[0]["spec"]["nodeName"]
    elsewhere = next(pod["metadata"]["name"] for pod in of_api if pod["spec"]["nodeName"] != node)
    installed.must("annotate", "pod", elsewhere, "-n", worker, "sim.kwok/unready=true")
    eventually(
        lambda: installed.get("pdb", "api", worker)["status"]["disruptionsAllowed"] == 0, "the budget to be used"
    )
    installed.apply(cluster_policy("drain", {"drain": {}, "timeout": "120s"}, alert={"name": "NodeTrouble"}))
    trouble(1, alert="NodeTrouble", node=node)

    def held(reason: str) -> bool:
        return any(h["reason"] == reason for i in incidents() for h in i["status"].get("holds", []))

    def incidents() -> list[dict[str, Any]]:
        return [i for i in installed.all("incidents", NAMESPACE) if i["spec"]["target"]["name"] == node]

    def stuck() -> bool:
        steps = [s for i in incidents() for s in i.get("status", {}).get("steps", [])]
        return any("disruption budget" in w.get("message", "") for s in steps for w in s["writes"])

    def evictions() -> int:
        return effects(installed, worker).count("create pods/eviction")

    eventually(stuck, "the budget to hold an eviction back", 60)
    installed.apply(pause(NAMESPACE, target={"kind": "Node", "name": node}))
    eventually(lambda: held("Paused"), "the drain to stop", 60)
    before = evictions()
    installed.must("delete", "pdb", "api", "-n", worker)
    trouble(1, deployment="worker")
    free(installed, worker)  # meanwhile the operator works elsewhere
    assert evictions() == before
    installed.must("delete", "pause", "pause", "-n", NAMESPACE)
    eventually(lambda: evictions() > before, "the drain to go on", 60)
    installed.must("annotate", "pod", elsewhere, "-n", worker, "sim.kwok/unready-")  # a drain waits for its workloads
    trouble(0, alert="NodeTrouble", node=node)
    eventually(lambda: not installed.get("node", node)["spec"].get("unschedulable"), "the node to be back", 60)
    forgotten(installed)
