"""SIGTERM in the middle of a drain: it stops between two evictions, and the next operator goes on where it stood."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.faults import Delayed, Effect, dropped
from tests.support.objects_on_cluster import cluster_policy, deployment, forgotten, outcomes, running
from tests.support.operator_process import NAMESPACE, OperatorProcess, service_account
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.proxy import Seen, Strike, fault_proxy

Json = dict[str, Any]
Trouble = Callable[..., None]
NODE = "node-0"
OTHERS = ("node-1", "node-2", "node-3")
PODS, AT_ONCE, STOPPED_AT = 6, 3, 2
"""The budget would let a third eviction through when the second one is under way."""
WITHIN = 30
"""Seconds that the kubelet waits before it kills: `terminationGracePeriodSeconds` of the Deployment."""
SECOND: dict[str, Effect] = {"heard late": Delayed(2), "lost": dropped()}


@pytest.fixture
def crowded(installed: Plane, namespace: str) -> dict[str, str]:
    """All pods of a Deployment with a budget on one node; their uids by name."""
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "api", "namespace": namespace},
        "spec": {"maxUnavailable": AT_ONCE, "selector": {"matchLabels": {"app": "api"}}},
    }
    installed.must("cordon", *OTHERS)
    try:
        installed.apply(deployment(namespace, "api", PODS), budget)
        running(installed, namespace, "api", PODS)
    finally:
        installed.must("uncordon", *OTHERS)
    pods = installed.all("pods", namespace)
    assert {pod["spec"]["nodeName"] for pod in pods} == {NODE}
    eventually(lambda: allowed(installed, namespace) == AT_ONCE, "the budget to be counted")
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods}


def allowed(plane: Plane, namespace: str) -> int:
    """How many evictions the budget lets through now."""
    return int(plane.get("pdb", "api", namespace).get("status", {}).get("disruptionsAllowed") or 0)


class Stops:
    """SIGTERM when an eviction of that number is on its way, whose answer comes late or never."""

    def __init__(self, operator: OperatorProcess, namespace: str, effect: Effect) -> None:
        self._operator, self._path, self._left = operator, f"/api/v1/namespaces/{namespace}/pods/", STOPPED_AT
        self.strike = Strike(self._now, effect)

    def mine(self, seen: Seen) -> bool:
        """Whether it is an eviction of the test's."""
        return seen.label == "POST pods/eviction" and seen.path.startswith(self._path)

    def _now(self, seen: Seen) -> bool:
        self._left -= self.mine(seen)
        if not self.mine(seen) or self._left:
            return False
        self._operator.process.send_signal(signal.SIGTERM)
        return True


def evicted(plane: Plane, namespace: str) -> list[str]:
    """The pods whose eviction the API server accepted, each time."""
    return [
        entry["objectRef"]["name"]
        for entry in plane.audit()
        if entry["verb"] == "create"
        and entry["objectRef"].get("subresource") == "eviction"
        and entry["objectRef"]["namespace"] == namespace
        and entry.get("responseStatus", {}).get("code") == 201
    ]


def record(plane: Plane) -> Json:
    """The status of the node's incident; empty while there is none."""
    found = [i for i in plane.all("incidents", NAMESPACE) if i["spec"]["target"]["name"] == NODE]
    assert len(found) <= 1
    status: Json = found[0].get("status", {}) if found else {}
    return status


def done(found: Json) -> int:
    """How many evictions the record says were made."""
    return sum(w["verb"] == "Evict" and w["state"] == "Done" for step in found["steps"] for w in step["writes"])


def lease(plane: Plane) -> Json:
    found: Json = plane.get("lease", "goldseam", NAMESPACE)["spec"]
    return found


@pytest.mark.parametrize("second", SECOND)
def test_a_drain_that_is_stopped_half_way_evicts_nothing_more_and_the_next_operator_goes_on_at_once(
    second: str,
    installed: Plane,
    namespace: str,
    source: str,
    crowded: dict[str, str],
    operator_kubeconfig: Path,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    installed.apply(cluster_policy("drain", {"drain": {}, "timeout": "120s"}, alert={"name": "NodeTrouble"}))
    with fault_proxy(installed) as proxy:
        account = service_account(installed, tmp_path, proxy.url)
        with running_operator(account, tmp_path / "first.log") as first:
            stops = Stops(first, namespace, SECOND[second])
            proxy.strike = stops.strike
            trouble(1, alert="NodeTrouble", node=NODE)
            assert stops.strike.done.wait(90)
            assert first.process.wait(WITHIN) == 0
        assert sum(stops.mine(seen) for seen in proxy.seen) == STOPPED_AT, "what left it, accepted or not"
    assert len(evicted(installed, namespace)) == STOPPED_AT
    found, given_up = record(installed), lease(installed)
    assert done(found) == STOPPED_AT - (second == "lost"), "what it was told is on the record"
    assert found["owes"] == 1, "the node"
    assert given_up["holderIdentity"] == ""
    with running_operator(operator_kubeconfig, tmp_path / "second.log"):
        _goes_on(installed, namespace, given_up)
        trouble(0, alert="NodeTrouble", node=NODE)
        eventually(lambda: not installed.get("node", NODE)["spec"].get("unschedulable"), "the node to be back", 90)
        over = eventually(lambda: f if (f := record(installed))["phase"] == "Resolved" else {}, "the end of it", 90)
        eventually(lambda: record(installed)["owes"] == 0, "the debt to be paid")
        forgotten(installed)
    assert outcomes(over) == [("drain", "Passed")]
    assert sorted(evicted(installed, namespace)) == sorted(crowded), "each once, over both lives"


def _goes_on(plane: Plane, namespace: str, given_up: Json) -> None:
    """The second one leads without waiting for the lease to be over, and empties the node."""
    taken = lease(plane)
    waited = datetime.fromisoformat(taken["acquireTime"]) - datetime.fromisoformat(given_up["renewTime"])
    assert waited < timedelta(seconds=given_up["leaseDurationSeconds"])

    def empty() -> bool:
        return all(pod["spec"].get("nodeName") != NODE for pod in plane.all("pods", namespace))

    eventually(empty, "the node to be empty", 90)
    running(plane, namespace, "api", PODS)
