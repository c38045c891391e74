"""A watch that sees nothing any more is opened again, or the process ends: it is never a zombie."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.faults import CutShort, Effect, Seen, Stalled, html, refused
from tests.support.objects_on_cluster import deployment, policy, running
from tests.support.operator_process import OperatorProcess, service_account
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.proxy import FaultProxy, Strike, fault_proxy

Trouble = Callable[..., None]
ENDLESS: dict[str, Effect] = {
    "errors": refused(500, "InternalError"),
    "refusals": refused(403, "Forbidden"),
    "too many requests": refused(429, "TooManyRequests", Retry_After="1"),
    "a login page": html(502),
}


@pytest.fixture
def proxy(installed: Plane) -> Iterator[FaultProxy]:
    with fault_proxy(installed) as between:
        yield between


def of(plural: str) -> Callable[[Seen], bool]:
    """The requests of the watch of that kind: not our own, which ask for one object or for a namespace's."""
    return lambda seen: seen.path == f"/apis/goldseam.dev/v1alpha1/{plural}" and seen.method == "GET"


def armed(plane: Plane, namespace: str) -> bool:
    """Whether the policy has been seen, and judged."""
    return bool(plane.get("rempol", "heal", namespace).get("status", {}).get("conditions"))


@pytest.mark.parametrize("effect", [Stalled(0), CutShort(0)], ids=["stalled", "killed"])
def test_a_watch_that_is_stalled_or_killed_is_opened_again_and_has_missed_nothing(
    effect: Effect, installed: Plane, namespace: str, source: str, proxy: FaultProxy, trouble: Trouble, tmp_path: Path
) -> None:
    account = service_account(installed, tmp_path, proxy.url)
    strike = Strike(lambda seen: of("remediationpolicies")(seen) and seen.watching, effect, times=2)
    with running_operator(account, tmp_path / "operator.log", watch_seconds="5") as operator:
        proxy.strike = strike
        assert strike.done.wait(60)
        installed.apply(deployment(namespace, "worker"), policy(namespace, {"scale": {"replicas": 5}}))
        eventually(lambda: armed(installed, namespace), "the policy to be seen")
        running(installed, namespace, "worker", 3)
        trouble(1, deployment="worker")
        running(installed, namespace, "worker", 5)
        assert operator.ready()


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_watch_that_meets_endless_errors_is_said_then_ends_the_process(
    kind: str, installed: Plane, source: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    account, wrong = service_account(installed, tmp_path, proxy.url), threading.Event()
    strike = Strike(of("pauses"), ENDLESS[kind], times=None, during=wrong)
    proxy.strike = strike
    with running_operator(account, tmp_path / "operator.log", watch_seconds="4") as operator:
        wrong.set()
        said: list[str] = []

        def ended() -> bool:
            code, text = operator.get("/readyz")
            said.extend([text] if code == 503 else [])
            return operator.process.poll() is not None

        eventually(ended, "the process to end", 120)
        assert operator.process.returncode == 1
        assert any("pauses" in text for text in said) or "pauses" in operator.log.read_text()
        wrong.clear()
    with running_operator(account, tmp_path / "again.log"):
        pass


def test_one_that_cannot_watch_from_the_start_never_says_that_it_is_ready(
    installed: Plane, source: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.strike = Strike(of("pauses"), refused(403, "Forbidden"), times=None)
    operator = OperatorProcess(service_account(installed, tmp_path, proxy.url), tmp_path / "o.log", watch_seconds="4")
    try:
        eventually(lambda: operator.process.poll() is not None, "the process to end", 120)
        assert operator.process.returncode == 1
    finally:
        if operator.process.poll() is None:
            operator.kill()
