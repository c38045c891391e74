"""Whether what an Incident says is still to be written is what we would write: Incidents are not trusted."""

from __future__ import annotations

import re

from goldseam.api.incident import Step, Write
from goldseam.engine import naming, obligations, out_of_service
from goldseam.engine.guards.forcing import forbids
from goldseam.engine.objects import RESTART_AT
from goldseam.engine.proposal import Proposal
from goldseam.engine.situation import Situation

_TIME = re.compile(r'"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"')


def is_derived(s: Situation, step: Step) -> bool:
    """Incidents are not trusted: whether the writes still to be made are those that we would plan, or owe, ourselves.

    Only a rung that evicts does so: of a workload the pods that it might evict now, of a node whatever is on it.
    """
    if any(w.verb == "Evict" and w.state == "Pending" for w in step.writes) and not _evicts(s, step):
        return False
    pending = [w for w in step.writes if w.verb != "Evict" and w.state == "Pending"]
    if any(w.verb == "Delete" for w in pending) and not _may_force(s):
        return False
    if step.purpose == "Undo":
        return all(w.verb in ("Patch", "Remove") and obligations.may_undo(w, s, step) for w in pending)
    if any(w.verb in ("Create", "Make") for w in step.writes) and step.token != naming.token(s.uid, step.id):
        return False
    planned = s.plan.writes if isinstance(s.plan, Proposal) else ()
    latest = max((w.want for w in planned if w.field == RESTART_AT), default="")
    wanted = [out_of_service.alike(_as_of(w, latest), planned) for w in pending]
    return {_does(w) for w in wanted} <= {_does(w) for w in (*planned, *obligations.still_to_read(s, step))}


def _as_of(w: Write, latest: str) -> Write:
    """A Rollout that has a new pod since is restarted as of the time that was written down, which is no later one."""
    earlier = w.field == RESTART_AT and bool(_TIME.fullmatch(w.want)) and w.want <= latest
    return w.model_copy(update={"want": latest}) if earlier else w


def _does(w: Write) -> tuple[object, ...]:
    """What a write changes, and to what. What a Job does, its CronJob says (its generation), and where, its node."""
    source = w.template and (w.template.object.uid, w.template.digest)
    generation = (w.generation, w.node) if w.verb == "Create" else None
    made = (str(w.object), w.object.api_version, w.resource) if w.verb == "Make" else ()
    return w.verb, w.object.uid, w.subresource, w.field, w.want, w.renewed, source, generation, *made


def _may_force(s: Situation) -> bool:
    return s.rung is not None and s.rung.drain is not None and not forbids(s)


def _evicts(s: Situation, step: Step) -> bool:
    if step.purpose != "Rung" or s.rung is None or step.action != s.rung.action:
        return False
    if s.spec.target.kind == "Node":
        return s.rung.drain is not None
    return isinstance(s.plan, Proposal) and s.plan.evictable is not None  # others are spared
