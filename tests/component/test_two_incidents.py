"""Two incidents on one target: they take turns, and what was there before the first comes back in the end."""

from __future__ import annotations

from typing import Any

from goldseam.services.book import target_key
from tests.support.harness import Harness, deployment, policy

FREE = {"cooldown": "0s", "concurrent": 5}
SCALE = {"scale": {"replicas": 8}}
RESTART = {"restart": {}}


def named(name: str, *ladder: dict[str, Any], **spec: Any) -> dict[str, Any]:
    made = policy(*ladder, limits=FREE, **spec)
    made["metadata"]["name"] = name
    return made


async def opened(first: dict[str, Any]) -> Harness:
    h = Harness(first, deployment(3), "deployments")
    await h.start()
    await h.open()
    return h


async def joined(h: Harness, second: dict[str, Any]) -> None:
    h.policy = h.cluster.add("remediationpolicies", second)
    await h.open()


def handled(h: Harness) -> bool:
    """Whether an incident handles the target, so that none is opened for it."""
    incident = next(iter(h.book.all()))
    ref = incident.spec.policy_ref
    return h.book.handling(incident.policy, ref.uid, target_key(incident), h.clock.now()) is not None


async def test_an_alert_that_is_back_after_the_flap_window_is_handled_though_the_incident_still_owes() -> None:
    late = {"after": "10s", "revertAfter": "1h"}
    h = await opened(policy(SCALE, RESTART, limits=FREE, resolve=late, flapWindow="60s"))
    await h.settle_all(20)
    h.alert_state = "Cleared"
    await h.settle_all(40)
    assert (h.statuses()[0].phase, handled(h)) == ("Resolved", True)
    await h.settle_all(60)
    h.alert_state = "Firing"
    await h.settle_all(10)
    assert (h.statuses()[0].owes, handled(h)) == (1, False)
    await h.open(next(iter(h.book.all())).uid)
    await h.settle_all(120)
    first, second = h.statuses()
    assert (first.phase, first.reopened) == ("Resolved", 0)
    assert [(s.action, s.outcome) for s in second.steps] == [("scale", "NothingToDo"), ("restart", "Failed")]
    h.alert_state = "Cleared"
    await h.settle_all(4000)
    assert h.live()["spec"]["replicas"] == 3
    assert [s.owes for s in h.statuses()] == [0, 0]


async def test_the_incident_after_takes_over_what_the_one_before_still_owes() -> None:
    h = await opened(policy(SCALE, limits=FREE, resolve={"after": "10s", "revertAfter": "1h"}, flapWindow="60s"))
    await h.settle_all(20)
    h.alert_state = "Cleared"
    await h.settle_all(100)
    h.alert_state = "Firing"
    higher = {"spec": {"ladder": [{"scale": {"replicas": 12}}]}}
    h.policy = h.cluster.edit("remediationpolicies", "shop", "api", higher)
    await h.open(next(iter(h.book.all())).uid)
    await h.settle_all(30)
    first, second = h.statuses()
    assert [(o.original, o.want, o.state) for o in second.obligations] == [("3", "12", "Open")]
    assert [(o.state, "has taken it over" in o.message) for o in first.obligations] == [("Void", True)]
    h.alert_state = "Cleared"
    await h.settle_all(4000)
    assert h.live()["spec"]["replicas"] == 3


async def test_who_wrote_last_owes_the_first_value_whichever_incident_was_opened_first() -> None:
    h = await opened(named("z-first", {"wait": {"duration": "20s"}}, {"scale": {"replicas": 9}}))
    await h.settle_all(5)
    await joined(h, named("a-second", {"scale": {"replicas": 6}}))
    await h.settle_all(200)
    first, second = h.statuses()
    assert h.live()["spec"]["replicas"] == 9
    assert [(o.original, o.want, o.state) for o in first.obligations] == [("3", "9", "Open")]
    assert [o.state for o in second.obligations] == ["Void"]
    assert "has taken it over" in second.obligations[0].message
    h.alert_state = "Cleared"
    await h.settle_all(400)
    assert h.live()["spec"]["replicas"] == 3
    assert [s.owes for s in h.statuses()] == [0, 0]


async def test_a_debt_that_two_hold_after_a_refused_write_is_paid_once() -> None:
    h = await opened(named("z-first", {"wait": {"duration": "20s"}}, {"scale": {"replicas": 9}}))
    await h.settle_all(5)
    await joined(h, named("a-second", {"scale": {"replicas": 6}}))
    await h.settle_all(10)
    h.cluster.refused.add("deployments/shop/api/scale")
    await h.settle_all(200)
    assert h.live()["spec"]["replicas"] == 6
    assert sum(s.owes for s in h.statuses()) == 1
    h.cluster.refused.clear()
    h.alert_state = "Cleared"
    await h.settle_all(400)
    assert h.live()["spec"]["replicas"] == 3
    assert not [o for s in h.statuses() for o in s.obligations if o.state in ("Open", "Lost")]
    assert all(e.threshold != "takenOver" for s in h.statuses() for e in s.escalations)


async def test_an_incident_that_only_waits_or_observes_does_not_hold_the_other() -> None:
    for mode in ("Observe", "Act"):
        h = await opened(named("z-waits", {"wait": {"duration": "30m"}}, mode=mode))
        await h.settle_all(5)
        await joined(h, named("acts", SCALE))
        await h.settle_all(10)
        assert h.live()["spec"]["replicas"] == 8, mode
