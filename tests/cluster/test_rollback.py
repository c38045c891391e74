"""A release that broke something is taken back, with the rights of one namespace; the audit log is the judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.as_operator import Answer, AsOperator
from tests.support.objects_on_cluster import deployment, effects, outcomes, policy, reached, running, status
from tests.support.operator_process import OperatorProcess
from tests.support.pieces import ACCOUNT, account, piece
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
Json = dict[str, Any]
BACK: Json = {"rollback": {}, "timeout": "60s"}
OLD, NEW = "busybox:1.36", "busybox:1.37"


@pytest.fixture(scope="module")
def pieces(installed: Plane) -> Iterator[Plane]:
    """With the piece that is bound by hand."""
    with piece(installed, "rollback"):
        yield installed


def release(namespace: str, image: str, *, kind: str = "Deployment", **pods: Any) -> Json:
    """A workload with this image, which keeps its pods' ports open only in the old release."""
    found = deployment(namespace, "api")
    template = found["spec"]["template"]
    template["spec"]["containers"][0]["image"] = image
    template["spec"] |= pods
    if image == NEW:
        template["spec"]["hostAliases"] = [{"ip": "10.0.0.1", "hostnames": ["a"]}]
        template["metadata"]["annotations"] = {"release": "new"}
    if kind != "Deployment":
        found |= {"kind": kind}
        found["spec"]["serviceName"] = "api"
    return found


def rolled_out(plane: Plane, namespace: str, kind: str = "deployment") -> None:
    """Wait until all pods are of the newest template."""
    plane.must("rollout", "status", f"{kind}/api", "-n", namespace, "--timeout=60s")


def pods_of(plane: Plane, namespace: str, kind: str = "deployment") -> Json:
    """The template as it stands."""
    found: Json = plane.get(kind, "api", namespace)["spec"]["template"]
    return found


def image(plane: Plane, namespace: str, kind: str = "deployment") -> str:
    """The image of the template."""
    return str(pods_of(plane, namespace, kind)["spec"]["containers"][0]["image"])


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_the_release_before_comes_back_as_a_whole(
    pieces: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, kind: str
) -> None:
    lower = kind.lower()
    pieces.apply(*account(namespace, "rollback", operator=("rollback",)), release(namespace, OLD, kind=kind))
    rolled_out(pieces, namespace, lower)
    before = pods_of(pieces, namespace, lower)
    pieces.apply(release(namespace, NEW, kind=kind))
    rolled_out(pieces, namespace, lower)
    pieces.apply(policy(namespace, BACK, serviceAccountName=ACCOUNT, target={"kind": kind}))
    trouble(1, **{lower: "api"})
    eventually(lambda: image(pieces, namespace, lower) == OLD, "the old image", 60)
    rolled_out(pieces, namespace, lower)
    after = pods_of(pieces, namespace, lower)
    token = after["metadata"].pop("annotations")
    assert list(token) == ["goldseam.dev/token"]
    before["metadata"].pop("annotations", None)
    assert after == before
    trouble(0, **{lower: "api"})
    found = reached(pieces, namespace, "Resolved")
    assert outcomes(found) == [("rollback", "Passed")]
    assert effects(pieces, namespace) == [f"patch {lower}s"]


def test_who_rolls_forward_by_an_image_alone_has_it_and_people_are_told(
    pieces: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    """Our mark stays on the template then: it is the template that tells."""
    pieces.apply(*account(namespace, "rollback", operator=("rollback",)), release(namespace, OLD))
    rolled_out(pieces, namespace)
    pieces.apply(release(namespace, NEW))
    rolled_out(pieces, namespace)
    pieces.apply(policy(namespace, BACK, {"notify": {}}, serviceAccountName=ACCOUNT))
    trouble(1, deployment="api")
    eventually(lambda: outcomes(status(pieces, namespace)) == [("rollback", None)], "the rollback")
    eventually(lambda: status(pieces, namespace)["steps"][0]["phase"] == "Acted", "it to be recorded")
    rolled_out(pieces, namespace)
    pieces.must("set", "image", "deployment/api", f"app={NEW}", "-n", namespace)
    found = reached(pieces, namespace, "Escalated")
    assert outcomes(found) == [("rollback", "Superseded")]
    assert "RevertedBy=kubectl-set" in found["steps"][0]["message"]
    assert (effects(pieces, namespace), image(pieces, namespace)) == (["patch deployments"], NEW)


def test_a_release_that_flux_applies_is_reverted_in_git(
    pieces: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    pieces.apply(*account(namespace, "rollback", operator=("rollback",)))
    for one in (OLD, NEW):
        flags = ("apply", "--server-side", "--field-manager", "kustomize-controller", "-f", "-")
        pieces.must(*flags, input=json.dumps(release(namespace, one)))
        rolled_out(pieces, namespace)
    pieces.apply(policy(namespace, BACK, {"notify": {}}, serviceAccountName=ACCOUNT))
    trouble(1, deployment="api")
    found = eventually(lambda: outcomes(status(pieces, namespace)), "the rung to be refused")
    assert found[0] == ("rollback", "Refused")
    message = status(pieces, namespace)["steps"][0]["message"]
    assert "revert in Git what brought revision 2" in message
    assert f"app: {OLD} → {NEW}" in message
    assert effects(pieces, namespace) == []


def test_a_first_release_has_nothing_to_go_back_to(
    pieces: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    pieces.apply(*account(namespace, "rollback", operator=("rollback",)), release(namespace, NEW))
    pieces.apply(policy(namespace, BACK, {"notify": {}}, serviceAccountName=ACCOUNT))
    running(pieces, namespace, "api", 3)
    trouble(1, deployment="api")
    eventually(lambda: outcomes(status(pieces, namespace)), "the rung to be refused")
    assert "before 1 is gone" in status(pieces, namespace)["steps"][0]["message"]
    assert effects(pieces, namespace) == []


def test_who_may_restart_may_not_roll_back(
    pieces: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    pieces.apply(*account(namespace, "restart"), release(namespace, OLD))
    rolled_out(pieces, namespace)
    pieces.apply(release(namespace, NEW))
    rolled_out(pieces, namespace)
    pieces.apply(policy(namespace, BACK, {"notify": {}}, serviceAccountName=ACCOUNT))
    trouble(1, deployment="api")
    eventually(lambda: outcomes(status(pieces, namespace)), "the rung to be refused")
    message = status(pieces, namespace)["steps"][0]["message"]
    assert "may not rollback deployments.apps" in message or "controllerrevisions" in message
    assert effects(pieces, namespace) == []


@pytest.fixture
def as_operator(pieces: Plane, namespace: str, operator_kubeconfig: Path) -> AsOperator:
    """kubectl with the operator's token, where it may roll back."""
    pieces.apply(release(namespace, OLD), *account(namespace, "rollback", operator=("rollback",)))
    operator = AsOperator(pieces, operator_kubeconfig)
    eventually(lambda: "must carry a new" in written(operator, namespace, other()).stderr, "the limits to be in force")
    return operator


def other(mark: str = "", **pods: Any) -> Json:
    """A change of the template, with the token or without."""
    container = {"name": "app", "image": "evil:1", "command": ["sleep", "1"]}
    meta = {"annotations": {"goldseam.dev/token": mark}} if mark else {}
    return {"spec": {"template": {"metadata": meta, "spec": {"containers": [container], **pods}}}}


def written(operator: AsOperator, namespace: str, body: Json) -> Answer:
    """What the API server says to a change, as a dry run."""
    where = ("-n", namespace, "--type", "merge", "--dry-run=server")
    return operator("patch", "deployment", "api", *where, "-p", json.dumps(body))


def test_admission_lets_a_marked_template_through_and_nothing_else(as_operator: AsOperator, namespace: str) -> None:
    answer = written(as_operator, namespace, other("t1"))
    assert answer.returncode == 0, answer.stderr
    refused: list[tuple[Json, str]] = [
        (other(), "must carry a new goldseam.dev/token"),
        (other("t1", serviceAccountName="admin"), "another account"),
        (other("t1", serviceAccount="admin"), "another account"),
        (other("t1", hostNetwork=True), "share more of their node"),
        (other("t1", hostPID=True), "share more of their node"),
        ({"spec": {"replicas": 1}}, "anything in spec but the template"),
        ({"spec": {"paused": True}}, "anything in spec but the template"),
        ({"metadata": {"labels": {"a": "b"}}}, "labels, owners or finalizers"),
        ({"metadata": {"annotations": {"goldseam.dev/ignore": "false"}}}, "of the annotations"),
    ]
    for body, message in refused:
        assert message in written(as_operator, namespace, body).stderr, body


def test_elsewhere_the_operator_may_only_restart_as_before(pieces: Plane, as_operator: AsOperator) -> None:
    pieces.apply(elsewhere := release("default", OLD))
    try:
        answer = written(as_operator, "default", other("t1"))
        assert "may only restart" in answer.stderr
        mark = {"spec": {"template": {"metadata": {"annotations": {"goldseam.dev/token": "t1"}}}}}
        assert written(as_operator, "default", mark).returncode == 0
    finally:
        pieces.must("delete", "deployment", elsewhere["metadata"]["name"], "-n", "default")
