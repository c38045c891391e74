"""Did a write of ours take effect? Judged from the world, write by write (recovery)."""

from __future__ import annotations

import json

from goldseam.api.incident import Obligation, Step, Write
from goldseam.engine.jobs import is_ours, made_by, suspended, title
from goldseam.engine.objects import FIELD_MANAGER, TOKEN, annotation, managers_of, metadata, value_at
from goldseam.engine.proposal import Json, Plan, Proposal, World, place


def live(world: World, item: Write | Obligation) -> Json | None:
    """The object that a write or obligation speaks of, if it is still the same one."""
    ref = item.object
    obj = world.touched.get(place(ref.kind, ref.namespace, ref.name, item.subresource))
    return obj if obj is not None and metadata(obj).get("uid") == ref.uid else None


def judged(step: Step, world: World) -> Step:
    """The step with the state of each write as the world shows it."""
    writes = [_judge(write, step.token, world) if write.state == "Pending" else write for write in step.writes]
    return step.model_copy(update={"writes": writes})


def _judge(write: Write, token: str, world: World) -> Write:
    if write.verb == "Evict":
        return _evicted(write, world)
    if write.verb == "Create":
        return _created(write, token, world)
    obj = live(world, write)
    if obj is None:
        return _superseded(write, f"{write.object} is gone or was replaced")
    value = value_at(obj, write.field)
    if value == write.want or (not write.subresource and annotation(obj, TOKEN) == token and token):
        return write.model_copy(update={"state": "Done"}) if value == write.want else _moved(write, obj, value)
    if value == write.before and (not write.resource_version or _nobody_wrote(write, obj, world)):
        return write.model_copy(
            update={
                "resource_version": metadata(obj).get("resourceVersion", ""),
                "generation": _generation(write, world),
            }
        )
    return _moved(write, obj, value)


def _evicted(write: Write, world: World) -> Write:
    pod = live(world, write)
    if pod is None or metadata(pod).get("deletionTimestamp"):
        return write.model_copy(update={"state": "Done", "message": ""})
    return write


def _created(write: Write, token: str, world: World) -> Write:
    """Its uid is in `before` once it was seen; from then on it is never made again. Done when it was released."""
    job = made_by(write, world)
    if job is None and not write.before:
        return write
    if job is not None and not is_ours(job, write, token):
        return _superseded(write, f"{title(write)} was made by somebody else")
    if job is None or write.before not in ("", json.dumps(metadata(job).get("uid"))):
        return _superseded(write, f"{title(write)} is gone, and whether it ran is not known: it is not made again")
    seen = {"before": json.dumps(metadata(job)["uid"]), "resource_version": metadata(job).get("resourceVersion", "")}
    return write.model_copy(update=seen if suspended(job) else {**seen, "state": "Done", "message": ""})


SPARED = "it stays: "
"""How the message begins of what was written down and needed not be done any more."""


def spared(step: Step, plan: Plan | None) -> Step:
    """The step without the evictions, of those that were not made yet, that would not be planned any more."""
    if plan is None or plan.evictable is None:
        return step
    most = plan.evicts_at_most if isinstance(plan, Proposal) else 0
    left = most - sum(was_evicted(write) for write in step.writes)
    writes = []
    for write in step.writes:
        if write.verb == "Evict" and write.state == "Pending":
            stays = write.object.uid not in plan.evictable or left <= 0
            left -= not stays
            write = _stays(write, "it would not be evicted any more") if stays else write
        writes.append(write)
    return step.model_copy(update={"writes": writes})


def without_the_rest(step: Step, why: str) -> Step:
    """The step, of which nothing more is done."""
    return step.model_copy(update={"writes": [_stays(w, why) if w.state == "Pending" else w for w in step.writes]})


def _stays(write: Write, why: str) -> Write:
    return write.model_copy(update={"state": "Done", "message": f"{SPARED}{why}"[:512]})


def was_spared(write: Write) -> bool:
    """Whether the write needed not be made any more."""
    return write.state == "Done" and write.message.startswith(SPARED)


def was_evicted(write: Write) -> bool:
    """Whether it was an eviction that was made."""
    return write.verb == "Evict" and write.state == "Done" and not was_spared(write)


def _main_object(write: Write | Obligation, world: World) -> Json | None:
    ref = write.object
    return world.touched.get(place(ref.kind, ref.namespace, ref.name))


def _generation(write: Write, world: World) -> int | None:
    obj = _main_object(write, world)
    return None if write.generation is None or obj is None else int(metadata(obj).get("generation") or 0)


def _nobody_wrote(write: Write, obj: Json, world: World) -> bool:
    """The generation tells, where the object has one; else our token's absence, which was checked before."""
    return write.generation is None or write.generation == _generation(write, world)


def _moved(write: Write, obj: Json, value: str) -> Write:
    who = last_writer(obj, write.field)
    return _superseded(write, f"{who or 'somebody'} set {write.field} of {write.object} to {value[:80]}")


def _superseded(write: Write, message: str) -> Write:
    return write.model_copy(update={"state": "Superseded", "message": message[:512]})


def last_writer(obj: Json, field: str) -> str:
    """Who owns the field beside us, by the object's managedFields; empty where nobody else is seen."""
    return ", ".join(sorted({manager for manager, _, _ in managers_of(obj, field)} - {FIELD_MANAGER}))


def reverted_by(item: Write | Obligation, world: World) -> str:
    """Who changed a field that we had written, as far as its object tells; a Scale has no managedFields of its own."""
    main = _main_object(item, world)
    return (last_writer(main, item.field) if main is not None else "") or "somebody"


def still_ours(obligation: Obligation, world: World) -> bool:
    """Whether the field holds what we wrote, and nobody beside us owns it (not a Scale, its object has managedFields).

    Who applies the very value that we wrote owns it too, and means to keep it.
    """
    ref = obligation.object
    obj, main = live(world, obligation), world.touched.get(place(ref.kind, ref.namespace, ref.name))
    if obj is None or main is None or value_at(obj, obligation.field) != obligation.want:
        return False
    return {manager for manager, _, _ in managers_of(main, obligation.field)} == {FIELD_MANAGER}


def as_json(value: object) -> str:
    """A value as it is kept in `before` and `want`."""
    return json.dumps(value, sort_keys=True)
