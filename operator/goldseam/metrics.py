"""Goldseam's own metrics. Labels are few and closed: no object's name is one."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside each counter, for nothing

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_OPEN = Gauge("goldseam_incidents_open", "Incidents that are not over.", registry=REGISTRY)
_OPENED = Counter("goldseam_incidents_opened_total", "Incidents opened since the start.", registry=REGISTRY)
_WRITES = Counter("goldseam_writes_total", "Writes to targets.", ["action", "result"], registry=REGISTRY)
_DECISIONS = Counter("goldseam_decisions_total", "Decisions about incidents.", ["kind", "reason"], registry=REGISTRY)
_API = Counter("goldseam_api_requests_total", "Requests to the API server.", ["method", "code"], registry=REGISTRY)
_READS = Counter("goldseam_source_reads_total", "Reads of alert sources.", ["source", "outcome"], registry=REGISTRY)
_READ_AT = Gauge(
    "goldseam_source_last_read_timestamp_seconds", "When an alert source last answered.", ["source"], registry=REGISTRY
)
_WOKEN = Counter("goldseam_source_reads_woken_total", "Reads that a hint woke.", ["source"], registry=REGISTRY)
_HINTS = Counter(
    "goldseam_receiver_requests_total", "Requests to the receiver of hints.", ["form", "outcome"], registry=REGISTRY
)
_TURNED_AWAY = Counter(
    "goldseam_receiver_connections_refused_total", "Connections that it closed at once.", ["reason"], registry=REGISTRY
)
_BEAT = Gauge("goldseam_heartbeat_timestamp_seconds", "When the main loop last turned.", registry=REGISTRY)

_LEADS = Gauge("goldseam_leader_epoch", "This leader's number; 0 while another process leads.", registry=REGISTRY)
_LOST_LINES = Gauge(
    "goldseam_log_lines_dropped", "Lines of the log that nobody read in time, since the start.", registry=REGISTRY
)


def lines_dropped(count: Callable[[], int]) -> None:
    """Ask there how many lines of the log were dropped."""
    _LOST_LINES.set_function(count)


def leads(epoch: int) -> None:
    """This process leads, with this number; 0 when it does not any more."""
    _LEADS.set(epoch)


def heartbeat(incidents: int) -> None:
    """The main loop has turned, with so many incidents that are not over."""
    _BEAT.set(time.time())
    _OPEN.set(incidents)


def opened() -> None:
    """An incident was opened."""
    _OPENED.inc()


def write_made(action: str, result: str) -> None:
    """A write to a target was tried."""
    _WRITES.labels(action, result).inc()


def decided(kind: str, reason: str) -> None:
    """A decision was taken."""
    _DECISIONS.labels(kind, reason).inc()


def api_request(method: str, code: str) -> None:
    """The API server was asked: the HTTP status of its answer, or `none` when no answer came."""
    _API.labels(method, code).inc()


def source_read(source: str, *, ok: bool) -> None:
    """An alert source was read, or could not be."""
    _READS.labels(source, "ok" if ok else "failed").inc()
    if ok:
        _READ_AT.labels(source).set(time.time())


def read_woken(source: str) -> None:
    """A hint wakes a read of an alert source."""
    _WOKEN.labels(source).inc()


def hint(form: str, outcome: str) -> None:
    """The receiver of hints was asked something: by whom (`alerts`, `webhook`, `other`), and what came of it."""
    _HINTS.labels(form, outcome).inc()


def turned_away(reason: str) -> None:
    """The receiver of hints closed a connection before anything was asked."""
    _TURNED_AWAY.labels(reason).inc()
