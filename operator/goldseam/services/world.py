"""The world of one decision: the live objects that its action looks at, and those that were written to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from goldseam.actions.out_of_service import leaving
from goldseam.actions.registry import ACTIONS
from goldseam.api.incident import ENDED, IncidentStatus, ObjectRef, Obligation, Write
from goldseam.api.ladder import Rung
from goldseam.engine import out_of_service, reboots
from goldseam.engine.delivery import delivers
from goldseam.engine.jobs import is_of, named
from goldseam.engine.matching import PolicySpec
from goldseam.engine.objects import metadata, selector_of
from goldseam.engine.proposal import Part, World, place
from goldseam.engine.reboots import is_silent
from goldseam.engine.replicas import SELECTOR, is_ours
from goldseam.engine.views import IncidentView
from goldseam.ports import Json
from goldseam.resources import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    CRON_JOBS,
    GITOPS,
    HPAS,
    JOBS,
    LEASES,
    NODES,
    PDBS,
    PODS,
    REPLICA_SETS,
    SCALED_OBJECTS,
    TARGETS,
    VPAS,
    WORKLOADS,
    WRITABLE,
    custom,
)
from goldseam.services.aftermath import with_aftermath
from goldseam.services.evidence import last_words
from goldseam.services.node_leases import TAKES, with_lease
from goldseam.services.reads import Reads
from goldseam.services.surroundings import begun, restarts, with_surroundings, with_workloads

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
    rung: Rung | None
    """The rung whose turn it is."""
    picks_pods: Callable[[Json], bool]
    """Whether the pods of that workload, as it is now, are looked at."""


async def read_world(
    incident: IncidentView, status: IncidentStatus, reads: Reads, known: Json | None = None, *, to_act: bool = True
) -> World:
    """The target, and what belongs to it; `to_act`: and what takes many reads. Where it is `known` already, for its
    incident was opened just now, what changed before the alert is left for later: no decision waits for that."""
    ref = incident.spec.target
    rung = _next(incident.pinned, status)
    picks_pods = partial(_picks_pods, rung, status)
    parts = _looked_at(rung, status)
    if known is None:
        parts |= _correlating(status)
    if not to_act and ref.kind != "Node" and _held_otherwise(status):
        parts -= {"disruption_budgets"}
    world = await read_parts(ref, parts, reads, known, rung, picks_pods)
    world = replace(world, touched=await _touched(status, world, reads))
    if rung is not None and rung.drain is not None:
        world = await _around(world, status, reads, to_act=to_act)
    if ref.kind == "Node":
        world = await with_aftermath(world, status, reads)
    if rung is not None and rung.out_of_service is not None and to_act and not begun(status):
        world = await with_workloads(world, reads, leaving(world))
    if rung is not None and rung.action in TAKES and to_act:
        world = await with_lease(world, ref.name, reads)
    return replace(world, log=await last_words(status, world, reads))


async def _around(world: World, status: IncidentStatus, reads: Reads, *, to_act: bool) -> World:
    """What a drain looks at beyond its node."""
    if to_act and not begun(status):
        return await with_surroundings(world, reads)
    return await with_workloads(world, reads) if restarts(status) else world


async def read_parts(
    ref: ObjectRef,
    parts: frozenset[Part],
    reads: Reads,
    known: Json | None = None,
    rung: Rung | None = None,
    picks_pods: Callable[[Json], bool] = lambda _: True,
) -> World:
    """A target, unless it is known already, and these parts of its world; of a node its pods and all nodes always."""
    target = asyncio.ensure_future(_target(ref, reads, known))
    asked = Asked(ref, target, reads, rung, picks_pods)
    readers = [*((_of_node,) if ref.kind == "Node" else ()), *(PARTS[part] for part in sorted(parts))]
    obj, found = await asyncio.gather(target, asyncio.gather(*(reader(asked) for reader in readers)))
    return replace(World(target=obj), **{name: value for fields in found for name, value in fields.items()})


async def _target(ref: ObjectRef, reads: Reads, known: Json | None) -> Json | None:
    resource = TARGETS[ref.kind]
    obj = known or await reads.one(resource, ref.namespace, ref.name)
    return None if obj is None else {"apiVersion": resource.api_version, "kind": ref.kind, **obj}


async def _of_node(asked: Asked) -> Fields:
    """The operator's other pods only where one of them is on the node."""
    here, nodes = asked.reads.all(PODS, fields=f"spec.nodeName={asked.ref.name}"), asked.reads.all(NODES)
    found = dict(zip(("pods", "nodes"), await asyncio.gather(here, nodes), strict=True))
    homes = {str(metadata(pod).get("namespace")) for pod in found["pods"] if is_ours(pod)}
    ours = [pod for home in sorted(homes) for pod in await asked.reads.all(PODS, home, labels=SELECTOR)]
    return {**found, "ours": tuple(ours)}


async def _scale(asked: Asked) -> Fields:
    if asked.ref.kind == "DaemonSet":
        return {}
    return {"scale": await asked.reads.one(TARGETS[asked.ref.kind], asked.ref.namespace, asked.ref.name, "scale")}


async def _autoscalers(asked: Asked) -> Fields:
    where = asked.ref.namespace
    hpas, scaled = await asyncio.gather(asked.reads.all(HPAS, where), asked.reads.optional(SCALED_OBJECTS, where))
    return {"hpas": hpas, "scaled_objects": scaled}


async def _owners(asked: Asked) -> Fields:
    """Who else may have a say in the target, and need not be installed."""
    kinds = {"vpas": VPAS} | ({"rollouts": WORKLOADS["Rollout"]} if asked.ref.kind == "Deployment" else {})
    found = await asyncio.gather(*(asked.reads.optional(kind, asked.ref.namespace) for kind in kinds.values()))
    return dict(zip(kinds, found, strict=True))


async def _git(asked: Asked) -> Fields:
    """What delivers the target: no decision waits for that."""
    target = await asked.target
    if target is None or not (named := delivers(target)):
        return {}
    kind, namespace, name = named
    return {"git": await asked.reads.aside().one(GITOPS[kind], namespace, name)}


async def _pending(asked: Asked) -> Fields:
    """The target's pods that do not run yet."""
    target = await asked.target
    if target is None or not (selector := selector_of(target)):
        return {}
    return {"pending": await asked.reads.all(PODS, asked.ref.namespace, "status.phase=Pending", selector)}


async def _pods(asked: Asked) -> Fields:
    """The pods that the target's selector selects, and what may own them."""
    target = await asked.target
    if target is None or not (selector := selector_of(target)) or not asked.picks_pods(target):
        return {}
    kinds = (PODS, REPLICA_SETS) if asked.ref.kind in ("Deployment", "Rollout") else (PODS,)
    found = await asyncio.gather(*(asked.reads.all(kind, asked.ref.namespace, labels=selector) for kind in kinds))
    return dict(zip(("pods", "replica_sets"), found, strict=False))


async def _disruption_budgets(asked: Asked) -> Fields:
    return {"pdbs": await asked.reads.all(PDBS, asked.ref.namespace)}


async def _config_map(asked: Asked) -> Fields:
    """The ConfigMap that the rung names. The right to read it is given by hand, and may be missing."""
    if asked.rung is None or (told := asked.rung.patch_config) is None:
        return {}
    reads = asked.reads.aside()
    found = await reads.one(CONFIG_MAPS, asked.ref.namespace, told.config_map)
    if reads.closed:
        return {"closed": frozenset({"configMap"})}
    asked.reads.unknown += reads.unknown
    return {"config_map": found}


async def _revisions(asked: Asked) -> Fields:
    """The former templates of the target. Where they only tell people what changed, nothing waits for them. Those of an
    Argo Rollout are numbered by a mark of its own, which nobody here reads."""
    target = await asked.target
    if target is None or asked.ref.kind == "Rollout" or not (selector := selector_of(target)):
        return {}
    reads = asked.reads.aside()
    kind = REPLICA_SETS if asked.ref.kind == "Deployment" else CONTROLLER_REVISIONS
    found = await reads.all(kind, asked.ref.namespace, labels=selector)
    if _judged_by_revisions(asked.rung):
        asked.reads.unknown += reads.unknown
    return {} if reads.unknown else {"revisions": found}


async def _jobs(asked: Asked) -> Fields:
    """The CronJob that the rung names, and its Jobs; for a reboot those of its one CronJob."""
    if asked.rung is None or (asked.rung.job is None and asked.rung.reboot is None):
        return {}
    told, reads = asked.rung.job, asked.reads
    namespace, name = (reboots.NAMESPACE, reboots.CRON_JOB) if told is None else (asked.ref.namespace, told.cron_job)
    cron_job, jobs = await asyncio.gather(reads.one(CRON_JOBS, namespace, name), reads.all(JOBS, namespace))
    uid = str(metadata(cron_job or {}).get("uid") or "")
    return {"cron_job": cron_job, "jobs": tuple(job for job in jobs if is_of(job, uid))}


async def _heartbeats(asked: Asked) -> Fields:
    """The Leases of all kubelets, where that of the node is silent: they are compared. The right to read them comes
    with a piece of its own, and may be missing."""
    target = await asked.target
    if target is None or not is_silent(target):
        return {}
    reads = asked.reads.aside()
    found = await reads.all(LEASES, out_of_service.NAMESPACE)
    if reads.closed:
        return {"closed": frozenset({"heartbeats"})}
    asked.reads.unknown += reads.unknown
    return {"heartbeats": found}


PARTS: Mapping[Part, Callable[[Asked], Awaitable[Fields]]] = {
    "scale": _scale,
    "autoscalers": _autoscalers,
    "owners": _owners,
    "pods": _pods,
    "disruption_budgets": _disruption_budgets,
    "configMap": _config_map,
    "revisions": _revisions,
    "jobs": _jobs,
    "pending": _pending,
    "git": _git,
    "heartbeats": _heartbeats,
}
"""How each part is read; all that are looked at are read side by side."""


async def _touched(status: IncidentStatus, world: World, reads: Reads) -> dict[str, Any]:
    """What open writes and open obligations speak of. Pods of a node are in the world already."""
    items = list(_open(status))
    wanted = {key for item in items for key in _places(item)}
    kinds = {key: custom(item.object, item.resource) for item in items if item.resource for key in _places(item)}
    known = {place("Pod", p["metadata"]["namespace"], p["metadata"]["name"]): p for p in world.pods}
    known |= _shown(world)
    rest = sorted(key for key in wanted if key[0] != "Pod" and place(*key) not in known)
    found = await asyncio.gather(*(reads.one(kinds.get(key) or WRITABLE[key[0]], *key[1:]) for key in rest))
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


def _open(status: IncidentStatus) -> Iterable[Write | Obligation]:
    yield from status.open_obligations()
    step = status.open_step()
    yield from step.writes if step is not None else ()


def _places(item: Write | Obligation) -> Iterable[tuple[str, str, str, str]]:
    ref = item.object
    if isinstance(item, Write) and item.verb == "Create":
        yield "Job", ref.namespace, named(item), ""
        return
    yield ref.kind, ref.namespace, ref.name, ""
    if item.subresource:
        yield ref.kind, ref.namespace, ref.name, item.subresource


def to_plan(pinned: PolicySpec, status: IncidentStatus) -> bool:
    """Whether anything may be written next: not while a step that was carried out is watched, nor after the end."""
    step = status.open_step()
    watched = step is not None and step.phase == "Acted"
    return status.rung < len(pinned.ladder) and status.phase not in ENDED and not watched


def _next(pinned: PolicySpec, status: IncidentStatus) -> Rung | None:
    """The rung that may be planned next."""
    return pinned.ladder[status.rung] if to_plan(pinned, status) else None


def _looked_at(rung: Rung | None, status: IncidentStatus) -> frozenset[Part]:
    """What the action looks at that may be planned next, and what the one watches that was carried out."""
    parts: frozenset[Part] = frozenset()
    if rung is not None and (planned := ACTIONS.get(rung.action)):
        parts |= planned.looks_at
        if rung.scale is not None and not rung.scale.lowers:  # it takes no pods away
            parts -= {"disruption_budgets"}
    step = status.open_step()
    if step is not None and (watched := ACTIONS.get(step.action)):
        parts |= watched.watches
    if any(o.kind in ("ConfigBack", "ResourcesBack") for o in status.open_obligations()):  # paid by a rolling restart
        parts |= {"disruption_budgets"}
    if "revisions" in parts or _judged_by_revisions(rung):
        parts |= frozenset[Part]({"revisions"}) | _correlating(status)
    return parts


def _held_otherwise(status: IncidentStatus) -> bool:
    """Whether all that it does is to wait for what is neither a budget of pods, nor a person's answer: who is asked has
    to be told in time that it cannot be done any more. When nothing else holds they are read by who decides to act."""
    if status.open_step() is not None or status.open_obligations() or not status.holds:
        return False
    return all(hold.guard not in ("headroom", "approval") for hold in status.holds)


def _correlating(status: IncidentStatus) -> frozenset[Part]:
    """What tells what changed before the alert, until that is known."""
    return frozenset({"revisions", "git"}) if status.changes is None and not status.steps else frozenset()


def _judged_by_revisions(rung: Rung | None) -> bool:
    """Whether former templates, or what changed, decide about the rung: then they must be known."""
    return rung is not None and (rung.rollback is not None or rung.skip_if_changed_within is not None)


def _picks_pods(rung: Rung | None, status: IncidentStatus, target: Json) -> bool:
    """Whether the action that may be planned next looks at the pods of this target, or some of them were to go."""
    step = status.open_step()
    if step is not None and any(write.verb == "Evict" for write in step.writes):
        return True
    planned = ACTIONS.get(rung.action) if rung is not None else None
    return rung is not None and planned is not None and planned.picks_pods(rung.parameters, target)
