"""The status of the kinds that people write."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from goldseam.api.base import Record, Text, Time
from goldseam.api.conditions import Condition
from goldseam.api.guardrails import MAX_LEDGER, LedgerEntry, NodeGroup, Trip

_CONDITIONS = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}


class Status(Record):
    """What Goldseam makes of the object; kubectl wait, Flux and Argo CD understand it (kstatus)."""

    observed_generation: Annotated[int, Field(ge=-1, json_schema_extra={"format": "int64"})] = -1
    """The generation that the conditions speak of; -1 before the operator has seen the object."""
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=_CONDITIONS)] = []
    """Ready, Stalled and more; the message says what to do."""


class AlertSourceStatus(Status):
    """Whether the source can be read."""

    version: Annotated[str, Field(max_length=64)] = ""
    """The server's version, as it says itself."""
    rules: Annotated[int, Field(ge=0, json_schema_extra={"format": "int32"})] = 0
    """How many alerting rules it has, as last counted: at least every 10 minutes."""
    groups: Annotated[int, Field(ge=0, json_schema_extra={"format": "int32"})] = 0
    """In how many groups they are."""
    last_read: Time | None = None
    """When it was last read, where it cannot be read now."""


class RunbookStatus(Status):
    """How the runbook is understood."""

    unbound: Annotated[int, Field(ge=0, json_schema_extra={"format": "int32"})] = 0
    """How many thresholds have no number and are never crossed."""


class GuardrailsStatus(Status):
    """What has been spent of the budgets."""

    ledger: Annotated[
        list[LedgerEntry], Field(max_length=MAX_LEDGER, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = []
    """The actions of the last seven days, counted by policy, target and hour."""
    complete_since: Time | None = None
    """Since when the ledger holds everything; set where it had to drop older entries."""
    effective: Annotated[
        dict[str, Any] | None, WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    ] = None
    """The last valid spec: it stays in force while `spec` is invalid."""
    breaker: Trip | None = None
    """Whether too many targets are unhealthy."""
    node_breaker: Trip | None = None
    """Whether too many nodes are unhealthy."""
    storm: Trip | None = None
    """Whether alerts of too many rules began at once."""
    node_groups: Annotated[
        list[NodeGroup] | None, Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = None
    """Nodes that are in trouble together: two or more open incidents of one policy and one alert. At most 10 s old."""


class PauseStatus(Status):
    """Whether the pause holds."""

    ends: Time | None = None
    """When it ends by itself."""
    message: Text = ""
    """What it stops."""


class ResponseStatus(Status):
    """What became of the word."""

    state: Literal["Counted", "Ignored"] | None = None
    """`Counted`: the incident has it. `Ignored`: it counts for nothing."""
    message: Text = ""
    """Why, for people."""
