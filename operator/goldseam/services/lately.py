"""Answers that many looks share for a while. Whoever acts asks anew, and shares with those who act at the same moment.

For a while only kinds are shared that are watched: what has changed is forgotten at once, and the time is for a watch
that is late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any

from goldseam.ports import Clock, Resource

SHARED_FOR = 15.0
"""Seconds for which an answer is shared."""
AT_ONCE = 0.1
"""Seconds for which those who act share it. A list that follows another one of its kind is held by the API server for
as long (KEP-2340: its watch cache asks etcd how far it is at most that often)."""

Key = tuple[str, str, str]
"""Plural of the kind, namespace, and which of them."""


@dataclass(frozen=True)
class _Asked:
    at: float
    task: asyncio.Task[Any]

    @property
    def failed(self) -> bool:
        """Whether it has ended without an answer."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)


class Lately:
    """What was asked for lately, also what is being asked for now."""

    def __init__(self, clock: Clock, lasts: float = SHARED_FOR, also: Collection[Resource] = ()) -> None:
        """`lasts` is in seconds; `also`: kinds that are shared besides those of all."""
        self._clock, self._lasts, self.also = clock, lasts, also
        self._asked: dict[Key, _Asked] = {}

    async def answer(
        self, key: Key, ask: Callable[[], Coroutine[Any, Any, Any]], *, anew: bool = False, lasts: float | None = None
    ) -> Any:
        """What `ask` gave to whoever asked lately. An error is given to those who wait for it, and not kept. `anew`: it
        is asked for in any case, and others share it. `lasts`: how old it may be, if less than others."""
        now = self._clock.monotonic()
        asked = self._asked.get(key)
        if anew or asked is None or asked.failed or now - asked.at > (self._lasts if lasts is None else lasts):
            self._asked = {k: a for k, a in self._asked.items() if now - a.at <= self._lasts}
            asked = self._asked[key] = _Asked(now, asyncio.create_task(ask()))
        return await asyncio.shield(asked.task)

    def forget(self, plural: str) -> None:
        """Something of this kind has changed."""
        self._asked = {key: asked for key, asked in self._asked.items() if key[0] != plural}
