"""What changed before the alert, at the first look: read while the intent is written, for no decision waits for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from goldseam.engine.proposal import Part
from goldseam.engine.situation import Situation
from goldseam.ports import Cluster
from goldseam.services.reads import Reads
from goldseam.services.world import read_parts

PATIENCE = 1.0
"""Seconds that an act waits for it at most: what is read later might show what we did ourselves."""
PARTS: frozenset[Part] = frozenset({"revisions", "git"})


def correlated(cluster: Cluster, s: Situation) -> asyncio.Task[Situation]:
    """Begin to read what the first look has left out; the situation with it."""
    return asyncio.create_task(_correlated(cluster, s))


async def _correlated(cluster: Cluster, s: Situation) -> Situation:
    target, known = s.world.target, s.status.changes is not None or s.world.revisions is not None
    if target is None or known or s.status.steps or s.spec.target.kind == "Node":
        return s
    found = await read_parts(s.spec.target, PARTS, Reads(cluster), dict(target))
    return replace(s, world=replace(s.world, revisions=found.revisions, git=found.git))


async def in_time(correlating: asyncio.Task[Situation], s: Situation) -> Situation:
    """The situation with it, where it came before the act; else without: then nobody says what changed."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await correlating
    except TimeoutError:
        return s
