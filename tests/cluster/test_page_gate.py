"""The page gate on a real Alertmanager, with a receiver that records: nobody is called for what heals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.alertmanager_process import (
    Pages,
    alerts,
    another_alertmanager,
    gates,
    paging,
    silence,
)
from tests.support.objects_on_cluster import (
    alert_source,
    deployment,
    effects,
    pause,
    policy,
    reached,
    running,
    source_says,
    status,
)
from tests.support.operator_process import OperatorProcess, free_port
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.sampling import SLOW

Trouble = Callable[..., None]
LONG = {"restart": {}, "timeout": "120s"}


@pytest.fixture
def pages(installed: Plane) -> Iterator[Pages]:
    with paging(installed) as found:
        yield found


def watched(plane: Plane, *urls: str, **spec: Any) -> None:
    """The default AlertSource, with Alertmanagers; by default that of the plane."""
    called = {"urls": list(urls) or [plane.alertmanager]}
    plane.apply(alert_source(plane.prometheus, interval="1s", alertmanager=called, **spec))


def healing(plane: Plane, namespace: str, trouble: Trouble, *ladder: dict[str, Any], **spec: Any) -> None:
    """An incident at which something is under way."""
    plane.apply(deployment(namespace, "worker"), policy(namespace, *(ladder or (LONG,)), **spec))
    running(plane, namespace, "worker", 3)
    trouble(1, deployment="worker")
    eventually(lambda: effects(plane, namespace) == ["patch deployments"], "the restart")


def gated(plane: Plane, namespace: str) -> dict[str, Any]:
    """The one silence of the page gate, once the alert is silenced by it."""

    def ask() -> dict[str, Any]:
        found, known = gates(plane.alertmanager, namespace), alerts(plane.alertmanager, namespace, "Trouble")
        held = [alert for alert in known if alert["status"]["state"] == "suppressed"]
        assert len(found) <= 1, found
        return found[0] if found and held else {}

    return eventually(ask, "the alert to be silenced")


def test_nobody_is_called_for_what_is_healed_and_for_another_alert_of_the_namespace_as_ever(
    installed: Plane, namespace: str, pages: Pages, operator: OperatorProcess, trouble: Trouble
) -> None:
    watched(installed)
    healing(installed, namespace, trouble)
    found = gated(installed, namespace)
    incident = installed.all("incidents", namespace)[0]["metadata"]["name"]
    assert found["createdBy"] == f"goldseam:{namespace}/{incident}"
    assert {m["name"] for m in found["matchers"]} == {
        "alertname", "namespace", "deployment", "severity", "about", "instance", "job", "goldseam",
    }  # fmt: skip
    trouble(1, alert="Other", pod="x")  # begins later, and is told later
    eventually(lambda: pages.of(namespace, "Other"), "people to be called for the other alert")
    assert status(installed, namespace)["phase"] == "Fixing"
    trouble(0, deployment="worker")
    reached(installed, namespace, "Resolved")
    eventually(lambda: not gates(installed.alertmanager, namespace), "the silence to be ended")
    assert pages.of(namespace, "Trouble") == []
    assert source_says(installed, "PageGate") == ("True", "the last silence was taken")


def test_when_the_ladder_is_used_up_people_are_called_once_with_all_that_was_tried(
    installed: Plane, namespace: str, pages: Pages, operator: OperatorProcess, trouble: Trouble
) -> None:
    watched(installed)
    healing(installed, namespace, trouble, {"restart": {}, "timeout": "5s"})
    reached(installed, namespace, "Escalated")
    (called,) = eventually(lambda: pages.of(namespace, "GoldseamEscalated"), "people to be called")
    (page,) = called["alerts"]
    assert (page["labels"]["threshold"], page["labels"]["severity"]) == ("ladderExhausted", "critical")
    assert (page["labels"]["alert"], page["labels"]["deployment"]) == ("Trouble", "worker")
    assert "Tried: restart (Failed)" in page["annotations"]["description"]
    eventually(lambda: pages.of(namespace, "Trouble"), "the alert itself to be told as ever")
    eventually(lambda: status(installed, namespace)["escalations"][0].get("notified"), "the record to say so")
    trouble(0, deployment="worker")
    reached(installed, namespace, "Resolved")
    eventually(lambda: pages.of(namespace, "GoldseamEscalated", "resolved"), "the call to be ended", 90)
    assert len(pages.of(namespace, "GoldseamEscalated")) == 1


def test_when_somebody_pauses_it_people_are_called_as_ever(
    installed: Plane, namespace: str, pages: Pages, operator: OperatorProcess, trouble: Trouble
) -> None:
    watched(installed)
    healing(installed, namespace, trouble)
    gated(installed, namespace)
    installed.apply(pause(namespace))
    eventually(lambda: pages.of(namespace, "Trouble"), "people to be called", 60)
    assert gates(installed.alertmanager, namespace) == []
    reasons = [event.get("reason") for event in installed.all("events.events.k8s.io", namespace)]
    assert (reasons.count("PageHeld"), reasons.count("PageReleased")) == (1, 1)


@SLOW
def test_another_operator_goes_on_with_the_same_silence(
    installed: Plane, namespace: str, pages: Pages, operator_kubeconfig: Path, trouble: Trouble, tmp_path: Path
) -> None:
    watched(installed)
    with running_operator(operator_kubeconfig, tmp_path / "first.log") as first:
        healing(installed, namespace, trouble)
        before = gated(installed, namespace)
        first.kill()
    with running_operator(operator_kubeconfig, tmp_path / "second.log"):

        def renewed() -> bool:
            (now,) = gates(installed.alertmanager, namespace, active=False)
            assert now["id"] == before["id"]
            return bool(now["endsAt"] > before["endsAt"])

        eventually(renewed, "the silence to be renewed", 90)
    assert pages.of(namespace, "Trouble") == []


@SLOW
def test_of_two_alertmanagers_that_gossip_either_is_enough(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, tmp_path: Path
) -> None:
    ports = free_port(), free_port()
    with (
        another_alertmanager(installed, tmp_path / "a", gossip=ports[0]) as (a, first),
        another_alertmanager(installed, tmp_path / "b", gossip=ports[1], peer=ports[0]) as (b, _),
    ):
        watched(installed, a, b)
        healing(installed, namespace, trouble)
        for url in (a, b):
            eventually(lambda url=url: gates(url, namespace), f"the silence in {url}")
        (before,) = gates(b, namespace, active=False)
        first.kill()

        def renewed() -> bool:
            (now,) = gates(b, namespace, active=False)
            return bool(now["id"] == before["id"] and now["endsAt"] > before["endsAt"])

        eventually(renewed, "the other one to renew it", 90)
        eventually(lambda: source_says(installed, "AlertmanagerReachable")[0] == "False", "the loss to be said")


def test_one_that_takes_no_silence_is_said_on_the_source_and_healing_goes_on(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, tmp_path: Path
) -> None:
    with another_alertmanager(installed, tmp_path / "am", "--silences.max-silences=1") as (url, _):
        silence(url, "another-namespace")
        watched(installed, url)
        healing(installed, namespace, trouble)
        refused = (f"{url}: HTTP 400: the Alertmanager API refuses what was sent",)
        eventually(lambda: source_says(installed, "PageGate")[1:] == refused, "the refusal to be said")
        assert source_says(installed, "AlertmanagerReachable")[0] == "True"
