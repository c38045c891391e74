"""Each guard, held against the situation that it is there for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from goldseam.actions.registry import ACTIONS
from goldseam.api.guardrails import GuardrailsSpec, Trip
from goldseam.api.incident import (
    AlertRecord,
    IncidentSpec,
    IncidentStatus,
    Kpis,
    ObjectRef,
    PolicyRef,
    PolicySnapshot,
    Step,
    Write,
)
from goldseam.api.policy import ClusterRemediationPolicySpec, RemediationPolicySpec
from goldseam.engine.guards import asking, breaker, budget, busy, harm, knowledge, narrow, paused, silenced, window
from goldseam.engine.guards.hold import Guard, Hold
from goldseam.engine.matching import PolicyKey
from goldseam.engine.objects import selects
from goldseam.engine.proposal import Proposal, Refusal, World
from goldseam.engine.situation import (
    Fleet,
    Ledger,
    LivePolicy,
    Other,
    PauseInForce,
    Permission,
    Silence,
    Situation,
    Spent,
)
from goldseam.engine.verdict import Reading
from tests.support.objects import MARK, manages, workload

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = PolicyKey("RemediationPolicy", "shop", "heal")
TARGET = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="api", uid="uid-api")


def spec(**fields: Any) -> RemediationPolicySpec:
    return RemediationPolicySpec.model_validate(
        {"mode": "Act", "alert": {"name": "A"}, "ladder": [{"restart": {}}], **fields}
    )


def situation(**fields: Any) -> Situation:
    policy = fields.pop("spec", None) or spec()
    about = fields.pop("spec_", None)
    ref = PolicyRef(kind="RemediationPolicy", namespace="shop", name="heal", uid="uid-policy")
    alert = AlertRecord(name="A", active_at=NOW - timedelta(minutes=5))
    status = IncidentStatus(
        mode="Act",
        policy_snapshot=PolicySnapshot(spec=policy.dump()),
        kpis=Kpis(detected_at=NOW - timedelta(minutes=1)),
    )
    base = Situation(
        namespace="shop",
        name="heal-1",
        uid="uid-incident",
        spec=about or IncidentSpec(policy_ref=ref, target=TARGET, alert=alert),
        status=status,
        policy=LivePolicy(KEY, "uid-policy", 1, NOW - timedelta(days=1), policy),
        pinned=policy,
        reading=Reading("Firing", True, "the alert is firing", NOW),
        world=World(target=workload()),
    )
    return replace(base, **fields)


def other(**fields: Any) -> Other:
    base = Other(
        name="shop/other", uid="uid-other", opened=NOW, target_uid="uid-api",
        policy=PolicyKey("RemediationPolicy", "shop", "a-other"), policy_created=NOW - timedelta(days=2),
        claims=True, busy=False, labels={}, active=True,
    )  # fmt: skip
    return replace(base, **fields)


def reason(hold: Hold | None) -> str:
    return hold.reason if hold else ""


def test_a_pause_holds_and_says_who_and_until_when() -> None:
    pause = PauseInForce("shop/pause", "NewWork", "deploying", NOW + timedelta(hours=1))
    hold = paused.paused(situation(pauses=(pause,)), NOW)
    assert hold is not None
    assert "deploying" in hold.message
    assert hold.until == pause.ends
    assert paused.everything_paused(situation(pauses=(pause,)), NOW) is None
    assert paused.everything_paused(situation(pauses=(replace(pause, level="Everything"),)), NOW)


def test_suspend_and_the_ignore_mark_hold() -> None:
    assert reason(paused.paused(situation(spec=spec(suspend=True)), NOW)) == "Suspended"
    marked = workload(metadata={"annotations": {"goldseam.dev/ignore": "true"}})
    assert reason(paused.paused(situation(world=World(target=marked)), NOW)) == "Ignored"
    assert paused.paused(situation(), NOW) is None


@pytest.mark.parametrize(
    ("state", "fresh"), [("Firing", False), ("Pending", False), ("Unknown", False), ("Cleared", True)]
)
def test_only_a_freshly_firing_alert_lets_through(state: Any, fresh: bool) -> None:
    assert knowledge.source(situation(reading=Reading(state, fresh, "why")), NOW)
    assert knowledge.source(situation(), NOW) is None


def test_what_cannot_be_read_holds() -> None:
    assert reason(knowledge.unread(situation(unknown=("hpas (503)",)), NOW)) == "NotRead"
    invalid = replace(situation().policy, spec=None, problem="spec.ladder: empty")  # type: ignore[type-var]
    hold = knowledge.invalid(situation(policy=invalid), NOW)
    assert hold is not None
    assert "spec.ladder" in hold.message


def test_another_incident_at_work_on_the_target_holds() -> None:
    assert reason(busy.busy(situation(others=(other(busy=True),)), NOW)) == "OtherIncident"
    assert busy.busy(situation(others=(other(busy=True, target_uid="else"),)), NOW) is None


def test_one_job_of_a_cron_job_at_a_time_whatever_the_targets_and_of_two_that_have_begun_one_goes() -> None:
    ref = ObjectRef(api_version="batch/v1", kind="CronJob", namespace="shop", name="fix", uid="uid-fix")
    job = Proposal((Write(verb="Create", object=ref, generation=1, want='"fix-1"'),), "run it", ())
    before, after = (other(uid=uid, target_uid="else", runs="uid-fix") for uid in ("uid-a", "uid-z"))
    step = Step(id="1-job", rung=0, action="job", intent_at=NOW, writes=list(job.writes))
    for rival, begun, waits in (
        (before, False, True),
        (after, False, True),
        (before, True, True),
        (after, True, False),
    ):
        s = situation(plan=job, others=(rival,))
        s = replace(s, status=s.status.model_copy(update={"steps": [step] if begun else []}))
        assert (reason(busy.busy(s, NOW)) == "OtherIncident") is waits, (rival.uid, begun)
    assert busy.busy(situation(plan=job, others=(replace(before, runs="uid-else"),)), NOW) is None


def test_of_two_policies_the_older_comes_first_and_namespaced_ones_before_the_clusters() -> None:
    assert reason(busy.busy(situation(others=(other(),)), NOW)) == "OtherPolicy"
    assert busy.busy(situation(others=(other(policy_created=NOW),)), NOW) is None
    cluster = PolicyKey("ClusterRemediationPolicy", "", "a")
    assert busy.busy(situation(others=(other(policy=cluster),)), NOW) is None
    assert busy.busy(situation(others=(other(claims=False),)), NOW) is None


def test_a_rollout_in_progress_holds_but_a_stuck_one_does_not() -> None:
    rolling = workload(status={"updatedReplicas": 1})
    assert reason(busy.busy(situation(world=World(target=rolling)), NOW)) == "RolloutInProgress"
    stuck = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    stalled = workload(status={"updatedReplicas": 1, "conditions": [stuck]})
    assert busy.busy(situation(world=World(target=stalled)), NOW) is None


def spent(ago: timedelta, count: int = 1, policy: str = str(KEY), target: str = "Deployment/shop/api") -> Spent:
    return Spent(policy, target, NOW - ago, count)


def test_the_cooldown_counts_from_the_last_action_of_an_earlier_incident() -> None:
    hold = budget.cooldown(situation(ledger=Ledger((spent(timedelta(minutes=10)),))), NOW)
    assert reason(hold) == "Cooldown"
    assert hold is not None
    assert hold.until == NOW + timedelta(minutes=20)
    assert budget.cooldown(situation(ledger=Ledger((spent(timedelta(minutes=31)),))), NOW) is None
    assert budget.cooldown(situation(ledger=Ledger((spent(timedelta(seconds=5)),))), NOW) is None, "its own reservation"
    elsewhere = spent(timedelta(minutes=10), target="Deployment/shop/web")
    assert budget.cooldown(situation(ledger=Ledger((elsewhere,))), NOW) is None


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((spent(timedelta(minutes=50), 3),), "PolicyBudget"),
        ((spent(timedelta(hours=2), 7),), "PolicyBudget"),
        ((spent(timedelta(minutes=5), 10, policy="x", target="Deployment/shop/web"),), "NamespaceBudget"),
        ((spent(timedelta(minutes=5), 20, policy="x", target="Deployment/bank/web"),), "ClusterBudget"),
        ((spent(timedelta(minutes=61), 3),), ""),
    ],
)
def test_budgets_hold_for_policy_namespace_and_cluster(entries: tuple[Spent, ...], expected: str) -> None:
    assert reason(budget.budget(situation(ledger=Ledger(entries)), NOW)) == expected


def test_a_ledger_that_does_not_go_back_far_enough_holds() -> None:
    young = Ledger((), NOW - timedelta(minutes=30))
    assert reason(budget.budget(situation(ledger=young), NOW)) == "LedgerIncomplete"


def node(name: str, zone: str, *, ours: bool = True) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, "uid": name, "labels": {"topology.kubernetes.io/zone": zone}}
    if ours:
        meta |= {"annotations": MARK, "managedFields": [manages("goldseam", "spec.unschedulable")]}
    return {"kind": "Node", "metadata": meta, "spec": {"unschedulable": True}}


def test_node_caps_count_only_what_goldseam_cordoned() -> None:
    draining = Proposal((), "drain", (), takes_nodes=1)
    mine = {"kind": "Node", "metadata": {"name": "n", "uid": "uid-api", "labels": {"topology.kubernetes.io/zone": "a"}}}
    base = situation(plan=draining, world=World(target=mine, nodes=(node("x", "b"),)))
    assert reason(budget.node_caps(base, NOW)) == "NodesAtOnce"
    foreign = replace(base, world=World(target=mine, nodes=(node("x", "b", ours=False),)))
    assert budget.node_caps(foreign, NOW) is None
    wide = GuardrailsSpec.model_validate({"budgets": {"nodes": {"atOnce": 5}}})
    same_zone = replace(base, guardrails=wide, world=World(target=mine, nodes=(node("x", "a"),)))
    assert reason(budget.node_caps(same_zone, NOW)) == "NodesPerZone"
    assert budget.node_caps(replace(base, guardrails=wide), NOW) is None


@pytest.mark.parametrize(
    ("replicas", "available", "takes", "refused"),
    [
        (1, "50%", 1, True),
        (3, "50%", 1, False),
        (4, "50%", 3, True),
        (5, 4, 1, False),
        (5, 5, 1, True),
        (3, "0%", 3, False),
    ],
)
def test_headroom_refuses_what_would_leave_too_few_ready_pods(
    replicas: int, available: int | str, takes: int, refused: bool
) -> None:
    s = situation(spec=spec(limits={"minAvailable": available}), plan=Proposal((), "restart", (), takes_ready=takes))
    hold = harm.headroom(replace(s, world=World(target=workload(replicas=replicas))), NOW)
    assert (hold is not None) is refused
    if hold is not None:
        assert hold.kind == "Refuse"


LABELS = {"app": "api"}
TEMPLATE = {"template": {"metadata": {"labels": LABELS}}}


def pdb(allowed: int, selector: Any = {"matchLabels": LABELS}, seen: int = 1) -> dict[str, Any]:  # noqa: B006
    status = {"disruptionsAllowed": allowed, "currentHealthy": 3, "desiredHealthy": 3 - allowed}
    return {
        "metadata": {"namespace": "shop", "name": "api", "generation": 1},
        "spec": {"selector": selector, "minAvailable": 3 - allowed},
        "status": {"observedGeneration": seen, **status},
    }


def disrupting(*pdbs: dict[str, Any], takes: int = 1) -> Hold | None:
    world = World(target=workload(spec=TEMPLATE), pdbs=pdbs)
    return harm.disruption(replace(situation(plan=Proposal((), "restart", (), takes_ready=takes)), world=world), NOW)


def test_a_rollout_never_breaks_a_disruption_budget() -> None:
    assert disrupting(pdb(1)) is None
    assert reason(disrupting(pdb(0))) == "BreaksDisruptionBudget"
    assert reason(disrupting(pdb(1), takes=2)) == "BreaksDisruptionBudget"
    assert reason(disrupting(pdb(1), pdb(0))) == "BreaksDisruptionBudget", "each budget has its say"


@pytest.mark.parametrize("action", ["restart", "patchConfig", "resources", "rollback", "drain"])
def test_the_budgets_are_read_for_whatever_takes_ready_pods_past_them(action: str) -> None:
    assert "disruption_budgets" in ACTIONS[action].looks_at


def test_a_budget_of_other_pods_is_none_of_the_rollouts() -> None:
    assert disrupting(pdb(0, {"matchLabels": {"app": "web"}})) is None
    assert disrupting(pdb(0, None)) is None
    assert reason(disrupting(pdb(0, {}))) == "BreaksDisruptionBudget", "an empty selector selects every pod"


def test_what_takes_no_ready_pod_breaks_no_budget() -> None:
    assert disrupting(pdb(0), takes=0) is None


def test_a_budget_that_is_not_counted_yet_is_waited_for_unless_another_one_refuses() -> None:
    assert reason(disrupting(pdb(1, seen=0))) == "DisruptionUnknown"
    assert reason(disrupting(pdb(1, seen=0), pdb(0))) == "BreaksDisruptionBudget"


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ({"key": "app", "operator": "In", "values": ["web", "api"]}, True),
        ({"key": "app", "operator": "In", "values": ["web"]}, False),
        ({"key": "tier", "operator": "In", "values": ["web"]}, False),
        ({"key": "app", "operator": "NotIn", "values": ["api"]}, False),
        ({"key": "tier", "operator": "NotIn", "values": ["api"]}, True),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "tier", "operator": "Exists"}, False),
        ({"key": "app", "operator": "DoesNotExist"}, False),
        ({"key": "tier", "operator": "DoesNotExist"}, True),
    ],
)
def test_a_selector_selects_as_the_api_server_does(expression: dict[str, Any], selected: bool) -> None:
    assert selects({"matchLabels": LABELS, "matchExpressions": [expression]}, LABELS) is selected


def test_a_refused_plan_refuses_the_rung() -> None:
    hold = harm.owner(situation(plan=Refusal("OwnedByKeda", "KEDA owns it")), NOW)
    assert hold is not None
    assert (hold.kind, hold.reason) == ("Refuse", "OwnedByKeda")


def test_protected_namespaces_and_our_own_are_left_alone() -> None:
    guarded = GuardrailsSpec.model_validate({"protectedNamespaces": ["sh*"]})
    assert reason(harm.protection(situation(guardrails=guarded), NOW)) == "ProtectedNamespace"
    assert reason(harm.protection(situation(operator_namespace="shop"), NOW)) == "ProtectedNamespace"
    assert harm.protection(situation(), NOW) is None


def test_permission_refuses_a_no_and_waits_for_an_answer() -> None:
    denied = harm.permission(situation(permission=Permission(denied=("may not patch",))), NOW)
    unknown = harm.permission(situation(permission=Permission(problem="HTTP 503")), NOW)
    bare = harm.permission(situation(incidents_protected=False), NOW)
    assert [(h.kind, h.reason) for h in (denied, unknown, bare) if h] == [
        ("Refuse", "PermissionMissing"),
        ("Wait", "PermissionUnknown"),
        ("Wait", "IncidentsUnprotected"),
    ]


def test_nothing_read_from_an_incident_widens_what_the_live_policy_allows() -> None:
    wide = spec(ladder=[{"scale": {"replicas": 100}}])
    live = replace(situation().policy, spec=spec(ladder=[{"scale": {"replicas": 5}}]))  # type: ignore[type-var]
    assert reason(narrow.narrowed(situation(spec=wide, policy=live), NOW)) == "RungRemoved"
    moved = replace(situation().policy, spec=spec(target={"name": "web"}))  # type: ignore[type-var]
    assert reason(narrow.narrowed(situation(policy=moved), NOW)) == "TargetChanged"
    assert reason(narrow.narrowed(situation(namespace="bank"), NOW)) == "OtherNamespace"
    assert narrow.narrowed(situation(), NOW) is None


def test_an_incident_acts_for_policies_and_on_targets_of_its_own_namespace_only() -> None:
    foreign = situation().spec.model_copy(
        update={"policy_ref": situation().spec.policy_ref.model_copy(update={"namespace": "bank"})}
    )
    assert reason(narrow.narrowed(situation(spec_=foreign), NOW)) == "OtherNamespace"


def test_a_cluster_policy_loses_the_namespaces_that_it_selects_no_more() -> None:
    spec = ClusterRemediationPolicySpec.model_validate(
        {
            "mode": "Act", "alert": {"name": "A"}, "ladder": [{"restart": {}}],
            "target": {"kind": "Deployment", "namespaceSelector": {"matchLabels": {"a": "b"}}},
        }
    )  # fmt: skip
    policy = LivePolicy(PolicyKey("ClusterRemediationPolicy", "", "heal"), "u", 1, NOW, spec)
    ref = PolicyRef(kind="ClusterRemediationPolicy", name="heal", uid="u")
    base = situation(policy=policy, pinned=spec, spec_=situation().spec.model_copy(update={"policy_ref": ref}))
    assert reason(narrow.narrowed(base, NOW)) == "NamespaceNotSelected"
    assert narrow.narrowed(replace(base, namespace_labels={"a": "b"}), NOW) is None


def test_a_verdict_from_before_the_last_action_had_settled_does_not_count() -> None:
    step = Step(id="1-restart", rung=0, action="restart", phase="Done", intent_at=NOW, acted_at=NOW)
    base = situation()
    acted = replace(base, status=base.status.model_copy(update={"steps": [step]}))
    assert reason(knowledge.source(acted, NOW)) == "NotEvaluatedSince"
    later = replace(acted, reading=Reading("Firing", True, "firing", NOW + timedelta(minutes=1)))
    assert knowledge.source(later, NOW) is None


def test_a_silenced_alert_holds_and_so_does_one_of_which_it_is_not_known() -> None:
    quiet = Silence("Silenced", "silenced by jane until 14:00", NOW + timedelta(hours=2))
    hold = silenced.silenced(situation(silence=quiet), NOW)
    assert hold is not None
    assert (hold.reason, hold.until) == ("Silenced", quiet.until)
    assert reason(silenced.silenced(situation(silence=Silence("Unknown", "no answer")), NOW)) == "SilenceUnknown"
    assert silenced.silenced(situation(silence=Silence("Active")), NOW) is None
    assert silenced.silenced(situation(), NOW) is None


def guardrails(**fields: Any) -> GuardrailsSpec:
    return GuardrailsSpec.model_validate(fields)


def test_windows_and_freezes_hold_and_say_until_when() -> None:
    office = guardrails(windows=[{"name": "office", "start": "13:00", "end": "14:00"}])
    hold = window.window(situation(guardrails=office), NOW)
    assert hold is not None
    assert (hold.reason, hold.until) == ("OutsideWindow", NOW + timedelta(hours=1))
    assert window.window(situation(guardrails=office), NOW + timedelta(minutes=70)) is None
    frozen = guardrails(freezes=[{"name": "f", "start": "2026-11-23", "end": "2026-11-24", "reason": "audit"}])
    found = window.freeze(situation(guardrails=frozen), NOW)
    assert found is not None
    assert (found.reason, "audit" in found.message) == ("Frozen", True)
    assert window.window(situation(), NOW) is window.freeze(situation(), NOW) is None


def test_a_policy_works_on_as_many_targets_at_once_as_it_may() -> None:
    mine = other(policy=KEY, busy=True, target_uid="else")
    assert reason(budget.concurrent(situation(others=(mine,)), NOW)) == "Concurrent"
    assert budget.concurrent(situation(others=(replace(mine, busy=False),)), NOW) is None
    assert budget.concurrent(situation(others=(other(busy=True, target_uid="else"),)), NOW) is None
    assert budget.concurrent(situation(spec=spec(limits={"concurrent": 2}), others=(mine,)), NOW) is None


def test_a_tripped_breaker_holds_for_its_own_kind_and_what_cannot_be_counted_holds_for_all() -> None:
    tripped = Trip(state="Tripped", since=NOW, message="5 of 9")
    assert reason(breaker.breaker(situation(fleet=Fleet(breaker=tripped)), NOW)) == "BreakerTripped"
    assert breaker.breaker(situation(fleet=Fleet(node_breaker=tripped)), NOW) is None
    assert reason(breaker.breaker(situation(fleet=Fleet(unknown="HTTP 503")), NOW)) == "BreakerUnknown"
    assert reason(breaker.storm(situation(fleet=Fleet(storm=tripped)), NOW)) == "AlertStorm"
    armed = Trip(state="Armed", since=NOW)
    calm = situation(fleet=Fleet(armed, armed, armed))
    assert breaker.breaker(calm, NOW) is breaker.storm(calm, NOW) is None


@pytest.mark.parametrize(
    ("asked", "name", "calm"), [(breaker.breaker, "breaker", "5m"), (breaker.storm, "storm", "10m")]
)
def test_what_has_tripped_says_when_and_by_what_and_how_long_a_calm_arms_it_again(
    asked: Guard, name: str, calm: str
) -> None:
    tripped = Trip(state="Tripped", since=NOW - timedelta(minutes=9), message="5 of 9")
    calmer = tripped.model_copy(update={"calm_since": NOW - timedelta(minutes=1)})
    holds = [asked(situation(fleet=Fleet(**{name: trip})), NOW) for trip in (tripped, calmer)]
    said = f"tripped at 11:51:00 UTC: 5 of 9; lets through again after {calm} of calm"
    assert [hold.message for hold in holds if hold is not None] == [said, said], "nothing is written when it is calm"


def test_ceilings_bind_the_namespaces_that_they_select() -> None:
    low = guardrails(
        namespaces=[{"selector": {"matchLabels": {"tier": "1"}}, "maxMode": "Propose", "allowedActions": ["scale"]}]
    )
    plan = Proposal((), "restart", ())
    mine = situation(guardrails=low, namespace_labels={"tier": "1"}, plan=plan)
    assert (mine.mode, reason(asking.ceiling(mine, NOW))) == ("Propose", "ActionForbidden")
    theirs = replace(mine, namespace_labels={"tier": "2"})
    assert (theirs.mode, asking.ceiling(theirs, NOW)) == ("Act", None)


def test_an_approval_is_asked_for_where_the_policy_then_or_now_says_so() -> None:
    plan = Proposal((), "restart", ())
    assert asking.approval(situation(plan=plan), NOW) is None
    asks = spec(approval={"rungs": ["restart"]})
    hold = asking.approval(situation(plan=plan, spec=asks), NOW)
    assert hold is not None
    assert (hold.reason, hold.until) == ("ApprovalNeeded", NOW + timedelta(minutes=30))
    live = replace(situation().policy, spec=asks)  # type: ignore[type-var]
    assert reason(asking.approval(situation(plan=plan, policy=live), NOW)) == "ApprovalNeeded"
    assert (
        reason(asking.approval(situation(plan=plan, spec=asks, words_protected=False), NOW)) == "ResponsesUnprotected"
    )


def test_the_stricter_of_the_limits_then_and_now_binds() -> None:
    wide, strict = spec(limits={"minAvailable": "0%"}), spec(limits={"minAvailable": "100%"})
    plan = Proposal((), "restart", (), takes_ready=1)
    for pinned, live in ((wide, strict), (strict, wide)):
        policy = replace(situation().policy, spec=live)  # type: ignore[type-var]
        assert reason(harm.headroom(situation(spec=pinned, policy=policy, plan=plan), NOW)) == "TooFewLeft"


def test_a_lowered_mode_holds_but_not_one_that_was_low_from_the_beginning() -> None:
    observing = replace(situation().policy, spec=spec(mode="Observe"))  # type: ignore[type-var]
    assert reason(asking.lowered(situation(policy=observing), NOW)) == "ModeLowered"
    assert asking.lowered(situation(), NOW) is None
