"""Ladders, thresholds and debts beyond the plain case, on a toy cluster and a virtual clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from goldseam.api.runbook import RunbookSpec
from goldseam.engine.owners import YIELDED
from goldseam.engine.situation import Other
from goldseam.services import queries
from tests.support.harness import NAMESPACE, Harness, deployment, policy

SCALE = {"scale": {"replicas": 8}}
RESTART = {"restart": {}}


def runbook(*thresholds: dict[str, Any]) -> RunbookSpec:
    return RunbookSpec.model_validate(
        {
            "contacts": [
                {"name": "oncall", "channels": [{"webhook": {"url": "http://example.com/hook"}}]},
                {"name": "boss"},
            ],
            "levels": [{"name": "Primary", "contact": "oncall"}, {"name": "Secondary", "contact": "boss"}],
            "systems": [
                {"name": "shop", "matchers": ['namespace="shop"']},
                {"name": "bank", "matchers": ['namespace="bank"']},
            ],
            "thresholds": list(thresholds),
        }
    )


async def opened(*ladder: dict[str, Any], book: RunbookSpec | None = None, **spec: Any) -> Harness:
    h = Harness(policy(*ladder, **spec), deployment(3), "deployments", runbook=book)
    await h.start()
    await h.open()
    return h


def thresholds(h: Harness) -> list[tuple[str, str]]:
    return [(e.threshold, e.level) for e in h.status.escalations]


async def test_a_wait_passes_its_time_and_then_the_next_rung_is_tried() -> None:
    h = await opened({"wait": {"duration": "20s"}}, RESTART)
    await h.settle(15)
    assert [(s.action, s.outcome) for s in h.status.steps] == [("wait", None)]
    await h.settle(10)
    assert [(s.action, s.outcome) for s in h.status.steps] == [("wait", "Failed"), ("restart", None)]


async def test_an_alert_that_clears_while_waiting_is_monitored() -> None:
    h = await opened({"wait": {"duration": "20s"}}, RESTART)
    await h.settle(5)
    h.alert_state = "Cleared"
    await h.settle(30)
    assert h.status.phase == "Resolved"
    assert h.live()["metadata"]["generation"] == 1


@pytest.mark.parametrize("rung", [{"notify": {"message": "look at the queue"}}, {"escalate": {}}])
async def test_in_mode_observe_a_rung_that_would_tell_people_does_not_say_that_they_were_told(
    rung: dict[str, Any],
) -> None:
    h = await opened(rung, mode="Observe", book=runbook())
    await h.settle(20)
    (step,) = h.status.steps
    assert (step.outcome, step.message[:19]) == ("Observed", "would tell people: ")
    assert (h.status.escalations, h.people.events) == ([], {})


async def test_a_notify_rung_tells_its_contact_and_goes_on() -> None:
    h = await opened({"notify": {"contact": "oncall", "message": "look at the queue"}}, RESTART, book=runbook())
    await h.settle(5)
    assert [step.action for step in h.status.steps] == ["notify", "restart"]
    assert "look at the queue" in h.people.told[0].text


async def test_an_escalate_rung_ends_the_acting() -> None:
    h = await opened(SCALE, {"escalate": {"level": "Secondary"}}, book=runbook())
    await h.settle(90)
    assert h.status.phase == "Escalated"
    assert thresholds(h) == [("escalateRung", "Secondary")]


async def test_a_threshold_is_told_with_the_line_of_the_runbook_and_acting_goes_on() -> None:
    source = {"file": "runbook.md", "line": 292, "text": "- Service unavailable for >30 minutes"}
    h = await opened(
        SCALE, RESTART,
        book=runbook({"name": "long", "when": {"unresolvedFor": "30s"}, "level": "Primary", "source": source}),
    )  # fmt: skip
    await h.settle(70)
    assert thresholds(h) == [("long", "Primary")]
    assert "runbook.md:292: - Service unavailable for >30 minutes" in h.people.told[0].text
    assert h.status.steps[-1].action == "restart"


async def test_a_threshold_that_says_stop_hands_over() -> None:
    stop = {"name": "long", "when": {"unresolvedFor": "30s"}, "level": "Primary", "acting": "Stop"}
    h = await opened(SCALE, RESTART, book=runbook(stop))
    await h.settle(200)
    assert h.status.phase == "Escalated"
    assert [step.action for step in h.status.steps] == ["scale"]


async def test_several_open_systems_cross_their_threshold() -> None:
    h = await opened(SCALE, book=runbook({"name": "several", "when": {"openSystems": 2}, "level": "Secondary"}))
    elsewhere = Other(
        name="bank/x", uid="x", opened=h.clock.now(), target_uid="y", policy=_key(h), policy_created=None,
        claims=True, busy=False, labels={"namespace": "bank"}, active=True,
    )  # fmt: skip
    h.looker.gatherer._others = lambda _: (elsewhere,)
    await h.settle(5)
    assert thresholds(h) == [("several", "Secondary")]


def _key(h: Harness) -> Any:
    return replace(next(iter(h.book.all())).policy, namespace="bank")


LONG = {**SCALE, "timeout": "30m"}
TRAFFIC = {"query": {"expr": "broken_share", "above": "0.5"}}


async def test_a_threshold_by_query_is_crossed_when_its_bounds_hold_and_says_the_value() -> None:
    h = await opened(LONG, book=runbook({"name": "half", "when": TRAFFIC, "level": "Secondary"}))
    h.promql.answers["broken_share"] = (0.4,)
    await h.settle(120)
    assert thresholds(h) == []
    h.promql.answers["broken_share"] = (0.62,)
    await h.settle(75)
    assert thresholds(h) == [("half", "Secondary")]
    assert "by the runbook's query, broken_share is above 0.5 (it is 0.62)" in h.status.escalations[0].message


async def test_a_threshold_whose_query_cannot_be_told_crosses_nothing_and_is_said_once() -> None:
    h = await opened(LONG, book=runbook({"name": "half", "when": TRAFFIC, "level": "Secondary"}))
    await h.settle(400)
    said = [entry.message for entry in h.status.timeline if entry.kind == "ThresholdUnknown"]
    assert said == [
        "whether the threshold half is crossed cannot be told: query 'broken_share' has no data",
    ]
    assert ("half", "Secondary") not in thresholds(h)


async def test_a_threshold_by_query_that_says_stop_is_asked_before_anything_is_done() -> None:
    h = Harness(policy(SCALE, RESTART), deployment(3), "deployments", runbook=runbook(
        {"name": "half", "when": TRAFFIC, "level": "Primary", "acting": "Stop"}))  # fmt: skip
    h.promql.answers["broken_share"] = (0.9,)
    await h.start()
    await h.open()
    await h.settle(60)
    assert h.status.phase == "Escalated"
    assert h.status.steps == []


async def test_the_query_of_a_threshold_is_not_asked_once_it_is_crossed_nor_after_the_alert_is_over() -> None:
    h = await opened(LONG, book=runbook({"name": "half", "when": TRAFFIC, "level": "Secondary"}))
    h.promql.answers["broken_share"] = (0.9,)
    await h.settle(20)
    asked = len(h.promql.asked)
    await h.settle(300)
    assert len(h.promql.asked) == asked > 0


async def test_a_question_that_many_have_is_asked_once_in_a_while() -> None:
    h = await opened(LONG, book=runbook(*({"name": f"t{n}", "when": TRAFFIC, "level": "Secondary"} for n in (1, 2))))
    await h.settle(65)
    assert 2 <= len(h.promql.asked) <= 7


async def test_a_threshold_is_asked_again_when_the_alert_is_back_before_anything_is_done() -> None:
    stop = {"name": "half", "when": TRAFFIC, "level": "Primary", "acting": "Stop"}
    h = Harness(policy(SCALE, RESTART), deployment(3), "deployments", runbook=runbook(stop))
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"reason": "x"}})
    await h.start()
    await h.open()
    await h.settle(5)
    h.alert_state = "Cleared"
    await h.settle(30)
    h.cluster.remove("pauses", "shop", "p")
    h.promql.answers["broken_share"] = (0.9,)
    h.alert_state = "Firing"
    await h.settle(60)
    assert h.status.steps == []
    assert thresholds(h) == [("half", "Primary")]


async def test_a_server_that_hangs_delays_no_act_and_its_threshold_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queries, "PATIENCE", 0.01)
    h = Harness(policy(LONG), deployment(3), "deployments", runbook=runbook(
        {"name": "half", "when": TRAFFIC, "level": "Secondary"}))  # fmt: skip
    h.promql.hangs = True
    await h.start()
    await h.open()
    await h.settle(20)
    assert [step.action for step in h.status.steps] == ["scale"]
    assert any("no answer within" in entry.message for entry in h.status.timeline)
    assert len(h.promql.asked) == 1, "one question is under way for all"


async def test_a_long_query_hides_neither_its_value_nor_what_was_tried() -> None:
    long = {"expr": " + ".join(["broken_share"] * 30), "above": "0.5"}
    h = await opened(LONG, book=runbook({"name": "half", "when": {"query": long}, "level": "Secondary"}))
    h.promql.answers[long["expr"]] = (0.62,)
    await h.settle(20)
    (message,) = (escalation.message for escalation in h.status.escalations)
    assert "… is above 0.5 (it is 0.62). Nothing has been tried yet." in message


async def test_a_label_of_the_alert_stays_the_value_of_a_matcher_in_the_query_of_a_threshold() -> None:
    query = {"expr": 'errors{deployment="${target.name}"}', "above": "1"}
    h = await opened(LONG, book=runbook({"name": "many", "when": {"query": query}, "level": "Secondary"}))
    h.promql.answers['errors{deployment="api"}'] = (2,)
    await h.settle(65)
    assert thresholds(h) == [("many", "Secondary")]


async def test_a_used_up_ladder_is_told_to_the_level_that_the_runbook_names() -> None:
    h = await opened(
        RESTART, book=runbook({"name": "used-up", "when": {"ladderExhausted": True}, "level": "Secondary"})
    )
    await h.settle(90)
    assert thresholds(h) == [("used-up", "Secondary")]


async def test_paused_time_does_not_count_towards_thresholds() -> None:
    h = await opened(RESTART, escalateAfter="60s")
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"reason": "x"}})
    await h.settle(300)
    assert thresholds(h) == []
    h.cluster.remove("pauses", "shop", "p")
    await h.settle(55)
    assert thresholds(h) == []
    await h.settle(15)
    assert ("escalateAfter", "") in thresholds(h)


async def test_a_pause_in_the_operators_namespace_stops_everything() -> None:
    h = await opened(SCALE)
    spec = {"reason": "x", "cluster": True, "level": "Everything"}
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": NAMESPACE}, "spec": spec})
    await h.settle(60)
    assert h.status.steps == []


async def test_a_pause_of_everything_holds_the_debts_too() -> None:
    h = await opened(SCALE)
    await h.settle(20)
    h.alert_state = "Cleared"
    spec = {"reason": "x", "level": "Everything"}
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": spec})
    await h.settle(120)
    assert h.live()["spec"]["replicas"] == 8
    assert h.status.holds[0].reason == "EverythingPaused"
    h.cluster.remove("pauses", "shop", "p")
    await h.settle(60)
    assert h.live()["spec"]["replicas"] == 3


async def test_a_pause_that_has_ended_holds_nothing() -> None:
    h = await opened(SCALE)
    spec = {"reason": "x", "until": "2026-11-23T11:00:00Z"}
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": spec})
    await h.settle(5)
    assert h.live()["spec"]["replicas"] == 8


async def test_a_mode_that_is_lowered_applies_at_once_and_one_that_is_raised_does_not() -> None:
    h = await opened(SCALE, RESTART)
    await h.settle(20)
    h.cluster.edit("remediationpolicies", "shop", "api", {"spec": {"mode": "Observe"}})
    await h.settle(200)
    assert [step.action for step in h.status.steps] == ["scale"]
    observing = await opened(SCALE, mode="Observe")
    observing.cluster.edit("remediationpolicies", "shop", "api", {"spec": {"mode": "Act"}})
    await observing.settle(20)
    assert observing.live()["spec"]["replicas"] == 3


async def test_in_mode_observe_a_used_up_ladder_is_recorded_once_and_nobody_is_told() -> None:
    h = await opened(RESTART, {"escalate": {}}, mode="Observe", escalateAfter="10s", book=runbook())
    await h.settle(400)
    assert h.status.phase == "Investigating"
    assert [entry.kind for entry in h.status.timeline].count("WouldTell") == 2
    assert not h.people.told
    h.alert_state = "Cleared"
    await h.settle(30)
    assert h.status.phase == "Resolved"


async def test_an_edit_of_the_ladder_applies_to_the_next_incident_only() -> None:
    h = await opened(SCALE, RESTART)
    await h.settle(20)
    longer = [*h.policy["spec"]["ladder"], {"notify": {}}]
    h.cluster.edit("remediationpolicies", "shop", "api", {"spec": {"ladder": longer}})
    await h.settle(200)
    assert [step.action for step in h.status.steps] == ["scale", "restart"]


async def test_a_policy_that_becomes_invalid_holds_and_says_so() -> None:
    h = await opened(SCALE, RESTART)
    await h.settle(20)
    h.cluster.edit("remediationpolicies", "shop", "api", {"spec": {"ladder": []}})
    await h.settle(100)
    assert h.status.holds[0].reason == "PolicyInvalid"
    assert "spec.ladder" in h.status.holds[0].message


async def test_a_list_that_cannot_be_read_holds_and_is_named() -> None:
    h = await opened(SCALE)
    h.cluster.unreadable.add("horizontalpodautoscalers")
    await h.settle(60)
    assert h.status.holds[0].reason == "NotRead"
    assert "horizontalpodautoscalers" in h.status.holds[0].message
    h.cluster.unreadable.clear()
    await h.settle(10)
    assert h.live()["spec"]["replicas"] == 8


async def test_without_the_admission_policy_mode_act_does_nothing() -> None:
    h = await opened(SCALE)
    h.cluster.remove("validatingadmissionpolicybindings", "", "goldseam-incidents")
    await h.settle(60)
    assert h.status.steps == []
    assert h.status.holds[0].reason == "IncidentsUnprotected"


async def test_revert_false_leaves_what_was_done() -> None:
    h = await opened(SCALE, resolve={"after": "5s", "revert": False})
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(60)
    assert h.live()["spec"]["replicas"] == 8
    assert [o.state for o in h.status.obligations] == ["Void"]


async def test_revert_false_leaves_what_was_done_also_when_the_policy_is_deleted() -> None:
    h = await opened(SCALE, resolve={"after": "5s", "revert": False})
    await h.settle(20)
    h.cluster.remove("remediationpolicies", "shop", "api")
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (h.status.phase, h.live()["spec"]["replicas"]) == ("Abandoned", 8)
    assert [o.state for o in h.status.obligations] == ["Void"]


async def test_a_debt_is_not_paid_while_the_alert_may_be_back() -> None:
    h = await opened(SCALE)
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(15)
    assert h.status.phase == "Resolved"
    h.knows = False
    await h.settle(120)
    assert h.live()["spec"]["replicas"] == 8
    assert h.status.holds[0].reason == "AlertUnknown"


async def test_what_a_person_has_set_meanwhile_is_left_alone() -> None:
    h = await opened(SCALE)
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(15)
    h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 12}}, "kubectl-scale")
    await h.settle(60)
    assert h.live()["spec"]["replicas"] == 12
    assert [o.state for o in h.status.obligations] == ["Lost"]
    assert "kubectl-scale" in h.status.obligations[0].message


async def test_a_value_that_a_person_has_set_is_theirs_while_goldseam_asks_for_the_next_rung() -> None:
    h = await opened(SCALE, RESTART, approval={"rungs": ["restart"]})
    await h.settle(90)
    assert h.status.phase == "AwaitingApproval"
    h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 20}}, "kubectl-scale")
    await h.settle(20)
    assert (h.status.phase, h.status.handed_over) == ("Escalated", True)
    assert thresholds(h)[-1] == ("takenOver", "")
    assert [o.state for o in h.status.obligations] == ["Lost"]


async def test_a_value_that_somebody_else_has_applied_too_is_theirs() -> None:
    h = await opened(SCALE)
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(15)
    h.cluster.share("deployments", "shop", "api", "spec.replicas", "argocd-controller")
    await h.settle(60)
    assert h.live()["spec"]["replicas"] == 8
    assert [o.state for o in h.status.obligations] == ["Lost"]
    assert "argocd-controller" in h.status.obligations[0].message


async def test_what_gitops_applies_of_ours_because_it_was_told_to_leave_it_alone_is_put_back() -> None:
    h = await opened(SCALE)
    h.cluster.edit(
        "deployments", "shop", "api", {"metadata": {"annotations": {YIELDED: "true"}}}, "kustomize-controller"
    )
    await h.settle(20)
    h.cluster.share("deployments", "shop", "api", "spec.replicas", "kustomize-controller")
    await h.settle(20)
    assert h.status.phase == "Fixing"
    h.alert_state = "Cleared"
    await h.settle(900)
    assert h.live()["spec"]["replicas"] == 3
    assert [o.state for o in h.status.obligations] == ["Paid"]


async def test_people_are_told_when_what_is_owed_cannot_be_put_back_for_lack_of_knowledge() -> None:
    for gone in (False, True):
        h = await opened(SCALE, unknownTimeout="5m")
        await h.settle(20)
        if gone:
            h.cluster.remove("remediationpolicies", "shop", "api")
        else:
            h.alert_state = "Cleared"
            await h.settle(15)
        h.knows = False
        await h.settle(280)
        assert thresholds(h) == []
        await h.settle(60)
        assert (h.status.phase, h.status.owes) == ("Abandoned" if gone else "Resolved", 1)
        assert thresholds(h) == [("owedTooLong", "")]
        assert "what is owed could not be put back for 5 min" in h.status.escalations[0].message
        await h.settle(600)
        assert len(h.status.escalations) == 1


AUTOSCALER = {
    "metadata": {"name": "api", "namespace": "shop"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "api"}, "minReplicas": 3, "maxReplicas": 20},
}


async def test_a_question_that_is_asked_anew_is_told_anew() -> None:
    h = await opened(SCALE, approval={"rungs": ["scale"], "timeout": "10m"})
    await h.settle(5)
    h.cluster.add("horizontalpodautoscalers", AUTOSCALER)
    await h.settle(30)
    assert [a.state for a in h.status.approvals] == ["Replaced", "Waiting"]
    told = [note for note in h.people.events.values() if "may Goldseam" in note]
    assert ["scale Deployment" in told[0], "raise the floor" in told[1]] == [True, True]


async def test_questions_asked_anew_never_use_up_what_people_can_be_told() -> None:
    h = await opened(SCALE, approval={"rungs": ["scale"], "timeout": "4h"}, escalateAfter="30m")
    for _ in range(25):
        h.cluster.add("horizontalpodautoscalers", AUTOSCALER)
        await h.settle(20)
        h.cluster.remove("horizontalpodautoscalers", "shop", "api")
        await h.settle(20)
    assert len([note for note in h.people.events.values() if "may Goldseam" in note]) == 50
    await h.settle(1800)
    assert [e.threshold for e in h.status.escalations][1:] == ["escalateAfter"]


async def test_a_second_scale_inherits_what_was_there_before_the_first() -> None:
    h = await opened(SCALE, {"name": "more", "scale": {"replicas": 12}})
    await h.settle(80)
    assert h.live()["spec"]["replicas"] == 12
    h.alert_state = "Cleared"
    await h.settle(120)
    assert h.live()["spec"]["replicas"] == 3
    assert h.status.owes == 0


async def test_an_alert_that_comes_back_while_monitored_gets_the_next_rung() -> None:
    h = await opened(SCALE, RESTART)
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(5)
    assert h.status.phase == "Monitoring"
    h.alert_state = "Firing"
    await h.settle(10)
    assert [(s.action, s.outcome) for s in h.status.steps] == [("scale", "Passed"), ("restart", None)]


async def test_people_keep_an_incident_whose_alert_comes_back() -> None:
    h = await opened(RESTART)
    await h.settle(90)
    h.alert_state = "Cleared"
    await h.settle(5)
    assert h.status.phase == "Monitoring"
    h.alert_state = "Firing"
    await h.settle(30)
    assert h.status.phase == "Escalated"
    assert len(h.people.events) == 1


async def test_a_rung_with_nothing_to_do_is_passed_over() -> None:
    h = Harness(policy(SCALE, RESTART), deployment(9), "deployments")
    await h.start()
    await h.open()
    await h.settle(10)
    assert [(s.action, s.outcome) for s in h.status.steps] == [("scale", "NothingToDo"), ("restart", None)]


async def test_a_write_that_the_api_server_refuses_ends_the_rung_and_is_not_owed() -> None:
    h = await opened(SCALE, RESTART)
    h.cluster.refused.add("deployments/shop/api/scale")
    await h.settle(20)
    assert [(s.action, s.outcome) for s in h.status.steps] == [("scale", "Refused"), ("restart", None)]
    assert [o.state for o in h.status.obligations] == ["Void"]


async def test_a_lost_reply_is_no_second_write() -> None:
    h = await opened(SCALE)
    h.cluster.deaf.add("deployments/shop/api/scale")
    await h.settle(30)
    assert [path for _, path, _, _ in h.cluster.writes].count("deployments/shop/api/scale") == 1
    assert h.status.steps[0].phase == "Acted"


async def test_a_conflict_is_read_again_and_decided_again() -> None:
    h = await opened(SCALE)
    h.cluster.stale.add("deployments/shop/api/scale")
    await h.settle(20)
    assert h.live()["spec"]["replicas"] == 8
    assert [path for _, path, _, _ in h.cluster.writes].count("deployments/shop/api/scale") == 1


@pytest.mark.parametrize(("queries", "more"), [(2, ""), (4, "; and 2 more")])
async def test_a_step_that_has_not_helped_says_all_that_it_still_waited_for(queries: int, more: str) -> None:
    asked = [{"expr": f"errors_{number}", "below": "5"} for number in range(queries)]
    rung = {"restart": {}, "timeout": "60s", "verify": {"settle": "5s", "queries": asked}}
    h = Harness(policy(rung, {"wait": {"duration": "1h"}}), deployment(), "deployments")
    h.promql.answers = {one["expr"]: (9.0,) for one in asked}
    await h.start()
    await h.open()
    await h.settle(200, lambda status: bool(status.steps) and status.steps[0].outcome is not None)
    assert h.status.steps[0].message == (
        "did not help in time: still waiting for the alert to be Cleared after restart (the alert is Firing)"
        "; and for errors_0 to be below 5 (it is 9); and for errors_1 to be below 5 (it is 9)" + more
    )
