"""What a query's answer may be: numbers, with the server's warnings; anything else is said to be so."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from goldseam.adapters import promql
from goldseam.adapters.promql import PromqlMetrics
from goldseam.engine.alerts import Samples
from goldseam.errors import GoldseamError, Invalid, Unavailable
from tests.support.web import serving

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakePrometheus:
    """Answers as it is told, under a base path; remembers the queries."""

    def __init__(self) -> None:
        self.answer: Answer = says({})
        self.asked: list[tuple[str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, request.query.get("query", "")))
        return await self.answer(request)


def says(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, body=text.encode(), headers=headers)

    return answer


def result(kind: str, found: Any, **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": found}, **more}


@pytest.fixture
async def fake() -> FakePrometheus:
    return FakePrometheus()


@pytest.fixture
async def url(fake: FakePrometheus) -> AsyncIterator[str]:
    async with serving(fake.handle) as found:
        yield found + "/base/"


async def failing(url: str, **more: Any) -> GoldseamError:
    with pytest.raises(GoldseamError) as caught:
        await PromqlMetrics(url, **{"timeout": 10, **more}).query("up")
    assert len(str(caught.value)) <= 300
    return caught.value


def vector(*values: str) -> dict[str, Any]:
    return result("vector", [{"metric": {"i": str(n)}, "value": [1.5, value]} for n, value in enumerate(values)])


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (vector("1", "2.5e3", "+Inf", "-Inf"), (1.0, 2500.0, math.inf, -math.inf)),
        (vector(), ()),
        (result("vector", None), ()),
        (result("scalar", [1.5, "42"]), (42.0,)),
    ],
)
async def test_vectors_and_scalars_are_numbers(
    fake: FakePrometheus, url: str, body: Any, values: tuple[float, ...]
) -> None:
    fake.answer = says(body)
    assert await PromqlMetrics(url, timeout=10).query('up{a="b c"}') == Samples(values)
    assert fake.asked == [("/base/api/v1/query", 'up{a="b c"}')]


async def test_nan_comes_through_for_others_to_judge(fake: FakePrometheus, url: str) -> None:
    fake.answer = says(vector("NaN"))
    assert math.isnan((await PromqlMetrics(url, timeout=10).query("up")).values[0])


async def test_a_warning_in_another_form_is_a_warning(fake: FakePrometheus, url: str) -> None:
    fake.answer = says({**vector("1"), "warnings": "store x is down"})
    assert await PromqlMetrics(url, timeout=10).query("up") == Samples((1.0,), ("store x is down",))


async def test_what_victoriametrics_calls_partial_is_a_warning(fake: FakePrometheus, url: str) -> None:
    fake.answer = says({**vector("1"), "isPartial": True})
    (warning,) = (await PromqlMetrics(url, timeout=10).query("up")).warnings
    assert "isPartial" in warning
    fake.answer = says({**vector("1"), "isPartial": False})
    assert (await PromqlMetrics(url, timeout=10).query("up")).warnings == ()


async def test_a_compressed_answer_is_read(fake: FakePrometheus, url: str) -> None:
    async def compressed(_: web.Request) -> web.Response:
        body = gzip.compress(json.dumps(vector("7")).encode())
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    fake.answer = compressed
    assert (await PromqlMetrics(url, timeout=10).query("up")).values == (7.0,)


async def test_the_answer_to_one_query_is_never_that_to_another(fake: FakePrometheus, url: str) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response(vector(request.query["query"]))

    fake.answer = echo
    metrics = PromqlMetrics(url, timeout=10)
    found = await asyncio.gather(*(metrics.query(str(n)) for n in range(40)))
    assert [one.values for one in found] == [(float(n),) for n in range(40)]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (result("string", [1, "x"]), "string"),
        (result("vector", [{"metric": {}, "histogram": [1, {"count": "1"}]}]), "native histogram"),
    ],
)
async def test_what_is_no_number_is_invalid(fake: FakePrometheus, url: str, body: Any, word: str) -> None:
    fake.answer = says(body)
    error = await failing(url)
    assert isinstance(error, Invalid)
    assert word in str(error)


async def test_a_parse_error_is_told_in_prometheus_own_words(fake: FakePrometheus, url: str) -> None:
    told = 'invalid parameter "query": 1:5: parse error: unclosed left parenthesis'
    fake.answer = says({"status": "error", "errorType": "bad_data", "error": told}, 400)
    error = await failing(url)
    assert isinstance(error, Invalid)
    assert str(error) == told
    fake.answer = says({"status": "error", "errorType": "bad_data", "error": "x" * 9_999}, 400)
    assert isinstance(await failing(url), Invalid)


@pytest.mark.parametrize(
    "answer",
    [
        says("<html>sign in</html>"),
        says('{"status": "success", "data": {"resu'),
        says("[" * 100_000),
        says([]),
        says({}),
        says({"status": "success"}),
        says({"status": "success", "data": []}),
        says({"status": "success", "data": {"resultType": "vector"}}),
        says(result("vector", [{}])),
        says(result("vector", [5])),
        says(result("vector", [{"value": [1, "many"]}])),
        says(result("scalar", [])),
        says({"status": "error", "errorType": "execution", "error": "many-to-many matching not allowed"}, 422),
        says({"status": "error", "errorType": "bad_data", "error": "?"}),
        says("", 401),
    ],
)
async def test_what_cannot_be_trusted_is_unavailable_and_asked_for_once(
    fake: FakePrometheus, url: str, answer: Answer
) -> None:
    fake.answer = answer
    error = await failing(url)
    assert isinstance(error, Unavailable)
    assert "secret" not in str(error)
    assert len(fake.asked) == 1


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(fake: FakePrometheus, url: str) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    fake.answer = endless
    assert str(await failing(url, largest=200_000)) == "the answer is larger than 200000 bytes"


async def test_an_answer_that_drips_times_out_as_a_whole(fake: FakePrometheus, url: str) -> None:
    async def dripping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    fake.answer = dripping
    assert str(await failing(url, timeout=0.2)) == "no answer within 0.2 s"


async def test_slow_answers_hold_their_slots_and_no_more_threads(fake: FakePrometheus, url: str) -> None:
    hold, full = asyncio.Event(), asyncio.Event()

    async def held(_: web.Request) -> web.Response:
        if len(fake.asked) >= promql.AT_ONCE:
            full.set()
        await hold.wait()
        return web.json_response(vector("1"))

    fake.answer = held
    metrics = PromqlMetrics(url, timeout=10)
    waiting = [asyncio.create_task(metrics.query("up")) for _ in range(promql.AT_ONCE)]
    async with asyncio.timeout(30):
        await full.wait()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    late = asyncio.create_task(metrics.query("up"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(fake.asked) == promql.AT_ONCE, "the threads of those who gave up are not free yet"
    hold.set()
    assert (await late).values == (1.0,)


async def test_an_answer_that_never_comes_times_out(fake: FakePrometheus, url: str) -> None:
    never = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    fake.answer = silent
    assert str(await failing(url, timeout=0.1)) == "no answer within 0.1 s"


async def test_a_connection_that_breaks_in_the_answer_is_no_answer(fake: FakePrometheus, url: str) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"status": "success"')
        assert request.transport is not None
        request.transport.close()
        return response

    fake.answer = cut
    assert isinstance(await failing(url), Unavailable)


@pytest.mark.parametrize("address", ["http://", "http://[::bad", "nonsense", "ftp://x"])
async def test_a_url_that_is_none_is_named_as_such(address: str) -> None:
    assert str(await failing(address)) == "the URL is not one"


async def test_a_refused_connection_is_named_as_such() -> None:
    assert str(await failing(f"http://127.0.0.1:{unused_port()}")) == "cannot be reached: connection refused"


async def test_tls_where_there_is_none_is_named_as_such(url: str) -> None:
    assert str(await failing(url.replace("http:", "https:"))).startswith("cannot be reached: TLS failed")
