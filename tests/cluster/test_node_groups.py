"""Many nodes under one rule, on the real control plane: shown as one group, and worked off in their turn."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from goldseam.engine.objects import ZONE
from tests.support.nodes_on_cluster import cordoned, held_node, node_writes, out_together
from tests.support.objects_on_cluster import cluster_policy, forgotten, guardrails
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.sampling import SLOW

Json = dict[str, Any]
Trouble = Callable[..., None]
DOWN = {f"{zone}{number}": base - number for zone, base in {"a": 60, "b": 40, "c": 20}.items() for number in range(4)}
"""For how many minutes each node has not been ready; the letter is its zone. The four worst are all of one zone."""
IN_TURN = [f"{zone}{number}" for number in range(4) for zone in "abc"]
PLENTY = [{"count": 1000, "per": "1h"}]
SHOWN = (
    "12 nodes: 2 in work (a0, b0); 10 wait for their turn, worst first, zones in turn (next: c0, a1, b1), the first"
    " because Guardrails allow 2 nodes at once, and Goldseam has taken a0, b0 out of service"
)


def node(name: str, minutes: int) -> Json:
    """A node that nobody plays, and that was last heard of so long ago."""
    now = datetime.now(UTC)  # noqa: TID251 - the clock of the API server
    since = (now - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    silent = {"type": "Ready", "status": "Unknown", "lastHeartbeatTime": since, "lastTransitionTime": since}
    meta = {"name": name, "labels": {"kubernetes.io/hostname": name, ZONE: f"zone-{name[0]}"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "status": {"conditions": [silent]}}


@pytest.fixture
def down(installed: Plane, namespace: str) -> Iterator[None]:
    """Twelve nodes that are down."""
    installed.apply(*(node(name, minutes) for name, minutes in DOWN.items()))
    yield
    for name in DOWN:
        installed.remove("node", name)


def cap(plane: Plane, at_once: int) -> None:
    """So many nodes may be out at once, one of a zone; and 12 of 16 that are not ready are no reason to stop."""
    budgets = {"cluster": PLENTY, "nodes": {"atOnce": at_once, "perZone": 1}}
    plane.apply(guardrails(budgets=budgets, breaker={"percent": 80}))


def firing(plane: Plane) -> int:
    """For how many nodes the alert fires."""
    with urllib.request.urlopen(f"{plane.prometheus}/api/v1/alerts", timeout=10) as answer:
        found = json.load(answer)["data"]["alerts"]
    return sum(one["state"] == "firing" and one["labels"].get("node") in DOWN for one in found)


def group(plane: Plane) -> Json:
    """The one group that the Guardrails show; empty where there is none."""
    found: list[Json] = plane.get("guardrails", "cluster").get("status", {}).get("nodeGroups", [])
    assert len(found) <= 1
    return found[0] if found else {}


@pytest.mark.usefixtures("down", "source")
@SLOW
def test_twelve_nodes_are_shown_as_one_group_and_worked_off_worst_first_zones_in_turn_within_the_caps(
    installed: Plane, namespace: str, operator_kubeconfig: Path, trouble: Trouble, tmp_path: Path
) -> None:
    before = len(node_writes(installed))
    together = lambda: out_together(node_writes(installed)[before:])  # noqa: E731
    cap(installed, 1)
    limits = {"concurrent": 12, "actions": PLENTY, "cooldown": "1s"}
    installed.apply(cluster_policy("cordon", {"cordon": {}, "timeout": "10m"}, limits=limits))
    for name in reversed(IN_TURN):
        trouble(1, node=name)
    eventually(lambda: firing(installed) == len(DOWN), "all alerts to fire")  # so that it learns of all at once
    with running_operator(operator_kubeconfig, tmp_path / "operator.log"):
        eventually(partial(begun_in_turn, together, 1), "the worst to be cordoned", 90)
        cap(installed, 2)
        eventually(partial(begun_in_turn, together, 2), "the worst of another zone to be cordoned beside it")
        eventually(lambda: group(installed).get("message") == SHOWN, "the group to be shown")
        assert SHOWN.endswith(held_node(installed, "c0", "NodesAtOnce")["message"])
        message = "waits for its turn: 2nd of 10 nodes, behind c0"
        eventually(lambda: held_node(installed, "a1", "NodesInTurn").get("message") == message, "a1 to have its place")
        for most, name in enumerate(IN_TURN[:6], 2):
            eventually(partial(begun_in_turn, together, most), f"the first {most} to be cordoned, each in its turn")
            trouble(0, node=name)
        for name in IN_TURN[6:]:
            trouble(0, node=name)
        eventually(lambda: not any(cordoned(installed, name) for name in DOWN), "all nodes to be back")
        eventually(lambda: not group(installed), "the group to be gone")
        forgotten(installed)
    assert max(map(len, together())) == 2
    assert not any(len({name[0] for name in out}) < len(out) for out in together()), "two of one zone"


def begun_in_turn(together: Callable[[], list[set[str]]], most: int) -> bool:
    """Whether these were cordoned and no others, in the order of their turn."""
    found: list[str] = []
    for out in together():
        found += out - set(found)
    return found == IN_TURN[:most]
