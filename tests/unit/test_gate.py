"""For which incidents nobody is called, by which silences, and what is done about those that exist."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.api.incident import Escalation, HoldRecord
from goldseam.engine.gate import DEFAULT_SPAN, MARK, MOST, Wish, changes, gated, matchers_of, owner
from goldseam.engine.silences import KnownAlert, KnownSilence, Matcher
from goldseam.engine.views import IncidentView
from tests.unit.test_guards import NOW, situation, spec

MINUTE = timedelta(minutes=1)
ALERT = {"alertname": "A", "namespace": "shop", "pod": "api-1"}


def incident(policy: dict[str, Any] | None = None, **status: Any) -> IncidentView:
    s = situation(spec=spec(**{"escalateAfter": "30m"} | (policy or {})))
    found = s.status.model_copy(update={"phase": "Fixing", **status})
    return IncidentView("shop", "heal-1", "uid-1", "1", "2026-11-23T11:59:00Z", s.spec, found)


def hold(age: timedelta, kind: str = "Wait") -> HoldRecord:
    return HoldRecord(guard="window", kind=kind, reason="Frozen", message="", since=NOW - age)  # type: ignore[arg-type]


def told(threshold: str) -> list[Escalation]:
    return [Escalation(threshold=threshold, at=NOW)]


@pytest.mark.parametrize("phase", ["Fixing", "Monitoring"])
def test_nobody_is_called_while_it_heals_and_while_it_is_watched(phase: str) -> None:
    assert gated(incident(phase=phase), NOW)


@pytest.mark.parametrize(
    ("why", "found"),
    [
        ("not yet", incident(phase="Investigating")),
        ("a person is asked", incident(phase="AwaitingApproval")),
        ("people have it", incident(phase="Escalated")),
        ("people have had it", incident(handed_over=True)),
        ("it only watches", incident(mode="Observe")),
        ("a person does it", incident(mode="Propose")),
        ("paused", incident(paused_since=NOW)),
        ("held for two minutes", incident(holds=[hold(2 * MINUTE)])),
        ("people were told", incident(escalations=told("escalateAfter"))),
        ("the policy does not want it", incident({"pageGate": "Disabled"})),
        ("past escalateAfter", incident({"escalateAfter": "5m"})),
        ("nothing is written yet", replace(incident(), status=None)),
    ],
)
def test_people_are_called_as_ever_when(why: str, found: IncidentView) -> None:
    assert not gated(found, NOW), why


def test_a_short_hold_and_a_question_or_a_notice_to_people_leave_the_gate_as_it_is() -> None:
    assert gated(incident(holds=[hold(2 * MINUTE - timedelta(seconds=1)), hold(3 * MINUTE, "Refuse")]), NOW)
    assert gated(incident(escalations=[*told("approval-1-restart-120000"), *told("notify-2-notify")]), NOW)


def test_the_gate_ends_at_escalate_after_without_the_time_that_was_paused() -> None:
    five = incident({"escalateAfter": "6m"})  # the alert is active since five minutes
    assert gated(five, NOW + MINUTE - timedelta(seconds=1))
    assert not gated(five, NOW + MINUTE)
    assert gated(incident({"escalateAfter": "6m"}, paused_for=MINUTE), NOW + MINUTE)


def test_where_nobody_said_how_long_it_may_take_the_gate_ends_after_an_hour() -> None:
    forever = incident({"escalateAfter": None})
    assert gated(forever, NOW + DEFAULT_SPAN - 6 * MINUTE)
    assert not gated(forever, NOW + DEFAULT_SPAN - 5 * MINUTE)


def wish(*alerts: dict[str, str], uid: str = "uid-1") -> Wish:
    return Wish(uid, "shop/heal-1", "Deployment shop/api", alerts or (ALERT,))


def silence(wish: Wish, matchers: tuple[Matcher, ...], name: str = "1", **more: Any) -> KnownSilence:
    fields = {"starts_at": name, "ends_at": NOW, "active": True, "left": MINUTE} | more
    return KnownSilence(name, matchers, created_by=wish.created_by, comment=wish.comment, **fields)


def exactly(labels: dict[str, str]) -> tuple[Matcher, ...]:
    return (*(Matcher(name, value) for name, value in sorted(labels.items())), MARK)


def changed(wishes: list[Wish], existing: list[KnownSilence], *known: KnownAlert, ours: Any = lambda _: True) -> Any:
    return changes(wishes, existing, lambda _: known, (), ours)


def test_a_silence_names_every_label_that_the_alert_has_in_alertmanager() -> None:
    external = KnownAlert(ALERT | {"cluster": "prod-1", "replica": "a"})
    other = KnownAlert(external.labels | {"pod": "api-2"})
    assert matchers_of(ALERT, [external, other], ()) == exactly(dict(external.labels))


def test_one_silence_serves_the_alerts_of_both_servers_of_a_pair() -> None:
    pair = [KnownAlert(ALERT | {"cluster": "prod-1", "replica": r}) for r in "ab"]
    assert matchers_of(ALERT | {"replica": "a"}, pair, ()) == exactly(ALERT | {"cluster": "prod-1"})


def test_the_rules_labels_serve_where_alertmanager_does_not_know_the_alert_and_never_another_clusters() -> None:
    elsewhere = KnownAlert(ALERT | {"cluster": "prod-2"})
    assert matchers_of(ALERT, [], ()) == exactly(ALERT)
    found = matchers_of(ALERT, [elsewhere], ['cluster="prod-1"', 'env!~"test.*"'])
    assert found == (*exactly(ALERT)[:-1], Matcher("cluster", "prod-1"), Matcher("env", "test.*", False, True), MARK)


def test_an_alert_of_fewer_labels_is_another_one() -> None:
    assert matchers_of(ALERT, [KnownAlert({"alertname": "A"})], ()) == exactly(ALERT)


def test_a_wish_without_a_silence_makes_one_and_with_one_renews_it() -> None:
    want, known = wish(), KnownAlert(ALERT)
    assert changed([want], [], known).create == ((want, exactly(ALERT)),)
    there = silence(want, exactly(ALERT))
    found = changed([want], [there], known)
    assert (found.create, found.renew, found.end, found.left) == ((), ((want, there),), (), True)


def test_a_silence_that_is_over_is_not_renewed() -> None:
    found = changed([wish()], [silence(wish(), exactly(ALERT), active=False)])
    assert (len(found.create), found.renew, found.end) == (1, (), ())


def test_of_two_silences_of_one_alert_the_older_stays() -> None:
    old, new = silence(wish(), exactly(ALERT), "1"), silence(wish(), exactly(ALERT), "2")
    found = changed([wish()], [new, old], KnownAlert(ALERT))
    assert (found.create, found.renew, found.end) == ((), ((wish(), old),), (new,))


def test_when_alertmanager_gets_to_know_the_alert_the_silence_is_made_exact() -> None:
    wide, exact = silence(wish(), exactly(ALERT)), exactly(ALERT | {"cluster": "prod-1"})
    found = changed([wish()], [wide], KnownAlert(ALERT | {"cluster": "prod-1"}))
    assert (found.create, found.renew, found.end) == (((wish(), exact),), (), (wide,))


def test_when_alertmanager_has_forgotten_the_alert_its_silence_stays_exact() -> None:
    exact = silence(wish(), exactly(ALERT | {"cluster": "prod-1"}))
    found = changed([wish()], [exact])
    assert (found.create, found.renew, found.end) == ((), ((wish(), exact),), ())


@pytest.mark.parametrize(
    "last", [Matcher("pod", "api-1", is_regex=True), Matcher("pod", "api-1", is_equal=False), Matcher("pod", "api-2")]
)
def test_a_silence_that_is_wider_or_another_than_the_alert_is_not_taken_for_its_own(last: Matcher) -> None:
    less = {name: value for name, value in ALERT.items() if name != "pod"}
    other = silence(wish(), (*exactly(less)[:-1], last, MARK))
    found = changed([wish()], [other])
    assert (found.create, found.renew, found.end) == (((wish(), exactly(ALERT)),), (), (other,))


def test_an_empty_label_and_a_replicas_need_no_matcher() -> None:
    kept = silence(wish(), exactly(ALERT | {"cluster": "prod-1"}))
    alert = ALERT | {"team": "", "replica": "a"}
    assert changed([wish(alert)], [kept]).renew == ((wish(alert), kept),)


def test_what_is_healed_no_more_is_ended_and_what_others_heal_or_silence_is_not() -> None:
    mine, theirs = silence(wish(), exactly(ALERT), "1"), silence(wish(uid="uid-2"), exactly(ALERT), "2")
    jane = replace(mine, id="3", created_by="jane")
    unmarked = replace(mine, id="4", matchers=exactly(ALERT)[:-1])
    found = changed([], [mine, theirs, jane, unmarked], ours=lambda uid: uid == "uid-1")
    assert (found.end, found.left) == ((mine,), True)
    assert [owner(each) for each in (mine, theirs, jane, unmarked)] == ["uid-1", "uid-2", "", ""]
    assert not changed([], [mine]).left


def test_an_incident_of_many_alerts_holds_back_the_first_of_them() -> None:
    many = wish(*({**ALERT, "pod": str(n)} for n in range(MOST + 3)))
    assert len(changed([many], []).create) == MOST


def test_two_alerts_that_are_one_in_alertmanager_make_one_silence() -> None:
    both = wish(ALERT | {"replica": "a"}, ALERT | {"replica": "b"})
    assert len(changed([both], []).create) == 1


NAMES = st.sampled_from(["alertname", "namespace", "pod", "cluster"])
LABELS = st.dictionaries(NAMES, st.sampled_from("ab"), min_size=1).map(lambda found: {"alertname": "A"} | found)


@given(LABELS, st.lists(LABELS, max_size=4), LABELS)
def test_a_silence_never_hides_an_alert_that_contradicts_a_label(
    mine: dict[str, str], there: list[dict[str, str]], other: dict[str, str]
) -> None:
    found = matchers_of(mine, [KnownAlert(labels) for labels in there], ())
    hidden = all(other.get(m.name, "") == m.value for m in found)
    assert not hidden or all(other.get(name) == value for name, value in mine.items())


@given(st.lists(LABELS, min_size=1, max_size=3), st.lists(LABELS, max_size=3))
def test_what_was_made_is_found_again_and_renewed_and_nothing_else_is_made(
    mine: list[dict[str, str]], there: list[dict[str, str]]
) -> None:
    want, known = wish(*mine), [KnownAlert(labels) for labels in there]
    made = changed([want], [], *known).create
    existing = [silence(want, matchers, str(number)) for number, (_, matchers) in enumerate(made)]
    again = changed([want], existing, *known)
    assert (again.create, again.end) == ((), ())
    assert [s.id for _, s in again.renew] == [s.id for s in existing]
