"""The Alertmanagers of one source as a whole: who answers, who gossips with whom, and who is away.

Those of a cluster tell each other of silences, but not of alerts: a silence is made in one of them, an alert is sent to
all. One that is away counts where another one speaks for it; what it alone may know is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from goldseam.api.alertsource import AlertmanagerSpec
from goldseam.errors import GoldseamError
from goldseam.ports import Alertmanager, Clock

log = structlog.get_logger("goldseam.alertmanagers")

T = TypeVar("T")
AT_ONCE = 8
"""Questions at the same time: a thousand incidents may be looked at together."""
AWAY_FOR = 5.0
"""Seconds for which one that did not answer is not asked again: else it would be waited for again and again."""
PATIENCE = 5.0
"""Seconds for one answer, however many requests it takes."""
ACQUAINTED_FOR = 60.0
"""Seconds for which it is believed who gossips with whom."""


@dataclass(frozen=True)
class Answers(Generic[T]):
    """What was answered, by URL, and why others did not answer."""

    answered: Mapping[str, T]
    away: Mapping[str, str] = field(default_factory=dict)


class Alertmanagers:
    """All of one source."""

    def __init__(self, spec: AlertmanagerSpec, servers: Sequence[Alertmanager], clock: Clock) -> None:
        self.spec, self._servers, self._clock = spec, {server.url: server for server in servers}, clock
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._away: dict[str, tuple[float, str]] = {}
        self._members: dict[str, frozenset[str]] = {}
        self._acquainted_at = float("-inf")
        self.refused: dict[str, str] = {}
        """Which of them do not take our silences, and why."""
        self.gated = False
        """Whether a silence of ours was taken."""
        self.gates_left = True
        """Whether one of ours may hold; what was left by an operator before us is not known at first."""
        self.gating = asyncio.Lock()
        """Held while silences are made, so that none is made twice."""

    @property
    def problem(self) -> str:
        """Who does not answer, and why; empty where all do, or none was asked yet."""
        return "; ".join(f"{url}: {why}" for url, (_, why) in sorted(self._away.items()))

    @property
    def said(self) -> tuple[object, ...]:
        """What the conditions of the source say of them."""
        return self.problem, tuple(sorted(self.refused.items())), self.gated

    async def ask(self, question: Callable[[Alertmanager], Awaitable[T]]) -> Answers[T]:
        """Ask all of them at the same time."""
        urls = list(self._servers)
        found = await asyncio.gather(*(self._asked(url, question) for url in urls))
        answered = {url: answer[0] for url, answer in zip(urls, found, strict=True) if isinstance(answer, tuple)}
        away = {url: answer for url, answer in zip(urls, found, strict=True) if isinstance(answer, str)}
        return Answers(answered, away)

    async def _asked(self, url: str, question: Callable[[Alertmanager], Awaitable[T]]) -> tuple[T] | str:
        """The answer, or why there is none."""
        until, why = self._away.get(url, (float("-inf"), ""))
        if self._clock.monotonic() < until:
            return why
        try:
            async with asyncio.timeout(PATIENCE), self._slots:
                answer = await question(self._servers[url])
        except (GoldseamError, TimeoutError) as error:
            why = str(error) or f"no answer within {PATIENCE:g} s"
            if url not in self._away:
                log.warning("alertmanager_away", url=url, problem=why)
            self._away[url] = (self._clock.monotonic() + AWAY_FOR, why)
            return why
        if self._away.pop(url, None):
            log.info("alertmanager_back", url=url)
        return (answer,)

    async def tell(self, telling: Callable[[Alertmanager], Awaitable[None]]) -> dict[str, str]:
        """Tell all of them something, also one that seems to be away. Gives why some did not take it, by URL; that they
        refuse what we send says nothing of whether they answer questions."""

        async def told(server: Alertmanager) -> str:
            try:
                await telling(server)
            except GoldseamError as error:
                return str(error)
            return ""

        problems = await asyncio.gather(*(told(server) for server in self._servers.values()))
        return {url: problem for url, problem in zip(self._servers, problems, strict=True) if problem}

    @property
    def urls(self) -> list[str]:
        """Where they are."""
        return list(self._servers)

    async def first(
        self, servers: Sequence[Alertmanager], question: Callable[[Alertmanager], Awaitable[T]]
    ) -> T | None:
        """The answer of the first that answers; None where none does."""
        for server in servers:
            if isinstance(answer := await self._asked(server.url, question), tuple):
                return answer[0]
        return None

    async def acquaint(self) -> None:
        """Ask who gossips with whom, unless that is known from just before."""
        if self._clock.monotonic() - self._acquainted_at < ACQUAINTED_FOR:
            return
        self._acquainted_at = self._clock.monotonic()
        self._members |= (await self.ask(lambda server: server.peers())).answered

    def unspoken_for(self, answers: Answers[T]) -> dict[str, str]:
        """Those that are away, and for whom none that answered can speak, with the reasons.

        One that was never asked successfully counts as one of a cluster that is seen to have several members.
        """
        members = [self._members.get(url, frozenset()) for url in answers.answered]

        def spoken_for(url: str) -> bool:
            mine = self._members.get(url)
            return any(len(theirs) > 1 if mine is None else mine & theirs for theirs in members)

        return {url: why for url, why in answers.away.items() if not spoken_for(url)}

    def clusters(self) -> list[list[Alertmanager]]:
        """Those that gossip with each other, together; each of the others alone."""
        groups: list[tuple[set[str], list[str]]] = []
        for url in self._servers:
            mine = set(self._members.get(url, ()))
            near = next((group for group in groups if group[0] & mine), None)
            if near is None:
                groups.append((mine, [url]))
            else:
                near[0].update(mine)
                near[1].append(url)
        return [[self._servers[url] for url in urls] for _, urls in groups]
