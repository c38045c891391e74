"""A port that lets in no more than there is room for: few connections, each for as long as it has something to say.

The accepting is our own, because asyncio's server takes in whatever comes: each connection that has not shaken hands
yet holds a buffer of 256 KiB (`asyncio.sslproto`), so a thousand of them would be the end of the operator.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from goldseam import metrics

CONNECTIONS = 64
"""At once: each Prometheus and each Alertmanager needs one."""
PER_SECOND = 50.0
"""New connections over any longer time; twice as many at once. The others wait in the kernel's queue."""
HANDSHAKE = 5.0
"""Seconds for TLS' handshake."""
IDLE = 10.0
"""Seconds after which a connection is closed on which no request was completed, nor its headers."""
LINGERING = 1.0
"""Seconds for which the rest of a request that was refused is read, so that the client sees why."""
SHORT_OF_FILES = 0.5
"""Seconds until accepting is tried again, when the system has nothing left for it."""

_SILENT = logging.getLogger("goldseam.receiver.http")
"""What a stranger sends that is no HTTP is answered, and not worth a line of the log."""
_SILENT.setLevel(logging.CRITICAL)

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Bucket:
    """So many in a second over any longer time, and `burst` at once."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._size, self._clock = per_second, burst, clock
        self._left, self._at = burst, clock()

    def take(self, amount: float = 1) -> bool:
        """Take as much, if it is there."""
        now = self._clock()
        self._left = min(self._size, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < amount:
            return False
        self._left -= amount
        return True


class _Connection(web.RequestHandler):
    """One of aiohttp's, of which we know when it is over."""

    __slots__ = ("gone",)

    def __init__(self, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE,
            lingering_time=LINGERING,
            access_log=None,  # type: ignore[arg-type]
            logger=_SILENT,
            auto_decompress=False,
        )
        self.gone = asyncio.Event()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.gone.set()


class Door:
    """Accepts, and counts."""

    def __init__(self, handle: Handle, tls: Callable[[], ssl.SSLContext | None] | None) -> None:
        """`tls` gives what a new connection is secured with, None while nobody can be let in; no `tls`: plain HTTP."""
        self._tls = tls
        self._server = web.Server(handle)
        self._open: set[asyncio.Task[None]] = set()
        self._pace = Bucket(PER_SECOND, 2 * PER_SECOND)

    @asynccontextmanager
    async def opened(self, host: str, port: int) -> AsyncIterator[int]:
        """Let in while the context lasts; gives the port, which is a free one where 0 was asked for."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family, backlog=128) as listening:
            listening.setblocking(False)
            accepting = asyncio.create_task(self._accept(listening), name="receiver")
            try:
                yield int(listening.getsockname()[1])
            finally:
                accepting.cancel()
                await asyncio.gather(accepting, return_exceptions=True)
                await self._server.shutdown(1.0)
                for task in self._open:
                    task.cancel()
                await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._pace.take():
                await asyncio.sleep(1 / PER_SECOND)
                continue
            try:
                peer, _ = await loop.sock_accept(listening)
            except OSError:
                await asyncio.sleep(SHORT_OF_FILES)
                continue
            if len(self._open) >= CONNECTIONS:
                metrics.turned_away("full")
                peer.close()
                continue
            task = asyncio.create_task(self._serve(peer))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _serve(self, peer: socket.socket) -> None:
        secured = self._tls() if self._tls else None
        if self._tls and secured is None:
            metrics.turned_away("certificate")
            peer.close()
            return
        waits = {"ssl_handshake_timeout": HANDSHAKE, "ssl_shutdown_timeout": LINGERING} if secured else {}
        connection, loop = _Connection(self._server), asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: connection, peer, ssl=secured, **waits)
        except OSError:  # of which those of TLS and of time are kinds
            metrics.turned_away("handshake")
            with contextlib.suppress(OSError):
                peer.close()
            return
        await connection.gone.wait()
