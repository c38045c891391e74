"""Constraints on one field, each written once for two judges: the API server (CEL) and pydantic.

A bare `pattern` would tell people a regular expression; these tell them what to write.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import re2
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from goldseam.api.durations import DURATION_PATTERN, parse_duration

_QUIET = re2.Options()
_QUIET.log_errors = False


def re2_problem(pattern: str) -> str:
    """What is wrong with a regular expression; empty when it is valid RE2."""
    try:
        re2.compile(pattern, _QUIET)
    except re2.error as error:
        said = error.args[0] if error.args else "invalid"
        return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return ""


def cel_matches(pattern: str) -> str:
    """The CEL expression for "the text matches"; both sides use RE2, so both judge alike."""
    return f"self.matches(r'{pattern}')"


def _with_rule(schema: JsonSchemaValue, rule: str, message: str) -> JsonSchemaValue:
    rules = [*schema.get("x-kubernetes-validations", []), {"rule": rule, "message": message}]
    return {**schema, "x-kubernetes-validations": rules}


def _after(check: Callable[[Any], Any], source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    return core_schema.no_info_after_validator_function(check, handler(source))


@dataclass(frozen=True)
class Pattern:
    """The text must match an RE2 pattern; `words` say what to write instead."""

    regex: str
    words: str

    def _checked(self, value: str) -> str:
        if not re2.search(self.regex, value):
            raise ValueError(self.words)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _after(self._checked, source, handler)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return _with_rule(handler(core), cel_matches(self.regex), self.words)


@dataclass(frozen=True)
class Without:
    """The text must not match an RE2 pattern; `words` say why."""

    regex: str
    words: str

    def _checked(self, value: str) -> str:
        if re2.search(self.regex, value):
            raise ValueError(self.words)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _after(self._checked, source, handler)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return _with_rule(handler(core), f"!{cel_matches(self.regex)}", self.words)


def _duration_rule(low: str, high: str) -> str:
    """The CEL expression for a duration's bounds. It passes over what is no duration: another rule says that."""
    bounds = f"duration(self) <= duration('{high}')"
    if low != "0s":
        bounds = f"duration(self) >= duration('{low}') && {bounds}"
    return f"self == '' || !{cel_matches(DURATION_PATTERN)} || ({bounds})"


@dataclass(frozen=True)
class Between:
    """The duration must lie between two others, both included, such as `Between("1s", "5m")`."""

    low: str
    high: str

    @property
    def words(self) -> str:
        """What to write instead."""
        return f"must be between {self.low} and {self.high}" if self.low != "0s" else f"must be at most {self.high}"

    def _checked(self, value: timedelta) -> timedelta:
        if not parse_duration(self.low) <= value <= parse_duration(self.high):
            raise ValueError(self.words)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _after(self._checked, source, handler)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return _with_rule(handler(core), _duration_rule(self.low, self.high), self.words)
