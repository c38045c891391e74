"""The page gate: while an incident is healed, a short silence in Alertmanager that has to be renewed.

Level-triggered: from the incidents that are being healed to the silences that exist. Nothing is kept over a restart:
the silences are found again by what stands in them. Acting never waits for it longer than `PATIENCE`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from goldseam.api.incident import ENDED
from goldseam.engine import gate
from goldseam.engine.gate import Wish
from goldseam.engine.silences import KnownAlert, KnownSilence, Labels, Matcher
from goldseam.engine.views import IncidentView
from goldseam.errors import GoldseamError
from goldseam.ports import Alertmanager, Clock
from goldseam.services.alertmanagers import Alertmanagers
from goldseam.services.silences import AlertsOf, SourceOf, distinct, question
from goldseam.services.sources import Source

log = structlog.get_logger("goldseam.gate")

PATIENCE = 2.0
"""Seconds for which a first write waits for the silence, at most."""
TURN = 10.0
"""Seconds between two reconciliations."""
DUE = gate.LASTS - gate.RENEWED + timedelta(seconds=TURN / 2)
"""A silence that holds no longer than that is renewed."""
REMEMBERED = 10_000


@dataclass(frozen=True)
class _Healed:
    """An incident as it was at its last look, at `at` of our monotonic clock."""

    at: float
    incident: IncidentView
    source: str
    wish: Wish


class Gate:
    """Keeps the silences of the incidents that are being healed."""

    def __init__(
        self,
        sources: Callable[[], Iterable[Source]],
        source: SourceOf,
        alerts: AlertsOf,
        clock: Clock,
        note: Callable[[IncidentView, str, str], None] = lambda *_: None,
    ) -> None:
        """`note` takes an incident, a reason and a sentence, for people."""
        self._sources, self._source, self._alerts, self._clock = sources, source, alerts, clock
        self._note = note
        self._healed: dict[str, _Healed] = {}
        self._seen: dict[str, None] = {}
        """The uids of this cluster's incidents: of others nothing is ended."""
        self._placed: dict[str, float] = {}
        """When the silences of an incident were last seen to hold."""
        self._news = asyncio.Event()

    def looked(self, incident: IncidentView) -> None:
        """An incident was looked at: what it says now counts for the next two minutes."""
        if len(self._seen) > REMEMBERED:
            self._seen.clear()
        self._seen[incident.uid] = None
        source = self._source(incident)
        if source is None or not _keeps(source) or not gate.gated(incident, self._clock.now()):
            self._released(incident)
            self.forget(incident.uid)
            return
        alerts = tuple(self._alerts(incident))
        wish = Wish(incident.uid, incident.title, str(incident.spec.target), alerts)
        self._healed[incident.uid] = _Healed(self._clock.monotonic(), incident, source.name, wish)

    def _released(self, incident: IncidentView) -> None:
        """Say that people are called again, if they were not and it is not over."""
        placed = self._placed.pop(incident.uid, None)
        if placed is not None and incident.status is not None and incident.status.phase not in ENDED:
            self._note(incident, "PageReleased", "people are called about its alert as ever, within two minutes")

    def forget(self, uid: str) -> None:
        """The incident is not healed any more: people are called as ever."""
        self._placed.pop(uid, None)
        if self._healed.pop(uid, None) is not None:
            self._news.set()

    async def before_acting(self, incident: IncidentView) -> None:
        """Before a first write: make the silence, if that does not take long. A failure is said, and holds nothing."""
        self.looked(incident)
        healed, source = self._healed.get(incident.uid), self._source(incident)
        lately = self._clock.monotonic() - gate.LASTS.total_seconds() / 2
        placed = self._placed.get(incident.uid, float("-inf"))
        if healed is None or source is None or not _keeps(source) or placed > lately:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await self._reconcile(source, incident.uid)
        except (TimeoutError, GoldseamError) as error:
            log.warning("gate_late", incident=incident.title, problem=str(error) or f"not within {PATIENCE:g} s")

    async def run(self) -> None:
        """Reconcile for ever: at each turn, and at once when people are to be called again."""
        while True:
            self._news.clear()
            await self.turn()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TURN):
                    await self._news.wait()

    async def turn(self) -> None:
        """Reconcile once, all sources at the same time: one that hangs holds up no other."""
        await asyncio.gather(*(self._guarded(source) for source in list(self._sources())))
        lapsed = self._clock.monotonic() - gate.LASTS.total_seconds()
        for healed in [self._healed[uid] for uid, at in self._placed.items() if at < lapsed and uid in self._healed]:
            self._released(healed.incident)

    async def _guarded(self, source: Source) -> None:
        try:
            if source.alertmanagers is not None:
                await source.alertmanagers.acquaint()
                await self._reconcile(source)
        except GoldseamError as error:
            log.warning("gate_not_kept", source=source.name, problem=str(error))
        except Exception:
            log.exception("gate_not_kept", source=source.name)

    async def _reconcile(self, source: Source, only: str = "") -> None:
        """Bring each cluster of Alertmanagers to what should be; `only`: as far as one incident is concerned."""
        managers = source.alertmanagers
        assert managers is not None
        if not self._wishes(source) and not managers.gates_left:
            return
        await managers.acquaint()
        async with managers.gating:
            left = await asyncio.gather(
                *(
                    managers.first(cluster, lambda server: self._tended(source, managers, server, only))
                    for cluster in managers.clusters()
                )
            )
            managers.gates_left = bool(only) or any(answer is None or answer for answer in left)

    def _wishes(self, source: Source) -> list[Wish]:
        """What is healed of this source's alerts; what was not looked at for two minutes is not healed any more."""
        oldest, now = self._clock.monotonic() - gate.LASTS.total_seconds(), self._clock.now()
        mine = [h for h in self._healed.values() if h.source == source.name and h.at > oldest and _keeps(source)]
        return [h.wish for h in mine if gate.gated(h.incident, now)]

    async def _tended(self, source: Source, managers: Alertmanagers, server: Alertmanager, only: str) -> bool:
        """Reconcile in one Alertmanager. Returns whether a silence is left there."""
        existing = await server.silences({gate.MARK.name: gate.MARK.value})
        wishes = [wish for wish in self._wishes(source) if only in ("", wish.uid)]
        known = await self._known(server, wishes)
        mine = [silence for silence in existing if only in ("", gate.owner(silence))]
        todo = gate.changes(wishes, mine, known, managers.spec.matchers, self._seen.__contains__)
        made = [self._kept(managers, server, wish, matchers) for wish, matchers in todo.create]
        renewed = [self._kept(managers, server, w, old.matchers, old) for w, old in todo.renew if old.left <= DUE]
        await asyncio.gather(*made, *renewed, *(self._ended(server, silence) for silence in todo.end))
        return todo.left

    async def _known(self, server: Alertmanager, wishes: Sequence[Wish]) -> Callable[[Labels], list[KnownAlert]]:
        questions = distinct([alert for wish in wishes for alert in wish.alerts])
        answers = await asyncio.gather(*(server.alerts(labels) for labels in questions))
        found = {tuple(labels.items()): list(known) for labels, known in zip(questions, answers, strict=True)}
        return lambda labels: found.get(tuple(question(labels).items()), [])

    async def _kept(
        self,
        managers: Alertmanagers,
        server: Alertmanager,
        wish: Wish,
        matchers: Sequence[Matcher],
        old: KnownSilence | None = None,
    ) -> None:
        try:
            await server.keep(matchers, wish.created_by, wish.comment, gate.LASTS, old)
        except GoldseamError as error:
            if server.url not in managers.refused:
                log.warning("gate_refused", incident=wish.title, url=server.url, problem=str(error))
            managers.refused[server.url] = str(error)
            return
        managers.refused.pop(server.url, None)
        managers.gated = True
        healed = self._healed.get(wish.uid)
        if old is None and healed is not None and wish.uid not in self._placed:
            self._note(healed.incident, "PageHeld", f"its alert is silenced in {server.url} while it is being healed")
        self._placed[wish.uid] = self._clock.monotonic()
        if old is None:
            log.info("gate", incident=wish.title, url=server.url)

    async def _ended(self, server: Alertmanager, silence: KnownSilence) -> None:
        try:
            await server.end(silence.id)
            log.info("gate_ended", incident=silence.created_by, url=server.url)
        except GoldseamError as error:  # it lapses by itself
            log.warning("gate_not_ended", incident=silence.created_by, url=server.url, problem=str(error))


def _keeps(source: Source) -> bool:
    return source.alertmanagers is not None and source.spec.page_gate == "Enabled"
