"""`decide`: from a situation and the time to what is done next. Pure and total."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from goldseam.api.incident import IncidentStatus
from goldseam.engine import (
    approvals,
    at_deadline,
    changes,
    climb,
    closing,
    escalation,
    obligations,
    people,
    record,
    verify,
)
from goldseam.engine.guards.paused import paused
from goldseam.engine.owners import gitops_owner
from goldseam.engine.situation import MODES, Decision, Situation

Stage = Callable[[Situation, datetime], Decision | None]

STAGES: Sequence[Stage] = (
    closing.abandoned,  # the target or the policy is gone
    closing.returned,  # a node that was out of service reports again
    at_deadline.passed,  # a drain has not ended in time
    verify.under_way,  # an intent is open: was it carried out?
    people.taken_over,  # somebody changed what we changed
    verify.judged,  # a step was carried out: did it help?
    closing.reopened,  # the alert is back within the flap window
    closing.undone,  # something is owed and due
    closing.over,  # resolved, abandoned, or in people's hands
    closing.cleared,  # the alert is gone
    climb.handed_over,  # the ladder is used up, or people have it
    climb.next_rung,  # try the next rung
)
"""The questions in their order: the first that has an answer decides."""

FOLLOWED = ("Acted", "Passed", "Resolved", "Undone")
"""What was found out is written together with what is waited for next: the world is not read anew to learn the same."""


def decide(s: Situation, now: datetime) -> Decision:
    """What is done next about an incident.

    Deterministic: the same situation and time give the same decision. The status in it must be written before anything
    is done; where it is equal to the old one, nothing is written.
    """
    decision = _answered(s, now)
    if decision.reason not in FOLLOWED or _has_queries_to_ask(s):
        return decision
    then = _answered(replace(s, status=decision.status), now)
    if then.kind != "wait" or then.status.phase != decision.status.phase:
        return decision
    return replace(decision, status=then.status, look_again=then.look_again)


def _has_queries_to_ask(s: Situation) -> bool:
    """Whether the open step is verified by queries: these are asked when it is written that it was carried out."""
    step = s.status.open_step()
    if step is None or step.phase != "Intended" or step.purpose == "Undo":
        return False
    return bool(s.pinned.ladder[step.rung].verify.queries)


def _answered(s: Situation, now: datetime) -> Decision:
    s = replace(s, status=_under_ceilings(s))
    s = replace(s, status=_observed(s, now))
    for stage in STAGES:
        decision = stage(s, now)
        if decision is not None:
            return _in_time(decision, s, now)
    raise AssertionError("climb.next_rung answers always")


def _in_time(decision: Decision, s: Situation, now: datetime) -> Decision:
    """Looked at again when the next threshold that calls people is crossed, however quiet it is until then."""
    at = escalation.next_at(replace(s, status=decision.status), now)
    if at is None or at - now >= decision.look_again:
        return decision
    return replace(decision, look_again=at - now)


def _under_ceilings(s: Situation) -> IncidentStatus:
    """Before anything is tried, a ceiling of the namespace lowers the mode for good; later it stops what goes on."""
    if s.status.steps or not s.ceilings:
        return s.status
    lowest = min((s.status.mode, *(c.max_mode for c in s.ceilings)), key=MODES.index)
    return record.changed(s.status, mode=lowest)


def _owned(s: Situation, status: IncidentStatus) -> IncidentStatus:
    """The status with who holds the target's replicas in Git: what the object shows of it goes with the next write by
    `/scale`, whoever makes it."""
    scales = any(rung.scale for rung in s.pinned.ladder)
    if status.git_owner or not scales or s.world.target is None:
        return status
    found = gitops_owner(s.world.target, "spec.replicas")
    return record.changed(status, git_owner=record.cut(str(found), 253)) if found else status


def _observed(s: Situation, now: datetime) -> IncidentStatus:
    status = record.seen(s.status, s.reading.state, s.reading.fresh, s.reading.message, now)
    status = changes.told(replace(s, status=status), status, now)
    quiet = paused(s, now) is not None or s.silence.state == "Silenced"
    status = record.paused(status, quiet, now)
    status = _owned(s, status)
    status = approvals.heard(replace(s, status=status), now)
    status = escalation.crossed(replace(s, status=status), now)
    open_step = status.open_step()
    if open_step is None or open_step.phase != "Intended":
        status = obligations.examined(replace(s, status=status), now)
    return status
