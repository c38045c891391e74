"""Which decisions last, though nothing is done: they are not taken on what others read lately."""

from __future__ import annotations

from goldseam.api.incident import IncidentStatus
from goldseam.engine.situation import Decision


def lasts(before: IncidentStatus, decision: Decision) -> bool:
    """Whether people are asked or called, or something is given up."""
    after = decision.status
    given_up = decision.reason == "Abandoned" or (after.rung != before.rung and decision.reason != "Passed")
    kept = (after.mode, after.approvals, after.escalations, after.handed_over)
    return given_up or kept != (before.mode, before.approvals, before.escalations, before.handed_over)
