"""Clusters, what is drained of them, and what happens meanwhile: drawn by Hypothesis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from goldseam.api.incident import IncidentStatus
from goldseam.engine.objects import CONTROL_PLANE, ZONE, cordoned, is_ready
from tests.component.test_node_incidents import crempol, node
from tests.support.harness import Harness
from tests.support.toycluster import Killed
from tests.support.toypods import ToyPods

Json = dict[str, Any]

ENDED = ("Resolved", "Escalated", "Abandoned")
NEVER: Json = {"maxUnavailable": 0}
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
AGES = (0.0, 2.0, 30.0, 3_600.0, 86_400.0)
EVENTS = (
    *("kill before", "kill after", "clear", "fire", "pause", "unpause", "cordon", "uncordon", "unready node"),
    *("ready node", "unreadable", "readable", "time", "starve", "forbid"),
)
QUIET = ("kill before", "kill after", "pause", "unpause", "time")
REST = timedelta(seconds=150)
"""Longer than the policy's timeout, and than its `unknownTimeout`."""
Events = list[tuple[str, int]]


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
    ages: tuple[float, ...] = ()
    """How old each pod is, in seconds; who is younger than pods take to start is not ready."""
    undying: bool = False
    """Whether its pods never end."""


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
    grace: float = 0.0
    """Seconds that a pod takes to end."""
    deadline: str = ""
    at_deadline: str = "Uncordon"
    allowed: tuple[str, ...] = ()
    """The nodes on which the Guardrails let a drain end by force."""
    control_plane: frozenset[int] = frozenset()
    """Which nodes are of the control plane."""
    opted_in: bool = False
    """Whether the policy says that these may be drained, too."""
    theirs: bool = False
    """Whether people have cordoned those that are drained before."""


@st.composite
def apps(draw: st.DrawFn, nodes: int) -> App:
    where = tuple(draw(st.lists(st.just(0) | st.integers(0, nodes - 1), min_size=1, max_size=3)))
    return App(
        nodes=where,
        kind=draw(st.sampled_from(["Deployment", "Deployment", "Deployment", "StatefulSet"])),
        budget=draw(st.sampled_from(BUDGETS)),
        strategy=draw(st.sampled_from(STRATEGIES)),
        sick=draw(st.integers(0, 9)) == 0,
        claims=draw(st.integers(0, 2)) == 0,
        ages=draw(st.just(()) | st.tuples(*[st.sampled_from(AGES)] * len(where))),
        undying=draw(st.integers(0, 9)) == 0,
    )


@st.composite
def starts(draw: st.DrawFn) -> Start:
    count = draw(st.integers(2, 4))
    masters = st.frozensets(st.integers(0, count - 1)).map(lambda others: others | {0})
    return Start(
        zones=tuple(draw(st.lists(st.sampled_from("ab"), min_size=count, max_size=count))),
        apps=tuple(draw(st.lists(apps(count), min_size=1, max_size=4))),
        drained=draw(st.integers(1, 2)),
        at_once=draw(st.sampled_from([1, 1, 2])),
        per_zone=draw(st.integers(1, 2)),
        evict=draw(st.integers(0, 3)) == 0,
        start=draw(st.sampled_from([0.0, 3.0, 20.0])),
        detach=draw(st.sampled_from([0.0, 4.0, 15.0, 1000.0])),
        grace=draw(st.sampled_from([0.0, 0.0, 5.0, 40.0])),
        deadline=draw(st.sampled_from(["", "20s"])),
        at_deadline=draw(st.sampled_from(["Uncordon", "LeaveCordoned", "Force"])),
        allowed=draw(st.sampled_from([(), ("*",), ("*",), ("n0",)])),
        control_plane=draw(st.just(frozenset()) | masters),
        opted_in=draw(st.booleans()),
        theirs=draw(st.integers(0, 3)) == 0,
    )


class Life:
    """Some drains, to which things happen."""

    def __init__(self, start: Start) -> None:
        self.start = start
        told: Json = {"singleReplicas": "Evict" if start.evict else "Restart", "controlPlane": start.opted_in}
        told |= {"atDeadline": start.at_deadline} | ({"deadline": start.deadline} if start.deadline else {})
        by_people = [start.theirs and number < start.drained for number in range(len(start.zones))]
        self.nodes = [node(f"n{n}", **({"unschedulable": True} if by else {})) for n, by in enumerate(by_people)]
        for number, (made, zone) in enumerate(zip(self.nodes, start.zones, strict=True)):
            made["metadata"]["labels"] = {ZONE: zone} | ({CONTROL_PLANE: ""} if number in start.control_plane else {})
        spec: Json = {"limits": {"concurrent": 10}, "unknownTimeout": "2m"}
        self.h = Harness(crempol({"drain": told, "timeout": "60s"}, **spec), self.nodes[0], "nodes")
        for made in self.nodes[1:]:
            self.h.cluster.add("nodes", made)
        caps = {"budgets": {"nodes": {"atOnce": start.at_once, "perZone": start.per_zone}}}
        limits: Json = caps | {"allowForcedDrain": list(start.allowed)}
        self.h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": limits})
        self.toy = ToyPods(self.h, start=start.start, detach=start.detach, grace=start.grace)
        for number, app in enumerate(start.apps):
            self.deploy(f"app{number}", app)
        self.toy.work()
        self.forbidden = not start.allowed
        self.astray: list[str] = []
        """What was done to a node of the control plane that must never be."""
        self._write, self.h.cluster._write = self.h.cluster._write, self.judged  # type: ignore[method-assign]

    def deploy(self, name: str, app: App) -> None:
        if app.claims:
            self.toy.with_claims.add(name)
        strategy = {"strategy": app.strategy} if app.strategy and app.kind == "Deployment" else {}
        where = [f"n{number}" for number in app.nodes]
        self.toy.deploy(name, where, app.kind, app.ages, progressDeadlineSeconds=30, **strategy)
        if app.budget:
            self.toy.budget(name, name, **app.budget)
        if app.sick:
            self.toy.sick.add(name)
        if app.undying:
            self.toy.undying.add(name)

    def judged(self, verb: str, key: tuple[str, str, str], body: Json, effect: Callable[[], Json]) -> Json:
        """A write of the operator: whether it takes a node of the control plane that it must not is seen at once."""
        before = self.toy.ours()
        try:
            return self._write(verb, key, body, effect)
        finally:
            masters = [self.h.cluster.objects["nodes", "", f"n{number}"] for number in self.start.control_plane]
            for name in (self.toy.ours() - before) & {one["metadata"]["name"] for one in masters}:
                others = [one for one in masters if one["metadata"]["name"] != name]
                if not self.start.opted_in or any(cordoned(one) or not is_ready(one) for one in others):
                    self.astray.append(f"{name} at {self.toy.now:%H:%M:%S}")
            self.toy.watch()

    async def begin(self) -> None:
        await self.h.start()
        for number in range(self.start.drained):
            self.h.target = self.h.cluster.objects["nodes", "", f"n{number}"]
            await self.h.open()

    async def happen(self, event: str, seconds: int) -> None:
        h, cluster = self.h, self.h.cluster
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
            case "unreadable" | "readable":
                closed = {"poddisruptionbudgets", "replicasets", "volumeattachments"}
                cluster.unreadable = closed if "un" in event else set()
            case _:
                self.worsen(event, seconds)
                self.touch(event, f"n{seconds % len(self.nodes)}")
        await self.live(seconds)

    def touch(self, event: str, name: str) -> None:
        """A person has a node, or its kubelet reports."""
        if event in ("cordon", "uncordon"):
            wanted = True if event == "cordon" else None
            self.h.cluster.edit("nodes", "", name, {"spec": {"unschedulable": wanted}}, "kubectl-cordon")
        elif event in ("unready node", "ready node"):
            status = {"conditions": [{"type": "Ready", "status": "False" if "un" in event else "True"}]}
            self.h.cluster.objects["nodes", "", name]["status"] = status

    def worsen(self, event: str, seconds: int) -> None:
        """A budget that lets nothing go any more, or an admin who lets no drain end by force any more."""
        budgets = list(self.h.cluster.all("poddisruptionbudgets"))
        if event == "forbid":
            self.forbidden = True
            self.h.cluster.edit("guardrails", "", "cluster", {"spec": {"allowForcedDrain": []}})
        elif event == "starve" and budgets:
            name = budgets[seconds % len(budgets)]["metadata"]["name"]
            self.h.cluster.edit("poddisruptionbudgets", "shop", name, {"spec": NEVER | {"minAvailable": None}})
            self.toy.whole.discard(name)

    async def live(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        await self._through(lambda: self.h.settle_all(seconds, until))

    async def _through(self, live: Callable[[], Awaitable[None]]) -> None:
        try:
            await live()
        except Killed:
            self.h.cluster.kill_at = None
            await self.h.start()
            await live()

    async def heal(self) -> None:
        """The world is well again, for long enough; people have taken back what they did."""
        self.h.cluster.kill_at = None
        self.toy.undying.clear()
        for event in ("unpause", "readable", "clear"):
            await self.happen(event, 1)
        for number in range(len(self.nodes)):
            await self.happen("ready node", number)
        await self.live(400, self.over)

    def over(self) -> bool:
        """Whether nothing is left to do."""
        return all(s.phase in ENDED and not s.owes for s in self.h.statuses())

    async def wait_in_vain(self) -> None:
        """Nothing gets better, for longer than anything waits; it may be cut short once nothing happens any more."""
        self.h.cluster.kill_at = None
        last: list[Any] = [0, self.toy.now]

        def at_rest() -> bool:
            if len(self.h.cluster.writes) != last[0]:
                last[:] = len(self.h.cluster.writes), self.toy.now
            return bool(self.toy.now - last[1] > REST)

        await self.live(600, at_rest)

    def unexplained(self) -> set[str]:
        """The nodes that are cordoned by us, and nobody can tell why."""
        may_stay = self.start.at_deadline == "LeaveCordoned"
        owed = [(s, o) for s in self.h.statuses() for o in s.obligations if may_stay or o.state != "Void"]
        return self.toy.ours() - {o.object.name for s, o in owed if _tells(s, o.state, o.message)}


def _tells(status: IncidentStatus, state: str, message: str) -> bool:
    """Whether an obligation says why its node is cordoned: somebody else has it, it was left so, or it is owed, by an
    incident that says what it waits for."""
    left = state == "Void" and "stays cordoned (atDeadline: LeaveCordoned): `kubectl uncordon" in message
    return left or state == "Lost" or (state == "Open" and bool(status.message))


async def lived(start: Start, events: Events, *, healed: bool = True) -> Life:
    """A life, and how it ends: in a world that is well again, or in one that never is."""
    life = Life(start)
    await life.begin()
    await life.live(5)
    for event, seconds in events:
        await life.happen(event, seconds)
    await (life.heal() if healed else life.wait_in_vain())
    return life
