"""idle: memory, CPU and writes of an operator that has nothing to do, with 0 and with 1,000 policies."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.stage import installed, operator, report, source
from tests.support.objects_on_cluster import writes_of_operator
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually

POLICIES = 1_000
NAMESPACES = 20
WINDOW = 30.0


def policies(plane: Plane, count: int) -> None:
    """Apply so many policies over 20 namespaces, each about an alert of its own."""
    names = [f"bench-{number}" for number in range(NAMESPACES)]
    plane.apply(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names))
    for begin in range(0, count, 250):
        plane.apply(*(policy(names[number % NAMESPACES], number) for number in range(begin, min(begin + 250, count))))


def policy(namespace: str, number: int) -> dict[str, object]:
    """One policy of a usual size."""
    ladder = [{"scale": {"replicas": 5}}, {"restart": {}}, {"escalate": {}}]
    spec = {"alert": {"name": f"Alert{number}"}, "target": {"name": f"app-{number}"}, "ladder": ladder}
    return {
        "apiVersion": "goldseam.dev/v1alpha1",
        "kind": "RemediationPolicy",
        "metadata": {"name": f"policy-{number}", "namespace": namespace},
        "spec": spec,
    }


def measured(plane: Plane, process: OperatorProcess) -> tuple[float, float, int]:
    """RSS in MB, CPU in percent of one core, and accepted writes, over the window."""
    before, writes = cpu_seconds(process), written(plane)
    time.sleep(WINDOW)
    cpu = (cpu_seconds(process) - before) / WINDOW * 100
    return rss_mb(process), cpu, written(plane) - writes


def written(plane: Plane) -> int:
    """Accepted writes, without the Lease's, which is renewed every 2 s, and without reviews, which change nothing."""
    uncounted = ("leases", "subjectaccessreviews")
    return sum(entry["objectRef"]["resource"] not in uncounted for entry in writes_of_operator(plane))


def rss_mb(process: OperatorProcess) -> float:
    """Resident memory."""
    for line in Path(f"/proc/{process.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def cpu_seconds(process: OperatorProcess) -> float:
    """CPU time used so far."""
    fields = Path(f"/proc/{process.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def armed(plane: Plane) -> int:
    """How many policies have been judged."""
    return sum(bool(p.get("status", {}).get("conditions")) for p in plane.all("rempol"))


def main() -> None:
    """Measure with nothing, then with 1,000 policies."""
    with installed() as (plane, home):
        source(plane, "15s")
        with operator(plane, home) as process:
            time.sleep(5)
            rss_0, cpu_0, writes_0 = measured(plane, process)
            begun = time.monotonic()
            policies(plane, POLICIES)
            eventually(lambda: armed(plane) == POLICIES, "all policies to be judged", 300)
            taken = time.monotonic() - begun
            time.sleep(20)
            rss_1000, cpu_1000, writes_1000 = measured(plane, process)
        report(
            f"idle, {WINDOW:g} s each, AlertSource read every 15 s",
            {
                "rss_mb_0": round(rss_0, 1),
                "rss_mb_1000": round(rss_1000, 1),
                "cpu_percent_0": round(cpu_0, 2),
                "cpu_percent_1000": round(cpu_1000, 2),
                "writes": writes_0 + writes_1000,
                "seconds_to_judge_1000": round(taken, 1),
            },
        )


if __name__ == "__main__":
    main()
