"""restart: what it writes, how many ready pods it takes away, when it is refused, and when it is done."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.actions.restart import ACTION, FIELD
from goldseam.api.incident import Step
from goldseam.api.ladder import Restart
from goldseam.engine.objects import patch_of
from goldseam.engine.proposal import Effect, NothingToDo, Plan, Proposal, Refusal, Right, World
from tests.support.objects import owned_by, workload

RESOURCES = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
STRATEGY = {"Deployment": "strategy", "StatefulSet": "updateStrategy", "DaemonSet": "updateStrategy"}
MARKED = {"template": {"metadata": {"annotations": {"goldseam.dev/token": "token"}}}}


def plan(target: dict[str, Any] | None, method: Any = "Template") -> Plan:
    return ACTION.plan(Restart(method=method), World(target=target), "token")


def proposal(target: dict[str, Any]) -> Proposal:
    found = plan(target)
    assert isinstance(found, Proposal), found
    return found


def rolling(kind: str, replicas: int, ready: int, **parameters: Any) -> dict[str, Any]:
    strategy = {"type": "RollingUpdate"} | ({"rollingUpdate": parameters} if parameters else {})
    return workload(kind, replicas, ready=ready, spec={STRATEGY[kind]: strategy})


@pytest.mark.parametrize("kind", RESOURCES)
def test_the_template_is_marked_with_the_token_in_one_write(kind: str) -> None:
    found = proposal(workload(kind))
    (write,) = found.writes
    assert found.summary == f"restart {kind} shop/api (3 pods)"
    assert (write.verb, write.subresource, write.field, write.before, write.want) == (
        "Patch", "", FIELD, "null", '"token"',
    )  # fmt: skip
    assert (write.object.uid, write.resource_version, write.generation) == ("uid-api", "100", 4)
    assert found.rights == (Right("patch", "apps", RESOURCES[kind], "", "shop", "api"),)
    assert found.obligations == ()


def test_the_write_touches_one_annotation_of_the_template_and_nothing_else() -> None:
    (write,) = proposal(workload()).writes
    annotations = {"goldseam.dev/token": "token"}
    assert patch_of({write.field: json.loads(write.want)}) == {
        "spec": {"template": {"metadata": {"annotations": annotations}}}
    }


@pytest.mark.parametrize(
    ("kind", "replicas", "ready", "parameters", "taken"),
    [
        ("Deployment", 8, 8, {}, 2),  # the default: 25 %
        ("Deployment", 3, 3, {}, 0),  # 25 % of 3, rounded down: the surge of 25 %, rounded up, does it
        ("Deployment", 3, 3, {"maxUnavailable": "25%", "maxSurge": 0}, 1),  # neither may be zero
        ("Deployment", 3, 3, {"maxUnavailable": 0, "maxSurge": 1}, 0),
        ("Deployment", 1, 1, {"maxUnavailable": 1}, 1),
        ("Deployment", 4, 3, {"maxUnavailable": 1}, 0),  # the unready pod goes first
        ("Deployment", 4, 3, {"maxUnavailable": "50%"}, 1),
        ("Deployment", 4, 0, {"maxUnavailable": "50%"}, 0),
        ("Deployment", 2, 2, {"maxUnavailable": 5}, 2),
        ("StatefulSet", 3, 3, {}, 1),
        ("StatefulSet", 3, 2, {}, 1),  # its highest ordinal goes, ready or not
        ("StatefulSet", 3, 0, {}, 0),
        ("StatefulSet", 10, 10, {"maxUnavailable": "25%"}, 3),
        ("StatefulSet", 3, 3, {"maxUnavailable": 0}, 1),
        ("DaemonSet", 5, 5, {}, 1),
        ("DaemonSet", 5, 4, {}, 0),
        ("DaemonSet", 5, 5, {"maxUnavailable": "30%"}, 2),
        ("DaemonSet", 5, 5, {"maxUnavailable": 0, "maxSurge": 1}, 0),
    ],
)
def test_it_says_how_many_ready_pods_it_takes_away(
    kind: str, replicas: int, ready: int, parameters: dict[str, Any], taken: int
) -> None:
    assert proposal(rolling(kind, replicas, ready, **parameters)).takes_ready == taken


def test_recreate_takes_away_every_ready_pod() -> None:
    assert proposal(workload(replicas=4, ready=3, spec={"strategy": {"type": "Recreate"}})).takes_ready == 3


@given(
    kind=st.sampled_from(sorted(RESOURCES)),
    replicas=st.integers(1, 100),
    ready=st.integers(0, 100),
    unavailable=st.one_of(st.integers(0, 50), st.integers(0, 100).map("{}%".format)),
    surge=st.one_of(st.integers(0, 5), st.integers(0, 100).map("{}%".format)),
)
def test_it_never_takes_more_ready_pods_than_there_are(
    kind: str, replicas: int, ready: int, unavailable: int | str, surge: int | str
) -> None:
    found = proposal(rolling(kind, replicas, min(ready, replicas), maxUnavailable=unavailable, maxSurge=surge))
    assert 0 <= found.takes_ready <= min(ready, replicas)


def test_a_workload_that_another_controller_owns_is_refused() -> None:
    found = plan(workload(metadata={"ownerReferences": owned_by("Shop", "main")}))
    assert isinstance(found, Refusal)
    assert found.reason == "OwnedByController"
    assert "write method: Eviction" in found.message


@pytest.mark.parametrize("kind", RESOURCES)
def test_where_nothing_runs_there_is_nothing_to_restart(kind: str) -> None:
    assert isinstance(plan(workload(kind, 0)), NothingToDo)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (workload(spec={"paused": True}), "RolloutPaused"),
        (workload(status={"updatedReplicas": 1}), "RolloutInProgress"),
        (workload(metadata={"generation": 5}), "RolloutInProgress"),
        (workload("StatefulSet", spec={"updateStrategy": {"type": "OnDelete"}}), "UpdateOnDelete"),
        (workload("DaemonSet", spec={"updateStrategy": {"type": "OnDelete"}}), "UpdateOnDelete"),
        (rolling("StatefulSet", 3, 3, partition=2), "Partitioned"),
        (workload(spec={"template": {"metadata": {"annotations": {"goldseam.dev/token": "x" * 600}}}}), "ForeignToken"),
        (None, "TargetGone"),
    ],
)
def test_a_restart_that_would_not_run_its_course_is_refused(target: dict[str, Any] | None, reason: str) -> None:
    found = plan(target)
    assert isinstance(found, Refusal), found
    assert found.reason == reason
    assert len(found.message) <= 512


COMPLETE = [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]


@pytest.mark.parametrize(
    ("target", "updating"),
    [  # of the wanted pods one is missing
        (workload(status={"replicas": 2, "updatedReplicas": 2, "conditions": COMPLETE}), False),
        (workload(status={"replicas": 2, "updatedReplicas": 2}), True),  # nothing says that a rollout was completed
        (workload(status={"replicas": 3, "updatedReplicas": 2, "conditions": COMPLETE}), True),  # an old one is left
        (workload("DaemonSet", status={"currentNumberScheduled": 2, "updatedNumberScheduled": 2}), False),
        (workload("DaemonSet", status={"currentNumberScheduled": 3, "updatedNumberScheduled": 2}), True),
        (workload("DaemonSet", status={"currentNumberScheduled": 0, "updatedNumberScheduled": 0}), False),
    ],
)
def test_a_pod_that_is_merely_missing_is_no_rollout(target: dict[str, Any], updating: bool) -> None:
    found = plan(target)
    assert isinstance(found, Refusal if updating else Proposal)
    assert not updating or found == Refusal("RolloutInProgress", getattr(found, "message", ""))


def test_a_stuck_rollout_may_be_restarted() -> None:
    stuck = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    assert proposal(workload(status={"updatedReplicas": 1, "conditions": stuck})).writes


def test_a_partition_of_zero_is_none() -> None:
    assert proposal(rolling("StatefulSet", 3, 3, partition=0)).writes


def test_an_older_token_is_replaced() -> None:
    older = {"template": {"metadata": {"annotations": {"goldseam.dev/token": "older"}}}}
    assert proposal(workload(spec=older)).writes[0].before == '"older"'


def observed(target: dict[str, Any] | None) -> Effect:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    writes = list(proposal(workload()).writes)
    return ACTION.observe(
        Step(id="1-restart", rung=0, action="restart", intent_at=now, writes=writes), World(target=target)
    )


def test_it_is_done_when_every_pod_is_of_the_marked_template_and_ready() -> None:
    assert observed(workload(spec=MARKED)) == Effect(True, "3 of 3 pods updated, 3 ready")
    assert observed(workload(spec=MARKED, status={"updatedReplicas": 1})) == Effect(
        False, "Deployment shop/api: 1 of 3 pods updated, 3 ready"
    )


def test_a_template_without_the_token_is_not_restarted() -> None:
    found = observed(workload())
    assert not found.done
    assert "does not carry" in found.message


def test_a_target_that_vanished_is_not_done() -> None:
    assert not observed(None).done
