"""The fault proxy between the operator and the API server: it numbers requests, and strikes at the chosen ones.

Writes are POST, PUT, PATCH and DELETE, but for Leases (those of nodes count), Events and reviews: those change nothing
that is promised.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import trustme
from aiohttp import web

from tests.support.faults import (
    Cut,
    CutShort,
    Delayed,
    Effect,
    Instead,
    Remembered,
    Seen,
    Stalled,
    Strike,
    When,
    counted,
)
from tests.support.plane import Plane

__all__ = ["FaultProxy", "Seen", "Strike", "When", "authority_of", "fault_proxy"]

HOP = {"host", "content-length", "transfer-encoding", "connection", "content-encoding", "accept-encoding"}
AUTHORITY = trustme.CA()
"""Signs the certificates of all proxies of this run."""


def authority_of(home: Path) -> Path:
    """Where the certificate is that an operator behind a proxy has to trust."""
    return home / "proxy-ca.crt"


class FaultProxy:
    """TLS on loopback towards the operator, TLS towards the API server."""

    def __init__(self, server: str, authority: str, home: Path) -> None:
        """`authority` is the certificate, as PEM, that the API server at `server` is trusted by."""
        self._upstream = server
        self._tls = ssl.create_default_context(cadata=authority)
        AUTHORITY.cert_pem.write_to_path(str(authority_of(home)))
        self._front = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        AUTHORITY.issue_cert("127.0.0.1").configure_cert(self._front)
        self.requests: list[Seen] = []
        self.strikes: list[Strike] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._writes = 0
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
        return f"https://127.0.0.1:{self.port}"

    @property
    def seen(self) -> list[Seen]:
        """The writes so far."""
        return [seen for seen in self.requests if seen.writing]

    @property
    def strike(self) -> Strike | None:
        """The one strike, where there is one."""
        return self.strikes[0] if self.strikes else None

    @strike.setter
    def strike(self, strike: Strike | None) -> None:
        self.strikes = [] if strike is None else [strike]

    def busiest_minute(self, where: Callable[[Seen], bool] = lambda _: True) -> int:
        """The most requests within any 60 seconds so far."""
        moments = [seen.at for seen in self.requests if where(seen)]
        most, first = 0, 0
        for last, moment in enumerate(moments):
            while moments[first] <= moment - 60:
                first += 1
            most = max(most, last - first + 1)
        return most

    def leave(self) -> None:
        """Nobody listens any more, as when the API server is down; what was open is cut."""
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result(20)

    def come_back(self) -> None:
        """Listen again, where it did."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(20)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._ending = asyncio.Event()
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        forever = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=forever, read_bufsize=2**20
        ) as session:
            self._session = session
            app = web.Application(client_max_size=8 * 2**20)
            app.router.add_route("*", "/{path:.*}", self._handle)
            self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
            await self._runner.setup()
            await self._listen()
            self._ready.set()
            await self._ending.wait()
            await self._runner.cleanup()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._front)
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    async def _leave(self) -> None:
        await self._site.stop()
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        seen = self._noted(request, body)
        strike = next((strike for strike in self.strikes if strike.takes(seen)), None)
        if strike is None:
            return await self._forward(request, body)
        return await self._struck(strike, strike.effect, request, body)

    def _noted(self, request: web.Request, body: bytes) -> Seen:
        writing = counted(request.method, request.path)
        self._writes += writing
        parsed = json.loads(body) if body and request.content_type.endswith("json") else None
        order, now = len(self.requests) + 1, time.monotonic()
        seen = Seen(
            self._writes if writing else 0, request.method, request.path, parsed, request.query_string, order, now
        )
        self.requests.append(seen)
        return seen

    async def _struck(self, strike: Strike, effect: Effect, request: web.Request, body: bytes) -> web.StreamResponse:
        match effect:
            case Cut():
                return await self._cut(strike, effect, request, body)
            case Delayed(seconds):
                answer = await self._whole(request, body)
                await asyncio.sleep(seconds)
                return _response(answer)
            case Instead():
                return _response(effect)
            case CutShort(lines) | Stalled(lines):
                return await self._forward(request, body, lines, stalls=isinstance(effect, Stalled))
            case Remembered():
                if not effect.old.is_set() or request.path_qs not in effect.answers:
                    effect.answers.setdefault(request.path_qs, answer := await self._whole(request, body))
                    return _response(answer)
                return _response(effect.answers[request.path_qs])

    async def _cut(self, strike: Strike, cut: Cut, request: web.Request, body: bytes) -> web.StreamResponse:
        if cut.when == "after":
            await self._whole(request, body)
        await asyncio.to_thread(cut.hit)
        if cut.when == "held":
            strike.answer = (await self._whole(request, body)).status
        return _severed(request)

    async def _ask(self, request: web.Request, body: bytes) -> aiohttp.ClientResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
        headers["Accept-Encoding"] = "identity"  # else aiohttp asks for gzip, and a list of 128 KiB comes like that
        return await self._session.request(
            request.method, self._upstream + request.path_qs, data=body or None, headers=headers
        )

    async def _whole(self, request: web.Request, body: bytes) -> Instead:
        async with await self._ask(request, body) as answer:
            return Instead(answer.status, await answer.read(), _kept(answer))

    async def _forward(
        self, request: web.Request, body: bytes, lines: int | None = None, *, stalls: bool = False
    ) -> web.StreamResponse:
        async with await self._ask(request, body) as answer:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer))
            await response.prepare(request)
            async for piece in _pieces(answer, lines):
                await response.write(piece)
            if stalls:
                await asyncio.Event().wait()
            if lines is not None:
                return _severed(request, response)
            await response.write_eof()
        return response


async def _pieces(answer: aiohttp.ClientResponse, lines: int | None) -> AsyncIterator[bytes]:
    """What comes, as it comes; or the first lines of it."""
    if lines is None:
        async for chunk in answer.content.iter_any():
            yield chunk
    else:
        for _ in range(lines):
            yield await answer.content.readline()


def _kept(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.lower() not in HOP}


def _response(answer: Instead) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


def _severed(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return response or web.Response(status=503)


@contextmanager
def fault_proxy(plane: Plane) -> Iterator[FaultProxy]:
    """A proxy that listens while the context lasts."""
    config = json.loads(plane.must("config", "view", "--minify", "--flatten", "-o", "json"))
    cluster = config["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    proxy = FaultProxy(cluster["server"], authority, plane.home)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
