"""Reads of one thing that many ask for at the same moment: one request answers all who asked before it began.

Nobody gets an answer that is older than their question, so that whoever acts on it acts on no less than on a read of
their own (Go's `singleflight` gives the answer of a call that has begun already, which may be older).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

Ask = Callable[[], Coroutine[Any, Any, Any]]

PATIENCE = 0.2
"""Seconds that a read waits for the one before it: one that hangs holds up nobody for longer."""


class Joined:
    """The reads that are under way, and those that come after them."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._begun: dict[Hashable, asyncio.Task[Any]] = {}
        self._next: dict[Hashable, asyncio.Task[Any]] = {}
        self._waiting: Counter[asyncio.Task[Any]] = Counter()

    async def read(self, which: Hashable, ask: Ask) -> Any:
        """What `ask` gives, begun from now on; an error is given to all who joined. It ends when nobody waits for it
        any more."""
        before, task = self._begun.get(which), self._next.get(which)
        if before is None:
            task = self._begin(which, asyncio.create_task(ask()))
        elif task is None:
            task = self._next[which] = asyncio.create_task(self._after(before, which, ask))
        assert task is not None
        self._waiting[task] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[task] -= 1
            if not self._waiting[task]:
                self._dropped(which, task)

    async def _after(self, before: asyncio.Task[Any], which: Hashable, ask: Ask) -> Any:
        await asyncio.wait({before}, timeout=self._patience)
        self._begin(which, self._next.pop(which))
        return await ask()

    def _dropped(self, which: Hashable, task: asyncio.Task[Any]) -> None:
        del self._waiting[task]
        if self._next.get(which) is task:
            del self._next[which]
        task.cancel()

    def _begin(self, which: Hashable, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        self._begun[which] = task
        task.add_done_callback(lambda ended: self._ended(which, ended))
        return task

    def _ended(self, which: Hashable, task: asyncio.Task[Any]) -> None:
        if self._begun.get(which) is task:
            del self._begun[which]
        if not task.cancelled():
            task.exception()  # all who joined may have been cancelled
