"""cordon: no new pods on the node."""

from __future__ import annotations

from goldseam.actions.nodes import CORDONING, MARKING, cordoning, endangered, last_one, node_ref, patching, shared
from goldseam.actions.replies import GONE, effect, nothing
from goldseam.api.base import Model
from goldseam.api.incident import Step
from goldseam.api.ladder import Cordon
from goldseam.engine.objects import cordoned, cordoned_by_us
from goldseam.engine.proposal import Action, Effect, Plan, Proposal, World, always


def plan(parameters: Model, world: World, token: str) -> Plan:
    """Set `spec.unschedulable`. What somebody else cordoned is theirs: it is not uncordoned later."""
    assert isinstance(parameters, Cordon)
    if world.target is None:
        return GONE
    ref = node_ref(world.target)
    if cordoned_by_us(world.target):
        return nothing(f"{ref} is cordoned already, by Goldseam", shared(world.target, world))
    if cordoned(world.target):
        return nothing(f"{ref} is cordoned already, not by Goldseam: it will not be uncordoned")
    if refused := endangered(world, opted_in=parameters.control_plane) or last_one(world):
        return refused
    write, obligation = cordoning(world.target)
    return Proposal((write,), f"cordon {ref}", (patching(world.target),), (obligation,), takes_nodes=1)


def observe(step: Step, world: World) -> Effect:
    """Done when the node is unschedulable."""
    if world.target is None:
        return effect(False, GONE.message)
    done = cordoned(world.target)
    return effect(done, f"{node_ref(world.target)} is {'cordoned' if done else 'not cordoned yet'}")


ACTION = Action("cordon", frozenset({"Node"}), plan, observe, always(CORDONING), fields=frozenset({MARKING}))
