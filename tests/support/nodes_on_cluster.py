"""Nodes that the cluster tests take out of service, and what the API server saw of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support.operator_process import NAMESPACE
from tests.support.plane import Plane

Json = dict[str, Any]


def incident(plane: Plane, node: str) -> Json:
    """The incident about the node; empty while there is none."""
    found = [one for one in plane.all("incidents", NAMESPACE) if one["spec"]["target"]["name"] == node]
    return found[0] if found else {}


def first_step(plane: Plane, node: str) -> Json:
    """Its first step, once that has an outcome, or a plan."""
    steps = incident(plane, node).get("status", {}).get("steps", [])
    return steps[0] if steps else {}


def held_node(plane: Plane, node: str, reason: str) -> Json:
    """The hold of this reason on the incident about the node; empty while there is none."""
    holds = incident(plane, node).get("status", {}).get("holds", [])
    return next((hold for hold in holds if hold["reason"] == reason), {})


def cordoned(plane: Plane, node: str) -> bool:
    """Whether it is cordoned, whoever did it."""
    return bool(plane.get("node", node)["spec"].get("unschedulable"))


def on_node(plane: Plane, namespace: str, node: str) -> list[Json]:
    """The pods of the namespace that are there."""
    return [pod for pod in plane.all("pods", namespace) if pod["spec"].get("nodeName") == node]


def node_writes(plane: Plane) -> list[Json]:
    """Every write of a node that the API server accepted, whoever made it; the control plane's own are not audited."""
    return [
        entry
        for entry in plane.audit()
        if (entry.get("objectRef") or {}).get("resource") == "nodes"
        and entry["verb"] in ("update", "patch")
        and entry.get("responseStatus", {}).get("code", 0) < 300
        and "dryRun=All" not in entry["requestURI"]
    ]


def out_together(written: Iterable[Json]) -> list[set[str]]:
    """Which nodes were cordoned at the same time, after each of these writes, by what the API server answered."""
    out: set[str] = set()
    found = []
    for node in (entry["responseObject"] for entry in written if entry["objectRef"].get("resource") == "nodes"):
        name = {node["metadata"]["name"]}
        out = out | name if node["spec"].get("unschedulable") else out - name
        found.append(out)
    return found
