"""The servers of an HA pair as one source."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from goldseam.adapters.replicas import AlertServers, AnyMetrics
from goldseam.engine.alerts import ActiveAlert, AlertRule, RulesAnswer, Samples
from goldseam.errors import Invalid, Unavailable

ZERO = timedelta(0)


class Server:
    """One of them."""

    def __init__(self, *rules: str, warnings: tuple[str, ...] = (), broken: Exception | None = None) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        self.found = tuple(AlertRule(name, "g", "up", "ok", "", now, ZERO, ZERO, ZERO, {}, ()) for name in rules)
        self.warnings, self.broken = warnings, broken

    async def rules(self, names: frozenset[str] | None = None) -> RulesAnswer:
        if self.broken:
            raise self.broken
        found = tuple(rule for rule in self.found if names is None or rule.name in names)
        return RulesAnswer(found, self.warnings, asked=names, total=len(self.found), groups=1)

    async def firing(self) -> tuple[ActiveAlert, ...]:
        if self.broken:
            raise self.broken
        return tuple(ActiveAlert({"alertname": rule.name}, {}, "firing", rule.last_evaluation) for rule in self.found)

    async def version(self) -> str:
        if self.broken:
            raise self.broken
        return "3.15.1"

    async def query(self, expression: str) -> Samples:
        if self.broken:
            raise self.broken
        return Samples((7.0,))


def pair(first: Server, second: Server) -> AlertServers:
    return AlertServers([("http://a", first), ("http://b", second)])


async def test_both_are_read_and_each_rule_is_that_of_its_server() -> None:
    answer = await pair(Server("A", "B"), Server("A", warnings=("slow",))).rules()
    assert [(rule.replica, rule.name) for rule in answer.rules] == [(0, "A"), (0, "B"), (1, "A")]
    assert len({rule.key for rule in answer.rules}) == 3
    assert (answer.warnings, answer.missing, answer.servers) == (("http://b: slow",), "", 2)


async def test_one_that_does_not_answer_is_named_and_the_other_counts() -> None:
    servers = pair(Server(broken=Unavailable("HTTP 503")), Server("A"))
    answer = await servers.rules()
    assert [(rule.replica, rule.name) for rule in answer.rules] == [(1, "A")]
    assert (answer.missing, answer.servers) == ("http://a: HTTP 503", 1)
    assert await servers.version() == "3.15.1"


async def test_when_none_answers_nothing_is_known() -> None:
    servers = pair(Server(broken=Unavailable("HTTP 503")), Server(broken=Unavailable("no answer within 5 s")))
    with pytest.raises(Unavailable, match="http://a: HTTP 503; http://b: no answer within 5 s"):
        await servers.rules()
    assert await servers.version() == ""


async def test_a_defect_is_not_taken_for_a_server_that_is_away() -> None:
    with pytest.raises(ZeroDivisionError):
        await pair(Server("A"), Server(broken=ZeroDivisionError())).rules()


async def test_a_query_is_answered_by_the_first_that_can() -> None:
    away = Unavailable("HTTP 503")
    assert (await AnyMetrics([Server(broken=away), Server()]).query("up")).values == (7.0,)
    with pytest.raises(Unavailable, match=r"^HTTP 503$"):
        await AnyMetrics([Server(broken=away), Server(broken=away)]).query("up")
    with pytest.raises(Invalid, match="parse error"):
        await AnyMetrics([Server(broken=Invalid("parse error")), Server()]).query("up(")
