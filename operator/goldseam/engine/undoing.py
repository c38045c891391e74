"""What is done to pay an obligation, for people."""

from __future__ import annotations

import json

from goldseam.api.incident import Obligation
from goldseam.engine import out_of_service, record, resizing


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


_UNDOING = {"ScaleBack": "scale", "FloorBack": "lower the floor of", "CeilingBack": "lower the maximum of"}
