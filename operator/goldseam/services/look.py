"""One look at an incident: gather, decide, write, act, record. What is written comes before what is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from goldseam import metrics
from goldseam.api.incident import IncidentStatus, Step
from goldseam.engine.changes import told
from goldseam.engine.decide import decide
from goldseam.engine.going_on import still_free
from goldseam.engine.lasting import lasts
from goldseam.engine.opening import first_status
from goldseam.engine.proposal import ALL, Proposal
from goldseam.engine.shared_cordons import takes_on, uncordons
from goldseam.engine.situation import Decision, Situation
from goldseam.engine.turns import far_back
from goldseam.engine.verdict import believed
from goldseam.engine.views import IncidentView
from goldseam.errors import Conflict, NotFound
from goldseam.ports import LINE, Clock, Cluster, Line
from goldseam.services.act import Actor, recorded
from goldseam.services.book import IncidentBook
from goldseam.services.chronicle import Chronicle
from goldseam.services.collecting import Collector
from goldseam.services.correlating import correlated, in_time
from goldseam.services.delivery import Delivery
from goldseam.services.fleet import FleetWatch
from goldseam.services.gate import Gate
from goldseam.services.gather import Gatherer, Opened, lent_since, nothing_unknown
from goldseam.services.lately import Lately
from goldseam.services.ledger import LedgerBook
from goldseam.services.newly import WORST_FIRST, Newly
from goldseam.services.node_leases import NodeLeases
from goldseam.services.permissions import Ahead, Permissions
from goldseam.services.queries import Queries
from goldseam.services.records import Records
from goldseam.services.surroundings import begun
from goldseam.services.waking import UNSURE, Pace, after_writes, line_of, under_way
from goldseam.services.words import Hearing

log = structlog.get_logger("goldseam.look")

AFTER_ERROR, OVER = timedelta(seconds=5), timedelta(days=1)
PREPARED_AT_ONCE = 5
"""Decisions for which everything is read at the same time: so many wait for their turn to be taken."""
STILL_NEW = 0.5
"""Seconds that what was read for a decision may wait for its turn."""
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
    collector: Collector
    delivery: Delivery
    chronicle: Chronicle
    hearing: Hearing
    fleet: FleetWatch
    actor: Actor
    refresh: Callable[[str, str], Awaitable[None]]
    """Reads the rules of the alert source of that name anew, and whether it is for policies of that namespace."""
    stopping: Callable[[], bool]
    """Whether the operator is being stopped: no further write is begun."""

    refresh_firing: Callable[[str], Awaitable[str]] = nothing_unknown
    """Reads anew all that fires at the alert source of that name; why it is not known, empty where it is."""
    together: Lately | None = None
    """What is shared by decisions of the same moment; None: nothing, but within one of them."""
    newly: Newly = field(default_factory=Newly)
    """What was opened just now."""
    asks: Callable[[IncidentView], bool] = lambda _: False
    """Whether the incident's runbook asks queries, which takes its time."""
    gate: Gate | None = None
    """Keeps people from being called while it heals."""
    epoch: Callable[[], int] = lambda: 1
    """The leader's number, which stands in every status that is written."""
    recorded: Callable[[Situation, Decision, datetime], None] = lambda *_: None
    """Is told of every decision that changes something."""

    def __post_init__(self) -> None:
        self.node_leases = NodeLeases(self.cluster, self.clock)
        self._deciding = asyncio.Lock()
        self._uncordoning: dict[str, str] = {}  # the nodes that are being uncordoned just now, by incident
        self._preparing = asyncio.Semaphore(PREPARED_AT_ONCE)
        self._waiting = asyncio.Semaphore(WAITING_AT_ONCE)
        self._pace = Pace(self.clock, lambda: len(self.book.all()))
        self.records = Records(self.cluster, self.book, self.chronicle, lambda: self.epoch(), self._pace.changed)

    async def look(self, uid: str) -> timedelta | None:
        """Look at one incident.

        Returns:
            When to look again at the latest; None when there is nothing left to do.
        """
        try:
            return await self._once(uid, self.newly.taken(uid))
        finally:
            self.newly.over(uid)

    async def _once(self, uid: str, opened: Opened | None) -> timedelta | None:
        known = self.book.get(uid)
        if known is None:
            self._forget(uid)
            return None
        async with AsyncExitStack() as turn:
            if not under_way(known):
                await turn.enter_async_context(self._waiting)
                if self.stopping():
                    return UNSURE
            return await self._looked(known, turn, opened)

    async def _looked(self, known: IncidentView, turn: AsyncExitStack, opened: Opened | None) -> timedelta | None:
        try:
            incident = known if opened is not None and known.status is None else await self.records.read(known)
        except NotFound:
            log.warning("incident_deleted", incident=known.title)
            self.book.drop(known.uid)
            self._forget(known.uid)
            return None
        if incident is None or incident.over:
            self._forget(known.uid)
            return None
        if incident.of_a_newer_version:
            return OVER
        try:
            again = await (
                self._look(incident, incident.status, turn) if incident.status else self._first(incident, turn, opened)
            )
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
        self.gatherer.policies.forget(uid)
        if self.gate is not None:
            self.gate.forget(uid)

    async def _first(self, incident: IncidentView, turn: AsyncExitStack, opened: Opened | None) -> timedelta:
        """The first look. Where it was not opened just now, the operator died before its status was written."""
        policy = opened.policy if opened else await self.gatherer.policies.surely(incident)
        if policy is None or policy.spec is None or policy.uid != incident.spec.policy_ref.uid:
            self.book.drop(incident.uid)
            return OVER
        status = first_status(policy, incident.spec, self.clock.now())
        status = status.model_copy(update={"epoch": self.epoch()})  # nobody need stamp what only the book has yet
        LINE.set(Line.ACTING)
        busy = self._preparing.locked() or self._crowded(incident, opened)
        waits = busy or self.asks(replace(incident, status=status))
        if opened is None:  # another leader may have begun on it: it is stamped before anything is read
            incident = await self.records.write(incident, status)
        if waits:
            self.book.put(replace(incident, status=status))  # the others know of it before it is written
            return await self._look(incident, status, turn, opened)
        return await self._decided(incident, incident.status or status, turn, opened)  # it is not gathered twice

    def _crowded(self, incident: IncidentView, opened: Opened | None) -> bool:
        """Whether it fired together with others of its policy, or so many wait that it is hardly let through."""
        return (opened is not None and opened.crowd != "") or self.book.crowded(incident.policy)

    async def _look(
        self, incident: IncidentView, status: IncidentStatus, turn: AsyncExitStack, opened: Opened | None = None
    ) -> timedelta:
        """`opened`: what was read for one that was opened just now. Its `status` is not written yet: what is written
        first is what it waits for, and a conflict where another leader has begun on it."""
        now = self.clock.now()
        LINE.set(line_of(incident) if opened is None else Line.ACTING)  # an incident has a task of its own
        if opened is None and status.epoch != self.epoch():  # before anything is read for a decision
            incident = await self.records.write(incident, status)
        status = self.delivery.noted(incident, status)
        shown = incident if incident.status is not None else replace(incident, status=status)
        situation, decision = await self._considered(shown, status, now, opened)
        self.book.lined_up(situation, now)
        if decision.kind == "act" and opened is not None and self._crowded(incident, opened):
            now, situation, decision = await self._after_the_others(shown, situation, turn)
            if self.stopping():
                return UNSURE
            if decision.kind != "act" and lasts(status, decision):  # what it goes by was read before the wait
                situation, decision = await self._considered(shown, status, now, None)
        if decision.kind in ("act", "undo", "rehearse") or takes_on(status, decision):
            LINE.set(Line.URGENT if decision.kind == "undo" else Line.ACTING)
            return await self._decided(incident, status, turn, opened)
        if decision.reason == "Reopened":
            return await self._reopened(incident, situation, decision, now)
        return await self._finish(incident, situation, decision, now)

    async def _reopened(self, incident: IncidentView, s: Situation, decision: Decision, now: datetime) -> timedelta:
        """It needs its cordon again: whoever decides to take it off sees that, or has taken it off by then."""
        async with self._deciding:
            if s.spec.target.uid in self._uncordoning.values():
                return UNSURE
            if s.status.open_obligations():  # another one may have taken it off since it was read
                s = await self.gatherer.situation(incident, s.status, now)
                decision = decide(s, now)
            if decision.reason != "Reopened":
                return UNSURE
            incident = await self.records.write(incident, decision.status)
        return await self._finish(incident, s, decision, now)

    async def _after_the_others(
        self, incident: IncidentView, s: Situation, turn: AsyncExitStack
    ) -> tuple[datetime, Situation, Decision]:
        """One of a crowd that may go: who of them goes first is told when all were looked at. Nothing is read anew to
        know whether it is this one: who acts decides once more."""
        await turn.aclose()
        self.newly.seen.reached(incident.uid)
        await self.newly.seen.by_all(WORST_FIRST)
        now, s = self.clock.now(), self.gatherer.beside_others(incident, s)
        return now, s, decide(s, now)

    async def _considered(
        self, incident: IncidentView, status: IncidentStatus, now: datetime, opened: Opened | None
    ) -> tuple[Situation, Decision]:
        """What would be done: enough to hold and to wait, and where something is to be done, to decide anew."""
        gathering = self.gatherer.situation(incident, status, now, to_act=False, opened=opened, together=self.together)
        situation, decision = await self._answered(await gathering, now, lately=True)
        if lasts(status, decision):  # nobody is asked about what may not be done any more
            gathering = self.gatherer.situation(incident, status, now)
            situation, decision = await self._answered(await gathering, now, lately=False)
        if decision.reason == "Collecting":
            situation = await self.collector.collected(situation)
            decision = decide(situation, now)
        return situation, decision

    async def _answered(self, s: Situation, now: datetime, *, lately: bool) -> tuple[Situation, Decision]:
        """What would be done, once queries are answered and, where something holds, the identity's rights are known:
        before people are asked; and all that hold are shown, but far back in a line. `lately`: rights that were asked
        for lately will do."""
        s = await self.queries.answered(s)
        decision = decide(s, now)
        if decision.kind == "hold" and s.acts and not far_back(decision.status):
            s = await self._permitted(s, remembered=lately)
            decision = decide(s, now)
        return s, decision

    async def _decided(
        self, incident: IncidentView, status: IncidentStatus, turn: AsyncExitStack, opened: Opened | None = None
    ) -> timedelta:
        """Decide by fresh reads, and act. What is decided on is read by some at a time; the decisions themselves are
        taken one at a time over all, each by what those before it have spent, written and claimed."""
        await turn.aclose()  # what is done may take long: let others look meanwhile
        async with self._preparing:
            for last in (False, False, True):
                incident, situation = await self._fenced(incident, status, opened)
                read, opened = self.clock.monotonic(), None
                async with self._deciding:
                    situation = self.gatherer.beside_others(incident, situation)
                    late = self.clock.monotonic() - read > STILL_NEW or lent_since(situation)
                    if late and not last:
                        continue
                    if late:
                        situation = self.gatherer.beside_others(incident, await self._prepared(incident, status))
                    correlating = correlated(self.cluster, situation)
                    turn.callback(correlating.cancel)  # where nothing comes about, nobody waits for it
                    now, decision, written = await self._taken(incident, situation)
                    turn.callback(self._uncordoning.pop, written.uid, None)
                    break
        if decision.kind not in ("act", "undo"):
            situation = await correlating
            decision = decide(situation, now)
            end = self._reopened if decision.reason == "Reopened" else self._finish
            return await end(written, situation, decision, now)
        return await self._act(written, decision, situation, correlating)

    async def _taken(self, incident: IncidentView, s: Situation) -> tuple[datetime, Decision, IncidentView]:
        """The critical section: the decision, and where it is to act, the budget, then the intent."""
        now = self.clock.now()
        self.book.lined_up(s, now)
        decision = decide(s, now)
        if decision.kind in ("act", "undo"):
            self.recorded(s, decision, now)
        elif not takes_on(s.status, decision):
            return now, decision, incident
        if decision.reason == "Act":
            await self.ledger.spend(s.policy_name, s.target_name, now)
        written = await self.records.write(incident, decision.status)
        if any(step.id == decision.step and uncordons(step) for step in decision.status.steps):
            self._uncordoning[written.uid] = s.spec.target.uid
        return now, decision, written

    async def _fenced(
        self, incident: IncidentView, status: IncidentStatus, opened: Opened | None
    ) -> tuple[IncidentView, Situation]:
        """The incident with the leader's number in its status, and all that is decided on.

        The first status of what we opened just now is written while the rest is read: had anybody else begun on it,
        ours were a conflict.
        """
        if incident.status is not None:
            return incident, await self._prepared(incident, status, opened)
        both = self.records.write(incident, status), self._prepared(replace(incident, status=status), status, opened)
        written, situation = await asyncio.gather(*both, return_exceptions=True)
        if isinstance(written, BaseException):
            raise written
        if isinstance(situation, BaseException):
            raise situation
        return written, situation

    async def _prepared(
        self, incident: IncidentView, status: IncidentStatus, opened: Opened | None = None
    ) -> Situation:
        """All that a decision to act goes by, read just now; `opened` is not read again, unless it took long."""
        assert status.policy_snapshot is not None
        source = str(status.policy_snapshot.spec.get("sourceRef", {}).get("name", "default"))
        await self.refresh(source, incident.spec.policy_ref.namespace)
        await self.records.stamp_rivals(incident)
        now, long_ago = self.clock.now(), self.clock.monotonic() - STILL_NEW
        opened = opened if opened is not None and opened.at > long_ago else None
        together = self.together or Lately(self.clock)
        gathering = self.gatherer.situation(incident, status, now, opened=opened, together=together)
        ahead = self.permissions.ahead(incident, status, opened.policy) if opened else None
        try:
            situation, problem = await asyncio.gather(gathering, self._counted(source, together))
            situation = replace(situation, reading=believed(situation.reading, (not problem, problem)))
            return await self._permitted(await self.queries.before_acting(situation), ahead=ahead)
        finally:
            if ahead is not None:
                ahead.end()

    async def _counted(self, source: str, together: Lately) -> str:
        """Count how everything fares, once all that fires was read; why that is not known."""
        problem = await self.refresh_firing(source)
        await self.fleet.assess(together)
        return problem

    async def _permitted(self, s: Situation, *, remembered: bool = False, ahead: Ahead | None = None) -> Situation:
        plan = s.plan
        if not isinstance(plan, Proposal):
            return s
        s = await self.permissions.asked(s, plan, remembered=remembered, ahead=ahead)
        if s.acts or s.permission.denied or s.permission.problem:
            return s
        first = plan.turn.first(plan.writes)
        return replace(s, dry_run=await self.actor.rehearse(first, f"{s.namespace}/{s.name}", plan.body))

    async def _act(
        self, incident: IncidentView, decision: Decision, s: Situation, correlating: asyncio.Task[Situation]
    ) -> timedelta:
        assert incident.status is not None
        self.newly.over(incident.uid)
        step = next(step for step in incident.status.steps if step.id == decision.step)
        half_done, waited = begun(incident.status), False

        async def may_go_on(made: int) -> bool:
            nonlocal waited
            late = emptying is not None and (made > 0 or half_done) and not waited and await self.newly.decided.by_all()
            waited |= made > 0 or half_done  # once a pass: what is new may come without end
            return ((made == 0 and not late) or await self._still_free(incident, s, step)) and not self.stopping()

        if self.gate is not None and decision.kind == "act":
            await self.gate.before_acting(incident)
        waits = await self.node_leases.in_the_way(step, s.spec.target, s.world)
        climbs, body = step.purpose == "Rung", s.plan.body if isinstance(s.plan, Proposal) else None
        turn = s.plan.turn if climbs and s.plan is not None else ALL
        emptying = s.world if climbs and s.spec.target.kind == "Node" else None
        s = await in_time(correlating, s)
        results = waits or await self.actor.perform(step, incident.title, may_go_on, turn, body, emptying)
        now = self.clock.now()
        status = told(s, recorded(incident.status, step.id, results, now), now)
        await self.records.write(incident, status)
        await self.node_leases.released(step.writes[result.index] for result in results if result.state == "Done")
        return after_writes(results, decision, emptying=emptying is not None)

    async def _still_free(self, incident: IncidentView, s: Situation, step: Step) -> bool:
        """A safe point between two writes: whether anything holds meanwhile. What is not known, waits."""
        now = self.clock.now()
        return still_free(await self.gatherer.at_safe_point(incident, s, now), step, now)

    async def _finish(self, incident: IncidentView, s: Situation, decision: Decision, now: datetime) -> timedelta:
        if decision.status != s.status:
            self.recorded(s, decision, now)
        written = await self.records.write(incident, decision.status)
        await self.hearing.judge(s, decision.status)
        self.delivery.deliver(written)
        metrics.decided(decision.kind, decision.reason)
        return decision.look_again
