"""latency: from the evaluation that made the alert fire to the first write to the target that the API server accepted.

Side by side, on one rule and one control plane: Goldseam by its polls alone (every 15 s), the way of those that act on
Alertmanager's webhook (`group_wait` of 30 s, which is its default, and of 0 s), and Goldseam by Prometheus' pushes; the
last again while CROWD (1,000) other policies wait and as many other alerts fire.

The beginning is Prometheus' `activeAt` (a rule without `for` fires at the evaluation at which it becomes active), the
end is the API server's audit log; both clocks are this machine's. Each of the ALERTS (100) has a target of its own.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from benchmarks import policies as crowds
from benchmarks.idle import written
from benchmarks.peer import peer
from benchmarks.stage import installed, operator, report, source
from tests.support.exporter import Exporter, exporter
from tests.support.objects_on_cluster import deployment, guardrails, policy, source_says
from tests.support.operator_process import OperatorProcess, free_port
from tests.support.plane import Plane, eventually
from tests.support.pushers import alertmanager_routes, prometheus_pushes
from tests.support.pushing import TOKEN

ALERTS = int(os.environ.get("ALERTS", "100"))
CROWD = int(os.environ.get("CROWD", "1000"))
EVERY = float(os.environ.get("EVERY", "2.0"))
"""Seconds between two alerts of one way."""
GOLDSEAM, PEERS = ("poll", "push", "crowded"), ("webhook_default", "webhook_0s")
FIRES = {"poll": 25.0, "webhook_default": 45.0}
"""For how many seconds each alert fires; 6 for the other ways."""
PODS_A_NODE = 100
QUIET = 20.0
"""Seconds without a write of the operator, after which the crowd counts as settled."""

Place = tuple[str, str]


def where(way: str) -> str:
    """The namespace of a way."""
    return f"latency-{way.replace('_', '-')}"


class Timetable:
    """Makes alerts fire and end, and notes since when Prometheus says that each is active."""

    def __init__(self, plane: Plane, exporting: Exporter) -> None:
        self._plane, self._exporting = plane, exporting
        self.active: dict[Place, datetime] = {}

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Ask Prometheus each second."""
        over = threading.Event()

        def note() -> None:
            while not over.wait(1):
                with urllib.request.urlopen(self._plane.prometheus + "/api/v1/alerts", timeout=10) as answer:
                    for alert in json.loads(answer.read())["data"]["alerts"]:
                        place = alert["labels"].get("namespace", ""), alert["labels"].get("deployment", "")
                        if alert["state"] == "firing" and place not in self.active:
                            self.active[place] = datetime.fromisoformat(alert["activeAt"][:26].rstrip("Z") + "+00:00")

        thread = threading.Thread(target=note, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(20)

    def run(self, *ways: str) -> None:
        """All alerts of these ways, each way's one after another, not in step with polls and evaluations."""
        moments: list[tuple[float, float, Place]] = []
        for way in ways:
            for number in range(ALERTS):
                begins, place = number * EVERY + random.uniform(0, EVERY), (where(way), f"app-{number}")
                moments += [(begins, 1, place), (begins + FIRES.get(way, 6.0), 0, place)]
        begun = time.monotonic()
        with self.noting():
            for at, value, (namespace, name) in sorted(moments):
                time.sleep(max(0.0, begun + at - time.monotonic()))
                self._exporting.set(value, about="Trouble", namespace=namespace, deployment=name)
            time.sleep(5)


def first_writes(plane: Plane) -> dict[Place, datetime]:
    """When the API server had accepted the first change of each Deployment's scale."""
    found: dict[Place, datetime] = {}
    for entry in plane.audit():
        ref, code = entry.get("objectRef") or {}, entry.get("responseStatus", {}).get("code", 0)
        scaled = (entry["verb"], ref.get("resource"), ref.get("subresource")) == ("patch", "deployments", "scale")
        if scaled and code < 300 and "dryRun" not in entry["requestURI"]:
            found.setdefault((ref["namespace"], ref["name"]), datetime.fromisoformat(entry["stageTimestamp"]))
    return found


def prepared(plane: Plane) -> None:
    """A namespace for each way with its workloads; a policy in those of Goldseam's; limits that none of it meets."""
    plenty = [{"count": 10_000, "per": "1h"}]
    budgets = {"cluster": plenty, "namespace": plenty}
    storm = {"rules": 10_000, "namespaces": 10_000}
    plane.apply(guardrails(budgets=budgets, breaker={"atLeast": 10_000}, storm=storm))
    for way in (*GOLDSEAM, *PEERS):
        plane.must("create", "namespace", where(way))
        plane.apply(*(deployment(where(way), f"app-{number}", 1) for number in range(ALERTS)))
        if way in GOLDSEAM:
            rung = {"scale": {"replicas": 2}, "timeout": "5m"}
            plane.apply(policy(where(way), rung, limits={"actions": plenty, "concurrent": 10_000}))
    plane.rules("latency", [{"alert": "Trouble", "expr": 'trouble{about="Trouble"} > 0'}])
    eventually(lambda: all_run(plane), "all workloads to run", 600)


def all_run(plane: Plane) -> bool:
    """Whether every workload has its pod."""
    found = [d for way in (*GOLDSEAM, *PEERS) for d in plane.all("deployments", where(way))]
    return all((d.get("status") or {}).get("readyReplicas") for d in found)


def routes(url: str) -> dict[str, Any]:
    """Alertmanager's configuration for the peer: each alert a group of its own, the best case for it."""
    route = {"receiver": "peer", "group_by": ["..."]}
    waits = {"webhook_default": "30s", "webhook_0s": "0s"}
    each = [{**route, "matchers": [f'namespace="{where(way)}"'], "group_wait": wait} for way, wait in waits.items()]
    receivers = [{"name": "nobody"}, {"name": "peer", "webhook_configs": [{"url": url}]}]
    return {"route": {"receiver": "nobody", "routes": each}, "receivers": receivers}


def crowd(plane: Plane, exporting: Exporter) -> None:
    """Other policies, and as many other alerts, which fire in namespaces where nobody waits for them."""
    spaces = sorted({crowds.namespace(number) for number in range(CROWD)})
    plane.apply(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in spaces))
    crowds.rules(plane)
    for begin in range(0, CROWD, 250):
        plane.apply(*(crowds.policy(number) for number in range(begin, min(begin + 250, CROWD))))
    for number in range(CROWD):
        exporting.set(1, alert=str(number % crowds.ALERTS), namespace=f"elsewhere-{number}", deployment="app")
    eventually(lambda: crowds.judged(plane) >= CROWD, "all policies to be judged", 600)
    before, counted = -1, written(plane)
    while before != counted:  # their conditions say something new also when the source was read
        time.sleep(QUIET)
        before, counted = counted, written(plane)


def running(plane: Plane, process: OperatorProcess) -> None:
    """Wait until the source was read, and the rule seen to be evaluated."""
    eventually(lambda: source_says(plane, "SourceReachable")[0] == "True", "the source to be read")
    before = process.metric(r"goldseam_source_reads_total\S*")
    eventually(lambda: process.metric(r"goldseam_source_reads_total\S*") >= before + 2, "it to be read again", 60)


def figures(table: Timetable, writes: dict[Place, datetime]) -> dict[str, object]:
    """Median, 99th percentile and largest of each way; how many alerts Prometheus was not seen to show, and how many of
    the others had no write."""
    found: dict[str, object] = {}
    for way in ("poll", "push", "crowded", *PEERS):
        places = [(where(way), f"app-{number}") for number in range(ALERTS)]
        both = [place for place in places if place in table.active and place in writes]
        taken = sorted((writes[place] - table.active[place]).total_seconds() for place in both)
        key = "push_crowded" if way == "crowded" else way
        if len(taken) > 1:
            found[f"{key}_p50_s"] = round(statistics.median(taken), 3)
            found[f"{key}_p99_s"] = round(statistics.quantiles(taken, n=100, method="inclusive")[98], 3)
            found[f"{key}_max_s"] = round(taken[-1], 3)
        found[f"{key}_unseen"] = sum(place not in table.active for place in places)
        found[f"{key}_unwritten"] = sum(place in table.active and place not in writes for place in places)
    return found


def main() -> None:
    """All ways, one run."""
    port = free_port()
    settings = {"receiver_port": str(port), "receiver_host": "127.0.0.1"}
    nodes = 3 + 2 * ALERTS * len((*GOLDSEAM, *PEERS)) // PODS_A_NODE
    with installed(nodes) as (plane, home), exporter(plane) as exporting, peer(plane, home, 2) as url:
        (home / "token").write_text(TOKEN)
        prepared(plane)
        source(plane, "15s")
        table = Timetable(plane, exporting)
        with operator(plane, home, **settings, receiver_token_file=str(home / "token")) as process:
            running(plane, process)
            with alertmanager_routes(plane, routes(url)):
                table.run("poll", *PEERS)
            with prometheus_pushes(plane, [port], home / "token", "Trouble.*"):
                table.run("push")
                crowd(plane, exporting)
                table.run("crowded")
        found = figures(table, first_writes(plane))
    report(f"firing to first accepted write, {ALERTS} alerts each, {CROWD} others; rules evaluated every 1 s", found)


if __name__ == "__main__":
    main()
