"""A remediation operator as small as one can be: whatever its webhook is told, it does, and asks nothing.

It stands for those that act on Alertmanager's webhook; none of them can be faster than this one.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.plane import Plane


class Peer:
    """Scales what an alert names, once, with the patch that Goldseam sends."""

    def __init__(self, plane: Plane, home: Path, replicas: int) -> None:
        self._replicas, self._done, self._lock = replicas, set[tuple[str, str]](), threading.Lock()
        self._api = self._connection(plane, home)

    def _connection(self, plane: Plane, home: Path) -> http.client.HTTPSConnection:
        config = json.loads(plane.must("config", "view", "--minify", "--flatten", "-o", "json"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        pem = base64.b64decode(cluster["certificate-authority-data"]).decode()
        trusting = ssl.create_default_context(cadata=pem)
        (home / "peer.pem").write_bytes(
            b"".join(base64.b64decode(user[part]) for part in ("client-key-data", "client-certificate-data"))
        )
        trusting.load_cert_chain(home / "peer.pem")
        server = urlsplit(cluster["server"])
        return http.client.HTTPSConnection(str(server.hostname), server.port, timeout=10, context=trusting)

    def take(self, body: bytes) -> None:
        """A webhook came."""
        for alert in json.loads(body)["alerts"]:
            place = alert["labels"]["namespace"], alert["labels"]["deployment"]
            with self._lock:
                if alert["status"] == "firing" and place not in self._done:
                    self._done.add(place)
                    self._scale(*place)

    def _scale(self, namespace: str, name: str) -> None:
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"
        body = json.dumps({"spec": {"replicas": self._replicas}})
        self._api.request("PATCH", path, body, {"Content-Type": "application/merge-patch+json"})
        answer = self._api.getresponse()
        answer.read()
        assert answer.status == 200, answer.status


@contextmanager
def peer(plane: Plane, home: Path, replicas: int) -> Iterator[str]:
    """One that listens; gives its URL."""
    acting = Peer(plane, home, replicas)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            acting.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
