"""Answers that many looks share for a while. Whoever acts asks anew.

For kinds that are watched only: what has changed is forgotten at once, and the time is for a watch that is late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from goldseam.ports import Clock

SHARED_FOR = 15.0
"""Seconds for which an answer is shared."""

Key = tuple[str, str, str]
"""Plural of the kind, namespace, and which of them."""


@dataclass(frozen=True)
class _Asked:
    at: float
    task: asyncio.Task[Any]


class Lately:
    """What was asked for lately, also what is being asked for now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: dict[Key, _Asked] = {}

    async def answer(self, key: Key, ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What `ask` gave to whoever asked lately. An error is given to those who wait for it, and not kept."""
        now = self._clock.monotonic()
        asked = self._asked.get(key)
        if asked is None or now - asked.at > SHARED_FOR:
            self._asked = {k: a for k, a in self._asked.items() if now - a.at <= SHARED_FOR}
            asked = self._asked[key] = _Asked(now, asyncio.create_task(ask()))
        try:
            return await asyncio.shield(asked.task)
        except Exception:
            if self._asked.get(key) is asked:
                del self._asked[key]
            raise

    def forget(self, plural: str) -> None:
        """Something of this kind has changed."""
        self._asked = {key: asked for key, asked in self._asked.items() if key[0] != plural}
