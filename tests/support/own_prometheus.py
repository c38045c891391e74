"""A Prometheus of one test, which it reloads, kills and starts again; and an exporter to be killed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.operator_process import free_port
from tests.support.plane import eventually

Json = dict[str, Any]


class OwnPrometheus:
    """One on a port of its own; scrapes and evaluates every second, and keeps its data over a restart."""

    def __init__(self, home: Path, program: str) -> None:
        self.home, self.port, self._program = home, free_port(), program
        self.process: subprocess.Popen[bytes] | None = None
        home.mkdir()
        (home / "targets").mkdir()
        seconds = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        found = {"files": [str(home / "targets" / "*.json")], "refresh_interval": "1s"}
        scrape = {"job_name": "worker", "honor_labels": True, "file_sd_configs": [found]}
        self._config: Json = {"global": seconds, "rule_files": [str(home / "rules.yml")], "scrape_configs": [scrape]}
        self.configure()

    def configure(self, **more: Any) -> None:
        """Its configuration from its next start on."""
        (self.home / "prometheus.yml").write_text(json.dumps(self._config | more))

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        command = [
            self._program,
            f"--config.file={self.home / 'prometheus.yml'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            f"--storage.tsdb.path={self.home / 'data'}",
            "--log.level=warn",
        ]
        with (self.home / "prometheus.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(lambda: self._get("/-/ready") is not None, "Prometheus to be ready")

    def kill(self) -> None:
        """SIGKILL: its write-ahead log is replayed when it starts again."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None

    def forget(self) -> None:
        """Take away all its data; it must not run."""
        shutil.rmtree(self.home / "data")

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def rules(self, *rules: Json, **group: Any) -> None:
        """Its one group of rules from now on."""
        content = {"groups": [{"name": "g", "interval": "1s", "rules": list(rules), **group}]}
        (self.home / "rules.yml").write_text(json.dumps(content))
        if self.process is not None:
            self.signal(signal.SIGHUP)

    def targets(self, *ports: int, **labels: str) -> None:
        """What it scrapes from now on."""
        found = [{"targets": [f"127.0.0.1:{port}" for port in ports], "labels": labels}] if ports else []
        file = self.home / "targets" / "targets.json"
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps(found))
        draft.rename(file)

    def ask(self, expression: str) -> list[Json]:
        """The vector that an expression has now."""
        found = self._get(f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        assert found is not None, "it does not answer"
        result: list[Json] = json.loads(found)["data"]["result"]
        return result

    def shown(self) -> list[Json]:
        """Its alerts."""
        found = self._get("/api/v1/alerts")
        alerts: list[Json] = json.loads(found)["data"]["alerts"] if found else []
        return alerts

    def _get(self, path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                content: bytes = answer.read()
                return content
        except (urllib.error.URLError, OSError):
            return None


@contextmanager
def own_prometheus(home: Path, program: str, *rules: Json, **config: Any) -> Iterator[OwnPrometheus]:
    """One that runs, with these rules, and this added to its configuration; it ends with the context."""
    prometheus = OwnPrometheus(home, program)
    prometheus.configure(**config)
    prometheus.rules(*rules)
    prometheus.start()
    try:
        yield prometheus
    finally:
        prometheus.kill()


class Worker:
    """An exporter on a fixed port that dies and comes back; `shows` is what it exports."""

    def __init__(self, *shows: str) -> None:
        self.shows: Sequence[str] = shows
        self.port = free_port()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Answer from now on."""
        worker = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = "".join(f"{line}\n" for line in worker.shows).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def kill(self) -> None:
        """Answer no more: the port is closed."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextmanager
def worker(*shows: str) -> Iterator[Worker]:
    """An exporter that answers; it ends with the context."""
    found = Worker(*shows)
    found.start()
    try:
        yield found
    finally:
        found.kill()
