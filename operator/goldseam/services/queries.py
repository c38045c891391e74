"""The PromQL queries of a step that was carried out, and of the runbook's thresholds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from goldseam.api.verifying import Bounded
from goldseam.engine.escalation import about_data, asking
from goldseam.engine.queries import Undefined, filled, judged, variables
from goldseam.engine.record import shown
from goldseam.engine.situation import QueryAnswer, Situation
from goldseam.errors import GoldseamError, Invalid
from goldseam.ports import Clock, Metrics

Labels = frozenset[tuple[str, str]]

KEPT = 10.0
"""Seconds that the answer to a threshold's query is good for: a thousand incidents may ask the same."""
LATEST = 60.0
"""Seconds for which it is good enough between the reads for an act and the act: nothing slow may stand there."""
PATIENCE = 3.0
"""Seconds that a look waits for all thresholds together; what comes later is there for the next look."""


@dataclass
class _Asked:
    """A question that was put once, for all who have it."""

    task: asyncio.Task[QueryAnswer]
    at: float | None = None
    """When it was answered; None while it is not."""

    def younger(self, than: float, now: float) -> bool:
        """Whether it is under way, or was answered less than so many seconds ago."""
        return self.at is None or now - self.at < than


class Queries:
    """Asks the alert source that the policy names."""

    def __init__(self, source: Callable[[Situation], Metrics | str], clock: Clock) -> None:
        """`source` gives the policy's alert source, or says why there is none to ask."""
        self._source, self._clock = source, clock
        self._asked: dict[tuple[str, Bounded, Labels], _Asked] = {}

    async def answered(self, s: Situation) -> Situation:
        """The situation with the answers: the step's once it has settled, and the thresholds'."""
        bounds = asking(s)
        found = await asyncio.gather(*(self._lately(s, query) for _, query in bounds))
        names = (name for name, _ in bounds)
        return replace(await self.verified(s), bounds=dict(zip(names, found, strict=True)))

    async def before_acting(self, s: Situation) -> Situation:
        """As `answered`; of the thresholds nothing is asked any more, and what was answered lately counts; but whether
        data is lost, before something destructive."""
        now = self._clock.monotonic()
        known = {name: self._asked.get(self._key(s, query)) for name, query in asking(s)}
        bounds = {
            name: asked.task.result()
            for name, asked in known.items()
            if asked is not None and asked.at is not None and now - asked.at < LATEST
        }
        return replace(await self.verified(s), bounds=bounds | await self._data_loss(s))

    async def _data_loss(self, s: Situation) -> dict[str, QueryAnswer]:
        if s.rung is None or not s.rung.destructive:
            return {}
        bounds = [(name, query) for name, query in asking(s) if name in about_data(s)]
        found = await asyncio.gather(*(self._lately(s, query) for _, query in bounds))
        return {name: answer for (name, _), answer in zip(bounds, found, strict=True)}

    async def verified(self, s: Situation) -> Situation:
        """The situation with the answers to the queries of the step, once it has settled."""
        step = s.status.open_step()
        if step is None or step.phase != "Acted" or step.acted_at is None or step.purpose == "Undo":
            return s
        verify = s.pinned.ladder[step.rung].verify
        if not verify.queries or self._clock.now() < step.acted_at + verify.settle:
            return s
        metrics, values = self._source(s), variables(s.spec)
        if isinstance(metrics, str):
            return replace(s, answers=(QueryAnswer("Unknown", metrics),) * len(verify.queries))
        return replace(s, answers=tuple([await ask(metrics, query, values) for query in verify.queries]))

    async def _lately(self, s: Situation, query: Bounded) -> QueryAnswer:
        """What was asked for, or what the same question found a moment ago, also for another incident."""
        metrics = self._source(s)
        if isinstance(metrics, str):
            return QueryAnswer("Unknown", metrics)
        now, key = self._clock.monotonic(), self._key(s, query)
        if key not in self._asked or not self._asked[key].younger(KEPT, now):
            self._asked = {known: asked for known, asked in self._asked.items() if asked.younger(LATEST, now)}
            self._asked[key] = _Asked(asyncio.create_task(ask(metrics, query, variables(s.spec))))
            self._asked[key].task.add_done_callback(lambda task: self._done(key, task))
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.shield(self._asked[key].task)
        except TimeoutError:
            return QueryAnswer("Unknown", f"query {shown(query.expr)!r}: no answer within {PATIENCE:g} s")

    def _key(self, s: Situation, query: Bounded) -> tuple[str, Bounded, Labels]:
        values = variables(s.spec).items() if "${" in query.expr else ()
        return s.pinned.source_ref.name, query, frozenset(values)

    def _done(self, key: tuple[str, Bounded, Labels], task: asyncio.Task[QueryAnswer]) -> None:
        asked = self._asked.get(key)
        if task.cancelled() or task.exception() is not None:
            self._asked.pop(key, None)
        elif asked is not None:
            asked.at = self._clock.monotonic()


async def ask(metrics: Metrics, query: Bounded, values: Mapping[str, str]) -> QueryAnswer:
    """Ask one query with its variables filled in. What cannot be told is Unknown: never a pass, never a failure."""
    what = f"query {shown(query.expr)!r}"
    try:
        samples = await metrics.query(filled(query.expr, values))
    except Undefined as error:
        return QueryAnswer("Unknown", f"{what} was not asked: {error}")
    except Invalid as error:
        return QueryAnswer("Unknown", f"{what} cannot be evaluated: {error}")
    except GoldseamError as error:
        return QueryAnswer("Unknown", f"{what}: {error}")
    if samples.warnings:
        return QueryAnswer("Unknown", f"{what}: the answer has warnings: {samples.warnings[0]}")
    return judged(query, samples.values)
