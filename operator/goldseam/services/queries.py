"""The verifying queries of a step that was carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from goldseam.api.ladder import Query
from goldseam.engine.queries import Undefined, filled, judged, variables
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
        values = variables(s.spec)
        return replace(s, answers=tuple([await ask(metrics, query, values) for query in verify.queries]))


async def ask(metrics: Metrics, query: Query, values: Mapping[str, str]) -> QueryAnswer:
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
