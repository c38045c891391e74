"""Takes in what the watches saw: arms policies, reads sources, keeps runbooks, says on each object what it found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime

import structlog

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.api.guardrails import GuardrailsSpec
from goldseam.api.pause import PauseSpec
from goldseam.api.problems import InvalidSpec, read_spec
from goldseam.api.runbook import RunbookSpec
from goldseam.api.status import PauseStatus
from goldseam.engine.matching import PolicyKey
from goldseam.errors import GoldseamError
from goldseam.ports import Json
from goldseam.services import limits, pauses
from goldseam.services.catalogue import Catalogue
from goldseam.services.inbox import Inbox, Seen
from goldseam.services.judging import Judging
from goldseam.services.ledger import NAME
from goldseam.services.live_policies import live_policy
from goldseam.services.sources import Source, Sources
from goldseam.services.statuses import Statuses
from goldseam.services.tenants import Tenants

log = structlog.get_logger("goldseam.registrar")

POLICIES = ("RemediationPolicy", "ClusterRemediationPolicy")
RETRY = 10.0


@dataclass(frozen=True)
class Tell:
    """Who is told of what was seen."""

    heard: Callable[[Json], Awaitable[None]]
    """Every Response."""
    changed: Callable[[str, str, str], None]
    """What else people changed, by kind, namespace and name."""
    restored: Callable[[], Awaitable[None]]
    """The Guardrails are gone."""


class Registrar:
    """The one who reads the inbox."""

    def __init__(
        self,
        inbox: Inbox,
        catalogue: Catalogue,
        sources: Sources,
        statuses: Statuses,
        judging: Judging,
        tenants: Tenants,
        tell: Tell,
        home: str,
    ) -> None:
        self._home, self._tell = home, tell
        self._inbox, self._catalogue, self._sources, self._statuses = inbox, catalogue, sources, statuses
        self._judging, self._tenants = judging, tenants
        self._versions: dict[tuple[str, str, str], tuple[str, int]] = {}
        """The uid and the generation of each object."""
        self._told: dict[str, tuple[object, ...]] = {}
        self._rules: dict[str, dict[str, Hashable]] = {}
        self._allowed: object = None

    async def run(self) -> None:
        """Take in what comes, for ever. One object that fails is tried again later, and holds up no other."""
        while True:
            for seen in await self._inbox.take():
                await self._guarded(seen)
                await asyncio.sleep(0)  # at a start there are thousands, and the lease has to be renewed meanwhile

    async def _guarded(self, seen: Seen) -> None:
        try:
            await self._take(seen)
            self._noticed(seen)
        except GoldseamError as error:
            log.warning("not_taken_in", kind=seen.kind, name=seen.name, problem=str(error))
            asyncio.get_running_loop().call_later(RETRY, self._again, seen)
        except Exception:
            log.exception("not_taken_in", kind=seen.kind, name=seen.name)

    def _noticed(self, seen: Seen) -> None:
        """A spec was changed, or an object is gone: what only its status says is our own."""
        key = (seen.kind, seen.namespace, seen.name)
        meta = None if seen.body is None else seen.body["metadata"]
        version = None if meta is None else (str(meta.get("uid", "")), int(meta.get("generation") or 0))
        if self._versions.get(key) != version:
            self._tell.changed(*key)
        if version is None:
            self._versions.pop(key, None)
        else:
            self._versions[key] = version

    def _again(self, seen: Seen) -> None:
        self._inbox.put(seen)

    async def _take(self, seen: Seen) -> None:
        if seen.kind in POLICIES:
            self._policy(seen)
        elif seen.kind == "AlertSource":
            await self._source(seen)
        elif seen.kind == "Runbook":
            await self._runbook(seen)
        elif seen.kind == "Response":
            await self._tell.heard(seen.body) if seen.body is not None else None
        elif seen.body is not None:
            await self._other(seen.kind, seen.body)
        elif seen.kind == "Guardrails" and seen.name == NAME:
            await self._tell.restored()

    def _policy(self, seen: Seen) -> None:
        """Armed at once: however many wait to be judged, none waits for its alert because of that."""
        key = PolicyKey(seen.kind, seen.namespace, seen.name)
        if seen.body is None:
            self._catalogue.disarm(key)
            self._judging.forget(key)
            return
        policy = live_policy(seen.kind, seen.body)
        if policy.spec is None:
            self._catalogue.disarm(key)
        else:
            self._catalogue.arm(policy)
        self._judging.seen(key, seen.body, policy.spec)

    async def _source(self, seen: Seen) -> None:
        spec = None if seen.body is None else _read(seen)
        if not isinstance(spec, AlertSourceSpec):
            self._catalogue.sources.pop(seen.name, None)
            await self._sources.remove(seen.name)
            self._tenants.remove(seen.name)
            if seen.body is not None:
                await self._statuses.simple(seen.kind, seen.body, str(spec))
            return
        before = self._catalogue.sources.get(seen.name)
        self._catalogue.sources[seen.name] = spec
        await self._tenants.put(seen.name, spec)  # before it is read: nothing is opened for those it is closed to
        source = await self._sources.put(seen.name, spec)
        if before is not None and (before.alertmanager is None) != (spec.alertmanager is None):
            self.source_changed(seen.name)  # who can be told stands on the policies
        if source.history.read_at is not None or source.history.problem != "it has not been read yet":
            assert seen.body is not None
            await self._statuses.source(seen.body, source)

    async def answered(self, source: Source) -> None:
        """A source was read: its status and that of its policies change only when what it has changes."""
        problem = source.history.problem or source.history.missing
        unevaluated = tuple(sorted(source.unevaluated.items()))
        called = source.alertmanagers.said if source.alertmanagers else ()
        news = (problem, source.rules, source.groups, source.heartbeat[1], source.mute, unevaluated, called)
        if self._told.get(source.name) != news:
            self._told[source.name] = news
            await self._recheck("AlertSource", "", source.name)
        alerts, definitions = self._catalogue.alerts_of(source.name), self._statuses.plausibility.definitions
        before, rules = self._rules.get(source.name, {}), {name: definitions(source.name, name) for name in alerts}
        self._rules[source.name] = rules
        for alert in (name for name, now in rules.items() if before.get(name) != now):
            self._judging.changed([armed.key for armed in self._catalogue.concerned(source.name, alert)])

    def source_changed(self, name: str) -> None:
        """Whom a source allows has changed: its policies' conditions may have to say so."""
        self._judging.changed(a.key for a in self._catalogue.armed.values() if a.source == name)

    async def _recheck(self, kind: str, namespace: str, name: str) -> None:
        body = await self._statuses.refreshed(kind, namespace, name)
        if body is not None:
            self._inbox.put(Seen(kind, namespace, name, body))

    def problem(self, key: PolicyKey, message: str) -> None:
        """Note why a policy's alert opens nothing, and say it on the policy."""
        if self._statuses.problems.get(key, "") == message:
            return
        if message:
            self._statuses.problems[key] = message
        else:
            self._statuses.problems.pop(key, None)
        self._judging.changed([key])

    async def _runbook(self, seen: Seen) -> None:
        if seen.body is None:
            self._catalogue.runbooks.pop(seen.name, None)
            self._judging.runbook_changed(seen.name, None)
            return
        spec = _read(seen)
        self._judging.runbook_changed(seen.name, spec if isinstance(spec, RunbookSpec) else None)
        if isinstance(spec, RunbookSpec):
            self._catalogue.runbooks[seen.name] = spec
            unbound = sum(threshold.state == "Unbound" for threshold in spec.thresholds)
            await self._statuses.simple(seen.kind, seen.body, "", {"unbound": unbound})
        else:
            self._catalogue.runbooks.pop(seen.name, None)
            await self._statuses.simple(seen.kind, seen.body, str(spec))

    async def _other(self, kind: str, body: Json) -> None:
        try:
            spec = read_spec(kind, body)
        except InvalidSpec as error:
            await self._statuses.simple(kind, body, f"{error}{_what_holds(kind, body)}")
            return
        fields: Json = {}
        if isinstance(spec, PauseSpec):
            created = datetime.fromisoformat(body["metadata"]["creationTimestamp"])
            stops = pauses.stops(spec, body["metadata"]["namespace"], self._home)
            said = PauseStatus(ends=spec.ends(created), message=stops).dump()
            fields = {name: said[name] for name in ("ends", "message")}
        if isinstance(spec, GuardrailsSpec):
            fields = {"effective": spec.dump()}
            self._limited(spec)
        await self._statuses.simple(kind, body, "", fields)

    def _limited(self, spec: GuardrailsSpec) -> None:
        """What may be made: said by the policies that make it."""
        allowed = (spec.templates, spec.protected_namespaces)
        if self._allowed not in (None, allowed):
            self._judging.limits_changed()
        self._allowed = allowed


def _what_holds(kind: str, body: Json) -> str:
    """What is in force while the spec is invalid."""
    if kind != "Guardrails":
        return ""
    if limits.in_force(body)[1]:
        return ". No valid spec is known: nothing is done until it is corrected"
    return ". Until it is corrected the last valid spec stays in force (status.effective)"


def _read(seen: Seen) -> object:
    """The spec, or the problem with it as text."""
    assert seen.body is not None
    try:
        return read_spec(seen.kind, seen.body)
    except InvalidSpec as error:
        return str(error)
