"""A policy that is edited or deleted while its incident lives: at every phase, with what people read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.harness import Harness, deployment, policy

SCALE = {"scale": {"replicas": 8}}
RESTART = {"restart": {}}
PHASES = ["Investigating", "AwaitingApproval", "Fixing", "Monitoring", "Resolved", "Escalated"]


async def at(phase: str) -> Harness:
    """An incident in that phase."""
    asks = {"approval": {"rungs": ["scale"]}} if phase == "AwaitingApproval" else {}
    h = Harness(policy(SCALE, RESTART, **asks), deployment(3), "deployments")
    if phase == "Investigating":
        h.cluster.unreadable = {"horizontalpodautoscalers"}
    await h.start()
    await h.open()
    await h.settle(20)
    if phase in ("Monitoring", "Resolved"):
        h.alert_state = "Cleared"
        await h.settle(5 if phase == "Monitoring" else 15)
    if phase == "Escalated":
        h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 20}}, "kubectl-scale")
        await h.settle(10)
    assert h.status.phase == phase
    h.cluster.unreadable = set()
    return h


@pytest.mark.parametrize("phase", PHASES)
async def test_a_deleted_policy_ends_the_work_and_everything_is_paid(phase: str) -> None:
    h = await at(phase)
    h.cluster.remove("remediationpolicies", "shop", "api")
    steps = [s.id for s in h.status.steps if s.purpose == "Rung"]
    await h.settle(120)
    assert [s.id for s in h.status.steps if s.purpose == "Rung"] == steps, "no further rung"
    h.alert_state = "Cleared"
    await h.settle(120)
    assert h.status.closed_at is not None
    assert h.status.owes == 0
    assert h.live()["spec"]["replicas"] == (20 if phase == "Escalated" else 3)
    if phase != "Resolved":
        assert (h.status.phase, "the policy was deleted" in str(h.status.timeline)) == ("Abandoned", True)


@pytest.mark.parametrize("phase", PHASES)
async def test_an_invalid_edit_stops_new_work_and_pays(phase: str) -> None:
    h = await at(phase)
    h.cluster.edit("remediationpolicies", "shop", "api", {"spec": {"ladder": []}})
    steps = [s.id for s in h.status.steps if s.purpose == "Rung"]
    await h.settle(100)
    assert [s.id for s in h.status.steps if s.purpose == "Rung"] == steps
    if phase in ("Investigating", "AwaitingApproval", "Fixing"):
        assert "PolicyInvalid" in [hold.reason for hold in h.status.holds]
        assert "spec.ladder" in str([hold.message for hold in h.status.holds])
    h.alert_state = "Cleared"
    await h.settle(1200)
    assert h.status.owes == 0


@pytest.mark.parametrize("phase", PHASES)
async def test_an_edit_applies_to_the_next_incident_and_narrows_this_one(phase: str) -> None:
    h = await at(phase)
    wider: dict[str, Any] = {"ladder": [{"scale": {"replicas": 50}}], "approval": None}
    h.cluster.edit("remediationpolicies", "shop", "api", {"spec": wider})
    before = h.status.policy_snapshot
    await h.settle(100)
    assert h.live()["spec"]["replicas"] in ((20,) if phase == "Escalated" else (3, 8)), "never what was written later"
    assert h.status.policy_snapshot == before
    restarts = [(s.outcome, s.message) for s in h.status.steps if s.action == "restart"]
    assert all("does not allow restart any more" in message for _, message in restarts)
    assert len(restarts) == (phase in ("Investigating", "Fixing"))
    h.alert_state = "Cleared"
    await h.settle(1200)
    assert (h.status.owes, h.status.closed_at is not None) == (0, True)
    assert h.live()["spec"]["replicas"] == (20 if phase == "Escalated" else 3)
