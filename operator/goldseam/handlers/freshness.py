"""When each watch was last opened: one that cannot be opened any more sees nothing, and says nothing.

The API server ends every watch after a while, and kopf opens it again. So a watch that works is opened often, even
where nothing happens. Source: `timeoutSeconds` of a watch (kubernetes, API concepts), and `inactivity_timeout` of kopf,
which ends a watch that has gone silent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace

import aiohttp

GOOD = 200


class Freshness:
    """Which watches are open, seen from the answers to kopf's requests. Any thread may ask."""

    def __init__(self, plurals: Iterable[str], reopened: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`reopened`: after so many seconds at most a watch that works is opened again."""
        self._reopened, self._clock = reopened, clock
        self._opened = dict.fromkeys(plurals, clock())
        self._answers = dict.fromkeys(self._opened, "no answer yet")

    def trace(self) -> aiohttp.TraceConfig:
        """What a session needs so that its requests are seen here."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._answered)
        config.on_request_exception.append(self._failed)
        return config

    async def _answered(self, _: object, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams) -> None:
        if params.url.query.get("watch") == "true" or params.response.status != GOOD:
            self.answered(params.url.path, f"HTTP {params.response.status}", good=params.response.status == GOOD)

    async def _failed(self, _: object, __: SimpleNamespace, params: aiohttp.TraceRequestExceptionParams) -> None:
        self.answered(params.url.path, type(params.exception).__name__, good=False)

    def answered(self, path: str, answer: str, *, good: bool) -> None:
        """A request about a kind was answered, or not."""
        plural = path.rsplit("/", 1)[-1]
        if plural in self._opened:
            self._answers[plural] = answer
            if good:
                self._opened[plural] = self._clock()

    @property
    def late(self) -> str:
        """The watches that should have been opened again by now, for people; empty when there is none."""
        return self._older_than(2 * self._reopened)

    @property
    def dead(self) -> str:
        """The watches that will not come back by themselves."""
        return self._older_than(5 * self._reopened)

    def _older_than(self, span: float) -> str:
        now = self._clock()
        old = [f"{plural} ({self._answers[plural]})" for plural, at in self._opened.items() if now - at > span]
        return f"not watched for {span:g} s: {', '.join(sorted(old))}" if old else ""
