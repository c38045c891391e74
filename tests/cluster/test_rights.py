"""RBAC as the API server sees it: what the operator, policies and people may do with every piece installed.

What admission policies take away of it is in test_limits.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.as_operator import AsOperator
from tests.support.operator_process import service_account
from tests.support.plane import Plane, eventually


@pytest.fixture
def as_operator(installed: Plane, operator_kubeconfig: Path) -> AsOperator:
    """kubectl with the operator's token."""
    return AsOperator(installed, operator_kubeconfig)


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


FORBIDDEN = [
    *(["create", "deployments.apps"], ["delete", "deployments.apps"], ["update", "deployments.apps"]),
    *(["delete", "pods"], ["create", "pods"], ["create", "pods/exec"], ["get", "pods/log"]),
    *(["get", "secrets"], ["list", "secrets"], ["delete", "nodes"], ["patch", "nodes/status"], ["get", "nodes/proxy"]),
    *(["impersonate", "users"], ["bind", "clusterroles"], ["escalate", "clusterroles"], ["create", "rolebindings"]),
    *(["create", "serviceaccounts/token"], ["patch", "customresourcedefinitions"], ["patch", "guardrails"]),
    *(["patch", "remediationpolicies"], ["create", "pauses"], ["delete", "validatingadmissionpolicybindings"]),
]


@pytest.mark.parametrize("right", FORBIDDEN, ids=" ".join)
def test_the_operator_has_no_right_beyond_the_pieces(as_operator: AsOperator, right: list[str]) -> None:
    verb, resource = right
    main, _, subresource = resource.partition("/")
    flags = ["--subresource", subresource] if subresource else []
    assert as_operator("auth", "can-i", verb, main, *flags, "-n", "default").stdout.strip() == "no"


def test_the_operator_cannot_create_by_a_patch(as_operator: AsOperator) -> None:
    pods = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    new = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "new", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": pods},
    }
    answer = as_operator("apply", "--server-side", "--dry-run=server", "-f", "-", body=new)
    assert 'cannot create resource "deployments"' in answer.stderr


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
