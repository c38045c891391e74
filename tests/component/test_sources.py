"""Alert sources are read at every interval, whatever those do who listen."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.engine.alerts import ActiveAlert, RulesAnswer, Samples
from goldseam.errors import Unavailable
from goldseam.services.bell import Bell
from goldseam.services.sources import Listening, Source, Sources, Wanted
from tests.support.harness import VirtualClock

SPEC = AlertSourceSpec.model_validate({"url": "http://p", "interval": "15s"})


class Server:
    """Counts its reads; an interval passes at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads, self.clock = 0, VirtualClock()
        self.deaf_for = 0
        sleep = asyncio.sleep

        async def interval(seconds: float) -> None:
            self.clock.advance(seconds)
            await sleep(0)

        async def rest(_: Bell, seconds: float, took: float) -> bool:
            await interval(seconds)
            return False

        monkeypatch.setattr(Bell, "rest", rest)
        monkeypatch.setattr("goldseam.services.sources.asyncio.sleep", interval)

    async def rules(self, names: frozenset[str] | None = None) -> RulesAnswer:
        self.reads += 1
        return RulesAnswer((), asked=names)

    async def firing(self) -> tuple[ActiveAlert, ...]:
        return ()

    async def version(self) -> str:
        return "3"

    async def query(self, _: str) -> Samples:
        self.deaf_for -= 1
        if self.deaf_for >= 0:
            raise Unavailable("HTTP 404: no PromQL")
        return Samples((1.0,))

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

    sources = Sources(server.make, server.clock, Listening(listen))
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
    runs, running = [], Source.run

    async def run(source: Source) -> None:
        runs.append(source.name)
        await running(source)

    async def listen(_: Source) -> None:
        told.append(server.reads)
        if len(told) == 1:
            raise RuntimeError("a defect")

    monkeypatch.setattr(Source, "run", run)
    sources = Sources(server.make, server.clock, Listening(listen))
    await sources.put("default", SPEC)
    await until(lambda: len(told) >= 3)
    assert runs == ["default"], "it is not begun anew after a rest, in which what is hinted at is not heard"
    await sources.close()


async def test_a_source_that_is_removed_is_neither_read_nor_told_of_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    told: list[int] = []

    async def listen(_: Source) -> None:
        told.append(server.reads)
        await asyncio.Event().wait()

    sources = Sources(server.make, server.clock, Listening(listen))
    await sources.put("default", SPEC)
    await until(lambda: told)
    await sources.remove("default")
    before = server.reads
    for _ in range(50):
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    assert (server.reads, len(told)) == (before, 1)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


class Prompt:
    """A server, and what is wanted of it; remembers what was asked."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.wanted = Wanted(frozenset({"A"}), storm=False)
        self.asked: list[str] = []
        self.broken = ""

    async def rules(self, names: frozenset[str] | None = None) -> RulesAnswer:
        self.asked.append("all" if names is None else ",".join(sorted(names)))
        return RulesAnswer((), asked=names, total=7, groups=2)

    async def firing(self) -> tuple[ActiveAlert, ...]:
        if self.broken:
            raise Unavailable(self.broken)
        self.asked.append("firing")
        return (ActiveAlert({"alertname": "Other"}, {}, "firing", self.clock.now()),)

    async def version(self) -> str:
        return "3"

    def source(self, **spec: Any) -> Source:
        async def answered(_: Source) -> None:
            return None

        listening = Listening(answered, lambda _: self.wanted)
        found = AlertSourceSpec.model_validate({"url": "http://p"} | spec)
        return Source("default", found, self, self, self.clock, listening)  # type: ignore[arg-type]


async def test_the_rules_that_matter_are_asked_for_and_the_heartbeat_with_them() -> None:
    server = Prompt()
    source = server.source(heartbeat={"alert": "Watchdog"})
    await source.read()
    assert server.asked[0] == "A,Watchdog"
    assert (source.rules, source.groups, source.read_last) == (7, 2, server.clock.now())


async def test_all_that_fires_is_read_while_it_can_hold_something_and_else_each_minute() -> None:
    server = Prompt()
    source = server.source()
    for _ in range(6):
        await source.read()
        server.clock.advance(15)
    assert server.asked.count("firing") == 2
    server.wanted = Wanted(frozenset({"A"}), storm=True)
    for _ in range(3):
        await source.read()
        server.clock.advance(15)
    assert server.asked.count("firing") == 5
    assert [alert.labels["alertname"] for alert in source.firing] == ["Other"]


async def read_twice(server: Prompt) -> Source:
    """Its source, read with all that fires, and a while later without: nothing is open that it could hold."""
    source = server.source()
    await source.read()
    server.clock.advance(15)
    await source.read()
    return source


async def test_before_anything_is_done_all_that_fires_is_read_though_the_rules_were_read_just_now() -> None:
    server = Prompt()
    source = await read_twice(server)
    assert server.asked == ["A", "firing", "A"]
    server.wanted = Wanted(frozenset({"A"}), storm=True)
    await source.refresh()
    assert await source.refresh_firing() == ""
    assert server.asked[3:] == ["firing"]
    await source.refresh()
    await source.refresh_firing()
    assert len(server.asked) == 4, "that was just now"


async def test_where_what_fires_cannot_be_read_before_anything_is_done_nothing_is_known() -> None:
    server = Prompt()
    source = await read_twice(server)
    server.wanted, server.broken = Wanted(frozenset({"A"}), storm=True), "HTTP 404"
    assert await source.refresh_firing() == "HTTP 404"
    assert source.history.problem == "HTTP 404"


async def test_a_hint_reads_the_rules_only_however_much_else_fires() -> None:
    server = Prompt()
    server.wanted = Wanted(frozenset({"A"}), storm=True)
    source = server.source()
    await source.read()
    for _ in range(3):
        server.clock.advance(100)
        await source.read(hinted=True)
    assert server.asked == ["A", "firing", "A", "A", "A"]


async def test_where_what_fires_could_not_be_read_last_a_hint_reads_it_too() -> None:
    server = Prompt()
    server.wanted, server.broken = Wanted(frozenset({"A"}), storm=True), "HTTP 404"
    source = server.source()
    await source.read()
    await source.read(hinted=True)
    assert source.history.problem == "HTTP 404", "the rules alone do not make the source known again"
    server.broken = ""
    await source.read(hinted=True)
    assert (source.history.problem, server.asked.count("firing")) == ("", 1)


async def test_the_rules_are_read_while_all_that_fires_still_is_and_who_waits_for_that_shares_it() -> None:
    server = Prompt()
    source = await read_twice(server)
    server.wanted = Wanted(frozenset({"A"}), storm=True)
    reading, firing = asyncio.Event(), server.firing

    async def slow() -> tuple[ActiveAlert, ...]:
        await reading.wait()
        return await firing()

    server.firing = slow  # type: ignore[method-assign]
    waiting = [asyncio.create_task(source.refresh_firing()) for _ in range(3)]
    await asyncio.sleep(0)
    server.clock.advance(3)
    await asyncio.wait_for(source.read(hinted=True), 5)
    reading.set()
    await asyncio.gather(*waiting)
    assert server.asked == ["A", "firing", "A", "A", "firing"]


async def test_where_what_fires_cannot_be_read_nothing_is_known() -> None:
    server = Prompt()
    server.broken = "HTTP 404"
    source = server.source()
    await source.read()
    assert source.history.problem == "HTTP 404"
    assert source.reading("A", lambda _: True).state == "Unknown"


async def test_rules_that_were_not_asked_for_are_asked_for_together_and_at_most_each_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Prompt()
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        server.wanted = Wanted(frozenset({"A", "B", "C"}), storm=False)  # more come meanwhile

    monkeypatch.setattr("goldseam.services.sources.asyncio.sleep", sleep)
    source = server.source()
    await source.read()
    await asyncio.gather(*(source.know(name) for name in "ABCABC"))
    assert (server.asked, waited) == (["A", "firing", "A,B,C"], [1.0])


async def test_a_source_that_does_not_answer_is_not_asked_for_one_policy_after_the_other() -> None:
    server = Prompt()
    server.broken = "no answer within 10 s"
    source = server.source()
    await source.read()
    asked = len(server.asked)
    await source.know("B")
    assert len(server.asked) == asked


async def test_a_server_that_was_away_is_asked_for_its_version_again() -> None:
    server = Prompt()
    source = server.source()
    await source.read()
    assert source.version == "3"
    server.broken = "cannot connect"
    server.wanted = Wanted(storm=True)
    await source.read()
    assert source.version == ""
    server.broken = ""
    await source.read()
    assert source.version == "3"


async def test_the_time_to_the_next_read_is_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    begun = server.clock.monotonic()

    async def listen(_: Source) -> None:
        return None

    sources = Sources(server.make, server.clock, Listening(listen, spread=lambda: 0.9))
    await sources.put("default", SPEC)
    await until(lambda: server.reads >= 11)
    passed = server.clock.monotonic() - begun
    await sources.close()
    assert passed == pytest.approx((server.reads - 1) * 13.5, abs=13.6)


async def test_a_source_that_answers_no_queries_is_asked_until_it_does_while_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(monkeypatch)
    server.deaf_for = 30
    said: list[str | None] = []

    async def listen(source: Source) -> None:
        said.append(source.mute)

    sources = Sources(server.make, server.clock, Listening(listen))
    source = await sources.put("default", SPEC)
    await until(lambda: source.mute == "" and server.reads > 5)
    assert server.deaf_for == -1, "once it has answered it is not asked again"
    assert "HTTP 404: no PromQL" in said
    await sources.close()
