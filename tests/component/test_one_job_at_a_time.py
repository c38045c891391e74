"""Of one CronJob one Job of ours at a time, however many incidents want it, for whatever targets, and whoever dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from goldseam.engine import naming
from goldseam.ports import Json
from tests.component.test_jobs import JOB, NEXT, RESTORE, made, opened, released
from tests.support.harness import Harness, deployment, policy


async def two(*ladder: Json) -> Harness:
    """Two incidents about two workloads, whose policies run the same CronJob."""
    free = {"limits": {"concurrent": 5, "cooldown": "0s"}}
    h = await opened(*ladder, **free)
    h.target = h.cluster.add("deployments", deployment(3, name="web"))
    second = policy(*ladder, target={"name": "web"}, serviceAccountName="remediator", **free)
    second["metadata"]["name"] = "web"
    h.policy = h.cluster.add("remediationpolicies", second)
    await h.open()
    return h


def uids(h: Harness) -> list[str]:
    return [obj["metadata"]["uid"] for obj in h.cluster.all("incidents")]


def running(h: Harness) -> list[Json]:
    return [job for job in h.cluster.all("jobs") if not job["spec"]["suspend"] and not job.get("status")]


def end_all(h: Harness) -> None:
    for job in running(h):
        job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}


async def at_once(h: Harness, looks: int, meanwhile: Callable[[], Any] = lambda: None) -> int:
    """Look at all incidents at the same time, again and again. The most Jobs that were ever at work together."""
    answered, most = h.cluster.get, 0

    async def slow(*args: Any) -> Json:
        await asyncio.sleep(0)
        return await answered(*args)

    h.cluster.get = slow  # type: ignore[method-assign]
    for _ in range(looks):
        h.controllers()
        await asyncio.gather(*(h.looker.look(uid) for uid in uids(h)))
        most = max(most, len(running(h)))
        meanwhile()
        h.clock.advance(1)
    h.cluster.get = answered  # type: ignore[method-assign]
    return most


async def test_two_incidents_that_look_at_the_same_time_run_one_after_the_other() -> None:
    h = await two({**JOB, "timeout": "60s"}, NEXT)
    assert await at_once(h, 20) == 1
    assert len(made(h)) == 1
    (waits,) = (status for status in h.statuses() if not status.steps)
    assert waits.holds[0].reason in ("OtherIncident", "JobRunning")
    assert await at_once(h, 40, lambda: end_all(h)) == 1
    assert len(released(h)) == 2


async def test_where_two_were_written_down_already_one_goes_and_then_the_other() -> None:
    h = await two({**JOB, "timeout": "60s"}, NEXT)
    hide = h.book.others
    h.book.others = lambda mine: ()  # type: ignore[method-assign]
    h.looker.gatherer._others = h.book.others  # an earlier version, which asks nobody
    h.cluster.stale.update(f"jobs/shop/postgres-restore-{naming.token(uid, '1-job')}" for uid in uids(h))
    await at_once(h, 1)
    assert [status.open_step() is not None for status in h.statuses()] == [True, True]
    h.book.others = hide  # type: ignore[method-assign]
    await h.start()
    assert await at_once(h, 20) == 1
    assert await at_once(h, 40, lambda: end_all(h)) == 1
    assert len(released(h)) == 2


def approve_all(h: Harness) -> None:
    for obj in list(h.cluster.all("incidents")):
        waiting = [a for a in obj["status"].get("approvals", []) if a["state"] == "Waiting"]
        for question in waiting:
            ref = {"name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}
            word = {"incidentRef": ref, "decision": "Approve", "by": "jane", "step": question["step"],
                    "planHash": question["planHash"]}  # fmt: skip
            name = f"word-{len(list(h.cluster.all('responses')))}"
            h.cluster.add("responses", {"metadata": {"name": name, "namespace": "shop"}, "spec": word})


async def test_a_destructive_one_that_was_approved_and_waits_for_the_other_is_not_asked_about_again() -> None:
    h = await two({**RESTORE, "timeout": "60s"}, NEXT)
    await at_once(h, 5)
    assert [len(status.approvals) for status in h.statuses()] == [1, 1]
    approve_all(h)
    assert await at_once(h, 20) == 1
    assert await at_once(h, 40, lambda: end_all(h)) == 1
    assert len(released(h)) == 2
    assert [len(status.approvals) for status in h.statuses()] == [1, 1]


@pytest.mark.parametrize("theirs", [{**JOB}, {"job": {"cronJob": "another"}}], ids=["the same", "another"])
async def test_before_one_is_made_no_late_leader_can_write_an_intent_to_make_one(theirs: Json) -> None:
    h = await two(JOB)
    mine, other = uids(h)
    h.cluster.edit("incidents", "shop", names(h)[1], {"status": {"policySnapshot": {"spec": {"ladder": [theirs]}}}})
    await h.start()
    h.looker.epoch = lambda: 7
    while not made(h):
        await h.looker.look(mine)
    stamped = {view.uid: view.status.epoch for view in h.book.all() if view.status is not None}
    assert (stamped[mine], stamped[other]) == (7, 7 if theirs == JOB else 1)


def names(h: Harness) -> list[str]:
    return [obj["metadata"]["name"] for obj in h.cluster.all("incidents")]
