"""The verifying queries of a step that was carried out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from goldseam.api.ladder import Query
from goldseam.engine.situation import QueryAnswer, Situation
from goldseam.errors import GoldseamError, Invalid
from goldseam.ports import Clock, Metrics


class Queries:
    """Asks the alert source that the policy names."""

    def __init__(self, source: Callable[[Situation], Metrics | str], clock: Clock) -> None:
        """`source` gives the policy's alert source, or says why there is none to ask."""
        self._source, self._clock = source, clock

    async def answered(self, s: Situation) -> Situation:
        """The situation with the answers, once the step has settled."""
        step = s.status.open_step()
        if step is None or step.phase != "Acted" or step.acted_at is None or step.purpose == "Undo":
            return s
        verify = s.pinned.ladder[step.rung].verify
        if not verify.queries or self._clock.now() < step.acted_at + verify.settle:
            return s
        metrics = self._source(s)
        if isinstance(metrics, str):
            return replace(s, answers=(QueryAnswer("Unknown", metrics),) * len(verify.queries))
        return replace(s, answers=tuple([await ask(metrics, query) for query in verify.queries]))


async def ask(metrics: Metrics, query: Query) -> QueryAnswer:
    """Ask one query. No data, NaN, warnings and errors are Unknown: never a pass, never a failure."""
    try:
        samples = await metrics.query(query.expr)
    except Invalid as error:
        return QueryAnswer("Unknown", f"query {query.expr!r} cannot be evaluated: {error}")
    except GoldseamError as error:
        return QueryAnswer("Unknown", f"query {query.expr!r}: {error}")
    if samples.warnings:
        return QueryAnswer("Unknown", f"query {query.expr!r}: the answer has warnings: {samples.warnings[0]}")
    if not samples.values or any(math.isnan(value) for value in samples.values):
        return QueryAnswer("Unknown", f"query {query.expr!r} has no data")
    return _judged(query, samples.values)


def _judged(query: Query, values: tuple[float, ...]) -> QueryAnswer:
    if query.below is not None and (worst := max(values)) >= float(query.below):
        return QueryAnswer("Broken", f"{query.expr} to be below {query.below} (it is {worst:g})")
    if query.above is not None and (worst := min(values)) <= float(query.above):
        return QueryAnswer("Broken", f"{query.expr} to be above {query.above} (it is {worst:g})")
    return QueryAnswer("Holds", f"{query.expr} holds")
