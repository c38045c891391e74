"""What an AlertSource says of its Alertmanagers: who is away, and whether they take the page gate's silences."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.services.alertmanagers import Alertmanagers
from goldseam.services.sources import Listening, Source
from goldseam.services.statuses import Statuses
from tests.support.alertmanager import FakeAlertmanager
from tests.support.harness import VirtualClock
from tests.support.toycluster import ToyCluster

AWAY = {"AlertmanagerReachable": ("False", "Unreachable", "http://am: no answer")}
HERE = {"AlertmanagerReachable": ("True", "Answers", "all of them answer")}
UNTRIED = {"PageGate": ("Unknown", "NotTried", "no silence was needed yet")}


class Stage:
    """One source, and what its object says."""

    def __init__(self, **spec: Any) -> None:
        self.clock, self.cluster = VirtualClock(), ToyCluster(now=lambda: "2026-11-23T12:00:00Z")
        whole = {"url": "http://p", "alertmanager": {"urls": ["http://am"]}} | spec
        self.server = FakeAlertmanager(self.clock)
        nothing: Any = None
        parsed = AlertSourceSpec.model_validate(whole)
        self.source = Source("default", parsed, nothing, nothing, self.clock, Listening(nothing))
        if parsed.alertmanager is not None:
            self.source.alertmanagers = Alertmanagers(parsed.alertmanager, [self.server], self.clock)
        self.obj = self.cluster.add("alertsources", {"metadata": {"name": "default"}, "spec": whole})
        self.statuses = Statuses(self.cluster, self.clock, nothing, nothing, nothing)

    @property
    def managers(self) -> Alertmanagers:
        assert self.source.alertmanagers is not None
        return self.source.alertmanagers

    async def says(self) -> dict[str, tuple[str, str, str]]:
        await self.statuses.source(self.obj, self.source)
        found = self.cluster.objects["alertsources", "", "default"]["status"]["conditions"]
        mine = [c for c in found if c["type"] in ("AlertmanagerReachable", "PageGate")]
        return {c["type"]: (c["status"], c["reason"], c["message"]) for c in mine}


async def test_a_source_without_alertmanager_says_nothing_of_one() -> None:
    assert await Stage(alertmanager=None).says() == {}


async def test_one_that_answers_and_has_not_been_needed_is_said_to_be_so() -> None:
    assert await Stage().says() == HERE | UNTRIED


async def test_one_that_is_away_is_named_with_its_error() -> None:
    stage = Stage()
    stage.server.down = "no answer"
    before = stage.managers.said
    await stage.managers.acquaint()
    assert stage.managers.said != before, "the object is written anew"
    assert await stage.says() == AWAY | UNTRIED


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ({"http://am": "HTTP 403"}, ("False", "Refused", "http://am: HTTP 403")),
        ({}, ("True", "Kept", "the last silence was taken")),
    ],
)
async def test_whether_the_last_silence_was_taken_is_said(refused: dict[str, str], said: tuple[str, str, str]) -> None:
    stage = Stage()
    stage.managers.gated, stage.managers.refused = True, refused
    assert (await stage.says())["PageGate"] == said


async def test_a_gate_that_people_disabled_is_said_to_be_so() -> None:
    found = await Stage(pageGate="Disabled").says()
    assert found["PageGate"] == ("False", "Disabled", "spec.pageGate is Disabled")
