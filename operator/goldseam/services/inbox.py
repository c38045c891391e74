"""What the watches saw and nobody has looked at yet: one entry an object, the newest one, so it is bounded.

Kept as text, a fifth of what the same object takes parsed: a standby keeps every object until it leads.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from goldseam.ports import Json


@dataclass(frozen=True)
class Seen:
    """One object as a watch saw it; `body` is None when it is gone."""

    kind: str
    namespace: str
    name: str
    body: Json | None


class Inbox:
    """Filled by the watching thread, emptied by the main loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str, str], str] = {}
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()

    def put(self, seen: Seen) -> None:
        """Take in what was seen; from any thread."""
        text = json.dumps(seen.body)
        with self._lock:
            self._waiting[seen.kind, seen.namespace, seen.name] = text
        self._loop.call_soon_threadsafe(self._filled.set)

    async def take(self) -> Iterator[Seen]:
        """All that waits, read one by one; awaits the first."""
        await self._filled.wait()
        with self._lock:
            self._filled.clear()
            taken, self._waiting = self._waiting, {}
        return (Seen(*key, json.loads(text)) for key, text in taken.items())
