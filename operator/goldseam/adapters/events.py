"""Kubernetes Events (events.k8s.io/v1)."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime

import structlog

from goldseam.api.base import format_time
from goldseam.errors import AlreadyExists, GoldseamError
from goldseam.ports import Cluster, Json, Resource

log = structlog.get_logger("goldseam.events")

EVENTS = Resource("events.k8s.io", "v1", "events")
CONTROLLER = "goldseam.dev/operator"
LONGEST_NOTE = 1024
"""Bytes: the API server says characters, and counts bytes (pkg/apis/core/validation/events.go)."""


class KubeEvents:
    """Writes Events. Telling never stops acting: a failure is logged and answered with False."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._instance = socket.gethostname()[:128]

    async def record(self, regarding: Json, kind: str, reason: str, action: str, note: str, name: str) -> bool:
        """Write one Event about an object. The same `name` again is the same Event: it was written before.

        `kind` is Normal or Warning. An Event about a cluster-scoped object lives in the namespace `default`, where
        kubectl looks for it. Returns whether the Event is there; raises nothing but a cancellation.
        """
        namespace = regarding.get("namespace") or "default"
        body: Json = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": format_time(datetime.fromtimestamp(time.time(), UTC)),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": action,
            "reason": reason,
            "regarding": regarding,
            "note": _shortened(note),
            "type": kind,
        }
        try:
            await self._cluster.create(EVENTS, namespace, body)
        except AlreadyExists:
            return True
        except GoldseamError as error:
            log.warning("event_not_written", event_reason=reason, problem=str(error))
            return False
        except Exception:  # a defect in telling must not become one in acting
            log.exception("event_not_written", event_reason=reason)
            return False
        return True


def _shortened(note: str) -> str:
    if len(note.encode()) <= LONGEST_NOTE:
        return note
    return note.encode()[: LONGEST_NOTE - 3].decode(errors="ignore") + "…"
