"""Which series a PromQL expression reads: its vector selectors, found in its text.

Only Prometheus itself parses an expression for others (`/api/v1/parse_query`); Thanos, Mimir and VictoriaMetrics do
not. The grammar is that of prometheus/promql/parser (`lex.go`, `generated_parser.y`), with the binary operators that
MetricsQL adds. What cannot be followed is an error, never a selector less.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Selector:
    """One vector selector, without its range, offset and `@`."""

    name: str
    """The metric's name; empty where it stands between the braces, or nowhere."""
    matchers: str = ""
    """What stands between its braces."""

    def __str__(self) -> str:
        return self.narrowed()

    def narrowed(self, *more: str) -> str:
        """The selector as text, with these matchers besides its own."""
        own = self.matchers.strip().rstrip(",")
        inside = ",".join(part for part in (own, *more) if part)
        return f"{self.name}{{{inside}}}" if inside or not self.name else self.name


class NotUnderstood(ValueError):
    """The text is no expression that can be followed; the message says where."""


_AGGREGATIONS = frozenset(
    {
        *("sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk"),
        *("count_values", "quantile", "limitk", "limit_ratio"),
    }
)
_GROUPING = frozenset(("by", "without"))
_MODIFIERS = frozenset(("on", "ignoring", "group_left", "group_right", "fill", "fill_left", "fill_right"))
_OPERATORS = frozenset(("and", "or", "unless", "atan2", "offset", "default", "if", "ifnot", "limit"))
_SUFFIXES = frozenset(("smoothed", "anchored", "keep_metric_names"))
_NUMBERS = frozenset(("inf", "nan"))

_TOKEN = re.compile(
    r"""(?P<blank>\s+|\#[^\n]*)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
      | (?P<number>(?:[0-9]|\.[0-9])(?:[eE][+-]?[0-9]|[0-9A-Za-z_.])*)
      | (?P<word>[A-Za-z_:][A-Za-z0-9_:]*)
      | (?P<braces>\{(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\#[^\n]*|[^"'`\#{}])*\})
      | (?P<range>\[[^\]]*\])
      | (?P<open>\()
      | (?P<close>\))
      | (?P<operator>[-+*/%^=!<>~@,])""",
    re.VERBOSE | re.DOTALL,
)


@lru_cache(maxsize=4096)
def selectors(expression: str) -> tuple[Selector, ...]:
    """The selectors of an expression, each once, in their order.

    Raises:
        NotUnderstood: the text cannot be followed.
    """
    return tuple(dict.fromkeys(_Reader(expression).read()))


class _Reader:
    """Goes through the tokens, and knows at each whether an operand comes next, or an operator."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._found: list[Selector] = []

    def read(self) -> list[Selector]:
        """All selectors."""
        wants_operand = True
        while self._at < len(self._tokens):
            kind, text = self._tokens[self._at]
            self._at += 1
            if kind == "word":
                wants_operand = self._operand(text) if wants_operand else self._operator(text)
            elif kind == "braces":
                self._braces(text, wants_operand)
                wants_operand = False
            else:
                wants_operand = kind in ("open", "operator")
        return self._found

    def _operand(self, word: str) -> bool:
        """A word where an operand comes; gives whether one comes still."""
        small = word.lower()
        if small == "bool":
            return True
        if small in _MODIFIERS:
            self._skip_list()
            return True
        if small in _NUMBERS:
            return False
        if self._next() == "open":
            return True
        if small in _AGGREGATIONS and self._next_word() in _GROUPING:
            self._at += 1
            self._skip_list()
            return True
        braces = self._tokens[self._at][1][1:-1] if self._next() == "braces" else ""
        self._at += self._next() == "braces"
        self._found.append(Selector(word, braces))
        return False

    def _operator(self, word: str) -> bool:
        """A word after an operand; gives whether another operand comes."""
        small = word.lower()
        if small in _GROUPING:
            self._skip_list()
        elif small not in _OPERATORS and small not in _SUFFIXES:
            raise NotUnderstood(f"{word[:40]!r} stands where an operator should")
        return small in _OPERATORS

    def _braces(self, text: str, wants_operand: bool) -> None:
        if not wants_operand:
            raise NotUnderstood(f"{text[:40]!r} stands where an operator should")
        self._found.append(Selector("", text[1:-1]))

    def _skip_list(self) -> None:
        """The labels in parentheses, where there are any."""
        if self._next() != "open":
            return
        while self._at < len(self._tokens):
            kind, _ = self._tokens[self._at]
            self._at += 1
            if kind == "close":
                return
        raise NotUnderstood("a list of labels does not end")

    def _next(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _next_word(self) -> str:
        return self._tokens[self._at][1].lower() if self._next() == "word" else ""


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotUnderstood(f"{text[at : at + 40]!r} cannot be read")
        kind = str(match.lastgroup)
        if kind != "blank":
            found.append((kind, match.group()))
        at = match.end()
    return found
