"""CronJobs are run once, with the ServiceAccount's rights and the piece `jobs` in force; the audit log is the judge."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.as_operator import Answer, AsOperator
from tests.support.objects_on_cluster import (
    condition,
    deployment,
    effects,
    incident,
    outcomes,
    policy,
    reached,
    response,
    running,
    status,
)
from tests.support.operator_process import OperatorProcess, service_account
from tests.support.operator_process import running as running_operator
from tests.support.people import bound, user
from tests.support.plane import ROOT, Plane, eventually
from tests.support.proxy import FaultProxy, Strike, When, fault_proxy
from tests.support.sampling import sampled

Trouble = Callable[..., None]
Json = dict[str, Any]
PIECE = ROOT / "deploy" / "kustomize" / "components" / "jobs"
JOB: Json = {"job": {"cronJob": "restore"}, "timeout": "90s"}
DESTRUCTIVE: Json = {"job": {"cronJob": "restore", "destructive": True}, "timeout": "90s"}
ONCE = ["create jobs", "patch jobs"]
TOKEN = "0123456789abcdef"


def cron_job(namespace: str, name: str = "restore", *, run_for: str = "1s", **spec: Any) -> Json:
    """A CronJob whose schedule never comes, and whose pods end by themselves."""
    container = {"name": "restore", "image": "postgres:17", "command": ["pg_restore"]}
    pod = {"metadata": {"annotations": {"sim.kwok/run-for": run_for}}}
    pod["spec"] = {"containers": [container], "restartPolicy": "Never"}
    template = {"metadata": {"labels": {"app": name}, "annotations": {"team": "a"}}, "spec": {"template": pod}}
    meta = {"name": name, "namespace": namespace}
    body = {"schedule": "0 0 31 2 *", "jobTemplate": template, **spec}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": body}


@pytest.fixture(scope="module")
def with_jobs(installed: Plane, operator_kubeconfig: Path) -> Iterator[Plane]:
    """The piece that is not in the overlay, for this file only."""
    files = [flag for name in ("rights", "limits") for flag in ("-f", str(PIECE / f"{name}.yaml"))]
    installed.must("apply", "--server-side", *files)
    operator = AsOperator(installed, operator_kubeconfig)
    harm = job(pod={"hostNetwork": True})
    eventually(lambda: "denied request" in created(operator, harm).stderr, "the admission policy to be in force")
    yield installed
    installed.must("delete", *files)


@pytest.fixture
def allowed(with_jobs: Plane, namespace: str) -> str:
    """A namespace with a CronJob, a Deployment, and an account that may run Jobs."""
    with_jobs.must("-n", namespace, "create", "serviceaccount", "remediator")
    with_jobs.must("-n", namespace, "create", "role", "remediator", "--verb=create", "--resource=jobs.batch")
    account = f"--serviceaccount={namespace}:remediator"
    with_jobs.must("-n", namespace, "create", "rolebinding", "remediator", "--role=remediator", account)
    with_jobs.apply(cron_job(namespace), deployment(namespace, "api"))
    running(with_jobs, namespace, "api", 3)
    return namespace


def heal(namespace: str, *ladder: Json, **spec: Any) -> Json:
    return policy(namespace, *ladder, serviceAccountName="remediator", **spec)


def jobs(plane: Plane, namespace: str) -> list[Json]:
    return plane.all("jobs", namespace)


def complete(plane: Plane, namespace: str) -> Json:
    """The one Job, once it has ended well."""

    def ask() -> Json:
        found = jobs(plane, namespace)
        assert len(found) <= 1, f"{len(found)} Jobs"
        conditions = found[0].get("status", {}).get("conditions", []) if found else []
        return found[0] if any((c["type"], c["status"]) == ("Complete", "True") for c in conditions) else {}

    return eventually(ask, "the Job to be complete", 90)


def test_it_runs_once_as_kubectl_would_make_it_and_when_the_alert_clears_it_has_helped(
    with_jobs: Plane, allowed: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    with_jobs.apply(heal(allowed, JOB))
    trouble(1, deployment="api")
    found = complete(with_jobs, allowed)
    trouble(0, deployment="api")
    reached(with_jobs, allowed, "Resolved")
    (step,) = status(with_jobs, allowed)["steps"]
    assert (step["outcome"], step["evidence"][:20]) == ("Passed", "the log was not read")
    assert effects(with_jobs, allowed) == ONCE
    flags = ("create", "job", "x", "--from=cronjob/restore", "-n", allowed, "--dry-run=server", "-o", "json")
    twin = json.loads(with_jobs.must(*flags))
    ours, theirs = found["metadata"], twin["metadata"]
    mine = {name: value for name, value in ours["annotations"].items() if not name.startswith("goldseam.dev/")}
    assert mine == theirs["annotations"]
    assert ours["ownerReferences"] == theirs["ownerReferences"]
    assert ours["labels"]["app"] == theirs["labels"]["app"] == "restore"
    assert without_names(found) == without_names(twin)


def without_names(found: Json) -> Json:
    """The spec, but for what the API server gives each Job of its own."""
    spec = copy.deepcopy(found["spec"])
    del spec["selector"], spec["template"]["metadata"]["labels"]
    return spec


@pytest.mark.parametrize("when", sampled(["after", "before"]))
@pytest.mark.parametrize("label", sampled(["POST jobs", "PATCH jobs"]))
def test_a_killed_operator_makes_it_once_and_lets_it_run_once(
    with_jobs: Plane, allowed: str, source: str, trouble: Trouble, tmp_path: Path, label: str, when: When
) -> None:
    with_jobs.apply(heal(allowed, JOB))
    with fault_proxy(with_jobs) as proxy:
        kubeconfig = service_account(with_jobs, tmp_path, proxy.url)
        died(proxy, kubeconfig, tmp_path, label, when, lambda: trouble(1, deployment="api"))
        with running_operator(kubeconfig, tmp_path / "second.log"):
            complete(with_jobs, allowed)
            trouble(0, deployment="api")
            reached(with_jobs, allowed, "Resolved")
    assert effects(with_jobs, allowed) == ONCE


def died(proxy: FaultProxy, kubeconfig: Path, home: Path, label: str, when: When, begin: Callable[[], None]) -> None:
    """Run until the first write of that label, and die there."""
    with running_operator(kubeconfig, home / "first.log") as first:
        strike = Strike(lambda seen: seen.label == label, when, first.kill)
        proxy.strike = strike
        begin()
        assert strike.done.wait(90), f"no {label}; seen: {[seen.label for seen in proxy.seen]}"
        first.process.wait(10)


def test_what_is_destructive_runs_on_a_persons_word_and_without_it_does_not(
    with_jobs: Plane, allowed: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    jane = bound(with_jobs, user(with_jobs, "jane@aurum.com"), "goldseam-oncall", allowed)
    with_jobs.apply(heal(allowed, DESTRUCTIVE, approval={"onTimeout": "Skip"}))
    trouble(1, deployment="api")
    reached(with_jobs, allowed, "AwaitingApproval")
    assert effects(with_jobs, allowed) == []
    told = jane.create(response(incident(with_jobs, allowed), "Approve", jane.name))
    assert told.returncode == 0, told.stderr
    complete(with_jobs, allowed)
    assert effects(with_jobs, allowed) == ONCE


def test_a_cron_job_that_changes_after_the_yes_is_asked_about_anew(
    with_jobs: Plane, allowed: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    with_jobs.apply(heal(allowed, DESTRUCTIVE))
    trouble(1, deployment="api")
    reached(with_jobs, allowed, "AwaitingApproval")
    image = [{"op": "replace", "path": "/spec/jobTemplate/spec/template/spec/containers/0/image", "value": "evil:1"}]
    before = incident(with_jobs, allowed)
    with_jobs.must("-n", allowed, "patch", "cronjob", "restore", "--type=json", "-p", json.dumps(image))
    jane = bound(with_jobs, user(with_jobs, "jane@aurum.com"), "goldseam-oncall", allowed)
    assert jane.create(response(before, "Approve", jane.name)).returncode == 0
    eventually(
        lambda: "evil:1" in status(with_jobs, allowed)["approvals"][-1]["summary"], "a question about the new one"
    )
    assert effects(with_jobs, allowed) == []


def test_a_suspended_one_is_refused_and_the_next_rung_is_tried(
    with_jobs: Plane, allowed: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    with_jobs.apply(cron_job(allowed, suspend=True), heal(allowed, JOB, {"wait": {"duration": "1m"}}))
    trouble(1, deployment="api")
    eventually(lambda: len(outcomes(status(with_jobs, allowed))) == 2, "the next rung")
    assert outcomes(status(with_jobs, allowed))[0] == ("job", "Refused")
    assert effects(with_jobs, allowed) == []


def test_without_the_right_the_policy_says_so_before_any_incident(
    with_jobs: Plane, allowed: str, operator: OperatorProcess
) -> None:
    with_jobs.must("-n", allowed, "delete", "rolebinding", "remediator")
    with_jobs.apply(heal(allowed, JOB))
    found = eventually(
        lambda: condition(with_jobs, "remediationpolicy", "heal", allowed, "Permitted").get("message"), "a condition"
    )
    assert f"missing: create jobs.batch in namespace {allowed}" in found
    assert "components/jobs" in found


def test_a_policy_without_an_account_is_refused_by_the_api_server(with_jobs: Plane, allowed: str) -> None:
    answer = with_jobs.kubectl("create", "-f", "-", input=json.dumps(policy(allowed, JOB)))
    assert "spec.serviceAccountName: Invalid value: needed for job" in answer.stderr


def job(namespace: str = "default", **more: Any) -> Json:
    """A Job as the operator makes it; `pod`, `container`, `spec` and `metadata` in `more` are laid over it."""
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "restore", "controller": True}
    marks = {"goldseam.dev/token": TOKEN, "goldseam.dev/incident": f"{namespace}/i", "goldseam.dev/generation": "1"}
    container = {"name": "a", "image": "a:1"} | more.get("container", {})
    pod = {"containers": [container], "restartPolicy": "Never"} | more.get("pod", {})
    meta = {
        "name": f"restore-{TOKEN}", "namespace": namespace, "annotations": marks,
        "ownerReferences": [owner | {"uid": "d7c8c1c5-3a3c-4c4c-8d3e-2a4b1c0f9e11"}],
    }  # fmt: skip
    spec = {"suspend": True, "template": {"spec": pod}} | more.get("spec", {})
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta | more.get("metadata", {}), "spec": spec}


def created(operator: AsOperator, body: Json) -> Answer:
    return operator("create", "--dry-run=server", "-f", "-", body=body)


@pytest.fixture
def as_operator(with_jobs: Plane, operator_kubeconfig: Path) -> AsOperator:
    return AsOperator(with_jobs, operator_kubeconfig)


def owners(**changes: Any) -> Json:
    return {"ownerReferences": [job()["metadata"]["ownerReferences"][0] | changes]}


NODE, PRIVILEGED, MARKS = "must not reach the node", "must not be privileged", "must carry its marks"
OWNED, SUSPENDED, LEFT = "must be controlled by one CronJob", "must be suspended", "leave its selector and its end"
FORBIDDEN: dict[str, tuple[Json, str]] = {
    "the node's network": ({"pod": {"hostNetwork": True}}, NODE),
    "the node's processes": ({"pod": {"hostPID": True}}, NODE),
    "the node's memory": ({"pod": {"hostIPC": True}}, NODE),
    "the node's files": ({"pod": {"volumes": [{"name": "r", "hostPath": {"path": "/"}}]}}, NODE),
    "a node of its choice": ({"pod": {"nodeName": "node-0"}}, NODE),
    "privileges": ({"container": {"securityContext": {"privileged": True}}}, PRIVILEGED),
    "capabilities": ({"container": {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}}, PRIVILEGED),
    "a port of the node": ({"container": {"ports": [{"containerPort": 1, "hostPort": 1}]}}, PRIVILEGED),
    "privileges of an init container": (
        {"pod": {"initContainers": [{"name": "b", "image": "b", "securityContext": {"privileged": True}}]}}, PRIVILEGED,
    ),
    "no marks": ({"metadata": {"annotations": {}}}, MARKS),
    "another's name": ({"metadata": {"name": "restore-x"}}, MARKS),
    "no owner": ({"metadata": {"ownerReferences": []}}, OWNED),
    "an owner that is no CronJob": ({"metadata": owners(kind="Deployment", apiVersion="apps/v1")}, OWNED),
    "an owner by another name": ({"metadata": owners(name="backup")}, OWNED),
    "an owner that does not control": ({"metadata": owners(controller=False)}, OWNED),
    "running at once": ({"spec": {"suspend": False}}, SUSPENDED),
    "pods of others": ({"spec": {"manualSelector": True, "selector": {"matchLabels": {"a": "b"}}}}, LEFT),
    "a finalizer": ({"metadata": {"finalizers": ["x.example.com/y"]}}, LEFT),
    "a controller of its own": ({"spec": {"managedBy": "x.example.com/y"}}, LEFT),
}  # fmt: skip


@pytest.mark.parametrize("harm", FORBIDDEN)
def test_admission_refuses_a_job_that_is_not_as_the_operator_makes_it(as_operator: AsOperator, harm: str) -> None:
    changes, message = FORBIDDEN[harm]
    body = job(**changes)
    if harm == "pods of others":
        body["spec"]["template"]["metadata"] = {"labels": {"a": "b"}}
    answer = created(as_operator, body)
    assert "denied request" in answer.stderr
    assert message in answer.stderr


def test_admission_lets_through_what_the_operator_makes(as_operator: AsOperator) -> None:
    allowed = {"securityContext": {"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}}
    for changes in ({}, {"container": allowed}, {"pod": {"volumes": [{"name": "t", "emptyDir": {}}]}}):
        answer = created(as_operator, job(**changes))
        assert answer.returncode == 0, answer.stderr
        assert "Warning" not in answer.stderr


def test_what_cannot_be_tied_is_said_in_the_table_of_rights(as_operator: AsOperator) -> None:
    """The honest rest: any image, as any account. That is why the piece is not in the overlay."""
    answer = created(as_operator, job(container={"image": "evil:1"}, pod={"serviceAccountName": "admin"}))
    assert answer.returncode == 0, answer.stderr
    assert "run any image as any account" in (ROOT / "docs" / "reference" / "rights.md").read_text()


@pytest.mark.parametrize("space", ["kube-system", "goldseam-system"])
def test_protected_namespaces_are_out_of_reach(as_operator: AsOperator, space: str) -> None:
    assert "the namespace is protected from Goldseam" in created(as_operator, job(space)).stderr


def test_of_a_job_only_its_own_release_may_be_written(as_operator: AsOperator, allowed: str) -> None:
    plane = as_operator.plane
    theirs = job(allowed, metadata={"name": "theirs", "annotations": {}, "ownerReferences": []})
    plane.apply(theirs, job(allowed, metadata={"ownerReferences": []}))
    ours, theirs_name = f"restore-{TOKEN}", "theirs"

    def patched(name: str, patch: Json) -> Answer:
        flags = ("-n", allowed, "--type=merge", "--dry-run=server", "-p", json.dumps(patch))
        return as_operator("patch", "job", name, *flags)

    run = {"spec": {"suspend": False}}
    assert "must carry its marks" in patched(theirs_name, run).stderr
    assert OWNED in patched(ours, run).stderr, "only what a CronJob controls"
    plane.must("-n", allowed, "delete", "job", ours, "--wait=true")
    uid = plane.get("cronjob", "restore", allowed)["metadata"]["uid"]
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "restore", "controller": True, "uid": uid}
    plane.apply(job(allowed, metadata={"ownerReferences": [owner]}))
    assert patched(ours, run).returncode == 0
    for patch in (
        {"spec": {"suspend": False, "parallelism": 5}},
        {"spec": {"suspend": False, "activeDeadlineSeconds": 1}},
        {"spec": {"suspend": False}, "metadata": {"labels": {"a": "b"}}},
        {"spec": {"suspend": False}, "metadata": {"annotations": {"a": "b"}}},
        {"metadata": {"annotations": {"a": "b"}}},
    ):
        assert "may only let its own Jobs run" in patched(ours, patch).stderr, patch
