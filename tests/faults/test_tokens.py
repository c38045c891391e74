"""The ServiceAccount's token is replaced, or taken away."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.figures import show
from tests.support.objects_on_cluster import deployment, effects, policy, running
from tests.support.operator_process import NAMESPACE, OperatorProcess, release, service_account
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.proxy import FaultProxy, fault_proxy

Trouble = Callable[..., None]


@dataclass
class Tokens:
    """Tokens of the ServiceAccount, each bound to a Secret of its own: without that it is worth nothing."""

    plane: Plane
    file: Path
    """Where the operator's token is; the kubelet would replace it there."""

    def issue(self) -> str:
        """Put a new token there. Returns the name of what it is bound to."""
        name = f"token-{uuid.uuid4().hex[:8]}"
        self.plane.must("create", "secret", "generic", name, "-n", NAMESPACE)
        bound = ("--bound-object-kind=Secret", f"--bound-object-name={name}")
        token = self.plane.must("create", "token", "goldseam", "-n", NAMESPACE, *bound).strip()
        draft = self.file.with_suffix(".new")
        draft.write_text(token + "\n")
        draft.rename(self.file)
        return name

    def revoke(self, name: str, token: str) -> None:
        """Take away what the token is bound to, and wait until the API server refuses it."""
        config = json.loads(service_account(self.plane, self.file.parent).read_text())
        config["users"][0]["user"] = {"token": token}
        file = self.file.with_name("revoked.kubeconfig")
        file.write_text(json.dumps(config))
        self.plane.must("delete", "secret", name, "-n", NAMESPACE)

        def refused() -> bool:
            done = self.plane.kubectl("--kubeconfig", str(file), "get", "lease", "goldseam", "-n", NAMESPACE)
            return "Unauthorized" in done.stderr or "must be logged in" in done.stderr

        eventually(refused, "the token to be refused")


@pytest.fixture
def tokens(installed: Plane, tmp_path: Path) -> Tokens:
    return Tokens(installed, tmp_path / "token")


def account(tokens: Tokens, home: Path, server: str = "") -> Path:
    """The operator's kubeconfig, with its token in a file."""
    home = home / "account"
    home.mkdir()
    file = service_account(tokens.plane, home, server)
    config = json.loads(file.read_text())
    config["users"][0]["user"] = {"tokenFile": str(tokens.file)}
    file.write_text(json.dumps(config))
    return file


def holder(plane: Plane) -> str:
    return str(plane.get("lease", "goldseam", NAMESPACE)["spec"]["holderIdentity"])


def test_a_token_that_was_replaced_is_used_without_a_restart(
    installed: Plane, namespace: str, source: str, tokens: Tokens, trouble: Trouble, tmp_path: Path
) -> None:
    old, was = tokens.issue(), tokens.file.read_text().strip()
    with running_operator(account(tokens, tmp_path), tmp_path / "operator.log") as operator:
        installed.apply(deployment(namespace, "worker"), policy(namespace, {"restart": {}, "timeout": "60s"}))
        running(installed, namespace, "worker", 3)
        leader = holder(installed)
        tokens.issue()
        tokens.revoke(old, was)
        trouble(1, deployment="worker")
        eventually(lambda: effects(installed, namespace), "the rung, with the new token")
        assert operator.ready()
        assert holder(installed) == leader, "the same process"


@contextmanager
def started(kubeconfig: Path, log: Path) -> Iterator[OperatorProcess]:
    """An operator that may never be ready; its lease is ended by others."""
    operator = OperatorProcess(kubeconfig, log)
    try:
        yield operator
    finally:
        if operator.process.poll() is None:
            operator.process.kill()
            operator.process.wait(10)


@pytest.fixture
def proxy(installed: Plane) -> Iterator[FaultProxy]:
    with fault_proxy(installed) as between:
        yield between


def test_with_a_token_that_was_revoked_nothing_is_done_and_it_neither_hangs_nor_storms(
    installed: Plane,
    namespace: str,
    source: str,
    operator_kubeconfig: Path,
    tokens: Tokens,
    proxy: FaultProxy,
    trouble: Trouble,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    bound, token = tokens.issue(), tokens.file.read_text().strip()
    kubeconfig = account(tokens, tmp_path, proxy.url)
    installed.apply(deployment(namespace, "worker"), policy(namespace, {"restart": {}, "timeout": "60s"}))
    running(installed, namespace, "worker", 3)
    release(operator_kubeconfig)
    with started(kubeconfig, tmp_path / "first.log") as first:
        eventually(first.ready, "the operator to be ready")
        tokens.revoke(bound, token)
        before, begun = len(proxy.requests), time.monotonic()
        trouble(1, deployment="worker")
        assert first.process.wait(60) == 1, "its lease is lost: it ends, which the kubelet sees"
        spent = len(proxy.requests) - before
        show(
            capsys,
            f"requests per minute of a leader whose token was revoked: {60 * spent / (time.monotonic() - begun):.0f}",
        )
        assert spent < 100
    with started(kubeconfig, tmp_path / "second.log") as second:
        before, begun = len(proxy.requests), time.monotonic()
        eventually(lambda: refused(second) >= 5, "it to have tried for a while")
        spent = len(proxy.requests) - before
        show(capsys, f"requests per minute of one that is started so: {60 * spent / (time.monotonic() - begun):.0f}")
        logins = sum(line["msg"] == "Re-authentication has been initiated." for line in second.lines())
        assert logins <= 5, "no oftener than it asks for the Lease"
        assert not second.ready(), "the kubelet and people see it"
    assert effects(installed, namespace) == []


def refused(operator: OperatorProcess) -> int:
    """How often it has noted that it may not even read the Lease."""
    return sum(line["msg"] == "lease_not_read" and "Unauthorized" in line["problem"] for line in operator.lines())
