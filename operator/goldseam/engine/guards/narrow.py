"""Guard: the live policy must still allow what the pinned one says. Nothing read from an Incident widens anything."""

from __future__ import annotations

from datetime import datetime

from goldseam.api.policy import ClusterRemediationPolicySpec
from goldseam.engine.guards.hold import Hold
from goldseam.engine.matching import PolicySpec, allows, selector_of_nodes
from goldseam.engine.objects import metadata
from goldseam.engine.situation import Situation


def narrowed(s: Situation, now: datetime) -> Hold | None:
    """The rung, its bounds or the target are no longer what the live policy says."""
    spec, rung = (s.policy.spec if s.policy else None), s.rung
    if spec is None or rung is None:
        return None
    target = s.spec.target
    if spec.target.kind != target.kind or (spec.target.name and spec.target.name != target.name):
        return Hold("policy", "Refuse", "TargetChanged", f"the policy is about another target now than {target}")
    if hold := _elsewhere(s, spec):
        return hold
    labels = metadata(s.world.target or {}).get("labels") or {}
    if (wanted := selector_of_nodes(spec)) is not None and not allows(wanted, labels):
        return Hold("policy", "Refuse", "NodeNotSelected", f"{target} is not one that nodeSelector selects (any more)")
    if not any(live.covers(rung) for live in spec.ladder):
        return Hold("policy", "Refuse", "RungRemoved", f"the policy's ladder does not allow {rung.title} any more")
    return None


def _elsewhere(s: Situation, spec: PolicySpec) -> Hold | None:
    """An incident acts in its own namespace, for a policy that may act there; nodes belong to the operator's."""
    target, ref = s.spec.target, s.spec.policy_ref
    if (target.namespace or s.operator_namespace) != s.namespace:
        return Hold("policy", "Refuse", "OtherNamespace", "an Incident acts in its own namespace only")
    if not isinstance(spec, ClusterRemediationPolicySpec):
        if ref.namespace == s.namespace == target.namespace:
            return None
        return Hold("policy", "Refuse", "OtherNamespace", "a RemediationPolicy acts in its own namespace only")
    selector = spec.target.namespace_selector
    if selector is None or allows(selector.match_labels, s.namespace_labels):
        return None
    message = f"namespace {target.namespace} is not one that namespaceSelector selects (any more)"
    return Hold("policy", "Refuse", "NamespaceNotSelected", message)
