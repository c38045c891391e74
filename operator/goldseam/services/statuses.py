"""The status of what people write: accepted or not, and what to do about it. Written only when it changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from goldseam.actions.registry import ACTIONS
from goldseam.api import conditions as c
from goldseam.api.base import format_time
from goldseam.api.conditions import Condition, condition
from goldseam.api.policy import RemediationPolicySpec
from goldseam.api.problems import InvalidSpec, read_spec
from goldseam.api.runbook import RunbookSpec
from goldseam.engine.matching import PolicyKey, PolicySpec, asks_queries
from goldseam.engine.proposal import Right
from goldseam.engine.views import merge_patch
from goldseam.errors import Conflict, GoldseamError, NotFound
from goldseam.ports import Clock, Cluster, Json
from goldseam.resources import OURS, TARGETS
from goldseam.services import allowing
from goldseam.services.alertmanagers import Alertmanagers
from goldseam.services.catalogue import Armed
from goldseam.services.neighbours import uncontested
from goldseam.services.node_policies import nodes_fit
from goldseam.services.permissions import Permissions
from goldseam.services.plausibility import Plausibility
from goldseam.services.reach import names_nobody, no_way
from goldseam.services.sources import Source
from goldseam.services.tenants import Tenants

log = structlog.get_logger("goldseam.statuses")

GetSource = Callable[[str], Source | None]


class Statuses:
    """Judges objects, and writes what it finds to their status."""

    def __init__(
        self,
        cluster: Cluster,
        clock: Clock,
        permissions: Permissions,
        source: GetSource,
        tenants: Tenants,
        home: str = "",
    ) -> None:
        """`home`: the operator's own namespace."""
        self._home = home
        self._cluster, self._clock, self._permissions, self._source = cluster, clock, permissions, source
        self._tenants, self.plausibility = tenants, Plausibility(source)
        self.problems: dict[PolicyKey, str] = {}

    async def policy(self, kind: str, obj: Json) -> None:
        """Ready, Stalled, Permitted, RuleFound, Plausible, TargetFound, Uncontested and NodesFit of a policy."""
        now, generation = self._clock.now(), _generation(obj)
        try:
            spec = read_spec(kind, obj)
        except InvalidSpec as error:
            await self._write(kind, obj, _stalled(str(error), generation, now))
            return
        assert isinstance(spec, PolicySpec)
        key = PolicyKey(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        permitted = await self._permitted(key, spec, generation, now)
        refusal = self._tenants.refusal(spec.source_ref.name, key.namespace, queries=asks_queries(spec))
        source = self._source(spec.source_ref.name)
        if source is not None and not refusal:
            await source.know(spec.alert.name)
        rule = _closed(refusal, generation, now) if refusal else self._alert(spec, generation, now)
        plausible = self.plausibility.condition(key, spec, rule, now)
        fit = await nodes_fit(self._cluster, spec, generation, now, self._home)
        nobody = "" if refusal else await no_way(self._cluster, spec, source)
        armed = _armed(spec, fit.nowhere, nobody, generation, now)
        ready = _unready(spec, refusal, permitted, obj, generation, now) or armed
        told = [*self._target(key, generation, now), await uncontested(self._cluster, key, spec, generation, now)]
        told.append(fit.condition)
        await self._write(kind, obj, [ready, permitted, rule, plausible, *(one for one in told if one is not None)])

    def group(self, key: PolicyKey, spec: PolicySpec) -> Hashable:
        """What decides about a policy's rights, as far as rights are bound to groups: whose, where, and which."""
        account = spec.service_account_name if isinstance(spec, RemediationPolicySpec) else None
        return key.kind, key.namespace, account, _rights(spec, key.namespace)

    async def permitted(self, key: PolicyKey, obj: Json) -> bool:
        """Whether the policy has all rights that its ladder needs; no, where that cannot be asked."""
        try:
            spec = read_spec(key.kind, obj)
            assert isinstance(spec, PolicySpec)
            forbidden = await allowing.forbidden(self._cluster, spec, self._home)
            return not (forbidden or await self._permissions.denied(key, spec, _rights(spec, key.namespace)))
        except (InvalidSpec, GoldseamError):
            return False

    async def _permitted(self, key: PolicyKey, spec: PolicySpec, generation: int, now: datetime) -> Condition:
        try:
            forbidden = await allowing.forbidden(self._cluster, spec, self._home)
            denied = await self._permissions.denied(key, spec, _rights(spec, key.namespace))
        except GoldseamError as error:
            return condition(
                c.PERMITTED, None, c.UNREACHABLE, f"rights could not be asked for: {error}", generation, now
            )
        if forbidden:
            return condition(c.PERMITTED, False, c.TEMPLATE_FORBIDDEN, forbidden, generation, now)
        if not denied:
            return condition(c.PERMITTED, True, c.PERMISSION_GRANTED, "the ladder's rights are there", generation, now)
        missing = ", ".join(str(right) for right in denied)
        pieces = ", ".join(sorted({right.piece for right in denied}))
        message = f"missing: {missing}. Install deploy/kustomize/components/{pieces}, or bind the right to the policy"
        return condition(c.PERMITTED, False, c.PERMISSION_MISSING, message, generation, now)

    def _alert(self, spec: PolicySpec, generation: int, now: datetime) -> Condition:
        source = self._source(spec.source_ref.name)
        if source is None:
            message = f"AlertSource {spec.source_ref.name} does not exist: create it, or name another in sourceRef"
            return condition(c.RULE_FOUND, None, c.SOURCE_MISSING, message, generation, now)
        if not source.history.knows(spec.alert.name):
            message = f"AlertSource {source.name} has not been asked for the rule yet"
            return condition(c.RULE_FOUND, None, c.UNREACHABLE, message, generation, now)
        if spec.alert.name in source.history.by_name:
            message = f"AlertSource {source.name} has the rule"
            return condition(c.RULE_FOUND, True, c.RULE_PRESENT, message, generation, now)
        message = f"AlertSource {source.name} has no alerting rule named {spec.alert.name}: the policy never matches"
        return condition(c.RULE_FOUND, False, c.RULE_MISSING, message, generation, now)

    def rule(self, armed: Armed) -> str | None:
        """The reason that the policy's RuleFound has to give by now; None where the source has not been read."""
        if self._tenants.refusal(armed.source, armed.key.namespace, queries=armed.queries):
            return c.SOURCE_REFUSED
        source = self._source(armed.source)
        if source is None or not source.history.knows(armed.alert):
            return None
        return c.RULE_PRESENT if armed.alert in source.history.by_name else c.RULE_MISSING

    def untold(self, armed: Armed, runbook: RunbookSpec | None) -> bool | None:
        """Whether the policy's Ready has to say that nobody can be told; None where a part of that is not known."""
        source = self._source(armed.source)
        if not armed.tells or (source is not None and source.alertmanagers is not None):
            return False
        return None if source is None or runbook is None else names_nobody(runbook)

    def _target(self, key: PolicyKey, generation: int, now: datetime) -> Iterable[Condition]:
        if problem := self.problems.get(key):
            yield condition(c.TARGET_FOUND, False, c.NO_TARGET, problem, generation, now)

    async def source(self, obj: Json, source: Source) -> None:
        """Ready and SourceReachable of an AlertSource, with its version and rules."""
        now, generation = self._clock.now(), _generation(obj)
        problem = source.history.problem or source.history.missing
        reached = condition(
            c.SOURCE_REACHABLE, not problem, c.UNREACHABLE if problem else c.READ, problem or "read", generation, now
        )
        ready = condition(c.READY, True, c.ACCEPTED, "the spec is valid", generation, now)
        fields: Json = {"rules": source.rules, "groups": source.groups, "lastRead": None}
        if source.version:
            fields["version"] = source.version[:64]
        if source.history.problem and source.read_last:  # not each read: that would be a write each 15 s
            fields["lastRead"] = format_time(source.read_last)
        more = [_evaluated(source, generation, now), *_queries(source, generation, now)]
        more += [*_heartbeat(source, generation, now), *_alertmanagers(source, generation, now)]
        await self._write("AlertSource", obj, [ready, reached, *more], fields)

    async def simple(self, kind: str, obj: Json, problem: str, fields: Json | None = None) -> None:
        """Ready or Stalled of a kind that is only read."""
        now, generation = self._clock.now(), _generation(obj)
        if problem:
            await self._write(kind, obj, _stalled(problem, generation, now))
            return
        ready = condition(c.READY, True, c.ACCEPTED, "the spec is valid", generation, now)
        await self._write(kind, obj, [ready], fields)

    async def _write(self, kind: str, obj: Json, new: Sequence[Condition], fields: Json | None = None) -> None:
        old: dict[str, Any] = obj.get("status") or {}
        before = [Condition.model_validate(entry) for entry in old.get("conditions") or []]
        wanted = {key: value for key, value in {**old, **(fields or {})}.items() if value is not None}
        wanted |= {
            "observedGeneration": _generation(obj),
            "conditions": [entry.dump() for entry in c.merge(before, new)],
        }
        patch = merge_patch(old, wanted)
        if not patch:
            return
        meta = obj["metadata"]
        body = {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}, "status": patch}
        try:
            await self._cluster.patch(OURS[kind], meta.get("namespace", ""), meta["name"], body, "status")
        except (Conflict, NotFound):
            return  # it has changed: the watch brings the new one
        except GoldseamError as error:
            log.warning("status_not_written", kind=kind, name=meta["name"], problem=str(error))
            raise

    async def refreshed(self, kind: str, namespace: str, name: str) -> Json | None:
        """The object as it is now; None when it is gone or cannot be read."""
        try:
            return await self.read(kind, namespace, name)
        except GoldseamError:
            return None

    async def read(self, kind: str, namespace: str, name: str) -> Json | None:
        """The object as it is now; None when it is gone.

        Raises:
            GoldseamError: it cannot be read.
        """
        try:
            return await self._cluster.get(OURS[kind], namespace, name)
        except NotFound:
            return None


def _queries(source: Source, generation: int, now: datetime) -> list[Condition]:
    """Whether the source answers queries, once it was asked."""
    if source.mute is None:
        return []
    reason, message = (c.UNREACHABLE, source.mute) if source.mute else (c.ANSWERED, "a query was answered")
    return [condition(c.QUERIES, not source.mute, reason, message, generation, now)]


def _heartbeat(source: Source, generation: int, now: datetime) -> list[Condition]:
    """Whether the heartbeat is seen, once the source was read."""
    if source.spec.heartbeat is None or source.history.read_at is None:
        return []
    _, problem = source.heartbeat
    reason, message = (c.LOST, problem) if problem else (c.BEATS, "the heartbeat fires freshly")
    return [condition(c.HEARTBEAT, not problem, reason, message, generation, now)]


def _evaluated(source: Source, generation: int, now: datetime) -> Condition:
    """Whether the rules that matter are evaluated."""
    if source.history.problem:
        return condition(c.RULES_EVALUATED, None, c.UNREACHABLE, source.history.problem, generation, now)
    found = source.unevaluated
    bad = sorted(f"{name} ({word})" for name, word in found.items() if word != "unseen")
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        return condition(c.RULES_EVALUATED, False, c.NOT_EVALUATED, ", ".join(bad[:5]) + more, generation, now)
    if found:
        message = "some rules have not been seen to be evaluated again yet"
        return condition(c.RULES_EVALUATED, None, c.WATCHING, message, generation, now)
    message = "the rules that policies wait for are evaluated in time"
    return condition(c.RULES_EVALUATED, True, c.EVALUATED, message, generation, now)


def _alertmanagers(source: Source, generation: int, now: datetime) -> list[Condition]:
    """Whether the Alertmanagers answer, and take our silences."""
    found = source.alertmanagers
    if found is None:
        return []
    reason, message = (c.UNREACHABLE, found.problem) if found.problem else (c.ANSWERS, "all of them answer")
    reached = condition(c.ALERTMANAGER_REACHABLE, not found.problem, reason, message, generation, now)
    return [reached, condition(c.PAGE_GATE, *_gate(source, found), generation, now)]


def _gate(source: Source, found: Alertmanagers) -> tuple[bool | None, str, str]:
    if source.spec.page_gate == "Disabled":
        return False, c.DISABLED, "spec.pageGate is Disabled"
    if found.refused:
        return False, c.REFUSED, "; ".join(f"{url}: {why}" for url, why in sorted(found.refused.items()))
    if found.gated:
        return True, c.KEPT, "the last silence was taken"
    return None, c.NOT_TRIED, "no silence was needed yet"


def _generation(obj: Json) -> int:
    return int(obj["metadata"].get("generation") or 0)


def _stalled(message: str, generation: int, now: datetime) -> list[Condition]:
    return [
        condition(c.READY, False, c.INVALID_SPEC, message, generation, now),
        condition(c.STALLED, True, c.INVALID_SPEC, message, generation, now),
    ]


def _closed(refusal: str, generation: int, now: datetime) -> Condition:
    """A policy to which a source is closed is not told what rules it has."""
    return condition(c.RULE_FOUND, None, c.SOURCE_REFUSED, refusal, generation, now)


def _unready(
    spec: PolicySpec, refusal: str, permitted: Condition, obj: Json, generation: int, now: datetime
) -> Condition | None:
    """Ready where it is False, else None."""
    if spec.suspend:
        return condition(c.READY, False, c.SUSPENDED, "spec.suspend is true", generation, now)
    if refusal:
        return condition(c.READY, False, c.SOURCE_REFUSED, refusal, generation, now)
    if spec.mode == "Act" and permitted.status == "False" and not _was_permitted(obj):
        return condition(c.READY, False, permitted.reason, permitted.message, generation, now)
    return None


def _armed(spec: PolicySpec, nowhere: str, nobody: str, generation: int, now: datetime) -> Condition:
    """Nodes come and go, so that none can be acted on now does not turn Ready off, on which GitOps tools wait; but the
    reason, which `kubectl get` shows, says so. `nobody`: why people cannot be told."""
    message = f"waiting for alert {spec.alert.name} in mode {spec.mode}"
    if nowhere:
        message += f", and there is no node that it could act on now: {nowhere}"
    message += f"; {nobody}" if nobody else ""
    return condition(c.READY, True, c.NO_NODE_FITS if nowhere else c.ARMED, message, generation, now)


def _was_permitted(obj: Json) -> bool:
    """Whether it was ever armed in mode Act: a right that goes missing later does not make it unready for GitOps."""
    old = (obj.get("status") or {}).get("conditions") or []
    return any(
        e.get("type") == c.READY and e.get("status") == "True" and "mode Act" in e.get("message", "") for e in old
    )


def _rights(spec: PolicySpec, namespace: str) -> tuple[Right, ...]:
    """The rights that the ladder's actions need, as far as they are known before there is a target."""
    where = namespace if isinstance(spec, RemediationPolicySpec) else ""
    own = isinstance(spec, RemediationPolicySpec) and spec.service_account_name  # its rights may be for a name only
    kind, found = TARGETS[spec.target.kind], dict[Right, None]()
    for rung in (rung for rung in spec.ladder if rung.action in ACTIONS):
        for right in ACTIONS[rung.action].needs(rung.parameters, spec.target.kind):
            if right.namespace:  # it says itself where
                found.setdefault(right)
                continue
            of_target = own and right.resource == kind.plural
            named = rung.parameters.names.get(right.resource) or (of_target and spec.target.name) or ""
            found.setdefault(replace(right, namespace=where, name=named))
    return tuple(found)
