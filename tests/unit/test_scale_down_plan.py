"""scale with `direction: Down`: at most so many, by halves, past nobody who would bring them back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from goldseam.actions.scale import ACTION
from goldseam.api.incident import Step
from goldseam.api.scaling import Scale
from goldseam.engine.guards.harm import disruption, headroom, owner
from goldseam.engine.guards.hold import Hold
from goldseam.engine.lowered import half_way
from goldseam.engine.proposal import Effect, NothingToDo, Plan, Proposal, Refusal, Right, World
from goldseam.services.act import requests
from tests.support.objects import hpa, manages, owned_by, scale_of, scaled_object, workload
from tests.unit.test_guards import NOW, other, situation, spec

Json = dict[str, Any]


def down(to: int) -> Scale:
    return Scale(replicas=to, direction="Down", allow_zero=to == 0)


def plan(to: int, target: Json, **world: Any) -> Plan:
    return ACTION.plan(down(to), World(target=target, scale=scale_of(target), **world), "token")


def proposal(to: int, target: Json) -> Proposal:
    found = plan(to, target)
    assert isinstance(found, Proposal), found
    return found


def refused(found: Plan) -> tuple[str, str]:
    assert isinstance(found, Refusal), found
    return found.reason, found.message


def test_replicas_go_down_by_halves_each_from_where_the_one_before_has_come() -> None:
    found = proposal(2, workload(replicas=10))
    assert [(w.before, w.want, w.resource_version) for w in found.writes] == [
        ("10", "5", "100"),
        ("5", "3", ""),
        ("3", "2", ""),
    ]
    assert found.summary == "scale Deployment shop/api down from 10 to 2 replicas, by halves"
    (owed,) = found.obligations
    assert (owed.kind, owed.original, owed.want) == ("ScaleBack", "10", "2")
    assert found.rights == (Right("patch", "apps", "deployments", "scale", "shop", "api"),)


def test_only_the_first_of_the_halves_is_sent_before_everything_is_looked_at_again() -> None:
    first, second, third = proposal(2, workload(replicas=10)).writes
    assert list(requests([first, second, third])) == [[0]]
    made = first.model_copy(update={"state": "Done"})
    assert list(requests([made, second, third])) == [[1]]


def test_half_of_them_may_go_at_once() -> None:
    found = proposal(5, workload(replicas=10))
    assert [w.want for w in found.writes] == ["5"]
    assert found.summary == "scale Deployment shop/api down from 10 to 5 replicas"


@given(has=st.integers(1, 20_000), to=st.integers(0, 10_000))
def test_no_write_goes_past_half_or_the_goal_and_what_is_left_to_do_is_planned_alike(has: int, to: int) -> None:
    found = plan(to, workload(replicas=has))
    if has <= to:
        assert isinstance(found, NothingToDo)
        return
    assert isinstance(found, Proposal)
    steps = [has, *(int(write.want) for write in found.writes)]
    assert steps[-1] == to
    for before, after in pairwise(steps):
        assert before > after >= to
        assert after * 2 >= before or before == 1, "admission lets through no more"
    rest = plan(to, workload(replicas=steps[1]))
    again = [w.want for w in rest.writes] if isinstance(rest, Proposal) else []
    assert again == [w.want for w in found.writes[1:]]


@given(current=st.integers(0, 10_000), goal=st.integers(0, 10_000))
def test_half_way_ends(current: int, goal: int) -> None:
    for _ in range(20):
        current = half_way(current, goal)
    assert current == goal


def test_the_last_replica_goes_by_itself_and_by_a_right_of_its_own() -> None:
    found = proposal(0, workload(replicas=2))
    assert [w.want for w in found.writes] == ["1", "0"]
    assert [str(right) for right in found.rights] == [
        "patch deployments/scale.apps in namespace shop",
        "zero deployments/scale.apps in namespace shop",
    ]
    assert [right.piece for right in ACTION.needs(down(0), "Deployment")] == ["scale", "scale-to-zero"]
    assert [right.piece for right in ACTION.needs(down(1), "Rollout")] == ["rollouts"]


@pytest.mark.parametrize("has", [0, 1, 3])
def test_at_the_number_or_below_it_there_is_nothing_to_do(has: int) -> None:
    found = plan(3, workload(replicas=has))
    assert isinstance(found, NothingToDo)
    assert "at most 3 are asked for" in found.message


@pytest.mark.parametrize(
    ("around", "says"),
    [
        ({"hpas": (hpa(2, 20),)}, "HorizontalPodAutoscaler shop/api scales Deployment shop/api"),
        ({"scaled_objects": (scaled_object(),)}, "autoscaling.keda.sh/paused-replicas"),
    ],
)
def test_an_autoscaler_would_bring_them_back_so_it_is_refused(around: Json, says: str) -> None:
    reason, message = refused(plan(1, workload(replicas=5), **around))
    assert reason == "Autoscaled"
    assert says in message
    assert "by hand" in message


def test_who_else_owns_the_replicas_is_asked_as_on_the_way_up() -> None:
    git = {"managedFields": [manages("argocd-controller", "spec.replicas", operation="Apply")]}
    assert refused(plan(1, workload(replicas=5, metadata=git)))[0] == "OwnedByGitOps"
    owned = {"ownerReferences": owned_by("Thing", "other")}
    assert refused(plan(1, workload(replicas=5, metadata=owned)))[0] == "OwnedByController"


@pytest.mark.parametrize("to", [0, 1, 50])
def test_who_would_bring_them_back_is_known_before_any_incident(to: int) -> None:
    assert ACTION.contested is not None
    world = World(target=workload(replicas=1), hpas=(hpa(1, 20),))
    found = ACTION.contested(down(to), world)
    assert found is not None
    assert found.reason == "Autoscaled"
    assert ACTION.contested(down(to), replace(world, hpas=())) is None


@pytest.mark.parametrize(("ready", "takes"), [(10, 8), (9, 8), (8, 8), (4, 4), (0, 0)])
def test_all_that_go_count_as_ready_while_there_are_ready_ones(ready: int, takes: int) -> None:
    assert proposal(2, workload(replicas=10, ready=ready)).takes_ready == takes


def held(to: int, target: Json, least: int | str, *pdbs: Json) -> tuple[str, str]:
    told = spec(ladder=[{"scale": {"replicas": to, "direction": "Down"}}], limits={"minAvailable": least})
    s = situation(spec=told, plan=plan(to, target), world=World(target=target, pdbs=pdbs))
    holds: list[Hold] = [hold for guard in (headroom, disruption) if (hold := guard(s, NOW))]
    return tuple(hold.reason for hold in holds), "; ".join(hold.message for hold in holds)  # type: ignore[return-value]


def test_the_whole_way_down_is_judged_by_min_available_before_its_first_half() -> None:
    assert held(5, workload(replicas=10), "50%") == ((), "")
    reasons, message = held(4, workload(replicas=10), "50%")
    assert reasons == ("TooFewLeft",)
    assert "leave 4 of 10 pods ready" in message
    assert held(1, workload(replicas=10), 1) == ((), "")


def test_in_an_outage_it_takes_no_ready_pod_away_but_stops_what_is_not_ready() -> None:
    reasons, _ = held(5, workload(replicas=10, ready=4), "50%")
    assert reasons == ("TooFewLeft",)
    assert held(1, workload(replicas=10, ready=0), "50%") == ((), ""), "crash-looping pods help nobody"


def test_a_disruption_budget_is_asked() -> None:
    budget = {
        "metadata": {"name": "api", "namespace": "shop", "generation": 1},
        "spec": {"selector": {}},
        "status": {"observedGeneration": 1, "disruptionsAllowed": 4, "currentHealthy": 10, "desiredHealthy": 6},
    }
    reasons, message = held(5, workload(replicas=10), 1, budget)
    assert reasons == ("BreaksDisruptionBudget",)
    assert "5 ready pods" in message
    assert held(6, workload(replicas=10), 1, budget) == ((), "")


def test_what_another_incident_has_taken_away_is_not_brought_back_by_a_rung() -> None:
    (owed,) = proposal(2, workload(replicas=10)).obligations
    target = workload(replicas=2)
    up = ACTION.plan(Scale(replicas=8), World(target=target, scale=scale_of(target)), "token")
    theirs = other(obligations=(owed,))
    found = owner(situation(plan=up, others=(theirs,)), NOW)
    assert found is not None
    assert (found.reason, found.kind) == ("HeldDown", "Refuse")
    paid = other(obligations=(owed.model_copy(update={"state": "Paid"}),))
    assert owner(situation(plan=up, others=(paid,)), NOW) is None
    further = plan(1, target)
    assert owner(situation(plan=further, others=(theirs,)), NOW) is None


def observed(target: Json | None) -> Effect:
    step = Step(
        id="1-scale",
        rung=0,
        action="scale",
        intent_at=datetime(2026, 1, 1, tzinfo=UTC),
        writes=list(proposal(2, workload(replicas=10)).writes),
    )
    return ACTION.observe(step, World(target=target))


def test_it_is_done_when_the_others_are_gone_ready_or_not() -> None:
    assert observed(workload(replicas=2)) == Effect(True, "Deployment shop/api: 2 pods left, 2 wanted")
    assert observed(workload(replicas=2, ready=0)).done
    late = observed(workload(replicas=2, status={"replicas": 7}))
    assert late == Effect(False, "Deployment shop/api: 7 pods left, 2 wanted")
    assert not observed(workload(replicas=2, metadata={"generation": 99})).done, "its controller has not seen it"
    assert not observed(workload(replicas=3)).done
    assert not observed(None).done


@pytest.mark.parametrize(
    ("live", "pinned", "covers"),
    [
        ({"replicas": 2, "direction": "Down"}, {"replicas": 2, "direction": "Down"}, True),
        ({"replicas": 2, "direction": "Down"}, {"replicas": 5, "direction": "Down"}, True),
        ({"replicas": 5, "direction": "Down"}, {"replicas": 2, "direction": "Down"}, False),
        ({"replicas": 0, "direction": "Down", "allow_zero": True}, {"replicas": 1, "direction": "Down"}, True),
        ({"replicas": 1, "direction": "Down"}, {"replicas": 0, "direction": "Down", "allow_zero": True}, False),
        ({"replicas": 9}, {"replicas": 2, "direction": "Down"}, False),
        ({"replicas": 2, "direction": "Down"}, {"replicas": 2}, False),
        ({"replicas": 2, "direction": "Down"}, {"replicas": 1}, False),
        ({"replicas": 5}, {"replicas": 5}, True),
    ],
)
def test_a_live_policy_allows_the_same_direction_and_not_further(live: Json, pinned: Json, covers: bool) -> None:
    assert Scale(**live).covers(Scale(**pinned)) is covers


@pytest.mark.parametrize(
    "told",
    [
        {"replicas": 0},
        {"replicas": 0, "direction": "Down"},
        {"replicas": 0, "allowZero": True},
        {"replicas": 1, "allowZero": True},
        {"replicas": 1, "direction": "Down", "raiseMax": True},
        {"replicas": -1, "direction": "Down", "allowZero": True},
        {"replicas": 10_001, "direction": "Down"},
        {"replicas": 1, "direction": "down"},
    ],
)
def test_what_was_hardly_meant_is_refused(told: Json) -> None:
    with pytest.raises(ValidationError):
        Scale.model_validate(told)
