"""A hint wakes a read before its time: soon, never too often, and for those sources only whose alerts it names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.engine.alerts import ActiveAlert, AlertRule, RulesAnswer, Samples
from goldseam.services import bell
from goldseam.services.bell import SHARE, SPACING, Bell
from goldseam.services.catalogue import Catalogue
from goldseam.services.live_policies import live_policy
from goldseam.services.operator import Operator
from goldseam.services.sources import Listening, Source
from tests.support.harness import VirtualClock, policy

SPEC = AlertSourceSpec.model_validate({"url": "http://p", "interval": "60s"})
FIRING = ActiveAlert({"alertname": "Trouble", "namespace": "shop"}, {}, "firing", datetime(2026, 11, 28, tzinfo=UTC))
RULE = AlertRule(
    name="Trouble",
    group="g",
    query="x > 0",
    health="ok",
    last_error="",
    last_evaluation=datetime(2026, 11, 28, tzinfo=UTC),
    interval=timedelta(seconds=5),
    hold=timedelta(0),
    keep_firing=timedelta(0),
    labels={},
    alerts=(),
    state="inactive",
)


class Server:
    """A Prometheus whose rule is evaluated at every read."""

    def __init__(self) -> None:
        self.reads, self.rule, self.reading = 0, RULE, asyncio.Event()
        self.reading.set()
        self.takes = (lambda seconds: None), 0.0
        """How time passes, and how many seconds all that fires takes to be read."""

    async def rules(self, names: frozenset[str] | None = None) -> RulesAnswer:
        self.reads += 1
        await self.reading.wait()
        self.rule = replace(self.rule, last_evaluation=self.rule.last_evaluation + timedelta(seconds=5))
        return RulesAnswer((self.rule,), asked=names)

    async def firing(self) -> tuple[ActiveAlert, ...]:
        advance, seconds = self.takes
        advance(seconds)
        return ()

    async def version(self) -> str:
        return "3"

    async def query(self, expression: str) -> Samples:
        return Samples((1.0,))


class Stage:
    """A source, the moments at which it rested, and what its listeners saw."""

    def __init__(self) -> None:
        self.clock, self.server = VirtualClock(), Server()
        self.told: list[bool] = []
        self.rests: list[float] = []
        self.costs: list[float] = []
        self.resting, self.go_on = asyncio.Event(), asyncio.Event()
        self.source = Source("default", SPEC, self.server, self.server, self.clock, Listening(self._answered))

    async def _answered(self, source: Source) -> None:
        self.told.append(source.hinted)

    async def rest(self, its: Bell, seconds: float, took: float) -> bool:
        """In place of the bell's: until `passed` is called."""
        self.rests.append(seconds)
        self.costs.append(took)
        self.resting.set()
        await self.go_on.wait()
        self.go_on.clear()
        return its._rung.is_set()

    async def passed(self, seconds: float) -> None:
        """Let so much time pass, and the source go on to its next rest."""
        self.clock.advance(seconds)
        self.resting.clear()
        self.go_on.set()
        await self.rested()

    async def rested(self) -> None:
        async with asyncio.timeout(5):
            await self.resting.wait()
            for _ in range(5):
                await asyncio.sleep(0)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    found = Stage()

    async def rest(its: Bell, seconds: float, took: float) -> bool:
        return await found.rest(its, seconds, took)

    monkeypatch.setattr(Bell, "rest", rest)
    async with running(found.source):
        await found.rested()
        yield found


@asynccontextmanager
async def running(source: Source) -> AsyncIterator[None]:
    task = asyncio.create_task(source.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_reads_that_hints_wake_come_besides_the_regular_ones_and_are_told_as_such(stage: Stage) -> None:
    await stage.passed(10)
    await stage.passed(10)
    assert stage.rests == [60, 50, 40], "the regular one is not put off"
    await stage.passed(40)
    assert stage.told == [False, True, True, False]
    assert stage.rests[-1] == 60


async def test_a_hint_waits_as_long_as_reading_the_rules_took_and_not_as_all_that_fires(stage: Stage) -> None:
    await stage.passed(10)
    stage.server.takes = (stage.clock.advance, 0.5)
    await stage.passed(50)
    assert stage.told == [False, True, False]
    assert stage.costs[1:] == [0, 0]


async def test_an_alert_that_fires_when_its_rule_is_first_seen_is_read_again_after_the_rules_next_evaluation(
    stage: Stage,
) -> None:
    """It is believed once the rule was seen to be evaluated, and the next regular read may be minutes away."""
    stage.server.rule = replace(RULE, name="Another", alerts=(FIRING,), state="firing")
    await stage.passed(10)
    assert stage.rests[-1] == 5.0, "the rule's interval"
    before = stage.source.reading("Another", lambda _: True)
    await stage.passed(5)
    after = stage.source.reading("Another", lambda _: True)
    assert ((before.state, before.fresh), (after.state, after.fresh)) == (("Firing", False), ("Firing", True))
    assert stage.rests[-1] == 45, "once is enough"


async def test_an_alert_of_a_rule_that_is_watched_is_believed_at_the_first_read_that_a_hint_wakes(stage: Stage) -> None:
    stage.server.rule = replace(stage.server.rule, alerts=(FIRING,), state="firing")
    await stage.passed(10)
    found = stage.source.reading("Trouble", lambda _: True)
    assert (found.state, found.fresh) == ("Firing", True)
    assert stage.rests[-1] == 50


async def test_a_hint_that_comes_while_it_is_read_wakes_one_more_read(stage: Stage) -> None:
    stage.server.reading.clear()
    stage.clock.advance(1)
    stage.go_on.set()
    async with asyncio.timeout(5):
        while stage.server.reads < 2:
            await asyncio.sleep(0)
    stage.source.hint()
    stage.server.reading.set()
    await stage.rested()
    assert stage.source._bell._rung.is_set(), "what it read may be older than what was said"
    await stage.passed(1)
    assert not stage.source._bell._rung.is_set()


async def test_whoever_needs_the_rules_next_evaluation_wakes_a_read_when_it_is_due(stage: Stage) -> None:
    bell = stage.source._bell
    for _ in range(2):
        stage.source.hint_later(0.001)
        stage.source.hint_later(3600)
        async with asyncio.timeout(5):
            await bell._rung.wait()
        bell.heard()


async def test_what_rings_wakes_at_once_when_the_last_read_is_a_while_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bell, "SPACING", 0.0)
    its = Bell()
    resting = asyncio.create_task(its.rest(3600, 0))
    await asyncio.sleep(0.01)
    assert not resting.done()
    its.ring()
    async with asyncio.timeout(5):
        assert await resting


@pytest.mark.parametrize(
    ("seconds", "took", "quiet"),
    [(60, 0.001, SPACING), (60, 0.1, SHARE * 0.1), (60, 30, 60), (0.1, 0.001, 0.1)],
    ids=["usual", "a slow server", "a very slow one", "due anyway"],
)
async def test_reading_costs_a_tenth_of_the_time_at_most_however_often_it_rings(
    monkeypatch: pytest.MonkeyPatch, seconds: float, took: float, quiet: float
) -> None:
    slept: list[float] = []

    async def sleep(span: float) -> None:
        slept.append(span)

    monkeypatch.setattr(bell.asyncio, "sleep", sleep)
    its = Bell()
    its.ring()
    rang = await its.rest(seconds, took)
    assert slept == [pytest.approx(quiet)]
    assert rang == (quiet < seconds)


async def test_it_rests_until_the_next_read_is_due_when_nothing_rings() -> None:
    assert await Bell().rest(0.25, 0) is False


def test_a_hint_is_for_the_sources_whose_alerts_it_names_and_for_the_process_that_leads() -> None:
    rung: list[str] = []
    waits = {("a", "Trouble"), ("b", "Another")}
    sources = [SimpleNamespace(name=name, hint=lambda name=name: rung.append(name)) for name in ("a", "b")]
    operator: Any = SimpleNamespace(
        standby=False,
        sources=SimpleNamespace(all=lambda: sources),
        catalogue=SimpleNamespace(waits_for=lambda source, alert: (source, alert) in waits),
    )
    assert Operator.hinted(operator, ["Trouble", "Nobody's"])
    assert rung == ["a"]
    operator.standby = True
    assert not Operator.hinted(operator, ["Trouble"])
    assert rung == ["a"]


@pytest.mark.parametrize("hinted", [True, False])
async def test_after_a_read_that_a_hint_woke_alerts_are_opened_but_the_breakers_not_counted_anew(hinted: bool) -> None:
    done: list[str] = []

    def noting(what: str) -> Any:
        async def note(*_: Any) -> None:
            done.append(what)

        return note

    operator: Any = SimpleNamespace(
        loaded=True,
        waker=SimpleNamespace(answered=lambda *_: done.append("woken")),
        opener=SimpleNamespace(answered=noting("opened")),
        registrar=SimpleNamespace(answered=noting("registered")),
        fleet=SimpleNamespace(tripped=(), quiet=False, assess=noting("counted")),
    )
    await Operator._answered(operator, SimpleNamespace(hinted=hinted))  # type: ignore[arg-type]
    assert done == ["woken", "opened", "registered"] + ([] if hinted else ["counted"])


def test_only_alerts_that_a_policy_waits_for_from_this_source_are_of_interest() -> None:
    catalogue = Catalogue()
    body: Any = policy({"restart": {}})
    body["metadata"] |= {"uid": "u", "generation": 1, "creationTimestamp": "2026-11-28T00:00:00Z"}
    catalogue.arm(live_policy("RemediationPolicy", body))
    assert catalogue.waits_for("default", "Trouble")
    assert not catalogue.waits_for("default", "Another")
    assert not catalogue.waits_for("another", "Trouble")
    catalogue.disarm(next(iter(catalogue.armed)))
    assert not catalogue.waits_for("default", "Trouble")
