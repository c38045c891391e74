"""The clients against the real Prometheus."""

from __future__ import annotations

import pytest

from goldseam.adapters.prometheus import PrometheusServer
from goldseam.adapters.promql import PromqlMetrics
from goldseam.errors import Invalid
from tests.support.plane import Plane


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
