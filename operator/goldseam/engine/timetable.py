"""Whether the windows and freezes of the Guardrails let Goldseam act now, and if not, from when on.

People write times of their own clock. On the day when an hour does not exist, what should start in it starts when the
clock jumps; on the day when an hour is there twice, a window covers both.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

from cronsim import CronSim

from goldseam.api.base import format_duration
from goldseam.api.windows import Day, Freeze, Window
from goldseam.engine.matching import protected

_DAYS: tuple[str, ...] = get_args(Day)
_MINUTE, _YEAR = timedelta(minutes=1), timedelta(days=366)
_SHOWN = 3
"""How many windows a message names: it has to stay readable."""


@dataclass(frozen=True)
class Closed:
    """No window is open."""

    opens: datetime | None
    """When the next one opens, in UTC; None: not within a year."""
    message: str


@dataclass(frozen=True)
class Frozen:
    """A freeze holds."""

    name: str
    ends: datetime
    """In UTC."""
    message: str


def open_at(windows: Iterable[Window], namespace: str, now: datetime) -> Closed | None:
    """None when Goldseam may act: no window concerns the namespace, or one that does is open. Else why not.

    Args:
        windows: all of the Guardrails.
        namespace: the target's; empty for a node.
        now: an aware time.
    """
    ours = [window for window in windows if _concerns(window, namespace)]
    if not ours or any(_is_open(window, now) for window in ours):
        return None
    outside = f"outside the windows {_listed(ours)}"
    coming = [(opens, window.zone) for window in ours if (opens := _next_start(window, now))]
    if not coming:
        return Closed(None, f"{outside}: none of them opens within a year")
    opens, zone = min(coming)
    return Closed(opens, f"{outside}: opens {opens.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}")


def frozen(freezes: Iterable[Freeze], namespace: str, now: datetime) -> Frozen | None:
    """The freeze that holds for the namespace; of several the one that ends last.

    Args:
        freezes: all of the Guardrails.
        namespace: the target's; empty for a node.
        now: an aware time.
    """
    ours = [freeze for freeze in freezes if _concerns(freeze, namespace)]
    held = [(ends, freeze) for freeze in ours if (ends := _holds_until(freeze, now))]
    if not held:
        return None
    ends, freeze = max(held, key=lambda each: each[0])
    until = freeze.end.replace("T", " ") if "T" in freeze.end else f"the end of {freeze.end}"
    return Frozen(freeze.name, ends, f"frozen by {freeze.name} until {until} {freeze.zone}: {freeze.reason}")


def _concerns(entry: Window | Freeze, namespace: str) -> bool:
    return not entry.namespaces or (namespace != "" and protected(namespace, entry.namespaces))


def _holds_until(freeze: Freeze, now: datetime) -> datetime | None:
    zone = ZoneInfo(freeze.zone)
    start, _ = _shown(datetime.fromisoformat(freeze.start), zone)
    if "T" in freeze.end:
        _, end = _shown(datetime.fromisoformat(freeze.end), zone)
    else:
        end, _ = _shown(datetime.fromisoformat(freeze.end) + timedelta(days=1), zone)
    return end if start <= now < end else None


def _is_open(window: Window, now: datetime) -> bool:
    if window.schedule is None:
        return any(start <= now < end for start, end in _days_around(window, now))
    start = _last_cron_start(window.schedule, ZoneInfo(window.zone), now)
    assert window.duration is not None
    return start is not None and now < start + window.duration


def _next_start(window: Window, now: datetime) -> datetime | None:
    if window.schedule is None:
        return next((start for start, end in _days_around(window, now) if now < start < end), None)
    return _next_cron_start(window.schedule, ZoneInfo(window.zone), now)


def _days_around(window: Window, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Start and end of a daily window on the days that matter for `now`.

    From two days back, for a window lasts at most a day and an hour; two weeks ahead, for in one week all of it may
    lie in the hour that does not exist.
    """
    assert window.start is not None
    assert window.end is not None
    zone = ZoneInfo(window.zone)
    today = now.astimezone(zone).date()
    for day in (today + timedelta(days=ahead) for ahead in range(-2, 16)):
        if window.days and _DAYS[day.weekday()] not in window.days:
            continue
        end_day = day if window.end > window.start else day + timedelta(days=1)
        start, _ = _shown(datetime.fromisoformat(f"{day}T{window.start}"), zone)
        _, end = _shown(datetime.fromisoformat(f"{end_day}T{window.end}"), zone)
        yield start, end


def _last_cron_start(schedule: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The last moment, up to `now`, at which the clock showed what the schedule asks for."""
    wall, ahead, _ = _clock(now, zone)
    found: list[datetime] = []
    for shown in CronSim(schedule, wall + ahead + _MINUTE, reverse=True):
        found += [moment for moment in _shown(shown, zone) if moment <= now]
        if shown <= wall:  # what is earlier on the clock was earlier
            break
    return max(found, default=None)


def _next_cron_start(schedule: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The first moment after `now` at which the clock shows what the schedule asks for; None: not within a year."""
    wall, _, back = _clock(now, zone)
    found: list[datetime] = []
    for shown in CronSim(schedule, wall - back):
        if shown > wall + _YEAR:
            break
        moments = _shown(shown, zone)
        found += [moment for moment in moments if moment > now]
        if moments[0] > now:  # what is later on the clock comes later
            break
    return min(found, default=None)


def _clock(now: datetime, zone: ZoneInfo) -> tuple[datetime, timedelta, timedelta]:
    """What the clock shows, to the minute; how much further it was once before; how far back it will go.

    Schedules are looked up on the wall clock, without a zone, for cronsim's own handling of zones goes wrong both in an
    hour that is there twice and (endlessly) in one that is missing before midnight.
    """
    local = now.astimezone(zone)
    first, last = (local.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    twice = first - last
    wall = local.replace(tzinfo=None, fold=0, second=0, microsecond=0)
    return (wall, twice, timedelta()) if local.fold else (wall, timedelta(), twice)


def _shown(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The first and the last moment at which the clock shows this; where it jumps over this: the jump."""
    first, last = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= last:
        return first, last
    jump = _jump(last, first, zone)
    return jump, jump


def _jump(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The moment between the two at which the clock jumps."""

    def jumped(second: int) -> bool:
        return (low + timedelta(seconds=second)).astimezone(zone).utcoffset() != before

    before = low.astimezone(zone).utcoffset()
    return low + timedelta(seconds=bisect_left(range(int((high - low).total_seconds())), True, key=jumped))


def _listed(windows: list[Window]) -> str:
    shown = ", ".join(f"{window.name} ({_described(window)})" for window in windows[:_SHOWN])
    return f"{shown} and {len(windows) - _SHOWN} more" if len(windows) > _SHOWN else shown


def _described(window: Window) -> str:
    if window.schedule is not None:
        assert window.duration is not None
        return f"{window.schedule} for {format_duration(window.duration)} {window.zone}"
    hours = "all day" if window.start == window.end == "00:00" else f"{window.start}-{window.end}"
    return f"{_days(window)} {hours} {window.zone}"


def _days(window: Window) -> str:
    """Such as `Mon-Fri`, `Sat, Sun` or `every day`."""
    numbers = sorted({_DAYS.index(day) for day in window.days})
    if len(numbers) in (0, 7):
        return "every day"
    first, last = numbers[0], numbers[-1]
    if len(numbers) > 2 and last - first == len(numbers) - 1:
        return f"{_DAYS[first]}-{_DAYS[last]}"
    return ", ".join(_DAYS[number] for number in numbers)
