"""`goldseam incidents` and `goldseam show`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from goldseam.api.findings import Evidence
from goldseam.api.incident import Escalation, IncidentStatus, Step
from goldseam.api.ladder import Rung
from goldseam.cli.session import DONE, OPERATOR_NAMESPACE, Session, is_open
from goldseam.cli.text import ago, clock, span, table
from goldseam.engine.changes import words
from goldseam.engine.groups import groups
from goldseam.engine.undoing import by_hand, not_accepted
from goldseam.engine.views import IncidentView
from goldseam.errors import Forbidden

LISTED = 3
"""Nodes up to this place in their line are listed; those behind are counted."""
_LADDER = TypeAdapter(list[Rung])


async def incidents(session: Session, *, every: bool) -> int:
    """List incidents: those that go on or owe something, or all."""
    await _listed(session, every=every)
    for line in await _of_nodes(session, every=every):
        session.say(line)
    return DONE


async def _of_nodes(session: Session, *, every: bool) -> list[str]:
    """Where those about nodes are, which live elsewhere. Who may not look there has nothing to do with them."""
    if session.namespace in ("", OPERATOR_NAMESPACE):
        return []
    try:
        known = await session.incidents(OPERATOR_NAMESPACE)
    except Forbidden:
        return []
    count = sum(i.spec.target.kind == "Node" and (every or is_open(i)) for i in known)
    if not count:
        return []
    those = "1 incident about a node is" if count == 1 else f"{count} incidents about nodes are"
    command = f"goldseam incidents{' --all' * every} -n {OPERATOR_NAMESPACE}"
    return ["", f"{those} in {OPERATOR_NAMESPACE}: {command}"]


async def _listed(session: Session, *, every: bool) -> None:
    known = await session.incidents(session.namespace)
    shown = [i for i in known if every or is_open(i)]
    where = f"namespace {session.namespace}" if session.namespace else "any namespace"
    if not shown:
        rest = f" ({len(known)} are over: --all)" if known else ""
        session.say(f"No open incident in {where}{rest}.")
        return
    now = session.now()
    head = ("NAMESPACE", "NAME", "PHASE", "TARGET", "ALERT", "STATE", "OWES", "AGE", "MESSAGE")
    behind = [] if every else [i for i in shown if _place(i) > LISTED]
    listed = [i for i in shown if i not in behind]
    for line in table(head, (_row(i, now) for i in sorted(listed, key=lambda i: (_urgency(i), _place(i))))):
        session.say(line)
    for line in _groups(shown, len(behind)):
        session.say(line)
    waiting = [i for i in shown if i.status and i.status.phase == "AwaitingApproval"]
    if waiting:
        those = "1 incident waits" if len(waiting) == 1 else f"{len(waiting)} incidents wait"
        session.say("", f"{those} for an answer: goldseam show NAME, then approve or deny.")


def _groups(shown: list[IncidentView], behind: int) -> Iterator[str]:
    """Nodes that are in trouble together, each group in a line."""
    found = groups(shown)
    if found:
        yield ""
    yield from (f"{group.alert}, {group.policy}: {group.message}" for group in found)
    if behind:
        yield f"{behind} that wait further back are not listed: --all"


def _place(incident: IncidentView) -> int:
    """Its place in the line of nodes, as it is told; 0 where it waits in none."""
    holds = incident.status.holds if incident.status else []
    return next((hold.place for hold in holds if hold.place is not None), 0)


def _urgency(incident: IncidentView) -> int:
    """People first: what waits for an answer, then what they have, then the rest; newest first in each."""
    phase = incident.status.phase if incident.status else ""
    return {"AwaitingApproval": 0, "Escalated": 1}.get(phase, 2)


def _row(incident: IncidentView, now: datetime) -> tuple[str, ...]:
    status, spec = incident.status or IncidentStatus(), incident.spec
    state = status.verdict.state if status.verdict else "Unknown"
    created = datetime.fromisoformat(incident.created)
    about = (incident.namespace, incident.name, status.phase, f"{spec.target.kind}/{spec.target.name}")
    return (*about, spec.alert.name, state, str(status.owes), ago(created, now), status.message)


async def show(session: Session, name: str) -> int:
    """Print all that one incident holds: what was seen, tried, held back, owed, said."""
    incident = await session.incident(name)
    now = session.now()
    for line in _shown(incident, now):
        session.say(line)
    return DONE


def _shown(incident: IncidentView, now: datetime) -> Iterator[str]:
    status = incident.status or IncidentStatus()
    yield from _head(incident, status, now)
    yield from _block("Changed", (words(change, incident.spec.alert.active_at) for change in status.changes or ()))
    yield from _block("Evidence", (line for one in status.evidence or () for line in _evidence(one)))
    yield from _block("Ladder", _ladder(status, now))
    yield from _block("Waits for an answer", _questions(incident, status, now))
    yield from _block("Held back by", _holds(status, now))
    yield from _block("Owed", _owed(status, now))
    yield from _block("People", _people(status, now))
    yield from _block("What happened", _timeline(status))


def _block(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield ""
        yield f"{title}:"
        yield from (f"  {line}" for line in found)


def _head(incident: IncidentView, status: IncidentStatus, now: datetime) -> Iterator[str]:
    spec, ref, verdict = incident.spec, incident.spec.policy_ref, status.verdict
    created = datetime.fromisoformat(incident.created)
    state = f"{verdict.state} for {ago(verdict.since, now)}{'' if verdict.fresh else ', not fresh'}" if verdict else "?"
    severity = f", severity {spec.alert.severity}" if spec.alert.severity else ""
    policy = f"{ref.kind} {ref.namespace}/{ref.name}" if ref.namespace else f"{ref.kind} {ref.name}"
    back = f", opened again {status.reopened} times" if status.reopened else ""
    yield f"Incident  {incident.title}"
    yield f"Phase     {status.phase}: {status.message}"
    yield f"Alert     {spec.alert.name}{severity}: {state}"
    yield f"Target    {spec.target}"
    yield f"Policy    {policy}, mode {status.mode}"
    yield f"Opened    {clock(created)}, {ago(created, now)} ago{back}"
    if verdict and verdict.message:
        yield f"Source    {verdict.message}"


def rungs(status: IncidentStatus) -> list[Rung]:
    """The ladder as it was pinned; empty where it cannot be read."""
    spec = status.policy_snapshot.spec if status.policy_snapshot else {}
    try:
        return _LADDER.validate_python(spec.get("ladder") or [])
    except ValidationError:
        return []


def _evidence(one: Evidence) -> Iterator[str]:
    yield f"{one.at:%H:%M:%S}  {one.about}: {one.text}"
    yield from (f"          | {line}" for line in (one.log or "").splitlines())


def _ladder(status: IncidentStatus, now: datetime) -> Iterator[str]:
    for number, rung in enumerate(rungs(status)):
        mark = ">" if number == status.rung and status.phase in ("Investigating", "AwaitingApproval", "Fixing") else " "
        yield f"{mark} {number + 1}. {rung.title}"
        for step in status.steps:
            if step.rung == number and step.purpose == "Rung":
                yield f"       {_step(step, now)}"
                yield from (f"         - {line}" for line in step.preflight or ())
                yield from (f"         | {line}" for line in (step.evidence or "").splitlines())
    for step in status.steps:
        if step.purpose == "Undo":
            yield f"  undo: {_step(step, now)}"


def _step(step: Step, now: datetime) -> str:
    state = step.outcome or {"Intended": "under way", "Acted": "carried out, being verified"}.get(
        step.phase, step.phase
    )
    again = f", attempt {step.attempt}" if step.attempt > 1 else ""
    stuck = [w for w in step.writes if w.state == "Pending" and w.message]
    held = f" ({_writes(len(stuck))}: {stuck[0].message})" if stuck and step.outcome is None else ""
    return f"{state}{again}, {ago(step.ended_at or step.intent_at, now)} ago: {step.message}{held}"


def _writes(count: int) -> str:
    return "1 write waits" if count == 1 else f"{count} writes wait"


def _questions(incident: IncidentView, status: IncidentStatus, now: datetime) -> Iterator[str]:
    for question in status.approvals:
        if question.state == "Waiting":
            left = span(max(question.expires_at - now, timedelta(0)))
            yield f"{question.step}, {left} left: {question.summary}"
            yield from (f"  - {line}" for line in question.preflight or ())
            yield f"  goldseam approve {incident.name} -n {incident.namespace}"
            yield f"  goldseam deny {incident.name} -n {incident.namespace} --reason ..."


def _holds(status: IncidentStatus, now: datetime) -> Iterator[str]:
    for hold in status.holds:
        yield f"{hold.guard}: {hold.reason} for {ago(hold.since, now)}: {hold.message}"
    if status.holds:
        yield "(goldseam explain says what to do about it)"


def _owed(status: IncidentStatus, now: datetime) -> Iterator[str]:
    for debt in status.obligations:
        due = f", due {'now' if debt.due_at <= now else 'in ' + span(debt.due_at - now)}" if debt.due_at else ""
        what = f"{debt.kind} {debt.object}"
        what += f": {debt.field} from {debt.want} back to {debt.original}" if debt.field else ""
        yield f"{debt.state}{due}: {what}{f': {debt.message}' if debt.message else ''}"
    if said := not_accepted(status):
        yield said
        yield from (f"  {command}" for command in [by_hand(status)] if command)


def _people(status: IncidentStatus, now: datetime) -> Iterator[str]:
    for call in status.escalations:
        problem = f" ({call.problem})" if call.problem else ""
        yield f"{call.level or call.contact or 'people'} {_told(call, now)}{problem}: {call.message}"
        if call.runbook_line:
            yield f"  runbook: {call.runbook_line}"
    for word in status.responses:
        yield f"{word.by}: {word.decision}, {ago(word.at, now)} ago{f': {word.reason}' if word.reason else ''}"


def _told(call: Escalation, now: datetime) -> str:
    if call.notified is None:
        return "not told yet"
    return f"{'NOT told' if call.reached_nobody else 'told'} {ago(call.notified, now)} ago"


def _timeline(status: IncidentStatus) -> Iterator[str]:
    if status.timeline_folded:
        yield f"({status.timeline_folded} older entries are gone)"
    for entry in status.timeline:
        yield f"{entry.at:%m-%d %H:%M:%S}  {entry.kind}: {entry.message}"
