"""Guard: what may lose data is run on a person's word only, and never once data is lost."""

from __future__ import annotations

from datetime import datetime

from goldseam.engine import approvals, escalation
from goldseam.engine.guards.hold import Hold
from goldseam.engine.situation import Situation


def destructive(s: Situation, now: datetime) -> Hold | None:
    """The rung is destructive, and the runbook says that data is lost, or nobody stands for it any more.

    Before a person is asked, guard `approval` waits. An approval that is only written on the incident is not enough.
    """
    if s.rung is None or not s.rung.destructive:
        return None
    if name := escalation.data_lost(s, now):
        message = f"the threshold {name} of the runbook was crossed: what is destructive is left to people"
        return Hold("destructive", "Refuse", "DataLoss", message)
    if s.acts and (untold := escalation.data_untold(s)):
        message = f"whether data is lost cannot be told by the runbook's threshold {untold}"
        return Hold("destructive", "Wait", "DataLossUnknown", message)
    question = approvals.current(s)
    asked = question is None or question.state != "Approved"
    if (s.status.open_step() is None and asked) or approvals.confirmed(s):
        return None
    message = "no Response of a person approves it as it is: it was withdrawn, or never given"
    return Hold("destructive", "Refuse", "Unconfirmed", message)
