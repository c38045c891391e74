"""The whole engine on a toy cluster and a virtual clock: look after look, with the operator killed at will."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from goldseam.api.incident import IncidentStatus
from goldseam.api.outcomes import VerdictState
from goldseam.api.runbook import RunbookSpec
from goldseam.engine.alerts import ActiveAlert, Samples
from goldseam.engine.objects import reference
from goldseam.engine.opening import first_status, incident_spec, manifest
from goldseam.engine.situation import Silence
from goldseam.engine.verdict import Reading
from goldseam.engine.views import view
from goldseam.errors import Conflict, GoldseamError, Invalid
from goldseam.ports import Json, Message
from goldseam.resources import INCIDENTS
from goldseam.services.act import Actor
from goldseam.services.book import IncidentBook, spent
from goldseam.services.catalogue import Catalogue
from goldseam.services.chronicle import Chronicle
from goldseam.services.collecting import Collector
from goldseam.services.delivery import Delivery
from goldseam.services.fleet import FleetWatch
from goldseam.services.gather import Gatherer
from goldseam.services.ledger import LedgerBook
from goldseam.services.live_policies import live_policy
from goldseam.services.look import Looker
from goldseam.services.permissions import Permissions
from goldseam.services.queries import Queries
from goldseam.services.words import Hearing
from tests.support.toycluster import Killed, ToyCluster

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NAMESPACE = "goldseam-system"


@dataclass
class VirtualClock:
    """Time that passes when the test says so."""

    moment: datetime = START
    skew: timedelta = timedelta(0)
    """By how much the time of day is wrong; the monotonic clock never is."""

    def now(self) -> datetime:
        return self.moment + self.skew

    def monotonic(self) -> float:
        return (self.moment - START).total_seconds() + 1_000

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass
class ToyMetrics:
    """PromQL answers by expression."""

    answers: dict[str, tuple[float, ...]] = field(default_factory=dict)
    broken: str = ""
    """What the server says of every expression, where it does not parse."""
    asked: list[str] = field(default_factory=list)
    hangs: bool = False

    async def query(self, expression: str) -> Samples:
        self.asked.append(expression)
        if self.hangs:
            await asyncio.Event().wait()
        if self.broken:
            raise Invalid(self.broken)
        return Samples(self.answers.get(expression, ()))


@dataclass
class ToyPeople:
    """Who was told what."""

    told: list[Message] = field(default_factory=list)
    events: dict[str, str] = field(default_factory=dict)

    async def record(self, regarding: Json, kind: str, reason: str, action: str, note: str, name: str) -> bool:
        self.events[name] = note
        return True

    async def post(self, url: str, message: Message, secret: str | None) -> None:
        self.told.append(message)


class Harness:
    """One policy, one target, one alert, one operator at a time."""

    def __init__(self, policy: Json, target: Json, plural: str, *, runbook: RunbookSpec | None = None) -> None:
        self.clock, self.people, self.promql = VirtualClock(), ToyPeople(), ToyMetrics()
        self.chronicle = ToyPeople()
        self.cluster = ToyCluster(now=lambda: self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
        kind = policy["kind"]
        self.policy_plural = "remediationpolicies" if kind == "RemediationPolicy" else "clusterremediationpolicies"
        self.policy = self.cluster.add(self.policy_plural, policy)
        self.target = self.cluster.add(plural, target)
        self.plural = plural
        for name in ("goldseam-incidents", "goldseam-people"):
            binding = {"policyName": name, "validationActions": ["Deny"]}
            self.cluster.add("validatingadmissionpolicies", {"metadata": {"name": name}})
            self.cluster.add("validatingadmissionpolicybindings", {"metadata": {"name": name}, "spec": binding})
        self.runbook = runbook
        self.reading = Reading("Firing", True, "the alert is firing", START)
        self.alert_state = "Firing"
        self.knows = self.fresh = True
        self.firing: list[tuple[str, ActiveAlert]] = []
        self.silence = Silence()
        self._boot()

    def _boot(self) -> None:
        """A new process: nothing is remembered but what the cluster holds."""
        self.book, self.catalogue = IncidentBook(NAMESPACE), Catalogue()
        catalogue = self.catalogue
        if self.runbook is not None:
            catalogue.runbooks["default"] = self.runbook
        self.ledger = LedgerBook(self.cluster)
        permissions = Permissions(self.cluster, self.clock)
        self.fleet = FleetWatch(self.cluster, self.clock, self.book, catalogue, lambda: self.firing)
        gatherer = Gatherer(
            self.cluster,
            catalogue,
            self.ledger,
            self._reading,
            self.book.others,
            lambda: self.fleet.fleet,
            permissions.in_force,
            NAMESPACE,
            self._silence,
        )
        self.delivery = Delivery(
            self.cluster, self.people, self.people, self.clock, lambda _: self.runbook, lambda _: None, NAMESPACE
        )

        async def refresh(*_: str) -> None:
            return None

        self.looker = Looker(
            cluster=self.cluster,
            clock=self.clock,
            book=self.book,
            gatherer=gatherer,
            ledger=self.ledger,
            permissions=permissions,
            queries=Queries(lambda _: self.promql, self.clock),
            collector=Collector(self.cluster, lambda _: self.promql, self.clock),
            delivery=self.delivery,
            chronicle=Chronicle(self.chronicle, later=0),
            hearing=Hearing(self.cluster),
            fleet=self.fleet,
            actor=Actor(self.cluster),
            refresh=refresh,
            stopping=lambda: False,
        )

    async def _reading(self, *_: Any) -> Reading:
        return self.read()

    async def _silence(self, *_: object) -> Silence:
        return self.silence

    def read(self) -> Reading:
        """What the alert source says now; evaluated just now."""
        if not self.knows:
            return Reading("Unknown", False, "the alert source tells nothing: cannot connect")
        if self.alert_state == "Pending":
            return Reading("Pending", False, "the alert is pending")
        if not self.fresh:  # what is not shown by a rule that is not evaluated is not known to be gone
            state: VerdictState = "Firing" if self.alert_state == "Firing" else "Unknown"
            return Reading(state, False, "the rule has not been evaluated lately")
        return Reading(self.alert_state, True, f"the alert is {self.alert_state}", self.clock.now())  # type: ignore[arg-type]

    async def start(self) -> None:
        """Start the operator: one list, as it does in life."""
        self._boot()
        page = await self.cluster.list(INCIDENTS)
        found = [incident for obj in page.items if (incident := view(obj)) is not None]
        await self.ledger.load(spent(found, NAMESPACE), self.clock.now())
        await self.fleet.load()
        for incident in found:
            self.book.put(incident)

    async def open(self, predecessor: str = "", *, begun: bool = True) -> None:
        """Open an incident of `self.policy`, as the opener does; `begun`: and write its first status."""
        policy = live_policy(self.policy["kind"], self.policy)
        labels = {
            "alertname": "Trouble",
            "namespace": self.target["metadata"].get("namespace", ""),
            "severity": "critical",
        }
        alert = ActiveAlert(labels, {}, "firing", self.clock.now())
        spec = incident_spec(policy, reference(self.target), alert, predecessor)
        namespace = spec.target.namespace or NAMESPACE
        incident = view(await self.cluster.create(INCIDENTS, namespace, manifest(spec, namespace)))
        assert incident is not None
        self.book.put(incident)
        if begun:
            await self.looker.records.write(incident, first_status(policy, spec, self.clock.now()))

    @property
    def status(self) -> IncidentStatus:
        """The incident's status, as the cluster holds it."""
        return IncidentStatus.model_validate(next(self.cluster.all("incidents"))["status"])

    def live(self) -> Json:
        """The target as it stands."""
        meta = self.target["metadata"]
        return self.cluster.objects[self.plural, meta.get("namespace", ""), meta["name"]]

    async def look(self) -> timedelta | None:
        """One look."""
        uid = next(self.cluster.all("incidents"))["metadata"]["uid"]
        return await self.looker.look(uid)

    async def settle(self, seconds: float, until: Any = None) -> None:
        """Look, again and again, while so many seconds pass; controllers do their work between the looks."""
        end = self.clock.moment + timedelta(seconds=seconds)
        for _ in range(2_000):
            self.controllers()
            if not self.fleet.quiet:  # as after every read of a source
                await self.fleet.assess()
            try:
                again = await self.look()
            except Conflict:
                again = timedelta(0)
            except GoldseamError:
                again = timedelta(seconds=5)
            if again is None or self.clock.moment >= end or (until is not None and until(self.status)):
                return
            self.clock.advance(max(min(again.total_seconds(), 5.0), 0.05))
        raise AssertionError("it does not come to rest")

    def statuses(self) -> list[IncidentStatus]:
        """The status of every incident, in the order in which they were opened."""
        return [IncidentStatus.model_validate(obj["status"]) for obj in self.cluster.all("incidents")]

    async def settle_all(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """As `settle`, with every incident."""
        end = self.clock.moment + timedelta(seconds=seconds)
        while self.clock.moment < end and not until():
            self.controllers()
            if not self.fleet.quiet:
                await self.fleet.assess()
            waits = [5.0]
            for obj in list(self.cluster.all("incidents")):
                try:
                    again = await self.looker.look(obj["metadata"]["uid"])
                    waits.append(again.total_seconds() if again is not None else 5.0)
                except GoldseamError as error:
                    waits.append(0.0 if isinstance(error, Conflict) else 5.0)
            self.clock.advance(max(min(waits), 0.1))

    async def settle_through_crashes(
        self, seconds: float, settle: Callable[[float], Awaitable[None]] | None = None
    ) -> bool:
        """As `settle`, or this other way, starting the operator anew when it was killed. Returns whether it was."""
        settle = settle or self.settle
        try:
            await settle(seconds)
        except Killed:
            self.cluster.kill_at = None
            await self.start()
            await settle(seconds)
            return True
        return False

    def controllers(self) -> None:
        """Deployments have their pods ready at once; replaced templates are rolled out at once."""
        workloads = ("deployments", "statefulsets", "rollouts")
        for obj in [obj for plural in workloads for obj in self.cluster.all(plural)]:
            wanted = obj["spec"].get("replicas", 1)
            obj["status"] = {
                **(obj.get("status") or {}),
                "observedGeneration": obj["metadata"]["generation"],
                "replicas": wanted,
                "readyReplicas": wanted,
                "updatedReplicas": wanted,
                "availableReplicas": wanted,
            }


def deployment(replicas: int = 3, **metadata: Any) -> Json:
    """A Deployment `shop/api`."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "api", "namespace": "shop", **metadata},
        "spec": {
            "replicas": replicas,
            "template": {"metadata": {}, "spec": {"containers": [{"name": "a", "image": "x"}]}},
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "readyReplicas": replicas,
            "updatedReplicas": replicas,
        },
    }


def policy(*ladder: Json, **spec: Any) -> Json:
    """A RemediationPolicy in mode Act with quick timings."""
    return {
        "apiVersion": "goldseam.dev/v1alpha1",
        "kind": "RemediationPolicy",
        "metadata": {"name": "api", "namespace": "shop"},
        "spec": {
            "mode": "Act",
            "alert": {"name": "Trouble"},
            "target": {"name": "api"},
            "ladder": [{"timeout": "60s", "verify": {"settle": "5s"}, **rung} for rung in ladder],
            "resolve": {"after": "10s", "revertAfter": "20s"},
            **spec,
        },
    }
