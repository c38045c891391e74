"""Verifying queries: what their variables may hold, and what each kind of result means."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from goldseam.api.verifying import Query
from goldseam.engine.queries import LONGEST, Undefined, filled, judged, variables
from tests.unit.test_guards import situation

VALUES = {"target.name": "api", "target.namespace": "shop", "alert.name": "Trouble", "alert.labels.pod": "api-1"}
NAN, INF = math.nan, math.inf


def query(expr: str = "errors", **fields: Any) -> Query:
    return Query.model_validate({"expr": expr} | (fields or {"below": "5"}))


@pytest.mark.parametrize(
    ("bounds", "values", "state", "message"),
    [
        ({"below": "5"}, (3,), "Holds", "errors is below 5 (it is 3)"),
        ({"below": "5"}, (5,), "Broken", "errors to be below 5 (it is 5)"),
        ({"above": "0.5"}, (0.75,), "Holds", "errors is above 0.5 (it is 0.75)"),
        ({"above": "0.5"}, (0.5,), "Broken", "errors to be above 0.5 (it is 0.5)"),
        ({"above": "1", "below": "3"}, (2,), "Holds", "errors is above 1 and below 3 (it is 2)"),
        ({"above": "1", "below": "3"}, (0,), "Broken", "errors to be above 1 and below 3 (it is 0)"),
        ({"below": "5"}, (), "Unknown", "query 'errors' has no data"),
        ({"below": "5", "match": "Any"}, (), "Unknown", "query 'errors' has no data"),
        ({"below": "5"}, (NAN,), "Unknown", "query 'errors' has no data but NaN"),
        ({"below": "5", "match": "Any"}, (NAN, NAN), "Unknown", "query 'errors' has no data but NaN"),
        ({"below": "5"}, (INF,), "Broken", "errors to be below 5 (it is +Inf)"),
        ({"below": "5"}, (-INF,), "Holds", "errors is below 5 (it is -Inf)"),
        ({"below": "5"}, (1, 7, 9), "Broken", "errors to be below 5 (2 of 3 series: 9, 7)"),
        ({"above": "5"}, (8, 3, 1), "Broken", "errors to be above 5 (2 of 3 series: 1, 3)"),
        ({"below": "5"}, (1, 2), "Holds", "errors is below 5 (2 of 2 series: 1, 2)"),
        ({"below": "5"}, (1, NAN), "Unknown", "query 'errors': 1 of 2 are NaN"),
        ({"below": "5"}, (7, NAN), "Broken", "errors to be below 5 (1 of 2 series: 7)"),
        ({"below": "5", "match": "Any"}, (1, 7), "Holds", "errors is below 5 (1 of 2 series: 1)"),
        ({"below": "5", "match": "Any"}, (1, NAN), "Holds", "errors is below 5 (1 of 2 series: 1)"),
        ({"below": "5", "match": "Any"}, (7, NAN), "Unknown", "query 'errors': 1 of 2 are NaN"),
        ({"below": "5", "match": "Any"}, (7, 8), "Broken", "one of errors to be below 5 (2 of 2 series: 8, 7)"),
        ({"below": "5", "match": "Any"}, (7,), "Broken", "errors to be below 5 (it is 7)"),
        ({"below": "5"}, (7, 8, 9), "Broken", "errors to be below 5 (3 of 3 series: 9, 8, 7)"),
        (
            {"below": "5"},
            tuple(range(1_040)),
            "Broken",
            "errors to be below 5 (1035 of 1040 series: 1039, 1038, 1037 and 1032 more)",
        ),
    ],
)
def test_each_kind_of_result_has_one_meaning_and_says_what_was_seen(
    bounds: dict[str, str], values: tuple[float, ...], state: str, message: str
) -> None:
    found = judged(query(**bounds), values)
    assert (found.state, found.message) == (state, message)


@given(st.lists(st.floats(), max_size=6), st.sampled_from(["All", "Any"]))
def test_a_value_that_is_not_known_never_turns_a_fail_into_a_pass_nor_a_pass_into_a_fail(
    values: list[float], match: str
) -> None:
    one = query(below="5", match=match)
    less, more = judged(one, values), judged(one, [*values, NAN])
    assert more.state in (less.state, "Unknown")


@pytest.mark.parametrize(
    ("expr", "asked"),
    [
        ('up{pod="${alert.labels.pod}"}', 'up{pod="api-1"}'),
        ('up{pod=~"${target.name}-.*", n != "${target.namespace}"}', 'up{pod=~"api-.*", n != "shop"}'),
        ('a{b="x\\"${alert.name}"} # ${target.name}"', 'a{b="x\\"Trouble"} # ${target.name}"'),
        ('label_replace(up, "a", "${1}", "b", "(.*)")', 'label_replace(up, "a", "${1}", "b", "(.*)")'),
        ("up{a=~\"b$\", c=`d$`, e='f$'}", "up{a=~\"b$\", c=`d$`, e='f$'}"),
    ],
)
def test_variables_are_filled_in_where_they_may_stand_and_all_else_stays(expr: str, asked: str) -> None:
    assert filled(query(expr).expr, VALUES) == asked


@pytest.mark.parametrize(
    "expr",
    [
        "${target.name}",
        "up[${alert.labels.range}]",
        'up{${alert.labels.key}="a"}',
        "up{a='${target.name}'}",
        "up{a=`${target.name}`}",
        'label_replace(up, "a", "${target.name}", "b", "c")',
        'up{a="b"} + "${alert.labels.pod}"',
        'up{a="${target.nmae}"}',
        'up{a="${alert.labels.}"}',
        'up{a="${alert.annotations.summary}"}',
        'up{a="${namespace}"}',
        'up{a="${target.name"}',
        "up{a='\"'} + ${target.name} + up{b='\"'}",
        "up{a='b=\"${target.name}\"'}",
        'up # "\n + ${target.name} # "',
    ],
)
def test_a_variable_anywhere_else_or_of_another_name_is_refused_and_told_what_to_write(expr: str) -> None:
    with pytest.raises(ValidationError, match="may only stand in the double-quoted value of a label matcher"):
        query(expr)


ODD = ['a"} or vector(1) or up{b="', "back\\slash\\", "two\nlines", "🦉 é ́", "${target.name}", "(a+)+$", "\x00\t", "'`"]


def go_string(text: str) -> str:
    """What a double-quoted PromQL string stands for: for what we write, as JSON reads it."""
    found = json.loads(text.replace("\x00", "\\u0000").replace("\t", "\\t"))
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize("value", ODD)
def test_whatever_a_label_holds_stays_the_value_of_its_matcher(value: str) -> None:
    values = VALUES | {"alert.labels.pod": value}
    for operator, means in (("=", value), ("!=", value)):
        asked = filled(f'up{{pod{operator}"${{alert.labels.pod}}"}}', values)
        assert go_string(asked.removeprefix(f"up{{pod{operator}").removesuffix("}")) == means
    pattern = go_string(filled('up{pod=~"${alert.labels.pod}"}', values).removeprefix("up{pod=~").removesuffix("}"))
    assert re2.fullmatch(pattern, value)
    assert not re2.fullmatch(pattern, value + "x")


@given(st.text(min_size=1, max_size=40))
def test_a_quoted_pattern_matches_its_value_alone(value: str) -> None:
    asked = filled('up{pod=~"${alert.labels.pod}"}', {"alert.labels.pod": value})
    quoted = asked.removeprefix('up{pod=~"').removesuffix('"}')
    assert re.fullmatch(r'(?:[^"\\\n]|\\[^\n])*', quoted), "it ends where it ended before"
    assert re2.fullmatch(go_like(quoted), value)


def go_like(quoted: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], quoted)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "the alert has no label pod"),
        ({"alert.labels.pod": ""}, "the alert has no label pod"),
        ({"alert.labels.pod": "x" * 10_000}, "1024 characters or more, and may have been cut"),
        ({"alert.labels.pod": "x" * LONGEST}, "1024 characters or more, and may have been cut"),
        ({"alert.labels.pod": "\ud800"}, "is not valid Unicode"),
    ],
)
def test_a_variable_without_a_value_that_can_be_used_is_said_to_be_so(values: dict[str, str], said: str) -> None:
    with pytest.raises(Undefined, match=said):
        filled('up{pod="${alert.labels.pod}"}', values)
    assert filled('up{pod="${alert.labels.pod}"}', {"alert.labels.pod": "x" * (LONGEST - 1)})


def test_a_node_has_no_namespace_to_ask_for() -> None:
    with pytest.raises(Undefined, match=r"\$\{target.namespace\} is empty here"):
        filled('up{ns="${target.namespace}"}', {"target.namespace": ""})


def test_an_incidents_variables_are_those_of_its_target_and_its_alert() -> None:
    spec = situation().spec
    found = variables(spec)
    assert found["target.name"] == spec.target.name
    assert found["alert.name"] == spec.alert.name
    assert {key for key in found if key.startswith("alert.labels.")} == {f"alert.labels.{k}" for k in spec.alert.labels}
