"""A node whose machine is off, with the ServiceAccount's rights and the piece `out-of-service` in force: Kubernetes
itself deletes its pods, and the audit log is the judge of what Goldseam wrote.

The machine is a Node object that no KWOK answers for: its Lease is old, and the node controller takes it for silent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.objects_on_cluster import (
    cluster_policy,
    condition,
    forgotten,
    guardrails,
    outcomes,
    writes_of_operator,
)
from tests.support.operator_process import NAMESPACE, OperatorProcess
from tests.support.plane import ROOT, Plane, eventually

Trouble = Callable[..., None]
Json = dict[str, Any]
PIECE = ROOT / "deploy" / "kustomize" / "components" / "out-of-service"
KEY, MARK = "node.kubernetes.io/out-of-service", "goldseam.dev/out-of-service"
SHUT_DOWN = {"key": "node.cloudprovider.kubernetes.io/shutdown", "effect": "NoSchedule"}


def now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


LONG_AGO = now() - timedelta(hours=1)


@pytest.fixture(scope="module")
def taking(installed: Plane) -> Iterator[Plane]:
    """With the piece `out-of-service`."""
    for name in ("rights", "limits"):
        installed.must("apply", "--server-side", "--force-conflicts", "-f", str(PIECE / f"{name}.yaml"))
    yield installed
    for name in ("rights", "limits"):
        installed.must("delete", "-f", str(PIECE / f"{name}.yaml"), "--ignore-not-found")


class Machine:
    """A Node object of its own, that only this test speaks for."""

    def __init__(self, plane: Plane, name: str) -> None:
        self.plane, self.name = plane, name

    def says(self, ready: str, since: datetime) -> None:
        """What the kubelet, or the node controller for it, says of the node."""
        heard = stamp(now() if ready == "True" else since)
        ready_is = {"type": "Ready", "status": ready, "reason": "test", "message": ""}
        ready_is |= {"lastHeartbeatTime": heard, "lastTransitionTime": stamp(since)}
        body = json.dumps({"status": {"conditions": [ready_is]}})
        self.plane.must("patch", "node", self.name, "--subresource=status", "--type=merge", "-p", body)

    def renews(self, at: datetime) -> None:
        """When the kubelet has renewed its Lease."""
        spec = {"holderIdentity": self.name, "leaseDurationSeconds": 40}
        spec |= {"renewTime": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        meta = {"name": self.name, "namespace": "kube-node-lease"}
        self.plane.apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec})

    @property
    def node(self) -> Json:
        return self.plane.get("node", self.name)

    @property
    def taint(self) -> Json:
        found = self.node["spec"].get("taints", [])
        return next((one for one in found if one["key"] == KEY), {})

    @property
    def other_taints(self) -> list[str]:
        return [one["key"] for one in self.node["spec"].get("taints", []) if one["key"] != KEY]

    @property
    def cordoned(self) -> bool:
        return bool(self.node["spec"].get("unschedulable"))

    @property
    def incident(self) -> Json:
        """The status of its incident; empty while there is none."""
        found = [one for one in self.plane.all("incidents", NAMESPACE) if one["spec"]["target"]["name"] == self.name]
        return dict(found[0].get("status", {})) if found else {}

    @property
    def first(self) -> tuple[str, str | None]:
        """What the first rung came to."""
        return next(iter(outcomes(self.incident)), ("", None))

    @property
    def written(self) -> int:
        """How often the operator has written the node."""
        refs = [entry["objectRef"] for entry in writes_of_operator(self.plane) if entry["verb"] == "patch"]
        return sum((ref["resource"], ref["name"]) == ("nodes", self.name) for ref in refs)


@pytest.fixture
def dead(taking: Plane, namespace: str) -> Iterator[Machine]:
    """A machine that is off for an hour, and a pod on it that hangs half deleted."""
    name = f"off-{namespace}"
    found = Machine(taking, name)
    taking.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"taints": [SHUT_DOWN]}})
    found.says("Unknown", LONG_AGO)
    found.renews(LONG_AGO)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "db-0", "namespace": namespace},
        "spec": {"nodeName": name, "containers": [{"name": "db", "image": "db:1"}]},
    }
    taking.apply(pod)
    taking.must("delete", "pod", "db-0", "-n", namespace, "--wait=false")
    assert taking.get("pod", "db-0", namespace)["metadata"]["deletionTimestamp"]
    yield found
    taking.kubectl("delete", "pod", "db-0", "-n", namespace, "--grace-period=0", "--force")
    taking.kubectl("delete", "node", name)
    taking.kubectl("delete", "lease", name, "-n", "kube-node-lease")


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def takes(plane: Plane, **told: Any) -> None:
    rung = {"outOfService": told, "timeout": "180s"}
    plane.apply(cluster_policy("off", rung, {"notify": {}}, alert={"name": "NodeTrouble"}))


def test_a_dead_node_is_taken_out_of_service_its_pod_goes_and_the_taint_goes_when_the_kubelet_speaks(
    dead: Machine, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    plane = dead.plane
    plane.apply(guardrails(allowOutOfService=["off-*"]))
    takes(plane)
    trouble(1, alert="NodeTrouble", node=dead.name)
    found = eventually(lambda: dead.taint, "the taint", 90)
    assert found == {"key": KEY, "value": "nodeshutdown", "effect": "NoExecute", "timeAdded": found["timeAdded"]}
    assert dead.node["metadata"]["annotations"][MARK] == found["timeAdded"]
    assert dead.cordoned
    assert SHUT_DOWN["key"] in dead.other_taints

    def gone() -> bool:
        return plane.kubectl("get", "pod", "db-0", "-n", namespace).returncode != 0

    eventually(gone, "the pod garbage collector to delete the pod by force", 120)
    dead.renews(now())
    dead.says("True", now())
    eventually(lambda: not dead.taint, "the taint to go", 60)
    assert dead.cordoned, "it takes no new pods before the alert is gone"
    assert SHUT_DOWN["key"] in dead.other_taints
    trouble(0, alert="NodeTrouble", node=dead.name)
    eventually(lambda: not dead.cordoned, "the node to be given back", 90)
    eventually(lambda: dead.incident.get("owes", 0) == 0, "nothing to be owed", 60)
    assert dead.first == ("outOfService", "Passed")
    assert {o["kind"]: o["state"] for o in dead.incident["obligations"]} == {"Uncordon": "Paid", "Untaint": "Paid"}
    assert dead.written == 3, "taken, untainted, uncordoned"
    forgotten(plane)


def left_alone(dead: Machine, trouble: Trouble, why: str) -> None:
    """Its alert fires, and the rung is refused with these words, without any write."""
    trouble(1, alert="NodeTrouble", node=dead.name)
    eventually(lambda: dead.first == ("outOfService", "Refused"), "the rung to be refused", 90)
    assert why in dead.incident["steps"][0]["message"]
    assert (dead.taint, dead.cordoned, dead.written) == ({}, False, 0)
    trouble(0, alert="NodeTrouble", node=dead.name)
    forgotten(dead.plane)


def test_a_node_that_the_guardrails_do_not_name_is_left_alone_and_the_policy_says_so_before(
    dead: Machine, operator: OperatorProcess, trouble: Trouble
) -> None:
    dead.plane.apply(guardrails(allowOutOfService=["metal-*"]))
    takes(dead.plane)
    fits = lambda: condition(dead.plane, "clusterremediationpolicy", "off", "", "NodesFit")  # noqa: E731
    eventually(lambda: fits().get("reason") == "OutOfServiceForbidden", "the policy to say it", 60)
    left_alone(dead, trouble, "allowOutOfService")


def test_where_nobody_says_that_the_machine_is_off_it_is_left_alone(
    dead: Machine, operator: OperatorProcess, trouble: Trouble
) -> None:
    dead.plane.apply(guardrails(allowOutOfService=["*"]))
    place = dead.other_taints.index(SHUT_DOWN["key"])
    away = json.dumps([{"op": "remove", "path": f"/spec/taints/{place}"}])
    dead.plane.must("patch", "node", dead.name, "--type=json", "-p", away)
    takes(dead.plane)
    left_alone(dead, trouble, "does not say that the machine is shut down")
