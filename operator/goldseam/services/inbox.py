"""What the watches saw and nobody has looked at yet: one entry an object, the newest one, so it is bounded."""

from __future__ import annotations

import asyncio
import threading
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
        self._waiting: dict[tuple[str, str, str], Seen] = {}
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()

    def put(self, seen: Seen) -> None:
        """Take in what was seen; from any thread."""
        with self._lock:
            self._waiting[seen.kind, seen.namespace, seen.name] = seen
        self._loop.call_soon_threadsafe(self._filled.set)

    async def take(self) -> list[Seen]:
        """All that waits; awaits the first."""
        await self._filled.wait()
        with self._lock:
            self._filled.clear()
            taken = list(self._waiting.values())
            self._waiting.clear()
        return taken
