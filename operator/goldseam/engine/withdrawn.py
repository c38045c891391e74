"""What was written down, and is not carried out any more, though no guard that is asked again speaks against it."""

from __future__ import annotations

from goldseam.api.incident import IncidentStatus, Step
from goldseam.engine import approvals, escalation
from goldseam.engine.situation import Situation


def why_not(s: Situation, status: IncidentStatus, step: Step) -> str:
    """Why the rung's step is people's by now: a threshold of the runbook has ended all acting, or a person has to say
    yes who was not asked, for the mode is Propose now, or the policy lists the rung. Empty where nothing of that is so.

    Whose yes was there when the step was written down is not asked twice, however long it was held.
    """
    if why := escalation.stops(s, status):
        return why
    rung = s.pinned.ladder[step.rung]  # for what is destructive a guard asks for the person's own word
    if rung.destructive or not approvals.needed(s, rung) or approvals.given(status, step):
        return ""
    return "a person has to say yes now, and nobody was asked before it was written down"
