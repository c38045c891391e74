"""A silence holds what has not begun, its time does not count, and the page gate comes before the first write."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from goldseam.engine.situation import Silence
from goldseam.engine.views import IncidentView
from tests.support.harness import Harness, deployment, policy

BY_JANE = Silence("Silenced", "silenced by jane")
UNKNOWN = Silence("Unknown", "whether people have silenced the alert is not known: no answer")


async def opened(*ladder: Any, **spec: Any) -> Harness:
    h = Harness(policy(*(ladder or ({"restart": {}},)), **spec), deployment(), "deployments")
    await h.start()
    await h.open()
    return h


def writes(h: Harness) -> int:
    return sum(path.startswith("deployments") for _, path, _, _ in h.cluster.writes)


def reasons(h: Harness) -> list[str]:
    return [hold.reason for hold in h.status.holds]


async def test_a_silence_that_comes_after_the_incident_and_before_the_act_holds_until_it_ends() -> None:
    h = await opened()
    refresh = h.looker.refresh

    async def silenced_meanwhile(name: str, namespace: str) -> None:  # the last thing before the decision that counts
        h.silence = BY_JANE
        await refresh(name, namespace)

    h.looker.refresh = silenced_meanwhile
    await h.settle(60)
    assert (reasons(h), writes(h)) == (["Silenced"], 0)
    assert h.status.holds[0].message == "silenced by jane"
    h.looker.refresh, h.silence = refresh, Silence("Active")
    await h.settle(60, lambda status: bool(status.steps))
    assert writes(h) == 1


async def test_time_that_is_silenced_does_not_count_towards_calling_people() -> None:
    h = await opened(escalateAfter="10m")
    h.silence = BY_JANE
    await h.settle(3600)
    assert h.status.escalations == []
    assert h.status.paused_since is not None
    assert h.clock.now() - h.status.paused_since > timedelta(minutes=55)


async def test_an_alertmanager_that_cannot_be_asked_holds_and_people_are_told_of_it() -> None:
    h = await opened(unknownTimeout="5m")
    h.silence = UNKNOWN
    await h.settle(290)
    assert (reasons(h), writes(h), h.status.escalations) == (["SilenceUnknown"], 0, [])
    await h.settle(60)
    assert [e.threshold for e in h.status.escalations] == ["heldTooLong"]
    assert writes(h) == 0


async def test_a_silence_of_people_is_told_to_nobody_however_long_it_lasts() -> None:
    h = await opened(unknownTimeout="5m")
    h.silence = BY_JANE
    await h.settle(1200)
    assert h.status.escalations == []


class Watching:
    """A page gate that notes how far things were when it was asked to close."""

    def __init__(self, h: Harness) -> None:
        self.h = h
        self.before: list[tuple[str, int]] = []
        self.phases: list[str] = []
        h.looker.gate = self  # type: ignore[assignment]

    async def before_acting(self, incident: IncidentView) -> None:
        assert incident.status is not None
        self.before.append((incident.status.phase, writes(self.h)))

    def looked(self, incident: IncidentView) -> None:
        assert incident.status is not None
        self.phases.append(incident.status.phase)

    def forget(self, uid: str) -> None:
        self.phases.append("gone")


async def test_the_gate_is_closed_after_the_intent_and_before_the_first_write() -> None:
    h = await opened()
    watching = Watching(h)
    await h.settle(10, lambda status: bool(status.steps))
    assert watching.before == [("Fixing", 0)]
    assert writes(h) == 1


async def test_the_gate_hears_of_every_look_and_of_the_end_and_not_of_undoing() -> None:
    h = await opened({"scale": {"replicas": 8}}, flapWindow="1s")
    watching = Watching(h)
    await h.settle(5)
    h.alert_state = "Cleared"
    await h.settle(120)
    assert len(watching.before) == 1, "nobody has to be kept from being called while a debt is paid"
    assert watching.phases[-1] == "gone"
    assert {"Fixing", "Monitoring", "Resolved"} <= set(watching.phases)
