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

from tests.support.direct import Direct
from tests.support.plane import Plane, eventually, python
from tests.support.proxy import authority_of
from tests.support.zygote import Forked, forked

NAMESPACE = "goldseam-system"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/goldseam"


class OperatorProcess:
    """One running operator."""

    def __init__(
        self,
        kubeconfig: Path,
        log: Path,
        *,
        alone: bool = False,
        recorded: bool = True,
        env: Mapping[str, str] | None = None,
        stdout: int | None = None,
        **settings: str,
    ) -> None:
        """`alone`: it loads its code itself, as in a pod, so does one with `env`, which is added to ours, and one with
        `stdout`, a file descriptor for what would go to `log`. `recorded`: whether it records its decisions."""
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
        self.process: Forked | subprocess.Popen[bytes]
        with log.open("ab") as out:
            if not (alone or env or stdout):
                self.process = forked(ours, out.fileno())
                return
            command = [python(), "-m", "goldseam", "run"]
            self.process = subprocess.Popen(command, env=ours, stdout=stdout or out, stderr=out)

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
    status, answer = Direct(str(kubeconfig), "direct").ask("PATCH", LEASE, {"spec": {"holderIdentity": ""}})
    assert status in (200, 404), answer


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
        assert operator.process.poll() is None, operator.log.read_text()[-3000:]
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
