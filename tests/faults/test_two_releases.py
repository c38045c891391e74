"""Two releases of Goldseam in one cluster, each with a Lease of its own: the one that admission knows acts, once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goldseam.services.leadership import NAME
from tests.support.objects_on_cluster import deployment, effects, outcomes, policy, reached, running, status
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
SECOND = "goldseam-two"


@pytest.fixture
def second(installed: Plane, tmp_path: Path) -> Iterator[Path]:
    """Another installation, in a namespace of its own and with every right there is: a kubeconfig with its token.

    Its leaders have larger numbers: so it has something to write to every Incident, however quick the other one is.
    """
    subject = {"kind": "ServiceAccount", "name": "goldseam", "namespace": SECOND}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": SECOND},
        "roleRef": role,
        "subjects": [subject],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "goldseam", "namespace": SECOND}}
    installed.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SECOND}})
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": NAME, "namespace": SECOND},
        "spec": {"leaseTransitions": 1_000},
    }
    installed.apply(account, binding, lease)
    config = json.loads(installed.must("config", "view", "--minify", "--flatten", "-o", "json"))
    config["users"][0]["user"] = {"token": installed.must("create", "token", "goldseam", "-n", SECOND).strip()}
    file = tmp_path / "second.kubeconfig"
    file.write_text(json.dumps(config))
    yield file
    installed.must("delete", "clusterrolebinding", SECOND)
    installed.must("delete", "namespace", SECOND)


def changed_by_second(plane: Plane, namespace: str) -> list[str]:
    """What the API server accepted of it in the namespace, but for what it says on policies."""
    return [
        f"{entry['verb']} {entry['objectRef']['resource']}"
        for entry in plane.audit()
        if entry["user"].get("username") == f"system:serviceaccount:{SECOND}:goldseam"
        and entry["verb"] in ("create", "update", "patch", "delete")
        and entry["objectRef"].get("namespace") == namespace
        and entry["objectRef"]["resource"] not in ("events", "remediationpolicies")
        and entry.get("responseStatus", {}).get("code", 0) < 300
    ]


def refused(other: OperatorProcess) -> bool:
    """By the admission policy of Incidents."""
    return "goldseam-incidents" in other.log.read_text()


def test_the_other_release_is_refused_its_records_so_it_does_nothing(
    installed: Plane,
    namespace: str,
    source: str,
    operator: OperatorProcess,
    second: Path,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    other = OperatorProcess(second, tmp_path / "second.log", namespace=SECOND)
    try:
        eventually(other.ready, "the other release to lead by its own Lease")
        installed.apply(
            deployment(namespace, "worker"), policy(namespace, {"scale": {"replicas": 5}, "timeout": "90s"})
        )
        running(installed, namespace, "worker", 3)
        trouble(1, deployment="worker")
        running(installed, namespace, "worker", 5)
        eventually(lambda: refused(other), "the other release to be refused, and say so")
        trouble(0, deployment="worker")
        found = reached(installed, namespace, "Resolved")
        eventually(lambda: status(installed, namespace)["owes"] == 0, "the debt to be paid")
        running(installed, namespace, "worker", 3)
    finally:
        other.process.kill()
        other.process.wait(10)
    assert outcomes(found) == [("scale", "Passed")]
    assert effects(installed, namespace) == ["patch deployments/scale"] * 2
    assert changed_by_second(installed, namespace) == []
