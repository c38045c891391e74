"""A proxy through which the API server can be out of reach: for a while, or for some requests only."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from tests.support.plane import Plane
from tests.support.proxy import FaultProxy


class Outage(FaultProxy):
    """Cuts connections, and counts what was asked."""

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane)
        self.requests = 0
        """How many came, also while nothing was let through."""
        self._cut: re.Pattern[str] | None = None
        self._under_way: set[asyncio.Task[Any]] = set()

    def down(self, paths: str = "") -> None:
        """Let no request through whose path has this regular expression in it; end those that are under way."""
        self._cut = re.compile(paths)
        if not paths:
            self._loop.call_soon_threadsafe(self._end)

    def up(self) -> None:
        """Let everything through again."""
        self._cut = None

    def _end(self) -> None:
        for task in self._under_way:
            task.cancel()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if self._cut is not None and self._cut.search(request.path):
            if request.transport is not None:
                request.transport.close()
            return web.Response(status=503)
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        try:
            return await super()._handle(request)
        finally:
            self._under_way.discard(task)


@contextmanager
def outage(plane: Plane) -> Iterator[Outage]:
    """One that listens while the context lasts, and lets everything through at first."""
    proxy = Outage(plane)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
