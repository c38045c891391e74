"""A drain's evictions: workloads beside each other, the next pod as soon as a budget lets it go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from goldseam.api.incident import Write
from goldseam.engine.objects import reference
from goldseam.errors import Forbidden
from goldseam.services import evicting
from goldseam.services.act import Actor
from goldseam.services.evicting import Evicting
from tests.component.test_node_incidents import left, opened

Json = dict[str, Any]


def pod(name: str, app: str, *, ready: bool = True) -> Json:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": app, "uid": f"uid-{app}", "controller": True}
    condition = {"type": "Ready", "status": str(ready)}
    meta = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "labels": {"app": app}, "ownerReferences": [owner]}
    return {"metadata": meta, "status": {"phase": "Running", "conditions": [condition]}}


def budget(app: str, allowed: int) -> Json:
    return {
        "metadata": {"name": app, "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": app}}},
        "status": {"disruptionsAllowed": allowed},
    }


class Toy:
    """An Eviction API and a watch of budgets, as far as evicting asks them."""

    def __init__(self, pods: list[Json], budgets: list[Json], *events: Json | Callable[[], Json]) -> None:
        self.events: list[Json | Callable[[], Json]] = list(events)
        self.asked: list[str] = []
        self.refuses: set[str] = set()
        self.goes_on = True
        writes = [Write(verb="Evict", object=reference(one, "v1", "Pod")) for one in pods]
        self._names = [one["metadata"]["name"] for one in pods]
        self.evicting = Evicting(writes, range(len(writes)), pods, budgets, self._evict, self._go_on)

    async def run(self) -> list[str]:
        await self.evicting.run(self)  # type: ignore[arg-type]
        return self.asked

    async def _evict(self, index: int) -> str:
        self.asked.append(self._names[index])
        return "Waiting" if self._names[index] in self.refuses else "Done"

    async def _go_on(self) -> bool:
        return self.goes_on

    async def watch(self, *_: object, seconds: float) -> AsyncGenerator[Json, None]:
        for event in self.events:
            for _ in range(50):  # what the one before has let go has gone
                await asyncio.sleep(0)
            found = event() if callable(event) else event
            yield {"type": "MODIFIED", "object": found} if "type" not in found else found


async def test_what_no_budget_covers_goes_at_once() -> None:
    toy = Toy([pod("a-0", "a"), pod("a-1", "a"), pod("b-0", "b")], [budget("c", 0)])
    assert sorted(await toy.run()) == ["a-0", "a-1", "b-0"]


async def test_workloads_go_beside_each_other_and_each_in_its_order() -> None:
    pods = [pod(f"{app}-{number}", app) for app in "ab" for number in range(3)]
    toy = Toy(pods, [budget("a", 1), budget("b", 1)], budget("a", 1), budget("b", 1), budget("a", 1))
    assert sorted((await toy.run())[:2]) == ["a-0", "b-0"]
    assert [name for name in toy.asked if "a" in name] == ["a-0", "a-1", "a-2"]
    assert [name for name in toy.asked if "b" in name] == ["b-0", "b-1"], "its budget was counted anew but once"


async def test_a_budget_that_lets_nothing_go_is_not_asked() -> None:
    toy = Toy([pod("a-0", "a"), pod("b-0", "b")], [budget("a", 0)])
    assert await toy.run() == ["b-0"]


async def test_a_budget_of_another_namespace_is_nobodys_business() -> None:
    theirs = budget("a", 1)
    theirs["metadata"]["namespace"] = "bank"
    toy = Toy([pod("a-0", "a")], [budget("a", 1), theirs], theirs, theirs)
    toy.refuses.add("a-0")
    assert await toy.run() == ["a-0"]


async def test_who_is_not_asked_is_told_which_budget_holds() -> None:
    toy = Toy([pod("a-0", "a"), pod("a-1", "a"), pod("b-0", "b")], [budget("a", 1)])
    await toy.run()
    assert toy.evicting.held() == {1: "its disruption budget lets nothing go now: PodDisruptionBudget shop/a"}
    h = await opened({"drain": {}})
    for one in h.cluster.all("pods"):
        one["metadata"]["labels"] = {"app": "a"}
    h.cluster.add("poddisruptionbudgets", budget("a", 2))
    await h.look()
    assert len(left(h)) == 3, "two pods and the daemon"
    assert [bool(write.message) for write in h.status.steps[0].writes] == [False, False, False, True, True]
    assert "PodDisruptionBudget shop/a" in h.status.steps[0].writes[-1].message


async def test_what_was_refused_is_asked_for_again_once_its_budget_is_counted_anew() -> None:
    toy = Toy([pod("a-0", "a")], [budget("a", 1)])

    def counted() -> Json:
        toy.refuses.clear()
        return budget("a", 1)

    toy.refuses.add("a-0")
    toy.events = [counted]
    assert await toy.run() == ["a-0", "a-0"]


async def test_one_that_is_not_ready_is_asked_for_though_nothing_is_left() -> None:
    toy = Toy([pod("a-0", "a", ready=False)], [budget("a", 0)], budget("a", 0), budget("a", 0))
    toy.refuses.add("a-0")
    asked = await toy.run()
    assert 1 < len(asked) <= 3, "once each time that the budget was counted anew"


async def test_of_one_that_is_not_ready_nothing_is_taken_from_the_budget() -> None:
    toy = Toy([pod("a-0", "a", ready=False), pod("a-1", "a"), pod("a-2", "a")], [budget("a", 1)])
    assert await toy.run() == ["a-0", "a-1"]


async def test_a_budget_that_is_deleted_holds_nothing_any_more() -> None:
    gone = {"type": "DELETED", "object": budget("a", 0)}
    assert await Toy([pod("a-0", "a")], [budget("a", 0)], gone).run() == ["a-0"]


async def test_nothing_more_goes_once_something_holds() -> None:
    pods = [pod(f"{app}-{number}", app) for app in "ab" for number in range(2)]
    toy = Toy(pods, [budget("a", 1)], budget("a", 1))
    toy.goes_on = False
    assert await toy.run() == []

    later = Toy([pod("a-0", "a"), pod("a-1", "a")], [budget("a", 1)])

    def stops() -> Json:
        later.goes_on = False
        return budget("a", 1)

    later.events = [stops]
    assert await later.run() == ["a-0"]


async def test_where_budgets_may_not_be_watched_the_next_look_goes_on() -> None:
    toy = Toy([pod("a-0", "a"), pod("a-1", "a")], [budget("a", 1)])

    async def forbidden(*_: object, seconds: float) -> AsyncGenerator[Json, None]:
        raise Forbidden("cannot watch poddisruptionbudgets")
        yield {}

    toy.watch = forbidden  # type: ignore[method-assign]
    assert await toy.run() == ["a-0"]


async def test_a_look_at_a_drain_goes_on_as_soon_as_the_budget_frees() -> None:
    h = await opened({"drain": {}}, budget=0)

    def freed() -> Json:
        h.cluster.budget = 10
        return {"type": "MODIFIED", "object": budget("app", 1)}

    h.cluster.watched["poddisruptionbudgets"] = [freed]
    begun = h.clock.now()
    await h.look()
    assert left(h) == {"daemon"}
    assert h.clock.now() == begun
    assert {write.state for write in h.status.steps[0].writes} == {"Done"}


async def test_a_pause_between_two_evictions_stops_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    h = await opened({"drain": {}})
    evict = Actor._evict

    async def paused(*args: Any, **options: Any) -> None:
        await evict(*args, **options)
        spec = {"reason": "we are deploying", "cluster": True}
        h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "goldseam-system"}, "spec": spec})

    monkeypatch.setattr(Actor, "_evict", paused)
    await h.look()
    assert len(left(h)) == 4, "three pods and the daemon"


async def test_a_pause_while_a_budget_is_waited_for_holds_the_first_eviction_too() -> None:
    h = await opened({"drain": {}})
    for one in h.cluster.all("pods"):
        one["metadata"]["labels"] = {"app": "a"}
    h.cluster.add("poddisruptionbudgets", budget("a", 0))
    await h.look()
    assert h.live()["spec"]["unschedulable"]

    def paused() -> Json:
        spec = {"reason": "we are deploying", "cluster": True}
        h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "goldseam-system"}, "spec": spec})
        return {"type": "MODIFIED", "object": budget("a", 9)}

    h.cluster.watched["poddisruptionbudgets"] = [paused]
    await h.look()
    assert len(left(h)) == 5, "four pods and the daemon"


async def test_changes_of_budgets_elsewhere_do_not_put_off_the_question_whether_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evicting, "PASS", 3600.0)
    monkeypatch.setattr(evicting, "SAFE_EACH", 0.3)
    toy, theirs = Toy([pod("a-0", "a")], [budget("a", 0)]), budget("a", 1)
    theirs["metadata"]["namespace"] = "bank"

    async def busy(*_: object, seconds: float) -> AsyncGenerator[Json, None]:
        toy.goes_on = False
        while True:
            await asyncio.sleep(0)
            yield {"type": "MODIFIED", "object": theirs}

    toy.watch = busy  # type: ignore[method-assign]
    async with asyncio.timeout(30):
        assert await toy.run() == []


async def test_a_pass_is_over_in_time_though_each_eviction_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    toy, loop = Toy([pod("a-0", "a"), pod("a-1", "a")], []), asyncio.get_running_loop()
    clock, evict, late = loop.time, toy._evict, [0.0]
    monkeypatch.setattr(loop, "time", lambda: clock() + late[0])

    async def slowly(index: int) -> str:
        late[0] += evicting.PASS
        return await evict(index)

    toy.evicting._evict = slowly
    assert await toy.run() == ["a-0"], "everything is looked at again before the next one"


async def test_one_that_was_not_answered_is_not_asked_for_again_at_once() -> None:
    h = await opened({"drain": {}})
    h.cluster.mute = {"pods/shop/p1"}
    again = await h.look()
    assert left(h) == {"daemon", "p1"}
    assert again, "what was asked may be under way still, or the API server is busy"


@pytest.mark.parametrize("theirs", [False, True], ids=["our cordon", "their cordon"])
async def test_who_uncordons_the_node_between_two_evictions_stops_the_pass(
    theirs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    h = await opened({"drain": {}})
    if theirs:
        h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon")
    evict = Actor._evict

    async def uncordoned(*args: Any, **options: Any) -> None:
        await evict(*args, **options)
        h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl-uncordon")

    monkeypatch.setattr(Actor, "_evict", uncordoned)
    await h.settle(20)
    assert len(left(h)) == 4, "three pods and the daemon"
    assert (h.status.phase, h.status.steps[0].outcome) == ("Escalated", "Superseded")
    assert "Node n1 was uncordoned while it was drained" in h.status.steps[0].message
