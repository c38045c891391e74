"""The crash matrix itself: it names the same request the same way in every run, and sees doubles and losses."""

from __future__ import annotations

from typing import Any

from tests.support.crash_points import Point, points
from tests.support.faults import Seen
from tests.support.judging import Run, faults_of, unexplained
from tests.support.tales import Effect, told

UP = Effect("patch deployments/scale", "8", "uid-1")
DOWN = Effect("patch deployments/scale", "4", "uid-1")
PAID: dict[str, Any] = {
    "incidents": [{"phase": "Resolved", "steps": ["scale Passed"], "debts": ["ScaleBack Paid"], "silent": []}]
}


def request(method: str, path: str, number: int = 0) -> Seen:
    return Seen(number, method, f"/apis/goldseam.dev/v1alpha1/namespaces/shop/{path}", None)


RECORD, POLICY = request("PATCH", "incidents/a/status", 1), request("PATCH", "remediationpolicies/heal/status", 1)
GATHER, OTHER_READ = request("GET", "responses"), request("GET", "pauses")


def run(*effects: Effect, state: dict[str, Any] | None = None, problems: tuple[str, ...] = ()) -> Run:
    return Run([], list(effects), state or PAID, list(problems), True)


def test_a_point_keeps_its_name_whatever_else_happens_at_the_same_time() -> None:
    first = points([RECORD, GATHER, POLICY, RECORD, GATHER])
    other = points([POLICY, RECORD, OTHER_READ, GATHER, GATHER, RECORD, GATHER])
    assert set(first) == set(other)
    assert [str(point) for point in first] == [
        "PATCH incidents/status 1",
        "the gather after record 1",
        "PATCH remediationpolicies/status 1",
        "PATCH incidents/status 2",
        "the gather after record 2",
    ]


def test_a_point_is_met_once_by_the_request_of_its_name() -> None:
    requests = [POLICY, RECORD, GATHER, OTHER_READ, RECORD, RECORD]
    meets = Point("PATCH incidents/status", 2).predicate()
    assert [meets(seen) for seen in requests] == [False, False, False, False, True, False]
    meets = Point("GET responses", 1).predicate()
    assert [meets(seen) for seen in requests] == [False, False, True, False, False, False]


def test_a_run_that_did_the_same_is_right() -> None:
    assert faults_of(run(UP, DOWN), run(UP, DOWN)) == ([], [])
    assert unexplained(run(UP, DOWN)) == []


def test_a_write_that_took_effect_twice_is_a_double() -> None:
    doubles, losses = faults_of(run(UP, UP, DOWN), run(UP, DOWN))
    assert doubles == ["patch deployments/scale 8 2 times", "more than once: patch deployments/scale 8"]
    assert losses == []
    assert run(UP, UP).doubles, "also where no run is there to be compared with"


def test_the_same_write_to_another_object_is_no_double_where_the_object_was_replaced() -> None:
    assert run(UP, Effect(UP.what, UP.value, "uid-2")).doubles == []


def test_a_write_that_was_never_made_is_a_loss() -> None:
    assert faults_of(run(UP), run(UP, DOWN)) == ([], ["never done: patch deployments/scale 4"])


def test_another_end_is_a_loss_and_so_is_what_did_not_happen() -> None:
    other = {"incidents": [{"phase": "Escalated", "steps": [], "debts": []}]}
    assert len(faults_of(run(state=other, problems=("it was never over",)), run())[1]) == 2


def test_a_debt_that_stays_open_is_unexplained_and_so_is_an_incident_that_goes_on() -> None:
    debts = ["ScaleBack Open", "ScaleBack Lost"]
    state = {"incidents": [{"phase": "Fixing", "steps": [], "debts": debts, "silent": []}]}
    assert unexplained(run(state=state)) == ["ScaleBack Open", "ended in Fixing"]


def why(message: str, **status: Any) -> list[str]:
    """What is unexplained of an incident that has this to say of its debts and of its phase."""
    debts = [{"kind": "Uncordon", "state": state, "message": message} for state in ("Void", "Lost", "Paid")]
    timeline = [{"kind": status["phase"], "message": message}]
    incident = {"status": {"obligations": debts, "message": message, "timeline": timeline, **status}}
    return unexplained(run(state={"incidents": [told(incident)]}))


def test_what_is_not_paid_or_not_resolved_is_unexplained_where_nobody_is_told_why() -> None:
    debts = [f"not a word of why: Uncordon {state}" for state in ("Void", "Lost")]
    assert why("", phase="Abandoned") == [*debts, "not a word of why: Abandoned"]
    assert why("", phase="Resolved", handedOver=True) == [*debts, "not a word of why: handed over"]
    assert why("", phase="Resolved") == debts
    for phase in ("Abandoned", "Escalated", "Resolved"):
        assert why("the node is gone", phase=phase) == []
