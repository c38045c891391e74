"""Guardrails: the cluster's own limits, and the ledger of what has been done."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from goldseam.api.base import Count, Model, Record, Time
from goldseam.api.constraints import Pattern
from goldseam.api.policy import ActionCount

NamespacePattern = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Pattern(
        r"^[a-z0-9*]([-a-z0-9*]*[a-z0-9*])?$", "must be the name of a namespace, in which * stands for any characters"
    ),
]
"""The name of a namespace, or a pattern for several."""


class NodeCaps(Model):
    """How many nodes may be out of service for Goldseam at the same time."""

    at_once: Count = 1
    """Nodes that Goldseam may have cordoned at once in the cluster. Default: 1."""
    per_zone: Count = 1
    """Nodes that Goldseam may have cordoned at once in one zone (`topology.kubernetes.io/zone`). Default: 1."""


class Budgets(Model):
    """How many actions there may be over all policies."""

    cluster: Annotated[list[ActionCount], Field(max_length=4)] = [ActionCount(count=20, per=timedelta(hours=1))]
    """For the whole cluster. Default: 20 in 1h."""
    namespace: Annotated[list[ActionCount], Field(max_length=4)] = [ActionCount(count=10, per=timedelta(hours=1))]
    """For each namespace. Default: 10 in 1h."""
    nodes: NodeCaps = NodeCaps()
    """How many nodes may be out of service for Goldseam at the same time. Default: 1, and 1 in each zone."""


PROTECTED_BY_DEFAULT = ["kube-*", "goldseam-system", "argocd", "flux-system"]


class GuardrailsSpec(Model):
    """The limits that hold for every policy. An empty spec means the defaults."""

    budgets: Budgets = Budgets()
    """How many actions there may be over all policies."""
    protected_namespaces: Annotated[list[NamespacePattern], Field(max_length=64)] = PROTECTED_BY_DEFAULT
    """Namespaces whose workloads are never acted on; `*` stands for any characters. The operator's own namespace is
    protected always. Default: kube-*, goldseam-system, argocd, flux-system."""


class LedgerEntry(Record):
    """The actions of one policy on one target within one hour."""

    policy: Annotated[str, Field(max_length=400)]
    """The policy, as `<kind>/<namespace>/<name>`."""
    target: Annotated[str, Field(max_length=400)]
    """The target, as `<kind>/<namespace>/<name>`."""
    last: Time
    """When the last of them was begun."""
    count: Annotated[int, Field(ge=1, json_schema_extra={"format": "int32"})]
    """How many there were."""


MAX_LEDGER = 2_000
"""Entries kept: 200 bytes each, so well below the size that etcd takes."""
