"""Incidents that come back, rungs that are tried again, and ends that are ends."""

from __future__ import annotations

from typing import Any

from tests.support.harness import Harness, deployment, policy

SCALE = {"scale": {"replicas": 8}}
RESTART = {"restart": {}}


async def opened(*ladder: dict[str, Any], **spec: Any) -> Harness:
    h = Harness(policy(*ladder, **spec), deployment(3), "deployments")
    await h.start()
    await h.open()
    return h


def steps(h: Harness) -> list[tuple[str, int, str | None]]:
    return [(step.action, step.attempt, step.outcome) for step in h.status.steps if step.purpose == "Rung"]


async def cleared_for(h: Harness, seconds: float) -> None:
    h.alert_state = "Cleared"
    await h.settle(seconds)
    h.alert_state = "Firing"


async def test_a_rung_with_attempts_is_tried_again_before_the_next_one() -> None:
    h = await opened({**RESTART, "attempts": 2}, SCALE)
    await h.settle(200)
    assert steps(h) == [("restart", 1, "Failed"), ("restart", 2, "Failed"), ("scale", 1, "Failed")]
    tokens = {step.token for step in h.status.steps}
    assert len(tokens) == 3


async def test_an_alert_that_is_back_within_the_flap_window_goes_on_where_the_ladder_stood() -> None:
    h = await opened(SCALE, RESTART)
    await h.settle(20)
    await cleared_for(h, 20)
    assert h.status.phase == "Resolved"
    await h.settle(20)
    assert h.status.reopened == 1
    assert steps(h) == [("scale", 1, "Passed"), ("restart", 1, None)]
    assert len(list(h.cluster.all("incidents"))) == 1


async def test_what_is_owed_is_paid_after_the_second_end_not_in_the_middle() -> None:
    h = await opened(SCALE, RESTART)
    await h.settle(20)
    await cleared_for(h, 20)
    await h.settle(40)
    assert h.live()["spec"]["replicas"] == 8
    h.alert_state = "Cleared"
    await h.settle(120)
    assert h.live()["spec"]["replicas"] == 3
    assert h.status.owes == 0


async def test_an_incident_that_comes_back_with_its_ladder_used_up_goes_to_people() -> None:
    h = await opened(RESTART)
    await h.settle(20)
    await cleared_for(h, 20)
    await h.settle(10)
    assert h.status.phase == "Escalated"


async def test_time_without_the_alert_does_not_count_towards_thresholds() -> None:
    h = await opened(RESTART, SCALE, escalateAfter="5m", resolve={"after": "5s"})
    await h.settle(20)
    await cleared_for(h, 400)
    await h.settle(20)
    assert h.status.reopened == 1
    assert h.status.escalations == []


async def test_after_the_flap_window_the_incident_is_closed_and_stays_so() -> None:
    h = await opened(SCALE, flapWindow="60s")
    await h.settle(20)
    await cleared_for(h, 120)
    assert h.status.closed_at is not None
    before = len(h.cluster.writes)
    await h.settle(60)
    assert (h.status.phase, h.status.reopened, len(h.cluster.writes)) == ("Resolved", 0, before)


async def test_a_deleted_policy_does_not_reopen_what_it_left() -> None:
    h = await opened(RESTART)
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(20)
    h.cluster.remove("remediationpolicies", "shop", "api")
    h.alert_state = "Firing"
    await h.settle(10)
    assert (h.status.phase, h.status.reopened) == ("Resolved", 0)
    assert h.status.closed_at is not None


async def test_a_policy_that_stays_suspended_abandons_its_incident_and_pays() -> None:
    h = await opened(SCALE, RESTART, flapWindow="30s")
    await h.settle(20)
    h.cluster.edit("remediationpolicies", "shop", "api", {"spec": {"suspend": True}})
    await h.settle(140)
    assert h.status.phase == "Abandoned"
    assert steps(h) == [("scale", 1, "Failed")]
    assert h.status.owes == 1, "capacity is not taken away while the alert fires"
    h.alert_state = "Cleared"
    await h.settle(60)
    assert h.live()["spec"]["replicas"] == 3
    assert h.status.owes == 0


async def test_many_reopenings_never_outgrow_what_an_incident_can_hold() -> None:
    h = await opened(*({"name": f"s{n}", "scale": {"replicas": n}} for n in range(4, 12)), resolve={"after": "1s"})
    for _ in range(12):
        await h.settle(20)
        await cleared_for(h, 60)
    assert len(h.status.obligations) <= 16
    assert h.live()["spec"]["replicas"] == 3 or h.status.owes


async def test_an_alert_that_is_back_while_half_is_put_back_gets_the_next_rung() -> None:
    h = Harness(policy(SCALE, RESTART), deployment(1), "deployments")
    await h.start()
    await h.open()
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(120, until=lambda _: h.live()["spec"]["replicas"] == 4)
    h.alert_state = "Firing"
    await h.settle(20)
    assert h.status.reopened == 1
    assert steps(h) == [("scale", 1, "Passed"), ("restart", 1, None)]
    h.alert_state = "Cleared"
    await h.settle(300)
    assert h.live()["spec"]["replicas"] == 1
    assert h.status.owes == 0


async def test_what_people_want_undone_stays_due_and_in_their_hands_when_the_alert_is_back() -> None:
    h = await opened(SCALE, RESTART)
    await h.settle(20)
    await cleared_for(h, 20)
    assert h.status.phase == "Resolved"
    inc = next(h.cluster.all("incidents"))["metadata"]
    about = {"incidentRef": {"name": inc["name"], "uid": inc["uid"]}, "decision": "Undo", "by": "jane"}
    h.cluster.add("responses", {"metadata": {"name": "w", "namespace": "shop"}, "spec": about})
    await h.settle(20)
    assert h.status.phase == "Escalated"
    assert steps(h) == [("scale", 1, "Passed")]
    h.alert_state = "Cleared"
    await h.settle(12)
    assert h.live()["spec"]["replicas"] == 3
