"""When a workload's pods were given another template, as the revisions that its controller keeps tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from goldseam.engine.objects import TOKEN, Json, annotation, as_managed, controlled_by, metadata, steps_of

TEMPLATE = "spec.template"
NUMBER = "deployment.kubernetes.io/revision"
HASH_LABEL = "pod-template-hash"
_AGAIN = "deployment.kubernetes.io/revision-history"
_AT_ONCE = timedelta(seconds=2)


@dataclass(frozen=True)
class Rollout:
    """The workload's pods were given another template."""

    at: datetime | None
    """When. A revision of a Deployment that was taken up again, as by `kubectl rollout undo`, says only when at the
    latest; None where not even that is known."""
    before: Json | None
    """The template before; None where no revision tells."""
    after: Json

    @property
    def ours(self) -> bool:
        """Whether only our own restart's mark is another one."""
        return self.before is not None and self.before == self.after

    def since(self, begin: datetime) -> bool:
        """Whether it was, or may have been, since then."""
        return self.at is None or self.at >= begin


def rollouts(target: Json, revisions: Iterable[Json]) -> list[Rollout]:
    """What the ReplicaSets of a Deployment, or the ControllerRevisions of another workload, tell; oldest first.

    A revision is created when its template is first rolled out. One that comes back later keeps its creation and is
    given the next number (kubernetes `SetNewReplicaSetAnnotations`, `UpdateControllerRevision`).
    """
    uid = metadata(target).get("uid")
    mine = [r for r in revisions if controlled_by(r, uid)]
    mine.sort(key=lambda r: (_created(r), _number(r)))
    found = [_first(mine, place) for place in range(len(mine))]
    current = max(mine, key=_number, default=None)
    if current is not None and _is_back(current):
        older = max((r for r in mine if r is not current), key=_number, default=None)
        before = _template(older) if older is not None else None
        found.append(Rollout(_last_written(target, current), before, _template(current)))
    return found


def _first(revisions: Sequence[Json], place: int) -> Rollout:
    one = revisions[place]
    lower = [r for r in revisions if _number(r) < _number(one)]
    older = max(lower, key=_number) if lower else revisions[place - 1] if place else None
    return Rollout(_created(one), _template(older) if older is not None else None, _template(one))


def _is_back(current: Json) -> bool:
    """Whether the revision was rolled out before, and was taken up again."""
    if "data" not in current:
        return bool(annotation(current, _AGAIN))
    last = _last_written({}, current)  # of a ControllerRevision nothing but the number is ever written again
    return last is None or last - _created(current) > _AT_ONCE


def _last_written(target: Json, current: Json) -> datetime | None:
    found = written(current) if "data" in current else written(target, TEMPLATE)
    times = [at for at, _ in found]
    return None if None in times else max((at for at in times if at is not None), default=None)


def written(obj: Json, path: str = "", subresource: str = "") -> Iterator[tuple[datetime | None, str]]:
    """Who wrote fields at or below `path`, and when last: the entries of managedFields (KEP-555).

    An entry's time is that of the manager's last change to any field that is its own: a later one of another field
    hides it. Our own mark on a template is no change.
    """
    for entry in metadata(obj).get("managedFields") or []:
        current: Any = entry.get("fieldsV1") or {}
        for key in steps_of(path):
            current = current.get(as_managed(key)) if isinstance(current, dict) else None
        if current is None or str(entry.get("subresource") or "") != subresource or _is_our_mark(current):
            continue
        at = entry.get("time")
        yield (None if at is None else datetime.fromisoformat(str(at))), str(entry.get("manager") or "")


def _is_our_mark(fields: Any) -> bool:
    """Whether of a template the manager owns our mark, and nothing else."""
    return set(_leaves(fields)) == {f"f:metadata/f:annotations/f:{TOKEN}"}


def _leaves(fields: Any, path: str = "") -> Iterator[str]:
    for key, below in fields.items() if isinstance(fields, dict) else ():
        if key != ".":
            yield from _leaves(below, f"{path}/{key}") if below else (f"{path}/{key}"[1:],)


def _created(revision: Json) -> datetime:
    return datetime.fromisoformat(str(metadata(revision)["creationTimestamp"]))


def _number(revision: Json) -> int:
    text = str(revision["revision"]) if "data" in revision else annotation(revision, NUMBER) or ""
    return int(text) if text.isascii() and text.isdecimal() else 0


def _template(revision: Json) -> Json:
    """The revision's template, without what its controller and our restarts add to it."""
    found = ((revision.get("data") or revision).get("spec") or {}).get("template") or {}
    meta = metadata(found)
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH_LABEL}
    marks = {key: value for key, value in (meta.get("annotations") or {}).items() if key != TOKEN}
    return {"labels": labels, "annotations": marks, "spec": found.get("spec") or {}}
