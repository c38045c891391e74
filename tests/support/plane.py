"""The real control plane, as the cluster tests use it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support.direct import objects

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")
PATIENCE = 60.0
OURS = (
    "remediationpolicies",
    "clusterremediationpolicies",
    "alertsources",
    "runbooks",
    "pauses",
    "guardrails",
    "responses",
)


def eventually(ask: Callable[[], T], what: str, patience: float = PATIENCE, every: float = 0.1) -> T:
    """What `ask` answers once it is true; fails with the last answer when it never is. Times are in seconds."""
    deadline, answer = time.monotonic() + patience, None
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(every)
    raise AssertionError(f"{what}: not within {patience:g} s; last answer: {answer!r}")


class AuditLog:
    """An audit log, as far as it was read: each line is parsed once, however often a test looks."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0
        self._entries: list[dict[str, Any]] = []

    def entries(self) -> list[dict[str, Any]]:
        """All entries that are complete by now."""
        with self._path.open("rb") as log:
            if log.seek(0, os.SEEK_END) < self._at:  # it was begun anew
                self._at, self._entries = 0, []
            log.seek(self._at)
            for line in log:
                if not line.endswith(b"\n"):  # it is being written: its rest would come as the next line
                    break
                self._at += len(line)
                self._entries.append(json.loads(line))
        return list(self._entries)


@lru_cache
def audit_log(path: Path) -> AuditLog:
    """The log of one API server."""
    return AuditLog(path)


@dataclass(frozen=True)
class Plane:
    """A control plane of our own, with Prometheus and Alertmanager."""

    home: Path
    env: dict[str, str]
    ours: bool = True
    """Whether the API server is our own, with its audit log."""

    @property
    def kubeconfig(self) -> str:
        """The admin's kubeconfig."""
        return self.env["KUBECONFIG"]

    @property
    def prometheus(self) -> str:
        """Prometheus' URL."""
        return self.env["PROMETHEUS_URL"]

    @property
    def alertmanager(self) -> str:
        """Alertmanager's URL."""
        return self.env["ALERTMANAGER_URL"]

    def kubectl(self, *args: str, input: str | None = None) -> subprocess.CompletedProcess[str]:  # noqa: A002
        """Run kubectl as admin; the caller looks at the result."""
        return subprocess.run(
            ["kubectl", "--kubeconfig", self.kubeconfig, *args],
            input=input,
            capture_output=True,
            text=True,
            env=os.environ | self.env,
            check=False,
            timeout=120,
        )

    def must(self, *args: str, input: str | None = None) -> str:  # noqa: A002
        """Run kubectl; it must succeed."""
        done = self.kubectl(*args, input=input)
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects as a person would."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.must("apply", "-f", "-", input=json.dumps(items))

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        """One object; empty when there is none."""
        if self.ours:
            return objects(self.kubeconfig).get(kind, name, namespace)
        where = ["-n", namespace] if namespace else []
        done = self.kubectl("get", kind, name, *where, "-o", "json", "--show-managed-fields")
        found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        return found

    def all(self, kind: str, namespace: str = "") -> list[dict[str, Any]]:
        """All objects of a kind."""
        if self.ours:
            return objects(self.kubeconfig).all(kind, namespace)
        where = ["-n", namespace] if namespace else ["-A"]
        items: list[dict[str, Any]] = json.loads(self.must("get", kind, *where, "-o", "json"))["items"]
        return items

    def namespace(self, name: str, **labels: str) -> None:
        """Make a namespace."""
        obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        if self.ours:
            objects(self.kubeconfig).create(obj)
        else:
            self.must("create", "-f", "-", input=json.dumps(obj))

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object, if it is there, without waiting until it is gone."""
        if self.ours:
            objects(self.kubeconfig).delete(kind, name, namespace)
        else:
            where = ["-n", namespace] if namespace else []
            self.must("delete", kind, name, *where, "--wait=false", "--ignore-not-found")

    def clear(self, *kinds: str) -> None:
        """Delete all objects of these kinds, and wait until they are gone."""

        def left() -> list[tuple[str, dict[str, Any]]]:
            return [(kind, found["metadata"]) for kind in kinds for found in self.all(kind)]

        for kind, about in left():
            self.remove(kind, about["name"], about.get("namespace", ""))
        eventually(lambda: not left(), f"all {', '.join(kinds)} to be gone")

    def audit(self) -> Iterator[dict[str, Any]]:
        """What the API server's audit log has: the judge of every test about effects."""
        if not self.ours:
            pytest.skip("this cluster's audit log cannot be read")
        yield from audit_log(self.home / "log" / "audit.json").entries()

    def program(self, name: str) -> str:
        """Where a program of the control plane is; a cluster that is lent may lack it, and then the test is skipped."""
        found = shutil.which(name, path=self.env["PATH"])
        if found is None:
            assert not self.ours, f"our own control plane brings {name}"
            pytest.skip(f"there is no {name} on the PATH of this cluster")
        return found

    def reload(self) -> None:
        """Let Prometheus read its rules anew."""
        request = urllib.request.Request(self.prometheus + "/-/reload", method="POST")
        urllib.request.urlopen(request, timeout=30).close()

    def rules(self, name: str, rules: list[dict[str, Any]], interval: str = "1s") -> None:
        """Give Prometheus a group of rules; an empty list takes the group away."""
        file = self.home / "prometheus" / "rules.d" / f"{name}.yml"
        if rules:
            file.write_text(json.dumps({"groups": [{"name": name, "interval": interval, "rules": rules}]}))
        else:
            file.unlink(missing_ok=True)
        self.reload()


@contextmanager
def control_plane(home: Path, nodes: int, *options: str) -> Iterator[Plane]:
    """Start one; it ends with us, however we end: its command waits for a pipe that only we hold."""
    command = [str(ROOT / "deploy" / "local" / "cluster"), "run", "--nodes", str(nodes), "--dir", str(home), *options]
    process = subprocess.Popen(
        [*command, "--", "sh", "-c", "env; echo up; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    env = {}
    for line in process.stdout:
        if line.strip() == "up":
            break
        name, _, value = line.rstrip("\n").partition("=")
        if name in ("KUBECONFIG", "PROMETHEUS_URL", "ALERTMANAGER_URL", "PATH"):
            env[name] = value
    else:
        raise AssertionError(f"the control plane did not come up; logs are in {home}/log")
    os.environ["PATH"] = env["PATH"]  # its kubectl, also for what is called without a Plane at hand
    try:
        yield Plane(home.resolve(), env)
    finally:
        process.stdin.close()
        process.wait(60)


def python() -> str:
    """The interpreter that runs the tests."""
    return sys.executable
