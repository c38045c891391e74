"""Which node an alert means: by name or address, in whatever way it is written; or why none can be told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from goldseam.engine.matching import PolicyKey
from goldseam.services.live_policies import live_policy
from tests.component.test_node_incidents import crempol
from tests.component.test_opener import Stage

Json = dict[str, Any]
KEY = PolicyKey("ClusterRemediationPolicy", "", "nodes")


def node(name: str, *addresses: tuple[str, str], **labels: str) -> Json:
    listed = [{"type": kind, "address": address} for kind, address in addresses]
    return {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": {"addresses": listed}}


class Nodes(Stage):
    """A policy for nodes, three nodes, and alerts that name them somehow."""

    def __init__(self, **target: Any) -> None:
        super().__init__()
        self.catalogue.disarm(next(iter(self.catalogue.armed)))
        policy = self.cluster.add("clusterremediationpolicies", crempol({"drain": {}}, target=target))
        self.catalogue.arm(live_policy("ClusterRemediationPolicy", policy))
        router = ("ExternalIP", "203.0.113.1")
        self.cluster.add("nodes", node("n1", ("InternalIP", "10.0.0.1"), ("InternalIP", "fd00:0::1"), router, pool="a"))
        self.cluster.add("nodes", node("n2", ("InternalIP", "10.0.0.2"), ("Hostname", "host-b.example"), router))
        self.cluster.add("nodes", node("n3", ("InternalIP", "10.0.0.2"), ("Hostname", "n1")))

    async def targets_of(self, **labels: str) -> list[str]:
        self.fire(**labels)
        return [incident["spec"]["target"]["name"] for incident in await self.turn()]


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({"node": "n1"}, "n1"),
        ({"node": "N1"}, "n1"),
        ({"node": "10.0.0.1"}, "n1"),
        ({"node": "Host-B.example"}, "n2"),
        ({"instance": "n1:9100"}, "n1"),
        ({"instance": "10.0.0.1:9100"}, "n1"),
        ({"instance": "10.0.0.1"}, "n1"),
        ({"instance": "[FD00::1]:9100"}, "n1"),
        ({"instance": "fd00:0:0::1"}, "n1"),
        ({"instance": "HOST-B.example:9100"}, "n2"),
        ({"node": "n2", "instance": "10.0.0.1:9100"}, "n2"),
    ],
)
async def test_an_alert_opens_an_incident_for_the_one_node_that_it_means(labels: dict[str, str], name: str) -> None:
    assert await Nodes().targets_of(**labels) == [name]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"instance": "10.0.0.2:9100"}, "the alert's label instance (10.0.0.2) fits 2 nodes, not exactly one: n2, n3"),
        ({"node": "10.0.0.2"}, "the alert's label node (10.0.0.2) fits 2 nodes, not exactly one: n2, n3"),
        (
            {"node": "n4"},
            "the alert's label node (n4) is neither the name nor an address (InternalIP, Hostname, InternalDNS)",
        ),
        ({"instance": "exporter:9100"}, "the alert's label instance (exporter) is neither the name nor an address"),
        ({"instance": "203.0.113.1:9100"}, "the alert's label instance (203.0.113.1) is neither the name nor"),
        ({"instance": "fe80::1%eth0"}, "the alert's label instance ('fe80::1%eth0') is not the name of an object"),
        ({}, "the alert has neither the label node nor instance"),
    ],
)
async def test_a_label_that_means_no_node_or_two_opens_nothing_and_is_told(labels: dict[str, str], said: str) -> None:
    stage = Nodes()
    assert await stage.targets_of(**labels) == []
    assert stage.problems[KEY].startswith(said)


@pytest.mark.parametrize(
    ("wanted", "names", "said"),
    [
        ({"pool": "a"}, ["n1"], ""),
        ({"pool": "b"}, [], "Node n1 is not one that nodeSelector selects"),
        ({"os": "linux"}, [], "nodeSelector (os=linux) selects every one of the 3 nodes"),
    ],
)
async def test_a_node_that_the_selector_does_not_select_or_that_all_are_is_left_alone(
    wanted: dict[str, str], names: list[str], said: str
) -> None:
    stage = Nodes(nodeSelector={"matchLabels": wanted})
    for one in stage.cluster.all("nodes"):
        one["metadata"]["labels"]["os"] = "linux"
    assert await stage.targets_of(node="n1") == names
    assert stage.problems.get(KEY, "").startswith(said)


async def test_whether_an_alert_is_about_an_incidents_node_is_told_by_the_node_not_by_how_it_is_written() -> None:
    stage = Nodes()
    await stage.targets_of(instance="10.0.0.1:9100")
    (incident,) = stage.book.all()
    targets, spec = stage.opener.targets, live_policy("ClusterRemediationPolicy", policy_of(stage)).spec
    assert spec is not None

    def concerned(**labels: str) -> bool | None:
        alert = replace(stage.alerts[0], labels={"alertname": "Trouble", **labels})
        return targets.concerned(spec, (), incident, alert)

    assert concerned(node="N1")
    assert concerned(instance="10.0.0.1:9100")
    assert concerned(node="not-looked-up") is None, "neither ours nor another's"
    await stage.targets_of(node="n2")
    await stage.targets_of(node="gone")
    assert concerned(node="n2") is False
    assert concerned(node="gone") is False, "an alert about a node that is no more keeps no other one's incident open"
    assert targets.concerned(spec, (), incident, replace(stage.alerts[0], labels={})) is False


def policy_of(stage: Nodes) -> Json:
    return next(iter(stage.cluster.all("clusterremediationpolicies")))
