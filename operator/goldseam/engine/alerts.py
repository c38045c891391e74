"""What alert sources answer, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

NEVER = datetime.min.replace(tzinfo=UTC)
"""Go's zero time: not yet."""


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """One active alert of a rule."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    active_at: datetime


@dataclass(frozen=True)
class AlertRule:
    """One alerting rule as the rules API shows it."""

    name: str
    group: str
    query: str
    health: str
    last_error: str
    last_evaluation: datetime
    interval: timedelta
    hold: timedelta
    keep_firing: timedelta
    labels: Mapping[str, str]
    alerts: tuple[ActiveAlert, ...]
    state: str = ""
    evaluation_time: timedelta = timedelta(0)
    """How long its last evaluation took; `last_evaluation` is when that began."""
    server_started: datetime = NEVER
    """Since when the server runs that shows it, by its own clock; `NEVER` where it does not say."""
    replica: int = 0
    """Which server of an HA pair shows it; each evaluates the rule by itself."""

    @property
    def key(self) -> str:
        """Which rule this is among those of the source: a group may hold two that differ in their labels only."""
        labels = ",".join(f"{name}={value!r}" for name, value in sorted(self.labels.items()))
        return f"{self.replica}\n{self.group}\n{self.name}\n{self.query}\n{labels}"

    @cached_property
    def _by_namespace(self) -> Mapping[str, tuple[ActiveAlert, ...]]:
        found: dict[str, list[ActiveAlert]] = {}
        for alert in self.alerts:
            found.setdefault(alert.labels.get("namespace", ""), []).append(alert)
        return {namespace: tuple(alerts) for namespace, alerts in found.items()}

    @cached_property
    def _by_labels(self) -> Mapping[frozenset[tuple[str, str]], tuple[ActiveAlert, ...]]:
        found: dict[frozenset[tuple[str, str]], tuple[ActiveAlert, ...]] = {}
        for alert in self.alerts:
            key = frozenset(alert.labels.items())
            found[key] = (*found.get(key, ()), alert)
        return found

    def labelled(self, labels: Mapping[str, str], namespace: str | None) -> tuple[ActiveAlert, ...]:
        """The alerts with exactly these labels, of those that are in the namespace."""
        if namespace is not None and labels.get("namespace", "") not in ("", namespace):
            return ()
        return self._by_labels.get(frozenset(labels.items()), ())

    def alerts_in(self, namespace: str | None) -> tuple[ActiveAlert, ...]:
        """The alerts that carry this namespace or none at all; None: all. One rule may have alerts by the thousand."""
        if namespace is None:
            return self.alerts
        bare = self._by_namespace.get("", ()) if namespace else ()
        return self._by_namespace.get(namespace, ()) + bare


@dataclass(frozen=True)
class RulesAnswer:
    """One answer of `/api/v1/rules?type=alert`."""

    rules: tuple[AlertRule, ...]
    warnings: tuple[str, ...] = ()
    missing: str = ""
    """Which servers of an HA pair did not answer, and why: what the others show counts, what they do not show proves
    nothing."""
    servers: int = 1
    """How many servers answered."""
    asked: frozenset[str] | None = None
    """The names of the rules that were asked for; None: all. Of a rule that was not asked for nothing is said."""
    total: int | None = None
    """How many alerting rules the server has, and in how many groups, as far as that was counted lately; those of an HA
    pair count once."""
    groups: int | None = None


@dataclass(frozen=True)
class Samples:
    """The result of an instant query: the values of the vector, or the one of the scalar."""

    values: tuple[float, ...]
    warnings: tuple[str, ...] = ()
