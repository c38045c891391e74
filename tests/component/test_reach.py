"""A policy says before any incident that nobody could be told of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.services.inbox import Inbox, Seen
from goldseam.services.registrar import Registrar
from goldseam.services.sources import Source
from tests.component.test_waking import Court, at_work
from tests.support.harness import policy

HOOK = {"webhook": {"url": "http://example.com/hook"}}
WAITS = "waiting for alert Trouble in mode Act"
ALERTMANAGER = {"alertmanager": {"urls": ["http://am"]}}


class Scene(Court):
    """Policies that are judged, with what the watches bring of Runbooks and of their source."""

    def __init__(self) -> None:
        super().__init__({"Trouble"})
        nobody, sources = SimpleNamespace(), SimpleNamespace(put=self._put)
        told: Any = (sources, self.statuses, self.judging, self.tenants, nobody, "home")
        self.registrar = Registrar(Inbox(), self.catalogue, *told)

    async def _put(self, name: str, spec: AlertSourceSpec) -> Source:
        """As it is read a moment later."""
        self.source = self._source({"Trouble"}, [])
        named: Any = SimpleNamespace(problem="", refused={}, gated=False)
        self.source.alertmanagers = named if spec.alertmanager else None
        return self.source

    async def reads(self, **more: Any) -> None:
        """The watch brings the alert source."""
        self.cluster.objects.pop(("alertsources", "", "default"), None)
        body = {"metadata": {"name": "default"}, "spec": {"url": "http://p", **more}}
        await self.registrar._take(Seen("AlertSource", "", "default", self.cluster.add("alertsources", body)))

    async def runs(self, *channels: Any, name: str = "default") -> None:
        """The watch brings a Runbook with a contact that has these channels."""
        self.cluster.objects.pop(("runbooks", "", name), None)
        spec = {"contacts": [{"name": "oncall", "channels": list(channels)}]}
        body = self.cluster.add("runbooks", {"metadata": {"name": name}, "spec": spec})
        await self.registrar._take(Seen("Runbook", "", name, body))

    async def forgets(self) -> None:
        """The Runbook is gone."""
        self.cluster.remove("runbooks", "", "default")
        await self.registrar._take(Seen("Runbook", "", "default", None))

    async def judged(self, **spec: Any) -> tuple[str, str]:
        """The policy's Ready: its status and message."""
        self.see("api", self.cluster.add("remediationpolicies", policy({"restart": {}}, **spec)))
        return await self.ready()

    async def ready(self) -> tuple[str, str]:
        """The same, as it was written; then the watch brings that."""
        await self.settled()
        (found,) = [c for c in self.bodies()[0]["status"]["conditions"] if c["type"] == "Ready"]
        self.see("api", self.bodies()[0])
        await self.settled()
        return found["status"], found["message"]


@contextmanager
def scene() -> Iterator[Scene]:
    court = Scene()
    with at_work(court):
        yield court


def nobody(why: str) -> tuple[str, str]:
    return "True", f"{WAITS}; nobody can be told of its incidents: {why}, and AlertSource default names no Alertmanager"


NO_RUNBOOK = nobody("there is no Runbook default")
NO_CHANNEL = nobody("no contact of Runbook default has a channel")


async def test_a_policy_is_ready_and_says_that_nobody_can_be_told() -> None:
    with scene() as court:
        assert await court.judged() == NO_RUNBOOK
    with scene() as court:
        await court.runs()
        assert await court.judged() == NO_CHANNEL


@pytest.mark.parametrize("spec", [{"runbookRef": {"name": "ours"}}, {}])
async def test_its_own_runbook_counts_or_the_default_one(spec: dict[str, Any]) -> None:
    with scene() as court:
        await court.runs(HOOK, name="ours")
        assert await court.judged(**spec) == (("True", WAITS) if spec else NO_RUNBOOK)


async def test_who_has_an_alertmanager_can_be_told() -> None:
    with scene() as court:
        await court.reads(**ALERTMANAGER)
        assert await court.judged() == ("True", WAITS)


async def test_in_mode_observe_nobody_is_told_anyway() -> None:
    with scene() as court:
        assert await court.judged(mode="Observe") == ("True", "waiting for alert Trouble in mode Observe")


async def test_of_a_runbook_that_cannot_be_read_nothing_is_said_and_one_that_is_invalid_names_nobody() -> None:
    with scene() as court:
        court.cluster.unreadable.add("runbooks")
        assert await court.judged() == ("True", WAITS)
    with scene() as court:
        court.cluster.add("runbooks", {"metadata": {"name": "default"}, "spec": {"contacts": 7}})
        assert await court.judged() == nobody("Runbook default is invalid")


async def test_a_runbook_that_comes_changes_or_goes_is_said_at_once() -> None:
    with scene() as court:
        assert await court.judged() == NO_RUNBOOK
        await court.runs(HOOK)
        assert await court.ready() == ("True", WAITS)
        await court.runs()
        assert await court.ready() == NO_CHANNEL
        await court.runs(HOOK)
        assert await court.ready() == ("True", WAITS)
        await court.forgets()
        assert await court.ready() == NO_RUNBOOK


async def test_an_alertmanager_that_is_named_or_taken_out_is_said_at_once() -> None:
    with scene() as court:
        await court.reads()
        assert await court.judged() == NO_RUNBOOK
        await court.reads(**ALERTMANAGER)
        assert await court.ready() == ("True", WAITS)
        await court.reads()
        await court.runs()
        assert await court.ready() == NO_CHANNEL


async def test_what_is_nothing_to_the_policy_has_it_judged_by_nobody() -> None:
    with scene() as court:
        await court.runs()
        assert await court.judged() == NO_CHANNEL
        await court.runs(HOOK, name="other")
        await court.runs()
        await court.reads(interval="20s")
        assert court.judging._waiting == {}
