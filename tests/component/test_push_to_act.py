"""From a push to the write, through all services of one operator; the cluster and the alert source are in memory.

The source is read every five minutes: what is seen here was seen because of a push.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from goldseam.adapters.clock import SystemClock
from goldseam.adapters.door import Door
from goldseam.adapters.receiver import Receiver
from goldseam.engine.alerts import ActiveAlert, AlertRule, RulesAnswer, Samples
from goldseam.services.inbox import Inbox, Seen
from goldseam.services.leadership import Leadership
from goldseam.services.operator import Operator, Outside
from tests.support.harness import NAMESPACE, ToyPeople, deployment, policy
from tests.support.pushing import alert, push
from tests.support.toycluster import ToyCluster

PATIENCE = 30.0
FIRING = ActiveAlert({"alertname": "Trouble", "namespace": "shop"}, {}, "firing", datetime(2026, 11, 28, tzinfo=UTC))


class Server:
    """A Prometheus with one rule, evaluated at every read."""

    def __init__(self) -> None:
        self.reads = 0
        self.alerts: tuple[ActiveAlert, ...] = ()

    async def rules(self, names: frozenset[str] | None = None) -> RulesAnswer:
        self.reads += 1
        zero, evaluated = timedelta(0), FIRING.active_at + timedelta(seconds=self.reads)
        rule = AlertRule("Trouble", "g", "up", "ok", "", evaluated, timedelta(hours=1), zero, zero, {}, self.alerts)
        return RulesAnswer((rule,), asked=names)

    async def firing(self) -> tuple[ActiveAlert, ...]:
        return self.alerts

    async def version(self) -> str:
        return "3"


class Scraped:
    """Its data: each series has a sample of just now."""

    async def query(self, expression: str) -> Samples:
        return Samples(() if "timestamp" in expression else (1.0,))


class Stage:
    """An operator that leads and has read its source, its cluster, and where it is pushed to."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.server, self.cluster = Server(), ToyCluster(now=lambda: clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
        for name in ("goldseam-incidents", "goldseam-people"):
            binding = {"policyName": name, "validationActions": ["Deny"]}
            self.cluster.add("validatingadmissionpolicies", {"metadata": {"name": name}})
            self.cluster.add("validatingadmissionpolicybindings", {"metadata": {"name": name}, "spec": binding})
        self.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": {}})
        self.cluster.add("deployments", deployment())
        people, self.inbox = ToyPeople(), Inbox()
        outside = Outside(self.cluster, people, people, clock, lambda _: (self.server, Scraped()))
        self.operator = Operator(outside, self.inbox, NAMESPACE, Leadership(self.cluster, clock, NAMESPACE, "me"))
        self.url = ""

    async def begin(self) -> None:
        """Let it see the source and the policy, and read the rule that the policy waits for."""
        spec = {"url": "http://p", "interval": "5m"}
        source = self.cluster.add("alertsources", {"metadata": {"name": "default"}, "spec": spec})
        heal = self.cluster.add("remediationpolicies", policy({"scale": {"replicas": 8}}))
        self.inbox.put(Seen("AlertSource", "", "default", source))
        self.inbox.put(Seen("RemediationPolicy", "shop", "api", heal))

        def known() -> bool:
            found = self.operator.sources.get("default")
            return found is not None and "Trouble" in found.history.by_name and bool(self.operator.catalogue.armed)

        await self.until(known)

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.005)

    async def pushed(self) -> None:
        """One push about the policy's alert, and the read that it wakes."""
        before = self.server.reads
        assert await push(self.url, [alert()]) == (200, "")
        await self.until(lambda: self.server.reads > before)

    @property
    def replicas(self) -> int:
        return int(self.cluster.objects["deployments", "shop", "api"]["spec"]["replicas"])


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    found = Stage()
    working = asyncio.create_task(found.operator.run())
    receiver = Receiver(found.operator.hinted, lambda: found.operator.ready, None)
    async with Door(receiver.handle, None).opened("127.0.0.1", 0) as port:
        found.url = f"http://127.0.0.1:{port}"
        await found.until(lambda: found.operator.loaded)
        await found.begin()
        yield found
    await found.operator.stop()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def test_a_push_about_an_alert_that_fires_is_acted_on(stage: Stage) -> None:
    stage.server.alerts = (FIRING,)
    await stage.pushed()
    await stage.until(lambda: stage.replicas == 8)
    assert len(list(stage.cluster.all("incidents"))) == 1


async def test_what_fires_together_is_acted_on_and_nobody_waits_for_more_of_it(stage: Stage) -> None:
    another = ActiveAlert(FIRING.labels | {"pod": "another"}, {}, "firing", FIRING.active_at)
    stage.server.alerts = (FIRING, another)
    await stage.pushed()
    await stage.until(lambda: stage.replicas == 8)
    assert stage.operator.newly.seen.complete
    await stage.until(lambda: stage.operator.newly.decided.complete)


async def test_a_push_about_an_alert_that_does_not_fire_opens_nothing(stage: Stage) -> None:
    for _ in range(3):
        await stage.pushed()
    await stage.until(lambda: stage.operator.sources.all()[0].hinted)
    assert list(stage.cluster.all("incidents")) == []
    assert stage.replicas == 3


async def test_a_push_about_an_alert_that_nobody_waits_for_reads_nothing(stage: Stage) -> None:
    before = stage.server.reads
    assert await push(stage.url, [alert("Another")]) == (200, "")
    await stage.pushed()
    assert stage.server.reads == before + 1


@pytest.mark.parametrize(
    ("kind", "plural"),
    [
        ("Pause", "pauses"),
        ("Guardrails", "guardrails"),
        ("Response", "responses"),
        ("RemediationPolicy", "remediationpolicies"),
    ],
)
async def test_what_a_watch_shows_to_have_changed_is_not_shared_any_more(stage: Stage, kind: str, plural: str) -> None:
    asked: list[str] = []

    async def ask() -> str:
        asked.append(plural)
        return plural

    key = (plural, "shop", "")
    await stage.operator.lately.answer(key, ask)
    await stage.operator.lately.answer(key, ask)
    assert len(asked) == 1
    woken_after: list[int] = []
    waker = stage.operator.waker
    waker.everybody = lambda: woken_after.append(len(stage.operator.lately._asked))  # type: ignore[method-assign]
    name = {"Guardrails": "cluster", "RemediationPolicy": "api"}.get(kind, "it")
    meta = {"name": name, "namespace": "shop", "uid": "another", "generation": 1}
    meta |= {"creationTimestamp": "2026-11-28T10:00:00Z", "resourceVersion": "1"}
    stage.inbox.put(Seen(kind, "shop", meta["name"], {"metadata": meta, "spec": {}}))  # type: ignore[arg-type]
    await stage.until(lambda: not stage.operator.lately._asked)
    await stage.operator.lately.answer(key, ask)
    assert len(asked) == 2
    assert set(woken_after) <= {0}, "who is woken by it asks anew"
