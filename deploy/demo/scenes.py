"""The four scenes: what is broken, and how each must end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Json = dict[str, Any]
HERE = Path(__file__).resolve().parent
NODE_FAILURE = "4-node-failure"
Rung = tuple[str, str]
"""An action, and its outcome."""


@dataclass
class Scene:
    """One scene, and what has been seen of it."""

    folder: str
    title: str
    alert: str
    policy: str
    namespace: str
    ends: Callable[[Json], str]
    """Given the incident's status: empty while it is not over, else `healed` or `handed over`, or what went wrong."""
    expected: str
    incident: Json = field(default_factory=dict)
    alert_state: str = "inactive"
    fired_at: datetime | None = None
    result: str = ""
    ended: float | None = None

    @property
    def home(self) -> Path:
        """Its files."""
        return HERE / "scenes" / self.folder

    @property
    def status(self) -> Json:
        """The incident's status."""
        found: Json = self.incident.get("status") or {}
        return found

    def see(self, incident: Json, alert_state: str) -> None:
        """Take in what was read."""
        self.incident, self.alert_state = incident or self.incident, alert_state
        if self.incident and self.fired_at is None:
            self.fired_at = moment(self.incident["spec"]["alert"]["activeAt"])
        if not self.result:
            self.result = self.ends(self.status)
            self.ended = time.monotonic() if self.result else None

    @property
    def rungs(self) -> str:
        """What was tried, and what it came to."""
        return ", ".join(f"{action} ({outcome or '…'})" for action, outcome in tried(self.status))

    def seconds_to(self, key: str) -> str:
        """From the alert's `activeAt` to one of the incident's times."""
        at = self.status.get("kpis", {}).get(key)
        return f"{(moment(at) - self.fired_at).total_seconds():.1f} s" if at and self.fired_at else "–"


def moment(text: str) -> datetime:
    """A time of the API server's."""
    return datetime.fromisoformat(text).astimezone(UTC)


def tried(status: Json) -> list[Rung]:
    """The rungs in the order in which they were tried; the outcome is empty while it is not known."""
    steps = [step for step in status.get("steps", []) if step.get("purpose") != "Undo"]
    return [(step["action"], step.get("outcome") or "") for step in steps]


def healed_by(*rungs: Rung) -> Callable[[Json], str]:
    """Over when it is resolved by exactly these rungs, and what they changed was put back."""

    def ends(status: Json) -> str:
        if status.get("phase") in ("Escalated", "Abandoned"):
            return f"ended as {status['phase']}: {status.get('message', '')}"
        if status.get("phase") != "Resolved" or status.get("owes"):
            return ""
        if tried(status) != list(rungs):
            return f"resolved by {tried(status)}, not by {list(rungs)}"
        kept = [debt for debt in status.get("obligations", []) if debt["state"] != "Paid"]
        if kept or not status.get("obligations"):
            return f"not put back: {[debt.get('message', '') for debt in kept] or 'nothing was ever owed'}"
        return "healed"

    return ends


def handed_over(told: Callable[[], bool], *rungs: Rung) -> Callable[[Json], str]:
    """Over when it is escalated after exactly these rungs, and the message with the runbook's line has arrived."""

    def ends(status: Json) -> str:
        if status.get("phase") in ("Resolved", "Abandoned"):
            return f"ended as {status['phase']}, though nothing can fix it"
        if status.get("phase") != "Escalated" or not told():
            return ""
        return "handed over" if tried(status) == list(rungs) else f"handed over after {tried(status)}"

    return ends


def scenes(told: Callable[[], bool]) -> list[Scene]:
    """All four; `told` says whether the on-call engineer has got the message with the runbook's line."""
    dev, system = "aurum-dev", "goldseam-system"
    return [
        Scene(
            "1-worker-backlog", "Worker backlog", "AurumScenarioWorkerBacklog", "worker-backlog", dev,
            healed_by(("scale", "Passed")), "healed",
        ),
        Scene(
            "2-api-errors", "API errors", "AurumApiHighErrorRate", "api-errors", dev,
            healed_by(("scale", "Failed"), ("restart", "Passed")), "healed",
        ),
        Scene(
            "3-database", "A fault nothing fixes", "AurumDatabaseConnectionErrors", "database-connections", dev,
            handed_over(told, ("wait", "Failed"), ("restart", "Refused")), "handed over",
        ),
        Scene(
            NODE_FAILURE, "Node failure", "NodeNotReady", "node-failure", system,
            healed_by(("drain", "Passed")), "healed",
        ),
    ]  # fmt: skip
