"""The time of day that incidents count with: the API server's, and without steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

log = structlog.get_logger("goldseam.clock")

STEP = 2.0
"""Seconds by which the time of day must leave the monotonic clock to count as a step, and not as its usual course."""
TRUSTED = 5.0
"""Seconds by which this machine and the API server may differ: it gives whole seconds, which take a while to come."""
FAR = 7_200.0
"""Seconds: so far behind, and with the API server's word for it, a step is followed at once: the machine slept."""
PACE = 0.2
"""Seconds a second by which a step is made up for: spans are a fifth too long or too short meanwhile, an hour takes
five."""


class SystemClock:
    """The port `Clock` on this machine.

    What incidents count with (timeouts, `after`, `revertAfter`) are differences between times of day, some of them
    written by an earlier leader on another machine. One whose clock is an hour fast would end all of them at once, an
    hour slow stop them for an hour. So leaders count with the API server's time, as far as they are told. And a step
    in the middle is made up for slowly, as time daemons do when they slew.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._last = monotonic()
        self._offset = wall() - self._last
        self._wrong, self._told, self._behind = 0.0, False, False

    def now(self) -> datetime:
        """The time of day, in UTC."""
        now = self._monotonic()
        step, most = self._step(now), PACE * (now - self._last)
        self._say(step)
        if abs(step) > STEP:
            step = max(-most, min(step, most))
        self._offset += step
        self._last = now
        return datetime.fromtimestamp(now + self._offset, UTC)

    def told(self, server: datetime) -> None:
        """Take in the API server's time of day, of just now. The first word is followed at once: nothing has begun."""
        wrong = self._wall() - server.timestamp()
        if abs(wrong - self._wrong) > TRUSTED:
            self._wrong = wrong if abs(wrong) > TRUSTED else 0.0
            log.warning("clock_wrong", seconds=round(self._wrong))
        step = self._step(self._monotonic())
        if not self._told or abs(step) > FAR:
            self._offset += step
        self._told = True

    def _step(self, now: float) -> float:
        return self._wall() - self._wrong - now - self._offset

    def _say(self, step: float) -> None:
        """Once for each step."""
        behind = abs(step) > STEP
        if behind and not self._behind:
            log.warning("clock_stepped", seconds=round(step, 1))
        self._behind = behind

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        return self._monotonic()
