"""One task an open incident: it looks when it is woken, and at the latest when its last decision said."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from pydantic import ValidationError

from goldseam.errors import Fenced, GoldseamError, Retryable
from goldseam.services.look import AFTER_ERROR

log = structlog.get_logger("goldseam.workers")

Look = Callable[[str], Awaitable[timedelta | None]]

Errors = (GoldseamError, ValidationError)
"""What a look may end with: the incident stays as it is, and is looked at again."""
BACK_OFF = 2.0
LONGEST = timedelta(seconds=60)
JITTER = 0.25
"""By which share of itself a wait may be longer, so that what failed together does not come back together."""


class Workers:
    """The tasks of the open incidents."""

    def __init__(
        self, look: Look, deposed: Callable[[], Awaitable[bool]], chance: Callable[[], float] = random.random
    ) -> None:
        """`chance` gives numbers from 0 to 1."""
        self._look, self._asked, self._chance = look, deposed, chance
        self._wakes: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._backing_off: set[str] = set()
        self._closing = False
        self._deposed = asyncio.Event()

    async def until_deposed(self) -> None:
        """Ends only with `Fenced`: another leader has taken over, so that this process must stop."""
        await self._deposed.wait()
        raise Fenced("another leader has taken over")

    def wake(self, uid: str) -> None:
        """Look at this incident now; begins its task if it has none."""
        if self._closing:
            return
        if uid not in self._tasks:
            self._wakes[uid] = asyncio.Event()
            self._tasks[uid] = asyncio.create_task(self._work(uid), name=f"incident {uid}")
        self._wakes[uid].set()

    async def _work(self, uid: str) -> None:
        failures = 0
        again: timedelta | None = timedelta(0)
        while again is not None and not self._closing:
            self._wakes[uid].clear()
            try:
                again = await self._look(uid)
                failures = 0
            except Fenced as error:
                if await self._asked():
                    log.error("deposed", incident=uid)
                    self._deposed.set()
                    break
                failures, again = failures + 1, LONGEST  # nobody else leads: somebody forged its epoch
                log.error("epoch_forged", incident=uid, problem=str(error))
            except Errors as error:
                failures += 1
                again = self._after(error, failures)
                log.warning("look_failed", incident=uid, problem=str(error), again_in=again.total_seconds())
            except Exception:
                failures += 1
                again = LONGEST
                log.exception("look_failed", incident=uid)
            if again is not None:
                await self._rest(uid, again, interruptible=failures == 0)
        self._tasks.pop(uid, None)
        self._wakes.pop(uid, None)

    def _after(self, error: Exception, failures: int) -> timedelta:
        """Twice as long after each failure, never less than the server asked for (Retry-After), and not in step."""
        wait = min(AFTER_ERROR * BACK_OFF ** min(failures - 1, 5), LONGEST)
        asked = error.delay if isinstance(error, Retryable) else None
        return max(wait, asked or timedelta(0)) * (1 + JITTER * self._chance())

    async def _rest(self, uid: str, span: timedelta, *, interruptible: bool) -> None:
        """Sleep until woken; after a failure the whole time, so that wakes make no storm of retries."""
        if not interruptible:
            self._backing_off.add(uid)
            await asyncio.sleep(span.total_seconds())
            self._backing_off.discard(uid)
            return
        try:
            async with asyncio.timeout(max(span.total_seconds(), 0.01)):
                await self._wakes[uid].wait()
        except TimeoutError:
            return

    @property
    def count(self) -> int:
        """How many incidents have a task."""
        return len(self._tasks)

    async def close(self) -> bool:
        """Let every look that has begun end, then stop. Returns whether all did, so that no write can follow."""
        self._closing = True
        for uid in self._backing_off:
            self._tasks[uid].cancel()
        tasks = list(self._tasks.values())
        for event in list(self._wakes.values()):
            event.set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=15)
            for task in late:
                task.cancel()
            return not late
        return True
