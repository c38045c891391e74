"""receiver: what a flood of hints costs: RATE (1,000) pushes a second for LASTS (30) seconds, forged, about an alert
that a policy waits for and that does not fire. Then one push of 10,000 alerts. It ends by itself in any case.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

from benchmarks.idle import cpu_seconds, rss_mb
from benchmarks.stage import installed, operator, report, source
from tests.support.objects_on_cluster import deployment, policy, source_says, writes_of_operator
from tests.support.operator_process import OperatorProcess, free_port
from tests.support.plane import Plane, eventually
from tests.support.pushing import TOKEN, alert

RATE = int(os.environ.get("RATE", "1000"))
SECONDS = float(os.environ.get("LASTS", "30"))
CONNECTIONS = 32
AT_ONCE = 500
"""Pushes under way at once; one that finds no place is not sent, and counted."""
NAMESPACE = "receiver"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
BODY = json.dumps([alert("Trouble", namespace=NAMESPACE, deployment="app", pod=f"app-{n}") for n in range(5)]).encode()


@dataclass
class Flood:
    """What became of the pushes."""

    answers: Counter[int] = field(default_factory=Counter)
    taken: list[float] = field(default_factory=list)
    """Seconds until each answer, counted from when it was to be sent."""
    unsent: int = 0
    peak_mb: float = 0.0

    async def run(self, url: str, process: OperatorProcess) -> None:
        """Send, at the times at which they are due."""
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(connector=connector, headers=HEADERS, timeout=timeout) as session:
            begun, under_way = time.monotonic(), set[asyncio.Task[None]]()
            for number in range(int(RATE * SECONDS)):
                due = begun + number / RATE
                if (wait := due - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                if number % RATE == 0:
                    self.peak_mb = max(self.peak_mb, rss_mb(process))
                if len(under_way) >= AT_ONCE:
                    self.unsent += 1
                    continue
                task = asyncio.create_task(self._push(session, url, due))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await asyncio.gather(*under_way)

    async def _push(self, session: aiohttp.ClientSession, url: str, due: float) -> None:
        try:
            async with session.post(url, data=BODY) as answer:
                await answer.read()
                self.answers[answer.status] += 1
        except (aiohttp.ClientError, OSError):
            self.answers[0] += 1
        self.taken.append(time.monotonic() - due)


async def large(url: str) -> tuple[int, float]:
    """One push of 10,000 alerts: its answer, and the milliseconds to it."""
    body = json.dumps([alert("Trouble", namespace=NAMESPACE, pod=f"app-{n}") for n in range(10_000)]).encode()
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        begun = time.monotonic()
        async with session.post(url, data=body) as answer:
            return answer.status, (time.monotonic() - begun) * 1_000


def effects(plane: Plane) -> int:
    """Accepted writes to anything but what the operator keeps for itself."""
    own = ("goldseam.dev", "coordination.k8s.io", "authorization.k8s.io", "events.k8s.io")
    return sum(entry["objectRef"].get("apiGroup") not in own for entry in writes_of_operator(plane))


def main() -> None:
    """Measure."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/v2/alerts"
    with installed() as (plane, home):
        (home / "token").write_text(TOKEN)
        plane.must("create", "namespace", NAMESPACE)
        plane.rules("receiver", [{"alert": "Trouble", "expr": "vector(1) > 2"}])
        plane.apply(deployment(NAMESPACE, "app", 1), policy(NAMESPACE, {"scale": {"replicas": 3}}))
        source(plane, "15s")
        settings = {"receiver_port": str(port), "receiver_host": "127.0.0.1", "receiver_token_file": home / "token"}
        with operator(plane, home, **{name: str(value) for name, value in settings.items()}) as process:
            eventually(lambda: source_says(plane, "SourceReachable")[0] == "True", "the source to be read")
            time.sleep(5)
            before, cpu, flood = rss_mb(process), cpu_seconds(process), Flood()
            begun = time.monotonic()
            asyncio.run(flood.run(url, process))
            lasted, cpu = time.monotonic() - begun, cpu_seconds(process) - cpu
            status, taken = asyncio.run(large(url))
            woken = process.metric(r"goldseam_source_reads_woken_total\S*")
            figures = {
                "rss_mb_before": round(before, 1),
                "rss_mb_peak": round(max(flood.peak_mb, rss_mb(process)), 1),
                "cpu_percent": round(100 * cpu / lasted, 1),
                "answer_p50_ms": round(1_000 * statistics.median(flood.taken), 1),
                "answer_p99_ms": round(1_000 * statistics.quantiles(flood.taken, n=100)[98], 1),
                **{f"answers_{code or 'none'}": count for code, count in sorted(flood.answers.items())},
                "unsent": flood.unsent,
                "seconds": round(lasted, 1),
                "reads_woken": int(woken),
                "large_status": status,
                "large_ms": round(taken, 1),
                "incidents": len(plane.all("incidents")),
                "effects": effects(plane),
            }
    report(f"{RATE} pushes a second for {SECONDS:g} s, {len(BODY)} bytes each; then one of 10,000 alerts", figures)


if __name__ == "__main__":
    main()
