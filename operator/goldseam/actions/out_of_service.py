"""outOfService: say of a node whose machine is off that it is out of service (KEP-2268), so that Kubernetes deletes its
pods by force and detaches their volumes.

It is never guessed: a kubelet that reports anything at all is on a machine that runs. What no PodDisruptionBudget can
do any more is not asked of one: the pods are not ready, and Kubernetes itself evicts them after five minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from goldseam.actions.nodes import (
    CORDONING,
    MARKING,
    belongs,
    cordoning,
    endangered,
    node_ref,
    patching,
    shared,
    theirs,
)
from goldseam.actions.preflight import has_volume
from goldseam.actions.replies import GONE, bounded, effect, nothing, refusal
from goldseam.actions.replies import pods as counted
from goldseam.actions.writes import owed, patch
from goldseam.api.base import Model
from goldseam.api.incident import Obligation, Step, Write
from goldseam.api.ladder import OutOfService
from goldseam.engine import out_of_service as off
from goldseam.engine.objects import Json, condition_of, cordoned, cordoned_by_us, is_over, title
from goldseam.engine.proposal import Action, Effect, Plan, Proposal, Refusal, Right, World, always
from goldseam.engine.reboots import is_silent
from goldseam.engine.record import cut

TAINTING = Right("out-of-service", "", "nodes", piece="out-of-service")
"""The right to have a node taken for one whose machine is off. The verb is Goldseam's own."""
HEARTBEATS = "install the component out-of-service of deploy/kustomize"


def plan(parameters: Model, world: World, token: str) -> Plan:
    """Cordon the node where that is needed, and set the taint, in one request."""
    assert isinstance(parameters, OutOfService)
    node = world.target
    if node is None:
        return GONE
    if off.is_there(node):
        by = "by Goldseam" if off.is_ours(node) else "not by Goldseam: it will not be taken away"
        return nothing(f"{node_ref(node)} has the taint {off.KEY} already, set {by}", shared(node, world))
    if refused := endangered(world, opted_in=parameters.control_plane):
        return refused
    for question in _QUESTIONS:
        if refused := question(parameters, node, world):
            return refused
    if not (left := leaving(world)):
        return nothing(f"there is no pod on {node_ref(node)} that would have to run elsewhere", shared(node, world))
    return _proposed(node, left, parameters, world)


def leaving(world: World) -> list[Json]:
    """The pods on the node that are missed elsewhere, also those that hang half deleted."""
    return [pod for pod in world.pods if not (belongs(pod) or is_over(pod))]


def _reports(told: OutOfService, node: Json, world: World) -> Refusal | None:
    if is_silent(node):
        return None
    status = condition_of(node, "Ready").get("status")
    why = f"its kubelet reports (Ready is {status}), so its machine is on"
    return refusal("KubeletReports", f"{node_ref(node)}: {why}, and its pods can be evicted: drain it")


def _unknown(told: OutOfService, node: Json, world: World) -> Refusal | None:
    """What it takes to know for how long the kubelet is silent."""
    ref = node_ref(node)
    if "heartbeats" in world.closed:
        return refusal("HeartbeatsClosed", f"Goldseam may not read the Leases in {off.NAMESPACE}: {HEARTBEATS}")
    if off.silent_since(node, world.heartbeats) is None:
        lacks = "its Lease" if not off.renewed(off.lease_of(node, world.heartbeats)) else "its condition Ready"
        message = f"since when the kubelet of {ref} is silent is not known: {lacks} does not say so"
        return refusal("SilenceUnknown", message)
    return None


def _too_short(told: OutOfService, node: Json, world: World) -> Refusal | None:
    """It waits, also while no other kubelet is heard of: then it may be the control plane that is cut off."""
    ref, since = node_ref(node), off.silent_since(node, world.heartbeats)
    assert since is not None, "asked before"
    heard = off.heard_until(node, world.heartbeats, world.now)
    if heard is not None and heard - since >= told.unreachable_for:
        return None
    until = since + told.unreachable_for
    if until > world.now:
        asked = off.said(told.unreachable_for)
        message = f"the kubelet of {ref} is silent since {since:%H:%M:%S} UTC, not yet for {asked}"
        return Refusal("NotSilentForLong", cut(message), waits=True, until=until)
    message = (
        f"of other nodes no Lease was renewed {off.said(told.unreachable_for)} after {ref} fell silent: it may be the"
        " control plane that is cut off"
    )
    return Refusal("NobodyIsHeard", cut(message), waits=True)


def _perhaps_on(told: OutOfService, node: Json, world: World) -> Refusal | None:
    if told.when == "Unreachable" or off.is_shut_down(node):
        return None
    message = (
        f"the kubelet of {node_ref(node)} is silent, and its cloud provider does not say that the machine is shut down"
        f" (taint {off.SHUT_DOWN}): write `when: Unreachable` only if a silent machine is surely off"
    )
    return refusal("PerhapsOn", message)


_QUESTIONS: Sequence[Callable[[OutOfService, Json, World], Refusal | None]] = (
    _reports,
    _unknown,
    _too_short,
    _perhaps_on,
)


def _proposed(node: Json, left: list[Json], told: OutOfService, world: World) -> Proposal:
    ref = node_ref(node)
    writes, obligations = _writes(node, world)
    first = "" if cordoned(node) else "cordon and "
    summary = (
        f"{first}take {ref} out of service: Kubernetes deletes {counted(len(left))} by force and detaches volumes:"
        f" {bounded(list(map(title, left)))}{theirs(node)}"
    )
    return Proposal(
        writes,
        cut(summary),
        (patching(node), _tainting(node)),
        obligations,
        takes_nodes=0 if cordoned_by_us(node) else 1,
        preflight=tuple(map(cut, _known(node, left, told, world))),
        asks_about=(told.when,),
    )


def _tainting(node: Json) -> Right:
    return replace(TAINTING, name=node_ref(node).name)


def _writes(node: Json, world: World) -> tuple[tuple[Write, ...], tuple[Obligation, ...]]:
    """One request: the taint, and the cordon, so that nothing comes back before the incident is over."""
    seen = off.renewed(off.lease_of(node, world.heartbeats))
    tainted = patch(node_ref(node), node, off.FIELD, off.taint(world.now)).model_copy(update={"renewed": seen})
    debt = owed("Untaint", tainted, "null")
    if cordoned(node):
        return (tainted,), (*shared(node, world), debt)
    write, obligation = cordoning(node)
    return (write, tainted), (obligation, debt)


def _known(node: Json, left: list[Json], told: OutOfService, world: World) -> Iterator[str]:
    """What it is done upon, and what is done: for who is asked, and for whoever wonders later."""
    since, name = off.silent_since(node, world.heartbeats), off.SHUT_DOWN
    yield f"the kubelet is silent since {since:%Y-%m-%d %H:%M:%S} UTC, while other nodes renew their Leases"
    if off.is_shut_down(node):
        yield f"the cloud provider says that the machine is shut down (taint {name})"
    else:
        yield f"nobody says that the machine is off (taint {name}); the policy says that a silent one is: {told.when}"
    mounted = sum(has_volume(pod, "persistentVolumeClaim") for pod in left)
    volumes = f"the volumes of {mounted} detached, mounted or not" if mounted else "none of them has a volume to detach"
    yield f"{counted(len(left))} would be deleted by force, and {volumes}"


def observe(step: Step, world: World) -> Effect:
    """Done when nothing is left on the node that is missed elsewhere; or when the node reports again, by itself."""
    node = world.target
    if node is None:
        return effect(True, "the node is gone")
    ref = node_ref(node)
    if not is_silent(node):
        return effect(True, f"the kubelet of {ref} reports again")
    if not (left := leaving(world)):
        return effect(True, f"no pod is left on {ref} that is missed elsewhere")
    return effect(False, f"{counted(len(left))} still on {ref}: {bounded(list(map(title, left)))}")


ACTION = Action(
    "outOfService",
    frozenset({"Node"}),
    plan,
    observe,
    always(CORDONING, TAINTING),
    looks_at=frozenset({"heartbeats"}),
    fields=frozenset({MARKING, f"Node {off.FIELD}"}),
)
