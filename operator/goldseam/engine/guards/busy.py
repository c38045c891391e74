"""Guard: somebody else is at work on the target."""

from __future__ import annotations

from datetime import datetime

from goldseam.engine.guards.hold import Hold
from goldseam.engine.objects import Workload
from goldseam.engine.situation import Other, Situation


def busy(s: Situation, now: datetime) -> Hold | None:
    """Another incident acts on the target, another policy comes first, or a rollout is in progress. Not for a rollback
    of it."""
    for other in s.others:
        if other.target_uid == s.spec.target.uid and other.uid != s.uid:
            if other.busy:
                return Hold("busy", "Wait", "OtherIncident", f"Incident {other.name} is acting on the target")
            if other.claims and s.status.open_step() is None and _comes_first(other, s):
                message = f"policy {other.policy} acts on the same target and comes first (Incident {other.name})"
                return Hold("busy", "Wait", "OtherPolicy", message)
    if s.spec.target.kind != "Node" and s.world.target is not None:
        workload = Workload(s.world.target)
        to_be_undone = s.rung is not None and s.rung.rollback is not None and workload.observed
        if workload.updating and not workload.stuck and not to_be_undone:
            return Hold("busy", "Wait", "RolloutInProgress", "a rollout of the target is in progress")
    return None


def _comes_first(other: Other, s: Situation) -> bool:
    """The namespaced policy before the cluster's; of the same kind the older one, then by name."""
    if s.policy is None or other.policy == s.policy.key:
        return False
    mine = (s.policy.key.kind == "ClusterRemediationPolicy", s.policy.created, str(s.policy.key))
    created = other.policy_created or s.policy.created
    theirs = (other.policy.kind == "ClusterRemediationPolicy", created, str(other.policy))
    return theirs < mine
