"""The PromQL queries of a step that was carried out, and of the runbook's thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from goldseam.api.ladder import Bounded
from goldseam.engine.escalation import asking
from goldseam.engine.queries import Undefined, filled, judged, variables
from goldseam.engine.situation import QueryAnswer, Situation
from goldseam.errors import GoldseamError, Invalid
from goldseam.ports import Clock, Metrics

Labels = frozenset[tuple[str, str]]

KEPT = 10.0
"""Seconds that the answer to a threshold's query is good for: a thousand incidents may ask the same."""


class Queries:
    """Asks the alert source that the policy names."""

    def __init__(self, source: Callable[[Situation], Metrics | str], clock: Clock) -> None:
        """`source` gives the policy's alert source, or says why there is none to ask."""
        self._source, self._clock = source, clock
        self._kept: dict[tuple[str, Bounded, Labels], tuple[float, QueryAnswer]] = {}

    async def answered(self, s: Situation) -> Situation:
        """The situation with the answers: the step's once it has settled, and the thresholds'."""
        step = s.status.open_step()
        if step is not None and step.phase == "Acted" and step.acted_at is not None and step.purpose != "Undo":
            verify = s.pinned.ladder[step.rung].verify
            if verify.queries and self._clock.now() >= step.acted_at + verify.settle:
                s = replace(s, answers=tuple([await self._ask(s, query) for query in verify.queries]))
        return replace(s, bounds={name: await self._lately(s, query) for name, query in asking(s)})

    async def _ask(self, s: Situation, query: Bounded) -> QueryAnswer:
        metrics = self._source(s)
        if isinstance(metrics, str):
            return QueryAnswer("Unknown", metrics)
        return await ask(metrics, query, variables(s.spec))

    async def _lately(self, s: Situation, query: Bounded) -> QueryAnswer:
        """What was asked for, or what the same question found a moment ago."""
        if isinstance(self._source(s), str):
            return await self._ask(s, query)
        now, values = self._clock.monotonic(), frozenset(variables(s.spec).items() if "${" in query.expr else ())
        self._kept = {key: kept for key, kept in self._kept.items() if now - kept[0] < KEPT}
        key = (s.pinned.source_ref.name, query, values)
        if key not in self._kept:
            self._kept[key] = now, await self._ask(s, query)
        return self._kept[key][1]


async def ask(metrics: Metrics, query: Bounded, values: Mapping[str, str]) -> QueryAnswer:
    """Ask one query with its variables filled in. What cannot be told is Unknown: never a pass, never a failure."""
    try:
        samples = await metrics.query(filled(query.expr, values))
    except Undefined as error:
        return QueryAnswer("Unknown", f"query {query.expr!r} was not asked: {error}")
    except Invalid as error:
        return QueryAnswer("Unknown", f"query {query.expr!r} cannot be evaluated: {error}")
    except GoldseamError as error:
        return QueryAnswer("Unknown", f"query {query.expr!r}: {error}")
    if samples.warnings:
        return QueryAnswer("Unknown", f"query {query.expr!r}: the answer has warnings: {samples.warnings[0]}")
    return judged(query, samples.values)
