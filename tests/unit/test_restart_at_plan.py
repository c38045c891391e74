"""restart of an Argo Rollout: by evictions, or by its own controller (`spec.restartAt`)."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.actions.restart import ACTION
from goldseam.api.incident import Step
from goldseam.api.ladder import Restart
from goldseam.engine.objects import selector_of
from goldseam.engine.proposal import NothingToDo, Plan, Proposal, Refusal, Right, World, written
from tests.support.objects import manages, owned_by, replica_set, workload
from tests.unit.test_one_by_one_plan import NOW, ended, well

FIRST, NEWEST = "2026-11-23T09:00:00Z", "2026-11-23T11:30:59Z"
OWN = (well("api-0", creationTimestamp=FIRST), well("api-1", creationTimestamp=NEWEST))
AT = '"2026-11-23T11:31:00Z"'


def rollout(replicas: int = 2, **more: Any) -> Any:
    return workload("Rollout", replicas, **more)


def plan(target: Any, *pods: Any, method: Any = "Template") -> Plan:
    world = World(target=target, pods=pods or OWN, replica_sets=(replica_set(),), now=NOW)
    return ACTION.plan(Restart(method=method), world, "token")


def test_it_asks_for_all_pods_that_are_there_now_and_for_no_new_one() -> None:
    found = plan(rollout())
    assert isinstance(found, Proposal)
    (write,) = found.writes
    assert (written(write), write.before, write.want) == ("Rollout spec.restartAt", "null", AT)
    assert (write.object.api_version, write.resource_version) == ("argoproj.io/v1alpha1", "100")
    assert found.rights == (Right("patch", "argoproj.io", "rollouts", "", "shop", "api"),)
    assert found.summary == "restart Rollout shop/api by restartAt (2 pods)"
    assert found == plan(rollout(), *reversed(OWN)), "the same at every look"


@pytest.mark.parametrize(
    ("strategy", "takes"),
    [({}, 2), ({"maxUnavailable": "50%"}, 4), ({"maxUnavailable": 0}, 1), ({"maxUnavailable": 9}, 8)],
)
def test_it_takes_as_many_as_the_controller_evicts_at_once(strategy: Any, takes: int) -> None:
    found = plan(rollout(8, spec={"strategy": {"canary": strategy}}))
    assert isinstance(found, Proposal)
    assert found.takes_ready == takes
    assert found.by_eviction, "its controller asks the Eviction API, which keeps the budgets"


@pytest.mark.parametrize(
    ("target", "reason", "words"),
    [
        (rollout(ready=1), "RestartHeldBack", "1 of 2 pods of Rollout shop/api are available"),
        (rollout(spec={"minReadySeconds": 9}), "RestartHeldBack", "write method: Eviction"),
        (rollout(spec={"restartAt": FIRST}), "RolloutInProgress", "a rollout of Rollout shop/api is in progress"),
        (rollout(8, ready=6), "RestartHeldBack", "6 of 8 pods"),
        (rollout(spec={"paused": True}), "RolloutPaused", "is paused"),
        (rollout(status={"currentPodHash": "b"}), "RolloutInProgress", "a rollout of Rollout shop/api is in progress"),
        (
            rollout(metadata={"ownerReferences": owned_by("Shop", "main")}),
            "OwnedByController",
            "write method: Eviction",
        ),
        (
            rollout(metadata={"managedFields": [manages("kustomize-controller", "spec.restartAt", operation="Apply")]}),
            "OwnedByGitOps",
            "/spec/restartAt",
        ),
    ],
)
def test_what_its_controller_would_not_restart_is_refused_with_what_to_write(
    target: Any, reason: str, words: str
) -> None:
    found = plan(target)
    assert isinstance(found, Refusal)
    assert found.reason == reason
    assert words in found.message


def test_one_that_was_restarted_before_is_restarted_again() -> None:
    found = plan(rollout(spec={"restartAt": FIRST}, status={"restartedAt": FIRST}))
    assert isinstance(found, Proposal)
    assert found.writes[0].before == f'"{FIRST}"'


def test_one_of_many_that_is_broken_does_not_keep_its_controller_from_restarting() -> None:
    assert isinstance(plan(rollout(8, ready=7)), Proposal)


def test_without_pods_it_is_held_back_and_where_none_is_wanted_there_is_nothing_to_do() -> None:
    found = plan(rollout(), ended("api-0", "Failed"))
    assert isinstance(found, Refusal)
    assert found.reason == "RestartHeldBack"
    assert isinstance(plan(rollout(0)), NothingToDo)


def test_a_step_without_writes_is_not_done() -> None:
    step = Step(id="1-restart", rung=0, action="restart", token="token", intent_at=NOW)
    assert not ACTION.observe(step, World(target=rollout())).done


@pytest.mark.parametrize("method", ["Auto", "Eviction"])
def test_else_its_pods_are_evicted_one_by_one_and_the_broken_ones_first(method: Any) -> None:
    broken = well("api-2", ready=False, creationTimestamp=FIRST)
    found = plan(rollout(3, ready=2), *OWN, broken, method=method)
    assert isinstance(found, Proposal)
    assert [write.object.name for write in found.writes] == ["api-2", "api-1", "api-0"]
    assert [write.object.name for write in found.turn.first(found.writes)] == ["api-2"]


@pytest.mark.parametrize(
    ("method", "piece"), [("Auto", "pods"), ("Eviction", "pods"), ("Template", "rollouts-restart")]
)
def test_the_right_follows_the_method(method: Any, piece: str) -> None:
    assert [right.piece for right in ACTION.needs(Restart(method=method), "Rollout")] == [piece]


@pytest.mark.parametrize(
    ("target", "done", "words"),
    [
        (rollout(spec={"restartAt": NEWEST}), False, "is not what the restart has set"),
        (rollout(spec={"restartAt": AT.strip('"')}), False, "is being restarted by its controller"),
        (rollout(spec={"restartAt": AT.strip('"')}, status={"restartedAt": FIRST}), False, "is being restarted"),
        (rollout(ready=1, spec={"restartAt": AT.strip('"')}, status={"restartedAt": AT.strip('"')}), False, "1 ready"),
        (rollout(spec={"restartAt": AT.strip('"')}, status={"restartedAt": AT.strip('"')}), True, "2 ready"),
    ],
)
def test_it_is_done_once_the_controller_says_so_and_all_are_available(target: Any, done: bool, words: str) -> None:
    found = plan(rollout())
    assert isinstance(found, Proposal)
    step = Step(id="1-restart", rung=0, action="restart", token="token", intent_at=NOW, writes=list(found.writes))
    effect = ACTION.observe(step, World(target=target))
    assert effect.done == done
    assert words in effect.message


def test_a_rollout_that_takes_its_template_from_a_deployment_has_its_selector_in_its_status() -> None:
    assert selector_of(rollout(status={"selector": "app=api"})) == "app=api"
    assert selector_of(rollout(spec={"selector": {"matchLabels": {"a": "b"}}}, status={"selector": "app=api"})) == "a=b"
    assert selector_of(workload(status={"selector": "app=api"})) == ""
