"""How a run is judged: what took effect twice, what was never done, what is still owed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.support.crash_points import Point
from tests.support.tales import ENDED, Effect

Json = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What came of one run."""

    points: list[Point]
    effects: list[Effect]
    state: Json
    problems: list[str]
    """What did not happen, and what is still owed."""
    met: bool
    """Whether the point was reached."""

    @property
    def counted(self) -> Counter[str]:
        """Its effects, whichever pods and objects they were about."""
        return Counter(map(str, self.effects))

    @property
    def doubles(self) -> list[str]:
        """What took effect twice on the same object."""
        return [f"{effect} {times} times" for effect, times in Counter(self.effects).items() if times > 1]


def faults_of(run: Run, wanted: Run) -> tuple[list[str], list[str]]:
    """What was done twice, and what was lost, where a run must end as another one did."""
    doubles = [*run.doubles, *(f"more than once: {text}" for text in run.counted - wanted.counted)]
    losses = [*run.problems, *(f"never done: {text}" for text in wanted.counted - run.counted)]
    if run.state != wanted.state:
        losses.append(f"another end: {run.state}, not {wanted.state}")
    return doubles, losses


def unexplained(run: Run) -> list[str]:
    """Debts that are open in the end, incidents that did not end as they may, and what nobody is told the reason of."""
    told = run.state["incidents"]
    debts = [debt for incident in told for debt in incident["debts"] if debt.endswith("Open")]
    debts += [f"not a word of why: {what}" for incident in told for what in incident["silent"]]
    return debts + [f"ended in {incident['phase']}" for incident in told if incident["phase"] not in ENDED]
