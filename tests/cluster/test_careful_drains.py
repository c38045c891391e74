"""A drain that hurts nobody, on the real control plane: what it knows before, who is never down, who is waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.nodes_on_cluster import cordoned, first_step, incident, on_node
from tests.support.objects_on_cluster import (
    cluster_policy,
    condition,
    deployment,
    effects,
    forgotten,
    running,
    writes_of_operator,
)
from tests.support.operator_process import OperatorProcess
from tests.support.plane import ROOT, Plane, eventually
from tests.support.readiness import Watched

Json = dict[str, Any]
Trouble = Callable[..., None]
SLOWLY = {"sim.kwok/start-delay": "2s"}


def drain(plane: Plane, trouble: Trouble, node: str, **told: Any) -> None:
    """A policy that drains, and the alert for the node."""
    plane.apply(cluster_policy("drain", {"drain": told, "timeout": "90s"}, alert={"name": "NodeTrouble"}))
    trouble(1, alert="NodeTrouble", node=node)


def over(plane: Plane, trouble: Trouble, node: str) -> None:
    trouble(0, alert="NodeTrouble", node=node)
    eventually(lambda: not cordoned(plane, node), "the node to be back", 90)
    forgotten(plane)


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
