"""A tenant with every right in its own namespace: nothing outside it is touched, nothing is lost, and it is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.as_operator import AsOperator
from tests.support.objects_on_cluster import (
    deployment,
    effects,
    guardrails,
    incident,
    pause,
    policy,
    response,
    running,
    status,
)
from tests.support.operator_process import OperatorProcess
from tests.support.operator_process import running as running_operator
from tests.support.people import Person, bound, user
from tests.support.plane import Plane, eventually
from tests.support.unprotected import without_protection

Trouble = Callable[..., None]
SCALE = {"scale": {"replicas": 8}, "timeout": "120s"}


@pytest.fixture
def mallory(installed: Plane, namespace: str) -> Person:
    """A user with every right on our kinds and on workloads, in one namespace."""
    someone = user(installed, "mallory@evil.com")
    installed.must(
        *("create", "role", "everything", "-n", namespace, "--verb=*"),
        *("--resource=*.goldseam.dev", "--resource=*.apps"),
    )
    installed.must("create", "rolebinding", "everything", "-n", namespace, "--role=everything", "--user", someone.name)
    eventually(lambda: someone("get", "incidents", "-n", namespace).returncode == 0, "the right to be there")
    return someone


def test_with_every_right_in_the_namespace_no_record_can_be_forged_changed_or_lost(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, mallory: Person
) -> None:
    installed.apply(deployment(namespace, "worker"), policy(namespace, SCALE))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    running(installed, namespace, "worker", 8)
    found = eventually(lambda: (i := incident(installed, namespace)) and i["status"].get("owes") == 1 and i, "a debt")
    forged = {**found, "metadata": {"name": "forged", "namespace": namespace}}
    assert "only Goldseam writes Incidents" in mallory.create(forged).stderr
    assert write_status(mallory, namespace, found["metadata"]["name"], None) != ""
    for change in ({"steps": []}, {"obligations": []}, {"approvals": []}, {"epoch": 2**50}, {"owes": 0}):
        said = write_status(mallory, namespace, found["metadata"]["name"], change)
        assert "only Goldseam writes Incidents" in said, change
    gone = mallory("delete", "incidents", "--all", "-n", namespace)
    assert "still owes something" in gone.stderr
    trouble(0, deployment="worker")
    running(installed, namespace, "worker", 3)


def write_status(someone: Person, namespace: str, name: str, status: Any) -> str:
    """What the API server says to a raw write of the status, once nobody else wrote it since it was read."""
    at = f"/apis/goldseam.dev/v1alpha1/namespaces/{namespace}/incidents/{name}"

    def said() -> tuple[str] | None:
        live = json.loads(someone("get", "--raw", at).stdout)
        live["status"] = None if status is None else live.get("status", {}) | status
        words = someone("replace", "--raw", f"{at}/status", "-f", "-", body=live).stderr
        return None if "(Conflict)" in words else (words,)

    return eventually(said, "an answer to the write itself")[0]


def test_a_tenants_pauses_and_answers_count_in_its_own_name_and_namespace_only(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, mallory: Person
) -> None:
    victim = f"{namespace}-victim"
    installed.must("create", "namespace", victim)
    try:
        installed.apply(deployment(victim, "worker"), policy(victim, SCALE))
        running(installed, victim, "worker", 3)
        assert mallory.create(pause(namespace, cluster=True, level="Everything")).returncode == 0
        assert "forbidden" in mallory.create(pause(victim)).stderr
        trouble(1, deployment="worker", namespace=victim)
        running(installed, victim, "worker", 8)
        theirs = incident(installed, victim)
        assert "forbidden" in mallory.create(response(theirs, "Undo", mallory.name)).stderr
        at_home = response(theirs, "Undo", mallory.name)
        at_home["metadata"]["namespace"] = namespace
        assert mallory.create(at_home).returncode == 0
        words = eventually(
            lambda: [s for r in installed.all("responses", namespace) if (s := r.get("status", {})).get("state")],
            "an answer",
        )
        assert [(s["state"], "there is no Incident" in s["message"]) for s in words] == [("Ignored", True)]
        assert not status(installed, victim).get("responses")
    finally:
        installed.must("delete", "namespace", victim, "--wait=false")


@pytest.fixture
def victim(installed: Plane, namespace: str) -> Iterator[str]:
    """Another tenant's namespace, with a Deployment and a policy."""
    name = f"{namespace}-victim"
    installed.must("create", "namespace", name)
    installed.apply(deployment(name, "worker"), policy(name, SCALE))
    running(installed, name, "worker", 3)
    yield name
    installed.must("delete", "namespace", name, "--wait=false")


def test_a_tenant_that_uses_up_its_budget_takes_nothing_from_another(
    installed: Plane, namespace: str, victim: str, operator: OperatorProcess, trouble: Trouble, mallory: Person
) -> None:
    calm = {"percent": 100, "atLeast": 50}  # three unhealthy targets of three would stop everybody
    installed.apply(guardrails(budgets={"namespace": [{"count": 1, "per": "1h"}]}, breaker=calm))
    for name in ("worker", "other"):
        installed.apply(deployment(namespace, name))
        running(installed, namespace, name, 3)
    greedy = policy(namespace, SCALE, limits={"concurrent": 5, "cooldown": "0s"})
    assert mallory.create(greedy).returncode == 0
    trouble(1, deployment="worker")
    running(installed, namespace, "worker", 8)
    trouble(1, deployment="other")
    eventually(lambda: "NamespaceBudget" in held(installed, namespace), "the budget to be used up")
    assert mallory("delete", "rempol", "heal", "-n", namespace).returncode == 0
    again = policy(namespace, SCALE, name="fresh", limits={"concurrent": 5, "cooldown": "0s"})
    assert mallory.create(again).returncode == 0
    eventually(
        lambda: any(i["spec"]["policyRef"]["name"] == "fresh" and i.get("status", {}).get("holds")
                    for i in installed.all("incidents", namespace)), "the new policy to be held too",
    )  # fmt: skip
    trouble(1, deployment="worker", namespace=victim)
    running(installed, victim, "worker", 8)
    assert effects(installed, namespace) == ["patch deployments/scale"]


def held(plane: Plane, namespace: str) -> set[str]:
    """The reasons of all that holds in the namespace."""
    return {h["reason"] for i in plane.all("incidents", namespace) for h in i.get("status", {}).get("holds", [])}


def test_a_tenant_neither_changes_nor_removes_the_pauses_of_others(
    installed: Plane, namespace: str, victim: str, source: str, mallory: Person
) -> None:
    jane = bound(installed, user(installed, "jane@aurum.com"), "goldseam-oncall", namespace)
    everywhere = pause("goldseam-system", cluster=True)
    installed.apply(everywhere, pause(victim))
    assert jane.create(pause(namespace, by=jane.name)).returncode == 0
    change = ("--type=merge", "-p", '{"spec": {"until": "2020-01-01T00:00:00Z"}}')
    for where in ("goldseam-system", victim):
        assert "forbidden" in mallory("delete", "pause", "pause", "-n", where).stderr
        assert "forbidden" in mallory("patch", "pause", "pause", "-n", where, *change).stderr
    assert f"spec.by must be who you are: {mallory.name}" in mallory(
        "patch", "pause", "pause", "-n", namespace, *change
    ).stderr  # fmt: skip
    for where in ("goldseam-system", victim, namespace):
        assert "until" not in installed.get("pause", "pause", where)["spec"]


def test_a_debt_is_paid_though_an_incident_forged_elsewhere_claims_it(
    installed: Plane,
    namespace: str,
    victim: str,
    source: str,
    trouble: Trouble,
    mallory: Person,
    operator_kubeconfig: Path,
    tmp_path: Path,
) -> None:
    trouble(1, deployment="worker", namespace=victim)
    with running_operator(operator_kubeconfig, tmp_path / "before.log"):
        eventually(lambda: status(installed, victim).get("owes") == 1, "a debt")
        running(installed, victim, "worker", 8)
    with without_protection(installed):
        later = {"detectedAt": "2099-01-01T00:00:00Z"}
        forge(mallory, installed, namespace, victim, phase="Fixing", epoch=2**50, kpis=later)
        with running_operator(operator_kubeconfig, tmp_path / "after.log"):
            trouble(0, deployment="worker", namespace=victim)
            running(installed, victim, "worker", 3)
            eventually(lambda: status(installed, victim).get("owes") == 0, "the debt to be settled")
    assert [o["state"] for o in status(installed, victim)["obligations"]] == ["Paid"]
    assert "epoch_forged" in (tmp_path / "after.log").read_text()


@pytest.fixture
def unprotected(installed: Plane, namespace: str) -> Iterator[None]:
    """The admission policy that protects Incidents is gone."""
    with without_protection(installed):
        yield


def named(name: str, namespace: str) -> dict[str, Any]:
    """An Incident without a spec."""
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "goldseam.dev/v1alpha1", "kind": "Incident", "metadata": meta}


def forged_spec(target: dict[str, Any], namespace: str) -> dict[str, Any]:
    meta = target["metadata"]
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": meta["namespace"], "name": meta["name"]}
    policy_ref = {"kind": "RemediationPolicy", "namespace": namespace, "name": "heal", "uid": "x"}
    return {
        "policyRef": policy_ref,
        "target": ref | {"uid": meta["uid"]},
        "alert": {"name": "Trouble", "activeAt": "2026-01-01T00:00:00Z"},
    }


def test_even_without_the_admission_policy_a_forged_incident_reaches_nothing_outside(
    installed: Plane,
    namespace: str,
    source: str,
    mallory: Person,
    unprotected: None,
    operator_kubeconfig: Path,
    tmp_path: Path,
) -> None:
    victim = f"{namespace}-victim"
    installed.must("create", "namespace", victim)
    try:
        installed.apply(deployment(victim, "worker", 5), policy(victim, SCALE))
        running(installed, victim, "worker", 5)
        operator = AsOperator(installed, operator_kubeconfig)
        scaled = operator(
            *("patch", "deployment", "worker", "-n", victim, "--subresource=scale", "--field-manager=goldseam"),
            *("--type=merge", "-p", '{"spec": {"replicas": 6}}'),
        )
        assert scaled.returncode == 0, scaled.stderr  # so that the field's last writer is Goldseam
        forge(mallory, installed, namespace, victim)
        with running_operator(operator_kubeconfig, tmp_path / "operator.log"):
            words = eventually(
                lambda: [o for o in status(installed, namespace).get("obligations", []) if o["state"] != "Open"],
                "the forged debt to be judged",
            )
        assert "not one that Goldseam could owe" in words[0]["message"]
        assert [o["state"] for o in words] == ["Void"]
        assert effects(installed, victim) == ["patch deployments/scale"], "ours, by hand"
        assert installed.get("deployment", "worker", victim)["spec"]["replicas"] == 6
    finally:
        installed.must("delete", "namespace", victim, "--wait=false")


def forge(mallory: Person, plane: Plane, namespace: str, victim: str, **status: Any) -> None:
    """An Incident in the tenant's namespace that claims to owe the scaling down of somebody else's Deployment."""
    target = plane.get("deployment", "worker", victim)
    spec = forged_spec(target, victim)
    body = {**named("f", namespace), "spec": spec}
    eventually(lambda: mallory.create(body).returncode == 0, "nothing to stand in the way any more")
    owed = {
        "key": f"{target['metadata']['uid']}:spec.replicas", "kind": "ScaleBack", "object": spec["target"],
        "subresource": "scale", "field": "spec.replicas", "original": "1",
        "want": str(target["spec"]["replicas"]), "state": "Open", "dueAt": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    forged = {
        "phase": "Abandoned", "mode": "Act", "owes": 1, "obligations": [owed],
        "policySnapshot": {"spec": policy(victim, SCALE)["spec"]},
        "kpis": {"detectedAt": "2026-01-01T00:00:00Z"}, **status,
    }  # fmt: skip
    assert write_status(mallory, namespace, "f", forged) == ""
