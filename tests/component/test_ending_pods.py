"""A drain of a node on which pods are ending already: it waits for them until its deadline, as for its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.component.test_drain_ends import drain
from tests.component.test_node_incidents import crempol, left, node, pod
from tests.support.harness import Harness

Json = dict[str, Any]
UNTIL = "2026-11-23T12:00:10Z"


def ending(name: str, kind: str = "ReplicaSet") -> Json:
    found = pod(name, kind=kind)
    found["metadata"]["deletionTimestamp"] = UNTIL
    return found


async def opened(*ladder: Json, others: int = 0, cordoned: bool = False, ready: str = "True", **spec: Any) -> Harness:
    """A node with two pods that are ending already, with one of a DaemonSet that is, too, and with so many others."""
    target = node("n1")
    target["status"]["conditions"][0]["status"] = ready
    h = Harness(crempol(*ladder, **spec), target, "nodes")
    h.cluster.add("nodes", node("n2"))
    for body in (ending("old-1"), ending("old-2"), ending("daemon", "DaemonSet")):
        h.cluster.add("pods", body)
    for number in range(others):
        h.cluster.add("pods", pod(f"p{number}"))
    h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": {"allowForcedDrain": ["*"]}})
    if cordoned:
        h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon")
    await h.start()
    await h.open()
    return h


def made(h: Harness, verb: str) -> list[str]:
    return [path for what, path, _, _ in h.cluster.writes if what == verb]


def end(h: Harness) -> None:
    for name in ("old-1", "old-2"):
        h.cluster.remove("pods", "shop", name)


@pytest.mark.parametrize("cordoned", [False, True], ids=["in service", "cordoned by a person"])
@pytest.mark.parametrize("others", [0, 2])
async def test_a_drain_is_done_when_those_that_were_ending_already_are_gone_too(others: int, cordoned: bool) -> None:
    h = await opened({**drain(), "goOn": "WhenDone"}, {"wait": {"duration": "10m"}}, others=others, cordoned=cordoned)
    await h.settle(15)
    assert left(h) == {"old-1", "old-2", "daemon"}
    drained = h.status.steps[0]
    assert (drained.phase, len(drained.ending or ())) == ("Acted", 2)
    assert "2 pods are ending already, the last one until 12:00:10 UTC: shop/old-1, shop/old-2" in str(
        drained.preflight
    )
    assert "2 pods that were ending already are still on Node n1" in h.status.message
    end(h)
    await h.settle(10)
    assert h.status.steps[0].outcome == "WentOn"
    evicted = "what was evicted is gone from Node n1 (2 pods), and" if others else "gone from Node n1:"
    assert h.status.steps[0].message.startswith(f"{evicted} 2 pods that were ending already")
    assert made(h, "evict") == [f"pods/shop/p{number}" for number in range(others)], "no other one is evicted"


@pytest.mark.parametrize("cordoned", [False, True], ids=["in service", "cordoned by a person"])
@pytest.mark.parametrize("at_deadline", ["Uncordon", "LeaveCordoned", "Force"])
async def test_those_that_hang_are_named_at_the_deadline_and_nothing_is_deleted(
    at_deadline: str, cordoned: bool
) -> None:
    h = await opened(drain(at_deadline), {"wait": {"duration": "10m"}}, cordoned=cordoned)
    await h.settle(30)
    drained = h.status.steps[0]
    assert (drained.outcome, made(h, "evict"), made(h, "delete"), h.status.owes) == ("Failed", [], [], 0)
    assert "2 pods that were ending already are still on Node n1: shop/old-1, shop/old-2" in drained.message
    assert bool(h.live()["spec"].get("unschedulable")) == (cordoned or at_deadline == "LeaveCordoned")
    assert ("every pod that is left is on its way out already" in drained.message) == (at_deadline == "Force")


async def test_what_is_stuck_on_a_node_keeps_it_neither_from_being_drained_nor_from_what_comes_after() -> None:
    h = await opened({**drain(), "goOn": "WhenDone"}, {"wait": {"duration": "10m"}}, others=1)
    h.clock.advance(60)
    await h.settle(15)
    drained = h.status.steps[0]
    assert (drained.outcome, drained.ending, h.live()["spec"].get("unschedulable")) == ("WentOn", None, True)
    assert "2 pods are stuck there and should be gone since 12:00:10 UTC: shop/old-1, shop/old-2" in drained.message


async def test_a_drain_that_only_waited_for_what_ended_anyway_is_no_act() -> None:
    h = await opened(drain(), cordoned=True)
    await h.settle(5)
    assert h.status.kpis.first_action_at is None
    end(h)
    h.alert_state = "Cleared"
    await h.settle(600)
    assert (h.status.phase, h.status.kpis.self_resolved) == ("Resolved", True)
    assert h.status.message == "the alert is gone by itself"


async def test_on_a_node_whose_kubelet_is_silent_the_plan_and_the_end_say_why_they_hang() -> None:
    h = await opened(drain(), others=1, ready="Unknown")
    await h.settle(5)
    plan = "; ".join(h.status.steps[0].preflight or [])
    assert "its kubelet reports nothing, so pods that are evicted do not end there (see action outOfService)" in plan
    await h.settle(30)
    assert "so pods that were evicted do not end there" in h.status.steps[0].message


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("point", range(1, 8))
async def test_killed_at_any_write_it_waits_for_the_same_pods_and_gives_the_node_back(point: int, after: bool) -> None:
    h = await opened(drain(), others=1)
    h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + point, after
    await h.settle_through_crashes(12)
    assert (h.status.steps[0].outcome, len(h.status.steps[0].ending or ())) == (None, 2)
    end(h)
    h.alert_state = "Cleared"
    await h.settle_through_crashes(60)
    assert (h.status.steps[0].outcome, h.status.owes, made(h, "evict")) == ("Passed", 0, ["pods/shop/p0"])
    assert not h.live()["spec"].get("unschedulable")


async def test_in_mode_observe_and_to_who_is_asked_it_is_said_though_nothing_would_be_written() -> None:
    h = await opened(drain(), cordoned=True, mode="Observe")
    await h.settle(5)
    assert (h.status.steps[0].outcome, len(h.status.steps[0].preflight or [])) == ("Observed", 1)
    assert "wait for 2 pods that are ending already" in h.status.steps[0].message
    h = await opened(drain(), cordoned=True, approval={"rungs": ["drain"]})
    await h.settle(5)
    (question,) = h.status.approvals
    assert (question.state, len(question.preflight or [])) == ("Waiting", 1)
