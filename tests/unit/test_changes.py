"""What changed before an alert, and who changed it: from revisions and managedFields, and never guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from goldseam.api.findings import Change
from goldseam.engine.changes import changes, in_words
from goldseam.engine.rollouts import rollouts
from tests.support.objects import manages, pod_template, revision, workload

ACTIVE = datetime(2026, 11, 23, 12, tzinfo=UTC)
IMAGE = "spec.template.spec.containers"
MARKS = "spec.template.metadata.annotations"
Json = dict[str, Any]


def at(clock: str) -> str:
    return f"2026-11-23T{clock}:00Z"


OLD = revision(1, at("08:00"), pod_template("api:1"))
NEW = revision(2, at("11:57"), pod_template("api:2"))


def deployment(*managed: Json) -> Json:
    return workload(metadata={"managedFields": list(managed)})


def found(target: Json, *revisions: Json) -> list[Change]:
    return changes(target, rollouts(target, revisions), ACTIVE)


def said(target: Json, *revisions: Json) -> str:
    return in_words(found(target, *revisions), ACTIVE)


def test_a_new_image_is_named_with_what_it_was_before_when_and_by_whom() -> None:
    target = deployment(manages("kubectl-set", IMAGE, at=at("11:57")), manages("helm", IMAGE, at=at("08:00")))
    assert said(target, OLD, NEW) == "3 min before the alert: image of container app: api:1 → api:2, by kubectl-set"
    (change,) = found(target, OLD, NEW)
    assert (change.at, change.before, change.after) == (datetime(2026, 11, 23, 11, 57, tzinfo=UTC), "api:1", "api:2")


@pytest.mark.parametrize("clock", ["11:29", "12:02"])
def test_what_changed_long_before_or_after_the_alert_is_not_its_cause(clock: str) -> None:
    assert found(deployment(), OLD, revision(2, at(clock), pod_template("api:2"))) == []


@pytest.mark.parametrize("clock", ["11:30", "12:01"])
def test_half_an_hour_before_and_a_minute_for_the_clocks_are_looked_at(clock: str) -> None:
    assert len(found(deployment(), OLD, revision(2, at(clock), pod_template("api:2")))) == 1


def test_revisions_of_another_workload_say_nothing_of_this_one() -> None:
    assert found(deployment(), OLD, revision(2, at("11:57"), pod_template("api:2"), owner="uid-else")) == []


def test_the_gitops_object_whose_manager_it_was_is_named() -> None:
    tracking = {"argocd.argoproj.io/tracking-id": "shop-app:apps/Deployment:shop/api"}
    managed = [manages("argocd-controller", IMAGE, operation="Apply", at=at("11:57"))]
    target = workload(metadata={"managedFields": managed, "annotations": tracking})
    assert said(target, OLD, NEW).endswith(", by argocd-controller (Argo CD Application shop-app)")
    labels = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    managed = [manages("kustomize-controller", IMAGE, operation="Apply", at=at("11:57"))]
    target = workload(metadata={"managedFields": managed, "labels": labels})
    assert said(target, OLD, NEW).endswith(", by kustomize-controller (Flux Kustomization flux-system/apps)")


def test_a_writer_whose_time_was_moved_by_a_later_write_is_named_only_where_nobody_else_owns_the_template() -> None:
    alone = manages("helm", IMAGE, "spec.replicas", at=at("11:59"))
    assert said(deployment(alone), OLD, NEW).endswith(", by helm")
    assert ", by" not in said(deployment(alone, manages("kubectl-edit", MARKS, at=at("11:59"))), OLD, NEW)
    ours = manages("goldseam", MARKS, at=at("11:59"))
    ours["fieldsV1"]["f:spec"]["f:template"]["f:metadata"]["f:annotations"] = {".": {}, "f:goldseam.dev/token": {}}
    assert said(deployment(alone, ours), OLD, NEW).endswith(", by helm"), "our mark is no template"


def test_labels_that_carry_a_git_revision_are_shown_with_their_values() -> None:
    first = revision(1, at("08:00"), pod_template(commit="4f2a"))
    second = revision(2, at("11:50"), pod_template(commit="9bd1"))
    assert said(deployment(), first, second) == "10 min before the alert: label of the pod template commit: 4f2a → 9bd1"


def annotated(number: int, clock: str, **marks: str) -> Json:
    pods = pod_template()
    return revision(number, at(clock), pods | {"metadata": {**pods["metadata"], "annotations": marks}})


def test_of_annotations_only_those_that_stand_for_a_version_show_their_value() -> None:
    old, new = ({"checksum/config": letter, "example.com/inject": letter * 9} for letter in "ab")
    assert said(deployment(), annotated(1, "08:00", **old), annotated(2, "11:50", **new)) == (
        "10 min before the alert: annotation of the pod template example.com/inject;"
        " 10 min before the alert: annotation of the pod template checksum/config: a → b"
    )


def test_what_no_image_has_is_not_repeated() -> None:
    odd = revision(2, at("11:57"), pod_template('a"\\\n\x1b[2Jé:1'))
    assert said(deployment(), OLD, odd) == '3 min before the alert: image of container app: api:1 → a"???[2J?:1'


def test_of_other_fields_only_the_name_is_shown() -> None:
    second = revision(2, at("11:50"), pod_template(env="hunter2"))
    assert said(deployment(), OLD, second) == "10 min before the alert: env of container app"
    third = revision(2, at("11:50"), pod_template() | {"spec": {**pod_template()["spec"], "hostNetwork": True}})
    assert said(deployment(), OLD, third) == "10 min before the alert: hostNetwork of the pod template"


def test_a_first_revision_says_that_nothing_is_known_of_before() -> None:
    words = "3 min before the alert: pod template, of which no former revision is known: ? → api:2"
    assert said(deployment(), NEW) == words


def test_our_own_restart_is_named_as_ours() -> None:
    restarted = revision(2, at("11:40"), pod_template("api:1", token="t"))
    assert said(deployment(), OLD, restarted) == "20 min before the alert: restarted by Goldseam"
    assert [one.ours for one in rollouts(deployment(), [OLD, restarted])] == [False, True]


def test_each_of_several_rollouts_is_compared_with_the_one_before_it() -> None:
    third = revision(3, at("11:58"), pod_template("api:3"))
    values = [(one.before, one.after) for one in found(deployment(), third, OLD, NEW)]
    assert values == [("api:1", "api:2"), ("api:2", "api:3")]


def test_a_deployment_that_went_back_says_so_by_who_wrote_its_template_last() -> None:
    back = revision(3, at("08:00"), pod_template("api:1"), again="1")
    young = revision(2, at("09:00"), pod_template("api:2"))
    words = "5 min before the alert: image of container app: api:2 → api:1, by kubectl-rollout"
    assert said(deployment(manages("kubectl-rollout", IMAGE, at=at("11:55"))), back, young) == words
    assert found(deployment(manages("kubectl-rollout", IMAGE, at=at("10:00"))), back, young) == []


def test_when_a_deployment_went_back_is_not_known_without_a_time() -> None:
    back = revision(3, at("08:00"), pod_template("api:1"), again="1")
    for target in (deployment(), deployment(manages("helm", IMAGE))):
        assert rollouts(target, [back, NEW])[-1].at is None
        assert all(change.after != "api:1" for change in found(target, back, NEW))


def test_a_statefulset_that_went_back_says_when_by_its_revision() -> None:
    target = workload("StatefulSet")
    first = revision(3, at("08:00"), pod_template("api:1"), again=at("11:58"), kind="ControllerRevision")
    second = revision(2, at("09:00"), pod_template("api:2"), kind="ControllerRevision")
    assert said(target, first, second) == "2 min before the alert: image of container app: api:2 → api:1"
    steady = revision(1, at("08:00"), pod_template("api:1"), kind="ControllerRevision")
    assert [one.at and one.at.hour for one in rollouts(target, [steady, second])] == [8, 9]


def test_replicas_are_named_with_who_set_them_last() -> None:
    scaled = manages("kube-controller-manager", "spec.replicas", subresource="scale", at=at("11:55"))
    assert said(deployment(scaled), OLD) == "5 min before the alert: replicas: ? → 3, by kube-controller-manager"
    edited = manages("kubectl-edit", "spec.replicas", at=at("11:55"))
    assert said(deployment(edited), OLD).endswith("replicas: ? → 3, by kubectl-edit")


def test_an_entry_that_owns_the_template_too_does_not_say_that_the_replicas_changed() -> None:
    assert found(deployment(manages("helm", IMAGE, "spec.replicas", at=at("11:55"))), OLD) == []


def test_only_the_newest_sixteen_are_kept_and_each_is_bounded() -> None:
    labels = [{f"l{n:02}": letter * 63 for n in range(30)} for letter in "ab"]
    first = revision(1, at("08:00"), pod_template("i" * 900, **labels[0]))
    second = revision(2, at("11:55"), pod_template("j" * 900, **labels[1]))
    kept = found(deployment(), first, second)
    assert len(kept) == 16
    assert all(len(text) <= 128 for one in kept for text in (one.what, one.before, one.after, one.by))
    assert in_words(kept, ACTIVE).endswith("; and 14 more")


@pytest.mark.parametrize("number", ["", "x", "-1", "\u0663", "9" * 30])
def test_a_revision_whose_number_somebody_wrote_over_breaks_nothing(number: str) -> None:
    odd = revision(2, at("11:57"), pod_template("api:2"))
    odd["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = number
    assert [(one.before, one.after) for one in found(deployment(), OLD, odd)] == [("api:1", "api:2")]


def test_what_came_after_is_said_to_have_come_after() -> None:
    late = Change(at=ACTIVE + timedelta(minutes=7), what="replicas", after="9")
    assert in_words([late], ACTIVE) == "7 min after the alert began: replicas: ? → 9"
    assert in_words([late.model_copy(update={"at": ACTIVE})], ACTIVE) == "when the alert began: replicas: ? → 9"
    assert in_words([], ACTIVE) == ""
