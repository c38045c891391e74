"""Many alerts that begin at the same moment: all are looked at before any is acted on, and drains wait for that."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from goldseam.api.incident import ObjectRef
from goldseam.engine.opening import first_status
from goldseam.ports import Json
from goldseam.services.chronicle import Chronicle
from goldseam.services.gather import Opened
from goldseam.services.live_policies import live_policy
from goldseam.services.newly import Newly, Stage
from goldseam.services.predecessors import Predecessors
from tests.component.test_careful_drains import asking, prepared, sized
from tests.component.test_deciding import acted, opened
from tests.support.harness import NAMESPACE, Harness

MANY = 30


async def run_as_far_as_it_gets() -> None:
    for _ in range(3_000):
        await asyncio.sleep(0)


async def a_crowd(concurrent: int = 5) -> tuple[Harness, list[str]]:
    """So many incidents of one policy that were opened just now, by their uids."""
    h = await opened(MANY, limits={"actions": [{"count": 50, "per": "1h"}], "concurrent": concurrent})
    uids = [incident.uid for incident in h.book.all()]
    for incident in h.book.all():
        ref = incident.spec.target
        target = h.cluster.objects["deployments", ref.namespace, ref.name]
        policy = live_policy("RemediationPolicy", h.policy)
        h.looker.newly.opened(incident.uid, Opened(h.clock.monotonic(), policy, target))
    return h, uids


async def test_none_of_a_crowd_acts_before_all_of_it_were_looked_at() -> None:
    h, uids = await a_crowd()
    looks = [asyncio.create_task(h.looker.look(uid)) for uid in uids[:-1]]
    await run_as_far_as_it_gets()
    assert acted(h) == []
    await asyncio.gather(h.looker.look(uids[-1]), *looks)
    assert len(acted(h)) == 5
    assert all(i.status is not None and (i.status.holds or i.status.steps) for i in h.book.all()), "all are decided on"


async def test_one_of_a_crowd_does_not_wait_for_ever_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goldseam.services.look.WORST_FIRST", 0.0)
    h, uids = await a_crowd()
    await asyncio.gather(*map(h.looker.look, uids[:-1]))
    assert len(acted(h)) == 5, "one of them is not looked at"


async def test_none_of_a_few_that_fire_together_acts_before_all_of_them_are_opened() -> None:
    h = await opened(3, limits={"actions": [{"count": 50, "per": "1h"}], "concurrent": 5})
    policy = live_policy("RemediationPolicy", h.policy)
    for incident in h.book.all():
        ref = incident.spec.target
        target = h.cluster.objects["deployments", ref.namespace, ref.name]
        h.looker.newly.opened(incident.uid, Opened(h.clock.monotonic(), policy, target, "crowd"))
    looks = [asyncio.create_task(h.looker.look(incident.uid)) for incident in h.book.all()]
    await run_as_far_as_it_gets()
    assert acted(h) == []
    h.looker.newly.over("crowd")
    await asyncio.gather(*looks)
    assert len(acted(h)) == 3


async def test_one_of_a_crowd_that_is_held_is_written_once_with_what_it_waits_for() -> None:
    h, uids = await a_crowd()
    spec = {"reason": "stop", "expiresAt": "2026-11-23T18:00:00Z"}
    h.cluster.add("pauses", {"metadata": {"name": "stop", "namespace": "shop"}, "spec": spec})
    await asyncio.gather(*map(h.looker.look, uids))
    found = [(path, body.get("status")) for _, path, _, body in h.cluster.writes if path.startswith("incidents/")]
    written = [(path, status) for path, status in found if status is not None]  # the others are their opening
    assert len({path for path, _ in written}) == len(written) == MANY
    assert all(status["holds"] and status["policySnapshot"] for _, status in written)
    assert all(status["epoch"] == h.looker.epoch() for _, status in written)


async def test_where_another_leader_has_begun_on_one_of_a_crowd_nothing_of_ours_is_written_over_it() -> None:
    h, uids = await a_crowd()
    incident = h.book.get(uids[0])
    assert incident is not None
    theirs = first_status(live_policy("RemediationPolicy", h.policy), incident.spec, h.clock.now()).dump()
    path = incident.namespace, incident.name
    stored = h.cluster.objects["incidents", *path]
    stored["metadata"]["resourceVersion"] = "99999"
    stored["status"] = {**theirs, "message": "theirs"}
    await asyncio.gather(*map(h.looker.look, uids))
    assert h.cluster.objects["incidents", *path]["status"]["message"] == "theirs"
    h.clock.advance(1)
    await h.looker.look(uids[0])
    known = h.book.get(uids[0])
    assert known is not None
    assert known.status is not None
    assert known.status.holds, "it is looked at again, from how it stands"


async def drained_beside_a_new_one() -> tuple[Harness, asyncio.Task[Any]]:
    """A node that is being drained, while another incident was opened just now and not decided on."""
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1")), ("pods", asking("p2")))
    policy = live_policy("ClusterRemediationPolicy", h.policy)
    h.looker.newly.opened("another", Opened(h.clock.monotonic(), policy, h.target))
    looked = asyncio.create_task(h.looker.look(h.book.all()[0].uid))
    await run_as_far_as_it_gets()
    assert h.live()["spec"]["unschedulable"] is True
    assert evicted(h) == []
    return h, looked


def evicted(h: Harness) -> list[str]:
    return sorted(path for _, path, _, _ in h.cluster.writes if path.startswith("pods/"))


async def test_a_node_is_cordoned_at_once_and_emptied_when_all_that_is_new_is_decided_on() -> None:
    h, looked = await drained_beside_a_new_one()
    h.looker.newly.over("another")
    await looked
    assert evicted(h) == ["pods/shop/p1", "pods/shop/p2"]


async def test_what_people_say_while_an_eviction_waits_is_heard_before_it() -> None:
    h, looked = await drained_beside_a_new_one()
    spec = {"reason": "stop", "expiresAt": "2026-11-23T18:00:00Z"}
    h.cluster.add("pauses", {"metadata": {"name": "stop", "namespace": NAMESPACE}, "spec": spec})
    h.looker.newly.over("another")
    await looked
    assert evicted(h) == []


async def test_of_one_pass_the_first_eviction_only_waits_for_what_is_new() -> None:
    h, looked = await drained_beside_a_new_one()
    policy = live_policy("ClusterRemediationPolicy", h.policy)
    h.looker.newly.opened("a third", Opened(h.clock.monotonic(), policy, h.target))
    h.looker.newly.decided.reached("another")
    await run_as_far_as_it_gets()
    assert not looked.done()
    h.looker.newly.decided.reached("a third")
    await looked
    assert evicted(h) == ["pods/shop/p1", "pods/shop/p2"]


async def test_people_are_called_for_one_of_a_crowd_by_what_is_read_after_it_has_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    h, uids = await a_crowd()
    after, considered, read_before = h.looker._after_the_others, h.looker._considered, []

    async def held(*args: Any) -> Any:
        now, situation, decision = await after(*args)
        return now, situation, replace(decision, kind="hold")

    async def consider(*args: Any) -> Any:
        read_before.append(args[3])
        return await considered(*args)

    monkeypatch.setattr("goldseam.services.look.lasts", lambda _, decision: decision.kind == "hold")
    monkeypatch.setattr(h.looker, "_after_the_others", held)
    monkeypatch.setattr(h.looker, "_considered", consider)
    await asyncio.gather(*map(h.looker.look, uids))
    assert (len(read_before), read_before.count(None)) == (2 * MANY, MANY)
    assert len(acted(h)) == 5


async def test_nothing_waits_for_what_is_new_for_long() -> None:
    stage = Stage()
    assert not await stage.by_all(), "there is none"
    stage.awaits("a")
    assert await stage.by_all(patience=0.0)


async def test_a_first_look_that_fails_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    h, uids = await a_crowd()

    async def fail(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(h.looker, "_looked", fail)
    for uid in uids:
        with pytest.raises(RuntimeError):
            await h.looker.look(uid)
    assert not await h.looker.newly.seen.by_all()
    assert not await h.looker.newly.decided.by_all()


class Told:
    """Takes Events."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    async def record(self, _: Json, __: str, reason: str, *___: object) -> None:
        """One more."""
        self.reasons.append(reason)


@pytest.mark.parametrize("stopped", [False, True])
async def test_events_wait_until_all_that_is_new_is_decided_on_but_not_when_we_are_stopped(stopped: bool) -> None:
    h, newly, told = await opened(1), Newly(), Told()
    newly.decided.awaits("another")
    chronicle = Chronicle(told, later=0, calm=partial(newly.decided.by_all, 60.0))  # type: ignore[arg-type]
    chronicle.warn(h.book.all()[0], "CrdOutdated", "apply the CRDs")
    await run_as_far_as_it_gets()
    assert told.reasons == []
    if stopped:
        await chronicle.close()
    newly.decided.reached("another")
    await run_as_far_as_it_gets()
    assert told.reasons == ["CrdOutdated"]


def target(number: int) -> ObjectRef:
    return ObjectRef(api_version="v1", kind="Node", name=f"n{number}", uid=f"uid-{number}")


async def test_one_list_tells_of_all_targets_that_are_asked_for_meanwhile_each_of_its_own() -> None:
    h = await prepared(("nodes", sized("n2")))
    mine = h.book.all()[0]
    lists, read = 0, h.cluster.list

    async def listed(*args: Any, **more: Any) -> Any:
        nonlocal lists
        lists += 1
        await asyncio.sleep(0)
        return await read(*args, **more)

    h.cluster.list = listed  # type: ignore[method-assign]
    known = Predecessors(h.cluster, NAMESPACE)
    found = await asyncio.gather(known.of(mine.spec.target), *(known.of(target(number)) for number in range(20)))
    assert [obj["metadata"]["uid"] for obj in found[0]] == [mine.uid]
    assert list(found[1:]) == [()] * 20
    assert lists == 1
