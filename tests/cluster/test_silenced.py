"""What people have silenced, or another alert inhibits, is not touched: asked of a real Alertmanager before acting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.alertmanager_process import alerts, expire, gates, paging, silence
from tests.support.objects_on_cluster import (
    alert_source,
    deployment,
    effects,
    holding,
    pause,
    policy,
    running,
    source_says,
    status,
)
from tests.support.operator_process import OperatorProcess, free_port
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]


def watched(plane: Plane, *urls: str, **spec: Any) -> None:
    called = {"urls": [plane.alertmanager, *urls]}
    plane.apply(alert_source(plane.prometheus, interval="1s", alertmanager=called, **spec))


def troubled(plane: Plane, namespace: str, trouble: Trouble, **spec: Any) -> None:
    plane.apply(deployment(namespace, "worker"), policy(namespace, {"restart": {}, "timeout": "60s"}, **spec))
    running(plane, namespace, "worker", 3)
    trouble(1, deployment="worker")


def acted(plane: Plane, namespace: str) -> None:
    eventually(lambda: effects(plane, namespace) == ["patch deployments"], "the restart", 60)


def test_a_silence_made_after_the_incident_was_opened_and_before_the_act_holds_until_it_ends(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    watched(installed)
    installed.apply(pause(namespace))
    troubled(installed, namespace, trouble)
    holding(installed, namespace, "Paused")
    by_jane = silence(installed.alertmanager, namespace)
    eventually(
        lambda: [a["status"]["state"] for a in alerts(installed.alertmanager, namespace, "Trouble")] == ["suppressed"],
        "the silence to be in force",
    )
    installed.must("-n", namespace, "delete", "pauses", "--all")
    hold = holding(installed, namespace, "Silenced")
    assert hold["message"].startswith("silenced by jane until ")
    assert hold["message"].endswith(": we deploy")
    assert status(installed, namespace)["pausedSince"], "it does not count towards calling people"
    assert effects(installed, namespace) == []
    expire(installed.alertmanager, by_jane)
    acted(installed, namespace)


def test_an_alert_that_another_one_inhibits_is_not_acted_on_until_that_one_is_over(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    rule = {"source_matchers": ["alertname=Root"], "target_matchers": ["alertname=Trouble"], "equal": ["namespace"]}
    with paging(installed, inhibit_rules=[rule]):
        watched(installed)
        trouble(1, alert="Root", pod="x")
        eventually(lambda: alerts(installed.alertmanager, namespace, "Root"), "the root cause to be known")
        troubled(installed, namespace, trouble)
        assert holding(installed, namespace, "Silenced")["message"] == "inhibited by the alert Root"
        assert effects(installed, namespace) == []
        trouble(0, alert="Root", pod="x")
        acted(installed, namespace)


def test_an_alertmanager_that_is_away_and_has_no_other_to_speak_for_it_holds_or_as_the_source_says(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    watched(installed, nobody)
    troubled(installed, namespace, trouble)
    hold = holding(installed, namespace, "SilenceUnknown")
    assert f"{nobody}: cannot connect: connection refused" in hold["message"]
    eventually(lambda: source_says(installed, "AlertmanagerReachable")[0] == "False", "the source to say so")
    assert effects(installed, namespace) == []
    watched(installed, nobody, onAlertmanagerDown="Proceed")
    acted(installed, namespace)
    assert len(gates(installed.alertmanager, namespace)) == 1, "people are kept from being called where it can be done"
