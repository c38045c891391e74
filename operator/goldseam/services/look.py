"""One look at an incident: gather, decide, write, act, record. What is written comes before what is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from pydantic import ValidationError

from goldseam import metrics
from goldseam.api.incident import IncidentStatus, Step
from goldseam.engine.decide import decide
from goldseam.engine.guards.order import BEFORE_UNDOING, BETWEEN_WRITES, holding
from goldseam.engine.opening import first_status
from goldseam.engine.proposal import Proposal
from goldseam.engine.situation import Decision, Situation
from goldseam.engine.size import fitted
from goldseam.engine.views import IncidentView, merge_patch, view
from goldseam.errors import Conflict, GoldseamError, NotFound, Outdated
from goldseam.ports import LINE, Clock, Cluster, Line
from goldseam.resources import INCIDENTS
from goldseam.services.act import Actor, Result, recorded
from goldseam.services.book import IncidentBook
from goldseam.services.chronicle import Chronicle
from goldseam.services.delivery import Delivery
from goldseam.services.fleet import FleetWatch
from goldseam.services.gate import Gate
from goldseam.services.gather import Gatherer, Reads
from goldseam.services.ledger import LedgerBook
from goldseam.services.permissions import Permissions
from goldseam.services.queries import Queries
from goldseam.services.waking import Pace, under_way
from goldseam.services.words import Hearing

log = structlog.get_logger("goldseam.look")

AFTER_ERROR = timedelta(seconds=5)
UNSURE = timedelta(seconds=3)
OVER = timedelta(days=1)
WAITING_AT_ONCE = 10
"""Looks at incidents that wait, at the same time. When a thousand are woken at once, a write would else be so long in
line behind all that they read that its time is over, again and again."""


@dataclass
class Looker:
    """Looks at incidents, one at a time each; decisions to act are taken one at a time over all."""

    cluster: Cluster
    clock: Clock
    book: IncidentBook
    gatherer: Gatherer
    ledger: LedgerBook
    permissions: Permissions
    queries: Queries
    delivery: Delivery
    chronicle: Chronicle
    hearing: Hearing
    fleet: FleetWatch
    actor: Actor
    refresh: Callable[[str, str], Awaitable[None]]
    """Reads the alert source of that name anew, and whether it is for policies of that namespace."""
    stopping: Callable[[], bool]
    """Whether the operator is being stopped: no further write is begun."""

    asks: Callable[[IncidentView], bool] = lambda _: False
    """Whether the incident's runbook asks queries, which takes its time."""
    gate: Gate | None = None
    """Keeps people from being called while it heals."""
    epoch: Callable[[], int] = lambda: 1
    """The leader's number, which stands in every status that is written."""
    recorded: Callable[[Situation, Decision, datetime], None] = lambda *_: None
    """Is told of every decision that changes something."""

    def __post_init__(self) -> None:
        self._deciding = asyncio.Lock()
        self._waiting = asyncio.Semaphore(WAITING_AT_ONCE)
        self._pace = Pace(self.clock, lambda: len(self.book.all()))

    async def look(self, uid: str) -> timedelta | None:
        """Look at one incident.

        Returns:
            When to look again at the latest; None when there is nothing left to do.
        """
        known = self.book.get(uid)
        if known is None:
            return None
        async with AsyncExitStack() as turn:
            if not under_way(known):
                await turn.enter_async_context(self._waiting)
                if self.stopping():
                    return UNSURE
            return await self._looked(known, turn)

    async def _looked(self, known: IncidentView, turn: AsyncExitStack) -> timedelta | None:
        try:
            incident = await self._read(known)
        except NotFound:
            log.warning("incident_deleted", incident=known.title)
            self.book.drop(known.uid)
            self._forget(known.uid)
            return None
        if incident is None or incident.over:
            self._forget(known.uid)
            return None
        try:
            again = await self._look(incident, turn)
        except Conflict:
            return timedelta(seconds=0.2)
        found = self.book.get(known.uid)
        if found is None:
            self._forget(known.uid)
        elif self.gate is not None:
            self.gate.looked(found)
        return self._pace.again(found or incident, again)

    def _forget(self, uid: str) -> None:
        self._pace.forget(uid)
        if self.gate is not None:
            self.gate.forget(uid)

    async def _read(self, known: IncidentView) -> IncidentView | None:
        found = view(await self.cluster.get(INCIDENTS, known.namespace, known.name))
        if found is None or found.uid != known.uid:
            self.book.drop(known.uid)
            return None
        self.book.put(found)
        return found

    async def _look(self, incident: IncidentView, turn: AsyncExitStack) -> timedelta:
        now = self.clock.now()
        anew = incident.status is None
        if anew:
            begun = await self._begin(incident, now)
            if begun is None:
                return OVER
            incident = begun
        status = incident.status
        assert status is not None
        LINE.set(_line(incident))  # an incident has a task of its own
        if status.epoch != self.epoch():  # before anything is read for a decision
            incident = await self.write(incident, status)
        if anew and not self._deciding.locked() and not self.asks(incident):
            LINE.set(Line.ACTING)
            return await self._decided(incident, status, turn)  # nobody is kept waiting: it is not gathered twice
        status = self.delivery.noted(incident, status)
        situation, decision = await self._considered(incident, status, now)
        if decision.kind in ("act", "undo", "rehearse"):
            LINE.set(Line.URGENT if decision.kind == "undo" else Line.ACTING)
            return await self._decided(incident, status, turn)
        return await self._finish(incident, situation, decision, now)

    async def _considered(
        self, incident: IncidentView, status: IncidentStatus, now: datetime
    ) -> tuple[Situation, Decision]:
        """What would be done: enough to hold, to wait and to ask, and where something is to be done, to decide anew."""
        situation = await self.queries.answered(await self.gatherer.situation(incident, status, now))
        decision = decide(situation, now)
        if decision.kind == "hold" and situation.acts:  # before people are asked; and all that hold are shown
            situation = await self._permitted(situation, remembered=True)
            decision = decide(situation, now)
            if decision.status.approvals != status.approvals:  # nobody is asked about what may not be done any more
                situation = await self._permitted(situation)
                decision = decide(situation, now)
        return situation, decision

    async def _decided(self, incident: IncidentView, status: IncidentStatus, turn: AsyncExitStack) -> timedelta:
        """Decide by fresh reads, one at a time over all, and act."""
        await turn.aclose()  # what is done may take long: let others look meanwhile
        async with self._deciding:
            committed = await self._commit(incident, status)
        return committed if isinstance(committed, timedelta) else await self._act(*committed)

    async def _begin(self, incident: IncidentView, now: datetime) -> IncidentView | None:
        """The operator died between creating the Incident and writing its status."""
        policy = await self.gatherer.policy(incident, Reads(self.cluster))
        if policy is None or policy.spec is None or policy.uid != incident.spec.policy_ref.uid:
            self.book.drop(incident.uid)
            return None
        return await self.write(incident, first_status(policy, incident.spec, now))

    async def _commit(
        self, incident: IncidentView, status: IncidentStatus
    ) -> timedelta | tuple[IncidentView, Decision, Situation]:
        """The critical section: fresh reads, all guards again, the budget, the intent. Gives what is to be acted on."""
        assert status.policy_snapshot is not None
        source = str(status.policy_snapshot.spec.get("sourceRef", {}).get("name", "default"))
        await self.refresh(source, incident.spec.policy_ref.namespace)
        await self.fleet.assess()
        await self._stamp_rivals(incident)
        now = self.clock.now()
        situation = await self.gatherer.situation(incident, status, now)
        situation = await self.queries.before_acting(situation)
        situation = await self._permitted(situation)
        decision = decide(situation, now)
        if decision.kind not in ("act", "undo"):
            return await self._finish(incident, situation, decision, now)
        self.recorded(situation, decision, now)
        if decision.reason == "Act":
            await self.ledger.spend(situation.policy_name, situation.target_name, now)
        return await self.write(incident, decision.status), decision, situation

    async def _stamp_rivals(self, incident: IncidentView) -> None:
        """No late leader writes an intent on this target any more, in whichever incident of its namespace."""
        for other in self.book.all():
            same = (other.namespace, other.spec.target.uid) == (incident.namespace, incident.spec.target.uid)
            if same and other.uid != incident.uid:
                await self.stamp(other)

    async def stamp(self, incident: IncidentView) -> None:
        """Write the leader's number, so that the API server refuses what an earlier leader still sends."""
        if incident.status is None or incident.status.epoch == self.epoch():
            return
        try:
            await self.write(incident, incident.status)
        except Conflict:  # it has changed since it was read
            found = await self._read(incident)
            if found is not None and found.status is not None:
                await self.write(found, found.status)

    async def _permitted(self, s: Situation, *, remembered: bool = False) -> Situation:
        plan = s.plan
        if not isinstance(plan, Proposal):
            return s
        s = await self.permissions.asked(s, plan, remembered=remembered)
        if s.acts or s.permission.denied or s.permission.problem:
            return s
        return replace(s, dry_run=await self.actor.rehearse(plan.writes, f"{s.namespace}/{s.name}"))

    async def _act(self, incident: IncidentView, decision: Decision, s: Situation) -> timedelta:
        assert incident.status is not None
        step = next(step for step in incident.status.steps if step.id == decision.step)

        async def may_go_on(made: int) -> bool:
            return not self.stopping() and (made == 0 or await self._still_free(incident, s, step))

        if self.gate is not None and decision.kind == "act":
            await self.gate.before_acting(incident)
        results = await self.actor.perform(step, incident.title, may_go_on)
        status = recorded(incident.status, step.id, results, self.clock.now())
        await self.write(incident, status)
        return _after(results, decision)

    async def _still_free(self, incident: IncidentView, s: Situation, step: Step) -> bool:
        """A safe point between two writes: whether anything holds meanwhile. What is not known, waits."""
        now = self.clock.now()
        s = await self.gatherer.at_safe_point(incident, s, now)
        return not holding(BEFORE_UNDOING if step.purpose == "Undo" else BETWEEN_WRITES, s, now)

    async def _finish(self, incident: IncidentView, s: Situation, decision: Decision, now: datetime) -> timedelta:
        if decision.status != s.status:
            self.recorded(s, decision, now)
        written = await self.write(incident, decision.status)
        await self.hearing.judge(s, decision.status)
        self.delivery.deliver(written)
        metrics.decided(decision.kind, decision.reason)
        return decision.look_again

    async def write(self, incident: IncidentView, status: IncidentStatus) -> IncidentView:
        """Write the status with the resourceVersion that was read; nothing is written when nothing changed.

        Raises:
            Conflict: somebody else wrote it: forget what was decided, and look again.
            Outdated: the CRD does not know what must be recorded. People are told by an Event.
        """
        status = fitted(incident.spec, status.model_copy(update={"epoch": self.epoch()}))
        patch = merge_patch(incident.status.dump() if incident.status else {}, status.dump())
        if not patch:
            return replace(incident, status=status)
        patch["epoch"] = status.epoch  # in every write, for the fence to see
        body = {"metadata": {"resourceVersion": incident.resource_version, "uid": incident.uid}, "status": patch}
        try:
            obj = await self.cluster.patch(INCIDENTS, incident.namespace, incident.name, body, "status")
        except Outdated as error:
            self.chronicle.warn(incident, "CrdOutdated", str(error))
            raise
        written = view(obj)
        assert written is not None, "the API server returns what it accepted"
        self.chronicle.tell(written, incident.status)
        log.info("incident", incident=written.title, phase=status.phase, message=status.message)
        self.book.put(written)
        self._pace.changed(written.uid)
        return written


def _line(incident: IncidentView) -> Line:
    if incident.status is not None and incident.status.open_obligations():
        return Line.URGENT
    return Line.ACTING if under_way(incident) else Line.LOOKING


def _after(results: list[Result], decision: Decision) -> timedelta:
    if not results or any(result.state in ("Unsure", "Refused") for result in results):
        return UNSURE  # none: this process may not write now, for it is being stopped or its lease runs out
    if all(result.state == "Done" for result in results):
        return timedelta(0)
    return decision.look_again


Errors = (GoldseamError, ValidationError)
"""What a look may end with: the incident stays as it is, and is looked at again."""
