"""Fixtures of the cluster tests: one control plane a worker, fresh namespaces, our cluster-scoped objects removed."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from access import Access, own_cluster, unclaimed
from goldseam.services.fleet import UNHEALTHY
from tests.support import exporter as exporters
from tests.support.keeper import KEEPER, KINDS, NAME
from tests.support.objects_on_cluster import alert_source, forgotten, writes_of_operator
from tests.support.operator_process import NAMESPACE, OperatorProcess, service_account
from tests.support.operator_process import running as running_operator
from tests.support.plane import OURS, ROOT, Plane, control_plane, eventually
from tests.support.readiness import Watched, watching

Json = dict[str, Any]
MARK = "goldseam.dev/test=true"
OVERLAY = str(ROOT / "deploy" / "kustomize" / "overlays" / "all")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """The control plane. Its directory stays after the run, with logs and the audit log."""
    with control_plane(tmp_path_factory.mktemp("plane"), nodes=4) as plane:
        elsewhere = os.environ.get("E2E_KUBECONFIG")
        if not elsewhere:
            yield plane
            return
        own_cluster(elsewhere, "", os.environ.get("E2E_SERVER", ""))
        # Every test removes all objects of our kinds: on a cluster that is lent, there must be none of anybody else's.
        unclaimed(Access(elsewhere), MARK, ("namespace/goldseam-system", "crd/incidents.goldseam.dev"))
        lent = Plane(plane.home, plane.env | {"KUBECONFIG": elsewhere}, ours=False)  # with our own Prometheus
        yield lent
        try:
            lent.must("delete", KINDS, NAME, "--ignore-not-found")
            lent.must("delete", "-k", OVERLAY, "--ignore-not-found", "--wait=false")
        finally:
            lent.must("delete", "namespace", "-l", MARK, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="session")
def crds(cluster: Plane) -> Plane:
    """The control plane with our kinds."""
    cluster.must("apply", "--server-side", "-k", str(ROOT / "crds"))
    cluster.must("label", "crd", "-l", "app.kubernetes.io/part-of=goldseam", MARK)
    names = ("incidents", *OURS)
    cluster.must("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{n}.goldseam.dev" for n in names))
    return cluster


@pytest.fixture(scope="session")
def installed(crds: Plane) -> Plane:
    """The control plane with everything of `deploy/kustomize/overlays/all`, but no pod: the operator is our process."""
    crds.must("apply", "--server-side", "--force-conflicts", "-k", OVERLAY)
    crds.apply(*KEEPER)
    crds.must("label", "namespace", "goldseam-system", MARK)
    crds.must("-n", "goldseam-system", "scale", "deployment", "goldseam", "--replicas=0")
    eventually(lambda: protected(crds), "the admission policies to be in force")
    return crds


@pytest.fixture(scope="module")
def neighbours(installed: Plane) -> Iterator[Plane]:
    """The control plane with the kinds of KEDA and Argo Rollouts, but not their controllers. In the modules that do not
    ask for it they are not installed, as in most clusters."""
    crds = ["-f", str(ROOT / "tests" / "data" / "crds")]
    installed.must("apply", "--server-side", *crds)
    installed.must("wait", "--for=condition=Established", "--timeout=30s", *crds)
    yield installed
    installed.must("delete", "--wait=true", *crds)


def protected(plane: Plane) -> bool:
    """An admission policy takes effect a moment after it is applied."""
    spec = {
        "policyRef": {"kind": "RemediationPolicy", "namespace": "default", "name": "x", "uid": "x"},
        "target": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": "x", "uid": "x"},
        "alert": {"name": "x", "activeAt": "2026-01-01T00:00:00Z"},
    }
    forged = {
        "apiVersion": "goldseam.dev/v1alpha1",
        "kind": "Incident",
        "metadata": {"name": "probe", "namespace": "default"},
        "spec": spec,
    }
    done = plane.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(forged))
    return done.returncode != 0 and "goldseam-incidents" in done.stderr


@pytest.fixture(scope="session")
def operator_kubeconfig(installed: Plane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's own credentials."""
    return service_account(installed, tmp_path_factory.mktemp("operator"))


@pytest.fixture
def operator(
    operator_kubeconfig: Path, source: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """A running operator with the rights of its ServiceAccount."""
    with running_operator(operator_kubeconfig, tmp_path_factory.mktemp("operator") / "operator.log") as process:
        yield process


@pytest.fixture
def namespace(installed: Plane) -> Iterator[str]:
    """A fresh namespace; whatever of ours is cluster-scoped, or about nodes, is removed after the test."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    eventually(lambda: left_unhealthy(installed) < 2, "the incidents of earlier tests to go with their namespaces", 90)
    installed.namespace(name, **dict([MARK.split("=")]))
    yield name
    installed.clear(*OURS)
    if installed.all("incidents", NAMESPACE):
        installed.kubectl("delete", "incidents", "--all", "-n", NAMESPACE)  # those of nodes; refused while one owes
    installed.remove("namespace", name)


@pytest.fixture
def touched(installed: Plane, namespace: str) -> Callable[[], list[str]]:
    """What the operator has written to nodes, pods and workloads since the test began."""
    before = len(writes_of_operator(installed))

    def ask() -> list[str]:
        refs = [entry["objectRef"] for entry in writes_of_operator(installed)[before:]]
        mine = ("nodes", "pods", "deployments", "statefulsets", "daemonsets")
        return [f"{ref['resource']}/{ref.get('name')}" for ref in refs if ref["resource"] in mine]

    return ask


@pytest.fixture
def given_back(installed: Plane, operator: OperatorProcess) -> Iterator[None]:
    """Whatever becomes of a test, its nodes are in service afterwards, and nothing is owed for them: the operator still
    runs then, and the alert is gone."""
    before = _cordoned(installed)
    yield
    if left := _cordoned(installed) - before:
        installed.kubectl("uncordon", *left)
    forgotten(installed)


def _cordoned(plane: Plane) -> set[str]:
    return {str(node["metadata"]["name"]) for node in plane.all("nodes") if node["spec"].get("unschedulable")}


def left_unhealthy(plane: Plane) -> int:
    """How many incidents count for the breaker: with this test's own, two of an earlier one would trip it."""
    phases = [incident.get("status", {}).get("phase") for incident in plane.all("incidents")]
    return sum(phase in (None, *UNHEALTHY) for phase in phases)


def strangers(plane: Plane, namespace: str, node: str) -> list[str]:
    """The pods on the node of other tests, whose namespaces are on their way out: a drain would look at these, too."""
    here = (pod for pod in plane.all("pods") if pod["spec"].get("nodeName") == node)
    theirs = (pod["metadata"] for pod in here if pod["metadata"]["namespace"] != namespace)
    return [m["name"] for m in theirs if m["namespace"].startswith("t-") and not m.get("deletionTimestamp")]


@pytest.fixture
def source(installed: Plane, namespace: str) -> str:
    """The default AlertSource: the real Prometheus, read every second."""
    installed.apply(alert_source(installed.prometheus, interval="1s"))
    return "default"


@pytest.fixture
def trouble(installed: Plane, namespace: str) -> Iterator[Callable[..., None]]:
    """Makes alerts fire and end: `trouble(1, alert="Backlog", deployment="worker")`; each alert has a real rule."""
    group = namespace
    known: dict[str, Json] = {}
    with exporters.exporter(installed) as exporting:

        def set_trouble(value: float, *, alert: str = "Trouble", **labels: str) -> None:
            if alert not in known:
                known[alert] = {
                    "alert": alert,
                    "expr": f'trouble{{about="{alert}"}} > 0',
                    "labels": {"severity": "critical"},
                }
                installed.rules(group, list(known.values()))
            if value and "node" in labels:
                what = "the pods of earlier tests to go from the node"
                eventually(lambda: not strangers(installed, namespace, labels["node"]), what, 90)
            exporting.set(value, about=alert, **({"namespace": namespace} | labels))

        yield set_trouble
        installed.rules(group, [])


@pytest.fixture
def watched(installed: Plane, namespace: str, tmp_path: Path) -> Iterator[Watched]:
    """How many pods of a workload of the namespace were ready, after each change of one of them."""
    with watching(installed, namespace, tmp_path / "watch.json") as counts:
        yield counts
