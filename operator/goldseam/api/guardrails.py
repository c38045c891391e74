"""Guardrails: the cluster's own limits, and the ledger of what has been done."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from goldseam.api.base import AnyDuration, Count, Duration, Mode, Model, Record, Rule, Text, Time, unique
from goldseam.api.constraints import Between, Pattern
from goldseam.api.ladder import ActionName
from goldseam.api.policy import ActionCount, NamespaceSelector
from goldseam.api.templates import TemplateKind
from goldseam.api.windows import Freeze, NamespacePattern, Window


class Breaker(Model):
    """Stops all acting when too much is unhealthy at once: then the trouble is elsewhere, or it is us.

    Counted over the distinct targets of all armed policies, and apart from them over the cluster's nodes.
    """

    percent: Annotated[int, Field(ge=1, le=100, json_schema_extra={"format": "int32"})] = 30
    """Which share of the targets (of the nodes) must be unhealthy. Default: 30."""
    at_least: Count = 3
    """And how many at least: below that nothing trips, however small the pool. Default: 3."""
    rearm_after: Duration = timedelta(minutes=5)
    """It lets through again when the share has been below half of `percent` (or the number below `atLeast`) for this
    long without a break. Default: 5m."""


class Storm(Model):
    """Stops all acting when alerts of many rules in many namespaces begin at once: monitoring itself may be broken."""

    rules: Count = 10
    """Alerts of how many different rules. Default: 10."""
    namespaces: Count = 5
    """In how many different namespaces. Default: 5."""
    within: Annotated[AnyDuration, Between("1m", "1h")] = timedelta(minutes=5)
    """Begun within which time, from 1m to 1h. Default: 5m."""
    rearm_after: Duration = timedelta(minutes=10)
    """It lets through again when there was no storm for this long. Default: 10m."""


class NamespaceCeiling(Model):
    """How far policies may go in some namespaces. Where several ceilings concern a namespace, the lowest counts."""

    selector: NamespaceSelector
    """The namespaces, by their labels."""
    max_mode: Mode = "Act"
    """The highest mode: a policy in a higher one works in this one. Default: Act."""
    allowed_actions: Annotated[list[ActionName], Field(max_length=16)] | None = None
    """The actions that are allowed. Default: all."""


class Retention(Model):
    """How long Incidents are kept once they are over. What owes something, or counts for a budget, is always kept."""

    age: Annotated[AnyDuration, Between("168h", "8760h")] = timedelta(days=30)
    """How long, from 168h (7 days) to 8760h (a year). Default: 720h (30 days)."""
    count: Annotated[int, Field(ge=10, le=100_000, json_schema_extra={"format": "int32"})] = 1_000
    """How many in the whole cluster at most; the oldest go first. Default: 1000."""


class NodeCaps(Model):
    """How many nodes may be out of service for Goldseam at the same time."""

    at_once: Count = 1
    """Nodes that Goldseam may have cordoned, or be at work on, at once in the cluster. Default: 1."""
    per_zone: Count = 1
    """Nodes that Goldseam may have cordoned, or be at work on, at once in one zone (`topology.kubernetes.io/zone`).
    Default: 1."""


class Budgets(Model):
    """How many actions there may be over all policies."""

    cluster: Annotated[list[ActionCount], Field(max_length=4)] = [ActionCount(count=20, per=timedelta(hours=1))]
    """For the whole cluster. Default: 20 in 1h."""
    namespace: Annotated[list[ActionCount], Field(max_length=4)] = [ActionCount(count=10, per=timedelta(hours=1))]
    """For each namespace. Default: 10 in 1h."""
    nodes: NodeCaps = NodeCaps()
    """How many nodes may be out of service for Goldseam at the same time. Default: 1, and 1 in each zone."""


NodePattern = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Pattern(r"^[a-z0-9*]([-a-z0-9.*]*[a-z0-9*])?$", "must be the name of a node, in which * stands for any characters"),
]
"""The name of a node, or a pattern for several."""

PROTECTED_BY_DEFAULT = ["kube-*", "goldseam-system", "argocd", "flux-system"]


class GuardrailsSpec(Model):
    """The limits that hold for every policy. An empty spec means the defaults."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.windows) || self.windows.all(w, self.windows.exists_one(v, v.name == w.name))",
            "windows: two windows have the same name; give each its own",
            lambda s: unique([w.name for w in s.windows]),
        ),
        Rule(
            "!has(self.freezes) || self.freezes.all(f, self.freezes.exists_one(v, v.name == f.name))",
            "freezes: two freezes have the same name; give each its own",
            lambda s: unique([f.name for f in s.freezes]),
        ),
    )

    budgets: Budgets = Budgets()
    """How many actions there may be over all policies."""
    breaker: Breaker = Breaker()
    """Stops all acting when too much is unhealthy at once."""
    storm: Storm = Storm()
    """Stops all acting when alerts of many rules begin at once."""
    windows: Annotated[list[Window], Field(max_length=16)] = []
    """When Goldseam may act. Where no window concerns a namespace, it may always. What is owed is paid at any time."""
    freezes: Annotated[list[Freeze], Field(max_length=32)] = []
    """When Goldseam must not act, whatever the windows say."""
    namespaces: Annotated[list[NamespaceCeiling], Field(max_length=32)] = []
    """How far policies may go in some namespaces."""
    approval_delegates: Annotated[list[Annotated[str, Field(min_length=1, max_length=253)]], Field(max_length=16)] = []
    """System accounts (users that begin with `system:`) whose Responses count. Default: none, so that no controller
    can approve."""
    templates: Annotated[list[TemplateKind], Field(max_length=16)] = []
    """The kinds that cluster policies may make by `template`, and where. Default: none."""
    allow_forced_drain: Annotated[list[NodePattern], Field(max_length=64)] = []
    """Nodes on which a drain may delete the pods that are left at its deadline, past their PodDisruptionBudgets
    (`atDeadline: Force`); `*` stands for any characters, so `["*"]` is every node. Default: none."""
    allow_out_of_service: Annotated[list[NodePattern], Field(max_length=64)] = []
    """Nodes of which `outOfService` may say that their machine is off, so that their pods are deleted by force and
    their volumes detached; `*` stands for any characters, so `["*"]` is every node. Default: none."""
    retention: Retention = Retention()
    """How long Incidents are kept."""
    protected_namespaces: Annotated[list[NamespacePattern], Field(max_length=64)] = PROTECTED_BY_DEFAULT
    """Namespaces whose workloads are never acted on; `*` stands for any characters. The operator's own namespace is
    protected always. Default: kube-*, goldseam-system, argocd, flux-system."""


class Trip(Record):
    """Whether a breaker lets through."""

    state: Literal["Armed", "Tripped"] = "Armed"
    """`Armed`: lets through. `Tripped`: nothing is done."""
    since: Time
    """Since when."""
    calm_since: Time | None = None
    """While Tripped: since when it is calm enough to let through again."""
    message: Text = ""
    """What was counted, for people."""


class NodeGroup(Record):
    """Open incidents about nodes, of one policy and one alert."""

    policy: Annotated[str, Field(max_length=400)]
    """The policy, such as `ClusterRemediationPolicy nodes`."""
    alert: Annotated[str, Field(max_length=256)]
    """The alert's name."""
    nodes: Annotated[int, Field(ge=1, json_schema_extra={"format": "int32"})]
    """How many nodes have an open incident."""
    in_work: Annotated[int, Field(ge=0, json_schema_extra={"format": "int32"})]
    """How many of them are out of service for Goldseam, or are about to be, but for those that people have to bring
    back."""
    waiting: Annotated[int, Field(ge=0, json_schema_extra={"format": "int32"})]
    """How many wait for their turn: nothing holds them but caps, budgets and worse nodes."""
    message: Text = ""
    """The same for people: which are in work, which come next, what the first waits for, and what holds the others."""


class LedgerEntry(Record):
    """The actions of one policy on one target within one hour."""

    policy: Annotated[str, Field(max_length=400)]
    """The policy, as `<kind>/<namespace>/<name>`."""
    target: Annotated[str, Field(max_length=400)]
    """The target, as `<kind>/<namespace>/<name>`."""
    last: Time
    """When the last of them was begun."""
    count: Annotated[int, Field(ge=1, json_schema_extra={"format": "int32"})]
    """How many there were."""


MAX_LEDGER = 2_000
"""Entries kept: 200 bytes each, so well below the size that etcd takes."""
