"""Guard: somebody else is at work on the target."""

from __future__ import annotations

from datetime import datetime

from goldseam.engine.guards.hold import NOT_ALL_THERE, Hold
from goldseam.engine.objects import Workload
from goldseam.engine.proposal import Proposal
from goldseam.engine.situation import Other, Situation, timeout


def busy(s: Situation, now: datetime) -> Hold | None:
    """Another incident or policy has the target or the CronJob, a rollout runs, or a pod is missing. Not for a
    rollback of that rollout."""
    for other in s.others:
        if other.target_uid == s.spec.target.uid and other.uid != s.uid:
            if other.busy:
                return Hold("busy", "Wait", "OtherIncident", f"Incident {other.name} is acting on the target")
            if other.claims and s.status.open_step() is None and _comes_first(other, s):
                message = f"{other.policy.title} acts on the same target and comes first (Incident {other.name})"
                return Hold("busy", "Wait", "OtherPolicy", message)
    if hold := _runs_it(s):
        return hold
    if (hold := rolling_out(s)) and not _to_be_undone(s):
        return hold
    return _not_all_there(s, now)


def _not_all_there(s: Situation, now: datetime) -> Hold | None:
    """Before anything is begun that evicts pod by pod: it would not be the turn of any of them. Waited for as long as
    the rung may take: a pod may stay away for ever."""
    if s.status.open_step() is not None or not isinstance(s.plan, Proposal) or s.rung is None:
        return None
    if not s.plan.turn.waits_for or s.plan.turn.first(s.plan.writes):
        return None
    since = next((hold.since for hold in s.status.holds if hold.reason == NOT_ALL_THERE), now)
    over = now - since >= timeout(s, s.rung)
    message = f"no pod is evicted yet: waiting for {s.plan.turn.waits_for}"
    if over:
        return Hold("busy", "Refuse", "NeverAllThere", f"{message}, for longer than the rung may take")
    return Hold("busy", "Wait", "NotAllThere", message, until=since + timeout(s, s.rung))


def rolling_out(s: Situation) -> Hold | None:
    """A rollout of the target is in progress. One past its deadline is stuck."""
    if s.spec.target.kind == "Node" or s.world.target is None:
        return None
    workload = Workload(s.world.target)
    if workload.updating and not workload.stuck:
        return Hold("busy", "Wait", "RolloutInProgress", "a rollout of the target is in progress")
    return None


def _to_be_undone(s: Situation) -> bool:
    """Whether it is the rollout that is in progress that would be rolled back."""
    rolls_back = s.rung is not None and s.rung.rollback is not None
    return rolls_back and Workload(s.world.target or {}).observed


def _runs_it(s: Situation) -> Hold | None:
    """Of one CronJob we run one Job at a time, for whatever targets. Where two are about to, as when both were written
    down by an earlier version, the incident with the smaller uid goes first, and the other waits for it.

    Not of reboots: these are of one CronJob for all nodes, and the caps say how many go at once.

    Which Jobs there are does not tell: they were listed before this decision was taken, and one may begin in between.
    """
    if not isinstance(s.plan, Proposal):
        return None
    begun = s.status.open_step() is not None
    for ref in (write.object for write in s.plan.writes if write.verb == "Create" and write.node is None):
        for other in s.others:
            if other.runs == ref.uid and (other.uid < s.uid or (other.uid != s.uid and not begun)):
                return Hold("busy", "Wait", "OtherIncident", f"Incident {other.name} runs a Job of {ref}")
    return None


def _comes_first(other: Other, s: Situation) -> bool:
    """The namespaced policy before the cluster's; of the same kind the older one, then by name."""
    if s.policy is None or other.policy == s.policy.key:
        return False
    mine = (s.policy.key.kind == "ClusterRemediationPolicy", s.policy.created, str(s.policy.key))
    created = other.policy_created or s.policy.created
    theirs = (other.policy.kind == "ClusterRemediationPolicy", created, str(other.policy))
    return theirs < mine
