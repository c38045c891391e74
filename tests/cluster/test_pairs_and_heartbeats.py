"""A source of two real servers, and one with a heartbeat: what is believed, and what is not."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.objects_on_cluster import (
    alert_source,
    deployment,
    effects,
    outcomes,
    policy,
    running,
    source_says,
    status,
)
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually
from tests.support.prometheus import another_prometheus

Trouble = Callable[..., None]
LAST_READ = r"goldseam_source_last_read_timestamp_seconds\S*"
SCALE = {"scale": {"replicas": 4}, "timeout": "180s"}


def fires(plane: Plane, namespace: str) -> bool:
    """Whether the first server shows an alert of this namespace."""
    with urllib.request.urlopen(plane.prometheus + "/api/v1/alerts", timeout=5) as answer:
        alerts = json.loads(answer.read())["data"]["alerts"]
    return any(a["labels"].get("namespace") == namespace and a["state"] == "firing" for a in alerts)


def source(plane: Plane, **spec: Any) -> None:
    plane.apply(alert_source(plane.prometheus, interval="1s", **spec))


def test_an_alert_that_one_of_a_pair_shows_is_healed_and_not_over_while_the_other_is_away(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, tmp_path: Path
) -> None:
    trouble(0, deployment="worker")  # the first server has the rule, and shows nothing
    fires = {"alert": "Trouble", "expr": "vector(1)", "labels": {"namespace": namespace, "deployment": "worker"}}
    with another_prometheus(installed, tmp_path / "second", fires) as (port, process):
        source(installed, replicas=[f"http://127.0.0.1:{port}"])
        installed.apply(deployment(namespace, "worker"), policy(namespace, SCALE))
        running(installed, namespace, "worker", 4)
        process.kill()
        eventually(lambda: source_says(installed, "SourceReachable")[0] == "False", "the one that is away to be told")
        assert f"http://127.0.0.1:{port}: cannot connect" in source_says(installed, "SourceReachable")[1]
        eventually(lambda: status(installed, namespace)["verdict"]["state"] == "Unknown", "the verdict to be Unknown")
    assert status(installed, namespace)["phase"] == "Fixing"
    source(installed, replicas=[])
    eventually(
        lambda: status(installed, namespace)["phase"] == "Resolved", "the other to be enough when it is alone", 90
    )
    assert outcomes(status(installed, namespace)) == [("scale", "Passed")]
    assert effects(installed, namespace)[0] == "patch deployments/scale"


def test_nothing_is_done_before_the_heartbeat_is_seen(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    source(installed, heartbeat={"alert": f"Watchdog-{namespace}"})
    installed.apply(deployment(namespace, "worker"), policy(namespace, SCALE))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    eventually(lambda: source_says(installed, "HeartbeatSeen")[0] == "False", "the missing heartbeat to be told")
    eventually(lambda: source_says(installed, "SourceReachable")[0] == "True", "the source to be read")
    assert "does not fire freshly" in source_says(installed, "HeartbeatSeen")[1]
    eventually(lambda: fires(installed, namespace), "the alert to fire")
    fired = time.time()
    eventually(lambda: operator.metric(LAST_READ) > fired + 3, "it to be read some times")
    assert status(installed, namespace) == {}, "an alert that cannot be believed opens nothing"
    trouble(1, alert=f"Watchdog-{namespace}")
    running(installed, namespace, "worker", 4)
    assert source_says(installed, "HeartbeatSeen")[0] == "True"
