"""An alert about every node at once: by the nodes' own word nothing is done, or one node after the other, never all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from goldseam.engine.objects import metadata
from goldseam.engine.verdict import Reading
from goldseam.engine.views import IncidentView
from tests.component.test_node_groups import PLENTY, ZONES, node
from tests.component.test_node_incidents import crempol, pod
from tests.support.harness import START, Harness

Json = dict[str, Any]
DOWN = timedelta(minutes=5)
COUNT = 4


class Fleet(Harness):
    """Nodes n0, n1 and so on in three zones, each with a pod and an incident, all under one rule that fires on."""

    def __init__(self, *ladder: Json, down: int = 0, caps: Json | None = None, count: int = COUNT) -> None:
        """`down`: so many of them are not Ready."""
        nodes = [node(f"n{n}", ZONES[n % 3], DOWN if n < down else None) for n in range(count)]
        limits = {"concurrent": 100, "actions": PLENTY}
        super().__init__(crempol(*(ladder or ({"drain": {}},)), limits=limits), nodes[0], "nodes")
        budgets = {"cluster": PLENTY, "nodes": caps or {"atOnce": 1}}
        self.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": {"budgets": budgets}})
        self.nodes = [self.target, *(self.cluster.add("nodes", one) for one in nodes[1:])]
        for number in range(count):
            self.cluster.add("pods", pod(f"p{number}", f"n{number}"))
        self.most = 0
        """Nodes that were out of service at once."""
        self.over: set[str] | None = None
        """The nodes whose alert is gone, where a drain helps; None: every alert fires on."""

    async def opened(self) -> Fleet:
        await self.start()
        for one in self.nodes:
            self.target = one
            await self.open()
        self.looker.gatherer._read_alert = self._read_of
        return self

    async def _read_of(self, incident: IncidentView, *_: object) -> Reading:
        gone = incident.spec.target.name in (self.over or ())
        return Reading("Cleared", True, "the alert is gone", self.clock.now()) if gone else self.read()

    def out(self) -> list[str]:
        return [metadata(n)["name"] for n in self.cluster.all("nodes") if n["spec"].get("unschedulable")]

    def touched(self) -> list[str]:
        """What was written to nodes, and what was evicted."""
        return [path for _, path, _, _ in self.cluster.writes if path.startswith(("nodes", "pods"))]

    async def pass_by(self, seconds: int) -> None:
        for _ in range(seconds // 5):
            await self.settle_all(5)
            self.most = max(self.most, len(self.out()))
            if self.over is not None:
                full = {p["spec"]["nodeName"] for p in self.cluster.all("pods")}
                self.over |= set(self.out()) - full

    def ready(self, status: str) -> None:
        """What all kubelets say, or the node controller of those that say nothing."""
        for one in self.nodes:
            since = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            ready = {"type": "Ready", "status": status, "lastTransitionTime": since}
            self.cluster.edit("nodes", "", metadata(one)["name"], {"status": {"conditions": [ready]}})

    def holds(self) -> set[tuple[str, str]]:
        """Reason and words of what holds each of the incidents."""
        return {(status.holds[0].reason, status.holds[0].message) for status in self.statuses()}


async def test_where_no_node_is_ready_the_breaker_of_nodes_trips_and_no_node_is_touched() -> None:
    fleet = await Fleet(down=COUNT).opened()
    await fleet.pass_by(120)
    assert fleet.touched() == []
    at = f"{START:%H:%M:%S}"
    assert fleet.holds() == {
        (
            "BreakerTripped",
            f"tripped at {at} UTC: 4 of 4 nodes are unhealthy at once (100%); the Guardrails' breaker trips at 30% and"
            " at least 3: look for one cause of all; lets through again after 5m of calm",
        )
    }
    assert {status.phase for status in fleet.statuses()} == {"Investigating"}
    shown = fleet.cluster.objects["guardrails", "", "cluster"]["status"]
    assert (shown["nodeBreaker"]["state"], shown["breaker"]["state"]) == ("Tripped", "Armed")


@pytest.mark.parametrize(("down", "count", "trips"), [(3, 10, True), (2, 4, False), (3, 11, False), (0, 4, False)])
async def test_the_breaker_of_nodes_counts_the_nodes_that_are_not_ready_whatever_alerts(
    down: int, count: int, trips: bool
) -> None:
    fleet = await Fleet(down=down, count=count).opened()
    found = (await fleet.fleet.assess()).node_breaker
    assert found is not None
    assert (found.state == "Tripped") is trips


async def test_without_an_incident_about_a_node_nodes_are_not_counted() -> None:
    fleet = Fleet(down=COUNT)
    await fleet.start()
    assert (await fleet.fleet.assess()).node_breaker is None


async def test_it_stays_tripped_over_a_restart_and_while_all_are_back_for_less_than_five_minutes() -> None:
    fleet = await Fleet(down=COUNT).opened()
    await fleet.pass_by(10)
    await fleet.start()
    fleet.ready("True")
    await fleet.pass_by(240)
    assert fleet.touched() == []
    await fleet.pass_by(120)
    assert len(fleet.out()) == 1, "it lets through again after 5m of calm, one node at a time"


async def test_a_tripped_breaker_is_counted_on_when_the_last_incident_about_a_node_is_over() -> None:
    fleet = await Fleet(down=COUNT).opened()
    await fleet.pass_by(10)
    for incident in list(fleet.book.all()):
        fleet.book.drop(incident.uid)
    fleet.ready("True")
    for _ in range(2):
        found = (await fleet.fleet.assess()).node_breaker
        fleet.clock.advance(301)
    assert found is not None
    assert found.state == "Armed"


async def test_where_all_nodes_alert_and_are_ready_one_is_taken_out_at_a_time() -> None:
    fleet = await Fleet().opened()
    fleet.over = set()
    await fleet.pass_by(300)
    assert fleet.most == 1
    assert {status.phase for status in fleet.statuses()} == {"Resolved"}, "in their turn all of them are helped"
    assert (fleet.out(), list(fleet.cluster.all("pods"))) == ([], [])


async def test_where_all_nodes_alert_and_emptying_does_not_help_it_ends_with_the_first_one() -> None:
    fleet = await Fleet().opened()
    await fleet.pass_by(300)
    assert (fleet.most, len(fleet.out())) == (1, 1)
    assert len(list(fleet.cluster.all("pods"))) == COUNT - 1


@pytest.mark.parametrize(
    ("rung", "why"),
    [
        ({"drain": {}}, "there is no other node that is Ready and would take the pods of Node n3"),
        (
            {"cordon": {}},
            "without Node n3 no node would be in service: of the 3 other nodes none is Ready and schedulable",
        ),
    ],
)
async def test_whatever_the_caps_allow_the_last_node_in_service_is_never_taken(rung: Json, why: str) -> None:
    fleet = await Fleet(rung, caps={"atOnce": 100, "perZone": 100}).opened()
    await fleet.pass_by(300)
    assert {path for path in fleet.touched() if path.startswith("nodes/")} == {"nodes//n0", "nodes//n1", "nodes//n2"}
    assert fleet.out() == ["n0", "n1", "n2"]
    (last,) = [status for status in fleet.statuses() if not status.steps[0].writes]
    assert (last.phase, last.steps[0].outcome, last.steps[0].message) == ("Escalated", "Refused", why)
