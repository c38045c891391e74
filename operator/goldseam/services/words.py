"""Responses: which ones speak of an incident, and telling their authors what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import structlog
from pydantic import ValidationError

from goldseam.api.guardrails import GuardrailsSpec
from goldseam.api.incident import IncidentStatus
from goldseam.api.response import ResponseSpec
from goldseam.engine import approvals, record
from goldseam.engine.situation import Situation, Word
from goldseam.engine.views import of_a_newer_version, view
from goldseam.errors import GoldseamError, NotFound
from goldseam.ports import Cluster, Json
from goldseam.resources import INCIDENTS, RESPONSES

log = structlog.get_logger("goldseam.words")


def about(objects: Iterable[Json], uid: str, guardrails: GuardrailsSpec) -> tuple[Word, ...]:
    """The Responses about the incident of that uid, oldest first. What cannot be read says nothing."""
    words = [word for obj in objects if meant(obj) == uid and (word := _word(obj, guardrails)) is not None]
    return tuple(sorted(words, key=lambda word: (word.at, word.decision != "Deny", word.uid)))


def meant(response: Json) -> str:
    """The uid of the incident that a Response is about; empty where it names none."""
    return str(((response.get("spec") or {}).get("incidentRef") or {}).get("uid", ""))


def _word(obj: Json, guardrails: GuardrailsSpec) -> Word | None:
    meta = obj["metadata"]
    try:
        spec = ResponseSpec.model_validate(obj.get("spec") or {})
    except ValidationError:
        return None
    return Word(
        uid=meta["uid"],
        name=meta["name"],
        decision=spec.decision,
        step=spec.step or "",
        plan_hash=spec.plan_hash or "",
        by=spec.by,
        at=datetime.fromisoformat(meta["creationTimestamp"]),
        reason=spec.reason,
        trusted=not spec.by.startswith(approvals.SYSTEM) or spec.by in guardrails.approval_delegates,
        counted=bool((obj.get("status") or {}).get("state")),
    )


class Hearing:
    """Says on each Response what became of it, once."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def judge(self, s: Situation, status: IncidentStatus) -> None:
        """Say it on every Response about this incident that does not say it yet, once the incident has it in writing.

        What counts by now and is not written in the incident is left for the next look, which takes it.
        """
        for word in s.words:
            why = approvals.ignored(s, status, word)
            if not word.counted and (why or approvals.taken(status, word)):
                await self._say(s.namespace, word.name, word.uid, why, f"Incident {s.name} has it")

    async def unheard(self, obj: Json) -> None:
        """A Response whose incident is not being worked on: say so, unless the incident is only not known yet."""
        meta = obj["metadata"]
        if (obj.get("status") or {}).get("state"):
            return
        try:
            spec = ResponseSpec.model_validate(obj.get("spec") or {})
        except ValidationError:
            await self._say(meta["namespace"], meta["name"], meta["uid"], "it cannot be read", "")
            return
        why = await self._why_not(meta["namespace"], spec)
        if why:
            await self._say(meta["namespace"], meta["name"], meta["uid"], why, "")

    async def _why_not(self, namespace: str, spec: ResponseSpec) -> str:
        ref = spec.incident_ref
        try:
            found = await self._cluster.get(INCIDENTS, namespace, ref.name)
        except NotFound:
            return f"there is no Incident {ref.name} in namespace {namespace}"
        if of_a_newer_version(found):
            return ""
        incident = view(found)
        if incident is None or incident.uid != ref.uid:
            return f"Incident {ref.name} has another uid: what was meant is gone"
        return f"Incident {ref.name} is over" if incident.over else ""

    async def _say(self, namespace: str, name: str, uid: str, ignored: str, counted: str) -> None:
        status = {"state": "Ignored" if ignored else "Counted", "message": record.cut(ignored or counted)}
        try:
            body = {"metadata": {"uid": uid}, "status": status}
            await self._cluster.patch(RESPONSES, namespace, name, body, "status")
        except GoldseamError as error:
            log.warning("response_not_answered", response=f"{namespace}/{name}", problem=str(error))
