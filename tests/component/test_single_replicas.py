"""A drain of a node with the only ready pods of workloads, on a toy cluster whose pods take their time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.component.test_node_incidents import crempol, node
from tests.support.harness import Harness
from tests.support.toypods import ToyPods

Json = dict[str, Any]


async def prepared(mode: str = "Act", **drain: Any) -> tuple[Harness, ToyPods]:
    """An incident about node `n1`, which is not opened yet."""
    h = Harness(crempol({"drain": drain, "timeout": "5m"}, mode=mode), node("n1"), "nodes")
    h.cluster.add("nodes", node("n2"))
    toy = ToyPods(h)
    return h, toy


async def begun(h: Harness, toy: ToyPods) -> None:
    toy.work()
    await h.start()
    await h.open()


def on_the_node(toy: ToyPods) -> list[str]:
    return [pod["metadata"]["name"] for pod in toy.pods() if pod["spec"].get("nodeName") == "n1"]


def writes(h: Harness) -> list[str]:
    ours = ("incidents", "guardrails")
    return [f"{verb} {path}" for verb, path, _, _ in h.cluster.writes if path.split("/")[0] not in ours]


async def test_a_single_replica_is_never_down_while_its_node_is_drained() -> None:
    h, toy = await prepared()
    toy.deploy("api", ["n1"])
    toy.deploy("web", ["n1", "n1", "n2"])
    await begun(h, toy)
    await h.settle(40)
    assert on_the_node(toy) == []
    assert toy.least["api"] == 1
    made = writes(h)
    assert made[:2] == ["patch nodes//n1", "patch deployments/shop/api"], "the node first"
    assert not [one for one in made if one.startswith("evict pods/shop/api")]
    step = h.status.steps[0]
    told = [w.message for w in step.writes if w.object.kind == "Deployment"]
    assert told == ["Deployment shop/api was restarted, and is ready elsewhere"]
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.phase, h.status.owes) == ("Resolved", 0)
    assert not h.live()["spec"].get("unschedulable")


async def test_where_the_policy_says_evict_it_is_down_meanwhile() -> None:
    h, toy = await prepared(singleReplicas="Evict")
    toy.deploy("api", ["n1"])
    toy.deploy("db", ["n1"], "StatefulSet")
    await begun(h, toy)
    await h.settle(40)
    assert on_the_node(toy) == []
    assert (toy.least["api"], toy.least["db"]) == (0, 0)
    assert not [one for one in writes(h) if "deployments" in one]


async def test_a_single_replica_that_cannot_be_kept_up_refuses_the_drain_before_anything_is_touched() -> None:
    h, toy = await prepared()
    toy.deploy("api", ["n1"])
    toy.deploy("db", ["n1"], "StatefulSet")
    await begun(h, toy)
    await h.settle(20)
    assert writes(h) == []
    assert h.status.steps[0].outcome == "Refused"
    assert "StatefulSet shop/db has no ready pod but on the node" in h.status.steps[0].message


async def test_a_restart_that_does_not_come_up_fails_by_its_own_deadline_and_the_old_pod_stays() -> None:
    h, toy = await prepared()
    toy.deploy("api", ["n1"], progressDeadlineSeconds=30)
    toy.deploy("web", ["n1", "n2"])
    toy.sick = {"api"}
    await begun(h, toy)
    await h.settle(25)
    assert h.status.message.startswith("drain: 1 of 2 pods evicted, waiting for Deployment shop/api to have its pods")
    await h.settle(60)
    assert toy.least["api"] == 1
    assert h.status.steps[0].outcome == "Failed"
    assert "did not come up elsewhere within its progressDeadlineSeconds" in h.status.steps[0].message
    assert not h.live()["spec"].get("unschedulable")
    assert h.status.owes == 0


async def test_a_new_pod_on_the_node_that_would_stop_a_drain_does_not_let_the_single_one_be_evicted() -> None:
    h, toy = await prepared()
    toy.deploy("api", ["n1"])
    toy.deploy("web", ["n1", "n1", "n2"])
    toy.budget("web", "web", maxUnavailable=1)
    toy.start, toy.sick = 20, {"web"}  # its second eviction is tried again and again
    await begun(h, toy)
    await h.settle(5)
    lonely = {"metadata": {"name": "lonely", "namespace": "shop", "labels": {"app": "lonely"}}}
    h.cluster.add("pods", lonely | {"spec": {"nodeName": "n1"}, "status": {"phase": "Running", "conditions": []}})
    await h.settle(40)
    assert toy.least["api"] == 1
    assert [name.split("-")[0] for name in on_the_node(toy)] == ["web", "lonely"]


async def test_what_is_restarted_is_part_of_what_a_person_approves_and_is_asked_once() -> None:
    h, toy = await prepared(mode="Propose")
    toy.deploy("api", ["n1"])
    await begun(h, toy)
    await h.settle(40)
    assert writes(h) == []
    assert [a.state for a in h.status.approvals] == ["Waiting"]
    assert "restart 1 workload that would be down" in h.status.approvals[0].summary
    meta = next(h.cluster.all("incidents"))["metadata"]
    question = {"step": h.status.approvals[0].step, "planHash": h.status.approvals[0].plan_hash}
    spec = {"incidentRef": {"name": meta["name"], "uid": meta["uid"]}, "decision": "Approve", "by": "jane"}
    where = {"name": "word", "namespace": "goldseam-system"}
    h.cluster.add("responses", {"metadata": where, "spec": spec | question})
    await h.settle(40)
    assert on_the_node(toy) == []
    assert toy.least["api"] == 1


async def test_a_later_rollout_by_people_is_no_take_over_of_the_drain() -> None:
    h, toy = await prepared()
    toy.deploy("api", ["n1"])
    await begun(h, toy)
    await h.settle(40)
    template = {"template": {"metadata": {"annotations": {"goldseam.dev/token": None}}}}
    h.cluster.edit("deployments", "shop", "api", {"spec": template}, "kubectl-rollout")
    await h.settle(20)
    assert h.status.phase == "Fixing"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_any_write_it_restarts_once_and_is_never_down(after: bool) -> None:
    points = 0
    for point in range(1, 60):
        h, toy = await prepared()
        toy.deploy("api", ["n1"])
        toy.deploy("web", ["n1", "n1", "n2"])
        await begun(h, toy)
        h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + point, after
        killed = await h.settle_through_crashes(60)
        h.alert_state = "Cleared"
        killed |= await h.settle_through_crashes(60)
        if not killed:
            break
        points += 1
        assert writes(h).count("patch deployments/shop/api") == 1, f"killed at write {point}"
        assert (toy.least["api"], on_the_node(toy)) == (1, []), f"killed at write {point}"
        assert (h.status.phase, h.status.owes) == ("Resolved", 0), f"killed at write {point}"
    assert points >= 10
