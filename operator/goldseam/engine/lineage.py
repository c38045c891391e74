"""Did a write of ours take effect? Judged from the world, write by write (recovery)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from goldseam.api.incident import Obligation, Step, Write
from goldseam.engine.jobs import is_ours, made_by, suspended, title
from goldseam.engine.objects import FIELD_MANAGER, TOKEN, annotation, managers_of, metadata, value_at
from goldseam.engine.owners import GITOPS, yielded
from goldseam.engine.proposal import Json, Plan, Proposal, World, place


def live(world: World, item: Write | Obligation) -> Json | None:
    """The object that a write or obligation speaks of, if it is still the same one."""
    ref = item.object
    obj = world.touched.get(place(ref.kind, ref.namespace, ref.name, item.subresource))
    if obj is None or metadata(obj).get("uid") != ref.uid:
        return None
    return whole(obj) if item.subresource == "scale" else obj


def whole(scale: Json) -> Json:
    """A Scale with its zero, which the API server leaves out."""
    return {**scale, "spec": {"replicas": 0, **(scale.get("spec") or {})}}


def judged(step: Step, world: World) -> Step:
    """The step with the state of each write as the world shows it. What follows another write of the same field is not
    judged before that one is made."""
    writes: list[Write] = []
    for write in step.writes:
        judged_now = write.state == "Pending" and not waits_for(write, writes)
        writes.append(_judge(write, step.token, world) if judged_now else write)
    return step.model_copy(update={"writes": writes})


def waits_for(write: Write, earlier: Iterable[Write]) -> bool:
    """Whether one of the earlier writes, of the same field, is not made yet: a way down is made step by step."""
    return any(w.state != "Done" and _of_one_field(w, write) for w in earlier)


def last_of_each(writes: Sequence[Write]) -> list[Write]:
    """The writes without those after which another one sets the same field."""
    return [w for place, w in enumerate(writes) if not any(_of_one_field(w, later) for later in writes[place + 1 :])]


def _of_one_field(one: Write, other: Write) -> bool:
    return one.verb == other.verb == "Patch" and _field(one) == _field(other)


def _field(write: Write) -> tuple[str, str, str]:
    return write.object.uid, write.subresource, write.field


def _judge(write: Write, token: str, world: World) -> Write:
    if write.verb in ("Evict", "Delete", "Remove"):
        return _evicted(write, world)
    if write.verb == "Make":
        return _made(write, token, world)
    if write.verb == "Create":
        return _created(write, token, world)
    obj = live(world, write)
    if obj is None:
        return _superseded(write, f"{write.object} is gone or was replaced")
    value, marks = value_at(obj, write.field), bool(token) and not write.subresource
    unchanged = marks and write.before == write.want  # then only our mark tells that it was made
    marked = marks and annotation(obj, TOKEN) == token
    if unchanged and not marked:  # what it is besides is of no account
        write = write.model_copy(update={"before": value})
    if (value == write.want and not unchanged) or marked:
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


def _made(write: Write, token: str, world: World) -> Write:
    """Done once it is there with our mark. Its name is the step's: it is never made beside another one."""
    ref = write.object
    obj = world.touched.get(place(ref.kind, ref.namespace, ref.name))
    if obj is None:
        return write
    if not token or annotation(obj, TOKEN) != token:
        return _superseded(write, f"{ref} was made by somebody else")
    return write.model_copy(update={"state": "Done", "message": ""})


NOT_LEASED = "the lease of "
"""How the message begins of a write that was not tried, for the node's Medik8s lease could not be had."""
SPARED = "it stays: "
"""How the message begins of what was written down and needed not be done any more."""


def spared(step: Step, plan: Plan | None) -> Step:
    """The step without the evictions, of those that were not made yet, that would not be planned any more; and with how
    that went which its patches have begun."""
    step = _coursed(step, plan)
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


def _coursed(step: Step, plan: Plan | None) -> Step:
    courses = plan.turn.courses if plan is not None else {}

    def told(write: Write) -> Write:
        said = courses.get(write.object.uid, "") if write.verb == "Patch" and write.state == "Done" else ""
        return write.model_copy(update={"message": said[:512]}) if said else write

    return step.model_copy(update={"writes": [told(write) for write in step.writes]}) if courses else step


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

    Who applies the very value that we wrote owns it too, and means to keep it; but for a GitOps tool that was told to
    leave the field alone: it applies whatever is there (Flux `docs/spec/v1/kustomizations.md`, Ignore Rules, "Adopt").
    A number of replicas that nobody owned before, for it is a default and in no manifest, or that was zero once, nobody
    owns after a write by `/scale` either: of that the API server keeps no record (kubernetes
    `apimachinery/pkg/util/managedfields`: `scalehandler.go`, `internal/skipnonapplied.go`): the value alone tells.
    """
    ref = obligation.object
    obj, main = live(world, obligation), world.touched.get(place(ref.kind, ref.namespace, ref.name))
    if obj is None or main is None or value_at(obj, obligation.field) != obligation.want:
        return False
    if obligation.kind == "Untaint":  # taints have one owner together, and many writers: its time says whose it is
        return True
    owners = {manager for manager, _, _ in managers_of(main, obligation.field)}
    if not owners and obligation.subresource == "scale":
        return bool(metadata(main).get("managedFields"))
    return owners - (GITOPS if yielded(main) else set()) == {FIELD_MANAGER}


def as_json(value: object) -> str:
    """A value as it is kept in `before` and `want`."""
    return json.dumps(value, sort_keys=True)
