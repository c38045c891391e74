"""How an incident ends: the alert is gone, the target or the policy is gone, and what is owed is paid."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from goldseam.api.durations import parse_duration
from goldseam.api.incident import ENDED, IncidentStatus, Obligation, Step
from goldseam.engine import answers, obligations, out_of_service, record
from goldseam.engine.begun import reboots
from goldseam.engine.jobs import waiting
from goldseam.engine.lineage import judged, was_spared
from goldseam.engine.objects import metadata
from goldseam.engine.shared_cordons import handed_on, keeper
from goldseam.engine.situation import Decision, Other, Situation

LONG = timedelta(minutes=10)


def abandoned(s: Situation, now: datetime) -> Decision | None:
    """The target is gone or replaced, or the policy is deleted: nothing more is tried, and what is owed is paid. A node
    that is not back yet from a reboot is no place for pods: it is given back after that, or when its time is over."""
    if s.status.phase in ENDED or s.unknown:
        return None
    why = _why_abandoned(s, now)
    if not why or (reboots(s, now) and not _why_gone(s)):
        return None
    status = s.status
    while (step := status.open_step()) is not None:  # an undo, and what is watched meanwhile
        status = _dropped(s, status, step, why, now)
    status = record.moved(status, "Abandoned", now, why)
    return answers.answer("end", "Abandoned", status, answers.SOON)


def _why_abandoned(s: Situation, now: datetime) -> str:
    suspended = [h for h in s.status.holds if h.reason == "Suspended" and now - h.since >= s.pinned.flap_window]
    if suspended and s.policy and s.policy.spec and s.policy.spec.suspend:
        return "the policy has been suspended for longer than its flapWindow: it is meant for good"
    return _why_orphaned(s)


def _why_orphaned(s: Situation) -> str:
    if why := _why_gone(s):
        return why
    if s.policy is None or s.policy.uid != s.spec.policy_ref.uid:
        return "the policy was deleted"
    return ""


def _why_gone(s: Situation) -> str:
    if s.world.target is None:
        return f"{s.spec.target} is gone"
    if metadata(s.world.target).get("uid") != s.spec.target.uid:
        return f"{s.spec.target} was replaced by another object of the same name"
    return ""


def _dropped(s: Situation, status: IncidentStatus, step: Step, why: str, now: datetime) -> IncidentStatus:
    step = judged(step, s.world) if step.phase == "Intended" else step
    status = record.ended(status, step, "Superseded", why + waiting(step), now)
    return obligations.voided(status, step, why) if step.purpose == "Rung" else status


def returned(s: Situation, now: datetime) -> Decision | None:
    """A node that was taken out of service reports again: its taint goes at once, whatever is being watched, or done:
    where pods are evicted with the taint there, their volumes are detached while they are mounted. What holds that back
    holds nothing else back."""
    step = s.status.open_step()
    if step is not None and (step.purpose == "Undo" or (step.phase == "Intended" and step.action == "outOfService")):
        return None
    found = _undone(s, now, [o for o in s.status.open_obligations() if o.kind == "Untaint"])
    return found if found is not None and found.kind == "undo" else None


def undone(s: Situation, now: datetime) -> Decision | None:
    """Something is owed and due: undo it, or say why not yet."""
    return _undone(s, now, s.status.open_obligations())


def _undone(s: Situation, now: datetime, owed: Iterable[Obligation]) -> Decision | None:
    due = [(o, at) for o in owed if (at := obligations.due_at(o, s)) is not None and at <= now]
    if not due:
        return None
    obligation = min(due, key=lambda pair: obligations.in_turn(*pair))[0]
    if not s.unknown and (other := keeper(obligation, s)):
        if obligation.due_at == now:  # as of this very look: it is written before it is handed on
            return answers.answer("wait", "Owing", s.status, answers.SOON)
        return _handed_on(s, obligation, other, now)
    if holds := obligations.holds(obligation, s, now):
        return answers.held(s, s.status, holds, now)
    step = obligations.undo(obligation, s, now)
    status = record.note(record.with_step(s.status, step), now, "Undo", step.message)
    return answers.answer("undo", "Undo", record.say(status, step.message), answers.SHORTLY, step=step.id)


def _handed_on(s: Situation, o: Obligation, to: Other, now: datetime) -> Decision:
    """A record only, whatever is paused. It stands by itself: that it was due was written before (`shared_cordons`)."""
    why = handed_on(o, to)
    status = record.say(record.note(record.voided(s.status, o, why), now, "Void", why), why)
    return answers.answer("end", "HandedOn", status, answers.SOON)


def reopened(s: Situation, now: datetime) -> Decision | None:
    """The alert is back within the flap window: the same incident goes on, where its ladder stood."""
    resolved = s.status.kpis.resolved_at
    if resolved is None or not _is_back(s, resolved, now):
        return None
    kpis = s.status.kpis.model_copy(update={"resolved_at": None, "self_resolved": False})
    healthy = min(s.status.paused_for + (now - resolved), timedelta(days=7))  # it is not the alert's age
    status = record.changed(s.status, kpis=kpis, paused_for=timedelta(seconds=int(healthy.total_seconds())))
    status = record.changed(status, reopened=status.reopened + 1)
    status = status if status.handed_over else obligations.not_yet_due(status)
    phase = "Escalated" if status.handed_over else "Investigating"
    why = f"the alert is back {int((now - resolved).total_seconds())} s after the incident was resolved"
    return answers.answer("wait", "Reopened", record.moved(status, phase, now, why), answers.SOON)


def _is_back(s: Situation, resolved: datetime, now: datetime) -> bool:
    if s.status.phase != "Resolved" or s.reading.state != "Firing" or not s.reading.fresh:
        return False
    return not (s.unknown or s.status.closed_at or now - resolved >= s.pinned.flap_window or _why_orphaned(s))


def of_undo(status: IncidentStatus, step: Step) -> list[Obligation]:
    """What the undo pays."""
    first = step.writes[0]
    return [o for o in status.open_obligations() if (o.object, o.field) == (first.object, first.field)]


def fell_due(status: IncidentStatus, step: Step) -> bool:
    """Whether what the undo pays is owed while the alert fires, too, as the cordon of a drain that has failed."""
    return any(o.due_at is not None and o.kind in obligations.AT_ONCE for o in of_undo(status, step))


def gives_way(s: Situation, step: Step, now: datetime) -> bool:
    """Whether an undo of which nothing is made yet leaves it to the alert that is back, as one does that is not written
    down yet; but a taint goes whatever the alert does."""
    resolved = s.status.kpis.resolved_at
    return step.writes[0].field != out_of_service.FIELD and resolved is not None and _is_back(s, resolved, now)


def may_reopen(status: IncidentStatus | None, now: datetime) -> bool:
    """Whether a resolved incident's flap window is still open. Nothing is known of the situation here."""
    if status is None or status.policy_snapshot is None or status.kpis.resolved_at is None:
        return True
    try:
        window = parse_duration(status.policy_snapshot.spec.get("flapWindow"))
    except ValueError:  # not a snapshot of ours: the look at it will say so
        return True
    return now - status.kpis.resolved_at < window


def over(s: Situation, now: datetime) -> Decision | None:
    """Resolved or abandoned: wait for what is owed to fall due, and for the flap window; then there is nothing left."""
    if s.status.phase not in ENDED:
        return None
    if not s.status.open_obligations():
        return _closed(s, now)
    due = [at for o in s.status.open_obligations() if (at := obligations.due_at(o, s)) is not None]
    again = min((at - now for at in due), default=answers.IDLE)
    return answers.answer("wait", "Owing", s.status, max(min(again, answers.IDLE), answers.SOON))


def _closed(s: Situation, now: datetime) -> Decision:
    resolved = s.status.kpis.resolved_at
    waits = s.status.phase == "Resolved" and resolved is not None and not (not s.unknown and _why_orphaned(s))
    left = resolved + s.pinned.flap_window - now if waits and resolved else timedelta(0)
    if left > timedelta(0):
        return answers.answer("wait", "FlapWindow", s.status, min(left, LONG))
    status = s.status if s.status.closed_at else record.changed(s.status, closed_at=now)
    return answers.answer("end", s.status.phase, status, LONG)


def is_over(status: IncidentStatus) -> bool:
    """Whether nothing is left to do, ever."""
    return status.closed_at is not None


def cleared(s: Situation, now: datetime) -> Decision | None:
    """The alert is surely gone: watch for `resolve.after`, then it is resolved."""
    verdict = s.status.verdict
    if verdict is None or s.reading.state != "Cleared" or not s.reading.fresh:
        return None
    status = s.status
    if status.phase != "Monitoring":
        status = record.moved(status, "Monitoring", now, "the alert is Cleared; watching whether it stays away")
    left = verdict.since + s.pinned.resolve.after - now
    if left > timedelta(0):
        return answers.answer("wait", "Monitoring", status, min(left, answers.IDLE))
    return answers.answer("resolve", "Resolved", _resolved(status, now), answers.SOON)


def _resolved(status: IncidentStatus, now: datetime) -> IncidentStatus:
    written = [step for step in status.steps if step.purpose == "Rung" and step.writes]
    first = status.kpis.first_action_at if not written or any(map(_was_acted, written)) else None
    acted = first is not None  # what was held back until the end was not done
    kpis = status.kpis.model_copy(update={"resolved_at": now, "self_resolved": not acted, "first_action_at": first})
    how = "after what was done" if acted else "by itself"
    return record.moved(record.changed(status, kpis=kpis), "Resolved", now, f"the alert is gone {how}")


def _was_acted(step: Step) -> bool:
    if step.outcome == "NotTaken" and step.writes[0].verb == "Patch":  # a pod may have gone by itself
        return False
    return step.acted_at is not None or any(w.state == "Done" and not was_spared(w) for w in step.writes)
