"""Kill -9 is boring: at every write of a scenario the operator is killed, before and after the write takes effect."""

from __future__ import annotations

import pytest

from tests.support.harness import Harness, deployment, policy

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
