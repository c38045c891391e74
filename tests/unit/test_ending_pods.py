"""drain: pods that are ending already when it is planned are named, not evicted again, and waited for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from goldseam.actions.drain import ACTION
from goldseam.actions.forced import plan as forced
from goldseam.actions.nodes import MIRROR
from goldseam.actions.pods import MOST_PODS
from goldseam.api.incident import Step
from goldseam.api.ladder import Drain
from goldseam.engine.deadlines import is_begun
from goldseam.engine.proposal import Effect, NothingToDo, Plan, Proposal, Refusal, World
from tests.support.objects import node, pod

Json = dict[str, Any]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SILENT = "its kubelet reports nothing, so pods that {} evicted do not end there (see action outOfService)"


def ending(name: str, *told: Any, until: str = "2026-11-23T12:01:00Z", **more: Any) -> Json:
    meta = {"deletionTimestamp": until} | more.pop("metadata", {})
    return pod(name, *told, **more, metadata=meta)


def world(*pods: Json, target: Json | None = None) -> World:
    target = target or node()
    return World(target=target, pods=pods, nodes=(target, node("worker-2")), now=NOW)


def plan(*pods: Json, target: Json | None = None, **told: Any) -> Plan:
    return ACTION.plan(Drain.model_validate(told), world(*pods, target=target), "token")


def proposal(*pods: Json, target: Json | None = None, **told: Any) -> Proposal:
    found = plan(*pods, target=target, **told)
    assert isinstance(found, Proposal), found
    return found


def step(found: Proposal) -> Step:
    awaited = list(found.ending) or None
    return Step(id="1-drain", rung=0, action="drain", intent_at=NOW, writes=list(found.writes), ending=awaited)


def observed(found: Proposal, *pods: Json, target: Json | None = None) -> Effect:
    return ACTION.observe(step(found), world(*pods, target=target))


def test_the_plan_names_them_says_until_when_and_evicts_none_of_them_again() -> None:
    found = proposal(pod("api-1"), ending("old-1"), ending("old-2", until="2026-11-23T12:03:04Z"))
    assert [write.object.name for write in found.writes if write.verb == "Evict"] == ["api-1"]
    assert found.ending == ("uid-old-1", "uid-old-2")
    assert "2 pods are ending already, the last one until 12:03:04 UTC: shop/old-1, shop/old-2" in found.preflight
    assert found.summary == "cordon and drain Node worker-1: evict 1 pod, wait for 2 that are ending already"


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("2026-11-23T12:01:00Z", "until 12:01:00 UTC"),
        ("2026-11-24T00:00:00Z", "until 2026-11-24 00:00:00 UTC"),
    ],
)
def test_of_one_alone_the_plan_says_until_when_it_has_time(until: str, said: str) -> None:
    found = proposal(ending("old", until=until))
    assert found.preflight == (f"1 pod is ending already, {said}: shop/old",)
    assert found.summary == "cordon and drain Node worker-1: wait for 1 pod that is ending already"


@pytest.mark.parametrize(
    ("until", "since"),
    [("2026-11-23T11:40:00Z", "11:40:00 UTC"), ("2026-11-21T11:40:00Z", "2026-11-21 11:40:00 UTC")],
)
def test_one_that_should_be_gone_is_named_and_nobody_waits_for_it(until: str, since: str) -> None:
    stuck = ending("old", until=until)
    said = f"1 pod is stuck there and should be gone since {since}: shop/old"
    found = proposal(pod("api-1"), stuck)
    assert (found.ending, f"{said}; not waited for" in found.preflight) == ((), True)
    assert observed(found, stuck) == Effect(True, f"what was evicted is gone from Node worker-1 (1 pod); {said}")
    nothing = plan(stuck, target=node(cordoned="kubectl-cordon"))
    assert nothing == NothingToDo(f"Node worker-1 is cordoned, and there is no pod on it to evict; {said}")


def test_one_that_hangs_is_waited_for_no_longer_than_it_had_time_to_end() -> None:
    found = proposal(pod("api-1"), ending("old"))
    late = world(ending("old"))
    assert not ACTION.observe(step(found), replace(late, now=NOW + timedelta(seconds=80))).done, "the kubelet is slow"
    over = ACTION.observe(step(found), replace(late, now=NOW + timedelta(seconds=91)))
    assert over == Effect(
        True,
        "what was evicted is gone from Node worker-1 (1 pod);"
        " 1 pod is stuck there and should be gone since 12:01:00 UTC: shop/old",
    )


def test_where_pods_only_end_no_other_node_need_take_any() -> None:
    alone = node(cordoned="kubectl-cordon")
    found = ACTION.plan(Drain(), World(target=alone, pods=(ending("old"),), nodes=(alone,), now=NOW), "token")
    assert isinstance(found, Proposal)


def test_their_names_are_bounded() -> None:
    (line,) = proposal(*(ending(f"{i}-{'a' * 240}") for i in range(9))).preflight
    assert line.endswith(" and 6 more")
    assert len(line) <= 512


def test_the_nodes_own_pods_and_what_has_ended_are_not_waited_for() -> None:
    own = ending("static", "Node", metadata={"annotations": {MIRROR: "x"}})
    found = proposal(own, ending("proxy", "DaemonSet"), ending("done", "Job", phase="Succeeded"), pod("api-1"))
    assert (found.ending, "ending" in found.summary) == ((), False)


@pytest.mark.parametrize("by", ["goldseam", "kubectl-cordon"])
def test_a_cordoned_node_on_which_pods_are_ending_is_not_drained_yet(by: str) -> None:
    found = proposal(ending("old"), target=node(cordoned=by))
    assert (found.ending, {write.verb for write in found.writes} <= {"Patch"}) == (("uid-old",), True)
    assert isinstance(plan(ending("proxy", "DaemonSet"), target=node(cordoned=by)), NothingToDo)


def test_more_than_can_be_written_down_are_refused() -> None:
    assert len(proposal(*(ending(f"old-{i}") for i in range(MOST_PODS))).ending) == MOST_PODS
    found = plan(pod("api-1"), *(ending(f"old-{i}") for i in range(MOST_PODS)))
    assert isinstance(found, Refusal)
    assert (found.reason, found.message) == (
        "TooManyPods", "256 of 257 pods are ending already, and one drain evicts, or waits for, at most 256",
    )  # fmt: skip


def test_a_drain_is_not_done_while_one_of_them_is_on_the_node() -> None:
    found = proposal(ending("old-1"), ending("old-2"))
    still = observed(found, ending("old-1"), ending("old-2"))
    assert still == Effect(False, "2 pods that were ending already are still on Node worker-1: shop/old-1, shop/old-2")
    one = observed(found, ending("old-2"))
    assert one == Effect(False, "1 pod that was ending already is still on Node worker-1: shop/old-2")
    assert observed(found) == Effect(True, "gone from Node worker-1: 2 pods that were ending already")


def test_those_that_were_evicted_and_those_that_were_ending_are_both_named() -> None:
    still = observed(proposal(pod("api-1"), ending("old")), pod("api-1"), ending("old"))
    assert still.message == (
        "1 of 1 pods are still on Node worker-1: shop/api-1;"
        " 1 pod that was ending already is still on Node worker-1: shop/old"
    )


def test_what_comes_later_and_ends_there_is_not_waited_for_nor_another_pod_of_the_same_name() -> None:
    found = proposal(ending("old"))
    assert observed(found, ending("late"), pod("old", metadata={"uid": "another"})).done


def test_a_drain_that_an_older_release_has_begun_goes_on_as_it_was_written_down() -> None:
    before = step(proposal(pod("api-1"))).dump()
    assert "ending" not in before
    assert ACTION.observe(Step.model_validate(before), world(ending("old"))).done


def test_what_is_ending_is_not_deleted_by_force() -> None:
    found = proposal(ending("old"), atDeadline="Force")
    again = forced(Drain.model_validate({"atDeadline": "Force"}), world(ending("old")), step(found))
    assert isinstance(again, NothingToDo)


def test_a_drain_with_nothing_to_write_is_begun_with_its_record() -> None:
    waits = step(proposal(ending("old"), target=node(cordoned="kubectl-cordon")))
    assert (waits.writes, is_begun(waits)) == ([], True)
    assert not is_begun(step(proposal(ending("old"))))


@pytest.mark.parametrize("on_it", [pod("api-1"), ending("old")], ids=["to be evicted", "ending"])
def test_that_no_pod_would_end_for_the_kubelet_is_silent_is_in_the_plan(on_it: Json) -> None:
    silent = node(ready=None)
    assert proposal(on_it, target=silent).preflight[-1] == f"Node worker-1: {SILENT.format('are')}"
    assert not any("kubelet" in line for line in proposal(on_it).preflight)
    assert proposal(pod("proxy", "DaemonSet"), target=silent).preflight == (), "there is none"
    still = observed(proposal(on_it, target=silent), on_it, target=silent)
    assert (still.done, still.trouble, still.message.endswith(SILENT.format("were"))) == (False, True, True)
