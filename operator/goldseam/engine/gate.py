"""The page gate: for which incidents Alertmanager calls nobody, and which silences have to be made, renewed or ended.

The silence is short and has to be renewed, so that it lapses by itself when nobody heals any more. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from goldseam.api.base import parse_matcher
from goldseam.engine.record import unpaused_age
from goldseam.engine.silences import OURS, REPLICA_LABELS, KnownAlert, KnownSilence, Labels, Matcher, same_alerts
from goldseam.engine.views import IncidentView

LASTS = timedelta(minutes=2)
"""For how long a silence holds unless it is renewed; nobody is kept from being called for longer than that while
nothing is done."""
RENEWED = timedelta(seconds=30)
DEFAULT_SPAN = timedelta(hours=1)
"""From the alert's beginning, where the policy has no `escalateAfter`."""
MOST = 8
"""Alerts of one incident that are held back; for the others people are called."""
MARK = Matcher("goldseam", "")
"""True of every alert, for none has this label. By it Alertmanager finds our silences among thousands."""

_UID = re.compile(r"\[incident ([-\w]{1,64})\]$")
_ASKED = ("approval-", "notify-")


def gated(incident: IncidentView, now: datetime) -> bool:
    """Whether people need not be called for the incident's alert: it is being healed, in mode Act, and in time."""
    status = incident.status
    if status is None or status.mode != "Act" or status.phase not in ("Fixing", "Monitoring"):
        return False
    if status.handed_over or status.paused_since is not None or incident.pinned.page_gate == "Disabled":
        return False
    if any(not e.threshold.startswith(_ASKED) for e in status.escalations):
        return False
    if any(hold.kind == "Wait" and now - hold.since >= LASTS for hold in status.holds):
        return False
    return unpaused_age(status, incident.spec.alert.active_at, now) < (incident.pinned.escalate_after or DEFAULT_SPAN)


@dataclass(frozen=True)
class Wish:
    """The alerts of one incident, for which nobody is to be called."""

    uid: str
    title: str
    """The incident's namespace and name."""
    about: str
    """What is being healed."""
    alerts: tuple[Labels, ...]

    @property
    def created_by(self) -> str:
        """By which our silences are told from those of people."""
        return f"{OURS}{self.title}"

    @property
    def comment(self) -> str:
        """What people read in Alertmanager; its end says whose it is, after a restart and to another leader."""
        return (
            f"Goldseam is healing {self.about}: see Incident {self.title}. This ends by itself within two minutes when"
            f" Goldseam no longer does. [incident {self.uid}]"
        )


@dataclass(frozen=True)
class Changes:
    """What has to be done in one Alertmanager."""

    create: tuple[tuple[Wish, tuple[Matcher, ...]], ...] = ()
    renew: tuple[tuple[Wish, KnownSilence], ...] = ()
    end: tuple[KnownSilence, ...] = ()
    left: bool = False
    """Whether any of our silences, or those of another Goldseam, holds."""


def matchers_of(alert: Labels, known: Iterable[KnownAlert], cluster: Sequence[str]) -> tuple[Matcher, ...]:
    """The matchers of exactly this alert: what all forms of it in Alertmanager have in common, else its labels here.

    `cluster` are the matchers of what this cluster's alerts carry there.
    """
    same = same_alerts(alert, known, cluster)
    labels = {name: value for name, value in alert.items() if name not in REPLICA_LABELS}
    if same:
        common = set(same[0].labels.items()).intersection(*(a.labels.items() for a in same[1:]))
        labels = dict(common)
    exact = [Matcher(name, value) for name, value in sorted(labels.items()) if value]
    return (*exact, *(m for text in cluster if (m := _matcher(text)).name not in labels), MARK)


def _matcher(text: str) -> Matcher:
    name, operator, value = parse_matcher(text)
    return Matcher(name, value, is_equal=operator.startswith("="), is_regex=operator.endswith("~"))


def owner(silence: KnownSilence) -> str:
    """The uid of the incident that it is about; empty where it is not one of ours."""
    found = _UID.search(silence.comment) if silence.ours and MARK in silence.matchers else None
    return found[1] if found else ""


def changes(
    wishes: Iterable[Wish],
    existing: Iterable[KnownSilence],
    known: Callable[[Labels], Sequence[KnownAlert]],
    cluster: Sequence[str],
    ours: Callable[[str], bool],
) -> Changes:
    """From what should be to what has to be done.

    Args:
        wishes: one for each incident whose alerts are to be held back.
        existing: the silences that Alertmanager has.
        known: its alerts that may be the one with these labels.
        cluster: what this cluster's alerts carry there, as matchers.
        ours: whether an incident of that uid is one of this cluster; another's silence is left to lapse.
    """
    found: dict[str, list[KnownSilence]] = {}
    for silence in sorted(existing, key=lambda s: (s.starts_at, s.id)):
        if silence.active and (uid := owner(silence)):
            found.setdefault(uid, []).append(silence)
    create: list[tuple[Wish, tuple[Matcher, ...]]] = []
    renew: list[tuple[Wish, KnownSilence]] = []
    for wish in wishes:
        mine = found.get(wish.uid, [])
        for alert in wish.alerts[:MOST]:
            matchers = matchers_of(alert, candidates := known(alert), cluster)
            unseen = not same_alerts(alert, candidates, cluster)
            exact = (s for s in mine if set(s.matchers) == set(matchers))
            kept = next(exact, None) or next((s for s in mine if unseen and _covers(s, alert)), None)
            if kept is None and not any(matchers == made for w, made in create if w is wish):
                create.append((wish, matchers))
            elif kept is not None and (wish, kept) not in renew:
                renew.append((wish, kept))
    used = {silence.id for _, silence in renew}
    end = [s for uid, silences in found.items() if ours(uid) for s in silences if s.id not in used]
    left = bool(create or renew or any(not ours(uid) for uid in found))
    return Changes(tuple(create), tuple(renew), tuple(end), left)


def _covers(silence: KnownSilence, alert: Labels) -> bool:
    """Whether it was made for this alert when Alertmanager still knew it, and with the labels that it had there."""
    equal: Mapping[str, str] = {m.name: m.value for m in silence.matchers if m.is_equal and not m.is_regex}
    return all(equal.get(name) == value for name, value in alert.items() if value and name not in REPLICA_LABELS)
