"""Long lists of the whole cluster, shared by those who ask for them within a moment: all nodes, and all budgets.

Each decision about a node asks for both. Where hundreds of nodes are in trouble among thousands, reading them anew for
each would be all that the operator does, and the API server, too.
"""

from __future__ import annotations

from typing import Any

from goldseam.ports import Clock, Cluster, Page, Resource
from goldseam.resources import NODES, PDBS
from goldseam.services.lately import Lately

LONG = (NODES, PDBS)
MOMENT = 0.5
"""Seconds for which a list is shared: what is read for a decision may wait as long for its turn, too. Which nodes
Goldseam itself has decided to cordon meanwhile is known from the other incidents."""


class SharedLists:
    """A cluster like the one that it stands before, but for those lists."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster, self._shared = cluster, Lately(clock, MOMENT)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def list(self, resource: Resource, namespace: str = "", **which: Any) -> Page:
        """As `Cluster.list`."""
        if resource not in LONG or namespace or any(which.values()):
            return await self._cluster.list(resource, namespace, **which)
        page: Page = await self._shared.answer((resource.plural, "", ""), lambda: self._cluster.list(resource))
        return page
