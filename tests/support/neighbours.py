"""Controllers of others as plain processes beside our control plane, each a ServiceAccount that may do everything."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from controlplane import build, processes
from controlplane.tools import TOOLS
from tests.support.plane import Plane, eventually


@dataclass(frozen=True)
class Neighbour:
    """A controller that runs."""

    plane: Plane
    user: str
    """By which the audit log knows it."""

    def writes(self, namespace: str, resource: str) -> list[str]:
        """Its accepted writes to objects of a namespace, as `patch deployments/scale`."""
        result = []
        for entry in self.plane.audit():
            ref = entry.get("objectRef") or {}
            if (entry["user"].get("username"), ref.get("namespace"), ref.get("resource")) != (
                self.user,
                namespace,
                resource,
            ):
                continue
            made = entry["verb"] in ("create", "update", "patch", "delete") and "dryRun=All" not in entry["requestURI"]
            if made and entry.get("responseStatus", {}).get("code", 0) < 300:
                result.append(
                    f"{entry['verb']} {resource}" + (f"/{ref['subresource']}" if "subresource" in ref else "")
                )
        return result


@contextmanager
def beside(
    plane: Plane, name: str, namespace: str, arguments: Sequence[str], health: str, **env: str
) -> Iterator[Neighbour]:
    """One of `deploy/local/tools`, with its CRDs, until the context ends; `health` answers once it is ready."""
    if not plane.ours:
        pytest.skip("neighbours run beside our own control plane only: its audit log is the judge")
    tool = TOOLS[name]
    if not build.built(tool):
        pytest.fail(f"{name} is not built: `make test-interop` builds it, or deploy/local/cluster build --only {name}")
    folder = build.folder(tool)
    install_crds(plane, folder / "crds")
    environment = (
        os.environ | env | {"KUBECONFIG": str(_account(plane, namespace, name)), "TMPDIR": _scratch(plane, name)}
    )
    started = processes.start(plane.home, name, [str(folder / tool.programs[0][0]), *arguments], environment)
    try:
        eventually(lambda: _answers(health) or not started.alive, f"{name} to be ready")
        assert started.alive, (plane.home / "log" / f"{name}.log").read_text()[-3000:]
        yield Neighbour(plane, f"system:serviceaccount:{namespace}:{name}")
    finally:
        processes.end(started)


def install_crds(plane: Plane, crds: Path) -> None:
    """Apply the CRDs of a file or folder, and wait until they are served."""
    plane.must("apply", "--server-side", "-f", str(crds))
    plane.must("wait", "--for=condition=Established", "--timeout=30s", "-f", str(crds))


def _account(plane: Plane, namespace: str, name: str) -> Path:
    """A kubeconfig with the token of a ServiceAccount that is a cluster admin, as Flux installs it."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}, account, binding)
    config = json.loads(plane.must("config", "view", "--minify", "--flatten", "-o", "json"))
    token = plane.must("create", "token", name, "-n", namespace, "--duration", "3h").strip()
    config["users"][0]["user"] = {"token": token}
    file = plane.home / f"{name}.kubeconfig"
    file.write_text(json.dumps(config))
    return file


def _scratch(plane: Plane, name: str) -> str:
    folder = plane.home / f"{name}.tmp"
    folder.mkdir(exist_ok=True)
    return str(folder)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
