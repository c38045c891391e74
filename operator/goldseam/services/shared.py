"""Long lists of the whole cluster, shared by those who ask for them within a moment: all nodes, and all budgets.

Each decision about a node asks for both. Where hundreds of nodes are in trouble among thousands, reading them anew for
each would be all that the operator does, and the API server, too.
"""

from __future__ import annotations

from typing import Any

from goldseam.engine.objects import metadata, title
from goldseam.ports import Clock, Cluster, Json, Page, Resource
from goldseam.resources import NODES, PDBS
from goldseam.services.lately import Lately

LONG = (NODES, PDBS)
MOMENT = 0.5
"""Seconds for which a list is shared: what is read for a decision may wait as long for its turn, too. Which nodes
Goldseam itself has decided to cordon meanwhile is known from the other incidents."""
MANY, LONGEST, TIMES = 500, 3.0, 5.0
"""A list of so many that takes its time is shared for so many times as long as it took, and so many seconds at most:
else it would be read anew as soon as it is there, and nothing but that would be done."""


Version = tuple[str, str, str]
"""The title, the uid and the resourceVersion of an object."""


class SharedLists:
    """A cluster like the one that it stands before, but for those lists. What has not changed from one to the next is
    kept once: a drain that takes its time keeps the list by which it was decided on."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster, self._clock, self._shared = cluster, clock, Lately(clock, LONGEST)
        self._took: dict[Resource, float] = {}
        self._known: dict[Resource, dict[Version, Json]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def list(self, resource: Resource, namespace: str = "", **which: Any) -> Page:
        """As `Cluster.list`."""
        if resource not in LONG or namespace or any(which.values()):
            return await self._cluster.list(resource, namespace, **which)
        lasts = min(max(MOMENT, TIMES * self._took.get(resource, 0.0)), LONGEST)
        page: Page = await self._shared.answer((resource.plural, "", ""), lambda: self._read(resource), lasts=lasts)
        return page

    async def _read(self, resource: Resource) -> Page:
        begun = self._clock.monotonic()
        page = await self._cluster.list(resource)
        self._took[resource] = self._clock.monotonic() - begun if len(page.items) >= MANY else 0.0
        known = self._known.get(resource, {})
        self._known[resource] = now = {version: known.get(version, obj) for obj in page.items for version in [_of(obj)]}
        return Page(tuple(now.values()), page.resource_version)

    def forget(self, resource: Resource) -> None:
        """We have changed one of them: who is woken for that reads a new list."""
        self._shared.forget(resource.plural)


def _of(obj: Json) -> Version:
    meta = metadata(obj)
    return title(obj), str(meta.get("uid")), str(meta.get("resourceVersion"))
