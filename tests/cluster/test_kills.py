"""Kill -9 is boring: the operator dies at a write to the target, before it leaves or before the answer is heard.

The audit log is the judge: one effect, the ladder goes on, and what is owed is paid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.objects_on_cluster import (
    cluster_policy,
    deployment,
    effects,
    forgotten,
    outcomes,
    policy,
    reached,
    running,
    status,
)
from tests.support.operator_process import OperatorProcess, service_account
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.proxy import FaultProxy, Strike, When, fault_proxy
from tests.support.sampling import sampled

Trouble = Callable[..., None]
PHASES = pytest.mark.parametrize("when", sampled(["after", "before"]))


@pytest.fixture
def proxy(installed: Plane) -> Iterator[FaultProxy]:
    with fault_proxy(installed) as between:
        yield between


class Mortal:
    """An operator behind the proxy that is killed once, and started again."""

    def __init__(self, plane: Plane, proxy: FaultProxy, home: Path) -> None:
        self._plane, self._proxy, self._home = plane, proxy, home
        self._kubeconfig = service_account(plane, home, proxy.url)
        self._first: OperatorProcess | None = None

    def dies_at(self, label: str, when: When) -> Iterator[None]:
        """Run until the first write of that label, die there, and live again."""
        with running_operator(self._kubeconfig, self._home / "first.log") as first:
            strike = Strike(lambda seen: seen.label == label, when, first.kill)
            self._proxy.strike = strike
            yield
            assert strike.done.wait(90), f"no {label}; seen: {[seen.label for seen in self._proxy.seen]}"
            first.process.wait(10)
        with running_operator(self._kubeconfig, self._home / "second.log"):
            yield


@PHASES
def test_a_scale_takes_effect_once_and_is_undone(
    when: When, installed: Plane, namespace: str, source: str, proxy: FaultProxy, trouble: Trouble, tmp_path: Path
) -> None:
    ladder = ({"scale": {"replicas": 8}, "timeout": "6s"}, {"restart": {}, "timeout": "60s"})
    installed.apply(deployment(namespace, "worker", 4), policy(namespace, *ladder))
    running(installed, namespace, "worker", 4)
    life = Mortal(installed, proxy, tmp_path).dies_at("PATCH deployments/scale", when)
    next(life)
    trouble(1, deployment="worker")
    next(life)
    running(installed, namespace, "worker", 8)
    eventually(lambda: "patch deployments" in effects(installed, namespace), "the ladder to go on", 90)
    trouble(0, deployment="worker")
    found = reached(installed, namespace, "Resolved")
    assert outcomes(found)[0] == ("scale", "Failed")
    eventually(lambda: status(installed, namespace)["owes"] == 0, "the debt to be paid")
    assert installed.get("deployment", "worker", namespace)["spec"]["replicas"] == 4
    assert effects(installed, namespace) == ["patch deployments/scale", "patch deployments", "patch deployments/scale"]
    next(life, None)


@PHASES
def test_a_restart_takes_effect_once(
    when: When, installed: Plane, namespace: str, source: str, proxy: FaultProxy, trouble: Trouble, tmp_path: Path
) -> None:
    installed.apply(deployment(namespace, "worker", 4), policy(namespace, {"restart": {}, "timeout": "60s"}))
    running(installed, namespace, "worker", 4)
    life = Mortal(installed, proxy, tmp_path).dies_at("PATCH deployments", when)
    next(life)
    trouble(1, deployment="worker")
    next(life)
    eventually(lambda: "patch deployments" in effects(installed, namespace), "the restart to take effect")
    trouble(0, deployment="worker")
    found = reached(installed, namespace, "Resolved")
    assert outcomes(found) == [("restart", "Passed")]
    assert effects(installed, namespace) == ["patch deployments"]
    owned = [rs for rs in installed.all("replicasets", namespace) if rs["metadata"]["ownerReferences"]]
    assert len(owned) == 2, "one rollout, so one ReplicaSet more"
    next(life, None)


@PHASES
@pytest.mark.parametrize("label", ["PATCH nodes", "POST pods/eviction"])
def test_a_drain_evicts_every_pod_once_and_the_node_comes_back(
    when: When,
    label: str,
    installed: Plane,
    namespace: str,
    source: str,
    proxy: FaultProxy,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    installed.apply(deployment(namespace, "api", 8))
    running(installed, namespace, "api", 8)
    node = installed.all("pods", namespace)[0]["spec"]["nodeName"]
    installed.apply(cluster_policy("drain", {"drain": {}, "timeout": "90s"}, alert={"name": "NodeTrouble"}))
    life = Mortal(installed, proxy, tmp_path).dies_at(label, when)
    next(life)
    trouble(1, alert="NodeTrouble", node=node)
    next(life)

    def empty() -> bool:
        return all(pod["spec"].get("nodeName") != node for pod in installed.all("pods", namespace))

    eventually(empty, "the node to be empty", 90)
    trouble(0, alert="NodeTrouble", node=node)
    eventually(lambda: not installed.get("node", node)["spec"].get("unschedulable"), "the node to be back", 90)
    evicted = [
        entry["objectRef"]["name"]
        for entry in installed.audit()
        if entry["objectRef"].get("subresource") == "eviction"
        and entry["objectRef"]["namespace"] == namespace
        and entry.get("responseStatus", {}).get("code") == 201
    ]
    assert len(evicted) == len(set(evicted)) > 0
    forgotten(installed)
    next(life, None)
