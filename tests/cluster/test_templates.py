"""An object of somebody else's kind is made and taken away with the ServiceAccount's rights, bound by hand, and the
piece `template` in force; the audit log is the judge. The test is the kind's controller."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.as_operator import AsOperator
from tests.support.objects_on_cluster import cluster_policy, condition, effects, guardrails, outcomes
from tests.support.operator_process import NAMESPACE, OperatorProcess, service_account
from tests.support.operator_process import running as running_operator
from tests.support.pieces import OPERATOR, bound, piece
from tests.support.plane import ROOT, Plane, eventually
from tests.support.proxy import Strike, When, fault_proxy
from tests.support.sampling import sampled

Trouble = Callable[..., None]
Json = dict[str, Any]
PLURAL = "selfnoderemediations"
CRD = ROOT / "tests" / "data" / "crds" / f"{PLURAL}.self-node-remediation.medik8s.io.yaml"
KIND = {
    "apiVersion": "self-node-remediation.medik8s.io/v1alpha1",
    "kind": "SelfNodeRemediation",
    "resource": PLURAL,
}
ONCE = [f"create {PLURAL}", f"delete {PLURAL}"]
POLICIES = {"kind": "Group", "name": "goldseam:cluster-policies", "apiGroup": "rbac.authorization.k8s.io"}


@pytest.fixture(scope="module")
def mending(installed: Plane) -> Iterator[Plane]:
    """The kind without its controller, and the piece, which binds nothing to anybody."""
    installed.must("apply", "--server-side", "-f", str(CRD))
    installed.must("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRD))
    with piece(installed, "template"):
        yield installed
    installed.must("delete", "--wait=true", "-f", str(CRD))


@pytest.fixture
def allowed(mending: Plane, namespace: str) -> str:
    """A namespace in which the kind may be made: by the rights, and by the Guardrails."""
    role = {"kind": "ClusterRole", "name": "goldseam-template"}
    mending.apply(bound(namespace, "goldseam-template", role, [OPERATOR, POLICIES]), listed(namespace))
    return namespace


def listed(*namespaces: str) -> Json:
    return guardrails(templates=[{**KIND, "namespaces": list(namespaces)}])


def mend(namespace: str, **more: Any) -> Json:
    made = {
        "apiVersion": KIND["apiVersion"],
        "kind": KIND["kind"],
        "metadata": {"namespace": namespace, "annotations": {"remediation.medik8s.io/node-name": "${target.name}"}},
        "spec": {"remediationStrategy": "ResourceDeletion"},
    }
    rung = {"template": {"resource": PLURAL, "object": made, **more}, "timeout": "60s"}
    return cluster_policy("mend", rung, {"wait": {"duration": "1m"}})


def node(plane: Plane) -> str:
    return str(min(found["metadata"]["name"] for found in plane.all("nodes")))


def there(plane: Plane, namespace: str) -> list[Json]:
    return plane.all(PLURAL, namespace)


def about(plane: Plane, name: str) -> Json:
    """The status of the node's incident; empty while there is none."""
    found = [one for one in plane.all("incidents", NAMESPACE) if one["spec"]["target"]["name"] == name]
    return found[0].get("status", {}) if found else {}


def resolved(plane: Plane, name: str) -> Json:
    def ask() -> Json:
        found = about(plane, name)
        over = found.get("phase") == "Resolved" and found["owes"] == 0
        return found if over else {}

    return eventually(ask, "the incident to be over, and nothing to be owed", 90)


def test_it_is_made_waited_for_and_taken_away(
    mending: Plane, allowed: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    sick = node(mending)
    mending.apply(mend(allowed, doneWhen={"type": "Succeeded"}))
    trouble(1, node=sick)
    (made,) = eventually(lambda: there(mending, allowed), "the object to be made", 60)
    marks = made["metadata"]["annotations"]
    assert marks["remediation.medik8s.io/node-name"] == sick
    assert made["metadata"]["name"] == f"goldseam-{marks['goldseam.dev/token']}"
    eventually(
        lambda: "to have Succeeded=True (it has no such condition yet)" in about(mending, sick).get("message", ""),
        "the incident to say what it waits for",
    )
    done = {"status": {"conditions": [{"type": "Succeeded", "status": "True"}]}}
    flags = ("--subresource=status", "--type=merge", "-p", json.dumps(done))
    mending.must("-n", allowed, "patch", PLURAL, made["metadata"]["name"], *flags)
    trouble(0, node=sick)
    found = resolved(mending, sick)
    assert outcomes(found) == [("template", "Passed")]
    assert (effects(mending, allowed), there(mending, allowed)) == (ONCE, [])


@pytest.mark.parametrize("when", sampled(["after", "before"]))
@pytest.mark.parametrize("label", sampled([f"POST {PLURAL}", f"DELETE {PLURAL}"]))
def test_a_killed_operator_makes_it_once_and_deletes_it_once(
    mending: Plane, allowed: str, source: str, trouble: Trouble, tmp_path: Path, label: str, when: When
) -> None:
    sick = node(mending)
    mending.apply(mend(allowed))
    with fault_proxy(mending) as proxy:
        kubeconfig = service_account(mending, tmp_path, proxy.url)
        with running_operator(kubeconfig, tmp_path / "first.log") as first:
            proxy.strike = strike = Strike(lambda seen: seen.label == label, when, first.kill)
            trouble(1, node=sick)
            if label.startswith("DELETE"):
                eventually(lambda: there(mending, allowed), "the object to be made", 60)
                trouble(0, node=sick)
            assert strike.done.wait(90), f"no {label}; seen: {[seen.label for seen in proxy.seen]}"
            first.process.wait(10)
        with running_operator(kubeconfig, tmp_path / "second.log"):
            eventually(lambda: f"create {PLURAL}" in effects(mending, allowed), "the object to be made", 60)
            trouble(0, node=sick)
            resolved(mending, sick)
    assert (effects(mending, allowed), there(mending, allowed)) == (ONCE, [])


def test_what_the_guardrails_do_not_list_the_policy_says_before_any_incident(
    mending: Plane, allowed: str, operator: OperatorProcess
) -> None:
    def permitted() -> tuple[str, str]:
        found = condition(mending, "clusterremediationpolicy", "mend", "", "Permitted")
        return found.get("status", ""), found.get("message", "")

    mending.apply(listed("another"), mend(allowed))
    status, message = eventually(lambda: permitted()[0] and permitted(), "the policy to be judged")
    assert (status, f"rung 1: the Guardrails do not list namespace {allowed}" in message) == ("False", True)
    mending.apply(listed(allowed))
    eventually(lambda: permitted()[0] == "True", "the policy to be judged anew")
    mending.must("-n", allowed, "delete", "rolebinding", "goldseam-template")
    mending.apply(mend(allowed, keep=True))
    eventually(lambda: f"missing: create {PLURAL}" in permitted()[1], "the missing right to be said")


def test_a_cluster_scoped_kind_is_let_through_and_tied_alike(mending: Plane, operator_kubeconfig: Path) -> None:
    names = {"kind": "Mend", "listKind": "MendList", "plural": "mends", "singular": "mend"}
    form = {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": form}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "mends.mend.example.com"},
        "spec": {"group": "mend.example.com", "scope": "Cluster", "names": names, "versions": [version]},
    }
    rights = ("create", "clusterrole", "t-mends", "--verb=create,delete", "--resource=mends.mend.example.com")
    account = ("--clusterrole=t-mends", "--serviceaccount=goldseam-system:goldseam")
    mending.apply(crd)
    try:
        mending.must("wait", "--for=condition=Established", "--timeout=30s", "crd/mends.mend.example.com")
        mending.must(*rights)
        mending.must("create", "clusterrolebinding", "t-mends", *account)
        operator, token = AsOperator(mending, operator_kubeconfig), "0123456789abcdef"
        marks = {"goldseam.dev/token": token, "goldseam.dev/incident": "goldseam-system/mend"}
        labels = {"app.kubernetes.io/managed-by": "goldseam"}
        meta = {"name": f"goldseam-{token}", "annotations": marks, "labels": labels}
        made = {"apiVersion": "mend.example.com/v1", "kind": "Mend", "metadata": meta}

        def asked(body: Json) -> str:
            return operator("create", "--dry-run=server", "-f", "-", body=body).stderr

        eventually(lambda: asked(made) == "", "the object to be let through")
        assert "must carry its marks" in asked({**made, "metadata": {"name": "mine"}})
        assert "no owner and no finalizer" in asked({**made, "metadata": meta | {"finalizers": ["a.example.com/b"]}})
    finally:
        mending.must("delete", "--ignore-not-found", "clusterrolebinding/t-mends", "clusterrole/t-mends")
        mending.must("delete", "--ignore-not-found", "crd/mends.mend.example.com")


def test_kinds_that_bring_rights_are_refused_by_the_api_server_from_the_admin_too(mending: Plane) -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "resource": "clusterroles"}
    answer = mending.kubectl("apply", "--dry-run=server", "-f", "-", input=json.dumps(guardrails(templates=[role])))
    assert "never made" in answer.stderr
