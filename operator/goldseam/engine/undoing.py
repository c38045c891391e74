"""What is done to pay an obligation, for people."""

from __future__ import annotations

import json

from goldseam.api.incident import IncidentStatus, Obligation, Write
from goldseam.engine import out_of_service, record, resizing
from goldseam.engine.cordons import UNSCHEDULABLE


def in_words(o: Obligation, want: str) -> str:
    """What is done to set the value that is wanted: `uncordon Node worker-1`."""
    if o.kind == "Untaint":
        return f"take the taint {out_of_service.KEY} away from {o.object}"
    if o.kind in ("Uncordon", "Remove"):
        return f"{'uncordon' if o.kind == 'Uncordon' else 'delete'} {o.object}"
    if o.kind == "ConfigBack":
        key, object_ = o.field.removeprefix("data[").removesuffix("]"), o.object
        if want == "null":
            return f"take {key} out of {object_} again"
        return f"put {key} of {object_} back to {record.cut(want, 100)}"
    if o.kind == "ResourcesBack":
        return f"lower {resizing.title(o.field)} from {json.loads(o.want)} to {json.loads(want)}"
    return f"{_UNDOING[o.kind]} {o.object} back from {o.want} to {want}" + (
        "" if want == o.original else f", on the way to {o.original}"
    )


def not_accepted(status: IncidentStatus) -> str:
    """Which undo is under way, was tried and is not made, and what the API server answered last, or that it gave no
    answer; empty where there is none."""
    step, write = status.open_step(), _tried(status)
    return f"{record.cut(step.message, 200)}: not accepted: {write.message}" if step and write else ""


def by_hand(status: IncidentStatus) -> str:
    """The command that does what was not accepted; empty where the words say as much."""
    write = _tried(status)
    return _COMMANDS[write.field].format(write.object.name) if write and write.field in _COMMANDS else ""


def _tried(status: IncidentStatus) -> Write | None:
    step = status.open_step()
    writes = step.writes if step is not None and step.purpose == "Undo" else ()
    return next((write for write in writes if write.state == "Pending" and write.message), None)


_COMMANDS = {
    UNSCHEDULABLE: "kubectl uncordon {}",
    out_of_service.FIELD: f"kubectl taint node {{}} {out_of_service.KEY}-",
}
_UNDOING = {"ScaleBack": "scale", "FloorBack": "lower the floor of", "CeilingBack": "lower the maximum of"}
