"""What is over goes in the end, and what was lost is said: on a toy cluster."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from goldseam.engine.views import view
from goldseam.errors import Conflict
from goldseam.ports import Json, Resource
from goldseam.services.retention import AT_ONCE, Retention
from goldseam.services.sweep import unrecorded
from tests.support.harness import Harness, deployment, policy

SCALE = {"scale": {"replicas": 8}}
DAYS_8 = timedelta(days=8)
DAYS_31 = timedelta(days=31)


async def healed() -> Harness:
    """One incident that acted and is over, with everything paid."""
    h = Harness(policy(SCALE, mode="Act"), deployment(3), "deployments")
    await h.start()
    await h.open()
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(4_000)
    assert h.status.closed_at is not None
    return h


def limits(h: Harness, **retention: Any) -> None:
    h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": {"retention": retention}})


def left(h: Harness) -> int:
    return len(list(h.cluster.all("incidents")))


async def test_an_incident_goes_after_its_age_and_not_before() -> None:
    h = await healed()
    tidy = Retention(h.cluster, h.clock)
    h.clock.moment += DAYS_8
    assert (await tidy.round(), left(h)) == (0, 1)
    h.clock.moment += DAYS_31
    assert (await tidy.round(), left(h)) == (1, 0)


async def test_it_tidies_as_soon_as_it_is_started() -> None:
    h = await healed()
    h.clock.moment += DAYS_31
    tidying = asyncio.create_task(Retention(h.cluster, h.clock).run())
    for _ in range(100):
        await asyncio.sleep(0)
    assert not tidying.done()
    tidying.cancel()
    assert left(h) == 0


async def test_an_incident_that_was_never_begun_goes_after_the_same_age() -> None:
    h = await healed()
    one = next(h.cluster.all("incidents"))
    meta = {"name": "never-begun", "namespace": "shop", "uid": "never-begun"}
    h.cluster.add("incidents", {key: value for key, value in one.items() if key != "status"} | {"metadata": meta})
    h.clock.moment += DAYS_8
    assert (await Retention(h.cluster, h.clock).round(), left(h)) == (0, 2)
    h.clock.moment += DAYS_31
    assert (await Retention(h.cluster, h.clock).round(), left(h)) == (2, 0)


async def test_an_age_of_the_guardrails_counts() -> None:
    h = await healed()
    limits(h, age="168h")
    h.clock.moment += DAYS_8
    assert await Retention(h.cluster, h.clock).round() == 1


async def test_with_limits_that_cannot_be_read_nothing_is_deleted() -> None:
    h = await healed()
    limits(h, age="an hour")
    h.clock.moment += DAYS_31
    assert (await Retention(h.cluster, h.clock).round(), left(h)) == (0, 1)


async def test_what_owes_something_stays() -> None:
    h = Harness(policy(SCALE, mode="Act"), deployment(3), "deployments")
    await h.start()
    await h.open()
    await h.settle(20)
    h.clock.moment += DAYS_31
    assert (await Retention(h.cluster, h.clock).round(), left(h)) == (0, 1)


async def test_an_incident_that_was_replaced_meanwhile_stays_and_the_round_goes_on() -> None:
    h = await healed()
    h.clock.moment += DAYS_31
    really, tried = h.cluster.delete, list[str]()

    async def replaced(resource: Resource, namespace: str, name: str, uid: str) -> None:
        tried.append(resource.plural)
        if resource.plural == "incidents":
            raise Conflict("uid")
        await really(resource, namespace, name, uid)

    h.cluster.delete = replaced  # type: ignore[method-assign]
    h.cluster.add("responses", {"metadata": {"name": "old", "namespace": "shop"}, "spec": {}})
    h.clock.moment += DAYS_31
    await Retention(h.cluster, h.clock).round()
    assert tried == ["incidents", "responses"]
    assert list(h.cluster.all("responses")) == []


async def test_a_response_goes_with_the_age_of_incidents() -> None:
    h = await healed()
    h.cluster.add("responses", {"metadata": {"name": "new", "namespace": "shop"}, "spec": {}})
    await Retention(h.cluster, h.clock).round()
    assert len(list(h.cluster.all("responses"))) == 1
    h.clock.moment += DAYS_31
    await Retention(h.cluster, h.clock).round()
    assert list(h.cluster.all("responses")) == []


async def test_a_round_is_bounded() -> None:
    h = await healed()
    one: Json = next(h.cluster.all("incidents"))
    for number in range(AT_ONCE + 5):
        meta = {"name": f"copy-{number}", "namespace": "shop", "uid": f"copy-{number}"}
        h.cluster.add("incidents", {**one, "metadata": meta})
    h.clock.moment += DAYS_31
    assert await Retention(h.cluster, h.clock).round() == AT_ONCE


@pytest.mark.parametrize("target_is_there", [True, False])
async def test_what_was_done_and_no_incident_tells_of_is_said_as_long_as_its_target_is_there(
    target_is_there: bool,
) -> None:
    h = await healed()
    known = [one for obj in h.cluster.all("incidents") if (one := view(obj)) is not None]
    assert await unrecorded(h.cluster, h.ledger.ledger, known) == []
    if not target_is_there:
        h.cluster.remove("deployments", "shop", "api")
    lost = await unrecorded(h.cluster, h.ledger.ledger, [])
    assert len(lost) == int(target_is_there)
    assert all(
        "on Deployment shop/api for RemediationPolicy shop/" in text and "put back by hand" in text for text in lost
    )


async def test_an_incident_that_was_restored_without_its_status_tells_of_nothing() -> None:
    h = await healed()
    restored = [{**obj, "status": None} for obj in h.cluster.all("incidents")]
    known = [one for obj in restored if (one := view(obj)) is not None]
    assert len(await unrecorded(h.cluster, h.ledger.ledger, known)) == 1


async def test_the_ledger_comes_back_into_guardrails_that_were_pruned() -> None:
    h = await healed()
    before = next(h.cluster.all("guardrails"))["status"]["ledger"]
    h.cluster.remove("guardrails", "", "cluster")
    await h.start()
    assert next(h.cluster.all("guardrails"))["status"]["ledger"] == before
