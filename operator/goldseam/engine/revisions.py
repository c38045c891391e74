"""Former templates of a workload: which there are, when they came, and the patch that brings one back.

A Deployment keeps them in ReplicaSets, a StatefulSet and a DaemonSet in ControllerRevisions. A template that comes back
takes a new number, and keeps its old object and creation time. Source: `getNewReplicaSet` in kubernetes
`pkg/controller/deployment/sync.go`, `ControllerRevisions` in `pkg/controller/history`, and how `kubectl rollout undo`
reads both (`pkg/polymorphichelpers/rollback.go`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from goldseam.api.incident import ObjectRef, TemplateSource, Write
from goldseam.engine import naming
from goldseam.engine.objects import FIELD_MANAGER, TOKEN, Json, annotation, controlled_by, metadata, reference
from goldseam.engine.rollouts import HASH_LABEL, NUMBER, TEMPLATE, written
from goldseam.engine.views import merge_patch

CAUSE = "kubernetes.io/change-cause"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


@dataclass(frozen=True)
class Revision:
    """One former template, or the one that is there now."""

    number: int
    created: datetime
    ref: ObjectRef
    template: Json
    cause: str = ""
    """Why it came, where somebody has written it down."""

    @property
    def content(self) -> str:
        """Stands for what it makes of the pods."""
        return content(self.template)

    @property
    def source(self) -> TemplateSource:
        """The pin: this object, with this template in it."""
        return TemplateSource(object=self.ref, digest=self.content)


def revisions(target: Json, found: Iterable[Json]) -> list[Revision]:
    """The target's own revisions, the newest first. A selector may select those of others."""
    uid = metadata(target).get("uid")
    ours = [obj for obj in found if controlled_by(obj, uid)]
    known = [revision for obj in ours if (revision := _read(obj)) is not None]
    return sorted(known, key=lambda revision: revision.number, reverse=True)


def _read(obj: Json) -> Revision | None:
    kind = "ControllerRevision" if "data" in obj else "ReplicaSet"
    number = obj.get("revision") if kind == "ControllerRevision" else annotation(obj, NUMBER)
    template, created = template_in(obj), metadata(obj).get("creationTimestamp")
    if not template or created is None or not str(number or "").isdecimal():
        return None
    ref = reference(obj, "apps/v1", kind)
    return Revision(int(str(number)), datetime.fromisoformat(created), ref, template, annotation(obj, CAUSE) or "")


def template_in(obj: Json) -> dict[str, Any]:
    """The template that a ReplicaSet or a ControllerRevision holds, as the workload had it."""
    holder = obj.get("data") or obj
    template: dict[str, Any] = _plain((holder.get("spec") or {}).get("template") or {})
    template.pop("$patch", None)
    labels = (template.get("metadata") or {}).get("labels") or {}
    labels.pop(HASH_LABEL, None)
    return template


def content(template: Json) -> str:
    """Stands for what a template makes of the pods; a restart changes nothing of that."""
    found = _plain(template)
    meta = found.get("metadata") or {}
    marks = {k: v for k, v in (meta.get("annotations") or {}).items() if k not in (TOKEN, RESTARTED_AT)}
    said = {**meta, "annotations": marks}
    told = {**found, "metadata": {name: value for name, value in said.items() if value}}
    return naming.digest("template", json.dumps(told, sort_keys=True), size=64)


def _plain(value: Any) -> Any:
    """A copy without nulls: they say what their absence says."""
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items() if entry is not None}
    return value


def replaced(target: Json, source: Json, write: Write) -> dict[str, Any] | None:
    """The merge patch that makes the target's template that of the source, with the write's token; None where the
    source does not hold any more what was pinned.

    A merge patch cannot replace an object as a whole, but the difference to what is there can be said by one: keys that
    go are null. It holds for the resourceVersion only that the target was read at, which the patch carries.
    """
    pin = write.template
    assert pin is not None
    wanted = template_in(source)
    if metadata(source).get("uid") != pin.object.uid or content(wanted) != pin.digest:
        return None
    meta = wanted.get("metadata") or {}
    marks = {**(meta.get("annotations") or {}), TOKEN: json.loads(write.want)}
    wanted["metadata"] = {**meta, "annotations": marks}
    return {"spec": {"template": merge_patch(target["spec"]["template"], wanted)}}


def rolled_since(obj: Json, write: Write) -> str:
    """Who has given the workload another template since the write brought one back; empty where nobody has.

    Another template by itself does not tell: the API server and its webhooks may complete ours. Both times are of the
    API server, in whole seconds.
    """
    pin = write.template
    if pin is None or content((obj.get("spec") or {}).get("template") or {}) == pin.digest:
        return ""
    ours = [at for at, manager in written(obj, write.field) if manager == FIELD_MANAGER and at is not None]
    others = [(at, manager) for at, manager in written(obj, TEMPLATE) if manager != FIELD_MANAGER]
    return ", ".join(sorted({manager for at, manager in others if at is None or not ours or at >= max(ours)}))
