"""Takes and gives back the Medik8s lease of a node, where there is one: a lock, which lapses by itself, and no debt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import structlog

from goldseam.api.base import format_time
from goldseam.api.incident import ObjectRef, Step, Write
from goldseam.engine import node_lease
from goldseam.engine.cordons import UNSCHEDULABLE
from goldseam.engine.lineage import NOT_LEASED
from goldseam.engine.node_lease import HOLDER, LASTS, NAMESPACE, name_of
from goldseam.engine.proposal import World
from goldseam.errors import Conflict, GoldseamError, NotFound
from goldseam.ports import Clock, Cluster, Json
from goldseam.resources import LEASES, NAMESPACES
from goldseam.services.act import Result
from goldseam.services.reads import Reads

TAKES = ("cordon", "drain", "outOfService", "reboot")
"""The actions that take it."""
UNCORDONED = (UNSCHEDULABLE, "null")
"""What lets new pods onto a node again: the field and its value."""
log = structlog.get_logger("goldseam.node_leases")


async def with_lease(world: World, node: str, reads: Reads) -> World:
    """The world, with the node's lease, where the namespace of such leases exists."""
    if await reads.one(NAMESPACES, "", NAMESPACE) is None:
        return world
    aside = reads.aside()
    lease = await aside.one(LEASES, NAMESPACE, name_of(node))
    if aside.closed:
        return replace(world, leases=True, closed=world.closed | {"lease"})
    reads.unknown += aside.unknown
    return replace(world, leases=True, node_lease=lease)


@dataclass(frozen=True)
class NodeLeases:
    """Makes the writes."""

    cluster: Cluster
    clock: Clock

    async def in_the_way(self, step: Step, node: ObjectRef, world: World) -> list[Result]:
        """Take the lease, where there are such: nothing, once it is ours. Else why the step's next write waits: it may
        not be written, or somebody was faster."""
        if not world.leases or step.purpose == "Undo" or step.action not in TAKES:
            return []
        try:
            await self._take(node)
        except GoldseamError as error:
            log.info("node_lease_not_taken", node=node.name, problem=str(error))
            pending = (index for index, write in enumerate(step.writes) if write.state == "Pending")
            why = f"{NOT_LEASED}{node}: {error}"
            return [Result(i, "Waiting", _beside(step.writes[i].message, why)) for i in list(pending)[:1]]
        return []

    async def _take(self, node: ObjectRef) -> None:
        """Ours for an hour from now, or for half of one still.

        Raises:
            Conflict: another one has it, or was faster.
        """
        now = self.clock.now()
        ours = {"holderIdentity": HOLDER, "leaseDurationSeconds": int(LASTS.total_seconds())}
        ours |= {"renewTime": format_time(now)}
        try:
            lease = await self.cluster.get(LEASES, NAMESPACE, name_of(node.name))
        except NotFound:
            await self.cluster.create(LEASES, NAMESPACE, _lease(node, ours | {"acquireTime": format_time(now)}))
            return
        if theirs := node_lease.by_another(lease, now):
            raise Conflict(f"{theirs.by} has the lease of {node}")
        mine = node_lease.held(lease, now)
        if mine is not None and mine.until - now > LASTS / 2:
            return
        before = lease.get("spec") or {}
        if before.get("holderIdentity") != HOLDER:
            ours |= {
                "acquireTime": format_time(now),
                "leaseTransitions": int(before.get("leaseTransitions") or 0) + 1,
            }
        await self._patch(lease, ours)

    async def released(self, writes: Iterable[Write]) -> None:
        """Give it back, where one of these writes, which were made, has let new pods onto the node."""
        nodes = {w.object.name for w in writes if w.object.kind == "Node" and (w.field, w.want) == UNCORDONED}
        for node in nodes:
            try:
                await self._release(node)
            except GoldseamError as error:
                log.warning("node_lease_not_released", node=node, problem=str(error))

    async def _release(self, node: str) -> None:
        try:
            await self.cluster.get(NAMESPACES, "", NAMESPACE)
            lease = await self.cluster.get(LEASES, NAMESPACE, name_of(node))
        except NotFound:
            return
        if (lease.get("spec") or {}).get("holderIdentity") == HOLDER:
            empty = dict.fromkeys(("holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime"))
            await self._patch(lease, empty)

    async def _patch(self, lease: Json, spec: Json) -> None:
        meta = lease["metadata"]
        pins = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        await self.cluster.patch(LEASES, NAMESPACE, meta["name"], {"metadata": pins, "spec": spec})


def _beside(said: str, why: str) -> str:
    """The message of a write that is not tried now: what was said when it was tried stays."""
    tried = said.partition(f"; {NOT_LEASED}")[0]
    return f"{tried}; {why}" if tried and not tried.startswith(NOT_LEASED) else why


def _lease(node: ObjectRef, spec: Json) -> Json:
    """It goes with its node, as theirs do."""
    owner = {"apiVersion": node.api_version, "kind": node.kind, "name": node.name, "uid": node.uid}
    meta = {"name": name_of(node.name), "namespace": NAMESPACE, "ownerReferences": [owner]}
    return {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": meta, "spec": {"leaseTransitions": 0} | spec}
