"""`goldseam approve`, `deny`, `ack` and `undo`: each writes one Response, and waits for what becomes of it."""

from __future__ import annotations

from typing import Any

from goldseam.api.base import API_VERSION
from goldseam.api.incident import ApprovalRecord, IncidentStatus
from goldseam.api.response import Decision
from goldseam.cli.session import DONE, FAILED, UNANSWERED, Session
from goldseam.cli.text import clock
from goldseam.engine.naming import digest
from goldseam.engine.views import IncidentView
from goldseam.errors import Invalid
from goldseam.ports import Json
from goldseam.resources import RESPONSES

WAITING = 20.0
"""Seconds that we wait for the operator to say what became of a Response."""
POLL = 0.5


async def approve(session: Session, name: str, *, step: str | None, reason: str, yes: bool) -> int:
    """Say yes to the step that the incident asks for, after showing what it is."""
    incident = await session.incident(name)
    question = _question(incident, step)
    session.say(f"Incident {incident.title} asks, until {clock(question.expires_at)}:", f"  {question.summary}")
    session.say(*(f"  - {line}" for line in question.preflight or ()))
    if not session.confirmed("Approve it?", yes):
        session.say("Nothing was said.")
        return FAILED
    return await _answer(session, incident, "Approve", reason, question)


async def deny(session: Session, name: str, *, step: str | None, reason: str) -> int:
    """Say no to the step that the incident asks for."""
    incident = await session.incident(name)
    question = _question(incident, step)
    session.say(f"Not to be done: {question.summary}")
    return await _answer(session, incident, "Deny", reason, question)


async def acknowledge(session: Session, name: str, *, reason: str) -> int:
    """Say that people have seen it."""
    return await _answer(session, await session.incident(name), "Acknowledge", reason)


async def undo(session: Session, name: str, *, reason: str, yes: bool) -> int:
    """Take over: nothing more is tried, and what was changed is put back."""
    incident = await session.incident(name)
    owed = (incident.status or IncidentStatus()).open_obligations()
    session.say(f"Incident {incident.title}: nothing more will be tried, and as soon as the alert is gone")
    session.say(*(f"  {o.object}: {o.field} goes from {o.want} back to {o.original}" for o in owed))
    if not owed:
        session.say("  nothing has to be put back")
    if not session.confirmed("Take over?", yes):
        session.say("Nothing was said.")
        return FAILED
    return await _answer(session, incident, "Undo", reason)


def _question(incident: IncidentView, step: str | None) -> ApprovalRecord:
    asked = (incident.status or IncidentStatus()).approvals
    waiting = [a for a in asked if a.state == "Waiting" and step in (None, a.step)]
    if waiting:
        return waiting[-1]
    last = asked[-1] if asked else None
    by = f" by {last.by}" if last and last.by else ""
    what = f": {last.step} is {last.state.lower()}{by}" if last else ""
    raise Invalid(f"Incident {incident.title} asks nothing{f' about {step}' if step else ''} now{what}")


async def _answer(
    session: Session, incident: IncidentView, decision: Decision, reason: str, question: ApprovalRecord | None = None
) -> int:
    me = await session.whoami()
    spec: dict[str, Any] = {
        "incidentRef": {"name": incident.name, "uid": incident.uid},
        "decision": decision,
        "by": me,
    }
    spec |= {"reason": reason} if reason else {}
    spec |= {"step": question.step, "planHash": question.plan_hash} if question else {}
    name = f"{incident.name[:200]}-{decision.lower()}-{digest(me, session.now().isoformat(), size=8)}"
    body = {
        "apiVersion": API_VERSION,
        "kind": "Response",
        "metadata": {"name": name, "namespace": incident.namespace},
        "spec": spec,
    }
    await session.cluster.create(RESPONSES, incident.namespace, body)
    return await _outcome(session, incident, name, f"{me}: {decision}")


async def _outcome(session: Session, incident: IncidentView, name: str, said: str) -> int:
    for _ in range(int(WAITING / POLL)):
        response: Json = await session.cluster.get(RESPONSES, incident.namespace, name)
        status = response.get("status") or {}
        if status.get("state"):
            session.say(f"{said}: {str(status['state']).lower()}: {status.get('message', '')}")
            return DONE if status["state"] == "Counted" else FAILED
        await session.sleep(POLL)
    session.say(
        f"{said}: sent, and Goldseam has not answered within {WAITING:g} s. It counts when Goldseam reads it:",
        f"  kubectl get response {name} -n {incident.namespace}",
    )
    return UNANSWERED
