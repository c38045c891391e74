"""Questions to people, and their words: who approved what, who denied, who takes over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from goldseam.api.incident import ApprovalRecord, IncidentStatus, ResponseRecord, Step, Write
from goldseam.api.ladder import Rung
from goldseam.api.policy import Approval
from goldseam.engine import naming, out_of_service, record
from goldseam.engine.objects import RESTART_AT
from goldseam.engine.proposal import Proposal
from goldseam.engine.situation import Situation, Word

KEPT = 16
SYSTEM = "system:"
"""How the names of accounts begin that are no people."""


def terms(s: Situation) -> Approval:
    """How the policy wants to be answered."""
    return s.pinned.approval or Approval()


def needed(s: Situation, rung: Rung) -> bool:
    """Whether a person must say yes: in mode Propose always, else where the policy, then or now, lists the rung."""
    live = s.policy.spec.approval if s.policy and s.policy.spec else None
    listed = {name for approval in (s.pinned.approval, live) if approval for name in approval.rungs}
    return s.mode == "Propose" or rung.title in listed or rung.destructive


def plan_hash(s: Situation, plan: Proposal) -> str:
    """Stands for what would be done: action, target and values, and what else the plan asks about. Which pods a drain
    evicts changes all the time."""
    assert s.rung is not None
    told = [write for write in plan.writes if write.verb != "Evict"]
    return _hash(s, s.rung.action, told, plan.asks_about)


def _hash(s: Situation, action: str, told: Iterable[Write], beside: Iterable[str] = ()) -> str:
    wants = [f"{w.object}|{w.object.uid}|{w.field}|{_want(w)}{_version(w)}" for w in told]
    return naming.digest("plan", action, s.spec.target.uid, *wants, *beside)


def _want(write: Write) -> str:
    """As of when a Rollout is restarted follows its newest pod, and a taint has the time when it is set: a moment later
    it is no other question."""
    return "" if write.field in (RESTART_AT, out_of_service.FIELD) else write.want


def _version(write: Write) -> str:
    """What a Job does, its CronJob says; what a rollback brings, the former template: another one is another plan."""
    if write.template is not None:
        return f"|{write.template.object.uid}|{write.template.digest}"
    if write.verb != "Create":
        return ""
    boot = f"|{write.node.name}|{write.node.boot_id}" if write.node is not None else ""
    return f"|{write.generation}{boot}"


def confirmed(s: Situation) -> bool:
    """Whether a person's own word is there for the step that is open, or next, as it is written down, or planned. What
    the incident says of it is not enough."""
    step = s.status.open_step()
    if step is not None:
        wanted = step.id, _hash(s, step.action, step.writes)
    else:
        question = current(s)
        wanted = (question.step, question.plan_hash) if question else ("", "")
    said = (w for w in s.words if w.decision == "Approve" and (w.step, w.plan_hash) == wanted)
    return s.words_protected and any(not w.by.startswith(SYSTEM) for w in said)


def current(s: Situation) -> ApprovalRecord | None:
    """The question about the step that is next, as it would be done now."""
    if s.rung is None or not isinstance(s.plan, Proposal):
        return None
    step, wanted = record.next_step(s.status, s.rung.action), plan_hash(s, s.plan)
    found = [a for a in s.status.approvals if (a.step, a.plan_hash) == (step, wanted) and a.state != "Replaced"]
    return found[-1] if found else None


def asked(s: Situation, status: IncidentStatus, plan: Proposal, now: datetime) -> IncidentStatus:
    """The status with the question; an older one about the same step is replaced."""
    assert s.rung is not None
    question = ApprovalRecord(
        step=record.next_step(status, s.rung.action),
        rung=status.rung,
        plan_hash=plan_hash(s, plan),
        summary=record.cut(plan.summary),
        preflight=list(plan.preflight) or None,
        requested_at=now,
        expires_at=now + terms(s).timeout,
    )
    older = [_replaced(a) if a.state in ("Waiting", "Approved") else a for a in status.approvals]
    status = record.changed(status, approvals=[*older, question][-KEPT:])
    return record.note(status, now, "Asked", f"may Goldseam {plan.summary}? Until {question.expires_at:%H:%M:%S} UTC")


def _replaced(question: ApprovalRecord) -> ApprovalRecord:
    return question.model_copy(update={"state": "Replaced"})


def heard(s: Situation, now: datetime) -> IncidentStatus:
    """The status with what people have said since, and with what nobody answered in time."""
    status = s.status
    for word in s.words:
        if not word.counted:  # what its author was told stands: it is not heard again, nor for the first time later
            status = _taken(s, status, word, now)
    return record.changed(status, approvals=[_timely(a, now) for a in status.approvals])


def _timely(question: ApprovalRecord, now: datetime) -> ApprovalRecord:
    if now <= question.expires_at or question.state not in ("Waiting", "Approved"):
        return question
    # an approval that could not be used in time is asked anew: the world has moved on since
    return question.model_copy(update={"state": "Expired"}) if question.state == "Waiting" else _replaced(question)


def _taken(s: Situation, status: IncidentStatus, word: Word, now: datetime) -> IncidentStatus:
    if ignored(s, status, word) or taken(status, word) or (_stops_nothing(status, word) and _heard_enough(s, status)):
        return status
    said = ResponseRecord(uid=word.uid, decision=word.decision, by=word.by, at=word.at, reason=record.cut(word.reason))
    # beyond what fits go the oldest, and before all others those whose authors know already what became of it
    old = [r for r in status.responses if r.uid not in _untold(s)]
    kept = [*old, *(r for r in status.responses if r.uid in _untold(s)), said][-KEPT:]
    status = record.changed(status, responses=kept)
    why = f": {word.reason}" if word.reason else ""
    if word.decision == "Acknowledge":
        return record.note(status, now, "Acknowledged", f"{word.by} has seen it{why}")
    if word.decision == "Undo":
        return _undone(status, word, now)
    state: Literal["Approved", "Denied"] = "Approved" if word.decision == "Approve" else "Denied"
    update = {"state": state, "by": word.by, "decided_at": word.at, "reason": record.cut(word.reason)}
    answered = [a.model_copy(update=update) if _about(word, a) else a for a in status.approvals]
    return record.note(
        record.changed(status, approvals=answered), now, state, f"{word.by}: {word.step} is {state.lower()}{why}"
    )


def taken(status: IncidentStatus, word: Word) -> bool:
    """Whether the incident has it."""
    return any(r.uid == word.uid for r in status.responses)


def _untold(s: Situation) -> set[str]:
    return {word.uid for word in s.words if not word.counted}


def _stops_nothing(status: IncidentStatus, word: Word) -> bool:
    """An acknowledgement; or an Undo after another one, when people have it and all that is owed is due already."""
    if word.decision == "Undo":
        return status.handed_over and all(o.due_at for o in status.open_obligations())
    return word.decision == "Acknowledge"


def _heard_enough(s: Situation, status: IncidentStatus) -> bool:
    """Many were heard whose authors are not told yet: what stops nothing waits, and leaves room for what does."""
    return sum(r.uid in _untold(s) for r in status.responses) >= KEPT // 2


def _undone(status: IncidentStatus, word: Word, now: datetime) -> IncidentStatus:
    """People take over: nothing more is tried, and what is owed falls due."""
    status = record.each_obligation(status, lambda o: o.model_copy(update={"due_at": o.due_at or now}))
    active = status.phase not in ("Monitoring", "Resolved", "Abandoned")
    status = record.changed(status, handed_over=True, phase="Escalated" if active else status.phase)
    text = f"{word.by} takes over and wants undone what was changed{f': {word.reason}' if word.reason else ''}"
    return record.note(status, now, "TakenOver", text)


def _about(word: Word, question: ApprovalRecord) -> bool:
    return (question.step, question.plan_hash) == (word.step, word.plan_hash) and question.state != "Replaced"


def ignored(s: Situation, status: IncidentStatus, word: Word) -> str:
    """Why a word does not count; empty where it does. The first Deny wins, also over an approval not yet used."""
    if taken(status, word):
        return ""
    if not s.words_protected:
        return "the admission policy goldseam-people, which checks who speaks, is not installed, or does not deny"
    if not word.trusted:
        return f"{word.by} is a system account, and not one of the Guardrails' approvalDelegates"
    if word.decision in ("Acknowledge", "Undo"):
        return "the incident is over" if status.closed_at else ""
    return _not_a_person(s, status, word) or _unanswerable(status, word)


def _not_a_person(s: Situation, status: IncidentStatus, word: Word) -> str:
    """A system account, even one of the `approvalDelegates`, does not approve what is destructive."""
    if word.decision != "Approve" or not word.by.startswith(SYSTEM):
        return ""
    asked = {a.rung for a in status.approvals if a.step == word.step and a.rung < len(s.pinned.ladder)}
    if any(s.pinned.ladder[rung].destructive for rung in asked):
        return f"{word.by} is a system account, and what is destructive is approved by a person"
    return ""


def _unanswerable(status: IncidentStatus, word: Word) -> str:
    questions = [a for a in status.approvals if a.step == word.step]
    if not questions:
        return f"the incident does not ask about {word.step!r}: see its status.approvals"
    about = [a for a in questions if _about(word, a)]
    if not about:
        return "the plan has changed since: look at it again, and answer with the new planHash"
    question = about[-1]
    if not question.requested_at.replace(microsecond=0) <= word.at <= question.expires_at:
        return f"it was not said between {question.requested_at:%H:%M:%S} and {question.expires_at:%H:%M:%S} UTC"
    if any(step.id == word.step for step in status.steps):
        return f"{word.step} was begun or passed over already"
    if question.state == "Denied":
        return f"{question.by} denied it first"
    if question.state == "Approved" and word.decision == "Approve":
        return f"{question.by} approved it already"
    return "nobody answered in time" if question.state == "Expired" else ""


def given(status: IncidentStatus, step: Step) -> bool:
    """Whether a person has said yes to the step before it was written down. The end of the time to answer changes
    nothing about that."""
    questions = (a for a in status.approvals if a.step == step.id and a.decided_at is not None)
    return any(question.state in ("Approved", "Replaced") for question in questions)


def due(status: IncidentStatus) -> bool:
    """Whether something waits for an answer."""
    return any(a.state == "Waiting" for a in status.approvals)
