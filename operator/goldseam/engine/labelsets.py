"""Which labels the series of a PromQL expression can carry, as far as its tree tells.

The tree is the answer of Prometheus' `/api/v1/parse_query` (prometheus/web/api/v1/translate_ast.go); what each node
does to labels is as in prometheus/promql/engine.go and functions.go. What is not known may carry anything: nothing is
claimed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Node = Mapping[str, Any]
Matchers = Mapping[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class LabelSet:
    """What is known of the labels of some series."""

    only: frozenset[str] | None = None
    """The labels that they can carry at most; None: any."""
    never: frozenset[str] = frozenset()
    """Labels that they never carry, whatever `only` says."""
    matchers: Matchers = field(default_factory=dict)
    """By label: the matchers (operator and value) that each of them satisfies."""

    def may_carry(self, label: str) -> bool:
        """Whether any of them can carry the label."""
        return label not in self.never and (self.only is None or label in self.only)

    def fixed(self, label: str) -> str | None:
        """The one value that the label has in all of them: empty where none carries it, None where it is not known."""
        if not self.may_carry(label):
            return ""
        return next((value for operator, value in self.matchers.get(label, ()) if operator == "="), None)

    def keeping(self, labels: Iterable[str]) -> LabelSet:
        """These series with no other labels than those."""
        only = frozenset(label for label in labels if self.may_carry(label))
        return LabelSet(only, frozenset(), {k: v for k, v in self.matchers.items() if k in only})

    def without(self, labels: Iterable[str]) -> LabelSet:
        """These series without those labels."""
        gone = frozenset(labels)
        return replace(
            self, never=self.never | gone, matchers={k: v for k, v in self.matchers.items() if k not in gone}
        )

    def gaining(self, label: str) -> LabelSet:
        """These series, each of which may carry this label now, with any value."""
        only = None if self.only is None else self.only | {label}
        return LabelSet(only, self.never - {label}, {k: v for k, v in self.matchers.items() if k != label})


ANY, NONE = LabelSet(), LabelSet(frozenset())

_DEEPEST = 100
_PASSING = re.compile(
    r"a?(cos|sin|tan)h?|abs|ceil|changes|clamp(_max|_min)?|day_of_(month|week|year)|days_in_month|deg|i?delta|deriv|exp"
    r"|double_exponential_smoothing|floor|histogram_(avg|count|fraction|quantile|stddev|stdvar|sum)|holt_winters|hour"
    r"|increase|i?rate|ln|log10|log2|minute|month|predict_linear|rad|resets|round|sgn|sort(_by_label)?(_desc)?|sqrt"
    r"|timestamp|year|(avg|count|first|last|mad|max|min|present|quantile|stddev|stdvar|sum)_over_time"
)
"""Functions that leave the labels of their series as they are, or take some away."""
_BARE = frozenset({"vector", "scalar", "time", "pi"})
_PICKING = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})


def label_set(tree: Node | None) -> LabelSet:
    """What is known of the labels of an expression's series: `ANY` where there is no tree, or one we do not know."""
    try:
        return _of(tree, 0) if tree else ANY
    except (KeyError, TypeError, AttributeError, IndexError, ValueError):  # the server is of another version
        return ANY


def _of(node: Node, depth: int) -> LabelSet:
    kind = _KINDS.get(str(node["type"]))
    return kind(node, depth + 1) if kind and depth < _DEEPEST else ANY


def _selector(node: Node, _: int) -> LabelSet:
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for matcher in node["matchers"]:
        name = str(matcher["name"])
        found[name] = (*found.get(name, ()), (str(matcher["type"]), str(matcher["value"])))
    absent = frozenset(name for name, matchers in found.items() if ("=", "") in matchers)
    return LabelSet(None, absent, found)


def _inner(node: Node, depth: int) -> LabelSet:
    return _of(node["expr"], depth)


def _number(_: Node, __: int) -> LabelSet:
    return NONE


def _aggregation(node: Node, depth: int) -> LabelSet:
    inner, grouping = _of(node["expr"], depth), [str(label) for label in node["grouping"]]
    if node["op"] in _PICKING:
        return inner
    kept = inner.without([*grouping, "__name__"]) if node["without"] else inner.keeping(grouping)
    return kept.gaining(str(node["param"]["val"])) if node["op"] == "count_values" else kept


def _binary(node: Node, depth: int) -> LabelSet:
    lhs, rhs = _of(node["lhs"], depth), _of(node["rhs"], depth)
    matching = node.get("matching")
    if not matching:  # one side is a number
        return rhs if _is_number(node["lhs"]) else lhs
    if any(value is not None for value in (matching.get("fillValues") or {}).values()):
        return ANY
    if node["op"] in ("and", "unless"):
        return lhs
    if node["op"] == "or":
        return _either(lhs, rhs)
    many, labels = (rhs if matching["card"] == "one-to-many" else lhs), [str(label) for label in matching["labels"]]
    if matching["card"] == "one-to-one":
        return many.keeping(labels) if matching["on"] else many.without(labels)
    for label in matching["include"]:
        many = many.gaining(str(label))
    return many


def _is_number(node: Node) -> bool:
    """Whether it is a scalar: those have no labels, and the other side's are kept."""
    while node["type"] in ("parenExpr", "unaryExpr"):
        node = node["expr"]
    if node["type"] == "binaryExpr":
        return _is_number(node["lhs"]) and _is_number(node["rhs"])
    returns = node["func"]["returnType"] if node["type"] == "call" else ""
    return node["type"] == "numberLiteral" or returns == "scalar"


def _either(one: LabelSet, other: LabelSet) -> LabelSet:
    """Series of one or of the other."""
    labels = (one.only or frozenset()) | (other.only or frozenset()) | one.never | other.never
    never = frozenset(label for label in labels if not one.may_carry(label) and not other.may_carry(label))
    only = None if one.only is None or other.only is None else one.only | other.only
    both = {k: v for k, v in one.matchers.items() if set(v) == set(other.matchers.get(k, ()))}
    return LabelSet(only, never, both)


def _call(node: Node, depth: int) -> LabelSet:
    name, arguments = str(node["func"]["name"]), node["args"]
    if name in ("absent", "absent_over_time"):
        return _absent(arguments[0])
    if name in _BARE or (not arguments and _PASSING.fullmatch(name)):
        return NONE
    if name in ("label_replace", "label_join"):
        return _of(arguments[0], depth).gaining(str(arguments[1]["val"]))
    series = [one for one in arguments if one["type"] not in ("numberLiteral", "stringLiteral") and not _is_number(one)]
    return _of(series[0], depth) if len(series) == 1 and _PASSING.fullmatch(name) else ANY


def _absent(argument: Node) -> LabelSet:
    """`createLabelsForAbsentFunction`: the labels that the selector says by `=`, each of them once."""
    if argument["type"] not in ("vectorSelector", "matrixSelector"):
        return NONE
    found = _selector(argument, 0).matchers
    fixed = {label: said for label, said in found.items() if len(said) == 1 and said[0][0] == "=" and said[0][1]}
    return LabelSet(frozenset(fixed) - {"__name__"}, frozenset(), fixed)


_KINDS: Mapping[str, Callable[[Node, int], LabelSet]] = {
    "vectorSelector": _selector,
    "matrixSelector": _selector,
    "subquery": _inner,
    "parenExpr": _inner,
    "unaryExpr": _inner,
    "numberLiteral": _number,
    "stringLiteral": _number,
    "aggregation": _aggregation,
    "binaryExpr": _binary,
    "call": _call,
}
