"""The operator: its parts wired together, started in order, watched, and stopped in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, cast

import structlog

from goldseam import metrics
from goldseam.api.alertsource import AlertmanagerSpec, AlertSourceSpec
from goldseam.api.base import API_VERSION
from goldseam.api.incident import Escalation
from goldseam.engine import naming
from goldseam.engine.alerts import ActiveAlert
from goldseam.engine.matching import PolicyKey
from goldseam.engine.situation import Decision, Situation
from goldseam.engine.views import IncidentView, of_a_newer_version, view
from goldseam.errors import GoldseamError
from goldseam.ports import Alertmanager, AlertServer, Clock, Cluster, Json, Metrics, Notifier
from goldseam.resources import HPAS, INCIDENTS, NODES, OURS, RESPONSES, SCALED_OBJECTS
from goldseam.services.act import Actor, Own
from goldseam.services.book import IncidentBook, spent
from goldseam.services.calling import Calling
from goldseam.services.catalogue import Catalogue
from goldseam.services.chronicle import Chronicle
from goldseam.services.collecting import Collector
from goldseam.services.delivery import Delivery, Events
from goldseam.services.fleet import FleetWatch
from goldseam.services.gate import Gate
from goldseam.services.gather import Gatherer, Opened
from goldseam.services.inbox import Inbox
from goldseam.services.inputs import Inputs
from goldseam.services.judging import Judging
from goldseam.services.lately import AT_ONCE, Lately
from goldseam.services.leadership import Leadership
from goldseam.services.ledger import LedgerBook
from goldseam.services.look import Looker
from goldseam.services.newly import TELLING, Newly
from goldseam.services.opener import Opener
from goldseam.services.permissions import Permissions
from goldseam.services.predecessors import Predecessors
from goldseam.services.queries import Queries
from goldseam.services.registrar import POLICIES, Registrar, Tell
from goldseam.services.relations import Relations
from goldseam.services.retention import Retention
from goldseam.services.shared import SharedLists
from goldseam.services.silences import Silences
from goldseam.services.sources import Listening, Source, Sources, Wanted
from goldseam.services.statuses import Statuses
from goldseam.services.sweep import sweep, too_new, unrecorded
from goldseam.services.targets import Targets
from goldseam.services.tenants import Tenants
from goldseam.services.waking import Waker
from goldseam.services.words import Hearing, meant
from goldseam.services.workers import Workers

log = structlog.get_logger("goldseam.operator")

STILL_ALIVE = 60.0
"""Seconds without a turn of the main loop after which the operator counts as dead."""

STAMPS_AT_ONCE = 20
ENOUGH = 11.0
"""Seconds of the lease that must be left to begin a write: as long as a request may take, and one more."""

SUCCESSION = 30.0
"""Seconds for another process to lead, once we have handed over to it; it tries each 2 s."""

_GUARDRAILS: Json = {"apiVersion": API_VERSION, "kind": "Guardrails", "name": "cluster"}


def _name_of(message: str) -> str:
    return f"guardrails.{naming.digest(message)}"


@dataclass(frozen=True)
class Outside:
    """What the operator reaches the world through."""

    cluster: Cluster
    events: Events
    notifier: Notifier
    clock: Clock
    source: Callable[[AlertSourceSpec], tuple[AlertServer, Metrics]]
    alertmanagers: Callable[[AlertmanagerSpec], Sequence[Alertmanager]] = lambda _: ()
    record: Callable[[Situation, Decision, datetime], None] = lambda *_: None
    """Is told of every decision that changes something."""
    spread: Callable[[], float] = lambda: 1.0
    """By what the time between two reads of a source is multiplied."""
    pod: str = ""
    """The name of the pod that this process runs in; empty where it runs in none."""
    leave: Callable[[], None] = lambda: None
    """Ends this process in order."""


class Operator:
    """All services of one running operator."""

    def __init__(self, outside: Outside, inbox: Inbox, namespace: str, leadership: Leadership) -> None:
        cluster, clock = outside.cluster, outside.clock
        self._cluster, self._shared = cluster, SharedLists(cluster, clock)
        self._clock, self._namespace, self._stopping = clock, namespace, False
        self._record, self._events = outside.record, outside.events
        self._leadership, self._outside, self._leaving = leadership, outside, False
        self.loaded, self.standby, self._beat = False, True, clock.monotonic()
        self.book, self.catalogue, self.ledger = IncidentBook(namespace), Catalogue(), LedgerBook(cluster)
        self.lately, self.together = Lately(clock), Lately(clock, AT_ONCE, (HPAS, SCALED_OBJECTS))
        listening = Listening(self._answered, self._wanted, outside.spread)
        self.sources = Sources(outside.source, clock, listening, outside.alertmanagers)
        permissions = Permissions(cluster, clock)
        self.fleet = FleetWatch(self._lists, clock, self.book, self.catalogue, self._firing)
        self.hearing, self.newly = Hearing(cluster), Newly()
        self.chronicle = Chronicle(outside.events, calm=partial(self.newly.decided.by_all, TELLING))
        self.tenants = Tenants(cluster, self._allows_others)
        inputs, targets = Inputs(self.sources.get, clock), Targets(self._lists)
        self.relations = of = Relations(self.sources, self.tenants, inputs, targets, self.catalogue, self.book)
        self.statuses = Statuses(cluster, clock, permissions, self.sources.get, self.tenants, namespace)
        self.judging = Judging(self.statuses, self.catalogue)
        tell = Tell(heard=self._heard, changed=self._changed, restored=self.ledger.restored)
        self.registrar = Registrar(
            inbox, self.catalogue, self.sources, self.statuses, self.judging, self.tenants, tell, namespace
        )
        self.calling = Calling(self.book, of.source_of, self._by_alertmanager)
        self.delivery = self._delivery(of)
        self.gate = Gate(self.sources.all, of.source_of, of.alerts, clock, self._of_the_gate)
        self.looker = self._looker(permissions)
        self.retention = Retention(cluster, clock)
        self.workers = Workers(self.looker.look, leadership.deposed)
        self.waker = Waker(self.book, of.as_last_judged, of.counts, self._wake, self.newly)
        self.book.freed, self.book.went = self._freed, self.waker.went
        self.opener = self._opener(targets)

    def _delivery(self, of: Relations) -> Delivery:
        outside, wake = self._outside, self._wake
        made = Delivery(self._cluster, outside.events, outside.notifier, self._clock, of.runbook, wake, self._namespace)
        made.calling, made.brought = self.calling, lambda name: self.sources.get(name) is not None
        return made

    def _opener(self, targets: Targets) -> Opener:
        return Opener(
            self._cluster,
            self._clock,
            self.catalogue,
            self.book,
            self._namespace,
            self._opened,
            self.registrar.problem,
            self.tenants,
            targets,
            Predecessors(self._cluster, self._namespace),
            self.newly.over,
        )

    def _looker(self, permissions: Permissions) -> Looker:
        pod = self._outside.pod
        own = Own(self._namespace, pod, self._hand_over) if pod else None
        return Looker(
            cluster=self._cluster,
            clock=self._clock,
            book=self.book,
            gatherer=Gatherer(
                self._lists,
                self.catalogue,
                self.ledger,
                self.relations.judged,
                self.relations.others,
                lambda: self.fleet.fleet,
                permissions.in_force,
                self._namespace,
                Silences(self.relations.source_of, self.relations.alerts).of,
                self.lately,
            ),
            ledger=self.ledger,
            permissions=permissions,
            queries=Queries(self.relations.promql, self._clock),
            collector=Collector(self._cluster, self.relations.promql, self._clock),
            delivery=self.delivery,
            chronicle=self.chronicle,
            hearing=self.hearing,
            fleet=self.fleet,
            actor=Actor(self._cluster, own),
            newly=self.newly,
            asks=self.relations.asks,
            gate=self.gate,
            refresh=self._refresh,
            refresh_firing=self._refresh_firing,
            together=self.together,
            stopping=lambda: self._stopping or self._leadership.left < ENOUGH,
            epoch=lambda: self._leadership.epoch,
            recorded=self._record,
        )

    async def run(self) -> None:
        """Stand by until this process leads, load what was begun before, then work until cancelled.

        Raises:
            ExceptionGroup: a part has ended; one with `Fenced`: another process leads now.
        """
        await self._leadership.won()
        self.standby = False
        async with asyncio.TaskGroup() as group:
            group.create_task(self._leadership.keep())
            await self._load()
            for part in self._parts():
                group.create_task(part)

    def _parts(self) -> tuple[Coroutine[Any, Any, None], ...]:
        return (
            self._stamp(),
            self.registrar.run(),
            self.judging.run(),
            self.judging.keep_checking(),
            self.tenants.keep(),
            self.workers.until_deposed(),
            self.retention.run(),
            self.gate.run(),
            self.calling.run(),
            self._heartbeat(),
        )

    async def _load(self) -> None:
        """One consistent list of all Incidents: open work is taken up, spent budgets are known."""
        page = await self._cluster.list(INCIDENTS)
        read = {obj["metadata"]["uid"]: view(obj) for obj in page.items}
        incidents = [incident for incident in read.values() if incident is not None]
        newer = [obj for obj in page.items if of_a_newer_version(obj, lambda one: read[one["metadata"]["uid"]])]
        await self._leadership.raised(int((obj.get("status") or {}).get("epoch") or 0) for obj in page.items)
        await self.ledger.load(spent(incidents, self._namespace), self._clock.now())
        await self.fleet.load()
        for incident in incidents:
            self.book.put(incident)
        for obj in newer:
            self.book.reserve(obj)
        for incident in await sweep(self._cluster, self.book, self._clock.now(), self._namespace, newer):
            self.book.put(incident)
        untold = await unrecorded(self._cluster, self.ledger.ledger, incidents, newer)
        for lost in (*too_new(newer), *untold):
            log.warning("record_missing", message=lost)
            await self._events.record(_GUARDRAILS, "Warning", "RecordMissing", "Remediate", lost, _name_of(lost))
        for incident in self.book.all():
            self.workers.wake(incident.uid)
        log.info("loaded", incidents=len(incidents), open=len(self.book.all()))
        self.loaded = True

    async def _stamp(self) -> None:
        """Fence every open Incident, also those that wait. A look stamps its own before it reads anything."""
        slots = asyncio.Semaphore(STAMPS_AT_ONCE)

        async def stamp(uid: str) -> None:
            async with slots:
                incident = self.book.get(uid)
                try:
                    if incident is not None:
                        await self.looker.records.stamp(incident)
                except GoldseamError as error:
                    log.warning("not_stamped", incident=uid, problem=str(error))

        await asyncio.gather(*(stamp(incident.uid) for incident in self.book.all()))

    @property
    def _lists(self) -> Cluster:
        """The cluster, whose long lists are shared."""
        return cast(Cluster, self._shared)

    @property
    def ready(self) -> tuple[bool, str]:
        """Whether it can do its part: work, or stand by; and a word on it."""
        if self.standby:
            return True, "standby: another process leads"
        return (True, "ok") if self.loaded else (False, "the incidents have not been read yet")

    @property
    def alive(self) -> bool:
        """Whether the main loop has turned lately."""
        return self._clock.monotonic() - self._beat < STILL_ALIVE

    async def _heartbeat(self) -> None:
        while True:
            self._beat = self._clock.monotonic()
            metrics.heartbeat(len(self.book.all()))
            await asyncio.sleep(1)

    async def stop(self) -> None:
        """Begin no further write, end the looks that have begun, stop reading."""
        self._stopping = True
        await self.sources.close()
        ended = await self.workers.close()
        await self.delivery.close()
        await self.chronicle.close()
        if ended:
            await self._leadership.release()

    def _hand_over(self) -> None:
        """Our own pod is to be evicted: another process leads from here on, and does that."""
        self._leaving = True
        self._outside.leave()

    async def followed(self) -> None:
        """Where we have handed over: wait until another process leads. Started again at once, we might lead again."""
        if self._leaving and not await self._leadership.succeeded(SUCCESSION):
            log.warning("nobody_follows", after=SUCCESSION)

    def _freed(self, other: IncidentView) -> None:
        if other.spec.target.kind == "Node":
            self._shared.forget(NODES)
        self.waker.freed(other)

    def _wake(self, uid: str) -> None:
        self.workers.wake(uid)

    def _opened(self, uid: str, opened: Opened | None) -> None:
        if opened is not None:
            self.newly.opened(uid, opened)
        self.workers.wake(uid)

    async def _answered(self, source: Source) -> None:
        if not self.loaded:
            return
        self.waker.answered(source, self.fleet.tripped)
        await self.opener.answered(source)
        await self.registrar.answered(source)
        if not self.fleet.quiet and not source.hinted:
            await self.fleet.assess()

    def hinted(self, alerts: Collection[str]) -> bool:
        """Somebody says that alerts of these names may have changed: the truth is read, and nothing else is believed.

        Returns:
            False where another process leads, which has to hear of it.
        """
        if self.standby:
            return False
        for source in self.sources.all():
            if any(self.catalogue.waits_for(source.name, alert) for alert in alerts):
                source.hint()
        return True

    async def _refresh(self, name: str, namespace: str) -> None:
        await self.tenants.look(name, namespace)
        source = self.sources.get(name)
        if source is not None:
            await source.refresh()

    async def _refresh_firing(self, name: str) -> str:
        source = self.sources.get(name)
        return await source.refresh_firing() if source is not None else ""

    def _allows_others(self, name: str) -> None:
        """Whom a source allows has changed."""
        self.registrar.source_changed(name)
        self.waker.everybody()

    def _by_alertmanager(self, incident: IncidentView, escalation: Escalation) -> bool:
        return not self.delivery.has_channel(incident, escalation)

    def _of_the_gate(self, incident: IncidentView, reason: str, message: str) -> None:
        self.chronicle.note(incident, reason, message, self._clock.now())

    def _changed(self, kind: str, namespace: str, name: str) -> None:
        """Something that people wrote was changed or deleted."""
        for shared in (self.lately, self.together):
            shared.forget(OURS[kind].plural)
        if kind in POLICIES:
            self.waker.policy(PolicyKey(kind, namespace, name))
        elif kind != "Response":
            self.waker.everybody()
        if kind == "Guardrails":
            self.judging.limits_changed()

    def _firing(self) -> Iterator[tuple[str, ActiveAlert]]:
        """Every alert that fires, with the source that says so."""
        for source in self.sources.all():
            yield from ((source.name, alert) for alert in source.firing)

    def _wanted(self, source: str) -> Wanted:
        """What has to be read: the rules of policies and open incidents, and all that fires while anything is open."""
        incidents = self.book.all()
        names = self.catalogue.alerts_of(source) | {incident.alert for incident in incidents}
        return Wanted(frozenset(names), storm=not self.fleet.quiet)

    async def _heard(self, response: Json) -> None:
        """A Response was seen: the incident that it is about looks at it, if there is one."""
        for shared in (self.lately, self.together):
            shared.forget(RESPONSES.plural)
        incident = self.book.get(meant(response))
        if incident is not None and incident.namespace == response["metadata"]["namespace"]:
            self._wake(incident.uid)
        elif self.loaded:
            await self.hearing.unheard(response)
