"""The API server as admin over one open connection: a poll by it costs a millisecond, one by kubectl a process."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.plane import Plane

Json = dict[str, Any]
MERGE = "application/merge-patch+json"


class Direct:
    """Requests as admin; each thread has a connection of its own."""

    def __init__(self, plane: Plane) -> None:
        config = json.loads(Path(plane.kubeconfig).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server = urlsplit(cluster["server"])
        self._tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._tls.load_cert_chain(user["client-certificate"], user["client-key"])
        self._open = threading.local()

    def ask(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        """Status and answer."""
        kind = MERGE if method == "PATCH" else "application/json"
        for attempt in (1, 2):
            connection = getattr(self._open, "connection", None) or self._connected()
            try:
                text = None if body is None else json.dumps(body)
                connection.request(method, path, text, {"Content-Type": kind})
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read() or b"{}")
            except (http.client.HTTPException, OSError):
                self._open.connection = None  # an idle one is closed by the server
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def _connected(self) -> http.client.HTTPSConnection:
        assert self._server.hostname is not None
        self._open.connection = http.client.HTTPSConnection(
            self._server.hostname, self._server.port, context=self._tls, timeout=30
        )
        return self._open.connection  # type: ignore[no-any-return]

    def must(self, method: str, path: str, body: Json | None = None) -> Json:
        """The answer; it must be one of success."""
        status, answer = self.ask(method, path, body)
        assert status < 300, f"{method} {path}: {status} {answer.get('message')}"
        return answer

    def get(self, path: str) -> Json:
        """One object; empty when there is none."""
        status, answer = self.ask("GET", path)
        return answer if status < 300 else {}

    def items(self, path: str) -> list[Json]:
        """A list."""
        found: list[Json] = self.must("GET", path)["items"]
        return found

    def gone(self, path: str) -> None:
        """Delete, if it is there."""
        status, answer = self.ask("DELETE", path)
        assert status < 300 or status == 404, answer
