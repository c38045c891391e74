"""Which Pauses concern an incident."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import ValidationError

from goldseam.api.pause import PauseSpec
from goldseam.engine.situation import PauseInForce, Situation
from goldseam.ports import Json


def in_force(pauses: Iterable[Json], s: Situation, now: datetime) -> tuple[PauseInForce, ...]:
    """The Pauses that hold this incident now, those of level Everything first.

    An unreadable Pause holds all that it could concern: somebody wanted us to stop.
    """
    found = [pause for obj in pauses if (pause := _concerning(obj, s, now)) is not None]
    return tuple(sorted(found, key=lambda p: (p.level != "Everything", p.name)))


def _concerning(obj: Json, s: Situation, now: datetime) -> PauseInForce | None:
    meta = obj["metadata"]
    created = datetime.fromisoformat(meta["creationTimestamp"])
    try:
        spec = PauseSpec.model_validate(obj.get("spec") or {})
    except ValidationError:
        spec = PauseSpec(reason="the Pause cannot be read")
    ends = spec.ends(created)
    if ends <= now or not concerns(spec, meta["namespace"], s):
        return None
    return PauseInForce(f"{meta['namespace']}/{meta['name']}", spec.level, spec.reason, ends, spec.by)


def concerns(pause: PauseSpec, namespace: str, s: Situation) -> bool:
    """Whether a Pause of this namespace speaks of this incident.

    In the operator's namespace: everything with `cluster: true`, else cluster policies and nodes. In a team's: its own.
    """
    ref, target = s.spec.policy_ref, s.spec.target
    at_home = namespace == s.operator_namespace
    if pause.cluster:
        return at_home
    where = target.namespace or s.operator_namespace
    if pause.target is not None:
        return (pause.target.kind, pause.target.name, namespace) == (target.kind, target.name, where)
    if pause.policy is not None:
        return (pause.policy, namespace) == (ref.name, ref.namespace or s.operator_namespace)
    return namespace == where or (at_home and ref.kind == "ClusterRemediationPolicy")
