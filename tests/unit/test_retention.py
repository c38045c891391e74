"""Which Incidents may go: never one that owes, or that a budget still counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from goldseam.api.guardrails import GuardrailsSpec
from goldseam.api.incident import IncidentStatus, ObjectRef, Obligation, PolicySnapshot, Step
from goldseam.engine.retention import Past, expendable

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
REF = ObjectRef(api_version="v1", kind="Node", name="n", uid="u")
OWED = Obligation(key="k", kind="Uncordon", object=REF, field="spec.unschedulable", original="null", want="true")


def past(uid: str, closed: float | None, *, acted: float | None = None, owes: bool = False, **limits: object) -> Past:
    steps = [Step(id="1-drain", rung=0, action="drain", phase="Done", intent_at=NOW - acted * DAY)] if acted else []
    status = IncidentStatus(
        closed_at=None if closed is None else NOW - closed * DAY,
        steps=steps,
        obligations=[OWED] if owes else [],
        policy_snapshot=PolicySnapshot(spec={"limits": limits} if limits else {}),
    )
    return Past(uid, "shop", uid, status)


def gone(*incidents: Past, **retention: object) -> list[str]:
    limits = GuardrailsSpec.model_validate({"retention": retention} if retention else {})
    return [p.uid for p in expendable(incidents, limits, NOW)]


def test_old_ones_go_and_young_ones_stay() -> None:
    assert gone(past("old", 31, acted=31), past("young", 29, acted=29)) == ["old"]


def test_beyond_the_count_the_oldest_go_first() -> None:
    many = [past(f"i{n:02}", 20 - n / 10, acted=21) for n in range(12)]
    assert gone(*many, count=10) == ["i00", "i01"]


def test_one_that_owes_something_stays_however_old() -> None:
    assert gone(past("owes", 300, acted=300, owes=True)) == []


def test_one_that_is_not_closed_stays() -> None:
    assert gone(past("open", None, acted=300)) == []


def test_one_whose_action_a_budget_still_counts_stays() -> None:
    week = [{"count": 1, "per": "168h"}]
    young = [past(f"i{n:02}", 1, acted=2, actions=week) for n in range(12)]
    assert gone(*young, count=10) == []
    assert gone(*(past(f"i{n:02}", 1, acted=2) for n in range(12)), count=10) == ["i00", "i01"]
