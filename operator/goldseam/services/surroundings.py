"""What a drain looks at beyond its node: where its pods could go, and which volumes bind them.

Read before it begins only: once pods are gone, half a drain is worse than a whole one.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable
from dataclasses import replace

from goldseam.actions.drain import going
from goldseam.actions.nodes import node_ref
from goldseam.actions.preflight import claims, homeless, hungry, places
from goldseam.api.incident import IncidentStatus
from goldseam.engine.objects import Json
from goldseam.engine.proposal import World
from goldseam.resources import CLAIMS, PODS, VOLUMES
from goldseam.services.reads import Reads

FIRST_ASKED = 4
"""Nodes whose pods are read at first; if these have no room, twice as many more, and so on."""
MOST_ASKED = 60
"""Nodes whose pods are read at the most: what finds no room there is not moved."""


def begun(status: IncidentStatus) -> bool:
    """Whether a write of the open step is made."""
    step = status.open_step()
    return step is not None and any(write.state == "Done" for write in step.writes)


async def with_surroundings(world: World, reads: Reads) -> World:
    """The world of a node, with the volumes of the pods that would go, and with the pods of other nodes, as far as it
    takes to know whether there is room."""
    leaving = going(world)
    if world.target is None or not leaving or reads.unknown:
        return world
    world = replace(world, volumes=await _volumes(leaving, reads))
    return replace(world, room=await _room(leaving, world, reads)) if hungry(leaving) else world


async def _volumes(leaving: Iterable[Json], reads: Reads) -> dict[str, Json]:
    """By the claim; a claim that is not bound yet has none."""
    names = sorted({claim for pod in leaving for claim in claims(pod)})
    found = await asyncio.gather(*(reads.one(CLAIMS, *name.split("/")) for name in names))
    bound = {
        name: str((claim.get("spec") or {}).get("volumeName") or "")
        for name, claim in zip(names, found, strict=True)
        if claim
    }
    wanted = {name: volume for name, volume in bound.items() if volume}
    volumes = await asyncio.gather(*(reads.one(VOLUMES, "", volume) for volume in wanted.values()))
    return {name: volume for name, volume in zip(wanted, volumes, strict=True) if volume}


async def _room(leaving: list[Json], world: World, reads: Reads) -> dict[str, tuple[Json, ...]]:
    """The pods of other nodes that may take what has no room yet; a few nodes more, until all of it has."""
    asked: dict[str, tuple[Json, ...]] = {}
    while (left := homeless(leaving, replace(world, room=asked))) and len(asked) < MOST_ASKED and not reads.unknown:
        names = _next(left, world, asked)
        if not names:
            break
        found = await asyncio.gather(*(reads.all(PODS, fields=f"spec.nodeName={name}") for name in names))
        asked |= dict(zip(names, found, strict=True))
    return asked


def _next(left: list[Json], world: World, asked: Iterable[str]) -> list[str]:
    """Which nodes are asked next: drains of several nodes do not all begin with the same ones."""
    assert world.target is not None
    known, mine = set(asked), node_ref(world.target).name
    names = {node_ref(node).name for pod in left for node in places(pod, world)} - known
    size = min(max(FIRST_ASKED, len(known)), MOST_ASKED - len(known))
    return sorted(names, key=lambda name: zlib.crc32(f"{mine}/{name}".encode()))[:size]
