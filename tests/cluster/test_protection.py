"""Incidents and Guardrails: who may write them, and who may delete them when."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.as_operator import Answer, AsOperator
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


def status(owes: int) -> dict[str, Any]:
    return {"phase": "Monitoring", "epoch": 1, "owes": owes}


@pytest.fixture
def as_operator(installed: Plane, operator_kubeconfig: Path) -> AsOperator:
    """kubectl with the operator's token."""
    return AsOperator(installed, operator_kubeconfig)


@pytest.fixture
def tenancy(installed: Plane) -> Iterator[str]:
    """A namespace in which the user `tenant` is admin, and may even write Incidents."""
    name = f"protection-{uuid.uuid4().hex[:8]}"
    kinds = "incidents.goldseam.dev,incidents.goldseam.dev/status"
    installed.must("create", "namespace", name)
    installed.must("create", "role", "incidents", "-n", name, "--verb=*", f"--resource={kinds}")
    installed.must("create", "rolebinding", "incidents", "-n", name, "--role=incidents", "--user=tenant")
    installed.must("create", "rolebinding", "admin", "-n", name, "--clusterrole=admin", "--user=tenant")
    yield name
    installed.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def owing(as_operator: AsOperator, tenancy: str) -> str:
    """An Incident that owes something, written by the operator."""
    made = as_operator("create", "-f", "-", body=incident(tenancy, "owing"))
    assert made.returncode == 0, made.stderr
    settle(as_operator, tenancy, owes=1)
    return "owing"


def settle(as_operator: AsOperator, namespace: str, owes: int) -> None:
    written = as_operator.set_status("Incident", "owing", namespace, status(owes))
    assert written.returncode == 0, written.stderr


@pytest.mark.parametrize("user", [["--as", "tenant"], []], ids=["a namespace admin", "a cluster admin"])
def test_nobody_else_writes_incidents(installed: Plane, tenancy: str, owing: str, user: list[str]) -> None:
    def attempt(*args: str, body: Any = None) -> str:
        answer: Answer = installed.kubectl(*args, "-n", tenancy, *user, input=body)
        assert answer.returncode != 0, "it was let through"
        return answer.stderr

    merge = ("patch", "incident", owing, "--type", "merge")
    assert PHRASE in attempt("create", "-f", "-", body=json.dumps(incident(tenancy, "forged")))
    assert PHRASE in attempt("apply", "--server-side", "-f", "-", body=json.dumps(incident(tenancy, "forged")))
    assert PHRASE in attempt(*merge, "--subresource", "status", "-p", json.dumps({"status": status(0)}))
    assert PHRASE in attempt(*merge, "-p", '{"metadata": {"labels": {"a": "b"}}}')


@pytest.mark.parametrize("how", [["owing"], ["--all"], ["owing", "--force", "--grace-period=0"]], ids=" ".join)
def test_an_incident_that_owes_cannot_be_deleted(installed: Plane, tenancy: str, owing: str, how: list[str]) -> None:
    for user in (["--as", "tenant"], []):
        refused = installed.kubectl("delete", "incident", *how, "-n", tenancy, *user)
        assert OWING in refused.stderr
    assert installed.kubectl("get", "incident", owing, "-n", tenancy).returncode == 0


def test_not_even_the_operator_deletes_an_incident_that_owes(as_operator: AsOperator, tenancy: str, owing: str) -> None:
    assert OWING in as_operator("delete", "incident", owing, "-n", tenancy).stderr


def test_an_incident_that_owes_nothing_can_be_deleted(
    installed: Plane, as_operator: AsOperator, tenancy: str, owing: str
) -> None:
    settle(as_operator, tenancy, owes=0)
    gone = installed.kubectl("delete", "incident", owing, "-n", tenancy, "--as", "tenant")
    assert gone.returncode == 0, gone.stderr


def test_an_incident_goes_with_its_namespace(installed: Plane, tenancy: str, owing: str) -> None:
    gone = installed.kubectl("delete", "namespace", tenancy, "--timeout=60s")
    assert gone.returncode == 0, gone.stderr


def test_an_incident_that_is_deleted_in_the_foreground_goes(
    installed: Plane, as_operator: AsOperator, tenancy: str, owing: str
) -> None:
    settle(as_operator, tenancy, owes=0)
    gone = installed.kubectl("delete", "incident", owing, "-n", tenancy, "--cascade=foreground", "--timeout=60s")
    assert gone.returncode == 0, gone.stderr


def test_the_garbage_collectors_name_opens_no_record(installed: Plane, tenancy: str, owing: str) -> None:
    name = "system:serviceaccount:kube-system:generic-garbage-collector"
    merge = ("patch", "incident", owing, "-n", tenancy, "--type", "merge", "--as", name)
    assert PHRASE in installed.kubectl(*merge, "--subresource", "status", "-p", '{"status": {"owes": 0}}').stderr
    finalizer = '{"metadata": {"finalizers": ["x.example.com/y"]}}'
    assert "no owner and no finalizer" in installed.kubectl(*merge, "-p", finalizer).stderr


def test_the_namespace_controllers_name_alone_opens_nothing(installed: Plane, tenancy: str, owing: str) -> None:
    name = "system:serviceaccount:kube-system:namespace-controller"
    refused = installed.kubectl("delete", "incident", owing, "-n", tenancy, "--as", name)
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
def limits(installed: Plane) -> Iterator[None]:
    """Guardrails that are there, and gone after the test."""
    installed.must("create", "-f", "-", input=json.dumps(guardrails()))
    yield
    installed.must("delete", "guardrails", "cluster")


@pytest.fixture
def entitled(installed: Plane) -> Iterator[None]:
    """The operator with a right that it does not have: to change Guardrails."""
    name = "protection-test-guardrails"
    flags = ("--verb=patch", "--resource=guardrails.goldseam.dev")
    installed.must("create", "clusterrole", name, *flags)
    installed.must("create", "clusterrolebinding", name, "--clusterrole", name, "--user", OPERATOR)
    yield
    installed.kubectl("delete", "clusterrole,clusterrolebinding", name)


def changed(as_operator: AsOperator, **patch: Any) -> Answer:
    where = ("patch", "guardrails", "cluster", "--type", "merge", "--dry-run=server")
    return as_operator(*where, "-p", json.dumps(patch))


def test_the_operator_changes_no_limits(limits: None, as_operator: AsOperator) -> None:
    assert "cannot patch resource" in changed(as_operator, spec={"protectedNamespaces": []}).stderr
    ledger = as_operator.set_status("Guardrails", "cluster", "", {"observedGeneration": 1}, "--dry-run=server")
    assert ledger.returncode == 0, ledger.stderr


def test_with_the_right_to_change_them_it_could_not_either(
    limits: None, as_operator: AsOperator, entitled: None
) -> None:
    refused = changed(as_operator, spec={"protectedNamespaces": []})
    assert "must not change the spec of Guardrails" in refused.stderr
    assert changed(as_operator, metadata={"labels": {"a": "b"}}).returncode == 0
