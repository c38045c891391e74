"""scale beside whoever scales by itself: an HPA above its maximum, KEDA, Argo Rollouts, a VerticalPodAutoscaler."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.actions.scale import ACTION, contested
from goldseam.api.incident import Step
from goldseam.api.scaling import Scale
from goldseam.engine.obligations import FIELDS
from goldseam.engine.owners import KEDA_LABEL, PAUSED_REPLICAS, PAUSING, YIELDED
from goldseam.engine.proposal import NothingToDo, Plan, Proposal, Refusal, Right, World
from tests.support.objects import hpa, manages, owned_by, pod, scale_of, scaled_object, workload

MADE_BY_KEDA = hpa(2, 8, name="keda-hpa-queue", ownerReferences=owned_by("ScaledObject", "queue"))
VPA = {"metadata": {"name": "sizer"}, "spec": {"targetRef": {"kind": "Deployment", "name": "api"}}}


def plan(want: int, target: dict[str, Any], *, raise_max: bool = False, **parts: Any) -> Plan:
    world = World(target=target, scale=scale_of(target), **parts)
    return ACTION.plan(Scale(replicas=want, raise_max=raise_max), world, "token")


def proposal(want: int, target: dict[str, Any], **parts: Any) -> Proposal:
    found = plan(want, target, **parts)
    assert isinstance(found, Proposal), found
    return found


def refusal(want: int, target: dict[str, Any], **parts: Any) -> Refusal:
    found = plan(want, target, **parts)
    assert isinstance(found, Refusal), found
    assert len(found.message) <= 512
    return found


def test_the_maximum_is_raised_with_the_floor_where_the_policy_says_so() -> None:
    found = proposal(12, workload(), hpas=(hpa(2, 8),), raise_max=True)
    assert [(w.field, w.before, w.want) for w in found.writes] == [
        ("spec.maxReplicas", "8", "12"),
        ("spec.minReplicas", "2", "12"),
    ]
    assert len({(w.object.uid, w.subresource, w.resource_version) for w in found.writes}) == 1, "one request"
    assert [(o.kind, o.field, o.original, o.want) for o in found.obligations] == [
        ("FloorBack", "spec.minReplicas", "2", "12"),
        ("CeilingBack", "spec.maxReplicas", "8", "12"),
    ]
    assert "from 2 to 12 and its maximum from 8 to 12" in found.summary


def test_a_maximum_that_is_high_enough_is_left_alone_whatever_the_policy_allows() -> None:
    found = proposal(8, workload(), hpas=(hpa(2, 8),), raise_max=True)
    assert [w.field for w in found.writes] == ["spec.minReplicas"]
    assert [o.kind for o in found.obligations] == ["FloorBack"]


def test_without_the_policys_word_the_refusal_says_which_word_it_is() -> None:
    assert "raiseMax: true in the policy" in refusal(12, workload(), hpas=(hpa(2, 8),)).message


def test_a_maximum_that_is_in_git_is_refused_though_the_floor_is_not() -> None:
    git = manages("argocd-controller", "spec.maxReplicas", operation="Apply")
    found = refusal(12, workload(), hpas=(hpa(2, 8, managedFields=[git]),), raise_max=True)
    assert found.reason == "OwnedByGitOps"
    assert "owns spec.maxReplicas" in found.message
    assert proposal(8, workload(), hpas=(hpa(2, 8, managedFields=[git]),), raise_max=True)


def test_a_policy_that_may_not_raise_the_maximum_any_more_does_not_cover_one_that_might() -> None:
    may, may_not = Scale(replicas=12, raise_max=True), Scale(replicas=12)
    assert may.covers(may)
    assert may.covers(may_not)
    assert not may_not.covers(may)


def test_a_floor_of_zero_that_could_not_be_brought_back_is_refused() -> None:
    assert refusal(5, workload(), hpas=(hpa(0, 8),)).reason == "FloorOfZero"


@pytest.mark.parametrize(("floor", "before"), [(2, "2"), (0, "0"), (None, "null")])
def test_the_floor_of_a_scaled_object_is_raised_and_comes_back_as_it_was(floor: int | None, before: str) -> None:
    found = proposal(5, workload(), hpas=(MADE_BY_KEDA,), scaled_objects=(scaled_object(floor),))
    (write,), (owed,) = found.writes, found.obligations
    assert (write.object.api_version, write.object.kind, write.object.uid) == (
        "keda.sh/v1alpha1", "ScaledObject", "uid-queue",
    )  # fmt: skip
    assert (write.field, write.before, write.want) == ("spec.minReplicaCount", before, "5")
    assert (owed.kind, owed.original, owed.want) == ("FloorBack", before, "5")
    assert found.rights == (Right("patch", "keda.sh", "scaledobjects", "", "shop", "queue"),)


def test_keda_without_its_hpa_is_seen_all_the_same() -> None:
    assert proposal(5, workload(), scaled_objects=(scaled_object(),)).writes[0].object.kind == "ScaledObject"


def test_what_keda_has_idled_is_woken_for_nobody_switched_it_off() -> None:
    assert proposal(2, workload(replicas=0), scaled_objects=(scaled_object(0),)).writes[0].want == "2"


def test_what_keda_keeps_idle_until_a_trigger_is_active_no_floor_would_wake() -> None:
    idle = scaled_object(2)
    idle["spec"]["idleReplicaCount"] = 0
    found = refusal(5, workload(replicas=0), scaled_objects=(idle,))
    assert found.reason == "SwitchedOff"
    assert "ScaledObject shop/queue has idleReplicaCount" in found.message
    assert proposal(5, workload(replicas=3), scaled_objects=(idle,))


@pytest.mark.parametrize("most", [8, None])
def test_a_scaled_objects_maximum_is_never_raised(most: int | None) -> None:
    found = refusal(101, workload(), scaled_objects=(scaled_object(2, most),), raise_max=True)
    assert found.reason == "AboveHpaMaximum"
    assert "maxReplicaCount: 101" in found.message
    assert "raiseMax" not in found.message


@pytest.mark.parametrize("mark", PAUSING)
@pytest.mark.parametrize("value", ["true", "5", "anything"])
def test_a_scaled_object_that_somebody_paused_is_left_alone(mark: str, value: str) -> None:
    found = refusal(5, workload(), scaled_objects=(scaled_object(annotations={mark: value}),))
    assert found.reason == "KedaPaused"
    assert mark in found.message


def test_a_pause_that_says_no_is_none_but_a_number_of_replicas_is_always_one() -> None:
    no = {mark: "false" for mark in PAUSING if mark != PAUSED_REPLICAS}
    assert proposal(5, workload(), scaled_objects=(scaled_object(annotations=no),))
    zero = scaled_object(annotations={PAUSED_REPLICAS: "0"})
    assert refusal(5, workload(), scaled_objects=(zero,)).reason == "KedaPaused"


def test_a_scaled_object_that_is_in_git_is_refused_with_the_lines_to_add() -> None:
    git = manages("kustomize-controller", "spec.minReplicaCount", operation="Apply")
    found = refusal(5, workload(), scaled_objects=(scaled_object(managedFields=[git]),))
    assert found.reason == "OwnedByGitOps"
    assert "ignore: [{paths: [/spec/minReplicaCount], target: {kind: ScaledObject, name: queue}}]" in found.message
    assert "annotate the ScaledObject" in found.message
    yielded = scaled_object(managedFields=[git], annotations={YIELDED: "true"})
    assert proposal(5, workload(), scaled_objects=(yielded,))


def test_a_scaled_object_that_another_controller_owns_is_refused() -> None:
    owned = scaled_object(ownerReferences=owned_by("Shop", "main"))
    assert refusal(5, workload(), scaled_objects=(owned,)).reason == "OwnedByController"


def test_where_scaled_objects_cannot_be_read_keda_is_seen_by_its_hpa_and_refused() -> None:
    found = refusal(5, workload(), hpas=(hpa(labels={KEDA_LABEL: "queue"}),))
    assert found.reason == "OwnedByKeda"
    assert "component keda" in found.message


@pytest.mark.parametrize(
    "parts",
    [
        {"scaled_objects": (scaled_object(), scaled_object(name="b"))},
        {"scaled_objects": (scaled_object(),), "hpas": (hpa(),)},
    ],
)
def test_two_that_scale_one_target_are_refused(parts: dict[str, Any]) -> None:
    found = refusal(5, workload(), **parts)
    assert found.reason == "TwoAutoscalers"
    assert "ScaledObject queue and " in found.message


def test_a_scaled_object_of_another_target_does_not_matter() -> None:
    for target in ({"name": "web"}, {"kind": "StatefulSet"}):
        assert proposal(5, workload(), scaled_objects=(scaled_object(target=target),)).writes[0].subresource == "scale"


NUMBER = st.integers(0, 12)


@given(NUMBER, NUMBER.map(lambda n: n + 1), NUMBER, NUMBER.map(lambda n: n + 1), st.booleans(), st.booleans())
def test_a_plan_writes_only_what_an_obligation_brings_back_and_never_down(
    has: int, want: int, floor: int, most: int, keda: bool, up: bool
) -> None:
    floor = min(floor, most)
    parts = {"scaled_objects": (scaled_object(floor, most),)} if keda else {"hpas": (hpa(floor, most),)}
    found = plan(want, workload(replicas=has), raise_max=up, **parts)
    if isinstance(found, Proposal):
        owed = {(o.object.uid, o.field): o for o in found.obligations}
        assert {(w.object.uid, w.field) for w in found.writes} == owed.keys()
        for write in found.writes:
            debt = owed[write.object.uid, write.field]
            assert (write.object.kind, write.subresource, write.field) in FIELDS[debt.kind]
            assert json.loads(write.want) == want > json.loads(debt.original)
        assert want <= most or up


def test_a_rollout_is_scaled_by_its_own_scale() -> None:
    found = proposal(5, workload("Rollout"))
    (write,), (owed,) = found.writes, found.obligations
    assert found.summary == "scale Rollout shop/api from 3 to 5 replicas"
    assert (write.object.api_version, write.subresource, owed.kind) == ("argoproj.io/v1alpha1", "scale", "ScaleBack")
    assert found.rights == (Right("patch", "argoproj.io", "rollouts", "scale", "shop", "api"),)


def test_the_hpa_of_a_rollout_is_raised() -> None:
    assert proposal(5, workload("Rollout"), hpas=(hpa(target={"kind": "Rollout"}),)).writes[0].want == "5"


@pytest.mark.parametrize("replicas", [0, 3])
def test_a_deployment_whose_pods_a_rollout_runs_is_refused_and_the_rollout_is_named(replicas: int) -> None:
    rollout = {"metadata": {"name": "canary"}, "spec": {"workloadRef": {"kind": "Deployment", "name": "api"}}}
    found = refusal(5, workload(replicas=replicas), rollouts=(rollout,))
    assert found.reason == "UnderRollout"
    assert "target: {kind: Rollout, name: canary}" in found.message
    other = {"metadata": {"name": "canary"}, "spec": {"workloadRef": {"kind": "Deployment", "name": "web"}}}
    assert proposal(5, workload(), rollouts=(other, {"metadata": {"name": "plain"}, "spec": {}}))


def test_a_vertical_autoscaler_is_said_and_holds_nothing() -> None:
    assert "VerticalPodAutoscaler sizer sizes the pods" in proposal(5, workload(), vpas=(VPA,)).summary
    assert "sizer" not in proposal(5, workload(metadata={"name": "web"}), vpas=(VPA,)).summary
    assert isinstance(plan(3, workload(), vpas=(VPA,)), NothingToDo)


def test_what_would_be_refused_is_known_while_there_are_replicas_enough() -> None:
    git = {"managedFields": [manages("argocd-controller", "spec.replicas", operation="Apply")]}
    target = workload(replicas=9, metadata=git)
    found = contested(Scale(replicas=5), World(target=target, scale=scale_of(target)))
    assert found is not None
    assert found.reason == "OwnedByGitOps"
    assert contested(Scale(replicas=5), World(target=workload(replicas=0))) is None, "it may be switched on by then"
    assert contested(Scale(replicas=5), World(target=None)) is None


def said(target: dict[str, Any], *pending: dict[str, Any]) -> tuple[bool, str]:
    """Whether scaling to 5 is done, and what is said of it."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    writes = list(proposal(5, workload(str(target["kind"]))).writes)
    step = Step(id="1-scale", rung=0, action="scale", intent_at=now, writes=writes)
    found = ACTION.observe(step, World(target=target, pending=pending))
    return found.done, found.message


def test_pods_that_find_no_node_are_named() -> None:
    lost = pod("api-1", ready=False, phase="Pending")
    lost["status"]["conditions"].append({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"})
    starting = pod("api-2", ready=False, phase="Pending")
    done, message = said(workload(replicas=5, ready=3), lost, starting)
    assert not done
    assert message.endswith("3 ready; 1 pod cannot be scheduled (`kubectl describe pod` says why): api-1")
    assert said(workload(replicas=5), lost)[0], "a pod of somebody else's"
    assert "scheduled" not in said(workload(replicas=5, ready=3), starting)[1]


@pytest.mark.parametrize("status", [{"currentPodHash": "b"}, {"currentPodHash": "b", "abort": True}, {}])
def test_a_rollout_is_done_when_its_pods_are_ready_wherever_its_steps_are(status: dict[str, Any]) -> None:
    assert said(workload("Rollout", 5, status={"updatedReplicas": 1, **status}))[0]
    assert not said(workload("Rollout", 5, ready=4, status=status))[0]
