"""Installed, Goldseam changes nothing: the audit log of the default install, with a policy that says Act."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.objects_on_cluster import (
    cluster_policy,
    deployment,
    outcomes,
    policy,
    reached,
    running,
    writes_of_operator,
)
from tests.support.operator_process import OperatorProcess
from tests.support.operator_process import running as running_operator
from tests.support.plane import ROOT, Plane, eventually

PIECES = ROOT / "deploy" / "kustomize" / "components"


@pytest.fixture
def base_only(installed: Plane) -> Iterator[Plane]:
    """Without the components: their bindings are taken away for one test."""
    bindings = [name for name in installed.must("get", "clusterrolebindings", "-o", "name").split() if _is_piece(name)]
    assert len(bindings) >= 4
    installed.must("delete", *bindings)
    yield installed
    installed.must(
        "apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "deploy" / "kustomize" / "overlays" / "all")
    )
    installed.must("-n", "goldseam-system", "scale", "deployment", "goldseam", "--replicas=0")


def _is_piece(name: str) -> bool:
    return any(f"/goldseam-{piece.name}" in name for piece in PIECES.iterdir())


def test_the_default_install_writes_nothing_outside_its_own_kinds(
    base_only: Plane,
    namespace: str,
    source: str,
    operator_kubeconfig: Path,
    trouble: Callable[..., None],
    tmp_path: Path,
) -> None:
    before = len(writes_of_operator(base_only))

    def written() -> list[dict[str, Any]]:
        return [entry["objectRef"] for entry in writes_of_operator(base_only)[before:]]

    def told() -> bool:
        return any(ref.get("apiGroup") == "events.k8s.io" for ref in written())

    base_only.apply(deployment(namespace, "worker"))
    base_only.apply(policy(namespace, {"scale": {"replicas": 8}}, {"restart": {}}))
    base_only.apply(cluster_policy("drain", {"drain": {}}, alert={"name": "NodeTrouble"}))
    running(base_only, namespace, "worker", 3)
    with running_operator(operator_kubeconfig, tmp_path / "operator.log"):
        assert "Install deploy/kustomize/components/restart, scale" in _permitted(
            base_only, "rempol", "heal", namespace
        )
        drained = _permitted(base_only, "crempol", "drain")
        assert "patch nodes" in drained
        assert "create pods/eviction" in drained
        assert "Install deploy/kustomize/components/nodes" in drained
        trouble(1, deployment="worker")
        found = reached(base_only, namespace, "Escalated")
        eventually(told, "its Events, which are written after the status")
    assert outcomes(found) == [("scale", "Refused"), ("restart", "Refused")]
    assert {ref.get("apiGroup") for ref in written()} == {
        *("goldseam.dev", "events.k8s.io", "authorization.k8s.io", "coordination.k8s.io"),
    }
    leases = {(r["namespace"], r.get("name")) for r in written() if r.get("apiGroup") == "coordination.k8s.io"}
    assert leases <= {("goldseam-system", "goldseam"), ("goldseam-system", None)}


def _permitted(plane: Plane, kind: str, name: str, namespace: str = "") -> str:
    """What a policy without its rights says about them, once it says so."""

    def missing() -> str:
        conditions = plane.get(kind, name, namespace).get("status", {}).get("conditions", [])
        found = {entry["type"]: entry for entry in conditions if entry["status"] == "False"}
        return str(found["Permitted"]["message"]) if found.keys() >= {"Permitted", "Ready"} else ""

    return eventually(missing, "the missing right to be said")


def test_the_operator_serves_probes_and_metrics_and_stops_cleanly(operator: OperatorProcess) -> None:
    assert operator.get("/healthz") == (200, "ok\n")
    assert operator.get("/readyz") == (200, "ok\n")
    status, metrics = operator.get("/metrics")
    assert status == 200
    assert "goldseam_incidents_open" in metrics
    eventually(
        lambda: "goldseam_source_last_read_timestamp_seconds" in operator.get("/metrics")[1], "the source is read"
    )
    assert operator.stop() == 0
    assert all("exc" not in line.get("msg", "") for line in operator.lines())
