"""Operators that are forked from a process which has loaded the code: to load it takes the processor longer than most
tests do, and there are hundreds of them.

One process a run of the tests, as `python -m tests.support.zygote FD`. It has no thread and no event loop, so that a
fork of it is what a process is that has just imported its modules.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache

from goldseam.__main__ import main as run
from tests.support.plane import ROOT, python

LARGEST = 1 << 17
"""Bytes of an environment."""


class Forked:
    """One operator, with as much of `subprocess.Popen` as the tests use."""

    def __init__(self, pid: int, told: socket.socket) -> None:
        self.pid, self._told = pid, told
        self.returncode: int | None = None

    def __del__(self) -> None:
        self._told.close()

    def poll(self) -> int | None:
        """Its exit status; minus the signal that ended it; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float) -> int:
        """The same, once it has ended.

        Raises:
            TimeoutExpired: it has not within so many seconds.
        """
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"operator {self.pid}", timeout)
            said = self._told.recv(16, socket.MSG_PEEK)  # for all who wait: a test, and the proxy's thread that kills
            self.returncode = int(said or -signal.SIGKILL)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing where it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def forked(env: Mapping[str, str], out: int) -> Forked:
    """An operator with that environment; what it prints goes to the file descriptor `out`."""
    told, tells = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with tells:
        socket.send_fds(_zygote(), [json.dumps(dict(env)).encode()], [tells.fileno(), out])
    return Forked(int(told.recv(16)), told)


@cache
def _zygote() -> socket.socket:
    """The way to the process, which ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [python(), "-m", "tests.support.zygote", str(theirs.fileno())]
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    return ours


def main(asked: socket.socket) -> int:
    """Fork an operator for whoever asks, and say how each has ended, until nobody can ask any more."""
    importlib.import_module("goldseam.process")
    running: dict[int, socket.socket] = {}
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready = select.select([asked, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 1024)
            _tell(running)
        if asked in ready:
            env, fds, _, _ = socket.recv_fds(asked, LARGEST, 2)
            if not env:
                break
            if not (pid := os.fork()):
                _become(json.loads(env), fds[1])
                return run(["run"])
            os.close(fds[1])
            running[pid] = socket.socket(fileno=fds[0])
            running[pid].send(str(pid).encode())
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    return 0


def _tell(running: dict[int, socket.socket]) -> None:
    """Say of each operator that has ended how it did."""
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with running.pop(pid) as told, contextlib.suppress(OSError):
                told.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(env: Mapping[str, str], out: int) -> None:
    """Be as a process of its own: its environment, its output, no file of the zygote's, no signal handler."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(env)


if __name__ == "__main__":
    sys.exit(main(socket.socket(fileno=int(sys.argv[1]))))
