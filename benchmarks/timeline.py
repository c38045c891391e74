"""When pods came, were ready and went, as a watch shows it: the judge of what a drain takes, and what it costs."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.direct import Direct
from tests.support.plane import Plane

Json = dict[str, Any]


def is_ready(pod: Json) -> bool:
    """Whether it serves: ready, and not on its way out."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


@dataclass
class Life:
    """One pod: when it was first seen, ready, on its way out, and gone, in seconds of the monotonic clock."""

    app: str
    seen: float
    node: str = ""
    ready: float | None = None
    leaving: float | None = None
    gone: float | None = None


@dataclass
class Timeline:
    """The pods of one namespace, from when it was begun."""

    lives: dict[str, Life] = field(default_factory=dict)
    healthy: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """How many pods of each app serve, from which moment on."""
    _serving: dict[str, dict[str, bool]] = field(default_factory=dict)

    @contextmanager
    def noting(self, plane: Plane, namespace: str) -> Iterator[Timeline]:
        """Watch, in a thread of its own."""
        over = threading.Event()
        api = Direct(plane.kubeconfig)

        def note() -> None:
            while not over.is_set():
                for event in api.watch(f"/api/v1/namespaces/{namespace}/pods"):
                    if over.is_set():
                        return
                    if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                        self.take(event["type"], event["object"], time.monotonic())

        thread = threading.Thread(target=note, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()  # the thread ends with its next event, or with the process

    def take(self, kind: str, pod: Json, now: float) -> None:
        """One watch event."""
        meta = pod["metadata"]
        app = str((meta.get("labels") or {}).get("app", ""))
        life = self.lives.setdefault(meta["uid"], Life(app, now))
        life.node = str(pod["spec"].get("nodeName") or life.node)
        if is_ready(pod) and life.ready is None:
            life.ready = now
        if meta.get("deletionTimestamp") and life.leaving is None:
            life.leaving = now
        if kind == "DELETED":
            life.gone = now
        serving = self._serving.setdefault(app, {})
        serving[meta["uid"]] = is_ready(pod) and kind != "DELETED"
        self.healthy.setdefault(app, []).append((now, sum(serving.values())))

    def left_on(self, node: str) -> int:
        """How many pods are on the node."""
        return sum(life.node == node and life.gone is None for life in list(self.lives.values()))

    def serving(self) -> int:
        """How many pods serve now."""
        return sum(sum(uids.values()) for uids in list(self._serving.values()))

    def emptied_at(self, node: str) -> float:
        """When the last pod of the node was gone."""
        return max(life.gone for life in self.lives.values() if life.node == node and life.gone is not None)

    def replaced_at(self, since: float) -> float:
        """When the last pod that came since then was ready."""
        return max((life.ready for life in self.lives.values() if life.seen > since and life.ready), default=since)

    def least(self, app: str, since: float) -> int:
        """How many pods of the app served at the least since then."""
        before = [count for at, count in self.healthy[app] if at <= since][-1:]
        return min([*before, *(count for at, count in self.healthy[app] if at > since)])

    def dark(self, app: str, since: float, until: float) -> float:
        """Seconds between the two in which no pod of the app served."""
        points = [(max(at, since), count) for at, count in self.healthy[app] if at < until]
        ends = [at for at, _ in points[1:]] + [until]
        return sum(end - at for (at, count), end in zip(points, ends, strict=True) if count == 0 and end > at)

    def startup(self, since: float) -> float:
        """Median of the seconds from a pod's coming to its being ready, of those that came since then."""
        taken = [life.ready - life.seen for life in self.lives.values() if life.seen > since and life.ready]
        return statistics.median(taken) if taken else 0.0

    def shutdown(self) -> float:
        """Median of the seconds from a pod's being asked to go to its being gone."""
        taken = [life.gone - life.leaving for life in self.lives.values() if life.gone and life.leaving]
        return statistics.median(taken) if taken else 0.0
