"""When an incident must be looked at again for the sake of a threshold, however quiet it is until then."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from goldseam.api.incident import Verdict
from goldseam.api.runbook import RunbookSpec
from goldseam.engine.escalation import ASK_EACH, next_at
from goldseam.engine.situation import Situation
from tests.unit.test_guards import NOW, situation


def bound_to(when: dict[str, Any]) -> Situation:
    """An alert that has been active for five minutes, and a runbook of one threshold."""
    runbook = RunbookSpec.model_validate(
        {
            "contacts": [{"name": "boss"}],
            "levels": [{"name": "Secondary", "contact": "boss"}],
            "thresholds": [{"name": "late", "when": when, "level": "Secondary"}],
        }
    )
    s = situation(runbook=runbook)
    firing = Verdict(state="Firing", fresh=True, since=NOW, message="the alert is firing")
    return replace(s, status=s.status.model_copy(update={"phase": "Investigating", "verdict": firing}))


def test_a_query_is_asked_again_after_a_minute() -> None:
    assert next_at(bound_to({"query": {"expr": "broken_share", "above": "0.5"}}), NOW) == NOW + ASK_EACH


def test_a_time_that_will_be_over_is_looked_for_when_it_is() -> None:
    assert next_at(bound_to({"unresolvedFor": "7m"}), NOW) == NOW + timedelta(minutes=2)


def test_one_that_is_over_just_now_needs_no_other_look() -> None:
    assert next_at(bound_to({"unresolvedFor": "5m"}), NOW) is None
