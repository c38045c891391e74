"""Prometheus label matchers."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from goldseam.api.constraints import Pattern, re2_problem

MATCHER_PATTERN = r'^[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*(=~|!~|!=|=)[ \t]*"((?:[^"\\\n]|\\["\\n])*)"[ \t]*$'
MATCHER_WORDS = 'must be a label matcher such as severity="critical" or pod=~"api-.*"'
_MATCHER = re.compile(MATCHER_PATTERN)
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def parse_matcher(text: str) -> tuple[str, str, str]:
    """Split a Prometheus label matcher into label, operator and value.

    Raises:
        ValueError: when the text is not a matcher, or its regular expression is not RE2.
    """
    match = _MATCHER.fullmatch(text)
    if not match:
        raise ValueError(f"{text}: {MATCHER_WORDS}")
    label, operator, quoted = match.groups()
    value = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], quoted)
    if operator in ("=~", "!~") and (problem := re2_problem(value)):
        raise ValueError(f"the regular expression {value} is not valid RE2: {problem}")
    return label, operator, value


def quoted(value: str) -> str:
    """A value in double quotes, as `parse_matcher`, PromQL (util/strutil/quote.go) and Alertmanager (matcher/parse)
    read it: any other character stands for itself."""
    return f'"{value.translate(_ESCAPED)}"'


def _valid_matcher(text: str) -> str:
    parse_matcher(text)
    return text


Matcher = Annotated[str, Field(max_length=256), Pattern(MATCHER_PATTERN, MATCHER_WORDS), AfterValidator(_valid_matcher)]
"""A Prometheus label matcher: `=`, `!=`, `=~`, `!~`; regular expressions are RE2 and anchored."""
