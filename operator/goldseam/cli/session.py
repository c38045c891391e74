"""One run of a command: the connection, the namespace, and where the words go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from goldseam.api.incident import ENDED
from goldseam.cli.text import plain
from goldseam.engine.views import IncidentView, view
from goldseam.errors import Forbidden, GoldseamError, Invalid, NotFound, Unavailable
from goldseam.ports import Cluster, Json, Resource
from goldseam.resources import INCIDENTS

REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", namespaced=False)

OPERATOR_NAMESPACE = "goldseam-system"
"""What is about nodes or the cluster lives there."""
DONE, FAILED, USAGE, UNANSWERED = 0, 1, 2, 3
"""Exit statuses: done; refused, or not to be had; wrong command line; sent, and not answered yet."""


@dataclass(frozen=True)
class Session:
    """What every command needs."""

    cluster: Cluster
    namespace: str
    """Empty: all namespaces."""
    print: Callable[[str], None]
    """Writes one line."""
    ask: Callable[[str], bool] | None
    """Asks a question that is answered by yes or no; None where nobody is there to answer."""
    now: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]]

    def say(self, *lines: str) -> None:
        """Print lines, without anything that a terminal would obey."""
        for line in lines:
            self.print(plain(line))

    def confirmed(self, question: str, yes: bool) -> bool:
        """Whether it is meant: by `--yes`, or by the answer of who sits there.

        Raises:
            Invalid: nobody is there, and `--yes` was not given.
        """
        if yes:
            return True
        if self.ask is None:
            raise Invalid("nobody is there to confirm: give --yes")
        return self.ask(plain(question))

    async def whoami(self) -> str:
        """The user as the API server knows them (KEP-3325)."""
        body = {"apiVersion": REVIEWS.api_version, "kind": "SelfSubjectReview"}
        answer = await self.cluster.create(REVIEWS, "", body)
        return str(answer["status"]["userInfo"]["username"])

    async def incidents(self, namespace: str) -> list[IncidentView]:
        """All that can be read, newest first."""
        found = [view(obj) for obj in (await self.cluster.list(INCIDENTS, namespace)).items]
        return sorted((i for i in found if i is not None), key=lambda i: (i.created, i.name), reverse=True)

    async def incident(self, name: str) -> IncidentView:
        """One incident: by its name, or by its target as `deployment/worker`, for what is open or newest there.

        Raises:
            Invalid: no such incident, or one that the operator has not begun.
        """
        if "/" in name:
            return await self._of_target(name)
        found = view(await self._read(name))
        if found is None:
            raise Invalid(f"Incident {name} is not one that this version of goldseam can read")
        return found

    async def _read(self, name: str) -> Json:
        try:
            return await self.cluster.get(INCIDENTS, self.namespace, name)
        except NotFound as error:
            where = f"namespace {self.namespace}"
            raise Invalid(f"there is no Incident {name} in {where}: see goldseam incidents -A --all") from error

    async def _of_target(self, title: str) -> IncidentView:
        kind, _, name = title.partition("/")
        known = await self.incidents(self.namespace)
        found = [i for i in known if same_target(i, kind, name)]
        open_ones = [i for i in found if is_open(i)]
        if len(open_ones) > 1:
            names = ", ".join(i.name for i in open_ones)
            raise Invalid(f"{title} has several open incidents: name one of {names}")
        if not found:
            raise Invalid(f"there is no Incident about {title} in namespace {self.namespace}")
        return (open_ones or found)[0]


def same_target(incident: IncidentView, kind: str, name: str) -> bool:
    """Whether it is about that object; the kind in any case, singular or plural, or kubectl's short name."""
    kinds = {"deploy": "deployment", "sts": "statefulset", "ds": "daemonset", "no": "node"}
    kind = kind.lower().removesuffix("s") if kind.lower() not in kinds else kind.lower()
    target = incident.spec.target
    return (kinds.get(kind, kind), name) == (target.kind.lower(), target.name)


def is_open(incident: IncidentView) -> bool:
    """Whether it wants attention: it goes on, or something is owed."""
    status = incident.status
    return status is None or status.phase not in ENDED or status.owes > 0


def advice(error: GoldseamError, namespace: str) -> str:
    """An error in words for the person at the terminal: what it was, and what to do about it."""
    if isinstance(error, Forbidden):
        where = f"namespace {namespace}" if namespace else "all namespaces"
        return f"{error}\nDo you have the ClusterRole goldseam-oncall (or goldseam-view, to look) in {where}?"
    if isinstance(error, NotFound):
        return f"{error}\nIs Goldseam installed in this cluster? Its CRDs are in deploy/kustomize/base."
    if isinstance(error, Unavailable):
        return f"the API server cannot be reached: {error}"
    return str(error)
