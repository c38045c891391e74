"""What the demo's services would measure: simple equations over what really runs in the cluster, as Prometheus metrics.

* queue: grows by what arrives and shrinks by what the *ready* workers serve: `dq/dt = arrivals - 12 · ready`, `q ≥ 0`.
  A burst of 60 a second lasts until the queue is empty, then 10 a second arrive.
* API errors: 30 % of the requests fail while any pod is left that was there when the fault began, else 1 %.
* database: 5 connections fail each second once the fault has begun, whatever is done.
* nodes: `kube_node_status_condition` as kube-state-metrics exports it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]

BURST, USUAL, SERVED = 60.0, 10.0, 12.0
BROKEN, HEALTHY = 0.3, 0.01
FAILING = 5.0


@dataclass
class LoadModel:
    """The state of the services; `tick` moves it on."""

    queue: float = 0.0
    burst: bool = False
    poisoned: frozenset[str] = frozenset()
    """The API's pods that were there when the fault began."""
    database_broken: bool = False
    api_pods: frozenset[str] = frozenset()
    nodes: dict[str, bool] = field(default_factory=dict)

    def tick(self, seconds: float, ready_workers: int, api_pods: Iterable[str], nodes: dict[str, bool]) -> None:
        """Let so much time pass in a cluster that looks like this."""
        arriving = BURST if self.burst else USUAL
        self.queue = max(0.0, self.queue + (arriving - SERVED * ready_workers) * seconds)
        if self.burst and self.queue == 0.0:
            self.burst = False
        self.api_pods, self.nodes = frozenset(api_pods), nodes

    def start_burst(self) -> None:
        """More work arrives than three workers can do."""
        self.burst, self.queue = True, max(self.queue, 50.0)

    def poison_api(self) -> None:
        """A fault that only new pods do not have."""
        self.poisoned = self.api_pods

    @property
    def error_ratio(self) -> float:
        """The share of the API's requests that fail."""
        return BROKEN if self.poisoned & self.api_pods else HEALTHY

    def metrics(self) -> str:
        """The exposition format."""
        lines = [
            f"aurum_scenario_queue_size {self.queue:.0f}",
            f"aurum_api_error_ratio {self.error_ratio}",
            f"aurum_db_connection_errors_per_second {FAILING if self.database_broken else 0.0}",
        ]
        for node, is_ready in sorted(self.nodes.items()):
            labels = f'node="{node}",condition="Ready",status="true"'
            lines.append(f"kube_node_status_condition{{{labels}}} {int(is_ready)}")
        return "\n".join(lines) + "\n"


def ready_replicas(deployment: Json) -> int:
    """How many pods of a Deployment are ready."""
    return int((deployment.get("status") or {}).get("readyReplicas") or 0)


def ready_nodes(items: Iterable[Json]) -> dict[str, bool]:
    """Each node, and whether it is Ready."""
    return {
        node["metadata"]["name"]: any(
            c["type"] == "Ready" and c["status"] == "True" for c in node.get("status", {}).get("conditions", [])
        )
        for node in items
    }


def all_of_kwok(items: Iterable[Json]) -> bool:
    """Whether KWOK plays every node, so that one can be told to fail."""
    return all(node["metadata"].get("labels", {}).get("type") == "kwok" for node in items)


def export(model: LoadModel) -> ThreadingHTTPServer:
    """Serve the metrics on a free port of loopback, in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = model.metrics().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
