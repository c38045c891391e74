"""Nodes: drained under budgets, uncordoned on every path, on a toy cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from goldseam.engine.matching import PolicyKey
from goldseam.engine.situation import Other
from goldseam.engine.views import of_a_newer_version, view
from goldseam.services.sweep import sweep, too_new, unrecorded
from tests.support.harness import NAMESPACE, Harness
from tests.support.toycluster import Killed

Json = dict[str, Any]


def node(name: str, **spec: Any) -> Json:
    labels = {"topology.kubernetes.io/zone": "a"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def pod(name: str, where: str = "n1", kind: str = "ReplicaSet") -> Json:
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": "rs", "uid": "rs", "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "ownerReferences": [owner]},
        "spec": {"nodeName": where},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def crempol(*ladder: Json, **spec: Any) -> Json:
    rungs = [{"timeout": "60s", "verify": {"settle": "5s"}, **rung} for rung in ladder]
    base = {"mode": "Act", "alert": {"name": "Trouble"}, "ladder": rungs, "resolve": {"after": "10s"}}
    return {
        "apiVersion": "goldseam.dev/v1alpha1",
        "kind": "ClusterRemediationPolicy",
        "metadata": {"name": "nodes"},
        "spec": base | spec,
    }


async def opened(*ladder: Json, pods: int = 4, budget: int = 1_000) -> Harness:
    h = Harness(crempol(*ladder), node("n1"), "nodes")
    h.cluster.add("nodes", node("n2"))
    for number in range(pods):
        h.cluster.add("pods", pod(f"p{number}"))
    h.cluster.add("pods", pod("daemon", kind="DaemonSet"))
    h.cluster.budget = budget
    await h.start()
    await h.open()
    return h


def left(h: Harness) -> set[str]:
    return {p["metadata"]["name"] for p in h.cluster.all("pods")}


async def test_a_node_is_emptied_and_comes_back_when_the_alert_is_gone() -> None:
    h = await opened({"drain": {}})
    await h.settle(20)
    assert h.live()["spec"]["unschedulable"]
    assert left(h) == {"daemon"}
    h.alert_state = "Cleared"
    await h.settle(60)
    assert not h.live()["spec"].get("unschedulable")
    assert h.status.phase == "Resolved"
    assert h.status.owes == 0


async def test_an_eviction_that_a_budget_holds_back_is_tried_again() -> None:
    h = await opened({"drain": {}}, budget=2)
    await h.settle(10)
    assert len(left(h)) == 3
    assert "disruption budget" in h.status.steps[0].writes[-1].message
    h.cluster.budget = 10
    await h.settle(10)
    assert left(h) == {"daemon"}


async def test_another_incidents_work_on_the_node_holds_the_evictions_that_are_left() -> None:
    h = await opened({"drain": {}}, budget=2)
    await h.settle(5)
    assert len(left(h)) == 3
    uid = h.live()["metadata"]["uid"]
    key = PolicyKey("ClusterRemediationPolicy", "", "a-other")
    rival = Other("o", "o", h.clock.now(), uid, key, None, claims=True, busy=True, labels={}, active=True)
    h.looker.gatherer._others = lambda _: (rival,)
    h.cluster.budget = 1_000
    await h.settle(20)
    assert len(left(h)) == 3
    assert h.status.holds[0].message == "Incident o is acting on the target"
    h.looker.gatherer._others = lambda _: (replace(rival, busy=False),)
    await h.settle(20)
    assert left(h) == {"daemon"}, "a policy that comes first waits for what is under way"


async def test_a_drain_that_cannot_end_gives_the_node_back_at_once() -> None:
    h = await opened({"drain": {}}, budget=0)
    await h.settle(120)
    assert h.status.steps[0].outcome == "Failed"
    assert not h.live()["spec"].get("unschedulable")
    assert h.status.owes == 0
    assert h.status.phase == "Escalated"


async def test_a_drain_that_a_pause_stops_half_way_gives_the_node_back_when_its_time_is_over() -> None:
    h = await opened({"drain": {}}, budget=0)
    await h.settle(10)
    assert h.live()["spec"]["unschedulable"] is True
    spec = {"reason": "we are deploying", "cluster": True}
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "goldseam-system"}, "spec": spec})
    await h.settle(30)
    assert (h.status.phase, h.live()["spec"]["unschedulable"]) == ("Fixing", True), "the pause may end in time"
    await h.settle(60)
    assert h.status.steps[0].outcome == "Failed"
    assert "Pause goldseam-system/p holds" in h.status.steps[0].message
    assert not h.live()["spec"].get("unschedulable")
    assert h.status.owes == 0


async def test_an_uncordon_rung_pays_what_the_drain_owes() -> None:
    h = await opened({"drain": {}}, {"uncordon": {}})
    await h.settle(150)
    assert not h.live()["spec"].get("unschedulable")
    assert [o.state for o in h.status.obligations] == ["Paid"]
    assert "takenOver" not in [e.threshold for e in h.status.escalations]


async def test_a_node_that_vanishes_is_owed_nothing() -> None:
    h = await opened({"drain": {}})
    await h.settle(20)
    h.cluster.remove("nodes", "", "n1")
    await h.settle(20)
    assert h.status.phase == "Abandoned"
    assert [o.state for o in h.status.obligations] == ["Void"]


async def test_a_node_that_a_person_uncordons_is_theirs() -> None:
    h = await opened({"drain": {}})
    await h.settle(20)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl-uncordon")
    await h.settle(30)
    assert h.status.phase == "Escalated"
    assert [o.state for o in h.status.obligations] == ["Lost"]


@pytest.mark.parametrize("anew", [False, True], ids=["uncordoned", "cordoned anew"])
async def test_a_node_that_a_person_takes_half_way_is_theirs_and_nothing_more_is_evicted(anew: bool) -> None:
    """Of a cordon that is put anew the value is ours, and the last writer is not."""
    h = await opened({"drain": {}}, budget=2)
    await h.settle(10)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl-uncordon")
    if anew:
        h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon")
    h.cluster.budget = 1_000
    await h.settle(30)
    assert len(left(h)) == 3
    assert (h.status.phase, h.status.steps[0].outcome) == ("Escalated", "Superseded")
    assert [o.state for o in h.status.obligations] == ["Lost" if anew else "Paid"], "as it was before, or theirs"
    assert bool(h.live()["spec"].get("unschedulable")) is anew


async def test_a_node_whose_people_uncordon_it_before_the_first_eviction_is_theirs() -> None:
    """It was their cordon: with its end the drain has no ground any more."""
    h = Harness(crempol({"drain": {}}), node("n1", unschedulable=True), "nodes")
    h.cluster.add("nodes", node("n2"))
    h.cluster.add("pods", pod("p0"))
    h.cluster.budget = 0
    await h.start()
    await h.open()
    await h.settle(10)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl-uncordon")
    h.cluster.budget = 1_000
    await h.settle(30)
    assert left(h) == {"p0"}
    assert h.status.steps[0].outcome == "Superseded"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_drain_killed_at_any_write_evicts_each_pod_once_and_gives_the_node_back(after: bool) -> None:
    points = 0
    for point in range(1, 60):
        h = await opened({"drain": {}})
        h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + point, after
        killed = await h.settle_through_crashes(40)
        h.alert_state = "Cleared"
        killed |= await h.settle_through_crashes(60)
        if not killed:
            break
        points += 1
        evicted = [path for verb, path, _, _ in h.cluster.writes if verb == "evict"]
        assert len(evicted) == len(set(evicted)) == 4, f"killed at write {point}"
        assert not h.live()["spec"].get("unschedulable"), f"killed at write {point}"
        assert (h.status.phase, h.status.owes) == ("Resolved", 0), f"killed at write {point}"
    assert points >= 10


async def test_a_cordon_of_ours_without_an_incident_is_adopted_and_undone() -> None:
    h = await opened({"drain": {}})
    await h.settle(20)
    name = next(h.cluster.all("incidents"))["metadata"]["name"]
    h.cluster.remove("incidents", NAMESPACE, name)
    await h.start()
    adopted = await sweep(h.cluster, h.book, h.clock.now(), NAMESPACE)
    assert [incident.spec.target.name for incident in adopted] == ["n1"]
    h.book.put(adopted[0])
    await h.settle(30)
    assert not h.live()["spec"].get("unschedulable")
    assert h.status.owes == 0


async def test_a_cordon_is_adopted_though_the_operator_is_killed_between_the_two_writes() -> None:
    h = await opened({"drain": {}})
    await h.settle(20)
    name = next(h.cluster.all("incidents"))["metadata"]["name"]
    h.cluster.remove("incidents", NAMESPACE, name)
    await h.start()
    h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + 1, True
    with pytest.raises(Killed):
        await sweep(h.cluster, h.book, h.clock.now(), NAMESPACE)
    h.cluster.kill_at = None
    await h.start()
    adopted = await sweep(h.cluster, h.book, h.clock.now(), NAMESPACE)
    assert [incident.spec.target.name for incident in adopted] == ["n1"]
    h.book.put(adopted[0])
    await h.settle(30)
    assert not h.live()["spec"].get("unschedulable")
    assert (h.status.phase, h.status.owes) == ("Abandoned", 0)


async def test_a_cordon_of_an_incident_that_a_newer_version_wrote_is_left_to_that_version() -> None:
    h = await opened({"drain": {}})
    await h.settle(20)
    incident = next(h.cluster.all("incidents"))
    incident["status"]["obligations"][0]["kind"] = "Refuel"
    assert (view(incident), of_a_newer_version(incident)) == (None, True)
    await h.start()
    assert await sweep(h.cluster, h.book, h.clock.now(), NAMESPACE, [incident]) == []
    assert h.live()["spec"]["unschedulable"]
    (sentence,) = too_new([incident])
    assert incident["metadata"]["name"] in sentence
    assert len(await unrecorded(h.cluster, h.ledger.ledger, [])) == 1
    assert await unrecorded(h.cluster, h.ledger.ledger, [], [incident]) == [], "one sentence is enough"


async def test_a_cordon_of_a_person_or_of_an_open_incident_is_not_adopted() -> None:
    h = await opened({"drain": {}})
    h.cluster.add("nodes", node("n3", unschedulable=True))
    await h.settle(20)
    assert await sweep(h.cluster, h.book, h.clock.now(), NAMESPACE) == []


async def both_cordoned_by_people(mode: str = "Act") -> Harness:
    """The first of two nodes is being drained, slowly; the second one's alert has fired, too, for another policy."""
    h = Harness(crempol({"drain": {}}, mode=mode), node("n1", unschedulable=True), "nodes")
    for name in ("n2", "n3"):
        h.cluster.add("nodes", node(name, **({"unschedulable": True} if name == "n2" else {})))
    for number, where in enumerate(("n1", "n1", "n2")):
        h.cluster.add("pods", pod(f"p{number}", where))
    h.cluster.budget = 1
    await h.start()
    await h.open()
    await h.settle(10)
    second = crempol({"drain": {}}, mode="Act")
    second["metadata"]["name"] = "others"
    h.policy = h.cluster.add("clusterremediationpolicies", second)
    h.target = h.cluster.objects["nodes", "", "n2"]
    await h.open()
    return h


async def test_a_node_that_people_have_cordoned_counts_while_it_is_drained_also_after_a_restart() -> None:
    h = await both_cordoned_by_people()
    for _ in range(2):
        await h.settle_all(10)
        assert left(h) == {"p1", "p2"}
        assert [(hold.reason, hold.message) for hold in h.statuses()[1].holds] == [
            ("NodesAtOnce", "Guardrails allow 1 node at once, and Goldseam is at work on n1, cordoned by others"),
        ]
        await h.start()
    h.cluster.budget = 1_000
    await h.settle_all(200)
    first, second = (status.steps[0] for status in h.statuses())
    assert left(h) == set()
    assert first.ended_at is not None
    assert second.intent_at >= first.ended_at
    assert all(h.cluster.objects["nodes", "", name]["spec"]["unschedulable"] for name in ("n1", "n2"))


async def test_a_node_that_is_only_observed_does_not_count() -> None:
    h = await both_cordoned_by_people(mode="Observe")
    await h.settle_all(10)
    assert left(h) == {"p0", "p1"}
