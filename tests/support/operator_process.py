"""The operator as a process with its ServiceAccount's token, as in a pod."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.plane import Plane, eventually, python
from tests.support.proxy import authority_of

NAMESPACE = "goldseam-system"
WAITING = "import sys; from goldseam.__main__ import main; sys.stdin.readline() and sys.exit(main(['run']))"


class OperatorProcess:
    """One running operator."""

    def __init__(
        self,
        kubeconfig: Path,
        log: Path,
        *,
        waits: bool = False,
        recorded: bool = True,
        env: Mapping[str, str] | None = None,
        stdout: int | None = None,
        **settings: str,
    ) -> None:
        """With `waits` it loads its code, and nothing else until `begin` is called. `recorded`: whether it records its
        decisions. `env` is added to ours; `stdout` is
        a file descriptor for what would go to `log`."""
        self.log, self.port, self._kubeconfig = log, free_port(), kubeconfig
        ours = {name: value for name, value in os.environ.items() if not name.startswith("GOLDSEAM_")}
        ours |= {
            "GOLDSEAM_KUBECONFIG": str(kubeconfig),
            "GOLDSEAM_NAMESPACE": NAMESPACE,
            "GOLDSEAM_LISTEN_HOST": "127.0.0.1",
            "GOLDSEAM_LISTEN_PORT": str(self.port),
        }
        ours |= {"GOLDSEAM_RECORD_DIR": str(log.parent / "recordings")} if recorded else {}
        ours |= {f"GOLDSEAM_{name.upper()}": value for name, value in settings.items()}
        ours |= env or {}
        command = [python(), "-c", WAITING] if waits else [python(), "-m", "goldseam", "run"]
        stdin = subprocess.PIPE if waits else None
        with log.open("ab") as out:
            self.process = subprocess.Popen(command, env=ours, stdin=stdin, stdout=stdout or out, stderr=out)

    def begin(self) -> None:
        """Let one that waits begin."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.close()

    def freeze(self) -> None:
        """SIGSTOP: as a machine that hangs for a while."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def ready(self) -> bool:
        """Whether `/readyz` says so, and it leads."""
        return self.get("/readyz") == (200, "ok\n")

    def metric(self, series: str) -> float:
        """The value of the first series of that name, a regular expression; 0 while there is none."""
        found = re.search(rf"^{series} (\S+)$", self.get("/metrics")[1], re.M)
        return float(found[1]) if found else 0.0

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of one of its endpoints; 0 when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(10)
        release(self._kubeconfig)

    def stop(self) -> int:
        """SIGTERM. Returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


def release(kubeconfig: Path) -> None:
    """End the lease of a process that is no more, so that the next one need not wait until it is over."""
    patch = '{"spec": {"holderIdentity": ""}}'
    as_operator = ["--kubeconfig", str(kubeconfig), "--context", "direct", "-n", NAMESPACE]
    command = ["kubectl", *as_operator, "patch", "lease", "goldseam", "--type=merge", "-p", patch]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 or "NotFound" in done.stderr, done.stderr


@contextmanager
def standing_by(kubeconfig: Path, log: Path, **options: Any) -> Iterator[OperatorProcess]:
    """A second operator, beside one that leads."""
    operator = OperatorProcess(kubeconfig, log, **options)
    try:
        eventually(lambda: operator.get("/readyz")[1].startswith("standby"), "the operator to stand by")
        yield operator
    finally:
        if operator.process.poll() is None:
            operator.process.kill()
            operator.process.wait(10)


@contextmanager
def running(kubeconfig: Path, log: Path, **options: Any) -> Iterator[OperatorProcess]:
    """An operator that is ready; it is ended with the context."""
    release(kubeconfig)  # of one that was killed by other means
    operator = OperatorProcess(kubeconfig, log, **options)
    try:
        eventually(lambda: operator.ready() or operator.process.poll() is not None, "the operator to be ready")
        assert operator.process.poll() is None, log.read_text()[-3000:]
        yield operator
    finally:
        if operator.process.poll() is None:
            operator.kill()


def service_account(plane: Plane, home: Path, server: str = "") -> Path:
    """A kubeconfig with the ServiceAccount's token; `server` puts a fault proxy before the API server."""
    token = plane.must("create", "token", "goldseam", "-n", NAMESPACE, "--duration", "3h").strip()
    config = json.loads(plane.must("config", "view", "--minify", "--flatten", "-o", "json"))
    (cluster,), (user,) = config["clusters"], config["users"]
    direct = {"name": "direct", "cluster": dict(cluster["cluster"])}
    user["user"] = {"token": token}
    if server:
        cluster["cluster"] = {"server": server, "certificate-authority": str(authority_of(plane.home))}
    config["clusters"].append(direct)
    config["contexts"].append({"name": "direct", "context": {"cluster": "direct", "user": user["name"]}})
    file = home / "operator.kubeconfig"
    file.write_text(json.dumps(config))
    return file


def free_port() -> int:
    """A port on loopback that nobody listens at."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])
