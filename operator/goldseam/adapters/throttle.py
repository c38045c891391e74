"""How fast the API server is asked: a token bucket, of which a part is kept for what must not wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from goldseam.ports import Line

ROUNDING = 1e-6
KEPT = 0.25
"""The share of the bucket that only urgent requests may use."""


class Throttle:
    """At most so many requests in a second over any longer time, and twice as many at once (client-go's `QPS` and
    `Burst`). What is urgent goes first; the other lines are served in turn, and each in the order in which it came."""

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate, self._size = per_second, 2 * per_second
        self._clock, self._sleep = clock, sleep
        self._tokens, self._at, self._held_until = self._size, clock(), float("-inf")
        self._lines = {line: asyncio.Lock() for line in Line}
        self._heads = asyncio.Lock()
        """Taken by the first of each line that is not urgent, in the order in which they came to be first."""

    async def turn(self, line: Line) -> None:
        """Wait until a request may be sent."""
        async with self._lines[line]:
            if line is Line.URGENT:
                await self._taken(urgent=True)
            else:
                async with self._heads:
                    await self._taken(urgent=False)

    async def _taken(self, *, urgent: bool) -> None:
        while (wait := self._wait(urgent)) > 0:
            await self._sleep(wait)
        self._tokens -= 1

    def hold(self, seconds: float) -> None:
        """The server asked for a rest: what is not urgent waits for so long."""
        self._held_until = max(self._held_until, self._clock() + seconds)

    def _wait(self, urgent: bool) -> float:
        now = self._clock()
        self._tokens = min(self._size, self._tokens + (now - self._at) * self._rate)
        self._at = now
        needed = 1 if urgent else 1 + self._size * KEPT
        full = (needed - self._tokens) / self._rate
        wait = full if urgent else max(full, self._held_until - now)
        return wait if wait > ROUNDING else 0.0
