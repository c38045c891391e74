"""Breakers: when they trip, when they let through again, and that they do not flutter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.api.guardrails import Breaker, Storm, Trip
from goldseam.engine.alerts import ActiveAlert
from goldseam.engine.trips import share_tripped, storm_tripped

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DEFAULT = Breaker()


def after(old: Trip | None, unhealthy: int, of: int, minutes: float = 0) -> Trip:
    return share_tripped(old, DEFAULT, unhealthy, of, "targets", NOW + minutes * MINUTE)


@pytest.mark.parametrize(
    ("unhealthy", "of", "state"),
    [
        (1, 1, "Armed"), (2, 2, "Armed"), (2, 3, "Armed"), (3, 3, "Tripped"), (3, 10, "Tripped"), (3, 11, "Armed"),
        (4, 11, "Tripped"), (29, 100, "Armed"), (30, 100, "Tripped"), (0, 0, "Armed"), (298, 1000, "Armed"),
    ],
)  # fmt: skip
def test_it_trips_at_a_share_and_never_below_a_number(unhealthy: int, of: int, state: str) -> None:
    assert after(None, unhealthy, of).state == state


def test_it_says_what_was_counted() -> None:
    assert "4 of 10 targets are unhealthy at once (40%)" in after(None, 4, 10).message


def test_it_lets_through_again_after_a_calm_without_a_break() -> None:
    tripped = after(None, 30, 100)
    still = after(tripped, 20, 100, 10)
    assert (still.state, still.calm_since) == ("Tripped", None), "20% is more than half of 30%"
    calm = after(still, 14, 100, 11)
    assert calm.calm_since == NOW + 11 * MINUTE
    assert after(calm, 14, 100, 15).state == "Tripped"
    assert after(calm, 16, 100, 15).calm_since is None, "the calm has been broken"
    assert after(calm, 14, 100, 16).state == "Armed"


def test_a_share_exactly_at_half_of_its_limit_is_not_calm_yet() -> None:
    tripped = after(None, 30, 100)
    assert after(tripped, 15, 100, 1).calm_since is None
    assert after(tripped, 149, 1000, 1).calm_since == NOW + MINUTE


def test_a_number_exactly_at_its_limit_is_not_calm_while_the_share_is_high() -> None:
    tripped = after(None, 3, 10)
    assert after(tripped, 3, 10, 1).calm_since is None
    assert after(tripped, 2, 5, 1).calm_since == NOW + MINUTE, "below the number it is calm, whatever the share"


def test_nothing_changes_while_nothing_changes() -> None:
    tripped = after(None, 5, 10)
    assert after(tripped, 6, 10, 1) == tripped
    armed = after(None, 0, 10)
    assert after(armed, 1, 10, 1) == armed


def alert(rule: str, namespace: str, ago: float = 1) -> tuple[str, ActiveAlert]:
    labels = {"alertname": rule} | ({"namespace": namespace} if namespace else {})
    return "default", ActiveAlert(labels, {}, "firing", NOW - ago * MINUTE)


def storm(*alerts: tuple[str, ActiveAlert], old: Trip | None = None, minutes: float = 0) -> Trip:
    return storm_tripped(old, Storm(rules=3, namespaces=2), alerts, NOW + minutes * MINUTE)


def test_a_storm_is_many_rules_in_many_namespaces_at_once() -> None:
    gust = [alert("a", "x"), alert("b", "y"), alert("c", "y")]
    assert storm(*gust).state == "Tripped"
    assert storm(*gust[:2]).state == "Armed"
    assert storm(alert("a", "x"), alert("b", "x"), alert("c", "x")).state == "Armed", "one namespace"
    assert storm(alert("a", "x"), alert("a", "y"), alert("b", "z")).state == "Armed", "two rules"
    assert storm(*gust[:2], alert("c", "y", ago=9)).state == "Armed", "one began long ago"


@pytest.mark.parametrize(("ago", "state"), [(-0.1, "Armed"), (0, "Tripped"), (5, "Tripped"), (5.1, "Armed")])
def test_an_alert_counts_from_the_moment_it_begins_to_the_last_of_its_time(ago: float, state: str) -> None:
    assert storm(alert("a", "x"), alert("b", "y"), alert("c", "y", ago)).state == state


def test_a_storm_says_of_how_many_rules_namespaces_and_minutes_it_is() -> None:
    gust = [alert("a", "x"), alert("b", "y"), alert("c", "y"), alert("d", "")]
    hour = storm_tripped(None, Storm(rules=3, namespaces=2, within=timedelta(hours=1)), gust, NOW)
    assert hour.message.startswith("alerts of 4 rules in 2 namespaces began within 60 min: ")


def test_a_storm_that_is_over_re_arms() -> None:
    tripped = storm(alert("a", "x"), alert("b", "y"), alert("c", "y"))
    calm = storm(old=tripped, minutes=1)
    assert calm.state == "Tripped"
    assert storm(old=calm, minutes=12).state == "Armed"


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0.1, 10)), max_size=30))
def test_it_is_open_whenever_too_much_is_unhealthy_and_never_for_less_than_the_calm(
    history: list[tuple[int, float]],
) -> None:
    trip, minutes, last_bad = None, 0.0, None
    for unhealthy, step in history:
        minutes += step
        trip = after(trip, unhealthy, 20, minutes)
        if unhealthy >= 6:
            last_bad = minutes
            assert trip.state == "Tripped"
        if last_bad is not None and minutes - last_bad < 5:
            assert trip.state == "Tripped", "re-armed within five minutes"
