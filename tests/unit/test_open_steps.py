"""A step was written down, and perhaps made: what the world shows decides how it goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from goldseam.api.guardrails import Trip
from goldseam.api.incident import Step, Write
from goldseam.api.policy import ClusterRemediationPolicySpec
from goldseam.engine import lineage, people, verify
from goldseam.engine.proposal import Effect, Proposal, Refusal, World, place
from goldseam.engine.situation import Decision, Fleet, PauseInForce, Situation
from goldseam.engine.verdict import Reading
from tests.support.objects import Json, node, scale_of, workload
from tests.unit.test_guards import NOW, TARGET, guardrails, other, situation
from tests.unit.test_obligations import GONE, NODE, cordon, debt, deployed

WRITE = Write(
    verb="Patch", object=TARGET, subresource="scale", resource_version="100", generation=4,
    field="spec.replicas", before="3", want="8",
)  # fmt: skip
FIRST = WRITE.model_copy(update={"field": "spec.first", "state": "Done"})
PAUSE = PauseInForce("shop/pause", "Everything", "deploying", NOW + timedelta(hours=1))
PROTECTED = guardrails(protectedNamespaces=["shop"])


def open_step(live: Json | None = None, *, writes: tuple[Write, ...] = (WRITE,), **fields: Any) -> Situation:
    """A situation with an open step, which wants 8 replicas of the 3 that are there."""
    step = {name: fields.pop(name) for name in ("purpose", "acted_at", "intent_at") if name in fields}
    status = {name: fields.pop(name) for name in ("handed_over", "obligations") if name in fields}
    obj = live or workload()
    touched = {place("Deployment", "shop", "api"): obj, place("Deployment", "shop", "api", "scale"): scale_of(obj)}
    plan = Proposal((WRITE,), "scale Deployment shop/api from 3 to 8 replicas", ())
    base = situation(**({"plan": plan, "world": World(target=workload(), touched=touched)} | fields))
    base_step = {"id": "1-scale", "rung": 0, "action": "scale", "intent_at": NOW, "writes": list(writes)}
    update = {"steps": [Step(**(base_step | step))], "phase": "Fixing", "obligations": [debt()]} | status
    return replace(base, status=base.status.model_copy(update=update))


def decided(s: Situation) -> Decision:
    found = verify.under_way(s, NOW)
    assert found is not None
    return found


def outcome(decision: Decision) -> str | None:
    (step,) = decision.status.steps
    return step.outcome


def debts(decision: Decision) -> list[str]:
    return [o.state for o in decision.status.obligations]


def test_without_an_open_step_there_is_nothing_under_way() -> None:
    assert verify.under_way(situation(), NOW) is None


def test_what_cannot_be_read_is_not_judged() -> None:
    found = decided(open_step(workload(replicas=5), unknown=("scale (503)",)))
    assert (found.kind, found.reason) == ("hold", "NotRead")


def test_what_was_not_made_is_made_under_the_same_name() -> None:
    found = decided(open_step())
    assert (found.kind, found.reason, found.step) == ("act", "GoOn", "1-scale")
    assert found.status.steps[0].writes[0].resource_version == "100"


def test_what_was_made_is_adopted_and_keeps_the_moment_that_was_recorded() -> None:
    found = decided(open_step(workload(replicas=8)))
    assert (found.reason, found.status.steps[0].acted_at) == ("Acted", NOW)
    earlier = NOW - timedelta(minutes=1)
    assert decided(open_step(workload(replicas=8), acted_at=earlier)).status.steps[0].acted_at == earlier


def test_an_undo_that_was_made_has_paid() -> None:
    write = WRITE.model_copy(update={"before": "8", "want": "3"})
    found = decided(open_step(writes=(write,), purpose="Undo"))
    assert (found.reason, outcome(found), debts(found)) == ("Undone", "Undone", ["Paid"])


def test_what_somebody_moved_is_handed_to_people_with_the_very_write() -> None:
    found = decided(open_step(workload(replicas=5), writes=(FIRST, WRITE)))
    assert (found.kind, outcome(found), found.status.handed_over) == ("escalate", "Superseded", True)
    assert found.status.escalations[-1].message.endswith("Tried: scale (Superseded)."), "it is under way no more"
    assert "set spec.replicas of Deployment shop/api to 5" in found.message
    assert debts(found) == ["Void"]


def test_an_undo_that_meets_another_value_loses_the_debt_and_calls_nobody() -> None:
    write = WRITE.model_copy(update={"before": "8", "want": "3"})
    found = decided(open_step(workload(replicas=5), writes=(write,), purpose="Undo"))
    assert (found.kind, outcome(found), debts(found)) == ("end", "Superseded", ["Lost"])
    assert not found.status.handed_over


def test_a_refused_write_ends_the_rung_with_the_answer_and_is_not_owed() -> None:
    refused = WRITE.model_copy(update={"state": "Refused", "message": "quota exceeded"})
    found = decided(open_step(writes=(FIRST, refused)))
    assert (outcome(found), found.status.rung, debts(found)) == ("Refused", 1, ["Void"])
    assert "quota exceeded" in found.message


def test_once_people_have_it_no_further_write_is_made() -> None:
    found = decided(open_step(handed_over=True))
    assert (found.kind, outcome(found), debts(found)) == ("wait", "NotTaken", ["Void"])
    assert outcome(decided(open_step(writes=(FIRST, WRITE), handed_over=True))) == "Failed"


def test_what_is_owed_is_paid_also_after_people_have_it() -> None:
    write = WRITE.model_copy(update={"before": "8", "want": "4"})
    live = deployed(8, "goldseam")
    found = decided(open_step(live, writes=(write,), purpose="Undo", handed_over=True, reading=GONE))
    assert (found.kind, found.reason) == ("act", "GoOn")


@pytest.mark.parametrize("managers", [(), ("kubectl",), ("goldseam", "kubectl")])
def test_an_undo_of_what_is_not_ours_is_not_made_whatever_an_incident_says(managers: tuple[str, ...]) -> None:
    write = WRITE.model_copy(update={"before": "8", "want": "4"})
    found = decided(open_step(deployed(8, *managers), writes=(write,), purpose="Undo", reading=GONE))
    assert (found.kind, found.reason) == ("wait", "Replanned")


def test_an_undo_that_is_not_owed_any_more_is_planned_anew_and_voids_nothing() -> None:
    write = WRITE.model_copy(update={"before": "8", "want": "5"})
    found = decided(open_step(workload(replicas=8), writes=(write,), purpose="Undo", reading=GONE))
    assert (found.reason, debts(found)) == ("Replanned", ["Open"])


def test_an_undo_that_was_written_down_and_not_made_is_not_made_once_the_alert_is_back() -> None:
    write = WRITE.model_copy(update={"before": "8", "want": "4"})
    found = decided(open_step(deployed(8, "goldseam"), writes=(write,), purpose="Undo"))
    assert (found.kind, outcome(found), debts(found)) == ("wait", "NotTaken", ["Open"])
    assert "the alert is back" in found.message


def test_an_undo_that_was_written_down_and_not_made_waits_while_the_alert_is_not_surely_gone() -> None:
    write = WRITE.model_copy(update={"before": "8", "want": "4"})
    unsure = Reading("Unknown", False, "Prometheus does not answer")
    found = decided(open_step(deployed(8, "goldseam"), writes=(write,), purpose="Undo", reading=unsure))
    assert (found.kind, outcome(found), debts(found)) == ("hold", None, ["Open"])


def test_what_differs_from_what_would_be_done_now_is_planned_anew_and_not_owed() -> None:
    other = Proposal((WRITE.model_copy(update={"want": "9"}),), "scale to 9", ())
    found = decided(open_step(plan=other))
    assert (found.reason, outcome(found), debts(found)) == ("Replanned", "NotTaken", ["Void"])


def test_a_part_of_what_would_be_done_now_is_gone_on_with() -> None:
    more = Proposal((WRITE, WRITE.model_copy(update={"field": "spec.paused"})), "scale and more", ())
    assert decided(open_step(plan=more)).reason == "GoOn"


def evicting(action: str = "drain", rung: str = "drain", **fields: Any) -> Situation:
    """A step that evicts a pod that is there, from a node that others cordoned; the ladder has one rung."""
    pod = TARGET.model_copy(update={"kind": "Pod", "name": "api-1", "uid": "uid-api-1"})
    live = {"metadata": {"namespace": "shop", "name": "api-1", "uid": "uid-api-1"}}
    s = open_step(writes=(Write(verb="Evict", object=pod),), **fields)
    touched = {**s.world.touched, place("Pod", "shop", "api-1"): live}
    ladder = [{rung: {}}]
    pinned = ClusterRemediationPolicySpec.model_validate({"mode": "Act", "alert": {"name": "A"}, "ladder": ladder})
    assert s.policy is not None
    steps = [step.model_copy(update={"action": action}) for step in s.status.steps]
    return replace(
        s,
        namespace=s.operator_namespace,
        spec=s.spec.model_copy(update={"target": NODE}),
        world=replace(s.world, target=node(cordoned="kubectl-cordon"), touched=touched),
        pinned=pinned,
        policy=replace(s.policy, spec=pinned),
        status=s.status.model_copy(update={"steps": steps}),
    )


def test_evictions_of_a_drain_need_not_be_in_the_plan() -> None:
    assert decided(evicting()).reason == "GoOn"


def test_nothing_but_a_drain_evicts_whatever_is_written_down() -> None:
    assert decided(evicting(purpose="Undo")).reason == "Replanned"
    assert decided(evicting("cordon")).reason == "Replanned"
    assert decided(evicting("drain", "uncordon")).reason == "Replanned"
    assert decided(evicting("uncordon", "uncordon")).reason == "Replanned"
    drains = evicting()
    beyond = replace(drains, status=drains.status.model_copy(update={"rung": 7}))
    assert decided(beyond).reason == "Replanned"


@pytest.mark.parametrize("reasons", [("the pod is well again",), ("the pod is well again", "another reason")])
def test_where_nothing_needed_to_be_done_the_first_reason_is_told(reasons: tuple[str, ...]) -> None:
    pod = TARGET.model_copy(update={"kind": "Pod", "name": "api-1", "uid": "uid-api-1"})
    stays = [Write(verb="Evict", object=pod, state="Done", message=f"{lineage.SPARED}{why}") for why in reasons]
    found = decided(open_step(writes=tuple(stays)))
    assert (found.reason, outcome(found)) == ("NotTaken", "NotTaken")
    assert found.message == stays[0].message


def test_before_the_first_write_every_guard_is_asked_again() -> None:
    storm = Fleet(storm=Trip(state="Tripped", since=NOW, message="a storm"))
    assert decided(open_step(fleet=storm)).reason == "AlertStorm"
    assert decided(open_step(fleet=storm, writes=(FIRST, WRITE))).reason == "GoOn", "half done is worse than done"
    for writes in ((WRITE,), (FIRST, WRITE)):
        assert decided(open_step(pauses=(PAUSE,), writes=writes)).reason == "Paused"


def test_what_is_refused_before_its_first_write_is_passed_over_and_not_owed() -> None:
    found = decided(open_step(guardrails=PROTECTED))
    assert (found.kind, outcome(found), found.status.rung, debts(found)) == ("wait", "NotTaken", 1, ["Void"])
    assert "is protected by the Guardrails" in found.message
    assert decided(open_step(guardrails=PROTECTED, pauses=(PAUSE,))).kind == "hold", "the first that holds decides"


def test_of_several_refusals_the_first_is_told() -> None:
    found = decided(open_step(guardrails=PROTECTED, plan=Refusal("HpaOwns", "an HPA owns it")))
    assert "is protected by the Guardrails" in found.message
    assert "is protected by the Guardrails" in found.status.steps[0].message


def test_a_plan_that_is_refused_now_takes_the_step_with_it() -> None:
    assert outcome(decided(open_step(plan=Refusal("HpaOwns", "an HPA owns it")))) == "NotTaken"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("2026-11-23T11:00:00Z", "GoOn"),
        ("2026-11-23T11:00:01Z", "GoOn"),
        ("2026-11-23T11:00:02Z", "Replanned"),
        ("2026-11-23", "Replanned"),
    ],
)
def test_a_rollout_is_restarted_as_of_the_time_that_was_written_down_unless_that_is_a_later_one(
    written: str, reason: str
) -> None:
    write = WRITE.model_copy(
        update={"subresource": "", "field": "spec.restartAt", "before": "null", "want": f'"{written}"'}
    )
    now = write.model_copy(update={"want": '"2026-11-23T11:00:01Z"'})
    plan = Proposal((now,), "restart Rollout shop/api by restartAt", ())
    assert decided(open_step(writes=(write,), plan=plan)).reason == reason


def test_a_step_has_its_time_and_no_more() -> None:
    late = NOW - timedelta(minutes=10)
    assert decided(open_step(intent_at=late + timedelta(seconds=1))).reason == "GoOn"
    tried = WRITE.model_copy(update={"message": "HTTP 503"})
    found = decided(open_step(intent_at=late, writes=(tried,)))
    assert (outcome(found), debts(found)) == ("Failed", ["Void"])
    assert "it could not be carried out in time" in found.status.steps[0].message


def test_of_all_that_holds_a_step_up_until_it_is_late_the_first_is_told() -> None:
    late = NOW - timedelta(minutes=10)
    s = open_step(intent_at=late, writes=(FIRST, WRITE), pauses=(PAUSE,), others=(other(busy=True),))
    found = decided(s)
    assert outcome(found) == "Failed"
    assert "it could not be carried out in time: Pause shop/pause" in found.status.steps[0].message


def test_the_time_in_which_nobody_tried_is_not_the_rungs() -> None:
    found = decided(open_step(intent_at=NOW - timedelta(minutes=10)))
    assert (found.reason, found.status.steps[0].intent_at) == ("GoOn", NOW)


def acted(live: Json, **fields: Any) -> Situation:
    done = WRITE.model_copy(update={"state": "Done"})
    s = open_step(live, writes=(done,), **fields)
    (step,) = s.status.steps
    step = step.model_copy(update={"phase": "Acted", "acted_at": NOW})
    return replace(s, status=s.status.model_copy(update={"steps": [step]}))


def test_whoever_takes_back_what_was_done_has_it() -> None:
    found = people.taken_over(acted(workload()), NOW)
    assert found is not None
    assert (found.kind, outcome(found)) == ("escalate", "Superseded")
    assert "spec.replicas of Deployment shop/api is 3, where Goldseam had set 8" in found.message
    assert people.taken_over(acted(workload(replicas=8)), NOW) is None
    assert people.taken_over(acted(workload(), handed_over=True), NOW) is None, "they have it already"


def test_what_cannot_be_stopped_is_watched_on_when_somebody_takes_back_what_was_done_before_it() -> None:
    runs = Effect(False, "Node n to reboot: Job goldseam-reboot/r is at work", "Runs")
    found = people.taken_over(acted(workload(), effect=runs), NOW)
    assert found is not None
    assert (found.kind, found.status.handed_over, found.status.phase) == ("escalate", True, "Escalated")
    goes_on = "; what was begun goes on all the same: waiting for Node n to reboot: Job goldseam-reboot/r is at work"
    assert found.message.endswith(goes_on)
    assert goes_on in found.status.escalations[-1].message
    step = found.status.open_step()
    assert step is not None, "for the caps the node is out of service until it has ended"
    assert step.phase == "Acted"


def test_a_write_that_is_not_known_to_be_made_was_not_taken_back() -> None:
    assert people.taken_over(open_step(), NOW) is None


def test_a_pod_that_takes_its_time_to_go_was_not_taken_back() -> None:
    pod = TARGET.model_copy(update={"kind": "Pod", "name": "api-1", "uid": "uid-api-1"})
    going = {"metadata": {"namespace": "shop", "name": "api-1", "uid": "uid-api-1", "deletionTimestamp": "soon"}}
    s = acted(workload(replicas=8))
    (step,) = s.status.steps
    step = step.model_copy(update={"writes": [Write(verb="Evict", object=pod, state="Done")]})
    touched = {place("Pod", "shop", "api-1"): going}
    s = replace(s, world=World(target=workload(), touched=touched))
    assert people.taken_over(replace(s, status=s.status.model_copy(update={"steps": [step]})), NOW) is None


def test_a_debt_that_was_lost_hands_over_with_the_newest_reason() -> None:
    lost = [debt(state="Lost", message=m) for m in ("the first", "the second", "the third")]
    s = replace(situation(), status=situation().status.model_copy(update={"phase": "Fixing", "obligations": lost}))
    found = people.taken_over(s, NOW)
    assert found is not None
    assert found.message == "the third"
    for phase in ("Resolved", "Escalated", "Abandoned"):
        over = replace(s, status=s.status.model_copy(update={"phase": phase}))
        assert people.taken_over(over, NOW) is None
    kept = replace(s, status=s.status.model_copy(update={"obligations": [debt(), debt(state="Paid")]}))
    assert people.taken_over(kept, NOW) is None


def of_a_drain(*writes: Write, **fields: Any) -> Situation:
    """A drain of a node that we have cordoned, which ends by force where the policy says so."""
    cordoning = Write(verb="Patch", object=NODE, field="spec.unschedulable", before="null", want="true", state="Done")
    step = {"writes": [cordoning, *writes]} | {name: fields.pop(name) for name in ("deadline_at",) if name in fields}
    s = evicting(obligations=[cordon()], **fields)
    told = {"mode": "Act", "alert": {"name": "A"}, "ladder": [{"drain": {"atDeadline": "Force"}}]}
    steps = [one.model_copy(update=step) for one in s.status.steps]
    pinned = ClusterRemediationPolicySpec.model_validate(told)
    assert s.policy is not None
    return replace(
        s,
        pinned=pinned,
        policy=replace(s.policy, spec=pinned),
        guardrails=guardrails(allowForcedDrain=["*"]),
        world=replace(s.world, target=node(cordoned="goldseam")),
        status=s.status.model_copy(update={"steps": steps}),
    )


def test_a_drain_of_which_a_write_is_refused_gives_the_node_back_at_once() -> None:
    refused = WRITE.model_copy(update={"subresource": "", "state": "Refused", "message": "no restarts today"})
    found = decided(of_a_drain(refused))
    assert (outcome(found), found.status.obligations[0].due_at) == ("Refused", NOW)


def test_a_cordon_that_is_refused_owes_nothing() -> None:
    s = of_a_drain()
    (step,) = s.status.steps
    writes = [step.writes[0].model_copy(update={"state": "Refused", "message": "not this node"})]
    status = s.status.model_copy(update={"steps": [step.model_copy(update={"writes": writes})]})
    assert debts(decided(replace(s, status=status))) == ["Void"]


def test_before_the_first_deletion_by_force_all_is_asked_again_that_was_asked_at_the_deadline() -> None:
    """Whoever has decided on it may have died, and the alert may be gone since."""
    pods = [TARGET.model_copy(update={"kind": "Pod", "name": f"api-{n}", "uid": f"uid-api-{n}"}) for n in (1, 2)]
    first, second = (Write(verb="Delete", object=pod) for pod in pods)
    plan = Proposal((first, second), "delete 2 pods", ())
    storm = Fleet(storm=Trip(state="Tripped", since=NOW, message="a storm"))
    assert decided(of_a_drain(first, plan=plan)).reason == "GoOn"
    assert decided(of_a_drain(first, plan=plan, fleet=storm)).reason == "AlertStorm"
    assert decided(of_a_drain(first, plan=plan, reading=GONE)).reason == "AlertCleared"
    made = second.model_copy(update={"state": "Done"})
    assert decided(of_a_drain(first, made, plan=plan, fleet=storm)).reason == "AlertStorm", (
        "one may have gone by itself"
    )
    assert decided(of_a_drain(first, made, plan=plan)).reason == "GoOn"


def test_a_drain_has_all_its_time_from_its_first_write_on_where_nobody_was_there_to_make_it() -> None:
    s = evicting(intent_at=NOW - timedelta(minutes=5))
    (step,) = s.status.steps
    soon = step.model_copy(update={"deadline_at": NOW + timedelta(minutes=1)})
    status = s.status.model_copy(update={"steps": [soon]})
    found = decided(replace(s, status=status))
    assert (found.reason, found.status.steps[0].deadline_at) == ("GoOn", NOW + timedelta(minutes=10))
    tried = [write.model_copy(update={"message": "HTTP 503"}) for write in step.writes]
    status = s.status.model_copy(update={"steps": [soon.model_copy(update={"writes": tried})]})
    found = decided(replace(s, status=status))
    assert found.status.steps[0].deadline_at == NOW + timedelta(minutes=1), "else it would never end"
