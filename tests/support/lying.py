"""One world for every lie of a Prometheus: an incident that was acted on and is being verified, and must not move."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.gateway import Gateway, gateway
from tests.support.objects_on_cluster import (
    alert_source,
    deployment,
    effects,
    outcomes,
    policy,
    reached,
    running,
    status,
)
from tests.support.operator_process import OperatorProcess
from tests.support.own_prometheus import OwnPrometheus, Worker, own_prometheus, worker
from tests.support.plane import Plane, eventually

Json = dict[str, Any]
EXPR = "queue_size * on (namespace) group_left () capacity > 10"
MOVED = ("Resolved", "Escalated", "Abandoned")
SETTLE = "4s"
"""Long enough for the lie to begin meanwhile: what was evaluated before that judges nothing."""
VERIFIED_FOR = "12s"
"""Then it is held, for it cannot be told whether the step has helped."""


def rule(expr: str = EXPR, **fields: Any) -> Json:
    """The rule by which the incident is opened."""
    return {"alert": "Trouble", "expr": expr, "for": "2s", "labels": {"severity": "critical"}, **fields}


@dataclass
class World:
    """An incident whose first rung, a scale, was done; and all that it is read from."""

    plane: Plane
    namespace: str
    operator: OperatorProcess
    prometheus: OwnPrometheus
    exporter: Worker
    gateway: Gateway
    rules: tuple[Json, ...] = (rule(),)

    def queue(self, size: int, *more: str, name: str = "queue_size") -> None:
        """What the exporter shows from now on."""
        labels = f'namespace="{self.namespace}",deployment="worker"'
        self.exporter.shows = (
            f"{name}{{{labels}}} {size}",
            f'capacity{{namespace="{self.namespace}"}} 1',
            *(line.replace("NAMESPACE", self.namespace) for line in more),
        )

    def firing(self) -> bool:
        """Whether the real server shows the alert to fire."""
        return any(alert["state"] == "firing" for alert in self.prometheus.shown())

    def begin(self, *, timeout: str = VERIFIED_FOR, replicas: tuple[str, ...] = (), patience: str = "3s") -> None:
        """Let the alert fire, and the first rung be done; the source is read with this patience."""
        source = alert_source(self.gateway.url, interval="1s", timeout=patience, replicas=list(replicas))
        verified = {"timeout": timeout, "verify": {"settle": SETTLE}}
        ladder = ({"scale": {"replicas": 5}, **verified}, {"restart": {}, **verified})
        self.plane.apply(source, deployment(self.namespace, "worker"), policy(self.namespace, *ladder))
        running(self.plane, self.namespace, "worker", 3)
        self.queue(50)
        eventually(lambda: effects(self.plane, self.namespace), "the first rung to be done", 90)

    def reads(self) -> int:
        """How often the source was read, or could not be."""
        return self._reads("ok") + self.failed_reads()

    def failed_reads(self) -> int:
        """How often it could not be read."""
        return self._reads("failed")

    def _reads(self, outcome: str) -> int:
        name = f'goldseam_source_reads_total{{outcome="{outcome}",source="default"}}'
        return int(self.operator.metric(re.escape(name)))

    def stands_still(self, says: str, reads: int = 5) -> None:
        """Nothing is over, climbs, passes or is done again; and the incident says what is not known.

        Watched until the time of the verification is over and the incident is held for this reason, and some reads
        more.
        """
        eventually(lambda: self._unmoved() and self._held(says), f"a hold that says {says!r}", 60)
        until = self.reads() + reads
        eventually(lambda: self._unmoved() and self.reads() >= until, f"{reads} more reads", 60)
        assert self._held(says), self.found["holds"]
        assert effects(self.plane, self.namespace) == ["patch deployments/scale"]

    def goes_on_until(self, told: Callable[[], object], what: str) -> None:
        """Nothing moves before that is so."""
        eventually(lambda: self._unmoved() and told(), what, 60)

    @property
    def found(self) -> Json:
        """The incident's status."""
        return status(self.plane, self.namespace)

    def _unmoved(self) -> bool:
        found = self.found
        assert found["phase"] not in MOVED, found
        assert found.get("rung", 0) == 0, found
        assert outcomes(found) == [("scale", None)], found
        return True

    def _held(self, says: str) -> bool:
        messages = [hold["message"] for hold in self.found.get("holds", []) if hold["guard"] == "source"]
        return any(re.search(says, message) for message in messages)

    def is_over(self) -> None:
        """The trouble ends behind the lie: were it seen to last when the truth is told again, the step had failed, for
        its time is up."""
        self.queue(1)
        eventually(lambda: not self.prometheus.shown(), "the alert to be gone")

    def heals(self) -> None:
        """The truth is told again, and the trouble is over: the step has helped, and what is owed is paid."""
        self.queue(1)
        found = reached(self.plane, self.namespace, "Resolved")
        assert outcomes(found) == [("scale", "Passed")], found["timeline"]
        eventually(lambda: self.found["owes"] == 0, "the debt to be paid")
        assert effects(self.plane, self.namespace) == ["patch deployments/scale"] * 2


@contextmanager
def world(
    plane: Plane, namespace: str, operator: OperatorProcess, home: Path, *rules: Json, **config: Any
) -> Iterator[World]:
    """Everything but the incident, which `begin` lets be opened; `config` is added to Prometheus' own."""
    rules = rules or (rule(),)
    with worker() as exporter, own_prometheus(home, plane.program("prometheus"), *rules, **config) as prometheus:
        prometheus.targets(exporter.port)
        with gateway(prometheus.url) as between:
            yield World(plane, namespace, operator, prometheus, exporter, between, rules)
