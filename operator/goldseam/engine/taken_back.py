"""Whether somebody has taken back what was done, or is being done."""

from __future__ import annotations

from goldseam.api.incident import ObjectRef, Step
from goldseam.engine import out_of_service
from goldseam.engine.cordons import UNSCHEDULABLE
from goldseam.engine.lineage import last_of_each, last_writer, live, reverted_by
from goldseam.engine.objects import RESTART, Json, cordoned, cordoned_by_us, reference, value_at
from goldseam.engine.proposal import World
from goldseam.engine.revisions import rolled_since


def reverted(step: Step, target: ObjectRef, world: World) -> str:
    """What somebody has taken back of what the step wrote, and who; empty where all of it stands."""
    for write in last_of_each(step.writes):
        if write.field == RESTART and write.object != target:  # of a drain: that its pods moved was all
            continue
        if write.field == out_of_service.FIELD:  # the obligation tells whether it went too early
            continue
        obj = live(world, write) if write.verb == "Patch" and write.state == "Done" else None
        if obj is not None and value_at(obj, write.field) != write.want:
            value, who = value_at(obj, write.field)[:80], reverted_by(write, world)
            return f"RevertedBy={who}: {write.field} of {write.object} is {value}, where Goldseam had set {write.want}"
        if obj is not None and (who := rolled_since(obj, write)):
            return f"RevertedBy={who}: {write.object} has another template than the one that Goldseam brought back"
    return cordon_taken(step, world.target)


def cordon_taken(step: Step, node: Json | None) -> str:
    """Who has uncordoned the node of a drain whose first write is made, or cordoned it anew; empty where nobody has.
    What a person does to it meanwhile is their word, and nothing more is evicted."""
    if node is None or step.purpose != "Rung" or step.action != "drain":
        return ""
    ours = any(write.verb == "Patch" and write.field == UNSCHEDULABLE for write in step.writes)
    if cordoned_by_us(node) if ours else cordoned(node):
        return ""
    who = last_writer(node, UNSCHEDULABLE) or "somebody"
    done = "cordoned by somebody else" if cordoned(node) else "uncordoned"
    return f"RevertedBy={who}: {reference(node, 'v1', 'Node')} was {done} while it was drained"
