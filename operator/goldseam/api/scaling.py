"""How many replicas there must be: at least, or at most."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from goldseam.api.base import Rule
from goldseam.api.parameters import Parameters

Replicas = Annotated[int, Field(ge=0, le=10_000, json_schema_extra={"format": "int32"})]
_DOWN = "(has(self.direction) && self.direction == 'Down')"


class Scale(Parameters):
    """Bring the target to AT LEAST this many replicas; with `direction: Down` to AT MOST so many. Where that is so
    already there is nothing to do, and the ladder goes on.

    Where a HorizontalPodAutoscaler owns the replicas, its `minReplicas` is raised instead, up to its `maxReplicas`;
    where a KEDA ScaledObject does, its `minReplicaCount`. Both refuse `Down`.
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.replicas > 0 || ({_DOWN} && has(self.allowZero) && self.allowZero)",
            "replicas: 0 switches the target off: write direction: Down and allowZero: true with it, or at least 1",
            lambda s: s.replicas > 0 or (s.lowers and s.allow_zero),
        ),
        Rule(
            f"!has(self.allowZero) || !self.allowZero || {_DOWN}",
            "allowZero: only with direction: Down, for direction: Up never takes replicas away",
            lambda s: not s.allow_zero or s.lowers,
        ),
        Rule(
            f"!has(self.raiseMax) || !self.raiseMax || !{_DOWN}",
            "raiseMax: only with direction: Up, for direction: Down raises nothing",
            lambda s: not s.raise_max or not s.lowers,
        ),
    )

    replicas: Replicas
    """How many replicas there must be: at least, or with `direction: Down` at most. 0 needs `allowZero`."""
    direction: Literal["Up", "Down"] = "Up"
    """`Up` (default): never lowers; what runs already above the number stays. `Down`: never raises; for what does harm
    by running, such as a consumer that floods others. It goes down by at most half in one write."""
    allow_zero: bool = False
    """Whether `replicas: 0` is meant, which switches the target off. It needs a right of its own, `zero`, besides.
    Default: false."""
    raise_max: bool = False
    """Whether the `maxReplicas` of a HorizontalPodAutoscaler is raised to `replicas` as well where it is lower, and put
    back later. Default: false, and the rung is passed over."""

    def covers(self, other: Any) -> bool:
        """In the same direction: not further than this one; and above a maximum only where that is allowed."""
        if self.direction != other.direction:
            return False
        if self.lowers:
            return self.replicas <= int(other.replicas)
        return self.replicas >= int(other.replicas) and (self.raise_max or not other.raise_max)

    @property
    def lowers(self) -> bool:
        """Whether it takes replicas away."""
        return self.direction == "Down"
