"""What the fault proxy can see, and what it can do to a request: when (`Strike`) and what (an effect)."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

WRITES = ("POST", "PUT", "PATCH", "DELETE")
UNCOUNTED = re.compile(
    r"(?<!/medik8s-leases)/(leases|events|subjectaccessreviews|tokenreviews|selfsubjectaccessreviews)(/|$|\?)"
)
"""Writes that change nothing that is promised; but the lease of a node is a lock for others."""

When = Literal["before", "after", "held"]
"""`before`: the request never leaves. `after`: the server has answered, and nobody hears it. `held`: it leaves late."""


@dataclass(frozen=True)
class Seen:
    """One request that came by."""

    number: int
    """Its place among the writes, from 1; 0 for reads, watches, Leases but those of nodes, Events and reviews."""
    method: str
    path: str
    body: Any
    query: str = ""
    order: int = 0
    """Its place among all requests, from 1."""
    at: float = 0.0
    """When, on the monotonic clock."""

    @property
    def parameters(self) -> dict[str, str]:
        """The query."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def watching(self) -> bool:
        """Whether it is a watch."""
        return self.method == "GET" and self.parameters.get("watch") in ("1", "true", "True")

    @property
    def reading(self) -> bool:
        """Whether it reads once: an object or a list."""
        return self.method == "GET" and not self.watching

    @property
    def writing(self) -> bool:
        """Whether it is one of the writes that are counted."""
        return self.number > 0

    @property
    def label(self) -> str:
        """The request without names: `PATCH deployments/scale`, `WATCH pauses`."""
        parts = [part for part in self.path.split("?")[0].split("/") if part]
        parts = parts[2 if parts and parts[0] == "api" else 3 :]
        if parts and parts[0] == "namespaces" and len(parts) > 2:
            parts = parts[2:]
        kind = parts[0] if parts else self.path
        sub = f"/{parts[2]}" if len(parts) > 2 else ""
        return f"{'WATCH' if self.watching else self.method} {kind}{sub}"


def counted(method: str, path: str) -> bool:
    """Whether a request is one of the writes that change something that is promised."""
    return method in WRITES and not UNCOUNTED.search(path)


def _nothing() -> None:
    return


@dataclass(frozen=True)
class Cut:
    """The connection is cut, and the operator never hears an answer."""

    when: When = "before"
    hit: Callable[[], None] = _nothing
    """Called at that moment, in a thread: it may kill, wait, or change the world."""


def dropped() -> Cut:
    """The server does it, and its answer is lost."""
    return Cut("after")


@dataclass(frozen=True)
class Delayed:
    """The server does it at once, and its answer comes so many seconds later."""

    seconds: float


@dataclass(frozen=True)
class Instead:
    """Answered in the server's place: the request never leaves."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def refused(code: int, reason: str, message: str = "", **headers: str) -> Instead:
    """A Status as the API server sends it; `Retry_After="2"` is a header."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message or reason,
        "reason": reason,
        "code": code,
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Instead(code, json.dumps(status).encode(), {"Content-Type": "application/json"} | named)


def html(code: int = 200) -> Instead:
    """What a gateway says that is no API server."""
    return Instead(code, b"<html><body>Sign in</body></html>", {"Content-Type": "text/html"})


@dataclass(frozen=True)
class CutShort:
    """A watch or a long answer: so many lines pass, then the connection is cut."""

    lines: int = 0


@dataclass(frozen=True)
class Stalled:
    """So many lines pass, then nothing comes any more, and the connection stays open."""

    lines: int = 0


@dataclass
class Remembered:
    """Once `old` is set, a GET is answered with the first answer that it got since this effect struck."""

    old: threading.Event = field(default_factory=threading.Event)
    answers: dict[str, Instead] = field(default_factory=dict)
    """By path and query."""


Effect = Cut | Delayed | Instead | CutShort | Stalled | Remembered


@dataclass
class Strike:
    """What happens, and when: at the first `times` requests (None: all) that `at` takes, while `during` is set."""

    at: Callable[[Seen], bool]
    when: When | Effect
    hit: Callable[[], None] = _nothing
    """For `before`, `after` and `held`, as in `Cut`."""
    times: int | None = 1
    during: threading.Event | None = None
    done: threading.Event = field(default_factory=threading.Event)
    """Set when it has struck for the first time."""
    answer: int = 0
    """For `held`: the status with which the server answered in the end."""
    struck: list[Seen] = field(default_factory=list)
    """What it has struck so far."""

    @property
    def effect(self) -> Effect:
        """What it does."""
        return Cut(self.when, self.hit) if isinstance(self.when, str) else self.when

    def takes(self, seen: Seen) -> bool:
        """Whether it strikes here; counts it."""
        if self.times is not None and len(self.struck) >= self.times:
            return False
        if (self.during is not None and not self.during.is_set()) or not self.at(seen):
            return False
        self.struck.append(seen)
        self.done.set()
        return True
