"""The demo on kind, for a machine with Docker: real kubelets, and Prometheus beside them from our own build."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

NAME = "goldseam-demo"


class NoKindError(RuntimeError):
    """The demo cannot have a kind cluster; the message says what is missing, or what to do."""


def play(kubeconfig: Path, command: Sequence[str]) -> int:
    """Make a cluster, run the command with `E2E_KUBECONFIG`, delete the cluster. Returns the command's exit status.

    Raises:
        NoKindError: there is no kind, no Docker, or a cluster of the demo's name already.
    """
    _needed()
    kubeconfig.parent.mkdir(exist_ok=True)
    of_ours = ["cluster", "--name", NAME, "--kubeconfig", str(kubeconfig)]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        if subprocess.run(["kind", "create", *of_ours, "--wait", "120s"], check=False).returncode:
            raise NoKindError("`kind create cluster` failed; what it says is above.")
        return _run(command, os.environ | {"E2E_KUBECONFIG": str(kubeconfig)})
    finally:
        subprocess.run(["kind", "delete", *of_ours], check=False)


def _needed() -> None:
    for program in ("docker", "kind"):
        if shutil.which(program) is None:
            raise NoKindError(f"CLUSTER=kind needs {program}, which is not on the PATH. `make demo` needs neither.")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        raise NoKindError("CLUSTER=kind needs a running Docker, and `docker info` fails. `make demo` needs none.")
    there = subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, check=False)
    if NAME in there.stdout.split():
        raise NoKindError(
            f"there is a kind cluster {NAME} already, perhaps of a demo that was killed. Once nobody needs it:"
            f" kind delete cluster --name {NAME}"
        )


def _run(command: Sequence[str], env: dict[str, str]) -> int:
    """The command in a process group of its own: a signal reaches it once, from us, and we outlive it to clean up."""
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        if process is None:  # it may run already, and cannot be reached yet
            early.append(number)
        else:
            process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    sys.stdout.flush()
    process = subprocess.Popen(list(command), env=env, process_group=0)
    for number in early:
        process.send_signal(number)
    status = process.wait()
    return status if status >= 0 else 128 - status
