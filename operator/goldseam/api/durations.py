"""Lengths of time as people write them: `90s`, `5m`, `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta

DURATION_PATTERN = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"
DURATION_WORDS = "must be a duration such as 90s, 5m or 1h30m"
_DURATION = re.compile(DURATION_PATTERN)


def parse_duration(value: object) -> timedelta:
    """Read `90s`, `5m`, `1h30m`.

    Raises:
        ValueError: when the text is not such a duration.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and value and len(value) <= 16 and (match := _DURATION.fullmatch(value)):
        hours, minutes, seconds = (int(part[:-1]) if part else 0 for part in match.groups())
        return timedelta(hours=hours, minutes=minutes, seconds=seconds)
    raise ValueError(DURATION_WORDS)


def format_duration(value: timedelta) -> str:
    """Write a duration as `1h30m`; zero is `0s`. Fractions of a second are cut."""
    minutes, seconds = divmod(int(value.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = (f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{seconds}s" if seconds else "")
    return "".join(parts) or "0s"
