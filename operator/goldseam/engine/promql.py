"""Reads a PromQL expression into the tree that Prometheus' `/api/v1/parse_query` gives.

Only Prometheus parses for others; Thanos, Mimir and VictoriaMetrics do not. The grammar is that of Prometheus
(promql/parser: `lex.go`, `generated_parser.y`), as far as it decides about labels: ranges, offsets and `@` are passed
over. What is not of it, such as MetricsQL's own, is an error and no tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Tree = dict[str, Any]


class NotUnderstood(ValueError):
    """The text is not PromQL as we know it."""


LONGEST, DEEPEST, MOST = 20_000, 60, 200
"""Characters, levels of parentheses, and operators with suffixes, beyond which an expression is not read."""
_TOKEN = re.compile(
    r"""(?P<blank>\s+|\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
      | (?P<number>0[xX][0-9a-fA-F]+|(?:[0-9]+(?:ms|[smhdwy]))+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
      | (?P<word>[A-Za-z_:][A-Za-z0-9_:]*)
      | (?P<range>\[[^\[\]]*\])
      | (?P<sign>=~|!~|==|!=|<=|>=|[-+*/%^<>=(){},@])""",
    re.VERBOSE,
)
_WITH_PARAMETER = frozenset(("quantile", "topk", "bottomk", "count_values", "limitk", "limit_ratio"))
_AGGREGATIONS = _WITH_PARAMETER | {"sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"}
_POWER = 6
_BINDING = {
    "or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "atan2": 5, "^": _POWER,
}  # fmt: skip
_SETS = ("and", "or", "unless")
_NUMBERS = ("inf", "nan")
_SCALARS = ("scalar", "time", "pi")
_FILLS = ("fill", "fill_left", "fill_right")
_SUFFIXES = ("offset", "anchored", "smoothed")
_END = ("end", "")


def tree(expression: str) -> Tree:
    """The tree of an expression.

    Raises:
        NotUnderstood: it is not PromQL as we know it, or too long or too deep.
    """
    if len(expression) > LONGEST:
        raise NotUnderstood("too long")
    return _Reader(expression).whole()


def is_number(node: Tree) -> bool:
    """Whether it is a scalar, which has no labels."""
    while node["type"] in ("parenExpr", "unaryExpr"):
        node = node["expr"]
    if node["type"] == "binaryExpr":
        return is_number(node["lhs"]) and is_number(node["rhs"])
    returns = node["func"]["returnType"] if node["type"] == "call" else ""
    return node["type"] == "numberLiteral" or returns == "scalar"


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise NotUnderstood(f"unexpected {text[at]!r}")
        at = found.end()
        if found.lastgroup != "blank":
            yield str(found.lastgroup), found[0]


class _Reader:
    """Recursive descent with binding powers."""

    def __init__(self, text: str) -> None:
        self._left = [*_tokens(text), _END][::-1]
        self._depth = self._links = 0

    def whole(self) -> Tree:
        found = self._expression(0)
        if self._left[-1] != _END:
            raise NotUnderstood(f"unexpected {self._left[-1][1]!r}")
        return found

    def _next(self) -> str:
        """The next token, without taking it; words in lower case, as keywords are."""
        kind, text = self._left[-1]
        return text.lower() if kind == "word" else "" if kind == "string" else text

    def _take(self) -> tuple[str, str]:
        return self._left.pop() if len(self._left) > 1 else _END

    def _took(self, *wanted: str) -> bool:
        if self._next() in wanted:
            self._take()
            return True
        return False

    def _must(self, wanted: str) -> None:
        if not self._took(wanted):
            raise NotUnderstood(f"expected {wanted!r} before {self._left[-1][1]!r}")

    def _expression(self, weakest: int) -> Tree:
        self._depth += 1
        if self._depth > DEEPEST:
            raise NotUnderstood("too deep")
        left = self._unary()
        while (binding := _BINDING.get(self._next(), -1)) > weakest:
            operator = self._next()
            self._linked()
            left = self._binary(left, operator, binding - (operator == "^"))
        self._depth -= 1
        return left

    def _linked(self) -> None:
        """Take a token that makes the tree one level deeper without parentheses."""
        self._links += 1
        if self._links > MOST:
            raise NotUnderstood("too many operators")
        self._take()

    def _unary(self) -> Tree:
        if self._next() in ("-", "+"):
            _, sign = self._take()
            inner = self._expression(_POWER - 1)
            return inner if inner["type"] == "numberLiteral" else {"type": "unaryExpr", "op": sign, "expr": inner}
        found = self._operand()
        while self._left[-1][0] == "range" or self._next() in ("@", *_SUFFIXES):
            found = self._suffixed(found)
        return found

    def _binary(self, left: Tree, operator: str, weakest: int) -> Tree:
        compares = self._took("bool")
        matching: Tree = {"card": "many-to-many" if operator in _SETS else "one-to-one", "labels": [], "on": False}
        matching["include"] = []
        if self._next() in ("on", "ignoring"):
            matching["on"] = self._take()[1].lower() == "on"
            matching["labels"] = self._labels()
            if self._next() in ("group_left", "group_right"):
                matching["card"] = "many-to-one" if self._take()[1].lower() == "group_left" else "one-to-many"
                matching["include"] = self._labels() if self._next() == "(" else []
        right = self._expression(weakest)
        numbers = is_number(left) or is_number(right)
        sides: Tree = {"lhs": left, "rhs": right, "matching": None if numbers else matching}
        return {"type": "binaryExpr", "op": operator, "bool": compares, **sides}

    def _labels(self) -> list[str]:
        self._must("(")
        found: list[str] = []
        while not self._took(")"):
            found.append(self._name())
            if self._next() != ")":
                self._must(",")
        return found

    def _name(self) -> str:
        kind, text = self._take()
        if kind not in ("word", "string"):
            raise NotUnderstood(f"expected a name, not {text!r}")
        return _unquoted(text) if kind == "string" else text

    def _operand(self) -> Tree:
        kind, text = self._left[-1]
        if kind == "string":
            return {"type": "stringLiteral", "val": _unquoted(self._take()[1])}
        if kind == "number" or (kind == "word" and text.lower() in _NUMBERS):
            return {"type": "numberLiteral", "val": self._take()[1]}
        if text == "{":
            return self._selector("")
        if self._took("("):
            inner: Tree = {"type": "parenExpr", "expr": self._expression(0)}
            self._must(")")
            return inner
        if kind != "word":
            raise NotUnderstood(f"unexpected {text!r}")
        return self._word(self._take()[1])

    def _word(self, word: str) -> Tree:
        if word.lower() in _AGGREGATIONS and self._next() in ("(", "by", "without"):
            return self._aggregation(word.lower())
        if word.lower() in _FILLS:
            raise NotUnderstood(f"{word}, which says what a side is where it is missing")
        if self._next() == "(":
            func = {"name": word, "returnType": "scalar" if word in _SCALARS else "vector"}
            return {"type": "call", "func": func, "args": self._arguments()}
        return self._selector(word)

    def _arguments(self) -> list[Tree]:
        self._must("(")
        found: list[Tree] = []
        while not self._took(")"):
            found.append(self._expression(0))
            if self._next() != ")":
                self._must(",")
        return found

    def _aggregation(self, operator: str) -> Tree:
        grouping = self._grouping()
        arguments = self._arguments()
        grouping = grouping or self._grouping() or (False, [])
        if len(arguments) != 1 + (operator in _WITH_PARAMETER):
            raise NotUnderstood(f"{operator} with {len(arguments)} arguments")
        labels: Tree = {"without": grouping[0], "grouping": grouping[1]}
        parameter = arguments[0] if len(arguments) == 2 else None
        return {"type": "aggregation", "op": operator, "expr": arguments[-1], "param": parameter, **labels}

    def _grouping(self) -> tuple[bool, list[str]] | None:
        if self._next() not in ("by", "without"):
            return None
        return self._take()[1].lower() == "without", self._labels()

    def _selector(self, name: str) -> Tree:
        matchers = [{"name": "__name__", "type": "=", "value": name}] if name else []
        if self._took("{"):
            while not self._took("}"):
                matchers.append(self._matcher())
                if self._next() != "}":
                    self._must(",")
        return {"type": "vectorSelector", "matchers": matchers}

    def _matcher(self) -> dict[str, str]:
        quoted, name = self._left[-1][0] == "string", self._name()
        if quoted and self._next() in (",", "}"):
            return {"name": "__name__", "type": "=", "value": name}
        (_, operator), (kind, value) = self._take(), self._take()
        if operator not in ("=", "!=", "=~", "!~") or kind != "string":
            raise NotUnderstood(f"no matcher: {name}{operator}{value}")
        return {"name": name, "type": operator, "value": _unquoted(value)}

    def _suffixed(self, inner: Tree) -> Tree:
        """A range, an offset or `@`: none of them changes labels."""
        kind, text = self._left[-1]
        self._linked()
        if kind == "range":
            return {"type": "subquery", "expr": inner} if ":" in text else {**inner, "type": "matrixSelector"}
        if text.lower() in ("anchored", "smoothed"):
            return inner
        negative = self._took("-")
        moment = self._left[-1][0] == "number" or (not negative and text == "@" and self._next() in ("start", "end"))
        if not moment:
            raise NotUnderstood(f"{text} of what we do not read")
        if self._take()[1] in ("start", "end"):
            self._must("(")
            self._must(")")
        return inner


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def _unquoted(text: str) -> str:
    """The text that a literal stands for (strutil.Unquote); numbers of characters are not read."""
    if text[0] == "`":
        return text[1:-1]
    if re.search(r"\\[xuU0-7]", text):
        raise NotUnderstood("a character by its number")
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1])
