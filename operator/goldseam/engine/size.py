"""An Incident never exceeds 256 KiB, whatever stands in alerts, names and messages. What is owed is never left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from goldseam.api.incident import ApprovalRecord, IncidentSpec, IncidentStatus, Step
from goldseam.engine import record
from goldseam.engine.lineage import was_spared

LARGEST = 256 * 1024
"""Bytes of an Incident as JSON."""
METADATA = 16 * 1024
"""Bytes kept for metadata: names, labels, managedFields."""
KEPT_STEPS = 5
KEPT_ENTRIES = 10
KEPT_QUESTIONS = 4
KEPT_CHANGES = 2
KEPT_EVIDENCE = 4


def fitted(spec: IncidentSpec, status: IncidentStatus) -> IncidentStatus:
    """The status, shortened as far as it must be: what is over goes before what is going on, obligations never."""
    room = LARGEST - METADATA - written(spec.dump())
    for shorten in _SHORTER:
        if written(status.dump()) <= room:
            return status
        status = shorten(status)
    return status


def written(value: object) -> int:
    """The bytes that a value takes as JSON."""
    return len(json.dumps(value, ensure_ascii=False).encode())


def _without_old_plans(status: IncidentStatus) -> IncidentStatus:
    """What was known of the course of what is over, or answered."""
    return _unplanned(status, over=True)


def _without_plans(status: IncidentStatus) -> IncidentStatus:
    """The same of what is going on: last of all."""
    return _unplanned(status, over=False)


def _unplanned(status: IncidentStatus, *, over: bool) -> IncidentStatus:
    bare: dict[str, object] = {"preflight": None}
    asked = [a if over and a.state == "Waiting" else a.model_copy(update=bare) for a in status.approvals]
    status = record.changed(status, approvals=asked)
    return _with_steps(status, lambda step: step if over and step.phase != "Done" else step.model_copy(update=bare))


def _without_old_writes(status: IncidentStatus) -> IncidentStatus:
    """What was written in steps that are over; the step itself says how it ended."""
    return _with_steps(
        status, lambda step: step.model_copy(update={"writes": [], "ending": None}) if step.phase == "Done" else step
    )


def _without_replies(status: IncidentStatus) -> IncidentStatus:
    """What the API server said of each write."""

    def quiet(step: Step) -> Step:
        writes = [w if was_spared(w) else w.model_copy(update={"message": ""}) for w in step.writes]
        return step.model_copy(update={"writes": writes})

    return _with_steps(status, quiet)


def _without_old_entries(status: IncidentStatus) -> IncidentStatus:
    """All but the newest entries of the timeline; they are counted."""
    dropped = max(0, len(status.timeline) - KEPT_ENTRIES)
    return record.changed(status, timeline=status.timeline[dropped:], timeline_folded=status.timeline_folded + dropped)


def _without_old_logs(status: IncidentStatus) -> IncidentStatus:
    """What the Jobs of steps that are over have said, but for the last one."""
    over = [step.id for step in status.steps if step.evidence][:-1]
    return _with_steps(status, lambda step: step.model_copy(update={"evidence": None}) if step.id in over else step)


def _without_old_steps(status: IncidentStatus) -> IncidentStatus:
    """All but the newest steps; one that is open stays."""
    over = [step for step in status.steps if step.phase == "Done"]
    dropped = {step.id for step in over[: max(0, len(status.steps) - KEPT_STEPS)]}
    return record.changed(status, steps=[step for step in status.steps if step.id not in dropped])


def _without_old_letters(status: IncidentStatus) -> IncidentStatus:
    """The words of what people were told already."""
    told = [e.model_copy(update={"message": _brief(e.message), "runbook_line": ""}) for e in status.escalations]
    return record.changed(status, escalations=told)


def _without_old_words(status: IncidentStatus) -> IncidentStatus:
    """The reasons that people gave, questions that are answered, and all but the beginning of what holds."""
    asked = [a if a.state == "Waiting" else _answered(a) for a in status.approvals]
    said = [r.model_copy(update={"reason": _brief(r.reason)}) for r in status.responses]
    holds = [h.model_copy(update={"message": record.cut(h.message, 128)}) for h in status.holds]
    return record.changed(status, approvals=asked, responses=said, holds=holds)


def _answered(question: ApprovalRecord) -> ApprovalRecord:
    return question.model_copy(update={"summary": _brief(question.summary), "reason": _brief(question.reason)})


def _without_words_on_debts(status: IncidentStatus) -> IncidentStatus:
    """What is said of obligations; the obligations themselves stay."""
    owed = [o.model_copy(update={"message": _brief(o.message)}) for o in status.obligations]
    return record.changed(status, obligations=owed)


def _without_old_changes(status: IncidentStatus) -> IncidentStatus:
    """All but the newest changes before the alert."""
    return record.changed(status, changes=status.changes and status.changes[-KEPT_CHANGES:])


def _without_old_evidence(status: IncidentStatus) -> IncidentStatus:
    """All but the first pieces: they were found before anything was changed. Logs are too long to stay."""
    kept = [one.model_copy(update={"log": None}) for one in (status.evidence or ())[:KEPT_EVIDENCE]]
    return record.changed(status, evidence=status.evidence and kept)


def _without_history(status: IncidentStatus) -> IncidentStatus:
    """The words of the past and of Jobs, and all but the newest questions: those before are about what is over."""
    status = _with_steps(
        status,
        lambda step: step.model_copy(
            update={"evidence": None, "message": _brief(step.message) if step.phase == "Done" else step.message}
        ),
    )
    entries = [entry.model_copy(update={"message": _brief(entry.message)}) for entry in status.timeline]
    return record.changed(status, timeline=entries, approvals=status.approvals[-KEPT_QUESTIONS:])


def _without_aftermath(status: IncidentStatus) -> IncidentStatus:
    """What a drain waits for beyond its pods: with names as long as this, for these only."""

    def bare(step: Step) -> Step:
        writes = [w.model_copy(update={"volumes": None}) for w in step.writes]
        return step.model_copy(update={"writes": writes, "aftermath": None})

    return _with_steps(status, bare)


def _without_ending(status: IncidentStatus) -> IncidentStatus:
    """For which pods that were ending already a drain waits. No drain has as many as it takes to come to this."""
    return _with_steps(status, lambda step: step.model_copy(update={"ending": None}))


def _brief(text: str) -> str:
    return record.cut(text, 64)


def _with_steps(status: IncidentStatus, change: Callable[[Step], Step]) -> IncidentStatus:
    return record.changed(status, steps=[change(step) for step in status.steps])


_SHORTER: Sequence[Callable[[IncidentStatus], IncidentStatus]] = (
    _without_old_plans,
    _without_old_writes,
    _without_old_entries,
    _without_replies,
    _without_old_logs,
    _without_old_steps,
    _without_old_letters,
    _without_old_changes,
    _without_old_evidence,
    _without_old_words,
    _without_words_on_debts,
    _without_history,
    _without_plans,
    _without_aftermath,
    _without_ending,
    lambda status: status,
)
