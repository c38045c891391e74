"""Whatever happens, in whatever order: the promises hold (Hypothesis)."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from tests.support.harness import Harness, deployment, policy
from tests.support.toycluster import Killed

LADDER = ({"scale": {"replicas": 8}}, {"restart": {}}, {"name": "more", "scale": {"replicas": 12}})
EVENTS = (
    *("fire", "clear", "blind", "see", "pause", "unpause", "stale", "pending", "evaluated"),
    *("kill before", "kill after", "edit", "unreadable", "readable"),
)


class Life:
    """One incident, to which things happen."""

    def __init__(self) -> None:
        self.h = Harness(policy(*LADDER), deployment(3), "deployments")
        self.touched = False

    async def happen(self, event: str, seconds: float) -> None:
        h = self.h
        match event:
            case "fire" | "clear":
                h.alert_state = "Firing" if event == "fire" else "Cleared"
            case "pending":
                h.alert_state = "Pending"
            case "stale" | "evaluated":
                h.fresh = event == "evaluated"
            case "blind" | "see":
                h.knows = event == "see"
            case "pause" | "unpause":
                self.pause(event == "pause")
            case "kill before" | "kill after":
                h.cluster.kill_at, h.cluster.kill_after = (
                    h.cluster.attempts + 1 + int(seconds) % 4,
                    event == "kill after",
                )
            case "edit":
                self.touched = True
                h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 20 + int(seconds)}}, "kubectl-scale")
            case _:
                h.cluster.unreadable = {"horizontalpodautoscalers", "deployments"} if event == "unreadable" else set()
        await self.live(seconds)

    def pause(self, wanted: bool) -> None:
        there = bool(list(self.h.cluster.all("pauses")))
        if wanted and not there:
            spec = {"reason": "x", "level": "Everything"}
            self.h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": spec})
        elif there and not wanted:
            self.h.cluster.remove("pauses", "shop", "p")

    async def live(self, seconds: float) -> None:
        known = self.h.knows and self.h.fresh and self.h.alert_state != "Pending"
        quiet = bool(list(self.h.cluster.all("pauses"))) or not known
        before = len(self.effects())
        try:
            await self.h.settle(seconds)
        except Killed:
            self.h.cluster.kill_at = None
            await self.h.start()
            await self.h.settle(seconds)
        if quiet:
            assert len(self.effects()) == before, "something was done while paused, or without knowledge"

    def effects(self) -> list[str]:
        return [path for _, path, _, _ in self.h.cluster.writes if path.startswith("deployments")]

    async def end(self) -> None:
        """The world is well again, for long enough."""
        for event in ("unpause", "see", "evaluated", "readable", "clear"):
            await self.happen(event, 1)
        self.h.cluster.kill_at = None
        await self.live(600)


async def lived(events: list[tuple[str, int]]) -> Life:
    life = Life()
    await life.h.start()
    await life.h.open()
    for event, seconds in events:
        await life.happen(event, seconds)
    await life.end()
    return life


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(1, 90)), max_size=14))
def test_every_incident_ends_owing_nothing_and_undoes_only_what_is_its_own(events: list[tuple[str, int]]) -> None:
    life = asyncio.run(lived(events))
    status = life.h.status
    assert status.phase == "Resolved", status.message
    assert status.owes == 0
    restarts = [step for step in status.steps if step.action == "restart" and step.acted_at]
    assert life.effects().count("deployments/shop/api") == len(restarts)
    if not life.touched:
        assert life.h.live()["spec"]["replicas"] == 3
    assert len(status.timeline) <= 50


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(1, 90)), max_size=14))
def test_people_are_told_once_for_each_threshold(events: list[tuple[str, int]]) -> None:
    life = asyncio.run(lived(events))
    told = [(e.threshold, e.level) for e in life.h.status.escalations]
    assert len(told) == len(set(told))
