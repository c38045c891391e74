"""What happens to an incident, as Kubernetes Events: on the Incident, and for what is done also on the target."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any

from goldseam.api.base import API_VERSION, format_time
from goldseam.api.incident import IncidentStatus, TimelineEntry
from goldseam.engine import naming
from goldseam.engine.views import IncidentView
from goldseam.ports import Json
from goldseam.services.delivery import Events

ON_THE_TARGET = ("Intent", "Undo", "Adopted", "Forced", "LeftCordoned")
WARNINGS = (
    "Failed",
    "Inconclusive",
    "Refused",
    "Superseded",
    "NotTaken",
    "Abandoned",
    "NobodyTold",
    "Lost",
    "Forced",
    "LeftCordoned",
)
TOLD_ELSEWHERE = ("Escalation",)
"""These go to people by the channels of the runbook, with an Event of their own."""


AFTER_THE_ACT = 0.3
"""Seconds that an Event waits: until then what it tells of is decided and done, which comes first."""


Calm = Callable[[], Awaitable[object]]


async def at_once() -> None:
    """Where nothing is to be waited for."""


class Chronicle:
    """Writes an Event for each new entry of a timeline. Nothing waits for it, and a lost one is only a lost one."""

    def __init__(self, events: Events, later: float = AFTER_THE_ACT, calm: Calm = at_once) -> None:
        """`later`: seconds after which an Event is written, and then not before it is `calm`."""
        self._events, self._later, self._calm = events, later, calm
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    def tell(self, incident: IncidentView, before: IncidentStatus | None) -> None:
        """Begin to write what is new since `before`."""
        assert incident.status is not None
        known = {(e.at, e.kind, e.message) for e in before.timeline} if before else set()
        new = [e for e in incident.status.timeline if (e.at, e.kind, e.message) not in known]
        new = [e for e in new if e.kind not in TOLD_ELSEWHERE]
        if new:
            self._begin(partial(self._write, incident, new))

    def warn(self, incident: IncidentView, reason: str, message: str) -> None:
        """Begin to write a Warning that the incident's own record cannot hold; the same one is written once."""
        self._say(incident, "Warning", reason, message, "")

    def note(self, incident: IncidentView, reason: str, message: str, at: datetime) -> None:
        """Begin to write what happened at that time beside the incident's own record."""
        self._say(incident, "Normal", reason, message, format_time(at))

    def _say(self, incident: IncidentView, kind: str, reason: str, message: str, at: str) -> None:
        name = f"{incident.name[:200]}.{naming.digest(incident.uid, reason, message, at)}"
        self._begin(partial(self._events.record, _incident(incident), kind, reason, "Remediate", message, name))

    def _begin(self, write: Callable[[], Awaitable[Any]]) -> None:
        task = asyncio.create_task(self._in_time(write))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_time(self, write: Callable[[], Awaitable[Any]]) -> None:
        waiting = [asyncio.ensure_future(each) for each in (self._rested(), self._closing.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
        await write()

    async def _rested(self) -> None:
        await asyncio.sleep(self._later)
        await self._calm()

    async def _write(self, incident: IncidentView, entries: Iterable[TimelineEntry]) -> None:
        for entry in entries:
            kind = "Warning" if entry.kind in WARNINGS else "Normal"
            digest = naming.digest(incident.uid, format_time(entry.at), entry.kind, entry.message)
            name = f"{incident.name[:200]}.{digest}"
            await self._events.record(_incident(incident), kind, entry.kind, "Remediate", entry.message, name)
            if entry.kind in ON_THE_TARGET:
                note = f"{entry.message} (Incident {incident.title})"
                await self._events.record(_target(incident), kind, entry.kind, "Remediate", note, f"{name}.t")

    async def close(self) -> None:
        """Wait a moment for what was begun."""
        self._closing.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=3)


def _incident(incident: IncidentView) -> Json:
    return {
        "apiVersion": API_VERSION,
        "kind": "Incident",
        "namespace": incident.namespace,
        "name": incident.name,
        "uid": incident.uid,
    }


def _target(incident: IncidentView) -> Json:
    target = incident.spec.target.dump()
    return {key: value for key, value in target.items() if value}
