"""The fault proxy between the operator and the API server: it numbers the writes, and strikes at the chosen one.

Writes are POST, PUT, PATCH and DELETE, but for Leases, Events and reviews: those change nothing that is promised.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
from aiohttp import web

from tests.support.plane import Plane

WRITES = ("POST", "PUT", "PATCH", "DELETE")
UNCOUNTED = re.compile(r"/(leases|events|subjectaccessreviews|tokenreviews|selfsubjectaccessreviews)(/|$|\?)")
HOP = {"host", "content-length", "transfer-encoding", "connection", "content-encoding", "accept-encoding"}

When = Literal["before", "after", "held"]
"""`before`: the request never leaves. `after`: the server has answered, and nobody hears it. `held`: it leaves late."""


@dataclass(frozen=True)
class Seen:
    """One write that came by."""

    number: int
    method: str
    path: str
    body: Any

    @property
    def label(self) -> str:
        """The write without names: `PATCH deployments/scale`."""
        parts = [part for part in self.path.split("?")[0].split("/") if part]
        parts = parts[2 if parts[0] == "api" else 3 :]
        if parts[0] == "namespaces" and len(parts) > 2:
            parts = parts[2:]
        kind = parts[0] if parts else ""
        sub = f"/{parts[2]}" if len(parts) > 2 else ""
        return f"{self.method} {kind}{sub}"


@dataclass
class Strike:
    """What happens, and when: once, at the first write for which `at` says so."""

    at: Callable[[Seen], bool]
    when: When
    hit: Callable[[], None]
    done: threading.Event = field(default_factory=threading.Event)
    answer: int = 0
    """For `held`: the status with which the server answered in the end."""


class FaultProxy:
    """Plain HTTP on loopback towards the operator, TLS towards the API server."""

    def __init__(self, plane: Plane) -> None:
        config = json.loads(open(plane.kubeconfig).read())  # noqa: SIM115, PTH123
        cluster = config["clusters"][0]["cluster"]
        self._upstream = cluster["server"]
        self._tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self.seen: list[Seen] = []
        self.strike: Strike | None = None
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="fault proxy")

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        assert self._ready.wait(10), "the proxy did not start"

    def stop(self) -> None:
        """End, and cut every connection."""
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(20)

    @property
    def url(self) -> str:
        """Where the operator finds it."""
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._ending = asyncio.Event()
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        forever = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=forever) as session:
            self._session = session
            app = web.Application(client_max_size=8 * 2**20)
            app.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.port = runner.addresses[0][1]
            self._ready.set()
            await self._ending.wait()
            await runner.cleanup()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.method not in WRITES or UNCOUNTED.search(request.path):
            return await self._forward(request, body)
        seen = Seen(len(self.seen) + 1, request.method, request.path, json.loads(body) if body else None)
        self.seen.append(seen)
        strike = self.strike
        if strike is None or strike.done.is_set() or not strike.at(seen):
            return await self._forward(request, body)
        strike.done.set()
        return await self._struck(strike, request, lambda: self._ask(request, body))

    async def _struck(
        self, strike: Strike, request: web.Request, ask: Callable[[], Awaitable[aiohttp.ClientResponse]]
    ) -> web.StreamResponse:
        if strike.when == "after":
            answer = await ask()
            await answer.read()
        await asyncio.to_thread(strike.hit)
        if strike.when == "held":
            strike.answer = (await ask()).status
        if request.transport is not None:
            request.transport.close()
        return web.Response(status=503)

    async def _ask(self, request: web.Request, body: bytes) -> aiohttp.ClientResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
        return await self._session.request(
            request.method, self._upstream + request.path_qs, data=body or None, headers=headers
        )

    async def _forward(self, request: web.Request, body: bytes) -> web.StreamResponse:
        async with await self._ask(request, body) as answer:
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP}
            response = web.StreamResponse(status=answer.status, headers=headers)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        return response


@contextmanager
def fault_proxy(plane: Plane) -> Iterator[FaultProxy]:
    """A proxy that listens while the context lasts."""
    proxy = FaultProxy(plane)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
