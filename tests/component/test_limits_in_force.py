"""Guardrails as they change, break and vanish: what holds, and that it is said."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from goldseam.engine.alerts import ActiveAlert
from goldseam.services.inbox import Inbox, Seen
from goldseam.services.registrar import Registrar, Tell
from tests.support.harness import NAMESPACE, Harness, deployment, policy

SCALE = {"scale": {"replicas": 8}}


async def ready(guardrails: dict[str, Any] | None = None, labels: dict[str, str] | None = None) -> Harness:
    h = Harness(policy(SCALE), deployment(3), "deployments")
    h.cluster.add("namespaces", {"metadata": {"name": "shop", "labels": labels or {}}})
    if guardrails is not None:
        h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, **guardrails})
    await h.start()
    return h


async def lived(h: Harness) -> Harness:
    await h.open()
    await h.settle(20)
    return h


def reasons(h: Harness) -> list[str]:
    return [hold.reason for hold in h.status.holds]


async def test_without_guardrails_the_defaults_hold() -> None:
    h = await lived(await ready())
    assert h.live()["spec"]["replicas"] == 8


async def test_a_misspelt_field_keeps_the_last_valid_limits_in_force() -> None:
    effective = {"namespaces": [{"selector": {"matchLabels": {"tier": "1"}}, "maxMode": "Observe"}]}
    typo = {"namespaces": [{"selector": {"matchLabels": {"tier": "1"}}, "maxMod": "Observe"}]}
    h = await lived(await ready({"spec": typo, "status": {"effective": effective}}, {"tier": "1"}))
    assert h.live()["spec"]["replicas"] == 3
    assert h.status.steps[0].outcome == "Observed"


async def test_invalid_limits_of_which_no_valid_ones_are_known_stop_everything() -> None:
    h = await lived(await ready({"spec": {"budget": {}}}))
    assert h.live()["spec"]["replicas"] == 3
    assert reasons(h) == ["NotRead"]
    assert "guardrails/cluster" in h.status.holds[0].message


async def test_a_ceiling_lowers_the_mode_of_its_namespaces_only() -> None:
    ceiling = [{"selector": {"matchLabels": {"tier": "1"}}, "maxMode": "Propose"}]
    h = await lived(await ready({"spec": {"namespaces": ceiling}}, {"tier": "1"}))
    assert h.status.phase == "AwaitingApproval"
    free = await lived(await ready({"spec": {"namespaces": ceiling}}, {"tier": "2"}))
    assert free.live()["spec"]["replicas"] == 8


async def test_an_action_that_the_namespace_does_not_allow_is_refused() -> None:
    ceiling = [{"selector": {"matchLabels": {"tier": "1"}}, "allowedActions": ["restart"]}]
    h = await lived(await ready({"spec": {"namespaces": ceiling}}, {"tier": "1"}))
    assert h.status.steps[0].outcome == "Refused"
    assert "these actions only: restart" in h.status.steps[0].message


@pytest.mark.parametrize(("start", "end", "acts"), [("11:00", "13:00", True), ("13:00", "14:00", False)])
async def test_outside_the_windows_nothing_is_done_and_inside_it_is(start: str, end: str, acts: bool) -> None:
    h = await lived(await ready({"spec": {"windows": [{"name": "w", "start": start, "end": end}]}}))
    assert (h.live()["spec"]["replicas"] == 8) is acts
    assert reasons(h) == ([] if acts else ["OutsideWindow"])


async def test_what_is_owed_is_paid_outside_the_windows_and_in_a_freeze() -> None:
    h = await lived(await ready({"spec": {}}))
    freeze = {"name": "f", "start": "2026-11-20", "end": "2026-11-30", "reason": "x"}
    h.cluster.objects["guardrails", "", "cluster"]["spec"] = {"freezes": [freeze]}
    h.alert_state = "Cleared"
    await h.settle(60)
    assert h.live()["spec"]["replicas"] == 3


async def test_a_freeze_holds_and_says_why() -> None:
    freeze = {"name": "year-end", "start": "2026-11-20", "end": "2026-11-30", "reason": "nobody is there"}
    h = await lived(await ready({"spec": {"freezes": [freeze]}}))
    assert reasons(h) == ["Frozen"]
    assert "nobody is there" in h.status.holds[0].message


async def test_guardrails_that_are_deleted_come_back_with_the_ledger() -> None:
    h = await lived(await ready())
    h.cluster.remove("guardrails", "", "cluster")
    await h.ledger.spend("RemediationPolicy/shop/other", "Deployment/shop/other", h.clock.now())
    ledger = h.cluster.objects["guardrails", "", "cluster"]["status"]["ledger"]
    assert {entry["policy"] for entry in ledger} == {"RemediationPolicy/shop/api", "RemediationPolicy/shop/other"}


async def test_an_alert_storm_stops_the_acting_survives_a_restart_and_re_arms() -> None:
    h = await ready()
    at = h.clock.now()
    h.firing = [
        ("default", ActiveAlert({"alertname": f"A{n}", "namespace": f"n{n}"}, {}, "firing", at)) for n in range(10)
    ]
    await h.open()
    await h.settle(20)
    assert h.live()["spec"]["replicas"] == 3
    assert reasons(h) == ["AlertStorm"]
    assert h.cluster.objects["guardrails", "", "cluster"]["status"]["storm"]["state"] == "Tripped"
    await h.start()
    await h.settle(20)
    assert h.live()["spec"]["replicas"] == 3
    await h.settle(5 * 60 + 11 * 60)
    assert h.live()["spec"]["replicas"] == 8
    assert h.cluster.objects["guardrails", "", "cluster"]["status"]["storm"]["state"] == "Armed"


class Nobody:
    """What the registrar does not need for Guardrails."""


def registrar(h: Harness, inbox: Inbox) -> Registrar:
    nobody: Any = Nobody()
    tell = Tell(heard=nobody, changed=lambda *_: None, restored=h.ledger.restored)
    return Registrar(inbox, nobody, nobody, nobody, nobody, nobody, tell, NAMESPACE)


async def test_deleted_guardrails_come_back_at_once_with_what_was_spent() -> None:
    h = await acted()
    ledger = guardrails_status(h)["ledger"]
    assert len(ledger) == 1
    h.cluster.remove("guardrails", "", "cluster")
    inbox = Inbox()
    inbox.put(Seen("Guardrails", "", "cluster", None))
    running = asyncio.create_task(registrar(h, inbox).run())
    for _ in range(100):
        await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
    assert guardrails_status(h)["ledger"] == ledger


async def test_guardrails_that_somebody_made_again_get_the_ledger_and_keep_their_spec() -> None:
    h = await acted()
    ledger = guardrails_status(h)["ledger"]
    spec = {"retention": {"age": "168h"}}
    h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": spec})
    await h.ledger.restored()
    assert guardrails_status(h)["ledger"] == ledger
    assert h.cluster.objects["guardrails", "", "cluster"]["spec"] == spec


async def test_a_ledger_that_is_written_already_is_not_written_over() -> None:
    h = await acted()
    newer = [{"policy": "p", "target": "Deployment/a/b", "last": "2026-11-23T12:00:00Z", "count": 5}]
    h.cluster.edit("guardrails", "", "cluster", {"status": {"ledger": newer}})
    await h.ledger.restored()
    assert guardrails_status(h)["ledger"] == newer


async def acted() -> Harness:
    return await lived(await ready())


def guardrails_status(h: Harness) -> dict[str, Any]:
    found: dict[str, Any] = h.cluster.objects["guardrails", "", "cluster"]["status"]
    return found


@pytest.mark.parametrize(("allowed", "outcomes"), [(0, ["Refused"]), (3, [])])
async def test_a_restart_reads_the_disruption_budgets_of_its_namespace(allowed: int, outcomes: list[str]) -> None:
    target = deployment(3)
    target["spec"]["strategy"] = {"type": "Recreate"}
    h = Harness(policy({"restart": {}}, limits={"minAvailable": 0}), target, "deployments")
    pdb = {"spec": {"selector": {}}, "status": {"disruptionsAllowed": allowed, "observedGeneration": 1}}
    h.cluster.add("poddisruptionbudgets", {"metadata": {"namespace": "shop", "name": "all", "generation": 1}, **pdb})
    await h.start()
    await lived(h)
    assert [step.outcome for step in h.status.steps if step.outcome == "Refused"] == outcomes
