"""A backup of etcd, and the control plane put back to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controlplane import build, components, processes
from controlplane.tools import NEEDED
from tests.support.plane import Plane, eventually

CLIENTS = ("kube-controller-manager", "kube-scheduler", "kwok")
"""They hold what they have read: they, too, are started again after a restore, as the manual of Kubernetes says."""


class Backups:
    """Of one control plane, which has to be our own."""

    def __init__(self, plane: Plane) -> None:
        self._plane, self._home = plane, plane.home
        programs = {program.name: program for folder in build.ensure(NEEDED) for program in folder.iterdir()}
        ports = json.loads((plane.home / "ports.json").read_text())
        made = components.Plane(plane.home, ports, programs)
        self._commands = {
            "etcd": components.etcd(made),
            "kube-apiserver": components.apiserver(made),
            "kube-controller-manager": components.controller_manager(made),
            "kube-scheduler": components.scheduler(made),
            "kwok": components.kwok(made),
        }

    def take(self, to: Path) -> None:
        """Copy etcd's files while it stands still, as a snapshot of its disk does: nobody else notices."""
        with self._still():
            shutil.copytree(self._home / "etcd", to)

    def restore(self, backup: Path) -> None:
        """Put etcd back to it, behind everybody's back: the same ports, certificates and tokens, an older world.

        What there was is killed, not stopped: the shorter the API server is away, the more of its clients live on.
        """
        for name in (*CLIENTS, "kube-apiserver", "etcd"):
            self._killed(name)
        shutil.rmtree(self._home / "etcd")
        shutil.copytree(backup, self._home / "etcd")
        for name in ("etcd", "kube-apiserver"):
            processes.start(self._home, name, self._commands[name])
        eventually(lambda: self._plane.kubectl("get", "--raw", "/readyz").returncode == 0, "the API server to be back")
        self._plane.must("delete", "leases", "--all", "-n", "kube-node-lease")  # KWOK would wait until its old ones end
        for name in CLIENTS:
            processes.start(self._home, name, self._commands[name])

    def _killed(self, name: str) -> None:
        started = self._started(name)
        processes.end(started, 0)
        eventually(lambda: not started.alive, f"{name} to be gone")

    def _started(self, name: str) -> processes.Started:
        return next(started for started in processes.noted(self._home) if started.name == name)

    @contextmanager
    def _still(self) -> Iterator[None]:
        pid = self._started("etcd").pid
        os.kill(pid, signal.SIGSTOP)
        try:
            eventually(lambda: set(_states(pid)) == {"T"}, "etcd to stand still")
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


def _states(pid: int) -> Iterator[str]:
    """What each of its threads does, as one letter."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        yield stat.read_text().rsplit(")", 1)[1].split()[0]
