"""What the node actions share: taking a node out of service, and when not to."""

from __future__ import annotations

import json
from dataclasses import replace

from goldseam.actions.replies import listed, refusal
from goldseam.actions.writes import owed, patch
from goldseam.api.incident import ObjectRef, Obligation, Write
from goldseam.engine.cordons import AT_DEADLINE_FIELD, UNSCHEDULABLE, left_for_good
from goldseam.engine.node_lists import node_list
from goldseam.engine.objects import (
    FIELD_MANAGER,
    Json,
    annotation,
    controller,
    cordoned,
    cordoned_by_us,
    is_ready,
    managers_of,
    metadata,
    of_control_plane,
    reference,
)
from goldseam.engine.proposal import Refusal, Right, World

MARKING = f"Node {UNSCHEDULABLE}"
"""What cordoning and uncordoning write, as an action declares it."""
MIRROR = "kubernetes.io/config.mirror"
TELLING = f"Node {AT_DEADLINE_FIELD}"
"""What a drain writes beside, so that a person sees what comes."""
CORDONING = Right("patch", "", "nodes", piece="nodes")
"""The right to take nodes out of service and to bring them back."""


def node_ref(node: Json) -> ObjectRef:
    """A reference to the node."""
    return reference(node, "v1", "Node")


def theirs(node: Json) -> str:
    """What is added for people where somebody else cordoned it; empty where nobody did, or we."""
    ours = cordoned_by_us(node) or not cordoned(node)
    return "" if ours else "; somebody else cordoned it: it will not be uncordoned"


def cordoning(node: Json) -> tuple[Write, Obligation]:
    """The write that takes the node out of service, and what it makes us owe. The API server keeps no `false` there."""
    write = patch(node_ref(node), node, UNSCHEDULABLE, "true")
    return write, owed("Uncordon", write, "null")


def shared(node: Json, world: World) -> tuple[Obligation, ...]:
    """What is owed for a cordon of ours that is to be taken away again, be it by another incident: whoever builds on it
    owes it, too, so that it stays for as long as one of them needs it. Not one that a person has put as well."""
    writers = {manager for manager, _, _ in managers_of(node, UNSCHEDULABLE)}
    ours = world.lent and cordoned_by_us(node) and writers == {FIELD_MANAGER}
    return (cordoning(node)[1],) if ours else ()


def marking(node: Json, at_deadline: str, world: World) -> tuple[Write, ...]:
    """The write that says on a node of ours what becomes of it at the deadline of the drain, where it must be said:
    cordoning says by itself until when, and that it is uncordoned then, and takes away what an earlier drain has left
    there. Not where an earlier drain has left it cordoned for people: nobody owes that any more, and what says so would
    be lost. Where it is owed it is said in any case, for it says whose drain was the last."""
    lent = bool(shared(node, world))
    ours = lent or (cordoned_by_us(node) and not left_for_good(node, world.now))
    if (cordoned(node) and not ours) or (not ours and at_deadline == "Uncordon"):
        return ()
    write = patch(node_ref(node), node, AT_DEADLINE_FIELD, json.dumps(at_deadline))
    return () if write.before == write.want and ours and not lent else (write,)


def belongs(pod: Json) -> bool:
    """Whether it is the node's own: a static pod, or one of a DaemonSet."""
    return annotation(pod, MIRROR) is not None or (controller(pod) or {}).get("kind") == "DaemonSet"


def stays(pod: Json) -> bool:
    """Whether no drain ends it: the node's own, or one that is on its way out by itself."""
    return belongs(pod) or bool(metadata(pod).get("deletionTimestamp"))


def patching(node: Json) -> Right:
    """The right to do so."""
    return replace(CORDONING, name=node_ref(node).name)


def refuge(world: World) -> bool:
    """Whether any other node is Ready and takes new pods."""
    assert world.target is not None
    return node_list(world.nodes).serves_without({str(metadata(world.target).get("uid"))})


def last_one(world: World) -> Refusal | None:
    """The only node in service stays: without it there is no place for any new pod."""
    assert world.target is not None
    if refuge(world):
        return None
    rest = len(others(world))
    few = ("it is the only node", "the other one is not Ready and schedulable")
    why = few[rest] if rest < len(few) else f"of the {rest} other nodes none is Ready and schedulable"
    return refusal("LastNode", f"without {node_ref(world.target)} no node would be in service: {why}")


def others(world: World) -> list[Json]:
    """All nodes but the target."""
    assert world.target is not None
    uid = metadata(world.target).get("uid")
    return [node for node in world.nodes if metadata(node).get("uid") != uid]


def _uid(node: Json) -> str:
    return str(metadata(node).get("uid"))


def endangered(world: World, *, opted_in: bool) -> Refusal | None:
    """A control-plane node stays in service, unless the policy has opted in; and always while another one is not: etcd
    must keep its majority. One that another incident has taken, and will bring back, is waited for (guard
    `node_caps`), unless this one is out for us, too."""
    assert world.target is not None
    if not of_control_plane(world.target):
        return None
    if not opted_in:
        message = (
            f"{node_ref(world.target)} is of the control plane: write `controlPlane: true` in the rung if it may go"
        )
        return refusal("ControlPlaneNode", message)
    waits = not cordoned_by_us(world.target)
    out = [node for node in others(world) if of_control_plane(node) and (cordoned(node) or not is_ready(node))]
    missing = [node for node in out if not (waits and cordoned_by_us(node) and _uid(node) in world.coming_back)]
    if not missing:
        return None
    names = listed([node_ref(node).name for node in missing])
    message = f"{node_ref(world.target)} is of the control plane, and {names} is out of service already"
    return refusal("ControlPlaneAtRisk", message)
