"""The operator's clock is wrong, or is stepped in the middle: nothing twice, nothing before its time, nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.objects_on_cluster import deployment, effects, outcomes, policy, reached, running, status
from tests.support.operator_process import NAMESPACE, OperatorProcess
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.wrong_clock import WrongClock

Trouble = Callable[..., None]
HOURS = pytest.mark.parametrize("hours", [1, -1])
LADDER = ({"scale": {"replicas": 5}, "timeout": "10m"}, {"restart": {}, "timeout": "10m"})
UP_AND_BACK = ["patch deployments/scale"] * 2


def troubled(plane: Plane, namespace: str, trouble: Trouble) -> None:
    plane.apply(deployment(namespace, "worker"), policy(namespace, *LADDER))
    running(plane, namespace, "worker", 3)
    trouble(1, deployment="worker")


def healed(plane: Plane, namespace: str, trouble: Trouble) -> None:
    """The end of every one of these lives: resolved by the first rung, and nothing is owed."""
    trouble(0, deployment="worker")
    found = reached(plane, namespace, "Resolved")
    assert outcomes(found) == [("scale", "Passed")]
    eventually(lambda: status(plane, namespace)["owes"] == 0, "the debt to be paid")
    running(plane, namespace, "worker", 3)
    assert effects(plane, namespace) == UP_AND_BACK


def reads(operator: OperatorProcess) -> int:
    """How often the alert source was read: after each time every incident is looked at."""
    return int(operator.metric('goldseam_source_reads_total{outcome="ok",source="default"}'))


def looked_at(operator: OperatorProcess, times: int) -> None:
    """Wait until the incidents were looked at so many times more."""
    before = reads(operator)
    eventually(lambda: reads(operator) >= before + times, f"{times} more looks")


@HOURS
def test_an_operator_whose_clock_is_wrong_from_the_start_heals_and_undoes(
    hours: int,
    installed: Plane,
    namespace: str,
    source: str,
    operator_kubeconfig: Path,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    clock = WrongClock(tmp_path, hours)
    with running_operator(operator_kubeconfig, tmp_path / "operator.log", env=clock.env) as operator:
        clock.shown_by(operator)
        troubled(installed, namespace, trouble)
        running(installed, namespace, "worker", 5)
        healed(installed, namespace, trouble)


@HOURS
def test_a_step_of_the_clock_ends_no_rung_and_stops_none(
    hours: int,
    installed: Plane,
    namespace: str,
    source: str,
    operator_kubeconfig: Path,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    clock = WrongClock(tmp_path)
    with running_operator(operator_kubeconfig, tmp_path / "operator.log", env=clock.env) as operator:
        troubled(installed, namespace, trouble)
        running(installed, namespace, "worker", 5)
        held = installed.get("lease", "goldseam", NAMESPACE)["spec"]
        clock.step(operator, hours)
        looked_at(operator, 8)
        assert outcomes(status(installed, namespace)) == [("scale", None)], "its ten minutes are not over"
        healed(installed, namespace, trouble)
        now = installed.get("lease", "goldseam", NAMESPACE)["spec"]
        assert operator.ready()
    assert (now["holderIdentity"], now["leaseTransitions"]) == (held["holderIdentity"], held["leaseTransitions"])
    assert [line["seconds"] > 0 for line in operator.lines() if line["msg"] == "clock_stepped"] == [hours > 0]


@HOURS
def test_after_a_restart_with_a_wrong_clock_nothing_is_done_twice_or_too_early(
    hours: int,
    installed: Plane,
    namespace: str,
    source: str,
    operator_kubeconfig: Path,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    """By that clock what was done before is an hour ago, or an hour ahead."""
    with running_operator(operator_kubeconfig, tmp_path / "first.log") as first:
        troubled(installed, namespace, trouble)
        running(installed, namespace, "worker", 5)
        first.kill()
    clock = WrongClock(tmp_path, hours)
    with running_operator(operator_kubeconfig, tmp_path / "second.log", env=clock.env) as second:
        clock.shown_by(second)
        looked_at(second, 8)
        assert outcomes(status(installed, namespace)) == [("scale", None)], "its ten minutes are not over"
        healed(installed, namespace, trouble)
