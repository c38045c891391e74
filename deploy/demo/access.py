"""The demo's way to a cluster: kubectl, and the refusal to touch one that is not its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

Json = dict[str, Any]


class ForeignClusterError(RuntimeError):
    """The kubeconfig leads to a cluster that is not ours to play with."""


@dataclass(frozen=True)
class Access:
    """kubectl with one kubeconfig; the user's own context is never used."""

    kubeconfig: str

    def kubectl(self, *args: str, text: str | None = None) -> str:
        """Run kubectl.

        Raises:
            RuntimeError: it failed; the message is its own.
        """
        done = subprocess.run(
            ["kubectl", "--kubeconfig", self.kubeconfig, *args],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *args: str) -> Json:
        """What `kubectl get -o json` says; an empty list when there is nothing."""
        found: Json = json.loads(self.kubectl("get", *args, "-o", "json", "--ignore-not-found") or '{"items": []}')
        return found

    def apply(self, file: Path, values: Mapping[str, str]) -> None:
        """Apply a file; `${NAME}` in it is replaced."""
        self.kubectl("apply", "-f", "-", text=Template(file.read_text()).safe_substitute(values))


def unclaimed(access: Access, label: str, names: Iterable[str]) -> None:
    """Let through a cluster in which none of the names (`kind/name`) is somebody else's: what we label we would remove.

    Raises:
        ForeignClusterError: one is there, and does not carry our label.
    """
    key, _, value = label.partition("=")
    theirs = []
    for name in names:
        try:
            found = access.get(name).get("metadata")
        except RuntimeError as error:
            if "doesn't have a resource type" not in str(error):
                raise
            continue
        if found and found.get("labels", {}).get(key) != value:
            theirs.append(name)
    if theirs:
        raise ForeignClusterError(
            f"{', '.join(theirs)} exists already without our label {label}. Objects of these names are made, and in the"
            " end removed; nothing was touched. Use a cluster without them."
        )


def own_cluster(kubeconfig: str, home: str, known: str) -> None:
    """Let through our own control plane, a `kind-*` context, or the server that the caller named.

    Raises:
        ForeignClusterError: it is none of these.
    """
    if home and Path(kubeconfig).resolve().is_relative_to(Path(home).resolve()):
        return
    access = Access(kubeconfig)
    context = access.kubectl("config", "current-context").strip()
    server = access.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}").strip()
    if not (context.startswith("kind-") or (known and known == server)):
        raise ForeignClusterError(
            f"{server} (context {context}) is not a cluster that the demo made. It installs Goldseam in mode Act and"
            f" breaks things on purpose. If you mean it: --i-know-this-cluster={server} (make demo E2E_SERVER={server})"
        )


def service_account(access: Access, file: Path) -> None:
    """Write a kubeconfig with the token of the operator's ServiceAccount."""
    token = access.kubectl("create", "token", "goldseam", "-n", "goldseam-system", "--duration", "2h").strip()
    config = json.loads(access.kubectl("config", "view", "--minify", "--flatten", "-o", "json"))
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump(config, out)
