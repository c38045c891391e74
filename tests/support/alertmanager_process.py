"""The real Alertmanager: its pages, as a receiver records them, its silences, and others beside that of the plane."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.operator_process import free_port
from tests.support.plane import Plane, eventually

Json = dict[str, Any]
GROUP_WAIT, GROUP_INTERVAL = 10, 3
"""Seconds until the first page of a group, and between two of them."""


class Pages:
    """What people would have been called for: a webhook of Alertmanager (v4) that records."""

    def __init__(self) -> None:
        self.notifications: list[Json] = []
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                pages.notifications.append(json.loads(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def of(self, namespace: str, alert: str, status: str = "firing") -> list[Json]:
        """The notifications about an alert of a namespace."""
        return [
            notification
            for notification in list(self.notifications)
            for entry in notification["alerts"]
            if (entry["status"], entry["labels"].get("namespace"), entry["labels"]["alertname"])
            == (status, namespace, alert)
        ]

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def paging(plane: Plane, **config: Any) -> Iterator[Pages]:
    """The plane's Alertmanager calls our receiver, each alert of each namespace for itself; then nobody again."""
    file = plane.home / "alertmanager" / "alertmanager.yml"
    before, pages = file.read_text(), Pages()
    route = {
        "receiver": "people",
        "group_by": ["alertname", "namespace"],
        "group_wait": f"{GROUP_WAIT}s",
        "group_interval": f"{GROUP_INTERVAL}s",
    }
    receivers = [{"name": "people", "webhook_configs": [{"url": pages.url}]}]
    file.write_text(json.dumps({"route": route, "receivers": receivers, **config}))
    reload(plane.alertmanager)
    try:
        yield pages
    finally:
        file.write_text(before)
        reload(plane.alertmanager)
        pages.close()


def reload(url: str) -> None:
    """Let it read its configuration anew."""
    urllib.request.urlopen(urllib.request.Request(url + "/-/reload", method="POST"), timeout=10).close()


def call(url: str, path: str, body: Json | None = None, *, verb: str = "") -> Any:
    """Ask an Alertmanager."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(
        url + "/api/v2" + path, data=data, method=verb or None, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        content = answer.read()
    return json.loads(content) if content else None


def alerts(url: str, namespace: str, alert: str) -> list[Json]:
    """The active alerts of that name and namespace."""
    wanted = urllib.parse.urlencode([("filter", f'alertname="{alert}"'), ("filter", f'namespace="{namespace}"')])
    found: list[Json] = call(url, f"/alerts?{wanted}")
    return found


def gates(url: str, namespace: str, *, active: bool = True) -> list[Json]:
    """The silences of the page gate about a namespace."""
    wanted = urllib.parse.urlencode([("filter", f'namespace="{namespace}"'), ("filter", 'goldseam=""')])
    found = call(url, f"/silences?{wanted}")
    return [each for each in found if each["status"]["state"] == "active"] if active else found


def silence(url: str, namespace: str, by: str = "jane", **more: Any) -> str:
    """A person silences a namespace for an hour; gives the id."""
    now = datetime.now(UTC)  # noqa: TID251 - a person's clock
    body = {
        "matchers": [{"name": "namespace", "value": namespace, "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": by,
        "comment": "we deploy",
        **more,
    }
    return str(call(url, "/silences", body)["silenceID"])


def expire(url: str, identifier: str) -> None:
    """End a silence."""
    call(url, f"/silence/{identifier}", verb="DELETE")


@contextmanager
def another_alertmanager(
    plane: Plane, home: Path, *options: str, gossip: int = 0, peer: int = 0
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Its URL and its process; `gossip` is the port on which it speaks with others, of whom `peer` is one."""
    program = plane.program("alertmanager")
    home.mkdir(exist_ok=True)
    (home / "am.yml").write_text(json.dumps({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}))
    port = free_port()
    command = [
        program,
        f"--config.file={home / 'am.yml'}",
        f"--storage.path={home / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--cluster.listen-address={f'127.0.0.1:{gossip}' if gossip else ''}",
        *([f"--cluster.peer=127.0.0.1:{peer}"] if peer else []),
        "--log.level=warn",
        *options,
    ]
    with (home / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: answers(url), "Alertmanager to answer")
        yield url, process
    finally:
        process.kill()
        process.wait(20)


def answers(url: str) -> bool:
    """Whether it is there."""
    try:
        call(url, "/status")
    except OSError:
        return False
    return True
