"""The operator's own pods: which they are, and whether one can take over from another."""

from __future__ import annotations

from collections.abc import Iterable

from goldseam.engine.objects import Json, is_ready, metadata

LABEL, VALUE = "app.kubernetes.io/name", "goldseam"
"""The label of the operator's pods, in whatever namespace it was installed."""
SELECTOR = f"{LABEL}={VALUE}"


def is_ours(pod: Json) -> bool:
    """Whether it is one of the operator's own pods."""
    return bool((metadata(pod).get("labels") or {}).get(LABEL) == VALUE)


def stand_ins(pod: Json, ours: Iterable[Json]) -> list[str]:
    """The names of those of the operator's pods that can lead when this one goes: ready, on another node."""
    where = (pod.get("spec") or {}).get("nodeName")
    return sorted(
        str(metadata(other).get("name"))
        for other in ours
        if is_ours(other)
        and metadata(other).get("namespace") == metadata(pod).get("namespace")
        and is_ready(other)
        and not metadata(other).get("deletionTimestamp")
        and (other.get("spec") or {}).get("nodeName") not in (None, "", where)
    )
