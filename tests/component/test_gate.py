"""The page gate as a service: made before acting, renewed, ended, found again, and never in the way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from goldseam.api.alertsource import AlertmanagerSpec
from goldseam.api.incident import Escalation
from goldseam.engine.silences import KnownAlert
from goldseam.engine.views import IncidentView
from goldseam.services import gate as module
from goldseam.services.alertmanagers import Alertmanagers
from goldseam.services.gate import Gate
from tests.support.alertmanager import FakeAlertmanager
from tests.support.harness import VirtualClock
from tests.unit.test_gate import incident
from tests.unit.test_guards import NOW

ALERT = {"alertname": "A", "namespace": "shop"}


@dataclass
class Scene:
    """One source with its Alertmanagers, and operators that come and go."""

    clock: VirtualClock = field(default_factory=lambda: VirtualClock(NOW))
    servers: list[FakeAlertmanager] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.servers = self.servers or [FakeAlertmanager(self.clock, known=[KnownAlert(ALERT)])]
        self.operator()

    def operator(self) -> Gate:
        """A new operator: nothing is remembered."""
        spec = AlertmanagerSpec.model_validate({"urls": [server.url for server in self.servers]})
        self.managers = Alertmanagers(spec, self.servers, self.clock)
        source: Any = SimpleNamespace(
            name="default", alertmanagers=self.managers, spec=SimpleNamespace(page_gate="Enabled")
        )
        self.gate = Gate(lambda: [source], lambda _: source, lambda _: [ALERT], self.clock, self.note)
        self.source = source
        return self.gate

    def note(self, incident: IncidentView, reason: str, message: str) -> None:
        self.noted.append(reason)

    async def turn(self, seconds: float = 0, *looked: IncidentView) -> None:
        """Let time pass, look at incidents, and reconcile once."""
        self.clock.advance(seconds)
        for each in looked:
            self.gate.looked(each)
        await self.gate.turn()

    @property
    def server(self) -> FakeAlertmanager:
        return self.servers[0]


async def test_before_a_first_write_the_silence_is_there_and_names_the_incident() -> None:
    scene = Scene()
    await scene.gate.before_acting(incident())
    (made,) = scene.server.holding
    assert made.created_by == "goldseam:shop/heal-1"
    assert "Incident shop/heal-1" in made.comment
    assert {m.name: m.value for m in made.matchers} == ALERT | {"goldseam": ""}


async def test_before_a_second_write_nothing_is_asked_again() -> None:
    scene = Scene()
    await scene.gate.before_acting(incident())
    scene.server.asked.clear()
    await scene.gate.before_acting(incident())
    assert scene.server.asked == []


async def test_it_is_renewed_each_half_minute_under_its_id_for_as_long_as_it_heals() -> None:
    scene = Scene()
    await scene.gate.before_acting(incident())
    for _ in range(30):  # five minutes
        await scene.turn(10, incident())
        assert len(scene.server.holding) == 1
    assert len(scene.server.kept) == 1
    assert scene.server.asked.count("renew") in (10, 15)


async def test_people_can_see_on_the_incident_when_nobody_is_called_and_when_they_are_again() -> None:
    scene = Scene()
    await scene.gate.before_acting(incident())
    for _ in range(10):
        await scene.turn(10, incident())
    assert scene.noted == ["PageHeld"]
    scene.gate.looked(incident(phase="Escalated"))
    scene.gate.looked(incident(phase="Escalated"))
    assert scene.noted == ["PageHeld", "PageReleased"]
    await scene.turn(1)
    await scene.turn(1, incident())
    scene.gate.looked(incident(phase="Resolved"))
    assert scene.noted == ["PageHeld", "PageReleased", "PageHeld"], "of what is healed nobody needs to be told"


async def test_a_silence_that_is_no_longer_renewed_is_said_to_have_lapsed() -> None:
    scene = Scene()
    await scene.gate.before_acting(incident())
    scene.server.down = "connection refused"
    for _ in range(14):
        await scene.turn(10, incident())
    assert scene.noted == ["PageHeld", "PageReleased"]
    scene.server.down = ""
    await scene.turn(10, incident())
    assert scene.noted == ["PageHeld", "PageReleased", "PageHeld"]


async def test_where_no_silence_is_taken_nobody_is_said_not_to_be_called() -> None:
    scene = Scene()
    scene.server.refuses = "HTTP 403"
    await scene.gate.before_acting(incident())
    scene.gate.looked(incident(phase="Escalated"))
    assert scene.noted == []


async def test_it_lapses_two_minutes_after_the_last_look_however_long_the_loop_goes_on() -> None:
    scene = Scene()
    await scene.turn(0, incident())
    for _ in range(11):
        await scene.turn(10)
    assert len(scene.server.holding) == 1
    await scene.turn(15)
    assert scene.server.holding == []


@pytest.mark.parametrize(
    "now",
    [
        {"phase": "Escalated"},
        {"paused_since": NOW},
        {"phase": "Resolved"},
        {"escalations": [Escalation(threshold="escalateAfter", at=NOW)]},
    ],
)
async def test_it_is_ended_at_once_when_people_are_to_be_called(now: dict[str, Any]) -> None:
    scene = Scene()
    await scene.turn(0, incident())
    await scene.turn(1, incident(**now))
    assert scene.server.holding == []
    scene.server.asked.clear()
    await scene.turn(10)
    assert scene.server.asked == [], "nothing is left to look after"


async def test_it_is_ended_when_the_incident_is_gone() -> None:
    scene = Scene()
    await scene.turn(0, incident())
    scene.gate.forget("uid-1")
    await scene.turn(1)
    assert scene.server.holding == []


async def test_past_escalate_after_it_is_ended_without_another_look() -> None:
    scene = Scene()
    await scene.turn(0, incident({"escalateAfter": "6m"}))
    await scene.turn(61)
    assert scene.server.holding == []


async def test_another_operator_adopts_the_silence_under_its_id() -> None:
    scene = Scene()
    await scene.turn(0, incident())
    (before,) = scene.server.holding
    scene.operator()
    await scene.turn(60, incident())
    (after,) = scene.server.holding
    assert after.id == before.id
    assert after.ends_at > before.ends_at
    assert len(scene.server.kept) == 1


async def test_another_operator_ends_the_silence_of_an_incident_that_is_healed_no_more() -> None:
    scene = Scene()
    await scene.turn(0, incident())
    scene.operator()
    await scene.turn(5, incident(phase="Escalated"))
    assert scene.server.holding == []


async def test_the_silences_of_another_cluster_are_left_alone() -> None:
    scene = Scene()
    await scene.turn(0, incident())
    scene.operator()
    await scene.turn(5)
    assert len(scene.server.holding) == 1


async def test_two_operators_at_once_end_up_with_one_silence() -> None:
    scene = Scene()
    first = scene.gate
    second = scene.operator()
    for each in (first, second):
        each.looked(incident())
    await asyncio.gather(first.turn(), second.turn())
    await scene.turn(10, incident())
    assert len(scene.server.holding) == 1


async def test_an_incident_that_begins_while_others_are_tended_keeps_its_silence() -> None:
    scene = Scene()
    scene.gate.looked(incident())
    await asyncio.gather(scene.gate.turn(), scene.gate.before_acting(incident()))
    assert len(scene.server.kept) == 1
    assert len(scene.server.holding) == 1


async def test_before_a_first_write_the_silences_of_other_incidents_are_left_alone() -> None:
    scene = Scene()
    await scene.turn(0, incident())
    await scene.gate.before_acting(replace(incident(), uid="uid-2"))
    assert len(scene.server.holding) == 2
    scene.gate.forget("uid-1")
    scene.gate.forget("uid-2")
    await scene.turn(1)
    assert scene.server.holding == []


async def test_a_silence_that_could_not_be_ended_is_ended_when_alertmanager_is_back() -> None:
    scene = Scene()
    await scene.turn(0, incident())
    scene.server.down = "no answer"
    await scene.turn(1, incident(phase="Escalated"))
    scene.server.down = ""
    await scene.turn(10)
    assert scene.server.holding == []


async def test_an_alertmanager_that_takes_no_silence_is_said_and_holds_nothing() -> None:
    scene = Scene()
    scene.server.refuses = "HTTP 403"
    await scene.gate.before_acting(incident())
    assert scene.managers.refused == {"http://am": "HTTP 403"}
    assert scene.managers.problem == "", "it answers what it is asked"
    scene.server.refuses = ""
    await scene.turn(10, incident())
    assert (scene.managers.refused, scene.managers.gated) == ({}, True)


async def test_an_alertmanager_that_hangs_delays_the_first_write_by_no_more_than_its_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    scene = Scene()
    scene.server.hangs = True
    async with asyncio.timeout(5):
        await scene.gate.before_acting(incident())
    scene.server.hangs = False
    await scene.turn(10, incident())
    assert len(scene.server.holding) == 1


async def test_those_that_gossip_get_one_silence_together_and_the_others_each_its_own() -> None:
    clock, members, kept = VirtualClock(NOW), frozenset("ab"), {}
    gossiping = [FakeAlertmanager(clock, f"http://{n}", kept=kept, members=members) for n in "ab"]
    alone = FakeAlertmanager(clock, "http://c")
    scene = Scene(clock, [*gossiping, alone])
    await scene.turn(0, incident())
    assert (len(kept), len(alone.kept)) == (1, 1)
    assert sum(server.asked.count("create") for server in gossiping) == 1
    gossiping[0].down = "no answer"
    await scene.turn(40, incident())
    assert gossiping[1].asked.count("renew") == 1, "the other one knows it under the same id"
    assert len(kept) == 1


async def test_one_that_is_away_keeps_the_others_from_nothing_and_gets_its_silence_when_it_is_back() -> None:
    clock = VirtualClock(NOW)
    scene = Scene(clock, [FakeAlertmanager(clock, "http://a"), FakeAlertmanager(clock, "http://b", down="no answer")])
    await scene.gate.before_acting(incident())
    assert [len(server.holding) for server in scene.servers] == [1, 0]
    scene.servers[1].down = ""
    await scene.turn(10, incident())
    assert [len(server.holding) for server in scene.servers] == [1, 1]


async def test_a_source_with_the_gate_disabled_makes_none_and_ends_what_is_there() -> None:
    scene = Scene()
    await scene.turn(0, incident())
    scene.source.spec.page_gate = "Disabled"
    await scene.turn(1)
    assert scene.server.holding == []
    scene.server.asked.clear()
    await scene.gate.before_acting(incident())
    assert scene.server.asked == []


async def test_with_nothing_to_heal_nothing_is_asked_after_the_first_turn() -> None:
    scene = Scene()
    await scene.turn()
    scene.server.asked.clear()
    for _ in range(5):
        await scene.turn(10, incident(phase="Investigating"))
    assert scene.server.asked == []
