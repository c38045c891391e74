"""Wakes a reader before its time, though never so often that reading costs more than a share of the time."""

from __future__ import annotations

import asyncio
import contextlib

SPACING = 0.1
"""Seconds, at least, from the end of a read to one that was woken: what rings meanwhile is one."""
SHARE = 9
"""A woken read comes no sooner than after so many times as long as the last one took: a flood makes reading cost a
tenth of the time at most, here and at the server that is read."""


class Bell:
    """Rung by whoever has heard that something may have changed."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Let the reader read soon, and not only when its time has come."""
        self._rung.set()

    def heard(self) -> None:
        """A read begins now: what rang before it is answered by it, and what rings from now on is not."""
        self._rung.clear()

    async def rest(self, seconds: float, took: float) -> bool:
        """Sleep so long, or until it rings. Returns whether it rang.

        Args:
            seconds: until the next read is due anyway.
            took: how long the last read took, in seconds.
        """
        quiet = min(max(SPACING, SHARE * took), seconds)
        await asyncio.sleep(quiet)
        if seconds > quiet:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds - quiet):
                    await self._rung.wait()
        return self._rung.is_set() and seconds > quiet
