"""Incidents that were opened just now: what was read for that, and how far each has come.

Where many alerts begin at the same moment, what they are is found out first: the breakers count them, the worst goes
first, and people see all of it. What may be done, and what takes long, as the evictions of a drain, waits for that, but
not for long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from contextlib import suppress

from goldseam.services.gather import Opened

PATIENCE = 5.0
"""Seconds that a drain waits for them at most, each pass."""
WORST_FIRST = 15.0
"""Seconds that the first act for one of a crowd waits at most until all of it were looked at: enough for three hundred,
at the hundred requests a second that are the default."""
TELLING = 15.0
"""Seconds that what only tells people of something waits for them at most."""


class Newly:
    """Those whose first decision was not taken."""

    def __init__(self) -> None:
        self._opened: dict[str, Opened] = {}
        self.seen, self.decided = Stage(), Stage()
        """Each has been looked at, if only to know whether anything holds it; its first decision was taken."""
        self._then: dict[Hashable, Callable[[], object]] = {}

    def opened(self, uid: str, opened: Opened) -> None:
        """The incident of that uid was opened just now; of a crowd all have to be opened, too."""
        self._opened[uid] = opened
        for name in filter(None, (uid, opened.crowd)):
            self.seen.awaits(name)
            self.decided.awaits(name)

    def taken(self, uid: str) -> Opened | None:
        """What was read for it, once: its first look begins."""
        return self._opened.pop(uid, None)

    def over(self, uid: str) -> None:
        """Its first decision was taken, whatever it was, or its first look has failed. Or, of a crowd: all of it is
        opened, or was tried to be."""
        self.seen.reached(uid)
        self.decided.reached(uid)
        if self.decided.complete:
            then, self._then = self._then, {}
            for do in then.values():
                do()

    def then(self, key: Hashable, do: Callable[[], object]) -> None:
        """Do that once all first decisions were taken; of several for one key the last one."""
        self._then[key] = do


class Stage:
    """What all of them will come to."""

    def __init__(self) -> None:
        self._left, self._all = set[str](), asyncio.Event()

    def awaits(self, uid: str) -> None:
        """One more."""
        self._left.add(uid)
        self._all.clear()

    def reached(self, uid: str) -> None:
        """It has come so far."""
        self._left.discard(uid)
        if not self._left:
            self._all.set()

    @property
    def complete(self) -> bool:
        """Whether all have come so far."""
        return not self._left

    async def by_all(self, patience: float = PATIENCE) -> bool:
        """Wait until all have come so far, or for so many seconds; whether there was anything to wait for."""
        if not self._left:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._all.wait()
        return True
