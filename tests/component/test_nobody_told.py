"""Where there is no way to anybody it is never said that people were told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from goldseam.api.runbook import RunbookSpec
from goldseam.cli import looking
from goldseam.cli.session import Session
from goldseam.errors import Invalid
from tests.support.harness import Harness, deployment, policy

HOOK = {"webhook": {"url": "http://example.com/hook"}}


def runbook(*channels: Any) -> RunbookSpec:
    return RunbookSpec.model_validate(
        {
            "contacts": [{"name": "oncall", "channels": list(channels)}],
            "levels": [{"name": "Primary", "contact": "oncall"}],
        }
    )


async def escalated(known: RunbookSpec | None, *refuse: str) -> Harness:
    """With a ladder that is used up; the channels whose places are given refuse for good."""
    h = Harness(policy({"restart": {}, "timeout": "10s"}), deployment(), "deployments", runbook=known)
    asked = iter(range(8))

    async def post(*_: object) -> None:
        if str(next(asked)) in refuse:
            raise Invalid("HTTP 400")

    h.people.post = post  # type: ignore[method-assign]
    await h.open()
    await h.settle(60, lambda status: status.phase == "Escalated")
    await h.settle(10, lambda status: status.escalations[0].notified is not None)
    return h


async def shown(h: Harness) -> str:
    said: list[str] = []
    notified = h.status.escalations[0].notified
    assert notified is not None
    later = notified + timedelta(minutes=5)
    session = Session(h.cluster, "shop", said.append, None, lambda: later, None)  # type: ignore[arg-type]
    await looking.show(session, str(next(h.cluster.all("incidents"))["metadata"]["name"]))
    return "\n".join(said)


@pytest.mark.parametrize(
    ("known", "who"),
    [(None, "no contact has a channel for it"), (runbook(), "contact oncall has no channel")],
)
async def test_without_a_channel_and_an_alertmanager_the_incident_says_that_nobody_could_be_told(
    known: RunbookSpec | None, who: str
) -> None:
    h = await escalated(known)
    (escalation,) = h.status.escalations
    why = f"nobody could be told: {who}, and no Alertmanager is named; it stands in an Event only"
    assert (escalation.problem, escalation.reached_nobody) == (why, True)
    assert [e.message for e in h.status.timeline if e.kind == "NobodyTold"] == [f"ladderExhausted: {why}"]
    assert f"NOT told 5m ago ({why}): " in await shown(h)


async def test_who_has_a_channel_was_told() -> None:
    h = await escalated(runbook(HOOK))
    assert (h.status.escalations[0].problem, h.status.escalations[0].reached_nobody) == ("", False)
    assert "Primary told 5m ago" in await shown(h)
    assert not [e for e in h.status.timeline if e.kind == "NobodyTold"]


async def test_nobody_was_told_where_every_channel_refuses_for_good() -> None:
    h = await escalated(runbook(HOOK, HOOK), "0", "1")
    assert h.status.escalations[0].problem == (
        "nobody could be told; it stands in an Event only: oncall: HTTP 400; oncall: HTTP 400"
    )
    assert "Primary NOT told 5m ago" in await shown(h)


async def test_who_was_told_by_one_channel_of_two_was_told() -> None:
    h = await escalated(runbook(HOOK, HOOK), "0")
    assert (h.status.escalations[0].problem, h.status.escalations[0].reached_nobody) == ("oncall: HTTP 400", False)
    assert "Primary told 5m ago" in await shown(h)


@pytest.mark.parametrize("kind", ["runbooks", "alertsources"])
async def test_what_would_name_people_and_is_not_known_yet_is_waited_for(kind: str) -> None:
    h = Harness(policy({"restart": {}, "timeout": "10s"}), deployment(), "deployments")
    name = "default"
    h.cluster.add(kind, {"metadata": {"name": name}, "spec": {}})
    h.delivery.brought = lambda _: kind != "alertsources"
    await h.open()
    await h.settle(60, lambda status: status.phase == "Escalated")
    await h.settle(10, lambda status: bool(status.escalations[0].problem))
    (escalation,) = h.status.escalations
    assert escalation.notified is None, "it is owed still"
    assert "which may name who is told, is not known yet" in escalation.problem
