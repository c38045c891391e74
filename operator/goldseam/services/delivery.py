"""Telling people: each crossing of a threshold is delivered at least once, beside the acting, never before it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from goldseam.api.incident import NOBODY, Escalation, IncidentStatus
from goldseam.api.runbook import Contact, RunbookSpec, Webhook
from goldseam.engine import naming, record
from goldseam.engine.views import IncidentView
from goldseam.errors import GoldseamError, NotFound, Retryable
from goldseam.ports import Clock, Cluster, Json, Message, Notifier
from goldseam.resources import OURS, SECRETS
from goldseam.services.calling import Calling
from goldseam.services.reach import runbook_of

log = structlog.get_logger("goldseam.delivery")

FIRST_RETRY = 5.0
LONGEST_RETRY = 300.0

Key = tuple[str, str, str, str]


class Events(Protocol):
    """Kubernetes Events."""

    async def record(self, regarding: Json, kind: str, reason: str, action: str, note: str, name: str) -> bool:
        """Write one Event under a name that makes it the same one when repeated; False when it could not be written."""


@dataclass(frozen=True)
class Outcome:
    """What came of telling people so far."""

    at: datetime | None
    problem: str = ""


class Delivery:
    """Delivers what incidents escalate, and remembers what was delivered until the incident has it."""

    def __init__(
        self,
        cluster: Cluster,
        events: Events,
        notifier: Notifier,
        clock: Clock,
        runbook: Callable[[IncidentView], RunbookSpec | None],
        wake: Callable[[str], None],
        namespace: str,
    ) -> None:
        self._cluster, self._events, self._notifier, self._clock = cluster, events, notifier, clock
        self._runbook, self._wake, self._namespace = runbook, wake, namespace
        self.calling: Calling | None = None
        """The way to people where no contact has a channel."""
        self.brought: Callable[[str], bool] = lambda _: True
        """Whether the AlertSource of that name was brought by its watch."""
        self._outcomes: dict[Key, Outcome] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def deliver(self, incident: IncidentView) -> None:
        """Begin to deliver what the incident's status has as not delivered yet."""
        for escalation in incident.status.escalations if incident.status else ():
            key = _key(incident, escalation)
            if escalation.notified is None and key not in self._tasks and key not in self._outcomes:
                self._tasks[key] = asyncio.create_task(self._until_told(key, incident, escalation))

    def noted(self, incident: IncidentView, status: IncidentStatus) -> IncidentStatus:
        """The status with what was delivered meanwhile."""
        told = [self._with_outcome(incident, escalation) for escalation in status.escalations]
        if told == status.escalations:
            return status
        for before, now in zip(status.escalations, told, strict=True):
            if before.notified is None and now.notified and now.reached_nobody:
                status = record.note(status, now.notified, "NobodyTold", f"{now.threshold}: {now.problem}")
        return record.changed(status, escalations=told)

    def _with_outcome(self, incident: IncidentView, escalation: Escalation) -> Escalation:
        key = _key(incident, escalation)
        if escalation.notified is not None:
            self._outcomes.pop(key, None)
            return escalation
        outcome = self._outcomes.get(key)
        if outcome is None:
            return escalation
        return escalation.model_copy(update={"notified": outcome.at, "problem": record.cut(outcome.problem)})

    async def _until_told(self, key: Key, incident: IncidentView, escalation: Escalation) -> None:
        delay = FIRST_RETRY
        while True:
            try:
                problem = await self._tell(incident, escalation)
                self._outcomes[key] = Outcome(self._clock.now(), problem)
                break
            except GoldseamError as error:
                self._outcomes[key] = Outcome(None, str(error))
                log.warning("not_told", incident=incident.title, threshold=escalation.threshold, problem=str(error))
                self._wake(incident.uid)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_RETRY)
        self._tasks.pop(key, None)
        self._wake(incident.uid)

    async def _tell(self, incident: IncidentView, escalation: Escalation) -> str:
        """Tell by an Event and by every channel of the contact. Returns what a receiver refused for good."""
        message = _message(incident, escalation)
        event = f"{incident.name[:200]}.{naming.digest(message.id)}"
        written = await self._events.record(
            _regarding(incident), "Warning", "Escalated", "Escalate", message.text, event
        )
        contact = self._contact(incident, escalation)
        if contact is not None and contact.channels:
            return await self._by_channels(contact, message, written)
        if self.calling is not None and self.calling.possible(incident):
            await self.calling.call(incident, escalation)
            return ""
        if not written:
            raise Retryable("the Event could not be written")
        await self._all_known(incident)
        who = "no contact has a channel for it" if contact is None else f"contact {contact.name} has no channel"
        return f"{NOBODY}: {who}, and no Alertmanager is named; it stands in an Event only"

    async def _all_known(self, incident: IncidentView) -> None:
        """Before it is said that there is nobody: whether what would name them is known, and not only not there yet.

        Raises:
            Retryable: it is there, and its watch has not brought it, as soon after a start; or it cannot be read.
        """
        runbook, source = runbook_of(incident.pinned), incident.pinned.source_ref.name
        wanted = {"Runbook": runbook} if self._runbook(incident) is None else {}
        wanted |= {} if self.brought(source) else {"AlertSource": source}
        for kind, name in wanted.items():
            try:
                await self._cluster.get(OURS[kind], "", name)
            except NotFound:
                continue
            raise Retryable(f"{kind} {name}, which may name who is told, is not known yet, or its spec is invalid")

    async def _by_channels(self, contact: Contact, message: Message, written: bool) -> str:
        refused: list[str] = []
        for channel in contact.channels:
            try:
                await self._notifier.post(channel.webhook.url, message, await self._secret(channel.webhook))
            except Retryable:
                raise
            except GoldseamError as error:
                refused.append(f"{contact.name}: {error}")
        if len(refused) < len(contact.channels):
            return "; ".join(refused)
        where = "in an Event" if written else "on the Incident"
        return f"{NOBODY}; it stands {where} only: {'; '.join(refused)}"

    def has_channel(self, incident: IncidentView, escalation: Escalation) -> bool:
        """Whether the runbook names a channel by which these people are told."""
        contact = self._contact(incident, escalation)
        return contact is not None and bool(contact.channels)

    def _contact(self, incident: IncidentView, escalation: Escalation) -> Contact | None:
        runbook = self._runbook(incident)
        if runbook is None:
            return None
        if escalation.contact:
            return runbook.contact(escalation.contact)
        level = runbook.level(escalation.level or None)
        return runbook.contact(level.contact) if level else None

    async def _secret(self, webhook: Webhook) -> str | None:
        ref = webhook.signing_secret_ref
        if ref is None:
            return None
        try:
            secret = await self._cluster.get(SECRETS, self._namespace, ref.name)
            return base64.b64decode(secret["data"][ref.key]).decode()
        except (NotFound, KeyError, ValueError) as error:
            raise Retryable(f"Secret {ref.name} in {self._namespace} has no usable key {ref.key}") from error

    async def close(self) -> None:
        """Stop; what was not delivered is delivered after the next start."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


def _key(incident: IncidentView, escalation: Escalation) -> Key:
    return incident.uid, escalation.threshold, escalation.level, escalation.contact


def _regarding(incident: IncidentView) -> Json:
    return {
        "apiVersion": "goldseam.dev/v1alpha1",
        "kind": "Incident",
        "namespace": incident.namespace,
        "name": incident.name,
        "uid": incident.uid,
    }


def _message(incident: IncidentView, escalation: Escalation) -> Message:
    source = f" The runbook says: {escalation.runbook_line}" if escalation.runbook_line else ""
    spec = incident.spec
    return Message(
        id="msg_" + naming.digest(*_key(incident, escalation), size=32),
        kind="incident.escalated",
        subject=f"{spec.alert.name} on {spec.target}: {escalation.threshold}",
        text=escalation.message + source,
        data={
            "incident": {"namespace": incident.namespace, "name": incident.name, "uid": incident.uid},
            "policy": spec.policy_ref.dump(),
            "target": spec.target.dump(),
            "alert": {"name": spec.alert.name, "severity": spec.alert.severity, "labels": spec.alert.labels},
            "threshold": escalation.threshold,
            "level": escalation.level,
            "runbookLine": escalation.runbook_line,
        },
    )
