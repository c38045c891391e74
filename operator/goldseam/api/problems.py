"""What is wrong with an object, in words for the person who wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from goldseam.api.base import Model
from goldseam.api.kinds import BY_NAME

MOST_PROBLEMS = 3
LONGEST = 900
_LONGEST_VALUE = 60
PINNED = ("RemediationPolicy", "ClusterRemediationPolicy")
LARGEST_PINNED = 32 * 1024
"""Bytes of a policy's spec: it is copied into each of its Incidents, and these never exceed 256 KiB."""


class InvalidSpec(ValueError):
    """The spec is not one that Goldseam can follow; the text says which field, and what to write."""


def read_spec(kind_name: str, obj: Mapping[str, Any]) -> Model:
    """The spec of an object as it came from the API server, as the model of its kind.

    It is judged as strictly as the API server does: a number in quotes is no number.

    Raises:
        InvalidSpec: naming the fields that are wrong.
        KeyError: when there is no kind of that name.
    """
    kind = BY_NAME[kind_name]
    broken = [rule.message for rule in kind.rules if not rule.holds(obj)]
    if broken:
        raise InvalidSpec(_listed(broken))
    spec = obj.get("spec")
    if spec is None and kind.spec_required:
        raise InvalidSpec("spec: is required")
    text = json.dumps({} if spec is None else spec)
    if kind_name in PINNED and len(text) > LARGEST_PINNED:
        raise InvalidSpec(f"spec: has {len(text)} bytes as JSON; every Incident keeps a copy: at most {LARGEST_PINNED}")
    try:
        return kind.spec.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise InvalidSpec(problems(error)) from None


def problems(error: ValidationError) -> str:
    """One line for each problem, such as `spec.ladder[1].scale.replicas: must be at least 1, not 0`.

    At most three of them, and at most 900 characters.
    """
    details = sorted(error.errors(include_url=False), key=_unknown_fields_first)
    return _listed([line for detail in details for line in _lines(detail)])


def _unknown_fields_first(detail: ErrorDetails) -> bool:
    """A misspelt field explains why the field that was meant is missing."""
    return detail["type"] != "extra_forbidden"


def _listed(lines: list[str]) -> str:
    shown = lines[:MOST_PROBLEMS]
    left = len(lines) - len(shown)
    if left:
        shown[-1] += f" (and {left} more)"
    return _cut("\n".join(shown), LONGEST)


def _lines(detail: ErrorDetails) -> Iterator[str]:
    path = field_path(detail["loc"])
    context = detail.get("ctx", {})
    if detail["type"] == "rules":
        for rule in context["rules"]:
            yield f"{path}.{rule.field}: {rule.words}" if rule.field else f"{path}: {rule.words}"
    else:
        yield f"{path}: {_words(detail)}"


_PLAIN = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,62}$")


def field_path(location: tuple[int | str, ...]) -> str:
    """A place in the spec as Kubernetes writes it: `spec.ladder[1].scale`, `spec.matchLabels[a/b]`."""
    path = "spec"
    for part in location:
        if part == "[key]":
            continue
        path += f".{part}" if isinstance(part, str) and _PLAIN.match(part) else f"[{_cut(str(part))}]"
    return path


def _words(detail: ErrorDetails) -> str:
    say = _WORDS.get(detail["type"])
    return say(detail.get("ctx", {}), detail["input"]) if say else detail["msg"].removeprefix("Value error, ")


def _shown(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False, default=str))


def _cut(text: str, longest: int = _LONGEST_VALUE) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _must(what: str) -> Callable[[Mapping[str, Any], Any], str]:
    """Words with the bounds of the context in braces, followed by what was written."""
    return lambda context, value: f"must be {what.format(**context)}, not {_shown(value)}"


def _size(most: str, unit: str) -> Callable[[Mapping[str, Any], Any], str]:
    def say(context: Mapping[str, Any], value: Any) -> str:
        if most == "least" and context["min_length"] == 1:
            return "must not be empty; at least 1 is needed"
        bound = context["min_length" if most == "least" else "max_length"]
        return f"must have at {most} {bound} {unit}, not {len(value)}"

    return say


def _one_of(context: Mapping[str, Any], value: Any) -> str:
    expected = str(context["expected"]).replace("'", "")
    return f"must be {expected.lower() if isinstance(value, bool) else expected}, not {_shown(value)}"


_WORDS: Mapping[str, Callable[[Mapping[str, Any], Any], str]] = {
    "missing": lambda _, __: "is required",
    "extra_forbidden": lambda _, __: "is an unknown field; check its name and its indentation",
    "greater_than_equal": _must("at least {ge}"),
    "less_than_equal": _must("at most {le}"),
    "literal_error": _one_of,
    "int_type": _must("an integer (a whole number, without quotes)"),
    "int_from_float": _must("an integer (a whole number, without quotes)"),
    "bool_type": _must("a boolean (true or false, without quotes)"),
    "string_type": _must("a string (a text in quotes)"),
    "list_type": _must("a list"),
    "dict_type": _must("a map"),
    "model_type": _must("an object with fields"),
    "model_attributes_type": _must("an object with fields"),
    "datetime_type": _must("a time such as 2025-11-24T08:00:00Z (a date-time)"),
    "datetime_parsing": _must("a time such as 2025-11-24T08:00:00Z (a date-time)"),
    "datetime_from_date_parsing": _must("a time such as 2025-11-24T08:00:00Z (a date-time)"),
    "string_too_short": _size("least", "characters"),
    "string_too_long": _size("most", "characters"),
    "too_short": _size("least", "entries"),
    "too_long": _size("most", "entries"),
}
