"""A drain that has not ended by its deadline: the node is given back, or stays, or what is left on it is deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from goldseam.api.incident import IncidentStatus, ObjectRef, Step
from goldseam.engine import answers, cordons, record
from goldseam.engine.deadlines import is_begun, is_forced, is_over, is_to_be_forced, is_untried, still_to_delete
from goldseam.engine.guards.hold import Hold
from goldseam.engine.guards.knowledge import unread
from goldseam.engine.guards.order import BEFORE_FORCING, BETWEEN_WRITES, holding
from goldseam.engine.lineage import judged
from goldseam.engine.matching import protected
from goldseam.engine.objects import Json, ends_at, metadata
from goldseam.engine.proposal import Proposal
from goldseam.engine.situation import Decision, Situation
from goldseam.engine.taken_back import cordon_taken
from goldseam.engine.verify import tried_in_vain, turn_waits
from goldseam.engine.withdrawn import why_not

ITS_GRACE = timedelta(seconds=30)
"""What a pod has to end in that does not say how long it takes (`terminationGracePeriodSeconds`)."""
MOST_GRACE = timedelta(minutes=10)
"""For no pod that is deleted is waited longer."""
AFTER_GRACE = timedelta(seconds=30)
"""For the kubelet to say that it is gone."""
UNTOLD = frozenset(
    {"AlertFiring", "AlertPending", "AlertUnknown", "InputsGone"}
    | {"SilenceUnknown", "BreakerUnknown", "PermissionUnknown", "NotRead"}
)
"""The reasons of holds that only say that something is not known, or not freshly. `AlertPending`: a Prometheus that was
started anew counts the rule's `for` from its beginning."""


def passed(s: Situation, now: datetime) -> Decision | None:
    """The deadline has passed, and pods are left. What is not begun has not failed, and what is not read is unknown.
    Before it has: deletions that were decided on, and are forbidden by now."""
    step = s.status.open_step()
    if step is None or s.status.handed_over:
        return None
    if not is_over(step, now):
        return _forbidden(s, step, now)
    if s.unknown or s.effect is None:
        return _unread(s, step, now)
    if s.effect.done or s.effect.waits_for:  # no pod is left
        return None
    if cordon_taken(step, s.world.target):  # whoever has uncordoned the node has it: nothing is tried on it again
        return None
    return _pods_left(s, step, now)


def _pods_left(s: Situation, step: Step, now: datetime) -> Decision | None:
    drain = s.pinned.ladder[step.rung].drain
    step = judged(step, s.world) if step.phase == "Intended" else step
    states = {write.state for write in step.writes}
    if drain is None or not is_begun(step) or states & {"Superseded", "Refused"}:
        return None
    status = record.with_step(s.status, step)
    if step != s.status.open_step():  # what was found out is written down before anything is made of it
        return _again(status)
    if drain.at_deadline == "Force" and _is_to_be_decided(step):
        return _by_force(s, status, step, now)
    if (ends := _all_their_time(s, step)) > now:
        return _again(record.with_step(status, step.model_copy(update={"deadline_at": ends})))
    return _failed(s, status, step, "", now, leave=drain.at_deadline == "LeaveCordoned")


def _is_to_be_decided(step: Step) -> bool:
    """Whether to delete by force, or once more where that was decided and is not begun."""
    return not is_forced(step) or is_untried(step)


def _forbidden(s: Situation, step: Step, now: datetime) -> Decision | None:
    """That deletions are decided on, and some are left, does not outlive what would forbid the decision now."""
    if s.unknown or s.effect is None or not is_forced(step) or step.phase != "Intended":
        return None
    step = judged(step, s.world)
    if not still_to_delete(step):
        return None
    why = why_not(s, s.status, step) or _protected(s, step)
    return _failed(s, record.with_step(s.status, step), step, why, now, leave=False) if why else None


def _all_their_time(s: Situation, step: Step) -> datetime:
    """When the last of the pods that are deleted should be gone: what held a deletion up is not taken from their time
    to end."""
    deleted = {write.object.uid for write in step.writes if write.verb == "Delete" and write.state == "Done"}
    ends = [ends_at(pod) for pod in s.world.pods if metadata(pod).get("uid") in deleted]
    known = [end for end in ends if end is not None]
    assert step.deadline_at is not None
    if step.acted_at is None or not known:
        return step.deadline_at
    return min(max(known), step.acted_at + MOST_GRACE) + AFTER_GRACE


def _again(status: IncidentStatus) -> Decision:
    """Look again at once; what it waits for stays on the incident."""
    return Decision("wait", "Waiting", status.message, status, answers.SOON)


def _unread(s: Situation, step: Step, now: datetime) -> Decision | None:
    """While it is waited for what is not known, what cannot be read is one thing more of that."""
    drain = s.pinned.ladder[step.rung].drain
    since = _waits_since(s)
    forces = drain is not None and drain.at_deadline == "Force" and _is_to_be_decided(step)
    if since is None or not s.unknown or not forces:
        return None
    return _waiting(s, s.status, holding((unread,), s, now), since, now)


def _by_force(s: Situation, status: IncidentStatus, step: Step, now: datetime) -> Decision:
    """What is left is deleted, if nothing speaks against it. All or nothing: half a drain helps nobody."""
    rung = s.pinned.ladder[step.rung]
    if not is_to_be_forced(step, rung, s.world.now):  # it was planned before the deadline had passed
        return _again(status)
    if why := why_not(s, status, step):
        return _failed(s, status, step, why, now, leave=False)
    holds, spared = holding(BEFORE_FORCING, s, now), _spared(s, step)
    if not spared and (since := _untold_since(s, holds, now)):
        return _waiting(s, status, holds, since, now)
    if against := holds[0].message if holds else spared:
        return _failed(s, status, step, against, now, leave=False)
    return _forced(s, status, step, now)


def _waits_since(s: Situation) -> datetime | None:
    """Since when it waits for what is not known."""
    return min((hold.since for hold in s.status.holds if hold.reason in UNTOLD), default=None)


def _untold_since(s: Situation, holds: Sequence[Hold], now: datetime) -> datetime | None:
    """Since when nothing but a lack of knowledge speaks against it; None where something else does, or when it was for
    `unknownTimeout`. The drain has not failed by that: who was started anew a moment ago has seen no rule evaluated."""
    if not holds or any(hold.reason not in UNTOLD for hold in holds):
        return None
    since = _waits_since(s) or now
    return since if now - since < s.pinned.unknown_timeout else None


def _waiting(s: Situation, status: IncidentStatus, holds: Sequence[Hold], since: datetime, now: datetime) -> Decision:
    """Nothing is deleted yet. What is not known may be another thing each time: the time counts from the first one."""
    decision = answers.held(s, status, holds, now)
    records = [hold.model_copy(update={"since": since}) for hold in decision.status.holds]
    status = record.changed(decision.status, holds=records)
    nothing = "nothing" if (step := status.open_step()) is None else _nothing(step)
    message = f"its deadline has passed, and {nothing} is deleted by force before it is known: {records[0].message}"
    return replace(decision, status=record.say(status, f"on hold: {message}"))


def _failed(s: Situation, status: IncidentStatus, step: Step, against: str, now: datetime, *, leave: bool) -> Decision:
    assert s.effect is not None
    assert step.deadline_at is not None
    reasons = [hold.message for hold in holding(BETWEEN_WRITES, s, now)[:1]]
    reasons += [f"{_nothing(step)} is deleted by force: {against}"] if against else []
    reasons += [waits] if (waits := turn_waits(s, step)) else []
    passed_at = [f"its deadline, {step.deadline_at:%H:%M:%S} UTC, has passed"] if is_over(step, now) else []
    failed = "; ".join([*passed_at, *reasons, s.effect.message])
    if leave:
        status = _left_cordoned(status, failed, now)
    return tried_in_vain(s, status, step, failed, now)


def _nothing(step: Step) -> str:
    some = any(write.verb == "Delete" and write.state == "Done" for write in step.writes)
    return "nothing more" if some else "nothing"


def _left_cordoned(status: IncidentStatus, failed: str, now: datetime) -> IncidentStatus:
    """Nothing is owed for the cordon any more: the policy says that it stays, and the node says so, too."""
    owed = [o for o in status.open_obligations() if o.kind == "Uncordon"]
    for obligation in owed:
        why = record.cut(cordons.left_with(obligation.object, failed))
        status = record.note(record.voided(status, obligation, why), now, "LeftCordoned", why)
    return status


def _protected(s: Situation, step: Step) -> str:
    safe = [*s.guardrails.protected_namespaces, s.operator_namespace]
    kept = [f"{ref.namespace}/{ref.name}" for ref in _left(s, step) if protected(ref.namespace, safe)]
    return f"pod {kept[0]} is in a namespace that is protected by the Guardrails (protectedNamespaces)" if kept else ""


def _spared(s: Situation, step: Step) -> str:
    """Why nothing of what is left may be deleted; empty where all of it may."""
    if kept := _protected(s, step):
        return kept
    if not isinstance(s.plan, Proposal):
        return "every pod that is left is on its way out already, and a second deletion would not hasten it"
    return ""


def _left(s: Situation, step: Step) -> list[ObjectRef]:
    here = {metadata(pod).get("uid") for pod in s.world.pods}
    return [write.object for write in step.writes if write.verb != "Patch" and write.object.uid in here]


def _forced(s: Situation, status: IncidentStatus, step: Step, now: datetime) -> Decision:
    """The same step, with deletions instead of the evictions that are left, and without a restart that was not made;
    they are written down first, as ever."""
    assert isinstance(s.plan, Proposal)
    doomed = {write.object.uid for write in s.plan.writes}
    left = [write for write in step.writes if write.verb != "Patch" or write.state != "Pending"]
    kept = [write for write in left if write.object.uid not in doomed]
    ends = now + _longest_grace(pod for pod in s.world.pods if metadata(pod).get("uid") in doomed) + AFTER_GRACE
    fields = {"phase": "Intended", "writes": [*kept, *s.plan.writes], "deadline_at": ends}
    step = step.model_copy(update=fields)
    status = record.note(record.with_step(status, step), now, "Forced", s.plan.summary)
    return answers.answer("act", "Forced", record.say(status, s.plan.summary), answers.SHORTLY, step=step.id)


def _longest_grace(pods: Iterable[Json]) -> timedelta:
    seconds = ((pod.get("spec") or {}).get("terminationGracePeriodSeconds") for pod in pods)
    asked = [ITS_GRACE if one is None else timedelta(seconds=one) for one in seconds]
    return min(max(asked, default=ITS_GRACE), MOST_GRACE)
