"""A house in which tales are played again and again: the operator dies at every write and at every gather of each.

The audit log is the judge, together with the world as it is in the end.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support import exporter as exporters
from tests.support.crash_points import Point, points
from tests.support.direct import Direct
from tests.support.faults import When
from tests.support.judging import Run, faults_of, unexplained
from tests.support.mortal import Mortal
from tests.support.objects_on_cluster import guardrails
from tests.support.plane import OURS, Plane, eventually
from tests.support.proxy import FaultProxy, fault_proxy
from tests.support.tales import PATIENCE, Stage, Tale

Say = Callable[[str], None]
SIDES: tuple[When, ...] = ("before", "after")
REFERENCES = 5
"""So many fault-free runs are made. They need not come to the same points: on a busy machine an answer comes a moment
later, and one more is asked for."""
TRIES = 12
ONLY = {text.strip() for text in os.environ.get("ONLY", "").split(",") if text.strip()}
"""To look at some points again, or at one change: `ONLY="PATCH nodes 1, PATCH deployments 1"`."""
UNREACHED = "the point was never reached"
"""The run had fewer points than the one that it is compared with: nothing is lost by that, and nothing was shown."""
AHEAD = ThreadPoolExecutor(1)
REFERENCE: dict[str, Run] = {}
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class House:
    """Where tales are played: what is there for all runs, and the operator that dies in them."""

    stage: Stage
    proxy: FaultProxy
    mortal: Mortal


@contextmanager
def opened(plane: Plane, home: Path, *tales: type[Tale], **limits: Any) -> Iterator[House]:
    """One source, one rule for each alert, and limits that let a hundred incidents an hour act; `limits`: others of the
    Guardrails."""
    direct, many = Direct(plane.kubeconfig), [{"count": 1000, "per": "1h"}]
    kind = {"apiVersion": "goldseam.dev/v1alpha1", "kind": "AlertSource", "metadata": {"name": "default"}}
    source = kind | {"spec": {"url": plane.prometheus, "interval": "1s"}}
    plane.apply(guardrails(budgets={"cluster": many, "namespace": many}, **limits), source)
    plane.rules("matrix", [_rule(tale.alert) for tale in tales])
    with exporters.exporter(plane) as exporting, fault_proxy(plane) as proxy:
        mortal = Mortal(plane, direct, proxy, home)
        try:
            yield House(Stage(plane, direct, exporting), proxy, mortal)
        finally:
            mortal.ends()
    plane.rules("matrix", [])
    for kinds in OURS:
        plane.must("delete", kinds, "--all", "-A", "--wait=true", "--ignore-not-found")


def _rule(alert: str) -> dict[str, Any]:
    return {"alert": alert, "expr": f'trouble{{about="{alert}"}} > 0', "labels": {"severity": "critical"}}


class Theatre:
    """Plays one tale again and again, each time with other accidents."""

    def __init__(self, kind: type[Tale], house: House, say: Say) -> None:
        self.kind, self._stage, self._proxy, self._mortal, self.say = kind, house.stage, house.proxy, house.mortal, say
        self._next: Future[Tale] | None = None

    def reference(self) -> Run:
        """A fault-free run, with those of its points that most such runs come to. All of them must end alike."""
        if self.kind.name not in REFERENCE:
            REFERENCE[self.kind.name] = self._usual()
        return REFERENCE[self.kind.name]

    def _usual(self) -> Run:
        runs = [self._play(None, "before", "") for _ in range(REFERENCES)]
        for run in runs:
            wrong = run.problems + unexplained(run)
            assert not wrong, wrong
            assert (run.state, run.counted) == (runs[0].state, runs[0].counted), "fault-free runs ended differently"
        times = Counter(point for run in runs for point in run.points)
        usual = {point for point, count in times.items() if count > REFERENCES // 2}
        most = max(runs, key=lambda run: len(usual.intersection(run.points)))
        found = replace(most, points=[point for point in most.points if point in usual])
        seldom = {str(point): count for point, count in times.items() if count < REFERENCES}
        self.say(f"\n{self.kind.name}: {len(found.points)} points, {dict(found.counted)}, {found.state}")
        self.say(f"not in each of {REFERENCES} fault-free runs: {seldom}")
        return found

    def killed_at(self, point: Point, when: When, change: str = "") -> Run:
        """A run in which the operator dies there; tried again when it never came to it."""
        for _ in range(TRIES):
            begun = time.monotonic()
            run = self._play(point, when, change)
            if run.met:
                self.say(f"  {time.monotonic() - begun:4.1f} s  {when:6} {point}{', ' if change else ''}{change}")
                return run
        return replace(run, problems=[*run.problems, UNREACHED])

    def _prepared(self) -> Tale:
        """The next run's objects are made while this one runs, where that disturbs nothing."""

        def prepare() -> Tale:
            tale = self.kind(self._stage, next(NUMBERS))
            tale.prepare()
            return tale

        tale = self._next.result() if self._next else prepare()
        self._next = AHEAD.submit(prepare) if self.kind.apart else None
        return tale

    def _play(self, point: Point | None, when: When, change: str) -> Run:
        tale = self._prepared()
        begin, problems = len(self._proxy.requests), []
        meanwhile = tale.changes()[change] if change else lambda: None
        strike = self._mortal.dies_at(point, when, meanwhile) if point else None
        tale.begin()
        state: dict[str, Any] | None = None
        try:
            ready = tale.stand if change else tale.healed
            eventually(ready, f"{tale.namespace} to be healed (log: {self._mortal.log})", PATIENCE)
            tale.relent()
            state = eventually(
                lambda: tale.over() and told(tale.state()),
                f"{tale.namespace} to be over (log: {self._mortal.log})",
                PATIENCE,
            )
        except AssertionError as error:
            problems.append(str(error))
        met = strike is None or strike.done.is_set()
        problems += self._mortal.troubles() + tale.owed()
        run = Run(points(self._proxy.requests[begin:]), tale.effects(), state or tale.state(), problems, met)
        self._proxy.strike = None
        try:
            tale.leave()
        except AssertionError as error:
            run.problems.append(str(error))
        return run


def told(state: dict[str, Any]) -> dict[str, Any] | None:
    """The end of a run, once each incident says how it ended: for a target that is new one may be opened at the last
    moment, before it is seen that the trouble is over."""
    return state if all(incident["phase"] for incident in state["incidents"]) else None


def reported(say: Say, counted: Counter[str], where: str, doubles: list[str], losses: list[str]) -> list[str]:
    """Count what was wrong, and say it at once."""
    counted["doubles"] += len(doubles)
    counted["losses"] += len(losses) - losses.count(UNREACHED)
    counted["unreached"] += losses.count(UNREACHED)
    wrong = [f"DOUBLE {where}: {text}" for text in doubles]
    wrong += [f"{'NOT SHOWN' if text == UNREACHED else 'LOSS'} {where}: {text}" for text in losses]
    for text in wrong:
        say(f"    {text}")
    return wrong


def summed(wrong: list[str]) -> str:
    """How many of what was wrong are of which kind."""
    kinds = {"DOUBLE": "doubles", "LOSS": "losses", "NOT SHOWN": "points not shown"}
    return ", ".join(f"{sum(text.startswith(kind) for text in wrong)} {name}" for kind, name in kinds.items())


def accidents(points: list[Point]) -> Iterator[tuple[Point, When]]:
    """Every write before and after; every read once, for nobody but the dead can tell whether it was answered."""
    turns = itertools.cycle(SIDES)
    for point in points:
        if not ONLY or str(point) in ONLY:
            yield from [(point, next(turns))] if point.reading else [(point, side) for side in SIDES]


def killed_anywhere(theatre: Theatre, counted: Counter[str]) -> list[str]:
    """What is wrong after a death at each point, each write before and after: it must end as if nobody had died."""
    reference = theatre.reference()
    assert not reference.doubles
    counted["points"] += len(reference.points)
    wrong: list[str] = []
    for point, when in accidents(reference.points):
        run = theatre.killed_at(point, when)
        wrong += reported(theatre.say, counted, f"killed {when} {point}", *faults_of(run, reference))
    theatre.say(f"{theatre.kind.name}: {len(reference.points)} points, writes before and after: {summed(wrong)}")
    return wrong


def killed_while_the_world_changes(theatre: Theatre, counted: Counter[str]) -> list[str]:
    """What is wrong after a death at each point, and a change of the world before it lives again: it must end, and
    everything be paid or explained."""
    reference = theatre.reference()
    wrong: list[str] = []
    for point, when, change in _turns(theatre.kind, reference.points):
        if ONLY and not ONLY & {str(point), change}:
            continue
        run = theatre.killed_at(point, when, change)
        losses = run.problems + unexplained(run)
        wrong += reported(theatre.say, counted, f"killed {when} {point}, {change}", run.doubles, losses)
    theatre.say(f"{theatre.kind.name}: {len(reference.points)} points with a change each: {summed(wrong)}")
    return wrong


def _turns(tale: type[Tale], found: list[Point]) -> Iterator[tuple[Point, When, str]]:
    """All points, each with a side and a change: every change is met on both sides."""
    incident = found.index(Point("POST incidents", 1))
    sides = [side for side in SIDES for _ in tale.turns]
    turns = zip(found, itertools.cycle(sides), itertools.cycle(tale.turns), strict=False)
    for place, (point, when, change) in enumerate(turns):
        early = change == "alert resolved" and place <= incident  # without an incident nothing would ever come of it
        yield point, when, "policy paused" if early else change
