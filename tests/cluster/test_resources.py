"""A container gets more memory and gives it back, with the rights of one namespace; the audit log is the judge."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from goldseam.api.quantities import canonical
from tests.support.as_operator import Answer, AsOperator
from tests.support.objects_on_cluster import condition, deployment, effects, outcomes, policy, reached, running, status
from tests.support.operator_process import OperatorProcess
from tests.support.pieces import ACCOUNT, account, piece
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
Json = dict[str, Any]
RAISE: Json = {
    "resources": {"container": "app", "limits": {"memory": "1024Mi", "cpu": "2"}, "requests": {"memory": "512Mi"}},
    "timeout": "60s",
}
SMALL: Json = {"limits": {"memory": "512Mi", "cpu": "1"}, "requests": {"memory": "256Mi"}}
LARGE: Json = {"limits": {"memory": "1Gi", "cpu": "2"}, "requests": {"memory": "512Mi"}}


@pytest.fixture(scope="module")
def pieces(installed: Plane) -> Iterator[Plane]:
    """With the piece that is bound by hand."""
    with piece(installed, "resources"):
        yield installed


def sized(namespace: str, *, kind: str = "Deployment") -> Json:
    """A workload with two containers, of which the second has limits and requests."""
    found = deployment(namespace, "api")
    containers = found["spec"]["template"]["spec"]["containers"]
    containers[0]["resources"] = copy.deepcopy(SMALL)
    containers.insert(0, {"name": "proxy", "image": "proxy:1"})
    if kind != "Deployment":
        found |= {"kind": kind}
        found["spec"]["serviceName"] = "api"
    return found


def pods_of(plane: Plane, namespace: str, kind: str = "deployment") -> Json:
    """What the template says of the pods."""
    found: Json = plane.get(kind, "api", namespace)["spec"]["template"]["spec"]
    return found


def resources(plane: Plane, namespace: str, kind: str = "deployment") -> Json:
    """Those of the second container."""
    found: Json = pods_of(plane, namespace, kind)["containers"][1]["resources"]
    return found


def rolled_out(plane: Plane, namespace: str, kind: str = "deployment") -> None:
    """Wait until all pods are of the newest template."""
    plane.must("rollout", "status", f"{kind}/api", "-n", namespace, "--timeout=60s")


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_what_is_raised_is_put_back_and_nothing_else_is_touched(
    pieces: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, kind: str
) -> None:
    lower = kind.lower()
    pieces.apply(*account(namespace, "resources", operator=("resources",)), sized(namespace, kind=kind))
    rolled_out(pieces, namespace, lower)
    before = pods_of(pieces, namespace, lower)
    pieces.apply(policy(namespace, RAISE, serviceAccountName=ACCOUNT, target={"kind": kind}))
    eventually(
        lambda: condition(pieces, "remediationpolicy", "heal", namespace, "Permitted").get("status") == "True", "it"
    )
    trouble(1, **{lower: "api"})
    eventually(lambda: resources(pieces, namespace, lower) == LARGE, "the new amounts", 60)
    rolled_out(pieces, namespace, lower)
    trouble(0, **{lower: "api"})
    reached(pieces, namespace, "Resolved")
    eventually(lambda: status(pieces, namespace).get("owes", 0) == 0, "the old amounts to be put back", 60)
    assert pods_of(pieces, namespace, lower) == before
    assert effects(pieces, namespace) == 2 * [f"patch {lower}s"]
    assert [o["state"] for o in status(pieces, namespace)["obligations"]] == ["Paid"] * 3


def test_a_limit_that_flux_applies_is_left_alone_and_the_policy_says_so_before(
    pieces: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    pieces.apply(*account(namespace, "resources", operator=("resources",)))
    flags = ("apply", "--server-side", "--field-manager", "kustomize-controller", "-f", "-")
    pieces.must(*flags, input=json.dumps(sized(namespace)))
    pieces.apply(policy(namespace, RAISE, {"notify": {}}, serviceAccountName=ACCOUNT))
    running(pieces, namespace, "api", 3)
    trouble(1, deployment="api")
    found = eventually(lambda: outcomes(status(pieces, namespace)), "the rung to be refused")
    assert found[0] == ("resources", "Refused")
    message = status(pieces, namespace)["steps"][0]["message"]
    assert "/spec/template/spec/containers/1/resources/limits/" in message
    assert effects(pieces, namespace) == []


def test_a_limit_that_a_person_sets_meanwhile_is_theirs(
    pieces: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    pieces.apply(*account(namespace, "resources", operator=("resources",)), sized(namespace))
    rolled_out(pieces, namespace)
    pieces.apply(policy(namespace, RAISE, serviceAccountName=ACCOUNT))
    trouble(1, deployment="api")
    eventually(lambda: resources(pieces, namespace) == LARGE, "the new amounts", 60)
    pieces.must("-n", namespace, "set", "resources", "deployment/api", "-c", "app", "--limits", "memory=3Gi")
    reached(pieces, namespace, "Escalated")
    assert "RevertedBy=kubectl" in status(pieces, namespace)["message"]
    trouble(0, deployment="api")
    eventually(lambda: status(pieces, namespace).get("owes", 0) == 0, "the rest to be put back", 60)
    assert resources(pieces, namespace)["limits"]["memory"] == "3Gi"


def test_who_may_restart_may_not_resize(pieces: Plane, namespace: str, operator: OperatorProcess) -> None:
    pieces.apply(*account(namespace, "restart"), sized(namespace), policy(namespace, RAISE, serviceAccountName=ACCOUNT))
    found = eventually(
        lambda: condition(pieces, "remediationpolicy", "heal", namespace, "Permitted").get("message"), "a condition"
    )
    assert "missing: resize deployments.apps" in found
    assert "components/resources" in found


def test_the_api_server_writes_amounts_as_we_expect_them(pieces: Plane, namespace: str) -> None:
    told = ("1024Mi", "1536Mi", "1048576Ki", "1000", "1024", "1000M", "1500M", "1000Mi", "123456789", "2G")
    for text in told:
        found = sized(namespace)
        found["spec"]["template"]["spec"]["containers"][1]["resources"] = {"limits": {"memory": text}}
        kept = json.loads(pieces.must("create", "--dry-run=server", "-o", "json", "-f", "-", input=json.dumps(found)))
        memory = kept["spec"]["template"]["spec"]["containers"][1]["resources"]["limits"]["memory"]
        assert memory == canonical(text), text


@pytest.fixture
def as_operator(pieces: Plane, namespace: str, operator_kubeconfig: Path) -> AsOperator:
    """kubectl with the operator's token, where it may resize."""
    pieces.apply(sized(namespace), *account(namespace, "resources", operator=("resources",)))
    operator = AsOperator(pieces, operator_kubeconfig)
    eventually(lambda: "must carry a new" in written(operator, namespace, other()).stderr, "the limits to be in force")
    return operator


def other(mark: str = "", *, pods: Json | None = None, first: Json | None = None, **container: Any) -> Json:
    """A change of the template, with the token or without: by default the amounts that are asked for."""
    meta = {"annotations": {"goldseam.dev/token": mark}} if mark else {}
    image = deployment("x", "api")["spec"]["template"]["spec"]["containers"][0]
    both = [{"name": "proxy", "image": "proxy:1"} | (first or {}), image | {"resources": LARGE} | container]
    return {"spec": {"template": {"metadata": meta, "spec": {"containers": both, **(pods or {})}}}}


def amounts(limits: Json | None = None, requests: Json | None = None, **more: Any) -> Json:
    """Amounts that differ from those that are there."""
    return {"limits": SMALL["limits"] | (limits or {}), "requests": SMALL["requests"] | (requests or {})} | more


def written(operator: AsOperator, namespace: str, body: Json) -> Answer:
    """What the API server says to a change, as a dry run."""
    where = ("-n", namespace, "--type", "merge", "--dry-run=server")
    return operator("patch", "deployment", "api", *where, "-p", json.dumps(body))


def test_admission_lets_four_times_as_much_and_a_quarter_through_and_nothing_else(
    as_operator: AsOperator, namespace: str
) -> None:
    for fine in (
        LARGE,
        amounts({"memory": "2Gi", "cpu": "4"}),
        amounts({"cpu": "250m"}),
        amounts(requests={"memory": "64Mi"}),
        SMALL,
    ):
        answer = written(as_operator, namespace, other("t1", resources=fine))
        assert answer.returncode == 0, answer.stderr
    refused: list[tuple[Json, str]] = [
        (other(), "must carry a new goldseam.dev/token"),
        (other("t1", resources=amounts({"memory": "2049Mi"})), "more than four times"),
        (other("t1", resources=amounts({"cpu": "4001m"})), "more than four times"),
        (other("t1", resources=amounts({"cpu": "249m"})), "less than a quarter"),
        (other("t1", resources=amounts(requests={"memory": "63Mi"})), "less than a quarter"),
        (other("t1", resources=amounts(requests={"cpu": "1m"})), "where they are set"),
        (other("t1", resources=amounts({"ephemeral-storage": "1Gi"})), "where they are set"),
        (other("t1", resources={"limits": SMALL["limits"]}), "where they are set"),
        (other("t1", resources={}), "where they are set"),
        (other("t1", first={"resources": {"limits": {"memory": "1Gi"}}}), "where they are set"),
        (other("t1", image="evil:1"), "must not change the pods"),
        (other("t1", command=["sleep", "1"]), "must not change the pods"),
        (other("t1", env=[{"name": "A", "value": "b"}]), "must not change the pods"),
        (other("t1", name="another"), "must not change the pods"),
        (other("t1", first={"name": "another"}), "must not change the pods"),
        (other("t1", pods={"serviceAccountName": "admin"}), "must not change the pods"),
        (other("t1", pods={"initContainers": [{"name": "evil", "image": "evil:1"}]}), "must not change the pods"),
        ({"spec": {"replicas": 1}}, "anything in spec but the template"),
        ({"metadata": {"labels": {"a": "b"}}}, "labels, owners or finalizers"),
        ({"metadata": {"annotations": {"goldseam.dev/ignore": "false"}}}, "of the annotations"),
    ]
    for body, message in refused:
        assert message in written(as_operator, namespace, body).stderr, body


def test_elsewhere_the_operator_may_only_restart_as_before(pieces: Plane, as_operator: AsOperator) -> None:
    pieces.apply(sized("default"))
    try:
        assert "may only restart" in written(as_operator, "default", other("t1")).stderr
        mark = {"spec": {"template": {"metadata": {"annotations": {"goldseam.dev/token": "t1"}}}}}
        assert written(as_operator, "default", mark).returncode == 0
    finally:
        pieces.must("delete", "deployment", "api", "-n", "default")
