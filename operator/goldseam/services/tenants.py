"""Whose policies may use an alert source: by the labels of their namespaces, which no watch tells of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.engine.matching import allows
from goldseam.engine.objects import metadata
from goldseam.errors import GoldseamError, NotFound
from goldseam.ports import LINE, Cluster, Line
from goldseam.resources import NAMESPACES

log = structlog.get_logger("goldseam.tenants")

RECHECK = 60.0
"""Seconds after which the labels of all namespaces are read again; those of one are read before anything is done."""


@dataclass
class _Known:
    spec: AlertSourceSpec
    selected: set[str]
    """The namespaces that `allowedNamespaces` selects; empty where it is not set."""


class Tenants:
    """Knows which namespaces each source allows. Policies of the cluster are its admin's: nothing is closed to them."""

    def __init__(self, cluster: Cluster, changed: Callable[[str], None]) -> None:
        """`changed` is told the name of a source that allows something else now."""
        self._cluster, self._changed = cluster, changed
        self._known: dict[str, _Known] = {}

    def refusal(self, source: str, namespace: str, *, queries: bool) -> str:
        """Why the source is closed to a policy of that namespace (empty: of the cluster); empty when it is open.

        `queries` says whether the policy verifies by queries of its own.
        """
        known = self._known.get(source)
        if known is None or not namespace:
            return ""
        if known.spec.allowed_namespaces is not None and namespace not in known.selected:
            return (
                f"AlertSource {source} is not for policies of namespace {namespace}: its allowedNamespaces do not"
                " select it. Name another source in sourceRef, or ask its admin"
            )
        if queries and known.spec.tenant_queries == "Refused":
            return (
                f"AlertSource {source} takes no queries from policies of a namespace (tenantQueries: Refused):"
                " remove verify.queries from the ladder, or ask its admin"
            )
        return ""

    async def put(self, source: str, spec: AlertSourceSpec) -> None:
        """Take in a source, or its new spec.

        Raises:
            GoldseamError: the namespaces cannot be listed; what was known before stays.
        """
        old, new = self._known.get(source), _Known(spec, await self._selected(spec))
        self._known[source] = new
        if _terms(old) != _terms(new):
            self._changed(source)

    def remove(self, source: str) -> None:
        """Forget a source."""
        self._known.pop(source, None)

    async def look(self, source: str, namespace: str) -> None:
        """Read anew whether the namespace is allowed: before something is opened, or done.

        Raises:
            GoldseamError: it cannot be read.
        """
        known = self._known.get(source)
        if known is None or known.spec.allowed_namespaces is None or not namespace:
            return
        try:
            labels = metadata(await self._cluster.get(NAMESPACES, "", namespace)).get("labels") or {}
            selected = allows(known.spec.allowed_namespaces.selector.match_labels, labels)
        except NotFound:
            selected = False
        if selected != (namespace in known.selected):
            (known.selected.add if selected else known.selected.discard)(namespace)
            self._changed(source)

    async def keep(self) -> None:
        """Read the labels of all namespaces again and again, for ever, where a source asks for them."""
        LINE.set(Line.TELLING)
        while True:
            await asyncio.sleep(RECHECK)
            for source, known in list(self._known.items()):
                try:
                    await self.put(source, known.spec)
                except GoldseamError as error:
                    log.warning("namespaces_not_read", source=source, problem=str(error))

    async def _selected(self, spec: AlertSourceSpec) -> set[str]:
        if spec.allowed_namespaces is None:
            return set()
        wanted = ",".join(f"{k}={v}" for k, v in sorted(spec.allowed_namespaces.selector.match_labels.items()))
        return {str(metadata(item)["name"]) for item in (await self._cluster.list(NAMESPACES, labels=wanted)).items}


def _terms(known: _Known | None) -> tuple[bool, set[str], bool]:
    """All that decides about whom a source is closed to; of one that is not known: to nobody."""
    if known is None:
        return False, set(), False
    return known.spec.allowed_namespaces is not None, known.selected, known.spec.tenant_queries == "Refused"
