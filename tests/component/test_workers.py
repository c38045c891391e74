"""The tasks of the open incidents: one each, woken, backing off, ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from goldseam.errors import Fenced, Throttled, Unavailable
from goldseam.services.workers import Workers


async def deposed() -> bool:
    return True


async def test_a_wake_looks_at_once_and_an_end_ends_the_task() -> None:
    looked: list[str] = []

    async def look(uid: str) -> timedelta | None:
        looked.append(uid)
        return timedelta(hours=1) if len(looked) < 2 else None

    workers = Workers(look, deposed)
    workers.wake("a")
    while len(looked) < 1:
        await asyncio.sleep(0)
    workers.wake("a")
    while workers.count:
        await asyncio.sleep(0)
    assert looked == ["a", "a"]


async def test_a_failure_is_waited_out_however_often_it_is_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    looked = 0

    async def rest(span: float) -> None:
        slept.append(span)

    async def look(_: str) -> timedelta | None:
        nonlocal looked
        looked += 1
        if looked < 5:
            raise Unavailable("HTTP 503")
        return None

    monkeypatch.setattr("goldseam.services.workers.asyncio.sleep", rest)
    workers = Workers(look, deposed, chance=lambda: 0.0)
    workers.wake("a")
    await asyncio.gather(*workers._tasks.values())
    assert slept == [5.0, 10.0, 20.0, 40.0]


@pytest.mark.parametrize(
    ("asked", "chance", "expected"), [(None, 0.0, 5.0), (None, 1.0, 6.25), (8, 0.0, 8.0), (8, 1.0, 10.0), (1, 0.0, 5.0)]
)
async def test_a_wait_is_never_shorter_than_the_server_asked_for_and_not_in_step_with_others(
    asked: int | None, chance: float, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def rest(span: float) -> None:
        slept.append(span)

    async def look(_: str) -> timedelta | None:
        if not slept:
            raise Throttled("HTTP 429", timedelta(seconds=asked) if asked else None)
        return None

    monkeypatch.setattr("goldseam.services.workers.asyncio.sleep", rest)
    workers = Workers(look, deposed, chance=lambda: chance)
    workers.wake("a")
    await asyncio.gather(*workers._tasks.values())
    assert slept == [expected]


async def test_one_incident_that_breaks_stops_no_other() -> None:
    done = asyncio.Event()

    async def look(uid: str) -> timedelta | None:
        if uid == "broken":
            raise RuntimeError("a defect")
        done.set()
        return None

    workers = Workers(look, deposed)
    workers.wake("broken")
    workers.wake("sound")
    await asyncio.wait_for(done.wait(), 5)
    await workers.close()


async def test_a_write_that_the_fence_refuses_ends_the_process() -> None:
    async def look(_: str) -> timedelta | None:
        raise Fenced("status.epoch: never goes down")

    workers = Workers(look, deposed)
    workers.wake("a")
    with pytest.raises(Fenced):
        await asyncio.wait_for(workers.until_deposed(), 5)


async def test_an_epoch_that_somebody_forged_stops_its_incident_only() -> None:
    done = asyncio.Event()

    async def look(uid: str) -> timedelta | None:
        if uid == "forged":
            raise Fenced("status.epoch: never goes down")
        done.set()
        return None

    async def still_leading() -> bool:
        return False

    workers = Workers(look, still_leading)
    watching = asyncio.create_task(workers.until_deposed())
    workers.wake("forged")
    await asyncio.sleep(0)
    workers.wake("sound")
    await asyncio.wait_for(done.wait(), 5)
    assert not watching.done()
    watching.cancel()
    await workers.close()
