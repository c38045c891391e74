"""Variables in PromQL: where they may stand, so that whatever an alert's labels hold stays one value of one matcher.

Only the lexical form is judged (promql/parser/lex.go); whether it is PromQL the server says. What looks like a variable
without a dot, such as `${1}`, is label_replace's own and left alone.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from goldseam.api.constraints import Pattern

VARIABLE = r"\$\{((?:target\.(?:kind|name|namespace)|alert\.name|alert\.labels\.[a-zA-Z_][a-zA-Z0-9_]*))\}"


def _string(quote: str, variable: str) -> str:
    """A string with such variables; `$` may stand in it otherwise, as in a regular expression."""
    not_plain, escaped = ("", "") if quote == "`" else (r"\\\n", r"|\\[^\n]")
    return (
        rf"{quote}(?:[^{quote}{not_plain}$]{escaped}|{variable}"
        rf"|\$+(?:[^{quote}{not_plain}${{]{escaped}))*\$*{quote}"
    )


_COMMENT = r"#[^\n]*(?:\n|$)"
_OTHERS = [_string(quote, r"\$\{[a-zA-Z0-9_]*\}") for quote in ("`", r"\x27", '"')]
_PARTS = [_COMMENT, *_OTHERS, rf"[!=][=~]?\s*{_string(chr(34), VARIABLE)}", r"[^\x22\x27`#$]"]

EXPRESSION_PATTERN = f"^(?:{'|'.join(_PARTS)})*$"
EXPRESSION_WORDS = (
    'a variable may only stand in the double-quoted value of a label matcher, such as pod=~"${target.name}-.*"; there'
    " are ${target.kind}, ${target.name}, ${target.namespace}, ${alert.name} and ${alert.labels.NAME}"
)

TOKENS = re.compile(
    rf"{_COMMENT}|`[^`]*`|\x27(?:[^\x27\\\n]|\\[^\n])*\x27"
    r'|(?P<operator>[!=][=~]?)\s*(?P<value>"(?:[^"\\\n]|\\[^\n])*")|"(?:[^"\\\n]|\\[^\n])*"'
)
"""The parts of an expression that are no code, in order. Those with an operator are matchers and may have variables."""


def _known(expression: str) -> str:
    for token in TOKENS.finditer(expression):
        if "${" in re.sub(VARIABLE, "", token["value"] or ""):
            raise ValueError(EXPRESSION_WORDS)
    return expression


Expression = Annotated[
    str,
    Field(min_length=1, max_length=512),
    Pattern(EXPRESSION_PATTERN, EXPRESSION_WORDS),
    AfterValidator(_known),
]
"""A PromQL expression with variables."""
