"""The end of a log: bounded, and without what looks like a secret."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.engine.redaction import BYTES, HIDDEN, LINES, end_of


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("restored 7 tables in 3 s", "restored 7 tables in 3 s"),
        ("postgres://me:hunter2@db:5432/x failed", f"postgres://{HIDDEN}@db:5432/x failed"),
        ("PGPASSWORD=hunter2 pg_restore", f"PGPASSWORD={HIDDEN} pg_restore"),
        ('{"apiToken": "hunter 2", "n": 1}', f'{{"apiToken": {HIDDEN}, "n": 1}}'),
        ("password: 'hunter 2'", f"password: {HIDDEN}"),
        ("AWS_SECRET_ACCESS_KEY = hunter2", f"AWS_SECRET_ACCESS_KEY = {HIDDEN}"),
        ("Authorization: Bearer abcdefgh.ij", f"Authorization: Bearer {HIDDEN}"),
        ("pg --password hunter2 -d x", f"pg --password {HIDDEN} -d x"),
        ("key AKIAABCDEFGHIJKLMNOP used", f"key {HIDDEN} used"),
        ("jwt eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", f"jwt {HIDDEN}"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nok", f"{HIDDEN}\nok"),
        ("a\n-----BEGIN CERTIFICATE-----\nabc", f"a\n{HIDDEN}"),
        ("A" * 64, HIDDEN),
        ("\x1b[31mred\x1b[0m\r\n", "[31mred[0m"),
        ("", ""),
    ],
)
def test_what_looks_like_a_secret_is_hidden_and_the_rest_stays(line: str, kept: str) -> None:
    assert end_of(line) == kept


def test_only_the_last_lines_are_kept() -> None:
    kept = end_of("\n".join(f"line {number}" for number in range(100)))
    assert kept.split("\n") == [f"line {number}" for number in range(100 - LINES, 100)]


@given(st.text(max_size=5_000))
def test_it_always_fits(log: str) -> None:
    kept = end_of(log)
    assert len(kept.encode()) <= BYTES + 3
    assert kept.count("\n") < LINES


@pytest.mark.parametrize("text", ["a.-" * 22_000, "token" * 13_000, "-" * 65_000, "://" * 20_000])
def test_a_hostile_log_keeps_nobody_busy(text: str) -> None:
    begun = time.monotonic()
    end_of(text)
    assert time.monotonic() - begun < 2
