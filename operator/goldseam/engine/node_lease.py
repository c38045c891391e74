"""The lease by which Medik8s operators, and we, keep from working on a node at the same time.

Source: medik8s/common `pkg/lease/manager.go`: a Lease in one namespace for all of them, named by kind and node. Anybody
may take one that is not valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from goldseam.engine.objects import Json

NAMESPACE = "medik8s-leases"
HOLDER = "goldseam"
LASTS = timedelta(hours=1)
"""For how long it is taken. It lapses by itself: whoever waits for it waits no longer than that for one that died."""


@dataclass(frozen=True)
class Held:
    """Somebody has it."""

    by: str
    until: datetime


def name_of(node: str) -> str:
    """The lease's name."""
    return f"node-{node}".lower()


def closed(lease: str) -> str:
    """That Goldseam has no right to the leases, and what to do about it."""
    return (
        f"namespace {NAMESPACE} exists, and {lease} may not be read: bind ClusterRole goldseam-medik8s there (component"
        " medik8s of deploy/kustomize)"
    )


def held(lease: Json | None, now: datetime) -> Held | None:
    """Who has it now. Unlike there, one that was renewed in the future counts: our clock may be late."""
    spec = (lease or {}).get("spec") or {}
    renewed, lasts = spec.get("renewTime"), spec.get("leaseDurationSeconds")
    if not renewed or not lasts:
        return None
    until = datetime.fromisoformat(str(renewed)) + timedelta(seconds=int(lasts))
    return Held(str(spec.get("holderIdentity") or "somebody"), until) if until >= now else None


def by_another(lease: Json | None, now: datetime) -> Held | None:
    """Who else has it."""
    found = held(lease, now)
    return found if found is not None and found.by != HOLDER else None
