"""Many nodes under one rule: worked off within the caps in their turn, shown as one group, on a toy cluster."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from goldseam.api.incident import IncidentStatus
from goldseam.cli import looking
from goldseam.cli.session import Session
from goldseam.engine.objects import metadata
from goldseam.engine.turns import EXACT
from goldseam.engine.verdict import Reading
from goldseam.engine.views import IncidentView
from goldseam.errors import Forbidden
from tests.component.test_node_incidents import crempol, pod
from tests.support.harness import NAMESPACE, START, Harness

Json = dict[str, Any]
PLENTY = [{"count": 1000, "per": "1h"}]
ZONES = "abc"
HEALTHY = 57
"""Ready nodes, so that those in trouble are less than the breaker's share."""


def node(name: str, zone: str, down: timedelta | None) -> Json:
    """A node that is not ready for so long, or ready."""
    since = (START - (down or timedelta(0))).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {"type": "Ready", "status": "Unknown" if down else "True", "lastTransitionTime": since}
    meta = {"name": name, "labels": {"topology.kubernetes.io/zone": zone}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {}, "status": {"conditions": [ready]}}


class Group:
    """Nodes n0, n1 and so on, each not ready a minute longer than the one before, in three zones, each with a pod."""

    def __init__(self, count: int, caps: Json, **policy: Any) -> None:
        limits = {"concurrent": 100, "actions": PLENTY}
        self.h = h = Harness(crempol({"drain": {}}, limits=limits, **policy), node("ready-0", "a", None), "nodes")
        budgets = {"cluster": PLENTY, "nodes": caps}
        h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": {"budgets": budgets}})
        for number in range(1, HEALTHY):
            h.cluster.add("nodes", node(f"ready-{number}", ZONES[number % 3], None))
        for number in range(count):
            h.cluster.add("nodes", node(f"n{number}", ZONES[number % 3], timedelta(minutes=5 + number)))
            h.cluster.add("pods", pod(f"p{number}", f"n{number}"))
        self.over: set[str] = set()
        """The nodes whose alert is gone."""
        self.most = 0

    async def opened(self, count: int) -> Group:
        await self.h.start()
        for number in range(count):
            self.h.target = self.h.cluster.objects["nodes", "", f"n{number}"]
            await self.h.open()
        self.h.looker.gatherer._read_alert = self._reading
        return self

    async def _reading(self, incident: IncidentView, *_: object) -> Reading:
        state = "Cleared" if incident.spec.target.name in self.over else "Firing"
        return Reading(state, True, f"the alert is {state}", self.h.clock.now())  # type: ignore[arg-type]

    @property
    def cordoned(self) -> list[str]:
        """Those out of service for us now."""
        return [o["metadata"]["name"] for o in self.h.cluster.all("nodes") if o["spec"].get("unschedulable")]

    @property
    def begun(self) -> list[str]:
        """The nodes in the order in which they were cordoned."""
        made = [(path.rpartition("/")[2], body) for _, path, _, body in self.h.cluster.writes if "nodes/" in path]
        return [name for name, body in made if (body.get("spec") or {}).get("unschedulable")]

    async def settle(self, seconds: float) -> None:
        """As long as that; the alert of a node that was emptied is over 10 s later."""
        for _ in range(int(seconds // 10)):
            emptied = [
                n for n in self.cordoned if not any(p["spec"]["nodeName"] == n for p in self.h.cluster.all("pods"))
            ]
            await self.h.settle_all(10)
            self.most = max(self.most, len(self.cordoned))
            self.over |= set(emptied)
            if all(status.phase == "Resolved" for status in self.h.statuses()):
                return

    def status(self, node: str) -> IncidentStatus:
        found = next(o for o in self.h.cluster.all("incidents") if o["spec"]["target"]["name"] == node)
        return IncidentStatus.model_validate(found["status"])

    @property
    def shown(self) -> Json | None:
        """The group as Guardrails show it."""
        status = self.h.cluster.objects["guardrails", "", "cluster"].get("status") or {}
        found: list[Json] = status.get("nodeGroups") or []
        return found[0] if found else None

    def writes(self) -> int:
        """Writes so far of incidents and Guardrails."""
        return sum(path.startswith(("incidents", "guardrails")) for _, path, _, _ in self.h.cluster.writes)


async def test_they_are_worked_off_worst_first_and_zones_in_turn_within_the_caps() -> None:
    group = await Group(6, {"atOnce": 1}).opened(6)
    await group.settle(300)
    assert group.begun == [f"n{number}" for number in range(5, -1, -1)], "each is worse than the one before it"
    assert group.most == 1
    assert {status.phase for status in group.h.statuses()} == {"Resolved"}
    assert group.cordoned == []


async def test_zones_take_turns_though_the_worst_are_all_of_one() -> None:
    group = Group(0, {"atOnce": 1})
    for number, (zone, minutes) in enumerate([("a", 50), ("a", 40), ("a", 30), ("b", 20), ("b", 10)]):
        group.h.cluster.add("nodes", node(f"n{number}", zone, timedelta(minutes=minutes)))
        group.h.cluster.add("pods", pod(f"p{number}", f"n{number}"))
    await group.opened(5)
    await group.settle(250)
    assert group.begun == ["n0", "n3", "n1", "n4", "n2"]


async def test_what_waits_says_its_place_and_nothing_is_written_while_nothing_changes() -> None:
    group = await Group(24, {"atOnce": 2, "perZone": 1}).opened(24)
    group.h.cluster.budget = 0
    await group.h.settle_all(30)
    assert len(group.cordoned) == 2
    third, fourth, last = group.status("n21"), group.status("n20"), group.status("n0")
    assert third.holds[0].reason == "NodesAtOnce", "the first of the line says what it waits for"
    assert fourth.message == "on hold: waits for its turn: 2nd of at most 50 nodes, behind n21"
    assert last.message == ("on hold: waits for its turn: 21st to 50th of at most 50 nodes, worst first, zones in turn")
    before = group.writes()
    await group.h.settle_all(20)
    assert group.writes() == before


async def test_the_group_is_shown_as_one_and_taken_back_at_the_end() -> None:
    group = await Group(12, {"atOnce": 2, "perZone": 1}).opened(12)
    group.h.cluster.budget = 0
    await group.h.settle_all(30)
    assert group.shown == {
        "policy": "ClusterRemediationPolicy nodes",
        "alert": "Trouble",
        "nodes": 12,
        "inWork": 2,
        "waiting": 10,
        "message": "12 nodes: 2 in work (n10, n11); 10 wait for their turn, worst first, zones in turn (next: n9, n8,"
        " n7), the first because Guardrails allow 2 nodes at once, and Goldseam has taken n10, n11 out of service",
    }
    group.h.cluster.budget = 1_000
    await group.settle(600)
    assert {status.phase for status in group.h.statuses()} == {"Resolved"}
    await group.h.fleet.assess()
    assert group.shown is None


async def test_one_that_may_not_be_worked_on_lets_the_next_one_go() -> None:
    group = await Group(4, {"atOnce": 1}).opened(4)
    worst = group.h.cluster.objects["nodes", "", "n3"]
    worst["metadata"]["annotations"] = {"goldseam.dev/ignore": "true"}
    await group.settle(200)
    assert group.begun == ["n2", "n1", "n0"]
    assert group.status("n3").holds[0].reason == "Ignored"


async def test_a_restart_goes_on_in_the_same_order() -> None:
    group = await Group(5, {"atOnce": 1}).opened(5)
    await group.settle(100)
    assert 0 < len(group.begun) < 5
    await group.h.start()
    group.h.looker.gatherer._read_alert = group._reading
    await group.settle(250)
    assert group.begun == [f"n{number}" for number in range(4, -1, -1)]


@pytest.mark.parametrize("every", [False, True])
async def test_the_command_line_shows_the_group_and_lists_only_the_next_of_it(every: bool) -> None:
    group = await Group(12, {"atOnce": 1}).opened(12)
    group.h.cluster.budget = 0
    await group.h.settle_all(30)
    said = await listed(group, NAMESPACE, every=every)
    rows = [line for line in said if "Node/n" in line]
    assert len(rows) == (12 if every else 4), "one in work, and the first three that wait"
    assert any(line.startswith("Trouble, ClusterRemediationPolicy nodes: 12 nodes: 1 in work (n11)") for line in said)
    assert ("8 that wait further back are not listed: --all" in said) is not every


async def listed(group: Group, namespace: str, *, every: bool = False) -> list[str]:
    said: list[str] = []
    session = Session(group.h.cluster, namespace, said.append, None, group.h.clock.now, None)  # type: ignore[arg-type]
    await looking.incidents(session, every=every)
    return said


@pytest.mark.parametrize(("count", "those"), [(1, "1 incident about a node is"), (3, "3 incidents about nodes are")])
async def test_the_command_line_says_in_another_namespace_where_those_of_nodes_are(count: int, those: str) -> None:
    group = await Group(count, {}).opened(count)
    assert await listed(group, "shop") == [
        *("No open incident in namespace shop.", ""),
        f"{those} in goldseam-system: goldseam incidents -n goldseam-system",
    ]
    assert (await listed(group, "shop", every=True))[-1].endswith("goldseam incidents --all -n goldseam-system")
    for everywhere in ("", NAMESPACE):
        assert not any("goldseam incidents" in line for line in await listed(group, everywhere))


async def test_who_may_not_look_at_nodes_hears_of_none(monkeypatch: pytest.MonkeyPatch) -> None:
    group = await Group(2, {}).opened(2)
    whole = group.h.cluster.list

    async def theirs(resource: Any, namespace: str = "", *more: Any, **options: Any) -> Any:
        if namespace == NAMESPACE:
            raise Forbidden("no")
        return await whole(resource, namespace, *more, **options)

    monkeypatch.setattr(group.h.cluster, "list", theirs)
    assert await listed(group, "shop") == ["No open incident in namespace shop."]


async def test_a_group_that_cannot_be_shown_holds_nothing_up() -> None:
    group = await Group(3, {"atOnce": 1}).opened(3)
    group.h.cluster.refused.add("guardrails//cluster/status")
    assert (await group.h.fleet.assess()).unknown != "", "breakers must be kept over restarts"
    group.h.cluster.refused.clear()
    await group.h.fleet.assess()
    assert group.shown is not None
    group.h.cluster.refused.add("guardrails//cluster/status")
    group.h.cluster.remove("nodes", "", "n2")
    await group.h.settle_all(30)
    assert group.h.fleet.fleet.unknown == ""


async def test_a_group_lives_in_the_operators_namespace_only() -> None:
    group = await Group(3, {"atOnce": 1}).opened(3)
    await group.h.settle_all(10)
    (name, *_) = [o["metadata"]["name"] for o in group.h.cluster.all("incidents")]
    forged = dict(group.h.cluster.objects["incidents", NAMESPACE, name])
    forged["metadata"] = {
        "name": "forged",
        "namespace": "shop",
        "uid": "forged",
        "creationTimestamp": "2026-11-23T12:00:00Z",
    }
    group.h.cluster.add("incidents", forged)
    await group.h.start()
    await group.h.fleet.assess()
    assert group.shown is not None
    assert group.shown["nodes"] == 3
    assert metadata(forged)["namespace"] == "shop"


async def test_far_back_in_line_nobody_is_asked_what_the_identity_may_do() -> None:
    count = EXACT + 5
    group = await Group(count, {"atOnce": 1}).opened(count)
    group.h.cluster.budget = 0
    await group.h.settle_all(20)
    asked: list[str] = []
    permitted = group.h.looker._permitted

    async def noted(s: Any, **how: Any) -> Any:
        asked.append(s.spec.target.name)
        return await permitted(s, **how)

    group.h.looker._permitted = noted  # type: ignore[method-assign]
    for incident in group.h.book.all():
        await group.h.looker.look(incident.uid)
    places = {
        i.spec.target.name: max((h.place or 0 for h in i.status.holds), default=0)
        for i in group.h.book.all()
        if i.status
    }
    in_sight = {name for name, place in places.items() if 0 < place <= EXACT}
    assert in_sight
    assert in_sight <= set(asked)
    assert not set(asked) & {name for name, place in places.items() if place > EXACT}
    assert len(places) > len(in_sight) + 1, "one is in work, and some are far back"
