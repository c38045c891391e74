"""The Incidents that each target has had: one list for all targets that are asked for at the same moment.

Of hundreds of alerts that begin together each opens an Incident, and asks first whether there is one already. A list
that follows another one of its kind is held by the API server for up to 100 ms (KEP-2340).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from goldseam.api.incident import ObjectRef
from goldseam.engine.naming import label
from goldseam.engine.objects import metadata
from goldseam.engine.opening import TARGET_LABEL
from goldseam.ports import Cluster, Json
from goldseam.resources import INCIDENTS


@dataclass
class _Next:
    """The list that has not begun yet."""

    labels: set[str]
    task: asyncio.Task[tuple[Json, ...]]


@dataclass
class Predecessors:
    """Lists them; `home` is where those about nodes are."""

    cluster: Cluster
    home: str
    _next: dict[str, _Next] = field(default_factory=dict)
    _one: dict[str, asyncio.Lock] = field(default_factory=dict)
    """One list at a time for each namespace."""

    async def of(self, target: ObjectRef) -> tuple[Json, ...]:
        """All Incidents of this target, where such Incidents are, by a list that begins from now on.

        Raises:
            GoldseamError: they cannot be read.
        """
        where, wanted = target.namespace or self.home, label(target.uid)
        waiting = self._next.get(where)
        if waiting is None:
            waiting = self._next[where] = _Next(set(), asyncio.create_task(self._listed(where)))
        waiting.labels.add(wanted)
        found = await asyncio.shield(waiting.task)
        return tuple(obj for obj in found if (metadata(obj).get("labels") or {}).get(TARGET_LABEL) == wanted)

    async def _listed(self, where: str) -> tuple[Json, ...]:
        async with self._one.setdefault(where, asyncio.Lock()):
            labels = sorted(self._next.pop(where).labels)
            wanted = f"={labels[0]}" if len(labels) == 1 else f" in ({','.join(labels)})"
            return (await self.cluster.list(INCIDENTS, where, labels=f"{TARGET_LABEL}{wanted}")).items
