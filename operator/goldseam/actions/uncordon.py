"""uncordon: the node takes pods again, if it was us who cordoned it."""

from __future__ import annotations

from goldseam.actions.nodes import CORDONING, MARKING, node_ref, patching
from goldseam.actions.replies import GONE, effect, nothing
from goldseam.actions.writes import patch
from goldseam.api.base import Model
from goldseam.api.incident import Step
from goldseam.engine.cordons import UNSCHEDULABLE
from goldseam.engine.objects import cordoned, cordoned_by_us
from goldseam.engine.proposal import Action, Effect, Plan, Proposal, World, always


def plan(parameters: Model, world: World, token: str) -> Plan:
    """Take `spec.unschedulable` away. What a person cordoned stays cordoned: their wish goes first; and so
    does what another incident needs."""
    if world.target is None:
        return GONE
    ref = node_ref(world.target)
    if not cordoned(world.target):
        return nothing(f"{ref} is not cordoned")
    if not cordoned_by_us(world.target):
        return nothing(
            f"{ref} was cordoned by somebody else: it stays cordoned; `kubectl uncordon {ref.name}` if it may go"
        )
    if world.needed_by:
        return nothing(
            f"{ref} stays cordoned: Incident {world.needed_by} needs that still, and uncordons it in the end"
        )
    write = patch(ref, world.target, UNSCHEDULABLE, "null")
    return Proposal((write,), f"uncordon {ref}", (patching(world.target),))


def observe(step: Step, world: World) -> Effect:
    """Done when the node is schedulable."""
    if world.target is None:
        return effect(False, GONE.message)
    done = not cordoned(world.target)
    return effect(done, f"{node_ref(world.target)} is {'schedulable' if done else 'still cordoned'}")


ACTION = Action("uncordon", frozenset({"Node"}), plan, observe, always(CORDONING), fields=frozenset({MARKING}))
