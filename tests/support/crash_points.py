"""Where an operator is killed: at each of its writes, and at one read of each gather.

A point is named by what is done and by which time it is (`PATCH incidents/status` for the 3rd time), so that it is the
same in every run, whatever else happens at the same time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.support.faults import Seen

RECORD = "PATCH incidents/status"
GATHERS = "GET responses"
"""The one read that every gather makes, and nobody else."""


@dataclass(frozen=True, order=True)
class Point:
    """One request of a run."""

    label: str
    ordinal: int
    """Which one of that label, from 1. For the read of a gather: how many records had been written before it."""

    @property
    def reading(self) -> bool:
        """Whether it is the read of a gather."""
        return self.label == GATHERS

    def __str__(self) -> str:
        return f"the gather after record {self.ordinal}" if self.reading else f"{self.label} {self.ordinal}"

    def predicate(self) -> Callable[[Seen], bool]:
        """Whether a request is the one, when it is asked for every request of a run from its start."""
        course = Course()
        return lambda seen: course.next(seen) == self


class Course:
    """The points of a run, one request after the other."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def next(self, seen: Seen) -> Point | None:
        """The point that this request is, if it is one."""
        if seen.label == GATHERS:
            return Point(GATHERS, self._times[RECORD])
        if not seen.writing:
            return None
        self._times[seen.label] += 1
        return Point(seen.label, self._times[seen.label])


def points(requests: Iterable[Seen]) -> list[Point]:
    """All points of a run, in their order."""
    course = Course()
    found = [course.next(seen) for seen in requests]
    return list(dict.fromkeys(point for point in found if point is not None))
