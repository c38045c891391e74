"""Two operators on one cluster: one leads, one stands by; the audit log is the judge of what happens in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.objects_on_cluster import deployment, effects, outcomes, policy, reached, running, status
from tests.support.operator_process import NAMESPACE, OperatorProcess, service_account, standing_by
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.proxy import FaultProxy, Strike, fault_proxy

Trouble = Callable[..., None]
LADDER = ({"scale": {"replicas": 8}, "timeout": "40s"}, {"restart": {}, "timeout": "60s"})


@pytest.fixture
def proxy(installed: Plane) -> Iterator[FaultProxy]:
    with fault_proxy(installed) as between:
        yield between


def lease(plane: Plane) -> dict[str, Any]:
    """The spec of the Lease."""
    found: dict[str, Any] = plane.get("lease", "goldseam", NAMESPACE)["spec"]
    return found


def leads(operator: OperatorProcess) -> None:
    """Wait until this one leads."""
    eventually(operator.ready, "the other operator to lead", 60)


def troubled(plane: Plane, namespace: str, trouble: Trouble) -> None:
    plane.apply(deployment(namespace, "worker"), policy(namespace, *LADDER))
    running(plane, namespace, "worker", 3)
    trouble(1, deployment="worker")


def test_when_the_leader_is_killed_the_other_goes_on_with_its_incident(
    installed: Plane, namespace: str, source: str, operator_kubeconfig: Path, trouble: Trouble, tmp_path: Path
) -> None:
    with (
        running_operator(operator_kubeconfig, tmp_path / "first.log") as first,
        standing_by(operator_kubeconfig, tmp_path / "second.log") as second,
    ):
        troubled(installed, namespace, trouble)
        running(installed, namespace, "worker", 8)
        epoch = status(installed, namespace)["epoch"]
        first.process.kill()  # and nobody ends its lease
        leads(second)
        eventually(lambda: status(installed, namespace)["epoch"] > epoch, "the incident to be fenced")
        trouble(0, deployment="worker")
        found = reached(installed, namespace, "Resolved")
        running(installed, namespace, "worker", 3)
    assert outcomes(found) == [("scale", "Passed")]
    assert effects(installed, namespace).count("patch deployments/scale") == 3, "up once, down in two steps"
    assert lease(installed)["leaseTransitions"] == found["epoch"]


def test_a_leader_that_stops_well_hands_over_at_once(
    installed: Plane, namespace: str, source: str, operator_kubeconfig: Path, tmp_path: Path
) -> None:
    with (
        running_operator(operator_kubeconfig, tmp_path / "first.log") as first,
        standing_by(operator_kubeconfig, tmp_path / "second.log") as second,
    ):
        held = lease(installed)
        assert first.stop() == 0
        leads(second)
    taken = lease(installed)
    assert taken["holderIdentity"] != held["holderIdentity"]
    waited = datetime.fromisoformat(taken["acquireTime"]) - datetime.fromisoformat(held["renewTime"])
    assert waited < timedelta(seconds=held["leaseDurationSeconds"]), "it did not wait until the lease was over"


def test_the_late_intent_of_a_leader_that_hung_is_refused_and_it_ends(
    installed: Plane, namespace: str, source: str, proxy: FaultProxy, trouble: Trouble, tmp_path: Path
) -> None:
    """Its request is held back on the way, the process is stopped, and another leads; then both go on."""
    late = threading.Event()
    account = service_account(installed, tmp_path, proxy.url)
    (tmp_path / "other").mkdir()
    other = service_account(installed, tmp_path / "other")
    with running_operator(account, tmp_path / "first.log") as first:

        def intent(seen: Any) -> bool:
            steps = ((seen.body or {}).get("status") or {}).get("steps") or []
            return seen.label == "PATCH incidents/status" and any(s["phase"] == "Intended" for s in steps)

        def hang() -> None:
            first.freeze()
            late.wait(120)

        strike = Strike(intent, "held", hang)
        proxy.strike = strike
        with standing_by(other, tmp_path / "second.log") as second:
            troubled(installed, namespace, trouble)
            assert strike.done.wait(60)
            leads(second)
            running(installed, namespace, "worker", 8)
            late.set()
            eventually(lambda: strike.answer, "the late request to be answered")
            assert strike.answer in (409, 422), "the API server refused it"
            first.thaw()
            assert first.process.wait(60) == 1
            assert second.ready()
            trouble(0, deployment="worker")
            reached(installed, namespace, "Resolved")
            running(installed, namespace, "worker", 3)
    scaled_up = [seen for seen in effects(installed, namespace) if seen == "patch deployments/scale"]
    assert len(scaled_up) == 3, "up once, down in two steps"


def test_a_lease_that_is_deleted_is_made_again_and_work_goes_on(
    installed: Plane, namespace: str, source: str, operator_kubeconfig: Path, trouble: Trouble, tmp_path: Path
) -> None:
    with (
        running_operator(operator_kubeconfig, tmp_path / "first.log") as first,
        standing_by(operator_kubeconfig, tmp_path / "second.log") as second,
    ):
        installed.must("delete", "lease", "goldseam", "-n", NAMESPACE)
        troubled(installed, namespace, trouble)
        running(installed, namespace, "worker", 8)
        eventually(lambda: (first.process.poll() is None and first.ready()) != second.ready(), "one of them to lead")
    assert effects(installed, namespace) == ["patch deployments/scale"]
