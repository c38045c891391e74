"""What the tree of a query tells of its series' labels, and that it tells no more."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.engine.labelsets import ANY, LabelSet, _is_number, label_set

Tree = dict[str, Any]


def selector(*matchers: tuple[str, str, str], kind: str = "vectorSelector") -> Tree:
    return {"type": kind, "matchers": [{"name": n, "type": t, "value": v} for n, t, v in matchers]}


def by(tree: Tree, *labels: str, op: str = "sum", without: bool = False, param: Tree | None = None) -> Tree:
    grouping = {"grouping": list(labels), "without": without, "param": param}
    return {"type": "aggregation", "op": op, "expr": tree, **grouping}


def call(name: str, *args: Tree, returns: str = "vector") -> Tree:
    return {"type": "call", "func": {"name": name, "returnType": returns}, "args": list(args)}


def binary(lhs: Tree, op: str, rhs: Tree, **matching: Any) -> Tree:
    usual = {"card": "one-to-one", "labels": [], "on": False, "include": [], "fillValues": {"lhs": None, "rhs": None}}
    both = not any(_is_number(side) for side in (lhs, rhs))
    return {"type": "binaryExpr", "op": op, "lhs": lhs, "rhs": rhs, "matching": usual | matching if both else None}


def paren(tree: Tree) -> Tree:
    return {"type": "parenExpr", "expr": tree}


NUMBER: Tree = {"type": "numberLiteral", "val": "0"}
UP = selector(("__name__", "=", "up"), ("namespace", "=", "shop"), ("job", "=~", "a|b"), ("team", "=", ""))
PODS = by(UP, "pod")


def text(value: str) -> Tree:
    return {"type": "stringLiteral", "val": value}


def test_a_selector_may_carry_anything_but_what_it_says_is_absent_and_fixes_what_it_says_by_equality() -> None:
    found = label_set(UP)
    assert [found.may_carry(label) for label in ("namespace", "pod", "team")] == [True, True, False]
    assert [found.fixed(label) for label in ("namespace", "job", "pod", "team")] == ["shop", None, None, ""]
    assert found.matchers["job"] == (("=~", "a|b"),)


@pytest.mark.parametrize(
    ("tree", "namespace", "pod", "other"),
    [
        (by(UP, "namespace"), "shop", "", ""),
        (by(UP, "pod"), "", None, ""),
        (by(UP), "", "", ""),
        (by(UP, "namespace", without=True), "", None, None),
        (by(UP, "pod", without=True), "shop", "", None),
        (by(NUMBER, "pod", op="topk"), "", "", ""),
        (by(UP, op="topk", param=NUMBER), "shop", None, None),
        (by(UP, op="count_values", param=text("pod")), "", None, ""),
        (binary(by(UP, "namespace"), ">", NUMBER), "shop", "", ""),
        (binary(NUMBER, "<", by(UP, "namespace")), "shop", "", ""),
        (binary(paren(binary(NUMBER, "+", NUMBER)), "<", by(UP, "namespace")), "shop", "", ""),
        (binary(call("scalar", UP, returns="scalar"), "<", NUMBER), "", "", ""),
        (binary(PODS, "/", UP), "", None, ""),
        (binary(UP, "/", UP, on=True, labels=["pod"]), "", None, ""),
        (binary(UP, "/", UP, labels=["pod"]), "shop", "", None),
        (binary(UP, "/", PODS, card="many-to-one", on=True, labels=["pod"]), "shop", None, None),
        (binary(PODS, "/", UP, card="one-to-many", on=True, labels=["pod"]), "shop", None, None),
        (binary(PODS, "*", UP, card="many-to-one", on=True, labels=["pod"], include=["namespace"]), None, None, ""),
        (binary(PODS, "and", UP, on=True, labels=["pod"], card="many-to-many"), "", None, ""),
        (binary(PODS, "unless", UP, card="many-to-many"), "", None, ""),
        (binary(PODS, "or", by(UP, "namespace"), card="many-to-many"), None, None, ""),
        (binary(UP, "or", UP, card="many-to-many"), "shop", None, None),
        (call("rate", selector(("namespace", "=", "shop"), kind="matrixSelector")), "shop", None, None),
        (call("max_over_time", {"type": "subquery", "expr": PODS}), "", None, ""),
        (call("histogram_quantile", NUMBER, by(UP, "le", "pod")), "", None, ""),
        (call("label_replace", PODS, text("namespace"), text("$1"), text("pod"), text("(.*)")), None, None, ""),
        (call("label_join", by(UP, "namespace"), text("namespace"), text("-"), text("pod")), None, "", ""),
        (call("absent", UP), "shop", "", ""),
        (call("absent", PODS), "", "", ""),
        (call("absent_over_time", selector(("pod", "=", "a"), ("pod", "=", "b"), kind="matrixSelector")), "", "", ""),
        (call("vector", NUMBER), "", "", ""),
        (call("hour"), "", "", ""),
        (call("day_of_week", PODS), "", None, ""),
        ({"type": "unaryExpr", "op": "-", "expr": PODS}, "", None, ""),
    ],
)  # fmt: skip
def test_what_each_node_does_to_labels(tree: Tree, namespace: str | None, pod: str | None, other: str | None) -> None:
    found = label_set(tree)
    assert (found.fixed("namespace"), found.fixed("pod"), found.fixed("other")) == (namespace, pod, other)


@pytest.mark.parametrize(
    "tree",
    [
        None,
        {},
        {"type": "durationExpr"},
        call("info", by(UP, "pod")),
        call("a_function_of_tomorrow", by(UP, "pod")),
        call("histogram_quantiles", by(UP, "pod"), text("q"), NUMBER),
        binary(PODS, "/", PODS, fillValues={"lhs": 0, "rhs": None}),
        {"type": "aggregation", "op": "sum", "expr": UP},
        {"type": "vectorSelector", "matchers": [None]},
        {"type": "binaryExpr", "op": "+", "lhs": PODS, "rhs": None, "matching": {"card": 1}},
    ],
)
def test_of_what_is_not_known_nothing_is_claimed(tree: Any) -> None:
    assert label_set(tree) == ANY


def test_a_tree_without_end_is_given_up() -> None:
    tree = PODS
    for _ in range(500):
        tree = paren(tree)
    assert label_set(tree) == ANY


def test_a_label_that_is_gained_is_any_label_again() -> None:
    found = LabelSet(frozenset({"a"}), frozenset({"b"}), {"b": (("=", "x"),)}).gaining("b")
    assert (found.may_carry("b"), found.fixed("b"), found.may_carry("c")) == (True, None, False)
