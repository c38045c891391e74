"""What is printed for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.cli.text import ago, plain, span, table

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@given(st.text())
def test_no_text_makes_a_terminal_do_anything(text: str) -> None:
    printed = plain(text)
    assert all(ord(c) >= 0x20 and not 0x7F <= ord(c) <= 0x9F for c in printed)
    assert not set(printed) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\u200b")
    assert "\n" not in printed


def test_what_people_write_stays_as_it_is() -> None:
    assert plain("Störung bei größer 5 %: 🔥 „hoch“") == "Störung bei größer 5 %: 🔥 „hoch“"
    assert plain("two\nlines\tand a tab") == "two lines and a tab"


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(seconds=-3), "0s"),
        (timedelta(seconds=45), "45s"),
        (timedelta(minutes=9, seconds=5), "9m5s"),
        (timedelta(minutes=12, seconds=59), "12m"),
        (timedelta(hours=3, minutes=20, seconds=1), "3h20m"),
        (timedelta(days=5, hours=3), "5d"),
    ],
)
def test_times_are_short(length: timedelta, text: str) -> None:
    assert ago(NOW - length, NOW) == text
    assert length < timedelta(0) or span(length) == text


def test_columns_are_as_wide_as_they_must_be_and_the_last_is_free() -> None:
    assert table(("A", "LONG", "M"), [("aaaa", "b", "one two"), ("c", "\x1bd", "")]) == [
        "A      LONG   M",
        "aaaa   b      one two",
        "c      d",
    ]
