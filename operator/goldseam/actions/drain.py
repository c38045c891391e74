"""drain: cordon the node, then evict its pods through the Eviction API, which keeps to PodDisruptionBudgets.

What stays is what `kubectl drain` leaves (kubectl `pkg/drain/filters.go`): static pods and those of DaemonSets; and
what is finished. What is terminating already is waited for (`ending`). Pods with `emptyDir` volumes go, whatever the
medium: every rollout of their owner loses them just as well, and most pods with a sidecar have one; the summary counts
them. To keep such a pod, mark it `cluster-autoscaler.kubernetes.io/safe-to-evict: "false"`.

A budget that lets nothing go for now is waited for; one that never will, or a second one on the same pod, refuses the
drain before anything is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from goldseam.actions import ending, forced, in_turn, single
from goldseam.actions.aftermath import awaited, course
from goldseam.actions.nodes import (
    CORDONING,
    MARKING,
    TELLING,
    cordoning,
    endangered,
    marking,
    node_ref,
    patching,
    refuge,
    shared,
    stays,
    theirs,
)
from goldseam.actions.pods import MOST_PODS, eviction
from goldseam.actions.preflight import has_volume, lines, stranded
from goldseam.actions.replies import GONE, bounded, effect, listed, nothing, pods, refusal
from goldseam.actions.single import MARKED, RESTARTING, Singles
from goldseam.actions.writes import EVICTION
from goldseam.api.base import Model
from goldseam.api.incident import Step, Write
from goldseam.api.ladder import Drain
from goldseam.engine.disruption import DisruptionBudget, must_not_be_disturbed, of_pod
from goldseam.engine.objects import (
    Json,
    controller,
    cordoned,
    cordoned_by_us,
    is_over,
    is_ready,
    metadata,
    title,
)
from goldseam.engine.proposal import Action, Effect, Plan, Proposal, Refusal, Right, World
from goldseam.engine.reboots import is_silent
from goldseam.engine.record import cut
from goldseam.engine.replicas import is_ours, stand_ins

EVICTING = Right("create", "", "pods", "eviction", piece="nodes")


def plan(parameters: Model, world: World, token: str) -> Plan:
    """Cordon where needed, restart what would be without a ready pod, and one eviction for each pod that must go,
    frozen by uid."""
    assert isinstance(parameters, Drain)
    if world.target is None:
        return GONE
    singles = single.found(world, token, evict=parameters.single_replicas == "Evict")
    planned = _planned(world.target, world, singles, token, parameters)
    writes = world.evictions or (planned.writes if isinstance(planned, Proposal) else ())
    turn = single.turn(singles, world, token)
    return replace(planned, turn=in_turn.one_at_a_time(turn, going(world), writes, world))


def _planned(node: Json, world: World, singles: Singles, token: str, told: Drain) -> Plan:
    leaving, ends = going(world), ending.ending(world)
    if cordoned(node) and not leaving and not ends:
        said = f"{node_ref(node)} is cordoned, and there is no pod on it to evict"
        return nothing("; ".join(filter(None, (said, ending.stuck(world)))), shared(node, world))
    refused = endangered(world, opted_in=told.control_plane) or _our_last(world, leaving)
    if refused := refused or _blocked(node, leaving, world.now) or ending.too_many(ends, leaving) or singles.refusal:
        return refused
    evicted = [pod for pod in leaving if metadata(pod).get("uid") not in singles.kept]
    if refused := _held(world, evicted) or (_nowhere(world) if leaving else None) or stranded(leaving, world):
        return refused
    found = _proposed(world, leaving, ends, singles, token, told)
    writes = in_turn.with_volumes(found.writes, leaving, world)
    beside = (*ending.lines(leaving, ends, world), *in_turn.lines(leaving, writes, world), *singles.lines())
    preflight = (*lines(leaving, evicted, world), *map(cut, beside))
    after = awaited(writes, world)
    return replace(found, writes=writes, preflight=preflight, aftermath=after, ending=ending.uids(ends))


def going(world: World) -> list[Json]:
    """The pods that a drain evicts, in their order: our own last."""
    return sorted((pod for pod in world.pods if _leaves(pod)), key=lambda pod: (is_ours(pod), _order(pod)))


def _proposed(
    world: World, leaving: list[Json], ends: list[Json], singles: Singles, token: str, told: Drain
) -> Proposal:
    assert world.target is not None
    node = world.target
    told_there = marking(node, told.at_deadline, world)
    evictions = tuple(map(eviction, leaving))
    writes = (*told_there, *singles.writes(token), *evictions)
    rights = (*singles.rights, *((EVICTING,) if evictions else ()), *forced.rights(told))
    summary = cut(
        f"{'' if cordoned(node) else 'cordon and '}drain {node_ref(node)}: {_what(node, leaving, ends, singles)}"
    )
    summary = cut(summary + (FORCES if told.at_deadline == "Force" else ""))
    takes = 0 if cordoned_by_us(node) else 1
    asks = ("Force",) if told.at_deadline == "Force" else ()
    if cordoned(node):
        rights = (patching(node), *rights) if told_there else rights
        return Proposal(writes, summary, rights, shared(node, world), takes_nodes=takes, asks_about=asks)
    write, obligation = cordoning(node)
    rights, writes = (patching(node), *rights), (write, *writes)
    return Proposal(writes, summary, rights, (obligation,), takes_nodes=takes, asks_about=asks)


FORCES = "; pods that are left at its deadline are deleted"


def _what(node: Json, leaving: list[Json], ends: list[Json], singles: Singles) -> str:
    """What the drain does, in numbers, and what it costs."""
    lost = sum(has_volume(pod, "emptyDir") for pod in leaving)
    waits, restarted = ending.waited_for(ends, alone=not leaving), len(singles.restarted)
    restarts = f"restart {restarted} workload{'s' if restarted > 1 else ''} that would be down" if restarted else ""
    evicts = f"evict {pods(len(leaving) - len(singles.kept))}" if leaving else ""
    words = ", ".join(filter(None, (restarts, evicts, waits))) or "there is no pod to evict"
    if lost:
        words += f"; the emptyDir volumes of {lost} are lost"
    return words + theirs(node)


def _leaves(pod: Json) -> bool:
    """Whether the pod must go. One that is finished is in nobody's way."""
    return not (stays(pod) or is_over(pod))


def _owner_kind(pod: Json) -> str:
    return str((controller(pod) or {}).get("kind") or "")


def _order(pod: Json) -> tuple[bool, bool, int, str]:
    """Unready pods first: that costs nothing. Those of StatefulSets last, the highest ordinal first."""
    name = str(metadata(pod).get("name"))
    stateful = _owner_kind(pod) == "StatefulSet"
    found = re.search(r"-([0-9]{1,9})$", name) if stateful else None
    return is_ready(pod), stateful, -int(found[1]) if found else 0, f"{metadata(pod).get('namespace')}/{name}"


def _is_unmanaged(pod: Json, now: datetime) -> bool:
    return controller(pod) is None


_BLOCKING: Sequence[tuple[str, Callable[[Json, datetime], bool], str]] = (
    ("UnmanagedPods", _is_unmanaged, "no controller would bring it back: delete or move it by hand first"),
    ("DoNotDisrupt", must_not_be_disturbed, "its annotation says that it must not be evicted (do-not-disrupt)"),
)


def _our_last(world: World, leaving: list[Json]) -> Refusal | None:
    """Our own pod goes last, and only where another one of ours can lead meanwhile: that one evicts it."""
    names = [str(metadata(pod).get("name")) for pod in leaving if _leads_alone(pod, world.ours)]
    if not names:
        return None
    why = "Goldseam itself runs there, and no other replica of it is ready on another node"
    message = f"{why}: run two replicas, or move its pod to another node first: pod {bounded(names)}"
    return refusal("OwnPod", message)


def kept_for_us(ours: Sequence[Json]) -> set[str]:
    """The names of the nodes that are not drained for the sake of Goldseam itself, as these pods of it are now."""
    return {str((pod.get("spec") or {}).get("nodeName")) for pod in ours if _leaves(pod) and _leads_alone(pod, ours)}


def _leads_alone(pod: Json, ours: Sequence[Json]) -> bool:
    """Whether it is our own, and no other one of ours can lead when it goes."""
    return is_ours(pod) and not stand_ins(pod, ours)


def _blocked(node: Json, leaving: list[Json], now: datetime) -> Refusal | None:
    """Pods that must not be evicted: all or nothing, for half a drain helps nobody."""
    for reason, holds, why in _BLOCKING:
        names = [title(pod) for pod in leaving if holds(pod, now)]
        if names:
            return refusal(reason, f"{why}: pod {bounded(names)} on {node_ref(node)}")
    if len(leaving) > MOST_PODS:
        return refusal("TooManyPods", f"{len(leaving)} pods would have to go, and one drain evicts at most {MOST_PODS}")
    return None


def _held(world: World, leaving: list[Json]) -> Refusal | None:
    """Pods that no eviction would ever end as things are: better known before the node is cordoned than after."""
    budgets = [DisruptionBudget(pdb) for pdb in world.pdbs]
    for pod in leaving:
        asked, name = of_pod(pod, budgets), title(pod)
        if len(asked) > 1:
            message = (
                f"pod {name} is covered by {listed([str(one) for one in asked])}, and the Eviction API refuses that"
            )
            return refusal("TwoDisruptionBudgets", f"{message}: let one budget cover it")
        if asked and asked[0].never(pod):
            message = f"{asked[0]} never lets pod {name} go ({asked[0].health})"
            return refusal("NeverDisrupted", f"{message}: let it allow one pod to be away, or run one more")
    return None


def _nowhere(world: World) -> Refusal | None:
    """There is no other node in service at all."""
    assert world.target is not None
    if refuge(world):
        return None
    where = node_ref(world.target)
    return refusal("NowhereToGo", f"there is no other node that is Ready and would take the pods of {where}")


def observe(step: Step, world: World) -> Effect:
    """Done when every pod that was to go, or was ending already, is gone from the node, and what follows from that is
    there; a pod of the same name elsewhere is another pod."""
    evictions = [write for write in step.writes if write.verb in ("Evict", "Delete")]
    if world.target is None:
        return effect(True, "the node is gone")
    here = {metadata(pod).get("uid") for pod in world.pods}
    left = [write for write in evictions if write.object.uid in here]
    where = node_ref(world.target)
    slow = ending.left(step, world)
    if not left and not slow:
        return course(step, world, ending.gone(step, world, len(evictions)))
    names = bounded([f"{write.object.namespace}/{write.object.name}" for write in left])
    silent = f"; {ending.SILENT.format('were')}" if is_silent(world.target) else ""
    evicted = f"{len(left)} of {len(evictions)} pods are still on {where}: {names}{_held_by(left)}" if left else ""
    return effect(False, "; ".join(filter(None, (evicted, ending.still_there(slow, where)))), silent)


def _held_by(left: list[Write]) -> str:
    """What holds them, in the words of two at most: whole, for at its end stands who."""
    said = list(dict.fromkeys(write.message for write in left if write.message))
    return f" ({'; '.join(cut(one, 240) for one in said[:2])})" if said else ""


def _needs(parameters: Model, kind: str) -> tuple[Right, ...]:
    assert isinstance(parameters, Drain)
    restarting = (RESTARTING,) if parameters.single_replicas == "Restart" else ()
    return (CORDONING, EVICTING, *restarting, *forced.rights(parameters))


ACTION = Action(
    "drain",
    frozenset({"Node"}),
    plan,
    observe,
    _needs,
    looks_at=frozenset({"disruption_budgets"}),
    fields=frozenset({MARKING, TELLING, MARKED, EVICTION, forced.DELETION}),
)
