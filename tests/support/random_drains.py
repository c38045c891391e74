"""Clusters, what is drained of them, and what happens meanwhile: drawn by Hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from goldseam.api.durations import format_duration, parse_duration
from goldseam.api.incident import IncidentStatus, Obligation
from goldseam.engine.objects import CONTROL_PLANE, ZONE
from tests.component.test_node_incidents import crempol, node
from tests.support.harness import Harness
from tests.support.judged_drains import ENDED, SETTLE, TIMEOUT, Judge
from tests.support.toycluster import Killed
from tests.support.toypods import ToyPods

Json = dict[str, Any]

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
    *("ready node", "unreadable", "readable", "time", "starve", "forbid", "refuse", "away", "die deleting"),
    "cordon anew",
)
QUIET = ("kill before", "kill after", "away", "pause", "unpause", "time")
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
    calm: float = 5.0
    """Seconds before anything happens."""


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


CROWDED = App((0, 0, 1, 1), "Deployment", {"maxUnavailable": 1}, {}, sick=False)
SLOW = Start(
    ("a", "b"), (CROWDED,), 1, 1, 1, evict=False, start=30.0, deadline="20s", at_deadline="Force", allowed=("*",)
)
"""Its budget does not let all go by the deadline."""


@st.composite
def starts(draw: st.DrawFn) -> Start:
    """One in four of those whose deadline passes while pods are there that may be deleted by force."""
    found = draw(any_starts())
    if draw(st.integers(0, 3)):
        return found
    told = {"deadline": SLOW.deadline, "at_deadline": SLOW.at_deadline, "allowed": SLOW.allowed, "start": SLOW.start}
    return replace(found, apps=(CROWDED, *found.apps[1:]), **told)


@st.composite
def any_starts(draw: st.DrawFn) -> Start:
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
        calm=draw(st.sampled_from([5.0, 5.0, 0.0])),
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
        rung = {"drain": told, "timeout": format_duration(TIMEOUT), "verify": {"settle": format_duration(SETTLE)}}
        self.h = Harness(crempol(rung, **spec), self.nodes[0], "nodes")
        for made in self.nodes[1:]:
            self.h.cluster.add("nodes", made)
        caps = {"budgets": {"nodes": {"atOnce": start.at_once, "perZone": start.per_zone}}}
        limits: Json = caps | {"allowForcedDrain": list(start.allowed)}
        self.h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": limits})
        self.toy = ToyPods(self.h, start=start.start, detach=start.detach, grace=start.grace)
        for number, app in enumerate(start.apps):
            self.deploy(f"app{number}", app)
        self.toy.work()
        self.dies_at = ""
        """Before which kind of write the operator dies next."""
        self._judge()

    def _judge(self) -> None:
        start = self.start
        self.judge = Judge(
            self.toy,
            start.at_once,
            start.per_zone,
            deadline=parse_duration(start.deadline) if start.deadline else TIMEOUT,
            at_deadline=start.at_deadline,
            opted_in=start.opted_in,
            control_plane=frozenset(f"n{number}" for number in start.control_plane),
        )
        self._write, self.h.cluster._write = self.h.cluster._write, self.judged  # type: ignore[method-assign]
        self.h.controllers = self.turn  # type: ignore[method-assign]

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
        """A write of the operator: whether it may be made is seen as it is made."""
        drain = self.judge.about_to(verb, key, body)
        if verb == self.dies_at:
            self.dies_at = ""
            raise Killed

        def made() -> Json:
            result = effect()
            self.judge.made(verb, drain)
            return result

        try:
            return self._write(verb, key, body, made)
        finally:
            self.judge.written(key[0])
            self.toy.watch()

    def turn(self) -> None:
        """A round of everybody else, before the operator looks again."""
        self.judge.round()
        self.toy.work()

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
        await (self.alone if event == "away" else self.live)(seconds)

    def touch(self, event: str, name: str) -> None:
        """A person has a node, or its kubelet reports."""
        if event in ("cordon", "uncordon", "cordon anew"):
            for wanted in (None, True) if event == "cordon anew" else (True if event == "cordon" else None,):
                self.h.cluster.edit("nodes", "", name, {"spec": {"unschedulable": wanted}}, "kubectl-cordon")
        elif event in ("unready node", "ready node"):
            status = {"conditions": [{"type": "Ready", "status": "False" if "un" in event else "True"}]}
            self.h.cluster.objects["nodes", "", name]["status"] = status

    def worsen(self, event: str, seconds: int) -> None:
        """A budget that lets nothing go any more, an admin who lets no drain end by force any more, an admission policy
        that lets nobody restart a workload, or an operator that dies as it begins to delete."""
        budgets = list(self.h.cluster.all("poddisruptionbudgets"))
        if event == "forbid":
            self.h.cluster.edit("guardrails", "", "cluster", {"spec": {"allowForcedDrain": []}})
        elif event == "refuse":
            self.h.cluster.refused = {f"deployments/shop/app{seconds % len(self.start.apps)}"}
        elif event == "die deleting":
            self.dies_at = "delete"
        elif event == "starve" and budgets:
            name = budgets[seconds % len(budgets)]["metadata"]["name"]
            self.h.cluster.edit("poddisruptionbudgets", "shop", name, {"spec": NEVER | {"minAvailable": None}})
            self.toy.whole.discard(name)

    async def live(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Time goes by. What happens next after the operator has died happens before it is there again."""
        if self.judge.away:
            self.judge.away = False
            await self.h.start()
        try:
            await self.h.settle_all(seconds, until)
        except Killed:
            self.die()

    def die(self) -> None:
        self.h.cluster.kill_at, self.judge.away = None, True

    async def alone(self, seconds: float) -> None:
        """Time goes by without an operator."""
        self.die()
        for _ in range(round(seconds / 5)):
            self.h.controllers()
            self.h.clock.advance(5)

    async def heal(self) -> None:
        """The world is well again, for long enough; people have taken back what they did."""
        self.h.cluster.kill_at, self.dies_at = None, ""
        self.h.cluster.refused.clear()
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
        self.h.cluster.kill_at, self.dies_at = None, ""
        last: list[Any] = [0, self.toy.now]

        def at_rest() -> bool:
            if len(self.h.cluster.writes) != last[0]:
                last[:] = len(self.h.cluster.writes), self.toy.now
            return bool(self.toy.now - last[1] > REST)

        await self.live(600, at_rest)

    def unexplained(self) -> set[str]:
        """The nodes that are cordoned by us, and nobody can tell why."""
        owed = [(s, o) for s in self.h.statuses() for o in s.obligations]
        return self.toy.ours() - {o.object.name for s, o in owed if self._tells(s, o)}

    def _tells(self, status: IncidentStatus, owed: Obligation) -> bool:
        """Whether an obligation says why its node is cordoned: it was left so, as the policy says; or it is owed, by an
        incident that says what it waits for, while something is not known, or its drain goes on or has left nothing on
        the node of an alert that fires still."""
        name = owed.object.name
        if owed.state == "Void":
            left = f"Node {name} stays cordoned (atDeadline: LeaveCordoned): `kubectl uncordon {name}`"
            return self.start.at_deadline == "LeaveCordoned" and left in owed.message
        if owed.state != "Open" or not status.message:
            return False
        still_ill = self.judge.emptied(name) and status.phase not in ("Resolved", "Abandoned")
        return still_ill or self.judge.is_there("NotRead", name)

    def unsaid(self) -> list[str]:
        """The steps and obligations that are over, and do not say why."""
        over = [(step.id, step.message) for s in self.h.statuses() for step in s.steps if step.phase == "Done"]
        over += [(str(o.object), o.message) for s in self.h.statuses() for o in s.obligations if o.state != "Open"]
        return [name for name, message in over if not message]


async def lived(start: Start, events: Events, *, healed: bool = True) -> Life:
    """A life, and how it ends: in a world that is well again, or in one that never is."""
    life = Life(start)
    await life.begin()
    await life.live(start.calm)
    for event, seconds in events:
        await life.happen(event, seconds)
    await (life.heal() if healed else life.wait_in_vain())
    return life
