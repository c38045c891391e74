"""What the actions on a workload's pods share: which pods are its own, and how evictions are put down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from goldseam.actions.replies import bounded, effect, listed
from goldseam.actions.rollout import course
from goldseam.api.incident import ObjectRef, Step, Write
from goldseam.engine.disruption import must_not_be_disturbed
from goldseam.engine.lineage import was_spared
from goldseam.engine.objects import (
    Json,
    Workload,
    controlled_by,
    controller,
    metadata,
    reference,
)
from goldseam.engine.proposal import Effect, Part, Refusal, Right, World
from goldseam.engine.record import cut

NONE: frozenset[str] = frozenset()
PODS: frozenset[Part] = frozenset({"pods"})
"""The part of the world that these actions look at."""
MOST_PODS = 256
"""Evictions of one step: an Incident holds 512 writes."""
EVICTING = Right("create", "", "pods", "eviction", piece="pods")
"""The right to evict pods."""


def evicting(ref: ObjectRef) -> Right:
    """The right to evict the pods of a workload."""
    return replace(EVICTING, namespace=ref.namespace)


def eviction(pod: Json) -> Write:
    """Evict this very pod."""
    return Write(verb="Evict", object=reference(pod, "v1", "Pod"))


def own_pods(world: World) -> Iterator[Json]:
    """The target's own pods that are not on their way out."""
    return (pod for pod in _owned(world) if not metadata(pod).get("deletionTimestamp"))


def _owned(world: World) -> Iterator[Json]:
    """The target's own pods. A selector may select those of others."""
    assert world.target is not None
    uid = metadata(world.target).get("uid")
    theirs = {metadata(one).get("uid") for one in world.replica_sets if controlled_by(one, uid)}
    owners = theirs | {uid}
    return (pod for pod in world.pods if (controller(pod) or {}).get("uid") in owners)


def running(world: World) -> list[Json]:
    """Its own pods, without those that have ended: a husk of an eviction counts as no pod, and nothing replaces it."""
    ended = ("Failed", "Succeeded")
    return [pod for pod in own_pods(world) if (pod.get("status") or {}).get("phase") not in ended]


def leaving(world: World) -> list[Json]:
    """Those of its own that are on their way out."""
    return [pod for pod in _owned(world) if metadata(pod).get("deletionTimestamp")]


def uids(pods: Iterable[Json]) -> frozenset[str]:
    """The uids of the pods."""
    return frozenset(str(metadata(pod)["uid"]) for pod in pods)


def names(pods: Iterable[Json]) -> str:
    """The first few of their names."""
    return bounded([str(metadata(pod).get("name")) for pod in pods])


def undisturbed(pods: Iterable[Json], now: datetime) -> list[Json]:
    """Those that another drainer's mark protects."""
    return [pod for pod in pods if must_not_be_disturbed(pod, now)]


def protected(pods: Iterable[Json], ref: ObjectRef) -> Refusal:
    """The refusal that names them."""
    marked = f"the annotation of pod {names(pods)} of {ref} says that it must not be evicted (do-not-disrupt)"
    return Refusal("DoNotDisrupt", cut(marked), evictable=NONE)


def gone(step: Step, world: World) -> Effect:
    """Whether what was evicted is gone, and the target has all its pods, ready."""
    assert world.target is not None
    here = uids(world.pods)
    left = [write.object.name for write in step.writes if write.object.uid in here and not was_spared(write)]
    if left:
        return effect(False, f"pod {listed(left)} of {reference(world.target)} is not gone yet")
    return course(Workload(world.target))
