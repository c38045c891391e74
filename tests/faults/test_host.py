"""The operator's machine fails it: no room on the disk, nobody who reads the log, names that resolve no more."""

from __future__ import annotations

import fcntl
import os
import resource
import select
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.objects_on_cluster import (
    deployment,
    effects,
    holding,
    outcomes,
    pause,
    policy,
    reached,
    running,
    source_says,
    status,
)
from tests.support.operator_process import OperatorProcess
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
LADDER = {"scale": {"replicas": 5}, "timeout": "120s"}
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@pytest.fixture
def worker(installed: Plane, namespace: str) -> str:
    installed.apply(deployment(namespace, "worker"), policy(namespace, LADDER))
    running(installed, namespace, "worker", 3)
    return namespace


def lives(plane: Plane, namespace: str, trouble: Trouble) -> None:
    """The whole life of an incident: scaled up once, resolved, put back."""
    trouble(1, deployment="worker")
    running(plane, namespace, "worker", 5)
    trouble(0, deployment="worker")
    found = reached(plane, namespace, "Resolved")
    assert outcomes(found) == [("scale", "Passed")]
    eventually(lambda: status(plane, namespace)["owes"] == 0, "the debt to be paid")
    running(plane, namespace, "worker", 3)
    assert effects(plane, namespace) == ["patch deployments/scale"] * 2


@ON_LINUX
def test_without_room_on_the_disk_only_recordings_and_lines_of_the_log_are_lost(
    installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    recordings = operator.log.parent / "recordings"
    resource.prlimit(operator.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    before = operator.log.read_bytes()
    lives(installed, worker, trouble)
    assert operator.log.read_bytes() == before, "there was no room"
    assert list(recordings.iterdir()) == [], "half a recording is none"
    resource.prlimit(operator.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert operator.stop() == 0
    assert operator.log.read_bytes()[len(before) :].startswith(b"{"), "then the log goes on, with whole lines"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A small pipe that nobody reads."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    yield reading, writing
    os.close(reading)
    os.close(writing)


@ON_LINUX
def test_when_nobody_reads_the_log_the_operator_works_answers_and_ends_well(
    installed: Plane,
    worker: str,
    source: str,
    operator_kubeconfig: Path,
    trouble: Trouble,
    pipe: tuple[int, int],
    tmp_path: Path,
) -> None:
    _, writing = pipe
    with running_operator(operator_kubeconfig, tmp_path / "log", stdout=writing, log_level="DEBUG") as operator:
        eventually(lambda: not select.select([], [writing], [], 0)[1], "the pipe to be full")
        lives(installed, worker, trouble)
        assert not select.select([], [writing], [], 0)[1], "it is full still"
        assert operator.get("/healthz") == (200, "ok\n")
        assert operator.stop() == 0


RESOLVER = """
import os, socket
real = socket.getaddrinfo
def getaddrinfo(host, *args, **kwargs):
    if host in ("prometheus.test", b"prometheus.test"):
        if not os.path.exists(os.environ["RESOLVES"]):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        host = "127.0.0.1"
    return real(host, *args, **kwargs)
socket.getaddrinfo = getaddrinfo
"""
"""What Python imports by itself at its start: a resolver that knows the name for as long as a file is there."""


def test_when_the_name_of_prometheus_resolves_no_more_nothing_is_done_and_the_hold_says_why(
    installed: Plane, worker: str, source: str, operator_kubeconfig: Path, trouble: Trouble, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(RESOLVER)
    resolves = tmp_path / "resolves"
    resolves.touch()
    url = f"http://prometheus.test:{installed.prometheus.rpartition(':')[2]}"
    installed.must("patch", "alertsource", source, "--type=merge", "-p", f'{{"spec": {{"url": "{url}"}}}}')
    installed.apply(pause(worker))
    env = {"PYTHONPATH": str(tmp_path), "RESOLVES": str(resolves)}
    with running_operator(operator_kubeconfig, tmp_path / "operator.log", env=env):
        trouble(1, deployment="worker")
        holding(installed, worker, "Paused")
        resolves.unlink()
        eventually(lambda: "not known" in reachable(installed), "the AlertSource to say so")
        installed.must("delete", "pause", "pause", "-n", worker)
        hold = eventually(lambda: unknowing(installed, worker), "a hold for want of knowledge")
        assert "name or service not known" in hold
        assert status(installed, worker)["verdict"]["fresh"] is False
        assert effects(installed, worker) == []
        resolves.touch()
        running(installed, worker, "worker", 5)
        trouble(0, deployment="worker")
        reached(installed, worker, "Resolved")
    assert effects(installed, worker)[0] == "patch deployments/scale"


def reachable(plane: Plane) -> str:
    """What the AlertSource says of being reached."""
    return source_says(plane, "SourceReachable")[1]


def unknowing(plane: Plane, namespace: str) -> str:
    """What the incident says when its alert source tells nothing, and nothing else holds it."""
    holds = status(plane, namespace).get("holds", [])
    if any(hold["reason"] == "Paused" for hold in holds):
        return ""
    return next((hold["message"] for hold in holds if hold["guard"] == "source"), "")
