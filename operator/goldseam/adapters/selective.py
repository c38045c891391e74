"""Reading only the rules that matter: a server may have tens of thousands, and policies wait for a few.

Prometheus (from 2.44 on), Thanos, Mimir and vmalert filter by `rule_name[]`; older ones pass over it, and answer with
all. `match[]` is not used: it sees a rule's own labels only, which say nothing about the alerts' others.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

import structlog

from goldseam.adapters.prometheus import PrometheusServer
from goldseam.engine.alerts import ActiveAlert, RulesAnswer
from goldseam.errors import Unavailable

log = structlog.get_logger("goldseam.selective")

WHOLE_EVERY = 600.0
"""Seconds after which all rules are read once more: to count them, and to see that the filter drops none."""
AGAIN = 60.0
"""Seconds after which that is tried again where it failed."""
LONGEST = 6_000
"""Bytes of names in one URL; proxies take 8 kB. Where more are wanted, all rules are read."""


class SelectiveServer:
    """The port `AlertServer` on a server that may filter. One that was seen to drop a rule is never again asked to."""

    def __init__(self, server: PrometheusServer, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._server, self._monotonic = server, monotonic
        self._filters = True
        self._due = float("-inf")
        self._names: frozenset[str] = frozenset()
        self._total = self._groups = 0

    async def rules(self, names: frozenset[str] | None = None) -> RulesAnswer:
        """The rules of these names, and no others; or all."""
        if names is None:
            return await self._server.rules()
        if not self._filters or _length(names) > LONGEST:
            return await self._whole(names)
        if self._monotonic() >= self._due:
            try:
                return await self._whole(names)
            except Unavailable:
                if not self._total:
                    raise
                self._due = self._monotonic() + AGAIN
        answer = await self._server.rules(names)
        if lost := (names & self._names) - {rule.name for rule in answer.rules}:
            return await self._looked_for(lost, names)
        return replace(answer, total=self._total, groups=self._groups)

    async def _looked_for(self, lost: frozenset[str], names: frozenset[str]) -> RulesAnswer:
        """Rules that were there are not in the answer: are they gone, or does the filter drop them?"""
        answer = await self._whole(names)
        if dropped := lost & {rule.name for rule in answer.rules}:
            log.warning("filter_drops_rules", rules=sorted(dropped)[:5])
            self._filters = False
        return answer

    async def _whole(self, names: frozenset[str]) -> RulesAnswer:
        answer, self._names = await self._server.catalogue(names)
        self._total, self._groups = answer.total or 0, answer.groups or 0
        self._due = self._monotonic() + WHOLE_EVERY
        return answer

    async def firing(self) -> tuple[ActiveAlert, ...]:
        """Every alert that fires."""
        return await self._server.firing()

    async def version(self) -> str:
        """The server's version."""
        return await self._server.version()


def _length(names: frozenset[str]) -> int:
    return sum(len(quote(name, safe="")) + len("&rule_name%5B%5D=") for name in names)
