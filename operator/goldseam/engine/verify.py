"""Open steps: was the intent carried out, is it still ours, did it help?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from goldseam.api.incident import IncidentStatus, Step
from goldseam.api.ladder import Rung, Wait
from goldseam.api.outcomes import Outcome
from goldseam.engine import aftermath, answers, closing, deadlines, detaching, escalation, obligations, people, record
from goldseam.engine.derived import is_derived
from goldseam.engine.going_on import helped, went_on
from goldseam.engine.guards.hold import Guard, Hold
from goldseam.engine.guards.knowledge import source, unread, unsure
from goldseam.engine.guards.order import BEFORE_FORCING, BEFORE_UNDOING, BETWEEN_WRITES, RESUMING, holding
from goldseam.engine.jobs import waiting
from goldseam.engine.lineage import judged as judged_writes
from goldseam.engine.lineage import spared, was_evicted, was_spared, without_the_rest
from goldseam.engine.missing import all_of, evaluated_since, gone, next_comes, settling, still_missing, waiting_for
from goldseam.engine.proposal import Effect
from goldseam.engine.situation import Decision, Situation, timeout
from goldseam.engine.taken_back import cordon_taken
from goldseam.engine.undoing import not_accepted
from goldseam.engine.withdrawn import why_not

BACK = "the alert is back: it is still owed, and put back after the next end"
ANEW = "what is written down differs from what would be done now"


def under_way(s: Situation, now: datetime) -> Decision | None:
    """An intent is open: what the world shows of its writes decides. The token stays the same."""
    step = s.status.open_step()
    if step is None or step.phase != "Intended":
        return None
    if s.unknown:
        return answers.held(s, s.status, holding((unread,), s, now), now)
    step = detaching.seen(judged_writes(step, s.world), s.world)
    step = spared(step, s.plan) if step.purpose == "Rung" else step
    status = record.with_step(s.status, step)
    if why := next((w.message for w in step.writes if w.state == "Superseded"), ""):
        return _superseded(s, status, step, why, now)
    if not _to_be_cordoned(step) and (why := cordon_taken(step, s.world.target)):
        return _superseded(s, status, step, why, now)
    if any(w.state == "Refused" for w in step.writes):
        return _refused(status, step, now)
    if all(w.state == "Done" for w in step.writes):
        return _carried_out(status, step, now)
    return _go_on(s, status, step, now)


def _to_be_cordoned(step: Step) -> bool:
    """Whether the first write, which is that of a node, is not made yet."""
    return any(write.verb == "Patch" and write.state != "Done" for write in step.writes[:1])


def _carried_out(status: IncidentStatus, step: Step, now: datetime) -> Decision:
    if step.writes and all(was_spared(w) for w in step.writes):
        why = step.writes[0].message
        return answers.answer("wait", "NotTaken", record.say(_untaken(status, step, why, now), why), answers.SOON)
    if step.purpose == "Undo":
        status = obligations.paid(record.ended(status, step, "Undone", step.message, now), step)
        return answers.answer("wait", "Undone", record.say(status, f"done: {step.message}"), answers.SOON)
    status = record.with_step(status, step.model_copy(update={"phase": "Acted", "acted_at": step.acted_at or now}))
    return answers.answer("wait", "Acted", status, answers.SOON)


def _superseded(s: Situation, status: IncidentStatus, step: Step, why: str, now: datetime) -> Decision:
    status = record.ended(status, step, "Superseded", why, now)
    if step.purpose == "Undo":
        status = obligations.lost(status, step, why)
        return answers.answer("end", "Superseded", record.say(status, f"not undone: {why}"), answers.SOON)
    status = obligations.voided(obligations.due_now(status, step, now), step, "the step was superseded")
    return people.hand_over(s, status, escalation.TAKEN_OVER, f"somebody else moved it: {why}", now)


def _refused(status: IncidentStatus, step: Step, now: datetime) -> Decision:
    """A drain may have cordoned its node before: that is half of it, and owed at once."""
    why = next(w.message for w in step.writes if w.state == "Refused") + waiting(step)
    status = record.ended(status, step, "Refused", why, now)
    if _takes_a_node(step):
        status = obligations.due_now(status, step, now)
    status = obligations.voided(status, step, "the API server refused the write")
    return _climb(status, step, f"{step.action} was refused: {why}", answers.SOON)


def _takes_a_node(step: Step) -> bool:
    return step.action in ("cordon", "drain")


def _go_on(s: Situation, status: IncidentStatus, step: Step, now: datetime) -> Decision:
    begun = any(w.state == "Done" and not was_spared(w) for w in step.writes)
    begun = begun and (not _takes_a_node(step) or deadlines.is_begun(step))  # a pod may have gone by itself
    if step.purpose == "Rung" and status.handed_over:
        return _dropped(status, step, "Failed" if begun else "NotTaken", now)
    undo = step.purpose == "Undo"
    if not begun and not undo and (why := why_not(s, status, step)):
        return answers.answer("wait", "NotTaken", record.say(_untaken(status, step, why, now), why), answers.SOON)
    holds = _holds(s, step, now, begun=begun)
    if undo and not begun and (why := _alert_is_back(s, status, step, holds, now)):
        status = record.ended(status, step, "NotTaken", why, now)
        return answers.answer("wait", "NotTaken", record.say(status, why), answers.SOON)
    if not holds:
        return _carry_on(s, status, step, now, begun=begun)
    if begun and not undo and not _may_stop(s, step) and _is_late(s, step, now):  # half done: what it owes is paid
        return tried_in_vain(s, status, step, f"it could not be carried out in time: {holds[0].message}", now)
    if not begun and not undo and s.reading.state == "Cleared" and s.reading.fresh:
        why = "the alert was over before it was carried out"
        return answers.answer("wait", "NotTaken", record.say(_untaken(status, step, why, now), why), answers.SOON)
    if holds[0].kind == "Wait" or begun:
        return answers.held(s, status, holds, now)
    why = holds[0].message
    return _climb(_untaken(status, step, why, now), step, why, answers.SOON)


def _alert_is_back(s: Situation, status: IncidentStatus, step: Step, holds: Sequence[Hold], now: datetime) -> str:
    """Why an undo of which nothing is made is left to an alert that is back; empty where it is not."""
    due = closing.fell_due(status, step)
    if not holds and closing.gives_way(s, step, now):
        return "the alert is back: it is still owed" if due else BACK
    return BACK if holds and not due and s.reading.state == "Firing" and s.reading.fresh else ""


def _holds(s: Situation, step: Step, now: datetime, *, begun: bool) -> list[Hold]:
    """What speaks against the step's next write. Before the first one of an undo all is asked that was asked before it
    was written down: the alert may be back since. After it, what speaks against the restart that follows."""
    if step.purpose != "Undo":
        return holding(_asked(step, begun=begun), s, now)
    owed = closing.of_undo(s.status, step)
    if begun or not owed:
        return [*holding(BEFORE_UNDOING, s, now), *(hold for o in owed for hold in obligations.held_restart(o, s))]
    return obligations.holds(owed[0], s, now)


def _asked(step: Step, *, begun: bool) -> Sequence[Guard]:
    """While a deletion by force is left, all is asked again that was asked when it was decided on: whoever decided may
    have died since, and each pod that stays is one that no budget has let go."""
    if deadlines.still_to_delete(step):
        return BEFORE_FORCING
    return BETWEEN_WRITES if begun else RESUMING


def _untaken(status: IncidentStatus, step: Step, why: str, now: datetime) -> IncidentStatus:
    """Nothing of the step was done, so nothing is owed for it."""
    why += waiting(step)
    return obligations.voided(record.ended(status, step, "NotTaken", why, now), step, "not taken")


def _carry_on(s: Situation, status: IncidentStatus, step: Step, now: datetime, *, begun: bool) -> Decision:
    """Nothing holds. Time in which the first write was held back, or nobody tried it, is not the rung's time; where
    only evictions are left, nor is that in which any of them was held back."""
    waits = turn_waits(s, step)
    if step.purpose == "Rung" and s.plan is not None and s.plan.turn.hopeless:
        return tried_in_vain(s, status, step, s.plan.turn.hopeless, now)
    if step.purpose == "Rung" and _is_late(s, step, now):
        held = s.status.holds and (not begun or _may_stop(s, step))
        if (begun or waits or _tried(step)) and not held:
            return tried_in_vain(s, status, step, f"it could not be carried out in time{waits and f': {waits}'}", now)
        step = _anew(s, step.model_copy(update={"intent_at": now}), now)
        status = record.with_step(status, step)
    elif not begun and (s.status.holds or not (waits or _tried(step))):
        step = _anew(s, step, now)
        status = record.with_step(status, step)
    if begun and _may_stop(s, step) and (stopped := _stopped(s, status, step, now)):
        return stopped
    if not is_derived(s, step):
        may_stop = begun and _may_stop(s, step)
        return _given_up(status, step, now) if may_stop else _replanned(s, status, step, now, begun=begun)
    if waits:
        return answers.answer("wait", "Waiting", record.say(status, f"{step.action}: {waits}"), answers.SHORTLY)
    status = record.say(status, not_accepted(status) or status.message)
    return answers.answer("act", "GoOn", status, answers.SHORTLY, step=step.id)


def _anew(s: Situation, step: Step, now: datetime) -> Step:
    """A drain whose first write was held back, or that nobody tried, has all its time still, and the node says so."""
    return step if step.deadline_at is None else deadlines.given(s, step, s.pinned.ladder[step.rung], now)


def turn_waits(s: Situation, step: Step) -> str:
    """Of a step whose turn has none of what is left: how far it is, and what it waits for."""
    left = [write for write in step.writes if write.state == "Pending"]
    if not left or step.purpose == "Undo" or s.plan is None or any(s.plan.turn.has(w, step.writes) for w in left):
        return ""
    gone, all_of = sum(map(was_evicted, step.writes)), sum(write.verb == "Evict" for write in step.writes)
    return f"{gone} of {all_of} pods evicted, waiting for {s.plan.turn.waits_for}"


def _may_stop(s: Situation, step: Step) -> bool:
    """Whether only evictions of a workload's pods are left: unlike half a drain, what was done is of use by itself."""
    mine = step.purpose == "Rung" and s.rung is not None and step.action == s.rung.action
    return (
        mine
        and s.spec.target.kind != "Node"
        and all(write.verb == "Evict" for write in step.writes if write.state == "Pending")
    )


def _stopped(s: Situation, status: IncidentStatus, step: Step, now: datetime) -> Decision | None:
    """Some pods are evicted, and something speaks against the others. What only waits, for it is not known or not the
    time, is waited for."""
    if why := why_not(s, status, step):
        return _given_up(status, step, now, why)
    holds = holding(RESUMING, s, now)
    if not holds:
        return None
    over = s.reading.state == "Cleared" and s.reading.fresh
    if holds[0].kind == "Wait" and not over:
        return answers.held(s, status, holds, now)
    return _given_up(status, step, now, holds[0].message)


def _given_up(status: IncidentStatus, step: Step, now: datetime, why: str = ANEW) -> Decision:
    step = without_the_rest(step, why)
    return _carried_out(record.with_step(status, step), step, now)


def _is_late(s: Situation, step: Step, now: datetime) -> bool:
    if step.deadline_at is not None:
        return step.deadline_at <= now
    return now - _began(s, step, now) >= timeout(s, s.pinned.ladder[step.rung])


def _began(s: Situation, step: Step, now: datetime) -> datetime:
    """Since when the rung's time counts: where the pods of a workload are evicted, since the last one was."""
    evicts = s.spec.target.kind != "Node" and any(write.verb == "Evict" for write in step.writes)
    last = step.acted_at if evicts and step.acted_at is not None else step.intent_at
    return step.ran_until or max(step.intent_at, min(last, now))


def _tried(step: Step) -> bool:
    """Whether the API server was asked: what it said, or that it said nothing, stands by the write."""
    return any(write.message for write in step.writes)


def _replanned(s: Situation, status: IncidentStatus, step: Step, now: datetime, *, begun: bool) -> Decision:
    """What is left of the step is not made. What was made of it stands, and what is owed for that."""
    why = f"{ANEW}: it is planned anew{waiting(step)}"
    if begun and step.purpose == "Rung":
        return tried_in_vain(s, status, step, f"only a part was done: {why}", now)
    if begun and step.writes[0].state == "Done":  # the value is back
        status = obligations.paid(record.ended(status, step, "Undone", step.message, now), step)
        return answers.answer("wait", "Undone", record.say(status, f"done: {step.message}"), answers.SOON)
    status = record.ended(status, step, "NotTaken", why, now)
    status = obligations.voided(status, step, why) if step.purpose == "Rung" else status
    return answers.answer("wait", "Replanned", record.say(status, why), answers.SOON)


def _dropped(status: IncidentStatus, step: Step, outcome: Outcome, now: datetime) -> Decision:
    """People have it: no further write of the step is made."""
    why = f"people have taken over{waiting(step)}"
    status = obligations.voided(record.ended(status, step, outcome, why, now), step, why)
    return answers.answer("wait", "HandedOver", record.say(status, why), answers.SOON)


def judged(s: Situation, now: datetime) -> Decision | None:
    """A step was carried out: it has helped when the alert is Cleared, the rollout is complete and the queries hold."""
    step = s.status.open_step()
    if step is None or step.phase != "Acted" or step.acted_at is None:
        return None
    if s.unknown:  # neither that it has helped, nor that it has not
        return answers.held(s, s.status, holding((unread,), s, now), now)
    rung = s.pinned.ladder[step.rung]
    if rung.wait is not None and not gone(s, step, rung):
        return _waited(s, step, rung.wait, now)
    if s.effect is not None and s.effect.course in ("Runs", "Failed", "Vanished"):
        return _at_work(s, step, s.effect, now)
    step = _with_queries(s, _ran(s, step, now), now)
    ends = _ends(s, step, rung, now)
    s, step = aftermath.seen(s, step, ends, now)
    status = record.with_step(s.status, step)
    missing = still_missing(s, step, rung, now)
    if not missing:
        return helped(s, status, step, rung, now)
    if evaluated_since(s, step, rung) and (decision := went_on(s, status, step, rung, now)):
        return decision
    if ends > now:
        waits = aftermath.said(s, rung) or next_comes(s, step, rung) or waiting_for(s, rung, missing)
        status = record.say(status, waits)
        return answers.answer("wait", "Verifying", status, min(ends - now, answers.SHORTLY))
    return _timed_out(s, status, step, missing, now)


def _ends(s: Situation, step: Step, rung: Rung, now: datetime) -> datetime:
    """When the rung's time is over."""
    ends = _began(s, step, now) + timeout(s, rung)
    return ends if step.deadline_at is None else max(ends, step.deadline_at + deadlines.after_force(s, step, rung))


def _at_work(s: Situation, step: Step, effect: Effect, now: datetime) -> Decision:
    """What was started runs still, and nothing else is tried beside it, however long it takes; or it has failed. Where
    nobody knows, nothing is tried on that, neither it again nor anything after it."""
    rung = s.pinned.ladder[step.rung]
    if effect.course == "Vanished":
        status = record.ended(s.status, step, "Inconclusive", effect.message, now)
        return people.hand_over(s, status, escalation.INCONCLUSIVE, effect.message, now)
    if effect.course == "Failed":
        step = step.model_copy(update={"evidence": s.world.log or None})
        return tried_in_vain(s, s.status, step, effect.message, now)
    left = step.intent_at + timeout(s, rung) - now
    if left > timedelta(0):
        status = record.say(s.status, f"{rung.title} was begun; waiting for {effect.message}")
        return answers.answer("wait", "Verifying", status, min(left, answers.SHORTLY))
    message = (
        f"{rung.title} takes longer than its timeout; nothing else is tried beside it; waiting for {effect.message}"
    )
    return answers.held(s, s.status, [Hold("busy", "Wait", "StillRunning", message)], now)


def _ran(s: Situation, step: Step, now: datetime) -> Step:
    """The step, whose effect begins now if what it started has just ended well."""
    if s.effect is None or s.effect.course != "Ended" or step.ran_until is not None:
        return step
    return step.model_copy(
        update={"ran_until": now, "acted_at": now, "holding_since": None, "evidence": s.world.log or None}
    )


def _waited(s: Situation, step: Step, wait: Wait, now: datetime) -> Decision:
    left = step.intent_at + wait.duration - now
    if left > timedelta(0):
        return answers.answer("wait", "Waiting", s.status, min(left, answers.IDLE))
    if hold := source(s, now):
        return answers.held(s, s.status, [hold], now)
    return _climb(
        record.ended(s.status, step, "Failed", "the alert still fires", now),
        step,
        "the alert still fires",
        answers.SOON,
    )


def _with_queries(s: Situation, step: Step, now: datetime) -> Step:
    """Since when all queries hold without a break."""
    all_hold = bool(s.answers) and all(answer.state == "Holds" for answer in s.answers)
    since = (step.holding_since or now) if all_hold else None
    return step if since == step.holding_since else step.model_copy(update={"holding_since": since})


def _timed_out(s: Situation, status: IncidentStatus, step: Step, missing: list[str], now: datetime) -> Decision:
    """A verification fails on fresh knowledge only; without it we wait, and after `unknownTimeout` people are told."""
    unknown = next((a.message for a in s.answers if a.state == "Unknown"), "")
    if not s.reading.fresh or s.reading.state not in ("Firing", "Cleared"):
        unknown = unknown or s.reading.message
    elif not evaluated_since(s, step, s.pinned.ladder[step.rung]):
        unknown = unknown or f"what is missing is {settling(step, s.pinned.ladder[step.rung])}"
    if unknown and status.handed_over:  # nobody waits for the answer, and it counts as at work until it ends
        why = f"whether {step.action} helped cannot be told: {unknown}"
        status = record.ended(status, step, "Inconclusive", why, now)
        return answers.answer("wait", "HandedOver", record.say(status, why), answers.SOON)
    if unknown:
        before = f"whether {step.action} helped cannot be told: "
        hold = Hold("source", "Wait", "Inconclusive", before + unknown)
        hold = unsure(s.reading, before) if s.reading.inputs_gone else hold
        return answers.held(s, status, [hold], now)
    return _failed(s, status, step, all_of(missing), now)


def _failed(s: Situation, status: IncidentStatus, step: Step, why: str, now: datetime) -> Decision:
    return tried_in_vain(s, status, step, f"did not help in time: still waiting for {why}", now)


def tried_in_vain(s: Situation, status: IncidentStatus, step: Step, why: str, now: datetime) -> Decision:
    """The step has failed: what half of it made us owe falls due, and the next attempt or rung comes after that."""
    status = record.ended(status, step, "Failed", why + waiting(step), now)
    incomplete = step.phase == "Intended" or (s.effect is not None and not s.effect.done)
    if incomplete and _takes_a_node(step):
        status = obligations.due_now(status, step, now)
    status = obligations.voided(status, step, "the write was never made") if step.phase == "Intended" else status
    if failures(status, step.rung) < s.pinned.ladder[step.rung].attempts:
        return answers.answer("wait", "NextAttempt", record.say(status, f"{step.action} did not help"), answers.SOON)
    return _climb(status, step, f"{step.action} did not help", answers.SOON)


def failures(status: IncidentStatus, rung: int) -> int:
    """How often the rung has been tried and has not helped."""
    return sum(1 for step in status.steps if step.rung == rung and step.outcome == "Failed")


def _climb(status: IncidentStatus, step: Step, why: str, again: timedelta) -> Decision:
    status = record.say(record.changed(status, rung=step.rung + 1), why)
    return answers.answer("wait", "NextRung", status, again)
