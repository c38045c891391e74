"""How everything fares at once: the breakers and the storm, counted, kept over restarts, and shown on Guardrails; and
there, too, the nodes that wait for their turn, as groups."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial

import structlog

from goldseam.api.guardrails import GuardrailsSpec, NodeGroup
from goldseam.engine.alerts import ActiveAlert
from goldseam.engine.groups import groups
from goldseam.engine.matching import TargetKey
from goldseam.engine.objects import is_ready, metadata
from goldseam.engine.situation import Fleet
from goldseam.engine.trips import share_tripped, storm_tripped
from goldseam.engine.views import merge_patch
from goldseam.errors import GoldseamError, NotFound
from goldseam.ports import LINE, Clock, Cluster, Json, Line
from goldseam.resources import GUARDRAILS, NAMESPACES, NODES, WORKLOADS
from goldseam.services import limits
from goldseam.services.book import IncidentBook, at_home, target_key
from goldseam.services.catalogue import Catalogue
from goldseam.services.lately import Lately

log = structlog.get_logger("goldseam.fleet")

REMEMBERED = 60.0
"""Seconds for which a count of workloads is taken to hold."""
ONE_BY_ONE = 50
"""Namespaces that are counted each by a request of its own; beyond that one list of the kind is cheaper."""
GROUPS_EACH = 10.0
"""Seconds between two writes at least of which only the groups of nodes are the reason."""
UNHEALTHY = ("Investigating", "AwaitingApproval", "Fixing", "Escalated")

Alerts = Callable[[], Iterable[tuple[str, ActiveAlert]]]


class FleetWatch:
    """Counts, and remembers what has tripped."""

    def __init__(
        self, cluster: Cluster, clock: Clock, book: IncidentBook, catalogue: Catalogue, alerts: Alerts
    ) -> None:
        self._cluster, self._clock, self._book, self._catalogue = cluster, clock, book, catalogue
        self._alerts = alerts
        self._lock = asyncio.Lock()
        self._pools: dict[tuple[str, str], tuple[float, int]] = {}
        self._groups: list[NodeGroup] = []
        self._grouped_at = float("-inf")
        self.fleet = Fleet()

    async def load(self) -> None:
        """Take up what had tripped before the operator was restarted."""
        status = limits.status(await self._guardrails())
        self.fleet = Fleet(status.breaker, status.node_breaker, status.storm)
        self._groups = status.node_groups or []

    async def assess(self, together: Lately | None = None) -> Fleet:
        """Count anew. What cannot be counted is said, and holds. `together`: what is read for one decision, once."""
        async with self._lock:
            try:
                obj = await self._guardrails(together)
                self.fleet = await self._counted(limits.in_force(obj)[0], self._clock.now())
                if obj is not None:
                    await self._show(obj, self.fleet)
            except GoldseamError as error:
                self.fleet = replace(self.fleet, unknown=str(error))
                log.warning("not_counted", problem=str(error))
        return self.fleet

    @property
    def tripped(self) -> tuple[bool, ...]:
        """Which of the breakers and the storm hold: those that have tripped, and those that could not be counted the
        first time."""
        trips = (self.fleet.breaker, self.fleet.node_breaker, self.fleet.storm)
        return tuple(trip.state == "Tripped" if trip else bool(self.fleet.unknown) for trip in trips)

    @property
    def quiet(self) -> bool:
        """Whether there is nothing to count, nor to take back: no incident, and nothing has tripped or is shown."""
        return not self._book.all() and not self._groups and not any(self.tripped)

    async def _guardrails(self, together: Lately | None = None) -> Json | None:
        ask, key = partial(self._cluster.get, GUARDRAILS, "", "cluster"), (GUARDRAILS.plural, "", "cluster")
        try:
            return await (together.answer(key, ask, anew=LINE.get() is Line.URGENT) if together else ask())
        except NotFound:
            return None

    async def _counted(self, spec: GuardrailsSpec, now: datetime) -> Fleet:
        old, unhealthy = self.fleet, self._unhealthy()
        workloads = [key for key in unhealthy if key.kind != "Node"]
        enough = len(workloads) >= spec.breaker.at_least
        pool = await self._pool() if enough else 0
        breaker = share_tripped(old.breaker, spec.breaker, len(workloads), max(pool, len(workloads)), "targets", now)
        nodes = old.node_breaker
        if len(unhealthy) > len(workloads) or (nodes is not None and nodes.state == "Tripped"):
            found = (await self._cluster.list(NODES)).items
            bad = sum(not is_ready(node) for node in found)
            nodes = share_tripped(nodes, spec.breaker, bad, len(found), "nodes", now)
        return Fleet(breaker, nodes, storm_tripped(old.storm, spec.storm, self._alerts(), now))

    def _unhealthy(self) -> set[TargetKey]:
        """Distinct targets with an incident whose alert is not over."""
        open_ones = [i for i in self._book.all() if i.status is None or i.status.phase in UNHEALTHY]
        return {target_key(incident) for incident in open_ones}

    async def _pool(self) -> int:
        """Distinct targets of all armed policies. Where the alert names the target: the namespace's workloads."""
        named: set[TargetKey] = set()
        whole: set[tuple[str, str]] = set()
        for kind, name, namespaces in await self._scopes():
            for namespace in namespaces:
                if name:
                    named.add(TargetKey(kind, namespace, name))
                else:
                    whole.add((kind, namespace))
        counts = [await self._count(kind, whole) for kind in WORKLOADS]
        return sum(counts) + sum((key.kind, key.namespace) not in whole for key in named)

    async def _scopes(self) -> list[tuple[str, str, list[str]]]:
        """Kind, name (or none) and namespaces of every armed policy about workloads."""
        scopes = []
        for armed in list(self._catalogue.armed.values()):
            if armed.target_kind != "Node":
                namespaces = [armed.key.namespace] if armed.key.namespace else await self._selected(armed.selector)
                scopes.append((armed.target_kind, armed.target_name, namespaces))
        return scopes

    async def _selected(self, selector: str) -> list[str]:
        found = await self._cluster.list(NAMESPACES, labels=selector)
        return [str(metadata(item)["name"]) for item in found.items]

    async def _count(self, kind: str, whole: set[tuple[str, str]]) -> int:
        wanted = {namespace for of, namespace in whole if of == kind}
        if len(wanted) > ONE_BY_ONE:
            try:
                items = (await self._cluster.list(WORKLOADS[kind])).items
            except NotFound:
                items = ()
            by_namespace = Counter(str(metadata(item)["namespace"]) for item in items)
            return sum(by_namespace[namespace] for namespace in wanted)
        return sum([await self._counted_in(kind, namespace) for namespace in sorted(wanted)])

    async def _counted_in(self, kind: str, namespace: str) -> int:
        at, count = self._pools.get((kind, namespace), (float("-inf"), 0))
        if self._clock.monotonic() - at > REMEMBERED:
            count = await self._asked(kind, namespace)
            self._pools[kind, namespace] = (self._clock.monotonic(), count)
        return count

    async def _asked(self, kind: str, namespace: str) -> int:
        try:
            return await self._cluster.count(WORKLOADS[kind], namespace)
        except NotFound:  # Rollouts, where Argo Rollouts is not installed: there are none
            return 0

    async def _show(self, obj: Json, fleet: Fleet) -> None:
        """Write what has changed."""
        await self._write(obj, _shown(fleet))
        self._regroup()
        try:
            await self._write(obj, {"nodeGroups": [group.dump() for group in self._groups] or None})
        except GoldseamError as error:  # it is for people to see, and nothing waits for it
            log.warning("groups_not_shown", problem=str(error))

    async def _write(self, obj: Json, fields: Json) -> None:
        old = {key: value for key in fields if (value := (obj.get("status") or {}).get(key)) is not None}
        patch = merge_patch(old, {key: value for key, value in fields.items() if value is not None})
        if patch:
            body = {"metadata": {"uid": obj["metadata"]["uid"]}, "status": patch}
            await self._cluster.patch(GUARDRAILS, "", "cluster", body, "status")
            log.info("breakers", **patch)

    def _regroup(self) -> None:
        """Not often: each step of each of their incidents changes the groups."""
        now = self._clock.monotonic()
        if now - self._grouped_at < GROUPS_EACH:
            return
        found = groups(i for i in self._book.all() if at_home(i, self._book.home))
        if found != self._groups:
            self._groups, self._grouped_at = found, now


def _shown(fleet: Fleet) -> Json:
    trips = {"breaker": fleet.breaker, "nodeBreaker": fleet.node_breaker, "storm": fleet.storm}
    return {key: trip.dump() if trip else None for key, trip in trips.items()}
