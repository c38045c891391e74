"""Two incidents of two policies on one node: what one of them has cordoned, and the other one has emptied, comes back
when neither needs it any more."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import replace
from typing import Any

import pytest

from goldseam.engine.cordons import left_with
from goldseam.engine.verdict import Reading
from goldseam.engine.views import view
from goldseam.errors import GoldseamError
from goldseam.services.book import IncidentBook
from goldseam.services.sweep import sweep
from tests.component.test_node_incidents import crempol, left, node, pod
from tests.component.test_reboots import booted
from tests.support.harness import NAMESPACE, Harness
from tests.support.objects import reboot_cron_job
from tests.support.sampling import SLOW, sampled

Json = dict[str, Any]
FREE = {"cooldown": "0s", "concurrent": 5}
CORDON = {"cordon": {}, "timeout": "30s"}
PEOPLE: Json = {"escalate": {}}


def named(name: str, *ladder: Json, **spec: Any) -> Json:
    made = crempol(*ladder, limits=FREE, **spec)
    made["metadata"]["name"] = name
    return made


class Two(Harness):
    """Each policy has an alert of its own, which is over when the test says so."""

    over: frozenset[str] = frozenset()

    def _boot(self) -> None:
        super()._boot()
        self.looker.gatherer._read_alert = self._of_its_own

    async def _of_its_own(self, incident: Any, *_: Any) -> Reading:
        if incident.policy.name in self.over:
            return Reading("Cleared", True, "the alert is gone", self.clock.now())
        return self.read()

    async def joined(self, second: Json) -> None:
        self.policy = self.cluster.add(self.policy_plural, second)
        await self.open()

    @property
    def cordoned(self) -> bool:
        return bool(self.live()["spec"].get("unschedulable"))

    def owing(self) -> list[int]:
        return [status.owes for status in self.statuses()]


async def opened(first: Json, pods: int = 2, budget: int = 1_000) -> Two:
    target = node("n1")
    target["status"] = booted("boot-1", "True")
    h = Two(first, target, "nodes")
    h.cluster.add("nodes", node("n2"))
    for number in range(pods):
        h.cluster.add("pods", pod(f"p{number}"))
    h.cluster.add("cronjobs", reboot_cron_job())
    h.cluster.budget = budget
    await h.start()
    await h.open()
    return h


async def cordoned_first(second: Json, budget: int = 1_000) -> Two:
    """The first one has cordoned in vain, and people have it; then the second one begins."""
    h = await opened(named("first", CORDON, PEOPLE), budget=budget)
    await h.settle_all(50)
    assert (h.statuses()[0].phase, h.cordoned) == ("Escalated", True)
    await h.joined(second)
    return h


async def test_a_node_that_one_has_emptied_stays_cordoned_when_the_other_one_that_cordoned_it_is_over() -> None:
    h = await cordoned_first(named("second", {"drain": {}}, PEOPLE))
    await h.settle_all(90)
    assert (h.owing(), left(h), h.statuses()[1].phase) == ([1, 1], set(), "Escalated")
    h.over = frozenset({"first"})
    await h.settle_all(60)
    first = h.statuses()[0]
    assert (first.phase, h.owing(), h.cordoned) == ("Resolved", [0, 1], True)
    assert first.obligations[0].state == "Void"
    assert first.obligations[0].message.startswith(f"Node n1 stays cordoned for Incident {NAMESPACE}/second-")
    h.over = frozenset({"first", "second"})
    await h.settle_all(60)
    assert (h.owing(), h.cordoned) == ([0, 0], False)
    assert [e.threshold for s in h.statuses() for e in s.escalations if e.threshold == "takenOver"] == []


async def test_a_cordon_that_another_one_needs_since_it_was_read_is_not_taken_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    h = await cordoned_first(named("second", {"uncordon": {}}, PEOPLE))
    first, second = h.book.all()
    prepare, is_read = h.looker._prepared, asyncio.Event()

    async def prepared(*args: Any) -> Any:
        found = await prepare(*args)
        is_read.set()
        return found

    monkeypatch.setattr(h.looker, "_prepared", prepared)
    h.book.drop(first.uid)
    async with h.looker._deciding:
        look = asyncio.create_task(h.looker.look(second.uid))
        await is_read.wait()
        h.book.put(first)
    await look
    assert h.cordoned
    assert f"Incident {first.title} needs that still" in h.statuses()[1].message


async def test_who_goes_on_later_cordons_no_node_again_that_a_person_took_from_the_drain_of_another_one() -> None:
    pause = {"wait": {"duration": "2m"}, "timeout": "3m"}
    h = await opened(named("first", CORDON, pause, {"drain": {}, "timeout": "2m"}, PEOPLE), budget=0)
    await h.settle_all(50)
    await h.joined(named("aaa", {"drain": {}, "timeout": "10m"}, PEOPLE))  # it comes first by its name
    await h.settle_all(20)
    assert (h.cordoned, h.owing()) == (True, [1, 1])
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl-uncordon")
    await h.settle_all(30)
    assert [s.phase for s in h.statuses()] == ["Escalated", "Escalated"]
    h.cluster.budget = 1_000
    await h.settle_all(200)
    assert (h.cordoned, left(h)) == (False, {"p0", "p1"})


async def test_of_two_that_are_over_neither_says_that_the_other_one_has_taken_its_cordon_over() -> None:
    h = await cordoned_first(named("second", {"drain": {}}, PEOPLE))
    await h.settle_all(90)
    h.over = frozenset({"first", "second"})
    await h.settle_all(60)
    assert (h.cordoned, [s.obligations[0].state for s in h.statuses()]) == (False, ["Paid", "Paid"])


async def test_two_whose_rungs_say_to_uncordon_do_not_keep_the_node_out_of_service_for_each_other() -> None:
    h = await opened(named("first", {"drain": {}, "timeout": "30s"}, {"uncordon": {}, "timeout": "20s"}, PEOPLE))
    await h.settle_all(10)
    await h.joined(named("aaa", {"drain": {}, "timeout": "30s"}, {"uncordon": {}, "timeout": "20s"}, PEOPLE))
    await h.settle_all(1_000)
    assert (h.cordoned, h.owing()) == (False, [0, 0])


async def test_who_has_cordoned_it_pays_when_the_one_that_emptied_it_is_over_first() -> None:
    h = await cordoned_first(named("second", {"drain": {}}, PEOPLE))
    await h.settle_all(20)
    h.over = frozenset({"second"})
    await h.settle_all(60)
    assert (h.statuses()[1].phase, h.owing(), h.cordoned) == ("Resolved", [1, 0], True), "its alert fires still"
    h.over = frozenset({"first", "second"})
    await h.settle_all(60)
    assert (h.owing(), h.cordoned) == ([0, 0], False)


async def test_of_two_that_are_over_at_the_same_moment_one_uncordons() -> None:
    h = await cordoned_first(named("second", {"drain": {}}, PEOPLE))
    await h.settle_all(90)
    h.over = frozenset({"first", "second"})
    await h.settle_all(60)
    assert (h.owing(), h.cordoned) == ([0, 0], False)
    assert sum(step.purpose == "Undo" for status in h.statuses() for step in status.steps) == 1


class Slow:
    """A cluster that takes its time, now for the one and now for the other."""

    def __init__(self, cluster: Any, rng: random.Random) -> None:
        self._cluster, self._rng = cluster, rng

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cluster, name)
        if name not in ("get", "list", "patch"):
            return found

        async def late(*args: Any, **more: Any) -> Any:
            for _ in range(self._rng.randrange(30)):
                await asyncio.sleep(0)
            answer = await found(*args, **more)
            for _ in range(self._rng.randrange(30)):
                await asyncio.sleep(0)
            return answer

        return late


@pytest.mark.parametrize("seed", [*range(5), *(pytest.param(seed, marks=SLOW) for seed in range(5, 20))])
async def test_two_that_are_looked_at_beside_each_other_never_leave_it_to_each_other(seed: int) -> None:
    rng = random.Random(seed)
    h = await cordoned_first(named("second", {"drain": {}}, PEOPLE))
    await h.settle_all(90)
    fast, h.cluster = h.cluster, Slow(h.cluster, rng)  # type: ignore[assignment]
    await h.start()
    uids = [obj["metadata"]["uid"] for obj in fast.all("incidents")]

    async def looked(uid: str) -> None:
        with contextlib.suppress(GoldseamError):
            await h.looker.look(uid)

    for moment in range(40):
        h.over = frozenset(["first"][: moment >= rng.randrange(3)] + ["second"][: moment >= rng.randrange(3)])
        await asyncio.gather(*map(looked, uids))
        h.clock.advance(rng.choice((0.1, 2, 5)))
    assert (h.owing(), h.cordoned) == ([0, 0], False)
    assert sum(step.outcome == "Undone" for status in h.statuses() for step in status.steps) == 1


@pytest.mark.parametrize("held", [False, True], ids=["at rest", "while it drains"])
async def test_a_node_is_not_uncordoned_between_the_drain_of_another_one_and_its_reboot(held: bool) -> None:
    ladder = ({"drain": {}, "timeout": "10m", "goOn": "WhenDone"}, {"reboot": {}, "timeout": "5m"}, PEOPLE)
    h = await cordoned_first(named("second", *ladder), budget=0 if held else 1_000)
    await h.settle_all(3)
    h.over = frozenset({"first"})
    await h.settle_all(60)
    h.cluster.budget = 1_000
    await h.settle_all(60)
    assert [(s.action, s.outcome) for s in h.statuses()[1].steps] == [("drain", "WentOn"), ("reboot", None)]
    assert (h.cordoned, h.owing()) == (True, [0, 1])


async def test_whom_a_drain_that_failed_makes_due_leaves_it_to_the_one_that_needs_it_still() -> None:
    h = await cordoned_first(named("second", {"drain": {"deadline": "20s"}}, PEOPLE), budget=0)
    await h.settle_all(90)
    assert (h.statuses()[1].steps[0].outcome, h.owing(), h.cordoned) == ("Failed", [1, 0], True)


async def test_what_one_policy_says_to_leave_cordoned_nobody_uncordons() -> None:
    drain = {"drain": {"deadline": "20s", "atDeadline": "LeaveCordoned"}}
    h = await cordoned_first(named("second", drain, PEOPLE), budget=0)
    await h.settle_all(90)
    first, second = h.statuses()
    assert [e.kind for e in second.timeline if e.kind == "LeftCordoned"] == ["LeftCordoned"]
    assert "`kubectl uncordon n1`" in second.escalations[-1].message
    assert (h.owing(), first.obligations[0].state) == ([0, 0], "Void")
    assert first.obligations[0].message.endswith(
        "has left Node n1 cordoned for people to mend (atDeadline: LeaveCordoned)"
    )
    h.over = frozenset({"first", "second"})
    await h.settle_all(60)
    assert h.cordoned
    assert await sweep(h.cluster, h.book, h.clock.now(), NAMESPACE) == []


async def test_who_cordons_it_anew_after_people_have_mended_it_owes_that() -> None:
    """The one that has left it cordoned is there still, for its alert fires."""
    drain = {"drain": {"deadline": "20s", "atDeadline": "LeaveCordoned"}}
    h = await opened(named("first", drain, PEOPLE), budget=0)
    await h.settle_all(60)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl-uncordon")
    h.cluster.budget = 1_000
    await h.joined(named("second", {**drain, "timeout": "2m"}, PEOPLE))
    await h.settle_all(90)
    assert (h.cordoned, h.owing()) == (True, [0, 1])
    h.over = frozenset({"second"})
    await h.settle_all(60)
    assert (h.cordoned, h.owing()) == (False, [0, 0])


async def test_a_cordon_of_a_deleted_policy_stays_for_the_one_that_builds_on_it() -> None:
    h = await cordoned_first(named("second", {"drain": {}}, PEOPLE))
    await h.settle_all(20)
    h.cluster.remove(h.policy_plural, "", "first")
    await h.settle_all(30)
    assert (h.statuses()[0].phase, h.owing(), h.cordoned) == ("Abandoned", [0, 1], True)
    h.over = frozenset({"second"})
    await h.settle_all(60)
    assert (h.owing(), h.cordoned) == ([0, 0], False)


@pytest.mark.parametrize("rung", [{"cordon": {}}, {"drain": {}}], ids=["cordon", "drain"])
async def test_what_another_one_has_done_already_is_needed_by_who_finds_it_so(rung: Json) -> None:
    h = await opened(named("first", {"drain": {}, "timeout": "30s"}, PEOPLE))
    await h.settle_all(60)
    await h.joined(named("second", rung, PEOPLE))
    await h.settle_all(20)
    assert (h.statuses()[1].steps[0].outcome, h.owing()) == ("NothingToDo", [1, 1])
    h.over = frozenset({"first"})
    await h.settle_all(60)
    assert (h.owing(), h.cordoned) == ([0, 1], True)


async def test_who_only_observes_builds_on_nothing() -> None:
    h = await opened(named("first", {"drain": {}, "timeout": "30s"}, PEOPLE))
    await h.settle_all(60)
    await h.joined(named("second", {"drain": {}}, PEOPLE, mode="Observe"))
    await h.settle_all(20)
    assert h.owing() == [1, 0]


async def test_a_rung_that_uncordons_leaves_it_to_the_one_that_needs_it() -> None:
    h = await cordoned_first(named("second", {"uncordon": {}}, PEOPLE))
    await h.settle_all(20)
    step = h.statuses()[1].steps[0]
    assert (step.outcome, h.cordoned, h.owing()) == ("NothingToDo", True, [1, 0])
    assert step.message.startswith(f"Node n1 stays cordoned: Incident {NAMESPACE}/first-")


@pytest.mark.parametrize("anew", [False, True], ids=["uncordoned", "cordoned anew"])
async def test_a_person_takes_it_from_both(anew: bool) -> None:
    h = await cordoned_first(named("second", {"drain": {}}, PEOPLE), budget=0)
    await h.settle_all(10)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl-uncordon")
    if anew:
        h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon")
    h.cluster.budget = 1_000
    await h.settle_all(90)
    assert (h.owing(), h.cordoned) == ([0, 0], anew)
    h.over = frozenset({"first", "second"})
    await h.settle_all(60)
    assert h.cordoned is anew


@pytest.mark.parametrize(("namespace", "known"), [(NAMESPACE, 1), ("evil", 0)], ids=["home", "elsewhere"])
async def test_an_incident_of_another_namespace_neither_needs_a_node_nor_leaves_it(namespace: str, known: int) -> None:
    """Who may write Incidents somewhere keeps no node out of service, and takes no debt away."""
    h = await cordoned_first(named("second", {"drain": {}}, PEOPLE))
    await h.settle_all(20)
    second = list(h.cluster.all("incidents"))[1]
    meta = {"name": "forged", "namespace": namespace, "uid": "forged"}
    forged = view({**second, "metadata": {**second["metadata"], **meta}})
    assert forged is not None
    assert forged.status is not None
    debts = forged.status.obligations
    void = [o.model_copy(update={"state": "Void", "message": left_with(o.object, "x")}) for o in debts]
    book, mine = IncidentBook(NAMESPACE), h.book.all()[0]
    book.put(forged)
    assert sum(len(other.obligations) for other in book.others(mine)) == known
    book.put(replace(forged, status=forged.status.model_copy(update={"obligations": void})))
    assert sum(len(other.left) for other in book.others(mine)) == known
    assert [other.left for other in book.others(replace(mine, namespace="shop"))] == known * [frozenset()]


async def scenario(kill_at: int | None, after: bool, *, leave: bool) -> tuple[Two, bool]:
    """The second one drains what the first one has cordoned; the first one is over; then the second one."""
    at = {"deadline": "20s", "atDeadline": "LeaveCordoned"} if leave else {}
    h = await cordoned_first(named("second", {"drain": at, "timeout": "30s"}, PEOPLE), budget=0 if leave else 1_000)
    h.cluster.kill_at = None if kill_at is None else h.cluster.attempts + kill_at
    h.cluster.kill_after = after
    killed = await h.settle_through_crashes(60, h.settle_all)
    h.over = frozenset({"first"})
    killed |= await h.settle_through_crashes(30, h.settle_all)
    assert h.cordoned, f"killed at write {kill_at}: the alert of the second one fires"
    h.over = frozenset({"first", "second"})
    killed |= await h.settle_through_crashes(30, h.settle_all)
    return h, killed


@pytest.mark.parametrize("leave", [False, True], ids=["given back", "left cordoned"])
@pytest.mark.parametrize("after", sampled([True, False]))
async def test_killed_at_any_write_two_that_share_a_cordon_neither_lose_nor_break_it(after: bool, leave: bool) -> None:
    points = 0
    for point in range(1, 60):
        h, killed = await scenario(point, after, leave=leave)
        if not killed:
            break
        points += 1
        assert (h.owing(), h.cordoned) == ([0, 0], leave), f"killed at write {point}"
        assert [s.phase for s in h.statuses()] == ["Resolved", "Resolved"], f"killed at write {point}"
        assert [o for s in h.statuses() for o in s.obligations if o.state == "Lost"] == []
    assert points >= 10
