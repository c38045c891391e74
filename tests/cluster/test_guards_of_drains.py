"""A drain and the workloads on its node, with the ServiceAccount's rights: what their people are promised, as a team
that fears for its database would ask for it. The audit log is the judge of what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from goldseam.engine.objects import CONTROL_PLANE, IGNORE
from tests.cluster.test_careful_drains import drain
from tests.cluster.test_drain_ends import drains, ended
from tests.cluster.test_evictions import evicted, finalizers
from tests.cluster.test_refused_nodes import (
    EVICTING,
    NODE,
    OTHERS,
    about,
    at_work,
    here_first,
    over,
    refused,
)
from tests.support.nodes_on_cluster import cordoned, first_step, held_node, incident, on_node, out_together
from tests.support.objects_on_cluster import (
    budget,
    deployment,
    effects,
    guardrails,
    pause,
    policy,
    refusals,
    running,
    writes_of_operator,
)
from tests.support.plane import Plane, eventually
from tests.support.sampling import SLOW

Trouble = Callable[..., None]
Touched = Callable[[], list[str]]
Json = dict[str, Any]
ON_THE_NODE = "Deployment {}/db has pods on the node: "
pytestmark = pytest.mark.usefixtures("given_back")


def names(pods: list[Json]) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods}


def waits(plane: Plane, reason: str, words: str = "") -> str:
    """What the drain waits for, once it is for this reason and in these words."""

    def ask() -> str:
        message = str(held_node(plane, NODE, reason).get("message", ""))
        return message if words in message else ""

    return eventually(ask, f"the drain to be held: {reason} {words}", 60)


def emptied(plane: Plane, namespace: str) -> None:
    eventually(lambda: not on_node(plane, namespace, NODE), "the node to be empty", 90)


def test_a_workload_that_its_people_pause_or_mark_holds_the_drain_of_its_node_until_they_let_go(
    installed: Plane, namespace: str, trouble: Trouble, touched: Touched
) -> None:
    installed.apply(here_first(deployment(namespace, "db", 2)))
    pods = names(at_work(installed, namespace, 2))
    installed.apply(pause(namespace, target={"kind": "Deployment", "name": "db"}))
    about(installed, EVICTING)
    trouble(1, alert="NodeTrouble", node=NODE)
    said = waits(installed, "WorkloadPaused")
    assert said.startswith(f"{ON_THE_NODE.format(namespace)}Pause {namespace}/pause holds until ")
    assert said.endswith(" UTC: we are deploying")
    installed.must("annotate", "deployment", "db", "-n", namespace, f"{IGNORE}=true")
    installed.must("delete", "pause", "pause", "-n", namespace)
    waits(installed, "WorkloadPaused", f"{ON_THE_NODE.format(namespace)}it carries the annotation {IGNORE}")
    assert touched() == []
    installed.must("annotate", "deployment", "db", "-n", namespace, f"{IGNORE}-")
    emptied(installed, namespace)
    over(installed, trouble)
    assert set(evicted(installed, namespace)) == pods


@SLOW
def test_a_workload_that_is_rolled_out_holds_the_drain_of_its_node_until_the_rollout_is_done(
    installed: Plane, namespace: str, trouble: Trouble, touched: Touched
) -> None:
    slow = here_first(deployment(namespace, "db", 2, minReadySeconds=3600, progressDeadlineSeconds=7200))
    installed.apply(slow)
    old = names(at_work(installed, namespace, 2))
    slow["spec"]["template"]["spec"]["containers"][0]["image"] = "busybox:1.36"
    installed.apply(slow)
    at_work(installed, namespace, 3)
    about(installed, EVICTING)
    trouble(1, alert="NodeTrouble", node=NODE)
    said = waits(installed, "WorkloadBusy")
    how_far = "1 of 2 pods updated, 3 ready, 0 available"
    assert said == f"{ON_THE_NODE.format(namespace)}a rollout of it is in progress ({how_far})"
    assert touched() == []
    installed.must("patch", "deployment", "db", "-n", namespace, "-p", '{"spec": {"minReadySeconds": 0}}')
    emptied(installed, namespace)
    over(installed, trouble)
    gone = set(evicted(installed, namespace))
    assert gone
    assert not gone & old, "these were replaced by the rollout"


def test_a_workload_that_another_incident_works_on_holds_the_drain_of_its_node_and_so_does_the_cooldown_after_that(
    installed: Plane, namespace: str, trouble: Trouble, touched: Touched
) -> None:
    installed.apply(here_first(deployment(namespace, "db", 2)))
    at_work(installed, namespace, 2)
    installed.apply(policy(namespace, {"scale": {"replicas": 3}, "timeout": "120s"}))
    about(installed, EVICTING)
    trouble(1, deployment="db")
    at_work(installed, namespace, 3)
    trouble(1, alert="NodeTrouble", node=NODE)
    said = waits(installed, "WorkloadBusy")
    (theirs,) = names(installed.all("incidents", namespace))
    assert said == f"{ON_THE_NODE.format(namespace)}Incident {namespace}/{theirs} is acting on it"
    trouble(0, deployment="db")
    said = waits(installed, "WorkloadCooldown")
    assert said.startswith(f"{ON_THE_NODE.format(namespace)}it was acted on at ")
    assert "limits.cooldown ends at " in said
    assert set(touched()) == {"deployments/db"}, "by the incident of its own"


def apart(pods: Json) -> Json:
    """The same workload, no two of its pods on one node."""
    term = {"labelSelector": pods["spec"]["selector"], "topologyKey": "kubernetes.io/hostname"}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    pods["spec"]["template"]["spec"]["affinity"] = {"podAntiAffinity": required}
    return pods


def unready(plane: Plane, namespace: str, count: int, of: int, **spec: Any) -> tuple[str, str]:
    """So many pods of the database are not ready, and its budget lets none go for now: one of them, and its node."""
    plane.apply(apart(deployment(namespace, "db", of)), budget(namespace, "db", **spec))
    running(plane, namespace, "db", of)
    sick = sorted(names(plane.all("pods", namespace)))[:count]
    plane.must("annotate", "pod", *sick, "-n", namespace, "sim.kwok/unready=true")
    wanted = {"expectedPods": of, "currentHealthy": of - count, "disruptionsAllowed": 0}
    counted = lambda: plane.get("poddisruptionbudget", "db", namespace).get("status", {})  # noqa: E731
    eventually(lambda: wanted.items() <= counted().items(), "the budget to be counted")
    return sick[0], plane.get("pod", sick[0], namespace)["spec"]["nodeName"]


def test_a_pod_that_is_not_ready_goes_though_its_budget_lets_none_go_where_that_always_allows_it(
    installed: Plane, namespace: str, trouble: Trouble
) -> None:
    sick, node = unready(installed, namespace, 1, 2, maxUnavailable=0, unhealthyPodEvictionPolicy="AlwaysAllow")
    drain(installed, trouble, node)
    eventually(lambda: not on_node(installed, namespace, node), "the pod to be gone", 90)
    assert evicted(installed, namespace) == [sick]
    plan = first_step(installed, node)["preflight"]
    assert plan[0].startswith("1 pod would go (1 not ready, which go first): 1 of ReplicaSet ")
    assert plan[1] == (
        f"PodDisruptionBudget {namespace}/db covers 1 pod of these: 0 of all its pods may be away at once, 0 now"
        " (1 healthy, 2 wanted), so 0 rounds; 1 of these is not ready, and goes without waiting for it"
    )
    running(installed, namespace, "db", 2)
    trouble(0, alert="NodeTrouble", node=node)
    eventually(lambda: first_step(installed, node).get("outcome") == "Passed", "the drain to be done", 60)


@SLOW
def test_a_pod_that_is_not_ready_stays_where_its_budget_has_too_few_healthy_ones_and_is_named_with_it_at_the_deadline(
    installed: Plane, namespace: str, trouble: Trouble
) -> None:
    sick, node = unready(installed, namespace, 2, 3, maxUnavailable=1)
    drains(installed, "Uncordon")
    trouble(1, alert="NodeTrouble", node=node)
    said = ended(installed, node, "Failed")["message"]
    assert f"1 of 1 pods are still on Node {node}: {namespace}/{sick} (" in said
    assert "The disruption budget db needs 2 healthy pods and has 1 currently" in said
    eventually(lambda: not cordoned(installed, node), "the node to be back, while the alert fires", 60)
    assert "429 create pods/eviction" in refusals(installed, namespace), "it was asked for: only the cluster knows"
    assert effects(installed, namespace) == []


@pytest.fixture
def control_plane(installed: Plane, namespace: str) -> Iterator[tuple[str, str]]:
    """Two nodes are of the control plane."""
    two = NODE, OTHERS[0]
    try:
        installed.must("label", "node", *two, f"{CONTROL_PLANE}=")
        yield two
    finally:
        installed.must("label", "node", *two, f"{CONTROL_PLANE}-")


def test_of_two_nodes_of_the_control_plane_one_is_drained_whatever_the_caps_allow_and_the_other_waits_for_it(
    installed: Plane, namespace: str, control_plane: tuple[str, str], trouble: Trouble, touched: Touched
) -> None:
    installed.apply(guardrails(budgets={"nodes": {"atOnce": 4, "perZone": 4}}), deployment(namespace, "api", 8))
    running(installed, namespace, "api", 8)
    before = len(writes_of_operator(installed))
    for node in control_plane:
        trouble(1, alert="NodeTrouble", node=node)
    rung = {"drain": {"controlPlane": True, "singleReplicas": "Evict"}, "timeout": "120s"}
    about(installed, rung, limits={"concurrent": 5})  # the alerts fire: both incidents are opened at once
    out = lambda: [node for node in control_plane if cordoned(installed, node)]  # noqa: E731
    (first,) = eventually(out, "one of them to be cordoned", 90)
    other = next(node for node in control_plane if node != first)
    why = f"one node of the control plane goes at once, and Goldseam has taken {first} out of service"
    eventually(lambda: held_node(installed, other, "NodesAtOnce").get("message") == why, "the other one to wait", 60)
    eventually(lambda: not on_node(installed, namespace, first), "the first one to be empty", 90)
    assert f"nodes/{other}" not in touched()
    trouble(0, alert="NodeTrouble", node=first)
    eventually(lambda: out() == [other], "the other one to have its turn", 90)
    trouble(0, alert="NodeTrouble", node=other)
    eventually(lambda: not out(), "both to be back", 90)
    assert {first, other} not in out_together(writes_of_operator(installed)[before:])


def alone(namespace: str) -> Json:
    """A StatefulSet of one pod."""
    return here_first(deployment(namespace, "db", 1) | {"kind": "StatefulSet"})


def bound(namespace: str) -> Json:
    """Two pods that may run on this node only."""
    pods = deployment(namespace, "db", 2)
    pods["spec"]["template"]["spec"]["nodeSelector"] = {"kubernetes.io/hostname": NODE}
    return pods


@pytest.mark.parametrize(
    ("pods", "count", "rung", "words"),
    [
        (alone, 1, {"drain": {}}, ["StatefulSet {ns}/db has no ready pod but on the node", "a StatefulSet cannot be"]),
        (bound, 2, EVICTING, ["no other node that is Ready may take pod {ns}/db-", "by taints, nodeSelector"]),
    ],
    ids=["the only pod of a database", "bound to the node"],
)
def test_for_a_pod_that_would_be_missed_the_node_is_left_alone(
    pods: Callable[[str], Json],
    count: int,
    rung: Json,
    words: list[str],
    installed: Plane,
    namespace: str,
    trouble: Trouble,
    touched: Touched,
) -> None:
    installed.apply(pods(namespace))
    at_work(installed, namespace, count)
    about(installed, rung)
    (why,) = refused(installed, trouble)
    missing = [one for one in words if one.format(ns=namespace) not in why]
    assert not missing, why
    assert touched() == []


@SLOW
def test_a_single_replica_that_does_not_come_up_elsewhere_stays_where_it_is_and_the_node_comes_back(
    installed: Plane, namespace: str, trouble: Trouble, touched: Touched
) -> None:
    installed.apply(here_first(deployment(namespace, "cart", 1, progressDeadlineSeconds=5)))
    (pod,) = at_work(installed, namespace, 1)
    meta = {"name": "full", "namespace": namespace}
    installed.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": "1"}}})
    eventually(lambda: installed.get("resourcequota", "full", namespace).get("status", {}).get("used"), "the quota")
    about(installed, {"drain": {}, "timeout": "120s"}, {"notify": {}})
    trouble(1, alert="NodeTrouble", node=NODE)
    said = ended(installed, NODE, "Failed")["message"]
    late = "was restarted, and did not come up elsewhere within its progressDeadlineSeconds"
    assert f"Deployment {namespace}/cart {late}: 0 of 1 pods updated, 1 ready" in said
    eventually(lambda: not cordoned(installed, NODE), "the node to be back, while the alert fires", 60)
    assert touched() == [f"nodes/{NODE}", "deployments/cart", f"nodes/{NODE}"]
    (left,) = at_work(installed, namespace, 1)
    assert left["metadata"]["uid"] == pod["metadata"]["uid"]


@SLOW
def test_a_pod_that_is_ending_already_is_not_evicted_and_the_drain_is_not_done_before_it_is_gone(
    installed: Plane, namespace: str, trouble: Trouble
) -> None:
    database = here_first(deployment(namespace, "db", 2))
    database["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 300
    installed.apply(database)
    ending = min(names(at_work(installed, namespace, 2)))
    finalizers(installed, namespace, ending, ["example.com/keep"])
    installed.must("delete", "pod", ending, "-n", namespace, "--wait=false")
    others = names(at_work(installed, namespace, 3)) - {ending}
    about(installed, {**EVICTING, "goOn": "WhenDone"}, {"wait": {"duration": "10m"}})
    trouble(1, alert="NodeTrouble", node=NODE)
    there = f"1 pod that was ending already is still on Node {NODE}: {namespace}/{ending}"
    message = lambda: incident(installed, NODE).get("status", {}).get("message", "")  # noqa: E731
    eventually(lambda: names(on_node(installed, namespace, NODE)) == {ending}, "the others to be gone", 90)
    eventually(lambda: there in message() and "evicted" not in message(), "it alone to be waited for", 60)
    told = first_step(installed, NODE)
    assert told.get("outcome") is None
    assert told["preflight"][0].startswith("2 pods would go: "), "it is none of them"
    plan = [line for line in told["preflight"] if line.startswith("1 pod is ending already, until ")]
    assert [line.rpartition(": ")[2] for line in plan] == [f"{namespace}/{ending}"]
    finalizers(installed, namespace, ending, None)
    eventually(lambda: first_step(installed, NODE).get("outcome") == "WentOn", "the drain to be done", 60)
    assert set(evicted(installed, namespace)) == others
