"""Guard: the live policy must still allow what the pinned one says. Nothing read from an Incident widens anything."""

from __future__ import annotations

from datetime import datetime

from goldseam.api.ladder import Rung
from goldseam.api.policy import ClusterRemediationPolicySpec
from goldseam.engine.guards.hold import Hold
from goldseam.engine.situation import Situation


def narrowed(s: Situation, now: datetime) -> Hold | None:
    """The rung, its bounds or the target are no longer what the live policy says."""
    spec, rung = (s.policy.spec if s.policy else None), s.rung
    if spec is None or rung is None:
        return None
    target = s.spec.target
    if spec.target.kind != target.kind or (spec.target.name and spec.target.name != target.name):
        return Hold("policy", "Refuse", "TargetChanged", f"the policy is about another target now than {target}")
    if not isinstance(spec, ClusterRemediationPolicySpec) and target.namespace != s.namespace:
        return Hold("policy", "Refuse", "OtherNamespace", "a RemediationPolicy acts in its own namespace only")
    if not any(_covers(live, rung) for live in spec.ladder):
        return Hold("policy", "Refuse", "RungRemoved", f"the policy's ladder does not allow {rung.title} any more")
    return None


def _covers(live: Rung, pinned: Rung) -> bool:
    if live.action != pinned.action:
        return False
    return live.scale is None or pinned.scale is None or live.scale.replicas >= pinned.scale.replicas
