"""Alert sources are read at every interval, whatever those do who listen."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.engine.alerts import RulesAnswer
from goldseam.services.sources import Source, Sources
from tests.support.harness import VirtualClock

SPEC = AlertSourceSpec.model_validate({"url": "http://p", "interval": "15s"})


class Server:
    """Counts its reads; an interval passes at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads, self.clock = 0, VirtualClock()
        sleep = asyncio.sleep

        async def interval(seconds: float) -> None:
            self.clock.advance(seconds)
            await sleep(0)

        monkeypatch.setattr("goldseam.services.sources.asyncio.sleep", interval)

    async def rules(self) -> RulesAnswer:
        self.reads += 1
        return RulesAnswer(())

    async def version(self) -> str:
        return "3"

    def make(self, _: AlertSourceSpec) -> Any:
        return self, self


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def test_reading_goes_on_while_those_who_listen_are_busy_and_they_get_the_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(monkeypatch)
    told: list[int] = []
    free = asyncio.Event()

    async def listen(_: Source) -> None:
        told.append(server.reads)
        if len(told) == 1:
            await free.wait()

    sources = Sources(server.make, server.clock, listen)
    await sources.put("default", SPEC)
    await until(lambda: server.reads >= 10)
    assert told == [1]
    free.set()
    await until(lambda: len(told) >= 2)
    assert told[1] >= 10, "nine that came meanwhile are one"
    await sources.close()


async def test_a_listener_that_breaks_ends_neither_the_reading_nor_the_listening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(monkeypatch)
    told: list[int] = []

    async def listen(_: Source) -> None:
        told.append(server.reads)
        if len(told) == 1:
            raise RuntimeError("a defect")

    sources = Sources(server.make, server.clock, listen)
    await sources.put("default", SPEC)
    await until(lambda: len(told) >= 3)
    await sources.close()


async def test_a_source_that_is_removed_is_neither_read_nor_told_of_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    told: list[int] = []

    async def listen(_: Source) -> None:
        told.append(server.reads)
        await asyncio.Event().wait()

    sources = Sources(server.make, server.clock, listen)
    await sources.put("default", SPEC)
    await until(lambda: told)
    await sources.remove("default")
    before = server.reads
    for _ in range(50):
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    assert (server.reads, len(told)) == (before, 1)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
