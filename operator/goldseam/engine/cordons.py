"""What stands on a node that Goldseam has cordoned: so that a person sees at night until when, and what then."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from goldseam.api.incident import IncidentStatus, ObjectRef, Obligation, Write
from goldseam.engine import out_of_service
from goldseam.engine.objects import Json, annotation, cordoned, cordoned_by_us

UNSCHEDULABLE = "spec.unschedulable"
DEADLINE = "goldseam.dev/drain-deadline"
"""The annotation that says until when the drain has time, in UTC."""
AT_DEADLINE = "goldseam.dev/at-deadline"
"""The annotation that says what then: `Uncordon` where it is not there."""
AT_DEADLINE_FIELD = f"metadata.annotations[{AT_DEADLINE}]"


def marks(writes: Iterable[Write], deadline_at: datetime | None) -> dict[str, str | None]:
    """The annotations that go with a request to a node, beside our token. With an uncordon they are taken away; with a
    cordon, too, as far as they are not set anew: those of an earlier one may have been left by whoever uncordoned."""
    writes = [write for write in writes if write.object.kind == "Node"]
    return _of_the_cordon(writes, deadline_at) | out_of_service.marks(writes)


def keeps_its_name(writes: Sequence[Write], node: Json | None) -> bool:
    """Whether the node goes on to tell whose drain was the last on it, for only a taint is taken away; or is set, where
    that drain may have left its cordon for people."""
    left = node is not None and may_be_left(node)
    return all(write.field == out_of_service.FIELD and (left or write.want == "null") for write in writes)


def _of_the_cordon(writes: Sequence[Write], deadline_at: datetime | None) -> dict[str, str | None]:
    if any(write.field == UNSCHEDULABLE and not json.loads(write.want) for write in writes):
        return {DEADLINE: None, AT_DEADLINE: None}
    old: dict[str, str | None] = {}
    if any(write.field == UNSCHEDULABLE for write in writes):
        old = {DEADLINE: None, AT_DEADLINE: None}
    if not writes or deadline_at is None:
        return old
    return old | {DEADLINE: deadline_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


_STAYS = " stays cordoned (atDeadline: LeaveCordoned)"


def left_with(node: ObjectRef, why: str) -> str:
    """What people are told of a node that is not uncordoned: first what to do, for the why may be long."""
    return f"{node}{_STAYS}: `kubectl uncordon {node.name}` once it is mended. Its drain has failed: {why}"


def left(status: IncidentStatus, target: Json | None) -> str:
    """That of the incident's node; empty where none was left cordoned, or somebody is seen to have uncordoned it."""
    if target is not None and not cordoned(target):
        return ""
    return next((o.message for o in reversed(left_cordons(status))), "")


def left_cordons(status: IncidentStatus) -> list[Obligation]:
    """What the incident owed, and has left to people, if it has not cordoned the node anew since."""
    last = {o.key: o for o in status.obligations if o.kind == "Uncordon"}
    return [o for o in last.values() if o.state == "Void" and _STAYS in o.message]


def may_be_left(node: Json) -> bool:
    """Whether our cordon is of a drain that leaves it for people, where it is not over at its deadline."""
    return cordoned_by_us(node) and annotation(node, AT_DEADLINE) == "LeaveCordoned"


def left_for_good(node: Json, now: datetime) -> bool:
    """Whether our cordon is to stay, as the node itself says: a drain was not over at its deadline, and its policy says
    `LeaveCordoned`. True also where no Incident tells of it any more."""
    if not may_be_left(node):
        return False
    try:
        return datetime.fromisoformat(annotation(node, DEADLINE) or "") <= now
    except (ValueError, TypeError):  # somebody wrote something else there, or a time without its zone
        return False
