"""A restart by evictions: one pod after the other, each once, the next one when all are there; and what stops it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from goldseam.engine.proposal import Turn
from goldseam.ports import Json
from goldseam.services.act import Actor
from tests.component.test_delete_pods import evicted, left, opened, pod
from tests.support.harness import START, Harness
from tests.support.toycluster import Killed

RESTART = {"restart": {"method": "Eviction"}, "timeout": "5m"}
OWN = tuple(pod(name, "") for name in ("a-0", "a-1", "a-2", "a-3"))


def replaced(h: Harness, name: str) -> None:
    """The Deployment's controller has made a new pod, which is ready."""
    h.cluster.add("pods", pod(name, ""))


async def test_a_restart_by_evictions_goes_on_when_the_new_pod_is_there() -> None:
    h = await opened(RESTART, pods=OWN)
    for gone in range(1, 5):
        await h.settle(20)
        assert len(evicted(h)) == gone, "it waits for the pod that is missing"
        replaced(h, f"new-{gone}")
    await h.settle(5)
    assert evicted(h) == ["a-3", "a-2", "a-1", "a-0"]
    assert h.status.steps[0].phase == "Acted"
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.phase, h.status.steps[0].outcome) == ("Resolved", "Passed")


async def test_once_the_alert_is_gone_the_rest_of_the_pods_stay() -> None:
    h = await opened(RESTART, pods=OWN)
    await h.settle(10)
    h.alert_state = "Cleared"
    replaced(h, "new-1")
    await h.settle(60)
    assert evicted(h) == ["a-3"]
    assert h.status.phase == "Resolved"


async def test_a_killed_operator_restarts_one_pod_at_a_time_and_each_once() -> None:
    met = 0
    for kill_at in range(1, 14):
        own = tuple(pod(name, "") for name in ("a-0", "a-1"))
        h = await opened({"restart": {"method": "Eviction"}, "timeout": "5m"}, pods=own, limits={"minAvailable": 0})
        h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 2}})
        h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + kill_at, bool(kill_at % 2)
        met += await h.settle_through_crashes(30)
        assert evicted(h) == ["a-1"]
        replaced(h, "new-1")
        met += await h.settle_through_crashes(30)
        assert evicted(h) == ["a-1", "a-0"]
    assert met >= 6


async def test_a_pause_in_the_middle_takes_none_of_the_rungs_time() -> None:
    h = await opened(RESTART, pods=OWN)
    await h.settle(10)
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"reason": "deploying"}})
    replaced(h, "new-1")
    await h.settle(1_200)
    assert (evicted(h), h.status.steps[0].outcome) == (["a-3"], None)
    h.cluster.remove("pauses", "shop", "p")
    await h.settle(20)
    assert (evicted(h), h.status.steps[0].outcome) == (["a-3", "a-2"], None)


async def test_each_pod_has_the_rungs_time() -> None:
    h = await opened({**RESTART, "timeout": "60s"}, pods=OWN)
    for gone in range(1, 5):
        await h.settle(40)
        assert len(evicted(h)) == gone
        replaced(h, f"new-{gone}")
    await h.settle(5)
    assert h.status.steps[0].phase == "Acted"


async def test_where_a_pod_stays_away_the_next_rung_is_tried() -> None:
    h = await opened({**RESTART, "timeout": "60s"}, {"notify": {}}, pods=OWN[:3])
    await h.settle(100)
    assert evicted(h) == []
    assert [step.action for step in h.status.steps] == ["restart", "notify"]
    assert "1 pod that must be there, for longer than the rung may take" in h.status.steps[0].message


def sick(h: Harness, name: str, *, ready: bool = False) -> None:
    h.cluster.objects["pods", "shop", name]["status"] = pod(name, "" if ready else "CrashLoopBackOff")["status"]


async def test_while_a_pod_is_missing_nothing_is_written_down_and_it_says_so() -> None:
    h = await opened(RESTART, pods=OWN[:3])
    await h.settle(60)
    assert (h.status.steps, evicted(h)) == ([], [])
    assert h.status.message == "on hold: no pod is evicted yet: waiting for 1 pod that must be there"
    assert [hold.reason for hold in h.status.holds] == ["NotAllThere"]
    replaced(h, "a-3")
    await h.settle(20)
    assert evicted(h) == ["a-3"]


async def test_while_it_waits_for_a_new_pod_it_says_so_and_looks_again_shortly() -> None:
    h = await opened(RESTART, pods=OWN)
    await h.settle(10)
    assert h.status.message == "restart: 1 of 4 pods evicted, waiting for 1 pod that must be there"
    assert not h.status.holds
    again = await h.look()
    assert again is not None
    assert again <= timedelta(seconds=15)
    version = next(h.cluster.all("incidents"))["metadata"]["resourceVersion"]
    await h.settle(20)
    assert next(h.cluster.all("incidents"))["metadata"]["resourceVersion"] == version, "nothing new is written"
    replaced(h, "new")
    sick(h, "new")
    await h.settle(6)
    assert h.status.message == "restart: 1 of 4 pods evicted, waiting for pod new to be ready"


async def test_a_new_pod_that_never_gets_ready_ends_the_rung_and_the_other_pods_stay() -> None:
    h = await opened({**RESTART, "timeout": "60s"}, {"notify": {}}, pods=OWN)
    await h.settle(10)
    replaced(h, "new")
    sick(h, "new")
    await h.settle(100)
    assert evicted(h) == ["a-3"]
    step = h.status.steps[0]
    assert step.outcome == "Failed"
    assert "in time: 1 of 4 pods evicted, waiting for pod new to be ready" in step.message


async def begun_by_a_killed_operator(*ladder: Json) -> Harness:
    """The restart is written down, and the operator dies before the first eviction."""
    for point in range(1, 30):
        h = await opened(*ladder, pods=OWN)
        h.cluster.kill_at = h.cluster.attempts + point
        try:
            await h.settle(20)
        except Killed:
            if h.status.steps and not evicted(h):
                h.cluster.kill_at = None
                await h.start()
                return h
    raise AssertionError("it was never killed there")


async def test_a_restart_that_was_written_down_and_whose_turn_never_comes_ends_in_its_time() -> None:
    h = await begun_by_a_killed_operator({**RESTART, "timeout": "60s"}, {"notify": {}})
    replaced(h, "new")
    sick(h, "new")
    await h.settle(100)
    assert evicted(h) == []
    assert all(write.state == "Pending" for write in h.status.steps[0].writes)
    assert h.status.steps[0].outcome == "Failed"
    assert h.status.steps[1].action == "notify"


@pytest.mark.parametrize("doubt", ["knows", "fresh", "frozen"])
async def test_what_only_waits_holds_the_other_pods_back_and_drops_none(doubt: str) -> None:
    h = await opened(RESTART, pods=OWN)
    await h.settle(10)
    assert evicted(h) == ["a-3"]
    freeze = [{"name": "f", "start": START.date().isoformat(), "end": START.date().isoformat(), "reason": "audit"}]
    if doubt == "frozen":
        h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": {"freezes": freeze}})
    else:
        setattr(h, doubt, False)
    replaced(h, "new-1")
    await h.settle(10)
    assert evicted(h) == ["a-3"]
    assert h.status.holds
    if doubt == "frozen":
        h.cluster.edit("guardrails", "", "cluster", {"spec": {"freezes": []}})
    setattr(h, doubt, True)
    for number in range(2, 5):
        await h.settle(20)
        replaced(h, f"new-{number}")
    await h.settle(10)
    assert evicted(h) == ["a-3", "a-2", "a-1", "a-0"]


async def test_unready_pods_go_first_together_and_none_while_a_new_one_is_not_ready() -> None:
    h = await opened(RESTART, pods=OWN)
    sick(h, "a-0")
    sick(h, "a-1")
    await h.settle(20)
    assert evicted(h) == ["a-1", "a-0"]
    replaced(h, "new-1")
    replaced(h, "new-2")
    sick(h, "new-2")
    sick(h, "a-3")
    await h.settle(20)
    assert evicted(h) == ["a-1", "a-0"], "new-2 is not ready"
    sick(h, "new-2", ready=True)
    await h.settle(6)
    assert evicted(h) == ["a-1", "a-0", "a-3"]


async def test_one_that_has_become_ready_when_its_turn_came_is_not_evicted_for_being_unready() -> None:
    h = await begun_by_a_killed_operator(RESTART)
    (step,) = h.status.steps
    sick(h, "a-0")
    uids = {one["metadata"]["name"]: one["metadata"]["uid"] for one in h.cluster.all("pods")}

    async def may_go_on(made: int) -> bool:
        return True

    turn = Turn(unready=frozenset({uids["a-0"], uids["a-1"]}))
    results = await Actor(h.cluster).perform(step, "shop/x", may_go_on, turn)
    assert sorted((step.writes[one.index].object.name, one.state) for one in results) == [
        ("a-0", "Done"),
        ("a-1", "Waiting"),
    ]
    assert evicted(h) == ["a-0"]


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"replicas": 0}},  # nothing to restart any more
        {"metadata": {"annotations": {"goldseam.dev/note": "x"}}},
    ],
)
async def test_what_was_begun_and_is_no_plan_any_more_ends_with_what_was_done(change: Json) -> None:
    h = await opened(RESTART, {"notify": {}}, pods=OWN)
    await h.settle(10)
    h.cluster.edit("deployments", "shop", "api", change)
    if "metadata" in change:  # a mark on a pod refuses the rest
        mark = {"karpenter.sh/do-not-disrupt": "true"}
        h.cluster.edit("pods", "shop", "a-0", {"metadata": {"annotations": mark}})
    await h.settle(6)
    replaced(h, "new")
    await h.settle(6)
    step = h.status.steps[0]
    assert (step.phase, [write.message[:10] for write in step.writes]) == ("Acted", ["", *["it stays: "] * 3])
    assert evicted(h) == ["a-3"]


async def test_a_forged_incident_evicts_only_the_targets_own_pods_and_one_at_a_time() -> None:
    h = await opened(RESTART, pods=OWN)
    foreign = pod("foreign", "")
    foreign["metadata"]["ownerReferences"][0]["uid"] = "uid-of-others"
    h.cluster.add("pods", foreign)
    ref = {"apiVersion": "v1", "kind": "Pod", "namespace": "shop"}
    writes = [
        {"verb": "Evict", "object": {**ref, "name": one["metadata"]["name"], "uid": one["metadata"]["uid"]}}
        for one in reversed(list(h.cluster.all("pods")))
    ]
    step = {"id": "1-restart", "rung": 0, "action": "restart", "writes": writes, "intentAt": h.clock.now().isoformat()}
    (incident,) = h.cluster.all("incidents")
    forged = {"status": {"steps": [step], "phase": "Fixing"}}
    h.cluster.edit("incidents", "shop", incident["metadata"]["name"], forged)
    await h.settle(20)
    assert evicted(h) == ["a-3"]
    for number in range(1, 5):
        replaced(h, f"new-{number}")
        await h.settle(20)
    assert evicted(h) == ["a-3", "a-2", "a-1", "a-0"]
    assert "foreign" in left(h)


async def test_in_mode_observe_one_eviction_is_rehearsed_and_none_is_made() -> None:
    h = await opened(RESTART, pods=OWN, mode="Observe")
    rehearsed: list[str] = []
    evict = h.cluster.evict

    async def counted(namespace: str, name: str, uid: str, *, dry_run: bool = False) -> None:
        rehearsed.append(name)
        await evict(namespace, name, uid, dry_run=dry_run)

    h.cluster.evict = counted  # type: ignore[method-assign]
    await h.settle(5)
    assert set(rehearsed) == {"a-3"}
    assert (h.status.steps[0].outcome, evicted(h), left(h)) == ("Observed", [], {"a-0", "a-1", "a-2", "a-3"})


async def test_a_template_restart_reads_no_pods() -> None:
    h = await opened({"restart": {"method": "Template"}}, pods=OWN)
    asked: list[str] = []
    listing = h.cluster.list

    async def noted(resource: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(resource.plural)
        return await listing(resource, *args, **kwargs)

    h.cluster.list = noted  # type: ignore[method-assign]
    await h.settle(20)
    assert h.status.steps[0].writes[0].verb == "Patch"
    assert "pods" not in asked
