"""scale: what it writes, to whom, and when it has run its course."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.actions.registry import ACTIONS
from goldseam.actions.scale import ACTION
from goldseam.api.incident import Step
from goldseam.api.scaling import Scale
from goldseam.engine.owners import KEDA_LABEL, YIELDED
from goldseam.engine.proposal import Effect, NothingToDo, Plan, Proposal, Refusal, Right, World
from tests.support.objects import hpa, manages, owned_by, scale_of, workload

GIT = {
    "argo": manages("argocd-controller", "spec.replicas", "spec.minReplicas", operation="Apply"),
    "kustomize": manages("kustomize-controller", "spec.replicas", "spec.minReplicas", operation="Apply"),
    "helm": manages("helm-controller", "spec.replicas", "spec.minReplicas", operation="Apply"),
}


def plan(want: int, target: dict[str, Any], *hpas: dict[str, Any]) -> Plan:
    return ACTION.plan(Scale(replicas=want), World(target=target, scale=scale_of(target), hpas=hpas), "token")


def proposal(want: int, target: dict[str, Any], *hpas: dict[str, Any]) -> Proposal:
    found = plan(want, target, *hpas)
    assert isinstance(found, Proposal), found
    return found


def refusal(want: int, target: dict[str, Any], *hpas: dict[str, Any]) -> Refusal:
    found = plan(want, target, *hpas)
    assert isinstance(found, Refusal), found
    assert len(found.message) <= 512
    return found


@pytest.mark.parametrize(("kind", "resource"), [("Deployment", "deployments"), ("StatefulSet", "statefulsets")])
def test_a_workload_that_nobody_else_scales_is_scaled_directly(kind: str, resource: str) -> None:
    found = proposal(10, workload(kind, 3))
    (write,), (owed,) = found.writes, found.obligations
    assert found.summary == f"scale {kind} shop/api from 3 to 10 replicas"
    assert (write.verb, write.subresource, write.field, write.before, write.want) == (
        "Patch", "scale", "spec.replicas", "3", "10",
    )  # fmt: skip
    assert (write.object.kind, write.object.uid, write.resource_version, write.generation) == (
        kind,
        "uid-api",
        "100",
        4,
    )
    assert (owed.kind, owed.key, owed.original, owed.want) == ("ScaleBack", "uid-api:spec.replicas", "3", "10")
    assert (owed.object, owed.subresource, owed.field) == (write.object, "scale", write.field)
    assert found.rights == (Right("patch", "apps", resource, "scale", "shop", "api"),)
    assert (found.takes_ready, found.takes_nodes) == (0, 0)


@given(
    has=st.integers(0, 50), want=st.integers(1, 50), floor=st.integers(1, 20), most=st.integers(1, 60), by=st.booleans()
)
def test_scale_never_lowers(has: int, want: int, floor: int, most: int, by: bool) -> None:
    found = plan(want, workload(replicas=has), *([hpa(min(floor, most), most)] if by else []))
    if isinstance(found, Proposal):
        (write,) = found.writes
        assert int(write.want) == want > int(write.before)
        assert 0 < has < want
        assert not by or want <= most


@pytest.mark.parametrize("hpas", [[], [hpa(2, 20)], [hpa(2, 20), hpa(2, 20, name="b")]])
def test_a_target_that_has_enough_replicas_is_left_alone_whoever_scaled_it(hpas: list[dict[str, Any]]) -> None:
    assert isinstance(plan(5, workload(replicas=5), *hpas), NothingToDo)


@pytest.mark.parametrize("hpas", [[], [hpa()]])
def test_what_was_switched_off_stays_off(hpas: list[dict[str, Any]]) -> None:
    found = refusal(5, workload(replicas=0), *hpas)
    assert found.reason == "SwitchedOff"
    assert "0 replicas" in found.message


def test_the_floor_of_an_autoscaler_is_raised_instead() -> None:
    found = proposal(5, workload(replicas=3), hpa(2, 8))
    (write,), (owed,) = found.writes, found.obligations
    assert found.summary == (
        "raise the floor of HorizontalPodAutoscaler shop/api from 2 to 5 (it owns the replicas of Deployment shop/api)"
    )
    assert (write.object.api_version, write.object.kind, write.object.uid) == (
        "autoscaling/v2", "HorizontalPodAutoscaler", "uid-hpa-api",
    )  # fmt: skip
    assert (write.subresource, write.field, write.before, write.want) == ("", "spec.minReplicas", "2", "5")
    assert (write.resource_version, write.generation) == ("200", None)
    assert (owed.kind, owed.key, owed.original) == ("FloorBack", "uid-hpa-api:spec.minReplicas", "2")
    assert found.rights == (Right("patch", "autoscaling", "horizontalpodautoscalers", "", "shop", "api"),)


def test_a_floor_that_is_not_set_is_one() -> None:
    found = proposal(5, workload(replicas=3), hpa(None, 8))
    assert (found.writes[0].before, found.obligations[0].original) == ("null", "1")
    assert "from 1 to 5" in found.summary


def test_a_floor_may_be_raised_to_the_maximum() -> None:
    assert proposal(8, workload(replicas=3), hpa(2, 8)).writes[0].want == "8"


def test_a_floor_above_the_hpa_maximum_is_refused() -> None:
    found = refusal(9, workload(replicas=3), hpa(2, 8))
    assert found.reason == "AboveHpaMaximum"
    assert "maxReplicas: 9" in found.message
    assert "replicas: 8" in found.message


def test_a_floor_that_is_high_enough_is_not_written_again() -> None:
    found = plan(5, workload(replicas=3), hpa(6, 8))
    assert isinstance(found, NothingToDo)
    assert "6 already" in found.message


def test_two_autoscalers_of_one_target_are_refused() -> None:
    found = refusal(5, workload(replicas=3), hpa(), hpa(name="b"))
    assert found.reason == "TwoAutoscalers"
    assert "HorizontalPodAutoscaler api and HorizontalPodAutoscaler b" in found.message


def test_the_autoscaler_of_another_target_does_not_matter() -> None:
    assert proposal(5, workload(replicas=3), hpa(target={"name": "web"})).writes[0].field == "spec.replicas"


def test_an_autoscaler_of_keda_is_refused_with_the_line_to_write() -> None:
    found = refusal(5, workload(replicas=3), hpa(labels={KEDA_LABEL: "queue"}))
    assert found.reason == "OwnedByKeda"
    assert "minReplicaCount: 5" in found.message


def test_an_autoscaler_that_another_controller_owns_is_refused() -> None:
    found = refusal(5, workload(replicas=3), hpa(ownerReferences=owned_by("Shop", "main")))
    assert found.reason == "OwnedByController"
    assert "change Shop main instead" in found.message


def test_a_workload_that_another_controller_owns_is_refused() -> None:
    found = refusal(5, workload(replicas=3, metadata={"ownerReferences": owned_by("Shop", "main")}))
    assert found.reason == "OwnedByController"
    assert "Shop main controls Deployment shop/api" in found.message


@pytest.mark.parametrize(
    ("tool", "lines"),
    [
        (
            "argo",
            "ignoreDifferences: [{group: apps, kind: Deployment, managedFieldsManagers: [goldseam]}] and"
            " syncPolicy: {syncOptions: [RespectIgnoreDifferences=true]}",
        ),
        ("kustomize", "ignore: [{paths: [/spec/replicas], target: {kind: Deployment, name: api}}]"),
        ("helm", "driftDetection: {ignore: [{paths: [/spec/replicas], target: {kind: Deployment, name: api}}]}"),
    ],
)
def test_replicas_that_are_in_git_are_refused_with_the_lines_to_add(tool: str, lines: str) -> None:
    found = refusal(5, workload(replicas=3, metadata={"managedFields": [GIT[tool]]}))
    assert found.reason == "OwnedByGitOps"
    assert lines in found.message
    assert YIELDED in found.message


def test_replicas_in_git_are_scaled_once_a_person_says_that_gitops_ignores_them() -> None:
    meta = {"managedFields": [GIT["argo"]], "annotations": {YIELDED: "true"}}
    assert proposal(5, workload(replicas=3, metadata=meta)).writes


def test_a_floor_that_is_in_git_is_refused_too() -> None:
    found = refusal(5, workload(replicas=3), hpa(managedFields=[GIT["argo"]]))
    assert found.reason == "OwnedByGitOps"
    assert "group: autoscaling, kind: HorizontalPodAutoscaler" in found.message


def test_a_refusal_fits_an_incident_whatever_the_names() -> None:
    long = "a" * 253
    refusal(5, workload(replicas=3, metadata={"name": long, "managedFields": [GIT["kustomize"]]}))
    refusal(5, workload(replicas=3, metadata={"name": long, "ownerReferences": owned_by(long, long)}))


@pytest.mark.parametrize("world", [World(target=None), World(target=workload())])
def test_a_target_that_is_gone_is_refused(world: World) -> None:
    found = ACTION.plan(Scale(replicas=5), world, "token")
    assert isinstance(found, Refusal)
    assert found.reason == "TargetGone"


def observed(found: Proposal, target: dict[str, Any] | None) -> Effect:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    step = Step(id="1-scale", rung=0, action="scale", intent_at=now, writes=list(found.writes))
    return ACTION.observe(step, World(target=target))


def test_it_is_done_when_all_replicas_are_there() -> None:
    found = proposal(5, workload(replicas=3))
    assert observed(found, workload(replicas=5)) == Effect(True, "5 of 5 pods updated, 5 ready")
    assert observed(found, workload(replicas=7)).done
    assert not observed(found, workload(replicas=5, ready=4)).done


def test_replicas_that_are_not_wanted_yet_are_waited_for() -> None:
    assert observed(proposal(5, workload(replicas=3)), workload(replicas=3)) == Effect(
        False, "Deployment shop/api has 3 replicas, not yet 5"
    )
    message = observed(proposal(5, workload(replicas=3), hpa()), workload(replicas=3)).message
    assert message.endswith("not yet 5: HorizontalPodAutoscaler shop/api has not raised it yet")


def test_a_quota_that_forbids_the_pods_is_named() -> None:
    quota = "exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3"
    assert failing(f'pods "api-" is forbidden: {quota}').endswith(f"3 ready; no pods are made: {quota}")


def test_what_a_webhook_says_of_the_pods_is_not_repeated() -> None:
    said = failing('admission webhook "w.x.io" denied the request: env PASSWORD=hunter2')
    assert said.endswith("3 ready; no pods are made: the admission webhook w.x.io denied it")
    assert failing("env PASSWORD=hunter2").endswith("3 ready; no pods are made: FailedCreate")


def failing(message: str) -> str:
    """What is said of a Deployment whose controller says this of the pods that it cannot make."""
    trouble = [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]
    return observed(proposal(5, workload()), workload(replicas=5, ready=3, status={"conditions": trouble})).message


def test_a_rollout_past_its_deadline_is_named() -> None:
    stuck = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    message = observed(proposal(5, workload()), workload(replicas=5, ready=3, status={"conditions": stuck})).message
    assert message.endswith("it is past its progressDeadlineSeconds")


@pytest.mark.parametrize(
    "strategy", [{"type": "OnDelete"}, {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}]
)
def test_a_statefulset_that_updates_only_in_part_is_done_when_all_are_ready(strategy: dict[str, Any]) -> None:
    found = proposal(5, workload("StatefulSet"))
    half = {"updatedReplicas": 1}
    assert observed(found, workload("StatefulSet", 5, spec={"updateStrategy": strategy}, status=half)).done
    assert not observed(found, workload("StatefulSet", 5, ready=4, spec={"updateStrategy": strategy}, status=half)).done
    assert not observed(found, workload("StatefulSet", 5, status=half)).done


def test_a_target_that_vanished_is_not_done() -> None:
    assert not observed(proposal(5, workload()), None).done


def test_the_registry_knows_every_action_by_its_name() -> None:
    assert {name: action.name for name, action in ACTIONS.items()} == {
        name: name
        for name in (
            "scale",
            "restart",
            "deletePods",
            "patchConfig",
            "resources",
            "rollback",
            "job",
            "cordon",
            "drain",
            "outOfService",
            "reboot",
            "uncordon",
            "template",
        )
    }
