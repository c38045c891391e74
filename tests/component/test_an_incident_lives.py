"""An incident from its opening to its end, on a toy cluster and a virtual clock."""

from __future__ import annotations

from typing import Any

from goldseam.ports import LINE, Line
from tests.support.harness import Harness, deployment, policy

SCALE = {"scale": {"replicas": 8}}
RESTART = {"restart": {}}


async def opened(*ladder: dict, replicas: int = 3, **spec: object) -> Harness:
    harness = Harness(policy(*ladder, **spec), deployment(replicas), "deployments")
    await harness.start()
    await harness.open()
    return harness


async def test_a_rung_that_helps_resolves_the_incident_and_is_undone_after() -> None:
    h = await opened(SCALE)
    await h.settle(20)
    assert h.live()["spec"]["replicas"] == 8
    assert h.status.phase == "Fixing"
    h.alert_state = "Cleared"
    await h.settle(15)
    assert h.status.phase == "Resolved"
    assert h.status.owes == 1
    await h.settle(60)
    assert h.live()["spec"]["replicas"] == 3
    assert [o.state for o in h.status.obligations] == ["Paid"]


async def test_replicas_go_back_by_at_most_half_in_one_write() -> None:
    h = await opened(SCALE, replicas=1)
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(120)
    written = [body["spec"]["replicas"] for verb, path, _, body in h.cluster.writes if path.endswith("/scale")]
    assert written == [8, 4, 2, 1]


async def test_a_rung_that_does_not_help_is_followed_by_the_next() -> None:
    h = await opened(SCALE, RESTART)
    await h.settle(70)
    outcomes = [(step.action, step.outcome) for step in h.status.steps]
    assert outcomes == [("scale", "Failed"), ("restart", None)]


async def test_a_used_up_ladder_hands_the_incident_to_people() -> None:
    h = await opened(RESTART)
    await h.settle(90)
    assert h.status.phase == "Escalated"
    assert [e.threshold for e in h.status.escalations] == ["ladderExhausted"]
    assert len(h.people.events) == 1


async def test_what_is_done_is_an_event_on_the_target_too() -> None:
    h = await opened(SCALE)
    await h.settle(20)
    notes = [note for note in h.chronicle.events.values() if "scale Deployment shop/api from 3 to 8" in note]
    assert len(notes) == 2
    assert any("(Incident shop/api-" in note for note in notes)


async def test_people_are_told_once_only() -> None:
    h = await opened(RESTART, escalateAfter="10s")
    await h.settle(400)
    assert sorted(e.threshold for e in h.status.escalations) == ["escalateAfter", "ladderExhausted"]
    assert len(h.people.events) == 2


async def test_an_alert_that_clears_by_itself_is_resolved_without_any_action() -> None:
    h = await opened(SCALE, alert={"name": "Trouble"})
    h.alert_state = "Cleared"
    await h.settle(30)
    assert h.status.phase == "Resolved"
    assert h.status.kpis.self_resolved
    assert h.live()["spec"]["replicas"] == 3


async def test_nothing_is_done_while_nothing_is_known() -> None:
    h = await opened(SCALE)
    h.knows = False
    await h.settle(300)
    assert h.live()["spec"]["replicas"] == 3
    assert h.status.holds[0].guard == "source"


async def test_people_are_told_when_nothing_is_known_for_too_long() -> None:
    h = await opened(SCALE, unknownTimeout="60s")
    h.knows = False
    await h.settle(120)
    assert [e.threshold for e in h.status.escalations] == ["unknownTimeout"]


async def test_missing_knowledge_never_resolves_and_never_climbs() -> None:
    h = await opened(SCALE, RESTART)
    await h.settle(20)
    h.knows = False
    await h.settle(300)
    assert h.status.rung == 0
    assert h.status.phase == "Fixing"
    assert h.status.holds[0].reason == "Inconclusive"


async def test_mode_observe_records_every_rung_and_writes_nothing_outside_its_own_kinds() -> None:
    h = await opened(SCALE, RESTART, mode="Observe")
    await h.settle(200)
    assert [(s.action, s.outcome) for s in h.status.steps] == [("scale", "Observed"), ("restart", "Observed")]
    assert "would scale Deployment shop/api from 3 to 8" in h.status.steps[0].message
    assert not h.people.events
    assert {path.split("/")[0] for _, path, _, _ in h.cluster.writes} == {"incidents", "guardrails"}


async def test_a_hold_that_holds_on_writes_nothing() -> None:
    h = await opened(SCALE)
    h.knows = False
    await h.settle(20)
    before = len(h.cluster.writes)
    await h.settle(200)
    assert len(h.cluster.writes) == before


async def test_a_target_that_is_replaced_is_left_alone() -> None:
    h = await opened(SCALE, RESTART)
    await h.settle(20)
    h.cluster.remove("deployments", "shop", "api")
    h.cluster.add("deployments", deployment(3))
    await h.settle(30)
    assert h.status.phase == "Abandoned"
    assert [o.state for o in h.status.obligations] == ["Void"]
    assert h.live()["spec"]["replicas"] == 3


async def test_a_deleted_policy_ends_the_ladder_and_what_is_owed_is_paid() -> None:
    h = await opened(SCALE, RESTART)
    await h.settle(20)
    h.cluster.remove("remediationpolicies", "shop", "api")
    h.alert_state = "Cleared"
    await h.settle(60)
    assert h.status.phase == "Abandoned"
    assert h.live()["spec"]["replicas"] == 3


async def test_a_person_who_moves_the_field_takes_over() -> None:
    h = await opened(SCALE, RESTART)
    await h.settle(20)
    h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 20}}, "kubectl-scale")
    await h.settle(200)
    assert h.status.phase == "Escalated"
    assert [e.threshold for e in h.status.escalations] == ["takenOver"]
    assert h.live()["spec"]["replicas"] == 20
    assert all(step.action != "restart" for step in h.status.steps)


async def test_a_pause_in_the_middle_of_a_ladder_stops_the_next_rung() -> None:
    h = await opened(SCALE, RESTART)
    await h.settle(20)
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"reason": "deploying"}})
    await h.settle(200)
    assert [step.action for step in h.status.steps] == ["scale"]
    assert h.status.holds[0].reason == "Paused"
    h.cluster.remove("pauses", "shop", "p")
    await h.settle(20)
    assert [step.action for step in h.status.steps] == ["scale", "restart"]


async def test_a_missing_right_refuses_the_rung_and_says_which_component_to_install() -> None:
    h = Harness(policy(SCALE, RESTART), deployment(), "deployments")
    h.cluster.denied.add("deployments/scale")
    await h.start()
    await h.open()
    await h.settle(20)
    assert h.status.steps[0].outcome == "Refused"
    assert "component scale" in h.status.steps[0].message
    assert h.status.steps[1].action == "restart"


async def test_a_verifying_query_must_hold() -> None:
    query = {"expr": "errors", "below": "5", "for": "10s"}
    h = await opened({**SCALE, "verify": {"settle": "1s", "queries": [query]}})
    h.promql.answers["errors"] = (9.0,)
    await h.settle(10)
    h.alert_state = "Cleared"
    await h.settle(20)
    assert h.status.steps[0].outcome is None
    h.promql.answers["errors"] = (1.0,)
    await h.settle(15)
    assert h.status.steps[0].outcome == "Passed"


async def test_a_query_without_data_is_inconclusive() -> None:
    h = await opened({**SCALE, "verify": {"settle": "1s", "queries": [{"expr": "errors", "below": "5"}]}}, RESTART)
    await h.settle(10)
    h.alert_state = "Cleared"
    await h.settle(200)
    assert h.status.rung == 0
    assert h.status.holds[0].reason == "Inconclusive"


async def test_a_query_that_does_not_parse_is_said_and_judges_nothing() -> None:
    query = {"expr": "rate(x[5m)", "below": "5"}
    h = await opened({**SCALE, "verify": {"settle": "1s", "queries": [query]}}, RESTART)
    h.promql.broken = "1:9: parse error"
    await h.settle(10)
    h.alert_state = "Cleared"
    await h.settle(200)
    assert h.status.rung == 0
    assert "1:9: parse error" in h.status.holds[0].message


async def test_what_is_new_is_never_in_line_behind_incidents_that_wait() -> None:
    h = Harness(policy(SCALE), deployment(3), "deployments")
    really, lines = h.cluster.get, list[Line]()

    async def noted(*place: Any) -> Any:
        lines.append(LINE.get())
        return await really(*place)

    h.cluster.get = noted  # type: ignore[method-assign]
    await h.start()
    await h.open(begun=False)
    LINE.set(Line.ACTING)  # a worker has it from the opener
    lines.clear()
    await h.look()
    assert h.status.steps, "it was decided and done in its first look"
    assert set(lines) == {Line.ACTING}
