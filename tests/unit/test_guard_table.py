"""Every reason of every guard: whether it waits or refuses, and the sentence that people read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from goldseam.api.guardrails import Trip
from goldseam.api.incident import ApprovalRecord, Escalation, HoldRecord, ObjectRef, Obligation, Step, Write
from goldseam.api.policy import ClusterRemediationPolicySpec
from goldseam.api.runbook import RunbookSpec
from goldseam.engine import approvals
from goldseam.engine.guards.order import BEFORE_ACTING, BEFORE_UNDOING
from goldseam.engine.inputs import believed
from goldseam.engine.matching import PolicyKey
from goldseam.engine.proposal import Hit, Proposal, Refusal, Turn, World
from goldseam.engine.reasons.holds import HOLDS
from goldseam.engine.reasons.places import SAYS
from goldseam.engine.situation import (
    Failure,
    Fleet,
    InLine,
    Ledger,
    LivePolicy,
    PauseInForce,
    Permission,
    QueryAnswer,
    Silence,
    Situation,
)
from goldseam.engine.verdict import Reading
from tests.support.objects import pod_template, revision, workload
from tests.unit.test_guards import NOW, TARGET, TEMPLATE, guardrails, node, other, pdb, situation, spec, spent

GUARDS = {guard.__name__: guard for guard in (*BEFORE_ACTING, *BEFORE_UNDOING)}
PLAN = Proposal((), "restart Deployment shop/api", ())
EVICTION = Write(verb="Evict", object=TARGET)
MARKED = workload(metadata={"annotations": {"goldseam.dev/ignore": "true"}})
MINE = {"kind": "Node", "metadata": {"name": "n", "uid": "uid-api", "labels": {"topology.kubernetes.io/zone": "a"}}}
WARY = spec(ladder=[{"restart": {}, "skipIfChangedWithin": "30m", "skipIfFailedWithin": "2h"}])
BEFORE = revision(1, "2026-11-23T08:00:00Z", pod_template("api:1"))
NEWER = revision(2, "2026-11-23T11:40:00Z", pod_template("api:2"))
FAILED = Failure("shop/heal-0", "restart", {"method": "Auto"}, NOW - timedelta(minutes=90), "did not help in time")
AWAY = situation().status.model_copy(update={"holds": [HoldRecord(
    guard="busy", kind="Wait", reason="NotAllThere", message="1 pod", since=NOW - timedelta(minutes=10)
)]})  # fmt: skip
MAKES = ClusterRemediationPolicySpec.model_validate({
    "alert": {"name": "A"},
    "target": {"kind": "Deployment", "namespaceSelector": {"matchLabels": {"a": "b"}}},
    "ladder": [{"template": {
        "resource": "remediations", "object": {"apiVersion": "a.example.com/v1", "kind": "Remediation"},
    }}],
})  # fmt: skip
TWO_NODES = guardrails(budgets={"nodes": {"atOnce": 2}})


def pause(level: Any, by: str = "jane") -> Situation:
    return situation(pauses=(PauseInForce("shop/p", level, "deploying", NOW + timedelta(hours=1), by),))


def live(**fields: Any) -> LivePolicy:
    policy = situation().policy
    assert policy is not None
    return replace(policy, **fields)


def read(state: Any, message: str, *, fresh: bool = False) -> Situation:
    return situation(reading=Reading(state, fresh, message))


def held_in_git() -> Situation:
    """Flux held the replicas in Git until somebody scaled by hand; now it is our turn."""
    write = Write(verb="Patch", object=TARGET, subresource="scale", field="spec.replicas", before="5", want="8")
    base = situation(plan=Proposal((write,), "scale", ()))
    return replace(base, status=base.status.model_copy(update={"git_owner": "Flux Kustomization apps"}))


def held_down() -> Situation:
    """Another incident has taken replicas away; it would be our turn to bring some back."""
    owed = partial(Obligation, key="uid-api:spec.replicas", kind="ScaleBack", object=TARGET, field="spec.replicas")
    theirs = other(obligations=(owed(original="10", want="1"),))
    return situation(plan=Proposal((), "scale", (), (owed(original="1", want="8"),)), others=(theirs,))


def acted() -> Situation:
    step = Step(id="1-restart", rung=0, action="restart", phase="Done", intent_at=NOW, acted_at=NOW)
    base = situation()
    return replace(base, status=base.status.model_copy(update={"steps": [step]}))


def cluster_policy() -> Situation:
    picky = ClusterRemediationPolicySpec.model_validate(
        {
            "mode": "Act", "alert": {"name": "A"}, "ladder": [{"restart": {}}],
            "target": {"kind": "Deployment", "namespaceSelector": {"matchLabels": {"a": "b"}}},
        }
    )  # fmt: skip
    policy = LivePolicy(PolicyKey("ClusterRemediationPolicy", "", "heal"), "u", 1, NOW, picky)
    return situation(policy=policy, pinned=picky)


def of_nodes(rung: Any = None, **target: Any) -> Situation:
    """An incident of a node, by a cluster policy for nodes."""
    mine = ClusterRemediationPolicySpec.model_validate(
        {
            "mode": "Act", "alert": {"name": "A"}, "ladder": [rung or {"drain": {}}],
            "target": {"kind": "Node", **target},
        }
    )  # fmt: skip
    policy = LivePolicy(PolicyKey("ClusterRemediationPolicy", "", "heal"), "u", 1, NOW, mine)
    about = ObjectRef(api_version="v1", kind="Node", name="n", uid="uid-api")
    base = situation(policy=policy, pinned=mine, world=World(target=MINE))
    return replace(base, namespace=base.operator_namespace, spec=base.spec.model_copy(update={"target": about}))


def draining(zone: str, **fields: Any) -> Situation:
    plan = Proposal((), "drain", (), takes_nodes=1)
    return situation(plan=plan, world=World(target=MINE, nodes=(node("x", zone),)), **fields)


def behind_another() -> Situation:
    worse = node("x", "b", ours=False) | {"status": {"conditions": [
        {"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-23T11:00:00Z"}
    ]}}  # fmt: skip
    line = InLine(NOW + timedelta(minutes=1))
    rival = other(policy=situation().policy.key, target_uid="x", line=line)  # type: ignore[union-attr]
    plan = Proposal((), "drain", (), takes_nodes=1)
    return situation(plan=plan, world=World(target=MINE, nodes=(worse,)), others=(rival,))


def covered(by: Any) -> Situation:
    """A restart that takes one ready pod, which a PodDisruptionBudget covers."""
    plan = Proposal((), "restart", (), takes_ready=1)
    return situation(plan=plan, world=World(target=workload(spec=TEMPLATE), pdbs=(by,)))


def asking(state: Any = None, **fields: Any) -> Situation:
    """The rung needs an approval; `state` is that of the question."""
    base = situation(plan=PLAN, spec=spec(approval={"rungs": ["restart"]}))
    question = ApprovalRecord(
        step="1-restart", rung=0, plan_hash=approvals.plan_hash(base, PLAN), state=state or "Waiting",
        requested_at=NOW, expires_at=NOW + timedelta(minutes=30), **fields,
    )  # fmt: skip
    asked = [question] if state else []
    return replace(base, status=base.status.model_copy(update={"approvals": asked}))


def restoring(answer: QueryAnswer | None = None, *, crossed: bool = False, state: Any = None) -> Situation:
    """The rung is destructive, and the runbook asks by a query whether data is lost."""
    loss = {"name": "loss", "level": "P", "dataLoss": True, "when": {"query": {"expr": "lost", "above": "0"}}}
    levels = {"contacts": [{"name": "lead"}], "levels": [{"name": "P", "contact": "lead"}]}
    pinned = spec(ladder=[{"job": {"cronJob": "restore", "destructive": True}}], serviceAccountName="remediator")
    book = RunbookSpec.model_validate({**levels, "thresholds": [loss]})
    base = situation(plan=PLAN, spec=pinned, runbook=book, bounds={"loss": answer} if answer else {})
    question = ApprovalRecord(
        step="1-job", rung=0, plan_hash=approvals.plan_hash(base, PLAN), state=state or "Waiting",
        requested_at=NOW, expires_at=NOW + timedelta(minutes=30), by="jane",
    )  # fmt: skip
    told = [Escalation(threshold="loss", level="P", at=NOW)] if crossed else []
    return replace(base, status=base.status.model_copy(update={"approvals": [question], "escalations": told}))


def tripped(message: str) -> Trip:
    return Trip(state="Tripped", since=NOW, message=message)


def limited(**namespace: Any) -> Situation:
    limits = {"selector": {"matchLabels": {"tier": "1"}}, **namespace}
    return situation(guardrails=guardrails(namespaces=[limits]), namespace_labels={"tier": "1"}, plan=PLAN)


def hitting(found: Any = None, **fields: Any) -> Situation:
    """A node is to be drained that has a pod of this workload."""
    world = World(target=MINE, hit=(Hit(found or workload(), frozenset({"uid-pod"})),))
    return situation(world=world, plan=Proposal((), "drain", (), takes_nodes=1), **fields)


LEASE = {"spec": {"holderIdentity": "nhc", "leaseDurationSeconds": 600, "renewTime": NOW.isoformat()}}


def on_node(**around: Any) -> Situation:
    """A node is to be drained, and this is around it."""
    base = situation(world=World(target=MINE, **around), plan=Proposal((), "drain", (), takes_nodes=1))
    ref = TARGET.model_copy(update={"kind": "Node", "namespace": "", "name": "n"})
    return replace(base, spec=base.spec.model_copy(update={"target": ref}))


ROLLING = workload(status={"updatedReplicas": 1})
OFFICE = guardrails(windows=[{"name": "office", "start": "13:00", "end": "14:00"}])
FROZEN = guardrails(freezes=[{"name": "f", "start": "2026-11-23", "end": "2026-11-24", "reason": "audit"}])
TABLE: list[tuple[str, Situation, str, str, str]] = [
    ("paused", pause("NewWork"), "Wait", "paused/Paused",
     "Pause shop/p of jane holds until 2026-11-23 13:00 UTC: deploying"),
    ("paused", pause("NewWork", by=""), "Wait", "paused/Paused",
     "Pause shop/p holds until 2026-11-23 13:00 UTC: deploying"),
    ("paused", situation(spec=spec(suspend=True)), "Wait", "paused/Suspended",
     "spec.suspend of the policy is true"),
    ("paused", situation(world=World(target=MARKED)), "Wait", "paused/Ignored",
     "Deployment shop/api carries the annotation goldseam.dev/ignore: remove it to let Goldseam act"),
    ("everything_paused", pause("Everything"), "Wait", "paused/EverythingPaused",
     "Pause shop/p of jane stops everything until 2026-11-23 13:00 UTC: deploying"),
    ("unread", situation(unknown=("pauses (HTTP 503)", "nodes (HTTP 503)")), "Wait", "unread/NotRead",
     "could not be read: pauses (HTTP 503); nodes (HTTP 503)"),
    ("invalid", situation(policy=live(spec=None, problem="spec.ladder: is empty")), "Wait", "policy/PolicyInvalid",
     "the policy is invalid now: spec.ladder: is empty"),
    ("lowered", situation(policy=live(spec=spec(mode="Observe"))), "Wait", "mode/ModeLowered",
     "the policy's mode is Observe now: nothing more is done"),
    ("lowered", limited(maxMode="Observe"), "Wait", "mode/ModeLowered",
     "the namespace's ceiling in the Guardrails is Observe now: nothing more is done"),
    ("source", read("Pending", "the alert is pending"), "Wait", "source/AlertPending",
     "the alert is pending"),
    ("source", read("Firing", "it was firing, but the rule is late"), "Wait", "source/AlertFiring",
     "it was firing, but the rule is late"),
    ("source", read("Cleared", "the alert is gone", fresh=True), "Wait", "source/AlertCleared",
     "the alert is gone"),
    ("source", read("Unknown", "cannot connect"), "Wait", "source/AlertUnknown",
     "cannot connect"),
    ("source", situation(reading=believed(Reading("Cleared", True, "gone"), "its input x has no data")), "Wait",
     "source/InputsGone", "no alert is shown, but its input x has no data"),
    ("source", acted(), "Wait", "source/NotEvaluatedSince",
     "what comes after restart waits for an evaluation of the alert's rule after settle (1m), which ends at 12:01:00"
     " UTC"),
    ("silenced", situation(silence=Silence("Silenced", "silenced by jane")), "Wait", "silenced/Silenced",
     "silenced by jane"),
    ("silenced", situation(silence=Silence("Unknown", "no answer")), "Wait", "silenced/SilenceUnknown",
     "no answer"),
    ("window", situation(guardrails=OFFICE), "Wait", "window/OutsideWindow",
     "outside the windows office (every day 13:00-14:00 UTC): opens 2026-11-23 13:00 UTC"),
    ("freeze", situation(guardrails=FROZEN), "Wait", "window/Frozen",
     "frozen by f until the end of 2026-11-24 UTC: audit"),
    ("protection", situation(guardrails=guardrails(protectedNamespaces=["sh*"])), "Refuse",
     "permission/ProtectedNamespace",
     "namespace shop is protected by the Guardrails (protectedNamespaces)"),
    ("narrowed", situation(policy=live(spec=spec(target={"name": "web"}))), "Refuse", "policy/TargetChanged",
     "the policy is about another target now than Deployment shop/api"),
    ("narrowed", situation(namespace="bank"), "Refuse", "policy/OtherNamespace",
     "an Incident acts in its own namespace only"),
    ("narrowed", of_nodes(nodeSelector={"matchLabels": {"pool": "spot"}}), "Refuse", "policy/NodeNotSelected",
     "Node n is not one that nodeSelector selects (any more)"),
    ("forcing", of_nodes({"drain": {"atDeadline": "Force"}}), "Refuse", "permission/ForceForbidden",
     "the Guardrails do not allow a drain of Node n to end by force: write another `atDeadline`, or name the node in"
     " their `allowForcedDrain`"),
    ("switched_off", of_nodes({"outOfService": {}}), "Refuse", "permission/OutOfServiceForbidden",
     "the Guardrails do not allow Node n to be taken out of service as one whose machine is off: name it in their"
     " `allowOutOfService`"),
    ("narrowed", cluster_policy(), "Refuse", "policy/NamespaceNotSelected",
     "namespace shop is not one that namespaceSelector selects (any more)"),
    ("narrowed", situation(policy=live(spec=spec(ladder=[{"scale": {"replicas": 5}}]))), "Refuse",
     "policy/RungRemoved",
     "the policy's ladder does not allow restart any more"),
    ("ceiling", limited(allowedActions=["scale"]), "Refuse", "permission/ActionForbidden",
     "the Guardrails allow in namespace shop these actions only: scale"),
    ("ceiling", limited(allowedActions=[]), "Refuse", "permission/ActionForbidden",
     "the Guardrails allow in namespace shop these actions only: none"),
    ("templates", situation(spec=MAKES), "Refuse", "permission/TemplateForbidden",
     "Remediation (remediations, a.example.com/v1) is no kind that the Guardrails list in spec.templates: its admin has"
     " to add it there"),
    ("busy", situation(others=(other(busy=True),)), "Wait", "busy/OtherIncident",
     "Incident shop/other is acting on the target"),
    ("busy", situation(others=(other(),)), "Wait", "busy/OtherPolicy",
     "RemediationPolicy shop/a-other acts on the same target and comes first (Incident shop/other)"),
    ("changed", situation(spec=WARY), "Wait", "history/ChangesUnknown",
     "when the target's template was changed is not known: no revision of its own is there"),
    ("changed", situation(spec=WARY, world=World(target=workload(), revisions=(BEFORE, NEWER))), "Refuse",
     "history/ChangedLately",
     "skipIfChangedWithin is 30m: 15 min before the alert: image of container app: api:1 → api:2"),
    ("failed", situation(spec=WARY, world=World(target=workload(), revisions=(BEFORE,)), failures=(FAILED,)), "Refuse",
     "history/FailedLately",
     "skipIfFailedWithin is 2h, and it failed at 11-23 10:30 UTC in Incident shop/heal-0: did not help in time"),
    ("busy", situation(world=World(target=ROLLING)), "Wait", "busy/RolloutInProgress",
     "a rollout of the target is in progress"),
    ("busy", situation(plan=replace(PLAN, writes=(EVICTION,), turn=Turn(None, frozenset(), "1 pod that is missing"))),
     "Wait", "busy/NotAllThere",
     "no pod is evicted yet: waiting for 1 pod that is missing"),
    ("busy", situation(plan=replace(PLAN, turn=Turn(None, frozenset(), "1 pod")), status=AWAY), "Refuse",
     "busy/NeverAllThere", "no pod is evicted yet: waiting for 1 pod, for longer than the rung may take"),
    ("cooldown", situation(ledger=Ledger((spent(timedelta(minutes=10)),))), "Wait", "cooldown/Cooldown",
     "the policy acted on this target at 11:50:00 UTC; limits.cooldown ends at 12:20:00 UTC"),
    ("budget", situation(ledger=Ledger((spent(timedelta(minutes=50), 3),))), "Wait", "budget/PolicyBudget",
     "the policy has used its budget of 3 actions in 1 h"),
    ("budget", situation(ledger=Ledger((spent(timedelta(minutes=5), 10, "x", "Deployment/shop/web"),))), "Wait",
     "budget/NamespaceBudget",
     "the namespace has used its budget of 10 actions in 1 h"),
    ("budget", situation(ledger=Ledger((spent(timedelta(minutes=5), 20, "x", "Deployment/bank/web"),))), "Wait",
     "budget/ClusterBudget",
     "the cluster has used its budget of 20 actions in 1 h"),
    ("budget", situation(ledger=Ledger((), NOW - timedelta(minutes=30))), "Wait", "budget/LedgerIncomplete",
     "what the policy has spent before is not known"),
    ("concurrent", situation(others=(other(policy=live().key, busy=True, target_uid="else"),)), "Wait",
     "budget/Concurrent",
     "limits.concurrent is 1, and the policy is at work in shop/other"),
    ("turn", behind_another(), "Wait", "nodes/NodesInTurn",
     "waits for its turn: 2nd of 2 nodes, behind x"),
    ("node_caps", draining("b"), "Wait", "nodes/NodesAtOnce",
     "Guardrails allow 1 node at once, and Goldseam has taken x out of service"),
    ("node_caps", draining("a", guardrails=TWO_NODES), "Wait", "nodes/NodesPerZone",
     "Guardrails allow 1 node per zone, and in a Goldseam has taken x out of service"),
    ("leased", on_node(leases=True, node_lease=LEASE), "Wait", "leased/NodeLeaseHeld",
     "nhc is at work on Node n: it holds Lease medik8s-leases/node-n until 12:10:00 UTC"),
    ("leased", on_node(leases=True, closed=frozenset({"lease"})), "Refuse", "leased/NodeLeaseClosed",
     "namespace medik8s-leases exists, and Lease medik8s-leases/node-n may not be read: bind ClusterRole"
     " goldseam-medik8s there (component medik8s of deploy/kustomize)"),
    ("breaker", situation(fleet=Fleet(breaker=tripped("5 of 9 are unhealthy"))), "Wait", "breaker/BreakerTripped",
     "tripped at 12:00:00 UTC: 5 of 9 are unhealthy; lets through again after 5m of calm"),
    ("breaker", situation(fleet=Fleet(unknown="HTTP 503")), "Wait", "breaker/BreakerUnknown",
     "how much is unhealthy cannot be told: HTTP 503"),
    ("storm", situation(fleet=Fleet(storm=tripped("12 rules in 6 namespaces"))), "Wait", "storm/AlertStorm",
     "tripped at 12:00:00 UTC: 12 rules in 6 namespaces; lets through again after 10m of calm"),
    ("owner", situation(plan=Refusal("OwnedByKeda", "ScaledObject shop/api owns it")), "Refuse",
     "owner/OwnedByKeda",
     "ScaledObject shop/api owns it"),
    ("owner", held_in_git(), "Refuse", "owner/HeldInGit",
     "Flux Kustomization apps held spec.replicas of Deployment shop/api in Git, before somebody else scaled it: it"
     " would undo a change. Tell it to leave the field alone, then annotate the target:"
     ' goldseam.dev/gitops-ignores: "true"'),
    ("owner", held_down(), "Refuse", "owner/HeldDown",
     "Incident shop/other has scaled Deployment shop/api down, and brings it back when its alert is over"),
    ("headroom", situation(plan=Proposal((), "restart", (), takes_ready=3)), "Refuse", "headroom/TooFewLeft",
     "it would leave 0 of 3 pods ready, and limits.minAvailable (50%) asks for 2"),
    ("disruption", covered(pdb(0)), "Refuse", "headroom/BreaksDisruptionBudget",
     "it would take 1 ready pod at once, and PodDisruptionBudget shop/api lets 0 go (3 healthy, 3 wanted)"),
    ("disruption", covered(pdb(1, seen=0)), "Wait", "headroom/DisruptionUnknown",
     "PodDisruptionBudget shop/api covers the pods, and the cluster has not counted yet how many it lets go"),
    ("collateral", hitting(pauses_of_hit={"uid-api": PauseInForce("shop/p", "NewWork", "deploying", NOW)}), "Wait",
     "collateral/WorkloadPaused",
     "Deployment shop/api has pods on the node: Pause shop/p holds until 2026-11-23 12:00 UTC: deploying"),
    ("collateral", hitting(MARKED), "Wait", "collateral/WorkloadPaused",
     "Deployment shop/api has pods on the node: it carries the annotation goldseam.dev/ignore"),
    ("collateral", hitting(ROLLING), "Wait", "collateral/WorkloadBusy",
     "Deployment shop/api has pods on the node: a rollout of it is in progress (1 of 3 pods updated, 3 ready)"),
    ("collateral", hitting(others=(other(works_on="uid-api"),)), "Wait", "collateral/WorkloadBusy",
     "Deployment shop/api has pods on the node: Incident shop/other is acting on it"),
    ("collateral", hitting(ledger=Ledger((spent(timedelta(minutes=10)),))), "Wait", "collateral/WorkloadCooldown",
     "Deployment shop/api has pods on the node: it was acted on at 11:50:00 UTC; limits.cooldown ends at 12:20:00 UTC"),
    ("permission", situation(incidents_protected=False), "Wait", "permission/IncidentsUnprotected",
     "mode Act needs the admission policy goldseam-incidents, so that nobody else writes Incidents:"
     " install deploy/kustomize/base"),
    ("permission", situation(permission=Permission(problem="rights could not be asked for: HTTP 503")), "Wait",
     "permission/PermissionUnknown",
     "rights could not be asked for: HTTP 503"),
    ("permission", situation(permission=Permission(denied=("heal may not patch apps/deployments",))), "Refuse",
     "permission/PermissionMissing",
     "heal may not patch apps/deployments"),
    ("owner", situation(plan=Refusal("JobRunning", "Job shop/x is at work", waits=True)), "Wait", "owner/JobRunning",
     "Job shop/x is at work"),
    ("destructive", restoring(crossed=True), "Refuse", "destructive/DataLoss",
     "the threshold loss of the runbook was crossed: what is destructive is left to people"),
    ("destructive", restoring(QueryAnswer("Holds", "1 is above 0")), "Refuse", "destructive/DataLoss",
     "the threshold loss of the runbook was crossed: what is destructive is left to people"),
    ("destructive", restoring(), "Wait", "destructive/DataLossUnknown",
     "whether data is lost cannot be told by the runbook's threshold loss (it was not asked)"),
    ("destructive", restoring(QueryAnswer("Unknown", "no data")), "Wait", "destructive/DataLossUnknown",
     "whether data is lost cannot be told by the runbook's threshold loss (no data)"),
    ("destructive", restoring(QueryAnswer("Broken", "0 is not above 0"), state="Approved"), "Refuse",
     "destructive/Unconfirmed",
     "no Response of a person approves it as it is: it was withdrawn, or never given"),
    ("approval", replace(asking(), words_protected=False), "Wait", "approval/ResponsesUnprotected",
     "approvals need the admission policy goldseam-people, so that nobody speaks in another's name:"
     " install deploy/kustomize/base"),
    ("approval", asking(), "Wait", "approval/ApprovalNeeded",
     "waits for approval until 12:30:00 UTC: restart Deployment shop/api"),
    ("approval", asking("Waiting"), "Wait", "approval/ApprovalNeeded",
     "waits for approval until 12:30:00 UTC: restart Deployment shop/api"),
    ("approval", asking("Denied", by="jane", reason="not today"), "Refuse", "approval/Denied",
     "jane said no: not today"),
    ("approval", asking("Denied", by="jane"), "Refuse", "approval/Denied",
     "jane said no"),
    ("approval", asking("Expired"), "Refuse", "approval/Unanswered",
     "nobody approved until 12:30:00 UTC"),
]  # fmt: skip


def name(case: Any) -> str | None:
    return case if isinstance(case, str) and "/" in case and " " not in case else ""


@pytest.mark.parametrize(("guard", "s", "kind", "reason", "sentence"), TABLE, ids=name)
def test_a_guard_that_holds_says_why_in_one_word_and_in_a_sentence(
    guard: str, s: Situation, kind: str, reason: str, sentence: str
) -> None:
    hold = GUARDS[guard](s, NOW)
    assert hold is not None
    assert (hold.kind, f"{hold.guard}/{hold.reason}", hold.message) == (kind, reason, sentence)


@pytest.mark.parametrize("guard", sorted(GUARDS))
def test_a_guard_lets_a_plain_situation_through(guard: str) -> None:
    assert GUARDS[guard](situation(plan=PLAN), NOW) is None


def test_the_table_has_every_reason_of_every_guard() -> None:
    said = {(guard, reason) for guard, _, _, reason, _ in TABLE}
    known = {(guard, reason) for guard in GUARDS for reason in SAYS[guard] if guard != "owner"}
    assert known <= said
    assert {reason for _, reason in said} >= {f"{e.source}/{e.name}" for e in HOLDS} - {
        "source/Inconclusive",
        "busy/StillRunning",
    }
