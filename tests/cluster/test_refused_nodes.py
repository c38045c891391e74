"""Nodes that are left alone, and pods that stay, with the ServiceAccount's rights: the audit log is the judge of what
was written, and the incident says why not, or the policy where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from goldseam.engine.objects import CONTROL_PLANE, is_ready
from tests.cluster.test_drain_ends import own
from tests.cluster.test_evictions import evicted, workload
from tests.support.nodes_on_cluster import cordoned, first_step, held_node, incident, on_node
from tests.support.objects_on_cluster import (
    budget,
    cluster_policy,
    condition,
    deployment,
    guardrails,
    outcomes,
    refusals,
    running,
)
from tests.support.operator_process import NAMESPACE
from tests.support.plane import Plane, eventually

__all__ = ["own"]
Trouble = Callable[..., None]
Touched = Callable[[], list[str]]
Json = dict[str, Any]
NODE, *OTHERS = (f"node-{number}" for number in range(4))
KARPENTER, AUTOSCALER = "karpenter.sh/do-not-disrupt", "cluster-autoscaler.kubernetes.io/safe-to-evict"
BOTH: tuple[Json, ...] = ({"cordon": {}}, {"drain": {}})
EVICTING: Json = {"drain": {"singleReplicas": "Evict"}, "timeout": "120s"}
pytestmark = pytest.mark.usefixtures("given_back")


@pytest.fixture
def of_control_plane(installed: Plane, namespace: str) -> Iterator[None]:
    """The node is one of the control plane."""
    installed.must("label", "node", NODE, f"{CONTROL_PLANE}=")
    yield
    installed.must("label", "node", NODE, f"{CONTROL_PLANE}-")


@pytest.fixture
def last_in_service(installed: Plane, namespace: str) -> Iterator[None]:
    """A person has cordoned all the other nodes."""
    try:
        installed.must("cordon", *OTHERS)
        yield
    finally:
        installed.must("uncordon", *OTHERS)


@pytest.fixture
def none_ready(installed: Plane, namespace: str) -> Iterator[None]:
    """Every kubelet says that its node is not Ready."""
    try:
        installed.must("label", "node", NODE, *OTHERS, "sim.kwok/notready=true")
        eventually(lambda: not any(map(is_ready, installed.all("nodes"))), "no node to be Ready")
        yield
    finally:
        installed.must("label", "node", NODE, *OTHERS, "sim.kwok/notready-")
        eventually(lambda: all(map(takes_pods, installed.all("nodes"))), "all nodes to be Ready, and to take pods")


def takes_pods(node: Json) -> bool:
    """Unless it is cordoned. The taint goes a while after the condition."""
    taints = [taint["key"] for taint in node["spec"].get("taints", [])]
    return is_ready(node) and "node.kubernetes.io/not-ready" not in taints


@pytest.fixture
def twins(installed: Plane, namespace: str) -> Iterator[tuple[str, str]]:
    """Two Node objects, that no kubelet speaks for: they have one address in common, and each one of its own."""
    names = f"left-{namespace}", f"right-{namespace}"
    for name, address in zip(names, ("fd00::7", "10.9.0.2"), strict=True):
        addresses = [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": "10.9.0.9"}]
        meta, status = {"name": name}, {"addresses": addresses}
        installed.apply({"apiVersion": "v1", "kind": "Node", "metadata": meta, "status": status})
    yield names
    for name in names:
        installed.remove("node", name)


def here(pods: Json) -> Json:
    """The same workload, all its pods on the node."""
    pods["spec"]["template"]["spec"]["nodeName"] = NODE
    return pods


def at_work(plane: Plane, namespace: str, count: int) -> list[Json]:
    """The pods on the node, once so many are ready."""

    def ask() -> list[Json]:
        found = [pod for pod in on_node(plane, namespace, NODE) if is_ready(pod)]
        return found if len(found) == count else []

    return eventually(ask, f"{count} ready pods on the node")


def about(plane: Plane, *ladder: Json, **spec: Any) -> None:
    """A policy for nodes in trouble."""
    plane.apply(cluster_policy("nodes", *ladder, alert={"name": "NodeTrouble"}, **spec))


def says(plane: Plane, wanted: str, status: str = "False") -> Json:
    """A condition of it, once that is so."""

    def ask() -> Json:
        found = condition(plane, "clusterremediationpolicy", "nodes", "", wanted)
        return found if found.get("status") == status else {}

    return eventually(ask, f"{wanted} to be {status}")


def refused(plane: Plane, trouble: Trouble, rungs: int = 1) -> list[str]:
    """Why, of each rung for the node, once its alert fires and so many rungs are refused."""
    trouble(1, alert="NodeTrouble", node=NODE)

    def ask() -> list[str]:
        steps = incident(plane, NODE).get("status", {}).get("steps", [])
        said = [step["message"] for step in steps if step.get("outcome") == "Refused"]
        return said if len(said) == rungs else []

    return eventually(ask, f"{rungs} rungs to be refused", 90)


@pytest.mark.usefixtures("of_control_plane")
def test_a_node_of_the_control_plane_is_left_alone_and_the_policy_says_so_before(
    installed: Plane, namespace: str, trouble: Trouble, touched: Touched
) -> None:
    installed.apply(here(deployment(namespace, "api", 2)))
    at_work(installed, namespace, 2)
    about(installed, *BOTH, target={"nodeSelector": {"matchLabels": {CONTROL_PLANE: ""}}})
    assert says(installed, "NodesFit")["reason"] == "ControlPlaneNode"
    why = f"Node {NODE} is of the control plane: write `controlPlane: true` in the rung if it may go"
    assert refused(installed, trouble, 2) == [why, why]
    assert touched() == []


@pytest.mark.usefixtures("last_in_service")
def test_the_last_node_in_service_is_left_alone(
    installed: Plane, namespace: str, trouble: Trouble, touched: Touched
) -> None:
    installed.apply(deployment(namespace, "api", 2))
    at_work(installed, namespace, 2)
    about(installed, *BOTH)
    cordon, drain = refused(installed, trouble, 2)
    assert cordon.startswith(f"without Node {NODE} no node would be in service: of the 3 other nodes none is Ready and")
    assert drain == f"there is no other node that is Ready and would take the pods of Node {NODE}"
    assert touched() == []


def test_where_no_node_is_ready_the_breaker_holds_every_incident_and_no_node_is_touched(
    installed: Plane, namespace: str, none_ready: None, trouble: Trouble, touched: Touched
) -> None:
    about(installed, *BOTH)
    for node in (NODE, *OTHERS):
        trouble(1, alert="NodeTrouble", node=node)
    for node in (NODE, *OTHERS):
        held = partial(held_node, installed, node, "BreakerTripped")
        assert "4 of 4 nodes are unhealthy at once" in eventually(held, f"the breaker to hold {node}")["message"]
        assert incident(installed, node)["status"].get("steps", []) == []
    assert touched() == []


def test_the_node_of_goldseams_only_replica_is_left_alone_and_the_policy_says_so_before(
    installed: Plane, namespace: str, trouble: Trouble, touched: Touched, own: Callable[..., None]
) -> None:
    installed.apply(here(deployment(namespace, "api", 2)))
    at_work(installed, namespace, 2)
    own(goldseam_a=NODE)
    about(installed, EVICTING)
    before = f"no drain of {NODE}: Goldseam runs there, with no other replica ready elsewhere"
    assert before in says(installed, "NodesFit", "True")["message"]
    (why,) = refused(installed, trouble)
    assert why.startswith("Goldseam itself runs there, and no other replica of it is ready on another node")
    assert touched() == []


def test_a_drain_is_not_forced_where_the_guardrails_do_not_name_the_node_and_the_policy_says_so_before(
    installed: Plane, namespace: str, trouble: Trouble, touched: Touched
) -> None:
    installed.apply(guardrails(allowForcedDrain=["metal-*"]), here(deployment(namespace, "api", 2)))
    at_work(installed, namespace, 2)
    about(installed, {"drain": {"atDeadline": "Force"}})
    said = says(installed, "NodesFit")
    assert said["reason"] == "ForceForbidden"
    assert "allowForcedDrain of the Guardrails does not name node-0, node-1, node-2 and 1 more" in said["message"]
    (why,) = refused(installed, trouble)
    assert why.startswith(f"the Guardrails do not allow a drain of Node {NODE} to end by force")
    assert touched() == []


def nobodys(namespace: str) -> list[Json]:
    spec = {"nodeName": NODE, "containers": [{"name": "app", "image": "app:1"}]}
    return [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone", "namespace": namespace}, "spec": spec}]


def marked(namespace: str) -> list[Json]:
    marks = {"long": {KARPENTER: "true"}, "late": {AUTOSCALER: "false"}}
    return [here(deployment(namespace, name, 1, annotations=mark)) for name, mark in marks.items()]


def under_two(namespace: str) -> list[Json]:
    second = budget(namespace, "api", minAvailable=0)
    second["metadata"]["name"] = "second"
    return [budget(namespace, "api", minAvailable=0), second, here(deployment(namespace, "api", 1))]


@pytest.mark.parametrize(
    ("objects", "pods", "words"),
    [
        (nobodys, 1, ["no controller would bring it back", "pod {ns}/alone on Node node-0"]),
        (marked, 2, ["says that it must not be evicted (do-not-disrupt): pod {ns}/late-", ", {ns}/long-"]),
        (under_two, 1, ["pod {ns}/api-", "PodDisruptionBudget {ns}/second", ", and the Eviction API refuses that"]),
    ],
    ids=["nobody would bring back", "is marked", "has two budgets"],
)
def test_for_a_pod_that_no_eviction_should_take_the_node_is_left_alone(
    installed: Plane,
    namespace: str,
    trouble: Trouble,
    touched: Touched,
    objects: Callable[[str], list[Json]],
    pods: int,
    words: list[str],
) -> None:
    installed.apply(*objects(namespace))
    at_work(installed, namespace, pods)
    about(installed, EVICTING)
    (why,) = refused(installed, trouble)
    missing = [one for one in words if one.format(ns=namespace) not in why]
    assert not missing, why
    assert touched() == []


@pytest.mark.parametrize(
    ("labels", "fits", "found"),
    [
        ({"kubernetes.io/os": "linux"}, "every one of the 4 nodes", "selects every one of the 4 nodes"),
        ({"pool": "none"}, "none of the 4 nodes", f"Node {NODE} is not one that nodeSelector selects"),
    ],
    ids=["all", "none"],
)
def test_a_node_selector_that_selects_all_nodes_or_none_opens_no_incident_and_the_policy_says_so(
    installed: Plane, trouble: Trouble, touched: Touched, labels: dict[str, str], fits: str, found: str
) -> None:
    about(installed, *BOTH, target={"nodeSelector": {"matchLabels": labels}})
    said = says(installed, "NodesFit")
    assert said["reason"] == "NotSelective"
    assert f"selects {fits}" in said["message"]
    trouble(1, alert="NodeTrouble", node=NODE)
    assert found in says(installed, "TargetFound")["message"]
    assert installed.all("incidents", NAMESPACE) == []
    assert touched() == []


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"node": "node-77"}, "the alert's label node (node-77) is neither the name nor an address"),
        ({"instance": "10.9.0.9:9100"}, "the alert's label instance (10.9.0.9) fits 2 nodes, not exactly one: {twins}"),
        ({"node": "10.9.0.9"}, "the alert's label node (10.9.0.9) fits 2 nodes, not exactly one: {twins}"),
    ],
    ids=["no node", "two nodes by instance", "two nodes by node"],
)
def test_a_label_that_means_no_node_or_two_opens_no_incident_and_the_policy_says_so(
    installed: Plane, twins: tuple[str, str], trouble: Trouble, touched: Touched, labels: dict[str, str], words: str
) -> None:
    about(installed, *BOTH)
    trouble(1, alert="NodeTrouble", **labels)
    assert words.format(twins=", ".join(twins)) in says(installed, "TargetFound")["message"]
    assert installed.all("incidents", NAMESPACE) == []
    assert touched() == []


def test_a_label_means_one_node_in_capitals_with_a_port_and_by_ipv6(
    installed: Plane, twins: tuple[str, str], trouble: Trouble, touched: Touched
) -> None:
    about(installed, {"cordon": {}}, mode="Observe")
    left, right = twins
    trouble(1, alert="NodeTrouble", node="NODE-0")
    for instance in ("Node-1:9100", "[FD00:0::7]:9100", "10.9.0.2:9100"):
        trouble(1, alert="NodeTrouble", instance=instance)
    named = lambda: sorted(one["spec"]["target"]["name"] for one in installed.all("incidents", NAMESPACE))  # noqa: E731
    eventually(lambda: named() == [left, "node-0", "node-1", right], "an incident for each of the nodes")
    assert touched() == []


def test_a_drain_leaves_the_nodes_own_pods_and_is_done(installed: Plane, namespace: str, trouble: Trouble) -> None:
    (static,) = nobodys(namespace)
    static["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    installed.apply(static, workload("DaemonSet", namespace))
    installed.apply(here_first(deployment(namespace, "api", 2)))
    running(installed, namespace, "api", 2)
    pods = at_work(installed, namespace, 4)
    api = {pod["metadata"]["name"] for pod in pods if pod["metadata"].get("labels", {}).get("app") == "api"}
    about(installed, EVICTING)
    trouble(1, alert="NodeTrouble", node=NODE)
    own = {pod["metadata"]["name"] for pod in pods} - api
    names = lambda: {pod["metadata"]["name"] for pod in on_node(installed, namespace, NODE)}  # noqa: E731
    eventually(lambda: names() == own, "its own pods to be left", 90)
    over(installed, trouble)
    assert set(evicted(installed, namespace)) == api


def here_first(pods: Json) -> Json:
    """The same workload, whose pods go to the node as long as it takes any."""
    wanted = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": wanted}]}
    pods["spec"]["template"]["spec"]["affinity"] = {"nodeAffinity": preferred}
    return pods


def over(plane: Plane, trouble: Trouble) -> None:
    """The alert ends, the node comes back, and the drain has done its work."""
    trouble(0, alert="NodeTrouble", node=NODE)
    eventually(lambda: not cordoned(plane, NODE), "the node to be back", 90)
    assert outcomes(incident(plane, NODE)["status"]) == [("drain", "Passed")]


def test_a_pod_that_came_in_place_of_one_that_was_to_be_evicted_is_not_evicted(
    installed: Plane, namespace: str, trouble: Trouble
) -> None:
    database = here_first(deployment(namespace, "db", 1) | {"kind": "StatefulSet"})
    stays = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}
    database["spec"]["template"]["spec"]["tolerations"] = [stays]
    (stuck,) = nobodys(namespace)  # it never starts: for now the budget lets none go
    stuck["metadata"] |= {"labels": {"app": "db"}}
    stuck["spec"] |= {"nodeName": "", "nodeSelector": {"no": "node"}}
    installed.apply(database, stuck, budget(namespace, "db", minAvailable=1))
    (old,) = at_work(installed, namespace, 1)
    counted = lambda: installed.get("poddisruptionbudget", "db", namespace).get("status", {})  # noqa: E731
    eventually(lambda: (counted().get("expectedPods"), counted().get("currentHealthy")) == (2, 1), "it to be counted")
    about(installed, EVICTING)
    trouble(1, alert="NodeTrouble", node=NODE)
    waits = lambda: [one.get("message", "") for one in first_step(installed, NODE).get("writes", [])]  # noqa: E731
    eventually(lambda: any("its disruption budget lets nothing go now" in one for one in waits()), "it to be held", 90)
    installed.must("delete", "pod", "db-0", "-n", namespace)
    (new,) = at_work(installed, namespace, 1)
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    installed.apply(budget(namespace, "db", minAvailable=0))
    over(installed, trouble)
    assert evicted(installed, namespace) == []
    assert "409 create pods/eviction" not in refusals(installed, namespace), "it was read before, not just asked for"
    assert installed.get("pod", "db-0", namespace)["metadata"]["uid"] == new["metadata"]["uid"]
