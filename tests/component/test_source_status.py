"""What an AlertSource says of itself: what was read, whether it can be believed, and nothing twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.engine.alerts import ActiveAlert, AlertRule, RulesAnswer
from goldseam.errors import Unavailable
from goldseam.services.permissions import Permissions
from goldseam.services.sources import Listening, Source
from goldseam.services.statuses import Statuses
from goldseam.services.tenants import Tenants
from tests.support.harness import START, VirtualClock
from tests.support.toycluster import ToyCluster

ZERO = timedelta(0)


class Stage:
    """A server with three rules, read each 15 s, and the object that speaks of it."""

    def __init__(self) -> None:
        self.clock, self.problem = VirtualClock(), ""
        self.cluster = ToyCluster(now=lambda: self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
        self.cluster.add("alertsources", {"metadata": {"name": "default"}, "spec": {"url": "http://p"}})
        spec = AlertSourceSpec.model_validate({"url": "http://p"})
        self.source = Source("default", spec, self, self, self.clock, Listening(self.told))  # type: ignore[arg-type]
        tenants = Tenants(self.cluster, lambda _: None)
        permissions = Permissions(self.cluster, self.clock)
        self.statuses = Statuses(self.cluster, self.clock, permissions, lambda _: self.source, tenants)
        interval = timedelta(seconds=15)
        self.rules_there = [
            AlertRule(name, "g", "up", "ok", "", START, interval, ZERO, ZERO, {}, ()) for name in ("A", "B", "C")
        ]
        self.evaluates = True

    async def told(self, _: Source) -> None:
        return None

    async def rules(self, names: frozenset[str] | None = None) -> RulesAnswer:
        if self.problem:
            raise Unavailable(self.problem)
        if self.evaluates:
            self.rules_there = [replace(rule, last_evaluation=self.clock.now()) for rule in self.rules_there]
        return RulesAnswer(tuple(self.rules_there), total=20_000, groups=400)

    async def firing(self) -> tuple[ActiveAlert, ...]:
        return ()

    async def version(self) -> str:
        return "3.15.1"

    async def read(self, times: int = 1) -> None:
        """Read, and say what was found each time."""
        for _ in range(times):
            await self.source.read()
            await self.statuses.source(self.cluster.objects["alertsources", "", "default"], self.source)
            self.clock.advance(15)

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.objects["alertsources", "", "default"]["status"]
        return found

    def said(self, kind: str) -> tuple[str, str, str]:
        entry = next(e for e in self.status["conditions"] if e["type"] == kind)
        return entry["status"], entry["reason"], entry["message"]


async def test_a_source_that_is_read_says_what_it_has_and_writes_nothing_while_nothing_changes() -> None:
    stage = Stage()
    await stage.read()
    assert stage.said("RulesEvaluated")[:2] == ("Unknown", "Watching")
    await stage.read()
    assert (stage.status["version"], stage.status["rules"], stage.status["groups"]) == ("3.15.1", 20_000, 400)
    assert stage.said("SourceReachable")[0] == "True"
    assert stage.said("RulesEvaluated")[:2] == ("True", "Evaluated")
    assert "lastRead" not in stage.status
    writes = len(stage.cluster.writes)
    await stage.read(20)
    assert len(stage.cluster.writes) == writes


async def test_one_that_cannot_be_read_says_the_error_and_when_it_last_could_and_stays_ready() -> None:
    stage = Stage()
    await stage.read(3)
    last = stage.source.read_last
    stage.problem = "cannot connect: connection refused"
    await stage.read()
    assert stage.said("SourceReachable") == ("False", "Unreachable", "cannot connect: connection refused")
    assert stage.said("RulesEvaluated")[:2] == ("Unknown", "Unreachable")
    assert stage.said("Ready")[0] == "True"
    assert last is not None
    assert stage.status["lastRead"] == last.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    writes = len(stage.cluster.writes)
    await stage.read(20)
    assert len(stage.cluster.writes) == writes
    stage.problem = ""
    await stage.read()
    assert "lastRead" not in stage.status


async def test_rules_that_fail_or_are_late_are_named_but_no_more_than_five_of_them() -> None:
    stage = Stage()
    await stage.read(3)
    stage.rules_there[1] = replace(stage.rules_there[1], health="err", last_error="it took 31.4 s")
    await stage.read()
    assert stage.said("RulesEvaluated") == ("False", "NotEvaluated", "B (failing)")
    many = [replace(stage.rules_there[1], name=f"Rule{number}") for number in range(20)]
    stage.rules_there = many
    await stage.read()
    assert stage.said("RulesEvaluated")[2].endswith("Rule12 (failing) and 15 more")


async def test_a_server_that_answers_but_evaluates_nothing_is_late() -> None:
    stage = Stage()
    await stage.read(3)
    stage.evaluates = False
    await stage.source.read()
    stage.clock.advance(120)
    await stage.statuses.source(stage.cluster.objects["alertsources", "", "default"], stage.source)
    assert stage.said("RulesEvaluated")[2] == "A (late), B (late), C (late)"
