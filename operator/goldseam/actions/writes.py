"""How a write and what it makes us owe are put down: the pins of the object that was seen, and the value before."""

from __future__ import annotations

from goldseam.api.incident import ObjectRef, Obligation, Write
from goldseam.api.outcomes import ObligationKind
from goldseam.engine.objects import Json, metadata, value_at

EVICTION = "Pod/eviction"
"""What an eviction writes, as an action declares it."""


def patch(ref: ObjectRef, obj: Json, field: str, want: str, scale: Json | None = None) -> Write:
    """Set one field of an object, or of its `/scale`.

    A Scale has the uid and the resourceVersion of its object, but neither generation nor managedFields: the object's
    generation tells whether somebody wrote since.
    """
    seen = obj if scale is None else scale
    return Write(
        verb="Patch",
        object=ref,
        subresource="" if scale is None else "scale",
        resource_version=str(metadata(seen).get("resourceVersion") or ""),
        generation=metadata(obj).get("generation"),
        field=field,
        before=value_at(seen, field),
        want=want,
    )


def owed(kind: ObligationKind, write: Write, original: str) -> Obligation:
    """What the write makes us owe: the field as it was."""
    return Obligation(
        key=f"{write.object.uid}:{write.field}",
        kind=kind,
        object=write.object,
        subresource=write.subresource,
        field=write.field,
        original=original,
        want=write.want,
    )


def unnumbered(write: Write) -> Write:
    """Without the generation: an autoscaler may write the target in between, and only our token tells of this write."""
    return write.model_copy(update={"generation": None})
