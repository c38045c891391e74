"""The ledger of actions: kept in the status of Guardrails, so that neither a restart nor a deletion resets a budget."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from goldseam.api.base import API_VERSION
from goldseam.api.guardrails import MAX_LEDGER, LedgerEntry
from goldseam.api.status import GuardrailsStatus
from goldseam.engine.situation import Ledger, Spent
from goldseam.errors import AlreadyExists, Conflict, NotFound
from goldseam.ports import Cluster, Json
from goldseam.resources import GUARDRAILS

NAME = "cluster"
LONGEST = timedelta(days=7)
TRIES = 5


class LedgerBook:
    """What has been spent, in memory and in Guardrails."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: Json | None = None
        """Guardrails as last read or written here. Whoever has written it since makes ours a conflict."""
        self.ledger = Ledger()

    async def load(self, known: Iterable[Spent], now: datetime) -> None:
        """Read the ledger from Guardrails, and add what the incidents know: there, too, if it was lost."""
        obj = await self._read()
        status = GuardrailsStatus.model_validate(obj.get("status") or {})
        written = [Spent(e.policy, e.target, e.last, e.count) for e in status.ledger]
        seen = {(e.policy, e.target, _hour(e.last)) for e in written}
        added = [e for e in known if (e.policy, e.target, _hour(e.last)) not in seen]
        self.ledger = Ledger(tuple(_folded([*written, *added])), status.complete_since)
        if any(now - e.last < LONGEST for e in added):
            entries, complete_since = _fitting(list(self.ledger.entries), now)
            with contextlib.suppress(Conflict):  # then the next action writes all of it
                await self._write(obj, entries, complete_since or status.complete_since)

    async def spend(self, policy: str, target: str, now: datetime) -> None:
        """Count one action, in Guardrails first: what is counted and not done is safe, the other way round is not.

        Raises:
            GoldseamError: it could not be written; then nothing may be done.
        """
        for attempt in range(TRIES):
            obj = self._known or await self._read()
            status = GuardrailsStatus.model_validate(obj.get("status") or {})
            entries, complete_since = _fitting(_folded([*self.ledger.entries, Spent(policy, target, now, 1)]), now)
            complete_since = complete_since or status.complete_since
            try:
                await self._write(obj, entries, complete_since)
            except (Conflict, NotFound):
                self._known = None
                if attempt == TRIES - 1:
                    raise
                continue
            self.ledger = Ledger(tuple(entries), complete_since)
            return

    async def restored(self) -> None:
        """Somebody deleted Guardrails: make it again, with what has been spent. A ledger that is written stays."""
        obj = await self._read()
        if self.ledger.entries and not (obj.get("status") or {}).get("ledger"):
            await self._write(obj, list(self.ledger.entries), self.ledger.complete_since)

    async def _read(self) -> Json:
        try:
            return await self._cluster.get(GUARDRAILS, "", NAME)
        except NotFound:
            body: Json = {"apiVersion": API_VERSION, "kind": "Guardrails", "metadata": {"name": NAME}}
            try:
                return await self._cluster.create(GUARDRAILS, "", body)
            except AlreadyExists:
                return await self._cluster.get(GUARDRAILS, "", NAME)

    async def _write(self, obj: Json, entries: list[Spent], complete_since: datetime | None) -> None:
        ledger = [LedgerEntry(policy=e.policy, target=e.target, last=e.last, count=e.count) for e in entries]
        status = GuardrailsStatus(ledger=ledger, complete_since=complete_since).dump()
        fields = {key: status[key] for key in ("ledger", "completeSince") if key in status}
        version = obj["metadata"]["resourceVersion"]
        self._known = await self._cluster.patch(
            GUARDRAILS, "", NAME, {"metadata": {"resourceVersion": version}, "status": fields}, "status"
        )


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _folded(entries: Iterable[Spent]) -> list[Spent]:
    """One entry a policy, target and hour. `last` is the latest, so a window counts too many at most, never too few."""
    by_hour: dict[tuple[str, str, datetime], Spent] = {}
    for entry in entries:
        key = (entry.policy, entry.target, _hour(entry.last))
        old = by_hour.get(key)
        count = entry.count + (old.count if old else 0)
        last = max(entry.last, old.last) if old else entry.last
        by_hour[key] = Spent(entry.policy, entry.target, last, count)
    return sorted(by_hour.values(), key=lambda e: (e.last, e.policy, e.target))


def _fitting(entries: list[Spent], now: datetime) -> tuple[list[Spent], datetime | None]:
    """What is younger than a week. Beyond what Guardrails can hold the oldest go; then it says since when it is."""
    young = [entry for entry in entries if now - entry.last < LONGEST]
    kept = young[-MAX_LEDGER:]
    return kept, (kept[0].last if len(kept) < len(young) else None)
