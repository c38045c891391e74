"""Which incidents are looked at when something happens: as few as it concerns, so that cost follows what changes.

An incident at which nothing is under way is looked at when what it depends on has changed, and otherwise ever more
seldom: again after as long as nothing has changed. One at which something is under way is looked at after every regular
read of its source, at least; after one that a hint woke only if it has shown something new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial

from goldseam.api.incident import ENDED
from goldseam.engine.answers import SHORTLY
from goldseam.engine.matching import PolicyKey
from goldseam.engine.situation import Decision
from goldseam.engine.turns import IN_TURN, far_back
from goldseam.engine.verdict import Reading
from goldseam.engine.views import IncidentView
from goldseam.ports import Clock, Line
from goldseam.services.act import Result
from goldseam.services.book import IncidentBook
from goldseam.services.newly import Newly
from goldseam.services.sources import Source

UNDER_WAY = ("Fixing", "Monitoring")
BUSY = timedelta(seconds=15)
"""How often an incident at which something is under way is looked at, at least."""
SOONEST, LATEST = timedelta(seconds=2), timedelta(minutes=5)
"""Never sooner, and never later, is an incident looked at again because nothing has told us of a change."""
UNSURE = timedelta(seconds=3)
"""When an incident is looked at again of which it is not known, or cannot be told yet, what has become of a write."""
SHARE = timedelta(seconds=0.3)
"""How much later for each incident that is open: all that wait cost three looks a second together, not more."""

AT_ONCE = 10
"""How many of those that waited for another incident are looked at when it lets go; the others in their time."""

Read = Callable[[IncidentView], Reading]


def after_writes(results: Iterable[Result], decision: Decision, *, emptying: bool) -> timedelta:
    """When an incident is looked at again of whose writes this came; `emptying`: the node that it is about."""
    states = {result.state for result in results}
    if emptying and "Done" in states and "Unsure" not in states:
        return timedelta(0)  # what is left may be next already
    if not states or states & {"Unsure", "Refused"}:
        return UNSURE  # none: this process may not write now, for it is being stopped or its lease runs out
    return timedelta(0) if states <= {"Done", "Begun"} else decision.look_again


def under_way(incident: IncidentView) -> bool:
    """Whether something is being done, watched, or owed: then the world has to be watched closely."""
    status = incident.status
    return status is None or status.phase in UNDER_WAY or status.owes > 0 or status.open_step() is not None


def _waits_for(incident: IncidentView, other: IncidentView) -> bool:
    """Whether something that the other one does, claims or owes holds this one."""
    reasons = {hold.reason for hold in incident.status.holds} if incident.status else set()
    if "Concurrent" in reasons and incident.policy == other.policy:
        return True
    if reasons & {"OtherIncident", "OtherPolicy"} and incident.spec.target.uid == other.spec.target.uid:
        return True
    return bool(reasons & {"NodesAtOnce", "NodesPerZone", IN_TURN})


class Pace:
    """How soon each incident is looked at again: after as long as nothing has changed, within bounds."""

    def __init__(self, clock: Clock, count: Callable[[], int]) -> None:
        """`count` says how many incidents are open."""
        self._clock, self._count = clock, count
        self._quiet_since: dict[str, float] = {}

    def changed(self, uid: str) -> None:
        """Something new was written about it."""
        self._quiet_since[uid] = self._clock.monotonic()

    def forget(self, uid: str) -> None:
        """It is over."""
        self._quiet_since.pop(uid, None)

    def again(self, incident: IncidentView, asked: timedelta) -> timedelta:
        """When to look again: as the decision asks, or sooner. `SHORTLY` is as soon as is worth while. Far back in a
        line of nodes nothing is to be seen sooner: it is woken when it comes forward."""
        now = self._clock.monotonic()
        quiet = timedelta(seconds=now - self._quiet_since.setdefault(incident.uid, now))
        latest = BUSY if under_way(incident) else min(max(BUSY, self._count() * SHARE), LATEST)
        in_sight = incident.status is None or not far_back(incident.status)
        soon = max(SOONEST, min(quiet, latest)) if in_sight else latest
        return soon if asked == SHORTLY else min(asked, soon)


class Waker:
    """Wakes the incidents that something concerns."""

    def __init__(
        self,
        book: IncidentBook,
        read: Read,
        counts: Callable[[IncidentView], bool],
        wake: Callable[[str], None],
        newly: Newly,
    ) -> None:
        """`counts` says whether a threshold of the incident's runbook counts how many systems are affected."""
        self._book, self._read, self._counts, self._wake, self._newly = book, read, counts, wake, newly
        self._open: frozenset[str] = frozenset()
        self._tripped: object = None

    def answered(self, source: Source, tripped: object) -> None:
        """A source was read. `tripped` is how the breakers and the storm stand now."""
        incidents = self._book.all()
        now_open = frozenset(incident.uid for incident in incidents)
        others, everybody = now_open != self._open, tripped != self._tripped
        self._open, self._tripped = now_open, tripped
        for incident in incidents:
            if incident.of_a_newer_version:
                continue
            counted = others and self._counts(incident)
            watched = under_way(incident) and not source.hinted
            if everybody or counted or watched or self._is_news(incident, source):
                self._wake(incident.uid)

    def _is_news(self, incident: IncidentView, source: Source) -> bool:
        if incident.status is None:
            return False  # it was opened just now, and is looked at without being woken
        if incident.pinned.source_ref.name != source.name:
            return False
        known, reading = incident.status.verdict, self._read(incident)
        return known is None or (known.state, known.fresh) != (reading.state, reading.fresh)

    def policy(self, key: PolicyKey) -> None:
        """A policy was changed or deleted."""
        for incident in self._book.of_policy(key):
            self._wake(incident.uid)

    def everybody(self) -> None:
        """Something that may concern any of them has changed: a Pause, the Guardrails, a Runbook."""
        for incident in self._book.all():
            self._wake(incident.uid)

    def freed(self, other: IncidentView) -> None:
        """An incident holds others back no more: those that have waited for it longest may go on at once; of nodes
        those whose turn is next."""
        for incident in self._in_turn(other)[:AT_ONCE]:
            self._wake(incident.uid)

    def went(self, other: IncidentView) -> None:
        """The turn of one in a line has come: it takes the room that it waited for, and the first ones were woken with
        it. The next one after these has come forward. In a crowd all are looked at anyway: those who have come forward
        meanwhile are looked at once, after it."""
        if not self._newly.decided.complete:
            self._newly.then(other.policy, partial(self.freed, other))
            return
        for incident in self._in_turn(other)[AT_ONCE - 1 : AT_ONCE]:
            self._wake(incident.uid)

    def _in_turn(self, other: IncidentView) -> list[IncidentView]:
        waiting = [incident for incident in self._book.all() if _waits_for(incident, other)]
        place = {uid: number for number, uid in enumerate(self._book.order())}
        return sorted(waiting, key=lambda i: (place.get(i.uid, len(place)), i.created))


def line_of(incident: IncidentView) -> Line:
    """In which line the requests for the incident wait: what is owed goes first, then what is under way."""
    status = incident.status
    owed = status.open_obligations() if status is not None else []
    if status is not None and any(status.phase in ENDED or o.due_at for o in owed):  # what falls due later can wait
        return Line.URGENT
    return Line.ACTING if under_way(incident) else Line.LOOKING
