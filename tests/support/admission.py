"""A real admission webhook in front of some writes of the operator: it lets through, denies, or does not answer."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import trustme

from tests.support.plane import Plane

Json = dict[str, Any]
OPERATOR = "system:serviceaccount:goldseam-system:goldseam"
NAME = "shop.goldseam.test"
SAYS = "the shop is closed on Sundays"
HANGS = 5.0
"""Seconds after which it answers, when it is of no use any more: the API server waits for one."""


class Webhook:
    """What it does to the requests that come."""

    def __init__(self) -> None:
        self.mood: Literal["allows", "denies", "hangs"] = "allows"
        self.asked = 0
        authority, webhook = trustme.CA(), self
        self.authority = base64.b64encode(authority.cert_pem.bytes()).decode()
        self._gone = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps(webhook.answer(review)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, review: Json) -> Json:
        """The review with an answer."""
        self.asked += 1
        if self.mood == "hangs":
            self._gone.wait(HANGS)
        said = {"status": {"message": SAYS}} if self.mood == "denies" else {}
        response = {"uid": review["request"]["uid"], "allowed": self.mood != "denies", **said}
        return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}

    @property
    def url(self) -> str:
        """Where the API server finds it."""
        return f"https://127.0.0.1:{self._server.server_address[1]}/"

    def close(self) -> None:
        """Answer no more."""
        self._gone.set()
        self._server.shutdown()
        self._server.server_close()


def configuration(webhook: Webhook, namespace: str, group: str, resource: str, operation: str) -> Json:
    """It is asked about the operator's writes of one kind in one namespace, and must answer."""
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "resources": [resource], "operations": [operation]}
    ours = {"name": "ours", "expression": f"request.userInfo.username == '{OPERATOR}'"}
    one = {
        "name": NAME, "admissionReviewVersions": ["v1"], "sideEffects": "None", "rules": [rule],
        "timeoutSeconds": 1, "failurePolicy": "Fail", "matchConditions": [ours],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "clientConfig": {"url": webhook.url, "caBundle": webhook.authority},
    }  # fmt: skip
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    return kind | {"metadata": {"name": f"shop-{namespace}"}, "webhooks": [one]}


@contextmanager
def admission_webhook(plane: Plane, namespace: str, group: str, resource: str, operation: str) -> Iterator[Webhook]:
    """It is asked while the context lasts."""
    webhook = Webhook()
    plane.apply(configuration(webhook, namespace, group, resource, operation))
    try:
        yield webhook
    finally:
        plane.must("delete", "validatingwebhookconfiguration", f"shop-{namespace}", "--ignore-not-found")
        webhook.close()
