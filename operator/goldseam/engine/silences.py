"""What Alertmanager knows of an alert, and who keeps it from calling people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from goldseam.engine.matching import matches

Labels = Mapping[str, str]

REPLICA_LABELS = frozenset({"replica", "prometheus_replica", "__replica__", "rule_replica", "receive_replica"})
"""Labels that tell the servers of an HA pair apart: Prometheus drops them before it sends, or they differ."""
OURS = "goldseam:"
"""How `createdBy` of our own silences begins."""


@dataclass(frozen=True)
class KnownAlert:
    """One alert that is active in Alertmanager, silenced or not."""

    labels: Labels
    silenced_by: tuple[str, ...] = ()
    """The ids of the silences that match it."""
    inhibited_by: tuple[str, ...] = ()
    """The fingerprints of the alerts that inhibit it."""
    fingerprint: str = ""


@dataclass(frozen=True)
class Matcher:
    """One matcher of a silence."""

    name: str
    value: str
    is_equal: bool = True
    is_regex: bool = False


@dataclass(frozen=True)
class KnownSilence:
    """One silence as Alertmanager shows it."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: str
    """As the server wrote it: in a renewal it has to be the same."""
    ends_at: datetime
    created_by: str
    comment: str
    active: bool
    left: timedelta
    """How long it still holds, by the server's own clock."""

    @property
    def ours(self) -> bool:
        """Whether a Goldseam made it, to keep people from being called while it heals."""
        return self.created_by.startswith(OURS)


def same_alerts(ours: Labels, known: Iterable[KnownAlert], matchers: Sequence[str]) -> list[KnownAlert]:
    """The alerts in Alertmanager that are this alert of a rule: they carry all its labels, and perhaps external ones.

    `matchers` are what this cluster's alerts carry there. Labels of replicas are not compared.
    """
    mine = [alert for alert in known if matches(alert.labels, matchers)]
    wanted = {name: value for name, value in ours.items() if name not in REPLICA_LABELS}
    return [alert for alert in mine if wanted.items() <= alert.labels.items()]


def like_alerts(ours: Labels, known: Iterable[KnownAlert], matchers: Sequence[str]) -> list[KnownAlert]:
    """As `same_alerts`; where there is none, those of that name that contradict no label: relabelling may drop some.

    In doubt it is this alert: for holding, not for silencing.
    """
    known = list(known)
    if same := same_alerts(ours, known, matchers):
        return same
    mine = [a for a in known if a.labels.get("alertname") == ours.get("alertname") and matches(a.labels, matchers)]
    return [a for a in mine if all(ours.get(n, v) == v for n, v in a.labels.items() if n not in REPLICA_LABELS)]


def held_by_others(alert: KnownAlert, silences: Mapping[str, KnownSilence]) -> bool:
    """Whether something other than our own page gate keeps people from being called about it.

    A silence of which nothing is known is somebody's.
    """
    return bool(alert.inhibited_by) or any(i not in silences or not silences[i].ours for i in alert.silenced_by)


@dataclass(frozen=True)
class Call:
    """An alert of our own, by which people are called."""

    labels: Labels
    annotations: Mapping[str, str]
    starts_at: datetime
