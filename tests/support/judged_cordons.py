"""Whether what is written to a node that several incidents have taken out of service is what people were promised.

It goes by the writes, and by what each Incident had said by then; not by what the operator makes of that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from goldseam.api.incident import ENDED, IncidentStatus, Obligation
from goldseam.engine.objects import INCIDENT
from tests.support.harness import Harness
from tests.support.toycluster import Killed

Json = dict[str, Any]

N1 = ("nodes", "", "n1")
LEFT = " stays cordoned (atDeadline: LeaveCordoned): `kubectl uncordon n1`"


class Mortal(Protocol):
    """What the operator's life is known by."""

    away: bool

    def die(self) -> None: ...


class Judge:
    """Sees each write of the operator as it is made."""

    def __init__(self, h: Harness, operator: Mortal) -> None:
        self.h, self.cluster, self.operator = h, h.cluster, operator
        self.wrong: list[str] = []
        self.banned: dict[str, int] = {}
        """The incidents whose cordon a person has taken away, and how often each was reopened by then."""
        self.fresh()
        self._write, self.cluster._write = self.cluster._write, self.judged  # type: ignore[method-assign]

    def fresh(self) -> None:
        """A node that nobody has touched."""
        self.by, self.left, self.since = "", False, self.h.clock.now()
        self._known = self._all_left()

    @staticmethod
    def status_of(incident: Json) -> IncidentStatus | None:
        """None before it was first looked at."""
        return IncidentStatus.model_validate(incident["status"]) if incident.get("status") else None

    def incidents(self) -> list[tuple[str, IncidentStatus]]:
        found = [(obj["metadata"], self.status_of(obj)) for obj in self.cluster.all("incidents")]
        return [(f"{meta['namespace']}/{meta['name']}", status) for meta, status in found if status is not None]

    def _uncordons(self, status: IncidentStatus) -> list[Obligation]:
        uid = self.cluster.objects[N1]["metadata"]["uid"]
        return [o for o in status.obligations if o.kind == "Uncordon" and o.object.uid == uid]

    def _all_left(self) -> set[tuple[str, int]]:
        return {
            (name, place)
            for name, status in self.incidents()
            for place, o in enumerate(status.obligations)
            if o.state == "Void" and LEFT in o.message
        }

    def judged(self, verb: str, key: tuple[str, str, str], body: Json, effect: Callable[[], Json]) -> Json:
        if self.operator.away:
            raise Killed  # what was at work beside the one that died is dead, too

        def made() -> Json:
            if key == N1 and "unschedulable" in body.get("spec", {}):
                by = body["metadata"]["annotations"][INCIDENT]
                (self._cordons if body["spec"]["unschedulable"] else self._uncordoned)(by)
            result = effect()
            if key[0] == "incidents" and (left := self._all_left()) != self._known:
                self.left, self._known = self.left or (self.by == "us" and bool(left - self._known)), left
            return result

        try:
            return self._write(verb, key, body, made)
        except Killed:
            self.operator.die()
            raise

    def _cordons(self, who: str) -> None:
        if self.by:
            self.wrong.append(f"{who} cordons what is cordoned, by {self.by}")
        status = dict(self.incidents())[who]
        if self.banned.get(who) == status.reopened:
            self.wrong.append(f"{who} cordons again what a person has uncordoned")
        self.by, self.left, self.since = "us", False, self.h.clock.now()

    def _uncordoned(self, who: str) -> None:
        step = dict(self.incidents())[who].open_step()
        if self.by != "us":
            self.wrong.append(f"{who} uncordons what is cordoned by {self.by or 'nobody'}")
        if self.left and (step is None or step.action != "uncordon"):
            self.wrong.append(f"{who} uncordons what was left for people")
        self.wrong += [f"{who} uncordons for {o}" for o, status in self.incidents() if o != who and self._needs(status)]
        self.by, self.left = "", False

    def _needs(self, status: IncidentStatus) -> bool:
        """Whether the alert fires of an incident that owes this cordon, too; or empties the node, or has emptied it for
        what comes next, whatever it owes. That a pod has gone by itself is not its work; and who says that the node may
        be uncordoned has done with it."""
        if status.phase in ENDED:
            return False
        uncordons = self._uncordons(status)
        if any(o.state == "Open" and o.due_at is None for o in uncordons):
            return True
        if status.handed_over or any(o.state == "Lost" for o in uncordons):  # people have it
            return False
        lately = [step for step in status.steps if step.purpose == "Rung" and step.intent_at >= self.since]
        enough = max((at for at, step in enumerate(lately) if step.action == "uncordon"), default=-1)
        emptying = [step for step in lately[enough + 1 :] if step.action in ("drain", "reboot")]
        done = [step for step in emptying if any(write.state == "Done" for write in step.writes[:1])]
        return any(step.phase != "Done" or step.outcome == "WentOn" for step in done)

    def taken_by_a_person(self) -> None:
        for name, status in self.incidents() if self.by == "us" else ():
            if any(o.state == "Open" and o.due_at is None for o in self._uncordons(status)):
                self.banned[name] = status.reopened
        self.by, self.left = "", False

    def at_rest(self) -> None:
        """No cordon of ours that nobody owes."""
        if self.by != "us" or self.left or self.operator.away:
            return
        for _, status in self.incidents():
            step = status.open_step()
            plans = step is not None and any(write.field == "spec.unschedulable" for write in step.writes)
            if plans or any(o.state == "Open" for o in self._uncordons(status)):
                return
        told = "nobody owes the cordon"
        if told not in self.wrong:
            self.wrong.append(told)
