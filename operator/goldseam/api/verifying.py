"""When a rung has helped: PromQL expressions and the bounds that their values must keep."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from goldseam.api.base import Duration, Model, Number, Rule
from goldseam.api.expressions import Expression


class Bounded(Model):
    """A PromQL expression and the bounds that the values of its result must keep.

    No data, a warning, or NaN where the other values do not decide, is Inconclusive: never a pass, never a failure.
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.below) || has(self.above)",
            "a query needs a bound: write below or above",
            lambda q: q.below is not None or q.above is not None,
        ),
    )

    expr: Expression
    """The PromQL expression: an instant vector or a scalar. The double-quoted values of its label matchers may hold the
    variables `${target.kind}`, `${target.name}`, `${target.namespace}`, `${alert.name}` and `${alert.labels.NAME}`, as
    in `up{pod=~"${target.name}-.*"}`; what they stand for is quoted, also for a regular expression. One that is empty
    or not there, or has 1,024 characters or more, makes the query Inconclusive."""
    below: Number | None = None
    """The values must be smaller than this decimal, such as `"0.05"`."""
    above: Number | None = None
    """The values must be greater than this decimal."""
    match: Literal["All", "Any"] = "All"
    """Of several series: `All` (default) must keep the bounds, or `Any` of them, at least one."""


class Query(Bounded):
    """A PromQL expression and the bounds that the values of its result must keep, once or for a while.

    No data, a warning, or NaN where the other values do not decide, is Inconclusive: never a pass, never a failure.
    """

    hold_for: Annotated[Duration, Field(alias="for")] = Field(timedelta(0), alias="for", validate_default=True)
    """For how long without a break the bounds must hold before the query has passed. Default: once is enough."""


class Verify(Model):
    """When a rung has helped. Always required: the alert is Cleared."""

    settle: Duration = timedelta(minutes=1)
    """After acting, what is seen within this time is not judged: metrics need time to show the effect. Default: 1m."""
    rollout: bool = True
    """Whether the target's rollout must be complete: all its replicas updated and ready. Default: true."""
    queries: Annotated[list[Query], Field(max_length=4)] = []
    """PromQL expressions that must hold, all of them."""
