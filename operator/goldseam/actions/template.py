"""template: make one object of a kind that the admin allows, and take it away when the incident is over.

Which kinds, guard `templates` asks. The object begins to work as soon as it is there, for nothing can be made
suspended that is not known: so it is owed before it is made, and is made once by its name.
"""

from __future__ import annotations

import json
import re

from goldseam.actions.replies import GONE, effect, refusal
from goldseam.actions.rollout import course
from goldseam.api.base import Model
from goldseam.api.incident import Obligation, Step, Write
from goldseam.api.templates import Template
from goldseam.engine.objects import Json, Workload, condition_of
from goldseam.engine.objects import reference as target_of
from goldseam.engine.proposal import Action, Effect, Plan, Proposal, Right, World
from goldseam.engine.queries import Undefined
from goldseam.engine.record import cut
from goldseam.engine.templates import digest, found, is_ours, object_of, reference, token_of

KINDS = frozenset({"Node", "Deployment", "StatefulSet", "DaemonSet", "Rollout"})


def plan(parameters: Model, world: World, token: str) -> Plan:
    """The object with its variables filled in, named by the step's token."""
    assert isinstance(parameters, Template)
    if world.target is None:
        return GONE
    try:
        made = object_of(parameters, world.values, token)
    except Undefined as error:
        return refusal("TemplateUndefined", f"the template of {parameters.object.kind} cannot be filled in: {error}")
    ref, target = reference(parameters, token), target_of(world.target)
    write = Write(verb="Make", object=ref, resource=parameters.resource, want=json.dumps(digest(made)))
    return Proposal(
        writes=(write,),
        summary=cut(f"make {ref} for {target}, and {'keep it' if parameters.keep else 'delete it afterwards'}"),
        rights=needs(parameters, target.kind),
        obligations=() if parameters.keep else (_owed(write),),
        takes_nodes=1 if target.kind == "Node" else 0,
        body=made,
    )


def needs(parameters: Model, kind: str) -> tuple[Right, ...]:
    """To make it, and to take it away."""
    assert isinstance(parameters, Template)
    group, where = parameters.object.api_version.split("/")[0], parameters.object.metadata.namespace or ""
    verbs = ("create",) if parameters.keep else ("create", "delete")
    return tuple(Right(verb, group, parameters.resource, namespace=where, piece="template") for verb in verbs)


def _owed(write: Write) -> Obligation:
    ref = write.object
    return Obligation(
        key=cut(f"{ref.api_version}:{ref}", 400),
        kind="Remove",
        object=ref,
        resource=write.resource,
        field=write.field,
        original=write.before,
        want=write.want,
    )


def observe(step: Step, world: World) -> Effect:
    """Done when it was made; where the rung names a condition, when it has that. One that is gone before nobody can
    ask, and it may have done its work, or half of it."""
    write = next((write for write in step.writes if write.verb == "Make"), None)
    if world.target is None or write is None:
        return effect(False, GONE.message)
    if world.awaited is not None:
        obj, wanted = found(world, write.object), "{}={}".format(*world.awaited)
        if obj is None or not is_ours(obj, token_of(write.object)):
            return Effect(False, cut(f"{write.object} is gone, and whether it had {wanted} is not known"), "Vanished")
        there = condition_of(obj, world.awaited[0])
        if there.get("status") != world.awaited[1]:
            return Effect(False, cut(f"{write.object} to have {wanted} ({_so_far(there)})"), asked_for=True)
    if world.target.get("kind") == "Node":
        return effect(True, f"{write.object} was made")
    return course(Workload(world.target))


def _so_far(there: Json) -> str:
    """What its controller says of the condition: its status, and a reason that is a word."""
    if not there:
        return "it has no such condition yet"
    reason = str(there.get("reason"))
    word = f": {reason}" if re.fullmatch(r"[A-Za-z]{1,64}", reason) else ""
    return f"it is {there['status'] if there.get('status') in ('True', 'False') else 'Unknown'}{word}"


ACTION = Action("template", KINDS, plan, observe, needs, fields=frozenset({"an allowed kind, made and deleted"}))
