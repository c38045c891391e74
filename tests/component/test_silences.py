"""What people have silenced is asked just before acting, of every Alertmanager; what is not known holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from goldseam.api.alertsource import AlertmanagerSpec
from goldseam.engine.silences import KnownAlert, KnownSilence, Matcher
from goldseam.engine.situation import Silence
from goldseam.engine.verdict import Reading
from goldseam.engine.views import IncidentView
from goldseam.services.alertmanagers import AWAY_FOR, Alertmanagers
from goldseam.services.silences import Silences
from tests.support.alertmanager import FakeAlertmanager
from tests.support.harness import VirtualClock
from tests.unit.test_gate import incident
from tests.unit.test_guards import NOW

ALERT = {"alertname": "A", "namespace": "shop"}
FIRING = Reading("Firing", True, "")
LATER = NOW + timedelta(hours=2)


def silence(created_by: str = "jane", comment: str = "we deploy") -> KnownSilence:
    unmatched = (Matcher("alertname", "said by the alerts themselves"),)
    return KnownSilence(f"by-{created_by}", unmatched, "", LATER, created_by, comment, True, timedelta(hours=2))


class Asking:
    """Asks about one incident, of one source with these servers."""

    def __init__(
        self, *servers: FakeAlertmanager, down: str = "Hold", alerts: Any = (ALERT,), matchers: Any = ()
    ) -> None:
        self.clock = servers[0].clock if servers else VirtualClock(NOW)
        spec = AlertmanagerSpec.model_validate({"urls": [s.url for s in servers] or ["http://x"], "matchers": matchers})
        found = Alertmanagers(spec, servers, self.clock) if servers else None
        self.source: Any = SimpleNamespace(
            alertmanagers=found, spec=SimpleNamespace(on_alertmanager_down=down), name="default"
        )
        self.silences = Silences(lambda _: self.source, lambda _: alerts)

    async def __call__(self, about: IncidentView | None = None, reading: Reading = FIRING) -> Silence:
        return await self.silences.of(about or incident(), reading)


def server(*known: KnownAlert, name: str = "a", kept: Any = (), **more: Any) -> FakeAlertmanager:
    found = {each.id: each for each in kept}
    return FakeAlertmanager(VirtualClock(NOW), f"http://{name}", list(known), found, **more)


def held(by: str = "by-jane", **labels: str) -> KnownAlert:
    return KnownAlert(ALERT | labels, silenced_by=(by,))


async def test_nothing_is_asked_where_there_is_no_alertmanager_nor_where_the_alert_is_gone() -> None:
    assert (await Asking()()).state == "NotAsked"
    found = server()
    assert (await Asking(found)(reading=Reading("Cleared", True, ""))).state == "NotAsked"
    assert (await Asking(found)(incident(phase="Resolved"))).state == "NotAsked"
    assert found.asked == []


async def test_an_alert_that_alertmanager_does_not_know_is_not_silenced() -> None:
    assert (await Asking(server())()).state == "Active"


async def test_who_silenced_it_until_when_and_why_is_said_on_one_line() -> None:
    found = await Asking(server(held(), kept=[silence(comment="we\ndeploy")]))()
    assert (found.state, found.until) == ("Silenced", LATER)
    assert found.message == "silenced by jane until 2026-11-23 14:00 UTC: we deploy"


async def test_our_own_page_gate_is_not_a_silence_and_one_beside_it_is() -> None:
    gate = silence("goldseam:shop/heal-1")
    assert (await Asking(server(held("by-goldseam:shop/heal-1"), kept=[gate]))()).state == "Active"
    both = KnownAlert(ALERT, silenced_by=("by-goldseam:shop/heal-1", "by-jane"))
    assert "jane" in (await Asking(server(both, kept=[gate, silence()]))()).message


async def test_what_is_both_silenced_and_inhibited_has_no_end_that_is_known() -> None:
    both = KnownAlert(ALERT, silenced_by=("by-jane",), inhibited_by=("f",))
    found = await Asking(server(both, kept=[silence()]))()
    assert ("jane" in found.message, found.until) == (True, None)


async def test_the_alert_that_inhibits_it_is_named_and_looked_up_once() -> None:
    root = KnownAlert({"alertname": "ClusterDown"}, fingerprint="f")
    found = server(root, KnownAlert(ALERT, inhibited_by=("f",)))
    asking = Asking(found)
    assert (await asking()).message == "inhibited by the alert ClusterDown"
    asked = len(found.asked)
    assert (await asking()).until is None
    assert len(found.asked) == asked + 1


async def test_while_one_of_its_alerts_would_still_call_people_the_incident_is_not_silenced() -> None:
    free, both = KnownAlert(ALERT | {"pod": "2"}), (ALERT | {"pod": "1"}, ALERT | {"pod": "2"})
    some = server(held(pod="1"), free, kept=[silence()])
    assert (await Asking(some, alerts=both)()).state == "Active"
    every = server(held(pod="1"), held(pod="2"), kept=[silence()])
    assert (await Asking(every, alerts=both)()).state == "Silenced"


async def test_the_silence_of_another_clusters_alert_does_not_count() -> None:
    elsewhere = server(held(cluster="prod-2"), kept=[silence()])
    assert (await Asking(elsewhere, matchers=['cluster="prod-1"'])()).state == "Active"


async def test_any_alertmanager_that_says_silenced_counts_also_while_another_is_away() -> None:
    silenced, free = server(held(), name="a", kept=[silence()]), server(KnownAlert(ALERT), name="b")
    assert (await Asking(free, silenced)()).state == "Silenced"
    free.down = "no answer"
    assert (await Asking(free, silenced)()).state == "Silenced"


async def test_one_that_is_away_and_for_which_no_other_speaks_holds() -> None:
    found = await Asking(server(), server(name="b", down="no answer within 3 s"))()
    assert found.state == "Unknown"
    assert found.message == "whether people have silenced the alert is not known: http://b: no answer within 3 s"


async def test_any_member_of_a_cluster_speaks_for_those_that_are_away() -> None:
    a, b = (server(name=n, members=frozenset("ab")) for n in "ab")
    asking = Asking(a, b)
    await asking.source.alertmanagers.acquaint()
    b.down, a.members = "no answer", frozenset("a")
    a.clock.advance(120)  # type: ignore[attr-defined]
    assert (await asking()).state == "Active"


async def test_one_that_was_never_there_is_taken_for_a_member_only_of_a_cluster_that_has_several() -> None:
    three = server(name="a", members=frozenset("ab"))
    assert (await Asking(three, server(name="c", down="no answer"))()).state == "Active"
    single = server(name="a", members=frozenset("a"))
    assert (await Asking(single, server(name="c", down="no answer"))()).state == "Unknown"


async def test_proceed_lets_workloads_be_acted_on_and_nodes_never() -> None:
    found = incident()
    assert (await Asking(server(down="no answer"), down="Proceed")(found)).state == "Active"
    node = found.spec.target.model_copy(update={"kind": "Node", "namespace": ""})
    about = replace(found, spec=found.spec.model_copy(update={"target": node}))
    assert (await Asking(server(down="no answer"), down="Proceed")(about)).state == "Unknown"


async def test_one_that_did_not_answer_is_asked_again_after_a_moment() -> None:
    found = server(down="no answer")
    asking = Asking(found)
    await asking()
    asked = len(found.asked)
    assert (await asking()).state == "Unknown"
    assert len(found.asked) == asked
    found.down = ""
    found.clock.advance(AWAY_FOR)  # type: ignore[attr-defined]
    assert (await asking()).state == "Active"
    assert asking.source.alertmanagers.problem == ""


@pytest.mark.parametrize("hanging", ["alerts", "silence"])
async def test_one_that_hangs_is_away(hanging: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goldseam.services.alertmanagers.PATIENCE", 0.05)
    found = server(held(), kept=[silence()])
    ask = found._ask

    async def asked(what: str) -> None:
        found.hangs = what == hanging
        await ask(what)

    monkeypatch.setattr(found, "_ask", asked)
    assert "no answer within" in (await Asking(found)()).message
