"""What people wrote, as last seen by the watches: an index for matching, never the basis of an act."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.api.policy import ClusterRemediationPolicySpec
from goldseam.api.runbook import RunbookSpec
from goldseam.engine.matching import PolicyKey, PolicySpec, asks_queries
from goldseam.engine.situation import LivePolicy
from goldseam.services.allowing import makes_objects
from goldseam.services.neighbours import may_be_contested
from goldseam.services.node_policies import may_not_fit
from goldseam.services.reach import DEFAULT, runbook_of


@dataclass(frozen=True, slots=True)
class Armed:
    """As much of a valid policy as it takes to see whether an alert concerns it."""

    key: PolicyKey
    uid: str
    alert: str
    source: str
    suspended: bool
    generation: int
    created: datetime
    target_kind: str
    target_name: str
    """Empty where the alert names the target."""
    selector: str
    """A cluster policy's label selector of namespaces; empty for a namespaced policy."""
    any_scope: bool
    """Whether it also sees alerts that carry no namespace."""
    matchers: tuple[str, ...]
    queries: bool = False
    """Whether it verifies by queries of its own."""
    contestable: bool = False
    """Whether it names a target that others may own, or is for nodes, which come and go."""
    makes: bool = False
    """Whether it makes objects, of kinds that the Guardrails have to list."""
    runbook: str = DEFAULT
    """The name of its Runbook."""
    tells: bool = True
    """Whether people are told of its incidents: not in mode Observe."""


@dataclass
class Catalogue:
    """Policies by alert name and source; sources and runbooks by name."""

    armed: dict[PolicyKey, Armed] = field(default_factory=dict)
    sources: dict[str, AlertSourceSpec] = field(default_factory=dict)
    runbooks: dict[str, RunbookSpec] = field(default_factory=dict)
    _by_alert: dict[tuple[str, str], set[PolicyKey]] = field(default_factory=lambda: defaultdict(set))

    def arm(self, policy: LivePolicy) -> None:
        """Take a valid policy in, or its new version."""
        spec = policy.spec
        assert spec is not None, "an invalid policy is disarmed"
        self.disarm(policy.key)
        self.armed[policy.key] = Armed(
            key=policy.key,
            uid=policy.uid,
            alert=spec.alert.name,
            source=spec.source_ref.name,
            suspended=spec.suspend,
            generation=policy.generation,
            created=policy.created,
            target_kind=spec.target.kind,
            target_name=spec.target.name or "",
            selector=_selector(spec),
            any_scope=getattr(spec.alert, "scope", "Any") == "Any",
            matchers=tuple(spec.alert.matchers),
            queries=asks_queries(spec),
            contestable=may_be_contested(spec) or may_not_fit(spec),
            makes=makes_objects(spec),
            runbook=runbook_of(spec),
            tells=spec.mode != "Observe",
        )
        self._by_alert[spec.source_ref.name, spec.alert.name].add(policy.key)

    def disarm(self, key: PolicyKey) -> None:
        """Forget a policy that is gone or invalid."""
        old = self.armed.pop(key, None)
        if old is not None:
            keys = self._by_alert[old.source, old.alert]
            keys.discard(key)
            if not keys:
                del self._by_alert[old.source, old.alert]

    def concerned(self, source: str, alert: str) -> Iterator[Armed]:
        """The policies that wait for this alert from this source."""
        for key in sorted(self._by_alert.get((source, alert), ()), key=str):
            yield self.armed[key]

    def waits_for(self, source: str, alert: str) -> bool:
        """Whether any policy waits for this alert from this source."""
        return (source, alert) in self._by_alert

    def alerts_of(self, source: str) -> set[str]:
        """The alerts of this source that any policy waits for."""
        return {alert for name, alert in self._by_alert if name == source}

    def runbook(self, name: str | None) -> RunbookSpec | None:
        """The runbook of that name, or the default one."""
        return self.runbooks.get(name or DEFAULT)


def _selector(spec: PolicySpec) -> str:
    if not isinstance(spec, ClusterRemediationPolicySpec) or spec.target.namespace_selector is None:
        return ""
    return ",".join(f"{key}={value}" for key, value in sorted(spec.target.namespace_selector.match_labels.items()))
