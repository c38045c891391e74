"""Kill -9 is boring: at every write of a scenario the operator is killed, before and after the write takes effect."""

from __future__ import annotations

import pytest

from tests.support.harness import Harness, deployment, policy
from tests.support.toycluster import Killed

LADDER = ({"scale": {"replicas": 8}}, {"restart": {}})
WRITES_MAX = 60


async def scenario(kill_at: int | None, after: bool) -> tuple[Harness, bool]:
    """Scale does not help, the restart does; then the replicas go back."""
    h = Harness(policy(*LADDER), deployment(3), "deployments")
    await h.start()
    await h.open()
    h.cluster.kill_at = None if kill_at is None else h.cluster.attempts + kill_at
    h.cluster.kill_after = after
    killed = await h.settle_through_crashes(75)
    h.alert_state = "Cleared"
    killed |= await h.settle_through_crashes(120)
    return h, killed


def effects(h: Harness) -> list[str]:
    return [path for _, path, _, _ in h.cluster.writes if path.startswith("deployments")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_no_write_takes_effect_twice_and_every_debt_is_paid(after: bool) -> None:
    reference, _ = await scenario(None, after)
    assert effects(reference) == [
        "deployments/shop/api/scale",
        "deployments/shop/api",
        *2 * ["deployments/shop/api/scale"],
    ]
    points = 0
    for point in range(1, WRITES_MAX):
        h, killed = await scenario(point, after)
        if not killed:
            break
        points += 1
        assert effects(h) == effects(reference), f"killed at write {point}"
        assert h.live()["spec"]["replicas"] == 3, f"killed at write {point}"
        assert h.live()["metadata"]["generation"] == reference.live()["metadata"]["generation"]
        assert h.status.phase == "Resolved", f"killed at write {point}"
        assert h.status.owes == 0
    assert points >= 10


async def killed_before_the_write() -> Harness:
    """The intent to scale is written down, and the operator dies before it is carried out."""
    return await killed_before_the_write_of(0)


async def killed_before_the_write_of(rung: int) -> Harness:
    """The same of any rung."""
    for point in range(1, WRITES_MAX):
        h = Harness(policy(*LADDER), deployment(3), "deployments")
        await h.start()
        await h.open()
        h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + point, False
        try:
            await h.settle(75)
        except Killed:
            step = h.status.open_step()
            if step is not None and step.phase == "Intended" and step.rung == rung and len(effects(h)) == rung:
                h.cluster.kill_at = None
                return h
    raise AssertionError("never killed between intent and write")


@pytest.mark.parametrize("why", ["blind", "paused", "away"])
async def test_an_intent_that_could_not_be_carried_out_in_time_has_not_failed(why: str) -> None:
    h = await killed_before_the_write()
    h.knows = why != "blind"
    if why == "paused":
        h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"reason": "x"}})
    if why == "away":
        h.clock.advance(300)
    else:
        await h.start()
        await h.settle(300)
        assert [(s.action, s.phase) for s in h.status.steps] == [("scale", "Intended")], "held, not failed"
    h.knows = True
    for name in [p["metadata"]["name"] for p in h.cluster.all("pauses")]:
        h.cluster.remove("pauses", "shop", name)
    await h.start()
    await h.settle(30)
    assert effects(h) == ["deployments/shop/api/scale"]
    assert [(s.action, s.phase) for s in h.status.steps] == [("scale", "Acted")], "and it has its whole time to help"


async def test_an_intent_whose_write_gets_no_answer_fails_when_its_time_is_over() -> None:
    h = Harness(policy(*LADDER), deployment(3), "deployments")
    await h.start()
    await h.open()
    h.cluster.mute.add("deployments/shop/api/scale")
    await h.settle(75)
    assert [(s.action, s.outcome) for s in h.status.steps] == [("scale", "Failed"), ("restart", None)]
    assert [o.state for o in h.status.obligations] == ["Void"]


@pytest.mark.parametrize("paused", [False, True], ids=["free", "paused"])
@pytest.mark.parametrize("rung", [0, 1])
async def test_an_intent_whose_alert_is_over_before_it_was_carried_out_ends_and_what_is_owed_is_paid(
    rung: int, paused: bool
) -> None:
    h = await killed_before_the_write_of(rung)
    assert h.live()["spec"]["replicas"] == (8 if rung else 3)
    if paused:
        h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"reason": "x"}})
    done = effects(h)
    h.alert_state = "Cleared"
    await h.start()
    await h.settle(180)
    assert h.status.steps[rung].outcome == "NotTaken"
    assert (h.status.phase, h.status.owes) == ("Resolved", 0)
    assert h.live()["spec"]["replicas"] == 3
    assert effects(h)[len(done) :] == 2 * rung * ["deployments/shop/api/scale"], "nothing but the way back"
