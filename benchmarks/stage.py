"""A control plane with Goldseam installed and the operator running, for as long as a measurement takes."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.objects_on_cluster import alert_source
from tests.support.operator_process import OperatorProcess, running, service_account
from tests.support.plane import ROOT, Plane, control_plane


@contextmanager
def installed(nodes: int = 3, *options: str) -> Iterator[tuple[Plane, Path]]:
    """A control plane with all components, started with these options, and a directory for what is measured."""
    with tempfile.TemporaryDirectory(prefix="goldseam-bench-") as folder:
        home = Path(folder)
        with control_plane(home / "plane", nodes, *options) as plane:
            overlay = ROOT / "deploy" / "kustomize" / "overlays" / "all"
            plane.must("apply", "--server-side", "-k", str(ROOT / "crds"))
            plane.must("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
            plane.must("apply", "--server-side", "--force-conflicts", "-k", str(overlay))
            plane.must("-n", "goldseam-system", "scale", "deployment", "goldseam", "--replicas=0")
            yield plane, home


@contextmanager
def operator(plane: Plane, home: Path, **settings: str) -> Iterator[OperatorProcess]:
    """The operator with its ServiceAccount's rights, and without recordings, as it is set by default."""
    with running(
        service_account(plane, home), home / "operator.log", alone=True, recorded=False, **settings
    ) as process:
        yield process


def source(plane: Plane, interval: str) -> None:
    """The default AlertSource: the real Prometheus."""
    plane.apply(alert_source(plane.prometheus, interval=interval))


def report(title: str, figures: Mapping[str, object]) -> None:
    """Print the figures; with JSON=1 also as one JSON object in the last line."""
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name:32} {value}")
    if os.environ.get("JSON"):
        print(json.dumps(dict(figures)))
