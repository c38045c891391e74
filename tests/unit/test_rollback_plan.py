"""rollback: to which revision, when it is refused, and that what is written is that revision and nothing else."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.actions.rollback import ACTION
from goldseam.api.incident import Step, TemplateSource, Write
from goldseam.api.ladder import Rollback
from goldseam.engine.objects import RESTART, reference
from goldseam.engine.owners import YIELDED
from goldseam.engine.proposal import NothingToDo, Plan, Proposal, Refusal, Right, World
from goldseam.engine.revisions import content, replaced, revisions, rolled_since, template_in
from tests.support.objects import Json, kept, manages, owned_by, template, workload

BEGAN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OLD, NEW = template("web:1"), template("web:2")
LONG_AGO, SHORTLY, LATER = "2026-11-20T08:00:00Z", "2026-11-23T11:45:00Z", "2026-11-23T12:01:00Z"
TWO = (kept(1, OLD, LONG_AGO), kept(2, NEW, SHORTLY))
RESOURCES = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}


def target(now: Json = NEW, kind: str = "Deployment", **more: Any) -> Json:
    return workload(kind, spec={"template": now} | more.pop("spec", {}), **more)


def plan(obj: Json | None = None, found: tuple[Json, ...] = TWO, window: timedelta = timedelta(minutes=30)) -> Plan:
    world = World(target=obj or target(), revisions=found, active_at=BEGAN)
    return ACTION.plan(Rollback(window=window), world, "token")


def proposal(*args: Any, **more: Any) -> Proposal:
    found = plan(*args, **more)
    assert isinstance(found, Proposal), found
    return found


def refusal(*args: Any, **more: Any) -> Refusal:
    found = plan(*args, **more)
    assert isinstance(found, Refusal), found
    assert len(found.message) <= 512
    return found


def of(kind: str) -> tuple[Json, ...]:
    keeper = "ReplicaSet" if kind == "Deployment" else "ControllerRevision"
    return kept(1, OLD, LONG_AGO, kind=keeper), kept(2, NEW, SHORTLY, kind=keeper)


@pytest.mark.parametrize("kind", RESOURCES)
def test_it_goes_back_to_the_revision_before_the_one_that_came_shortly_before_the_alert(kind: str) -> None:
    found = proposal(target(kind=kind), of(kind))
    (write,) = found.writes
    assert found.summary == (
        f"roll {kind} shop/api back to revision 1, which revision 2 replaced at 11:45:00 UTC (app: web:1 → web:2)"
    )
    assert (write.field, write.before, write.want, write.resource_version) == (RESTART, "null", '"token"', "100")
    assert write.template is not None
    keeper = "ReplicaSet" if kind == "Deployment" else "ControllerRevision"
    assert (write.template.object.kind, write.template.object.uid) == (keeper, "uid-api-1")
    assert found.rights == (
        Right("patch", "apps", RESOURCES[kind], "", "shop", "api"),
        Right("rollback", "apps", RESOURCES[kind], "", "shop", "api"),
    )
    assert found.obligations == ()


def test_the_whole_pin_fits_where_an_incident_keeps_it() -> None:
    large = template("web:1", env=[{"name": f"V{n}", "value": "x" * 200} for n in range(100)])
    (write,) = proposal(target(), (kept(1, large, LONG_AGO), TWO[1])).writes
    assert len(json.dumps(write.dump())) < 1_000


def test_restarts_in_between_are_no_revisions_that_one_could_go_back_to() -> None:
    by_kubectl = template("web:2", annotations={"kubectl.kubernetes.io/restartedAt": LATER})
    by_us = template("web:2", annotations={"goldseam.dev/token": "t"})
    found = (*TWO, kept(3, by_kubectl, LATER), kept(4, by_us, LATER))
    (write,) = proposal(target(by_us), found).writes
    assert write.template is not None
    assert write.template.object.name == "api-1"


def test_after_a_rollback_of_ours_there_is_nothing_to_go_back_to() -> None:
    back = template("web:1", annotations={"goldseam.dev/token": "t"})
    assert refusal(target(back), (*TWO, kept(3, back, LATER))).reason == "RolledOutSince"


def test_what_a_person_brought_back_keeps_its_age_and_is_not_rolled_back() -> None:
    assert refusal(target(OLD), (kept(3, OLD, LONG_AGO), TWO[1])).reason == "NoRecentRollout"


@pytest.mark.parametrize(
    ("created", "reason"),
    [
        ("2026-11-23T11:29:59Z", "NoRecentRollout"),
        ("2026-11-23T12:00:01Z", "RolledOutSince"),
        ("2026-11-23T11:30:00Z", ""),
        ("2026-11-23T12:00:00Z", ""),
    ],
)
def test_only_what_came_within_the_window_before_the_alert_is_rolled_back(created: str, reason: str) -> None:
    found = plan(found=(TWO[0], kept(2, NEW, created)))
    assert (found.reason if isinstance(found, Refusal) else "") == reason


def test_the_window_is_the_policys() -> None:
    assert refusal(window=timedelta(minutes=10)).reason == "NoRecentRollout"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ((), "RevisionUnseen"),
        ((TWO[0],), "RevisionUnseen"),  # the newest template has no revision yet
        ((TWO[1],), "RevisionGone"),
        ((kept(1, OLD, LONG_AGO), kept(3, NEW, SHORTLY)), "RevisionGone"),  # the one in between was deleted
        ((kept(1, OLD, LONG_AGO, owner="uid-other"), TWO[1]), "RevisionGone"),  # not ours, such as a Rollout's
        ((TWO[0], kept(2, NEW, SHORTLY, owner="uid-other")), "RevisionUnseen"),
        ((TWO[0], {"metadata": {"name": "x", "uid": "x"}}), "RevisionUnseen"),
    ],
)
def test_what_is_not_known_is_not_rolled_back(found: tuple[Json, ...], reason: str) -> None:
    assert refusal(found=found).reason == reason


def test_a_gap_behind_restarts_is_a_gap() -> None:
    again = template("web:2", annotations={"goldseam.dev/token": "t"})
    found = (kept(1, OLD, LONG_AGO), kept(2, NEW, SHORTLY), kept(4, again, LATER))
    assert refusal(target(again), found).reason == "RevisionGone"


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        (target(spec={"paused": True}), "RolloutPaused"),
        (target(kind="StatefulSet", spec={"updateStrategy": {"type": "OnDelete"}}), "UpdateOnDelete"),
        (target(kind="StatefulSet", spec={"updateStrategy": {"rollingUpdate": {"partition": 1}}}), "Partitioned"),
        (target(metadata={"ownerReferences": owned_by("Rollout", "main")}), "OwnedByController"),
    ],
)
def test_what_would_not_run_its_course_is_refused(obj: Json, reason: str) -> None:
    assert refusal(obj, of(obj["kind"])).reason == reason


def test_a_rollout_that_is_still_going_on_is_what_is_rolled_back() -> None:
    assert proposal(target(status={"updatedReplicas": 1})).writes


def test_what_has_no_pods_is_not_rolled_back() -> None:
    assert isinstance(plan(target(replicas=0)), NothingToDo)


def test_a_target_that_is_gone_is_refused() -> None:
    found = ACTION.plan(Rollback(), World(target=None), "t")
    assert found == Refusal("TargetGone", "the target is gone")


@pytest.mark.parametrize(
    ("manager", "operation", "owner"),
    [
        ("argocd-controller", "Update", "Argo CD Application"),
        ("kustomize-controller", "Apply", "Flux Kustomization"),
        ("helm-controller", "Apply", "Flux HelmRelease"),
    ],
)
def test_what_gitops_owns_is_reverted_in_git_and_the_revision_is_named(
    manager: str, operation: str, owner: str
) -> None:
    entry = manages(manager, "spec.template.spec.containers", operation=operation)
    found = refusal(target(metadata={"managedFields": [entry]}))
    assert found.reason == "OwnedByGitOps"
    assert found.message == (
        f"{owner} owns spec.template of Deployment shop/api (field manager {manager}) and would undo a rollback: revert"
        " in Git what brought revision 2 at 2026-11-23 11:45:00 UTC (app: web:1 → web:2)"
    )
    yielded = target(metadata={"managedFields": [entry], "annotations": {YIELDED: "true"}})
    assert isinstance(plan(yielded), Proposal)


def test_the_cause_that_somebody_wrote_down_is_named() -> None:
    old, new = copy.deepcopy(TWO)
    new["metadata"]["annotations"]["kubernetes.io/change-cause"] = "release 1.4.3"
    assert "(release 1.4.3)" in proposal(found=(old, new)).summary
    old["metadata"]["annotations"]["kubernetes.io/change-cause"] = "release 1.4.3"
    assert "(app: web:1 → web:2)" in proposal(found=(old, new)).summary, "a cause that was never renewed says nothing"


def test_where_no_image_differs_it_says_so() -> None:
    new = template("web:1", priorityClassName="high")
    found = (TWO[0], kept(2, new, SHORTLY))
    assert "(the images are the same)" in proposal(target(new), found).summary


@pytest.mark.parametrize(
    "then", [{"serviceAccountName": "other"}, {"hostNetwork": True}, {"hostPID": True}, {"hostIPC": True}]
)
def test_a_template_of_another_identity_is_left_to_people(then: Json) -> None:
    found = refusal(found=(kept(1, template("web:1", **then), LONG_AGO), TWO[1]))
    assert found.reason == "OtherIdentity"
    assert next(iter(then)) in found.message


def test_as_many_ready_pods_go_at_once_as_by_a_restart() -> None:
    assert proposal(target(replicas=8)).takes_ready == 2


def test_it_is_done_when_the_template_has_its_token_and_the_pods_are_ready() -> None:
    step = Step(id="1-rollback", rung=0, action="rollback", intent_at=BEGAN, writes=list(proposal().writes))
    assert not ACTION.observe(step, World(target=target())).done
    there = target(template("web:1", annotations={"goldseam.dev/token": "token"}))
    assert ACTION.observe(step, World(target=there)).done
    assert not ACTION.observe(step, World(target={**there, "status": {"observedGeneration": 3}})).done


def merged(obj: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    base = dict(obj) if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = merged(base.get(key), value)
    return base


def test_the_patch_makes_the_template_the_former_one_with_the_token_in_it() -> None:
    old = template("web:1", annotations={"note": "a"}, terminationGracePeriodSeconds=30)
    new = template("web:2", annotations={"other": "b"}, hostAliases=[{"ip": "::1"}], securityContext={"runAsUser": 1})
    found, obj = (kept(1, old, LONG_AGO), kept(2, new, SHORTLY)), target(new)
    (write,) = proposal(obj, found).writes
    patch = replaced(obj, found[0], write)
    assert patch is not None
    after = merged(obj, patch)
    expected = template("web:1", annotations={"note": "a", "goldseam.dev/token": "token"})
    expected["spec"]["terminationGracePeriodSeconds"] = 30
    assert after["spec"]["template"] == expected
    assert {**after, "spec": {**after["spec"], "template": None}} == {**obj, "spec": {**obj["spec"], "template": None}}


parts = st.dictionaries(
    st.sampled_from("abcdef"),
    st.recursive(
        st.one_of(st.integers(), st.text(max_size=3), st.none(), st.lists(st.integers(), max_size=2)),
        lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@given(old=parts, new=parts)
def test_whatever_the_templates_are_the_patch_turns_one_into_the_other(old: Json, new: Json) -> None:
    before, now = {"metadata": {}, "spec": old}, {"metadata": {}, "spec": new}
    source, obj = kept(1, before, LONG_AGO), target(now)
    (revision,) = revisions(obj, [source])
    write = proposal().writes[0].model_copy(update={"template": revision.source})
    patch = replaced(obj, source, write)
    assert patch is not None
    after = merged(obj, patch)["spec"]["template"]
    assert content(after) == content(before)
    assert after["metadata"]["annotations"] == {"goldseam.dev/token": "token"}


@pytest.mark.parametrize("change", ["uid", "template"])
def test_what_is_kept_there_must_be_what_was_pinned(change: str) -> None:
    (write,) = proposal().writes
    source = copy.deepcopy(TWO[0])
    if change == "uid":
        source["metadata"]["uid"] = "another"
    else:
        source["spec"]["template"]["spec"]["containers"][0]["image"] = "evil"
    assert replaced(target(), source, write) is None


def test_what_the_controllers_add_is_not_brought_back() -> None:
    for found in (TWO[0], of("StatefulSet")[0]):
        assert template_in(found) == OLD


@pytest.mark.parametrize(("live", "pinned", "covered"), [(30, 30, True), (60, 30, True), (10, 30, False)])
def test_a_live_policy_covers_as_short_a_time(live: int, pinned: int, covered: bool) -> None:
    windows = [Rollback(window=timedelta(minutes=minutes)) for minutes in (live, pinned)]
    assert windows[0].covers(windows[1]) is covered


@pytest.mark.parametrize(
    ("image", "manager", "at", "who"),
    [
        ("api:2", "kubectl-set", "2026-11-23T12:05:00Z", "kubectl-set"),
        ("api:2", "kubectl-set", "2026-11-23T12:01:00Z", "kubectl-set"),  # in the same second
        ("api:2", "kubectl-set", "", "kubectl-set"),
        ("api:2", "helm", "2026-11-23T11:50:00Z", ""),  # before: a webhook has completed what we wrote
        ("api:1", "kubectl-set", "2026-11-23T12:05:00Z", ""),  # another field that makes no difference to the pods
    ],
)
def test_who_rolls_forward_is_told_by_the_template_and_when_it_was_written(
    image: str, manager: str, at: str, who: str
) -> None:
    back = template("api:1")
    pin = TemplateSource(object=reference(workload()), digest=content(back))
    write = Write(verb="Patch", object=reference(workload()), field=RESTART, want='"t"', template=pin)
    mark = {"f:template": {"f:metadata": {"f:annotations": {"f:goldseam.dev/token": {}}}}}
    ours = {"manager": "goldseam", "operation": "Update", "time": "2026-11-23T12:01:00Z", "fieldsV1": {"f:spec": mark}}
    theirs = manages(manager, "spec.template.spec.containers", at=at)
    marked = template(image, annotations={"goldseam.dev/token": "t"})
    live = workload(spec={"template": marked}, metadata={"managedFields": [ours, theirs]})
    assert rolled_since(live, write) == who
