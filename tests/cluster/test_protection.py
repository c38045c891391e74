"""Incidents and Guardrails: who may write them, and who may delete them when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.as_operator import AsOperator
from tests.support.plane import Plane

OPERATOR = "system:serviceaccount:goldseam-system:goldseam"
UID = "6f0a3b52-4b0e-4f7d-9c53-0c1f4f9f0c11"
PHRASE = "only Goldseam writes Incidents"
OWING = "still owes something"


def incident(namespace: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "goldseam.dev/v1alpha1",
        "kind": "Incident",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "policyRef": {"kind": "RemediationPolicy", "namespace": namespace, "name": "p", "uid": UID},
            "target": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "namespace": namespace,
                "name": "web",
                "uid": UID,
            },
            "alert": {"name": "Broken", "activeAt": "2026-01-01T00:00:00Z"},
        },
    }


def status(owes: int) -> str:
    return json.dumps({"status": {"phase": "Monitoring", "epoch": 1, "owes": owes}})


@pytest.fixture
def as_as_operator(installed: Plane, operator_kubeconfig: Path) -> AsOperator:
    """kubectl with the operator's token."""
    return AsOperator(installed, operator_kubeconfig)


@pytest.fixture
def namespace(installed: Plane, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, in which the user `tenant` is admin and may even write Incidents."""
    name = f"protection-{abs(hash(request.node.name)) % 10**8}"
    role = (
        "create",
        "role",
        "incidents",
        "--verb=*",
        "--resource=incidents.goldseam.dev,incidents.goldseam.dev/status",
    )
    assert installed.kubectl("create", "namespace", name).returncode == 0
    assert installed.kubectl("-n", name, *role).returncode == 0
    for kind in ("--clusterrole=admin", "--role=incidents"):
        binding = ("create", "rolebinding", kind.split("=")[1], kind, "--user=tenant")
        assert installed.kubectl("-n", name, *binding).returncode == 0
    yield name
    installed.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def owing(as_operator: AsOperator, namespace: str) -> str:
    """An Incident that owes something, written by the operator."""
    made = as_operator("create", "-f", "-", body=incident(namespace, "owing"))
    assert made.returncode == 0, made.stderr
    assert settle(as_operator, namespace, owes=1).returncode == 0
    return "owing"


def settle(as_operator: AsOperator, namespace: str, owes: int) -> Answer:
    where = ("-n", namespace, "--subresource", "status", "--type", "merge")
    return as_operator("patch", "incident", "owing", *where, "-p", status(owes))


@pytest.mark.parametrize("user", [["--as", "tenant"], []], ids=["a namespace admin", "a cluster admin"])
def test_nobody_else_writes_incidents(installed: Plane, namespace: str, owing: str, user: list[str]) -> None:
    def attempt(*args: str, body: Any = None) -> str:
        answer: Answer = installed.kubectl(*args, "-n", namespace, *user, input=body)
        assert answer.returncode != 0, "it was let through"
        return answer.stderr

    merge = ("patch", "incident", owing, "--type", "merge")
    assert PHRASE in attempt("create", "-f", "-", body=json.dumps(incident(namespace, "forged")))
    assert PHRASE in attempt("apply", "--server-side", "-f", "-", body=json.dumps(incident(namespace, "forged")))
    assert PHRASE in attempt(*merge, "--subresource", "status", "-p", status(0))
    assert PHRASE in attempt(*merge, "-p", '{"metadata": {"labels": {"a": "b"}}}')


@pytest.mark.parametrize("how", [["owing"], ["--all"], ["owing", "--force", "--grace-period=0"]], ids=" ".join)
def test_an_incident_that_owes_cannot_be_deleted(installed: Plane, namespace: str, owing: str, how: list[str]) -> None:
    for user in (["--as", "tenant"], []):
        refused = installed.kubectl("delete", "incident", *how, "-n", namespace, *user)
        assert OWING in refused.stderr
    assert installed.kubectl("get", "incident", owing, "-n", namespace).returncode == 0


def test_not_even_the_operator_deletes_an_incident_that_owes(
    as_operator: AsOperator, namespace: str, owing: str
) -> None:
    assert OWING in as_operator("delete", "incident", owing, "-n", namespace).stderr


def test_an_incident_that_owes_nothing_can_be_deleted(
    installed: Plane, as_operator: AsOperator, namespace: str, owing: str
) -> None:
    assert settle(as_operator, namespace, owes=0).returncode == 0
    gone = installed.kubectl("delete", "incident", owing, "-n", namespace, "--as", "tenant")
    assert gone.returncode == 0, gone.stderr


def test_an_incident_goes_with_its_namespace(installed: Plane, namespace: str, owing: str) -> None:
    gone = installed.kubectl("delete", "namespace", namespace, "--timeout=60s")
    assert gone.returncode == 0, gone.stderr


def test_the_namespace_controllers_name_alone_opens_nothing(installed: Plane, namespace: str, owing: str) -> None:
    name = "system:serviceaccount:kube-system:namespace-controller"
    refused = installed.kubectl("delete", "incident", owing, "-n", namespace, "--as", name)
    assert OWING in refused.stderr


def guardrails(**spec: Any) -> dict[str, Any]:
    found = {"apiVersion": "goldseam.dev/v1alpha1", "kind": "Guardrails", "metadata": {"name": "cluster"}}
    return {**found, "spec": spec} if spec else found


def test_the_operator_creates_guardrails_without_limits_of_its_own(as_operator: AsOperator) -> None:
    create = ("create", "--dry-run=server", "-f", "-")
    made = as_operator(*create, body=guardrails())
    assert made.returncode == 0 or "already exists" in made.stderr, made.stderr
    for spec in ({"protectedNamespaces": []}, {"budgets": {"cluster": [{"count": 9999, "per": "1h"}]}}):
        refused = as_operator(*create, body=guardrails(**spec))
        assert "may create Guardrails with an empty spec only" in refused.stderr


@pytest.fixture
def entitled(installed: Plane) -> Iterator[None]:
    """The operator with a right that it does not have: to change Guardrails."""
    name = "protection-test-guardrails"
    flags = ("--verb=patch", "--resource=guardrails.goldseam.dev")
    assert installed.kubectl("create", "clusterrole", name, *flags).returncode == 0
    subject = ("--clusterrole", name, "--user", OPERATOR)
    assert installed.kubectl("create", "clusterrolebinding", name, *subject).returncode == 0
    yield
    installed.kubectl("delete", "clusterrole,clusterrolebinding", name)


def changed(as_operator: AsOperator, *flags: str, **patch: Any) -> Answer:
    where = ("patch", "guardrails", "cluster", "--type", "merge", "--dry-run=server", *flags)
    return as_operator(*where, "-p", json.dumps(patch))


def test_the_operator_changes_no_limits(installed: Plane, as_operator: AsOperator) -> None:
    installed.kubectl("create", "-f", "-", input=json.dumps(guardrails()))
    assert "cannot patch resource" in changed(as_operator, spec={"protectedNamespaces": []}).stderr
    ledger = changed(as_operator, "--subresource", "status", status={"observedGeneration": 1})
    assert ledger.returncode == 0, ledger.stderr


def test_the_operator_could_change_no_limits_with_the_right_either(
    installed: Plane, as_operator: AsOperator, entitled: None
) -> None:
    installed.kubectl("create", "-f", "-", input=json.dumps(guardrails()))
    refused = changed(as_operator, spec={"protectedNamespaces": []})
    assert "must not change the spec of Guardrails" in refused.stderr
    assert changed(as_operator, metadata={"labels": {"a": "b"}}).returncode == 0
