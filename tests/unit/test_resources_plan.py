"""resources: what it raises and by which writes, what it refuses, and what makes it owe."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from goldseam.actions.resources import ACTION
from goldseam.api.ladder import Resources
from goldseam.api.quantities import size_of
from goldseam.engine.objects import RESTART, managers_of, patch_of, pointer_of, value_at
from goldseam.engine.owners import YIELDED
from goldseam.engine.proposal import NothingToDo, Plan, Proposal, Refusal, Right, World
from goldseam.engine.resizing import raised
from tests.support.objects import Json, manages, owned_by, workload

LIMIT = "spec.template.spec.containers[name=app].resources.limits.memory"
REQUEST = "spec.template.spec.containers[name=app].resources.requests.memory"
MEMORY: Json = {"limits": {"memory": "1Gi"}}


def sized(limits: Json | None = None, requests: Json | None = None, **more: Any) -> Json:
    """A workload whose second container has limits and requests."""
    resources = {"limits": limits or {"memory": "512Mi", "cpu": "1"}, "requests": requests or {"memory": "256Mi"}}
    containers = [{"name": "log", "image": "log:1"}, {"name": "app", "image": "app:1", "resources": resources}]
    spec = {"template": {"spec": {"containers": containers}}} | more.pop("spec", {})
    return workload(more.pop("kind", "Deployment"), spec=spec, **more)


def plan(target: Json | None = None, told: Json = MEMORY, *, container: str = "app", **world: Any) -> Plan:
    asked = Resources.model_validate({"container": container, **told})
    return ACTION.plan(asked, World(target=target or sized(), **world), "token")


def proposal(*args: Any, **more: Any) -> Proposal:
    found = plan(*args, **more)
    assert isinstance(found, Proposal), found
    return found


def refusal(*args: Any, **more: Any) -> Refusal:
    found = plan(*args, **more)
    assert isinstance(found, Refusal), found
    return found


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_limit_is_raised_and_the_template_marked_in_one_patch(kind: str) -> None:
    found = proposal(sized(kind=kind))
    limit, mark = found.writes
    assert found.summary == (
        f"raise limits.memory from 512Mi to 1Gi of container app of {kind} shop/api and restart it (3 pods)"
    )
    assert (limit.field, limit.before, limit.want) == (LIMIT, '"512Mi"', '"1Gi"')
    assert (mark.field, mark.want) == (RESTART, '"token"')
    assert {(w.object.uid, w.resource_version, w.generation) for w in found.writes} == {("uid-api", "100", None)}


def test_it_needs_a_verb_of_its_own_beside_patch() -> None:
    found = proposal()
    assert found.rights == tuple(Right(verb, "apps", "deployments", "", "shop", "api") for verb in ("patch", "resize"))
    assert {right.piece for right in found.rights} == {"resources"}


def test_what_was_there_is_owed() -> None:
    (owed,) = proposal().obligations
    assert (owed.kind, owed.key, owed.original, owed.want) == (
        "ResourcesBack", f"uid-api:{LIMIT}", '"512Mi"', '"1Gi"',
    )  # fmt: skip


def test_all_that_is_too_low_is_raised_and_nothing_else() -> None:
    told = {"limits": {"memory": "1Gi", "cpu": "500m"}, "requests": {"memory": "512Mi"}}
    found = proposal(told=told)
    assert [(w.field, w.want) for w in found.writes[:-1]] == [(LIMIT, '"1Gi"'), (REQUEST, '"512Mi"')]
    assert [o.field for o in found.obligations] == [LIMIT, REQUEST]


def test_the_patch_has_every_container_as_it_is_but_for_what_is_raised() -> None:
    target, found = sized(), proposal()
    before = copy.deepcopy(target)
    patch = patch_of({write.field: json.loads(write.want) for write in found.writes}, target)
    assert target == before
    expected = before["spec"]["template"]["spec"]["containers"]
    expected[1]["resources"]["limits"]["memory"] = "1Gi"
    assert patch["spec"]["template"]["spec"] == {"containers": expected}
    assert value_at({"spec": {"template": patch["spec"]["template"]}}, LIMIT) == '"1Gi"'


def test_a_value_is_written_as_the_api_server_keeps_it() -> None:
    assert proposal(told={"limits": {"memory": "1024Mi", "cpu": "2000m"}}).writes[0].want == '"2"'
    assert proposal(told={"limits": {"memory": "1024Mi"}}).writes[0].want == '"1Gi"'


@pytest.mark.parametrize("has", ["1Gi", "2Gi", "1073741824", "1100M"])
def test_what_has_as_much_already_is_left_to_the_next_rung(has: str) -> None:
    found = plan(sized({"memory": has}))
    assert isinstance(found, NothingToDo)
    assert found.message == "container app of Deployment shop/api has as much already, or more"


def test_what_has_no_pods_needs_no_more() -> None:
    assert isinstance(plan(sized(replicas=0)), NothingToDo)


def test_a_target_that_is_gone_is_refused() -> None:
    asked = Resources.model_validate({"container": "app", **MEMORY})
    assert isinstance(ACTION.plan(asked, World(target=None), "token"), Refusal)


VPA: Json = {
    "metadata": {"name": "sizer"},
    "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}},
}
ROLLOUT: Json = {"metadata": {"name": "api"}, "spec": {"workloadRef": {"kind": "Deployment", "name": "api"}}}
GIT = [manages("kustomize-controller", LIMIT, operation="Apply")]


@pytest.mark.parametrize(
    ("target", "told", "reason", "words"),
    [
        (sized(), {"container": "web"}, "ContainerMissing", "no container web; it has log, app"),
        (workload(spec={"template": {"spec": {}}}), {}, "ContainerMissing", "no container app; it has "),
        (sized(), {"container": "log"}, "ResourceNotSet", "limits.memory of container log of Deployment shop/api"),
        (sized({"cpu": "1"}), {}, "ResourceNotSet", "is not set"),
        (sized({"memory": "0"}), {}, "ResourceNotSet", "is not set"),
        (sized({"memory": {"a": "b"}}), {}, "ResourceNotSet", "is not set"),
        (sized({"memory": "255Mi"}), {}, "TooMuchAtOnce", "1Gi is more than 4 times what limits.memory"),
        (sized(), {"told": {"requests": {"memory": "1Gi"}}}, "RequestAboveLimit", "1Gi, and its limit is 512Mi"),
        (sized(spec={"paused": True}), {}, "RolloutPaused", "is paused"),
        (sized(status={"updatedReplicas": 1}), {}, "RolloutInProgress", "1 of 3 pods updated"),
        (sized(kind="StatefulSet", status={"updateRevision": "x"}, spec={"updateStrategy": {"type": "OnDelete"}}), {},
         "UpdateOnDelete", "OnDelete"),
        (sized(metadata={"ownerReferences": owned_by("Database", "main")}), {}, "OwnedByController", "Database main"),
        (sized(), {"vpas": (VPA,)}, "SizedByVpa", "VerticalPodAutoscaler sizer sizes the pods"),
        (sized(), {"rollouts": (ROLLOUT,)}, "UnderRollout", "kind: Rollout, name: api"),
        (sized(metadata={"managedFields": GIT}), {}, "OwnedByGitOps",
         "ignore: [{paths: [/spec/template/spec/containers/1/resources/limits/memory]"),
    ],
)  # fmt: skip
def test_what_would_be_of_no_use_or_undone_is_refused(target: Json, told: Json, reason: str, words: str) -> None:
    found = refusal(target, **told)
    assert (found.reason, words in found.message) == (reason, True), found.message
    assert len(found.message.encode()) <= 512


def test_argo_cd_that_holds_the_limit_in_git_is_told_what_to_leave_alone() -> None:
    applied = [manages("argocd-controller", LIMIT, operation="Apply")]
    found = refusal(sized(metadata={"managedFields": applied}))
    assert "managedFieldsManagers: [goldseam]" in found.message


def test_another_field_of_the_container_that_is_in_git_is_no_concern_of_ours() -> None:
    image = [manages("kustomize-controller", "spec.template.spec.containers[name=app].image", operation="Apply")]
    others = [manages("kustomize-controller", LIMIT.replace("app", "log"), operation="Apply")]
    assert proposal(sized(metadata={"managedFields": image + others}))


def test_a_gitops_tool_that_is_said_to_leave_it_alone_does_not_hold() -> None:
    meta = {"managedFields": GIT, "annotations": {YIELDED: "true"}}
    assert proposal(sized(metadata=meta))


@pytest.mark.parametrize(
    "vpa",
    [
        {**VPA, "spec": {**VPA["spec"], "updatePolicy": {"updateMode": "Off"}}},
        {**VPA, "spec": {"targetRef": {"kind": "Deployment", "name": "other"}}},
    ],
)
def test_a_vpa_that_only_recommends_or_sizes_another_does_not_hold(vpa: Json) -> None:
    assert proposal(vpas=(vpa,))


@pytest.mark.parametrize(
    ("before", "after", "so"),
    [("1Gi", "2Gi", True), ("1Gi", "1Gi", True), ("2Gi", "1Gi", False), ("0", "1Gi", False), ("much", "1Gi", False)],
)
def test_what_is_owed_was_raised_from_something_to_as_much_or_more(before: str, after: str, so: bool) -> None:
    assert raised(json.dumps(before), json.dumps(after)) is so


def test_a_request_up_to_the_limit_that_is_raised_with_it_is_fine() -> None:
    told = {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}}
    assert len(proposal(told=told).writes) == 3


def test_a_stuck_rollout_is_no_reason_to_wait() -> None:
    stuck = {"updatedReplicas": 1, "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]}
    assert proposal(sized(status=stuck))


def test_as_many_ready_pods_go_at_once_as_by_a_restart() -> None:
    assert proposal(sized(replicas=8)).takes_ready == 2


def test_who_would_undo_it_is_known_before_any_incident() -> None:
    assert ACTION.contested is not None
    asked = Resources.model_validate({"container": "app", "limits": {"memory": "1Mi"}})
    found = ACTION.contested(asked, World(target=sized(metadata={"managedFields": GIT})))
    assert isinstance(found, Refusal)
    assert ACTION.contested(asked, World(target=sized())) is None
    assert ACTION.contested(asked, World(target=None)) is None


QUANTITIES = st.builds("{}{}".format, st.integers(1, 9999), st.sampled_from(["m", "", "k", "Ki", "M", "Mi", "Gi"]))


@given(has=QUANTITIES, want=st.builds("{}{}".format, st.integers(1, 9999), st.sampled_from(["k", "Ki", "Mi", "Gi"])))
def test_whatever_is_there_it_is_never_lowered_and_never_more_than_four_times_as_much(has: str, want: str) -> None:
    found = plan(sized({"memory": has}), {"limits": {"memory": want}})
    before, after = size_of(has), size_of(want)
    assert before is not None
    assert after is not None
    if isinstance(found, Proposal):
        assert size_of(json.loads(found.writes[0].want)) == after
        assert before < after <= 4 * before
    else:
        assert isinstance(found, NothingToDo) == (after <= before)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"limits": {}},
        {"limits": {"memory": "-1Gi"}},
        {"limits": {"memory": "1.5Gi"}},
        {"limits": {"memory": "0"}},
        {"limits": {"memory": "1GB"}},
        {"limits": {"memory": 1024}},
        {"limits": {"cpu": 2}},
        {"limits": {"cpu": "0.5"}},
        {"limits": {"cpu": "1000000"}},
        {"limits": {"nvidia.com/gpu": "1"}},
        {"limits": {"memory": "1Gi"}, "claims": []},
    ],
)
def test_what_says_nothing_or_no_amount_is_no_parameter(told: Json) -> None:
    with pytest.raises(ValidationError):
        Resources.model_validate({"container": "app", **told})


def test_a_policy_that_allows_less_by_now_does_not_cover_it() -> None:
    def told(**limits: str) -> Resources:
        return Resources.model_validate({"container": "app", "limits": limits})

    assert told(memory="2Gi").covers(told(memory="2048Mi"))
    assert told(memory="2Gi", cpu="2").covers(told(memory="1Gi"))
    assert not told(memory="1Gi").covers(told(memory="2Gi"))
    assert not told(memory="1Gi").covers(told(cpu="1"))
    assert not told(memory="1Gi").covers(Resources.model_validate({"container": "log", "limits": {"memory": "1Gi"}}))


def test_an_entry_of_a_list_is_found_by_its_name() -> None:
    target = sized(metadata={"managedFields": [manages("goldseam", LIMIT)]})
    assert value_at(target, LIMIT) == '"512Mi"'
    assert value_at(target, LIMIT.replace("app", "none")) == "null"
    assert pointer_of(target, LIMIT) == "/spec/template/spec/containers/1/resources/limits/memory"
    assert [manager for manager, _, _ in managers_of(target, LIMIT)] == ["goldseam"]
    assert list(managers_of(target, REQUEST)) == []
