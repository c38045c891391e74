"""The time for which an incident is paused: it is counted once, and not as time in which people were left waiting."""

from __future__ import annotations

from datetime import timedelta

from goldseam.api.incident import IncidentStatus
from goldseam.engine import record
from tests.unit.test_guards import NOW

MINUTE = timedelta(minutes=1)


def test_a_pause_is_counted_from_its_beginning_to_its_end_and_on_top_of_those_before() -> None:
    quiet = IncidentStatus(paused_for=5 * MINUTE)
    assert record.paused(quiet, False, NOW) == quiet
    begun = record.paused(quiet, True, NOW)
    assert (begun.paused_since, begun.paused_for) == (NOW, 5 * MINUTE)
    assert record.paused(begun, True, NOW + MINUTE) == begun, "it began once"
    over = record.paused(begun, False, NOW + 2 * MINUTE)
    assert (over.paused_since, over.paused_for) == (None, 7 * MINUTE)


def test_no_more_than_a_week_of_pauses_is_counted() -> None:
    long = IncidentStatus(paused_since=NOW - timedelta(days=9))
    assert record.paused(long, False, NOW).paused_for == timedelta(days=7)


def test_an_alert_is_as_old_as_it_is_without_the_pauses_that_were_and_the_one_that_is() -> None:
    active_at = NOW - 60 * MINUTE
    assert record.unpaused_age(IncidentStatus(), active_at, NOW) == 60 * MINUTE
    paused = IncidentStatus(paused_for=5 * MINUTE, paused_since=NOW - 10 * MINUTE)
    assert record.unpaused_age(paused, active_at, NOW) == 45 * MINUTE
