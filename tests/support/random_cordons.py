"""Incidents that share the cordon of one node, and what happens meanwhile: drawn by Hypothesis, and judged by what the
cluster is asked to write."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from goldseam.engine.matching import PolicyKey, TargetKey
from goldseam.errors import GoldseamError
from goldseam.services.sweep import sweep
from tests.component.test_node_incidents import node, pod
from tests.component.test_reboots import booted
from tests.component.test_shared_cordons import Two, named
from tests.support.harness import NAMESPACE
from tests.support.judged_cordons import N1, Judge
from tests.support.objects import reboot_cron_job
from tests.support.toycluster import Killed

Json = dict[str, Any]

RUNGS: dict[str, Json] = {
    "cordon": {"cordon": {}, "timeout": "20s"},
    "drain": {"drain": {}, "timeout": "30s"},
    "drain on": {"drain": {}, "timeout": "60s", "goOn": "WhenDone"},
    "leave": {"drain": {"deadline": "15s", "atDeadline": "LeaveCordoned"}, "timeout": "30s"},
    "force": {"drain": {"deadline": "15s", "atDeadline": "Force"}, "timeout": "90s"},
    "wait": {"wait": {"duration": "20s"}, "timeout": "40s"},
    "reboot": {"reboot": {}, "timeout": "60s"},
    "uncordon": {"uncordon": {}, "timeout": "20s"},
}
NAMES = ("first", "second", "third")
OF_ONE = ("clear", "clear", "fire", "fire", "undo", "approve", "delete", "suspend", "Observe", "Propose", "Act")
OF_PEOPLE = (
    *("uncordon", "cordon", "cordon anew", "soon uncordon", "soon cordon anew", "pause", "pause all", "unpause"),
    *("clear all", "clear all", "undo all"),
)
"""`soon`: while an incident is looked at."""
OF_THE_CLUSTER = (
    *("time", "time", "budget 0", "budget 1", "budget many", "pod comes", "pod goes", "replace", "hang", "boot"),
    *("refuse", "mute", "accept", "kill before", "kill after", "away"),
)
REFUSING = ("refuse", "mute")
EVENTS = OF_ONE + OF_PEOPLE + OF_THE_CLUSTER
PASSING = (0, 1, 3, 8, 15, 25, 45)
LONGEST = 10.0
"""Seconds until incidents are looked at again at the latest."""
Events = list[tuple[str, int, int]]
"""What, to which policy, and how long until the next."""


@dataclass(frozen=True)
class Start:
    """What each policy does, whether it asks first, and after how many seconds its alert fires."""

    ladders: tuple[tuple[str, ...], ...]
    modes: tuple[str, ...]
    delays: tuple[int, ...]
    pods: int
    budget: int
    calm: int
    """Seconds before anything else happens."""
    beside: int
    """Where not 0, incidents are looked at beside each other, and requests take their time, by this seed."""


@st.composite
def starts(draw: st.DrawFn) -> Start:
    count = draw(st.sampled_from([2, 2, 3]))
    first = st.sampled_from(["cordon", "drain", "drain on", "drain on", "leave", "force"])
    ladder = st.tuples(first, st.lists(st.sampled_from(sorted(RUNGS)), max_size=2).map(tuple)).map(
        lambda t: (t[0], *t[1])
    )
    return Start(
        ladders=tuple(draw(ladder) for _ in range(count)),
        modes=tuple(draw(st.sampled_from(["Act"] * 7 + ["Propose"])) for _ in range(count)),
        delays=tuple(draw(st.sampled_from([0, 0, 2, 20])) for _ in range(count)),
        pods=draw(st.integers(0, 3)),
        budget=draw(st.sampled_from([1_000, 1_000, 1, 0])),
        calm=draw(st.sampled_from([50, 90, 5, 25])),
        beside=draw(st.just(0) | st.integers(1, 1_000)),
    )


def happening(most: int) -> st.SearchStrategy[Events]:
    return st.lists(
        st.tuples(st.sampled_from(EVENTS + OF_ONE), st.integers(0, 2), st.sampled_from(PASSING)), max_size=most
    )


class Life:
    """Some incidents about one node, to which things happen."""

    def __init__(self, start: Start) -> None:
        self.start = start
        self.names = NAMES[: len(start.ladders)]
        policies = [
            named(name, *(RUNGS[rung] for rung in rungs), {"escalate": {}}, mode=mode, flapWindow="30s")
            for name, rungs, mode in zip(self.names, start.ladders, start.modes, strict=True)
        ]
        self.h = h = Two(policies[0], self._machine("boot-0"), "nodes")
        self.cluster = h.cluster
        for policy in policies[1:]:
            self.cluster.add(h.policy_plural, policy)
        self.cluster.add("nodes", node("n2"))
        self.cluster.add("cronjobs", reboot_cron_job())
        self.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": {"allowForcedDrain": ["*"]}})
        self.number = itertools.count(1).__next__
        for _ in range(start.pods):
            self.new_pod()
        self.cluster.budget = start.budget
        self.away = self.hangs = False
        self.requests = 0
        self.soon: tuple[str, int] | None = None
        """What a person does to the node, and after how many requests."""
        self.rng = random.Random(start.beside) if start.beside else None
        self.judge = Judge(h, self)
        self._takes_its_time()
        h.controllers = self.kubelet  # type: ignore[method-assign]

    @staticmethod
    def _machine(boot: str) -> Json:
        return {**node("n1"), "status": booted(boot, "True")}

    def new_pod(self) -> None:
        self.cluster.add("pods", pod(f"p{self.number()}"))

    def _takes_its_time(self) -> None:
        def late(request: Any) -> Any:
            async def made_late(*given: Any, **more: Any) -> Any:
                await self._others_go_on()
                answer = await request(*given, **more)
                await self._others_go_on()
                self._happens_soon()
                return answer

            return made_late

        for name in ("get", "list", "patch"):
            setattr(self.cluster, name, late(getattr(self.cluster, name)))

    async def _others_go_on(self) -> None:
        for _ in range(self.rng.randrange(12) if self.rng else 0):
            await asyncio.sleep(0)

    def _happens_soon(self) -> None:
        self.requests += 1
        if self.soon is not None and self.requests >= self.soon[1]:
            event, self.soon = self.soon[0], None
            self.cordons(event)

    def kubelet(self) -> None:
        """Who reboots is back at once, unless the machine hangs."""
        for job in list(self.cluster.all("jobs")):
            if job["spec"].get("suspend") or job.get("status") or self.hangs:
                continue
            done = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
            self.cluster.edit("jobs", job["metadata"]["namespace"], job["metadata"]["name"], done)
            self.cluster.edit(*N1, {"status": booted(f"boot-{self.number()}")}, "kubelet")

    async def begin(self) -> None:
        await self.h.start()
        at = 0
        for delay, name in sorted(zip(self.start.delays, self.names, strict=True)):
            await self.live(delay - at)
            at = delay
            await self.fires(name)

    async def fires(self, name: str) -> None:
        """The alert fires: a new incident is opened where none handles it any more, as the opener does."""
        h, policy = self.h, self.cluster.objects.get((self.h.policy_plural, "", name))
        h.over -= {name}
        if policy is None or policy["spec"].get("suspend") or self.away:
            return
        key, uid = PolicyKey("ClusterRemediationPolicy", "", name), policy["metadata"]["uid"]
        if h.book.handling(key, uid, TargetKey("Node", "", "n1"), h.clock.now()) is None:
            h.policy, h.target = policy, self.cluster.objects[N1]
            with contextlib.suppress(Killed):
                await h.open(predecessor=str(self.number()))

    async def happen(self, event: str, which: int, seconds: int) -> None:
        name = self.names[which % len(self.names)]
        if event == "fire":
            await self.fires(name)
        elif event == "away":
            self.die()
            self.h.clock.advance(seconds)
            return
        elif event in OF_ONE:
            self.of_one(event, name)
        elif event in OF_PEOPLE:
            self.of_people(event, seconds)
        else:
            self.of_the_cluster(event, seconds)
        await self.live(seconds)

    def of_one(self, event: str, name: str) -> None:
        """An alert is over, a person says a word, or changes a policy."""
        plural = self.h.policy_plural
        if event == "clear":
            self.h.over |= {name}
        elif event in ("undo", "approve"):
            self.say(event, name)
        elif (plural, "", name) in self.cluster.objects and event == "delete":
            self.cluster.remove(plural, "", name)
        elif (plural, "", name) in self.cluster.objects:
            spec = {"suspend": True} if event == "suspend" else {"mode": event, "suspend": None}
            self.cluster.edit(plural, "", name, {"spec": spec})

    def of_people(self, event: str, seconds: int) -> None:
        """What people do to the node, or to all."""
        if event == "clear all":
            self.h.over = frozenset(NAMES)
        elif event == "undo all":
            for name in self.names:
                self.say("undo", name)
        elif event == "unpause" or event.startswith("pause"):
            self.pauses(event)
        elif event.startswith("soon "):
            self.soon = (event.removeprefix("soon "), self.requests + seconds)
        else:
            self.cordons(event)

    def pauses(self, event: str) -> None:
        for there in [p["metadata"]["name"] for p in self.cluster.all("pauses")]:
            self.cluster.remove("pauses", NAMESPACE, there)
        if event != "unpause":
            spec = {"reason": "x", "cluster": True, "level": "Everything" if "all" in event else "NewWork"}
            self.cluster.add("pauses", {"metadata": {"name": "p", "namespace": NAMESPACE}, "spec": spec})

    def cordons(self, event: str) -> None:
        """A person does. Of a node that is cordoned already `kubectl cordon` sends nothing."""
        cordoned = bool(self.cluster.objects[N1]["spec"].get("unschedulable"))
        if cordoned and event != "cordon":
            self.judge.taken_by_a_person()
            self.cluster.edit(*N1, {"spec": {"unschedulable": None}}, "kubectl-uncordon")
        if event == "cordon anew" or (event == "cordon" and not cordoned):
            self.judge.by = "person"
            self.cluster.edit(*N1, {"spec": {"unschedulable": True}}, "kubectl-cordon")

    def of_the_cluster(self, event: str, seconds: int) -> None:
        match event.partition(" "):
            case "budget", _, most:
                self.cluster.budget = {"0": 0, "1": 1}.get(most, 1_000)
            case "kill", _, when:
                self.cluster.kill_at, self.cluster.kill_after = self.cluster.attempts + 1 + seconds % 7, when == "after"
            case "refuse" | "mute" | "accept", _, _:
                self.cluster.refused, self.cluster.mute = ({"/".join(N1)} if event == x else set() for x in REFUSING)
            case "hang" | "boot", _, _:
                self.hangs = event == "hang"
            case "pod", _, "comes":
                self.new_pod()
            case "pod", _, _:
                self.gone(1)
            case "replace", _, _:
                self.replace()

    def gone(self, most: int | None) -> None:
        for there in list(self.cluster.all("pods"))[:most]:
            self.cluster.remove("pods", "shop", there["metadata"]["name"])

    def replace(self) -> None:
        self.cluster.remove(*N1)
        self.gone(None)
        self.cluster.add("nodes", self._machine(f"boot-{self.number()}"))
        self.judge.fresh()

    def say(self, event: str, name: str) -> None:
        """The word of a person about the incident of a policy."""
        for incident in self.cluster.all("incidents"):
            meta, status = incident["metadata"], self.judge.status_of(incident)
            ours = incident["spec"]["policyRef"]["name"] == name and status is not None and not status.closed_at
            if not ours or (event == "approve" and not status.approvals):
                continue
            ref = {"name": meta["name"], "uid": meta["uid"]}
            spec: Json = {"incidentRef": ref, "decision": event.capitalize(), "by": "jane"}
            if event == "approve":
                spec |= {"step": status.approvals[-1].step, "planHash": status.approvals[-1].plan_hash}
            word = {"metadata": {"name": f"word-{self.number()}", "namespace": NAMESPACE}, "spec": spec}
            self.cluster.add("responses", word)
            return

    def die(self) -> None:
        self.cluster.kill_at, self.away = None, True

    async def live(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Time goes by; the operator that has died is there again."""
        h = self.h
        if self.away and seconds > 0:
            self.away = False
            await h.start()
        end = h.clock.now().timestamp() + seconds
        while h.clock.now().timestamp() < end and not until() and not self.away:
            h.controllers()
            with contextlib.suppress(Killed):
                await h.fleet.assess()
            uids = [obj["metadata"]["uid"] for obj in self.cluster.all("incidents")]
            waits = await self.looks([] if self.away else uids)
            h.clock.advance(max(min(waits, default=LONGEST), 0.1))

    async def looks(self, uids: list[str]) -> list[float]:
        if self.rng is not None:
            found = await asyncio.gather(*(self.look(uid) for uid in self.rng.sample(uids, len(uids))))
            self.judge.at_rest()
            return found
        found = []
        for uid in uids:
            found.append(await self.look(uid))
            self.judge.at_rest()
        return found

    async def look(self, uid: str) -> float:
        try:
            again = await self.h.looker.look(uid)
        except (GoldseamError, Killed):
            return 5.0
        return min(again.total_seconds(), LONGEST) if again is not None else LONGEST

    async def calm(self) -> list[Any]:
        """All is well again, for long enough; then the operator is started anew. What it finds that nobody owes."""
        self.cluster.kill_at, self.soon, self.hangs = None, None, False
        self.h.over = frozenset(NAMES)
        await self.happen("unpause", 0, 1)
        await self.happen("accept", 0, 1)
        self.cluster.kill_at = None
        await self.live(3_600, lambda: all(status.closed_at for _, status in self.judge.incidents()))
        await self.h.start()
        return await sweep(self.cluster, self.h.book, self.h.clock.now(), NAMESPACE)


async def lived(start: Start, events: Events) -> tuple[Life, list[Any]]:
    life = Life(start)
    await life.begin()
    await life.live(start.calm)
    for event, which, seconds in events:
        await life.happen(event, which, seconds)
    return life, await life.calm()
