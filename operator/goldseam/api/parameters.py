"""What actions are told to do: what all parameters share, and those of `resources`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from goldseam.api.base import Model, Rule, ShortName
from goldseam.api.constraints import Pattern
from goldseam.api.quantities import size_of


class Parameters(Model):
    """What an action is told to do."""

    def covers(self, other: Any) -> bool:
        """Whether they allow all that `other`, of the same action, asks for: a policy is narrowed at any time."""
        return True

    @property
    def names(self) -> dict[str, str]:
        """The names, by resource, of what they speak of beside the target."""
        return {}


Cpu = Annotated[
    str,
    Field(max_length=8),
    Pattern(r"^[1-9][0-9]{0,5}m?$", "must be whole cores or thousandths of one, such as '2' or 500m"),
]
"""An amount of CPU. A whole number, so that it can be told from what the API server makes of it."""

Memory = Annotated[
    str,
    Field(max_length=16),
    Pattern(r"^[1-9][0-9]{0,11}([kMGT]|[KMGT]i)?$", "must be a whole number of bytes, such as 1536Mi or 2Gi"),
]
"""An amount of memory."""


class Amounts(Model):
    """How much there must be at least, of CPU, of memory, or of both."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.cpu) || has(self.memory)",
            "nothing is said here: write cpu or memory",
            lambda a: a.cpu is not None or a.memory is not None,
        ),
    )

    cpu: Cpu | None = None
    """Cores or thousandths of one, such as `'2'` or `500m`. Default: as it is."""
    memory: Memory | None = None
    """Bytes, such as `1536Mi` or `2Gi`. Default: as it is."""


class Resources(Parameters):
    """Bring limits and requests of one container of the target to AT LEAST this much, by a rolling restart. Only in a
    RemediationPolicy that names a `serviceAccountName`.

    Only what is set already is raised, in one write to four times as much at the most, and put back when the incident
    is over, by another rolling restart.
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.limits) || has(self.requests)",
            "nothing would be raised: write limits or requests",
            lambda r: r.limits is not None or r.requests is not None,
        ),
    )

    container: ShortName
    """The container's name; no init container."""
    limits: Amounts | None = None
    """How much it may take at least. Never lowers: what is above stays. Default: as it is."""
    requests: Amounts | None = None
    """How much is set aside for it at least. Default: as it is, so that each pod finds its node as before."""

    def amounts(self) -> Iterator[tuple[Literal["limits", "requests"], Literal["cpu", "memory"], str]]:
        """Each amount that is asked for."""
        for part, amounts in (("limits", self.limits), ("requests", self.requests)):
            for resource in ("cpu", "memory"):
                if amounts is not None and (amount := getattr(amounts, resource)) is not None:
                    yield part, resource, amount  # type: ignore[misc]

    def covers(self, other: Any) -> bool:
        """The same container, and of each amount as much or more."""
        mine = {(part, resource): size_of(amount) or 0 for part, resource, amount in self.amounts()}
        asked = {(part, resource): size_of(amount) or 0 for part, resource, amount in other.amounts()}
        return bool(self.container == other.container) and all(mine.get(key, -1) >= size for key, size in asked.items())
