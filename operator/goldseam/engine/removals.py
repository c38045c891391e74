"""What was made by `template` is taken away again: an obligation of kind `Remove`.

It is owed from before the object is made, so that none is left behind. Its uid is put down as soon as the object was
seen; from then on it is that very object, or none.
"""

from __future__ import annotations

from datetime import timedelta

from goldseam.api.incident import Obligation, Write
from goldseam.engine import naming, record
from goldseam.engine.objects import metadata
from goldseam.engine.situation import Situation
from goldseam.engine.templates import ACTION, found, is_ours, named, token_of

LATE = timedelta(seconds=30)
"""How long a request that got no answer may take effect afterwards: the API server gives up on one long before."""


def examined(o: Obligation, s: Situation) -> Obligation:
    """The obligation as the world shows it. Neither `resolve.revert` nor the alert has a say: `keep` says it."""
    if not _could_be_ours(o, s):
        return record.settled(o, "Void", "not one that Goldseam could owe: no step of this incident makes it")
    if s.unknown:
        return o
    obj = found(s.world, o.object)
    if obj is None or (o.object.uid and metadata(obj).get("uid") != o.object.uid):
        return o if not o.object.uid and _may_come(o, s) else _gone(o, s, "is gone")
    if not is_ours(obj, token_of(o.object)):
        state = "Lost" if o.object.uid else "Void"
        return record.settled(o, state, f"{o.object} does not carry the step's mark (any more): it is left alone")
    if metadata(obj).get("deletionTimestamp"):
        return _gone(o, s, "is being deleted")
    if o.object.uid:
        return o
    return o.model_copy(update={"object": o.object.model_copy(update={"uid": str(metadata(obj)["uid"])})})


def _could_be_ours(o: Obligation, s: Situation) -> bool:
    """Incidents are not trusted: whether one of this incident's steps is the one by which it is named. A step may be
    left out of the record by now."""
    last = max((int(step.id.split("-", 1)[0]) for step in s.status.steps), default=0)
    tokens = (naming.token(s.uid, naming.step_id(number, ACTION)) for number in range(1, last + 1))
    return bool(o.resource) and o.object.name in {named(token) for token in tokens}


def _may_come(o: Obligation, s: Situation) -> bool:
    """Whether a step is about to make it, or one that has ended got no answer and may have made it a moment later."""
    for step in s.status.steps:
        for write in step.writes:
            if write.verb == "Make" and write.object.name == o.object.name and write.state == "Pending":
                late = step.ended_at is not None and s.world.now - step.ended_at < LATE
                return step.phase == "Intended" or (late and bool(write.message))
    return False


def _gone(o: Obligation, s: Situation, how: str) -> Obligation:
    ours = any(w.verb == "Remove" and w.object == o.object for step in s.status.steps for w in step.writes)
    return record.settled(o, "Paid" if ours else "Void", f"{o.object} {how}")


def deletion(o: Obligation) -> Write:
    """The write that takes it away."""
    return Write(verb="Remove", object=o.object, resource=o.resource, before=o.want, want=o.original)


def may_delete(write: Write, s: Situation) -> bool:
    """Whether that object is owed to be taken away, and is the one that was made."""
    owed = (o for o in s.status.open_obligations() if o.kind == "Remove")
    mine = any((o.object, o.resource) == (write.object, write.resource) and _could_be_ours(o, s) for o in owed)
    obj = found(s.world, write.object)
    return mine and obj is not None and is_ours(obj, token_of(write.object))
