"""Guards on the real control plane that no other test meets: each holds, and says why in its own words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from goldseam.engine.objects import ZONE
from tests.support.nodes_on_cluster import held_node, out_together
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
    running,
    status,
    writes_of_operator,
)
from tests.support.operator_process import NAMESPACE, OperatorProcess
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
RESTART = {"restart": {}, "timeout": "60s"}
ONE_BY_ONE = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}


def listed(plane: Plane, namespace: str) -> list[str]:
    """The reasons of all that holds, in order."""
    return [hold["reason"] for hold in status(plane, namespace).get("holds", [])]


def test_all_that_hold_are_listed_while_people_hold_the_work(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    def now(**spec: Any) -> None:
        limits = {"minAvailable": "100%"}  # and suspending is not for good before an hour has passed
        installed.apply(policy(namespace, RESTART, limits=limits, flapWindow="1h", **spec))

    now()
    installed.apply(deployment(namespace, "worker", strategy=ONE_BY_ONE), pause(namespace))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    few = holding(installed, namespace, "TooFewLeft")
    assert few["message"] == "it would leave 2 of 3 pods ready, and limits.minAvailable (100%) asks for 3"
    installed.apply(guardrails(protectedNamespaces=[namespace]))
    assert "is protected by the Guardrails" in holding(installed, namespace, "ProtectedNamespace")["message"]
    installed.apply(policy(namespace, {"scale": {"replicas": 5}}))
    assert "does not allow restart any more" in holding(installed, namespace, "RungRemoved")["message"]
    now(mode="Observe")
    assert "the policy's mode is Observe now" in holding(installed, namespace, "ModeLowered")["message"]
    now(alert={"name": "Trouble", "matchers": ['pod=~"(?=x)"']})
    assert "spec.alert.matchers[0]" in holding(installed, namespace, "PolicyInvalid")["message"]
    now(suspend=True)
    installed.must("delete", "pause", "pause", "-n", namespace)
    assert "spec.suspend" in holding(installed, namespace, "Suspended")["message"]
    installed.must("annotate", "deployment", "worker", "-n", namespace, "goldseam.dev/ignore=true")
    now()
    assert "remove it to let Goldseam act" in holding(installed, namespace, "Ignored")["message"]
    assert listed(installed, namespace) == ["Ignored", "ProtectedNamespace", "TooFewLeft"]
    assert effects(installed, namespace) == []


def test_a_rollout_in_progress_is_waited_for(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    slow = deployment(namespace, "worker", minReadySeconds=3600, progressDeadlineSeconds=7200)
    installed.apply(slow, policy(namespace, RESTART))
    running(installed, namespace, "worker", 3)
    slow["spec"]["template"]["spec"]["containers"][0]["image"] = "busybox:1.36"
    installed.apply(slow)
    trouble(1, deployment="worker")
    assert "a rollout of the target is in progress" in holding(installed, namespace, "RolloutInProgress")["message"]
    assert effects(installed, namespace) == []
    installed.must("patch", "deployment", "worker", "-n", namespace, "-p", '{"spec": {"minReadySeconds": 0}}')
    eventually(lambda: "patch deployments" in effects(installed, namespace), "the restart")


def counted(plane: Plane, namespace: str, healthy: int) -> None:
    """Wait until the budget of `worker` counts so many healthy pods."""
    seen = lambda: (plane.get("pdb", "worker", namespace).get("status") or {}).get("currentHealthy")  # noqa: E731
    eventually(lambda: seen() == healthy, "the budget to be counted")


def test_a_restart_that_a_disruption_budget_does_not_allow_is_refused(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    one_by_one = deployment(namespace, "worker", strategy=ONE_BY_ONE)
    installed.apply(one_by_one, budget(namespace, "worker", minAvailable=3), policy(namespace, RESTART))
    running(installed, namespace, "worker", 3)
    counted(installed, namespace, 3)
    trouble(1, deployment="worker")
    step = eventually(lambda: (status(installed, namespace).get("steps") or [None])[0], "the restart to be refused")
    assert (step["action"], step["outcome"]) == ("restart", "Refused")
    assert f"it would take 1 ready pod at once, and PodDisruptionBudget {namespace}/worker lets 0 go" in step["message"]
    assert effects(installed, namespace) == []


EVICTING = {"drain": {"singleReplicas": "Evict"}, "timeout": "60s"}


def test_a_drain_that_a_disruption_budget_never_allows_is_refused_before_the_node_is_cordoned(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "worker", 1), budget(namespace, "worker", minAvailable=1))
    running(installed, namespace, "worker", 1)
    counted(installed, namespace, 1)
    node = installed.all("pods", namespace)[0]["spec"]["nodeName"]
    installed.apply(cluster_policy("drain", EVICTING, alert={"name": "NodeTrouble"}))
    trouble(1, alert="NodeTrouble", node=node)

    def refused() -> str:
        found = [one for one in installed.all("incidents", NAMESPACE) if one["spec"]["target"]["name"] == node]
        steps = [step for one in found for step in one.get("status", {}).get("steps", [])]
        return next((step["message"] for step in steps if step.get("outcome") == "Refused"), "")

    assert f"PodDisruptionBudget {namespace}/worker never lets pod" in eventually(refused, "the drain to be refused")
    assert not installed.get("node", node)["spec"].get("unschedulable")
    trouble(0, alert="NodeTrouble", node=node)
    forgotten(installed)


@pytest.fixture
def without_hpas(installed: Plane) -> Iterator[None]:
    """The operator may not read HPAs."""
    kept = yaml.safe_load(installed.must("get", "clusterrole", "goldseam", "-o", "yaml"))
    rules = [rule for rule in kept["rules"] if "horizontalpodautoscalers" not in rule.get("resources", [])]
    assert len(rules) == len(kept["rules"]) - 1
    installed.must("patch", "clusterrole", "goldseam", "--type=merge", "-p", json.dumps({"rules": rules}))
    yield
    installed.must("patch", "clusterrole", "goldseam", "--type=merge", "-p", json.dumps({"rules": kept["rules"]}))


def test_what_cannot_be_read_holds_until_it_can(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, without_hpas: None
) -> None:
    installed.apply(deployment(namespace, "worker"), policy(namespace, {"scale": {"replicas": 5}}))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    message = holding(installed, namespace, "NotRead")["message"]
    assert "horizontalpodautoscalers" in message
    assert "Forbidden" in message
    assert effects(installed, namespace) == []


def test_one_node_at_a_time(installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble) -> None:
    limits = {"concurrent": 5}
    installed.apply(cluster_policy("cordon", {"cordon": {}, "timeout": "120s"}, limits=limits))
    first, second = sorted(node["metadata"]["name"] for node in installed.all("nodes"))[:2]
    trouble(1, node=first)
    eventually(lambda: installed.get("node", first)["spec"].get("unschedulable"), "the first node to be cordoned")
    trouble(1, node=second)
    message = eventually(lambda: held_node(installed, second, "NodesAtOnce"), "the second node to be held")["message"]
    assert message == f"Guardrails allow 1 node at once, and Goldseam has taken {first} out of service"
    for node in (first, second):
        trouble(0, node=node)
    eventually(lambda: not installed.get("node", first)["spec"].get("unschedulable"), "the first node to be back")
    assert not installed.get("node", second)["spec"].get("unschedulable")


def test_one_node_of_a_zone_at_a_time(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    zones: dict[str, list[str]] = {}
    for node in sorted(installed.all("nodes"), key=lambda node: str(node["metadata"]["name"])):
        zones.setdefault(node["metadata"]["labels"][ZONE], []).append(node["metadata"]["name"])
    zone, (first, second) = next((zone, names[:2]) for zone, names in zones.items() if len(names) > 1)
    elsewhere = next(names[0] for name, names in zones.items() if name != zone)
    before = len(writes_of_operator(installed))
    installed.apply(guardrails(budgets={"nodes": {"atOnce": 4, "perZone": 1}}))
    installed.apply(cluster_policy("cordon", {"cordon": {}, "timeout": "120s"}, limits={"concurrent": 5}))

    def cordoned(node: str) -> bool:
        return bool(installed.get("node", node)["spec"].get("unschedulable"))

    trouble(1, node=first)
    eventually(lambda: cordoned(first), "the first node of the zone to be cordoned")
    trouble(1, node=second)
    trouble(1, node=elsewhere)
    eventually(lambda: cordoned(elsewhere), "the node of another zone to be cordoned beside it")
    hold = eventually(lambda: held_node(installed, second, "NodesPerZone"), "the second node of the zone to be held")
    message = hold["message"]
    assert message == f"Guardrails allow 1 node per zone, and in {zone} Goldseam has taken {first} out of service"
    trouble(0, node=first)
    eventually(lambda: cordoned(second), "the second node to be cordoned in its turn", 60)
    for node in (second, elsewhere):
        trouble(0, node=node)
    eventually(lambda: not any(map(cordoned, (first, second, elsewhere))), "all nodes to be back", 60)
    together = out_together(writes_of_operator(installed)[before:])
    assert {first, elsewhere} in together, "four might be out at once"
    assert any(second in out for out in together)
    assert not any({first, second} <= out for out in together)
    forgotten(installed)
