"""What must be undone later: when it falls due, what is written to undo it, and when it is not ours any more."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime

from goldseam.api.incident import ENDED, IncidentStatus, Obligation, ObligationKind, Step, Write
from goldseam.engine import naming, record
from goldseam.engine.config import reads, value_of
from goldseam.engine.guards.hold import Hold
from goldseam.engine.guards.knowledge import unsure
from goldseam.engine.guards.order import BEFORE_UNDOING, holding
from goldseam.engine.lineage import live, reverted_by, still_ours
from goldseam.engine.objects import RESTART, metadata, reference, value_at
from goldseam.engine.proposal import World, place
from goldseam.engine.situation import Other, Situation


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
    if s.status.phase in ENDED and o.kind != "Uncordon" and not s.pinned.resolve.revert:
        return record.settled(o, "Void", f"{o.object} keeps {o.field}={o.want}: resolve.revert is false")
    if heir := _heir(o, s):
        return record.settled(o, "Void", f"Incident {heir.name} has taken it over")
    if why := _not_ours_to_owe(o, s):
        return record.settled(o, "Void", f"not one that Goldseam could owe: {why}")
    obj = live(s.world, o)
    if obj is None:
        return record.settled(o, "Void", f"{o.object} is gone or was replaced") if not s.unknown else o
    if value_at(obj, o.field) == o.original and (_undone_by_us(o, s) or not _active(s) or o.due_at is not None):
        return record.settled(o, "Paid", f"{o.field} of {o.object} is {o.original} again")
    if not still_ours(o, s.world) or _needed_by_somebody(o, s):
        return record.settled(o, "Lost", _lost(o, s.world))
    return o


_LONGEST = 512
"""Characters of a value that an Incident keeps."""
WORKED_ON = ("Investigating", "AwaitingApproval", "Fixing", "Monitoring")
"""Phases in which a value that somebody else has changed means that people take over."""

FLOOR, CEILING = "spec.minReplicas", "spec.maxReplicas"
FIELDS: Mapping[ObligationKind, frozenset[tuple[str, str, str]]] = {
    "ScaleBack": frozenset((kind, "scale", "spec.replicas") for kind in ("Deployment", "StatefulSet", "Rollout")),
    "FloorBack": frozenset(
        {("HorizontalPodAutoscaler", "", FLOOR), ("ScaledObject", "", "spec.minReplicaCount")},
    ),
    "CeilingBack": frozenset({("HorizontalPodAutoscaler", "", CEILING)}),
    "ConfigBack": frozenset(),
    "Uncordon": frozenset({("Node", "", "spec.unschedulable")}),
}
"""What an obligation of each kind may touch: kind, subresource, field. The policy says which key of a ConfigMap."""


def _not_ours_to_owe(o: Obligation, s: Situation) -> str:
    """Incidents are not trusted: why this obligation is not one that our own actions bring; empty when it is."""
    may = {("ConfigMap", "", o.field)} if o.kind == "ConfigBack" and _asked_for(o, s) else FIELDS[o.kind]
    if (o.object.kind, o.subresource, o.field) not in may:
        return f"{o.kind} does not touch {o.field} of a {o.object.kind}"
    if (o.object.namespace or s.operator_namespace) != s.namespace:
        return f"{o.object} is not in the Incident's namespace"
    if o.kind == "Uncordon":
        return "" if (o.original, o.want) in (("null", "true"), ("false", "true")) else "that is no cordon"
    if o.kind == "ConfigBack":
        return ""
    least = 0 if o.object.kind == "ScaledObject" else 1  # KEDA's floor may be zero, which is its default, too
    original, want = least if least == 0 and o.original == "null" else _number(o.original), _number(o.want)
    return "" if least <= original <= want and want > 0 else f"{o.original} is not between {least} and {o.want}"


def _asked_for(o: Obligation, s: Situation) -> bool:
    """Whether the policy, as it was pinned, sets this key of this ConfigMap. Which value is no matter here: it may be
    that of an older incident, whose debt this one has taken over."""
    asked = [rung.patch_config for rung in s.pinned.ladder if rung.patch_config is not None]
    return (o.object.name, o.field) in [(a.config_map, value_of(a.key)) for a in asked]


def _number(text: str) -> int:
    """The number, or -1."""
    try:
        value = json.loads(text)
    except ValueError:
        return -1
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _floor_above(o: Obligation, s: Situation) -> bool:
    """Whether the ceiling cannot come back, for the floor is above it."""
    return o.kind == "CeilingBack" and _number(value_at(live(s.world, o), FLOOR)) > _number(o.original)


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
    """The incident that owes the field now: the one whose value is there, for it was written last.

    Where both owe the same value (the later write was refused, and the older debt stands), the smaller uid keeps it.
    """
    obj = live(s.world, mine)
    there = None if obj is None else value_at(obj, mine.field)
    for other in s.others:
        if other.uid == s.uid or (mine.want == there and other.uid > s.uid):
            continue
        if any(o.key == mine.key and o.state == "Open" and o.want == there for o in other.obligations):
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
    if o.due_at is not None:
        return o.due_at
    if s.status.phase == "Abandoned":
        return s.status.kpis.detected_at
    resolved = s.status.kpis.resolved_at
    if s.status.phase != "Resolved" or resolved is None:
        return None
    return resolved if o.kind == "Uncordon" else resolved + s.pinned.resolve.revert_after


def holds(o: Obligation, s: Situation, now: datetime) -> list[Hold]:
    """Why it is not paid now."""
    found = holding(BEFORE_UNDOING, s, now)
    rival = next((x for x in s.others if x.busy and x.uid != s.uid and x.target_uid == s.spec.target.uid), None)
    if rival is not None:
        found.append(Hold("busy", "Wait", "OtherIncident", f"Incident {rival.name} is acting on the target"))
    if _floor_above(o, s):
        message = f"Incident {_owing_the_floor(o, s)} owes the floor of {o.object}, which comes first"
        found.append(Hold("busy", "Wait", "OtherIncident", message))
    if o.kind != "Uncordon" and not (s.reading.state == "Cleared" and s.reading.fresh):
        what = "the old value is not put back" if o.kind == "ConfigBack" else "capacity is not taken away"
        found.append(unsure(s.reading, f"{what} before the alert is surely gone: "))
    return found


def undo(o: Obligation, s: Situation, now: datetime) -> Step:
    """The step that pays it, or half of it: replicas go down by at most half in one write. An old value of a ConfigMap
    takes effect by a restart, as the new one did."""
    obj, main = live(s.world, o), s.world.touched[place(o.object.kind, o.object.namespace, o.object.name)]
    assert obj is not None, "examined() lets only live objects through"
    assert main is not None, "a live subresource has an object"
    want = next_value(o)
    write = Write(
        verb="Patch",
        object=o.object,
        subresource=o.subresource,
        resource_version=str(metadata(obj).get("resourceVersion", "")),
        generation=metadata(main).get("generation"),
        field=o.field,
        before=o.want,
        want=want,
    )
    name = record.next_step(s.status, "undo")
    token = naming.token(s.uid, name)
    again = _restart(o, s, token)
    message = _undoing(o, want) + (f", and restart {s.spec.target}" if again else "")
    return Step(
        id=name,
        purpose="Undo",
        rung=s.status.rung,
        action="undo",
        token=token,
        intent_at=now,
        writes=[write, *again],
        message=record.cut(message),
    )


def _restart(o: Obligation, s: Situation, token: str) -> list[Write]:
    """The write after an old value that makes the target read it, where it does. Whoever else writes the object in
    between, it is made: a rollout that hangs is no reason to keep a value that may be its cause."""
    target, key = s.world.target, o.field.removeprefix("data[").removesuffix("]")
    if o.kind != "ConfigBack" or target is None or metadata(target).get("uid") != s.spec.target.uid:
        return []
    before = value_at(target, RESTART)
    if not reads(target, o.object.name, key) or len(before) > _LONGEST:
        return []
    pin = str(metadata(target).get("resourceVersion") or "")
    want = json.dumps(token)
    return [
        Write(verb="Patch", object=reference(target), resource_version=pin, field=RESTART, before=before, want=want)
    ]


def may_undo(write: Write, s: Situation, step: Step) -> bool:
    """Incidents are not trusted: whether an undo of what is owed, and is still ours, writes this; or the restart that
    follows a value of a ConfigMap."""
    owed = [o for o in s.status.open_obligations() if not _not_ours_to_owe(o, s)]
    values = {(o.object.uid, o.subresource, o.field, next_value(o)) for o in owed if still_ours(o, s.world)}
    restarts = [w for o in owed for w in _restart(o, s, naming.token(s.uid, step.id))]
    allowed = values | {(w.object.uid, w.subresource, w.field, w.want) for w in restarts}
    return write.template is None and (write.object.uid, write.subresource, write.field, write.want) in allowed


def _undoing(o: Obligation, want: str) -> str:
    if o.kind == "Uncordon":
        return f"uncordon {o.object}"
    if o.kind == "ConfigBack":
        key, object_ = o.field.removeprefix("data[").removesuffix("]"), o.object
        if want == "null":
            return f"take {key} out of {object_} again"
        return f"put {key} of {object_} back to {record.cut(want, 100)}"
    return f"{_UNDOING[o.kind]} {o.object} back from {o.want} to {want}" + (
        "" if want == o.original else f", on the way to {o.original}"
    )


_UNDOING = {"ScaleBack": "scale", "FloorBack": "lower the floor of", "CeilingBack": "lower the maximum of"}


def next_value(o: Obligation) -> str:
    """What the next undoing write sets: half-way back at most. Half of one is one: from there it is the original."""
    current = 0 if o.kind in ("Uncordon", "ConfigBack") else _number(o.want)
    half = math.ceil(current / 2)
    return o.original if half >= current or half <= _number(o.original) else json.dumps(half)


def in_turn(o: Obligation, at: datetime) -> tuple[bool, datetime]:
    """Which comes first of those that are due: a ceiling last, for a floor must never be above it."""
    return o.kind == "CeilingBack", at


def paid(status: IncidentStatus, step: Step) -> IncidentStatus:
    """The undo has taken effect: the obligation is paid, or what is left of it stays open."""
    write = step.writes[0]

    def settle(o: Obligation) -> Obligation:
        if (o.object, o.field) != (write.object, write.field):
            return o
        if write.want == o.original:
            return record.settled(o, "Paid", f"{o.field} of {o.object} is {o.original} again")
        return o.model_copy(update={"want": write.want, "due_at": step.intent_at})

    return record.each_obligation(status, settle)


def not_yet_due(status: IncidentStatus) -> IncidentStatus:
    """The alert is back: half of it may be put back already, and the rest falls due after the next end."""
    return record.each_obligation(
        status, lambda o: o if o.kind == "Uncordon" else o.model_copy(update={"due_at": None})
    )


def lost(status: IncidentStatus, step: Step, message: str) -> IncidentStatus:
    """The undo met somebody else's value. Where only its restart did, the value itself is back."""
    write = step.writes[0]
    if write.state == "Done":
        return paid(status, step)
    return record.each_obligation(
        status,
        lambda o: record.settled(o, "Lost", message) if (o.object, o.field) == (write.object, write.field) else o,
    )


def voided(status: IncidentStatus, step: Step, message: str) -> IncidentStatus:
    """The step's writes that took no effect make us owe nothing more than before."""
    untouched = {(w.object, w.field): w for w in step.writes if w.state != "Done"}

    def settle(o: Obligation) -> Obligation:
        write = untouched.get((o.object, o.field))
        if write is None or o.want != write.want:
            return o
        if write.before != o.original:  # it had taken over an older obligation, which stands
            return o.model_copy(update={"want": write.before})
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
