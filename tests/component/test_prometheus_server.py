"""What is taken for the truth about alerts, and what is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from goldseam.adapters.http_client import parsed
from goldseam.adapters.prometheus import NEVER, PrometheusServer
from goldseam.errors import Unavailable
from tests.support.web import serving

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakePrometheus:
    """Answers as it is told, under a base path; remembers the queries."""

    def __init__(self) -> None:
        self.answer: Answer = says({})
        self.started: Answer = says("not found", 404)
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, dict(request.query)))
        if request.path.endswith("/status/runtimeinfo"):
            return await self.started(request)
        return await self.answer(request)


def says(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers)

    return answer


def rules(*found: Any, **more: Any) -> dict[str, Any]:
    group = {"name": "g", "file": "/rules.yml", "interval": 15, "rules": list(found)}
    return {"status": "success", "data": {"groups": [group]}, **more}


def rule(**more: Any) -> dict[str, Any]:
    return {
        "type": "alerting",
        "name": "Broken",
        "query": "up == 0",
        "duration": 300,
        "keepFiringFor": 60,
        "labels": {"severity": "page"},
        "annotations": {},
        "alerts": [],
        "health": "ok",
        "state": "inactive",
        "evaluationTime": 0.001,
        "lastEvaluation": "2026-11-23T20:42:42.157780123Z",
        "somethingNew": {"a": 1},
        **more,
    }


ALERT = {
    "labels": {"alertname": "Broken", "pod": "a"},
    "annotations": {"summary": "it broke"},
    "state": "firing",
    "activeAt": "2026-11-23T22:41:47+02:00",
    "value": "1e+00",
}


@pytest.fixture
async def fake() -> FakePrometheus:
    return FakePrometheus()


@pytest.fixture
async def url(fake: FakePrometheus) -> AsyncIterator[str]:
    async with serving(fake.handle) as found:
        yield found + "/base/"


async def problem(url: str, **more: Any) -> str:
    with pytest.raises(Unavailable) as caught:
        await PrometheusServer(url, **{"timeout": 10, **more}).rules()
    assert len(str(caught.value)) <= 200
    return str(caught.value)


def started(at: Any) -> Answer:
    return says({"status": "success", "data": {"startTime": at, "CWD": "/"}})


async def test_a_rule_says_since_when_its_server_runs_and_of_several_behind_one_address_the_newest_counts(
    fake: FakePrometheus, url: str
) -> None:
    fake.answer, server, seen = says(rules(rule())), PrometheusServer(url, timeout=10), []
    for minute in (1, 3, 1, 5):
        fake.started = started(f"2026-11-23T20:0{minute}:00Z")
        (found,) = (await server.rules()).rules
        seen.append(found.server_started.minute)
    assert seen == [1, 3, 3, 5]
    assert [path.rsplit("/", 1)[1] for path, _ in fake.asked[-2:]] == ["rules", "runtimeinfo"], "in this order"


async def test_a_server_that_does_not_know_since_when_it_runs_is_asked_once(fake: FakePrometheus, url: str) -> None:
    fake.answer, server = says(rules(rule())), PrometheusServer(url, timeout=10)
    for _ in range(3):
        (found,) = (await server.rules()).rules
        assert found.server_started == NEVER
    assert len(fake.asked) == 4


@pytest.mark.parametrize("answer", [says("no", 403), says("no", 500), says({}), started(None), started(5), says("[]")])
async def test_where_it_never_says_since_when_it_runs_its_rules_are_read_and_where_it_has_said_so_they_are_not(
    fake: FakePrometheus, url: str, answer: Answer
) -> None:
    fake.answer, server = says(rules(rule())), PrometheusServer(url, timeout=10)
    fake.started = answer
    (found,) = (await server.rules()).rules
    assert found.server_started == NEVER
    fake.started = started("2026-11-23T20:01:00Z")
    await server.rules()
    fake.started = answer
    with pytest.raises(Unavailable):
        await server.rules()


@pytest.mark.parametrize("never", ["", None])
async def test_a_rule_that_was_never_evaluated_says_so(fake: FakePrometheus, url: str, never: str | None) -> None:
    fake.answer = says(rules(rule(lastEvaluation=never, health="unknown")))
    (found,) = (await PrometheusServer(url, timeout=10).rules()).rules
    assert found.last_evaluation == NEVER


async def test_a_warning_in_another_form_is_a_warning(fake: FakePrometheus, url: str) -> None:
    fake.answer = says(rules(warnings="a text where a list belongs"))
    assert (await PrometheusServer(url, timeout=10).rules()).warnings == ("a text where a list belongs",)


async def test_pages_without_an_end_are_no_answer(fake: FakePrometheus, url: str) -> None:
    fake.answer = says({"status": "success", "data": {"groups": [], "groupNextToken": "same"}})
    assert await problem(url) == "the pages of the rules do not end"


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": None},
        {"name": 5},
        {"query": None},
        {"health": {}},
        {"duration": "5m"},
        {"duration": True},
        {"duration": -1},
        {"keepFiringFor": 1e300},
        {"lastEvaluation": "yesterday"},
        {"lastEvaluation": 5},
        {"lastEvaluation": "9999-12-31T23:59:59-10:00"},
        {"labels": {"a": 1}},
        {"labels": []},
        {"alerts": {}},
        {"alerts": [{}]},
        {"alerts": ["x"]},
        {"alerts": [{**ALERT, "labels": None}]},
        {"alerts": [{**ALERT, "state": None}]},
        {"alerts": [{**ALERT, "activeAt": "never"}]},
    ],
)
async def test_a_rule_of_an_unknown_form_spoils_the_answer_and_is_not_left_out(
    fake: FakePrometheus, url: str, wrong: dict[str, Any]
) -> None:
    fake.answer = says(rules(rule(), rule(**wrong)))
    assert "unknown form" in await problem(url)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        [],
        {},
        {"status": "error"},
        {"status": "success"},
        {"status": "success", "data": []},
        {"status": "success", "data": {}},
        {"status": "success", "data": {"groups": {"a": 1}}},
        {"status": "success", "data": {"groups": ["x"]}},
        {"status": "success", "data": {"groups": [{"interval": "15s", "rules": [rule()]}]}},
        '{"status": "success", "data": {"groups": [{"interval": Infinity, "rules": [{"name": "a", "query": "b"}]}]}}',
    ],
)
async def test_what_is_no_rules_answer_is_not_an_empty_one(fake: FakePrometheus, url: str, body: Any) -> None:
    fake.answer = says(body)
    assert await problem(url)


@pytest.mark.parametrize("status", [201, 204, 400, 500, 503])
async def test_a_status_is_told_without_the_body(fake: FakePrometheus, url: str, status: int) -> None:
    fake.answer = says("" if status == 204 else "secret page", status)
    assert await problem(url) == f"HTTP {status}"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_server_that_refuses_us_is_told_with_where_to_look(fake: FakePrometheus, url: str, status: int) -> None:
    fake.answer = says("secret page", status)
    assert await problem(url) == f"HTTP {status}: the server refuses us; are spec.auth and spec.tenant right?"


@pytest.mark.parametrize(
    ("server", "said"),
    [("grafana/11", "it seems to be grafana/11"), ("", "it does not say what it is"), ("<b>x", "it seems to be bx")],
)
async def test_what_is_not_prometheus_is_told_with_what_it_seems_to_be(
    fake: FakePrometheus, url: str, server: str, said: str
) -> None:
    fake.answer = says("secret page", 404, {"Server": server})
    assert await problem(url) == f"HTTP 404: this is not the Prometheus API ({said}); is the path in spec.url right?"


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(fake: FakePrometheus, url: str) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    fake.answer = endless
    assert await problem(url, largest=200_000) == "the answer is larger than 200000 bytes"


async def test_an_answer_that_never_comes_times_out(fake: FakePrometheus, url: str) -> None:
    never = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    fake.answer = silent
    assert await problem(url, timeout=0.1) == "no answer within 0.1 s"


async def test_a_connection_that_breaks_in_the_answer_is_no_answer(fake: FakePrometheus, url: str) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"status": "success"')
        assert request.transport is not None
        request.transport.close()
        return response

    fake.answer = cut
    assert "the connection broke" in await problem(url)


async def test_a_host_that_nobody_knows_is_named_as_such() -> None:
    """Names under .invalid are nobody's (RFC 6761)."""
    said = await problem("http://prometheus.invalid:9090")
    assert said.startswith("cannot connect: ")
    assert "name" in said
    assert "broke" not in said


@pytest.mark.parametrize("value", ['with "quotes"', "two\nlines", "x" * 10_000, "🦉 e\u0301 \u202e", "\x00"])
async def test_odd_label_values_are_read_as_they_are(fake: FakePrometheus, url: str, value: str) -> None:
    alert = {**ALERT, "labels": {"alertname": "Broken", "odd": value}}
    fake.answer = says(rules(rule(alerts=[alert])))
    (found,) = (await PrometheusServer(url, timeout=10).rules()).rules
    assert found.alerts[0].labels["odd"] == value


async def test_half_a_character_is_no_label(fake: FakePrometheus, url: str) -> None:
    fake.answer = says(json.dumps(rules(rule(alerts=[{**ALERT, "labels": {"odd": "\ud800"}}]))))
    assert await problem(url) == "the answer holds half a character, which is no text"
    fake.answer = says(json.dumps(rules(rule(alerts=[{**ALERT, "labels": {"odd": "\U0001f989"}}]))))
    assert (await PrometheusServer(url, timeout=10).rules()).rules


def test_half_a_character_in_bytes_is_none_either() -> None:
    with pytest.raises(Unavailable, match="not JSON"):
        parsed(b'{"odd": "\xed\xa0\x80"}', "the API")


async def test_a_refused_connection_is_named_as_such() -> None:
    assert await problem(f"http://127.0.0.1:{unused_port()}") == "cannot connect: connection refused"


@pytest.mark.parametrize("url", ["http://", "http://[::bad", "nonsense", "ftp://x"])
async def test_a_url_that_is_none_is_named_as_such(url: str) -> None:
    assert await problem(url) == "the URL is not one"


async def test_tls_where_there_is_none_is_named_as_such(url: str) -> None:
    assert (await problem(url.replace("http:", "https:"))).startswith("cannot connect: TLS failed")


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        (says({"status": "success", "data": {"version": "3.15.1"}}), "3.15.1"),
        (says({"status": "success", "data": {}}), ""),
        (says({"status": "success", "data": []}), ""),
        (says("not found", 404), ""),
    ],
)
async def test_the_version_is_what_the_server_says(
    fake: FakePrometheus, url: str, answer: Answer, version: str
) -> None:
    fake.answer = answer
    assert await PrometheusServer(url, timeout=10).version() == version
    assert fake.asked[0][0] == "/base/api/v1/status/buildinfo"
