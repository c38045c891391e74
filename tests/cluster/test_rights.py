"""RBAC as the API server sees it: what policies and people may do with every piece installed.

What the operator itself may do, and what admission policies take away of it, is in test_stolen_token.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.as_operator import AsOperator
from tests.support.operator_process import service_account
from tests.support.plane import Plane, eventually


@pytest.fixture(scope="module")
def bound(installed: Plane) -> Iterator[Plane]:
    """Users with Kubernetes' own roles in one namespace, which are aggregated by a controller in a moment."""
    roles = ("view", "edit", "admin")
    for role in roles:
        flags = ("--clusterrole", role, "--user", f"rights-{role}", "-n", "default")
        installed.must("create", "rolebinding", f"rights-{role}", *flags)
    admin = ("get", "clusterrole", "admin", "-o", "jsonpath={.rules}")
    eventually(lambda: "goldseam.dev" in installed.must(*admin), "the roles to be aggregated")
    yield installed
    installed.kubectl("delete", "rolebinding", "-n", "default", *(f"rights-{role}" for role in roles))


def test_the_operators_credentials_are_made_of_a_kubeconfig_as_any_cluster_gives_it(
    installed: Plane, tmp_path: Path
) -> None:
    flags = ("config", "view", "--minify", "--flatten", "--raw", "-o", "yaml")
    given = tmp_path / "given.yaml"
    given.write_text(installed.must(*flags).replace("admin", "somebody"))
    assert "certificate-authority-data" in given.read_text()
    elsewhere = Plane(installed.home, installed.env | {"KUBECONFIG": str(given)}, ours=False)
    answer = AsOperator(elsewhere, service_account(elsewhere, tmp_path))("auth", "whoami")
    assert "system:serviceaccount:goldseam-system:goldseam" in answer.stdout, answer.stderr


@pytest.mark.parametrize(
    ("group", "right", "allowed"),
    [
        ("goldseam:policies", ["patch", "deployments.apps", "--subresource", "scale"], True),
        ("goldseam:policies", ["patch", "deployments.apps"], True),
        ("goldseam:policies", ["patch", "horizontalpodautoscalers.autoscaling"], True),
        ("goldseam:policies", ["patch", "nodes"], False),
        ("goldseam:policies", ["create", "pods", "--subresource", "eviction"], True),
        ("goldseam:policies", ["delete", "pods"], False),
        ("goldseam:cluster-policies", ["patch", "deployments.apps"], True),
        ("goldseam:cluster-policies", ["patch", "nodes"], True),
        ("goldseam:cluster-policies", ["create", "pods", "--subresource", "eviction"], True),
    ],
)
def test_a_policy_has_the_rights_of_its_kind(installed: Plane, group: str, right: list[str], allowed: bool) -> None:
    asked = installed.kubectl(
        "auth", "can-i", *right, "-n", "default", "--as", "goldseam:policy:x", "--as-group", group
    )
    assert asked.stdout.strip() == ("yes" if allowed else "no")


@pytest.mark.parametrize(
    ("role", "right", "allowed"),
    [
        ("view", ["get", "incidents"], True),
        ("view", ["create", "pauses"], False),
        ("edit", ["create", "pauses"], True),
        ("edit", ["patch", "remediationpolicies"], True),
        ("edit", ["get", "incidents"], True),
        ("admin", ["create", "remediationpolicies"], True),
        ("admin", ["create", "incidents"], False),
        ("admin", ["patch", "incidents", "--subresource", "status"], False),
        ("admin", ["delete", "incidents"], False),
        ("edit", ["create", "alertsources"], False),
        ("edit", ["patch", "guardrails"], False),
    ],
)
def test_a_team_has_the_rights_of_its_role_in_its_namespace(
    bound: Plane, role: str, right: list[str], allowed: bool
) -> None:
    asked = bound.kubectl("auth", "can-i", *right, "-n", "default", "--as", f"rights-{role}")
    assert asked.stdout.strip() == ("yes" if allowed else "no")
