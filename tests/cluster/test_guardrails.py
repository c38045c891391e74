"""The guards that Guardrails and limits bring, each once on the real control plane, with what people read."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from goldseam.adapters.clock import SystemClock
from tests.support.objects_on_cluster import (
    deployment,
    effects,
    guardrails,
    holding,
    outcomes,
    policy,
    reached,
    running,
    status,
)
from tests.support.operator_process import OperatorProcess
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
RESTART = {"restart": {}, "timeout": "60s"}
SECOND = {"metadata": {"name": "second"}}


def clock(hours: float) -> str:
    """A time of day, so many hours from now, in UTC."""
    return f"{SystemClock().now() + timedelta(hours=hours):%H:%M}"


def trips(plane: Plane) -> dict[str, Any]:
    """What the Guardrails' status says of the breakers."""
    found: dict[str, Any] = plane.get("guardrails", "cluster").get("status", {})
    return found


def holds(plane: Plane, namespace: str, target: str, reason: str) -> dict[str, Any]:
    """The hold of this reason on the target's incident, once it is there."""

    def ask() -> dict[str, Any]:
        mine = [i for i in plane.all("incidents", namespace) if i["spec"]["target"]["name"] == target]
        found = [h for i in mine for h in i.get("status", {}).get("holds", []) if h["reason"] == reason]
        return found[0] if found else {}

    return eventually(ask, f"a hold {reason} on {target}")


def acted(plane: Plane, namespace: str) -> None:
    eventually(lambda: "patch deployments" in effects(plane, namespace), "the rung")


@pytest.fixture
def worker(installed: Plane, namespace: str) -> str:
    installed.apply(deployment(namespace, "worker"), policy(namespace, RESTART))
    running(installed, namespace, "worker", 3)
    return namespace


def test_outside_the_window_nothing_is_done_until_it_opens(
    installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    opens = clock(2)
    installed.apply(guardrails(windows=[{"name": "night", "start": opens, "end": clock(3)}]))
    trouble(1, deployment="worker")
    hold = holding(installed, worker, "OutsideWindow")
    assert "night" in hold["message"]
    assert hold["lookAgainAt"][11:16] == opens
    installed.apply(guardrails(windows=[{"name": "night", "start": clock(-1), "end": clock(1)}]))
    acted(installed, worker)


def test_in_a_freeze_nothing_is_done_and_its_reason_is_shown(
    installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    today = SystemClock().now()
    days = {"start": f"{today - timedelta(days=1):%Y-%m-%d}", "end": f"{today + timedelta(days=1):%Y-%m-%d}"}
    installed.apply(guardrails(freezes=[{"name": "audit", "reason": "the auditors are here", **days}]))
    trouble(1, deployment="worker")
    assert "the auditors are here" in holding(installed, worker, "Frozen")["message"]
    assert effects(installed, worker) == []
    installed.apply(guardrails())
    acted(installed, worker)


def test_a_namespace_under_a_ceiling_is_observed_or_refused(
    installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    ceiling = {"selector": {"matchLabels": {"tier": worker}}, "allowedActions": ["scale"]}
    installed.must("label", "namespace", worker, f"tier={worker}")
    installed.apply(guardrails(namespaces=[ceiling]))
    trouble(1, deployment="worker")
    found = reached(installed, worker, "Escalated")
    assert outcomes(found) == [("restart", "Refused")]
    assert "these actions only: scale" in found["steps"][0]["message"]
    installed.apply(guardrails(namespaces=[{**ceiling, "allowedActions": ["restart"], "maxMode": "Observe"}]))
    installed.apply(deployment(worker, "other"), policy(worker, RESTART, name="second", alert={"name": "Second"}))
    running(installed, worker, "other", 3)
    trouble(1, alert="Second", deployment="other")

    def observed() -> list[Any]:
        mine = [i for i in installed.all("incidents", worker) if i["spec"]["target"]["name"] == "other"]
        return [outcome for i in mine for outcome in outcomes(i.get("status", {}))]

    assert eventually(observed, "a step") == [("restart", "Observed")]
    assert effects(installed, worker) == []


def test_the_breaker_trips_visibly_survives_a_restart_and_re_arms(
    installed: Plane,
    worker: str,
    source: str,
    operator_kubeconfig: Path,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    installed.apply(guardrails(breaker={"percent": 30, "atLeast": 1, "rearmAfter": "1s"}))
    with running_operator(operator_kubeconfig, tmp_path / "first.log"):
        trouble(1, deployment="worker")
        assert "1 of 1 targets are unhealthy" in holding(installed, worker, "BreakerTripped")["message"]
        assert trips(installed)["breaker"]["state"] == "Tripped"
    with running_operator(operator_kubeconfig, tmp_path / "second.log"):
        assert effects(installed, worker) == []
        assert trips(installed)["breaker"]["state"] == "Tripped"
        installed.apply(guardrails(breaker={"percent": 30, "atLeast": 5, "rearmAfter": "1s"}))
        acted(installed, worker)
        assert trips(installed)["breaker"]["state"] == "Armed"


def test_a_storm_of_alerts_stops_the_acting(
    installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(guardrails(storm={"rules": 2, "namespaces": 2, "rearmAfter": "1s"}))
    trouble(1, alert="Elsewhere", namespace="another")
    trouble(1, deployment="worker")
    assert "alerts of 2 rules in 2 namespaces" in holding(installed, worker, "AlertStorm")["message"]
    assert effects(installed, worker) == []
    installed.apply(guardrails(storm={"rules": 100, "rearmAfter": "1s"}))
    acted(installed, worker)


@pytest.mark.parametrize("scope", ["Policy", "Namespace", "Cluster"])
def test_a_budget_that_is_used_up_holds_the_next_target(
    scope: str, installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(worker, "other"), policy(worker, RESTART, limits={"concurrent": 5}))
    running(installed, worker, "other", 3)
    trouble(1, deployment="worker")
    acted(installed, worker)
    one = [{"count": 1, "per": "1h"}]
    if scope == "Policy":
        installed.apply(policy(worker, RESTART, limits={"concurrent": 5, "actions": one}))
    else:
        installed.apply(guardrails(budgets={scope.lower(): one}))
    trouble(1, deployment="other")
    hold = holds(installed, worker, "other", f"{scope}Budget")
    assert "has used its budget of 1 actions in 1 h" in hold["message"]
    assert effects(installed, worker).count("patch deployments") == 1


def test_deleted_guardrails_come_back_with_what_was_spent(
    installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    trouble(1, deployment="worker")
    acted(installed, worker)
    before = installed.get("guardrails", "cluster")
    installed.must("delete", "guardrails", "cluster")

    def back() -> dict[str, Any]:
        found = next(iter(installed.all("guardrails")), None) or {}
        again = found.get("metadata", {}).get("uid") not in (None, before["metadata"]["uid"])
        return found if again and found.get("status", {}).get("ledger") else {}

    assert eventually(back, "the Guardrails to be there again")["status"]["ledger"] == before["status"]["ledger"]


def test_a_policy_works_on_one_target_at_a_time(
    installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(worker, "other"))
    running(installed, worker, "other", 3)
    trouble(1, deployment="worker")
    acted(installed, worker)
    trouble(1, deployment="other")
    assert "limits.concurrent is 1" in holds(installed, worker, "other", "Concurrent")["message"]


def test_after_an_incident_the_target_is_left_alone_for_a_while(
    installed: Plane, worker: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    trouble(1, deployment="worker")
    acted(installed, worker)
    trouble(0, deployment="worker")
    eventually(lambda: status(installed, worker).get("closedAt"), "the incident to be closed")
    trouble(1, deployment="worker")
    assert "limits.cooldown ends at" in holds(installed, worker, "worker", "Cooldown")["message"]
    assert effects(installed, worker).count("patch deployments") == 1


def test_a_typo_leaves_the_last_valid_limits_in_force_also_after_a_restart(
    installed: Plane, worker: str, source: str, operator_kubeconfig: Path, trouble: Trouble, tmp_path: Path
) -> None:
    closed = {"name": "night", "start": clock(2), "end": clock(3)}
    installed.apply(guardrails(windows=[closed]))
    with running_operator(operator_kubeconfig, tmp_path / "first.log"):
        eventually(lambda: trips(installed).get("effective", {}).get("windows"), "the limits to be taken in")
        typo = [{**closed, "zone": "Europe/Atlantis"}]
        installed.must(
            *("patch", "guardrails", "cluster", "--type=merge", "-p", json.dumps({"spec": {"windows": typo}}))
        )
        stalled = eventually(
            lambda: [c["message"] for c in trips(installed)["conditions"] if c["type"] == "Stalled"], "Stalled"
        )
        assert "spec.windows[0].zone" in stalled[0]
        assert "the last valid spec stays in force" in stalled[0]
    with running_operator(operator_kubeconfig, tmp_path / "second.log"):
        trouble(1, deployment="worker")
        holding(installed, worker, "OutsideWindow")
        assert effects(installed, worker) == []


def test_there_is_one_guardrails_object(installed: Plane) -> None:
    second = {**guardrails(), **SECOND}
    refused = installed.kubectl("create", "-f", "-", input=json.dumps(second))
    assert "must be cluster" in refused.stderr
