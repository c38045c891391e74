"""Another Prometheus, beside that of the control plane: one of a pair, or one that asks who we are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.operator_process import free_port
from tests.support.plane import Plane

Json = dict[str, Any]


@contextmanager
def another_prometheus(
    plane: Plane, home: Path, *rules: Json, web: Json | None = None
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Its port and its process; it evaluates the rules every second. `web` is its web.yml (exporter-toolkit)."""
    program = plane.program("prometheus")
    home.mkdir(exist_ok=True)
    port = free_port()
    (home / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "interval": "1s", "rules": list(rules)}]}))
    (home / "prometheus.yml").write_text(json.dumps({"rule_files": [str(home / "rules.yml")]}))
    (home / "web.yml").write_text(json.dumps(web or {}))
    command = [
        program,
        f"--config.file={home / 'prometheus.yml'}",
        f"--web.config.file={home / 'web.yml'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={home / 'data'}",
        "--log.level=warn",
    ]
    with (home / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield port, process
    finally:
        process.kill()
        process.wait(20)
