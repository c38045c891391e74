"""latency: from the evaluation that made the alert fire to the first write to the target that the API server accepted.

The beginning is Prometheus' `activeAt` (a rule without `for` fires at the evaluation at which it becomes active), the
end is the API server's audit log; both clocks are this machine's.
"""

from __future__ import annotations

import json
import statistics
import time
import urllib.request
from datetime import datetime

from benchmarks.stage import installed, operator, report, source
from tests.support.exporter import Exporter, exporter
from tests.support.objects_on_cluster import deployment, policy, running, writes_of_operator
from tests.support.plane import Plane, eventually

RUNS = 8
NAMESPACE = "latency"


def once(plane: Plane, exporting: Exporter, number: int) -> float:
    """One alert on a target of its own: seconds from firing to the first write."""
    name = f"app-{number}"
    plane.apply(deployment(NAMESPACE, name, 2))
    running(plane, NAMESPACE, name, 2)
    time.sleep(number * 1.7 % 5)  # not always at the same moment of the poll
    exporting.set(1, about="Trouble", namespace=NAMESPACE, deployment=name)
    active = eventually(lambda: active_at(plane, name), "the alert to fire", 90)
    write = eventually(lambda: first_write(plane, name), "the first write", 120)
    exporting.set(0, about="Trouble", namespace=NAMESPACE, deployment=name)
    return (write - active).total_seconds()


def active_at(plane: Plane, name: str) -> datetime | None:
    """Since when the alert is active, as Prometheus says."""
    with urllib.request.urlopen(plane.prometheus + "/api/v1/alerts", timeout=5) as answer:
        alerts = json.loads(answer.read())["data"]["alerts"]
    for alert in alerts:
        if alert["labels"].get("deployment") == name and alert["state"] == "firing":
            return datetime.fromisoformat(alert["activeAt"][:26].rstrip("Z") + "+00:00")
    return None


def first_write(plane: Plane, name: str) -> datetime | None:
    """When the API server had accepted the first write to the target."""
    for entry in writes_of_operator(plane):
        ref = entry["objectRef"]
        if ref.get("resource") == "deployments" and ref.get("name") == name:
            return datetime.fromisoformat(entry["stageTimestamp"])
    return None


def main() -> None:
    """Eight alerts, with a poll every 5 s, and with one every second."""
    figures: dict[str, object] = {}
    with installed() as (plane, home), exporter(plane) as exporting:
        plane.must("create", "namespace", NAMESPACE)
        rule = {"alert": "Trouble", "expr": 'trouble{about="Trouble"} > 0'}
        plane.rules("latency", [rule])
        limits = {"actions": [{"count": 1000, "per": "1h"}], "concurrent": 2 * RUNS}  # none waits for another
        budgets = {"cluster": [{"count": 1000, "per": "1h"}], "namespace": [{"count": 1000, "per": "1h"}]}
        plane.apply(policy(NAMESPACE, {"scale": {"replicas": 3}}, limits=limits))
        guardrails = {"apiVersion": "goldseam.dev/v1alpha1", "kind": "Guardrails", "metadata": {"name": "cluster"}}
        breaker = {"atLeast": 100}  # three at once of a few targets would trip it
        plane.apply({**guardrails, "spec": {"budgets": budgets, "breaker": breaker}})
        for interval in ("5s", "1s"):
            source(plane, interval)
            with operator(plane, home):
                time.sleep(3)
                offset = 0 if interval == "5s" else RUNS
                taken = sorted(once(plane, exporting, number + offset) for number in range(RUNS))
            key = "poll" if interval == "5s" else f"poll_{interval}"
            figures |= {f"{key}_p50_s": round(statistics.median(taken), 2), f"{key}_max_s": round(taken[-1], 2)}
    report(f"firing to first accepted write, {RUNS} alerts each, rule evaluated every 1 s", figures)


if __name__ == "__main__":
    main()
