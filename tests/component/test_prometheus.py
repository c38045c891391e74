"""The rules API and PromQL: every answer that is none is `Unavailable`, with a short reason and never a body."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from goldseam.adapters.prometheus import NEVER, PrometheusServer
from goldseam.adapters.promql import PromqlMetrics
from goldseam.errors import Invalid, Unavailable
from tests.support.web import serving

ALERT = {
    "labels": {"alertname": "A", "pod": "x"},
    "annotations": {},
    "state": "firing",
    "activeAt": "2026-11-23T10:00:00.123456789Z",
}
RULE = {
    "type": "alerting", "name": "A", "query": "up == 0", "duration": 30, "keepFiringFor": 60, "health": "ok",
    "lastEvaluation": "2026-11-23T10:00:01.5+02:00", "labels": {"severity": "critical"}, "alerts": [ALERT],
    "state": "firing", "newField": {"of": "a later version"},
}  # fmt: skip


def groups(*rules: Any, **data: Any) -> dict[str, Any]:
    group = {"name": "g", "file": "/r.yml", "interval": 15, "rules": list(rules)}
    return {"status": "success", "data": {"groups": [group], **data}}


def answering(
    status: int = 200, *, text: str | None = None, body: Any = None, **headers: str
) -> Callable[..., Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        if text is not None:
            return web.Response(status=status, text=text, headers=headers)
        return web.json_response(body, status=status, headers=headers)

    return answer


async def test_a_rule_is_read_with_all_that_a_verdict_needs() -> None:
    async with serving(answering(body=groups(RULE, {"type": "recording", "name": "r", "query": "1"}))) as url:
        answer = await PrometheusServer(url, timeout=5).rules()
    (rule,) = answer.rules
    assert (rule.name, rule.health, rule.query) == ("A", "ok", "up == 0")
    assert rule.last_evaluation == datetime(2026, 11, 23, 8, 0, 1, 500_000, tzinfo=UTC)
    assert (rule.interval, rule.hold, rule.keep_firing) == tuple(timedelta(seconds=s) for s in (15, 30, 60))
    assert rule.alerts[0].active_at == datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=UTC)


async def test_a_rule_that_was_never_evaluated_has_gos_zero_time() -> None:
    never = {**RULE, "lastEvaluation": "0001-01-01T00:00:00Z", "alerts": []}
    async with serving(answering(body=groups(never))) as url:
        answer = await PrometheusServer(url, timeout=5).rules()
    assert answer.rules[0].last_evaluation == NEVER


async def test_warnings_are_kept_for_they_mean_a_partial_answer() -> None:
    async with serving(answering(body=groups(RULE) | {"warnings": ["a store is down"]})) as url:
        assert (await PrometheusServer(url, timeout=5).rules()).warnings == ("a store is down",)
    async with serving(answering(body=groups(RULE) | {"isPartial": True})) as url:
        assert len((await PrometheusServer(url, timeout=5).rules()).warnings) == 1


async def test_pages_are_followed_to_the_end() -> None:
    async def paged(request: web.Request) -> web.Response:
        last = request.query.get("group_next_token") == "2"
        return web.json_response(groups(RULE) if last else groups(RULE, groupNextToken="2"))

    async with serving(paged) as url:
        assert len((await PrometheusServer(url, timeout=5).rules()).rules) == 2


async def test_a_path_before_the_api_is_kept() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(groups(RULE) if request.path == "/mimir/prometheus/api/v1/rules" else {}, status=200)

    async with serving(handler) as url:
        assert len((await PrometheusServer(url + "/mimir/prometheus/", timeout=5).rules()).rules) == 1


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (answering(503, text="<html>secret</html>"), "HTTP 503"),
        (answering(text="<html>log in</html>"), "not JSON"),
        (answering(text='{"status": "success", "data": {"gro'), "not JSON"),
        (answering(body={"status": "error", "error": "x"}), "not one of the Prometheus API"),
        (
            answering(body={"status": "success", "data": {"groups": [{"rules": [{"type": "alerting"}]}]}}),
            "unknown form",
        ),
        (answering(302, text="", Location="http://elsewhere.example.com"), "redirects are not followed"),
        (answering(body=groups({**RULE, "query": "x" * 5_000})), "larger than"),
    ],
    ids=["503", "html", "truncated", "error", "form", "redirect", "large"],
)
async def test_what_is_no_rules_answer_is_unavailable_with_the_reason(handler: Any, reason: str) -> None:
    async with serving(handler) as url:
        with pytest.raises(Unavailable, match=reason) as caught:
            await PrometheusServer(url, timeout=5, largest=4_000).rules()
    assert "secret" not in str(caught.value)


async def test_a_server_that_is_down_or_hangs_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="cannot connect"):
        await PrometheusServer("http://127.0.0.1:9", timeout=5).rules()

    async def hanging(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with serving(hanging) as url:
        with pytest.raises(Unavailable, match="no answer within"):
            await PrometheusServer(url, timeout=0.2).rules()


def result(kind: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": value}, **more}


VECTOR = result("vector", [{"metric": {}, "value": [1, "1.5"]}, {"metric": {}, "value": [1, "NaN"]}])


async def test_vectors_and_scalars_give_their_values() -> None:
    async with serving(answering(body=VECTOR)) as url:
        samples = await PromqlMetrics(url, timeout=5).query("up")
    assert samples.values[0] == 1.5
    assert str(samples.values[1]) == "nan"
    async with serving(answering(body=result("scalar", [1, "42"]))) as url:
        assert (await PromqlMetrics(url, timeout=5).query("42")).values == (42.0,)


async def test_warnings_of_a_query_are_not_dropped() -> None:
    async with serving(answering(body=VECTOR | {"warnings": ["partial"]})) as url:
        assert (await PromqlMetrics(url, timeout=5).query("up")).warnings == ("partial",)


@pytest.mark.parametrize(
    ("handler", "error", "reason"),
    [
        (
            answering(400, body={"status": "error", "errorType": "bad_data", "error": "1:3: parse error"}),
            Invalid,
            "parse error",
        ),
        (answering(body=result("matrix", [])), Invalid, "matrix"),
        (answering(503, text="<html>"), Unavailable, "not JSON"),
        (answering(404, text="404 page not found"), Unavailable, r"HTTP 404: .*no PromQL.* spec\.queryUrl"),
        (
            answering(503, body={"status": "error", "errorType": "timeout", "error": "too slow"}),
            Unavailable,
            "too slow",
        ),
        (answering(302, text="", Location="http://elsewhere.example.com"), Unavailable, "redirects are not followed"),
    ],
    ids=["parse", "matrix", "html", "missing", "timeout", "redirect"],
)
async def test_a_query_without_a_result_says_why(handler: Any, error: type[Exception], reason: str) -> None:
    async with serving(handler) as url:
        with pytest.raises(error, match=reason):
            await PromqlMetrics(url, timeout=5).query("x")


async def test_a_query_to_nobody_is_unavailable_at_once() -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        await PromqlMetrics("http://127.0.0.1:9", timeout=5).query("x")
