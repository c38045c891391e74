"""reading: what a poll of 20,000 rules costs of which 50 matter: all of them, and only those; on a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from benchmarks.stage import report
from goldseam.adapters.http_client import Answer, HttpClient, Query
from goldseam.adapters.prometheus import WORDS, PrometheusServer
from goldseam.adapters.selective import WHOLE_EVERY, SelectiveServer
from goldseam.services.sources import STORM_EVERY
from tests.support.operator_process import free_port

RULES, IN_A_GROUP, RELEVANT, FIRING = 20_000, 25, 50, 200
POLLS = 10
INTERVAL = 15.0
"""Seconds between two polls, of which the cost of a day is made."""


class Counting(HttpClient):
    """Counts the bytes of its answers."""

    received = 0

    async def get(self, session: aiohttp.ClientSession, path: str, query: Query) -> Answer:
        answer = await super().get(session, path, query)
        self.received += len(answer.content)
        return answer


def groups() -> list[dict[str, object]]:
    """Rules of a usual size. Of each hundred one fires, so that there are alerts that are nobody's business here."""
    return [
        {
            "name": f"group-{n}",
            "interval": "5m",
            "rules": [rule(m) for m in range(n * IN_A_GROUP, (n + 1) * IN_A_GROUP)],
        }
        for n in range(RULES // IN_A_GROUP)
    ]


def rule(number: int) -> dict[str, object]:
    """One rule."""
    fires = number % (RULES // FIRING) == 0
    labels = f'namespace="team-{number % 40}",job="app-{number}"'
    query = f'sum by (namespace, pod) (rate(http_requests_total{{{labels},code=~"5.."}}[5m])) / 10 > 0.05'
    return {
        "alert": f"App{number}HighErrorRate",
        "expr": "vector(1)" if fires else query,
        "for": "0s" if fires else "5m",
        "labels": {"severity": "page", "team": f"team-{number % 40}", "namespace": f"team-{number % 40}"},
        "annotations": {"summary": f"App {number} answers with errors", "runbook_url": f"https://runbooks/{number}"},
    }


@contextmanager
def prometheus(home: Path) -> Iterator[tuple[str, int]]:
    """The real one, with the rules. Its URL and its process."""
    kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "goldseam" / "local" / "prometheus"
    program = max(kept.glob("*/prometheus"), key=lambda path: path.stat().st_mtime)
    (home / "rules.yml").write_text(json.dumps({"groups": groups()}))
    (home / "prometheus.yml").write_text(json.dumps({"rule_files": [str(home / "rules.yml")]}))
    url = f"http://127.0.0.1:{(port := free_port())}"
    options = [f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data", "--log.level=warn"]
    process = subprocess.Popen([program, *options, f"--web.listen-address=127.0.0.1:{port}"])
    try:
        deadline = time.monotonic() + 120
        while not ready(url):
            assert time.monotonic() < deadline, "Prometheus did not come up"
            time.sleep(0.5)
        yield url, process.pid
    finally:
        process.kill()
        process.wait(20)


def ready(url: str) -> bool:
    """Whether it answers."""
    try:
        urllib.request.urlopen(url + "/-/ready", timeout=5).close()
    except OSError:
        return False
    return True


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


Cost = dict[str, float]


async def cost(http: Counting, pid: int, poll: Callable[[], Awaitable[object]]) -> Cost:
    """The mean of several polls: bytes, seconds, CPU of ours and of the server's."""
    http.received, ours, theirs, begun = 0, time.process_time(), cpu_of(pid), time.monotonic()
    for _ in range(POLLS):
        await poll()
    return {
        "bytes": http.received / POLLS,
        "seconds": (time.monotonic() - begun) / POLLS,
        "cpu_s": (time.process_time() - ours) / POLLS,
        "server_cpu_s": (cpu_of(pid) - theirs) / POLLS,
    }


async def measured(url: str, pid: int) -> dict[str, object]:
    """All three kinds of reads, one after the other."""
    server = PrometheusServer(url, timeout=60)
    http = server._http = Counting(url, None, WORDS, timeout=60)
    names = frozenset(f"App{n * RULES // RELEVANT + 1}HighErrorRate" for n in range(RELEVANT))
    reader = SelectiveServer(server)
    assert len((await reader.rules(names)).rules) == RELEVANT
    server._pages = False  # as it was
    every = await cost(http, pid, server.rules)
    server._pages = True
    few = await cost(http, pid, lambda: reader.rules(names))
    counted = await cost(http, pid, lambda: server.catalogue(names))
    firing = await cost(http, pid, server.firing)
    figures: dict[str, object] = {}
    for name in every:
        day = few[name] / INTERVAL + firing[name] / STORM_EVERY + counted[name] / WHOLE_EVERY
        busy = (few[name] + firing[name]) / INTERVAL + counted[name] / WHOLE_EVERY
        figures |= {f"all_{name}": shown(every[name]), f"few_{name}": shown(few[name])}
        figures |= {f"firing_{name}": shown(firing[name]), f"counted_{name}": shown(counted[name])}
        figures |= {f"ratio_{name}": shown(every[name] / max(few[name], 1e-6))}
        figures |= {f"ratio_day_{name}": shown(every[name] / INTERVAL / day)}
        figures |= {f"ratio_day_busy_{name}": shown(every[name] / INTERVAL / busy)}
    return figures


def shown(value: float) -> float:
    """Three figures that count."""
    return float(f"{value:.3g}")


def main() -> None:
    """Measure on a Prometheus of our own."""
    with tempfile.TemporaryDirectory(prefix="goldseam-bench-") as folder, prometheus(Path(folder)) as (url, pid):
        time.sleep(20)  # the first evaluations are over
        report(f"A poll of {RULES} rules, of which {RELEVANT} matter", asyncio.run(measured(url, pid)))


if __name__ == "__main__":
    main()
