"""Have the queries of `verify` data?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from goldseam.engine.lint import findings as f
from goldseam.engine.lint.findings import Asked, Finding, Known, Policy
from goldseam.engine.matching import PolicySpec


def expressions(spec: PolicySpec) -> dict[str, None]:
    """The expressions of all its queries, each once, in order."""
    return {query.expr: None for rung in spec.ladder for query in rung.verify.queries}


def with_data(policy: Policy, known: Known) -> Iterator[Finding]:
    """A query of `verify` that the server does not take, or that has no data now."""
    for number, rung in enumerate(policy.spec.ladder):
        for place, query in enumerate(rung.verify.queries):
            if query.expr in known.answers:
                where = f"spec.ladder[{number}].verify.queries[{place}].expr"
                yield from _of(where, known.answers[query.expr])


def _of(where: str, asked: Asked) -> Iterator[Finding]:
    samples, never = asked.samples, "it is Inconclusive, and the rung never passes"
    if asked.failure:
        message = f"the server does not answer the query now: {asked.failure}; while it does not, {never}"
        yield Finding(
            "Warning", f.FAILED_QUERY, where, message, "try the expression on the server; it may ask for too much"
        )
    elif samples is None:
        fix = "correct the expression; its result must be an instant vector or a scalar"
        yield Finding("Error", f.BROKEN_QUERY, where, f"the query cannot be evaluated: {asked.refusal}", fix)
    elif samples.warnings:
        message = f"the answer to the query has warnings ({samples.warnings[0]}): while it has, {never}"
        yield Finding("Warning", f.WARNED, where, message, "ask for what the server can answer in full")
    elif not samples.values:
        message = f"the query has no data now: while it has none, {never}"
        yield Finding("Warning", f.NO_DATA, where, message, "correct its names and labels, or append `or vector(0)`")
    elif any(math.isnan(value) for value in samples.values):
        message = f"the query's result is NaN now: while it is, {never}"
        yield Finding("Warning", f.NO_DATA, where, message, "a division by 0 is NaN: write `x / (y > 0) or vector(0)`")
