"""Whether people have silenced an incident's alert, asked of Alertmanager just before acting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from goldseam.api.incident import ENDED
from goldseam.engine.silences import KnownAlert, KnownSilence, Labels, held_by_others, like_alerts
from goldseam.engine.situation import Silence
from goldseam.engine.verdict import Reading
from goldseam.engine.views import IncidentView
from goldseam.ports import Alertmanager
from goldseam.services.sources import Source

MOST = 16
"""Silences of one alert of which is asked who made them; any further one is somebody's."""
REMEMBERED = 1_000

SourceOf = Callable[[IncidentView], Source | None]
AlertsOf = Callable[[IncidentView], Sequence[Labels]]


@dataclass(frozen=True)
class _Held:
    """What one Alertmanager says of the incident's alerts."""

    by: str = ""
    """Who holds them back; empty where nobody does."""
    until: datetime | None = None


class Silences:
    """Guard 4's eyes."""

    def __init__(self, source: SourceOf, alerts: AlertsOf) -> None:
        self._source, self._alerts = source, alerts
        self._inhibitors: dict[str, str] = {}

    async def of(self, incident: IncidentView, reading: Reading) -> Silence:
        """What holds the incident's alerts back, other than our own page gate. Nothing is asked where there is no
        Alertmanager, or no alert."""
        source = self._source(incident)
        phase = incident.status.phase if incident.status else "Investigating"
        if source is None or source.alertmanagers is None or reading.state == "Cleared" or phase in ENDED:
            return Silence()
        all_of_them, alerts = source.alertmanagers, self._alerts(incident)
        cluster = all_of_them.spec.matchers
        answers = await all_of_them.ask(lambda server: self._held(server, alerts, cluster))
        held = [found for found in answers.answered.values() if found.by]
        if held:
            return Silence("Silenced", held[0].by, held[0].until)
        if answers.away:
            await all_of_them.acquaint()
        unknown = all_of_them.unspoken_for(answers)
        if not unknown:
            return Silence("Active", "no silence, and no alert that inhibits it")
        why = "; ".join(f"{url}: {why}" for url, why in sorted(unknown.items()))
        if source.spec.on_alertmanager_down == "Proceed" and incident.spec.target.kind != "Node":
            return Silence("Active", f"whether it is silenced is not known, and the AlertSource says Proceed: {why}")
        return Silence("Unknown", f"whether people have silenced the alert is not known: {why}")

    async def _held(self, server: Alertmanager, alerts: Sequence[Labels], cluster: Sequence[str]) -> _Held:
        known = await asyncio.gather(*(server.alerts(question(labels)) for labels in distinct(alerts)))
        candidates = [alert for answer in known for alert in answer]
        mine = [found for alert in alerts for found in like_alerts(alert, candidates, cluster)]
        ids = sorted({identifier for alert in mine for identifier in alert.silenced_by})
        found = await asyncio.gather(*(server.silence(identifier) for identifier in ids[:MOST]))
        silences = {silence.id: silence for silence in found if silence is not None}
        if not mine or not all(held_by_others(alert, silences) for alert in mine):
            return _Held()
        others = [silences.get(i) for i in mine[0].silenced_by if i not in silences or not silences[i].ours]
        if others:
            ends = [silence.ends_at for silence in others if silence is not None]
            return _Held(_by(others[0]), max(ends) if ends and not mine[0].inhibited_by else None)
        return _Held(f"inhibited by {await self._inhibitor(server, mine[0])}")

    async def _inhibitor(self, server: Alertmanager, alert: KnownAlert) -> str:
        """The name of the alert that inhibits this one: only all alerts together tell, so it is remembered."""
        fingerprint = alert.inhibited_by[0]
        if fingerprint not in self._inhibitors:
            if len(self._inhibitors) >= REMEMBERED:
                self._inhibitors.clear()
            for each in await server.alerts({}):
                if each.fingerprint == fingerprint:
                    self._inhibitors[fingerprint] = f"the alert {printable(each.labels.get('alertname', ''))}"
        return self._inhibitors.get(fingerprint, "another alert")


def question(labels: Labels) -> Labels:
    """What Alertmanager is asked for: few labels, for the others may be other ones there."""
    return {name: labels[name] for name in ("alertname", "namespace") if labels.get(name)}


def distinct(alerts: Sequence[Labels]) -> list[Labels]:
    """The questions about all of these alerts."""
    return [dict(items) for items in dict.fromkeys(tuple(question(labels).items()) for labels in alerts)]


def _by(silence: KnownSilence | None) -> str:
    if silence is None:
        return "silenced in Alertmanager"
    until = f"{silence.ends_at:%Y-%m-%d %H:%M} UTC"
    return f"silenced by {printable(silence.created_by) or 'somebody'} until {until}: {printable(silence.comment)}"


def printable(text: str) -> str:
    """Other people's words, as one short line."""
    return "".join(c if c.isprintable() else " " for c in text)[:120].strip()
