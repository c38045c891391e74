"""Guards: how far the policy may go, and whether a person has to say yes first."""

from __future__ import annotations

from datetime import datetime

from goldseam.engine import approvals
from goldseam.engine.guards.hold import Hold
from goldseam.engine.proposal import Proposal
from goldseam.engine.situation import Situation


def lowered(s: Situation, now: datetime) -> Hold | None:
    """The mode was lowered to Observe since the incident was opened: by the policy, or by a ceiling."""
    if s.status.mode == "Observe" or s.tells:
        return None
    by = "the policy's mode" if s.policy and s.policy.spec and s.policy.spec.mode == "Observe" else "the namespace's"
    message = f"{by} {'' if 'policy' in by else 'ceiling in the Guardrails '}is Observe now: nothing more is done"
    return Hold("mode", "Wait", "ModeLowered", message)


def ceiling(s: Situation, now: datetime) -> Hold | None:
    """The Guardrails do not allow the action in this namespace."""
    rung = s.rung
    for limit in s.ceilings if rung is not None and isinstance(s.plan, Proposal) else ():
        if limit.allowed_actions is not None and rung is not None and rung.action not in limit.allowed_actions:
            allowed = ", ".join(limit.allowed_actions) or "none"
            message = f"the Guardrails allow in namespace {s.spec.target.namespace} these actions only: {allowed}"
            return Hold("permission", "Refuse", "ActionForbidden", message)
    return None


def approval(s: Situation, now: datetime) -> Hold | None:
    """A person has to say yes, and has not; or has said no; or nobody has answered in time."""
    rung = s.rung
    if rung is None or not isinstance(s.plan, Proposal) or not approvals.needed(s, rung):
        return None
    if not s.words_protected:
        message = (
            "approvals need the admission policy goldseam-people, so that nobody speaks in another's name:"
            " install deploy/kustomize/base"
        )
        return Hold("approval", "Wait", "ResponsesUnprotected", message)
    question = approvals.current(s)
    if question is None or question.state == "Waiting":
        ends = question.expires_at if question else now + approvals.terms(s).timeout
        message = f"waits for approval until {ends:%H:%M:%S} UTC: {s.plan.summary}"
        return Hold("approval", "Wait", "ApprovalNeeded", message, ends)
    if question.state == "Denied":
        why = f": {question.reason}" if question.reason else ""
        return Hold("approval", "Refuse", "Denied", f"{question.by} said no{why}")
    if question.state == "Expired":
        return Hold("approval", "Refuse", "Unanswered", f"nobody approved until {question.expires_at:%H:%M:%S} UTC")
    return None
