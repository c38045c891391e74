"""When people are told. Thresholds are data; each is crossed once per incident and level."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from goldseam.api.incident import ENDED, ApprovalRecord, Escalation, HoldRecord, IncidentStatus
from goldseam.api.runbook import RunbookSpec, Threshold
from goldseam.api.verifying import Bounded
from goldseam.engine import cordons, turns
from goldseam.engine.changes import in_words
from goldseam.engine.matching import matches
from goldseam.engine.record import changed, cut, note, unpaused_age
from goldseam.engine.situation import Situation
from goldseam.engine.undoing import by_hand, not_accepted

LADDER_EXHAUSTED = "ladderExhausted"
ESCALATE_AFTER = "escalateAfter"
UNKNOWN = "unknownTimeout"
HELD = "heldTooLong"
OWED = "owedTooLong"
TAKEN_OVER = "takenOver"
RUNG = "escalateRung"
UNANSWERED = "unanswered"
INCONCLUSIVE = "inconclusive"

ASK_EACH = timedelta(minutes=1)
"""How often the queries of thresholds are asked for an incident, at least."""

WHY = 200
"""How much of a call may tell why the last step was refused."""
LEFT = 280
"""How much of a call may tell of a node that was left cordoned: what was tried must fit in behind it."""

ASKED_FOR = ("paused", "mode", "silenced", "approval")
"""Guards by which people themselves hold the work: however long it lasts, they need not be told."""


def crossed(s: Situation, now: datetime) -> IncidentStatus:
    """The status with what has been crossed by now. In mode Observe nobody is told."""
    status = s.status
    if not s.tells:
        return status
    for crossing in (*_owed(s, now), *(_due(s, now) if status.phase not in ENDED else ())):
        status = _added(status, crossing, now)
    return _untold(s, status, now)


def asking(s: Situation) -> list[tuple[str, Bounded]]:
    """The thresholds whose queries have to be asked, by name: those that can be crossed, and have not been."""
    if not s.tells or s.status.phase in ENDED or s.reading.state == "Cleared":
        return []
    known = {e.threshold for e in s.status.escalations}
    return [(t.name, t.when.query) for t in _bound(s.runbook) if t.when and t.when.query and t.name not in known]


def _untold(s: Situation, status: IncidentStatus, now: datetime) -> IncidentStatus:
    """The status with what a threshold's query could not tell, once for each threshold."""
    for name, answer in s.bounds.items():
        about = f"whether the threshold {name} is crossed cannot be told: "
        known = any(entry.kind == "ThresholdUnknown" and entry.message.startswith(about) for entry in status.timeline)
        if answer.state == "Unknown" and not known:
            status = note(status, now, "ThresholdUnknown", about + answer.message)
    return status


def told(
    s: Situation,
    status: IncidentStatus,
    threshold: str,
    level: str | None,
    why: str,
    now: datetime,
    *,
    contact: str = "",
) -> IncidentStatus:
    """Tell people now, for a reason of the ladder's own: a level of the runbook, or one contact."""
    if not s.tells:
        return note(status, now, "WouldTell", f"would tell {contact or _level(s.runbook, level) or 'people'}: {why}")
    crossing = _crossing(s, threshold, level, why, now, status)
    if contact:
        crossing = crossing.model_copy(update={"level": "", "contact": contact})
    return _added(status, crossing, now)


def asked(s: Situation, status: IncidentStatus, question: ApprovalRecord, why: str, now: datetime) -> IncidentStatus:
    """Tell people of a question. It takes the place of an older one about the step, which nobody needs to answer."""
    about = f"approval-{question.step}-"
    status = changed(status, escalations=[e for e in status.escalations if not e.threshold.startswith(about)])
    return told(s, status, f"{about}{question.requested_at:%H%M%S}", None, why, now)


def exhausted(s: Situation, status: IncidentStatus, why: str, now: datetime) -> IncidentStatus:
    """The ladder is used up: the runbook's thresholds for that, or else its first level."""
    bound = [t for t in _bound(s.runbook) if t.when is not None and t.when.ladder_exhausted]
    if not bound or not s.tells:
        return told(s, status, LADDER_EXHAUSTED, None, why, now)
    for threshold in bound:
        status = _added(status, _of(s, threshold, why, now, status), now)
    return status


def stops(s: Situation, status: IncidentStatus) -> str:
    """Why a threshold that was crossed ends all acting; empty where none does."""
    stopping = {t.name for t in _bound(s.runbook) if t.stops}
    crossed = any(e.threshold in stopping for e in status.escalations)
    return "a threshold of the runbook says that people take over" if crossed else ""


def about_data(s: Situation) -> list[str]:
    """The thresholds that tell by a query whether data is lost or corrupt, by name."""
    return [t.name for t in _bound(s.runbook) if t.data_loss and t.when is not None and t.when.query is not None]


def data_lost(s: Situation, now: datetime) -> str:
    """The threshold that says that data is lost or corrupt, and was crossed or is met now; empty where there is none.

    An incident keeps a number of crossings at most: what is met now counts, whether it is kept or not.
    """
    crossed = {e.threshold for e in s.status.escalations}
    age = unpaused_age(s.status, s.spec.alert.active_at, now)
    met = (t.name for t in _bound(s.runbook) if t.data_loss and (t.name in crossed or _reason(s, t, age)))
    return next(met, "")


def data_untold(s: Situation) -> str:
    """Why it cannot be told whether data is lost; empty where it can."""
    for name in about_data(s):
        answer = s.bounds.get(name)
        if answer is None or answer.state == "Unknown":
            return f"{name} ({answer.message if answer else 'it was not asked'})"
    return ""


def _due(s: Situation, now: datetime) -> Iterator[Escalation]:
    verdict = s.status.verdict
    if verdict is None or verdict.state == "Cleared":
        return
    age = unpaused_age(s.status, s.spec.alert.active_at, now)
    after = s.pinned.escalate_after
    if after is not None and age >= after:
        why = f"the alert has been active for {_span(age)} (escalateAfter of the policy is {_span(after)})"
        yield _crossing(s, ESCALATE_AFTER, None, why, now)
    for threshold in _bound(s.runbook):
        if why := _reason(s, threshold, age):
            yield _of(s, threshold, why, now)
    yield from _impatient(s, now)


def _reason(s: Situation, threshold: Threshold, age: timedelta) -> str:
    when = threshold.when
    if when is None:
        return ""
    if when.unresolved_for is not None and age >= when.unresolved_for:
        return f"the alert has been active for {_span(age)}, and the runbook allows {_span(when.unresolved_for)}"
    if when.open_systems is not None and len(systems := _open_systems(s)) >= when.open_systems:
        return f"{len(systems)} critical systems are affected: {', '.join(systems)}"
    answer = s.bounds.get(threshold.name) if when.query is not None else None
    return f"by the runbook's query, {answer.message}" if answer is not None and answer.state == "Holds" else ""


def _impatient(s: Situation, now: datetime) -> Iterator[Escalation]:
    limit, verdict = s.pinned.unknown_timeout, s.status.verdict
    if s.status.paused_since is not None:
        return
    if verdict is not None and verdict.state == "Unknown" and now - verdict.since >= limit:
        yield _crossing(
            s, UNKNOWN, None, f"nothing is known about the alert for {_span(limit)}: {verdict.message}", now
        )
        return
    for hold in _lasting(s, now)[:1]:
        yield _crossing(s, HELD, None, f"nothing could be done for {_span(limit)}: {hold.message}", now)


def next_at(s: Situation, now: datetime) -> datetime | None:
    """When the next threshold will be crossed if nothing changes until then; None where none will be."""
    status, verdict = s.status, s.status.verdict
    if not s.tells or verdict is None or status.phase in ENDED:
        return None
    spans = [t.when.unresolved_for for t in _bound(s.runbook) if t.when is not None and t.when.unresolved_for]
    spans += [s.pinned.escalate_after] if s.pinned.escalate_after else []
    age = unpaused_age(status, s.spec.alert.active_at, now)
    ends = [now + span - age for span in spans] if status.paused_since is None and verdict.state != "Cleared" else []
    ends += [now + ASK_EACH] if asking(s) else []
    ends += [h.since + s.pinned.unknown_timeout for h in status.holds if _unwanted(h)]
    ends += [verdict.since + s.pinned.unknown_timeout] if verdict.state == "Unknown" else []
    return min((at for at in ends if at > now), default=None)


def _owed(s: Situation, now: datetime) -> Iterator[Escalation]:
    """What is due is not accepted; or it is held: nothing else can be when all else is over, and before that whatever
    is held is told as such."""
    held = _lasting(s, now) if s.status.phase in ENDED else []
    for why in (*_not_accepted(s, now), *(f": {hold.message}" for hold in held)):
        why = f"what is owed could not be put back for {_span(s.pinned.unknown_timeout)}{why}"
        yield _crossing(s, OWED, None, why, now)


def _not_accepted(s: Situation, now: datetime) -> Iterator[str]:
    """Of an undo that was tried for too long: first what to do, for the answer may be long. While people pause it, they
    need not be told."""
    step, said, command = s.status.open_step(), not_accepted(s.status), by_hand(s.status)
    late = step is not None and now - step.intent_at >= s.pinned.unknown_timeout
    if said and late and all(map(_unwanted, s.status.holds)):
        yield f"{command and f' (by hand: `{command}`)'}: {said}"


def _lasting(s: Situation, now: datetime) -> list[HoldRecord]:
    """What has held for longer than people may be left untold, and not by their own wish."""
    limit = s.pinned.unknown_timeout
    return [h for h in s.status.holds if _unwanted(h) and now - h.since >= limit]


def _unwanted(hold: HoldRecord) -> bool:
    """Whether it holds by nobody's wish, as does an Alertmanager that cannot be asked. Of many nodes that wait for
    their turn people hear by the first of the line."""
    if hold.kind != "Wait" or hold.reason == turns.IN_TURN:
        return False
    return hold.guard not in ASKED_FOR or hold.reason == "SilenceUnknown"


def _open_systems(s: Situation) -> list[str]:
    labels = [s.spec.alert.labels, *(other.labels for other in s.others if other.active and other.claims)]
    systems = s.runbook.systems if s.runbook else []
    return [system.name for system in systems if any(matches(found, system.matchers) for found in labels)]


def _bound(runbook: RunbookSpec | None) -> list[Threshold]:
    return [t for t in runbook.thresholds if t.state == "Bound"] if runbook else []


def _level(runbook: RunbookSpec | None, name: str | None) -> str:
    level = runbook.level(name) if runbook else None
    return level.name if level else ""


def _of(
    s: Situation, threshold: Threshold, why: str, now: datetime, status: IncidentStatus | None = None
) -> Escalation:
    source = threshold.source
    line = f"{source.file}:{source.line}: {source.text}" if source else ""
    crossing = _crossing(s, threshold.name, threshold.level, why, now, status)
    return crossing.model_copy(update={"runbook_line": cut(line, 800)})


def _crossing(
    s: Situation, threshold: str, level: str | None, why: str, now: datetime, status: IncidentStatus | None = None
) -> Escalation:
    """`status`: as it is by now, where this decision has changed it: a step that it has just ended is not under way."""
    left = cordons.left(status or s.status, s.world.target)
    why = f"{why}. {cut(left, LEFT)}" if left else why
    component, alert = s.pinned.component, f"{s.spec.alert.name} on {s.spec.target}"
    what = f"{component}: alert {alert}" if component else f"Alert {alert}"
    lately = in_words(s.status.changes or [], s.spec.alert.active_at)
    since = f"{_sentence(lately)} " if lately else ""
    text = f"{what}: {_sentence(why)} {since}{tried(status or s.status)}"
    return Escalation(threshold=threshold, level=_level(s.runbook, level), at=now, message=cut(text))


def _sentence(words: str) -> str:
    """With a full stop, where it has no end yet: a rung's message is written by people, who may have put one."""
    words = words.rstrip()
    return words if words.endswith((".", "!", "?", "…")) else f"{words}."


def tried(status: IncidentStatus) -> str:
    """What has been tried, in a sentence. To tell people, as this very sentence does, is no try."""
    steps = [step for step in status.steps if step.purpose == "Rung" and step.outcome != "Told"]
    if not steps:
        return "Nothing has been tried yet."
    told = [f"{step.action} ({step.outcome or 'under way'})" for step in steps[-8:]]
    if steps[-1].outcome == "Refused":  # nothing was done, and only the why tells what people have to do
        told[-1] = f"{steps[-1].action} (Refused: {cut(steps[-1].message, WHY)})"
    return "Tried: " + ", ".join(told) + "."


def _added(status: IncidentStatus, crossing: Escalation, now: datetime) -> IncidentStatus:
    known = {(e.threshold, e.level) for e in status.escalations}
    if (crossing.threshold, crossing.level) in known or len(status.escalations) >= 40:
        return status
    status = changed(status, escalations=[*status.escalations, crossing])
    return note(status, now, "Escalation", f"{crossing.level or 'people'}: {crossing.message}")


def _span(span: timedelta) -> str:
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else "", f"{seconds} s" if seconds else ""]
    return " ".join(part for part in parts if part) or "0 s"
