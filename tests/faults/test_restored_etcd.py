"""etcd is put back to a backup under running operators: they end, and the next one does what the older world needs.

A control plane of its own, for it is put back as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import crds, installed, namespace, operator_kubeconfig, source, trouble
from tests.support.backup import Backups
from tests.support.objects_on_cluster import deployment, effects, outcomes, policy, reached, running, seen, status
from tests.support.operator_process import NAMESPACE, service_account, standing_by
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, control_plane, eventually
from tests.support.proxy import FaultProxy, Strike, fault_proxy

__all__ = ["crds", "installed", "namespace", "operator_kubeconfig", "source", "trouble"]

Trouble = Callable[..., None]
LADDER = {"scale": {"replicas": 5}, "timeout": "120s"}
SCALED = "patch deployments/scale"
BEFORE, BETWEEN, OWED = "before the incident", "between intent and act", "while it is owed"
NEEDED = {BEFORE: 2, BETWEEN: 2, OWED: 1}
"""How often it is scaled in the older world: up, if that was lost, and back."""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """In place of the usual control plane: one whose etcd may be put back."""
    with control_plane(tmp_path_factory.mktemp("plane-restored"), 4) as plane:
        yield plane


def healed(plane: Plane, namespace: str) -> None:
    """Resolved by the one rung, and put back."""
    assert outcomes(reached(plane, namespace, "Resolved")) == [("scale", "Passed")]
    eventually(lambda: status(plane, namespace)["owes"] == 0, "the debt to be paid")
    running(plane, namespace, "worker", 3)


def known(plane: Plane, proxy: FaultProxy) -> None:
    """Wait until the one that stands by has read a lease that is younger than now."""

    def version() -> int:
        return int(plane.get("lease", "goldseam", NAMESPACE)["metadata"]["resourceVersion"])

    now = version()
    eventually(lambda: version() > now, "the lease to be renewed")
    asked = len(proxy.requests)

    def reads() -> int:
        return sum(request.label == "GET leases" for request in proxy.requests[asked:])

    eventually(lambda: reads() > 1, "it to be read")  # the first one was answered before the second was sent


@pytest.mark.parametrize("taken", NEEDED)
def test_after_etcd_was_put_back_every_operator_ends_and_the_next_one_does_once_what_is_needed(
    taken: str,
    installed: Plane,
    namespace: str,
    source: str,
    operator_kubeconfig: Path,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    """Living on, they would watch from versions that are yet to come, and know incidents that never were."""
    backups, backup = Backups(installed), tmp_path / "backup"
    with fault_proxy(installed) as proxy:
        account = service_account(installed, tmp_path, proxy.url)
        with (
            running_operator(account, tmp_path / "first.log") as first,
            standing_by(account, tmp_path / "second.log") as second,
        ):
            installed.apply(deployment(namespace, "worker"), policy(namespace, LADDER))
            running(installed, namespace, "worker", 3)
            seen(installed, namespace, "heal")
            if taken == BETWEEN:
                proxy.strike = Strike(
                    lambda request: request.label == "PATCH deployments/scale", "held", lambda: backups.take(backup)
                )
            if taken == BEFORE:
                backups.take(backup)
            trouble(1, deployment="worker")
            running(installed, namespace, "worker", 5)
            eventually(lambda: status(installed, namespace)["steps"][0].get("actedAt"), "its record")
            if taken == OWED:
                backups.take(backup)
                trouble(0, deployment="worker")
                healed(installed, namespace)
            known(installed, proxy)
            before = effects(installed, namespace)
            backups.restore(backup)
            assert (first.process.wait(60), second.process.wait(60)) == (1, 1)
            assert "put back to an earlier state" in second.log.read_text()
    with running_operator(operator_kubeconfig, tmp_path / "third.log"):
        if taken != OWED:
            running(installed, namespace, "worker", 5)
            trouble(0, deployment="worker")
        healed(installed, namespace)
        installed.apply(policy(namespace, LADDER, name="later", alert={"name": "Another"}))
        seen(installed, namespace, "later")
    assert effects(installed, namespace)[len(before) :] == [SCALED] * NEEDED[taken]
