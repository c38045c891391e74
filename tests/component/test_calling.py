"""People are called by an alert: sent at least once, again while it matters, and ended when it is over."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from goldseam.api.alertsource import AlertmanagerSpec
from goldseam.api.incident import Escalation
from goldseam.errors import Retryable
from goldseam.services.alertmanagers import Alertmanagers
from goldseam.services.book import IncidentBook
from goldseam.services.calling import LASTS, Calling
from tests.support.alertmanager import FakeAlertmanager
from tests.support.harness import NAMESPACE, Harness, VirtualClock, deployment, policy
from tests.unit.test_gate import incident
from tests.unit.test_guards import NOW

CROSSED = Escalation(threshold="ladderExhausted", at=NOW, message="why")
TOLD = CROSSED.model_copy(update={"notified": NOW})


class Scene:
    """Two Alertmanagers, and one operator's book."""

    def __init__(self) -> None:
        clock = VirtualClock(NOW)
        self.a, self.b = (FakeAlertmanager(clock, f"http://{name}") for name in "ab")
        spec = AlertmanagerSpec.model_validate({"urls": [self.a.url, self.b.url]})
        self.source: Any = SimpleNamespace(name="default")
        self.reach = lambda: Alertmanagers(spec, [self.a, self.b], clock)
        self.source.alertmanagers = self.reach()
        self.book = IncidentBook(NAMESPACE)
        self.by_alertmanager = True
        self.calling = Calling(self.book, lambda _: self.source, lambda *_: self.by_alertmanager)

    def posted(self) -> list[tuple[str, timedelta]]:
        found = [(labels["alertname"], lasts) for labels, lasts in self.a.posted]
        self.a.posted.clear()
        return found


async def test_every_alertmanager_is_told_for_they_do_not_tell_each_other_of_alerts() -> None:
    scene = Scene()
    await scene.calling.call(incident(), CROSSED)
    assert [len(each.posted) for each in (scene.a, scene.b)] == [1, 1]
    assert scene.posted() == [("GoldseamEscalated", LASTS)]


async def test_it_is_enough_when_one_takes_it_and_an_error_when_none_does() -> None:
    scene = Scene()
    scene.a.down = "no answer"
    await scene.calling.call(incident(), CROSSED)
    scene.b.refuses = "HTTP 403"
    with pytest.raises(Retryable, match="http://a: no answer; http://b: HTTP 403"):
        await scene.calling.call(incident(), CROSSED)
    assert scene.source.alertmanagers.problem == "", "that it refuses us says nothing of what it answers"


async def test_it_is_sent_again_until_the_incident_is_over_and_then_ended_once() -> None:
    scene = Scene()
    scene.book.put(incident(phase="Escalated", escalations=[TOLD]))
    await scene.calling.again()
    await scene.calling.again()
    assert scene.posted() == [("GoldseamEscalated", LASTS)] * 2
    scene.book.drop("uid-1")
    scene.a.down = scene.b.down = "no answer"
    await scene.calling.again()
    scene.a.down = scene.b.down = ""
    await scene.calling.again()
    assert scene.posted() == [("GoldseamEscalated", timedelta(0))]
    await scene.calling.again()
    assert scene.posted() == []


async def test_a_call_whose_incident_is_over_before_the_next_round_is_ended_and_one_that_is_not_is_not() -> None:
    scene = Scene()
    scene.book.put(incident(phase="Escalated", escalations=[CROSSED]))  # its record does not say yet that it was told
    await scene.calling.call(incident(), CROSSED)
    await scene.calling.again()
    assert scene.posted() == [("GoldseamEscalated", LASTS)] * 2
    scene.book.drop("uid-1")
    await scene.calling.again()
    assert scene.posted() == [("GoldseamEscalated", timedelta(0))]


async def test_when_the_source_is_changed_the_call_goes_on_and_is_not_ended() -> None:
    scene = Scene()
    scene.book.put(incident(phase="Escalated", escalations=[TOLD]))
    await scene.calling.again()
    scene.source.alertmanagers = scene.reach()
    await scene.calling.again()
    assert scene.posted() == [("GoldseamEscalated", LASTS)] * 2


async def test_one_that_nobody_has_taken_yet_or_that_went_another_way_is_not_sent_again() -> None:
    scene = Scene()
    scene.book.put(incident(phase="Escalated", escalations=[CROSSED]))
    await scene.calling.again()
    scene.book.put(incident(phase="Escalated", escalations=[TOLD]))
    scene.by_alertmanager = False
    await scene.calling.again()
    assert scene.posted() == []


async def test_an_incident_whose_source_has_no_alertmanager_calls_nobody_there() -> None:
    scene = Scene()
    scene.source = None
    scene.book.put(incident(phase="Escalated", escalations=[TOLD]))
    assert not scene.calling.possible(incident())
    await scene.calling.again()


async def escalated(scene: Scene) -> Harness:
    h = Harness(policy({"restart": {}, "timeout": "10s"}), deployment(), "deployments")
    h.delivery.calling = scene.calling
    await h.open()
    await h.settle(60, lambda status: status.phase == "Escalated")
    return h


async def test_where_the_runbook_names_no_channel_an_escalation_calls_by_alertmanager_and_is_recorded_once() -> None:
    scene = Scene()
    h = await escalated(scene)
    await h.settle(10, lambda status: status.escalations[0].notified is not None)
    (escalation,) = h.status.escalations
    assert escalation.notified is not None
    assert scene.posted() == [("GoldseamEscalated", LASTS)]


async def test_an_escalation_that_no_alertmanager_takes_is_tried_again_and_the_incident_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("goldseam.services.delivery.FIRST_RETRY", 0.01)
    scene = Scene()
    scene.a.down = scene.b.down = "no answer"
    h = await escalated(scene)
    await h.settle(10, lambda status: bool(status.escalations[0].problem))
    assert "no Alertmanager takes the alert" in h.status.escalations[0].problem
    scene.a.down = ""
    await h.settle(60, lambda status: status.escalations[0].notified is not None)
    assert (h.status.escalations[0].notified is not None, h.status.escalations[0].problem) == (True, "")
