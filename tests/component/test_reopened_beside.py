"""The alert of one incident is back while another one gives back the node that both had: nobody else is blamed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from goldseam.services.node_leases import NodeLeases
from tests.component.test_drain_ends import PAUSE, PAUSE_ALL
from tests.component.test_shared_cordons import PEOPLE, Two, cordoned_first, named
from tests.component.test_shared_cordons_in_trouble import BOTH


async def resolved() -> tuple[Two, str, str]:
    """Both are over, and owe the cordon still."""
    later = {"wait": {"duration": "1h"}, "timeout": "2h"}
    h = await cordoned_first(named("second", {"drain": {}}, later, PEOPLE, flapWindow="1h"))
    await h.settle_all(90)
    h.cluster.add("pauses", PAUSE_ALL)
    h.over = BOTH
    await h.settle_all(60)
    h.cluster.remove("pauses", PAUSE["metadata"]["namespace"], "p")
    assert ([s.phase for s in h.statuses()], h.owing()) == (["Resolved", "Resolved"], [1, 1])
    first, second = (incident["metadata"]["uid"] for incident in h.cluster.all("incidents"))
    return h, first, second


async def nobody_took_over(h: Two) -> None:
    await h.settle_all(30)
    assert not h.cordoned
    assert h.statuses()[1].reopened == 1
    assert [e.message for s in h.statuses() for e in s.escalations if e.threshold == "takenOver"] == []


async def test_what_it_has_read_before_the_other_one_uncordoned_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    h, first, second = await resolved()
    h.over = frozenset({"first"})
    consider, decided = h.looker._considered, []

    async def considered(incident: Any, *rest: Any) -> Any:
        found = await consider(incident, *rest)
        if incident.uid == second and not decided:
            decided.append(found[1].reason)
            await h.looker.look(first)
        return found

    monkeypatch.setattr(h.looker, "_considered", considered)
    await h.looker.look(second)
    assert (decided, h.cordoned) == (["Reopened"], False)
    await nobody_took_over(h)


async def test_who_was_about_to_uncordon_itself_heeds_the_other_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    h, first, second = await resolved()
    prepare, reads, go = h.looker._prepared, asyncio.Event(), asyncio.Event()
    in_the_way, looks = NodeLeases.in_the_way, []

    async def prepared(incident: Any, *rest: Any) -> Any:
        if incident.uid == second and not reads.is_set():
            reads.set()
            await go.wait()
            h.over = frozenset({"first"})
        return await prepare(incident, *rest)

    async def meanwhile(*given: Any) -> Any:
        if not go.is_set():
            go.set()
            await looks[0]  # the whole look of the second one, before the request of the first one
        return await in_the_way(*given)

    monkeypatch.setattr(h.looker, "_prepared", prepared)
    monkeypatch.setattr(NodeLeases, "in_the_way", meanwhile)
    looks.append(asyncio.create_task(h.looker.look(second)))
    await reads.wait()
    await h.looker.look(first)
    await nobody_took_over(h)


async def test_who_waits_for_its_turn_until_the_other_one_has_uncordoned_heeds_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    h, first, second = await resolved()
    in_the_way, looks = NodeLeases.in_the_way, []

    async def meanwhile(*given: Any) -> Any:
        if not looks:
            await h.looker._deciding.acquire()  # a third one decides
            h.over = frozenset({"first"})
            looks.append(asyncio.create_task(h.looker.look(second)))
            for _ in range(300):
                await asyncio.sleep(0)
        return await in_the_way(*given)

    monkeypatch.setattr(NodeLeases, "in_the_way", meanwhile)
    await h.looker.look(first)
    h.looker._deciding.release()
    await looks[0]
    await nobody_took_over(h)
