"""Guards where it is close: the last moment, the first of several, a policy that is not there; and what they say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from goldseam.actions.nodes import cordoning
from goldseam.api.guardrails import GuardrailsSpec
from goldseam.api.incident import ApprovalRecord, ObjectRef, Step
from goldseam.engine import approvals
from goldseam.engine.guards import asking, budget, busy, harm, knowledge, narrow, paused
from goldseam.engine.matching import PolicyKey
from goldseam.engine.objects import CONTROL_PLANE, ZONE
from goldseam.engine.proposal import Proposal, Refusal, World
from goldseam.engine.situation import Ledger, LivePolicy, PauseInForce, Situation, coming_back
from goldseam.engine.turns import line_of
from tests.support.objects import node, workload
from tests.unit.test_guards import KEY, NOW, guardrails, other, reason, situation, spec, spent

HOUR = timedelta(hours=1)
PLAN = Proposal((), "restart Deployment shop/api", ())


def live(**fields: Any) -> LivePolicy:
    policy = situation().policy
    assert policy is not None
    return replace(policy, spec=spec(**fields))


def acted(**fields: Any) -> Situation:
    base = situation()
    known = {"id": "1-restart", "rung": 0, "action": "restart", "phase": "Acted", "intent_at": NOW, "acted_at": NOW}
    step = Step(**(known | fields))
    return replace(base, status=base.status.model_copy(update={"steps": [step]}))


def test_a_lowered_mode_says_who_lowered_it() -> None:
    by_policy = asking.lowered(situation(policy=live(mode="Observe")), NOW)
    assert by_policy is not None
    assert by_policy.message.startswith("the policy's mode is Observe now")
    low = guardrails(namespaces=[{"selector": {"matchLabels": {"tier": "1"}}, "maxMode": "Observe"}])
    by_ceiling = asking.lowered(situation(guardrails=low, namespace_labels={"tier": "1"}), NOW)
    assert by_ceiling is not None
    assert by_ceiling.message.startswith("the namespace's ceiling in the Guardrails is Observe now")


def test_nobody_is_asked_about_what_cannot_be_done() -> None:
    asks = spec(approval={"rungs": ["restart"]})
    assert asking.approval(situation(spec=asks, plan=Refusal("HpaOwns", "no")), NOW) is None


@pytest.mark.parametrize(("why", "says"), [("too risky", "jane said no: too risky"), ("", "jane said no")])
def test_whoever_says_no_is_named_with_the_reason(why: str, says: str) -> None:
    base = situation(plan=PLAN, spec=spec(approval={"rungs": ["restart"]}))
    question = ApprovalRecord(
        step="1-restart", rung=0, plan_hash=approvals.plan_hash(base, PLAN), state="Denied",
        requested_at=NOW, expires_at=NOW + HOUR, by="jane", reason=why,
    )  # fmt: skip
    hold = asking.approval(replace(base, status=base.status.model_copy(update={"approvals": [question]})), NOW)
    assert hold is not None
    assert (hold.reason, hold.message) == ("Denied", says)


def test_the_cooldown_of_a_policy_that_is_gone_is_the_one_that_was() -> None:
    ledger = Ledger((spent(timedelta(minutes=10)),))
    assert reason(budget.cooldown(situation(policy=None, ledger=ledger), NOW)) == "Cooldown"


def test_the_longer_cooldown_of_then_and_now_binds() -> None:
    ledger = Ledger((spent(timedelta(minutes=40)),))
    assert budget.cooldown(situation(ledger=ledger), NOW) is None
    assert reason(budget.cooldown(situation(ledger=ledger, policy=live(limits={"cooldown": "1h"})), NOW)) == "Cooldown"


def test_an_action_of_the_very_moment_that_the_incident_was_opened_is_its_own() -> None:
    base = situation()
    opened = base.status.kpis.detected_at
    assert opened is not None
    assert budget.cooldown(replace(base, ledger=Ledger((spent(NOW - opened),))), NOW) is None


def small(**counts: int) -> GuardrailsSpec:
    return guardrails(budgets={scope: [{"count": count, "per": "1h"}] for scope, count in counts.items()})


def test_of_several_budgets_the_nearest_one_is_named() -> None:
    ledger = Ledger(tuple(spent(timedelta(minutes=m), policy=str(KEY)) for m in (10, 20, 30)))
    policy = spec(limits={"actions": [{"count": 3, "per": "1h"}]})
    both = small(namespace=3, cluster=3)
    assert reason(budget.budget(situation(spec=policy, guardrails=both, ledger=ledger), NOW)) == "PolicyBudget"
    others = Ledger(tuple(replace(e, policy="another") for e in ledger.entries))
    assert reason(budget.budget(situation(guardrails=both, ledger=others), NOW)) == "NamespaceBudget"
    assert reason(budget.budget(situation(guardrails=small(cluster=3), ledger=others), NOW)) == "ClusterBudget"


def test_a_budget_lets_through_again_an_hour_after_the_first_of_its_actions() -> None:
    limits = spec(limits={"actions": [{"count": 2, "per": "1h"}]})
    hold = budget.budget(situation(spec=limits, ledger=Ledger((spent(HOUR / 6), spent(HOUR / 2)))), NOW)
    assert hold is not None
    assert hold.until == NOW + HOUR / 2
    assert hold.message == "the policy has used its budget of 2 actions in 1 h"
    assert budget.budget(situation(spec=limits, ledger=Ledger((spent(HOUR / 6), spent(HOUR)))), NOW) is None


def test_a_ledger_that_goes_back_just_far_enough_is_complete() -> None:
    limits = spec(limits={"actions": [{"count": 2, "per": "1h"}]})
    quiet = guardrails(budgets={"namespace": [], "cluster": []})

    def held(since: timedelta) -> Any:
        ledger = Ledger((), complete_since=NOW - since)
        return budget.budget(situation(spec=limits, guardrails=quiet, ledger=ledger), NOW)

    assert held(HOUR) is None
    hold = held(HOUR / 2)
    assert (hold.reason, hold.until) == ("LedgerIncomplete", NOW + HOUR / 2)


def test_at_most_three_others_are_named() -> None:
    many = tuple(other(policy=KEY, busy=True, target_uid="else", name=f"shop/{n}") for n in "edcba")
    hold = budget.concurrent(situation(others=many), NOW)
    assert hold is not None
    assert hold.message.endswith("at work in shop/a, shop/b, shop/c")


def nodes(*names: str) -> Situation:
    target = ObjectRef(api_version="v1", kind="Node", name="worker-1", uid="uid-worker-1")
    base = situation(spec_=situation().spec.model_copy(update={"target": target}))
    world = World(target=node(), nodes=tuple(node(name, cordoned="goldseam") for name in names))
    return replace(base, world=world, plan=Proposal((), "drain", (), takes_nodes=1))


def test_at_most_three_cordoned_nodes_are_named() -> None:
    hold = budget.node_caps(nodes("d", "c", "b", "a"), NOW)
    assert hold is not None
    assert hold.message.endswith("Goldseam has taken a, b, c out of service")


@pytest.mark.parametrize(("state", "held"), [("Open", True), ("Paid", False)])
def test_a_node_that_another_incident_has_decided_to_cordon_counts_as_taken(state: str, held: bool) -> None:
    free = node("worker-2")
    _, debt = cordoning(free)
    rival = replace(other(), obligations=(debt.model_copy(update={"state": state}),))
    s = nodes()
    s = replace(s, world=replace(s.world, nodes=(free,)), others=(rival,))
    assert (budget.node_caps(s, NOW) is not None) == held


def test_a_node_that_is_about_to_be_cordoned_is_none_that_stays_in_service() -> None:
    free = node("worker-2")
    _, debt = cordoning(free)
    wide = guardrails(budgets={"nodes": {"atOnce": 9, "perZone": 9}})
    s = replace(nodes(), others=(replace(other(), obligations=(debt,)),), guardrails=wide)
    hold = budget.node_caps(replace(s, world=replace(s.world, nodes=(free,))), NOW)
    assert hold is not None
    assert hold.message == "Goldseam is about to cordon worker-2, and no other node would be left in service"
    assert budget.node_caps(replace(s, world=replace(s.world, nodes=(free, node("worker-3")))), NOW) is None


def beside(*worked_on: dict[str, Any], **caps: int) -> Situation:
    """A node of zone a is to be drained, and other incidents are at work on these."""
    s = nodes()
    rivals = tuple(
        replace(other(), uid=f"uid-{n}", target_uid=worked["metadata"]["uid"], takes=True)
        for n, worked in enumerate(worked_on)
    )
    world = replace(s.world, target=node(), nodes=worked_on)
    return replace(s, world=world, others=rivals, guardrails=guardrails(budgets={"nodes": caps}))


def test_a_node_that_others_have_cordoned_counts_while_it_is_drained_and_not_after() -> None:
    theirs = node("worker-2", cordoned="kubectl")
    s = beside(theirs)
    hold = budget.node_caps(s, NOW)
    assert hold is not None
    assert (hold.reason, hold.message) == (
        "NodesAtOnce",
        "Guardrails allow 1 node at once, and Goldseam is at work on worker-2, cordoned by others",
    )
    assert budget.room(s, ())[""] == 0
    after = replace(s, others=(replace(s.others[0], takes=False),))
    assert budget.node_caps(after, NOW) is None
    assert budget.room(after, ())[""] == 1


def test_a_node_that_is_drained_counts_in_its_zone() -> None:
    for zone, held in (("a", "NodesPerZone"), ("b", "")):
        theirs = node("worker-2", cordoned="kubectl", labels={ZONE: zone})
        s = beside(theirs, atOnce=4)
        s = replace(s, world=replace(s.world, target=node(labels={ZONE: "a"})))
        assert reason(budget.node_caps(s, NOW)) == held
        assert budget.room(s, line_of(s, NOW))["zone/a"] == (0 if held else 1)


def test_a_node_that_is_drained_and_cordoned_by_us_counts_once() -> None:
    both = beside(node("worker-2", cordoned="goldseam"), node("worker-3", cordoned="kubectl"), atOnce=3, perZone=9)
    assert budget.node_caps(both, NOW) is None
    assert budget.room(both, ())[""] == 1
    full = replace(both, guardrails=guardrails(budgets={"nodes": {"atOnce": 2, "perZone": 9}}))
    hold = budget.node_caps(full, NOW)
    assert hold is not None
    assert hold.message.endswith("has taken worker-2 out of service and is at work on worker-3, cordoned by others")


def test_of_the_control_plane_one_node_is_worked_on_at_once() -> None:
    control = {CONTROL_PLANE: ""}
    s = beside(node("worker-2", labels=control), node("worker-3"), node("worker-4"), atOnce=9, perZone=9)
    s = replace(s, world=replace(s.world, nodes=(*s.world.nodes, node("worker-5"))))
    assert budget.node_caps(s, NOW) is None
    held = replace(s, world=replace(s.world, target=node(labels=control)))
    hold = budget.node_caps(held, NOW)
    assert hold is not None
    assert "one node of the control plane goes at once" in hold.message
    assert budget.room(held, ())[CONTROL_PLANE] == 0


def test_of_the_control_plane_one_node_is_out_of_service_at_once() -> None:
    control = {CONTROL_PLANE: ""}
    ours = node("worker-2", cordoned="goldseam", labels=control)
    s = replace(beside(ours, atOnce=9, perZone=9), others=())
    assert budget.node_caps(s, NOW) is None, "a worker does not wait for it"
    hold = budget.node_caps(replace(s, world=replace(s.world, target=node(labels=control))), NOW)
    assert hold is not None
    assert hold.message == (
        "one node of the control plane goes at once, and Goldseam has taken worker-2 out of service"
    )


@pytest.mark.parametrize(
    ("fields", "back"),
    [({}, True), ({"claims": False}, False), ({"claims": False, "active": False}, True)],
    ids=["its incident goes on", "only people can go on", "its incident is over, and brings it back"],
)
def test_a_node_comes_back_by_itself_while_its_incident_does_not_wait_for_people(
    fields: dict[str, Any], back: bool
) -> None:
    owed = cordoning(node("worker-2"))[1]
    found = coming_back((other(obligations=(owed,), **fields),))
    assert found == ({owed.object.uid} if back else set())
    paid = owed.model_copy(update={"state": "Lost"})
    assert coming_back((other(obligations=(paid,), **fields),)) == set()


def test_a_node_that_others_have_cordoned_is_not_one_that_we_are_about_to_cordon() -> None:
    s = beside(node("worker-2", cordoned="kubectl"), atOnce=9, perZone=9)
    assert budget.node_caps(s, NOW) is None, "its plan knows that no other node is in service"


def test_a_step_that_is_written_down_does_not_wait_for_what_others_drain() -> None:
    s = replace(beside(node("worker-2", cordoned="kubectl")), status=acted(phase="Intended").status)
    assert budget.node_caps(s, NOW) is None


def test_what_takes_no_node_is_not_held_by_those_that_are_taken() -> None:
    assert budget.node_caps(replace(nodes("a"), plan=Proposal((), "uncordon", ())), NOW) is None


def test_without_a_live_policy_no_other_comes_first() -> None:
    assert busy.busy(situation(policy=None, others=(other(),)), NOW) is None


def test_another_incident_of_the_same_policy_does_not_come_first() -> None:
    assert busy.busy(situation(others=(other(policy=KEY),)), NOW) is None


def test_of_two_policies_of_one_age_the_name_decides() -> None:
    mine = situation().policy
    assert mine is not None
    for name, held in (("a", True), ("z", False)):
        rival = other(policy=PolicyKey("RemediationPolicy", "shop", name), policy_created=mine.created)
        assert bool(busy.busy(situation(others=(rival,)), NOW)) is held


def test_a_stateful_set_whose_every_pod_is_updated_is_not_in_a_rollout_any_more() -> None:
    for updated, partition, held in ((3, 0, False), (2, 0, True), (2, 1, False), (1, 1, True)):
        status = {"updateRevision": "api-2", "updatedReplicas": updated, "currentReplicas": 3 - updated}
        rules = {"updateStrategy": {"rollingUpdate": {"partition": partition}}}
        target = workload("StatefulSet", status=status, spec=rules if partition else {})
        assert bool(busy.busy(situation(world=World(target=target)), NOW)) is held


def test_a_pod_of_a_standing_canary_that_is_being_replaced_is_no_rollout() -> None:
    status = {"updateRevision": "api-2", "updatedReplicas": 0, "currentReplicas": 2}  # ordinal 2 is on its way out
    rules = {"updateStrategy": {"rollingUpdate": {"partition": 2}}}
    assert busy.busy(situation(world=World(target=workload("StatefulSet", status=status, spec=rules))), NOW) is None


def test_a_deployment_that_lets_all_old_pods_end_first_is_in_a_rollout() -> None:
    complete = [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
    for there, held in ((0, True), (2, False)):
        status = {"replicas": there, "updatedReplicas": there, "readyReplicas": there, "conditions": complete}
        target = workload(status=status, spec={"strategy": {"type": "Recreate"}})
        assert bool(busy.busy(situation(world=World(target=target)), NOW)) is held


def test_a_rollout_that_its_controller_restarts_is_waited_for() -> None:
    for done, held in ((None, True), ("2026-11-23T09:00:00Z", True), ("2026-11-23T11:00:00Z", False)):
        target = workload("Rollout", spec={"restartAt": "2026-11-23T11:00:00Z"}, status={"restartedAt": done})
        assert bool(busy.busy(situation(world=World(target=target)), NOW)) is held


def test_headroom_never_speaks_of_fewer_than_no_pods() -> None:
    hold = harm.headroom(situation(plan=Proposal((), "restart", (), takes_ready=5)), NOW)
    assert hold is not None
    assert hold.message.startswith("it would leave 0 of 3 pods ready")


def test_a_step_that_is_being_made_an_undo_and_a_wait_need_no_new_evaluation() -> None:
    for fields in ({"acted_at": None}, {"purpose": "Undo"}, {"action": "wait"}, {"phase": "Intended"}):
        assert knowledge.source(acted(**fields), NOW) is None
    assert reason(knowledge.source(acted(), NOW)) == "NotEvaluatedSince"


def test_a_policy_that_is_gone_or_invalid_narrows_nothing_by_itself() -> None:
    assert narrow.narrowed(situation(policy=None), NOW) is None
    gone = replace(situation().policy, spec=None)  # type: ignore[type-var]
    assert narrow.narrowed(situation(policy=gone), NOW) is None


def test_a_rung_of_another_kind_covers_no_scale_and_the_same_kind_does() -> None:
    ladder = [{"scale": {"replicas": 8}}]
    assert reason(narrow.narrowed(situation(spec=spec(ladder=ladder), policy=live()), NOW)) == "RungRemoved"
    assert narrow.narrowed(situation(spec=spec(ladder=ladder), policy=live(ladder=ladder)), NOW) is None
    less = live(ladder=[{"scale": {"replicas": 7}}])
    assert reason(narrow.narrowed(situation(spec=spec(ladder=ladder), policy=less), NOW)) == "RungRemoved"


def test_a_pause_names_who_asked_for_it_if_it_says_so() -> None:
    pause = PauseInForce("shop/pause", "Everything", "deploying", NOW + HOUR)
    for by, says in (("jane", "Pause shop/pause of jane "), ("", "Pause shop/pause ")):
        for guard, verb in ((paused.paused, "holds"), (paused.everything_paused, "stops")):
            hold = guard(situation(pauses=(replace(pause, by=by),)), NOW)
            assert hold is not None
            assert hold.message.startswith(says + verb)
