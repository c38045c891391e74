"""The API server answers badly, late, or nonsense: nothing is done twice or lost, and it is asked in no storm."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.faults import CutShort, Delayed, Instead, Remembered, Seen, dropped, html, refused
from tests.support.figures import show
from tests.support.objects_on_cluster import deployment, effects, outcomes, policy, reached, running, seen, status
from tests.support.operator_process import OperatorProcess, service_account
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.proxy import FaultProxy, Strike, fault_proxy

Trouble = Callable[..., None]
At = Callable[[Seen], bool]
LADDER = {"scale": {"replicas": 5}, "timeout": "180s"}
STORM = 1_500
"""Requests within a minute that would be a storm, for one incident."""


@pytest.fixture
def proxy(installed: Plane) -> Iterator[FaultProxy]:
    with fault_proxy(installed) as between:
        yield between


def the_act(seen: Seen) -> bool:
    return seen.label == "PATCH deployments/scale"


def the_record(seen: Seen) -> bool:
    return seen.label == "PATCH incidents/status"


def any_write(seen: Seen) -> bool:
    return seen.writing


def any_read(seen: Seen) -> bool:
    return seen.reading


def the_target(seen: Seen) -> bool:
    return seen.reading and "/deployments/worker" in seen.path


def a_watch(seen: Seen) -> bool:
    return seen.watching


def a_watch_or_list(seen: Seen) -> bool:
    return seen.watching or (seen.reading and "limit" in seen.parameters)


def not_the_lease(seen: Seen) -> bool:
    return "/leases" not in seen.path and not seen.watching


@dataclass
class Fault:
    """What happens to which requests, so many times."""

    at: At
    effect: object
    times: int
    name: str = field(default="")

    def strike(self) -> Strike:
        return Strike(self.at, self.effect, times=self.times)  # type: ignore[arg-type]


FAULTS = [
    Fault(the_act, dropped(), 1, "the answer to the act is lost"),
    Fault(any_write, dropped(), 6, "the answers to six writes are lost"),
    Fault(the_act, Delayed(12), 1, "the answer to the act comes when nobody waits for it"),
    Fault(the_record, Delayed(12), 2, "the answers to two records come when nobody waits for them"),
    Fault(any_write, refused(409, "Conflict"), 6, "conflicts"),
    Fault(a_watch_or_list, refused(410, "Expired"), 8, "watches and lists have expired"),
    Fault(not_the_lease, refused(429, "TooManyRequests", Retry_After="1"), 30, "too many requests"),
    Fault(not_the_lease, refused(500, "InternalError"), 30, "internal errors"),
    Fault(not_the_lease, refused(503, "ServiceUnavailable", Retry_After="1"), 30, "unavailable"),
    Fault(any_read, html(), 20, "a login page"),
    Fault(any_read, Instead(200, b"[" * 2_000_000, {"Content-Type": "application/json"}), 5, "a huge answer"),
    Fault(a_watch, CutShort(1), 10, "watches are cut"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name.replace(" ", "-") for fault in FAULTS])
def test_it_heals_and_puts_back_once_however_badly_it_is_answered(
    fault: Fault,
    installed: Plane,
    namespace: str,
    source: str,
    proxy: FaultProxy,
    trouble: Trouble,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    installed.apply(deployment(namespace, "worker"), policy(namespace, LADDER))
    running(installed, namespace, "worker", 3)
    strike = fault.strike()
    with running_operator(
        service_account(installed, tmp_path, proxy.url), tmp_path / "operator.log", watch_seconds="5"
    ):
        seen(installed, namespace)  # who has not heard of it yet asks too little to be struck so often
        proxy.strike = strike
        trouble(1, deployment="worker")
        assert strike.done.wait(60), fault.name
        running(installed, namespace, "worker", 5)
        trouble(0, deployment="worker")
        found = reached(installed, namespace, "Resolved")
        eventually(lambda: status(installed, namespace)["owes"] == 0, "the debt to be paid", 120)
        running(installed, namespace, "worker", 3)
    assert outcomes(found) == [("scale", "Passed")]
    assert effects(installed, namespace) == ["patch deployments/scale"] * 2, "up once, back once"
    busiest = proxy.busiest_minute()
    show(capsys, f"{fault.name}: struck {len(strike.struck)} times, {busiest} requests in the busiest minute")
    assert busiest < STORM


def test_an_old_version_of_the_target_leads_to_no_second_act(
    installed: Plane, namespace: str, source: str, proxy: FaultProxy, trouble: Trouble, tmp_path: Path
) -> None:
    """From the act on, the target is shown as it was before."""
    installed.apply(deployment(namespace, "worker"), policy(namespace, LADDER))
    running(installed, namespace, "worker", 3)
    remembered, lying = Remembered(), threading.Event()
    lying.set()
    proxy.strikes = [
        Strike(the_act, "after", remembered.old.set),
        Strike(the_target, remembered, times=None, during=lying),
    ]
    with running_operator(service_account(installed, tmp_path, proxy.url), tmp_path / "operator.log"):
        trouble(1, deployment="worker")
        eventually(remembered.old.is_set, "the act")
        tried = len(proxy.strikes[1].struck)
        eventually(lambda: len(proxy.strikes[1].struck) > tried + 10, "it to look again")
        lying.clear()
        running(installed, namespace, "worker", 5)
        trouble(0, deployment="worker")
        reached(installed, namespace, "Resolved")
        running(installed, namespace, "worker", 3)
    assert effects(installed, namespace) == ["patch deployments/scale"] * 2


NONSENSE = {
    "a list without a version": Instead(
        200, b'{"kind":"IncidentList","items":[]}', {"Content-Type": "application/json"}
    ),
    "a login page": html(),
    "nothing": Instead(200),
}


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_a_start_on_nonsense_ends_before_anything_is_done(
    nonsense: str, installed: Plane, namespace: str, source: str, proxy: FaultProxy, trouble: Trouble, tmp_path: Path
) -> None:
    """Were it taken for a list of no incidents, budgets and debts would be forgotten."""
    installed.apply(deployment(namespace, "worker"), policy(namespace, LADDER))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    account = service_account(installed, tmp_path, proxy.url)
    proxy.strike = Strike(
        lambda seen: seen.reading and seen.path.endswith("/incidents"), NONSENSE[nonsense], times=None
    )
    first = OperatorProcess(account, tmp_path / "first.log")
    assert first.process.wait(60) == 1
    assert effects(installed, namespace) == []
    proxy.strike = None
    with running_operator(account, tmp_path / "second.log"):
        running(installed, namespace, "worker", 5)
    assert effects(installed, namespace) == ["patch deployments/scale"]
