"""At start: traces of our work that no Incident tells of, as after a restored backup. What one tells of that a newer
version wrote, and that cannot be read, is left to that version.

Cordons are adopted, and undone, and so are taints that say that a machine is off. A floor or a number of replicas does
not say what it was before: that is reported, from the ledger, and left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import structlog

from goldseam.api.incident import (
    AlertRecord,
    IncidentSpec,
    IncidentStatus,
    Kpis,
    ObjectRef,
    Obligation,
    PolicyRef,
    PolicySnapshot,
)
from goldseam.api.outcomes import ObligationKind
from goldseam.api.policy import ClusterRemediationPolicySpec
from goldseam.engine import out_of_service, record
from goldseam.engine.cordons import UNSCHEDULABLE, left_for_good
from goldseam.engine.matching import TargetKey, titled
from goldseam.engine.objects import INCIDENT, annotation, cordoned_by_us, metadata, reference, title, value_at
from goldseam.engine.opening import manifest
from goldseam.engine.situation import Ledger
from goldseam.engine.views import IncidentView, view
from goldseam.errors import AlreadyExists, NotFound
from goldseam.ports import Cluster, Json
from goldseam.resources import INCIDENTS, NODES, TARGETS
from goldseam.services.book import IncidentBook, target_key

log = structlog.get_logger("goldseam.sweep")

_ADOPTED = (
    ("Uncordon", "cordoned", "it is uncordoned"),
    ("Untaint", "taken out of service", "the taint is taken away"),
)
"""By what is owed: what was done, and what undoes it."""


async def sweep(
    cluster: Cluster, book: IncidentBook, now: datetime, namespace: str, newer: Iterable[Json] = ()
) -> list[IncidentView]:
    """Open an Incident in phase Abandoned for each node with a cordon or a taint of ours that nobody owes: paying it is
    then the usual work. `newer`: the Incidents of a newer version; what they did is that version's to undo."""
    ours = [i.status for i in book.all() if i.status and i.namespace == namespace]  # no tenant speaks of nodes
    owed = {o.key for status in ours for o in status.open_obligations() if o.object.kind == "Node"}
    newer = [obj for obj in newer if obj["metadata"]["namespace"] == namespace]
    theirs, about = {title(obj) for obj in newer}, {_about(obj).get("uid") for obj in newer}
    nodes = [node for node in (await cluster.list(NODES)).items if annotation(node, INCIDENT) not in theirs]
    nodes = [n for n in nodes if not (out_of_service.is_ours(n) and metadata(n).get("uid") in about)]  # who has set it?
    found = [(node, [o for o in _debts(node, now) if o.key not in owed]) for node in nodes]
    adopted = [await _adopt(cluster, node, debts, now, namespace) for node, debts in found if debts]
    return [incident for incident in adopted if incident is not None]


def _debts(node: Json, now: datetime) -> Iterator[Obligation]:
    """What the node itself says that we owe."""
    ref = reference(node, "v1", "Node")
    if cordoned_by_us(node) and not left_for_good(node, now):
        yield _debt("Uncordon", ref, UNSCHEDULABLE, "true", now)
    if out_of_service.is_ours(node):
        yield _debt("Untaint", ref, out_of_service.FIELD, value_at(node, out_of_service.FIELD), now)


def _debt(kind: ObligationKind, ref: ObjectRef, field: str, want: str, now: datetime) -> Obligation:
    key = f"{ref.uid}:{field}"
    return Obligation(key=key, kind=kind, object=ref, field=field, original="null", want=want, due_at=now)


async def unrecorded(
    cluster: Cluster, ledger: Ledger, incidents: Iterable[IncidentView], newer: Iterable[Json] = ()
) -> list[str]:
    """What the ledger has of the last seven days and no Incident tells of: a sentence for each target still there.

    Retention keeps an Incident for as long as the ledger counts its actions, so such a record was lost. One without a
    status tells nothing: backup tools restore it so.
    """
    told = {str(target_key(incident)) for incident in incidents if incident.status is not None}
    told |= {_target_of(obj) for obj in newer}
    lost = {entry.target: entry for entry in ledger.entries if entry.target not in told}
    return [
        f"Goldseam acted on {titled(entry.target)} for {titled(entry.policy)} at {entry.last:%Y-%m-%d %H:%M} UTC, and"
        " no Incident tells of it: if its replicas, floor, resources or a value of its ConfigMap were changed, they"
        " have to be put back by hand"
        for entry in lost.values()
        if await _exists(cluster, entry.target)
    ]


def too_new(newer: Iterable[Json]) -> list[str]:
    """A sentence for each Incident that is under way and that this version cannot read."""
    return [
        f"Incident {title(obj)} cannot be read by this version of Goldseam, as one that a newer version wrote: what"
        " it did is left as it is, and nothing more is done for it. Go back to the newer version to end it"
        for obj in newer
    ]


def _about(incident: Json) -> Json:
    """What it says of its target, of which nothing is sure."""
    return (incident.get("spec") or {}).get("target") or {}


def _target_of(incident: Json) -> str:
    target = _about(incident)
    return str(TargetKey(target.get("kind", ""), target.get("namespace", ""), target.get("name", "")))


async def _exists(cluster: Cluster, target: str) -> bool:
    kind, namespace, name = target.split("/")
    try:
        await cluster.get(TARGETS[kind], namespace, name)
    except NotFound:
        return False
    return True


async def _adopt(
    cluster: Cluster, node: Json, debts: list[Obligation], now: datetime, namespace: str
) -> IncidentView | None:
    ref = reference(node, "v1", "Node")
    was = annotation(node, INCIDENT) or "an Incident that is not known"
    log.warning("node_adopted", node=ref.name, incident=was, owes=[o.kind for o in debts])
    spec = IncidentSpec(
        policy_ref=PolicyRef(kind="ClusterRemediationPolicy", name="adopted", uid=""),
        target=ref,
        alert=AlertRecord(name="unknown", active_at=now),
        predecessor=str(metadata(node).get("resourceVersion", "")),
    )
    body = manifest(spec, namespace)
    try:
        created = view(await cluster.create(INCIDENTS, namespace, body))
    except AlreadyExists:  # the operator was killed before it wrote the status
        created = view(await cluster.get(INCIDENTS, namespace, body["metadata"]["name"]))
    if created is None or created.status is not None:
        return None
    body = {"metadata": {"resourceVersion": created.resource_version}, "status": _status(debts, was, now).dump()}
    return view(await cluster.patch(INCIDENTS, namespace, created.name, body, "status"))


def _status(debts: list[Obligation], was: str, now: datetime) -> IncidentStatus:
    snapshot = ClusterRemediationPolicySpec.model_validate({"alert": {"name": "unknown"}, "ladder": [{"uncordon": {}}]})
    status = IncidentStatus(
        phase="Abandoned", mode="Act", policy_snapshot=PolicySnapshot(spec=snapshot.dump()), kpis=Kpis(detected_at=now)
    )
    status = record.with_obligations(status, debts)
    kinds = [o.kind for o in debts]
    done = " and ".join(what for kind, what, _ in _ADOPTED if kind in kinds)
    undone = " and ".join(back for kind, _, back in _ADOPTED if kind in kinds)
    text = f"{debts[0].object} was {done} by Goldseam for {was}, which is gone: {undone}"
    return record.note(record.say(status, text), now, "Adopted", text)
