"""Pods in trouble: evicted within their budget, once each, and never one that is well."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.ports import Json
from tests.support.harness import Harness, deployment, policy
from tests.support.objects import replica_set
from tests.support.objects import troubled as not_ready

LABELS = {"app": "api", "tier": "web"}
DELETE = {"deletePods": {"states": ["CrashLoopBackOff"], "atMost": 2}}


def pod(name: str, reason: str = "CrashLoopBackOff") -> Json:
    """A pod of the Deployment; without a reason it is well."""
    found = not_ready(name, reason, metadata={"labels": LABELS})
    found["status"]["conditions"][0]["status"] = "False" if reason else "True"
    return found


async def opened(*ladder: Json, pods: tuple[Json, ...], budget: int = 1_000, **spec: Any) -> Harness:
    target = deployment(4)
    target["spec"]["selector"] = {"matchLabels": LABELS}
    h = Harness(policy(*ladder, **spec), target, "deployments")
    h.cluster.add("replicasets", replica_set(owner=h.target["metadata"]["uid"]) | {"kind": "ReplicaSet"})
    h.cluster.objects["replicasets", "shop", "uid-set"]["metadata"]["labels"] = LABELS
    for one in pods:
        h.cluster.add("pods", one)
    h.cluster.budget = budget
    await h.start()
    await h.open()
    return h


def left(h: Harness) -> set[str]:
    return {one["metadata"]["name"] for one in h.cluster.all("pods")}


def evicted(h: Harness) -> list[str]:
    return [path.rpartition("/")[2] for verb, path, _, _ in h.cluster.writes if verb == "evict"]


async def test_those_in_trouble_go_and_when_the_alert_is_gone_it_is_resolved() -> None:
    h = await opened(DELETE, pods=(pod("a"), pod("b"), pod("well", "")))
    await h.settle(20)
    assert left(h) == {"well"}
    assert h.status.steps[0].phase == "Acted"
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.phase, h.status.steps[0].outcome, h.status.owes) == ("Resolved", "Passed", 0)


async def test_each_attempt_takes_no_more_than_the_policy_allows() -> None:
    h = await opened({**DELETE, "attempts": 2}, pods=tuple(pod(name) for name in "abcde"))
    await h.settle(30)
    assert evicted(h) == ["a", "b"]
    await h.settle(60)
    assert evicted(h) == ["a", "b", "c", "d"]
    await h.settle(200)
    assert evicted(h) == ["a", "b", "c", "d"]


async def test_what_a_budget_holds_back_waits_and_says_so() -> None:
    h = await opened(DELETE, pods=(pod("a"), pod("b")), budget=1)
    await h.settle(20)
    assert left(h) == {"b"}
    (step,) = h.status.steps
    assert [write.state for write in step.writes] == ["Done", "Pending"]
    assert "disruption budget" in step.writes[1].message
    h.cluster.budget = 1
    await h.settle(20)
    assert left(h) == set()


def well_again(h: Harness, *names: str) -> None:
    for name in names:
        h.cluster.objects["pods", "shop", name]["status"] = pod(name, "")["status"]
    h.cluster.budget = 1_000


async def test_one_that_gets_well_while_it_waits_stays() -> None:
    h = await opened(DELETE, pods=(pod("a"), pod("b")), budget=1)
    await h.settle(20)
    well_again(h, "b")
    await h.settle(20)
    assert left(h) == {"b"}
    (step,) = h.status.steps
    assert (step.phase, step.writes[1].message) == ("Acted", "it stays: it would not be evicted any more")


async def test_where_all_of_them_get_well_while_they_wait_nothing_was_done() -> None:
    h = await opened(DELETE, {"restart": {}}, pods=(pod("a"), pod("b")), budget=0)
    await h.settle(20)
    well_again(h, "a", "b")
    await h.settle(4)
    assert left(h) == {"a", "b"}
    outcomes = [(step.action, step.outcome) for step in h.status.steps]
    assert outcomes[:2] == [("deletePods", "NotTaken"), ("deletePods", "NothingToDo")]
    assert h.status.kpis.first_action_at is None or outcomes[2:] == [("restart", None)]


@pytest.mark.parametrize("done", [True, False])
async def test_what_holds_back_a_first_eviction_holds_back_the_others_too(done: bool) -> None:
    h = await opened(DELETE, pods=(pod("a"), pod("b")), budget=1 if done else 0)
    await h.settle(20)
    h.cluster.edit(h.policy_plural, "shop", "api", {"spec": {"ladder": [{"restart": {}}]}})
    h.cluster.budget = 1_000
    await h.settle(20)
    assert left(h) == ({"b"} if done else {"a", "b"})
    assert h.status.steps[0].phase == ("Acted" if done else "Done")


@pytest.mark.parametrize("doubt", ["knows", "fresh"])
async def test_between_two_evictions_what_is_not_known_is_waited_for(doubt: str) -> None:
    h = await opened(DELETE, pods=(pod("a"), pod("b")), budget=1)
    await h.settle(20)
    setattr(h, doubt, False)
    h.cluster.budget = 1_000
    await h.settle(10)
    assert left(h) == {"b"}
    assert h.status.holds
    setattr(h, doubt, True)
    await h.settle(20)
    assert left(h) == set()
    assert h.status.steps[0].phase == "Acted"


async def test_once_the_alert_is_gone_the_other_pods_stay() -> None:
    h = await opened(DELETE, pods=(pod("a"), pod("b")), budget=1)
    await h.settle(20)
    h.alert_state, h.cluster.budget = "Cleared", 1_000
    await h.settle(60)
    assert left(h) == {"b"}
    assert (h.status.phase, h.status.steps[0].outcome) == ("Resolved", "Passed")


@pytest.mark.parametrize(
    ("rung", "purpose", "gone"),
    [(DELETE, "Rung", ["a"]), (DELETE, "Undo", ["a"]), ({"restart": {}}, "Rung", []), ({"restart": {}}, "Undo", [])],
)
async def test_a_forged_incident_evicts_no_pod_that_is_well_and_none_for_another_action(
    rung: Json, purpose: str, gone: list[str]
) -> None:
    h = await opened(rung, {"escalate": {}}, pods=(pod("a"), pod("well", "")))
    ref = {"apiVersion": "v1", "kind": "Pod", "namespace": "shop"}
    pods = [(one["metadata"]["name"], one["metadata"]["uid"]) for one in h.cluster.all("pods")]
    writes = [{"verb": "Evict", "object": {**ref, "name": name, "uid": uid}} for name, uid in pods]
    done = {"verb": "Evict", "object": {**ref, "name": "gone", "uid": "uid-gone"}, "state": "Done"}
    step = {"id": "1-deletePods", "rung": 0, "action": "deletePods", "purpose": purpose, "writes": [done, *writes]}
    (incident,) = h.cluster.all("incidents")
    status = {"steps": [{**step, "intentAt": h.clock.now().isoformat()}], "phase": "Fixing"}
    h.cluster.edit("incidents", "shop", incident["metadata"]["name"], {"status": status})
    await h.settle(30)
    assert evicted(h) == gone


async def test_without_a_pod_in_trouble_the_next_rung_is_tried_at_once() -> None:
    h = await opened(DELETE, {"restart": {}}, pods=(pod("well", ""),))
    await h.settle(20)
    assert [(step.action, step.outcome) for step in h.status.steps] == [
        ("deletePods", "NothingToDo"),
        ("restart", None),
    ]
    assert h.status.steps[0].message == "no pod of Deployment shop/api is CrashLoopBackOff"


async def test_a_killed_operator_evicts_each_of_them_once() -> None:
    met = 0
    for kill_at in range(1, 12):
        for after in (False, True):
            h = await opened(DELETE, pods=(pod("a"), pod("b"), pod("well", "")))
            h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + kill_at, after
            if not await h.settle_through_crashes(40):
                continue
            met += 1
            assert sorted(evicted(h)) == ["a", "b"]
            assert left(h) == {"well"}
    assert met >= 10
