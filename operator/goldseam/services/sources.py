"""Reading the alert sources: one loop each; what was seen is kept as a history, from which verdicts are drawn.

A source is read at every interval, and besides when a hint has come that one of its alerts may have changed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from goldseam import metrics
from goldseam.api.alertsource import AlertmanagerSpec, AlertSourceSpec
from goldseam.engine import verdict
from goldseam.engine.alerts import ActiveAlert, AlertRule, RulesAnswer
from goldseam.errors import GoldseamError
from goldseam.ports import Alertmanager, AlertServer, Clock, Metrics
from goldseam.services.alertmanagers import Alertmanagers
from goldseam.services.bell import Bell

log = structlog.get_logger("goldseam.sources")

ASKED_AGAIN = 30.0
"""Seconds until a server that answers no queries is asked again."""
JUST_NOW = 1.0
"""Seconds: an answer that old counts as read just now."""

STORM_EVERY = 60.0
"""Seconds after which all alerts that fire are read, also where no incident is open that they could hold."""

Answered = Callable[["Source"], Awaitable[None]]


@dataclass(frozen=True)
class Wanted:
    """What has to be known of a source."""

    names: frozenset[str] | None = None
    """The rules that a policy waits for, or an open incident is about; None: all."""
    storm: bool = True
    """Whether all that fires matters: an incident is open, or the storm holds."""


@dataclass(frozen=True)
class Listening:
    """Who asks for what is read, and who is told of it."""

    answered: Answered
    wanted: Callable[[str], Wanted] = lambda _: Wanted()
    """By the source's name."""
    spread: Callable[[], float] = lambda: 1.0
    """By what the time to the next read is multiplied, so that many who read do not do so at once."""


class Source:
    """One alert source: its reader and what was seen of it so far."""

    def __init__(
        self,
        name: str,
        spec: AlertSourceSpec,
        server: AlertServer,
        promql: Metrics,
        clock: Clock,
        listening: Listening,
    ) -> None:
        self.name, self.spec, self.server, self.promql = name, spec, server, promql
        self.alertmanagers: Alertmanagers | None = None
        """To which its alerts go; None where its spec names none."""
        self.history = verdict.History()
        self.version = ""
        self.rules = self.groups = 0
        """How many alerting rules it has, in how many groups, when they were last counted."""
        self.firing: tuple[ActiveAlert, ...] = ()
        """All alerts that fire, as last read."""
        self.read_last: datetime | None = None
        """When it last gave a good answer."""
        self.hinted = False
        """Whether what listeners are told of now was read because of hints only, between two regular reads."""
        self.mute: str | None = None
        """Why it answers no queries; empty once it has answered one, None while none was asked."""
        self._clock, self._listening = clock, listening
        self._bell, self._regular = Bell(), False
        self._lock, self._learning, self._listing = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
        self._begun = self._firing_at = float("-inf")
        self._news = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None

    def hint(self) -> None:
        """One of its alerts may have changed: read it soon, and not only when its time has come."""
        self._bell.ring()

    def hint_later(self, seconds: float) -> None:
        """Read it again in so many seconds: what was read now does not show enough."""
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(seconds, self._hint_now)

    def _hint_now(self) -> None:
        self._later = None
        self.hint()

    async def run(self) -> None:
        """Read at every interval, for ever, however long those take who listen: else what is read would be too old."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._telling())
            due, cost = self._clock.monotonic(), float("inf")
            group.create_task(self._asking())
            while True:
                begun = self._clock.monotonic()
                hinted = begun < due
                if not hinted:
                    self._regular, due = True, begun + self.spec.interval.total_seconds() * self._listening.spread()
                self._bell.heard()
                await self.read(hinted=hinted)
                self._news.set()
                ended = self._clock.monotonic()
                cost = ended - begun if hinted else min(ended - begun, cost)  # a regular one may read much more
                if await self._bell.rest(max(min(due, ended + self._second_look()) - ended, 0), cost):
                    metrics.read_woken(self.name)

    def _second_look(self) -> float:
        """In how many seconds it is worth reading again: when a rule fires that is seen for the first time, or again
        after a break, its next evaluation is what makes it believed."""
        watches = self.history.rules.values() if not self.history.problem else ()
        anew = [
            w.rule.interval.total_seconds()
            for w in watches
            if w.steady_since == w.read_at and w.rule.health == "ok" and any(a.state == "firing" for a in w.rule.alerts)
        ]
        return min(anew, default=float("inf"))

    async def _telling(self) -> None:
        """Tell who listens; of several reads meanwhile, the newest."""
        while True:
            await self._news.wait()
            self._news.clear()
            self.hinted, self._regular = not self._regular, False
            try:
                await self._listening.answered(self)
            except Exception:  # whoever fails to listen does not keep the truth from all others
                log.exception("not_told_of_source", source=self.name)

    async def _asking(self) -> None:
        """Ask a query until one is answered, beside the reading: whoever names a server without PromQL is told at once,
        not when an incident cannot be resolved."""
        while self.mute != "":
            try:
                await self.promql.query("vector(1)")
                self.mute = ""
            except GoldseamError as error:
                self.mute = str(error)
                await asyncio.sleep(ASKED_AGAIN)

    async def read(self, *, hinted: bool = False) -> None:
        """Read once. `hinted`: of what else fires, which may be megabytes, the hint says nothing."""
        async with self._lock:
            await self._read(hinted=hinted)

    async def refresh(self) -> None:
        """Make sure that the rules were asked for just now: used before acting."""
        wished = self._clock.monotonic()
        async with self._lock:
            if not self._just_now(self._begun, wished):
                await self._read(hinted=True)

    async def refresh_firing(self) -> str:
        """Make sure that all that fires was asked for just now, where it matters: used before acting, beside all else.

        Returns:
            Why it is not known; empty where it is.
        """
        wished = self._clock.monotonic()
        async with self._listing:
            if self._just_now(self._firing_at, wished) or not self._listening.wanted(self.name).storm:
                return ""
            try:
                await self._read_firing()
            except GoldseamError as error:
                self._failed(str(error))
                return str(error)
        return ""

    def _just_now(self, begun: float, wished: float) -> bool:
        """Whether a read that began then is good for whoever has wished for one: also one that began since."""
        return begun >= wished or self._clock.monotonic() - begun <= JUST_NOW

    async def know(self, alert: str) -> None:
        """Ask for a rule that was not asked for so far, of a source that answers: at most once a second, for all."""
        async with self._learning:
            if self.history.read_at is None or self.history.problem or self.history.knows(alert):
                return
            await asyncio.sleep(max(0.0, self._begun + JUST_NOW - self._clock.monotonic()))
            await self.read()

    async def _read(self, *, hinted: bool = False) -> None:
        self._begun = self._clock.monotonic()
        try:
            answer = await self._asked(self._listening.wanted(self.name), hinted=hinted)
            if not self.version:
                with contextlib.suppress(GoldseamError):
                    self.version = await self.server.version()
        except GoldseamError as error:
            self._failed(str(error))
            return
        if self.history.problem:
            log.info("source_read", source=self.name, rules=answer.total)
        self.history = verdict.observe(self.history, answer, self._clock.monotonic(), self.spec.interval)
        self.rules, self.groups = answer.total or 0, answer.groups or 0
        self.read_last = self._clock.now()
        metrics.source_read(self.name, ok=True)

    async def _asked(self, wanted: Wanted, *, hinted: bool) -> RulesAnswer:
        """The rules that matter, and what else fires where that matters. Without the one the other is not believed."""
        names = wanted.names
        if names is not None and self.spec.heartbeat:
            names |= {self.spec.heartbeat.alert}
        enough = float("inf") if hinted else STORM_EVERY
        if (hinted or not wanted.storm) and self._begun - self._firing_at < enough:
            return await self.server.rules(names)
        answer, _ = await asyncio.gather(self.server.rules(names), self._read_firing())
        return answer

    async def _read_firing(self) -> None:
        """What else fires. Where it cannot be read, the next read asks for it anew, whatever wakes it."""
        begun = self._clock.monotonic()
        try:
            self.firing = await self.server.firing()
        except GoldseamError:
            self._firing_at = float("-inf")
            raise
        self._firing_at = begun

    def _failed(self, problem: str) -> None:
        if self.history.problem != problem:
            log.warning("source_unreachable", source=self.name, problem=problem)
        self.history = verdict.failed(self.history, problem)
        self.version = ""  # it may be another when it is back
        metrics.source_read(self.name, ok=False)

    def rules_of(self, alert: str) -> tuple[AlertRule, ...]:
        """The rules of this name, as last read from each server."""
        return tuple(watch.rule for watch in self.history.watches(alert))

    def reading(
        self,
        alert: str,
        ours: Callable[[ActiveAlert], bool | None],
        namespace: str | None = None,
        likely: Mapping[str, str] | None = None,
    ) -> verdict.Reading:
        """The verdict on the alerts of this name that are `ours`; `namespace`: the one that all of them carry;
        `likely`: the labels of one that is `ours` most likely."""
        now, today = self._clock.monotonic(), self._clock.now()
        found = verdict.verdict(self.history, alert, ours, now, today, self.spec.interval, namespace, likely)
        return verdict.believed(found, self.heartbeat)

    @property
    def unevaluated(self) -> dict[str, str]:
        """The rules that are not evaluated well, by name, in a word each."""
        return verdict.unevaluated(self.history, self._clock.monotonic())

    @property
    def heartbeat(self) -> tuple[bool, str]:
        """Whether the source's heartbeat is seen, where it has one, and what is wrong with it."""
        wanted = self.spec.heartbeat
        return verdict.heartbeat(self.history, wanted.alert, self._clock.monotonic()) if wanted else (True, "")


class Sources:
    """All alert sources, each with its own loop."""

    def __init__(
        self,
        make: Callable[[AlertSourceSpec], tuple[AlertServer, Metrics]],
        clock: Clock,
        listening: Listening,
        alertmanagers: Callable[[AlertmanagerSpec], Sequence[Alertmanager]] = lambda _: (),
    ) -> None:
        self._make, self._clock, self._listening = make, clock, listening
        self._alertmanagers = alertmanagers
        self._running: dict[str, tuple[Source, asyncio.Task[None]]] = {}

    def get(self, name: str) -> Source | None:
        """The source of that name."""
        found = self._running.get(name)
        return found[0] if found else None

    def all(self) -> list[Source]:
        """Every source."""
        return [source for source, _ in self._running.values()]

    async def put(self, name: str, spec: AlertSourceSpec) -> Source:
        """Begin to read a source, or to read it as its new spec says."""
        old = self._running.get(name)
        if old is not None and old[0].spec == spec:
            return old[0]
        await self.remove(name)
        server, promql = self._make(spec)
        source = Source(name, spec, server, promql, self._clock, self._listening)
        if spec.alertmanager is not None:
            source.alertmanagers = Alertmanagers(spec.alertmanager, self._alertmanagers(spec.alertmanager), self._clock)
        self._running[name] = (source, asyncio.create_task(self._supervised(source), name=f"source {name}"))
        return source

    async def _supervised(self, source: Source) -> None:
        while True:
            try:
                await source.run()
            except Exception:
                log.exception("source_loop_failed", source=source.name)
                await asyncio.sleep(source.spec.interval.total_seconds())

    async def remove(self, name: str) -> None:
        """Stop reading a source."""
        _, task = self._running.pop(name, (None, None))
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """Stop reading all."""
        for name in list(self._running):
            await self.remove(name)
