"""Whatever the cluster looks like, and whatever happens meanwhile: a drain hurts nobody, and ends (Hypothesis)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from goldseam.engine.objects import ZONE
from tests.component.test_node_incidents import crempol, node
from tests.support.harness import Harness
from tests.support.toycluster import Killed
from tests.support.toypods import ToyPods

Json = dict[str, Any]

BUDGETS: tuple[Json, ...] = (
    {},
    {},
    {"maxUnavailable": 1},
    {"maxUnavailable": "50%"},
    {"minAvailable": 1},
    {"minAvailable": "100%"},
)
STRATEGIES: tuple[Json, ...] = (
    {},
    {},
    {},
    {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%", "maxSurge": 1}},
    {"type": "Recreate"},
)
EVENTS = (
    *("kill before", "kill after", "clear", "fire", "pause", "unpause", "cordon", "uncordon", "unready node"),
    *("ready node", "unreadable", "readable", "time"),
)


@dataclass(frozen=True)
class App:
    """A workload: on which nodes its pods are, by number, and how it is protected."""

    nodes: tuple[int, ...]
    kind: str
    budget: Json = field(hash=False)
    strategy: Json = field(hash=False)
    sick: bool
    claims: bool = False
    """Whether each pod has a volume of its own, for one node at a time."""


@dataclass(frozen=True)
class Start:
    """A cluster, and what is drained of it."""

    zones: tuple[str, ...]
    apps: tuple[App, ...]
    drained: int
    """How many nodes, from the first one on."""
    at_once: int
    per_zone: int
    evict: bool
    start: float
    detach: float = 4.0
    theirs: bool = False
    """Whether people have cordoned those that are drained before."""


@st.composite
def starts(draw: st.DrawFn) -> Start:
    count = draw(st.integers(2, 4))
    apps = st.builds(
        App,
        nodes=st.lists(st.just(0) | st.integers(0, count - 1), min_size=1, max_size=3).map(tuple),
        kind=st.sampled_from(["Deployment", "Deployment", "Deployment", "StatefulSet"]),
        budget=st.sampled_from(BUDGETS),
        strategy=st.sampled_from(STRATEGIES),
        sick=st.integers(0, 9).map(lambda n: n == 0),
        claims=st.integers(0, 2).map(lambda n: n == 0),
    )
    return Start(
        zones=tuple(draw(st.lists(st.sampled_from("ab"), min_size=count, max_size=count))),
        apps=tuple(draw(st.lists(apps, min_size=1, max_size=4))),
        drained=draw(st.integers(1, 2)),
        at_once=draw(st.sampled_from([1, 1, 2])),
        per_zone=draw(st.integers(1, 2)),
        evict=draw(st.integers(0, 3)) == 0,
        start=draw(st.sampled_from([0.0, 3.0, 20.0])),
        detach=draw(st.sampled_from([0.0, 4.0, 15.0, 1000.0])),
        theirs=draw(st.integers(0, 3)) == 0,
    )


class Life:
    """Some drains, to which things happen."""

    def __init__(self, start: Start) -> None:
        self.start = start
        ladder = {"drain": {"singleReplicas": "Evict" if start.evict else "Restart"}, "timeout": "60s"}
        by_people = [start.theirs and number < start.drained for number in range(len(start.zones))]
        self.nodes = [node(f"n{n}", **({"unschedulable": True} if by else {})) for n, by in enumerate(by_people)]
        for made, zone in zip(self.nodes, start.zones, strict=True):
            made["metadata"]["labels"] = {ZONE: zone}
        self.h = Harness(crempol(ladder, limits={"concurrent": 10}), self.nodes[0], "nodes")
        for made in self.nodes[1:]:
            self.h.cluster.add("nodes", made)
        caps = {"budgets": {"nodes": {"atOnce": start.at_once, "perZone": start.per_zone}}}
        self.h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": caps})
        self.toy = ToyPods(self.h, start=start.start, detach=start.detach)
        for number, app in enumerate(start.apps):
            self.deploy(f"app{number}", app)
        self.toy.work()

    def deploy(self, name: str, app: App) -> None:
        field_ = "strategy" if app.kind == "Deployment" else "updateStrategy"
        if app.claims:
            self.toy.with_claims.add(name)
        strategy = {field_: app.strategy} if app.strategy and app.kind == "Deployment" else {}
        self.toy.deploy(name, [f"n{number}" for number in app.nodes], app.kind, progressDeadlineSeconds=30, **strategy)
        if app.budget:
            self.toy.budget(name, name, **app.budget)
        if app.sick:
            self.toy.sick.add(name)

    async def begin(self) -> None:
        await self.h.start()
        for number in range(self.start.drained):
            self.h.target = self.h.cluster.objects["nodes", "", f"n{number}"]
            await self.h.open()

    async def happen(self, event: str, seconds: int) -> None:
        h, cluster = self.h, self.h.cluster
        name = f"n{seconds % len(self.nodes)}"
        there = bool(list(cluster.all("pauses")))
        match event:
            case "kill before" | "kill after":
                cluster.kill_at, cluster.kill_after = cluster.attempts + 1 + seconds % 7, event == "kill after"
            case "clear" | "fire":
                h.alert_state = "Cleared" if event == "clear" else "Firing"
            case "pause" if not there:
                spec = {"reason": "x", "cluster": True}
                cluster.add("pauses", {"metadata": {"name": "p", "namespace": "goldseam-system"}, "spec": spec})
            case "unpause" if there:
                cluster.remove("pauses", "goldseam-system", "p")
            case "cordon" | "uncordon":
                wanted = True if event == "cordon" else None
                cluster.edit("nodes", "", name, {"spec": {"unschedulable": wanted}}, "kubectl-cordon")
            case "unready node" | "ready node":
                status = {"conditions": [{"type": "Ready", "status": "False" if "un" in event else "True"}]}
                cluster.objects["nodes", "", name]["status"] = status
            case "unreadable" | "readable":
                closed = {"poddisruptionbudgets", "replicasets", "volumeattachments"}
                cluster.unreadable = closed if "un" in event else set()
        await self.live(seconds)

    async def live(self, seconds: float) -> None:
        await self._through(lambda: self.h.settle_all(seconds))

    async def _through(self, live: Callable[[], Awaitable[None]]) -> None:
        try:
            await live()
        except Killed:
            self.h.cluster.kill_at = None
            await self.h.start()
            await live()

    async def end(self) -> None:
        """The world is well again, for long enough; people have taken back what they did."""
        self.h.cluster.kill_at = None
        for event in ("unpause", "readable", "clear"):
            await self.happen(event, 1)
        for number in range(len(self.nodes)):
            await self.happen("ready node", number)
        await self._through(lambda: self.h.settle_all(400, self.over))

    def over(self) -> bool:
        """Whether nothing is left to do."""
        return all(s.phase in ("Resolved", "Escalated", "Abandoned") and not s.owes for s in self.h.statuses())


async def lived(start: Start, events: list[tuple[str, int]]) -> Life:
    life = Life(start)
    await life.begin()
    await life.live(5)
    for event, seconds in events:
        await life.happen(event, seconds)
    await life.end()
    return life


ANY = st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(1, 60)), max_size=8)
CROWDED = App((0, 0, 1, 1), "Deployment", {"maxUnavailable": 1}, {}, sick=False)


@example(Start(("a", "b", "b"), (CROWDED, CROWDED), 2, 1, 1, evict=True, start=3.0, theirs=True), [])
@given(starts(), ANY)
def test_no_budget_is_broken_no_cap_is_passed_and_every_node_comes_back(
    start: Start, events: list[tuple[str, int]]
) -> None:
    life = asyncio.run(lived(start, events))
    toy, cluster = life.toy, life.h.cluster
    assert toy.broken == []
    assert toy.at_once == [], "of a workload with volumes one pod goes after the other"
    assert toy.taken <= start.at_once
    assert toy.of_one_zone <= start.per_zone
    statuses = life.h.statuses()
    assert {status.phase for status in statuses} <= {"Resolved", "Escalated", "Abandoned"}, statuses[0].message
    assert [status.owes for status in statuses] == [0] * len(statuses)
    lost = {o.object.name for status in statuses for o in status.obligations if o.state == "Lost"}
    assert toy.ours() <= lost, "it is uncordoned, or it is said whose it is now"
    evicted = [body["uid"] for verb, _, _, body in cluster.writes if verb == "evict"]
    assert len(evicted) == len(set(evicted))


QUIET = st.lists(st.tuples(st.sampled_from(["kill before", "kill after", "pause", "unpause", "time"]),
                           st.integers(1, 60)), max_size=6)  # fmt: skip


@given(starts(), QUIET)
def test_nobody_who_had_a_ready_pod_is_ever_without_one_unless_the_policy_says_so(
    start: Start, events: list[tuple[str, int]]
) -> None:
    alone = Start(**(start.__dict__ | {"at_once": 1, "evict": False}))
    life = asyncio.run(lived(alone, events))
    assert {name: least for name, least in life.toy.least.items() if not least} == {}


def test_there_are_lives_in_which_a_drain_restarts_and_empties_its_node() -> None:
    calm = App((0,), "Deployment", {}, {}, sick=False)
    life = asyncio.run(lived(Start(("a", "b"), (calm, calm), 1, 1, 1, evict=False, start=3.0), []))
    assert [step.outcome for step in life.h.statuses()[0].steps if step.action == "drain"] == ["Passed"]
    assert {w.object.kind for w in life.h.statuses()[0].steps[0].writes} == {"Node", "Deployment", "Pod"}
