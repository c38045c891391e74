"""scale with `direction: Down` on a toy cluster: by halves, through kills and other people's changes, and up again."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.api.incident import IncidentStatus
from tests.component.test_forged_incidents import forge
from tests.component.test_owners import rollout
from tests.component.test_two_incidents import joined, named
from tests.support.harness import Harness, deployment, policy

PATH = "deployments/shop/api/scale"
ONE = {"scale": {"replicas": 1, "direction": "Down"}}
ZERO = {"scale": {"replicas": 0, "direction": "Down", "allowZero": True}}
WAIT = {"wait": {"duration": "1h"}, "timeout": "2h"}
ANY = {"minAvailable": 0}


async def opened(*ladder: dict[str, Any], replicas: int = 10, **limits: Any) -> Harness:
    h = Harness(policy(*ladder, limits=ANY | limits), deployment(replicas), "deployments")
    await h.start()
    await h.open()
    return h


def asked(h: Harness) -> list[int]:
    """The numbers of replicas that were written, in order."""
    return [body["spec"]["replicas"] for _, path, _, body in h.cluster.writes if path == PATH]


def there(h: Harness) -> int:
    replicas: int = h.live()["spec"]["replicas"]
    return replicas


def steps(status: IncidentStatus) -> list[tuple[str, str | None]]:
    return [(step.action, step.outcome) for step in status.steps]


async def over(h: Harness) -> None:
    h.alert_state = "Cleared"
    await h.settle(120)


async def test_it_goes_down_by_halves_and_up_again_when_the_alert_is_over() -> None:
    h = await opened(ONE)
    await h.settle(20)
    assert asked(h) == [5, 3, 2, 1]
    assert steps(h.status) == [("scale", None)], "one step, one line in the budget"
    pins = [body["metadata"]["resourceVersion"] for _, path, _, body in h.cluster.writes if path == PATH]
    assert all(pins), "each half is pinned to what was seen before it"
    assert len(set(pins)) == 4
    await over(h)
    assert asked(h) == [5, 3, 2, 1, 10]
    assert (h.status.phase, h.status.owes) == ("Resolved", 0)
    assert [o.state for o in h.status.obligations] == ["Paid"]


async def test_it_is_not_brought_back_while_the_alert_is_not_surely_gone() -> None:
    h = await opened(ONE)
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(25)
    h.knows = False
    await h.settle(60)
    assert there(h) == 1
    assert "what was scaled down does not run again before the alert is surely gone" in h.status.message


async def scenario(ladder: dict[str, Any], kill_at: int | None, after: bool) -> tuple[Harness, bool]:
    h = await opened(ladder)
    h.cluster.kill_at = None if kill_at is None else h.cluster.attempts + kill_at
    h.cluster.kill_after = after
    killed = await h.settle_through_crashes(40)
    h.alert_state = "Cleared"
    killed |= await h.settle_through_crashes(120)
    return h, killed


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("ladder", [ONE, ZERO], ids=["one", "zero"])
async def test_killed_at_any_write_no_half_is_made_twice_and_all_come_back(ladder: dict[str, Any], after: bool) -> None:
    reference, _ = await scenario(ladder, None, after)
    points = 0
    for point in range(1, 60):
        h, killed = await scenario(ladder, point, after)
        if not killed:
            break
        points += 1
        assert asked(h) == asked(reference), f"killed at write {point}"
        assert there(h) == 10
        assert (h.status.phase, h.status.owes) == ("Resolved", 0)
    assert points >= 10


async def test_a_write_whose_reply_is_lost_is_seen_to_be_made() -> None:
    h = await opened(ONE)
    h.cluster.deaf.add(PATH)
    await h.settle(20)
    assert asked(h) == [5, 3, 2, 1]


async def test_who_writes_the_object_beside_the_number_does_not_stop_it() -> None:
    h = await opened(ONE)
    h.cluster.stale.add(PATH)
    await h.settle(30)
    assert asked(h) == [5, 3, 2, 1]


async def half_way_down() -> Harness:
    h = await opened(ONE, WAIT)
    await h.settle(20, until=lambda _: len(asked(h)) == 1)
    assert there(h) == 5
    return h


async def test_a_person_who_changes_the_number_half_way_has_it() -> None:
    h = await half_way_down()
    h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 8}})
    await h.settle(60)
    assert asked(h) == [5]
    assert h.status.phase == "Escalated"
    assert "somebody set spec.replicas of Deployment shop/api to 8" in h.status.steps[0].message
    await over(h)
    assert there(h) == 8, "theirs"
    assert [o.state for o in h.status.obligations] == ["Lost"]


async def test_people_who_take_over_half_way_stop_it_and_half_of_it_comes_back() -> None:
    h = await half_way_down()
    next(h.cluster.all("incidents"))["status"] |= {"handedOver": True, "phase": "Escalated"}
    await h.start()
    await h.settle(30)
    assert asked(h) == [5]
    assert [(o.original, o.want, o.state) for o in h.status.obligations] == [("10", "5", "Open")]
    await over(h)
    assert there(h) == 10


async def test_admission_that_refuses_half_way_ends_it_and_what_was_taken_away_comes_back() -> None:
    h = await half_way_down()
    h.cluster.refused.add(PATH)
    await h.settle(30)
    assert [(o.original, o.want, o.state) for o in h.status.obligations] == [("10", "5", "Open")]
    assert steps(h.status)[0] == ("scale", "Refused")
    h.cluster.refused.clear()
    await over(h)
    assert there(h) == 10
    assert h.status.owes == 0


async def test_an_autoscaler_that_comes_half_way_ends_it_and_half_of_it_comes_back() -> None:
    h = await half_way_down()
    target = {"kind": "Deployment", "name": "api"}
    hpa = {"metadata": {"name": "api", "namespace": "shop"}, "spec": {"scaleTargetRef": target, "maxReplicas": 9}}
    h.cluster.add("horizontalpodautoscalers", hpa)
    await h.settle(30)
    assert asked(h) == [5]
    assert [(o.original, o.want, o.state) for o in h.status.obligations] == [("10", "5", "Open")]
    await over(h)
    assert there(h) == 10


async def test_the_number_changed_later_is_theirs_and_nothing_is_written_again() -> None:
    h = await opened(ONE, WAIT)
    await h.settle(20)
    h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 4}})
    await h.settle(60)
    assert h.status.phase == "Escalated"
    assert "spec.replicas of Deployment shop/api" in h.status.message
    await over(h)
    assert (there(h), asked(h)) == (4, [5, 3, 2, 1])


async def test_down_to_zero_and_back_though_nobody_tells_any_more_who_scaled_it() -> None:
    h = await opened(ZERO)
    await h.settle(20)
    assert asked(h) == [5, 3, 2, 1, 0]
    assert h.status.phase == "Fixing", "nobody has taken it over"
    await over(h)
    assert asked(h)[-1] == 10
    assert [o.state for o in h.status.obligations] == ["Paid"]


async def test_what_was_at_zero_once_is_still_scaled_and_brought_back() -> None:
    h = await opened(ZERO)
    await h.settle(20)
    await over(h)
    h.alert_state = "Firing"
    h.policy = h.cluster.edit("remediationpolicies", "shop", "api", {"spec": {"ladder": [{"scale": {"replicas": 12}}]}})
    h.clock.advance(4000)
    await h.open(next(iter(h.book.all())).uid)
    await h.settle_all(20)
    assert there(h) == 12
    assert h.statuses()[1].phase == "Fixing"
    h.alert_state = "Cleared"
    await h.settle_all(4000)
    assert there(h) == 10


async def test_a_person_who_switches_it_on_again_has_it() -> None:
    h = await opened(ZERO, WAIT)
    await h.settle(20)
    h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 3}})
    await h.settle(60)
    await over(h)
    assert there(h) == 3
    assert [o.state for o in h.status.obligations] == ["Lost"]


async def test_without_the_right_to_zero_nothing_is_written() -> None:
    h = await opened(ZERO, WAIT)
    h.cluster.denied.add("zero deployments/scale")
    await h.settle(20)
    assert asked(h) == []
    first = h.status.steps[0]
    assert first.outcome == "Refused"
    assert "zero deployments/scale.apps" in first.message
    assert "component scale-to-zero" in first.message


@pytest.mark.parametrize("least", ["50%", 3])
async def test_min_available_holds_it(least: int | str) -> None:
    h = await opened(ONE, WAIT, minAvailable=least)
    await h.settle(20)
    assert asked(h) == []
    assert "limits.minAvailable" in h.status.steps[0].message


async def test_a_live_policy_that_says_up_does_not_allow_a_pinned_down() -> None:
    h = await opened(ONE, WAIT)
    ladder = [{"scale": {"replicas": 20}}, WAIT]
    h.policy = h.cluster.edit("remediationpolicies", "shop", "api", {"spec": {"ladder": ladder}})
    await h.settle(20)
    assert asked(h) == []
    assert "does not allow scale any more" in h.status.steps[0].message


async def test_a_later_rung_up_brings_back_some_and_the_rest_comes_back_at_the_end() -> None:
    h = await opened(ONE, {"scale": {"replicas": 4}})
    await h.settle(90)
    assert asked(h) == [5, 3, 2, 1, 4]
    assert [(o.original, o.want) for o in h.status.obligations if o.state == "Open"] == [("10", "4")]
    await over(h)
    assert there(h) == 10


async def test_another_policy_does_not_bring_back_what_was_taken_away_on_purpose() -> None:
    h = Harness(named("down", {**ONE, "timeout": "20s"}, {"escalate": {}}), deployment(10), "deployments")
    h.cluster.edit("remediationpolicies", "shop", "down", {"spec": {"limits": ANY | {"cooldown": "0s"}}})
    await h.start()
    await h.open()
    await h.settle_all(60)
    assert there(h) == 1
    await joined(h, named("up", {"scale": {"replicas": 8}}))
    await h.settle_all(60)
    second = h.statuses()[1]
    assert there(h) == 1
    assert "has scaled Deployment shop/api down" in second.steps[0].message
    h.alert_state = "Cleared"
    await h.settle_all(400)
    assert there(h) == 10
    assert [s.owes for s in h.statuses()] == [0, 0]


async def test_the_debt_of_who_raised_it_before_is_taken_over_also_while_it_goes_down() -> None:
    h = Harness(
        named("up", {"scale": {"replicas": 8}, "timeout": "10s"}, {"escalate": {}}), deployment(3), "deployments"
    )
    await h.start()
    await h.open()
    await h.settle_all(40)
    down = named("down", ONE)
    down["spec"]["limits"] |= ANY
    await joined(h, down)
    await h.settle_all(40)
    first, second = h.statuses()
    assert asked(h) == [8, 4, 2, 1]
    assert [o.state for o in first.obligations] == ["Void"]
    assert [(o.original, o.want, o.state) for o in second.obligations] == [("3", "1", "Open")]
    h.alert_state = "Cleared"
    await h.settle_all(400)
    assert there(h) == 3


@pytest.mark.parametrize(("original", "want"), [("10000", "10"), ("11", "10")])
async def test_a_forged_debt_raises_nothing_where_the_policy_takes_nothing_away(original: str, want: str) -> None:
    h = await opened({"scale": {"replicas": 10}}, replicas=3)
    await h.settle(20)
    status: dict[str, Any] = next(h.cluster.all("incidents"))["status"]
    status["obligations"][0] |= {"original": original, "want": want}
    await h.start()
    await over(h)
    assert max(asked(h)) == 10


async def test_an_incident_of_another_namespace_does_not_keep_anybody_from_scaling_up() -> None:
    h = await opened({"scale": {"replicas": 12}})
    owed = {
        "key": f"{h.target['metadata']['uid']}:spec.replicas", "kind": "ScaleBack", "subresource": "scale",
        "object": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "api",
                   "uid": h.target["metadata"]["uid"]},
        "field": "spec.replicas", "original": "20", "want": "10", "state": "Open",
    }  # fmt: skip
    forge(h, obligations=[owed], owes=1)
    await h.start()
    await h.settle(20)
    assert there(h) == 12


async def test_in_mode_observe_nothing_is_written_and_the_whole_way_is_told() -> None:
    h = Harness(policy(ONE, mode="Observe", limits=ANY), deployment(10), "deployments")
    await h.start()
    await h.open()
    await h.settle(10)
    assert asked(h) == []
    assert "would scale Deployment shop/api down from 10 to 1 replicas, by halves" in h.status.message


async def test_a_rollout_goes_to_zero_and_comes_back() -> None:
    target = {"kind": "Rollout", "name": "api"}
    h = Harness(policy(ZERO, target=target, limits=ANY), rollout(), "rollouts")
    await h.start()
    await h.open()
    await h.settle(20)
    written = [(path, body["spec"]["replicas"]) for _, path, _, body in h.cluster.writes if path.startswith("rollouts")]
    assert written == [("rollouts/shop/api/scale", 2), ("rollouts/shop/api/scale", 1), ("rollouts/shop/api/scale", 0)]
    assert steps(h.status) == [("scale", None)]
    await over(h)
    assert (there(h), h.status.phase, [o.state for o in h.status.obligations]) == (3, "Resolved", ["Paid"])


@pytest.mark.parametrize("denied", ["zero rollouts/scale", "patch rollouts/scale"])
async def test_a_rollout_does_not_go_to_zero_without_the_right(denied: str) -> None:
    target = {"kind": "Rollout", "name": "api"}
    h = Harness(policy(ZERO, WAIT, target=target, limits=ANY), rollout(), "rollouts")
    h.cluster.denied = {denied}
    await h.start()
    await h.open()
    await h.settle(20)
    assert (there(h), steps(h.status)[0]) == (3, ("scale", "Refused"))
    assert f"may not {denied}.argoproj.io in namespace shop" in h.status.steps[0].message
