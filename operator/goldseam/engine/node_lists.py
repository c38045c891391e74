"""What is found out once about a list of nodes, for all pods and all decisions that share it: hundreds of nodes in
trouble, times their pods, times all nodes of the cluster, are much to look at."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cached_property

from goldseam.engine.objects import Json, condition_of, cordoned_by_us, is_ready, metadata
from goldseam.engine.placement import in_service, may_run


class NodeList:
    """One list, as it was read."""

    def __init__(self, nodes: tuple[Json, ...]) -> None:
        self.nodes = nodes
        self._taking: dict[str, list[Json]] = {}
        self._not_ready: dict[str, datetime | None] = {}

    @cached_property
    def in_service(self) -> list[Json]:
        """The nodes that are Ready and take new pods."""
        return [node for node in self.nodes if in_service(node)]

    @cached_property
    def by_uid(self) -> dict[str, Json]:
        """The nodes by their uid."""
        return {str(metadata(node).get("uid")): node for node in self.nodes}

    @cached_property
    def by_name(self) -> dict[str, Json]:
        """The nodes by their name."""
        return {str(metadata(node).get("name")): node for node in self.nodes}

    @cached_property
    def cordoned_by_us(self) -> list[Json]:
        """The nodes that Goldseam has cordoned."""
        return [node for node in self.nodes if cordoned_by_us(node)]

    def without(self, serving: list[Json], uid: str) -> list[Json]:
        """Some of those in service, but for this one, whatever the list says of it: the very same where it is none."""
        mine = self.by_uid.get(uid)
        if mine is None or not in_service(mine):
            return serving
        return [node for node in serving if node is not mine]

    def serves_without(self, gone: Collection[str]) -> bool:
        """Whether a node is in service still, without those of these uids."""
        return any(metadata(node).get("uid") not in gone for node in self.in_service)

    def not_ready_since(self, node: Json) -> datetime | None:
        """As the function of that name, of a node of the list."""
        uid = str(metadata(node).get("uid"))
        if uid not in self._not_ready:
            self._not_ready[uid] = not_ready_since(node)
        return self._not_ready[uid]

    def taking(self, pod: Json, volumes: Sequence[Json]) -> list[Json]:
        """The nodes in service that may take the pod, which uses these volumes; the same for all that ask for the
        same."""
        spec = pod.get("spec") or {}
        asks = [spec.get("tolerations"), spec.get("nodeSelector"), (spec.get("affinity") or {}).get("nodeAffinity")]
        key = json.dumps([*asks, [(volume.get("spec") or {}).get("nodeAffinity") for volume in volumes]])
        if key not in self._taking:
            self._taking[key] = [node for node in self.in_service if may_run(pod, node, volumes)]
        return self._taking[key]


def not_ready_since(node: Json) -> datetime | None:
    """Since when the node is not ready; None where it is, or does not say since when."""
    if is_ready(node):
        return None
    try:
        return datetime.fromisoformat(str(condition_of(node, "Ready")["lastTransitionTime"]))
    except (KeyError, ValueError):
        return None


_LATEST: deque[NodeList] = deque(maxlen=2)


def node_list(nodes: tuple[Json, ...]) -> NodeList:
    """Of this very list, in which nothing is ever changed; two are kept."""
    found = next((one for one in _LATEST if one.nodes is nodes), None)
    if found is None:
        found = NodeList(nodes)
        _LATEST.append(found)
    return found
