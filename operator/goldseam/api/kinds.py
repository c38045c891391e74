"""The list of kinds, with what their CRDs need beside the schema."""

from __future__ import annotations

from dataclasses import dataclass

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.api.base import Model, Rule
from goldseam.api.guardrails import GuardrailsSpec
from goldseam.api.incident import IncidentSpec, IncidentStatus
from goldseam.api.pause import PauseSpec
from goldseam.api.policy import ClusterRemediationPolicySpec, RemediationPolicySpec
from goldseam.api.response import ResponseSpec
from goldseam.api.runbook import RunbookSpec
from goldseam.api.status import (
    AlertSourceStatus,
    GuardrailsStatus,
    PauseStatus,
    ResponseStatus,
    RunbookStatus,
    Status,
)


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; `wide` ones show with `-o wide` only."""

    name: str
    path: str
    kind: str = "string"
    wide: bool = False
    description: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of the API."""

    name: str
    plural: str
    short_names: tuple[str, ...]
    namespaced: bool
    spec: type[Model]
    status: type[Model]
    description: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    spec_required: bool = True
    rules: tuple[Rule, ...] = ()
    """Rules at the root of the schema, over the whole object (`holds` gets it as a dict)."""

    @property
    def singular(self) -> str:
        """The singular name, as kubectl takes it."""
        return self.name.lower()


_READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
_REASON = Column("Reason", '.status.conditions[?(@.type=="Ready")].reason')
_WHY = Column("Message", '.status.conditions[?(@.type=="Ready")].message', wide=True)
_AGE = Column("Age", ".metadata.creationTimestamp", "date")

# At the root, for a rule under `status` lets `status: null` through (seen on a real API server).
_FENCE = Rule(
    "!has(oldSelf.status) || !has(oldSelf.status.epoch)"
    " || (has(self.status) && has(self.status.epoch) && self.status.epoch >= oldSelf.status.epoch)",
    "status.epoch: never goes down; another leader has taken over",
    lambda _: True,  # it compares with the old object, which only the API server has
    "FieldValueForbidden",
)
_SINGLETON = Rule(
    "self.metadata.name == 'cluster'",
    "metadata.name: must be cluster, for there is one Guardrails object",
    lambda obj: obj.get("metadata", {}).get("name") == "cluster",
)

KINDS: tuple[Kind, ...] = (
    Kind(
        "RemediationPolicy",
        "remediationpolicies",
        ("rempol",),
        True,
        RemediationPolicySpec,
        Status,
        "Says what to do, rung by rung, when an alert of this namespace fires. It acts in its own namespace only.",
        (
            Column("Mode", ".spec.mode"),
            Column("Alert", ".spec.alert.name"),
            Column("Target", ".spec.target.name"),
            _READY,
            _REASON,
            _WHY,
            _AGE,
        ),
    ),
    Kind(
        "ClusterRemediationPolicy",
        "clusterremediationpolicies",
        ("crempol",),
        False,
        ClusterRemediationPolicySpec,
        Status,
        "Says what to do, rung by rung, when an alert about a node, or about a workload in one of the selected"
        " namespaces, fires.",
        (
            Column("Mode", ".spec.mode"),
            Column("Alert", ".spec.alert.name"),
            Column("Target", ".spec.target.kind"),
            _READY,
            _REASON,
            _WHY,
            _AGE,
        ),
    ),
    Kind(
        "AlertSource",
        "alertsources",
        (),
        False,
        AlertSourceSpec,
        AlertSourceStatus,
        "Names a Prometheus-compatible server whose rules API says which alerts fire.",
        (
            Column("URL", ".spec.url"),
            Column("Reachable", '.status.conditions[?(@.type=="SourceReachable")].status'),
            Column("Rules", ".status.rules", "integer"),
            Column("Version", ".status.version", wide=True),
            Column("Last Read", ".status.lastRead", "date", wide=True),
            _READY,
            _AGE,
        ),
    ),
    Kind(
        "Runbook",
        "runbooks",
        (),
        False,
        RunbookSpec,
        RunbookStatus,
        "The team's on-call runbook, as far as a machine can follow it: contacts, levels, and when to call people.",
        (_READY, Column("Unbound", ".status.unbound", "integer"), _WHY, _AGE),
    ),
    Kind(
        "Guardrails",
        "guardrails",
        (),
        False,
        GuardrailsSpec,
        GuardrailsStatus,
        "The cluster's own limits, which hold for every policy. There is one, named `cluster`; Goldseam creates it.",
        (
            Column("Breaker", ".status.breaker.state"),
            Column("Nodes", ".status.nodeBreaker.state"),
            Column("Storm", ".status.storm.state"),
            _READY,
            _AGE,
        ),
        spec_required=False,
        rules=(_SINGLETON,),
    ),
    Kind(
        "Incident",
        "incidents",
        ("inc",),
        True,
        IncidentSpec,
        IncidentStatus,
        "The record of one policy handling one target: what was seen, tried, held back and undone, and why."
        " Goldseam writes it; people read it.",
        (
            Column("Phase", ".status.phase"),
            Column("Policy", ".spec.policyRef.name"),
            Column("Target", ".spec.target.name"),
            Column("Alert", ".status.verdict.state"),
            Column("Owes", ".status.owes", "integer", description="How many things are still to be undone."),
            Column("Age", ".metadata.creationTimestamp", "date"),
            Column("Message", ".status.message"),
        ),
        selectable=(".spec.policyRef.name", ".status.phase"),
        rules=(_FENCE,),
    ),
    Kind(
        "Pause",
        "pauses",
        (),
        True,
        PauseSpec,
        PauseStatus,
        "Stops work now: of a policy, of a target, of a namespace, or of everything. Delete it to go on.",
        (
            Column("Level", ".spec.level"),
            Column("Policy", ".spec.policy"),
            Column("Target", ".spec.target.name"),
            Column("Ends", ".status.ends"),
            Column("By", ".spec.by"),
            Column("Reason", ".spec.reason"),
            _AGE,
        ),
    ),
    Kind(
        "Response",
        "responses",
        (),
        True,
        ResponseSpec,
        ResponseStatus,
        "One person's word on one incident: approve or deny a step, acknowledge, or undo. It never changes.",
        (
            Column("Incident", ".spec.incidentRef.name"),
            Column("Decision", ".spec.decision"),
            Column("Step", ".spec.step"),
            Column("By", ".spec.by"),
            Column("State", ".status.state"),
            Column("Message", ".status.message", wide=True),
            _AGE,
        ),
        selectable=(".spec.incidentRef.uid",),
    ),
)

BY_NAME = {kind.name: kind for kind in KINDS}
