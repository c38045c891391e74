"""The leader goes, or the API server does: what happens in between, and how long it takes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.figures import show
from tests.support.objects_on_cluster import (
    deployment,
    effects,
    holding,
    outcomes,
    pause,
    policy,
    reached,
    running,
    status,
)
from tests.support.operator_process import NAMESPACE, OperatorProcess, service_account, standing_by
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.proxy import FaultProxy, Seen, Strike, fault_proxy

Trouble = Callable[..., None]
LADDER = {"scale": {"replicas": 5}, "timeout": "120s"}
UP_AND_BACK = ["patch deployments/scale"] * 2


@pytest.fixture
def proxy(installed: Plane) -> Iterator[FaultProxy]:
    with fault_proxy(installed) as between:
        yield between


@pytest.fixture
def worker(installed: Plane, namespace: str) -> str:
    installed.apply(deployment(namespace, "worker"), policy(namespace, LADDER))
    running(installed, namespace, "worker", 3)
    return namespace


def healed(plane: Plane, namespace: str, trouble: Trouble) -> None:
    """Resolved by the one rung, and put back: each once."""
    running(plane, namespace, "worker", 5)
    trouble(0, deployment="worker")
    assert outcomes(reached(plane, namespace, "Resolved")) == [("scale", "Passed")]
    eventually(lambda: status(plane, namespace)["owes"] == 0, "the debt to be paid")
    running(plane, namespace, "worker", 3)
    assert effects(plane, namespace) == UP_AND_BACK


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_another_takes_over_a_leader_that_goes_while_its_act_is_on_the_way(
    number: signal.Signals,
    installed: Plane,
    worker: str,
    source: str,
    proxy: FaultProxy,
    trouble: Trouble,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The act has taken effect, and the leader never hears of it."""
    (tmp_path / "other").mkdir()
    other = service_account(installed, tmp_path / "other")
    account = service_account(installed, tmp_path, proxy.url)
    gone: list[float] = []
    with (
        running_operator(account, tmp_path / "first.log") as first,
        standing_by(other, tmp_path / "second.log") as second,
    ):

        def go() -> None:
            first.process.send_signal(number)
            gone.append(time.monotonic())

        proxy.strike = Strike(lambda seen: seen.label == "PATCH deployments/scale", "after", go)
        trouble(1, deployment="worker")
        eventually(lambda: gone, "the act")
        eventually(second.ready, "the other operator to lead")
        took, lasts = time.monotonic() - gone[0], installed.get("lease", "goldseam", NAMESPACE)["spec"]
        show(capsys, f"take-over after {number.name}: {took:.1f} s (lease: {lasts['leaseDurationSeconds']} s)")
        healed(installed, worker, trouble)
        assert second.ready()
    assert first.process.returncode == (0 if number == signal.SIGTERM else -number)


def an_intent(seen: Seen) -> bool:
    steps = ((seen.body or {}).get("status") or {}).get("steps") or []
    return seen.label == "PATCH incidents/status" and any(step["phase"] == "Intended" for step in steps)


@contextmanager
def leading(kubeconfig: Path, log: Path, first: OperatorProcess | None) -> Iterator[OperatorProcess]:
    """The one that leads: the same one still, or the next that the kubelet starts."""
    if first is not None:
        yield first
        return
    with running_operator(kubeconfig, log) as second:
        yield second


@pytest.mark.parametrize("long", [False, True])
def test_after_the_api_server_was_away_nothing_is_done_on_what_was_read_before(
    long: bool, installed: Plane, worker: str, source: str, proxy: FaultProxy, trouble: Trouble, tmp_path: Path
) -> None:
    """It goes when the intent is written, the last moment before the act; before it is back, somebody pauses."""
    account = service_account(installed, tmp_path, proxy.url)
    with running_operator(account, tmp_path / "first.log") as first:
        strike = Strike(an_intent, "after", proxy.leave)
        proxy.strike = strike
        trouble(1, deployment="worker")
        assert strike.done.wait(60)
        installed.apply(pause(worker))
        if long:
            assert first.process.wait(60) == 1, "its lease could not be renewed"
        proxy.come_back()
        with leading(account, tmp_path / "second.log", None if long else first):
            holding(installed, worker, "Paused")
            assert [step["phase"] for step in status(installed, worker)["steps"]] == ["Intended"]
            assert effects(installed, worker) == []
            installed.must("delete", "pause", "pause", "-n", worker)
            healed(installed, worker, trouble)
