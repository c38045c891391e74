"""The fault proxy itself: what it lets through, what it counts, and how it strikes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from tests.support.faults import (
    CutShort,
    Delayed,
    Instead,
    Remembered,
    Seen,
    Stalled,
    Strike,
    When,
    dropped,
    html,
    refused,
)
from tests.support.proxy import FaultProxy, authority_of

LARGE = b'{"items": []}' + b" " * 2**18
SCALE = "/apis/apps/v1/namespaces/shop/deployments/web/scale"


class Upstream:
    """Stands for the API server: remembers what reached it, and has a watch whose events the test sends."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str, Any]] = []
        self.version = 1
        self.events: asyncio.Queue[bytes] = asyncio.Queue()
        self.watching = asyncio.Event()
        self.sent = asyncio.Event()
        """The event `2` has left."""
        self.watch_ended = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        token = request.headers.get("Authorization", "")
        self.got.append((request.method, request.path_qs, token, json.loads(body) if body else None))
        if "large" in request.path:
            large = web.Response(body=LARGE)
            large.enable_compression()  # as the API server does with long answers, if it may
            return large
        if "watch" not in request.query:
            answer = {"method": request.method, "version": self.version}
            return web.json_response(answer, status=422 if "refused" in request.path else 200)
        response = web.StreamResponse()
        await response.prepare(request)
        self.watching.set()
        try:
            while True:
                event = await self.events.get()
                await response.write(event)
                if event == b"2\n":
                    self.sent.set()
        finally:
            self.watch_ended.set()

    @property
    def reached(self) -> list[str]:
        return [f"{method} {path}" for method, path, _, _ in self.got]


@pytest.fixture
async def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def proxy(upstream: Upstream, tmp_path: Path) -> AsyncIterator[FaultProxy]:
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", upstream.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    server = f"https://127.0.0.1:{runner.addresses[0][1]}"
    found = FaultProxy(server, authority.cert_pem.bytes().decode(), tmp_path)
    await asyncio.to_thread(found.start)
    try:
        yield found
    finally:
        with contextlib.suppress(RuntimeError):  # a test may have stopped it
            await asyncio.to_thread(found.stop)
        await runner.cleanup()


@pytest.fixture
async def operator(proxy: FaultProxy, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": "Bearer t"}
    trust = ssl.create_default_context(cafile=authority_of(tmp_path))
    connector = aiohttp.TCPConnector(ssl=trust)
    async with aiohttp.ClientSession(
        proxy.url, headers=headers, connector=connector, timeout=aiohttp.ClientTimeout(30)
    ) as session:
        yield session


async def patch(operator: aiohttp.ClientSession, path: str = SCALE) -> int:
    async with operator.patch(path, json={"spec": {"replicas": 2}}) as answer:
        await answer.read()
        return answer.status


async def test_a_request_passes_with_its_query_token_and_body(
    operator: aiohttp.ClientSession, upstream: Upstream
) -> None:
    assert await patch(operator, f"{SCALE}?dryRun=All&fieldManager=a%26b") == 200
    wanted = ("PATCH", f"{SCALE}?dryRun=All&fieldManager=a%26b", "Bearer t", {"spec": {"replicas": 2}})
    assert upstream.got == [wanted]


async def test_a_refusal_passes_as_it_is(operator: aiohttp.ClientSession) -> None:
    assert await patch(operator, "/apis/apps/v1/namespaces/shop/deployments/refused") == 422


async def test_a_long_answer_passes_as_it_is(operator: aiohttp.ClientSession) -> None:
    assert await read(operator, "/apis/goldseam.dev/v1alpha1/large") == (200, LARGE)


async def test_only_what_changes_a_promise_is_counted(operator: aiohttp.ClientSession, proxy: FaultProxy) -> None:
    await operator.get(SCALE)
    await operator.put("/apis/coordination.k8s.io/v1/namespaces/goldseam-system/leases/goldseam", json={})
    await operator.post("/apis/events.k8s.io/v1/namespaces/shop/events?fieldManager=goldseam", json={})
    await operator.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", json={})
    await operator.post("/apis/authentication.k8s.io/v1/tokenreviews", json={})
    assert proxy.seen == []
    await patch(operator)
    await operator.post("/api/v1/namespaces/shop/pods/web-1/eviction", json={"kind": "Eviction"})
    await operator.delete("/api/v1/namespaces/shop/pods/web-1")
    await operator.patch("/api/v1/nodes/worker-1", json={})
    await operator.patch("/apis/goldseam.dev/v1alpha1/guardrails/default/status", json={})
    assert [(seen.number, seen.label) for seen in proxy.seen] == [
        (1, "PATCH deployments/scale"),
        (2, "POST pods/eviction"),
        (3, "DELETE pods"),
        (4, "PATCH nodes"),
        (5, "PATCH guardrails/status"),
    ]
    assert proxy.seen[0].body == {"spec": {"replicas": 2}}


@pytest.mark.parametrize(("when", "reached"), [("before", 1), ("after", 2)])
async def test_a_strike_hides_the_answer_and_before_it_even_the_request(
    operator: aiohttp.ClientSession, proxy: FaultProxy, upstream: Upstream, when: When, reached: int
) -> None:
    reached_at_the_strike: list[int] = []
    proxy.strike = Strike(lambda seen: seen.number == 2, when, lambda: reached_at_the_strike.append(len(upstream.got)))
    assert await patch(operator) == 200
    with pytest.raises(aiohttp.ClientConnectionError):
        await patch(operator)
    assert proxy.strike.done.is_set()
    assert reached_at_the_strike == [reached]
    assert len(upstream.got) == reached


def at_scale(seen: Seen) -> bool:
    return seen.label == "PATCH deployments/scale"


def at_reads(seen: Seen) -> bool:
    return seen.reading


def at_watches(seen: Seen) -> bool:
    return seen.watching


async def test_a_strike_hits_once(operator: aiohttp.ClientSession, proxy: FaultProxy) -> None:
    proxy.strike = Strike(at_scale, "before", lambda: None)
    with pytest.raises(aiohttp.ClientConnectionError):
        await patch(operator)
    assert await patch(operator) == 200
    assert [seen.number for seen in proxy.seen] == [1, 2]


async def test_a_watch_passes_event_by_event(operator: aiohttp.ClientSession, upstream: Upstream) -> None:
    async with asyncio.timeout(30), operator.get("/api/v1/pods?watch=1") as watch:
        for line in (b'{"type":"ADDED"}\n', b'{"type":"DELETED"}\n'):
            upstream.events.put_nowait(line)
            assert await watch.content.readline() == line, "the next event is sent only after this one was seen"


async def test_a_watch_that_the_operator_leaves_ends_at_the_server(
    operator: aiohttp.ClientSession, upstream: Upstream
) -> None:
    async with asyncio.timeout(30):
        watch = await operator.get("/api/v1/pods?watch=1")
        await upstream.watching.wait()
        watch.close()
        await upstream.watch_ended.wait()


async def test_stopping_cuts_a_watch(operator: aiohttp.ClientSession, proxy: FaultProxy, upstream: Upstream) -> None:
    async with asyncio.timeout(30):
        watch = await operator.get("/api/v1/pods?watch=1")
        await upstream.watching.wait()
        await asyncio.to_thread(proxy.stop)
        with contextlib.suppress(aiohttp.ClientError):
            assert await watch.content.readline() == b""
        assert watch.content.at_eof() or watch.content.exception() is not None


async def read(operator: aiohttp.ClientSession, path: str = SCALE) -> tuple[int, bytes]:
    async with operator.get(path) as answer:
        return answer.status, await answer.read()


async def lines_until_cut(operator: aiohttp.ClientSession) -> list[bytes]:
    """What a watch says until its connection is cut."""
    lines: list[bytes] = []
    with contextlib.suppress(aiohttp.ClientError):
        async with asyncio.timeout(30), operator.get("/api/v1/pods?watch=1") as watch:
            while line := await watch.content.readline():
                lines.append(line)
            raise AssertionError("it ended as if that was all")
    return lines


async def test_an_operator_that_does_not_trust_the_certificate_reaches_nothing(
    proxy: FaultProxy, upstream: Upstream
) -> None:
    async with aiohttp.ClientSession(proxy.url) as stranger:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await read(stranger)
    assert upstream.got == []


async def test_every_request_has_a_number_and_says_what_it_is(
    operator: aiohttp.ClientSession, proxy: FaultProxy, upstream: Upstream
) -> None:
    await read(operator, "/version")
    await read(operator, "/apis/apps/v1/namespaces/shop/deployments?limit=500")
    await patch(operator)
    async with operator.get("/api/v1/pods?watch=true"):
        await upstream.watching.wait()
    seen = [(s.order, s.number, s.label, s.reading, s.watching) for s in proxy.requests]
    assert seen == [
        (1, 0, "GET /version", True, False),
        (2, 0, "GET deployments", True, False),
        (3, 1, "PATCH deployments/scale", False, False),
        (4, 0, "WATCH pods", False, True),
    ]


async def test_requests_are_counted_in_the_busiest_minute(operator: aiohttp.ClientSession, proxy: FaultProxy) -> None:
    for _ in range(3):
        await read(operator)
    await patch(operator)
    assert proxy.busiest_minute() == 4
    assert proxy.busiest_minute(at_reads) == 3
    long_ago = Seen(0, "GET", SCALE, None, at=proxy.requests[0].at - 3600)
    proxy.requests.insert(0, long_ago)
    assert proxy.busiest_minute() == 4, "an hour ago is another minute"


async def test_a_read_can_be_struck_like_a_write(
    operator: aiohttp.ClientSession, proxy: FaultProxy, upstream: Upstream
) -> None:
    proxy.strike = Strike(at_reads, "before", times=2)  # aiohttp asks once again by itself
    assert await patch(operator) == 200
    with pytest.raises(aiohttp.ClientConnectionError):
        await read(operator)
    assert upstream.reached == [f"PATCH {SCALE}"]
    assert (await read(operator))[0] == 200


async def test_a_request_that_is_held_leaves_late_and_its_answer_is_kept(
    operator: aiohttp.ClientSession, proxy: FaultProxy, upstream: Upstream
) -> None:
    reached_meanwhile: list[int] = []
    proxy.strike = Strike(at_scale, "held", lambda: reached_meanwhile.append(len(upstream.got)))
    with pytest.raises(aiohttp.ClientConnectionError):
        await patch(operator)
    assert reached_meanwhile == [0]
    assert upstream.reached == [f"PATCH {SCALE}"]
    assert proxy.strike.answer == 200


async def test_a_dropped_answer_leaves_the_effect(
    operator: aiohttp.ClientSession, proxy: FaultProxy, upstream: Upstream
) -> None:
    proxy.strike = Strike(at_scale, dropped())
    with pytest.raises(aiohttp.ClientConnectionError):
        await patch(operator)
    assert upstream.reached == [f"PATCH {SCALE}"]


async def test_a_delayed_answer_comes_when_the_operator_no_longer_waits_for_it(
    operator: aiohttp.ClientSession, proxy: FaultProxy, upstream: Upstream
) -> None:
    proxy.strike = Strike(at_scale, Delayed(3600))
    asked = asyncio.create_task(patch(operator))
    async with asyncio.timeout(30):
        while not upstream.got:
            await asyncio.sleep(0)
    assert not asked.done(), "the server has answered, and the operator has not heard it"
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_a_delayed_answer_is_the_answer(operator: aiohttp.ClientSession, proxy: FaultProxy) -> None:
    proxy.strike = Strike(at_scale, Delayed(0.01))
    assert await patch(operator) == 200


@pytest.mark.parametrize(
    ("effect", "status", "content"),
    [
        (refused(429, "TooManyRequests", Retry_After="2"), 429, b'"reason": "TooManyRequests"'),
        (refused(409, "Conflict", "the object has been modified"), 409, b"has been modified"),
        (refused(410, "Expired"), 410, b'"code": 410'),
        (html(200), 200, b"<html>"),
        (Instead(200), 200, b""),
    ],
    ids=["too many requests", "conflict", "gone", "html", "empty"],
)
async def test_an_answer_in_the_servers_place_keeps_the_request_from_it(
    operator: aiohttp.ClientSession,
    proxy: FaultProxy,
    upstream: Upstream,
    effect: Instead,
    status: int,
    content: bytes,
) -> None:
    proxy.strike = Strike(at_scale, effect)
    async with operator.patch(SCALE, json={}) as answer:
        assert answer.status == status
        assert content in await answer.read()
        assert answer.headers.get("Retry-After") == effect.headers.get("Retry-After")
        assert answer.headers.get("Retry-After") == ("2" if status == 429 else None)
    assert upstream.got == []


async def test_a_strike_repeats_so_many_times(operator: aiohttp.ClientSession, proxy: FaultProxy) -> None:
    proxy.strike = Strike(at_scale, refused(500, "InternalError"), times=2)
    assert [await patch(operator) for _ in range(3)] == [500, 500, 200]
    assert [seen.number for seen in proxy.strike.struck] == [1, 2]


async def test_a_strike_lasts_while_its_flag_is_set(operator: aiohttp.ClientSession, proxy: FaultProxy) -> None:
    bad_times = threading.Event()
    proxy.strike = Strike(at_scale, refused(503, "ServiceUnavailable"), times=None, during=bad_times)
    assert await patch(operator) == 200
    bad_times.set()
    assert [await patch(operator) for _ in range(3)] == [503, 503, 503]
    bad_times.clear()
    assert await patch(operator) == 200


async def test_the_first_strike_that_fits_is_the_one(operator: aiohttp.ClientSession, proxy: FaultProxy) -> None:
    proxy.strikes = [Strike(at_reads, refused(410, "Expired")), Strike(at_scale, refused(409, "Conflict"))]
    assert await patch(operator) == 409
    assert (await read(operator))[0] == 410
    assert await patch(operator) == 200


async def test_a_watch_is_cut_after_some_events(
    operator: aiohttp.ClientSession, proxy: FaultProxy, upstream: Upstream
) -> None:
    proxy.strike = Strike(at_watches, CutShort(lines=2))
    for line in (b"1\n", b"2\n", b"3\n"):
        upstream.events.put_nowait(line)
    assert await lines_until_cut(operator) == [b"1\n", b"2\n"]


async def test_a_stalled_watch_stays_open_and_says_nothing(
    operator: aiohttp.ClientSession, proxy: FaultProxy, upstream: Upstream
) -> None:
    proxy.strike = Strike(at_watches, Stalled(lines=1))
    upstream.events.put_nowait(b"1\n")
    async with asyncio.timeout(30), operator.get("/api/v1/pods?watch=1") as watch:
        assert await watch.content.readline() == b"1\n"
        upstream.events.put_nowait(b"2\n")
        await upstream.sent.wait()
        await read(operator)  # a way through the proxy that would have been enough for the event, too
        assert watch.content.read_nowait() == b""
        assert not watch.content.at_eof()


async def test_an_old_answer_is_served_again(
    operator: aiohttp.ClientSession, proxy: FaultProxy, upstream: Upstream
) -> None:
    memory = Remembered()
    proxy.strike = Strike(at_reads, memory, times=None)
    first = await read(operator)
    upstream.version = 2
    assert await read(operator) != first, "the flag is not set yet"
    memory.old.set()
    assert await read(operator) == first
    assert (await read(operator, f"{SCALE}?other"))[1] == b'{"method": "GET", "version": 2}', "nothing was remembered"


async def test_a_server_that_is_away_refuses_everything_cuts_watches_and_comes_back(
    operator: aiohttp.ClientSession, proxy: FaultProxy, upstream: Upstream
) -> None:
    async with asyncio.timeout(30):
        watching = asyncio.create_task(lines_until_cut(operator))
        await upstream.watching.wait()
        await asyncio.to_thread(proxy.leave)
        assert await watching == []
        with pytest.raises(aiohttp.ClientConnectorError):
            await patch(operator)
        assert {s.label for s in proxy.requests} == {"WATCH pods"}, "it does not even arrive"
        await asyncio.to_thread(proxy.come_back)
        assert await patch(operator) == 200
