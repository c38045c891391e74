"""A cordon of ours that several incidents build on: each of them owes it, and the last one that needs it pays.

Whoever is due hands it on to one that is not. Nobody is the heir by age or name: the node would be given back while the
alert of another one fires that has emptied it. That an incident is due stands in its record before it hands on: so two
that fall due at the same moment never hand on to each other, and one of them uncordons.
"""

from __future__ import annotations

from datetime import datetime

from goldseam.api.incident import IncidentStatus, Obligation, Step
from goldseam.engine import record
from goldseam.engine.cordons import UNSCHEDULABLE, left_cordons, left_for_good
from goldseam.engine.lineage import live
from goldseam.engine.objects import INCIDENT, Json, annotation, metadata
from goldseam.engine.situation import Decision, Other, Situation

_BUILDS = ("cordon", "drain", "reboot", "outOfService")
_UNDONE = ("NotTaken", "Refused", "Denied", "Unanswered", "Superseded")


def keeper(o: Obligation, s: Situation) -> Other | None:
    """Another incident that owes the same cordon, and is not due yet."""
    return needing(o.object.uid, s) if o.kind == "Uncordon" else None


def needing(node: str, s: Situation) -> Other | None:
    """Another incident that needs the node of that uid cordoned."""
    going_on = (other for other in s.others if other.active and other.uid != s.uid)
    return next((other for other in going_on if any(_undue(o, node) for o in other.obligations)), None)


def takes_on(status: IncidentStatus, decision: Decision) -> bool:
    """Whether it will owe what another one owes already, without a write of its own: that one may be about to pay it,
    and either sees what the other has decided."""
    return len(decision.status.open_obligations()) > len(status.open_obligations())


def uncordons(step: Step) -> bool:
    """Whether the step takes a cordon off."""
    return any(write.field == UNSCHEDULABLE and write.want != "true" for write in step.writes)


def is_lent(node: Json, s: Situation) -> bool:
    """Whether any incident, be it this one, owes the uncordon of that node, and none has left it for people since."""
    debts = [*s.status.open_obligations(), *(o for other in s.others for o in other.obligations)]
    return any(_is_of(o, str(metadata(node).get("uid"))) for o in debts) and not _left_by(node, s)


def _is_of(o: Obligation, node: str) -> bool:
    return o.kind == "Uncordon" and o.state == "Open" and o.object.uid == node


def _undue(o: Obligation, node: str) -> bool:
    return _is_of(o, node) and o.due_at is None


def fallen_due(status: IncidentStatus, now: datetime) -> IncidentStatus:
    """The incident needs no node cordoned any more."""
    return record.each_obligation(status, lambda o: o.model_copy(update={"due_at": now}) if o.kind == "Uncordon" else o)


def handed_on(o: Obligation, to: Other) -> str:
    """What people are told of it."""
    return f"{o.object} stays cordoned for Incident {to.name}, which owes that, too"


def left_by(o: Obligation, s: Situation) -> str:
    """That another one has left it cordoned for people; empty where none has."""
    node = live(s.world, o) if o.kind == "Uncordon" else None
    who = "" if node is None else _left_by(node, s)
    return who and f"Incident {who} has left {o.object} cordoned for people to mend (atDeadline: LeaveCordoned)"


def _left_by(node: Json, s: Situation) -> str:
    """Who has, be it this one. The node says for which incident the last drain was: whoever has cordoned it anew since
    owes that."""
    if not left_for_good(node, s.world.now):
        return ""
    last, key = str(annotation(node, INCIDENT)), f"{metadata(node).get('uid')}:{UNSCHEDULABLE}"
    mine = {o.key for o in left_cordons(s.status)} if last == f"{s.namespace}/{s.name}" else set()
    return last if any(key in keys for keys in (mine, *(o.left for o in s.others if o.name == last))) else ""


def only_planned(o: Obligation, status: IncidentStatus, step: Step) -> bool:
    """Whether the step was to build on another one's cordon, and nothing was done that does: it needs the node no more.
    What another one may have handed on to it since is not lost by that: it falls due."""
    done = any(write.state == "Done" for write in step.writes[:1])  # a pod may have gone by itself
    before = (one for one in status.steps if one.id != step.id and one.purpose == "Rung" and one.action in _BUILDS)
    built = any(one.outcome not in _UNDONE and all(write.state == "Done" for write in one.writes) for one in before)
    return o.kind == "Uncordon" and step.purpose == "Rung" and not done and not built
