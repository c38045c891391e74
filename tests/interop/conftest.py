"""Fixtures of the interoperability tests: those of the cluster tests, and each neighbour while a module needs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.cluster.conftest import (  # noqa: F401
    cluster,
    crds,
    installed,
    namespace,
    operator,
    operator_kubeconfig,
    source,
    trouble,
)
from tests.support.flux import SOURCES, App, artifacts, source_crd
from tests.support.neighbours import Neighbour, beside
from tests.support.operator_process import free_port
from tests.support.plane import Plane


@pytest.fixture(scope="module")
def flux(installed: Plane) -> Iterator[Neighbour]:  # noqa: F811
    """Flux's kustomize-controller."""
    port = free_port()
    names = [source_crd(kind) for kind in SOURCES]
    installed.apply(*names)
    installed.must("wait", "--for=condition=Established", *(f"crd/{crd['metadata']['name']}" for crd in names))
    arguments = [f"--health-addr=127.0.0.1:{port}", "--metrics-addr=0", "--http-retry=2"]
    health = f"http://127.0.0.1:{port}/readyz"
    where = {"RUNTIME_NAMESPACE": "flux-system"}
    with beside(installed, "kustomize-controller", "flux-system", arguments, health, **where) as running:
        yield running


@pytest.fixture
def app(flux: Neighbour, namespace: str, tmp_path: Path) -> Iterator[App]:  # noqa: F811
    """What Flux applies in the test's namespace; it begins with the test's objects."""
    folder = tmp_path / "artifacts"
    folder.mkdir()
    with artifacts(folder) as url:
        yield App(flux.plane, namespace, folder, url)


@pytest.fixture(scope="module")
def argo_rollouts(installed: Plane) -> Iterator[Neighbour]:  # noqa: F811
    """The controller of Argo Rollouts."""
    health, metrics = free_port(), free_port()
    arguments = [f"--healthzPort={health}", f"--metricsPort={metrics}", "--leader-elect=false"]
    url = f"http://127.0.0.1:{health}/healthz"
    with beside(installed, "argo-rollouts", "argo-rollouts", arguments, url) as running:
        yield running


@pytest.fixture(scope="module")
def keda(installed: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbour]:  # noqa: F811
    """KEDA's operator. Its metrics server is not there: an HPA without metrics keeps to its floor and ceiling."""
    certificates, port = tmp_path_factory.mktemp("keda"), free_port()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(certificates / "ca.crt")
    own = authority.issue_cert("keda-operator")
    own.private_key_pem.write_to_path(certificates / "tls.key")
    own.cert_chain_pems[0].write_to_path(certificates / "tls.crt")
    arguments = [
        f"--health-probe-bind-address=127.0.0.1:{port}",
        f"--metrics-service-bind-address=127.0.0.1:{free_port()}",
        "--enable-prometheus-metrics=false",
        f"--cert-dir={certificates}",
    ]
    where = {"WATCH_NAMESPACE": "", "POD_NAMESPACE": "keda", "KEDA_CLUSTER_OBJECT_NAMESPACE": "keda"}
    with beside(installed, "keda", "keda", arguments, f"http://127.0.0.1:{port}/readyz", **where) as running:
        yield running
