"""How many pods of a workload were ready at any moment, as a watch tells."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from goldseam.engine.objects import is_ready
from tests.support.plane import Plane

Json = dict[str, Any]
Watched = Callable[[str], list[int]]
"""How many pods of the app were ready, after each change of one of them."""


@contextmanager
def watching(plane: Plane, namespace: str, out: Path) -> Iterator[Watched]:
    """Watch the pods of the namespace; `out` keeps the events."""
    command = ["kubectl", "--kubeconfig", plane.kubeconfig, "get", "pods", "-n", namespace, "-w", "-o", "json"]
    with out.open("w") as file:
        process = subprocess.Popen([*command, "--output-watch-events"], stdout=file)
        try:
            yield lambda app: _counts(_events(out.read_text()), app)
        finally:
            process.kill()
            process.wait(10)


def _events(text: str) -> Iterator[Json]:
    """The events of a watch; the last one may be half written."""
    decoder, at = json.JSONDecoder(), 0
    while (at := len(text) - len(text[at:].lstrip())) < len(text):
        try:
            event, at = decoder.raw_decode(text, at)
        except ValueError:
            return
        yield event


def _counts(events: Iterator[Json], app: str) -> list[int]:
    ready: set[str] = set()
    counts = []
    for event in events:
        pod = event["object"]
        if pod["metadata"]["labels"]["app"] == app:
            there = event["type"] != "DELETED" and is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
            (ready.add if there else ready.discard)(pod["metadata"]["uid"])
            counts.append(len(ready))
    return counts
