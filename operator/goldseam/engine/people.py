"""People have the incident: because somebody changed what was changed, or for another reason."""

from __future__ import annotations

from datetime import datetime

from goldseam.api.incident import IncidentStatus
from goldseam.engine import answers, escalation, obligations, record
from goldseam.engine.begun import goes_on
from goldseam.engine.situation import Decision, Situation
from goldseam.engine.taken_back import reverted


def taken_over(s: Situation, now: datetime) -> Decision | None:
    """Somebody changed a field that we changed: theirs wins, and we stop. What cannot be stopped is watched on."""
    step = s.status.open_step()
    if s.status.phase not in obligations.WORKED_ON or s.status.handed_over:
        return None
    lost = [o for o in s.status.obligations if o.state == "Lost"]
    undone = reverted(step, s.spec.target, s.world) if step is not None and step.phase == "Acted" else ""
    why = undone or (lost[-1].message if lost else "")
    if not why:
        return None
    if s.effect is not None and goes_on(s, now):
        why = f"{why}; what was begun goes on all the same: waiting for {s.effect.message}"
        return hand_over(s, s.status, escalation.TAKEN_OVER, why, now)
    status = record.ended(s.status, step, "Superseded", why, now) if step is not None else s.status
    return hand_over(s, status, escalation.TAKEN_OVER, why, now)


def hand_over(s: Situation, status: IncidentStatus, threshold: str, why: str, now: datetime) -> Decision:
    """People have it from here on."""
    status = record.moved(record.changed(status, handed_over=True), "Escalated", now, why)
    status = escalation.told(s, status, threshold, None, why, now)
    return answers.answer("escalate", "HandedOver", status, answers.SOON)
