"""The ladder: the next rung, or the end of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from goldseam.api.incident import IncidentStatus, Obligation, Step
from goldseam.api.ladder import Escalate, Notify, Rung
from goldseam.engine import (
    answers,
    approvals,
    cordons,
    deadlines,
    escalation,
    naming,
    people,
    record,
    shared_cordons,
    verify,
)
from goldseam.engine.evidence import FOUND, summary
from goldseam.engine.guards.hold import Hold
from goldseam.engine.guards.knowledge import source
from goldseam.engine.guards.order import BEFORE_ACTING, REHEARSAL, holding
from goldseam.engine.proposal import NothingToDo, Proposal
from goldseam.engine.situation import Decision, Situation, timeout


def handed_over(s: Situation, now: datetime) -> Decision | None:
    """The ladder is used up, a threshold says stop, or people have taken it: nothing more is done."""
    status = s.status
    if status.phase == "Escalated":
        return answers.answer("wait", "Escalated", status, answers.IDLE)
    if status.handed_over:
        status = record.moved(status, "Escalated", now, "the alert is back, and people have the incident")
        return answers.answer("escalate", "HandedOver", status, answers.IDLE)
    if s.acts and (why := escalation.stops(s, status)):
        return verify_stop(s, why, now)
    if s.rung is not None:
        return None
    if hold := source(s, now):
        return answers.held(s, status, [hold], now)
    return _exhausted(s, now)


def verify_stop(s: Situation, why: str, now: datetime) -> Decision:
    """A threshold that ends all acting was crossed."""
    status = record.moved(record.changed(s.status, handed_over=True), "Escalated", now, why)
    return answers.answer("escalate", "ThresholdStops", status, answers.IDLE)


def _exhausted(s: Situation, now: datetime) -> Decision:
    why = "the ladder is used up and the alert still fires"
    if not s.acts:
        if s.status.message == why:
            return answers.answer("wait", "LadderExhausted", s.status, answers.IDLE)
        status = escalation.exhausted(s, record.say(s.status, why), why, now)
        return answers.answer("wait", "LadderExhausted", record.say(status, why), answers.IDLE)
    left = cordons.left(s.status, s.world.target)
    said = f"{why}. {left}" if left else why
    status = record.moved(record.changed(s.status, handed_over=True), "Escalated", now, said)
    return answers.answer("escalate", "LadderExhausted", escalation.exhausted(s, status, why, now), answers.SOON)


def next_rung(s: Situation, now: datetime) -> Decision:
    """Try the rung whose turn it is, or say why not."""
    rung = s.rung
    assert rung is not None, "handed_over answers where there is no rung"
    if waiting := _rehearsed(s, rung, now):
        return waiting
    holds = holding(BEFORE_ACTING if s.acts else REHEARSAL, s, now)
    if rung.action in ("collect", "wait", "notify", "escalate"):
        asked = ("paused", "unread", "mode", "source", *(("policy",) if rung.action == "collect" else ()))
        holds = [hold for hold in holds if hold.guard in asked]
    if holds and holds[0].guard == "approval":
        return _asking(s, rung, holds, now)
    if holds and holds[0].kind == "Wait":
        return answers.held(s, _unasked(s.status), holds, now)
    if holds:
        return _passed_over(s, rung, "Refused", holds[0].message, now)
    if isinstance(s.plan, NothingToDo):
        return _passed_over(_built_on(s, s.plan), rung, "NothingToDo", s.plan.message, now)
    return _begun(s, rung, now)


def _asking(s: Situation, rung: Rung, holds: list[Hold], now: datetime) -> Decision:
    """Everything else lets through: ask, wait for the answer, or do as the policy says without one."""
    first, status = holds[0], s.status
    if first.reason == "Denied":
        return _passed_over(s, rung, "Denied", first.message, now)
    if first.reason == "Unanswered":
        return _unanswered(s, rung, first.message, now)
    if first.reason == "ApprovalNeeded" and approvals.current(s) is None:
        assert isinstance(s.plan, Proposal), "the guard holds for proposals only"
        status = approvals.asked(s, status, s.plan, now)
        question = status.approvals[-1]
        until, which = f"{question.expires_at:%H:%M} UTC", f"{s.name} -n {s.namespace}"
        why = f"may Goldseam {s.plan.summary}? Answer until {until}: goldseam approve {which}"
        status = escalation.asked(s, status, question, why, now)
    status = record.changed(status, phase="AwaitingApproval" if s.words_protected else status.phase)
    return answers.held(s, status, holds, now)


def _unanswered(s: Situation, rung: Rung, why: str, now: datetime) -> Decision:
    if approvals.terms(s).on_timeout == "Skip" and not rung.destructive:
        return _passed_over(s, rung, "Unanswered", why, now)
    status = record.ended(s.status, _step(s, rung, now), "Unanswered", why, now)
    return people.hand_over(s, status, escalation.UNANSWERED, why, now)


def _unasked(status: IncidentStatus) -> IncidentStatus:
    """Something else holds now: it is not for an answer that we wait."""
    return record.changed(status, phase="Investigating") if status.phase == "AwaitingApproval" else status


def _begun(s: Situation, rung: Rung, now: datetime) -> Decision:
    if isinstance(rung.parameters, Escalate):
        return _escalated(s, rung.parameters, now)
    if isinstance(rung.parameters, Notify):
        return _notified(s, rung, rung.parameters, now)
    if rung.collect is not None:
        return _collected(s, rung, now)
    if rung.wait is not None:
        step = _step(s, rung, now).model_copy(update={"phase": "Acted", "acted_at": now})
        status = record.moved(
            record.with_step(s.status, step), "Fixing", now, f"waiting for {rung.wait.dump()['duration']}"
        )
        return answers.answer("wait", "Waiting", status, answers.SHORTLY)
    assert isinstance(s.plan, Proposal), "gather plans every rung that writes"
    return _acted(s, rung, s.plan, now) if s.acts else _observed(s, rung, s.plan, now)


def _acted(s: Situation, rung: Rung, plan: Proposal, now: datetime) -> Decision:
    told = _told(plan) | {"writes": list(plan.writes), "message": record.cut(plan.summary), "aftermath": plan.aftermath}
    told |= {"ending": list(plan.ending) or None}
    step = deadlines.given(s, _step(s, rung, now).model_copy(update=told), rung, now)
    status = record.with_step(s.status, step)
    status = record.with_obligations(status, [_inherited(o, s) for o in plan.obligations])
    if plan.writes:  # to wait for pods that end anyway is no act
        kpis = status.kpis.model_copy(update={"first_action_at": status.kpis.first_action_at or now})
        status = record.changed(status, kpis=kpis)
    status = record.note(record.say(record.changed(status, phase="Fixing"), plan.summary), now, "Intent", plan.summary)
    return answers.answer("act", "Act", status, answers.SHORTLY, step=step.id)


def _told(plan: Proposal) -> dict[str, list[str] | None]:
    return {"preflight": list(plan.preflight) or None}


def _built_on(s: Situation, plan: NothingToDo) -> Situation:
    """What is there already is another one's work: who acts, and goes on from there, owes it, too. Who would uncordon a
    node that another one needs, needs it no more: else two would keep it out of service for each other."""
    debts = [_inherited(o, s) for o in plan.obligations] if s.acts else []
    status = record.with_obligations(s.status, debts)
    rung = s.rung if s.acts and s.world.needed_by else None
    if rung is not None and rung.action == "uncordon" and not approvals.needed(s, rung):
        status = shared_cordons.fallen_due(status, s.world.now)
    return replace(s, status=status)


def _inherited(obligation: Obligation, s: Situation) -> Obligation:
    """An older incident may still owe the same field: then its `original` is what must come back."""
    for other in s.others:
        for theirs in other.obligations:
            if theirs.key == obligation.key and theirs.state == "Open" and other.uid != s.uid:
                return obligation.model_copy(update={"original": theirs.original})
    return obligation


def _observed(s: Situation, rung: Rung, plan: Proposal, now: datetime) -> Decision:
    denied = "; ".join(s.permission.denied) or s.permission.problem
    rehearsal = f" ({s.dry_run})" if s.dry_run else f" (not permitted yet: {denied})" if denied else ""
    step = _step(s, rung, now).model_copy(update=_told(plan))
    status = record.ended(s.status, step, "Observed", f"would {plan.summary}{rehearsal}", now)
    status = record.say(status, f"mode Observe: would {plan.summary}")
    return answers.answer("rehearse", "Observed", status, answers.IDLE)


def _rehearsed(s: Situation, rung: Rung, now: datetime) -> Decision | None:
    """In mode Observe the next rung's turn comes when this one would have timed out."""
    last = s.status.steps[-1] if s.status.steps else None
    if s.acts or last is None or last.rung != s.status.rung or last.outcome != "Observed":
        return None
    left = last.intent_at + timeout(s, rung) - now
    if left > timedelta(0):
        return answers.answer("wait", "Observed", s.status, min(left, answers.IDLE))
    if hold := source(s, now):
        return answers.held(s, s.status, [hold], now)
    return answers.answer("wait", "NextRung", record.changed(s.status, rung=s.status.rung + 1), answers.SOON)


def _passed_over(s: Situation, rung: Rung, outcome: str, why: str, now: datetime) -> Decision:
    status = record.ended(_unasked(s.status), _step(s, rung, now), outcome, why, now)  # type: ignore[arg-type]
    status = record.say(record.changed(status, rung=s.status.rung + 1), f"{rung.title}: {why}")
    return answers.answer("wait", "NextRung", status, answers.SOON)


def _escalated(s: Situation, parameters: Escalate, now: datetime) -> Decision:
    why = "the ladder says that people take over here"
    rung = s.rung
    assert rung is not None
    status = _ended_by_telling(s, _step(s, rung, now), why, now)
    status = escalation.told(s, status, escalation.RUNG, parameters.level, why, now)
    status = record.changed(status, rung=s.status.rung + 1)
    if not s.acts:
        return answers.answer(
            "wait", "WouldEscalate", record.say(status, "mode Observe: would tell people"), answers.SOON
        )
    status = record.moved(record.changed(status, handed_over=True), "Escalated", now, why)
    return answers.answer("escalate", "Escalated", status, answers.SOON)


def _notified(s: Situation, rung: Rung, parameters: Notify, now: datetime) -> Decision:
    step = _step(s, rung, now)
    why = parameters.message or "the ladder says that people are told"
    status = _ended_by_telling(s, step, why, now)
    status = escalation.told(s, status, f"notify-{step.id}"[:63], None, why, now, contact=parameters.contact or "")
    return answers.answer("wait", "Told", record.changed(status, rung=s.status.rung + 1), answers.SOON)


def _ended_by_telling(s: Situation, step: Step, why: str, now: datetime) -> IncidentStatus:
    """In mode Observe nobody is told."""
    if not s.tells:
        return record.ended(s.status, step, "Observed", f"would tell people: {why}", now)
    return record.ended(s.status, step, "Told", why, now)


def _collected(s: Situation, rung: Rung, now: datetime) -> Decision:
    if s.evidence is None:
        return answers.answer("wait", "Collecting", s.status, answers.SOON)
    said = summary(s.evidence)
    status = record.ended(s.status, _step(s, rung, now), "Collected", said, now)
    kept = [*(status.evidence or ()), *s.evidence][-FOUND:]
    status = record.say(record.changed(status, rung=s.status.rung + 1, evidence=kept), f"{rung.title}: {said}")
    return answers.answer("wait", "NextRung", status, answers.SOON)


def _step(s: Situation, rung: Rung, now: datetime) -> Step:
    name = record.next_step(s.status, rung.action)
    return Step(
        id=name,
        rung=s.status.rung,
        action=rung.action,
        attempt=verify.failures(s.status, s.status.rung) + 1,
        token=naming.token(s.uid, name),
        intent_at=now,
    )
