"""Which node an alert means, by a label that gives its name or an address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from goldseam.engine.hosts import fitting, is_name
from goldseam.engine.matching import NoTarget, TargetKey, allows
from goldseam.engine.objects import Json, metadata
from goldseam.errors import NotFound
from goldseam.ports import Cluster
from goldseam.resources import NODES

REMEMBERED = 20_000


@dataclass(frozen=True)
class Found:
    """What an alert is about."""

    key: TargetKey
    obj: dict[str, Any] | None = None
    """The object itself, where it was read to find that out."""


@dataclass
class NodeNames:
    """Finds nodes, and remembers which ones each label meant."""

    cluster: Cluster
    _meant: dict[str, frozenset[str]] = field(default_factory=dict)

    async def found(self, host: str, label: str, selector: Mapping[str, str] | None) -> Found | NoTarget:
        """The one node that a host, as `host_of` gives it, is the name or an address of.

        Raises:
            GoldseamError: the nodes cannot be read.
        """
        named = await self._named(host) if label == "node" and is_name(host) else None
        nodes = [named] if named is not None else fitting(host, (await self.cluster.list(NODES)).items)
        if len(self._meant) > REMEMBERED:
            self._meant.clear()
        self._meant[host] = frozenset(_name(node) for node in nodes)
        if len(nodes) != 1:
            return NoTarget(_unclear(label, host, sorted(self._meant[host])))
        (node,) = nodes
        if selector is not None and (why := await self._unselected(node, selector)):
            return NoTarget(why)
        return Found(TargetKey("Node", "", _name(node)), dict(named) if named is not None else None)

    async def _named(self, host: str) -> Json | None:
        """One request where the label `node` has a node's name, as it mostly does."""
        try:
            return await self.cluster.get(NODES, "", host)
        except NotFound:
            return None

    async def _unselected(self, node: Json, selector: Mapping[str, str]) -> str:
        if not allows(selector, metadata(node).get("labels") or {}):
            return f"Node {_name(node)} is not one that nodeSelector selects"
        return selects_too_much(selector, (await self.cluster.list(NODES)).items)

    def means(self, host: str, name: str) -> bool | None:
        """Whether a host means the node of that name; None where that was not looked up yet, or it means several."""
        if host == name:
            return True
        names = self._meant.get(host)
        if names is None or (len(names) > 1 and name in names):
            return None
        return name in names


def selects_too_much(selector: Mapping[str, str], nodes: tuple[Json, ...]) -> str:
    """What is wrong with a selector of nodes, as the cluster is now: it selects none, or every one; else empty."""
    selected = [node for node in nodes if allows(selector, metadata(node).get("labels") or {})]
    labels = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
    if not selected:
        return f"nodeSelector ({labels}) selects none of the {len(nodes)} nodes: write labels that some of them have"
    if len(selected) == len(nodes):
        return (
            f"nodeSelector ({labels}) selects every one of the {len(nodes)} nodes, so it keeps Goldseam from none:"
            " write a label that only some of them have, or leave it out"
        )
    return ""


def _unclear(label: str, host: str, names: list[str]) -> str:
    if not names:
        return (
            f"the alert's label {label} ({host}) is neither the name nor an address (InternalIP, Hostname, InternalDNS)"
            " of a node: correct the label in the rule, or set spec.target.name"
        )
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"the alert's label {label} ({host}) fits {len(names)} nodes, not exactly one: {shown}"


def _name(node: Json) -> str:
    return str(metadata(node)["name"])
