"""A webhook receiver that believes only what is signed (Standard Webhooks 1.0)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


class Receiver:
    """Keeps the messages whose signature is right, and counts the others."""

    def __init__(self, secret: str) -> None:
        self.messages: list[Json] = []
        self.refused = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                genuine = is_genuine(dict(self.headers), body, secret)
                receiver.take(body, genuine=genuine)
                self.send_response(204 if genuine else 401)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/oncall"

    def take(self, body: bytes, *, genuine: bool) -> None:
        """Keep a message, or refuse it."""
        if not genuine:
            self.refused += 1
            return
        message = json.loads(body)
        if all(message["id"] != known["id"] for known in self.messages):
            self.messages.append(message)


def is_genuine(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """Whether one of the signatures is ours."""
    found = {name.lower(): value for name, value in headers.items()}
    content = f"{found.get('webhook-id', '')}.{found.get('webhook-timestamp', '')}.".encode() + body
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    return any(hmac.compare_digest(expected, given) for given in found.get("webhook-signature", "").split())
