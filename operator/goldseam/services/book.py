"""The incidents that are not over, in memory: found by policy and target, and shown to each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any

from pydantic import ValidationError

from goldseam.api.incident import ENDED, IncidentStatus
from goldseam.engine.closing import may_reopen
from goldseam.engine.cordons import left_cordons
from goldseam.engine.matching import PolicyKey, TargetKey
from goldseam.engine.objects import title
from goldseam.engine.situation import Other, Situation, Spent
from goldseam.engine.turns import in_line, line_of, stuck
from goldseam.engine.views import IncidentView
from goldseam.ports import Json

CROWD = 10
"""More than so many incidents of one policy that wait are a crowd."""


class IncidentBook:
    """Every incident that is not over, as last read or written; `home` is where those about nodes belong."""

    def __init__(self, home: str) -> None:
        self.home = home
        self._views: dict[str, IncidentView] = {}
        self._others: dict[str, tuple[str, Other, Other]] = {}
        """Namespace, and how it matters there and elsewhere; made once for each reading, for every look asks."""
        self._of: dict[PolicyKey, dict[str, None]] = defaultdict(dict)
        self._about: dict[TargetKey, dict[str, None]] = defaultdict(dict)
        self._stuck: dict[str, int] = {}
        """How many pods were last seen stuck on the node of each incident."""
        self.order: Callable[[], tuple[str, ...]] = tuple
        """The uids of those about nodes that wait for their turn, as last seen, in its order. Worked out when it is
        asked for: each look at a node may change it, and those who wait are woken far less often."""
        self.freed: Callable[[IncidentView], None] = lambda _: None
        """Is told when an incident holds others back no more, or less than before."""
        self.went: Callable[[IncidentView], None] = lambda _: None
        """Is told when the turn of an incident that waited in line has come."""

    def put(self, incident: IncidentView) -> None:
        """Take in what was read or written."""
        if incident.over:
            self.drop(incident.uid)
            return
        self._views[incident.uid] = incident
        self._of[incident.policy][incident.uid] = None
        self._about[target_key(incident)][incident.uid] = None
        if at_home(incident, self.home):
            _, before, _ = self._others.get(incident.uid, (None, None, None))
            other = self._shown(incident)
            self._others[incident.uid] = (incident.namespace, other, _elsewhere(other))
            if before is not None and _lets_go(before, other):
                self.freed(incident)
            elif before is not None and before.line is not None and other.line is None:
                self.went(incident)

    def reserve(self, obj: Json) -> None:
        """Take in an Incident of a newer version that cannot be read: nobody else touches its target meanwhile."""
        meta, spec = obj["metadata"], obj.get("spec") or {}
        if meta["uid"] in self._views:
            return
        ref, target = spec.get("policyRef") or {}, str((spec.get("target") or {}).get("uid", ""))
        other = Other(
            name=title(obj),
            uid=meta["uid"],
            opened=datetime.fromisoformat(meta["creationTimestamp"]),
            target_uid=target,
            policy=PolicyKey(ref.get("kind", ""), ref.get("namespace", ""), ref.get("name", "")),
            policy_created=None,
            claims=True,
            busy=True,
            labels={},
            active=True,
            works_on=target,
        )
        self._others[meta["uid"]] = (meta["namespace"], other, _elsewhere(other))

    def _shown(self, incident: IncidentView) -> Other:
        other = _other(incident)
        if other.line is None:
            return other
        return replace(other, line=replace(other.line, stuck=self._stuck.get(incident.uid, 0)))

    def lined_up(self, s: Situation, now: datetime) -> None:
        """A node's incident was looked at: how bad it is, and who comes after whom."""
        incident = self._views.get(s.uid)
        if incident is None or s.spec.target.kind != "Node":
            return
        count = stuck(s.world.pods)
        if self._stuck.get(s.uid) != count:
            self._stuck[s.uid] = count
            self.put(incident)
        self.order = cache(lambda: tuple(one.uid for one in line_of(s, now)))

    def drop(self, uid: str) -> None:
        """Forget an incident that is over, or was deleted."""
        incident = self._views.pop(uid, None)
        if incident is not None:
            known = self._others.pop(uid, None)
            self._stuck.pop(uid, None)
            _taken_out(self._of, incident.policy, uid)
            _taken_out(self._about, target_key(incident), uid)
            if known is not None:
                self.freed(incident)

    def get(self, uid: str) -> IncidentView | None:
        """The incident of that uid."""
        return self._views.get(uid)

    def all(self) -> list[IncidentView]:
        """All that are not over."""
        return list(self._views.values())

    def handling(self, policy: PolicyKey, uid: str, target: TargetKey, now: datetime) -> IncidentView | None:
        """The incident in which the policy of this uid handles the target.

        Also one that is resolved, for as long as the alert would re-open it; after that, as one that is abandoned, it
        only pays.
        """
        for incident in [self._views[known] for known in self._about.get(target, ())]:
            phase = incident.status.phase if incident.status else "Investigating"
            mine = incident.policy == policy and at_home(incident, self.home)
            reopens = incident.spec.policy_ref.uid == uid and may_reopen(incident.status, now)
            if mine and phase != "Abandoned" and (phase != "Resolved" or reopens):
                return incident
        return None

    def of_policy(self, policy: PolicyKey) -> list[IncidentView]:
        """Those of a policy of that name."""
        return [self._views[uid] for uid in self._of.get(policy, ())]

    def crowded(self, policy: PolicyKey) -> bool:
        """Whether so many of that policy wait to be looked at, or for limits, that one more is hardly let through."""
        waiting = (one for one in self.of_policy(policy) if _waits(one))
        return next(islice(waiting, CROWD, None), None) is not None

    def others(self, mine: IncidentView) -> tuple[Other, ...]:
        """All incidents but this one, as far as they matter to it: of its target and debts its own namespace speaks."""
        rest = ((uid, *entry) for uid, entry in self._others.items() if uid != mine.uid)
        return tuple(near if where == mine.namespace else far for _, where, near, far in rest)

    def rivals(self, mine: IncidentView) -> list[IncidentView]:
        """The others of its namespace that are about its target, or may run a CronJob that it may run."""
        near = [other for other in self.all() if other.namespace == mine.namespace and other.uid != mine.uid]
        jobs = _cron_jobs(mine)
        return [
            other
            for other in near
            if other.spec.target.uid == mine.spec.target.uid or (jobs and jobs & _cron_jobs(other))
        ]


def _taken_out(index: dict[Any, dict[str, None]], key: object, uid: str) -> None:
    del index[key][uid]
    if not index[key]:
        del index[key]


def _cron_jobs(incident: IncidentView) -> frozenset[str]:
    """The names of those in its ladder."""
    if incident.status is None or incident.status.policy_snapshot is None:
        return frozenset()
    try:
        return frozenset(rung.job.cron_job for rung in incident.pinned.ladder if rung.job is not None)
    except ValidationError:  # not a snapshot of ours: nothing is done for it
        return frozenset()


def at_home(incident: IncidentView, home: str) -> bool:
    """Whether it is where one of its policy and target belongs: elsewhere it is somebody's claim, not our record."""
    where = incident.namespace
    return where == (incident.spec.target.namespace or home) and incident.policy.namespace in ("", where)


def _lets_go(before: Other, now: Other) -> bool:
    """Whether it is at work, waits for its turn, claims its target, or owes, no more or less than before. One whose
    turn has come takes the room that it waited for: nobody comes nearer to their turn by that."""
    gives = (
        before.line is not None and now.line is None and not now.busy,
        before.busy > now.busy,
        before.takes > now.takes,
        before.claims > now.claims,
        len(before.obligations) > len(now.obligations),
    )
    return any(gives)


def _elsewhere(other: Other) -> Other:
    """Whoever forges an Incident in a namespace neither holds what is in another one, nor takes over its debts. What it
    works on is looked at by those only who ask about that namespace."""
    return replace(other, target_uid="", obligations=(), runs="", takes=False, line=None, left=frozenset())


def target_key(incident: IncidentView) -> TargetKey:
    """The incident's target by name."""
    ref = incident.spec.target
    return TargetKey(ref.kind, ref.namespace, ref.name)


def _other(incident: IncidentView) -> Other:
    status = incident.status
    created = datetime.fromisoformat(incident.created)
    phase = status.phase if status else "Investigating"
    active = phase not in ENDED
    opened = (status.kpis.detected_at if status else None) or created
    return Other(
        name=incident.title,
        uid=incident.uid,
        opened=opened,
        target_uid=incident.spec.target.uid,
        policy=incident.policy,
        policy_created=None,
        claims=active and status is not None and status.mode != "Observe" and not status.handed_over,
        busy=_acts(status),
        labels=incident.spec.alert.labels,
        active=active,
        obligations=tuple(status.open_obligations()) if status else (),
        works_on=incident.spec.target.uid if _acts(status) else "",
        runs=_runs(status),
        takes=incident.spec.target.kind == "Node" and _takes(status),
        line=in_line(status, opened) if incident.spec.target.kind == "Node" else None,
        left=frozenset(o.key for o in left_cordons(status)) if status else frozenset(),
    )


def _waits(incident: IncidentView) -> bool:
    """Whether nobody has looked at it yet, or it waits for limits only."""
    return incident.status is None or in_line(incident.status, datetime.fromisoformat(incident.created)) is not None


def _acts(status: IncidentStatus | None) -> bool:
    """Whether it is at work on the target: a step that only waits, or is only written down in Observe, is not."""
    step = status.open_step() if status is not None and status.mode != "Observe" else None
    return step is not None and bool(step.writes)


def _runs(status: IncidentStatus | None) -> str:
    step = status.open_step() if status is not None and status.mode != "Observe" else None
    created = (w.object.uid for w in step.writes if w.verb == "Create") if step and not step.ran_until else ()
    return next(iter(created), "")


def _takes(status: IncidentStatus | None) -> bool:
    """Whether a rung is open that does more to its node than mark it: it evicts, reboots, or has somebody mend it.
    One that has rebooted and is Ready is back."""
    steps = status.steps if status is not None and status.mode != "Observe" else ()
    under_way = (step for step in steps if step.purpose == "Rung" and step.phase != "Done" and not step.ran_until)
    return any(step.ending or any(write.verb != "Patch" for write in step.writes) for step in under_way)


def spent(incidents: Iterable[IncidentView], home: str) -> Iterator[Spent]:
    """What the incidents' own steps say of the budgets."""
    for incident in incidents:
        target = target_key(incident)
        for step in incident.status.steps if incident.status and at_home(incident, home) else ():
            if step.purpose == "Rung" and step.writes:
                yield Spent(str(incident.policy), str(target), step.intent_at, 1)
