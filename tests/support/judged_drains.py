"""What a drain must never do, and by when it must be over: judged from the outside, write by write and round by round.

Nothing of the operator's own is asked what is allowed, or how long: only what the cluster shows, and what the documents
say ([the end](../../docs/actions/drain-ends.md)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from goldseam.engine.objects import TOKEN, ZONE, annotation, cordoned, is_ready, metadata
from tests.support.toypods import ToyPods

Json = dict[str, Any]

ENDED = ("Resolved", "Escalated", "Abandoned")
TIMEOUT, SETTLE = timedelta(seconds=60), timedelta(seconds=5)
"""Of the policy."""
ITS_TIME = timedelta(seconds=60)
"""What a pod that is deleted has: the 30 s that it asks for where it says nothing, and 30 s for its kubelet to tell."""
SOON = timedelta(seconds=12)
"""Until what has come about is seen and followed: a look comes after 5 s at the latest, and acts at the next one."""
SECOND = timedelta(seconds=1)
"""To which times are written down."""
REARM = timedelta(minutes=5)
MANY, ACTIONS = 3, 3
"""Nodes that are not ready at which the breaker trips; actions of a policy in an hour."""
CAPS = {"NodesAtOnce", "NodesPerZone", "PolicyBudget"}


@dataclass
class Drain:
    """One drain, as the cluster has shown it."""

    incident: str
    node: str
    frozen: frozenset[str]
    """The uids of the pods that it was to evict when it was written down."""
    cordons: bool
    free: datetime
    """Up to when something that is documented held it, or nobody was there to go on with it."""
    written: datetime
    """When it was written down."""
    begun: datetime | None = None
    """Its first write."""
    forced: datetime | None = None
    """When it was written down that what is left is deleted."""
    deletes: bool = False
    ended: datetime | None = None
    left: bool = False
    """Whether pods that it was to evict were on the node still when it ended."""
    late: bool = False
    by_deadline: bool = False
    """Whether it ended by its deadline."""


@dataclass
class Judge:
    """Sees all that is written, and how the time goes by."""

    toy: ToyPods
    at_once: int
    per_zone: int
    deadline: timedelta = TIMEOUT
    at_deadline: str = "Uncordon"
    opted_in: bool = False
    control_plane: frozenset[str] = frozenset()
    away: bool = False
    """Whether no operator runs."""
    wrong: list[str] = field(default_factory=list)
    """What was done that must never be."""
    late: list[str] = field(default_factory=list)
    """What was not over in time."""
    drains: dict[str, Drain] = field(default_factory=dict)
    """By the step's token."""
    _sick_at: datetime | None = None
    """When so many nodes were not ready that the breaker trips, at last."""
    _taken: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())

    @property
    def now(self) -> datetime:
        """The time."""
        return self.toy.now

    def about_to(self, verb: str, key: tuple[str, str, str], body: Json) -> Drain | None:
        """The operator makes a write: what speaks against it at this moment is noted. The drain of which it is."""
        self._taken = frozenset(self.toy.ours()), frozenset(self.toy.drained())
        if key[0] not in ("nodes", "deployments", "pods"):
            return None
        drain = self._drain_of(verb, body)
        against = self._against_other(key) if drain is None else self._against(verb, key[0], drain)
        self.wrong += [self._said(f"{verb} {'/'.join(key)}: {why}") for why in against]
        return drain

    def made(self, verb: str, drain: Drain | None) -> None:
        """That write has taken effect."""
        if drain is not None:
            drain.begun = drain.begun or self.now
            drain.deletes |= verb == "delete"

    def written(self, plural: str) -> None:
        """After any write, be it that the operator died of it."""
        if plural == "incidents":
            self._note()
        ours, drained = self.toy.ours(), self.toy.drained()
        nodes = [self._node(name) for name in self.control_plane]
        for name in ((ours - self._taken[0]) | (drained - self._taken[1])) & self.control_plane:
            others = [one for one in nodes if metadata(one)["name"] != name]
            gone = any(cordoned(one) or not is_ready(one) or metadata(one)["name"] in drained for one in others)
            if not self.opted_in or gone:
                self.wrong.append(self._said(f"{name} of the control plane is taken out of service"))

    def _said(self, what: str) -> str:
        return f"{self.now:%H:%M:%S} {what}"

    def _node(self, name: str) -> Json:
        return self.toy.h.cluster.objects["nodes", "", name]

    def _drain_of(self, verb: str, body: Json) -> Drain | None:
        for token, drain in self.drains.items():
            named = body.get("uid") in drain.frozen if verb in ("evict", "delete") else annotation(body, TOKEN) == token
            if named and drain.ended is None:
                return drain
        return None

    def _against_other(self, key: tuple[str, str, str]) -> Iterator[str]:
        if key[0] != "nodes":
            yield "of no drain that is written down"
            return
        last = next((one for one in reversed(self.drains.values()) if one.node == key[2] and one.begun), None)
        if key[2] not in self.toy.ours():
            yield "it is not ours"
        if self.at_deadline == "LeaveCordoned" and last is not None and last.by_deadline:
            yield "the policy says that it stays cordoned"

    def _against(self, verb: str, plural: str, drain: Drain) -> Iterator[str]:
        cluster = self.toy.h.cluster
        if any(cluster.all("pauses")):
            yield "while everything is paused"
        if cluster.unreadable:
            yield "though something could not be read"
        if plural != "nodes" and not cordoned(self._node(drain.node)):
            yield f"{drain.node} is not cordoned"
        elif plural != "nodes" and drain.cordons and drain.node not in self.toy.ours():
            yield f"somebody has taken {drain.node}"
        if verb == "delete":
            yield from self._against_force(drain)

    def _against_force(self, drain: Drain) -> Iterator[str]:
        guardrails = self.toy.h.cluster.objects["guardrails", "", "cluster"]["spec"]
        if self.at_deadline != "Force":
            yield "the policy does not say so"
        if not any(fnmatchcase(drain.node, name) for name in guardrails["allowForcedDrain"]):
            yield f"the Guardrails do not allow it on {drain.node}"
        if self._early(drain):
            yield "before the deadline of the drain"
        if not drain.deletes and self.toy.h.alert_state != "Firing":
            yield "the alert is gone"

    def _early(self, drain: Drain) -> bool:
        """Whether its deadline has not passed yet. Where others have cordoned the node, a budget may have refused its
        first evictions: that they were tried nobody sees, and it counts."""
        since = drain.begun if drain.cordons else drain.begun and drain.written
        return since is None or self.now + SECOND < since + self.deadline

    def _steps(self) -> Iterator[tuple[Json, Json]]:
        """Every drain's step, with its incident."""
        for incident in self.toy.h.cluster.all("incidents"):
            for step in (incident.get("status") or {}).get("steps") or ():
                if step["action"] == "drain" and step["purpose"] == "Rung":
                    yield incident, step

    def _note(self) -> None:
        for incident, step in self._steps():
            writes = step.get("writes") or []
            if (drain := self.drains.get(step["token"])) is None:
                frozen = frozenset(write["object"]["uid"] for write in writes if write["verb"] == "Evict")
                cordons = any(write.get("field") == "spec.unschedulable" for write in writes)
                name, node = incident["metadata"]["name"], incident["spec"]["target"]["name"]
                drain = self.drains[step["token"]] = Drain(name, node, frozen, cordons, self.now, self.now)
            if not writes and step["phase"] != "Done":  # it only waits for pods that end by themselves
                drain.begun = drain.begun or self.now
            if any(write["verb"] == "Delete" for write in writes):
                drain.forced = drain.forced or self.now
            if step["phase"] == "Done" and drain.ended is None:
                drain.ended, drain.left = self.now, self._left(drain)
                drain.by_deadline = step["outcome"] == "Failed" and step.get("message", "").startswith("its deadline")
                if drain.by_deadline and self._early(drain):
                    self.wrong.append(self._said(f"{step['id']} of {drain.node} is given up before its deadline"))

    def _left(self, drain: Drain) -> bool:
        here = (pod for pod in self.toy.pods() if pod["spec"].get("nodeName") == drain.node)
        return any(metadata(pod)["uid"] in drain.frozen for pod in here)

    def round(self) -> None:
        """Time has passed: what should have been over by now."""
        if sum(not is_ready(node) for node in self.toy.h.cluster.all("nodes")) >= MANY:
            self._sick_at = self.now
        for incident, step in self._steps():
            drain = self.drains[step["token"]]
            if self.away or self._held(incident, drain):
                drain.free = self.now
            elif self.now > max(self._until(incident, drain), drain.free) + SOON:
                self.late += [] if drain.late else [self._said(f"{step['id']} of {drain.node}: {drain}")]
                drain.late = True

    def _held(self, incident: Json, drain: Drain) -> bool:
        """Whether something that is documented holds a drain: once it is begun, only that something is not known."""
        reasons = {hold["reason"] for hold in incident["status"].get("holds") or ()}
        if drain.begun is not None:
            reasons &= {"NotRead"}
        return any(self.is_there(reason, drain.node) for reason in reasons)

    def _until(self, incident: Json, drain: Drain) -> datetime:
        """When it is over at the latest, and its node given back where it was not emptied."""
        if drain.ended is not None:
            return drain.ended if drain.begun and drain.left and self._kept(incident, drain) else self.now
        if drain.begun is None:
            return drain.free + TIMEOUT
        if drain.forced is not None:
            ends = drain.forced + ITS_TIME
            return ends if self._left(drain) else max(ends + TIMEOUT - self.deadline, drain.free) + SETTLE
        if self._left(drain):
            return drain.begun + self.deadline
        return max(drain.begun + TIMEOUT, drain.free) + SETTLE

    def _kept(self, incident: Json, drain: Drain) -> bool:
        """Whether its node is cordoned by us, and that is owed still."""
        owed = incident["status"].get("obligations") or ()
        open_ones = {one["object"]["name"] for one in owed if one["state"] == "Open"}
        return drain.node in open_ones & self.toy.ours()

    def explains(self, incident: Json) -> bool:
        """Whether the incident is over, or what it says that it waits for is there."""
        status = incident["status"]
        holds = status.get("holds") or ()
        node = incident["spec"]["target"]["name"]
        return status["phase"] in ENDED or (bool(holds) and self.is_there(holds[0]["reason"], node))

    def emptied(self, node: str) -> bool:
        """Whether the last drain of the node that was begun has left nothing on it, or goes on still: it has time."""
        mine = [drain for drain in self.drains.values() if drain.node == node and drain.begun is not None]
        return bool(mine) and not (mine[-1].ended and mine[-1].left)

    def is_there(self, reason: str, node: str) -> bool:
        """Whether what the reason of a hold speaks of is there."""
        cluster = self.toy.h.cluster
        taken = (self.toy.ours() | self.toy.drained()) - {node}
        asked: Mapping[str, Callable[[], bool]] = {
            "Paused": lambda: any(cluster.all("pauses")),
            "NotRead": lambda: bool(cluster.unreadable),
            "NodesAtOnce": lambda: len(taken) >= self.at_once or self._none_beside(node, taken),
            "NodesPerZone": lambda: len([one for one in taken if self._zone(one) == self._zone(node)]) >= self.per_zone,
            "NodesInTurn": partial(self._others_wait, node),
            "PolicyBudget": lambda: sum(one.cordons or bool(one.frozen) for one in self.drains.values()) >= ACTIONS,
            "BreakerTripped": lambda: self._sick_at is not None and self.now <= self._sick_at + REARM + SOON,
        }
        return reason in asked and asked[reason]()

    def _zone(self, name: str) -> object:
        return metadata(self._node(name))["labels"][ZONE]

    def _none_beside(self, node: str, taken: set[str]) -> bool:
        """Whether it must not go beside one of those, though there is room: of the control plane one goes at once; and
        one that is about to be cordoned may be the last one beside it."""
        rivals = taken & self.control_plane if node in self.control_plane else set()
        return bool(rivals) or any(not cordoned(self._node(one)) for one in taken)

    def _others_wait(self, node: str) -> bool:
        """Whether a cap holds another one, which is the first of the line."""
        for one in self.toy.h.cluster.all("incidents"):
            other, status = one["spec"]["target"]["name"], one["status"]
            reasons = {hold["reason"] for hold in status.get("holds") or ()} & CAPS
            if other != node and status["phase"] not in ENDED and any(self.is_there(why, other) for why in reasons):
                return True
        return False
