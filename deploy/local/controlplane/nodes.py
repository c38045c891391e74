"""Nodes that KWOK plays."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

ZONES = ("zone-a", "zone-b", "zone-c")
ROOM = {"cpu": "32", "memory": "256Gi", "pods": "110"}


def create(post: Callable[[object], None], count: int) -> None:
    """Create `node-0` … with their status at once; those that exist stay."""
    for number in range(count):
        post(manifest(number))


def manifest(number: int) -> dict[str, Any]:
    """One Node, in one of three zones."""
    name = f"node-{number}"
    info = dict.fromkeys(("containerRuntimeVersion", "kernelVersion", "osImage", "machineID", "systemUUID"), "kwok")
    info |= {
        "architecture": "amd64",
        "operatingSystem": "linux",
        "bootID": str(uuid.uuid4()),
        "kubeletVersion": "v1.36.3",
        "kubeProxyVersion": "v1.36.3",
    }
    labels = {
        "type": "kwok",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": ZONES[number % len(ZONES)],
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {
            "capacity": ROOM,
            "allocatable": ROOM,
            "nodeInfo": info,
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
        },
    }


def ready(listed: dict[str, Any]) -> int:
    """How many nodes of a list are Ready."""

    def is_ready(node: dict[str, Any]) -> bool:
        conditions = node.get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    return sum(is_ready(node) for node in listed["items"])
