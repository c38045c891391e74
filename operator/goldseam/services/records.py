"""An incident's record: read anew, written with the version that was read, and with the leader's number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from goldseam.api.incident import IncidentStatus
from goldseam.engine.size import fitted
from goldseam.engine.views import IncidentView, merge_patch, view
from goldseam.errors import Conflict, Outdated
from goldseam.ports import Cluster
from goldseam.resources import INCIDENTS
from goldseam.services.book import IncidentBook
from goldseam.services.chronicle import Chronicle

log = structlog.get_logger("goldseam.look")


class Records:
    """Reads and writes them; what was read or written stands in the book."""

    def __init__(
        self,
        cluster: Cluster,
        book: IncidentBook,
        chronicle: Chronicle,
        epoch: Callable[[], int],
        changed: Callable[[str], None],
    ) -> None:
        """`epoch`: the leader's number. `changed` is told the uid of an incident about which something new stands."""
        self._cluster, self._book, self._chronicle = cluster, book, chronicle
        self._epoch, self._changed = epoch, changed

    async def read(self, known: IncidentView) -> IncidentView | None:
        """The incident as it is now; None where another one has its name, or it cannot be read.

        Raises:
            NotFound: it was deleted.
        """
        found = view(await self._cluster.get(INCIDENTS, known.namespace, known.name))
        if found is None or found.uid != known.uid:
            self._book.drop(known.uid)
            return None
        self._book.put(found)
        return found

    async def stamp_rivals(self, incident: IncidentView) -> None:
        """No late leader writes an intent on this target any more, nor runs its CronJob, in whichever incident of its
        namespace."""
        for other in self._book.rivals(incident):
            await self.stamp(other)

    async def stamp(self, incident: IncidentView) -> None:
        """Write the leader's number, so that the API server refuses what an earlier leader still sends."""
        if incident.status is None or incident.status.epoch == self._epoch():
            return
        try:
            await self.write(incident, incident.status)
        except Conflict:  # it has changed since it was read
            found = await self.read(incident)
            if found is not None and found.status is not None:
                await self.write(found, found.status)

    async def write(self, incident: IncidentView, status: IncidentStatus) -> IncidentView:
        """Write the status with the resourceVersion that was read; nothing is written when nothing changed.

        Raises:
            Conflict: somebody else wrote it: forget what was decided, and look again.
            Outdated: the CRD does not know what must be recorded. People are told by an Event.
        """
        status = fitted(incident.spec, status.model_copy(update={"epoch": self._epoch()}))
        patch = merge_patch(incident.status.dump() if incident.status else {}, status.dump())
        if not patch:
            return replace(incident, status=status)
        patch["epoch"] = status.epoch  # in every write, for the fence to see
        body = {"metadata": {"resourceVersion": incident.resource_version, "uid": incident.uid}, "status": patch}
        try:
            obj = await self._cluster.patch(INCIDENTS, incident.namespace, incident.name, body, "status")
        except Outdated as error:
            self._chronicle.warn(incident, "CrdOutdated", str(error))
            raise
        written = view(obj)
        assert written is not None, "the API server returns what it accepted"
        self._chronicle.tell(written, incident.status)
        log.info("incident", incident=written.title, phase=status.phase, message=status.message)
        self._book.put(written)
        self._changed(written.uid)
        return written
