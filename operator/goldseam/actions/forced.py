"""The pods that are left at the deadline of a drain, where its policy says `atDeadline: Force`: they are deleted.

A deletion asks no PodDisruptionBudget. It names the pod's uid, and leaves the pod the time to end that it asks for:
none is torn down, so that no two pods of a StatefulSet run under one name. What is terminating ends by itself.
"""

from __future__ import annotations

from goldseam.actions.nodes import node_ref, stays
from goldseam.actions.replies import GONE, bounded, nothing
from goldseam.actions.replies import pods as counted
from goldseam.api.incident import Step, Write
from goldseam.api.ladder import Drain
from goldseam.engine.objects import Json, metadata, reference, title
from goldseam.engine.proposal import Plan, Proposal, Right, World
from goldseam.engine.record import cut
from goldseam.engine.replicas import is_ours

DELETING = Right("delete", "", "pods", piece="forced-drain")
DELETION = "Pod deleted"
"""What it writes, as the drain declares it."""


def rights(told: Drain) -> tuple[Right, ...]:
    """The right that a drain needs beside, if it may come to that: known before it begins."""
    return (DELETING,) if told.at_deadline == "Force" else ()


def plan(told: Drain, world: World, step: Step) -> Plan:
    """One deletion for each pod that the step was to evict, by its uid, and that is on the node still."""
    if world.target is None:
        return GONE
    frozen = {write.object.uid for write in step.writes if write.verb in ("Evict", "Delete")}
    left = [pod for pod in world.pods if metadata(pod).get("uid") in frozen and _may_be_deleted(pod)]
    if not left or told.at_deadline != "Force":
        return nothing(f"there is no pod on {node_ref(world.target)} to delete")
    names = bounded(list(map(title, left)))
    summary = f"delete {counted(len(left))} left on {node_ref(world.target)} at the deadline of its drain: {names}"
    volumes = {write.object.uid: write.volumes for write in step.writes}
    doomed = [reference(pod, "v1", "Pod") for pod in left]
    writes = tuple(Write(verb="Delete", object=ref, volumes=volumes.get(ref.uid)) for ref in doomed)
    return Proposal(writes, cut(summary), (DELETING,))


def _may_be_deleted(pod: Json) -> bool:
    """Never one that a drain would not have evicted, nor Goldseam's own."""
    return not (stays(pod) or is_ours(pod))
