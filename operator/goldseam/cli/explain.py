"""`goldseam explain`: why something is done, or is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from goldseam.api.conditions import Condition
from goldseam.api.incident import HoldRecord, IncidentStatus
from goldseam.cli.session import DONE, Session, is_open, same_target
from goldseam.cli.text import ago, span
from goldseam.engine.changes import words
from goldseam.engine.guards.hold import Guard
from goldseam.engine.guards.order import BEFORE_ACTING, not_asked
from goldseam.engine.matching import PolicyKey
from goldseam.engine.objects import condition_of
from goldseam.engine.reasons.conditions import CONDITIONS
from goldseam.engine.reasons.holds import HOLDS
from goldseam.engine.reasons.places import GUARD_OF, sentence, title
from goldseam.engine.reasons.refusals import REFUSALS
from goldseam.engine.turns import far_back
from goldseam.engine.views import IncidentView
from goldseam.errors import Invalid, NotFound
from goldseam.resources import OURS

ASKED = ("Investigating", "AwaitingApproval", "Fixing")
"""In these phases a step may come next, and the guards are asked."""
POLICIES = {
    **dict.fromkeys(("policy", "remediationpolicy", "remediationpolicies", "rempol"), "RemediationPolicy"),
    **dict.fromkeys(("clusterpolicy", "clusterremediationpolicy"), "ClusterRemediationPolicy"),
}


async def explain(session: Session, name: str) -> int:
    """Explain an incident, a policy (`policy/NAME`), or a target (`deployment/NAME`)."""
    kind, _, rest = name.partition("/")
    if rest and kind.lower() in POLICIES:
        await _policy(session, POLICIES[kind.lower()], rest)
    elif rest and not [i for i in await session.incidents(session.namespace) if same_target(i, kind, rest)]:
        await _nothing(session, kind, rest)
    else:
        incident = await session.incident(name)
        for line in _incident(incident, incident.status or IncidentStatus(), session.now()):
            session.say(line)
    return DONE


def _incident(incident: IncidentView, status: IncidentStatus, now: datetime) -> Iterator[str]:
    yield f"Incident {incident.title}: {status.phase}"
    yield f"  {status.message}"
    if changes := status.changes:
        yield "  What changed before the alert began:"
        yield from (f"    {words(change, incident.spec.alert.active_at)}" for change in changes)
    yield ""
    if status.handed_over:
        yield "People have it: nothing more is tried, whatever the alert does. What is owed is still paid."
    elif status.phase not in ASKED:
        yield f"Nothing is tried in phase {status.phase}, so the guards are not asked."
    elif (step := status.open_step()) is not None and not status.holds:
        yield f"Step {step.id} is under way; the guards let it through."
    else:
        yield "The guards, in their order: the first that holds decides. Beside the others stands when they would hold."
        yield ""
        unasked = not_asked(status.mode, (hold.reason for hold in status.holds), far_back=far_back(status))
        for guard in BEFORE_ACTING:
            yield from _guard(guard, status.holds, now, asked=guard not in unasked)
    yield from _others(status, now)


def _guard(guard: Guard, holds: Sequence[HoldRecord], now: datetime, *, asked: bool) -> Iterator[str]:
    name = title(guard)
    mine = [hold for hold in holds if GUARD_OF.get((hold.guard, hold.reason)) == guard.__name__]
    if not mine:
        yield f"  {'ok' if asked else '-':<6} {name:<12} {'' if asked else 'not asked: '}{sentence(guard)}"
    for hold in mine:
        yield f"  {'WAITS' if hold.kind == 'Wait' else 'NO':<6} {name:<12} {hold.reason}: {hold.message}"
        yield from _about(hold, now)


def _about(hold: HoldRecord, now: datetime) -> Iterator[str]:
    again = hold.look_again_at
    when = f", looked at again in {span(again - now)} at the latest" if again and again > now else ""
    yield f"  {'':<19} for {ago(hold.since, now)}{when}"
    for entry in (*HOLDS, *REFUSALS):
        if entry.name == hold.reason:
            yield f"  {'':<19} {entry.meaning}"
            yield f"  {'':<19} What to do: {entry.remedy}"
            return


def _others(status: IncidentStatus, now: datetime) -> Iterator[str]:
    """Holds that are no guard's before acting: an obligation that cannot be paid now, an outcome that is not known."""
    asked = {guard.__name__ for guard in BEFORE_ACTING} if status.phase in ASKED and not status.handed_over else set()
    for hold in status.holds:
        if GUARD_OF.get((hold.guard, hold.reason)) not in asked:
            yield f"  WAITS  {hold.guard:<12} {hold.reason}: {hold.message}"
            yield from _about(hold, now)
    if status.owes:
        yield ""
        yield f"{status.owes} still to be undone: goldseam show has it under Owed."


async def _policy(session: Session, kind: str, name: str) -> None:
    namespace = session.namespace if OURS[kind].namespaced else ""
    try:
        obj = await session.cluster.get(OURS[kind], namespace, name)
    except NotFound as error:
        raise Invalid(f"there is no {kind} {name}{f' in namespace {namespace}' if namespace else ''}") from error
    conditions = [Condition.model_validate(entry) for entry in (obj.get("status") or {}).get("conditions") or []]
    session.say(f"{kind} {name}: mode {obj['spec'].get('mode', 'Observe')}")
    if not conditions:
        session.say("  Goldseam has not looked at it yet: does its pod run?")
    for condition in conditions:
        session.say(f"  {condition.type}={condition.status} ({condition.reason}): {condition.message}")
        for entry in CONDITIONS:
            if (entry.source, entry.name) == (condition.type, condition.reason) and entry.remedy:
                session.say(f"    What to do: {entry.remedy}")
    key = PolicyKey(kind, namespace, name)
    mine = [i for i in await session.incidents(namespace) if i.policy == key and is_open(i)]
    session.say("", f"Open incidents: {', '.join(i.title for i in mine) or 'none'}")


async def _nothing(session: Session, kind: str, name: str) -> None:
    """There was never an incident about the target: which policies could open one?"""
    session.say(f"There is no Incident about {kind}/{name} in namespace {session.namespace}.")
    found = (await session.cluster.list(OURS["RemediationPolicy"], session.namespace)).items
    for obj in found:
        ready = condition_of(obj, "Ready")
        alert = obj["spec"].get("alert", {}).get("name", "?")
        session.say(f"  policy/{obj['metadata']['name']} on alert {alert}: {ready.get('message', 'not looked at yet')}")
    if not found:
        session.say("  No RemediationPolicy is there either.")
    session.say("An incident is opened when the policy's alert fires for the target: goldseam explain policy/NAME")
