"""Deletes Incidents that nobody needs any more, and the Responses of the same age."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import datetime

import structlog

from goldseam.api.guardrails import GuardrailsSpec
from goldseam.api.incident import IncidentStatus
from goldseam.engine.retention import Past, expendable
from goldseam.engine.views import view
from goldseam.errors import Conflict, GoldseamError, NotFound
from goldseam.ports import Clock, Cluster, Json
from goldseam.resources import GUARDRAILS, INCIDENTS, RESPONSES
from goldseam.services import limits

log = structlog.get_logger("goldseam.retention")

EVERY = 3600.0
"""Seconds between two rounds."""
AT_ONCE = 500
"""Deletions a round at most, so that a round never becomes a storm."""


class Retention:
    """The round."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster, self._clock = cluster, clock

    async def run(self) -> None:
        """Go round, for ever: at once, for an operator that is restarted often must tidy too."""
        while True:
            try:
                await self.round()
            except GoldseamError as error:
                log.warning("not_tidied", problem=str(error))
            await asyncio.sleep(EVERY)

    async def round(self) -> int:
        """Delete what may go. Returns how many Incidents went."""
        spec = await self._limits()
        if spec is None:
            return 0
        now = self._clock.now()
        gone = expendable(await self._past(), spec, now)[:AT_ONCE]
        for incident in gone:
            await self._delete(incident.namespace, incident.name, incident.uid)
        if gone:
            log.info("incidents_deleted", count=len(gone))
        for response in (await self._cluster.list(RESPONSES)).items:
            meta = response["metadata"]
            if now - datetime.fromisoformat(meta["creationTimestamp"]) > spec.retention.age:
                await self._ignore_gone(self._cluster.delete(RESPONSES, meta["namespace"], meta["name"], meta["uid"]))
        return len(gone)

    async def _limits(self) -> GuardrailsSpec | None:
        """None where no valid limits are known: then nothing is deleted."""
        try:
            obj: Json | None = await self._cluster.get(GUARDRAILS, "", "cluster")
        except NotFound:
            obj = None
        spec, problem = limits.in_force(obj)
        return None if problem else spec

    async def _past(self) -> list[Past]:
        found = [_past(obj) for obj in (await self._cluster.list(INCIDENTS)).items]
        return [past for past in found if past is not None]

    async def _delete(self, namespace: str, name: str, uid: str) -> None:
        await self._ignore_gone(self._cluster.delete(INCIDENTS, namespace, name, uid))

    async def _ignore_gone(self, deleting: Awaitable[None]) -> None:
        try:
            await deleting
        except (NotFound, Conflict):
            return


def _past(obj: Json) -> Past | None:
    """The Incident, if it is over; also one that was created, never begun, and not taken up since."""
    incident = view(obj)
    if incident is None:
        return None
    status = incident.status if incident.over else None
    if not obj.get("status"):
        status = IncidentStatus(closed_at=datetime.fromisoformat(incident.created))
    return None if status is None else Past(incident.uid, incident.namespace, incident.name, status)
