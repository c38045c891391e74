"""From an alert's labels to the object that it is about, and back: whether an alert is about an incident's target."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from goldseam.api.policy import ClusterRemediationPolicySpec
from goldseam.engine.alerts import ActiveAlert
from goldseam.engine.matching import (
    NoTarget,
    PolicySpec,
    TargetKey,
    allows,
    concerns,
    label_of_node,
    matches,
    selector_of_nodes,
    target_of,
)
from goldseam.engine.objects import controller, metadata
from goldseam.engine.silences import Labels
from goldseam.engine.views import IncidentView
from goldseam.errors import GoldseamError, NotFound
from goldseam.ports import Cluster
from goldseam.resources import NAMESPACES, PODS, REPLICA_SETS
from goldseam.services.book import target_key
from goldseam.services.node_names import Found, NodeNames
from goldseam.services.sources import Source

REMEMBERED = 20_000
LOOKED_UP = 20
"""So many alerts are looked up for one look, at the most."""


@dataclass
class Targets:
    """Finds targets, and remembers whose pods and whose addresses were found."""

    cluster: Cluster
    _owners: dict[tuple[str, str], TargetKey | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes = NodeNames(self.cluster)

    async def found(self, spec: PolicySpec, namespace: str, alert: ActiveAlert) -> Found | NoTarget:
        """The object that the alert is about: as the labels say, a pod by its topmost owner, a node by its address.

        Raises:
            GoldseamError: it cannot be read.
        """
        named = target_of(spec, namespace, alert.labels)
        if isinstance(named, NoTarget):
            return named
        if isinstance(spec, ClusterRemediationPolicySpec) and spec.target.namespace_selector is not None:
            wanted = spec.target.namespace_selector.match_labels
            found = await self.cluster.get(NAMESPACES, "", named.namespace)
            if not allows(wanted, metadata(found).get("labels") or {}):
                return NoTarget(f"namespace {named.namespace} is not one that namespaceSelector selects")
        if named.kind == "Pod":
            owner = await self._owner(named, spec.target.kind)
            return owner if isinstance(owner, NoTarget) else Found(owner)
        if named.kind == "Node" and spec.target.name is None:
            return await self.nodes.found(named.name, label_of_node(alert.labels), selector_of_nodes(spec))
        return Found(named)

    async def _owner(self, pod: TargetKey, wanted: str) -> TargetKey | NoTarget:
        key = (pod.namespace, pod.name)
        if self._owners.get(key) is None:
            if len(self._owners) > REMEMBERED:
                self._owners.clear()
            self._owners[key] = await self._top_owner(pod)
        owner = self._owners[key]
        if owner is None or owner.kind != wanted:
            return NoTarget(f"pod {pod.namespace}/{pod.name} belongs to {owner or 'nobody'}, not to a {wanted}")
        return owner

    async def _top_owner(self, pod: TargetKey) -> TargetKey | None:
        try:
            owner = controller(await self.cluster.get(PODS, pod.namespace, pod.name))
            if owner is not None and owner.get("kind") == "ReplicaSet":
                owner = controller(await self.cluster.get(REPLICA_SETS, pod.namespace, str(owner["name"]))) or owner
        except NotFound:
            return None
        return TargetKey(str(owner["kind"]), pod.namespace, str(owner["name"])) if owner else None

    def alerts_of(self, incident: IncidentView, source: Source) -> list[Labels]:
        """The labels of the incident's alerts that fire; those of the one that opened it where none does.

        What stands in the Incident counts only as far as the policy would open one for it: it may be forged.
        """
        spec, namespace = incident.pinned, incident.spec.target.namespace or None
        rules = source.rules_of(spec.alert.name)
        firing = [a for rule in rules for a in rule.alerts_in(namespace) if a.state == "firing"]
        opened = ActiveAlert(incident.spec.alert.labels, {}, "firing", incident.spec.alert.active_at)
        known = [opened] if opened.labels.get("alertname") == spec.alert.name else []

        def mine(alerts: list[ActiveAlert]) -> list[Labels]:
            found = [a for a in alerts if self.concerned(spec, source.spec.matchers, incident, a)]
            return [dict(labels) for labels in dict.fromkeys(tuple(sorted(a.labels.items())) for a in found)]

        return mine(firing) or mine(known)

    async def looked_up(self, spec: PolicySpec, incident: IncidentView, source: Source) -> bool:
        """Look up what those alerts are about of which that is not known; whether any of it is known by now."""
        rules, cluster = source.rules_of(spec.alert.name), source.spec.matchers
        alerts = (a for rule in rules for a in rule.alerts_in(incident.spec.target.namespace or None))
        unclear = [a for a in alerts if self.concerned(spec, cluster, incident, a) is None][:LOOKED_UP]
        namespace = incident.spec.policy_ref.namespace
        asked = (self.found(spec, namespace, alert) for alert in unclear)
        found = await asyncio.gather(*asked, return_exceptions=True)
        for error in found:
            if isinstance(error, BaseException) and not isinstance(error, GoldseamError):
                raise error
        return any(self.concerned(spec, cluster, incident, alert) is not None for alert in unclear)

    def concerned(
        self, spec: PolicySpec, cluster: Sequence[str], incident: IncidentView, alert: ActiveAlert
    ) -> bool | None:
        """Whether an active alert is about this incident's policy and target; None where that was not looked up yet, or
        cannot be told. The alert for which it was opened is about it.

        `cluster` are the source's matchers, which say what is about this cluster at all.
        """
        if not matches(alert.labels, cluster) or not concerns(spec, incident.spec.policy_ref.namespace, alert.labels):
            return False
        named = target_of(spec, incident.spec.policy_ref.namespace, alert.labels)
        if isinstance(named, NoTarget):
            return False
        if named.kind == "Pod":
            owner = self._owners.get((named.namespace, named.name))
            means = None if owner is None else owner == target_key(incident)
        elif named.kind == "Node" and spec.target.name is None:
            means = self.nodes.means(named.name, incident.spec.target.name)
        else:
            means = named == target_key(incident)
        return True if means is None and alert.labels == incident.spec.alert.labels else means
