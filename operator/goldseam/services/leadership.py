"""One leader at a time: a Lease, and a number that only grows, which the API server holds against late writes.

The election is client-go's (`leaderelection.go`): a lease counts as over when it was not seen to be renewed for its
whole duration on the candidate's own monotonic clock, so that no two machines' clocks are compared. The number (epoch)
is the fence: each Incident refuses a smaller one than it has (`goldseam.api.kinds`), so a leader that was deposed
without knowing it cannot write an intent any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import structlog

from goldseam import metrics
from goldseam.api.base import format_time
from goldseam.errors import AlreadyExists, Conflict, Fenced, GoldseamError, NotFound
from goldseam.ports import Clock, Cluster, Json, Line, waiting_in
from goldseam.resources import LEASES

log = structlog.get_logger("goldseam.leadership")

NAME = "goldseam"
PROMPT = 2.0
"""Seconds: an answer that took longer says nothing about the time of day now."""
SANE = 2**30
"""An epoch beyond this was not written by an operator: each change of the leader adds one."""


@dataclass(frozen=True)
class Terms:
    """Seconds, as client-go's defaults."""

    duration: float = 15.0
    """For how long a lease holds without being renewed."""
    renew_within: float = 10.0
    """After so long without a renewal the leader gives up, well before others may take over."""
    retry: float = 2.0
    """Between two tries."""


class Leadership:
    """This process's part in the election."""

    def __init__(
        self,
        cluster: Cluster,
        clock: Clock,
        namespace: str,
        identity: str,
        terms: Terms | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        told: Callable[[datetime], None] = lambda _: None,
    ) -> None:
        """`told` hears the API server's time of day, as it stands in the Lease that was just written."""
        self._cluster, self._clock, self._namespace = cluster, clock, namespace
        self._identity, self._terms, self._sleep = identity, terms or Terms(), sleep
        self._told = told
        self._lease: Json = {}
        self._seen: tuple[str, float] = ("", 0.0)
        self._newest = 0
        self._until = float("-inf")
        self.epoch = 0
        """This leader's number; 0 before it leads."""

    @property
    def left(self) -> float:
        """For how many seconds nobody else can lead, counted from before the last renewal was sent."""
        return self._until - self._clock.monotonic()

    async def won(self) -> None:
        """Stand by until this process leads.

        Raises:
            Fenced: the cluster was put back to an earlier state: this process must stop.
        """
        while not await self._tried():
            await self._sleep(self._terms.retry * random.uniform(0.8, 1.2))
        log.info("leading", identity=self._identity)

    async def raised(self, seen: Iterable[int]) -> None:
        """Take a number above the lease's and above every epoch that was ever seen, so that no late write is let in.

        Raises:
            GoldseamError: it could not be written; then this process must not act.
        """
        known = max((epoch for epoch in seen if epoch < SANE), default=0)
        epoch = max(int(self._lease["spec"].get("leaseTransitions") or 0), known) + 1
        await self._write(self._spec(leaseTransitions=epoch))
        self.epoch = epoch
        metrics.leads(epoch)
        log.info("epoch", epoch=epoch)

    async def keep(self) -> None:
        """Renew, for as long as it can be done. Ends only with `Fenced`: this process must stop."""
        while True:
            await self._sleep(self._terms.retry)
            try:
                await self._renewed()
            except Fenced:
                raise
            except GoldseamError as error:
                log.warning("lease_not_renewed", problem=str(error), left=round(self.left, 1))
            if self.left <= self._terms.duration - self._terms.renew_within:
                raise Fenced(f"the lease could not be renewed within {self._terms.renew_within:g} s")

    async def deposed(self) -> bool:
        """Whether another process leads now, as the lease says; what cannot be read counts as yes."""
        try:
            await self._renewed()
        except GoldseamError:
            return True
        return False

    async def release(self) -> None:
        """Let another process lead at once. To be called when no write of ours can follow."""
        if self.left <= 0:
            return
        self._until = float("-inf")
        try:
            await self._write(self._spec(holder=""), extends=False)
            log.info("released")
        except GoldseamError as error:
            log.warning("lease_not_released", problem=str(error))

    async def succeeded(self, within: float) -> bool:
        """After `release`: wait until another process leads, for so many seconds at most. Returns whether one does."""
        for _ in range(math.ceil(within / self._terms.retry)):
            try:
                await self._read()
            except GoldseamError as error:
                log.warning("lease_not_read", problem=str(error))
            if self._holder not in ("", self._identity):
                return True
            await self._sleep(self._terms.retry)
        return False

    async def _tried(self) -> bool:
        try:
            await self._read()
            if not self._is_free():
                return False
            now = format_time(self._clock.now())
            await self._write(self._spec(acquireTime=now))
        except NotFound:
            return await self._created()
        except Conflict:
            return False
        except Fenced:
            raise
        except GoldseamError as error:
            log.warning("lease_not_read", problem=str(error))
            return False
        return True

    async def _created(self, transitions: int = 0) -> bool:
        begun, now = self._clock.monotonic(), format_time(self._clock.now())
        body: Json = {
            "apiVersion": LEASES.api_version,
            "kind": "Lease",
            "metadata": {"name": NAME, "namespace": self._namespace},
            "spec": self._spec(acquireTime=now, leaseTransitions=transitions),
        }
        try:
            with waiting_in(Line.URGENT):
                self._lease = await self._answer(self._cluster.create(LEASES, self._namespace, body))
        except Fenced:
            raise
        except (AlreadyExists, Conflict):
            return False
        except GoldseamError as error:
            log.warning("lease_not_created", problem=str(error))
            return False
        self._until = begun + self._terms.duration
        self._tell(begun)
        return True

    async def _renewed(self) -> None:
        """Renew once. Raises `Fenced` when another process has the lease."""
        self._must_be_ours()
        try:
            await self._write(self._spec())
        except NotFound:  # somebody deleted it: who is first has it
            if not await self._created(self.epoch):
                raise Fenced("the lease was deleted, and another process has it now") from None
        except Conflict:
            await self._read()
            self._must_be_ours()
            await self._write(self._spec())

    def _must_be_ours(self) -> None:
        if self._holder != self._identity:
            self._until = float("-inf")
            raise Fenced(f"{self._holder or 'nobody'} has the lease now")

    async def _read(self) -> None:
        with waiting_in(Line.URGENT):
            self._lease = await self._answer(self._cluster.get(LEASES, self._namespace, NAME))
        version = str(self._lease["metadata"]["resourceVersion"])
        if version != self._seen[0]:
            self._seen = (version, self._clock.monotonic())

    async def _write(self, spec: Json, *, extends: bool = True) -> None:
        begun = self._clock.monotonic()
        meta = {key: self._lease["metadata"][key] for key in ("uid", "resourceVersion")}
        body = {"metadata": meta, "spec": spec}
        with waiting_in(Line.URGENT):
            self._lease = await self._answer(self._cluster.patch(LEASES, self._namespace, NAME, body))
        if extends:
            self._until = begun + self._terms.duration
            self._tell(begun)

    async def _answer(self, request: Awaitable[Json]) -> Json:
        """The lease as the API server has it now. Its version only grows, unless etcd was put back to a backup.

        Then the watches would be opened at versions that are yet to come, and be blind until they have come; and what
        this process knows of incidents is of a world that is no more. Source: resource versions of a kind are compared
        as numbers (kubernetes, API concepts).
        """
        known = self._newest  # another request may overtake this one
        lease = await request
        version = _number(lease)
        if 0 < version < known:
            self._until = float("-inf")
            raise Fenced(
                f"the cluster was put back to an earlier state: the lease has the version {version}, and had {known}"
            )
        self._newest = max(self._newest, version)
        return lease

    def _tell(self, begun: float) -> None:
        """The API server notes in `managedFields` when it took in a write, in whole seconds."""
        times = [str(entry.get("time", "")) for entry in self._lease["metadata"].get("managedFields") or []]
        if times and self._clock.monotonic() - begun < PROMPT:
            with contextlib.suppress(ValueError):
                self._told(datetime.fromisoformat(max(times)))

    @property
    def _holder(self) -> str:
        return str((self._lease.get("spec") or {}).get("holderIdentity") or "")

    def _is_free(self) -> bool:
        """Nobody has it, or whoever has it has not renewed it for its whole duration, as far as we have watched."""
        if self._holder in ("", self._identity):
            return True
        duration = max(float(self._lease["spec"].get("leaseDurationSeconds") or 0), self._terms.duration)
        return self._clock.monotonic() - self._seen[1] > duration

    def _spec(self, *, holder: str | None = None, **fields: object) -> Json:
        now: datetime = self._clock.now()
        return {
            "holderIdentity": self._identity if holder is None else holder,
            "leaseDurationSeconds": int(self._terms.duration),
            "renewTime": format_time(now),
            **fields,
        }


def _number(lease: Json) -> int:
    """Its resourceVersion; 0 where it is none that can be compared."""
    version = str(lease["metadata"]["resourceVersion"])
    return int(version) if version.isdecimal() else 0
