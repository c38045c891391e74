"""Conditions: their types and reasons, and how they change (kstatus; KEP-1623)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from goldseam.api.base import Record, Time

READY = "Ready"
"""Accepted and armed. Never says whether an incident is open."""
STALLED = "Stalled"
"""The spec is invalid: nothing is done until it is changed. Present only when True (kstatus reads it as Failed)."""
PERMITTED = "Permitted"
"""Whether the rights that the ladder needs are there."""
SOURCE_REACHABLE = "SourceReachable"
"""Whether the alert source answered lately."""
QUERIES = "QueriesAnswered"
"""Whether the source has answered a query: without that no alert counts as over."""
HEARTBEAT = "HeartbeatSeen"
"""Whether the alert that always fires does; only where the source has a heartbeat."""
RULES_EVALUATED = "RulesEvaluated"
"""Whether the rules that policies wait for are evaluated, and in time: else their alerts are not fresh."""
ALERTMANAGER_REACHABLE = "AlertmanagerReachable"
"""Whether all Alertmanagers answered lately; only where the source names any."""
PAGE_GATE = "PageGate"
"""Whether Alertmanager takes the silences by which nobody is called while it heals; only where the source names one."""
RULE_FOUND = "RuleFound"
"""Whether the alert source has a rule of the alert's name."""
PLAUSIBLE = "Plausible"
"""Whether the policy can do what it says, by what its alert source has. It is armed whatever this says."""
UNCONTESTED = "Uncontested"
"""Whether nobody else would refuse or undo what the ladder does to the target that the policy names."""

NODES_FIT = "NodesFit"
"""Whether the nodes that there are, and the Guardrails, let a policy for nodes do what its ladder says."""

ARMED = "Armed"
"""Ready: valid, not suspended, waiting for its alert."""
NO_NODE_FITS = "NoNodeFits"
"""Ready, and as the nodes and the Guardrails are now there is no node that the policy could act on; `NodesFit` says
why. Nodes come and go, so Ready stays True."""
ACCEPTED = "Accepted"
"""Ready: valid."""
SUSPENDED = "Suspended"
"""Ready is False: `spec.suspend` is true."""
INVALID_SPEC = "InvalidSpec"
"""Stalled: the message says which field, and what to write."""
PERMISSION_MISSING = "PermissionMissing"
"""A right is missing: the message says which, and what to install or bind."""
TEMPLATE_FORBIDDEN = "TemplateForbidden"
"""The Guardrails do not list what a rung makes: the message says what is missing there."""
PERMISSION_GRANTED = "PermissionGranted"
"""All rights are there."""
NOT_PROTECTED = "AdmissionPolicyMissing"
"""Mode Act is refused until the admission policy that protects Incidents is installed."""
READ = "Read"
"""The source was read."""
UNREACHABLE = "Unreachable"
"""The source did not answer; the message has the error."""
ANSWERED = "Answered"
"""A query was answered."""
BEATS = "Firing"
"""The heartbeat fires freshly."""
LOST = "Lost"
"""The heartbeat does not fire freshly: nothing that the source says is believed."""
EVALUATED = "Evaluated"
"""Every rule that a policy waits for was seen to be evaluated lately."""
NOT_EVALUATED = "NotEvaluated"
"""A rule fails, or is late: nothing is done on its alert. The message names it."""
WATCHING = "Watching"
"""Rules have not been seen to be evaluated again yet."""
ANSWERS = "Answers"
"""Every Alertmanager answers."""
KEPT = "Kept"
"""Alertmanager took the last silence."""
NOT_TRIED = "NotTried"
"""No silence was needed yet."""
REFUSED = "Refused"
"""Alertmanager did not take the last silence; the message says why. People are called as ever, and healing goes on."""
DISABLED = "Disabled"
"""The source has `pageGate: Disabled`."""
RULE_PRESENT = "RulePresent"
"""The rule is there."""
RULE_MISSING = "RuleMissing"
"""No rule of that name: the policy can never match."""
FITS = "Fits"
"""Nothing that is known of the alert's rules speaks against the policy."""
TARGET_FOUND = "TargetFound"
"""Present and False while the alert fires and names no object that may be acted on."""
NOBODY_ELSE = "NobodyElse"
"""Nobody is seen who would undo it."""
NODES_TOLD = "NodesSelected"
"""Nothing speaks against it; the message says how many nodes it may act on."""
NOT_SELECTIVE = "NotSelective"
"""The nodeSelector selects no node, or every one."""
LAST_NODE = "LastNode"
"""There is one node only, or no other one is in service now."""
NOT_CORDONED = "NotCordoned"
"""A rung reboots a node that no rung before has taken out of service."""
REBOOT_UNFIT = "RebootUnfit"
"""A rung reboots, and its CronJob is not there, or not such that a reboot happens once."""
NODE_LEASE_CLOSED = "NodeLeaseClosed"
"""A rung takes the node's Medik8s lease first, and Goldseam has no right to such."""
CONTROL_PLANE_NODE = "ControlPlaneNode"
"""Only nodes of the control plane are meant, and a rung has not opted in."""
OUT_OF_SERVICE_FORBIDDEN = "OutOfServiceForbidden"
"""A rung would take a node for one whose machine is off, and the Guardrails do not allow that of some that is meant."""
FORCE_FORBIDDEN = "ForceForbidden"
"""A drain would end by force, and the Guardrails do not allow that on some node that is meant."""
NO_TARGET = "NoTarget"
"""The message says which label is missing or wrong."""
SOURCE_REFUSED = "SourceRefused"
"""The AlertSource is not for policies of this namespace, or not for their queries: nothing is opened."""
SOURCE_MISSING = "SourceMissing"
"""The AlertSource that the policy names does not exist."""


class Condition(Record):
    """One aspect of an object's state, as Kubernetes' metav1.Condition."""

    type: Annotated[str, Field(max_length=64)]
    """The aspect."""
    status: Literal["True", "False", "Unknown"]
    """True, False or Unknown."""
    reason: Annotated[str, Field(min_length=1, max_length=64)]
    """Why, in one word."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why, for people."""
    observed_generation: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] = 0
    """The generation that this was judged on."""
    last_transition_time: Time
    """When `status` last changed."""


def merge(old: Iterable[Condition], new: Iterable[Condition]) -> list[Condition]:
    """The new conditions, each with its old `lastTransitionTime` where its status has not changed."""
    before = {condition.type: condition for condition in old}
    return [_kept(before.get(condition.type), condition) for condition in new]


def _kept(old: Condition | None, new: Condition) -> Condition:
    if old is None or old.status != new.status:
        return new
    return new.model_copy(update={"last_transition_time": old.last_transition_time})


def condition(kind: str, status: bool | None, reason: str, message: str, generation: int, now: datetime) -> Condition:
    """Make one condition; `status` None is Unknown."""
    word: Literal["True", "False", "Unknown"] = "Unknown" if status is None else "True" if status else "False"
    return Condition(
        type=kind,
        status=word,
        reason=reason,
        message=message[:1024],
        observed_generation=generation,
        last_transition_time=now,
    )
