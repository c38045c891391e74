"""Whatever happens, in whatever order, to two policies on one target: every single decision keeps the promises.

Each decision that changes something is looked at with all that it was made from, and made a second time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from goldseam.api.incident import IncidentStatus
from goldseam.engine import replay
from goldseam.engine.decide import decide
from goldseam.engine.situation import Decision, Silence, Situation
from goldseam.engine.views import view
from goldseam.errors import Conflict, GoldseamError
from goldseam.services.book import target_key
from tests.component import test_random_lives as lives
from tests.support.harness import Harness, deployment, policy
from tests.support.toycluster import Killed

SILENCED, UNKNOWN = Silence("Silenced", "silenced by jane"), Silence("Unknown", "no answer")
BUDGET = {"actions": [{"count": 3, "per": "1h"}], "cooldown": "0s", "concurrent": 5}
LADDER = ({"scale": {"replicas": 8}}, {"restart": {}, "attempts": 2}, {"name": "more", "scale": {"replicas": 12}})
GUARDRAILS: dict[str, dict[str, Any]] = {
    "free": {},
    "tight": {"budgets": {"namespace": [{"count": 2, "per": "1h"}]}},
    "tight in all": {"budgets": {"cluster": [{"count": 1, "per": "1h"}]}},
    "frozen": {"freezes": [{"name": "f", "start": "2026-11-01", "end": "2026-12-01", "reason": "x"}]},
    "broken": {"budget": 1},
}
EVENTS = (
    *("fire", "clear", "blind", "see", "pause", "unpause", "kill before", "kill after", "edit", "unreadable"),
    *("readable", "Observe", "Propose", "Act", "suspend", "resume", "approve", "deny", "undo", "storm", "calm"),
    *("stale", "pending", "evaluated", "clock back", "clock ahead", "quiet for long"),
    *("silenced", "not silenced", "nobody says whether"),
    *GUARDRAILS,
)


class Judge:
    """Looks at every decision."""

    def __init__(self, h: Harness) -> None:
        self.h = h
        self.acts: dict[str, tuple[datetime, str, str]] = {}
        """When each step was begun, for which policy, in which namespace."""

    def __call__(self, s: Situation, decision: Decision, now: datetime) -> None:
        assert decide(s, now) == decision, "the same input gives the same decision"
        again = replay.replayed(replay.read(replay.recorded(s, decision, now)))
        assert (again.kind, again.reason, again.status) == (decision.kind, decision.reason, decision.status)
        if decision.kind in ("act", "undo"):
            assert all(p.level != "Everything" for p in s.pauses)
            assert not s.unknown
        if decision.kind == "act" and not any(step.id == decision.step for step in s.status.steps):
            self._new_act(s, decision, now)
        if decision.kind == "undo":
            assert s.reading.state == "Cleared"
            assert s.reading.fresh

    def _new_act(self, s: Situation, decision: Decision, now: datetime) -> None:
        assert (s.reading.state, s.reading.fresh) == ("Firing", True), "no knowledge, no action"
        assert not s.pauses
        assert s.mode != "Observe"
        assert s.policy is not None
        assert s.policy.spec is not None
        assert not s.policy.spec.suspend
        assert not any(other.busy and other.target_uid == s.spec.target.uid for other in s.others)
        assert s.silence.state not in ("Silenced", "Unknown")
        assert s.fleet.storm is None or s.fleet.storm.state == "Armed"
        if s.mode == "Propose":
            answered = [a for a in decision.status.approvals if a.step == decision.step]
            assert [a.state for a in answered[-1:]] == ["Approved"]
        policy, namespace = s.policy_name, s.spec.target.namespace
        self.acts[f"{s.uid}/{decision.step}"] = now, policy, namespace
        scopes = (
            (s.policy.spec.limits.actions, [at for at, who, _ in self.acts.values() if who == policy]),
            (s.guardrails.budgets.namespace, [at for at, _, where in self.acts.values() if where == namespace]),
            (s.guardrails.budgets.cluster, [at for at, _, _ in self.acts.values()]),
        )
        for limits, begun in scopes:
            for limit in limits:
                assert sum(now - at < limit.per for at in begun) <= limit.count, "over a budget"


class Town:
    """Two policies, one target, one operator; and people, who answer, pause and change their minds."""

    def __init__(self, names: tuple[str, str]) -> None:
        self.names = names
        self.h = Harness(self.policy(names[0], *LADDER), deployment(3), "deployments")
        self.judge = Judge(self.h)
        self.words = 0
        self.touched = False

    def policy(self, name: str, *ladder: dict[str, Any]) -> dict[str, Any]:
        """What is owed falls due long after the flap window."""
        late = {"after": "10s", "revertAfter": "60s"}
        made = policy(*ladder, limits=BUDGET, flapWindow="15s", resolve=late)
        made["metadata"]["name"] = name
        return made

    async def begin(self) -> None:
        await self.start()
        await self.h.open()
        second = self.policy(self.names[1], {"scale": {"replicas": 6}})
        self.h.policy = self.h.cluster.add("remediationpolicies", second)
        await self.h.open()

    async def start(self) -> None:
        await self.h.start()
        self.h.looker.recorded = self.judge

    def statuses(self) -> list[IncidentStatus]:
        return [IncidentStatus.model_validate(obj["status"]) for obj in self.h.cluster.all("incidents")]

    async def live(self, seconds: float) -> None:
        end = self.h.clock.moment + timedelta(seconds=seconds)
        while self.h.clock.moment < end:
            self.h.controllers()
            try:
                await self.open()
                wait = await self.turn()
            except Killed:
                self.h.cluster.kill_at = None
                await self.start()
                wait = 0.0
            self.h.clock.advance(max(wait, 0.2))

    async def open(self) -> None:
        """Open an incident for each policy whose alert nobody handles, as the opener does."""
        reading = self.h.read()
        if (reading.state, reading.fresh) != ("Firing", True):
            return
        for name in self.names:
            mine = [o for o in self.h.cluster.all("incidents") if o["spec"]["policyRef"]["name"] == name]
            newest = view(mine[-1])
            assert newest is not None
            ref, target = newest.spec.policy_ref, target_key(newest)
            handled = self.h.book.handling(newest.policy, ref.uid, target, self.h.clock.now())
            if handled is not None and handled.status is not None and handled.status.phase == "Resolved":
                resolved = handled.status.kpis.resolved_at
                assert resolved, "by whom is it handled"
                assert self.h.clock.now() - resolved < timedelta(seconds=15), "nobody handles an alert that fires"
            elif handled is None:
                self.h.policy = self.h.cluster.objects["remediationpolicies", "shop", name]
                if not self.h.policy["spec"].get("suspend"):
                    await self.h.open(newest.uid)

    async def turn(self) -> float:
        """Look at every incident. Returns the seconds until the next look."""
        waits = [5.0]
        if not self.h.fleet.quiet:
            await self.h.fleet.assess()
        for obj in list(self.h.cluster.all("incidents")):
            try:
                again = await self.h.looker.look(obj["metadata"]["uid"])
                waits.append(again.total_seconds() if again is not None else 5.0)
            except Conflict:
                waits.append(0.0)
            except GoldseamError:
                waits.append(5.0)
        return min(waits)

    async def happen(self, event: str, seconds: int) -> None:
        """One thing happens, and then so many seconds pass."""
        if event == "quiet for long":  # and back, after the flap window
            await self.happen("clear", 10 + seconds)
            event = "fire"
        self._alert(event)
        self._world(event, seconds)
        self._people(event)
        await self.live(seconds)

    def _alert(self, event: str) -> None:
        h = self.h
        match event:
            case "fire" | "clear" | "pending":
                h.alert_state = {"fire": "Firing", "clear": "Cleared", "pending": "Pending"}[event]
            case "stale" | "evaluated":
                h.fresh = event == "evaluated"
            case "blind" | "see":
                h.knows = event == "see"

    def _world(self, event: str, seconds: int) -> None:
        h = self.h
        match event:
            case "clock back" | "clock ahead":
                h.clock.skew += timedelta(seconds=10 * seconds * (1 if event == "clock ahead" else -1))
            case "kill before" | "kill after":
                h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + 1 + seconds % 4, event == "kill after"
            case "edit":
                self.touched = True
                h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 20 + seconds}}, "kubectl-scale")
            case "unreadable" | "readable":
                h.cluster.unreadable = {"pauses"} if event == "unreadable" else set()
            case "storm" | "calm":
                h.cluster.add("guardrails", self.guardrails({"storm": {"rules": 1, "namespaces": 1}}))
                h.firing = [("default", self.alert())] if event == "storm" else []

    def _people(self, event: str) -> None:
        h = self.h
        match event:
            case "pause" | "unpause":
                lives.Life.pause(self, event == "pause")  # type: ignore[arg-type]
            case "silenced" | "not silenced" | "nobody says whether":
                states = {"silenced": SILENCED, "not silenced": Silence("Active"), "nobody says whether": UNKNOWN}
                h.silence = states[event]
            case "approve" | "deny" | "undo":
                self.say({"approve": "Approve", "deny": "Deny", "undo": "Undo"}[event])
            case _ if event in GUARDRAILS:
                h.cluster.add("guardrails", self.guardrails(GUARDRAILS[event]))
            case "suspend" | "resume" | "Observe" | "Propose" | "Act":
                change = {"suspend": event == "suspend"} if event in ("suspend", "resume") else {"mode": event}
                for name in self.names:
                    h.cluster.edit("remediationpolicies", "shop", name, {"spec": change})

    def guardrails(self, spec: dict[str, Any]) -> dict[str, Any]:
        old = self.h.cluster.objects.get(("guardrails", "", "cluster"), {})
        return {"metadata": {"name": "cluster"}, "spec": spec, "status": {**old.get("status", {}), "effective": {}}}

    def alert(self) -> Any:
        from goldseam.engine.alerts import ActiveAlert

        return ActiveAlert({"alertname": "x", "namespace": "y"}, {}, "firing", self.h.clock.now())

    def say(self, decision: str) -> None:
        for obj in list(self.h.cluster.all("incidents")):
            incident = view(obj)
            assert incident is not None
            questions = incident.status.approvals if incident.status else []
            spec: dict[str, Any] = {
                "incidentRef": {"name": incident.name, "uid": incident.uid}, "decision": decision, "by": "jane"
            }  # fmt: skip
            if decision != "Undo":
                if not questions:
                    continue
                spec |= {"step": questions[-1].step, "planHash": questions[-1].plan_hash}
            self.words += 1
            meta = {"name": f"word-{self.words}", "namespace": "shop"}
            self.h.cluster.add("responses", {"metadata": meta, "spec": spec})

    async def end(self) -> None:
        """The world is well again, for long enough."""
        self.h.cluster.kill_at = None
        for event in ("unpause", "see", "evaluated", "readable", "free", "clear", "resume"):
            await self.happen(event, 1)
        while abs(self.h.clock.skew) > timedelta(0):  # the clock is set right in small steps
            self.h.clock.skew -= max(min(self.h.clock.skew, timedelta(minutes=1)), -timedelta(minutes=1))
            await self.live(60)
        await self.live(400)


async def lived(events: list[tuple[str, int]], names: tuple[str, str] = ("api", "second")) -> Town:
    town = Town(names)
    await town.begin()
    for event, seconds in events:
        await town.happen(event, seconds)
    await town.end()
    return town


@example([("fire", 60), ("fire", 60), ("fire", 60), ("fire", 60)], ("second", "api")).via("the older writes last")
@example([("fire", 20), ("quiet for long", 30), ("fire", 60)], ("api", "second")).via("back while it owes")
@given(
    st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(1, 60)), max_size=16),
    st.sampled_from((("api", "second"), ("second", "api"))),
)
def test_every_decision_keeps_the_promises_and_every_incident_ends(
    events: list[tuple[str, int]], names: tuple[str, str]
) -> None:
    """The policy whose name comes first comes first: it is the one whose incident is opened first, or the other."""
    town = asyncio.run(lived(events, names))
    if not town.touched:
        assert town.h.live()["spec"]["replicas"] == 3, "what was there before the first comes back"
    for status in town.statuses():
        assert status.closed_at is not None, (status.phase, status.message, [h.message for h in status.holds])
        assert status.owes == 0
        assert all(o.state != "Open" and o.message for o in status.obligations)
        assert town.touched or all(o.state != "Lost" for o in status.obligations)
        told = Counter((e.threshold, e.level) for e in status.escalations)
        assert all(count == 1 for count in told.values())
        tokens = Counter(step.token for step in status.steps if step.token)
        assert all(count == 1 for count in tokens.values())
