"""Approvals on the real control plane: whose word counts is decided by certificates, RBAC and admission."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.objects_on_cluster import (
    deployment,
    effects,
    holding,
    incident,
    outcomes,
    policy,
    reached,
    response,
    running,
    status,
)
from tests.support.operator_process import OperatorProcess
from tests.support.people import Person, bound, user
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
SCALE = {"scale": {"replicas": 8}, "timeout": "60s"}


@pytest.fixture
def jane(installed: Plane, namespace: str) -> Person:
    """On call: may answer."""
    return bound(installed, user(installed, "jane@aurum.com"), "goldseam-oncall", namespace)


@pytest.fixture
def joe(installed: Plane, namespace: str) -> Person:
    """A developer: may look."""
    return bound(installed, user(installed, "joe@aurum.com"), "view", namespace)


@pytest.fixture
def asked(installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble) -> dict[str, Any]:
    """An incident in mode Propose that waits for an answer."""
    installed.apply(deployment(namespace, "worker"), policy(namespace, SCALE, mode="Propose"))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    reached(installed, namespace, "AwaitingApproval")
    return incident(installed, namespace)


def answered(plane: Plane, namespace: str, state: str) -> list[str]:
    """The messages of the Responses that came to this state, once there is one."""

    def ask() -> list[str]:
        found = [r.get("status", {}) for r in plane.all("responses", namespace)]
        return [s.get("message", "") for s in found if s.get("state") == state]

    return eventually(ask, f"a Response to be {state}")


def test_who_may_answer_is_decided_by_rbac_and_the_true_name_is_on_the_incident(
    installed: Plane, namespace: str, asked: dict[str, Any], jane: Person, joe: Person
) -> None:
    assert "forbidden" in joe.create(response(asked, "Approve", joe.name)).stderr
    lie = jane.create(response(asked, "Approve", joe.name))
    assert f"spec.by must be who you are: {jane.name}" in lie.stderr
    assert effects(installed, namespace) == []
    told = jane.create(response(asked, "Approve", jane.name, reason="go on"))
    assert told.returncode == 0, told.stderr
    running(installed, namespace, "worker", 8)
    found = status(installed, namespace)
    assert [(a["state"], a["by"], a["reason"]) for a in found["approvals"]] == [("Approved", jane.name, "go on")]
    assert effects(installed, namespace) == ["patch deployments/scale"]
    answered(installed, namespace, "Counted")


def test_an_answer_never_changes(installed: Plane, namespace: str, asked: dict[str, Any], jane: Person) -> None:
    name = jane.create(response(asked, "Deny", jane.name)).stdout.strip()
    outcome = eventually(lambda: outcomes(status(installed, namespace)), "the answer to count")
    assert outcome == [("scale", "Denied")]
    changed = installed.kubectl(
        "patch", name, "-n", namespace, "--type=merge", "-p", '{"spec": {"decision": "Approve"}}'
    )
    assert "a Response never changes" in changed.stderr
    assert installed.kubectl("patch", name, "-n", namespace, "--type=merge", "-p", '{"spec": null}').returncode != 0
    assert effects(installed, namespace) == []


def test_the_operator_cannot_answer_itself(
    installed: Plane, namespace: str, asked: dict[str, Any], operator_kubeconfig: Any
) -> None:
    name = "system:serviceaccount:goldseam-system:goldseam"
    installed.must(
        *("create", "clusterrole", "answers", "--verb=create", "--resource=responses.goldseam.dev"),
    )
    try:
        installed.must("create", "rolebinding", "answers", "-n", namespace, "--clusterrole=answers", f"--user={name}")
        itself = Person(installed, name, operator_kubeconfig)
        refused = eventually(
            lambda: (e := itself.create(response(asked, "Approve", name)).stderr) and "cannot create" not in e and e,
            "the right to be there",
        )
        assert "it does not answer itself" in refused
    finally:
        installed.must("delete", "clusterrole", "answers")


def test_an_answer_to_nothing_and_to_another_plan_says_that_it_does_not_count(
    installed: Plane, namespace: str, asked: dict[str, Any], jane: Person
) -> None:
    nothing = {**asked, "metadata": {**asked["metadata"], "name": "never-was"}}
    another = {**asked, "metadata": {**asked["metadata"], "uid": "another"}}
    for wrong in (response(nothing, "Acknowledge", jane.name, incidentRef={"name": "never-was", "uid": "none"}),
                  response(another, "Approve", jane.name),
                  response(asked, "Approve", jane.name, planHash="0000")):  # fmt: skip
        made = jane.create(wrong)
        assert made.returncode == 0, made.stderr
    eventually(lambda: len(answered(installed, namespace, "Ignored")) == 3, "all three to be answered")
    words = " ".join(answered(installed, namespace, "Ignored"))
    assert "there is no Incident never-was" in words
    assert "another uid" in words
    assert "plan has changed" in words
    assert effects(installed, namespace) == []


PEOPLE = "goldseam-people"
GONE = {
    "no binding": ("delete", "validatingadmissionpolicybinding", PEOPLE),
    "no policy": ("delete", "validatingadmissionpolicy", PEOPLE),
    "only an audit": (
        *("patch", "validatingadmissionpolicybinding", PEOPLE, "--type=merge"),
        *("-p", '{"spec": {"validationActions": ["Audit"]}}'),
    ),
}


@pytest.mark.parametrize("how", list(GONE))
def test_without_an_admission_policy_that_refuses_nobody_is_asked_and_no_answer_counts(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, jane: Person, how: str
) -> None:
    installed.apply(deployment(namespace, "worker"), policy(namespace, SCALE, mode="Propose"))
    running(installed, namespace, "worker", 3)
    kept = [
        _bare(installed.must("get", f"validatingadmissionpolicy{of}/{PEOPLE}", "-o", "yaml")) for of in ("", "binding")
    ]
    trouble(1, deployment="worker")
    reached(installed, namespace, "AwaitingApproval")
    installed.must(*GONE[how])
    try:
        assert "install deploy/kustomize/base" in holding(installed, namespace, "ResponsesUnprotected")["message"]
        made = jane.create(response(incident(installed, namespace), "Approve", jane.name))
        assert made.returncode == 0, made.stderr
        assert "is not installed" in answered(installed, namespace, "Ignored")[0]
    finally:
        for manifest in kept:  # not applied over what is there: what it refuses is a set, and "Audit" would stay in it
            installed.must("delete", "--ignore-not-found", "-f", "-", input=manifest)
            installed.must("apply", "--server-side", "--force-conflicts", "-f", "-", input=manifest)
    holding(installed, namespace, "ApprovalNeeded")
    assert effects(installed, namespace) == [], "what was said meanwhile counts for nothing"


def _bare(manifest: str) -> str:
    import yaml

    obj = yaml.safe_load(manifest)
    ours = ("name", "labels", "annotations")
    obj["metadata"] = {key: value for key, value in obj["metadata"].items() if key in ours}
    return yaml.safe_dump({key: value for key, value in obj.items() if key != "status"})


def test_undo_by_a_person_ends_the_acting_and_gives_back_when_the_alert_is_gone(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, jane: Person
) -> None:
    installed.apply(deployment(namespace, "worker"), policy(namespace, SCALE, {"restart": {}}))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    running(installed, namespace, "worker", 8)
    assert jane.create(response(incident(installed, namespace), "Undo", jane.name)).returncode == 0
    reached(installed, namespace, "Escalated")
    trouble(0, deployment="worker")
    running(installed, namespace, "worker", 3)
    assert "patch deployments" not in effects(installed, namespace)
    assert status(installed, namespace)["responses"][0]["by"] == jane.name
