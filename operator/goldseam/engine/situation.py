"""All that a decision may look at, and what a decision is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from goldseam.api.base import Mode
from goldseam.api.findings import Evidence
from goldseam.api.guardrails import GuardrailsSpec, NamespaceCeiling, Trip
from goldseam.api.incident import IncidentSpec, IncidentStatus, Obligation
from goldseam.api.ladder import Rung
from goldseam.api.runbook import RunbookSpec
from goldseam.engine.matching import PolicyKey, PolicySpec, allows
from goldseam.engine.proposal import Effect, Plan, World
from goldseam.engine.verdict import Reading


@dataclass(frozen=True)
class LivePolicy:
    """The policy as it stands in the cluster now."""

    key: PolicyKey
    uid: str
    generation: int
    created: datetime
    spec: PolicySpec | None
    """None where the spec is invalid."""
    problem: str = ""
    """What is invalid."""


@dataclass(frozen=True)
class PauseInForce:
    """A Pause that concerns this incident."""

    name: str
    level: Literal["NewWork", "Everything"]
    reason: str
    ends: datetime
    by: str = ""
    """Who asked for it; empty where the Pause does not say."""


@dataclass(frozen=True)
class Word:
    """A Response about this incident."""

    uid: str
    name: str
    decision: Literal["Approve", "Deny", "Acknowledge", "Undo"]
    step: str
    plan_hash: str
    by: str
    at: datetime
    """When the API server took it in."""
    reason: str = ""
    trusted: bool = True
    """Whether its author may speak: a person, or a system account that Guardrails list."""
    counted: bool = False
    """Whether its status says already what became of it, be it that it was ignored."""


@dataclass(frozen=True)
class Fleet:
    """How everything else fares."""

    breaker: Trip | None = None
    """For workloads; None before anything was counted."""
    node_breaker: Trip | None = None
    storm: Trip | None = None
    unknown: str = ""
    """Why it could not be counted; empty when it could."""


@dataclass(frozen=True)
class Silence:
    """What Alertmanager says of the alert."""

    state: Literal["NotAsked", "Active", "Silenced", "Unknown"] = "NotAsked"
    """`NotAsked`: no Alertmanager is configured."""
    message: str = ""
    until: datetime | None = None


@dataclass(frozen=True)
class Permission:
    """What the SubjectAccessReviews said of the plan's rights."""

    denied: tuple[str, ...] = ()
    problem: str = ""
    """Why it could not be asked; empty when it could."""


@dataclass(frozen=True)
class Spent:
    """Actions of one policy on one target within an hour."""

    policy: str
    target: str
    last: datetime
    count: int


@dataclass(frozen=True)
class Ledger:
    """What has been spent."""

    entries: tuple[Spent, ...] = ()
    complete_since: datetime | None = None
    """Where set: what was spent before is not known."""


@dataclass(frozen=True)
class InLine:
    """An incident that everything but the caps for nodes lets through: it waits for its turn."""

    until: datetime
    """Until when that counts, where nobody looks at it again."""
    own_limits: bool = False
    """Whether limits of its policy hold it, which hold no other policy back."""
    stuck: int = 0
    """How many pods are stuck on its node, as last seen."""


@dataclass(frozen=True)
class Other:
    """Another incident, as far as it matters here."""

    name: str
    uid: str
    opened: datetime
    target_uid: str
    """Empty for an incident of another namespace: it says nothing of this one's target, nor of its debts."""
    policy: PolicyKey
    policy_created: datetime | None
    claims: bool
    """Whether it is open in mode Act, so that the target is its own."""
    busy: bool
    """Whether it has an open step."""
    labels: Mapping[str, str]
    active: bool
    """Whether its alert is not over."""
    obligations: tuple[Obligation, ...] = ()
    works_on: str = ""
    """The uid of the object that its open step is about, also for an incident of another namespace; else empty."""
    runs: str = ""
    """The uid of the CronJob of which its open step makes a Job, or waits for one to end; else empty."""
    takes: bool = False
    """Whether an open step takes its node out of service by more than a mark on it, which the node itself would show:
    one that others have cordoned is drained without any."""
    line: InLine | None = None
    """Where it is about a node, and waits for its turn."""
    left: frozenset[str] = frozenset()
    """The keys of the cordons that it has left for people: nobody owes these."""


def coming_back(others: Iterable[Other]) -> frozenset[str]:
    """The uids of the nodes that these incidents have taken out of service and bring back by themselves: not where only
    people can go on, nor where the node was left cordoned for good."""
    returning = (other for other in others if other.claims or not other.active)
    owed = (o for other in returning for o in other.obligations if o.state == "Open")
    return frozenset(o.object.uid for o in owed if o.kind == "Uncordon")


@dataclass(frozen=True)
class Failure:
    """A rung of an earlier incident that did not help."""

    incident: str
    action: str
    parameters: Mapping[str, Any]
    """As JSON."""
    at: datetime
    """When that was known."""
    message: str


MODES: tuple[Mode, ...] = ("Observe", "Propose", "Act")
"""From the least to the most."""

QueryState = Literal["Holds", "Broken", "Unknown"]


@dataclass(frozen=True)
class QueryAnswer:
    """What a query said."""

    state: QueryState
    message: str


@dataclass(frozen=True)
class Situation:
    """One incident and everything that was true when it was looked at."""

    namespace: str
    name: str
    uid: str
    spec: IncidentSpec
    status: IncidentStatus
    policy: LivePolicy | None
    """None where the policy is gone."""
    pinned: PolicySpec
    """The policy as it was when the incident was opened."""
    reading: Reading
    world: World
    plan: Plan | None = None
    """The plan of the rung that is next, where it writes anything."""
    effect: Effect | None = None
    """How far the open step is."""
    unknown: tuple[str, ...] = ()
    """What could not be read."""
    pauses: tuple[PauseInForce, ...] = ()
    pauses_of_hit: Mapping[str, PauseInForce] = field(default_factory=dict)
    """The Pauses of the workloads whose pods would go with their node, by the workload's uid."""
    guardrails: GuardrailsSpec = field(default_factory=GuardrailsSpec)
    ledger: Ledger = field(default_factory=Ledger)
    permission: Permission = field(default_factory=Permission)
    dry_run: str = ""
    """What the server-side dry run said, in mode Observe."""
    incidents_protected: bool = True
    """Whether the admission policy that protects Incidents is in force."""
    words: tuple[Word, ...] = ()
    """The Responses about this incident, oldest first."""
    words_protected: bool = True
    """Whether the admission policy that checks the authors of Responses is in force."""
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    """The labels of the target's namespace."""
    fleet: Fleet = field(default_factory=Fleet)
    silence: Silence = field(default_factory=Silence)
    others: tuple[Other, ...] = ()
    failures: tuple[Failure, ...] = ()
    """What did not help the target before; read where the rung is judged by it."""
    evidence: tuple[Evidence, ...] | None = None
    """What the rung that collects has found; None before it was asked for."""
    answers: tuple[QueryAnswer, ...] = ()
    bounds: Mapping[str, QueryAnswer] = field(default_factory=dict)
    """What the queries of the runbook's thresholds said, by the threshold's name; only those that were asked."""
    runbook: RunbookSpec | None = None
    operator_namespace: str = "goldseam-system"

    @property
    def ceilings(self) -> list[NamespaceCeiling]:
        """The Guardrails' ceilings for the target's namespace."""
        found = self.guardrails.namespaces if self.spec.target.namespace else []
        return [c for c in found if allows(c.selector.match_labels, self.namespace_labels)]

    @property
    def mode(self) -> Mode:
        """The lowest of: the mode when it was opened, the policy's mode now, the namespace's ceilings."""
        live: Mode = self.policy.spec.mode if self.policy and self.policy.spec else "Observe"
        return min((self.status.mode, live, *(c.max_mode for c in self.ceilings)), key=MODES.index)

    @property
    def acts(self) -> bool:
        """Whether anything may be done, with or without asking first."""
        return self.mode != "Observe"

    @property
    def tells(self) -> bool:
        """Whether people are told: not in mode Observe. A policy that is invalid now was not meant to fall silent."""
        unknown = self.policy is None or self.policy.spec is None
        return self.acts or (self.status.mode != "Observe" and unknown)

    @property
    def rung(self) -> Rung | None:
        """The rung that is tried now; None where the ladder is used up."""
        ladder = self.pinned.ladder
        return ladder[self.status.rung] if self.status.rung < len(ladder) else None

    @property
    def policy_name(self) -> str:
        """The policy, for messages and the ledger."""
        ref = self.spec.policy_ref
        return f"{ref.kind}/{ref.namespace}/{ref.name}"

    @property
    def target_name(self) -> str:
        """The target, for the ledger."""
        ref = self.spec.target
        return f"{ref.kind}/{ref.namespace}/{ref.name}"


Kind = Literal["act", "hold", "wait", "resolve", "undo", "escalate", "end", "rehearse"]


@dataclass(frozen=True)
class Decision:
    """What follows from a situation. Total: there is always one, with a reason and a sentence."""

    kind: Kind
    reason: str
    message: str
    status: IncidentStatus
    """The incident's status as it must be written before anything is done."""
    look_again: timedelta
    """When to look again at the latest."""
    step: str = ""
    """For `act` and `undo`: the step whose writes are to be made."""


LEAST_TIMEOUT = timedelta(minutes=10)


def timeout(s: Situation, rung: Rung) -> timedelta:
    """How long the rung may take: as it says, else 10 minutes, or as long as the alert's rule looks back, or as a
    drain has until its deadline."""
    if rung.timeout is not None:
        return rung.timeout
    deadline = rung.drain.deadline if rung.drain is not None else None
    return max(LEAST_TIMEOUT, s.reading.look_back, deadline or timedelta(0))
