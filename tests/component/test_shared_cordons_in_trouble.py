"""Two incidents on one cordon, when people, a threshold or a machine that is off come in between."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from goldseam.api.runbook import RunbookSpec
from goldseam.services.node_leases import NodeLeases
from goldseam.services.sweep import sweep
from tests.component import test_out_of_service as off
from tests.component.test_drain_ends import PAUSE, PAUSE_ALL
from tests.component.test_forced_drains import TAKEN
from tests.component.test_gone_by_itself import killed_before_anything
from tests.component.test_node_incidents import left, node, pod
from tests.component.test_shared_cordons import CORDON, PEOPLE, Slow, Two, cordoned_first, named, opened
from tests.support.harness import NAMESPACE, Harness

Json = dict[str, Any]
LEAVE = {"drain": {"deadline": "20s", "atDeadline": "LeaveCordoned"}, "timeout": "40s"}
BOTH = frozenset({"first", "second"})


def undo(h: Harness, place: int) -> None:
    """A person takes over."""
    incident = list(h.cluster.all("incidents"))[place]["metadata"]
    spec = {"incidentRef": {"name": incident["name"], "uid": incident["uid"]}, "decision": "Undo", "by": "jane"}
    h.cluster.add("responses", {"metadata": {"name": f"word-{place}", "namespace": NAMESPACE}, "spec": spec})


def slowly(h: Harness) -> None:
    """Whoever reads waits for a moment, so that two that look at the same time do so side by side."""
    get, listed = h.cluster.get, h.cluster.list

    async def one(*given: Any, **more: Any) -> Any:
        await asyncio.sleep(0)
        return await get(*given, **more)

    async def several(*given: Any, **more: Any) -> Any:
        await asyncio.sleep(0)
        return await listed(*given, **more)

    h.cluster.get, h.cluster.list = one, several  # type: ignore[method-assign]


async def test_people_who_undo_both_at_the_same_moment_have_the_node_back() -> None:
    h = await cordoned_first(named("second", {"drain": {}}, PEOPLE))
    await h.settle_all(90)
    assert h.owing() == [1, 1]
    undo(h, 0)
    undo(h, 1)
    slowly(h)
    uids = [incident["metadata"]["uid"] for incident in h.cluster.all("incidents")]
    await asyncio.gather(*(h.looker.look(uid) for uid in uids))
    await h.settle_all(120)
    h.over = BOTH
    await h.settle_all(60)
    assert (h.cordoned, h.owing()) == (False, [0, 0])


async def test_what_was_left_for_people_once_and_mended_says_nothing_of_the_cordon_of_later() -> None:
    again = {"wait": {"duration": "1m"}, "timeout": "2m"}
    h = await opened(named("second", LEAVE, again, LEAVE, PEOPLE), budget=0)
    await h.settle_all(30)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl-uncordon")
    h.cluster.budget = 1_000
    await h.settle_all(120)
    await h.joined(named("third", {"drain": {}}, PEOPLE))
    await h.settle_all(60)
    h.over = frozenset({"second"})
    await h.settle_all(60)
    assert h.cordoned, "the alert of the third one fires"
    h.over = frozenset({"second", "third"})
    await h.settle_all(60)
    assert (h.cordoned, h.owing()) == (False, [0, 0])


async def test_who_was_handed_a_cordon_gives_it_back_though_the_other_one_had_left_one_before() -> None:
    later = {"drain": {"deadline": "5m", "atDeadline": "LeaveCordoned"}, "timeout": "5m"}
    again = {"wait": {"duration": "1m"}, "timeout": "2m"}
    h = await opened(named("second", LEAVE, again, later, PEOPLE, flapWindow="1h"), budget=0)
    await h.settle_all(30)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl-uncordon")
    h.cluster.budget = 1_000
    await h.settle_all(70)
    h.over = frozenset({"second"})
    await h.settle_all(5)
    await h.joined(named("third", {"drain": {}}, PEOPLE))
    await h.settle_all(460)
    assert h.cordoned
    h.over = frozenset({"second", "third"})
    await h.settle_all(60)
    assert (h.cordoned, h.owing()) == (False, [0, 0])


async def with_book(first: Any, *ladder: Any, budget: int = 1_000) -> Two:
    h = await opened(named("first", first, PEOPLE), budget=budget)
    h.runbook = h.catalogue.runbooks["default"] = RunbookSpec.model_validate(TAKEN)
    await h.settle_all(50)
    second = named("second", *ladder, PEOPLE)
    second["spec"]["runbookRef"] = {"name": "default"}
    await h.joined(second)
    return h


async def test_who_was_to_build_on_a_cordon_and_has_not_begun_keeps_no_node_out_of_service() -> None:
    h = await with_book(CORDON, {"drain": {}})
    await killed_before_anything(h, h.settle_all)
    h.promql.answers["loss"] = (1.0,)
    await h.start()
    await h.settle_all(60)
    assert (h.cordoned, left(h)) == (True, {"p0", "p1"}), "the first one has it still"
    h.over = frozenset({"first"})
    await h.settle_all(120)
    assert (h.cordoned, left(h), h.owing()) == (False, {"p0", "p1"}, [0, 0])


@pytest.mark.parametrize("shared", [False, True], ids=["its own", "another one's"])
async def test_a_person_who_uncordons_the_node_between_two_rungs_has_it(shared: bool) -> None:
    pause = {"wait": {"duration": "2m"}, "timeout": "3m"}
    second = named("second", {"drain": {}, "timeout": "30s"}, pause, {"drain": {}, "timeout": "30s"}, PEOPLE)
    h = await (cordoned_first(second) if shared else opened(second))
    await h.settle_all(10)
    h.over = frozenset({"first"})
    await h.settle_all(50)
    assert (h.cordoned, h.owing()[-1]) == (True, 1)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl-uncordon")
    await h.settle_all(30)
    h.cluster.add("pods", pod("new"))
    await h.settle_all(150)
    assert (h.cordoned, "new" in left(h), h.statuses()[-1].phase) == (False, True, "Escalated")


async def taken_out(second: Json) -> Two:
    """The first one has said that the machine is off; then the second one begins."""
    target = node("n1")
    target["status"] = off.says("Unknown", off.SILENT)
    h = Two(named("first", off.TAKE, PEOPLE), target, "nodes")
    h.cluster.add("nodes", node("n2"))
    h.cluster.add("leases", off.lease("n1", off.SILENT))
    h.cluster.add("leases", off.lease("n2", off.HOUR))
    for name in ("p1", "p2"):
        hanging = pod(name)
        hanging["metadata"]["deletionTimestamp"] = "2026-11-23T11:40:00Z"
        h.cluster.add("pods", hanging)
    h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": {"allowOutOfService": ["n1"]}})
    await h.start()
    await h.open()
    await h.settle_all(80)
    assert h.cordoned
    assert off.taints(h)
    await h.joined(second)
    return h


async def test_who_finds_a_machine_said_to_be_off_needs_the_node_cordoned_too() -> None:
    h = await taken_out(named("second", off.TAKE, PEOPLE))
    await h.settle_all(60)
    h.over = frozenset({"first"})
    await h.settle_all(60)
    assert (h.cordoned, h.owing()) == (True, [0, 1])
    h.over = BOTH
    await h.settle_all(60)
    assert (h.cordoned, h.owing()) == (False, [0, 0])


async def test_a_taint_that_goes_during_the_drain_of_another_one_leaves_it_to_that_to_leave_the_node_cordoned() -> None:
    leaves = {"drain": {"deadline": "60s", "atDeadline": "LeaveCordoned"}, "timeout": "2m"}
    h = await taken_out(named("second", leaves, PEOPLE))
    for name in ("p1", "p2"):
        h.cluster.remove("pods", "shop", name)
    h.cluster.add("pods", pod("x1"))
    h.cluster.budget = 0
    await h.settle_all(10)
    off.speaks(h)
    await h.settle_all(120)
    assert off.taints(h) == []
    h.over = frozenset({"first"})
    await h.settle_all(60)
    assert (h.cordoned, h.owing()) == (True, [0, 0])


@pytest.mark.parametrize("then", [{"cordon": {}, "timeout": "20s"}, LEAVE, {"drain": {"deadline": "20s"}}])
async def test_what_a_rung_has_left_for_people_its_next_rung_does_not_owe_again(then: Json) -> None:
    h = await cordoned_first(named("second", LEAVE, then, PEOPLE), budget=0)
    uid = list(h.cluster.all("incidents"))[1]["metadata"]["uid"]
    for _ in range(400):  # it alone is looked at
        await h.looker.look(uid)
        h.clock.advance(0.2)
        if len(h.statuses()[1].steps) > 1:
            break
    await h.settle_all(120)
    h.over = BOTH
    await h.settle_all(60)
    assert (h.cordoned, h.owing()) == (True, [0, 0])


@pytest.mark.parametrize("seed", [0, 2, 3, 4])
async def test_who_finds_a_node_empty_that_is_about_to_be_uncordoned_is_not_left_with_nothing(
    seed: int,
) -> None:
    h = await opened(named("first", {"drain": {}, "timeout": "30s"}, PEOPLE))
    await h.settle_all(10)
    await h.joined(named("second", {"drain": {}}, PEOPLE))
    undo(h, 0)
    await h.settle_all(15)
    assert (h.cordoned, h.owing()) == (True, [1, 0])
    fast, h.cluster = h.cluster, Slow(h.cluster, random.Random(seed))  # type: ignore[assignment]
    await h.start()
    uids = [incident["metadata"]["uid"] for incident in fast.all("incidents")]
    for _ in range(100):
        await asyncio.gather(*(h.looker.look(uid) for uid in uids))
        h.clock.advance(0.3)
    assert (h.cordoned, h.owing()) == (True, [0, 1]), "the alert of the second one fires"


async def test_who_has_not_begun_keeps_no_node_out_of_service_though_a_pod_has_gone_by_itself() -> None:
    h = await with_book(CORDON, {"drain": {}})
    await killed_before_anything(h, h.settle_all)
    h.promql.answers["loss"] = (1.0,)
    h.cluster.remove("pods", "shop", "p0")
    await h.start()
    await h.settle_all(60)
    assert (h.cordoned, left(h)) == (True, {"p1"}), "the first one has it still"
    h.over = frozenset({"first"})
    await h.settle_all(120)
    assert (h.cordoned, left(h), h.owing()) == (False, {"p1"}, [0, 0])


async def test_who_has_not_begun_anew_keeps_no_node_out_of_service_for_a_drain_that_failed_before() -> None:
    rung = {"drain": {"deadline": "20s"}, "timeout": "30s"}
    h = await with_book(CORDON, rung, {"wait": {"duration": "20s"}, "timeout": "40s"}, rung, budget=0)
    await h.settle_all(35)
    assert (h.owing(), h.cordoned) == ([1, 0], True), "it was handed back"
    await killed_before_anything(h, h.settle_all, 60)
    h.promql.answers["loss"] = (1.0,)
    await h.start()
    await h.settle_all(60)
    h.over = frozenset({"first"})
    await h.settle_all(120)
    assert (h.cordoned, left(h), h.owing()) == (False, {"p0", "p1"}, [0, 0])


async def test_who_is_reopened_while_another_one_uncordons_is_not_said_to_be_taken_over_by_people(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later = {"wait": {"duration": "1h"}, "timeout": "2h"}
    h = await cordoned_first(named("second", {"drain": {}}, later, PEOPLE, flapWindow="1h"))
    await h.settle_all(90)
    first, second = (incident["metadata"]["uid"] for incident in h.cluster.all("incidents"))
    h.over, h.cluster.refused = BOTH, {"nodes//n1"}
    await h.settle_all(30)
    h.cluster.refused = set()
    in_the_way, looked = NodeLeases.in_the_way, []

    async def meanwhile(*given: Any) -> Any:  # between the decision to uncordon and its request
        if not looked:
            looked.append(second)
            h.over = frozenset({"first"})
            await h.looker.look(second)
        return await in_the_way(*given)

    monkeypatch.setattr(NodeLeases, "in_the_way", meanwhile)
    await h.looker.look(first)
    await h.settle_all(30)
    assert not h.cordoned
    assert [e.threshold for s in h.statuses() for e in s.escalations if e.threshold == "takenOver"] == []


def silent(h: Harness) -> None:
    """The node's machine may be off, and that may be said."""
    h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": {"allowOutOfService": ["n1"]}})
    h.cluster.edit("nodes", "", "n1", {"status": off.says("Unknown", off.SILENT)}, "kubelet")
    h.cluster.add("leases", off.lease("n1", off.SILENT))
    h.cluster.add("leases", off.lease("n2", off.HOUR))


async def test_what_is_left_for_people_stays_though_a_third_one_says_at_once_that_the_machine_is_off() -> None:
    h = await cordoned_first(named("second", LEAVE, PEOPLE), budget=0)
    await h.settle_all(5)
    silent(h)
    await h.joined(named("third", off.TAKE, PEOPLE))
    _, second, third = (incident["metadata"]["uid"] for incident in h.cluster.all("incidents"))
    for _ in range(200):
        await h.looker.look(second)
        await h.looker.look(third)  # before the first one was looked at again
        h.clock.advance(0.3)
        if off.taints(h):
            break
    await h.settle_all(30)
    h.over = BOTH
    await h.settle_all(60)
    assert h.cordoned


async def resolved_in_a_pause() -> Two:
    h = await opened(named("first", CORDON, {"wait": {"duration": "1h"}, "timeout": "2h"}, flapWindow="1h"))
    await h.settle_all(50)
    h.cluster.add("pauses", PAUSE_ALL)
    h.over = frozenset({"first"})
    await h.settle_all(30)
    assert (h.statuses()[0].phase, h.owing()) == ("Resolved", [1])
    h.over = frozenset()
    return h


async def test_who_is_reopened_says_so_in_turn_with_who_decides_to_uncordon() -> None:
    h = await resolved_in_a_pause()
    (first,) = h.book.all()
    async with h.looker._deciding:
        look = asyncio.create_task(h.looker.look(first.uid))
        for _ in range(200):
            await asyncio.sleep(0)
        assert h.statuses()[0].phase == "Resolved"
    await look
    assert h.statuses()[0].reopened == 1


async def test_what_is_not_read_of_other_alerts_takes_no_cordon_off_an_alert_that_is_back() -> None:
    h = await resolved_in_a_pause()

    async def broken(*_: Any) -> str:
        return "prometheus did not answer"

    h.looker.refresh_firing = broken
    await h.settle_all(30)
    h.cluster.remove("pauses", PAUSE["metadata"]["namespace"], "p")
    await h.settle_all(30)
    assert h.cordoned


@pytest.mark.parametrize("stuck", ["refused", "paused"])
async def test_an_alert_that_is_back_reopens_though_another_ones_uncordon_is_stuck(stuck: str) -> None:
    later = {"wait": {"duration": "1h"}, "timeout": "2h"}
    h = await cordoned_first(named("second", {"drain": {}}, later, PEOPLE, flapWindow="1h"))
    await h.settle_all(90)
    h.over, h.cluster.refused = BOTH, {"nodes//n1"}
    await h.settle_all(30)
    if stuck == "paused":
        h.cluster.add("pauses", PAUSE_ALL)
        h.cluster.refused = set()
    h.over = frozenset({"first"})
    await h.settle_all(60)
    assert h.statuses()[1].reopened == 1


@pytest.mark.parametrize("more", [{"approval": {"rungs": ["uncordon"]}}, {"mode": "Propose"}])
async def test_who_was_not_answered_gives_no_cordon_up(more: Json) -> None:
    h = await opened(named("first", {"drain": {}, "timeout": "30s"}, PEOPLE))
    await h.settle_all(60)
    await h.joined(named("aaa", {"cordon": {}, "timeout": "30s"}, {"uncordon": {}, "timeout": "20s"}, PEOPLE, **more))
    await h.settle_all(60)
    h.over = frozenset({"first"})
    await h.settle_all(60)
    assert h.cordoned, "the alert of aaa fires, and nobody has said yes"


async def test_a_cordon_left_and_mended_long_ago_voids_no_debt_of_today() -> None:
    h = await opened(named("second", LEAVE, PEOPLE), budget=0)
    await h.settle_all(60)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl-uncordon")
    h.cluster.budget = 1_000
    drains = {"drain": {"deadline": "60s", "atDeadline": "LeaveCordoned"}, "timeout": "70s"}
    await h.joined(named("first", drains, PEOPLE))
    await h.settle_all(120)
    assert (h.cordoned, h.owing(), left(h)) == (True, [0, 1], set())
    silent(h)
    hanging = pod("hang")
    hanging["metadata"]["deletionTimestamp"] = "2026-11-23T11:40:00Z"
    h.cluster.add("pods", hanging)
    await h.joined(named("third", {**off.TAKE, "timeout": "30s"}, {"uncordon": {}, "timeout": "20s"}, PEOPLE))
    await h.settle_all(200)
    assert off.taints(h)
    assert [o.state for o in h.statuses()[1].obligations] == ["Open"]
    h.over = frozenset({"first", "second", "third"})
    await h.settle_all(60)
    assert (h.cordoned, sum(h.owing())) == (False, 0)


async def test_a_taint_that_a_newer_versions_incident_may_have_set_is_not_swept() -> None:
    h = await cordoned_first(named("second", LEAVE, PEOPLE), budget=0)
    await h.settle_all(5)
    silent(h)
    await h.joined(named("third", off.TAKE, PEOPLE))
    await h.settle_all(60)
    assert off.taints(h)
    third = list(h.cluster.all("incidents"))[2]
    h.book.drop(third["metadata"]["uid"])
    assert await sweep(h.cluster, h.book, h.clock.now(), NAMESPACE, [third]) == []
