"""Which revision of Git was delivered to a workload, when, and who asked for it, as its GitOps tool says.

Labels and annotations of a workload are written by its team, and may name another team's Kustomization or Application.
So only what itself lists the workload among its own is believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import zip_longest

from goldseam.engine.objects import Json, metadata
from goldseam.engine.owners import application_of, kustomization_of


@dataclass(frozen=True)
class Delivered:
    """One revision that came after another."""

    at: datetime
    by: str
    """What delivered it: `Flux Kustomization apps/shop`, `Argo CD Application shop (jane)`."""
    revision: str
    before: str = ""
    """The revision before; empty where none is kept."""


def delivers(target: Json) -> tuple[str, str, str] | None:
    """Kind, namespace and name of the GitOps object that the workload says it comes from."""
    if found := kustomization_of(target):
        return ("Kustomization", *found)
    if found := application_of(target):
        return ("Application", *found)
    return None


def delivered(target: Json, git: Json | None) -> list[Delivered]:
    """The revisions that it keeps, the newest first; none where it does not list the workload."""
    if git is None or not _lists(git, target):
        return []
    status: Json = git.get("status") or {}
    entries = [*_argo(git, status)] if "resources" in status else [*_flux(git, status)]
    pairs = zip_longest(entries, entries[1:])
    return [
        replace(one, before=older.revision if older else "")
        for one, older in pairs
        if older is None or older.revision != one.revision  # of one that came twice, the first time
    ]


def _lists(git: Json, target: Json) -> bool:
    """Flux: `status.inventory`, by `namespace_name_group_kind`. Argo CD: `status.resources`."""
    meta, status = metadata(target), git.get("status") or {}
    group = str(target.get("apiVersion", "")).partition("/")[0]
    itself = [meta.get("namespace"), meta.get("name"), group, target.get("kind")]
    inventory = ((status.get("inventory") or {}).get("entries")) or ()
    listed = [[one.get(key) for key in ("namespace", "name", "group", "kind")] for one in status.get("resources") or ()]
    return itself in listed or "_".join(map(str, itself)) in [one.get("id") for one in inventory]


def _flux(git: Json, status: Json) -> Iterator[Delivered]:
    """`status.history` of Flux 2.7 and later, the newest first (fluxcd `pkg/apis/meta/history.go`). What is back keeps
    the time at which it came first."""
    by = f"Flux Kustomization {metadata(git).get('namespace')}/{metadata(git).get('name')}"
    for one in status.get("history") or ():
        revision = (one.get("metadata") or {}).get("revision", "")
        yield Delivered(datetime.fromisoformat(one["firstReconciled"]), by, str(revision))


def _argo(git: Json, status: Json) -> Iterator[Delivered]:
    """`status.history`, the newest last (argo-cd `pkg/apis/application/v1alpha1/types.go`, `RevisionHistory`)."""
    for one in reversed(status.get("history") or ()):
        person = (one.get("initiatedBy") or {}).get("username")
        by = f"Argo CD Application {metadata(git).get('name')}{f' ({person})' if person else ''}"
        revisions = one.get("revisions") or [one.get("revision", "")]
        yield Delivered(datetime.fromisoformat(one["deployedAt"]), by, ", ".join(map(str, revisions)))
