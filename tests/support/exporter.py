"""A metric that the tests move, scraped by the real Prometheus."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.plane import Plane


class Exporter:
    """Gauges `trouble{...}`: one for each set of labels, 1 while there is trouble."""

    def __init__(self) -> None:
        self._values: dict[str, float] = {}
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = exporter.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def text(self) -> str:
        """The exposition format."""
        return "".join(f"trouble{{{labels}}} {value}\n" for labels, value in sorted(self._values.items()))

    def set(self, value: float, **labels: str) -> None:
        """Set one gauge."""
        self._values[",".join(f"{name}={json.dumps(text)}" for name, text in sorted(labels.items()))] = value

    def clear(self) -> None:
        """Forget all gauges."""
        self._values.clear()


@contextmanager
def exporter(plane: Plane, every: str = "1s") -> Iterator[Exporter]:
    """An exporter that Prometheus scrapes so often."""
    exporting = Exporter()
    port = exporting.server.server_address[1]
    targets = plane.home / "prometheus" / "targets.d" / "tests.json"
    targets.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"], "labels": {"__scrape_interval__": every}}]))
    try:
        yield exporting
    finally:
        targets.unlink(missing_ok=True)
        exporting.server.shutdown()
