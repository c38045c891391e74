"""Workloads whose every ready pod is on the node: a drain must not leave them without one.

An eviction ends a pod first and lets it be replaced afterwards; a rolling restart of a Deployment with a surge does it
the other way round. So once the node is cordoned such a Deployment is restarted, its pods come up elsewhere, and its
own controller ends the old ones: none of them is evicted. How long that may take, the Deployment says itself
(`progressDeadlineSeconds`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from goldseam.actions.ownership import by_controller
from goldseam.actions.preflight import claims
from goldseam.actions.replies import bounded, pods, refusal
from goldseam.actions.restart import MARKING, mark, right, settled
from goldseam.actions.writes import unnumbered
from goldseam.api.incident import Write
from goldseam.engine.disruption import DisruptionBudget
from goldseam.engine.matching import protected
from goldseam.engine.objects import RESTART, Json, Workload, cordoned, is_ready, metadata, reference, value_at
from goldseam.engine.owners import controller_owner
from goldseam.engine.placement import one_node_only
from goldseam.engine.proposal import Hit, Refusal, Right, Turn, World
from goldseam.engine.strategy import strategy, taken_at_once

RESTARTING = MARKING["Deployment"]
MARKED = f"Deployment {RESTART}"
"""What such a restart writes, as an action declares it."""
INSTEAD = "run a second replica on another node, or write singleReplicas: Evict"


@dataclass(frozen=True)
class Singles:
    """The workloads that would be without a ready pod, and what is done about them."""

    restarted: tuple[Hit, ...] = ()
    """Those that are restarted first."""
    down: tuple[Hit, ...] = ()
    """Those that are evicted all the same: the policy says so."""
    moving: tuple[Hit, ...] = ()
    """Those that this step has restarted, and that have pods on the node still."""
    refusal: Refusal | None = None
    """Why one of the others cannot be kept up."""

    @property
    def kept(self) -> frozenset[str]:
        """The uids of the pods that are not evicted: their workload ends them."""
        return frozenset(uid for hit in (*self.restarted, *self.moving) for uid in hit.pods)

    def writes(self, token: str) -> tuple[Write, ...]:
        """The restarts. An HPA may write the Deployment in between: our token tells of this write."""
        return tuple(unnumbered(mark(hit.workload, token)) for hit in self.restarted)

    @property
    def rights(self) -> tuple[Right, ...]:
        """What the restarts need."""
        return tuple(right(reference(hit.workload)) for hit in self.restarted)

    def lines(self) -> Iterator[str]:
        """What becomes of them, for people."""
        if self.restarted:
            yield f"restarted first, so that they are never without a ready pod: {_names(self.restarted)}"
        if self.down:
            yield f"without a ready pod until one is ready elsewhere (singleReplicas: Evict): {_names(self.down)}"


def found(world: World, token: str, *, evict: bool) -> Singles:
    """What is done about each. `evict`: the policy does not ask for them to be kept up."""
    begun = _begun(world)
    moving = tuple(hit for hit in world.hit or () if _carries(hit.workload, token))
    others = [hit for hit in world.hit or () if hit not in moving]
    planned = [hit for hit in others if metadata(hit.workload).get("uid") in begun]
    bare = [hit for hit in others if hit not in planned and _would_be_bare(hit, world)]
    if evict:
        return Singles(tuple(planned), tuple(bare), moving)
    refused = next((no for hit in bare if (no := _refused(hit, world))), None)
    return Singles((*planned, *(() if refused else bare)), (), moving, refused)


def turn(singles: Singles, world: World, token: str) -> Turn:
    """No restart before the node is seen to be cordoned, for the new pod would come up on it; and no eviction before
    that. None of their own pods is evicted. What was restarted, and how that went, the Deployment tells."""
    assert world.target is not None
    held = set(singles.kept)
    if singles.restarted and not cordoned(world.target):
        held |= {str(metadata(one)["uid"]) for one in (*world.pods, *(hit.workload for hit in singles.restarted))}
    courses = {str(metadata(one)["uid"]): said for one in _restarted(world, token) if (said := _course(one))}
    late = [one for one in _restarted(world, token) if _is_late(Workload(one))]
    hopeless = _course(late[0]) if late else ""
    waits = [f"{reference(hit.workload)} to have its pods elsewhere" for hit in (*singles.restarted, *singles.moving)]
    return Turn(held=frozenset(held), waits_for=", ".join(waits[:3]), hopeless=hopeless, courses=courses)


def _begun(world: World) -> set[object]:
    """The uids of the Deployments that the open step restarts, or has restarted."""
    return {metadata(obj).get("uid") for obj in _touched(world)}


def _touched(world: World) -> Iterator[Json]:
    return (obj for key, obj in world.touched.items() if obj is not None and key.startswith("Deployment/"))


def _restarted(world: World, token: str) -> Iterator[Json]:
    return (obj for obj in _touched(world) if _carries(obj, token))


def _carries(workload: Json, token: str) -> bool:
    return value_at(workload, RESTART) == json.dumps(token)


def _course(obj: Json) -> str:
    """How the restart went; empty while it goes on."""
    workload = Workload(obj)
    if workload.rolled_out:
        return f"{reference(obj)} was restarted, and is ready elsewhere"
    if _is_late(workload):
        return (
            f"{reference(obj)} was restarted, and did not come up elsewhere within its progressDeadlineSeconds:"
            f" {workload.progress}"
        )
    return ""


def _is_late(workload: Workload) -> bool:
    return workload.observed and workload.stuck and not workload.rolled_out


def _would_be_bare(hit: Hit, world: World) -> bool:
    """Whether all of its ready pods are on the node, and no budget keeps one of them until another one is ready.

    Of a budget that lets fewer of its pods be away at once than these are, one of these stays; of one that is about
    this workload only, and wants a ready pod, one stays also while others of its are away already.
    """
    ready = [pod for pod in world.pods if metadata(pod).get("uid") in hit.pods and is_ready(pod)]
    if not 0 < Workload(hit.workload).ready <= len(ready):
        return False
    replicas = Workload(hit.workload).replicas
    return not any(
        budget.counted and budget.most > 0 and (budget.most < len(ready) or budget.keeps_one_of(replicas))
        for budget in _covering(ready, world)
    )


def _covering(ready: list[Json], world: World) -> list[DisruptionBudget]:
    """The budgets that cover all of these pods of one workload."""
    labels, namespace = [metadata(pod).get("labels") or {} for pod in ready], metadata(ready[0]).get("namespace")
    budgets = [one for one in map(DisruptionBudget, world.pdbs) if one.namespace == namespace]
    return [one for one in budgets if all(map(one.covers, labels))]


def _refused(hit: Hit, world: World) -> Refusal | None:
    """Why it cannot be restarted so that a ready pod is there at any time."""
    ref = reference(hit.workload)
    if ref.kind == "Deployment" and not protected(ref.namespace, world.protected):
        if owner := controller_owner(hit.workload):
            return by_controller(owner, ref, "the restart by which it would stay up", INSTEAD)
        if no := settled(hit.workload):
            return refusal(no.reason, f"{ref} has no ready pod but on the node, and must be restarted: {no.message}")
    why = _unfit(hit, world)
    if not why:
        return None
    return refusal("SingleReplica", f"{ref} has no ready pod but on the node, and would be down: {why}; {INSTEAD}")


def _unfit(hit: Hit, world: World) -> str:
    ref, workload = reference(hit.workload), Workload(hit.workload)
    if ref.kind != "Deployment":
        return f"a {ref.kind} cannot be restarted with the new pod first"
    if protected(ref.namespace, world.protected):
        return f"namespace {ref.namespace} is protected, and nothing of it is restarted"
    takes = taken_at_once(workload)
    if takes >= workload.ready:
        kind = strategy(workload).get("type") or "RollingUpdate"
        return f"its rollout takes its last ready pod, too (strategy {kind}, maxUnavailable)"
    ready = [pod for pod in world.pods if metadata(pod).get("uid") in hit.pods and is_ready(pod)]
    if volume := next((name for pod in ready if (name := _exclusive(pod, world))), ""):
        return f"PersistentVolume {volume} can be used on one node at a time, so that a new pod waits for the old one"
    if strict := next((budget for budget in _covering(ready, world) if budget.allowed < takes), None):
        return f"its rollout would take {pods(takes)} at once, and {strict} lets {strict.allowed} go"
    return ""


def _exclusive(pod: Json, world: World) -> str:
    """The volume of the pod that no pod on another node can use beside it; ReadWriteOnce is by node, not by pod."""
    for claim in claims(pod):
        volume = world.volumes.get(claim) or {}
        if one_node_only(volume):
            return str(metadata(volume).get("name"))
    return ""


def _names(hits: tuple[Hit, ...]) -> str:
    return bounded([f"{reference(hit.workload)} ({pods(len(hit.pods))})" for hit in hits])
