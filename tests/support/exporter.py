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
        self._page: bytes | None = None
        self._lock = threading.Lock()
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = exporter.page()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def page(self) -> bytes:
        """The exposition format; made once for as long as nothing is set, for a benchmark has ten thousand gauges."""
        with self._lock:
            if self._page is None:
                lines = [f"trouble{{{labels}}} {value}\n" for labels, value in sorted(self._values.items())]
                self._page = "".join(lines).encode()
            return self._page

    def set(self, value: float, **labels: str) -> None:
        """Set one gauge."""
        key = ",".join(f"{name}={json.dumps(text)}" for name, text in sorted(labels.items()))
        with self._lock:
            self._values[key], self._page = value, None

    def clear(self) -> None:
        """Forget all gauges."""
        with self._lock:
            self._values, self._page = {}, None


@contextmanager
def exporter(plane: Plane, every: str = "1s") -> Iterator[Exporter]:
    """An exporter that Prometheus scrapes so often."""
    exporting = Exporter()
    port = exporting.server.server_address[1]
    targets = plane.home / "prometheus" / "targets.d" / "tests.json"
    labels = {"__scrape_interval__": every, "__scrape_timeout__": every}
    targets.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"], "labels": labels}]))
    try:
        yield exporting
    finally:
        targets.unlink(missing_ok=True)
        exporting.server.shutdown()
