"""Windows and freezes: when Goldseam may act, on people's own clocks."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from goldseam.api.schema import schema
from goldseam.api.windows import Freeze, Window
from goldseam.engine.timetable import Closed, frozen, open_at

BERLIN, NEW_YORK, SYDNEY = "Europe/Berlin", "America/New_York", "Australia/Sydney"
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def daily(start: str, end: str, zone: str = "UTC", **more: Any) -> Window:
    return Window.model_validate({"name": "hours", "zone": zone, "start": start, "end": end, **more})


def cron(schedule: str, duration: str, zone: str = "UTC", **more: Any) -> Window:
    return Window.model_validate({"name": "cron", "zone": zone, "schedule": schedule, "duration": duration, **more})


def freeze(start: str, end: str, zone: str = "UTC", **more: Any) -> Freeze:
    entry = {"name": "year-end", "zone": zone, "start": start, "end": end, "reason": "Nobody is here.", **more}
    return Freeze.model_validate(entry)


def at(text: str, zone: str = "UTC", fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def is_open(window: Window, now: datetime) -> bool:
    return open_at([window], "shop", now) is None


def closed(windows: list[Window], now: datetime, namespace: str = "shop") -> Closed:
    found = open_at(windows, namespace, now)
    assert found is not None
    return found


def changes_on(window: Window, day: str, zone: str) -> list[str]:
    """Each change on that day of the zone, as the time in UTC at which it opens or closes."""
    start = at(day, zone)
    length = at(f"{datetime.fromisoformat(day) + timedelta(days=1)}", zone) - start
    moments = [start + timedelta(minutes=n) for n in range(length // timedelta(minutes=1))]
    states = [is_open(window, moment) for moment in moments]
    return [
        f"{'opens' if new else 'closes'} {moment:%H:%M}"
        for old, new, moment in zip(states, states[1:], moments[1:], strict=False)
        if old != new
    ]


def test_without_windows_it_is_always_open() -> None:
    assert open_at([], "shop", at("2026-11-24T20:00")) is None


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-11-24T08:00", True),
        ("2026-11-24T17:59:59.999999", True),
        ("2026-11-24T18:00", False),
        ("2026-11-24T07:59:59.999999", False),
        ("2026-11-28T12:00", False),
    ],
)
def test_office_hours_hold_from_their_start_to_just_before_their_end(time: str, expected: bool) -> None:
    assert is_open(daily("08:00", "18:00", BERLIN, days=DAYS[:5]), at(time, BERLIN)) is expected


def test_a_closed_window_says_which_it_is_and_when_it_opens() -> None:
    window = daily("08:00", "18:00", BERLIN, days=DAYS[:5], name="office-hours")
    assert closed([window], at("2026-11-24T20:00", BERLIN)) == Closed(
        at("2026-11-25T08:00", BERLIN),
        "outside the windows office-hours (Mon-Fri 08:00-18:00 Europe/Berlin): opens 2026-11-25 08:00 Europe/Berlin",
    )


def test_on_friday_evening_office_hours_open_on_monday() -> None:
    window = daily("08:00", "18:00", BERLIN, days=DAYS[:5])
    assert closed([window], at("2026-11-27T19:00", BERLIN)).opens == at("2026-11-30T08:00", BERLIN)


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_starts() -> None:
    window = daily("22:00", "06:00", days=["Fri"])
    assert is_open(window, at("2026-11-27T22:00"))
    assert is_open(window, at("2026-11-28T05:59"))
    assert not is_open(window, at("2026-11-28T06:00"))
    assert not is_open(window, at("2026-11-27T05:59"))
    assert not is_open(window, at("2026-11-28T22:00"))


def test_equal_start_and_end_mean_a_whole_day() -> None:
    window = daily("06:00", "06:00", days=["Sat"])
    assert not is_open(window, at("2026-11-28T05:59"))
    assert is_open(window, at("2026-11-28T06:00"))
    assert is_open(window, at("2026-11-29T05:59"))
    assert not is_open(window, at("2026-11-29T06:00"))


@pytest.mark.parametrize("days", [[], DAYS])
def test_all_of_every_day_is_never_closed(days: list[str]) -> None:
    window = daily("00:00", "00:00", BERLIN, days=days)
    assert all(is_open(window, at("2026-10-24T00:00") + timedelta(hours=n)) for n in range(72))


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (daily("08:00", "18:00", days=["Fri", "Mon", "Wed", "Mon"]), "hours (Mon, Wed, Fri 08:00-18:00 UTC)"),
        (daily("00:00", "00:00", days=["Sat", "Sun"]), "hours (Sat, Sun all day UTC)"),
        (daily("22:00", "06:00", SYDNEY), "hours (every day 22:00-06:00 Australia/Sydney)"),
        (cron("0 22 * * Sat", "1h30m", NEW_YORK), "cron (0 22 * * Sat for 1h30m America/New_York)"),
    ],
)
def test_a_window_is_described_as_people_would(window: Window, words: str) -> None:
    assert closed([window], at("2026-11-24T21:00", window.zone)).message.startswith(f"outside the windows {words}: ")


def test_of_several_windows_one_that_is_open_is_enough() -> None:
    windows = [daily("01:00", "02:00"), daily("12:00", "13:00")]
    assert open_at(windows, "shop", at("2026-11-24T12:30")) is None


def test_of_several_windows_the_one_that_opens_first_is_named_by_its_own_clock() -> None:
    windows = [daily("08:00", "18:00", NEW_YORK), daily("08:00", "18:00", BERLIN), cron("0 12 * * *", "1h")]
    found = closed(windows, at("2026-11-24T23:30"))
    assert found.opens == at("2026-11-25T07:00")
    assert found.message.endswith("opens 2026-11-25 08:00 Europe/Berlin")


def test_a_message_names_three_windows_and_counts_the_rest() -> None:
    windows = [daily("08:00", "09:00", name=f"w{n}") for n in range(5)]
    message = closed(windows, at("2026-11-24T12:00")).message
    assert "w2 (every day 08:00-09:00 UTC) and 2 more: opens" in message
    assert "w3" not in message


def test_a_window_with_patterns_binds_only_the_namespaces_that_they_cover() -> None:
    window = daily("08:00", "18:00", namespaces=["prod-*", "bank"])
    night = at("2026-11-24T23:00")
    assert open_at([window], "prod-shop", night) is not None
    assert open_at([window], "bank", night) is not None
    assert open_at([window], "dev", night) is None


def test_where_two_windows_concern_a_namespace_each_opens_it() -> None:
    windows = [daily("08:00", "18:00"), daily("22:00", "23:00", namespaces=["prod-*"])]
    assert open_at(windows, "prod-shop", at("2026-11-24T22:30")) is None
    assert open_at(windows, "dev", at("2026-11-24T22:30")) is not None


def test_nodes_are_bound_only_by_entries_without_namespaces() -> None:
    night = at("2026-12-24T23:00")
    assert open_at([daily("08:00", "18:00", namespaces=["*"])], "", night) is None
    assert open_at([daily("08:00", "18:00")], "", night) is not None
    assert frozen([freeze("2026-12-20", "2026-12-31", namespaces=["*"])], "", night) is None
    assert frozen([freeze("2026-12-20", "2026-12-31")], "", night) is not None


@pytest.mark.parametrize(
    ("window", "day", "changes"),
    [
        # 02:00 becomes 03:00 at 01:00 UTC
        (daily("02:30", "03:30", BERLIN), "2026-03-29", ["opens 01:00", "closes 01:30"]),
        (daily("01:30", "02:30", BERLIN), "2026-03-29", ["opens 00:30", "closes 01:00"]),
        (daily("01:30", "03:30", BERLIN), "2026-03-29", ["opens 00:30", "closes 01:30"]),
        (daily("02:10", "02:50", BERLIN), "2026-03-29", []),
        # at 07:00 UTC
        (daily("02:30", "03:30", NEW_YORK), "2026-03-08", ["opens 07:00", "closes 07:30"]),
        # at 16:00 UTC the day before
        (daily("02:30", "03:30", SYDNEY), "2026-10-04", ["opens 16:00", "closes 16:30"]),
    ],
)
def test_what_starts_in_an_hour_that_is_missing_starts_when_the_clock_jumps(
    window: Window, day: str, changes: list[str]
) -> None:
    assert changes_on(window, day, window.zone) == changes


@pytest.mark.parametrize(
    ("window", "day", "changes"),
    [
        # 03:00 becomes 02:00 at 01:00 UTC
        (daily("02:30", "03:30", BERLIN), "2026-10-25", ["opens 00:30", "closes 02:30"]),
        (daily("02:00", "03:00", BERLIN), "2026-10-25", ["opens 00:00", "closes 02:00"]),
        (daily("01:00", "02:30", BERLIN), "2026-10-25", ["opens 23:00", "closes 01:30"]),
        # 02:00 becomes 01:00 at 06:00 UTC
        (daily("01:30", "02:30", NEW_YORK), "2026-11-01", ["opens 05:30", "closes 07:30"]),
        # 03:00 becomes 02:00 at 16:00 UTC the day before
        (daily("02:30", "03:30", SYDNEY), "2026-04-05", ["opens 15:30", "closes 17:30"]),
    ],
)
def test_a_daily_window_covers_an_hour_that_is_there_twice_both_times(
    window: Window, day: str, changes: list[str]
) -> None:
    assert changes_on(window, day, window.zone) == changes


def test_a_window_that_falls_into_the_missing_hour_as_a_whole_waits_for_its_next_day() -> None:
    window = daily("02:10", "02:50", BERLIN, days=["Sun"])
    assert closed([window], at("2026-03-28T12:00", BERLIN)).opens == at("2026-04-05T02:10", BERLIN)


def test_summer_is_in_january_in_the_south() -> None:
    window = daily("08:00", "18:00", SYDNEY)
    assert closed([window], at("2026-01-15T10:00")).opens == at("2026-01-15T21:00")
    assert closed([window], at("2026-07-15T10:00")).opens == at("2026-07-15T22:00")


def test_a_day_that_a_country_has_skipped_opens_nothing() -> None:
    window = daily("10:00", "12:00", "Pacific/Apia")
    assert closed([window], at("2011-12-29T13:00", "Pacific/Apia")).opens == at("2011-12-31T10:00", "Pacific/Apia")


def test_a_cron_window_is_open_for_its_duration() -> None:
    window = cron("0 22 * * Sat", "6h", BERLIN)
    assert not is_open(window, at("2026-11-28T21:59:59.999999", BERLIN))
    assert is_open(window, at("2026-11-28T22:00", BERLIN))
    assert is_open(window, at("2026-11-29T03:59:59.999999", BERLIN))
    assert not is_open(window, at("2026-11-29T04:00", BERLIN))
    assert closed([window], at("2026-11-29T04:00", BERLIN)).opens == at("2026-12-05T22:00", BERLIN)


@pytest.mark.parametrize(
    ("schedule", "opens"),
    [
        ("0 6 1 * *", "2026-12-01T06:00"),
        ("0 6 L * *", "2026-11-30T06:00"),
        ("0 6 * * tue#2", "2026-12-08T06:00"),
        ("30 */6 * * *", "2026-11-24T12:30"),
        ("0 6 1,15 * MON-WED", "2026-11-25T06:00"),
    ],
)
def test_a_schedule_is_read_as_cron_does(schedule: str, opens: str) -> None:
    assert closed([cron(schedule, "1m")], at("2026-11-24T12:00")).opens == at(opens)


@pytest.mark.parametrize(
    ("window", "day", "changes"),
    [
        (cron("30 2 * * *", "1h", BERLIN), "2026-03-29", ["opens 01:00", "closes 02:00"]),
        (cron("0 1 * * *", "3h", BERLIN), "2026-03-29", ["opens 00:00", "closes 03:00"]),
        (cron("0 1 * * *", "3h", BERLIN), "2026-10-25", ["opens 23:00", "closes 02:00"]),
        (
            cron("30 2 * * *", "15m", BERLIN),
            "2026-10-25",
            ["opens 00:30", "closes 00:45", "opens 01:30", "closes 01:45"],
        ),
        (cron("30 1 * * *", "2h", NEW_YORK), "2026-11-01", ["opens 05:30", "closes 08:30"]),
    ],
)
def test_a_cron_window_starts_by_the_clock_and_ends_by_elapsed_time(
    window: Window, day: str, changes: list[str]
) -> None:
    assert changes_on(window, day, window.zone) == changes


@pytest.mark.parametrize(("schedule", "opens", "fold"), [("30 2 * * *", "02:30", 0), ("5 2 * * *", "02:05", 1)])
def test_in_an_hour_that_is_there_twice_a_schedule_comes_first_in_what_is_left_of_it_then_in_its_second_time(
    schedule: str, opens: str, fold: int
) -> None:
    found = open_at([cron(schedule, "1m", BERLIN)], "shop", at("2026-10-25T02:10", BERLIN, fold=0))
    assert found is not None
    assert found.opens == at(f"2026-10-25T{opens}", BERLIN, fold=fold)


def test_what_was_open_before_the_clock_goes_back_and_is_not_shown_again_opens_on_the_next_day() -> None:
    found = open_at([cron("50 1 * * *", "1m", BERLIN)], "shop", at("2026-10-25T02:45", BERLIN, fold=0))
    assert found is not None
    assert found.opens == at("2026-10-26T01:50", BERLIN)


def test_a_schedule_in_a_zone_whose_last_hour_of_a_day_is_missing_comes_to_an_end() -> None:
    window = cron("* * * * SAT", "1m", "America/Nuuk")
    assert not is_open(window, at("2026-03-29T05:00", "America/Nuuk"))


def test_what_does_not_open_within_a_year_is_said() -> None:
    assert closed([cron("0 0 29 2 *", "1h", name="leap")], at("2026-11-24T12:00")) == Closed(
        None, "outside the windows leap (0 0 29 2 * for 1h UTC): none of them opens within a year"
    )
    assert closed([cron("0 0 29 2 *", "1h")], at("2027-11-24T12:00")).opens == at("2028-02-29T00:00")


def test_a_freeze_holds_to_the_end_of_its_last_day() -> None:
    holidays = freeze("2026-12-20", "2027-01-06", BERLIN)
    assert frozen([holidays], "shop", at("2026-12-19T23:59:59", BERLIN)) is None
    assert frozen([holidays], "shop", at("2027-01-07T00:00", BERLIN)) is None
    for moment in ("2026-12-20T00:00", "2027-01-06T23:59:59"):
        found = frozen([holidays], "shop", at(moment, BERLIN))
        assert found is not None
        assert found.ends == at("2027-01-07T00:00", BERLIN)
        assert found.message == "frozen by year-end until the end of 2027-01-06 Europe/Berlin: Nobody is here."


def test_a_freeze_may_start_and_end_at_a_time() -> None:
    release = freeze("2026-12-20T18:00", "2026-12-20T20:30", NEW_YORK, name="release", reason="Release 4.")
    assert frozen([release], "shop", at("2026-12-20T17:59", NEW_YORK)) is None
    assert frozen([release], "shop", at("2026-12-20T20:30", NEW_YORK)) is None
    found = frozen([release], "shop", at("2026-12-20T18:00", NEW_YORK))
    assert found is not None
    assert found.message == "frozen by release until 2026-12-20 20:30 America/New_York: Release 4."
    assert (found.name, found.ends) == ("release", at("2026-12-20T20:30", NEW_YORK))


def test_a_freeze_covers_an_hour_that_is_there_twice() -> None:
    short = freeze("2026-10-25T02:00", "2026-10-25T02:30", BERLIN)
    found = frozen([short], "shop", at("2026-10-25T02:15", BERLIN, fold=1))
    assert found is not None
    assert found.ends == at("2026-10-25T02:30", BERLIN, fold=1)


def test_of_several_freezes_the_one_that_ends_last_is_told() -> None:
    freezes = [freeze("2026-12-01", "2026-12-24", name=name) for name in ("a", "b")]
    freezes.insert(1, freeze("2026-12-01", "2026-12-26", name="long"))
    found = frozen(freezes, "shop", at("2026-12-10T00:00"))
    assert found is not None
    assert found.name == "long"


def test_a_freeze_with_patterns_holds_only_the_namespaces_that_they_cover() -> None:
    holidays = freeze("2026-12-20", "2026-12-31", namespaces=["prod-*"])
    assert frozen([holidays], "prod-shop", at("2026-12-25T00:00")) is not None
    assert frozen([holidays], "dev", at("2026-12-25T00:00")) is None


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "Europe", "CEST"])
def test_a_zone_that_does_not_exist_is_refused(zone: str) -> None:
    for make in (lambda: daily("08:00", "09:00", zone), lambda: freeze("2026-12-20", "2026-12-21", zone)):
        with pytest.raises(ValidationError, match="no such time zone: write an IANA name such as Europe/Berlin"):
            make()


@pytest.mark.parametrize(
    "zone", ["", "../../etc/passwd", "/etc/localtime", "localtime", "right/Europe/Berlin", "+01:00"]
)
def test_what_is_no_name_of_a_zone_reaches_no_file(zone: str) -> None:
    with pytest.raises(ValidationError, match=r"must be an IANA time zone|at least 1 character"):
        daily("08:00", "09:00", zone)


@pytest.mark.parametrize("zone", ["UTC", "Etc/GMT-14", "America/Port-au-Prince", "America/Argentina/Buenos_Aires"])
def test_a_zone_may_be_any_of_the_iana_database(zone: str) -> None:
    assert daily("08:00", "09:00", zone).zone == zone


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("0 25 * * *", "is no cron schedule: its hour is wrong; write one such as 0 22 * * Sat"),
        ("0 2 * * Sat-Sun", "is no cron schedule: its day-of-week is wrong"),
        ("*/0 2 * * *", "is no cron schedule: its minute is wrong"),
        ("0 0 30 2 *", "is no cron schedule: its day-of-month is wrong"),
        ("0 0 */20 * Mon#2", "never comes"),
        ("0 0 * * * *", "must be the five fields of a cron schedule such as 0 22 * * Sat"),
        ("@daily", "must be the five fields of a cron schedule"),
        ("", "must be the five fields of a cron schedule"),
    ],
)
def test_a_schedule_that_is_wrong_or_never_comes_is_refused(schedule: str, words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        cron(schedule, "1h")


@given(st.text("0123456789*/,-#LWMONSAT", max_size=20), st.integers(0, 4))
def test_no_schedule_breaks_the_model(field: str, place: int) -> None:
    fields = ["0", "0", "*", "*", "*"]
    fields[place] = field
    with suppress(ValidationError):
        window = cron(" ".join(fields), "1h")
        assert open_at([window], "shop", at("2026-11-24T12:00")) == open_at([window], "", at("2026-11-24T12:00"))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"days": ["Mon"]},
        {"start": "08:00"},
        {"end": "08:00"},
        {"schedule": "0 0 * * *"},
        {"duration": "1h"},
        {"start": "08:00", "end": "09:00", "duration": "1h"},
        {"start": "08:00", "end": "09:00", "schedule": "0 0 * * *"},
        {"start": "08:00", "end": "09:00", "schedule": "0 0 * * *", "duration": "1h"},
        {"schedule": "0 0 * * *", "duration": "1h", "days": ["Mon"]},
        {"schedule": "0 0 * * *", "duration": "1h", "start": "08:00"},
    ],
)
def test_a_window_has_exactly_one_of_the_two_forms(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"write either start and end \(and days\), or schedule and duration"):
        Window.model_validate({"name": "w", **fields})


@pytest.mark.parametrize("text", ["8:00", "24:00", "08:60", "08:00:00", "08:00\n", ""])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match=r"must be a time of day|at most 5 characters"):
        daily(text, "18:00")


@pytest.mark.parametrize("duration", ["59s", "169h"])
def test_a_cron_window_lasts_from_a_minute_to_a_week(duration: str) -> None:
    with pytest.raises(ValidationError, match="must be between 1m and 168h"):
        cron("0 0 * * *", duration)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-12-20", "2026-12-20"),
        ("2026-12-20T18:00", "2026-12-20"),
        ("2026-12-20T23:59", "2026-12-20"),
        ("2026-12-20", "2026-12-20T00:01"),
        ("2026-12-20T18:00", "2026-12-20T18:01"),
    ],
)
def test_a_freeze_may_be_short(start: str, end: str) -> None:
    assert frozen([freeze(start, end)], "shop", at(start)) is not None


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-12-20", "2026-12-19"),
        ("2026-12-20T18:00", "2026-12-19"),
        ("2026-12-20", "2026-12-20T00:00"),
        ("2026-12-20T18:00", "2026-12-20T18:00"),
        ("2026-12-20T18:00", "2026-12-20T17:59"),
    ],
)
def test_a_freeze_that_ends_before_it_starts_is_refused(start: str, end: str) -> None:
    with pytest.raises(ValidationError, match="end: must be later than start"):
        freeze(start, end)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-02-30", "there is no such day: 2026-02-30"),
        ("2026-13-01", "must be a day such as 2026-12-20"),
        ("2026-12-20 18:00", "must be a day such as 2026-12-20"),
        ("20.12.2026", "must be a day such as 2026-12-20"),
        ("9999-12-31", "must be a day such as 2026-12-20"),
    ],
)
def test_what_is_no_day_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        freeze("2026-01-01", text)


def test_both_models_have_a_schema_that_the_api_server_takes() -> None:
    assert schema(Window)["x-kubernetes-validations"]
    assert schema(Freeze)["x-kubernetes-validations"]


ZONES = st.sampled_from(
    ["UTC", BERLIN, NEW_YORK, SYDNEY, "Australia/Lord_Howe", "America/Nuuk", "Africa/Cairo", "America/Havana"]
)
TIMES = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 1, 30, 59]))
SCHEDULES = st.sampled_from(
    [
        "* * * * *",
        "*/7 * * * *",
        "0 * * * *",
        "30 2 * * *",
        "15,45 1-3 * * *",
        "0 0 * * *",
        "* * * * SAT",
        "30 23 L * *",
    ]
)
WINDOWS = st.one_of(
    st.builds(
        lambda s, e, z, d: daily(s, e, z, days=d), TIMES, TIMES, ZONES, st.lists(st.sampled_from(DAYS), max_size=3)
    ),
    st.builds(cron, SCHEDULES, st.sampled_from(["1m", "40m", "3h", "168h"]), ZONES),
)
# Mostly around the nights on which clocks change, for those are the hard ones.
CHANGES = [
    "2026-03-08",
    "2026-03-29",
    "2026-04-05",
    "2026-04-24",
    "2026-10-04",
    "2026-10-25",
    "2026-10-30",
    "2026-11-01",
]
NOWS = st.one_of(
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),
    st.builds(
        lambda day, minutes: datetime.fromisoformat(day) + timedelta(minutes=minutes),
        st.sampled_from(CHANGES),
        st.integers(-1800, 1800),
    ),
).map(lambda naive: naive.replace(tzinfo=UTC))


@given(st.lists(WINDOWS, min_size=1, max_size=3), NOWS)
def test_it_stays_closed_until_just_before_the_moment_that_is_told_and_is_open_then(
    windows: list[Window], now: datetime
) -> None:
    found = open_at(windows, "shop", now)
    if found is not None:
        assert found.opens is not None
        assert found.opens > now
        assert open_at(windows, "shop", found.opens) is None
        for moment in (found.opens - timedelta(microseconds=1), now + (found.opens - now) / 2):
            assert open_at(windows, "shop", moment) is not None


@given(TIMES, TIMES, st.lists(st.sampled_from(DAYS), min_size=1, max_size=3), NOWS)
def test_a_daily_window_in_utc_is_what_a_clock_and_a_calendar_show(
    start: str, end: str, days: list[str], now: datetime
) -> None:
    clock, today, yesterday = f"{now:%H:%M}", f"{now:%a}", f"{now - timedelta(days=1):%a}"
    if start < end:
        expected = today in days and start <= clock < end
    else:
        expected = (today in days and clock >= start) or (yesterday in days and clock < end)
    assert is_open(daily(start, end, days=days), now) is expected


@given(SCHEDULES, ZONES, NOWS)
def test_a_cron_window_is_open_exactly_after_the_minutes_that_its_schedule_names(
    schedule: str, zone: str, now: datetime
) -> None:
    """A window of one minute is open when the clock shows a minute of the schedule, or has just jumped over one."""
    local = now.astimezone(ZoneInfo(zone))
    wall = local.replace(tzinfo=None, second=0, microsecond=0)
    named = next(CronSim(schedule, wall - timedelta(minutes=1))) == wall
    jumped = local.utcoffset() != (now - timedelta(minutes=1)).astimezone(local.tzinfo).utcoffset()
    if not jumped:
        assert is_open(cron(schedule, "1m", zone), now) is named
