"""Reads what a `collect` rung asks for. What cannot be read, or not in time, is named: the ladder goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from goldseam.api.findings import Evidence
from goldseam.engine import evidence
from goldseam.engine.evidence import missing
from goldseam.engine.objects import Json, metadata, selector_of
from goldseam.engine.queries import Undefined, filled, variables
from goldseam.engine.redaction import LINES
from goldseam.engine.situation import Situation
from goldseam.errors import GoldseamError
from goldseam.ports import Clock, Cluster, Metrics
from goldseam.resources import EVENTS, NAMESPACES, NODES, PODS

PATIENCE = 3.0
"""Seconds for each thing that is read; nearly all are read at the same time."""
LOOKED_INTO = 3
"""Pods whose events and logs are read: the worst."""

Reading = Awaitable[list[Evidence]]


class Collector:
    """Collects evidence. Nothing is written."""

    def __init__(self, cluster: Cluster, source: Callable[[Situation], Metrics | str], clock: Clock) -> None:
        """`source` gives the policy's alert source, or says why there is none to ask."""
        self._cluster, self._source, self._clock = cluster, source, clock

    async def collected(self, s: Situation) -> Situation:
        """The situation with the evidence for the rung whose turn it is."""
        rung, target, now = s.rung, s.world.target, self._clock.now()
        assert rung is not None
        assert rung.collect is not None
        if target is None:
            return replace(s, evidence=(missing(now, str(s.spec.target), "it is gone"),))
        asked = [self._timely(f"query {e}", self._value(s, e, now), now) for e in rung.collect.queries]
        pods = self._timely("pods and events", self._pods(s, target, now), now, rounds=3 if _reads_logs(s) else 2)
        found = await asyncio.gather(pods, *asked)
        first = evidence.of_object(s.spec.target.kind, target, now)
        return replace(s, evidence=(first, *(one for part in found for one in part)))

    async def _timely(self, about: str, reading: Reading, now: datetime, rounds: int = 1) -> list[Evidence]:
        """What was read; whatever goes wrong, the ladder goes on."""
        try:
            async with asyncio.timeout(rounds * PATIENCE):
                return await reading
        except TimeoutError:
            return [missing(now, about, f"no answer within {rounds * PATIENCE:g} s")]
        except GoldseamError as error:
            return [missing(now, about, str(error))]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return [missing(now, about, f"the answer cannot be understood ({type(error).__name__})")]

    async def _pods(self, s: Situation, target: Json, now: datetime) -> list[Evidence]:
        """The pods; then the events about the target and the worst pods, and the nodes of these."""
        ref = s.spec.target
        if ref.kind == "Node":
            pods = list(s.world.pods)
        else:
            found = await self._cluster.list(PODS, ref.namespace, labels=selector_of(target))
            pods = list(found.items)
        ill = evidence.worst(pods)[:LOOKED_INTO]
        names = {str(name) for pod in ill if (name := (pod.get("spec") or {}).get("nodeName"))} - {ref.name}
        nodes = [self._timely(f"Node {name}", self._node(name, now), now) for name in sorted(names)]
        events = self._timely("events", self._events(ref.namespace, [ref.uid, *map(_uid, ill)], now), now)
        logs = [self._timely("logs", self._logs(s, ill, now), now, rounds=2)] if _reads_logs(s) else []
        rest = await asyncio.gather(events, *logs, *(nodes if ref.kind != "Node" else ()))
        return [*evidence.of_pods(pods, now), *(one for part in rest for one in part)]

    async def _events(self, namespace: str, uids: list[str], now: datetime) -> list[Evidence]:
        asked = (self._cluster.list(EVENTS, namespace, fields=f"involvedObject.uid={uid}") for uid in uids)
        pages = await asyncio.gather(*asked)
        return evidence.of_events((event for page in pages for event in page.items), now)

    async def _logs(self, s: Situation, pods: list[Json], now: datetime) -> list[Evidence]:
        """The logs of these pods, where their namespace, which is the Incident's, lets them be written down."""
        where = s.spec.target.namespace
        if not where:
            return [missing(now, "logs", "those of a node's pods are of many namespaces")]
        if not evidence.allows_logs(await self._cluster.get(NAMESPACES, "", where)):
            label = f'{evidence.COLLECT_LOGS}: "true"'
            return [missing(now, "logs", f"namespace {where} does not have the label {label}")]
        told = [
            (evidence.about_log(pod, name, previous=previous), self._log(pod, name, now, previous=previous))
            for pod in pods
            for name, previous in evidence.logs_of(pod)
        ]
        found = await asyncio.gather(*(self._timely(about, reading, now) for about, reading in told))
        return [one for part in found for one in part]

    async def _log(self, pod: Json, container: str, now: datetime, *, previous: bool) -> list[Evidence]:
        meta = metadata(pod)
        log = await self._cluster.log(meta["namespace"], meta["name"], container, LINES, previous=previous)
        return [evidence.of_log(evidence.about_log(pod, container, previous=previous), log, now)]

    async def _node(self, name: str, now: datetime) -> list[Evidence]:
        return [evidence.of_object("Node", await self._cluster.get(NODES, "", name), now)]

    async def _value(self, s: Situation, expression: str, now: datetime) -> list[Evidence]:
        metrics = self._source(s)
        if isinstance(metrics, str):
            return [missing(now, f"query {expression}", metrics)]
        try:
            samples = await metrics.query(filled(expression, variables(s.spec)))
        except Undefined as error:
            return [missing(now, f"query {expression}", str(error))]
        return [evidence.of_values(expression, samples.values, now)]


def _reads_logs(s: Situation) -> bool:
    """Whether the rung asks for logs."""
    return s.rung is not None and s.rung.collect is not None and s.rung.collect.logs


def _uid(pod: Json) -> str:
    return str(metadata(pod).get("uid"))
