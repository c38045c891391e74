"""Windows and freezes: when Goldseam may act, and when it must not."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from goldseam.api.base import AnyDuration, Model, Rule, ShortName, Text
from goldseam.api.constraints import Between, Pattern

NamespacePattern = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Pattern(
        r"^[a-z0-9*]([-a-z0-9*]*[a-z0-9*])?$", "must be the name of a namespace, in which * stands for any characters"
    ),
]
"""The name of a namespace, or a pattern for several."""

NO_ZONE = "no such time zone: write an IANA name such as Europe/Berlin"


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # OSError: "Europe" is a directory
        raise ValueError(NO_ZONE) from error
    return name


# A capital first: the systems' own files (posixrules, localtime, right/Europe/Berlin) are not the same everywhere.
Zone = Annotated[
    str,
    Field(min_length=1, max_length=64),
    Pattern(r"^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$", "must be an IANA time zone such as Europe/Berlin"),
    AfterValidator(_known_zone),
]
"""An IANA time zone. Whether there is one of that name, only the models can say."""

TimeOfDay = Annotated[
    str,
    Field(max_length=5),
    Pattern(r"^([01][0-9]|2[0-3]):[0-5][0-9]$", "must be a time of day in quotes from 00:00 to 23:59, such as '08:00'"),
]
"""A time on the zone's clock, such as `08:00`."""

Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
"""A day of the week."""

_ANY_YEAR = datetime(2000, 1, 1)  # noqa: DTZ001 - a schedule is looked at on the wall clock, without a zone


def _cron_that_comes(text: str) -> str:
    try:
        first = next(CronSim(text, _ANY_YEAR), None)
    except CronSimError as error:
        said = str(error).removeprefix("Bad ")
        raise ValueError(f"is no cron schedule: its {said} is wrong; write one such as 0 22 * * Sat") from error
    if first is None:
        raise ValueError("never comes: no day is all that the schedule asks for")
    return text


Schedule = Annotated[
    str,
    Field(max_length=64),
    Pattern(
        r"^[0-9A-Za-z*/,#-]+( +[0-9A-Za-z*/,#-]+){4}$",
        "must be the five fields of a cron schedule such as 0 22 * * Sat",
    ),
    AfterValidator(_cron_that_comes),
]
"""A cron schedule: minute, hour, day of the month, month, day of the week. Whether it parses,
only the models can say."""

_NAMESPACES = Annotated[list[NamespacePattern], Field(max_length=32)]


def _one_form(window: Any) -> bool:
    daily, cron = (window.start, window.end), (window.schedule, window.duration)
    given, other = (cron, (*daily, window.days or None)) if window.schedule else (daily, cron)
    return None not in given and other.count(None) == len(other)


class Window(Model):
    """When Goldseam may act: on days of the week from `start` to `end`, or by a cron `schedule` for `duration`."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.schedule)"
            " ? has(self.duration) && !has(self.start) && !has(self.end) && (!has(self.days) || self.days.size() == 0)"
            " : has(self.start) && has(self.end) && !has(self.duration)",
            "write either start and end (and days), or schedule and duration",
            _one_form,
        ),
    )

    name: ShortName
    """The window's name, for messages."""
    zone: Zone = "UTC"
    """Whose clock counts: an IANA time zone such as Europe/Berlin. Default: UTC."""
    days: Annotated[list[Day], Field(max_length=7)] = []
    """The days on which it starts, with `start` and `end`. Default: every day."""
    start: TimeOfDay | None = None
    """When it starts, such as `"08:00"`. If the clock jumps over that time, it starts when the clock jumps."""
    end: TimeOfDay | None = None
    """When it ends, such as `"18:00"`. Earlier than `start`: on the next day. Equal to `start`: after a whole day."""
    schedule: Schedule | None = None
    """When it starts, as a cron schedule of five fields such as `0 22 * * Sat`; names and ranges as in cron, `L` for
    the last day of a month, `Sat#2` for its second Saturday."""
    duration: Annotated[AnyDuration, Between("1m", "168h")] | None = None
    """How long it stays open after each time that the schedule names, from 1m to 168h (7 days)."""
    namespaces: _NAMESPACES = []
    """The namespaces it is about; `*` stands for any characters. Default: all of them, and nodes."""


def _real_day(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError as error:  # the 30th of February
        raise ValueError(f"there is no such day: {text}") from error
    return text


LocalTime = Annotated[
    str,
    Field(max_length=16),
    Pattern(
        r"^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(T([01][0-9]|2[0-3]):[0-5][0-9])?$",
        "must be a day such as 2026-12-20, or a day and time such as 2026-12-20T18:00, in quotes",
    ),
    AfterValidator(_real_day),
]
"""A day, or a day and a time, on the zone's clock."""


def _ends_later(freeze: Any) -> bool:
    end = freeze.end if "T" in freeze.end else f"{freeze.end}T24:00"
    return bool(end > (freeze.start if "T" in freeze.start else f"{freeze.start}T00:00"))


class Freeze(Model):
    """When Goldseam must not act, whatever the windows say."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.end.size() == 10 ? self.end + 'T24:00' : self.end)"
            " > (self.start.size() == 10 ? self.start + 'T00:00' : self.start)",
            "end: must be later than start; a day without a time means till the end of that day",
            _ends_later,
        ),
    )

    name: ShortName
    """The freeze's name, for messages."""
    zone: Zone = "UTC"
    """Whose clock counts: an IANA time zone such as Europe/Berlin. Default: UTC."""
    start: LocalTime
    """When it starts: a day such as `"2026-12-20"`, or with a time, `"2026-12-20T18:00"`."""
    end: LocalTime
    """When it ends: a day, which is still frozen to its end, or a day with a time."""
    reason: Annotated[Text, Field(min_length=1)]
    """Why, for people."""
    namespaces: _NAMESPACES = []
    """The namespaces it is about; `*` stands for any characters. Default: all of them, and nodes."""
