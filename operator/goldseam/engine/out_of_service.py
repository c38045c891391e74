"""Nodes whose machine is off: what is known of that, and the taint that says so.

KEP-2268 (Non-graceful node shutdown): on a node that has the taint `node.kubernetes.io/out-of-service` and is not Ready
the pod garbage collector deletes by force what is terminating (kubernetes `pkg/controller/podgc/gc_controller.go`,
gcTerminating), and volumes are detached at once, mounted or not (`pkg/controller/volume/attachdetach/reconciler`). On a
machine that runs still, that loses data.

How long a kubelet is silent is not told by our own clock: it is the time from the last renewal of its Lease, and from
when Ready became Unknown, to the newest renewal of any other node's Lease. So a clock of ours that is ahead shortens
nothing; and while no kubelet reaches the API server, none is taken for dead.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from goldseam.api.incident import Obligation, Write
from goldseam.engine.objects import Json, annotation, condition_of, metadata, value_at
from goldseam.engine.reboots import is_silent

KEY, VALUE, EFFECT = "node.kubernetes.io/out-of-service", "nodeshutdown", "NoExecute"
SHUT_DOWN = "node.cloudprovider.kubernetes.io/shutdown"
"""The taint by which the cloud provider says that the machine is shut down (kubernetes
`staging/src/k8s.io/cloud-provider/controllers/nodelifecycle`)."""
FIELD = f"spec.taints[key={KEY}]"
MARK = "goldseam.dev/out-of-service"
"""The annotation that has the time of our taint (`timeAdded`): a taint with another time, or none, is not ours."""
NAMESPACE = "kube-node-lease"
"""Where kubelets renew their Leases (KEP-589)."""


def taint(at: datetime) -> str:
    """The taint, as JSON. Its time tells it from one that somebody else sets."""
    stamp = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps({"effect": EFFECT, "key": KEY, "timeAdded": stamp, "value": VALUE}, sort_keys=True)


def added(text: str) -> str:
    """When the taint was added, if it is one that Goldseam sets; else empty."""
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    at = found.get("timeAdded") if isinstance(found, dict) else None
    wanted = {"effect": EFFECT, "key": KEY, "timeAdded": at, "value": VALUE}
    return str(at) if at and found == wanted else ""


def is_ours(node: Json) -> bool:
    """Whether the node has the taint, and it was Goldseam who set it."""
    at = added(value_at(node, FIELD))
    return bool(at) and annotation(node, MARK) == at


def is_there(node: Json) -> bool:
    """Whether the node has the taint, whoever set it."""
    return value_at(node, FIELD) != "null"


def is_shut_down(node: Json) -> bool:
    """Whether the cloud provider says that the machine is shut down."""
    return any(one.get("key") == SHUT_DOWN for one in (node.get("spec") or {}).get("taints") or ())


def marks(writes: Iterable[Write]) -> dict[str, str | None]:
    """The annotation that goes with the taint, and is taken away with it."""
    ours = [write for write in writes if write.object.kind == "Node" and write.field == FIELD]
    return {MARK: added(ours[-1].want) or None} if ours else {}


def alike(mine: Write, planned: Iterable[Write]) -> Write:
    """The write as it is planned now, where it differs only in that it was planned earlier."""
    at = added(mine.want) if mine.field == FIELD else ""
    latest = max((added(write.want) for write in planned if write.field == FIELD), default="")
    return mine.model_copy(update={"want": _with_time(mine.want, latest)}) if at and at <= latest else mine


def _with_time(text: str, at: str) -> str:
    return json.dumps(json.loads(text) | {"timeAdded": at}, sort_keys=True)


def is_due(o: Obligation, node: Json | None) -> bool:
    """Whether the taint has to go at once: the kubelet reports again, so the machine is on."""
    return o.kind == "Untaint" and node is not None and not is_silent(node)


def lease_of(node: Json, leases: Iterable[Json]) -> Json | None:
    """The Lease that the node's kubelet renews."""
    name = metadata(node).get("name")
    return next((lease for lease in leases if metadata(lease).get("name") == name), None)


def renewed(lease: Json | None) -> str:
    """When it was last renewed, as it says; empty where it does not."""
    return str(((lease or {}).get("spec") or {}).get("renewTime") or "")


def silent_since(node: Json, leases: Iterable[Json]) -> datetime | None:
    """Since when the kubelet is silent, by its Lease and by the node's status; None where either does not say so."""
    ready = condition_of(node, "Ready")
    if ready.get("status") != "Unknown":
        return None
    times = [_time(renewed(lease_of(node, leases))), _time(ready.get("lastTransitionTime"))]
    known = [one for one in times if one is not None]
    return max(known) if len(known) == len(times) else None


def heard_until(node: Json, leases: Iterable[Json], now: datetime) -> datetime | None:
    """Until when others were heard of: the newest renewal of any other Lease, but not later than now."""
    name = metadata(node).get("name")
    rest = (_time(renewed(lease)) for lease in leases if metadata(lease).get("name") != name)
    newest = max((one for one in rest if one is not None), default=None)
    return None if newest is None else min(newest, now)


def _time(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def said(lasting: timedelta) -> str:
    """A length of time for people, in whole minutes."""
    return f"{int(lasting / timedelta(minutes=1))}m"
