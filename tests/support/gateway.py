"""What stands between the operator and a real Prometheus, and answers in its place when the test says so."""

from __future__ import annotations

import json
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SILENCE = 30.0
Answer = tuple[int, dict[str, str], bytes]
Lie = Callable[[str, Answer], Answer]
"""From the path and the true answer to what is said instead."""


class Gateway:
    """Passes on what the server behind it answers, or what the lie makes of that."""

    def __init__(self, behind: str) -> None:
        self._behind, self.asked = behind, 0
        self.lie: Lie | None = None
        self._turn, self._under_way, self._held = threading.Condition(), 0, False
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gateway.asked += 1
                with gateway._passing():
                    answer = gateway.true(self.path)
                status, headers, body = gateway.lie(self.path, answer) if gateway.lie else answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is passed on meanwhile: who asks has to wait."""
        with self._turn:
            self._held = True
            self._turn.wait_for(lambda: self._under_way == 0)
        try:
            yield
        finally:
            with self._turn:
                self._held = False
                self._turn.notify_all()

    @contextmanager
    def _passing(self) -> Iterator[None]:
        with self._turn:
            self._turn.wait_for(lambda: not self._held)
            self._under_way += 1
        try:
            yield
        finally:
            with self._turn:
                self._under_way -= 1
                self._turn.notify_all()

    def true(self, path: str) -> Answer:
        """What the server behind it says."""
        try:
            with urllib.request.urlopen(self._behind + path, timeout=10) as answer:
                return answer.status, {"Content-Type": "application/json"}, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, {"Content-Type": "application/json"}, error.read()
        except OSError:
            return 502, {"Content-Type": "text/plain"}, b"bad gateway"


def half(path: str, answer: Answer) -> Answer:
    """The first half of the body, as if it were all."""
    status, headers, body = answer
    return status, headers, body[: len(body) // 2]


def login(path: str, answer: Answer) -> Answer:
    """What a proxy shows to those who are not logged in."""
    return 200, {"Content-Type": "text/html"}, b"<html><title>Sign in</title><form>...</form></html>"


def silence(path: str, answer: Answer) -> Answer:
    """Nothing for half a minute, then the truth, when nobody listens any more."""
    time.sleep(SILENCE)
    return answer


def redirect(elsewhere: str) -> Lie:
    """To another host, which shows that all is well."""
    return lambda path, answer: (307, {"Location": elsewhere + path}, b"")


def without_a_shard(path: str, answer: Answer) -> Answer:
    """As Thanos Query answers while the store that had the alert is away: a warning, and nothing of it."""
    status, headers, body = answer
    said = json.loads(body)
    said["warnings"] = ["No StoreAPIs matched for this query: rpc error: store-1 is unavailable"]
    for group in said["data"].get("groups", []) if isinstance(said.get("data"), dict) else []:
        for rule in group["rules"]:
            rule["alerts"] = []
    return status, headers, json.dumps(said).encode()


def all_is_well(path: str, answer: Answer) -> Answer:
    """The rules, and no alert."""
    status, headers, body = answer
    said: dict[str, Any] = json.loads(body)
    for group in said["data"].get("groups", []) if isinstance(said.get("data"), dict) else []:
        for rule in group["rules"]:
            rule["alerts"] = []
    return status, headers, json.dumps(said).encode()


@contextmanager
def gateway(behind: str, lie: Lie | None = None) -> Iterator[Gateway]:
    """One that answers; it ends with the context."""
    found = Gateway(behind)
    found.lie = lie
    try:
        yield found
    finally:
        found.close()


class RemoteStore:
    """A remote storage that Prometheus reads: it has one series, is as slow as it is told, or fails.

    Its answers are protobuf (prometheus/prompb, `ReadResponse`) in snappy's block format with literals only.
    """

    def __init__(self, name: str) -> None:
        self.delay, self.fails, self.busy = 0.0, False, False
        store = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                store.busy = store.delay > 0
                time.sleep(store.delay)
                store.busy = False
                body = b"" if store.fails else _snappy(_read_response(name, time.time()))
                self.send_response(500 if store.fails else 200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Encoding", "snappy")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def config(self) -> dict[str, Any]:
        """Its entry in Prometheus' `remote_read`: it is asked for what carries `from="afar"` only."""
        url = f"http://127.0.0.1:{self._server.server_address[1]}/read"
        return {"url": url, "read_recent": True, "required_matchers": {"from": "afar"}, "remote_timeout": "30s"}

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def _read_response(name: str, now: float) -> bytes:
    """One series, with a sample a second in the last minute."""
    labels = b"".join(
        _field(1, _field(1, label.encode()) + _field(2, value.encode()))
        for label, value in (("__name__", name), ("from", "afar"))
    )
    samples = b"".join(
        _field(2, b"\x09" + struct.pack("<d", 1.0) + b"\x10" + _varint(int((now - ago) * 1000)))
        for ago in range(60, -1, -1)
    )
    return _field(1, _field(1, labels + samples))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _snappy(content: bytes) -> bytes:
    chunks = [content[at : at + 60] for at in range(0, len(content), 60)]
    return _varint(len(content)) + b"".join(bytes([(len(chunk) - 1) << 2]) + chunk for chunk in chunks)
