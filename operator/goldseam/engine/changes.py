"""What changed on a workload shortly before its alert began, and who changed it.

Read from what the cluster keeps anyway: the revisions of the workload and its managedFields. Of images and
labels the values are shown, of all else only which field it was: who reads an Incident might not read the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from goldseam.api.findings import Change
from goldseam.api.incident import IncidentStatus
from goldseam.engine.delivery import delivered
from goldseam.engine.objects import Json, metadata, value_at
from goldseam.engine.owners import tool
from goldseam.engine.record import changed, legible, note
from goldseam.engine.rollouts import TEMPLATE, Rollout, rollouts, written
from goldseam.engine.situation import Situation

LOOKED_BACK = timedelta(minutes=30)
"""How long before the alert became active a change is taken for what may have caused it."""
CLOCKS = timedelta(minutes=1)
"""By how much the clocks of Prometheus and of the API server may differ."""
MOST = 16
SHOWN = 128
TOLD = 2
"""How many changes a message to people names: the newest."""
_APPLIED = timedelta(seconds=10)
"""Within which time after the template was written its controller has made the revision."""
_SECOND = timedelta(seconds=1)

_TELLING = re.compile(r"checksum|commit|hash|restartedAt|revision|version", re.IGNORECASE)
"""In the names of annotations whose values are shown; of others the value may be a secret."""

Difference = tuple[str, str, str]
"""What changed, from what, to what."""


def told(s: Situation, status: IncidentStatus, now: datetime) -> IncidentStatus:
    """The status with what changed before the alert: looked for once, and only in what was read before anything was
    tried, for later it may be our own."""
    target, revisions = s.world.target, s.world.revisions
    if s.status.steps or status.changes is not None or revisions is None or target is None:
        return status
    if metadata(target).get("uid") != s.spec.target.uid:
        return status
    found = changes(target, rollouts(target, revisions), s.spec.alert.active_at, s.world.git)
    status = changed(status, changes=found)
    return note(status, now, "Changed", in_words(found, s.spec.alert.active_at, MOST)) if found else status


def changes(target: Json, rolled: list[Rollout], active_at: datetime, git: Json | None = None) -> list[Change]:
    """What changed within half an hour before the alert became active; oldest first, the newest 16. `git`: the GitOps
    object that the target comes from."""
    begin, end = active_at - LOOKED_BACK, active_at + CLOCKS
    found = [change for one in rolled for change in of_rollout(target, one)] + list(_replicas(target))
    found += [_change(one.at, "Git revision", one.before, one.revision, one.by) for one in delivered(target, git)]
    return sorted((one for one in found if begin <= one.at <= end), key=lambda change: change.at)[-MOST:]


def in_words(found: list[Change], active_at: datetime, most: int = TOLD) -> str:
    """The newest of the changes, for people: `3 min before the alert: image of container api: a → b, by kubectl`."""
    if not found:
        return ""
    shown = "; ".join(words(change, active_at) for change in reversed(found[-most:]))
    rest = len(found) - most
    return f"{shown}; and {rest} more" if rest > 0 else shown


def words(change: Change, active_at: datetime) -> str:
    """One change, for people."""
    minutes = round((active_at - change.at) / timedelta(minutes=1))
    side = "before the alert" if minutes > 0 else "after the alert began"
    when = f"{abs(minutes)} min {side}" if minutes else "when the alert began"
    values = f": {change.before or '?'} → {change.after or '?'}" if change.before or change.after else ""
    return f"{when}: {change.what}{values}{f', by {change.by}' if change.by else ''}"


def of_rollout(target: Json, rollout: Rollout) -> list[Change]:
    """What another template changed; nothing where it is not known when."""
    at = rollout.at
    if at is None:
        return []
    by = _writer(target, at)
    return [_change(at, *difference, by) for difference in _differences(rollout.before, rollout.after)]


def _change(at: datetime, what: str, before: str, after: str, by: str) -> Change:
    what, before, after, by = (legible(text, SHOWN) for text in (what, before, after, by))
    return Change(at=at, what=what, before=before, after=after, by=by)


def _differences(before: Json | None, after: Json) -> list[Difference]:
    if before is None:
        images = ", ".join(image for image in _images(after).values())
        return [("pod template, of which no former revision is known", "", images)]
    found = list(_mapped("image of container", _images(before), _images(after)))
    found += _mapped("label of the pod template", before["labels"], after["labels"])
    marks = _mapped("annotation of the pod template", before["annotations"], after["annotations"])
    found += [(what, old, new) if _TELLING.search(what) else (what, "", "") for what, old, new in marks]
    found += [(what, "", "") for what in _others(before["spec"], after["spec"])]
    if found:
        return found
    return [("restarted by Goldseam", "", "")] if before == after else [("pod template", "", "")]


def _mapped(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            yield f"{what} {key}", str(before.get(key, "")), str(after.get(key, ""))


def _images(template: Json) -> dict[str, str]:
    return {name: str(one.get("image") or "") for name, one in _containers(template["spec"]).items()}


def _containers(spec: Json) -> dict[str, Json]:
    return {str(one.get("name")): one for part in ("initContainers", "containers") for one in spec.get(part) or ()}


def _others(before: Json, after: Json) -> Iterator[str]:
    """Which fields are others, without their values."""
    old, new = _containers(before), _containers(after)
    for name in sorted(old.keys() & new.keys()):
        if fields := [key for key in _unlike(old[name], new[name]) if key != "image"]:
            yield f"{', '.join(fields)} of container {name}"
    if fields := [key for key in _unlike(before, after) if key not in ("containers", "initContainers")]:
        yield f"{', '.join(fields)} of the pod template"


def _unlike(before: Json, after: Json) -> list[str]:
    return [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]


def _writer(target: Json, at: datetime) -> str:
    """Who wrote the template just before the revision was made; else who alone owns the template."""
    known = list(written(target, TEMPLATE))
    just = [(wrote, who) for wrote, who in known if wrote is not None and at - _APPLIED <= wrote <= at + _SECOND]
    owners = {who for _, who in known}
    if just:
        return tool(target, max(just)[1])
    return tool(target, owners.pop()) if len(owners) == 1 else ""


def _replicas(target: Json) -> Iterator[Change]:
    """When the replicas were set, where an entry tells of nothing else; what they were before, none does."""
    direct = set(written(target, "spec.replicas")) - set(written(target, TEMPLATE))
    for at, who in (*direct, *written(target, "spec.replicas", "scale")):
        if at is not None:
            yield _change(at, "replicas", "", value_at(target, "spec.replicas"), tool(target, who))
