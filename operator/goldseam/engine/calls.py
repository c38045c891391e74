"""The alert by which Alertmanager calls people: one for each crossing of a threshold, for as long as it matters."""

from __future__ import annotations

from collections.abc import Sequence

from goldseam.api.base import parse_matcher
from goldseam.api.incident import ENDED, Escalation, IncidentStatus
from goldseam.engine.escalation import OWED
from goldseam.engine.record import cut
from goldseam.engine.silences import Call
from goldseam.engine.undoing import not_accepted
from goldseam.engine.views import IncidentView

ALERT = "GoldseamEscalated"


def call_of(incident: IncidentView, escalation: Escalation, cluster: Sequence[str]) -> Call:
    """The alert: all labels of the one that could not be healed, so that the team's own routes apply, and ours.

    `cluster` are the matchers of what this cluster's alerts carry in Alertmanager.
    """
    spec, policy = incident.spec, incident.spec.policy_ref
    parsed = [parse_matcher(text) for text in cluster]
    labels = {name: value for name, operator, value in parsed if operator == "="} | {"severity": "critical"}
    labels |= spec.alert.labels
    labels |= {
        "alertname": ALERT,
        "alert": spec.alert.name,
        "threshold": escalation.threshold,
        "level": escalation.level,
        "contact": escalation.contact,
        "policy": policy.name,
        "namespace": incident.namespace,
        "incident": incident.name,
    }
    annotations = {
        "summary": f"{spec.alert.name} on {spec.target} needs people: {escalation.threshold}",
        "description": cut(escalation.message, 1024),
        "runbook_line": escalation.runbook_line,
    }
    return Call({k: v for k, v in labels.items() if v}, {k: v for k, v in annotations.items() if v}, escalation.at)


def still_calls(status: IncidentStatus, escalation: Escalation) -> bool:
    """Whether people are still called for it: until the incident is over, a question until it has an answer, and for
    what cannot be put back until it is."""
    if escalation.threshold.startswith("approval-"):
        return any(
            a.state == "Waiting" and escalation.threshold.startswith(f"approval-{a.step}-") for a in status.approvals
        )
    if escalation.threshold == OWED:
        return status.owes > 0 and (status.phase in ENDED or bool(not_accepted(status)))
    return status.phase not in ENDED
