"""A drain that hurts nobody, on the real control plane: what it knows before, who is never down, who is waited for."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from goldseam.engine.objects import is_ready
from tests.support.objects_on_cluster import (
    budget,
    cluster_policy,
    condition,
    deployment,
    effects,
    forgotten,
    running,
    writes_of_operator,
)
from tests.support.operator_process import NAMESPACE, OperatorProcess
from tests.support.plane import ROOT, Plane, eventually
from tests.support.sampling import sampled

Json = dict[str, Any]
Trouble = Callable[..., None]
Watched = Callable[[str], list[int]]
SLOWLY = {"sim.kwok/start-delay": "2s"}


def incident(plane: Plane, node: str) -> Json:
    """The incident about the node; empty while there is none."""
    found = [one for one in plane.all("incidents", NAMESPACE) if one["spec"]["target"]["name"] == node]
    return found[0] if found else {}


def first_step(plane: Plane, node: str) -> Json:
    """Its first step, once that has an outcome, or a plan."""
    steps = incident(plane, node).get("status", {}).get("steps", [])
    return steps[0] if steps else {}


def cordoned(plane: Plane, node: str) -> bool:
    return bool(plane.get("node", node)["spec"].get("unschedulable"))


def on_node(plane: Plane, namespace: str, node: str) -> list[Json]:
    return [pod for pod in plane.all("pods", namespace) if pod["spec"].get("nodeName") == node]


def drain(plane: Plane, trouble: Trouble, node: str, **told: Any) -> None:
    """A policy that drains, and the alert for the node."""
    plane.apply(cluster_policy("drain", {"drain": told, "timeout": "90s"}, alert={"name": "NodeTrouble"}))
    trouble(1, alert="NodeTrouble", node=node)


def over(plane: Plane, trouble: Trouble, node: str) -> None:
    trouble(0, alert="NodeTrouble", node=node)
    eventually(lambda: not cordoned(plane, node), "the node to be back", 90)
    forgotten(plane)


@pytest.fixture
def watched(installed: Plane, namespace: str, tmp_path: Path) -> Iterator[Callable[[str], list[int]]]:
    """How many pods of a workload of the namespace were ready, after each change of one of them."""
    out = tmp_path / "watch.json"
    command = ["kubectl", "--kubeconfig", installed.kubeconfig, "get", "pods", "-n", namespace, "-w", "-o", "json"]
    with out.open("w") as file:
        process = subprocess.Popen([*command, "--output-watch-events"], stdout=file)
        yield lambda app: _counts(_events(out.read_text()), app)
        process.kill()
        process.wait(10)


def _events(text: str) -> Iterator[Json]:
    """The events of a watch; the last one may be half written."""
    decoder, at = json.JSONDecoder(), 0
    while (at := len(text) - len(text[at:].lstrip())) < len(text):
        try:
            event, at = decoder.raw_decode(text, at)
        except ValueError:
            return
        yield event


def _counts(events: Iterator[Json], app: str) -> list[int]:
    ready: set[str] = set()
    counts = []
    for event in events:
        pod = event["object"]
        if pod["metadata"]["labels"]["app"] == app:
            there = event["type"] != "DELETED" and is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
            (ready.add if there else ready.discard)(pod["metadata"]["uid"])
            counts.append(len(ready))
    return counts


def test_a_single_replica_is_never_without_a_ready_pod_while_its_node_is_drained(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, watched: Watched
) -> None:
    installed.apply(deployment(namespace, "cart", 1, annotations=SLOWLY))
    running(installed, namespace, "cart", 1)
    eventually(lambda: 1 in watched("cart"), "the watch to have seen it")
    (pod,) = installed.all("pods", namespace)
    node = pod["spec"]["nodeName"]
    before = len(writes_of_operator(installed))
    drain(installed, trouble, node)
    eventually(lambda: not on_node(installed, namespace, node), "the node to be empty", 90)
    counts = watched("cart")
    assert 0 not in counts[counts.index(1) :], "it was down"
    assert effects(installed, namespace) == ["patch deployments"], "its own controller has ended the old pod"
    writes = [w["objectRef"]["resource"] for w in writes_of_operator(installed)[before:]]
    assert writes.index("nodes") < writes.index("deployments"), "the node first"

    def told() -> bool:
        messages = [write.get("message", "") for write in first_step(installed, node)["writes"]]
        return f"Deployment {namespace}/cart was restarted, and is ready elsewhere" in messages

    eventually(told, "the incident to say how it went")
    assert f"Deployment {namespace}/cart (1 pod)" in first_step(installed, node)["preflight"][-1]
    over(installed, trouble, node)


BUDGETS: tuple[Json, ...] = ({}, {"maxUnavailable": 1}, {"minAvailable": 1}, {"maxUnavailable": "50%"})


@pytest.mark.parametrize("seed", sampled(range(4)))
def test_whatever_is_on_a_node_nobody_is_down_and_no_budget_is_broken_by_its_drain(
    seed: int, installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, watched: Watched
) -> None:
    chance = random.Random(seed)
    apps = {f"app{number}": chance.choice([1, 1, 2, 3, 5]) for number in range(6)}
    budgets = {name: chance.choice(BUDGETS) for name in apps}
    delay = {"sim.kwok/start-delay": f"{chance.choice([0, 1, 3])}s"}
    others = [f"node-{number}" for number in range(1, 4)]
    try:
        for name in others if chance.random() < 0.5 else ():  # all on one node, or here and there
            installed.must("cordon", name)
        installed.apply(*(deployment(namespace, name, count, annotations=delay) for name, count in apps.items()))
        installed.apply(*(budget(namespace, name, **spec) for name, spec in budgets.items() if spec))
        for name, count in apps.items():
            running(installed, namespace, name, count)
            eventually(lambda name=name, count=count: count in watched(name), "the watch to have seen them")  # type: ignore[misc]
    finally:
        installed.must("uncordon", *others)
    eventually(lambda: _counted(installed, namespace), "the budgets to be counted")
    node = max(installed.all("nodes"), key=lambda one: len(on_node(installed, namespace, one["metadata"]["name"])))
    drain(installed, trouble, node["metadata"]["name"])
    eventually(lambda: not on_node(installed, namespace, node["metadata"]["name"]), "the node to be empty", 90)
    for name, count in apps.items():
        counts = watched(name)
        least = min(counts[counts.index(count) :])
        spec = budgets[name]
        kept = {"minAvailable": 1, "maxUnavailable": count - 1}.get(next(iter(spec), ""), 1)
        kept = count - -(-count // 2) if spec.get("maxUnavailable") == "50%" else kept
        assert least >= max(kept, 1), f"{name}: {count} pods, {spec}: {least} were left"
    over(installed, trouble, node["metadata"]["name"])


def _counted(plane: Plane, namespace: str) -> bool:
    found = [one.get("status", {}) for one in plane.all("poddisruptionbudgets", namespace)]
    return all(one.get("currentHealthy") and one["currentHealthy"] == one["expectedPods"] for one in found)


def test_a_drain_without_room_elsewhere_is_refused_before_anything_is_touched(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    large = deployment(namespace, "large", 4)
    large["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "20"}}
    installed.apply(large)
    running(installed, namespace, "large", 4)
    nodes = {pod["spec"]["nodeName"] for pod in installed.all("pods", namespace)}
    assert len(nodes) == 4, "each node has room for one"
    node = min(nodes)
    drain(installed, trouble, node)
    eventually(lambda: first_step(installed, node).get("outcome") == "Refused", "the drain to be refused")
    message = first_step(installed, node)["message"]
    assert "requests cpu 20, and none of the 3 other nodes that may take it have room for it" in message
    assert not cordoned(installed, node)
    assert effects(installed, namespace) == []
    over(installed, trouble, node)


def test_a_pod_with_its_data_on_the_node_stops_the_drain(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"local-{namespace}"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "claimRef": {"namespace": namespace, "name": "data"},
            "local": {"path": "/data"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [here]}},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"namespace": namespace, "name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "volumeName": f"local-{namespace}",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    mine = deployment(namespace, "db", 1)
    mine["spec"]["template"]["spec"]["volumes"] = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    installed.apply(volume, claim, mine)
    try:
        running(installed, namespace, "db", 1)
        drain(installed, trouble, "node-1", singleReplicas="Evict")
        eventually(lambda: first_step(installed, "node-1").get("outcome") == "Refused", "the drain to be refused")
        message = first_step(installed, "node-1")["message"]
        assert f"has its data on Node node-1 only (PersistentVolume local-{namespace})" in message
        assert not cordoned(installed, "node-1")
        over(installed, trouble, "node-1")
    finally:
        installed.remove("persistentvolume", f"local-{namespace}")


@pytest.fixture
def leases(installed: Plane) -> Iterator[str]:
    """The namespace of Medik8s leases, in which Goldseam has no right; afterwards there is no Medik8s."""
    name = "medik8s-leases"
    installed.must("create", "namespace", name)
    yield name
    installed.must("delete", "namespace", name, "--wait=true")


@pytest.fixture
def medik8s(installed: Plane, leases: str) -> Iterator[str]:
    """The same, with the component bound there."""
    piece = str(ROOT / "deploy" / "kustomize" / "components" / "medik8s")
    files = ["-f", f"{piece}/rights.yaml", "-f", f"{piece}/limits.yaml"]
    installed.must("apply", *files)
    account = "--serviceaccount=goldseam-system:goldseam"
    installed.must("create", "rolebinding", "goldseam-medik8s", "-n", leases, "--clusterrole=goldseam-medik8s", account)
    yield leases
    installed.must("delete", *files)


def test_without_a_right_to_medik8s_leases_the_policy_says_so_before_any_incident(
    installed: Plane, namespace: str, leases: str, operator: OperatorProcess
) -> None:
    installed.apply(cluster_policy("drain", {"drain": {}}, alert={"name": "NodeTrouble"}))
    said = lambda kind: condition(installed, "clusterremediationpolicy", "drain", "", kind)  # noqa: E731
    eventually(lambda: said("NodesFit").get("reason") == "NodeLeaseClosed", "the policy to say it", 60)
    assert "bind ClusterRole goldseam-medik8s there" in said("NodesFit")["message"]
    eventually(lambda: said("Ready").get("reason") == "NoNodeFits", "that it can act on no node", 60)


def test_the_medik8s_lease_of_a_node_is_waited_for_taken_and_given_back(
    installed: Plane, namespace: str, medik8s: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "api", 4))
    running(installed, namespace, "api", 4)
    node = min(pod["spec"]["nodeName"] for pod in installed.all("pods", namespace))
    theirs = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"namespace": medik8s, "name": f"node-{node}"},
        "spec": {
            "holderIdentity": "node-healthcheck",
            "leaseDurationSeconds": 3600,
            "renewTime": "2099-01-01T00:00:00.000000Z",
        },
    }
    installed.apply(theirs)
    before = len(writes_of_operator(installed))
    drain(installed, trouble, node)

    def held() -> str:
        holds = incident(installed, node).get("status", {}).get("holds", [])
        return next((hold["message"] for hold in holds if hold["reason"] == "NodeLeaseHeld"), "")

    assert f"node-healthcheck is at work on Node {node}" in eventually(held, "the drain to wait")
    assert not cordoned(installed, node)
    assert effects(installed, medik8s) == []
    installed.remove("lease", f"node-{node}", medik8s)
    eventually(lambda: not on_node(installed, namespace, node), "the node to be empty", 90)
    assert installed.get("lease", f"node-{node}", medik8s)["spec"]["holderIdentity"] == "goldseam"
    writes = [w["objectRef"] for w in writes_of_operator(installed)[before:]]
    taken = next(i for i, ref in enumerate(writes) if ref.get("namespace") == medik8s)
    assert taken < next(i for i, ref in enumerate(writes) if ref.get("name") == node and ref["resource"] == "nodes")
    over(installed, trouble, node)
    eventually(
        lambda: "holderIdentity" not in installed.get("lease", f"node-{node}", medik8s)["spec"],
        "the lease to be given back",
    )
