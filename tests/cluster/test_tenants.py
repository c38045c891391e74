"""Whose alert it is, and who may use a source: another namespace's, another cluster's, and a source that is closed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.objects_on_cluster import (
    alert_source,
    condition,
    deployment,
    effects,
    holding,
    policy,
    running,
    status,
)
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
LAST_READ = r"goldseam_source_last_read_timestamp_seconds\S*"
SCALE = {"scale": {"replicas": 4}, "timeout": "300s"}


@pytest.fixture
def neighbour(installed: Plane, namespace: str) -> Iterator[str]:
    """Another team's namespace."""
    name = f"{namespace}-neighbour"
    installed.must("create", "namespace", name)
    yield name
    installed.must("delete", "namespace", name, "--wait=false")


def source(plane: Plane, **spec: Any) -> None:
    plane.apply(alert_source(plane.prometheus, interval="1s", **spec))


def ready_of(plane: Plane, namespace: str) -> dict[str, str]:
    return condition(plane, "rempol", "heal", namespace, "Ready")


def read_some_times(operator: OperatorProcess) -> None:
    """Reads have passed, so that nothing opened means something."""
    begun = time.time()
    eventually(lambda: operator.metric(LAST_READ) > begun + 3, "the source to be read some times")


def test_an_alert_of_another_namespace_or_cluster_or_of_none_opens_nothing(
    installed: Plane, namespace: str, neighbour: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    source(installed, matchers=['cluster="prod-1"'])
    for one in (namespace, neighbour):
        installed.apply(deployment(one, "worker"), policy(one, SCALE))
        running(installed, one, "worker", 3)
    trouble(1, namespace=namespace, deployment="worker", cluster="prod-2")
    trouble(1, namespace=namespace, deployment="worker")
    trouble(1, namespace=neighbour, deployment="worker", cluster="prod-1")
    running(installed, neighbour, "worker", 4)  # this one is the neighbour's, and of this cluster
    read_some_times(operator)
    assert status(installed, namespace) == {}
    assert effects(installed, namespace) == []
    trouble(1, namespace=namespace, deployment="worker", cluster="prod-1")
    running(installed, namespace, "worker", 4)


def test_a_source_that_is_closed_to_a_namespace_opens_nothing_there_and_holds_what_is_open(
    installed: Plane, namespace: str, neighbour: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    closed = {"allowedNamespaces": {"selector": {"matchLabels": {"metrics": namespace}}}}
    installed.must("label", "namespace", neighbour, f"metrics={namespace}")
    source(installed, **closed)
    for one in (namespace, neighbour):
        installed.apply(deployment(one, "worker"), policy(one, SCALE))
        running(installed, one, "worker", 3)
    eventually(lambda: ready_of(installed, namespace).get("reason") == "SourceRefused", "the policy to say so")
    assert condition(installed, "rempol", "heal", namespace, "Stalled") == {}
    assert condition(installed, "rempol", "heal", namespace, "RuleFound")["status"] == "Unknown"
    eventually(lambda: ready_of(installed, neighbour).get("status") == "True", "the neighbour's to be armed")
    trouble(1, namespace=namespace, deployment="worker")
    trouble(1, namespace=neighbour, deployment="worker")
    running(installed, neighbour, "worker", 4)
    read_some_times(operator)
    assert status(installed, namespace) == {}

    source(installed)
    running(installed, namespace, "worker", 4)
    eventually(lambda: ready_of(installed, namespace)["status"] == "True", "the policy to be armed")
    source(installed, **closed)
    trouble(0, namespace=namespace, deployment="worker")
    trouble(0, namespace=neighbour, deployment="worker")
    eventually(lambda: status(installed, neighbour).get("phase") == "Resolved", "the neighbour's to be over", 90)
    eventually(lambda: "allowedNamespaces" in status(installed, namespace)["verdict"]["message"], "why it is unknown")
    found = status(installed, namespace)
    assert (found["phase"], found["verdict"]["state"]) == ("Fixing", "Unknown")
    running(installed, namespace, "worker", 4)


def test_where_queries_are_refused_a_policy_that_asks_none_is_healed_and_one_that_does_says_so(
    installed: Plane, namespace: str, neighbour: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    source(installed, tenantQueries="Refused")
    asking = {**SCALE, "verify": {"settle": "1s", "queries": [{"expr": "vector(1)", "above": "0"}]}}
    installed.apply(deployment(namespace, "worker"), policy(namespace, asking))
    installed.apply(deployment(neighbour, "worker"), policy(neighbour, SCALE))
    for one in (namespace, neighbour):
        running(installed, one, "worker", 3)
        trouble(1, namespace=one, deployment="worker")
    running(installed, neighbour, "worker", 4)
    read_some_times(operator)
    assert status(installed, namespace) == {}
    assert "remove verify.queries" in ready_of(installed, namespace)["message"]


def test_a_query_is_asked_about_this_incidents_target_and_alert(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    odd = 'a "quoted" \\ (odd+ label.'
    ours = (
        'trouble{about="Load",namespace="${target.namespace}",deployment=~"${target.name}|",odd=~"${alert.labels.odd}"}'
    )
    verify = {"settle": "1s", "queries": [{"expr": ours, "below": "1"}]}
    installed.apply(deployment(namespace, "worker"), policy(namespace, {**SCALE, "verify": verify}))
    running(installed, namespace, "worker", 3)
    trouble(7, alert="Load", deployment="another", odd=odd)
    trouble(5, alert="Load", deployment="worker", odd=odd)
    trouble(1, deployment="worker", odd=odd)
    running(installed, namespace, "worker", 4)
    trouble(0, deployment="worker", odd=odd)
    eventually(lambda: "to be below 1 (it is 5)" in status(installed, namespace)["message"], "the value to be told", 60)
    trouble(0, alert="Load", deployment="worker", odd=odd)
    found = eventually(lambda: (s := status(installed, namespace)).get("phase") == "Resolved" and s, "the end", 90)
    assert found["steps"][0]["message"].endswith("is below 1 (it is 0)")


def test_a_verification_that_cannot_be_asked_holds_and_says_which_label_is_missing(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    verify = {"settle": "1s", "queries": [{"expr": 'up{job="${alert.labels.job_name}"}', "above": "0"}]}
    rung = {"scale": {"replicas": 4}, "timeout": "5s", "verify": verify}
    installed.apply(deployment(namespace, "worker"), policy(namespace, rung, {"restart": {}}))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    hold = holding(installed, namespace, "Inconclusive")
    assert "was not asked: the alert has no label job_name" in hold["message"]
    assert effects(installed, namespace) == ["patch deployments/scale"]
