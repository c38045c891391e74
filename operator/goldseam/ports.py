"""What the services need from the outside world, as Protocols; `goldseam.adapters` and the tests' fakes fulfil them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Protocol

from goldseam.engine.alerts import ActiveAlert as ActiveAlert
from goldseam.engine.alerts import AlertRule as AlertRule
from goldseam.engine.alerts import RulesAnswer as RulesAnswer
from goldseam.engine.alerts import Samples as Samples
from goldseam.engine.silences import Call as Call
from goldseam.engine.silences import KnownAlert as KnownAlert
from goldseam.engine.silences import KnownSilence as KnownSilence
from goldseam.engine.silences import Matcher as Matcher

Json = dict[str, Any]


class Line(Enum):
    """In which line a request to the cluster waits for its turn. The lines are served in turn, so that none of them,
    however long it is, holds up the others."""

    URGENT = auto()
    """The lease, and what is owed and due: before all others."""
    ACTING = auto()
    """An alert that is new, and what is being done about one."""
    LOOKING = auto()
    """Incidents that wait, and whatever is not said to be else."""
    TELLING = auto()
    """What only tells people how things stand."""


LINE: ContextVar[Line] = ContextVar("line", default=Line.LOOKING)
"""In which line what is asked of the cluster now waits."""


@contextmanager
def waiting_in(line: Line) -> Iterator[None]:
    """What is asked of the cluster inside waits in this line."""
    before = LINE.set(line)
    try:
        yield
    finally:
        LINE.reset(before)


@dataclass(frozen=True)
class Resource:
    """A kind as the API server addresses it: group, version, plural."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The value of `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True)
class Page:
    """The items of one complete list, and the resourceVersion at which they are consistent."""

    items: tuple[Json, ...]
    resource_version: str


class Cluster(Protocol):
    """The Kubernetes API. Every read is live; every call has a timeout.

    Errors are those of `goldseam.errors`: `NotFound`, `Forbidden`, `Conflict`, `AlreadyExists`, `Invalid`, `Throttled`,
    `BudgetExhausted`, `Fenced`, `Gone`, `Unavailable`.
    """

    async def get(self, resource: Resource, namespace: str, name: str, subresource: str = "") -> Json:
        """Read one object. `namespace` is empty for cluster-scoped kinds."""

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "", limit: int = 500
    ) -> Page:
        """Read all objects, page by page, as one consistent list. An empty namespace means all."""

    def watch(self, resource: Resource, *, seconds: float) -> AsyncGenerator[Json, None]:
        """Watch all objects of a kind for so long: first each as it is, as `ADDED`, then what changes. An event has
        `type` (`ADDED`, `MODIFIED` or `DELETED`) and `object`."""

    async def count(self, resource: Resource, namespace: str = "") -> int:
        """How many objects there are, without reading them. An empty namespace means all."""

    async def create(self, resource: Resource, namespace: str, body: Json, *, dry_run: bool = False) -> Json:
        """Create one object. 409 is `AlreadyExists`."""

    async def log(self, namespace: str, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        """The last lines of what a container has written, or its run before that, 64 KiB at most."""

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Json,
        subresource: str = "",
        *,
        dry_run: bool = False,
    ) -> Json:
        """Send a JSON merge patch with field manager `goldseam` and strict field validation."""

    async def evict(self, namespace: str, name: str, uid: str, *, dry_run: bool = False) -> None:
        """Ask the Eviction API to end the pod with this uid."""

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this uid."""

    async def allowed(self, access: Access) -> bool:
        """Ask by a SubjectAccessReview."""


@dataclass(frozen=True)
class Access:
    """May this identity do this?"""

    user: str
    groups: tuple[str, ...]
    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class AlertServer(Protocol):
    """A Prometheus-compatible server's own API."""

    async def rules(self, names: frozenset[str] | None = None) -> RulesAnswer:
        """The alerting rules of these names, or all, with their active alerts.

        Raises:
            Unavailable: no answer, or one that is not a rules answer.
        """

    async def firing(self) -> tuple[ActiveAlert, ...]:
        """Every alert that fires, of whichever rule, with no labels but its name and its namespace.

        Raises:
            Unavailable: no answer, or one that is not an alerts answer.
        """

    async def version(self) -> str:
        """The server's version, as `/api/v1/status/buildinfo` says; empty where it does not."""


class Alertmanager(Protocol):
    """One Alertmanager. Every question is asked live; every call has a timeout, and raises `Unavailable`."""

    url: str

    async def peers(self) -> frozenset[str]:
        """The names of the members of its cluster, its own with them; none where it does not gossip."""

    async def alerts(self, labels: Mapping[str, str]) -> tuple[KnownAlert, ...]:
        """The active alerts that carry these labels, silenced or not."""

    async def silences(self, labels: Mapping[str, str]) -> tuple[KnownSilence, ...]:
        """The silences that have these matchers of equality, also those that are over."""

    async def silence(self, identifier: str) -> KnownSilence | None:
        """One silence; None where it is not known."""

    async def keep(
        self, matchers: Sequence[Matcher], created_by: str, comment: str, lasts: timedelta, old: KnownSilence | None
    ) -> str:
        """Silence for so long from now on: a new one, or an old one under its id. Gives the id that it has.

        Raises:
            Invalid: it was refused.
        """

    async def end(self, identifier: str) -> None:
        """End a silence now. One that is not known is over already."""

    async def post(self, calls: Sequence[Call], lasts: timedelta) -> None:
        """Send alerts that resolve by themselves after so long; at once, where it is nothing.

        Raises:
            Invalid: they were refused.
        """


class Metrics(Protocol):
    """PromQL."""

    async def query(self, expression: str) -> Samples:
        """Evaluate an instant query.

        Raises:
            Invalid: the expression does not parse, or its result is no vector and no scalar.
            Unavailable: no answer, or one that cannot be trusted.
        """


@dataclass(frozen=True)
class Message:
    """What people are told."""

    id: str
    """The idempotency key: the same for every attempt to deliver this message."""
    kind: str
    subject: str
    text: str
    data: Json = field(default_factory=dict)


class Notifier(Protocol):
    """Brings a message to people."""

    async def post(self, url: str, message: Message, secret: str | None) -> None:
        """Send a message to a webhook, signed as Standard Webhooks says.

        Raises:
            Retryable: it may work later.
            Terminal: the receiver refused it.
        """


class Clock(Protocol):
    """Time."""

    def now(self) -> datetime:
        """The time of day, in UTC."""

    def monotonic(self) -> float:
        """Seconds that only go forward."""
