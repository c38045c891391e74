"""Start processes, and end only those that we started: a pid counts only together with its start time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

PATIENCE = 10.0


@dataclass(frozen=True)
class Started:
    """A process that we started."""

    name: str
    pid: int
    born: str
    """When the kernel says that it began: another process of the same pid has another time."""

    @property
    def alive(self) -> bool:
        """Whether it runs still, and is still the same."""
        return bool(self.born) and birth(self.pid) == self.born


def birth(pid: int) -> str:
    """When a process began; empty when there is none, or only its zombie."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            return ""
        return "" if fields[0] == "Z" else fields[19]
    said = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, began = said.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else began.strip()


def start(home: Path, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Started:
    """Start a process in a session of its own, with its output in `log/NAME.log`, and note it in `pid/NAME.json`."""
    for folder in ("log", "pid"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    with (home / "log" / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
        )
    return note(home, name, process.pid)


def note(home: Path, name: str, pid: int) -> Started:
    """Note a process as ours."""
    (home / "pid").mkdir(parents=True, exist_ok=True)
    started = Started(name, pid, birth(pid))
    (home / "pid" / f"{name}.json").write_text(json.dumps(asdict(started)))
    return started


def noted(home: Path) -> list[Started]:
    """All that are noted, the newest first."""
    files = sorted((home / "pid").glob("*.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    return [Started(**json.loads(file.read_text())) for file in files]


def end_all(home: Path) -> None:
    """End what is noted, the newest first: those above the API server, then it, then etcd."""
    for started in noted(home):
        end(started)
        (home / "pid" / f"{started.name}.json").unlink(missing_ok=True)


def end(started: Started, patience: float = PATIENCE) -> None:
    """End a process and its group: gently, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not started.alive:
            return
        _signal(started.pid, number)
        _await_end(started, patience)


def _signal(pid: int, number: signal.Signals) -> None:
    """To the whole group where it leads one, so that its children go too."""
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return


def _await_end(started: Started, patience: float) -> None:
    deadline = time.monotonic() + patience
    while started.alive and time.monotonic() < deadline:
        _reap(started.pid)
        time.sleep(0.02)


def _reap(pid: int) -> None:
    """Take the exit status of our own child, so that no zombie stays."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
