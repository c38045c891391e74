"""policies: what a cluster full of policies and alerts costs: 100, 1,000 and 10,000 policies, as many firing alerts, of
which a tenth are open incidents that wait for their budget."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from benchmarks.idle import cpu_seconds, rss_mb, written
from benchmarks.stage import installed, operator, report, source
from tests.support.exporter import Exporter, exporter
from tests.support.objects_on_cluster import guardrails
from tests.support.operator_process import OperatorProcess, service_account
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually

SIZES = tuple(int(size) for size in os.environ.get("SIZES", "100,1000,10000").split(","))
EVERY = "15s"
"""Between two scrapes, and between two evaluations: each second would keep a core busy on this side of the API."""
ALERTS = 100
"""Alert names: so many policies a namespace, one for each name."""
CYCLE = 15.0
"""Seconds between two reads of the source."""
CYCLES = int(os.environ.get("CYCLES", "8"))
SETTLE = float(os.environ.get("SETTLE", "300"))
"""Seconds that incidents are given to come to rest: what waits is looked at ever more seldom."""


def namespace(number: int) -> str:
    """The namespace of the policy of that number."""
    return f"bench-{number // ALERTS}"


def policy(number: int) -> dict[str, object]:
    """A policy in mode Act, about an alert of its own namespace and a Deployment of its own."""
    spec = {
        "mode": "Act",
        "alert": {"name": f"Trouble{number % ALERTS}"},
        "target": {"name": f"app-{number}"},
        "ladder": [{"restart": {}, "timeout": "2h"}, {"escalate": {}}],  # what was done is watched all the while
    }
    return {
        "apiVersion": "goldseam.dev/v1alpha1",
        "kind": "RemediationPolicy",
        "metadata": {"name": f"policy-{number}", "namespace": namespace(number)},
        "spec": spec,
    }


def workload(number: int) -> dict[str, object]:
    """A Deployment of one pod."""
    labels = {"app": f"app-{number}"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "busybox:1.37"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"app-{number}", "namespace": namespace(number)},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod},
    }


def is_open(number: int) -> bool:
    """Whether the alert of this number is a policy's."""
    return number % 10 == 0


def grown(plane: Plane, exporting: Exporter, have: int, size: int) -> None:
    """Policies and alerts up to `size`; nine of ten alerts are in namespaces where nobody waits for them."""
    spaces = sorted({namespace(number) for number in range(have, size)})
    plane.apply(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in spaces))
    for begin in range(have, size, 250):
        numbers = range(begin, min(begin + 250, size))
        plane.apply(*(policy(number) for number in numbers), *(workload(n) for n in numbers if is_open(n)))
    for number in range(have, size):
        where = namespace(number) if is_open(number) else f"elsewhere-{number // ALERTS}"
        exporting.set(1, alert=str(number % ALERTS), namespace=where, deployment=f"app-{number}")


def rules(plane: Plane) -> None:
    """One rule for each alert name, each with the alerts of every namespace."""
    expressions = [f'trouble{{alert="{number}"}} > 0' for number in range(ALERTS)]
    kept = {"keep_firing_for": "2m"}  # one scrape that a busy machine misses would wake every incident
    crowd = [{"alert": f"Trouble{n}", "expr": expr} | kept for n, expr in enumerate(expressions)]
    plane.rules("bench", crowd, EVERY)


def incidents(plane: Plane) -> int:
    """How many incidents there are."""
    return len(plane.must("get", "incidents", "-A", "--no-headers", "-o", "name").splitlines())


def judged(plane: Plane) -> int:
    """How many policies have conditions."""
    path = "{range .items[*]}{.status.conditions[0].status}{'\\n'}{end}"
    return sum(bool(line) for line in plane.must("get", "rempol", "-A", "-o", f"jsonpath={path}").splitlines())


def at_rest(plane: Plane, process: OperatorProcess) -> None:
    """Wait until nothing is written any more, for as long as it takes the looks to become seldom."""
    deadline, quiet, last = time.monotonic() + 900, 0.0, written(plane)
    while quiet < SETTLE and time.monotonic() < deadline:
        time.sleep(CYCLE)
        count = written(plane)
        quiet, last = (quiet + CYCLE, count) if count == last else (0.0, count)


def measured(plane: Plane, process: OperatorProcess, size: int) -> dict[str, float]:
    """CPU seconds a cycle, memory and writes, at rest."""
    # seldom: ten thousand objects are much to read
    eventually(lambda: judged(plane) >= size, "all policies to be judged", 900, CYCLE)
    eventually(lambda: incidents(plane) >= size // 10, "all incidents to be open", 900, CYCLE)
    at_rest(plane, process)
    cpu, writes = cpu_seconds(process), written(plane)
    time.sleep(CYCLES * CYCLE)
    return {
        "rss_mb": round(rss_mb(process), 1),
        "cpu_s_per_cycle": round((cpu_seconds(process) - cpu) / CYCLES, 3),
        "writes_idle": written(plane) - writes,
    }


def restarted(plane: Plane, home: Path) -> float:
    """Seconds from the start of another process to its being ready, as leader."""
    begun = time.monotonic()
    with running_operator(service_account(plane, home), home / "again.log", recorded=False):
        return round(time.monotonic() - begun, 1)


def main() -> None:
    """Measure each size in one run, and how the cost grows."""
    found: dict[int, dict[str, float]] = {}
    with installed(nodes=12) as (plane, home), exporter(plane, EVERY) as exporting:
        source(plane, f"{CYCLE:g}s")
        rules(plane)
        never = {"rules": 10_000, "namespaces": 10_000}  # all alerts begin at once; else the storm holds, and then ends
        plane.apply(guardrails(breaker={"atLeast": 10_000}, storm=never))
        with operator(plane, home) as process:
            have = 0
            for size in SIZES:
                grown(plane, exporting, have, size)
                found[size], have = measured(plane, process, size), size
                print(f"  {size}: {json.dumps(found[size])}", flush=True)
            process.stop()
        ready = restarted(plane, home)
    before, last = found[SIZES[-2]] if len(SIZES) > 1 else found[SIZES[-1]], found[SIZES[-1]]
    growth = last["cpu_s_per_cycle"] / max(before["cpu_s_per_cycle"], 0.001) / (SIZES[-1] / SIZES[max(-2, -len(SIZES))])
    title = (
        f"policies, as many firing alerts, a tenth of them open incidents; a cycle is {CYCLE:g} s; {CYCLES} cycles each"
    )
    sizes = {f"{name}_{size}": value for size, row in found.items() for name, value in row.items()}
    report(title, {**sizes, **last, "ready_s": ready, "growth": round(growth, 2)})


if __name__ == "__main__":
    main()
