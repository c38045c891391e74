"""From an answer of the API server to an error of ours. Causes are kept, bodies are not: some quote whole objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from goldseam.errors import (
    AlreadyExists,
    BudgetExhausted,
    Conflict,
    Fenced,
    Forbidden,
    GoldseamError,
    Gone,
    Invalid,
    NotFound,
    Throttled,
    Unavailable,
)

LONGEST = 300
LONGEST_WAIT = 10.0


def translated(
    status: int, headers: Mapping[str, str], body: bytes, what: str, *, creating: bool = False
) -> GoldseamError:
    """The error that an answer with an HTTP status of 400 or more means; `what` says what was asked for."""
    answer = _parsed(body)
    text = f"{what}: {_sentence(status, answer)}"
    if status == 404:
        return NotFound(text)
    if status == 409:
        return AlreadyExists(text) if creating and answer.get("reason") == "AlreadyExists" else Conflict(text)
    if status == 410:
        return Gone(text)
    if status == 429:
        return BudgetExhausted(text) if _has_cause(answer, "DisruptionBudget") else Throttled(text, _wait(headers))
    if status in (400, 403, 422):
        return _refused(status, answer, text)
    if status >= 500:
        return Unavailable(text, _wait(headers))
    return Forbidden(text) if status == 401 else Invalid(text)


def _refused(status: int, answer: Mapping[str, Any], text: str) -> GoldseamError:
    if "status.epoch" in text:
        return Fenced(text)
    if status == 403:
        return Forbidden(text)
    fields = {str(cause.get("field")) for cause in _causes(answer)}
    return Conflict(text) if "metadata.uid" in fields else Invalid(text)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _causes(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((answer.get("details") or {}).get("causes") or [])


def _has_cause(answer: Mapping[str, Any], reason: str) -> bool:
    return any(cause.get("reason") == reason for cause in _causes(answer))


def _sentence(status: int, answer: Mapping[str, Any]) -> str:
    """The reason, and the causes or else the beginning of the message."""
    causes = "; ".join(_cause(cause) for cause in _causes(answer)[:3])
    reason = answer.get("reason") or f"HTTP {status}"
    text = f"{reason}: {causes or str(answer.get('message') or '')}".rstrip(": ")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _cause(cause: Mapping[str, Any]) -> str:
    field, message = str(cause.get("field") or ""), str(cause.get("message") or "")[:160]
    return f"{field}: {message}" if field and field != "<nil>" else message


def _wait(headers: Mapping[str, str]) -> timedelta | None:
    try:
        return timedelta(seconds=min(float(headers.get("Retry-After", "")), LONGEST_WAIT))
    except ValueError:
        return None
