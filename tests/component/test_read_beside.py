"""What is read, and asked for, beside each other before a decision about an incident that was opened just now."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from goldseam.errors import Unavailable
from goldseam.ports import Access
from goldseam.services.gather import Opened
from goldseam.services.live_policies import live_policy
from tests.component.test_deciding import SCALE, acted, just_opened
from tests.support.harness import Harness, deployment, policy


async def test_the_guardrails_are_read_once_for_a_decision() -> None:
    h, incident, asked = await just_opened()
    await h.look()
    before = asked.index(("patch", "guardrails"))  # how it counts, and what is spent
    assert asked[:before].count(("get", "guardrails")) == 1
    assert acted(h) == [incident.title]


def asked_for(h: Harness) -> list[tuple[str, str]]:
    """Each right that is asked for, as verb and resource, with what had been read by then of what a plan is made."""
    found: list[tuple[str, str]] = []
    allowed = h.cluster.allowed

    async def ask(access: Access) -> bool:
        found.append((access.verb, f"{access.resource}/{access.subresource}".rstrip("/")))
        await asyncio.sleep(0)
        return await allowed(access)

    h.cluster.allowed = ask  # type: ignore[method-assign]
    return found


async def test_rights_are_asked_for_beside_what_the_plan_is_made_from_and_once() -> None:
    h, incident, _ = await just_opened()
    rights, reading = asked_for(h), h.cluster.list

    async def read(*args: Any, **options: Any) -> Any:
        while not rights:
            await asyncio.sleep(0)
        return await reading(*args, **options)

    h.cluster.list = read  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        await h.look()
    assert rights == [("patch", "deployments")]
    assert acted(h) == [incident.title]


async def test_a_right_that_is_missing_holds_though_it_was_asked_for_before_the_plan_was_known() -> None:
    h, _, _ = await just_opened()
    h.cluster.denied.add("deployments")
    await h.look()
    assert acted(h) == []
    assert h.status.steps[0].outcome == "Refused"
    assert "may not patch deployments.apps in namespace shop" in h.status.steps[0].message


async def test_what_the_plan_needs_beyond_what_was_foreseen_is_asked_for_too() -> None:
    h = Harness(policy(SCALE), deployment(), "deployments")
    aim = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}}
    spec = {**aim, "minReplicas": 2, "maxReplicas": 10}
    h.cluster.add("horizontalpodautoscalers", {"metadata": {"name": "api", "namespace": "shop"}, "spec": spec})
    await h.start()
    await h.open(begun=False)
    uid = h.book.all()[0].uid
    h.looker.newly.opened(uid, Opened(h.clock.monotonic(), live_policy("RemediationPolicy", h.policy), h.target))
    h.cluster.denied.add("horizontalpodautoscalers")
    rights = asked_for(h)
    await h.look()
    assert rights == [("patch", "deployments/scale"), ("patch", "horizontalpodautoscalers")]
    assert acted(h) == []


async def test_rights_that_could_not_be_asked_for_hold_and_are_asked_for_anew_by_the_next_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    h, incident, _ = await just_opened()
    allowed = h.cluster.allowed

    async def away(_: Access) -> bool:
        raise Unavailable("HTTP 503")

    monkeypatch.setattr(h.cluster, "allowed", away)
    await h.look()
    assert (acted(h), [hold.guard for hold in h.status.holds]) == ([], ["permission"])
    monkeypatch.setattr(h.cluster, "allowed", allowed)
    await h.look()
    assert acted(h) == [incident.title]
