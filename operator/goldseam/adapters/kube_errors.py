"""From an answer of the API server to an error of ours.

What failed and why is kept: reason, fields, and the shapes that `quotable` knows. What was sent is not: field errors
quote the offending value, which for strict validation is the whole object, with whatever secrets stand in it
(apimachinery, `field.Error.ErrorBody`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from goldseam.engine.quotable import quotable
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
    Outdated,
    Throttled,
    Unavailable,
)

LONGEST = 300
"""Characters of a message, after the request that it is about."""
LONGEST_CAUSE = 160
LONGEST_VALUE = 64
"""Characters of a quoted value: names and numbers are shorter, objects are longer."""
LONGEST_WAIT = 10.0
"""Seconds: no Retry-After makes us wait longer."""
OURS = "/apis/goldseam.dev/"
UNKNOWN_FIELD = "strict decoding error: unknown field"
"""What strict field validation says of a field that the schema does not have (apimachinery, `runtime/error.go`)."""
EPOCH = "status.epoch"
"""The field that the epoch rule guards (`goldseam.api.kinds`)."""

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_VALUE = re.compile(rf"((?:Invalid|Unsupported|Duplicate) value: ){_QUOTED.pattern}")
_STRUCTURE = re.compile(r"(?s)((?:Invalid|Unsupported|Duplicate) value: )(?:[\w.&*]*\{|\[|map\[).*[\]}](: )")


def translated(
    status: int, headers: Mapping[str, str], body: bytes, what: str, *, creating: bool = False
) -> GoldseamError:
    """The error that an answer with an HTTP status of 300 or more means; `what` says what was asked for."""
    answer = _parsed(body)
    text = f"{what}: {_sentence(status, answer)}"
    if status == 404:
        return NotFound(text)
    if status == 409:
        return AlreadyExists(text) if creating and answer.get("reason") == "AlreadyExists" else Conflict(text)
    if status == 410:
        return Gone(text)
    if status == 429:
        exhausted = any(cause.get("reason") == "DisruptionBudget" for cause in _causes(answer))
        return (BudgetExhausted if exhausted else Throttled)(text, _wait(headers))
    if status < 400 or status == 408 or status >= 500:
        return Unavailable(text, _wait(headers))
    return _refused(status, answer, text, what)


def _refused(status: int, answer: Mapping[str, Any], text: str, what: str) -> GoldseamError:
    if status in (403, 422) and _fenced(answer):
        return Fenced(text)
    if status in (401, 403):
        return Forbidden(text)
    if OURS in what and UNKNOWN_FIELD in _QUOTED.sub("", text):
        return Outdated(f"{what}: the CRDs are older than this operator: upgrade the CRDs, then it goes on")
    # a wrong uid is 409 on subresources, but on main resources a change of an immutable field
    wrong_uid = status == 422 and any(cause.get("field") == "metadata.uid" for cause in _causes(answer))
    return Conflict(text) if wrong_uid else Invalid(text)


def _fenced(answer: Mapping[str, Any]) -> bool:
    """Whether it was the epoch rule. Quoted text does not count: values and names are written by anyone."""
    causes = _causes(answer)
    said = [str(answer.get("message") or ""), *(str(cause.get("message") or "") for cause in causes)]
    return any(cause.get("field") == EPOCH for cause in causes) or any(EPOCH in _QUOTED.sub("", one) for one in said)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _causes(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    details = answer.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []


def _sentence(status: int, answer: Mapping[str, Any]) -> str:
    """The reason, and what may be repeated of the message, or else of the causes."""
    message = str(answer.get("message") or "")
    said = quotable(message) if _passed_on(message) else _caused(answer) or quotable(message)
    reason = str(answer.get("reason") or "")[:60] or f"HTTP {status}"
    return _cut(f"{reason}: {said}".rstrip(": "), LONGEST)


def _passed_on(message: str) -> bool:
    """Whether a webhook answered: then the causes, too, are what it wrote."""
    return "admission webhook " in message


def _caused(answer: Mapping[str, Any]) -> str:
    causes = [said for cause in _causes(answer) if (said := _cause(cause))]
    return "; ".join(list(dict.fromkeys(causes))[:3])


def _cause(cause: Mapping[str, Any]) -> str:
    """What is said of a field; without a field it is a message like any other."""
    field, message = str(cause.get("field") or "")[:100], str(cause.get("message") or "")
    if not field or field == "<nil>":
        return quotable(message)
    return f"{field}: {_cut(_without_values(message), LONGEST_CAUSE)}"


def _without_values(message: str) -> str:
    """The message without the value, without long strings, and without the difference that follows on other lines."""
    message = _VALUE.sub(r"\1…", _STRUCTURE.sub(r"\1…\2", message))
    message = _QUOTED.sub(lambda found: found[0] if len(found[0]) <= LONGEST_VALUE else '"…"', message)
    return message.split("\n", 1)[0]


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _wait(headers: Mapping[str, str]) -> timedelta | None:
    try:
        return timedelta(seconds=max(0.0, min(float(headers.get("Retry-After", "")), LONGEST_WAIT)))
    except ValueError:
        return None
