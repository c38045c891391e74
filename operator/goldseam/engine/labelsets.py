"""Which labels the series of a PromQL expression can carry, as far as the expression tells.

What each node does to labels is as in prometheus/promql/engine.go and functions.go. What is not known may carry
anything: nothing is claimed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from goldseam.engine.promql import NotUnderstood, Tree, is_number, tree

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

_PASSING = re.compile(
    r"a?(cos|sin|tan)h?|abs|ceil|changes|clamp(_max|_min)?|day_of_(month|week|year)|days_in_month|deg|i?delta|deriv|exp"
    r"|double_exponential_smoothing|floor|histogram_(avg|count|fraction|quantile|stddev|stdvar|sum)|holt_winters|hour"
    r"|increase|i?rate|ln|log10|log2|minute|month|predict_linear|rad|resets|round|sgn|sort(_by_label)?(_desc)?|sqrt"
    r"|timestamp|year|(avg|count|first|last|mad|max|min|present|quantile|stddev|stdvar|sum)_over_time"
)
"""Functions that leave the labels of their series as they are, or take some away."""
_BARE = frozenset({"vector", "scalar", "time", "pi"})
_PICKING = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})


@lru_cache(maxsize=4096)
def label_set(expression: str) -> LabelSet:
    """What is known of the labels of an expression's series; `ANY` where it is not PromQL as we know it."""
    try:
        return of_tree(tree(expression))
    except (NotUnderstood, LookupError):  # a function with too few arguments
        return ANY


def of_tree(node: Tree) -> LabelSet:
    """The same for the tree of an expression.

    Raises:
        LookupError: it is the tree of no expression.
    """
    return _KINDS[node["type"]](node)


def _selector(node: Tree) -> LabelSet:
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for matcher in node["matchers"]:
        name = str(matcher["name"])
        found[name] = (*found.get(name, ()), (str(matcher["type"]), str(matcher["value"])))
    absent = frozenset(name for name, matchers in found.items() if ("=", "") in matchers)
    return LabelSet(None, absent, found)


def _inner(node: Tree) -> LabelSet:
    return of_tree(node["expr"])


def _number(_: Tree) -> LabelSet:
    return NONE


def _aggregation(node: Tree) -> LabelSet:
    inner, grouping = of_tree(node["expr"]), [str(label) for label in node["grouping"]]
    if node["op"] in _PICKING:
        return inner
    kept = inner.without([*grouping, "__name__"]) if node["without"] else inner.keeping(grouping)
    return kept.gaining(str(node["param"]["val"])) if node["op"] == "count_values" else kept


def _binary(node: Tree) -> LabelSet:
    lhs, rhs = of_tree(node["lhs"]), of_tree(node["rhs"])
    matching = node.get("matching")
    if not matching:  # one side is a number
        return rhs if is_number(node["lhs"]) else lhs
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


def _either(one: LabelSet, other: LabelSet) -> LabelSet:
    """Series of one or of the other."""
    labels = (one.only or frozenset()) | (other.only or frozenset()) | one.never | other.never
    never = frozenset(label for label in labels if not one.may_carry(label) and not other.may_carry(label))
    only = None if one.only is None or other.only is None else one.only | other.only
    both = {k: v for k, v in one.matchers.items() if set(v) == set(other.matchers.get(k, ()))}
    return LabelSet(only, never, both)


def _call(node: Tree) -> LabelSet:
    name, arguments = str(node["func"]["name"]), node["args"]
    if name in ("absent", "absent_over_time"):
        return _absent(arguments[0])
    if name in _BARE or (not arguments and _PASSING.fullmatch(name)):
        return NONE
    if name in ("label_replace", "label_join"):
        return of_tree(arguments[0]).gaining(str(arguments[1]["val"]))
    series = [one for one in arguments if one["type"] not in ("numberLiteral", "stringLiteral") and not is_number(one)]
    return of_tree(series[0]) if len(series) == 1 and _PASSING.fullmatch(name) else ANY


def _absent(argument: Tree) -> LabelSet:
    """`createLabelsForAbsentFunction`: the labels that a selector says by `=`; one said twice is not known."""
    if argument["type"] == "parenExpr":
        return ANY
    if argument["type"] not in ("vectorSelector", "matrixSelector"):
        return NONE
    found = {name: said for name, said in _selector(argument).matchers.items() if name != "__name__"}
    fixed = {name: said for name, said in found.items() if len(said) == 1 and said[0][0] == "=" and said[0][1]}
    doubtful = {name for name, said in found.items() if len(said) > 1}
    return LabelSet(frozenset(fixed) | doubtful, frozenset(), fixed)


_KINDS: Mapping[str, Callable[[Tree], LabelSet]] = {
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
