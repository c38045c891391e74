"""Calling people through Alertmanager, where no contact of the runbook has a channel of its own.

The alert is sent again and again while it matters, as Prometheus does; when it is over it resolves, and when nobody
sends it any more it ends by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from goldseam.api.incident import Escalation
from goldseam.engine.calls import ALERT, call_of, still_calls
from goldseam.engine.silences import Call
from goldseam.engine.views import IncidentView
from goldseam.errors import GoldseamError, Retryable
from goldseam.services.alertmanagers import Alertmanagers
from goldseam.services.book import IncidentBook
from goldseam.services.silences import SourceOf

log = structlog.get_logger("goldseam.calling")

AGAIN = 30.0
"""Seconds between two sendings."""
LASTS = timedelta(minutes=3)
"""An alert that is not sent again ends by itself after that."""

_Calls = tuple[Alertmanagers, dict[tuple[tuple[str, str], ...], Call]]
"""Whom to tell what, by its labels."""


class Calling:
    """Sends the alert `GoldseamEscalated`."""

    def __init__(self, book: IncidentBook, source: SourceOf, goes: Callable[[IncidentView, Escalation], bool]) -> None:
        """`goes` says whether an escalation goes by Alertmanager."""
        self._book, self._source, self._goes = book, source, goes
        self._sent: dict[str, _Calls] = {}

    def possible(self, incident: IncidentView) -> bool:
        """Whether the incident's source names an Alertmanager."""
        return self._managers(incident) is not None

    async def call(self, incident: IncidentView, escalation: Escalation) -> None:
        """Send it now, to all: they do not tell each other of alerts.

        Raises:
            Retryable: none took it.
        """
        source = self._source(incident)
        managers = source.alertmanagers if source is not None else None
        assert source is not None
        assert managers is not None, "asked before by `possible`"
        call = call_of(incident, escalation, managers.spec.matchers)
        await self._send(managers, [call], LASTS)
        _, calls = self._sent.setdefault(source.name, (managers, {}))
        calls[_key(call)] = call  # so that it is ended, also when the incident is over before the next round

    async def run(self) -> None:
        """Send again what still matters, and end what does not, for ever."""
        while True:
            await asyncio.sleep(AGAIN)
            await self.again()

    async def again(self) -> None:
        """One round."""
        wanted = self._wanted()
        for name in list(self._sent.keys() | wanted.keys()):
            managers, calls = wanted.get(name) or (self._sent[name][0], {})
            _, before = self._sent.get(name, (managers, {}))
            try:
                await self._send(managers, list(calls.values()), LASTS)
                await self._send(managers, [call for key, call in before.items() if key not in calls], timedelta(0))
            except GoldseamError as error:
                log.warning("not_called_again", source=name, problem=str(error))
                continue
            self._sent[name] = (managers, calls)
            if not calls:
                del self._sent[name]

    def _wanted(self) -> dict[str, _Calls]:
        """What still matters, by the source whose Alertmanagers are told."""
        found: dict[str, _Calls] = {}
        for incident in self._book.all():
            source = self._source(incident)
            if source is None or source.alertmanagers is None or incident.status is None:
                continue
            for escalation in incident.status.escalations:
                call = call_of(incident, escalation, source.alertmanagers.spec.matchers)
                _, before = self._sent.get(source.name, (None, {}))
                told = escalation.notified is not None or _key(call) in before
                if told and self._goes(incident, escalation) and still_calls(incident.status, escalation):
                    _, calls = found.setdefault(source.name, (source.alertmanagers, {}))
                    calls[_key(call)] = call
        return found

    def _managers(self, incident: IncidentView) -> Alertmanagers | None:
        source = self._source(incident)
        return source.alertmanagers if source is not None else None

    async def _send(self, managers: Alertmanagers, calls: list[Call], lasts: timedelta) -> None:
        if not calls:
            return
        problems = await managers.tell(lambda server: server.post(calls, lasts))
        if len(problems) == len(managers.urls):
            why = "; ".join(f"{url}: {why}" for url, why in sorted(problems.items()))
            raise Retryable(f"no Alertmanager takes the alert {ALERT}: {why}")


def _key(call: Call) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(call.labels.items()))
