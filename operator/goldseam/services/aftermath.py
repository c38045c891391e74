"""What is read of a node while a drain empties it and afterwards: what its pods have left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from goldseam.api.incident import IncidentStatus, ObjectRef, Write
from goldseam.engine.detaching import on_node, waited_for
from goldseam.engine.objects import Json, metadata
from goldseam.engine.proposal import World
from goldseam.services.reads import Reads
from goldseam.services.surroundings import READ
from goldseam.services.volumes import with_attached


async def with_aftermath(world: World, status: IncidentStatus, reads: Reads) -> World:
    """The world of a node with what the open drain waits for beyond the pods themselves, as far as it does so now."""
    step = status.open_step()
    if step is None or step.action != "drain" or step.purpose != "Rung" or world.target is None:
        return world
    moved = tuple(write for write in step.writes if write.volumes is not None)
    world, after = replace(world, evictions=moved), step.aftermath
    if step.phase == "Intended":
        return await with_attached(world, reads) if _holds_others(moved, world) else world
    if after is None or after.since is None or after.until is not None:
        return world
    world = await with_attached(world, reads) if moved else world
    return replace(world, recovering=await _as_they_are(after.workloads, reads))


def _holds_others(moved: Sequence[Write], world: World) -> bool:
    """Whether a pod of these is gone for whose volumes another one of its workload waits."""
    here = on_node(world)
    left = {write.volumes.workload for write in moved if write.volumes is not None and write.object.uid in here}
    gone = (write.volumes.workload for write in moved if write.volumes is not None and waited_for(write, world))
    return any(workload and workload in left for workload in gone)


async def _as_they_are(workloads: Sequence[ObjectRef], reads: Reads) -> tuple[Json, ...]:
    """Those that are there still; who was replaced, or deleted, is waited for by nobody."""
    known = [ref for ref in workloads if ref.kind in READ]
    found = await asyncio.gather(*(reads.one(READ[ref.kind], ref.namespace, ref.name) for ref in known))
    return tuple(
        {"apiVersion": READ[ref.kind].api_version, "kind": ref.kind, **obj}
        for ref, obj in zip(known, found, strict=True)
        if obj is not None and metadata(obj).get("uid") == ref.uid
    )
