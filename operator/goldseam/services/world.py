"""The world of one decision: the live objects that its action looks at, and those that were written to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from goldseam.actions.registry import ACTIONS
from goldseam.api.incident import ENDED, IncidentStatus, ObjectRef, Obligation, Write
from goldseam.engine.matching import PolicySpec
from goldseam.engine.objects import metadata, selector_of
from goldseam.engine.proposal import Part, World, place
from goldseam.engine.views import IncidentView
from goldseam.ports import Json
from goldseam.resources import CONTROLLER_REVISIONS, HPAS, NODES, PODS, REPLICA_SETS, TARGETS, WRITABLE
from goldseam.services.reads import Reads

Fields = dict[str, Any]
"""Some fields of a World."""


@dataclass(frozen=True)
class Asked:
    """What a part of the world is read for."""

    ref: ObjectRef
    """The workload that the incident is about."""
    target: Awaitable[Json | None]
    """The same as it is now; who waits for it reads one after the other."""
    reads: Reads
    judged: bool = False
    """Whether the rung is judged by what changed: then it must be known."""


async def read_world(incident: IncidentView, status: IncidentStatus, reads: Reads, known: Json | None = None) -> World:
    """The target, unless it is known already, and what belongs to it."""
    ref = incident.spec.target
    target = asyncio.ensure_future(_target(ref, reads, known))
    if ref.kind == "Node":
        pods, nodes = reads.all(PODS, fields=f"spec.nodeName={ref.name}"), reads.all(NODES)
        node, on_it, all_nodes = await asyncio.gather(target, pods, nodes)
        world = World(target=node, pods=on_it, nodes=all_nodes)
    else:
        asked = Asked(ref, target, reads, judged=_judged_by_changes(incident.pinned, status))
        parts = sorted(_looked_at(incident.pinned, status))
        obj, found = await asyncio.gather(target, asyncio.gather(*(PARTS[part](asked) for part in parts)))
        world = replace(World(target=obj), **{name: value for fields in found for name, value in fields.items()})
    return replace(world, touched=await _touched(status, world, reads))


async def _target(ref: ObjectRef, reads: Reads, known: Json | None) -> Json | None:
    resource = TARGETS[ref.kind]
    obj = known or await reads.one(resource, ref.namespace, ref.name)
    return None if obj is None else {"apiVersion": resource.api_version, "kind": ref.kind, **obj}


async def _scale(asked: Asked) -> Fields:
    if asked.ref.kind == "DaemonSet":
        return {}
    return {"scale": await asked.reads.one(TARGETS[asked.ref.kind], asked.ref.namespace, asked.ref.name, "scale")}


async def _autoscalers(asked: Asked) -> Fields:
    return {"hpas": await asked.reads.all(HPAS, asked.ref.namespace)}


async def _pods(asked: Asked) -> Fields:
    """The pods that the target's selector selects, and what may own them."""
    target = await asked.target
    if target is None or not (selector := selector_of(target)):
        return {}
    kinds = (PODS, REPLICA_SETS) if asked.ref.kind == "Deployment" else (PODS,)
    found = await asyncio.gather(*(asked.reads.all(kind, asked.ref.namespace, labels=selector) for kind in kinds))
    return dict(zip(("pods", "replica_sets"), found, strict=False))


async def _revisions(asked: Asked) -> Fields:
    """The former templates of the target. Where they only tell people what changed, nothing waits for them."""
    target = await asked.target
    if target is None or not (selector := selector_of(target)):
        return {}
    reads = asked.reads.aside()
    kind = REPLICA_SETS if asked.ref.kind == "Deployment" else CONTROLLER_REVISIONS
    found = await reads.all(kind, asked.ref.namespace, labels=selector)
    if asked.judged:
        asked.reads.unknown += reads.unknown
    return {} if reads.unknown else {"revisions": found}


PARTS: Mapping[Part, Callable[[Asked], Awaitable[Fields]]] = {
    "scale": _scale,
    "autoscalers": _autoscalers,
    "pods": _pods,
    "revisions": _revisions,
}
"""How each part is read; all that are looked at are read side by side."""


async def _touched(status: IncidentStatus, world: World, reads: Reads) -> dict[str, Any]:
    """What open writes and open obligations speak of. Pods of a node are in the world already."""
    wanted = {key for item in _pending(status) for key in _places(item)}
    known = {place("Pod", p["metadata"]["namespace"], p["metadata"]["name"]): p for p in world.pods}
    known |= _shown(world)
    rest = sorted(key for key in wanted if key[0] != "Pod" and place(*key) not in known)
    found = await asyncio.gather(*(reads.one(WRITABLE[k], ns, name, sub) for k, ns, name, sub in rest))
    touched = {place(*key): obj for key, obj in zip(rest, found, strict=True)}
    seen = [key for key in wanted if key[0] == "Pod" or place(*key) in known]
    return touched | {place(*key): known.get(place(*key)) for key in seen}


def _shown(world: World) -> dict[str, Any]:
    """The target, and its scale, as they were read for the world already."""
    if world.target is None:
        return {}
    meta, kind = metadata(world.target), str(world.target["kind"])
    where = kind, str(meta.get("namespace", "")), str(meta["name"])
    return {place(*where): world.target} | ({place(*where, "scale"): world.scale} if world.scale else {})


def _pending(status: IncidentStatus) -> Iterable[Write | Obligation]:
    yield from status.open_obligations()
    step = status.open_step()
    yield from step.writes if step is not None else ()


def _places(item: Write | Obligation) -> Iterable[tuple[str, str, str, str]]:
    ref = item.object
    yield ref.kind, ref.namespace, ref.name, ""
    if item.subresource:
        yield ref.kind, ref.namespace, ref.name, item.subresource


def to_plan(pinned: PolicySpec, status: IncidentStatus) -> bool:
    """Whether anything may be written next: not while a step that was carried out is watched, nor after the end."""
    step = status.open_step()
    watched = step is not None and step.phase == "Acted"
    return status.rung < len(pinned.ladder) and status.phase not in ENDED and not watched


def _looked_at(pinned: PolicySpec, status: IncidentStatus) -> frozenset[Part]:
    """What the action looks at that may be planned next, which pods are watched after they were evicted, and at first
    what changed before the alert."""
    planned = _parts(pinned.ladder[status.rung].action) if to_plan(pinned, status) else frozenset()
    step = status.open_step()
    watched = _parts(step.action) & {"pods"} if step is not None else frozenset()
    unseen = status.changes is None and not status.steps
    changes: frozenset[Part] = frozenset({"revisions"} if unseen or _judged_by_changes(pinned, status) else ())
    return planned | watched | changes


def _judged_by_changes(pinned: PolicySpec, status: IncidentStatus) -> bool:
    return to_plan(pinned, status) and pinned.ladder[status.rung].skip_if_changed_within is not None


def _parts(action: str) -> frozenset[Part]:
    return ACTIONS[action].looks_at if action in ACTIONS else frozenset()
