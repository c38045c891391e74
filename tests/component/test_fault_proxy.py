"""The fault proxy itself: what it lets through, what it counts, and how it strikes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from tests.support.plane import Plane
from tests.support.proxy import FaultProxy, Seen, Strike, When

SCALE = "/apis/apps/v1/namespaces/shop/deployments/web/scale"


class Upstream:
    """Stands for the API server: remembers what reached it, and has a watch whose events the test sends."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str, Any]] = []
        self.events: asyncio.Queue[bytes] = asyncio.Queue()
        self.watching = asyncio.Event()
        self.watch_ended = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        token = request.headers.get("Authorization", "")
        self.got.append((request.method, request.path_qs, token, json.loads(body) if body else None))
        if "watch" not in request.query:
            return web.json_response({"method": request.method}, status=422 if "refused" in request.path else 200)
        response = web.StreamResponse()
        await response.prepare(request)
        self.watching.set()
        try:
            while True:
                await response.write(await self.events.get())
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
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", upstream.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    cluster = {
        "server": f"https://127.0.0.1:{runner.addresses[0][1]}",
        "certificate-authority": str(tmp_path / "ca.crt"),
    }
    (tmp_path / "kubeconfig").write_text(json.dumps({"clusters": [{"name": "c", "cluster": cluster}]}))
    found = FaultProxy(Plane(tmp_path, {"KUBECONFIG": str(tmp_path / "kubeconfig")}))
    await asyncio.to_thread(found.start)
    try:
        yield found
    finally:
        with contextlib.suppress(RuntimeError):  # a test may have stopped it
            await asyncio.to_thread(found.stop)
        await runner.cleanup()


@pytest.fixture
async def operator(proxy: FaultProxy) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": "Bearer t"}
    async with aiohttp.ClientSession(proxy.url, headers=headers) as session:
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


async def test_a_strike_hits_once(operator: aiohttp.ClientSession, proxy: FaultProxy) -> None:
    def at_scale(seen: Seen) -> bool:
        return seen.label == "PATCH deployments/scale"

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
