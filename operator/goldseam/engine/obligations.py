"""What must be undone later: when it falls due, what is written to undo it, and when it is not ours any more."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from goldseam.api.incident import ENDED, IncidentStatus, Obligation, Step, Write
from goldseam.api.outcomes import ObligationKind
from goldseam.engine import naming, out_of_service, record, removals, resizing
from goldseam.engine.config import reads, value_of
from goldseam.engine.guards.busy import rolling_out
from goldseam.engine.guards.harm import disrupted
from goldseam.engine.guards.hold import Hold
from goldseam.engine.guards.knowledge import unsure
from goldseam.engine.guards.order import BEFORE_UNDOING, holding
from goldseam.engine.lineage import live, reverted_by, still_ours
from goldseam.engine.lowered import half_way, number, was_lowered
from goldseam.engine.objects import RESTART, Workload, metadata, reference, value_at
from goldseam.engine.proposal import World, place
from goldseam.engine.shared_cordons import keeper, left_by, only_planned
from goldseam.engine.situation import Other, Situation
from goldseam.engine.strategy import taken_at_once
from goldseam.engine.undoing import in_words


def examined(s: Situation, now: datetime) -> IncidentStatus:
    """The status with each open obligation as the world shows it: paid, gone, taken over, lost, or still owed."""
    status = s.status
    for obligation in status.open_obligations():
        after = _examine(obligation, s)
        if after != obligation:
            rest = [after if o == obligation else o for o in status.obligations]
            status = record.note(record.changed(status, obligations=rest), now, after.state, after.message)
    return status


def _examine(o: Obligation, s: Situation) -> Obligation:
    if o.kind == "Remove":
        return removals.examined(o, s)
    if why := _void(o, s):
        return record.settled(o, "Void", why)
    obj = live(s.world, o)
    if obj is None:
        return record.settled(o, "Void", f"{o.object} is gone or was replaced") if not s.unknown else o
    back = _undone_by_us(o, s) or not _active(s) or o.due_at is not None or out_of_service.is_due(o, obj)
    if value_at(obj, o.field) == o.original and back:
        return record.settled(o, "Paid", f"{o.field} of {o.object} is {o.original} again")
    if not still_ours(o, s.world) or _needed_by_somebody(o, s):
        return record.settled(o, "Lost", _lost(o, s.world))
    return o


def _void(o: Obligation, s: Situation) -> str:
    """Why it is nothing of this incident's, whatever the object is like; empty where it is."""
    if s.status.phase in ENDED and o.kind not in AT_ONCE and not s.pinned.resolve.revert:
        return f"{o.object} keeps {o.field}={o.want}: resolve.revert is false"
    if heir := _heir(o, s):
        return f"Incident {heir.name} has taken it over"
    if why := _not_ours_to_owe(o, s):
        return f"not one that Goldseam could owe: {why}"
    return left_by(o, s)


_LONGEST = 512
"""Characters of a value that an Incident keeps."""
WORKED_ON = ("Investigating", "AwaitingApproval", "Fixing", "Monitoring")
"""Phases in which a value that somebody else has changed means that people take over."""

AT_ONCE = ("Uncordon", "Untaint", "Remove")
"""What comes back as soon as the incident is over: it takes no capacity away."""
FLOOR, CEILING = "spec.minReplicas", "spec.maxReplicas"
FIELDS: Mapping[ObligationKind, frozenset[tuple[str, str, str]]] = {
    "ScaleBack": frozenset((kind, "scale", "spec.replicas") for kind in ("Deployment", "StatefulSet", "Rollout")),
    "FloorBack": frozenset(
        {("HorizontalPodAutoscaler", "", FLOOR), ("ScaledObject", "", "spec.minReplicaCount")},
    ),
    "CeilingBack": frozenset({("HorizontalPodAutoscaler", "", CEILING)}),
    "ConfigBack": frozenset(),
    "ResourcesBack": frozenset(),
    "Uncordon": frozenset({("Node", "", "spec.unschedulable")}),
    "Untaint": frozenset({("Node", "", out_of_service.FIELD)}),
    "Remove": frozenset(),
}
"""What an obligation of each kind may touch: kind, subresource, field. The policy says which key of a ConfigMap, and
what of which container."""


def _not_ours_to_owe(o: Obligation, s: Situation) -> str:
    """Incidents are not trusted: why this obligation is not one that our own actions bring; empty when it is."""
    if (o.object.kind, o.subresource, o.field) not in _touches(o, s):
        return f"{o.kind} does not touch {o.field} of a {o.object.kind}"
    if (o.object.namespace or s.operator_namespace) != s.namespace:
        return f"{o.object} is not in the Incident's namespace"
    if o.kind == "Untaint":
        return "" if o.original == "null" and out_of_service.added(o.want) else "that is no taint of Goldseam's"
    if o.kind == "Uncordon":
        return "" if (o.original, o.want) in (("null", "true"), ("false", "true")) else "that is no cordon"
    if o.kind == "ResourcesBack":
        return "" if resizing.raised(o.original, o.want) else f"{o.original} was not raised to {o.want}"
    return "" if o.kind == "ConfigBack" else _odd_number(o, s)


def _touches(o: Obligation, s: Situation) -> Iterable[tuple[str, str, str]]:
    """What it may touch, as far as the policy, as it was pinned, has it."""
    if o.kind == "ConfigBack":
        return {("ConfigMap", "", o.field)} if _asked_for(o, s) else ()
    if o.kind == "ResourcesBack":
        asked = o.object == s.spec.target and resizing.asked_for(o.field, s.pinned.ladder)
        return {(o.object.kind, "", o.field)} if asked else ()
    return FIELDS[o.kind]


def _odd_number(o: Obligation, s: Situation) -> str:
    least = 0 if o.object.kind == "ScaledObject" else 1  # KEDA's floor may be zero, which is its default, too
    original, want = least if least == 0 and o.original == "null" else number(o.original), number(o.want)
    if was_lowered(o) and any(
        rung.scale and rung.scale.lowers and rung.scale.replicas <= want for rung in s.pinned.ladder
    ):
        return ""
    return "" if least <= original <= want and want > 0 else f"{o.original} is not between {least} and {o.want}"


def _asked_for(o: Obligation, s: Situation) -> bool:
    """Whether the policy, as it was pinned, sets this key of this ConfigMap. Which value is no matter here: it may be
    that of an older incident, whose debt this one has taken over.

    Not as it is now: who has narrowed it since does not want less to be put back. Who forges the pin gains the keys
    only that nobody but us has written last (`still_ours`).
    """
    asked = [rung.patch_config for rung in s.pinned.ladder if rung.patch_config is not None]
    return (o.object.name, o.field) in [(a.config_map, value_of(a.key)) for a in asked]


def _floor_above(o: Obligation, s: Situation) -> bool:
    """Whether the ceiling cannot come back, for the floor is above it."""
    return o.kind == "CeilingBack" and number(value_at(live(s.world, o), FLOOR)) > number(o.original)


def _owing_the_floor(o: Obligation, s: Situation) -> str:
    """Who of us owes the floor of the same object: the name of an incident."""
    key = f"{o.object.uid}:{FLOOR}"
    owing = ((s.name, s.status.obligations), *((other.name, other.obligations) for other in s.others))
    return next((name for name, debts in owing if any(d.key == key and d.state == "Open" for d in debts)), "")


def _needed_by_somebody(o: Obligation, s: Situation) -> bool:
    """Whether somebody else keeps the floor above the ceiling that should come back, so that it cannot."""
    return _floor_above(o, s) and not _owing_the_floor(o, s)


def _undone_by_us(o: Obligation, s: Situation) -> bool:
    """Whether a rung of this incident put it back, as `uncordon` does after `drain`."""
    written = [w for step in s.status.steps for w in step.writes if (w.object, w.field) == (o.object, o.field)]
    return any(w.state == "Done" and w.want == o.original for w in written)


def _active(s: Situation) -> bool:
    """While the incident is worked on, a value that is back is one that somebody took back."""
    return s.status.phase in WORKED_ON and not s.status.handed_over


def _heir(mine: Obligation, s: Situation) -> Other | None:
    """The incident that owes the field now: the one whose value is there, for it was written last; or the one that is
    at work on it, half-way down.

    Where both owe the same value (the later write was refused, and the older debt stands), the smaller uid keeps it. A
    cordon has no heir: each owes it (`shared_cordons`), and one that is off is off for all of them.
    """
    obj = live(s.world, mine)
    there = None if obj is None else value_at(obj, mine.field)
    for other in s.others:
        if other.uid == s.uid or mine.kind == "Uncordon" or (mine.want == there and other.uid > s.uid):
            continue
        under_way = other.busy and there != mine.want
        debts = [o for o in other.obligations if o.key == mine.key and o.state == "Open"]
        if any(o.want == there or under_way for o in debts):
            return other
    return None


def _lost(o: Obligation, world: World) -> str:
    obj, who = live(world, o), reverted_by(o, world)
    value = value_at(obj, o.field)[:80]
    if value == o.want and o.kind == "CeilingBack":
        floor = value_at(obj, FLOOR)[:80]
        return f"the floor of {o.object} is {floor}, above the maximum {o.original} that should come back: it is left"
    return f"{who} set {o.field} of {o.object} to {value}, where Goldseam had set {o.want}: it is left alone"


def due_at(o: Obligation, s: Situation) -> datetime | None:
    """When it falls due; None while that is not known."""
    if o.kind == "Remove" and not o.object.uid:  # it may not be there yet
        return None
    if o.due_at is not None:
        return o.due_at
    if s.status.phase == "Abandoned" or out_of_service.is_due(o, live(s.world, o)):
        return s.status.kpis.detected_at
    resolved = s.status.kpis.resolved_at
    if s.status.phase != "Resolved" or resolved is None:
        return None
    return resolved if o.kind in AT_ONCE else resolved + s.pinned.resolve.revert_after


def holds(o: Obligation, s: Situation, now: datetime) -> list[Hold]:
    """Why it is not paid now."""
    found = holding(BEFORE_UNDOING, s, now)
    rival = next((x for x in s.others if x.busy and x.uid != s.uid and x.target_uid == s.spec.target.uid), None)
    if rival is not None and not out_of_service.is_due(o, live(s.world, o)):  # that may not wait for a drain
        found.append(Hold("busy", "Wait", "OtherIncident", f"Incident {rival.name} is acting on the target"))
    if _floor_above(o, s):
        message = f"Incident {_owing_the_floor(o, s)} owes the floor of {o.object}, which comes first"
        found.append(Hold("busy", "Wait", "OtherIncident", message))
    if o.kind not in AT_ONCE and not (s.reading.state == "Cleared" and s.reading.fresh):
        what = "the old value is not put back" if o.kind == "ConfigBack" else "capacity is not taken away"
        what = "what was scaled down does not run again" if was_lowered(o) else what
        found.append(unsure(s.reading, f"{what} before the alert is surely gone: "))
    return found + (resizing.held(s, now) if o.kind == "ResourcesBack" else held_restart(o, s))


def held_restart(o: Obligation, s: Situation) -> list[Hold]:
    """What speaks against the restart that makes the target read the old value. It is waited for: also what would let a
    rung be passed over does not make us keep what is owed."""
    target = s.world.target
    if target is None or o.kind != "ConfigBack" or not _restart(o, s, ""):
        return []
    found = rolling_out(s) or disrupted(s.world, taken_at_once(Workload(target)))
    key = o.field.removeprefix("data[").removesuffix("]")
    why = f"the old value of {key} is read by a restart, which waits: "
    return [] if found is None else [replace(found, kind="Wait", message=why + found.message)]


def undo(o: Obligation, s: Situation, now: datetime) -> Step:
    """The step that pays it, or half of it: replicas go down by at most half in one write. An old value of a ConfigMap
    takes effect by a restart, as the new one did. What else of the same container is due comes back by the same one."""
    together = [o, *(other for other in _beside(o, s) if (due_at(other, s) or now) <= now)]
    name = record.next_step(s.status, "undo")
    token = naming.token(s.uid, name)
    again = _restart(o, s, token)
    message = " and ".join(in_words(one, next_value(one)) for one in together)
    message += f", and restart {s.spec.target}" if again else ""
    return Step(
        id=name,
        purpose="Undo",
        rung=s.status.rung,
        action="undo",
        token=token,
        intent_at=now,
        writes=[*(_back(one, s) for one in together), *again],
        message=record.cut(message),
    )


def _beside(o: Obligation, s: Situation) -> list[Obligation]:
    """What else is owed that comes back by the same rollout."""
    rest = [other for other in s.status.open_obligations() if other != o and other.object == o.object]
    return [other for other in rest if o.kind == other.kind == "ResourcesBack" and due_at(other, s) is not None]


def _back(o: Obligation, s: Situation) -> Write:
    """The write that puts it back. Of a template our token tells who wrote: an autoscaler writes the object, too."""
    if o.kind == "Remove":
        return removals.deletion(o)
    obj, main = live(s.world, o), s.world.touched[place(o.object.kind, o.object.namespace, o.object.name)]
    assert obj is not None, "examined() lets only live objects through"
    assert main is not None, "a live subresource has an object"
    return Write(
        verb="Patch",
        object=o.object,
        subresource=o.subresource,
        resource_version=str(metadata(obj).get("resourceVersion", "")),
        generation=None if o.kind == "ResourcesBack" else metadata(main).get("generation"),
        field=o.field,
        before=o.want,
        want=next_value(o),
    )


def _restart(o: Obligation, s: Situation, token: str) -> list[Write]:
    """The write after an old value that makes the target read it, where it does. Whoever else writes the object in
    between, it is made. With old resources it marks the template as ours."""
    target, key = s.world.target, o.field.removeprefix("data[").removesuffix("]")
    if target is None or metadata(target).get("uid") != s.spec.target.uid:
        return []
    before = value_at(target, RESTART)
    takes_effect = o.kind == "ResourcesBack" or (o.kind == "ConfigBack" and reads(target, o.object.name, key))
    if not takes_effect or len(before) > _LONGEST:
        return []
    pin = str(metadata(target).get("resourceVersion") or "")
    want = json.dumps(token)
    return [
        Write(verb="Patch", object=reference(target), resource_version=pin, field=RESTART, before=before, want=want)
    ]


def still_to_read(s: Situation, step: Step) -> list[Write]:
    """The restarts that make the target read the values that are there by us. No plan has them any more once somebody,
    be it another incident, has written another key of the ConfigMap: its token is another one by then."""
    ours = [o for o in _credible(s) if still_ours(o, s.world)]
    return [w for o in ours for w in _restart(o, s, naming.token(s.uid, step.id))]


def _credible(s: Situation) -> list[Obligation]:
    return [o for o in s.status.open_obligations() if not _not_ours_to_owe(o, s)]


def may_undo(write: Write, s: Situation, step: Step) -> bool:
    """Incidents are not trusted: whether an undo of what is owed, and is still ours, writes this; or the restart that
    follows a value of a ConfigMap."""
    if write.verb == "Remove":
        return removals.may_delete(write, s)
    owed = _credible(s)
    mine = [o for o in owed if still_ours(o, s.world) and keeper(o, s) is None]
    values = {(o.object.uid, o.subresource, o.field, next_value(o)) for o in mine}
    restarts = [w for o in owed for w in _restart(o, s, naming.token(s.uid, step.id))]
    allowed = values | {(w.object.uid, w.subresource, w.field, w.want) for w in restarts}
    return write.template is None and (write.object.uid, write.subresource, write.field, write.want) in allowed


def next_value(o: Obligation) -> str:
    """What the next undoing write sets: half-way back at most."""
    if o.kind == "ResourcesBack":
        return resizing.on_the_way(o.original, o.want)
    current = 0 if o.kind in (*AT_ONCE, "ConfigBack") else number(o.want)
    found = half_way(current, number(o.original))
    return o.original if found == number(o.original) else json.dumps(found)


def in_turn(o: Obligation, at: datetime) -> tuple[bool, datetime]:
    """Which comes first of those that are due: a ceiling last, for a floor must never be above it."""
    return o.kind == "CeilingBack", at


def paid(status: IncidentStatus, step: Step) -> IncidentStatus:
    """The undo has taken effect: the obligation is paid, or what is left of it stays open."""
    return _settled(status, step.writes, step.intent_at)


def _settled(status: IncidentStatus, writes: Iterable[Write], at: datetime) -> IncidentStatus:
    written = {(write.object, write.field): write for write in writes}

    def settle(o: Obligation) -> Obligation:
        write = written.get((o.object, o.field))
        if write is None:
            return o
        if write.want == o.original:
            return record.settled(o, "Paid", f"{o.field} of {o.object} is {o.original} again")
        return o.model_copy(update={"want": write.want, "due_at": at})

    return record.each_obligation(status, settle)


def not_yet_due(status: IncidentStatus) -> IncidentStatus:
    """The alert is back: half of it may be put back already, and the rest falls due after the next end."""
    return record.each_obligation(status, lambda o: o if o.kind in AT_ONCE else o.model_copy(update={"due_at": None}))


def lost(status: IncidentStatus, step: Step, message: str) -> IncidentStatus:
    """The undo met somebody else's value. Where only its restart did, the value itself is back; what was neither moved
    nor written is owed still."""
    moved = [write for write in step.writes if write.state == "Superseded"] or step.writes[:1]
    theirs = {(write.object, write.field) for write in moved}
    status = _settled(status, [write for write in step.writes if write.state == "Done"], step.intent_at)
    return record.each_obligation(
        status, lambda o: record.settled(o, "Lost", message) if (o.object, o.field) in theirs else o
    )


def voided(status: IncidentStatus, step: Step, message: str) -> IncidentStatus:
    """The step's writes that took no effect make us owe nothing more than before."""

    def settle(o: Obligation) -> Obligation:
        left = [w for w in step.writes if (w.object, w.field) == (o.object, o.field) and w.state != "Done"]
        if not left and only_planned(o, status, step):
            return o.model_copy(update={"due_at": step.intent_at})
        if not left or o.want != left[-1].want or o.kind == "Remove":  # the world shows whether it was made
            return o
        if left[0].before != o.original:  # it had taken over an older obligation, which stands; or it is half-way down
            return o.model_copy(update={"want": left[0].before})
        return record.settled(o, "Void", message)

    return record.each_obligation(status, settle)


def due_now(status: IncidentStatus, step: Step, now: datetime) -> IncidentStatus:
    """The step failed half-way: what it made us owe falls due at once, and so does the cordon that it built on."""
    touched = {(w.object, w.field) for w in step.writes}
    drained = step.action == "drain"

    def due(o: Obligation) -> Obligation:
        concerned = (o.object, o.field) in touched or (drained and o.kind == "Uncordon")
        return o.model_copy(update={"due_at": now}) if concerned else o

    return record.each_obligation(status, due)
