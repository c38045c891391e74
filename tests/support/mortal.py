"""An operator behind the fault proxy that is killed where a test says, and lives again at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from tests.support.crash_points import Point
from tests.support.direct import Direct
from tests.support.faults import Strike, When
from tests.support.operator_process import LEASE, OperatorProcess, service_account
from tests.support.plane import Plane, eventually
from tests.support.proxy import FaultProxy


class Mortal:
    """One operator after the other."""

    def __init__(self, plane: Plane, direct: Direct, proxy: FaultProxy, home: Path) -> None:
        self._direct, self._proxy = direct, proxy
        self._kubeconfig, self._home, self._lives = service_account(plane, home, proxy.url), home, 0
        self._lock, self._over = threading.Lock(), False
        self._troubles: list[str] = []
        self._live()
        eventually(self._now.ready, "the operator to be ready", 120)

    def _live(self) -> None:
        self._lives += 1
        own = self._home / str(self._lives)
        own.mkdir()
        self._now = OperatorProcess(self._kubeconfig, own / "operator.log")

    def dies_at(self, point: Point, when: When, meanwhile: Callable[[], None]) -> Strike:
        """Be killed there; `meanwhile` the world may change, and then it lives again."""
        strike = Strike(point.predicate(), when, lambda: self.dies(meanwhile))
        self._proxy.strike = strike
        return strike

    def dies(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """SIGKILL, and a new process with the lease that it left."""
        with self._lock:
            if self._over:
                return
            self._now.process.kill()
            self._now.process.wait(30)
            try:
                meanwhile()
            except Exception as error:  # the test's own, in a thread of the proxy's: the next run needs an operator
                self._troubles.append(f"while it was down: {error!r}")
            self._revive()

    def _revive(self) -> None:
        self._direct.must("PATCH", LEASE, {"spec": {"holderIdentity": ""}})
        self._live()

    @property
    def log(self) -> Path:
        """What the present one logs."""
        return self._now.log

    def troubles(self) -> list[str]:
        """What went wrong beside the point; one that has ended by itself is replaced."""
        with self._lock:
            found, self._troubles = self._troubles, []
            if self._now.process.poll() is not None:
                found.append(f"the operator ended by itself (log: {self._now.log})")
                self._revive()
        return found

    def ends(self) -> None:
        """Kill what there is."""
        with self._lock:
            self._over = True
            self._now.process.kill()
            self._now.process.wait(30)
