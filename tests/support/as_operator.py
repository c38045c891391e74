"""kubectl with the operator's own token: what RBAC and admission say to it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.plane import Plane

Answer = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class AsOperator:
    """The operator, as far as its token goes."""

    plane: Plane
    kubeconfig: Path

    def __call__(self, *args: str, body: Any = None) -> Answer:
        """Run kubectl; the caller looks at the result."""
        text = None if body is None else json.dumps(body)
        return self.plane.kubectl("--kubeconfig", str(self.kubeconfig), *args, input=text)

    def set_status(self, kind: str, name: str, namespace: str, status: dict[str, Any], *flags: str) -> Answer:
        """Write the status of an object of ours. An apply, because `kubectl patch` would read the subresource first."""
        body = {
            "apiVersion": "goldseam.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
            "status": status,
        }
        how = ("apply", "--server-side", "--force-conflicts", "--field-manager=goldseam", "--subresource=status")
        return self(*how, *flags, "-f", "-", body=body)
