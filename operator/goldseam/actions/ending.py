"""Pods that are ending already when a drain is planned: none is evicted again, and all are waited for, as long as they
have time to end. One that should be gone is stuck: to wait for it helps nobody, and a reboot may be what it takes.

`kubectl drain` waits for them, too (kubectl `pkg/drain/filters.go`, skipDeletedFilter). Which ones these are is written
down by uid: what comes to the node later, and ends there, is not waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from goldseam.actions.nodes import belongs, node_ref
from goldseam.actions.pods import MOST_PODS
from goldseam.actions.replies import bounded, pods, refusal
from goldseam.api.incident import ObjectRef, Step
from goldseam.engine.objects import Json, ends_at, is_over, metadata, title
from goldseam.engine.proposal import Refusal, World
from goldseam.engine.reboots import is_silent

SILENT = "its kubelet reports nothing, so pods that {} evicted do not end there (see action outOfService)"


LATE = timedelta(seconds=30)
"""How long after its time a pod is taken to be ending still: the kubelet reports its end a while after it."""


def ending(world: World) -> list[Json]:
    """The pods on the node that are on their way out, but for its own, and for those whose containers have ended."""
    return [pod for pod in _terminating(world) if _has_time(pod, world.now)]


def stuck(world: World) -> str:
    """Those that should be gone, for people; empty where there are none."""
    found = [pod for pod in _terminating(world) if not _has_time(pod, world.now)]
    if not found:
        return ""
    are = "is stuck there and should be" if len(found) == 1 else "are stuck there and should be"
    return f"{pods(len(found))} {are} gone since {_at(_last(found), world.now)}: {bounded(list(map(title, found)))}"


def _terminating(world: World) -> list[Json]:
    return [pod for pod in world.pods if ends_at(pod) is not None and not (belongs(pod) or is_over(pod))]


def _has_time(pod: Json, now: datetime) -> bool:
    until = ends_at(pod)
    return until is not None and until + LATE > now


def uids(found: list[Json]) -> tuple[str, ...]:
    """What is written down of them."""
    return tuple(str(metadata(pod).get("uid")) for pod in found)


def too_many(found: list[Json], leaving: list[Json]) -> Refusal | None:
    """More than that do not fit an Incident, beside those that are evicted: of some it would not be known when they are
    gone."""
    both = len(found) + len(leaving)
    if both <= MOST_PODS:
        return None
    many = f"{len(found)} of {both} pods are ending already"
    return refusal("TooManyPods", f"{many}, and one drain evicts, or waits for, at most {MOST_PODS}")


def left(step: Step, world: World) -> list[Json]:
    """Those for which the drain waits still. An older release has written down none."""
    awaited = frozenset(step.ending or ())
    return [pod for pod in ending(world) if metadata(pod).get("uid") in awaited]


def lines(leaving: list[Json], found: list[Json], world: World) -> Iterator[str]:
    """What is said before anything is done: of them, and of a node on which no pod would end."""
    assert world.target is not None
    if found:
        yield f"{_are(len(found))} ending already, {_until(found, world.now)}: {bounded(list(map(title, found)))}"
    if said := stuck(world):
        yield f"{said}; not waited for"
    if (leaving or found) and is_silent(world.target):
        yield f"{node_ref(world.target)}: {SILENT.format('are')}"


def _are(count: int) -> str:
    return f"{pods(count)} {'is' if count == 1 else 'are'}"


def _until(found: list[Json], now: datetime) -> str:
    """By when the last one should be gone."""
    at = _at(_last(found), now)
    return f"until {at}" if len(found) == 1 else f"the last one until {at}"


def _last(found: list[Json]) -> datetime:
    return max(until for pod in found if (until := ends_at(pod)) is not None)


def _at(moment: datetime, now: datetime) -> str:
    day = "" if moment.date() == now.date() else f"{moment:%Y-%m-%d} "
    return f"{day}{moment:%H:%M:%S} UTC"


def waited_for(found: list[Json], *, alone: bool) -> str:
    """That the drain waits for them, for its summary; empty where there are none."""
    many = pods(len(found)) if alone else str(len(found))
    return f"wait for {many} that {'is' if len(found) == 1 else 'are'} ending already" if found else ""


def still_there(found: list[Json], where: ObjectRef) -> str:
    """Those that are left, for people; empty where none is."""
    if not found:
        return ""
    were, are = ("was", "is") if len(found) == 1 else ("were", "are")
    names = bounded(list(map(title, found)))
    return f"{pods(len(found))} that {were} ending already {are} still on {where}: {names}"


def gone(step: Step, world: World, evicted: int) -> str:
    """That they are gone, and what was evicted; and which ones are stuck there."""
    assert world.target is not None
    awaited, here = frozenset(step.ending or ()), {metadata(pod).get("uid") for pod in world.pods}
    count = len(awaited - here)
    ended = f"{pods(count)} that {'was' if count == 1 else 'were'} ending already" if count else ""
    words = f"what was evicted is gone from {node_ref(world.target)} ({pods(evicted)})"
    if not evicted and ended:
        words = f"gone from {node_ref(world.target)}: {ended}"
    elif ended:
        words += f", and {ended}"
    return "; ".join(filter(None, (words, stuck(world))))
