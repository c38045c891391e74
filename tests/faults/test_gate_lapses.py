"""The page gate lapses by itself when nobody heals any more: people are called within two minutes and a turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.test_page_gate import gated, healing, watched
from tests.support.alertmanager_process import GROUP_INTERVAL, Pages, gates, paging
from tests.support.objects_on_cluster import guardrails, reached
from tests.support.operator_process import OperatorProcess
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
LAPSED = 120 + GROUP_INTERVAL + 20
"""Seconds: the silence, a turn of the group, and what a busy machine adds."""


@pytest.fixture
def pages(installed: Plane) -> Iterator[Pages]:
    with paging(installed) as found:
        yield found


def test_when_the_operator_is_killed_while_it_heals_people_are_called(
    installed: Plane, namespace: str, pages: Pages, operator_kubeconfig: Path, trouble: Trouble, tmp_path: Path
) -> None:
    watched(installed)
    with running_operator(operator_kubeconfig, tmp_path / "operator.log") as operator:
        healing(installed, namespace, trouble)
        gated(installed, namespace)
        operator.kill()
    begun = time.monotonic()
    assert pages.of(namespace, "Trouble") == []
    eventually(lambda: pages.of(namespace, "Trouble"), "people to be called", LAPSED)
    assert time.monotonic() - begun > 60, "it was held until the silence lapsed"


def test_when_work_is_held_for_two_minutes_people_are_called_though_the_operator_lives(
    installed: Plane, namespace: str, pages: Pages, operator: OperatorProcess, trouble: Trouble
) -> None:
    """The first rung fails while a freeze holds, so that the second is not tried."""
    watched(installed)
    ladder = ({"restart": {}, "timeout": "8s"}, {"scale": {"replicas": 8}, "timeout": "120s"})
    healing(installed, namespace, trouble, *ladder)
    gated(installed, namespace)
    freeze = {"name": "now", "start": "2020-01-01", "end": "2099-01-01", "reason": "we test"}
    installed.apply(guardrails(freezes=[freeze]))
    eventually(lambda: pages.of(namespace, "Trouble"), "people to be called", LAPSED + 60)
    assert gates(installed.alertmanager, namespace) == []
    installed.apply(guardrails())
    gated(installed, namespace)


def test_a_call_that_was_made_is_not_made_again_by_the_next_operator(
    installed: Plane, namespace: str, pages: Pages, operator_kubeconfig: Path, trouble: Trouble, tmp_path: Path
) -> None:
    watched(installed)
    with running_operator(operator_kubeconfig, tmp_path / "first.log") as first:
        healing(installed, namespace, trouble, {"restart": {}, "timeout": "5s"})
        reached(installed, namespace, "Escalated")
        eventually(lambda: pages.of(namespace, "GoldseamEscalated"), "people to be called")
        first.kill()
    with running_operator(operator_kubeconfig, tmp_path / "second.log"):
        trouble(0, deployment="worker")
        reached(installed, namespace, "Resolved")
        eventually(lambda: pages.of(namespace, "GoldseamEscalated", "resolved"), "it to end by itself", 240)
    assert len(pages.of(namespace, "GoldseamEscalated")) == 1
