"""What is found out once about a list of nodes, for all pods and all decisions that share it: hundreds of nodes in
trouble, times their pods, times all nodes of the cluster, are much to look at."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from functools import cached_property

from goldseam.engine.objects import Json, metadata
from goldseam.engine.placement import in_service, may_run


class NodeList:
    """One list, as it was read."""

    def __init__(self, nodes: tuple[Json, ...]) -> None:
        self.nodes = nodes
        self._taking: dict[str, list[Json]] = {}

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

    def taking(self, pod: Json, volumes: Sequence[Json]) -> list[Json]:
        """The nodes in service that may take the pod, which uses these volumes; the same for all that ask for the
        same."""
        spec = pod.get("spec") or {}
        asks = [spec.get("tolerations"), spec.get("nodeSelector"), (spec.get("affinity") or {}).get("nodeAffinity")]
        key = json.dumps([*asks, [(volume.get("spec") or {}).get("nodeAffinity") for volume in volumes]])
        if key not in self._taking:
            self._taking[key] = [node for node in self.in_service if may_run(pod, node, volumes)]
        return self._taking[key]


_LATEST: deque[NodeList] = deque(maxlen=2)


def node_list(nodes: tuple[Json, ...]) -> NodeList:
    """Of this very list, in which nothing is ever changed; the two that were last asked about are kept."""
    found = next((one for one in _LATEST if one.nodes is nodes), None)
    if found is None:
        found = NodeList(nodes)
        _LATEST.append(found)
    return found
