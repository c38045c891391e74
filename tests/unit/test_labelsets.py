"""What a query tells of its series' labels, and that it tells no more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.engine.labelsets import ANY, LabelSet, label_set
from goldseam.engine.promql import NotUnderstood, tree

UP = 'up{namespace="shop",job=~"a|b",team=""}'


def test_a_selector_may_carry_anything_but_what_it_says_is_absent_and_fixes_what_it_says_by_equality() -> None:
    found = label_set(UP)
    assert [found.may_carry(label) for label in ("namespace", "pod", "team")] == [True, True, False]
    assert [found.fixed(label) for label in ("namespace", "job", "pod", "team")] == ["shop", None, None, ""]
    assert found.matchers["job"] == (("=~", "a|b"),)


CASES = [
    ("sum by (namespace) (UP)", "shop", "", ""),
    ("sum(UP) by (pod)", "", None, ""),
    ("SUM(UP) BY (pod)", "", None, ""),
    ("sum(UP)", "", "", ""),
    ("sum without (namespace) (UP)", "", None, None),
    ("sum(UP) without (pod,)", "shop", "", None),
    ("topk(3, UP)", "shop", None, None),
    ("topk by (pod) (3, UP)", "shop", None, None),
    ("quantile by (pod) (0.9, UP)", "", None, ""),
    ('count_values("pod", UP)', "", None, ""),
    ("sum by (namespace) (UP) > 0", "shop", "", ""),
    ("0 < sum by (namespace) (UP)", "shop", "", ""),
    ("(1 + 2) * 3 < bool sum by (namespace) (UP)", "shop", "", ""),
    ("scalar(UP) < bool -1", "", "", ""),
    ("-sum by (pod) (UP)", "", None, ""),
    ("sum by (pod) (UP) / UP", "", None, ""),
    ("UP / on (pod) UP", "", None, ""),
    ("UP > on() UP", "", "", ""),
    ("UP / ignoring (pod) UP", "shop", "", None),
    ("UP / on (pod) group_left UP", "shop", None, None),
    ("sum by (pod) (UP) / on (pod) group_right () UP", "shop", None, None),
    ("sum by (pod) (UP) * on (pod) group_left (namespace) UP", None, None, ""),
    ("sum by (pod) (UP) and on (pod) UP", "", None, ""),
    ("sum by (pod) (UP) unless UP", "", None, ""),
    ("sum by (pod) (UP) or sum by (namespace) (UP)", None, None, ""),
    ("UP or UP", "shop", None, None),
    ("sum by (pod) (UP) == 0 and sum by (pod) (UP) > 1 or vector(1)", "", None, ""),
    ('rate(x{namespace="shop"}[5m] offset 1w)', "shop", None, None),
    ("max_over_time(sum by (pod) (UP)[1h:5m] @ end())", "", None, ""),
    ("max_over_time(sum by (pod) (UP)[1h:] @ 1609746000.5 offset -5m)", "", None, ""),
    ("histogram_quantile(0.9, sum by (le, pod) (rate(UP[5m])))", "", None, ""),
    ("clamp_max(sum by (pod) (UP), scalar(UP))", "", None, ""),
    ('label_replace(sum by (pod) (UP), "namespace", "$1", "pod", "(.*)")', None, None, ""),
    ('label_join(sum by (namespace) (UP), "namespace", "-", "pod")', None, "", ""),
    ("absent(UP)", "shop", "", ""),
    ("absent(sum by (pod) (UP))", "", "", ""),
    ('absent_over_time(x{pod="a",pod="b",namespace="shop"}[5m])', "shop", None, ""),
    ("vector(1)", "", "", ""),
    ('absent(x{pod=~"a.*",pod="b",namespace="shop",other=""})', "shop", None, ""),
    ("hour() > 9", "", "", ""),
    ("day_of_week(sum by (pod) (UP))", "", None, ""),
    ("time() - sum by (pod) (UP) > 5m", "", None, ""),
    ('{"up", namespace="shop"}', "shop", None, None),
    ("x{namespace='shop',} # the shop's", "shop", None, None),
    ("x{namespace=`shop`}", "shop", None, None),
    (r'x{namespace="sh\"op"}', 'sh"op', None, None),
    ("sum{namespace='shop'} + by", "shop", None, None),
    ("2 ^ 3 ^ sum by (pod) (UP)", "", None, ""),
]
"""Queries, and the value that the labels namespace, pod and other have: empty, never carried; None, not known."""


@pytest.mark.parametrize(("query", "namespace", "pod", "other"), CASES)
def test_what_each_part_of_a_query_does_to_labels(
    query: str, namespace: str | None, pod: str | None, other: str | None
) -> None:
    text = query.replace("UP", UP)
    tree(text)
    found = label_set(text)
    assert (found.fixed("namespace"), found.fixed("pod"), found.fixed("other")) == (namespace, pod, other)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "sum by (pod) (x",
        "sum by (pod) (x))",
        "sum by (pod) x",
        "x{pod}",
        "x{pod=1}",
        "x y",
        "sum(x, y) by (pod)",
        "sum by (pod) (x) limit 5",
        "sum by (pod) (x) default 0",
        "sum by (pod) (x) keep_metric_names",
        'sum by (pod) (rate({app="x"} |= "error" [5m]))',
        "sum by (pod) (x) / fill (0) x",
        "sum by (pod) (x) / on (pod) fill_left (0) -x",
        'x{pod="\\x41"}',
        "WITH (a = b) sum by (pod) (a)",
        "x offset (5m + 1m)",
        "sum by (pod) (1.5h)",
        "a ? b",
        "(" * 300 + "x" + ")" * 300,
        "x" + " + x" * 300,
        "x" + "[1m:]" * 300,
        "x" + " or x" * 20_000,
    ],
)
def test_what_is_not_promql_as_we_know_it_has_no_tree_and_nothing_is_claimed(query: str) -> None:
    with pytest.raises(NotUnderstood):
        tree(query)
    assert label_set(query) == ANY


@pytest.mark.parametrize(
    "query",
    [
        "info(sum by (pod) (x))",
        "a_function_of_tomorrow(sum by (pod) (x))",
        'histogram_quantiles(sum by (pod) (x), "q", 0.5)',
        "label_replace(sum by (pod) (x))",
        "absent()",
        "absent((x))",
        "count_values(x, y)",
    ],
)
def test_of_a_function_that_is_not_known_nothing_is_claimed(query: str) -> None:
    tree(query)
    assert label_set(query) == ANY


@given(st.text("abs({[]})by um=~\"',0159mh:+-*/^@#\\ over_time", max_size=60))
def test_whatever_is_written_it_is_read_or_refused(text: str) -> None:
    label_set.__wrapped__(text)


def test_a_label_that_is_gained_is_any_label_again() -> None:
    found = LabelSet(frozenset({"a"}), frozenset({"b"}), {"b": (("=", "x"),)}).gaining("b")
    assert (found.may_carry("b"), found.fixed("b"), found.may_carry("c")) == (True, None, False)
