"""`/metrics`, `/healthz` and `/readyz`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from goldseam.metrics import REGISTRY

Check = Callable[[], tuple[bool, str]]


@asynccontextmanager
async def serve(host: str, port: int, *, live: Check, ready: Check) -> AsyncIterator[int]:
    """Serve while the context lasts; gives the port, which is a free one where 0 was asked for."""
    app = web.Application()
    app.router.add_get("/metrics", make_aiohttp_handler(REGISTRY))
    app.router.add_get("/healthz", _answering(live))
    app.router.add_get("/readyz", _answering(ready))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _answering(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        good, reason = check()
        return web.Response(status=200 if good else 503, text=reason + "\n")

    return answer
