"""What comes after a drain's evictions: its workloads are ready again, and the node has let go of their volumes."""

from __future__ import annotations

from collections.abc import Iterable

from goldseam.actions.replies import listed
from goldseam.api.drained import Aftermath
from goldseam.api.incident import Step, Write
from goldseam.engine.detaching import still_attached
from goldseam.engine.objects import Json, Workload, reference
from goldseam.engine.proposal import Effect, World
from goldseam.engine.record import cut

UNSEEN = "whether volumes are detached is not known, for the operator has no right to list volumeattachments"


def awaited(writes: Iterable[Write], world: World) -> Aftermath | None:
    """What such a drain is to wait for; None where it takes no workload's pods, nor any volume from the node."""
    workloads = [reference(hit.workload) for hit in world.hit or ()]
    if not workloads and not any(write.volumes for write in writes):
        return None
    return Aftermath(workloads=workloads)


def course(step: Step, world: World, gone: str) -> Effect:
    """How far it is, now that the pods are gone, which `gone` says.

    What was seen at the same moment as that may be older: a workload's controller may not have seen it yet.
    """
    after = step.aftermath
    if after is None:
        return Effect(True, gone)
    if after.until is not None:
        return Effect(True, after.message)
    if world.recovering is None or after.since is None:
        return Effect(False, gone, waits_for="what follows from that to be seen")
    weak = [obj for obj in world.recovering if not _at_strength(obj)]
    attached = still_attached(step.writes, world)
    told = cut(", ".join([gone, *_well(step, world, weak, attached)]))
    names = [_named(obj) for obj in weak] + [f"PersistentVolume {name} to be detached" for name in attached]
    return Effect(not names, told, waits_for=cut(listed([cut(name, 120) for name in names])))


def _at_strength(obj: Json) -> bool:
    """Whether as many pods are available as are wanted, by what its controller says of its newest spec."""
    workload = Workload(obj)
    return workload.observed and workload.available >= workload.replicas


def _named(obj: Json) -> str:
    workload = Workload(obj)
    ready = "available" if workload.spec.get("minReadySeconds") else "ready"
    return f"{reference(obj)} ({workload.available} of {workload.replicas} pods {ready})"


def _well(step: Step, world: World, weak: list[Json], attached: list[str]) -> list[str]:
    """What is as it was again, and what nobody can see."""
    assert world.recovering is not None
    of, told = len(world.recovering), []
    if of:
        told.append(f"{of - len(weak)} of {of} workload{'s are' if of > 1 else ' is'} ready again")
    if any(write.volumes is not None for write in step.writes):
        detached = [] if attached else ["its volumes are detached"]
        told += [UNSEEN] if "attachments" in world.closed else detached
    return told
