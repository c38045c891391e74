"""The clients against the real Prometheus."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from goldseam.adapters import prometheus
from goldseam.adapters.prometheus import PrometheusServer
from goldseam.adapters.promql import PromqlMetrics
from goldseam.adapters.selective import SelectiveServer
from goldseam.engine.queries import filled
from goldseam.engine.series import selectors
from goldseam.errors import Invalid
from tests.support.expressions import EXPRESSIONS
from tests.support.plane import Plane

Read = tuple[str, tuple[tuple[str, str, str], ...]]


async def test_rules_are_read_as_the_real_server_shows_them(cluster: Plane) -> None:
    cluster.rules("real", [{"alert": "Always", "expr": "vector(1)", "for": "30s", "labels": {"severity": "info"}}])
    answer = await PrometheusServer(cluster.prometheus, timeout=5).rules()
    rule = next(rule for rule in answer.rules if rule.name == "Always")
    assert (rule.hold.total_seconds(), rule.interval.total_seconds()) == (30.0, 1.0)
    assert rule.query == "vector(1)"
    assert await PrometheusServer(cluster.prometheus, timeout=5).version() == "3.15.1"
    cluster.rules("real", [])


async def test_queries_are_answered_and_a_broken_one_says_where(cluster: Plane) -> None:
    promql = PromqlMetrics(cluster.prometheus, timeout=5)
    assert (await promql.query("vector(3)")).values == (3.0,)
    assert (await promql.query("1 + 1")).values == (2.0,)
    assert (await promql.query("nothing_of_that_name")).values == ()
    with pytest.raises(Invalid, match="parse error"):
        await promql.query("rate(x[5m)")
    with pytest.raises(Invalid, match="matrix"):
        await promql.query("up[5m]")


@pytest.mark.parametrize(("expression", "_"), EXPRESSIONS)
def test_what_an_expression_reads_is_found_as_the_real_server_parses_it(
    expression: str, _: tuple[str, ...], cluster: Plane
) -> None:
    ours = {read for selector in selectors(expression) for read in parsed(cluster, str(selector))}
    assert ours == set(parsed(cluster, expression))


def parsed(plane: Plane, expression: str) -> Iterator[Read]:
    """The selectors in the real server's tree of an expression."""
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{plane.prometheus}/api/v1/parse_query?{query}", timeout=10) as answer:
        yield from found_in(json.loads(answer.read())["data"])


def found_in(node: Any) -> Iterator[Read]:
    if isinstance(node, dict):
        if node.get("type") in ("vectorSelector", "matrixSelector"):
            yield node["name"], tuple(sorted((m["name"], m["type"], m["value"]) for m in node["matchers"]))
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        yield from found_in(child)


async def test_the_filter_and_the_pages_of_the_real_server_leave_nothing_out(
    cluster: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = 'An "odd" & rule_name[]=name+€ é'
    names = [f"Paged{number}" for number in range(3)]
    for name in [odd, *names]:
        cluster.rules(f"real-{len(name)}-{name[-1]}", [{"alert": name, "expr": "vector(1)"}])
    try:
        monkeypatch.setattr(prometheus, "PAGE", 2)
        reader = SelectiveServer(PrometheusServer(cluster.prometheus, timeout=5))
        for _ in range(2):  # all, by pages of two groups; then by the filter
            answer = await reader.rules(frozenset({odd, "Paged1", "Missing"}))
            assert sorted(rule.name for rule in answer.rules) == [odd, "Paged1"]
            assert answer.total is not None
            assert answer.total >= 4
        assert (await reader.rules(frozenset())).rules == ()
        async with asyncio.timeout(30):
            while odd not in {alert.labels["alertname"] for alert in await reader.firing()}:
                await asyncio.sleep(0.2)
    finally:
        for name in [odd, *names]:
            cluster.rules(f"real-{len(name)}-{name[-1]}", [])


ODD = ['a"} or vector(1) or x{a="', "back\\slash", "two\nlines", "€ é", "(a+)+$", "x" * 1_000]


async def test_whatever_a_label_holds_the_real_server_takes_it_for_the_value_of_its_matcher(cluster: Plane) -> None:
    cluster.rules("odd", [{"alert": "Odd", "expr": "vector(1)", "labels": {"odd": value}} for value in ODD])
    promql = PromqlMetrics(cluster.prometheus, timeout=5)
    try:
        async with asyncio.timeout(30):
            while len((await promql.query('ALERTS{alertname="Odd"}')).values) < len(ODD):
                await asyncio.sleep(0.2)
        for value in ODD:
            values = {"alert.name": "Odd", "alert.labels.odd": value}
            for operator, found in (("=", 1), ("=~", 1), ("!=", len(ODD) - 1), ("!~", len(ODD) - 1)):
                query = f'ALERTS{{alertname="${{alert.name}}", odd{operator}"${{alert.labels.odd}}"}}'
                assert len((await promql.query(filled(query, values))).values) == found, (operator, value)
    finally:
        cluster.rules("odd", [])
