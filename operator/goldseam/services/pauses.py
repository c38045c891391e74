"""Which Pauses concern an incident."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import ValidationError

from goldseam.api.pause import PauseSpec
from goldseam.engine.objects import reference
from goldseam.engine.situation import PauseInForce, Situation
from goldseam.ports import Json


def in_force(pauses: Iterable[Json], s: Situation, now: datetime) -> tuple[PauseInForce, ...]:
    """The Pauses that hold this incident now, those of level Everything first.

    An unreadable Pause holds all that it could concern: somebody wanted us to stop.
    """
    found = [pause for obj in pauses if (pause := _concerning(obj, s, now)) is not None]
    return tuple(sorted(found, key=lambda p: (p.level != "Everything", p.name)))


def of_hit(pauses: Iterable[Json], s: Situation, now: datetime) -> dict[str, PauseInForce]:
    """Those that hold a workload whose pods would go with their node, by its uid: of its namespace, or of itself."""
    found: dict[str, PauseInForce] = {}
    for obj in pauses:
        spec, pause = _read(obj)
        for hit in (s.world.hit or ()) if pause.ends > now else ():
            ref = reference(hit.workload)
            named = spec.target is None or (spec.target.kind, spec.target.name) == (ref.kind, ref.name)
            if named and spec.policy is None and not spec.cluster and obj["metadata"]["namespace"] == ref.namespace:
                found[ref.uid] = pause
    return found


def _concerning(obj: Json, s: Situation, now: datetime) -> PauseInForce | None:
    spec, pause = _read(obj)
    return pause if pause.ends > now and concerns(spec, obj["metadata"]["namespace"], s) else None


def _read(obj: Json) -> tuple[PauseSpec, PauseInForce]:
    meta = obj["metadata"]
    created = datetime.fromisoformat(meta["creationTimestamp"])
    try:
        spec = PauseSpec.model_validate(obj.get("spec") or {})
    except ValidationError:
        spec = PauseSpec(reason="the Pause cannot be read")
    name = f"{meta['namespace']}/{meta['name']}"
    return spec, PauseInForce(name, spec.level, spec.reason, spec.ends(created), spec.by)


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


def stops(pause: PauseSpec, namespace: str, home: str) -> str:
    """What a Pause of this namespace stops, in words for its author; `home` is the operator's namespace."""
    if pause.cluster and namespace != home:
        return f"nothing: cluster: true counts in namespace {home} only"
    if pause.target is not None and (pause.target.kind == "Node") != (namespace == home):
        where = f"namespace {home}" if pause.target.kind == "Node" else "its own namespace"
        return f"nothing: a Pause of a {pause.target.kind} counts in {where} only"
    what = "no new step is begun" if pause.level == "NewWork" else "nothing is written, not even what is owed"
    return f"{what} for {_what(pause, namespace, namespace == home)}"


def _what(pause: PauseSpec, namespace: str, at_home: bool) -> str:
    if pause.cluster:
        return "any policy of the cluster"
    if pause.target is not None:
        return f"{pause.target.kind} {pause.target.name}"
    if pause.policy is not None:
        return f"{'ClusterRemediationPolicy' if at_home else 'RemediationPolicy'} {pause.policy}"
    return "nodes and cluster policies" if at_home else f"namespace {namespace}"
