"""Incidents about nodes under one alert of one policy, shown as one group: how many, in work, waiting, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from goldseam.api.guardrails import NodeGroup
from goldseam.api.incident import ENDED, HoldRecord, IncidentStatus
from goldseam.engine.record import cut
from goldseam.engine.turns import IN_TURN, in_line
from goldseam.engine.views import IncidentView

AT_LEAST = 2
"""So many incidents are a group."""
MOST = 16
"""Groups that are shown, the largest first."""
NAMED = 3
"""Nodes, or reasons, that a message names of each sort."""


def groups(incidents: Iterable[IncidentView]) -> list[NodeGroup]:
    """The groups of open incidents about nodes."""
    found: dict[tuple[str, str], list[IncidentView]] = defaultdict(list)
    for incident in incidents:
        if incident.spec.target.kind == "Node" and (incident.status is None or incident.status.phase not in ENDED):
            found[incident.policy.title, incident.alert].append(incident)
    made = [_group(*key, members) for key, members in found.items() if len(members) >= AT_LEAST]
    return sorted(made, key=lambda group: (-group.nodes, group.policy, group.alert))[:MOST]


def _group(policy: str, alert: str, members: list[IncidentView]) -> NodeGroup:
    """One group. The first of a line waits, too: for a node that is in work, or for a budget."""
    ordered = sorted(members, key=lambda i: (_place(i), i.created, i.spec.target.name))
    working: list[IncidentView] = []
    waiting: list[IncidentView] = []
    others: list[IncidentView] = []
    for incident in ordered:
        (working if _in_work(incident.status) else waiting if _waits(incident) else others).append(incident)
    return NodeGroup(
        policy=policy,
        alert=alert,
        nodes=len(members),
        in_work=len(working),
        waiting=len(waiting),
        message=cut(_message(len(members), working, waiting, others)),
    )


def _message(count: int, working: list[IncidentView], waiting: list[IncidentView], others: list[IncidentView]) -> str:
    parts = [f"{len(working)} in work{_names(working)}"]
    if waiting:
        why = next((hold.message for i in waiting for hold in _holds(i)[:1] if hold.reason != IN_TURN), "")
        first = f", the first because {why}" if why else ""
        parts.append(
            f"{len(waiting)} wait for their turn, worst first, zones in turn{_names(waiting, 'next: ')}{first}"
        )
    if others:
        reasons = Counter(_state(i) for i in others).most_common(NAMED)
        parts.append(f"{len(others)} otherwise ({', '.join(f'{reason} {number}' for reason, number in reasons)})")
    return f"{count} nodes: {'; '.join(parts)}"


def _in_work(status: IncidentStatus | None) -> bool:
    """Whether its node is being taken out of service, is out of service for us, or is being brought back. Where only
    people can go on, nothing is in work, though the uncordon is owed."""
    if status is None:
        return False
    step = status.open_step() if status.mode != "Observe" else None
    out = status.phase != "Escalated" and any(o.kind == "Uncordon" for o in status.open_obligations())
    return out or bool(step is not None and step.writes)


def _waits(incident: IncidentView) -> bool:
    status = incident.status
    return bool(_holds(incident)) and status is not None and in_line(status, status.holds[0].since) is not None


def _holds(incident: IncidentView) -> list[HoldRecord]:
    return incident.status.holds if incident.status is not None else []


def _place(incident: IncidentView) -> int:
    """Its place in the line, as it is told; 0 for the first, which is told what holds it, and where it is in none."""
    return next((hold.place for hold in _holds(incident) if hold.place is not None), 0)


def _state(incident: IncidentView) -> str:
    """What holds it, in one word; else where it stands."""
    holds = _holds(incident)
    phase = incident.status.phase if incident.status is not None else "Investigating"
    return holds[0].reason if holds else phase


def _names(incidents: list[IncidentView], before: str = "") -> str:
    names = ", ".join(i.spec.target.name for i in incidents[:NAMED])
    rest = f" and {len(incidents) - NAMED} more" if len(incidents) > NAMED and not before else ""
    return f" ({before}{names}{rest})" if names else ""
