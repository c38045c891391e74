"""deletePods: evict the target's pods that are in trouble, so that its controller makes new ones.

By the Eviction API always, so that PodDisruptionBudgets hold; of one that never allows it, the rung says so and has an
end. What counts as looping follows the kubelet, which starts its back-off anew for a container that has run for ten
minutes (Kubernetes documentation, `pod-lifecycle`, "container restart policy").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from goldseam.actions import pods
from goldseam.actions.replies import GONE, effect
from goldseam.actions.replies import pods as counted
from goldseam.actions.writes import EVICTION
from goldseam.api.base import Model, format_duration
from goldseam.api.incident import ObjectRef, Step
from goldseam.api.ladder import DeletePods
from goldseam.engine.disruption import must_not_be_disturbed
from goldseam.engine.objects import (
    Json,
    Workload,
    condition_of,
    is_ready,
    metadata,
    reference,
    share,
)
from goldseam.engine.proposal import Action, Effect, NothingToDo, Plan, Proposal, World, always
from goldseam.engine.record import cut

KINDS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
OFTEN = 3
"""Restarts of a container that are no accident any more."""
FORGIVEN = timedelta(minutes=10)
"""A container that has run for so long is not looping; the kubelet says so, too."""
AT_LEAST = timedelta(minutes=1)
"""The same for one whose pod is ready."""

InState = Callable[[Json, datetime, timedelta], bool]
"""Whether a pod is in a state now, and where that is asked for, for so long."""


def plan(parameters: Model, world: World, token: str) -> Plan:
    """One eviction for each pod in trouble, frozen by uid, the worst first, and not more than are allowed at once."""
    assert isinstance(parameters, DeletePods)
    if world.target is None:
        return GONE
    ref, workload = reference(world.target), Workload(world.target)
    wanted = [_STATES[state] for state in parameters.states]
    troubled = [
        pod for pod in pods.own_pods(world) if any(found(pod, world.now, parameters.lasting) for found in wanted)
    ]
    if not troubled:
        return NothingToDo(cut(f"no pod of {ref} is {_words(parameters)}"), pods.NONE)
    leaving = [pod for pod in troubled if not must_not_be_disturbed(pod, world.now)]
    if not leaving:
        return pods.protected(troubled, ref)
    return _proposed(ref, workload, leaving, parameters)


def _proposed(ref: ObjectRef, workload: Workload, leaving: list[Json], parameters: DeletePods) -> Proposal:
    most = min(max(share(parameters.at_most, workload.replicas, up=False), 1), pods.MOST_PODS)
    chosen = sorted(leaving, key=_order)[:most]
    of = f"{len(chosen)} of {len(leaving)} pods" if len(chosen) < len(leaving) else counted(len(chosen))
    are = "is" if len(leaving) == 1 else "are"
    return Proposal(
        writes=tuple(map(pods.eviction, chosen)),
        summary=cut(f"evict {of} of {ref} that {are} {_words(parameters)}: {pods.names(chosen)}"),
        rights=(pods.evicting(ref),),
        takes_ready=sum(is_ready(pod) for pod in chosen),
        evicts_at_most=most,
        evictable=pods.uids(leaving),
        asks_about=tuple(write.object.uid for write in map(pods.eviction, chosen)),
    )


def _order(pod: Json) -> tuple[bool, bool, str]:
    """Unready pods first: that costs nothing. Those that have ended last: they were replaced already."""
    return _phase(pod) == "Failed", is_ready(pod), str(metadata(pod).get("name"))


def _phase(pod: Json) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def _containers(pod: Json, *kinds: str) -> list[Json]:
    """What the kubelet says of the pod's containers; of the init containers first."""
    status = pod.get("status") or {}
    return [one for kind in kinds or ("initContainerStatuses", "containerStatuses") for one in status.get(kind) or ()]


def _state(container: Json, name: str) -> Json:
    found: Json = (container.get("state") or {}).get(name) or {}
    return found


def _waits_for(pod: Json) -> set[str]:
    """Why containers of the pod wait."""
    return {str(_state(one, "waiting").get("reason") or "") for one in _containers(pod)}


def _crash_looping(pod: Json, now: datetime, lasting: timedelta) -> bool:
    """Whether a container waits to be started again, or is in the short run between two such times."""
    if "CrashLoopBackOff" in _waits_for(pod):
        return True
    grace = AT_LEAST if is_ready(pod) else FORGIVEN
    return any(_died_often(one) and _short(one, now, grace) for one in _containers(pod))


def _died_often(container: Json) -> bool:
    """Whether it was started again and again, and its last run was a short one."""
    last: Json = (container.get("lastState") or {}).get("terminated") or {}
    begun, ended = _time(last.get("startedAt")), _time(last.get("finishedAt"))
    often = int(container.get("restartCount") or 0) >= OFTEN
    return often and begun is not None and ended is not None and ended - begun < FORGIVEN


def _short(container: Json, now: datetime, grace: timedelta) -> bool:
    begun = _time(_state(container, "running").get("startedAt"))
    return bool(_state(container, "terminated")) or (begun is not None and now - begun < grace)


def _not_ready(pod: Json, now: datetime, lasting: timedelta) -> bool:
    starting = any(
        one.get("started") is False and _state(one, "running") for one in _containers(pod, "containerStatuses")
    )
    return _phase(pod) == "Running" and not starting and _unready_since(pod, now - lasting)


def _creating(pod: Json, now: datetime, lasting: timedelta) -> bool:
    coming = {"ContainerCreating", "PodInitializing"} & _waits_for(pod)
    return bool(coming) and _phase(pod) == "Pending" and not _initializing(pod) and _unready_since(pod, now - lasting)


def _initializing(pod: Json) -> bool:
    """Whether an init container is at work, which may take as long as it takes; a sidecar runs for ever."""
    inits = (pod.get("spec") or {}).get("initContainers") or ()
    sidecars = {one.get("name") for one in inits if one.get("restartPolicy") == "Always"}
    running = [one for one in _containers(pod, "initContainerStatuses") if _state(one, "running")]
    return any(one.get("name") not in sidecars for one in running)


def _failed(pod: Json, now: datetime, lasting: timedelta) -> bool:
    return _phase(pod) == "Failed"


def _unready_since(pod: Json, since: datetime) -> bool:
    """Whether its condition Ready is False at least since then; what says nothing of a time is not believed."""
    ready = condition_of(pod, "Ready")
    at = _time(ready.get("lastTransitionTime"))
    return ready.get("status") == "False" and at is not None and at <= since


def _time(text: object) -> datetime | None:
    return None if text is None else datetime.fromisoformat(str(text))


_STATES: Mapping[str, InState] = {
    "CrashLoopBackOff": _crash_looping,
    "NotReady": _not_ready,
    "ContainerCreating": _creating,
    "Failed": _failed,
}


def _words(parameters: DeletePods) -> str:
    """The states, for people: `CrashLoopBackOff or NotReady for 5m`."""
    lasting = f" for {format_duration(parameters.lasting)}"
    timed = ("NotReady", "ContainerCreating")
    return " or ".join(f"{state}{lasting if state in timed else ''}" for state in parameters.states)


def observe(step: Step, world: World) -> Effect:
    """Done when what was evicted is gone, and the target has all its pods, ready."""
    if world.target is None:
        return effect(False, GONE.message)
    return pods.gone(step, world)


ACTION = Action(
    "deletePods",
    KINDS,
    plan,
    observe,
    always(pods.EVICTING),
    looks_at=pods.PODS,
    watches=pods.PODS,
    fields=frozenset({EVICTION}),
)
