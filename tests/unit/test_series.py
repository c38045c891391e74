"""What an expression reads is found in its text, or the text is refused: no selector is overlooked."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldseam.engine.series import NotUnderstood, Selector, selectors
from tests.support.expressions import EXPRESSIONS


@pytest.mark.parametrize(("expression", "found"), EXPRESSIONS)
def test_every_selector_is_found_and_nothing_else(expression: str, found: tuple[str, ...]) -> None:
    assert tuple(str(selector) for selector in selectors(expression)) == found


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("foo default 0", ("foo",)),
        ("foo if (bar > 1) ifnot baz", ("foo", "bar", "baz")),
        ("sum(foo) by (x) limit 3", ("foo",)),
        ("rate(foo[5m]) keep_metric_names > 1", ("foo",)),
    ],
)
def test_what_metricsql_adds_to_the_operators_is_known(expression: str, found: tuple[str, ...]) -> None:
    assert tuple(str(selector) for selector in selectors(expression)) == found


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("foo bar", "'bar' stands where an operator should"),
        ('foo {a="b"} {c="d"}', "stands where an operator should"),
        ("WITH (a = b) a", "'a' stands where an operator should"),
        ("foo{a='b'", "cannot be read"),
        ("foo > 'x", "cannot be read"),
        ("foo > on (a", "a list of labels does not end"),
        ("foo ; bar", "cannot be read"),
    ],
)
def test_what_cannot_be_followed_is_said_and_not_guessed(expression: str, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        selectors(expression)


def test_a_selector_is_narrowed_by_more_matchers() -> None:
    assert Selector("foo").narrowed('a="b"', 'c="d"') == 'foo{a="b",c="d"}'
    assert Selector("foo", 'x="y", ').narrowed('a="b"') == 'foo{x="y",a="b"}'
    assert Selector("", '"foo"').narrowed('a="b"') == '{"foo",a="b"}'
    assert Selector("foo", " ").narrowed() == "foo"


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["foo", "sum", "(", ")", "by", "{a='}'}", "[5m]", ",", "+", "on", "'x'", "5m", "offset"]))
)
def test_any_text_is_followed_or_refused(words: list[str]) -> None:
    try:
        found = selectors(" ".join(words))
    except NotUnderstood:
        return
    assert len(found) == len(set(found))
