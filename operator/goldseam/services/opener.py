"""From firing alerts to incidents: match, resolve the target, open or wake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import structlog

from goldseam import metrics
from goldseam.api.incident import IncidentSpec
from goldseam.engine.alerts import ActiveAlert
from goldseam.engine.matching import (
    NoTarget,
    PolicyKey,
    PolicySpec,
    TargetKey,
    asks_queries,
    concerns,
    matches,
)
from goldseam.engine.objects import reference
from goldseam.engine.opening import incident_spec, is_same, manifest
from goldseam.engine.situation import LivePolicy
from goldseam.engine.views import IncidentView, of_a_newer_version, view
from goldseam.errors import AlreadyExists, GoldseamError, NotFound, Retryable
from goldseam.ports import LINE, Clock, Cluster, Json, Line
from goldseam.resources import INCIDENTS, OURS, TARGETS
from goldseam.services.book import IncidentBook
from goldseam.services.catalogue import Armed, Catalogue
from goldseam.services.gather import Opened
from goldseam.services.live_policies import live_policy
from goldseam.services.node_names import Found
from goldseam.services.predecessors import Predecessors
from goldseam.services.sources import JUST_NOW, Source
from goldseam.services.targets import Targets
from goldseam.services.tenants import Tenants

log = structlog.get_logger("goldseam.opener")

AT_ONCE = 8
CANDIDATES = 5
REMEMBERED = 20_000


@dataclass(frozen=True)
class _Seen:
    """What was read of the cluster for an alert, at `at` of the monotonic clock."""

    at: float
    policy: LivePolicy
    key: TargetKey | None = None
    """The target that was read with the policy, though it was not known yet that it is the one."""
    target: Json | None = None
    crowd: str = ""
    """What fires together has this name."""


@dataclass
class Opener:
    """Opens incidents for alerts that fire freshly."""

    cluster: Cluster
    clock: Clock
    catalogue: Catalogue
    book: IncidentBook
    namespace: str
    wake: Callable[[str, Opened | None], None]
    """Looks at the incident of this uid; where it was created just now, with what was read for that."""
    problem: Callable[[PolicyKey, str], None]
    """Says on the policy why its alert opens nothing; empty when it does."""
    tenants: Tenants
    """Knows to whom each source is closed."""
    targets: Targets
    predecessors: Predecessors
    """Lists the Incidents that a target has had."""
    whole: Callable[[str], None] = lambda _: None
    """All of the crowd of this name is opened, or was tried to be."""
    _firing_since: dict[tuple[PolicyKey, TargetKey], float] = field(default_factory=dict)
    _opening: set[tuple[PolicyKey, TargetKey]] = field(default_factory=set)
    """What is being opened: another alert may name the same target."""
    _seen: dict[str, set[tuple[PolicyKey, TargetKey]]] = field(default_factory=dict)
    """What each source shows to be firing now."""
    _targets: dict[tuple[PolicyKey, int, frozenset[tuple[str, str]]], TargetKey] = field(default_factory=dict)
    """Which target an alert was found to mean for a policy, where an incident handles it."""

    async def answered(self, source: Source) -> None:
        """A source was read: open what is new, some at a time."""
        LINE.set(Line.ACTING)  # a source has a task of its own
        self._seen[source.name] = set()
        if len(self._targets) > REMEMBERED:
            self._targets.clear()
        slots = asyncio.Semaphore(AT_ONCE)

        async def consider(armed: Armed, firing: list[ActiveAlert]) -> None:
            async with slots:
                await self._guarded(source, armed, firing)

        await asyncio.gather(*(consider(armed, firing) for armed, firing in self._concerned(source)))
        self._forget(source.name)

    def _concerned(self, source: Source) -> Iterator[tuple[Armed, list[ActiveAlert]]]:
        """The policies whose business something new may be, and that."""
        for name in sorted(self.catalogue.alerts_of(source.name)):
            alerts = [a for rule in source.rules_of(name) for a in rule.alerts]
            firing = [a for a in alerts if a.state == "firing" and matches(a.labels, source.spec.matchers)]
            by_namespace: dict[str, list[ActiveAlert]] = {}
            for alert in firing:
                by_namespace.setdefault(alert.labels.get("namespace", ""), []).append(alert)
            for armed in list(self.catalogue.concerned(source.name, name)) if firing else ():
                if found := self._new(armed, firing, by_namespace):
                    yield armed, found

    def _new(
        self, armed: Armed, firing: list[ActiveAlert], by_namespace: Mapping[str, list[ActiveAlert]]
    ) -> list[ActiveAlert]:
        """The alerts that may be the policy's business, and that no incident has: for these it is worth being read.
        What fires for longest comes first."""
        if armed.key.namespace:
            firing = by_namespace.get(armed.key.namespace, []) + (by_namespace.get("", []) if armed.any_scope else [])
        found = (alert for alert in firing if matches(alert.labels, armed.matchers) and not self._has(armed, alert))
        return sorted(found, key=lambda alert: alert.active_at)

    def _has(self, armed: Armed, alert: ActiveAlert) -> bool:
        target = self._targets.get((armed.key, armed.generation, frozenset(alert.labels.items())))
        return target is not None and self._handled(armed.key, armed.uid, target)

    def _forget(self, source: str) -> None:
        """An alert that stopped firing begins anew when it is back."""
        for policy, target in list(self._firing_since):
            armed = self.catalogue.armed.get(policy)
            if (policy, target) not in self._seen[source] and (armed is None or armed.source == source):
                del self._firing_since[policy, target]

    async def _guarded(self, source: Source, armed: Armed, firing: list[ActiveAlert]) -> None:
        try:
            await self._consider(source, armed, firing)
        except GoldseamError as error:
            log.warning("not_opened", policy=str(armed.key), problem=str(error))

    async def _consider(self, source: Source, armed: Armed, firing: list[ActiveAlert]) -> None:
        if armed.suspended or self._closed(source, armed.key, armed.queries):
            return
        seen = await self._read(armed, _likely(armed, firing) if _is_fresh(source, firing[0]) else None)
        await self.tenants.look(source.name, armed.key.namespace)
        if seen.policy.spec is None or self._closed(source, armed.key, asks_queries(seen.policy.spec)):
            return
        crowd = f"{armed.key} at {seen.at}" if len(firing) > 1 else ""
        try:
            await self._consider_each(source, armed, replace(seen, crowd=crowd), firing)
        finally:
            self.whole(crowd)

    async def _consider_each(self, source: Source, armed: Armed, seen: _Seen, firing: list[ActiveAlert]) -> None:
        """Some at a time. One that fails is no reason not to open the others, unless nothing can be read now."""
        failed: list[BaseException] = []
        for begin in range(0, len(firing), AT_ONCE):
            if self.clock.monotonic() - seen.at > JUST_NOW:  # what is opened is bound to the policy as it is then
                seen = replace(await self._read(armed, None), crowd=seen.crowd)
            if (spec := seen.policy.spec) is None:
                return
            alerts = (a for a in firing[begin : begin + AT_ONCE] if concerns(spec, armed.key.namespace, a.labels))
            each = (self._concerned_by(source, armed, seen, spec, alert) for alert in alerts)
            ends = await asyncio.gather(*each, return_exceptions=True)
            failed += [error for error in ends if error is not None]
            if ends and all(isinstance(error, Retryable) for error in ends):
                break
        if failed:
            raise failed[0]

    async def _read(self, armed: Armed, likely: TargetKey | None) -> _Seen:
        """The policy, and what is likely to be its target beside it."""
        at = self.clock.monotonic()
        body, target = await asyncio.gather(self._policy(armed.key), self._target(likely))
        return _Seen(at, live_policy(armed.key.kind, body), likely, target)

    async def _target(self, key: TargetKey | None) -> Json | None:
        """The object, if it can be had: whoever needs it asks again, and is told why not."""
        try:
            return await self.cluster.get(TARGETS[key.kind], key.namespace, key.name) if key is not None else None
        except GoldseamError:
            return None

    async def _concerned_by(
        self, source: Source, armed: Armed, seen: _Seen, spec: PolicySpec, alert: ActiveAlert
    ) -> None:
        found = await self.targets.found(spec, armed.key.namespace, alert)
        if isinstance(found, NoTarget):
            self.problem(armed.key, found.message)
            return
        target, known = found.key, (armed.key, armed.generation, frozenset(alert.labels.items()))
        policy = seen.policy
        handled = self._handled(policy.key, policy.uid, target)
        if not handled and self._long_enough(source, policy, target) and (policy.key, target) not in self._opening:
            self._opening.add((policy.key, target))
            try:
                await self._open_if_fresh(source, seen, found, alert)
            finally:
                self._opening.discard((policy.key, target))
            handled = self._handled(policy.key, policy.uid, target)
        if handled:
            self._targets[known] = target

    def _closed(self, source: Source, key: PolicyKey, queries: bool) -> bool:
        return bool(self.tenants.refusal(source.name, key.namespace, queries=queries))

    async def _policy(self, key: PolicyKey) -> Json:
        return await self.cluster.get(OURS[key.kind], key.namespace, key.name)

    def _handled(self, policy: PolicyKey, uid: str, target: TargetKey) -> bool:
        return self.book.handling(policy, uid, target, self.clock.now()) is not None

    def _long_enough(self, source: Source, policy: LivePolicy, target: TargetKey) -> bool:
        assert policy.spec is not None
        wanted = policy.spec.alert.hold_for.total_seconds()
        now = self.clock.monotonic()
        self._seen[source.name].add((policy.key, target))
        return now - self._firing_since.setdefault((policy.key, target), now) >= wanted

    async def _open_if_fresh(self, source: Source, seen: _Seen, found: Found, alert: ActiveAlert) -> None:
        """Open for an alert that fires freshly."""
        policy, target = seen.policy, found.key
        if not _is_fresh(source, alert):
            return
        resource = TARGETS[target.kind]
        try:
            known = seen.target if seen.key == target else found.obj
            obj = known or await self.cluster.get(resource, target.namespace, target.name)
        except NotFound:
            self.problem(
                policy.key, f"{target.kind} {target.namespace}/{target.name}, which the alert names, does not exist"
            )
            return
        self.problem(policy.key, "")
        ref = reference(obj, resource.api_version, target.kind)
        of_target = await self.predecessors.of(ref)
        if any(map(of_a_newer_version, of_target)):
            return  # what was done to the target is not known here: nothing is begun beside it
        newest = _newest(policy, of_target)
        if newest is not None and not newest.over and self.book.get(newest.uid) is None:
            self._take_up(newest, None)  # restored from a backup: it was not there when we began
        else:
            await self._open(seen, incident_spec(policy, ref, alert, newest.uid if newest else ""), obj)
        self._firing_since.pop((policy.key, target), None)

    def _take_up(self, incident: IncidentView, opened: Opened | None) -> None:
        self.book.put(incident)
        self.wake(incident.uid, opened)

    async def _open(self, seen: _Seen, spec: IncidentSpec, target: Json) -> None:
        policy = seen.policy
        namespace = spec.target.namespace or self.namespace
        for _ in range(CANDIDATES):
            body, opened = manifest(spec, namespace), None
            try:
                incident = view(await self.cluster.create(INCIDENTS, namespace, body))
                opened = Opened(seen.at, policy, target, seen.crowd)
            except AlreadyExists:
                found = await self.cluster.get(INCIDENTS, namespace, body["metadata"]["name"])
                incident = view(found)
                if incident is None or incident.over or not is_same(found.get("spec") or {}, spec):
                    spec = spec.model_copy(update={"predecessor": found["metadata"]["uid"]})
                    continue
            assert incident is not None
            log.info("opened", incident=incident.title, policy=str(policy.key), target=str(spec.target))
            metrics.opened()
            self._take_up(incident, opened)
            return


def _newest(policy: LivePolicy, of_target: Iterable[Json]) -> IncidentView | None:
    """The newest of these Incidents that is the policy's."""
    mine = [o for o in of_target if (o.get("spec") or {}).get("policyRef", {}).get("uid") == policy.uid]
    mine.sort(key=lambda o: (o["metadata"]["creationTimestamp"], o["metadata"]["uid"]))
    return view(mine[-1]) if mine else None


def _is_fresh(source: Source, alert: ActiveAlert) -> bool:
    """Whether it fires freshly."""
    labels = alert.labels
    name, namespace = labels.get("alertname", ""), labels.get("namespace", "")
    reading = source.reading(name, lambda a: a.labels == labels, namespace, likely=labels)
    return reading.state == "Firing" and reading.fresh


def _likely(armed: Armed, firing: list[ActiveAlert]) -> TargetKey | None:
    """The target of the only alert that fires, as the policy, as it was seen last, or a label of its kind names it."""
    kind, namespace = armed.target_kind, armed.key.namespace
    if len(firing) != 1:
        return None
    name = armed.target_name or firing[0].labels.get(kind.lower(), "")
    where = "" if kind == "Node" else namespace or firing[0].labels.get("namespace", "")
    return TargetKey(kind, where, name) if name and (where or kind == "Node") else None
