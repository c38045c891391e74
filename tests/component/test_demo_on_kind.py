"""The demo on kind, with programs in the place of docker and kind that only note how they were called."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.plane import ROOT, eventually

DEMO = ROOT / "deploy" / "demo"
PLAYED = """
import sys
from pathlib import Path
import on_kind
try:
    sys.exit(on_kind.play(Path(sys.argv[1]), sys.argv[2:]))
except on_kind.NoKindError as error:
    sys.exit(f"demo: {error}")
except KeyboardInterrupt:
    sys.exit(130)
"""
AT_ONCE = """
import os, signal, subprocess, sys, time
import on_kind
begin = subprocess.Popen
def begun(command, **more):
    process = begin(command, **more)
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    return process
subprocess.Popen = begun
sys.exit(on_kind._run(["sh", "-c", sys.argv[2]], dict(os.environ)))
"""
"""A signal comes when the play runs, and it is not known yet which process that is."""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """What was called, a line each."""
    return tmp_path / "notes"


@pytest.fixture
def start(tmp_path: Path, notes: Path) -> Start:
    """Starts the play of a shell command; `kind` answers by a script."""
    programs = tmp_path / "bin"
    programs.mkdir()

    def program(name: str, script: str) -> None:
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)

    def begin(command: str, kind: str = "") -> subprocess.Popen[str]:
        program("docker", "exit 0")
        program("kind", f'echo "kind $1 $2" >> {notes}\n{kind}')
        env = os.environ | {"PATH": f"{programs}:/usr/bin:/bin", "PYTHONPATH": str(DEMO)}
        script = [sys.executable, "-c", PLAYED, str(tmp_path / "kubeconfig"), "sh", "-c", command]
        return subprocess.Popen(script, env=env, stderr=subprocess.PIPE, text=True)

    return begin


def test_the_cluster_is_deleted_after_the_play_whose_exit_status_is_kept(start: Start, notes: Path) -> None:
    process = start(f'echo "played on $E2E_KUBECONFIG" >> {notes}; exit 7')
    assert process.wait(30) == 7
    kubeconfig = notes.parent / "kubeconfig"
    assert notes.read_text().splitlines() == [
        *("kind get clusters", "kind create cluster"),
        *(f"played on {kubeconfig}", "kind delete cluster"),
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupted_play_ends_first_and_then_the_cluster_is_deleted(
    start: Start, notes: Path, number: signal.Signals
) -> None:
    on_signal = f"trap 'echo tidied up >> {notes}; exit 3' {number.name[3:]}"
    process = start(f"{on_signal}; echo playing >> {notes}; while :; do sleep 0.1; done")
    eventually(lambda: notes.exists() and "playing" in notes.read_text(), "the play to begin")
    process.send_signal(number)
    assert process.wait(30) == 3
    assert notes.read_text().splitlines()[-2:] == ["tidied up", "kind delete cluster"]


def test_a_play_that_is_interrupted_as_it_begins_ends_first(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    command = f"trap 'exit 3' TERM; touch {begun}; while :; do sleep 0.1; done"
    script = [sys.executable, "-c", AT_ONCE, str(begun), command]
    assert subprocess.run(script, env=os.environ | {"PYTHONPATH": str(DEMO)}, timeout=30, check=False).returncode == 3


def test_a_cluster_that_cannot_be_made_is_deleted_and_nothing_is_played(start: Start, notes: Path) -> None:
    process = start(f"echo played >> {notes}", kind='test "$1" != create')
    assert "`kind create cluster` failed" in process.communicate(timeout=30)[1]
    assert notes.read_text().splitlines() == ["kind get clusters", "kind create cluster", "kind delete cluster"]


def test_a_cluster_that_is_there_already_is_left_alone_with_the_command_that_deletes_it(
    start: Start, notes: Path
) -> None:
    process = start(f"echo played >> {notes}", kind='if [ "$1" = get ]; then echo goldseam-demo; fi')
    assert "kind delete cluster --name goldseam-demo" in process.communicate(timeout=30)[1]
    assert notes.read_text().splitlines() == ["kind get clusters"]


@pytest.mark.parametrize(("there", "missing"), [((), "docker"), (("docker",), "kind")])
def test_a_missing_program_is_named(tmp_path: Path, there: tuple[str, ...], missing: str) -> None:
    for name in there:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name not in ("E2E_KUBECONFIG", "GOLDSEAM_LOCAL_DIR")}
    env |= {"PATH": str(tmp_path), "CLUSTER": "kind"}
    done = subprocess.run([sys.executable, str(DEMO / "play.py")], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"demo: CLUSTER=kind needs {missing}, which is not on the PATH. `make demo` needs neither.\n"
