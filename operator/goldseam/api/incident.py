"""Incident: the durable record of one policy handling one target. Written by the operator only."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, WithJsonSchema

from goldseam.api.base import Duration, Mode, Record, Rule, Text, Time, Uid
from goldseam.api.drained import Aftermath, PodVolumes
from goldseam.api.findings import Change, Evidence
from goldseam.api.outcomes import ObligationKind, Outcome, StepPhase, VerdictState
from goldseam.api.pins import NodePin
from goldseam.api.pins import ObjectRef as ObjectRef

ShortText = Annotated[str, Field(max_length=253)]
Phase = Literal["Investigating", "AwaitingApproval", "Fixing", "Monitoring", "Resolved", "Escalated", "Abandoned"]
ENDED = ("Resolved", "Abandoned")
"""The phases in which nothing more is tried; what is owed may still have to be paid."""
Int32 = Annotated[int, Field(ge=0, le=2**31 - 1, json_schema_extra={"format": "int32"})]
Preflight = Annotated[list[Text] | None, Field(max_length=20)]
"""A plan in sentences."""
Int64 = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]

LabelMap = Annotated[
    dict[Annotated[str, Field(max_length=256)], Annotated[str, Field(max_length=1024)]], Field(max_length=64)
]


class PolicyRef(Record):
    """Which policy this is about."""

    kind: Literal["RemediationPolicy", "ClusterRemediationPolicy"]
    """The policy's kind."""
    namespace: Annotated[str, Field(max_length=63)] = ""
    """The policy's namespace; empty for a ClusterRemediationPolicy."""
    name: ShortText
    """The policy's name."""
    uid: Uid
    """The policy's uid."""
    generation: Int64 = 0
    """The policy's generation when the incident was opened."""


class AlertRecord(Record):
    """The alert as it was when the incident was opened."""

    name: Annotated[str, Field(max_length=256)]
    """The alert's name."""
    labels: LabelMap = {}
    """The alert's labels."""
    active_at: Time
    """Since when the alert is active, as Prometheus says."""
    severity: Annotated[str, Field(max_length=63)] = ""
    """The alert's label `severity`."""


class IncidentSpec(Record):
    """What the incident is about. Never changes."""

    RULES: ClassVar[tuple[Rule, ...]] = (Rule("self == oldSelf", "an Incident's spec never changes", lambda _: True),)

    policy_ref: PolicyRef
    """The policy that opened it."""
    target: ObjectRef
    """What it acts on."""
    alert: AlertRecord
    """The alert that opened it."""
    predecessor: Uid = ""
    """The uid of the incident of the same policy and target before this one."""


class PolicySnapshot(Record):
    """The policy as it was when the incident was opened. It may only narrow what the live policy allows."""

    spec: Annotated[dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})]
    """The policy's spec."""


class TemplateSource(Record):
    """Where a former template is kept, and which it is."""

    object: ObjectRef
    """The ReplicaSet or ControllerRevision."""
    digest: Annotated[str, Field(max_length=64)]
    """Stands for the template that was seen there."""


class Write(Record):
    """One write to one object: what was seen before, and what is wanted."""

    verb: Literal["Patch", "Evict", "Create", "Delete", "Make", "Remove"]
    """`Patch` sets one field; `Evict` asks the Eviction API to end one pod; `Delete` ends one without asking it;
    `Create` makes a Job from a CronJob, which does not run yet, and once that is recorded lets it run; `Make` makes the
    object of a template, and `Remove` takes it away again."""
    object: ObjectRef
    """What is written to; for `Create`: the CronJob."""
    resource: Annotated[str | None, Field(max_length=63)] = None
    """For `Make` and `Remove`: the plural of the object's kind."""
    subresource: Annotated[str, Field(max_length=32)] = ""
    """The subresource, such as `scale`."""
    resource_version: Annotated[str, Field(max_length=64)] = ""
    """The resourceVersion that the guards saw; the write carries it."""
    generation: Int64 | None = None
    """The generation that the guards saw, where the object has one."""
    field: Annotated[str, Field(max_length=253)] = ""
    """The field, such as `spec.replicas`."""
    before: Annotated[str, Field(max_length=512)] = ""
    """The field's value before, as JSON; for `Create`: the Job's uid, once it is there."""
    want: Annotated[str, Field(max_length=512)] = ""
    """The value that is wanted, as JSON; for `Create`: the Job's name; for `Make`: what stands for the object."""
    template: TemplateSource | None = None
    """For a rollback: the template that replaces the object's together with the field, which marks it."""
    node: NodePin | None = None
    """For a reboot: the node on which the Job runs, and of which boot."""
    volumes: PodVolumes | None = None
    """For the end of a pod by a drain: its volumes that were attached to the node."""
    renewed: Annotated[str | None, Field(max_length=64)] = None
    """For the taint out-of-service: when the node's kubelet had last renewed its Lease. It is set only while that is
    so."""
    state: Literal["Pending", "Done", "Superseded", "Refused"] = "Pending"
    """`Pending`: not known to have taken effect. `Done`. `Superseded`: somebody else moved the field or replaced the
    object, and it was left alone. `Refused`: the API server refused it."""
    message: Text = ""
    """What the API server last said, such as which PodDisruptionBudget holds an eviction back."""


class Step(Record):
    """One rung's attempt, or one undo. Written before anything is done."""

    id: Annotated[str, Field(max_length=64)]
    """The step's name inside this incident."""
    purpose: Literal["Rung", "Undo"] = "Rung"
    """`Rung`: a rung of the ladder. `Undo`: an obligation is paid."""
    rung: Int32
    """The rung's place on the ladder, from 0."""
    action: Annotated[str, Field(max_length=32)]
    """The action."""
    attempt: Annotated[int, Field(ge=1, json_schema_extra={"format": "int32"})] = 1
    """Which attempt of the rung it is, from 1."""
    token: Annotated[str, Field(max_length=64)] = ""
    """Marks the effect on the object, so that a restarted operator recognises its own work."""
    phase: StepPhase = "Intended"
    """`Intended`: written down, and perhaps done. `Acted`: all writes are made; being verified. `Done`."""
    intent_at: Time
    """When it was written down."""
    acted_at: Time | None = None
    """When its last write was made, or the Job that it started was seen to have ended."""
    deadline_at: Time | None = None
    """Of a drain: until when the pods must be gone."""
    ended_at: Time | None = None
    """When its outcome was known."""
    preflight: Preflight = None
    """What was known of its course before anything was done: of a drain, which pods go, and how."""
    aftermath: Aftermath | None = None
    """Of a drain: what is waited for once its pods are gone."""
    ending: Annotated[list[Uid] | None, Field(max_length=256)] = None
    """Of a drain: the uids of the pods that were ending already when it was written down. It waits for them, too."""
    writes: Annotated[list[Write], Field(max_length=512)] = []
    """The writes, in order."""
    outcome: Outcome | None = None
    """How it ended."""
    message: Text = ""
    """What was done, or why not."""
    holding_since: Time | None = None
    """Since when every query of the rung holds without a break."""
    ran_until: Time | None = None
    """When the Job that it started was seen to have ended well. From then on its effect is awaited."""
    evidence: Annotated[str, Field(max_length=2048)] | None = None
    """The end of that Job's log, as far as it could be read, without what looks like a secret."""


class Obligation(Record):
    """What must be undone later."""

    key: Annotated[str, Field(max_length=400)]
    """The target's uid and the field."""
    kind: ObligationKind
    """What is owed."""
    object: ObjectRef
    """The object that was changed; of one that was made, without its uid until it was seen."""
    resource: Annotated[str | None, Field(max_length=63)] = None
    """For an object that was made: the plural of its kind."""
    subresource: Annotated[str, Field(max_length=32)] = ""
    """The subresource through which it is written."""
    field: Annotated[str, Field(max_length=253)]
    """The field that was changed."""
    original: Annotated[str, Field(max_length=512)]
    """The value before Goldseam's first change, as JSON."""
    want: Annotated[str, Field(max_length=512)]
    """The value that Goldseam wrote; what differs from it is not ours any more."""
    state: Literal["Open", "Paid", "Void", "Lost"] = "Open"
    """`Open`: owed. `Paid`. `Void`: nothing was changed, or the object is gone. `Lost`: somebody else moved the field,
    so it was left alone."""
    due_at: Time | None = None
    """When it falls due, as far as that is known."""
    message: Text = ""
    """How it ended."""


class HoldRecord(Record):
    """Why nothing is done now."""

    guard: Annotated[str, Field(max_length=32)]
    """The guard that holds."""
    kind: Literal["Wait", "Refuse"]
    """`Wait`: looked at again. `Refuse`: the rung is passed over."""
    reason: Annotated[str, Field(max_length=64)]
    """The reason, in one word."""
    message: Text
    """The reason, for people."""
    since: Time
    """Since when it holds."""
    look_again_at: Time | None = None
    """When it is looked at again at the latest."""
    place: Annotated[int, Field(ge=1, json_schema_extra={"format": "int32"})] | None = None
    """Where it waits for its turn: its place in the line. Exact up to 10; of those behind the last place of the band
    that it is in (20, 50, 100, 200 and so on)."""


NOBODY = "nobody could be told"
"""So begins the problem of an escalation that had no way to anybody."""


class Escalation(Record):
    """One crossing of a threshold: people are told once per level."""

    threshold: Annotated[str, Field(max_length=63)]
    """The threshold that was crossed."""
    level: Annotated[str, Field(max_length=63)] = ""
    """The level that is told; empty where no runbook names one."""
    contact: Annotated[str, Field(max_length=63)] = ""
    """The contact that is told, where a rung names one instead of a level."""
    at: Time
    """When it was crossed."""
    notified: Time | None = None
    """When it was delivered, or found to have no way to anybody (`problem` says so); until then it is tried again."""
    message: Text = ""
    """What people are told."""
    runbook_line: Annotated[str, Field(max_length=800)] = ""
    """The line of the runbook that says so."""
    problem: Text = ""
    """Why it could not be delivered so far, or to whom not."""

    @property
    def reached_nobody(self) -> bool:
        """Whether there was no way to anybody, and it is not tried again."""
        return self.notified is not None and self.problem.startswith(NOBODY)


class TimelineEntry(Record):
    """One thing that happened."""

    at: Time
    """When."""
    kind: Annotated[str, Field(max_length=32)]
    """What kind of thing, in one word."""
    message: Text
    """What happened, for people."""


class ApprovalRecord(Record):
    """A question to people: may this step be done?"""

    step: Annotated[str, Field(max_length=64)]
    """The step that is asked for; a Response names it."""
    rung: Int32
    """The rung's place on the ladder, from 0."""
    plan_hash: Annotated[str, Field(max_length=64)]
    """Stands for what would be done: action, object and value. A Response to another plan does not count."""
    summary: Text = ""
    """What would be done, for people."""
    preflight: Preflight = None
    """What is known of its course: of a drain, which pods would go, and how."""
    state: Literal["Waiting", "Approved", "Denied", "Expired", "Replaced"] = "Waiting"
    """`Waiting`: nobody has answered. `Approved`. `Denied`. `Expired`: nobody answered in time. `Replaced`: what would
    be done has changed, so it was asked anew."""
    requested_at: Time
    """When it was asked."""
    expires_at: Time
    """Until when an answer counts."""
    by: Annotated[str, Field(max_length=253)] = ""
    """Who answered: the user as the API server knows them."""
    decided_at: Time | None = None
    """When it was answered."""
    reason: Text = ""
    """Why, in the words of the one who answered."""


class ResponseRecord(Record):
    """One person's word that has counted."""

    uid: Uid
    """The Response's uid."""
    decision: Annotated[str, Field(max_length=32)]
    """Approve, Deny, Acknowledge or Undo."""
    by: Annotated[str, Field(max_length=253)]
    """Who said it: the user as the API server knows them."""
    at: Time
    """When it was said."""
    reason: Text = ""
    """Why, in their words."""


class Verdict(Record):
    """What the alert source says of the alert."""

    state: VerdictState = "Unknown"
    """`Firing`, `Pending`, `Cleared`, or `Unknown`."""
    fresh: bool = False
    """Whether the rule was seen to be evaluated lately."""
    since: Time
    """Since when it says so."""
    message: Text = ""
    """Why, for people."""


class Kpis(Record):
    """The incident's times."""

    detected_at: Time | None = None
    """When the incident was opened."""
    first_action_at: Time | None = None
    """When the first write was made."""
    fixed_at: Time | None = None
    """When the alert was first seen Cleared after an action."""
    resolved_at: Time | None = None
    """When the incident was resolved."""
    self_resolved: bool = False
    """Whether the alert cleared without any action."""


class IncidentStatus(Record):
    """Where the incident stands."""

    phase: Phase = "Investigating"
    """Investigating, AwaitingApproval, Fixing, Monitoring, Resolved; Escalated (people have it) or Abandoned (target or
    policy gone)."""
    epoch: Annotated[int, Field(ge=1, le=2**53, json_schema_extra={"format": "int64"})] = 1
    """The leader's number; never goes down, so that a deposed leader's writes are refused."""
    message: Text = ""
    """What is going on, in a sentence."""
    mode: Mode = "Observe"
    """The mode in which it was opened; it may only be lowered."""
    policy_snapshot: PolicySnapshot | None = None
    """The policy as it was when the incident was opened."""
    verdict: Verdict | None = None
    """What the alert source says."""
    changes: Annotated[list[Change] | None, Field(max_length=16)] = None
    """What changed on the target within 30 minutes before the alert became active; not there before we looked."""
    evidence: Annotated[list[Evidence] | None, Field(max_length=32)] = None
    """What `collect` rungs wrote down, oldest first; not there before one did."""
    rung: Int32 = 0
    """The rung of the ladder that is tried now, from 0."""
    steps: Annotated[list[Step], Field(max_length=64)] = []
    """What was tried."""
    obligations: Annotated[list[Obligation], Field(max_length=16)] = []
    """What must be undone."""
    approvals: Annotated[list[ApprovalRecord], Field(max_length=16)] = []
    """What people were asked, and what they answered."""
    responses: Annotated[list[ResponseRecord], Field(max_length=16)] = []
    """Whose word has counted, newest last."""
    holds: Annotated[list[HoldRecord], Field(max_length=16)] = []
    """Why nothing is done now."""
    escalations: Annotated[list[Escalation], Field(max_length=40)] = []
    """Who was told, when and why."""
    timeline: Annotated[list[TimelineEntry], Field(max_length=50)] = []
    """What happened, oldest first."""
    timeline_folded: Int32 = 0
    """How many older entries of the timeline were dropped."""
    kpis: Kpis = Kpis()
    """The incident's times."""
    handed_over: bool = False
    """People have it: nothing more is done, whatever the alert does."""
    git_owner: Annotated[str, Field(max_length=253)] | None = None
    """Who was seen to hold the target's replicas in Git in this incident: any write by `/scale` hides it."""
    paused_since: Time | None = None
    """Since when it is paused."""
    paused_for: Duration = timedelta(0)
    """How long it was paused before that; this time does not count towards thresholds."""
    owes: Int32 = 0
    """How many obligations are open."""
    reopened: Int32 = 0
    """How often the alert came back within the flap window, so that the incident was opened again."""
    closed_at: Time | None = None
    """When nothing was left to do: over, nothing owed, and the flap window past. From then on it is a record."""

    def open_obligations(self) -> list[Obligation]:
        """What is still owed."""
        return [o for o in self.obligations if o.state == "Open"]

    def open_step(self) -> Step | None:
        """The step that has not ended; an undo before what is being watched meanwhile."""
        steps = [step for step in self.steps if step.phase != "Done"]
        return next((step for step in steps if step.purpose == "Undo"), steps[0] if steps else None)
