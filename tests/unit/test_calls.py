"""The alert by which people are called, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.api.incident import ApprovalRecord, Escalation
from goldseam.engine.calls import call_of, still_calls
from goldseam.engine.views import IncidentView
from tests.unit.test_guards import NOW, situation


def incident(**status: Any) -> IncidentView:
    s = situation()
    labels = {"alertname": "A", "namespace": "shop", "team": "web", "policy": "theirs"}
    about = s.spec.model_copy(update={"alert": s.spec.alert.model_copy(update={"labels": labels})})
    return IncidentView("shop", "heal-1", "uid-1", "1", "", about, s.status.model_copy(update=status))


def crossing(threshold: str = "long", level: str = "Primary") -> Escalation:
    return Escalation(threshold=threshold, level=level, at=NOW, message="why", runbook_line="runbook.md:1: x")


def test_it_carries_the_alerts_own_labels_for_the_teams_routes_and_says_whose_it_is() -> None:
    call = call_of(incident(), crossing(), ['cluster="prod-1"', 'env!="test"'])
    assert call.labels == {
        "alertname": "GoldseamEscalated",
        "alert": "A",
        "team": "web",
        "severity": "critical",
        "cluster": "prod-1",
        "threshold": "long",
        "level": "Primary",
        "policy": "heal",
        "namespace": "shop",
        "incident": "heal-1",
    }
    assert call.annotations["description"] == "why"
    assert call.starts_at == NOW


def test_the_alerts_own_severity_stays_and_a_level_that_nobody_named_is_left_out() -> None:
    found = incident()
    labels = dict(found.spec.alert.labels) | {"severity": "warning"}
    alert = found.spec.alert.model_copy(update={"labels": labels})
    call = call_of(
        IncidentView("shop", "i", "u", "1", "", found.spec.model_copy(update={"alert": alert}), found.status),
        crossing(level=""),
        (),
    )
    assert call.labels["severity"] == "warning"
    assert "level" not in call.labels


def question(state: str) -> ApprovalRecord:
    return ApprovalRecord(step="1-restart", rung=0, plan_hash="x", state=state, requested_at=NOW, expires_at=NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("threshold", "status", "calls"),
    [
        ("long", {"phase": "Escalated"}, True),
        ("long", {"phase": "Fixing"}, True),
        ("long", {"phase": "Resolved"}, False),
        ("long", {"phase": "Abandoned"}, False),
        ("owedTooLong", {"phase": "Resolved", "owes": 1}, True),
        ("owedTooLong", {"phase": "Resolved", "owes": 0}, False),
        ("approval-1-restart-120000", {"approvals": [question("Waiting")]}, True),
        ("approval-1-restart-120000", {"approvals": [question("Approved")]}, False),
        ("approval-2-restart-120000", {"approvals": [question("Waiting")]}, False),
    ],
)
def test_people_are_called_until_it_is_over_and_asked_until_somebody_answers(
    threshold: str, status: dict[str, Any], calls: bool
) -> None:
    found = incident(**status)
    assert found.status is not None
    assert still_calls(found.status, crossing(threshold)) == calls
