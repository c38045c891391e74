"""Users with certificates of their own, and no more rights than they are given."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controlplane.pki import person
from tests.support.plane import Plane


@dataclass(frozen=True)
class Person:
    """One user, as the API server knows them by their certificate."""

    plane: Plane
    name: str
    kubeconfig: Path

    def __call__(self, *args: str, body: Any = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl as this user; the caller looks at the result."""
        text = None if body is None else json.dumps(body)
        return self.plane.kubectl("--kubeconfig", str(self.kubeconfig), *args, input=text)

    def create(self, body: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        """Create one object."""
        return self("create", "-o", "name", "-f", "-", body=body)


def user(plane: Plane, name: str) -> Person:
    """A user of that name, without any right."""
    if not plane.ours:
        pytest.skip("needs the authority of the local control plane")
    config = json.loads(Path(plane.kubeconfig).read_text())
    return Person(plane, name, person(plane.home / "pki", name, config["clusters"][0]["cluster"]["server"]))


def bound(plane: Plane, someone: Person, role: str, namespace: str) -> Person:
    """The user with a ClusterRole in one namespace."""
    binding = f"{role}-{someone.name.partition('@')[0]}"
    plane.must("create", "rolebinding", binding, "-n", namespace, "--clusterrole", role, "--user", someone.name)
    return someone
