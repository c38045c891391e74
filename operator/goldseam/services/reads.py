"""Live reads for one decision: an object that is not there is None; a read that fails is named, never guessed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from goldseam.errors import Forbidden, GoldseamError, NotFound
from goldseam.ports import LINE, Cluster, Json, Line, Page, Resource
from goldseam.resources import GUARDRAILS, OURS, PAUSES, RESPONSES
from goldseam.services.lately import Lately

SHARED = (PAUSES, RESPONSES, GUARDRAILS, OURS["RemediationPolicy"], OURS["ClusterRemediationPolicy"])
"""Read by every look, watched, and seldom changed."""


class Reads:
    """Live reads for one decision: an object that is not there is None, a read that fails is noted."""

    def __init__(self, cluster: Cluster, lately: Lately | None = None, *, widely: bool = False) -> None:
        """`lately`: what others were answered lately will do. `widely`: so many share it that a list of the whole
        cluster, which all of them can use, is less work than one of a namespace for each."""
        self._cluster, self._lately, self.widely = cluster, lately, widely
        self.unknown: list[str] = []
        self.closed = False
        """Whether any of it could not be read because the right to do so is missing."""

    def aside(self) -> Reads:
        """Reads that hold nothing up where they fail: what they could not read is named on them alone."""
        return Reads(self._cluster, self._lately, widely=self.widely)

    async def one(self, resource: Resource, namespace: str, name: str, subresource: str = "") -> Json | None:
        """One object."""
        try:
            ask = partial(self._cluster.get, resource, namespace, name, subresource)
            found: Json = await self._answer(resource, namespace, name, ask)
            return found
        except NotFound:
            return None
        except GoldseamError as error:
            self.unknown.append(f"{resource.plural}/{name}{'/' + subresource if subresource else ''} ({error})")
            self.closed |= isinstance(error, Forbidden)
            return None

    async def all(
        self,
        resource: Resource,
        namespace: str = "",
        fields: str = "",
        labels: str = "",
        *,
        absent: tuple[type[GoldseamError], ...] = (),
    ) -> tuple[Json, ...]:
        """A list, of those with these fields and labels. `absent`: errors that mean that there are none."""
        try:
            ask = partial(self._cluster.list, resource, namespace, fields=fields, labels=labels)
            page: Page = await self._answer(resource, namespace, f"{fields};{labels}", ask)
            return page.items
        except absent:
            return ()
        except GoldseamError as error:
            self.unknown.append(f"{resource.plural} ({error})")
            self.closed |= isinstance(error, Forbidden)
            return ()

    async def within(self, resource: Resource, namespace: str, fields: str = "") -> tuple[Json, ...]:
        """All of that namespace with these fields, and maybe others of it: whoever asks `widely` shares one list of the
        whole cluster, of what people write to Goldseam. Where that fails, as for one tenant's many objects, each reads
        its own."""
        if self.widely:
            reads = self.aside()
            found = await reads.all(resource)
            if not reads.unknown:
                return tuple(obj for obj in found if obj["metadata"].get("namespace") == namespace)
        return await self.all(resource, namespace, fields)

    async def log(self, namespace: str, pod: str, container: str, lines: int) -> tuple[str, str]:
        """The end of a container's log, or why it could not be read: no decision waits for that."""
        try:
            return await self._cluster.log(namespace, pod, container, lines), ""
        except GoldseamError as error:
            return "", str(error)

    async def optional(self, resource: Resource, namespace: str) -> tuple[Json, ...]:
        """All of a kind that a cluster need not have, nor let us read: none, where it is so."""
        return await self.all(resource, namespace, absent=(NotFound, Forbidden))

    async def _answer(
        self, resource: Resource, namespace: str, which: str, ask: Callable[[], Coroutine[Any, Any, Any]]
    ) -> Any:
        if self._lately is None or resource not in (*SHARED, *self._lately.also):
            return await ask()
        urgent = LINE.get() is Line.URGENT  # and waits for no answer to others
        return await self._lately.answer((resource.plural, namespace, which), ask, anew=urgent)
