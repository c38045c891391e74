"""Reading the few rules that matter: never less than is asked for, whatever the server makes of the filter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from goldseam.adapters import prometheus, selective
from goldseam.adapters.prometheus import PrometheusServer
from goldseam.adapters.selective import SelectiveServer
from goldseam.errors import Unavailable
from tests.support.web import serving

Json = dict[str, Any]
ODD = 'A "quoted"\n🦉 & rule_name[]=B +% name'


def filtered(groups: list[Json], request: web.Request) -> list[Json]:
    """As Prometheus, Thanos, Mimir and vmalert do: a group of which nothing is left is not shown."""
    names = request.query.getall("rule_name[]", [])
    left = [{**g, "rules": [r for r in g["rules"] if not names or r["name"] in names]} for g in groups]
    return [group for group in left if group["rules"]]


class RuleServer:
    """One rule in each group. How it filters and pages is the test's to say."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.asked: list[tuple[list[str], str]] = []
        self.filters, self.drops = True, ""
        self.pages = "Prometheus"
        self.alerts: Json | None = {"alerts": []}
        self.down = False

    def groups(self) -> list[Json]:
        return [{"name": name, "file": "f", "interval": 15, "rules": [self.rule(name)]} for name in sorted(self.names)]

    def rule(self, name: str) -> Json:
        return {"type": "alerting", "name": name, "query": "up == 0", "health": "ok", "alerts": []}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            return web.Response(status=503)
        if request.path.endswith("/runtimeinfo"):
            return web.Response(status=404)
        if request.path.endswith("/alerts"):
            return web.json_response({"status": "success", "data": self.alerts})
        names, token = request.query.getall("rule_name[]", []), request.query.get("group_next_token", "")
        self.asked.append((names, token))
        groups = filtered(self.groups(), request) if self.filters else self.groups()
        groups = [g for g in groups if not (names and self.drops == g["name"])]
        return self.page(groups, int(request.query.get("group_limit", "0")), token)

    def page(self, groups: list[Json], limit: int, token: str) -> web.Response:
        data: Json = {"groups": groups}
        if limit and self.pages != "none":
            begin = next((n for n, g in enumerate(groups) if g["name"] == token), 0) if token else 0
            if token == "gone":
                return web.json_response({"status": "error", "errorType": "bad_data", "error": "invalid"}, status=400)
            data["groups"] = groups[begin : begin + limit]
            if self.pages != "vmalert" and begin + limit < len(groups):
                data["groupNextToken"] = groups[begin + limit]["name"] if self.pages == "Prometheus" else "gone"
        return web.json_response({"status": "success", "data": data})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def server() -> RuleServer:
    return RuleServer("A", "B", "C", ODD)


@pytest.fixture
async def url(server: RuleServer) -> AsyncIterator[str]:
    async with serving(server.handle) as found:
        yield found


def reader(url: str, clock: Clock | None = None) -> SelectiveServer:
    return SelectiveServer(PrometheusServer(url, timeout=5), clock or Clock())


async def names(reader: SelectiveServer, *wanted: str) -> list[str]:
    return sorted(rule.name for rule in (await reader.rules(frozenset(wanted))).rules)


async def test_all_rules_are_read_once_and_then_only_those_that_are_asked_for(server: RuleServer, url: str) -> None:
    read = reader(url)
    for _ in range(3):
        answer = await read.rules(frozenset({"B", "missing"}))
        assert [rule.name for rule in answer.rules] == ["B"]
        assert (answer.asked, answer.total, answer.groups) == (frozenset({"B", "missing"}), 4, 4)
    assert [asked for asked, _ in server.asked] == [[], ["B", "missing"], ["B", "missing"]]


async def test_a_name_of_any_characters_is_asked_for_as_it_is(server: RuleServer, url: str) -> None:
    read = reader(url)
    for _ in range(2):
        assert await names(read, ODD) == [ODD]
    assert server.asked[-1][0] == [ODD]


async def test_where_nothing_matters_no_rule_is_asked_for(server: RuleServer, url: str) -> None:
    read = reader(url)
    await read.rules(frozenset())
    assert (await read.rules(frozenset())).rules == ()
    assert server.asked[-1][0] == [""]


async def test_a_server_that_passes_over_the_filter_answers_with_more_and_only_what_was_asked_counts(
    server: RuleServer, url: str
) -> None:
    server.filters = False
    read = reader(url)
    for _ in range(2):
        assert await names(read, "B") == ["B"]


async def test_a_filter_that_drops_a_rule_is_noticed_at_once_and_never_used_again(server: RuleServer, url: str) -> None:
    server.drops = "B"
    read = reader(url)
    for _ in range(3):
        assert await names(read, "A", "B") == ["A", "B"]
    assert [asked for asked, _ in server.asked] == [[], ["A", "B"], [], []]


async def test_a_rule_that_is_removed_is_missing_at_once_and_the_filter_goes_on(server: RuleServer, url: str) -> None:
    read = reader(url)
    await names(read, "A", "B")
    server.names.remove("B")
    for _ in range(2):
        assert await names(read, "A", "B") == ["A"]
    assert [asked for asked, _ in server.asked] == [[], ["A", "B"], [], ["A", "B"]]


async def test_a_rule_that_is_added_is_seen_at_once(server: RuleServer, url: str) -> None:
    read = reader(url)
    assert await names(read, "new") == []
    server.names.append("new")
    assert await names(read, "new") == ["new"]


async def test_more_names_than_a_url_holds_are_read_with_all_rules(server: RuleServer, url: str) -> None:
    read = reader(url)
    many = [f"SomeAlertOfAUsualLength{n}" for n in range(1_000)]
    for _ in range(2):
        assert await names(read, "A", *many) == ["A"]
    assert [asked for asked, _ in server.asked] == [[], []]


async def test_all_rules_are_counted_again_after_a_while(server: RuleServer, url: str) -> None:
    clock = Clock()
    read = reader(url, clock)
    await read.rules(frozenset({"A"}))
    server.names.append("D")
    assert (await read.rules(frozenset({"A"}))).total == 4
    clock.now += selective.WHOLE_EVERY
    assert (await read.rules(frozenset({"A"}))).total == 5


async def test_where_all_rules_cannot_be_read_any_more_those_that_matter_still_are(
    server: RuleServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    read = reader(url, clock)
    await read.rules(frozenset({"A"}))
    clock.now += selective.WHOLE_EVERY

    async def too_many(_: object) -> Any:
        raise Unavailable("the answer is larger than 1 bytes")

    monkeypatch.setattr(PrometheusServer, "catalogue", too_many)
    monkeypatch.setattr(read._server, "catalogue", too_many)
    assert await names(read, "A") == ["A"]
    server.down = True
    with pytest.raises(Unavailable, match="HTTP 503"):
        await read.rules(frozenset({"A"}))


@pytest.mark.parametrize("pages", ["Prometheus", "vmalert", "reloads", "none"])
async def test_however_a_server_pages_no_rule_is_left_out(
    server: RuleServer, url: str, pages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vmalert takes the limit and tells of no further page; between two pages the rules may be loaded anew."""
    monkeypatch.setattr(prometheus, "PAGE", 2)
    server.pages = pages
    answer = await reader(url).rules(frozenset({"A", "B", "C"}))
    assert (sorted(rule.name for rule in answer.rules), answer.total) == (["A", "B", "C"], 4)


async def test_everything_that_fires_is_read_in_short(server: RuleServer, url: str) -> None:
    labels = {"alertname": "A", "namespace": "shop", "pod": "x"}
    at = "2026-11-23T20:42:42Z"
    pending = {"labels": labels, "state": "pending", "activeAt": at, "annotations": {}}
    server.alerts = {"alerts": [pending, {**pending, "state": "firing"}]}
    (alert,) = await reader(url).firing()
    assert alert.labels == {"alertname": "A", "namespace": "shop"}
    assert alert.active_at == datetime(2026, 11, 23, 20, 42, 42, tzinfo=UTC)


@pytest.mark.parametrize("broken", [None, {}, {"alerts": [1]}, {"alerts": [{"state": "firing"}]}])
async def test_what_is_no_list_of_alerts_is_not_taken_for_calm(
    server: RuleServer, url: str, broken: Json | None
) -> None:
    server.alerts = broken
    with pytest.raises(Unavailable, match="alerts of an unknown form"):
        await reader(url).firing()
