"""`run`: a control plane that lives and dies with its caller, also when the caller is killed.

The caller holds the writing end of a pipe; a supervisor in a session of its own holds the reading end. When the caller
ends, for whatever reason, the pipe breaks, and the supervisor ends all that was started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from controlplane import cluster, processes

HERE = Path(__file__).resolve().parents[1]


def run(home: Path, options: cluster.Options, command: Sequence[str]) -> int:
    """Start a control plane, run the command in its environment, end both. Returns the command's exit status."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    writing = _supervise(home)
    try:
        plane = cluster.up(home, options)
        return _run(home, command, os.environ | cluster.environment(plane))
    finally:
        cluster.down(home)
        os.close(writing)


def _supervise(home: Path) -> int:
    """Start the supervisor. Returns the writing end of the pipe, which no other process inherits."""
    reading, writing = os.pipe()
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from controlplane import supervisor as s; s.watch(*sys.argv[2:])"
    )
    subprocess.Popen(
        [sys.executable, "-c", code, str(HERE), str(home), str(reading)],
        pass_fds=(reading,),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(reading)
    return writing


def watch(home: str, reading: str) -> None:
    """Wait until the caller is gone, then end what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.read(int(reading), 1)
    processes.end_all(Path(home))


def _run(home: Path, command: Sequence[str], env: dict[str, str]) -> int:
    """The command in a process group of its own; our signals are passed on to it.

    The handlers are there before the command: no signal falls in between, and the command does not inherit that we were
    told to ignore one, as a shell tells what it starts in the background (POSIX `exec` resets handlers, not SIG_IGN).
    """
    process: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _: FrameType | None) -> None:
        if process is None:
            raise KeyboardInterrupt
        if process.poll() is None:
            os.killpg(process.pid, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    process = subprocess.Popen(list(command), env=env, process_group=0)
    processes.note(home, "command", process.pid)
    status = process.wait()
    return status if status >= 0 else 128 - status
