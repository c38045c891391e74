"""A restart by evictions: one pod after the other, the next one when all are available again.

Narrower than a mark on the template (nothing of the workload is written), and invisible to whoever owns that. The price
is that no pod is started before one goes, as a rolling update may do.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from goldseam.actions import pods
from goldseam.actions.replies import pods as counted
from goldseam.actions.replies import refusal
from goldseam.engine.objects import Json, Workload, ends_at, is_ready, metadata, reference
from goldseam.engine.proposal import Plan, Proposal, Refusal, Turn, World
from goldseam.engine.record import cut
from goldseam.engine.strategy import on_delete

HANGS = timedelta(minutes=5)
"""How long after its grace period a pod that is on its way out is still waited for."""


def one_by_one(workload: Workload, world: World) -> Plan:
    """One eviction for each pod, frozen by uid."""
    ref = reference(workload.obj)
    own = sorted(pods.running(world), key=_order)
    if refused := _refused(workload, own, world.now):
        return refused
    turn = _turn(workload, own, pods.leaving(world), world.now)
    return Proposal(
        writes=tuple(map(pods.eviction, own)),
        summary=cut(f"restart {ref} by evicting its pods one by one ({counted(len(own))})"),
        rights=(pods.evicting(ref),),
        takes_ready=int(turn.unready is None),
        by_eviction=True,
        evictable=pods.uids(own),
        evicts_at_most=pods.MOST_PODS,
        turn=turn,
    )


def _turn(workload: Workload, own: list[Json], leaving: list[Json], now: datetime) -> Turn:
    """None while one is missing. Those that are not ready may go at once, for that costs nothing; of the others one at
    a time, while all are available.

    A DaemonSet makes no new pod beside one that is terminating, and its status does not count those that run where none
    is wanted. One that hangs is on a dead node, and says nothing of the others.
    """
    daemons = workload.kind == "DaemonSet"
    hanging = [pod for pod in leaving if daemons and _hangs(pod, now)]
    leaving = [pod for pod in leaving if pod not in hanging]
    missing = max(workload.replicas + workload.misscheduled - len(own) - len(hanging), 0)
    if missing or (daemons and leaving):
        going = f" (on its way out: {pods.names(leaving)})" if leaving else ""
        return Turn(unready=pods.NONE, waits_for=f"{counted(missing or len(leaving))} that must be there{going}")
    if unready := [pod for pod in own if not is_ready(pod)]:
        return Turn(unready=pods.uids(unready), waits_for=f"pod {pods.names(unready)} to be ready")
    if workload.available < workload.replicas - len(hanging):
        available = f"all pods to be available ({workload.available} of {workload.replicas} are)"
        return Turn(unready=pods.NONE, waits_for=available)
    return Turn(at_once=1)


def _hangs(pod: Json, now: datetime) -> bool:
    """Whether it should have been gone for some minutes."""
    until = ends_at(pod)
    return until is not None and until + HANGS < now


def _refused(workload: Workload, own: list[Json], now: datetime) -> Refusal | None:
    ref = reference(workload.obj)
    if on_delete(workload) and workload.outdated(own):
        return refusal(
            "PendingTemplate",
            f"a new pod of {ref} would be of a template that was not rolled out yet (updateStrategy OnDelete):"
            " roll it out by hand first",
        )
    if marked := pods.undisturbed(own, now):
        return pods.protected(marked, ref)
    if len(own) > pods.MOST_PODS:
        return refusal("TooManyPods", f"{len(own)} pods would have to go, and one step evicts at most {pods.MOST_PODS}")
    return None


def _order(pod: Json) -> tuple[bool, int, str]:
    """Unready pods first. Of a StatefulSet the highest ordinal first, as its own rolling update does."""
    name = str(metadata(pod).get("name"))
    ordinal = re.search(r"-([0-9]{1,9})$", name)
    return is_ready(pod), -int(ordinal[1]) if ordinal else 0, name
