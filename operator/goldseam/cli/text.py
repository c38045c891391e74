"""Plain text for terminals. Names and reasons come from the cluster, where anyone may have written them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from goldseam.api.durations import format_duration


def plain(text: str) -> str:
    """One line without anything that a terminal would obey: control characters, and marks that turn text around.

    Removed are Unicode's categories Cc, Cf, Cs and Zl/Zp (CWE-150; Trojan Source, CVE-2021-42574); letters, signs and
    emoji stay.
    """
    spaced = "".join(" " if c in "\n\t" else c for c in text)
    return "".join(c for c in spaced if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))


def ago(then: datetime, now: datetime) -> str:
    """How long ago, in one or two units: `45s`, `12m`, `3h20m`, `5d`."""
    return span(max(now - then, timedelta(0)))


def span(length: timedelta) -> str:
    """A length of time in one or two units."""
    if length >= timedelta(days=2):
        return f"{length.days}d"
    if length >= timedelta(minutes=10):
        length = timedelta(minutes=length // timedelta(minutes=1))
    return format_duration(length)


def clock(at: datetime) -> str:
    """A moment, always in UTC: on-call people of several zones read the same line."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with columns as kubectl prints them: capitals above, three spaces between, the last one as it comes."""
    cells = [list(head), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head) - 1)]
    return ["   ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in cells]
