"""What a drain looks at beyond its node: whose pods would go, where they could go, and which volumes bind them.

Read before it begins only, for once pods are gone, half a drain is worse than a whole one; and whose pods they are,
once more before what is left is deleted by force.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from goldseam.actions.drain import going
from goldseam.actions.nodes import node_ref
from goldseam.actions.pods import MOST_PODS
from goldseam.actions.preflight import claims, homeless, hungry, places
from goldseam.api.incident import IncidentStatus
from goldseam.engine.deadlines import is_to_be_forced
from goldseam.engine.matching import PolicySpec
from goldseam.engine.objects import RESTART, Json, controller, metadata
from goldseam.engine.proposal import Hit, World
from goldseam.resources import CLAIMS, HPAS, PODS, REPLICA_SETS, VOLUMES, WORKLOADS
from goldseam.services.reads import Reads
from goldseam.services.volumes import with_attached

FIRST_ASKED = 4
"""Nodes whose pods are read at first; if these have no room, twice as many more, and so on."""
MOST_ASKED = 60
"""Nodes whose pods are read at the most: what finds no room there is not moved."""


Owner = tuple[str, str, str, str]
"""Kind, namespace, name and uid."""
READ = {**WORKLOADS, "ReplicaSet": REPLICA_SETS}
"""The kinds of controllers whose pods are replaced."""


def begun(status: IncidentStatus) -> bool:
    """Whether a write of the open step is made."""
    step = status.open_step()
    return step is not None and any(write.state == "Done" for write in step.writes)


def restarts(status: IncidentStatus) -> bool:
    """Whether the open step restarts workloads: their pods are told by who owns them."""
    step = status.open_step()
    return step is not None and step.phase == "Intended" and any(write.field == RESTART for write in step.writes)


async def with_workloads(world: World, reads: Reads, pods: Iterable[Json] | None = None) -> World:
    """The world of a node, with the workloads of the pods that would go: those that a drain evicts, or these."""
    return replace(world, hit=await _hit(going(world) if pods is None else pods, reads))


async def before_forcing(
    world: World, pinned: PolicySpec, status: IncidentStatus, now: datetime, reads: Reads
) -> World:
    """The world of a node on which what is left is to be deleted, with the workloads of those pods as they are now."""
    step = status.open_step()
    rungs = pinned.ladder[step.rung : step.rung + 1] if step is not None and world.target is not None else []
    if step is None or not any(is_to_be_forced(step, rung, now) for rung in rungs):
        return world
    hit = await _hit(going(world), reads)
    return replace(world, hit=hit, hpas=await _autoscalers(hit, reads))


async def with_surroundings(world: World, reads: Reads) -> World:
    """The world of a node, with the workloads and the volumes of the pods that would go, and with the pods of other
    nodes, as far as it takes to know whether there is room."""
    leaving = going(world)
    if world.target is None or not 0 < len(leaving) <= MOST_PODS or reads.unknown:
        return world
    volumes, hit = await asyncio.gather(_volumes(leaving, reads), _hit(leaving, reads))
    hpas = await _autoscalers(hit, reads)
    world = replace(world, volumes=volumes, hit=hit, hpas=hpas)
    world = await with_attached(world, reads) if volumes else world
    return replace(world, room=await _room(leaving, world, reads)) if hungry(leaving) else world


async def _hit(leaving: Iterable[Json], reads: Reads) -> tuple[Hit, ...]:
    """The workloads of these pods, each by its topmost controller; what is not one of ours to know is left out."""
    owned: dict[Owner, set[str]] = {}
    for pod in leaving:
        if owner := _owner(pod, str(metadata(pod).get("namespace"))):
            owned.setdefault(owner, set()).add(str(metadata(pod)["uid"]))
    found = await asyncio.gather(*(_top(owner, reads) for owner in owned))
    hits: dict[str, Hit] = {}
    for workload, pods in zip(found, owned.values(), strict=True):
        if workload is not None:
            uid = str(metadata(workload)["uid"])
            before = hits[uid].pods if uid in hits else frozenset()  # a rollout has two ReplicaSets
            hits[uid] = Hit(workload, before | pods)
    return tuple(hits.values())


def _owner(obj: Json, namespace: str) -> Owner | None:
    """The controller, where it is of a kind whose pods are replaced."""
    ref = controller(obj) or {}
    kind, group = str(ref.get("kind")), str(ref.get("apiVersion")).partition("/")[0]
    known = READ.get(kind)
    return (kind, namespace, str(ref["name"]), str(ref["uid"])) if known and known.group == group else None


async def _top(owner: Owner, reads: Reads) -> Json | None:
    kind, namespace, name, uid = owner
    found = await reads.one(READ[kind], namespace, name)
    if found is None or metadata(found).get("uid") != uid:
        return None
    above = _owner(found, namespace)
    top = await _top(above, reads) if above else None
    return top or {"apiVersion": READ[kind].api_version, "kind": kind, **found}


async def _autoscalers(hit: Iterable[Hit], reads: Reads) -> tuple[Json, ...]:
    namespaces = sorted({str(metadata(one.workload).get("namespace")) for one in hit})
    pages = await asyncio.gather(*(reads.all(HPAS, namespace) for namespace in namespaces))
    return tuple(hpa for page in pages for hpa in page)


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
        asked |= {name: tuple(map(_lean, pods)) for name, pods in zip(names, found, strict=True)}
    return asked


def _lean(pod: Json) -> Json:
    """What room is told by: of many nodes, whole pods would be a lot to keep."""
    spec, meta = pod.get("spec") or {}, metadata(pod)
    containers = [{"resources": one.get("resources")} for one in spec.get("containers") or ()]
    inits = [
        {"resources": one.get("resources"), "restartPolicy": one.get("restartPolicy")}
        for one in spec.get("initContainers") or ()
    ]
    return {
        "metadata": {"namespace": meta.get("namespace"), "labels": meta.get("labels")},
        "spec": {
            "containers": containers,
            "initContainers": inits,
            "affinity": spec.get("affinity"),
            "overhead": spec.get("overhead"),
            "resources": spec.get("resources"),
        },
        "status": {"phase": (pod.get("status") or {}).get("phase")},
    }


def _next(left: list[Json], world: World, asked: Iterable[str]) -> list[str]:
    """Which nodes are asked next: drains of several nodes do not all begin with the same ones."""
    assert world.target is not None
    known, mine = set(asked), node_ref(world.target).name
    found = {id(nodes): nodes for pod in left for nodes in [places(pod, world)]}  # pods that ask for the same share one
    names = {str(metadata(node).get("name")) for nodes in found.values() for node in nodes} - known
    size = min(max(FIRST_ASKED, len(known)), MOST_ASKED - len(known))
    return sorted(names, key=lambda name: zlib.crc32(f"{mine}/{name}".encode()))[:size]
