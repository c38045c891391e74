"""A value of a ConfigMap, with the rights of one account for one ConfigMap; the audit log is the judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.as_operator import Answer, AsOperator
from tests.support.objects_on_cluster import condition, deployment, effects, outcomes, policy, reached, running, status
from tests.support.operator_process import OperatorProcess, service_account
from tests.support.operator_process import running as running_operator
from tests.support.pieces import ACCOUNT, OPERATOR, RBAC, account, bound, piece
from tests.support.plane import Plane, eventually
from tests.support.proxy import Strike, fault_proxy
from tests.support.sampling import SLOW

Trouble = Callable[..., None]
Json = dict[str, Any]
PATCH: Json = {"patchConfig": {"configMap": "settings", "key": "LEVEL", "value": "warn"}, "timeout": "60s"}
MARKS = {"annotations": {"goldseam.dev/token": "t1", "goldseam.dev/incident": "i1"}}


@pytest.fixture(scope="module")
def pieces(installed: Plane) -> Iterator[Plane]:
    """With the piece that is bound by hand."""
    with piece(installed, "config"):
        yield installed


def settings(namespace: str, name: str = "settings", **more: Any) -> Json:
    """A ConfigMap."""
    meta = {"name": name, "namespace": namespace, "labels": {"team": "shop"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"LEVEL": "info", "B": "b"}} | more


def world(namespace: str) -> list[Json]:
    """A Deployment that reads a ConfigMap, and an account that may change this one only."""
    target = deployment(namespace, "api")
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "settings"}}]
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["settings"], "verbs": ["get", "patch"]}
    role = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "rules": [rule]}
    subjects: list[Json] = [OPERATOR, {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}]
    return [
        target,
        settings(namespace),
        *account(namespace, "restart"),
        role | {"metadata": {"name": "one", "namespace": namespace}},
        bound(namespace, "one", {"kind": "Role", "name": "one"}, subjects),
    ]


def value(plane: Plane, namespace: str) -> str:
    """What the ConfigMap says."""
    return str(plane.get("configmap", "settings", namespace)["data"].get("LEVEL"))


def test_the_value_is_set_read_put_back_and_read_again(
    pieces: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    pieces.apply(*world(namespace), policy(namespace, PATCH, serviceAccountName=ACCOUNT))
    running(pieces, namespace, "api", 3)
    eventually(
        lambda: condition(pieces, "remediationpolicy", "heal", namespace, "Permitted").get("status") == "True", "it"
    )
    trouble(1, deployment="api")
    eventually(lambda: value(pieces, namespace) == "warn", "the new value")
    eventually(lambda: len(effects(pieces, namespace)) == 2, "the restart")
    running(pieces, namespace, "api", 3)
    trouble(0, deployment="api")
    reached(pieces, namespace, "Resolved")
    eventually(lambda: status(pieces, namespace).get("owes", 0) == 0, "the value to be put back", 60)
    assert value(pieces, namespace) == "info"
    assert effects(pieces, namespace) == 2 * ["patch configmaps", "patch deployments"]


@SLOW
def test_an_operator_that_dies_as_its_value_is_set_goes_on_with_the_restart_though_another_key_is_written_meanwhile(
    pieces: Plane, namespace: str, source: str, trouble: Trouble, tmp_path: Path
) -> None:
    """The sample; the other faults of this write, and those of Jobs, are in tests/faults/test_other_writes.py."""
    pieces.apply(*world(namespace), policy(namespace, PATCH, serviceAccountName=ACCOUNT))
    running(pieces, namespace, "api", 3)
    with fault_proxy(pieces) as proxy:
        kubeconfig = service_account(pieces, tmp_path, proxy.url)
        with running_operator(kubeconfig, tmp_path / "first.log") as first:
            proxy.strike = strike = Strike(lambda seen: seen.label == "PATCH configmaps", "after", first.kill)
            trouble(1, deployment="api")
            assert strike.done.wait(90)
            first.process.wait(10)
        other = {"data": {"B": "c"}, "metadata": {"annotations": {"goldseam.dev/token": "of-another-incident"}}}
        pieces.must("patch", "configmap", "settings", "-n", namespace, "--type=merge", "-p", json.dumps(other))
        with running_operator(kubeconfig, tmp_path / "second.log"):
            eventually(lambda: len(effects(pieces, namespace)) == 2, "the restart")
            running(pieces, namespace, "api", 3)
            trouble(0, deployment="api")
            reached(pieces, namespace, "Resolved")
            eventually(lambda: status(pieces, namespace).get("owes", 0) == 0, "the value to be put back", 60)
    assert value(pieces, namespace) == "info"
    assert effects(pieces, namespace) == 2 * ["patch configmaps", "patch deployments"]


def test_a_value_that_argo_cd_or_flux_applies_is_left_alone(
    pieces: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    pieces.apply(*(one for one in world(namespace) if one["kind"] != "ConfigMap"))
    flags = ("apply", "--server-side", "--field-manager", "kustomize-controller", "-f", "-")
    pieces.must(*flags, input=json.dumps(settings(namespace)))
    pieces.apply(policy(namespace, PATCH, {"notify": {}}, serviceAccountName=ACCOUNT))
    running(pieces, namespace, "api", 3)
    trouble(1, deployment="api")
    found = eventually(lambda: outcomes(status(pieces, namespace)), "the rung to be refused")
    assert found[0] == ("patchConfig", "Refused")
    assert "ignore: [{paths: [/data/LEVEL]" in status(pieces, namespace)["steps"][0]["message"]
    assert effects(pieces, namespace) == []


def test_an_account_without_the_right_changes_nothing_and_the_policy_says_so_before(
    pieces: Plane, namespace: str, operator: OperatorProcess
) -> None:
    pieces.apply(deployment(namespace, "api"), settings(namespace), *account(namespace, "restart"))
    pieces.apply(policy(namespace, PATCH, serviceAccountName=ACCOUNT))
    found = eventually(
        lambda: condition(pieces, "remediationpolicy", "heal", namespace, "Permitted").get("message"), "a condition"
    )
    assert "missing: patch configmaps" in found
    assert "components/config" in found


@pytest.fixture
def as_operator(pieces: Plane, namespace: str, operator_kubeconfig: Path) -> AsOperator:
    """kubectl with the operator's token, which may change every ConfigMap of the namespace."""
    pieces.apply(settings(namespace), *account(namespace, "config", operator=("config",)))
    operator = AsOperator(pieces, operator_kubeconfig)
    two = {"data": {"LEVEL": "a", "B": "a"}}
    eventually(lambda: "more than one key" in patched(operator, namespace, two).stderr, "the limits to be in force")
    return operator


def patched(operator: AsOperator, namespace: str, body: Json) -> Answer:
    """What the API server says to a change, as a dry run."""
    where = ("-n", namespace, "--type", "merge", "--dry-run=server")
    return operator("patch", "configmap", "settings", *where, "-p", json.dumps(body))


def test_admission_lets_one_short_value_through_and_nothing_else(as_operator: AsOperator, namespace: str) -> None:
    for body in ({"data": {"LEVEL": "x"}}, {"data": {"LEVEL": None}}, {"data": {"NEW": "x" * 512}}):
        answer = patched(as_operator, namespace, body | {"metadata": MARKS})
        assert answer.returncode == 0, answer.stderr
    refused: list[tuple[Json, str]] = [
        ({"data": {"LEVEL": "x", "B": None}}, "more than one key"),
        ({"data": None}, "more than one key"),
        ({"data": {"LEVEL": "x" * 513}}, "more than 512 characters"),
        ({"binaryData": {"C": "aGk="}}, "may change data only"),
        ({"immutable": True}, "may change data only"),
        ({"metadata": {"labels": {"a": "b"}}}, "labels, owners or finalizers"),
        ({"metadata": {"finalizers": ["a.b/c"]}}, "labels, owners or finalizers"),
        ({"metadata": {"annotations": {"goldseam.dev/gitops-ignores": "true"}}}, "of the annotations"),
    ]
    for body, message in refused:
        assert message in patched(as_operator, namespace, body).stderr, body


def test_config_maps_of_protected_namespaces_are_out_of_reach_whatever_is_bound(
    as_operator: AsOperator, namespace: str
) -> None:
    plane, where = as_operator.plane, "kube-system"
    grants = account(where, "config", operator=("config",), name="test-config")
    plane.apply(settings(where), *grants)
    try:
        answer = eventually(
            lambda: found if "protected" in (found := patched(as_operator, where, {"data": {"B": "x"}}).stderr) else "",
            "the refusal",
        )
        assert "the namespace is protected from Goldseam" in answer
    finally:
        for one in (settings(where), *grants):
            plane.must("delete", one["kind"], one["metadata"]["name"], "-n", where, "--ignore-not-found")
