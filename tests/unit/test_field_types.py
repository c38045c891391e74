"""The types of fields: what a text, a number or a time may look like."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from goldseam.api.base import Duration, IntOrPercent, Number, Time, format_duration, parse_duration, parse_matcher

NOW = datetime(2026, 1, 15, 18, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1h0m1s", 3601), ("168h", 604_800)],
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", "5", "5 m", "5min", "1d", "1.5h", "-5m", "30m1h", "5m\n", " 5m", "PT5M", "1000000000000000h", None, 5, True],
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="such as 90s, 5m or 1h30m"):
        parse_duration(text)


def test_no_duration_is_longer_than_a_week() -> None:
    with pytest.raises(ValidationError, match="at most 168h"):
        TypeAdapter(Duration).validate_python("169h")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-15T18:00:00Z", NOW),
        ("2026-01-15t18:00:00z", NOW),
        ("2026-01-15T20:00:00+02:00", NOW),
        ("2026-01-15T18:00:00.123456789Z", NOW.replace(microsecond=123456)),
    ],
)
def test_a_time_is_read_in_utc(text: str, utc: datetime) -> None:
    assert TypeAdapter(Time).validate_python(text) == utc
    assert TypeAdapter(Time).dump_python(utc) == utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_time_without_a_zone_from_our_own_code_is_utc() -> None:
    assert TypeAdapter(Time).validate_python(NOW.replace(tzinfo=None)) == NOW


@pytest.mark.parametrize(
    "text",
    [
        *("tomorrow", "2026-01-15", "2026-01-15T18:00:00", "2026-01-15 18:00:00Z", "2026-01-15T18:00Z", "1764000000"),
        *("2026-02-30T10:00:00Z", "9999-12-31T23:59:59-10:00", 1764000000, None),
    ],
)
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(ValidationError, match="must be a time such as"):
        TypeAdapter(Time).validate_python(text)


@pytest.mark.parametrize("value", [0, 3, 100_000, "0%", "50%", "100%"])
def test_a_count_or_a_percentage(value: object) -> None:
    assert TypeAdapter(IntOrPercent).validate_python(value) == value


@pytest.mark.parametrize("value", [-1, 100_001, "101%", "50", "050%", "50 %", "50%\n", True, None, 0.5])
def test_neither_a_count_nor_a_percentage(value: object) -> None:
    with pytest.raises(ValidationError, match="must be a count"):
        TypeAdapter(IntOrPercent).validate_python(value)


@pytest.mark.parametrize("text", ["0", "-1", "+0.05", "1e10", "1.5E-3"])
def test_a_bound_is_a_decimal(text: str) -> None:
    assert TypeAdapter(Number).validate_python(text) == text


@pytest.mark.parametrize("text", ["", ".5", "5.", "1,5", "NaN", "Inf", "0x10", "1 "])
def test_what_is_no_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Number).validate_python(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('severity="critical"', ("severity", "=", "critical")),
        (' pod =~ "api-.*" ', ("pod", "=~", "api-.*")),
        ('a!="b"', ("a", "!=", "b")),
        ('a!~"b|c"', ("a", "!~", "b|c")),
        (r'a="say \"hi\"\\\n"', ("a", "=", 'say "hi"\\\n')),
        ('a=""', ("a", "=", "")),
    ],
)
def test_a_matcher_is_read_as_prometheus_does(text: str, parts: tuple[str, str, str]) -> None:
    assert parse_matcher(text) == parts


@pytest.mark.parametrize("text", ["", "a", "a=b", "a=='b'", '{a="b"}', 'a="b', 'a="b"\n', '1a="b"', 'a="b",c="d"'])
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="label matcher such as"):
        parse_matcher(text)
