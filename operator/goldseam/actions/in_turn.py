"""Pods with volumes that one node can use at a time: of each workload one after the other.

The next one goes when the one before is gone and the node has let go of its volumes: many disks that are detached and
attached at once make clouds slow down everybody's, and a StatefulSet brings its pods back one by one anyway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from goldseam.actions.aftermath import UNSEEN
from goldseam.actions.nodes import stays
from goldseam.actions.preflight import claims
from goldseam.actions.replies import bounded, listed, pods
from goldseam.api.drained import PodVolumes
from goldseam.api.incident import Write
from goldseam.engine.detaching import PATIENCE, on_node, still_attached, waited_for
from goldseam.engine.objects import Json, controller, ends_at, metadata, title
from goldseam.engine.placement import one_node_only
from goldseam.engine.proposal import Turn, World

MOST_VOLUMES = 64
"""More disks are attached to hardly any node."""


def with_volumes(writes: Iterable[Write], leaving: Iterable[Json], world: World) -> tuple[Write, ...]:
    """The writes of a drain, those that end a pod with the volumes of the pod that are attached to the node. What a pod
    that stays uses, too, is not let go.
    """
    kept = (pod for pod in world.pods if stays(pod) and not metadata(pod).get("deletionTimestamp"))
    staying = frozenset(claim for pod in kept for claim in claims(pod))
    found = {str(metadata(pod).get("uid")): _volumes(pod, world, staying) for pod in leaving if claims(pod)}
    return tuple(
        write.model_copy(update={"volumes": found.get(write.object.uid)}) if write.verb == "Evict" else write
        for write in writes
    )


def _volumes(pod: Json, world: World, staying: frozenset[str]) -> PodVolumes | None:
    """Where it is not known which ones are attached, all count that one node can use at a time."""
    found = [world.volumes[claim] for claim in claims(pod) if claim in world.volumes and claim not in staying]
    if world.attached is None:
        attached = [volume for volume in found if one_node_only(volume)]
    else:
        attached = [volume for volume in found if metadata(volume).get("name") in world.attached]
    names = sorted({str(metadata(volume).get("name")) for volume in attached})[:MOST_VOLUMES]
    if not names:
        return None
    alone = any(map(one_node_only, attached))
    return PodVolumes(names=names, workload=str((controller(pod) or {}).get("uid") or "") if alone else "")


def one_at_a_time(turn: Turn, leaving: Iterable[Json], writes: Sequence[Write], world: World) -> Turn:
    """The turn in which of each workload with such volumes one pod goes, and none while one is on its way. `leaving`:
    the pods that go, in their order; `writes`: what is written to pods, or would be."""
    place = {str(metadata(pod).get("uid")): number for number, pod in enumerate(leaving)}
    held, waits = set(turn.held), [turn.waits_for] if turn.waits_for else []
    for workload, own in _by_workload(writes).items():
        left = sorted((w.object.uid for w in own if w.object.uid in place), key=lambda uid: place[uid])
        if not left:
            continue
        going = _on_their_way(workload, own, writes, world)
        held |= set(left if going else left[1:])
        waits += going
    return replace(turn, held=frozenset(held), waits_for=listed(waits))


def _by_workload(writes: Iterable[Write]) -> Mapping[str, list[Write]]:
    found: dict[str, list[Write]] = defaultdict(list)
    for write in writes:
        if write.volumes is not None and write.volumes.workload:
            found[write.volumes.workload].append(write)
    return found


def _on_their_way(workload: str, own: Iterable[Write], writes: Iterable[Write], world: World) -> list[str]:
    """Whom the next one waits for. A pod that should have been gone for some minutes is on a dead node, and is waited
    for no longer; nor is a volume."""
    ending = [
        f"pod {title(pod)} to be gone"
        for pod in world.pods
        if (controller(pod) or {}).get("uid") == workload and _ends(pod, world.now)
    ]
    gone, here = [write for write in own if waited_for(write, world)], on_node(world)
    attached = still_attached([*gone, *(write for write in writes if write.object.uid in here)], world)
    return ending + [f"PersistentVolume {name} to be detached" for name in attached]


def _ends(pod: Json, now: datetime) -> bool:
    """Whether it is on its way out."""
    until = ends_at(pod)
    return until is not None and now < until + PATIENCE


def lines(leaving: Iterable[Json], writes: Iterable[Write], world: World) -> list[str]:
    """What is said of it before anything is done."""
    names = {str((controller(pod) or {}).get("uid")): _workload(pod) for pod in leaving}
    several = {uid: own for uid, own in _by_workload(writes).items() if len(own) > 1}
    told = [f"{names[uid]} ({pods(len(own))})" for uid, own in several.items()]
    found = ["one after the other, each when the volumes of the one before are detached: " + bounded(told)]
    asked = any(write.volumes is not None for write in writes)
    return (found if told else []) + ([UNSEEN] if asked and "attachments" in world.closed else [])


def _workload(pod: Json) -> str:
    owner = controller(pod) or {}
    return f"{owner.get('kind')} {metadata(pod).get('namespace')}/{owner.get('name')}"
