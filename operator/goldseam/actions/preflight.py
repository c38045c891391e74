"""The plan of a drain before anything is touched: what goes, under which budgets, what is lost, and where it may go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from goldseam.actions.nodes import node_ref, others
from goldseam.actions.replies import bounded, listed, pods, refusal
from goldseam.engine.disruption import DisruptionBudget, of_pod
from goldseam.engine.node_lists import node_list
from goldseam.engine.objects import Json, controller, is_ready, metadata, title
from goldseam.engine.placement import Room, avoided, in_order, in_service, may_run, reaches, requested, together
from goldseam.engine.proposal import Refusal, World
from goldseam.engine.record import cut

MOST_BUDGETS = 8
MOST_GROUPS = 6


def claims(pod: Json) -> list[str]:
    """The PersistentVolumeClaims that the pod uses, by namespace and name."""
    found: list[str] = []
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if "ephemeral" in volume:  # its claim is made for the pod, and named by it (KEP-1698)
            name = f"{metadata(pod).get('name')}-{volume.get('name')}"
        found += [f"{metadata(pod).get('namespace')}/{name}"] if name else []
    return found


def hungry(leaving: Iterable[Json]) -> list[Json]:
    """The pods that not every node has room for. What requests nothing counts as nothing."""
    return in_order(pod for pod in leaving if requested(pod) or any(avoided(pod)))


def places(pod: Json, world: World) -> list[Json]:
    """The other nodes that may take the pod, if they have room for it."""
    assert world.target is not None
    known = node_list(world.nodes)
    return known.without(known.taking(pod, _volumes(pod, world)), str(metadata(world.target).get("uid")))


def homeless(leaving: Iterable[Json], world: World) -> list[Json]:
    """The pods for which there is no room on the nodes that were asked, if the others are put there first."""
    asked = world.room or {}
    names = ((str(metadata(node).get("name")), node) for node in (others(world) if asked else ()))
    rooms = [Room(node, asked[name]) for name, node in names if name in asked and in_service(node)]
    left: list[Json] = []
    for pod in hungry(leaving):
        volumes = _volumes(pod, world)
        room = next((one for one in rooms if may_run(pod, one.node, volumes) and one.takes(pod)), None)
        if room is None:
            left.append(pod)
        else:
            room.put(pod)
    return left


def stranded(leaving: list[Json], world: World) -> Refusal | None:
    """A pod that no other node would take: it, or its data, would be lost to those who use it."""
    assert world.target is not None
    where = node_ref(world.target)
    for pod in leaving:
        if bound := _bound_here(pod, world):
            message = f"pod {title(pod)} has its data on {where} only (PersistentVolume {bound})"
            return refusal("LocalStorage", f"{message}: move the data, or give it up by hand, first")
        if not places(pod, world):
            why = f"no other node that is Ready may take pod {title(pod)} of {where}"
            by = "by taints, nodeSelector, node affinity, or where its volumes can be used"
            return refusal("NowhereToGo", f"{why}: {by}")
    if world.room is not None and (left := homeless(leaving, world)):
        asked = f"{len(world.room)} other nodes that may take it have" if len(world.room) != 1 else "1 other node has"
        more = f" (nor for {len(left) - 1} more)" if len(left) > 1 else ""
        message = f"pod {title(left[0])} requests {_amounts(requested(left[0]))}, and none of the {asked} room for it"
        return refusal("NoRoomElsewhere", f"{message}{more}: add a node, or make room")
    return None


def _volumes(pod: Json, world: World) -> list[Json]:
    return [world.volumes[claim] for claim in claims(pod) if claim in world.volumes]


def _bound_here(pod: Json, world: World) -> str:
    """The PersistentVolume that can be used on this node, and on no other one; whether that one is Ready or not."""
    assert world.target is not None
    for volume in _volumes(pod, world):
        if reaches(volume, world.target) and not any(reaches(volume, node) for node in others(world)):
            return str(metadata(volume).get("name"))
    return ""


def lines(leaving: list[Json], evicted: list[Json], world: World) -> tuple[str, ...]:
    """The plan, in sentences. `evicted`: without those that their own controller ends."""
    if not leaving:
        return ()
    budgets = list(map(DisruptionBudget, world.pdbs))
    told = [_what(leaving), *_budgets(evicted, budgets), *_lost(leaving), *_room(leaving, world)]
    return tuple(cut(line) for line in told)


def _what(leaving: list[Json]) -> str:
    groups = Counter(_group(pod) for pod in leaving)
    names = [f"{count} of {group}" for group, count in sorted(groups.items(), key=lambda one: (-one[1], one[0]))]
    unready = sum(not is_ready(pod) for pod in leaving)
    first = f" ({unready} not ready, which go first)" if unready else ""
    return f"{pods(len(leaving))} would go{first}: {listed(names, MOST_GROUPS)}"


def _group(pod: Json) -> str:
    owner = controller(pod) or {}
    return cut(f"{owner.get('kind')} {metadata(pod).get('namespace')}/{owner.get('name')}", 100)


def _budgets(leaving: list[Json], budgets: list[DisruptionBudget]) -> list[str]:
    """What each budget lets go at once, of its pods that are here; all budgets are worked off side by side."""
    if not leaving:
        return []
    covered = [(budget, pod) for pod in leaving for budget in of_pod(pod, budgets)]
    here = Counter(budget for budget, _ in covered)
    unready = Counter(budget for budget, pod in covered if budget.lets_unready_go and not is_ready(pod))
    waiting = here - unready
    rounds = {budget: -(-waiting[budget] // budget.most) if budget.most else 0 for budget in here}
    longest = max(rounds.values(), default=0)
    worst = sorted(here, key=lambda budget: (-rounds[budget], str(budget)))
    told = [_budget(budget, here[budget], unready[budget], rounds[budget]) for budget in worst[:MOST_BUDGETS]]
    if len(worst) > MOST_BUDGETS:
        rest, most = len(worst) - MOST_BUDGETS, rounds[worst[MOST_BUDGETS]]
        told.append(f"and {rest} more budget{'s, each' * (rest > 1)} of {_rounds(most)} or less")
    free = len(leaving) - sum(bool(of_pod(pod, budgets)) for pod in leaving)
    at_once = f"{pods(free)} under no budget may go at once" if free else _all_under_one(len(leaving))
    return [*told, f"{_rounds(max(longest, 1))} of evictions at least: {at_once}"]


def _rounds(count: int) -> str:
    return "1 round" if count == 1 else f"{count} rounds"


def _all_under_one(count: int) -> str:
    """Of those that are evicted: what is restarted, or ended by its own controller, no eviction takes."""
    return "the pod that is evicted is under a budget" if count == 1 else "every pod that is evicted is under a budget"


def _budget(budget: DisruptionBudget, count: int, unready: int, rounds: int) -> str:
    told = f"{budget} covers {pods(count)} of these"
    if not budget.counted:
        return f"{told}, and the cluster has not counted yet how many it lets go"
    at_once = f"{budget.most} of all its pods may be away at once, {budget.allowed} now ({budget.health})"
    are, go = ("is", "goes") if unready == 1 else ("are", "go")
    free = f"; {unready} of these {are} not ready, and {go} without waiting for it" if unready else ""
    return f"{told}: {at_once}, so {_rounds(rounds)}{free}"


_KEPT: Mapping[str, Callable[[list[Json], str], str]] = {
    "emptyDir": lambda found, names: f"lost: the emptyDir volumes of {pods(len(found))}: {names}",
    "hostPath": lambda found, names: f"left behind: what {pods(len(found))} wrote to hostPath volumes: {names}",
}


def _lost(leaving: list[Json]) -> list[str]:
    found = {kind: [pod for pod in leaving if has_volume(pod, kind)] for kind in _KEPT}
    return [_KEPT[kind](those, bounded([title(pod) for pod in those])) for kind, those in found.items() if those]


def has_volume(pod: Json, kind: str) -> bool:
    """Whether the pod has a volume of this kind."""
    return any(kind in volume for volume in (pod.get("spec") or {}).get("volumes") or [])


def _room(leaving: list[Json], world: World) -> list[str]:
    assert world.target is not None
    known = node_list(world.nodes)
    ready = len(known.without(known.in_service, str(metadata(world.target).get("uid"))))
    nodes = "1 other node is" if ready == 1 else f"{ready} other nodes are"
    told = f"capacity: {nodes} Ready and in service"
    eaters = hungry(leaving)
    if not eaters:
        return [f"{told}; the pods request nothing, so that nothing can be told of their room there"]
    total = _amounts(together(map(requested, eaters)))
    told = f"{told}; {pods(len(eaters))} {_request(len(eaters), total)}"
    if world.room is None:
        return [told]
    asked = "1 that was" if len(world.room) == 1 else f"{len(world.room)} that were"
    return [f"{told}, and there is room for {'it' if len(eaters) == 1 else 'them'} on the {asked} asked"]


def _request(count: int, total: str) -> str:
    one = count == 1
    return f"request{'s' * one} {total}" if total else f"request{'s' * one} nothing, and keep{'s' * one} apart"


def _amounts(amounts: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{key} {_amount(key, size)}" for key, size in sorted(amounts.items())[:4])


def _amount(key: str, size: Decimal) -> str:
    if key == "cpu" and size != int(size):
        return f"{int(size * 1000)}m"
    mebi = size / (1024 * 1024)
    return f"{int(mebi)}Mi" if mebi >= 1 else f"{int(size)}"
