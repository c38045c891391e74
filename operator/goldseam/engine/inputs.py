"""Input liveness: an alert that is gone counts as over only while what its rule reads is still there to be read, and
one that fires counts only while it does so on what was read since its rule is watched.

An exporter that dies, a target that nobody scrapes any more and a metric with a new name all leave a healthy rule
without an alert. Only numbers are asked of the server, about the time since the alert's `activeAt`: so nothing has to
be remembered, and a restart forgets nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from goldseam.api.incident import ObjectRef
from goldseam.api.matchers import quoted
from goldseam.engine.alerts import AlertRule
from goldseam.engine.record import shown
from goldseam.engine.series import Selector, selectors
from goldseam.engine.verdict import LOOKBACK, Reading, longest_range

MOST = 20
"""Selectors of one alert that are asked for."""
LONGEST = timedelta(days=14)
"""How far back the beginning of an alert is looked for."""
BEFORE = 3600
"""Seconds before an alert began, in which its series is looked for."""
POD_PREFIX = 40
"""Characters of a workload's name with which the names of its pods surely begin (Kubernetes cuts at 58)."""


@dataclass(frozen=True)
class Seen:
    """What the server says of one selector. Each field is a question that was asked; what was not needed is False."""

    selector: str
    has: bool
    """Whether it had data as the rule was evaluated."""
    down: bool = False
    """Whether a target that fed it since the alert became active was scraped in vain then (`up` was 0)."""
    had: bool = False
    """Whether it has had data since the alert became active."""
    live: bool = False
    """Whether a target that fed it was scraped then (`up` was 1)."""
    alike: bool = False
    """Whether such a target showed the metric still, with other labels."""
    passing: bool = False
    """Whether its series were missing for a tenth of the hour before the alert, though such a target was scraped."""


def doubt(inputs: Sequence[Seen], *, remembers: bool) -> str:
    """Why an absent alert does not count as over; empty when its inputs are alive.

    Args:
        inputs: all selectors of the alert's rules.
        remembers: whether the server's data goes back to when the alert began, so that what had no data then is known
            to be no input of it.
    """
    return next((problem for seen in inputs if (problem := _doubt(seen, remembers=remembers))), "")


def _doubt(seen: Seen, *, remembers: bool) -> str:
    name = shown(seen.selector)
    if seen.down:
        return (
            f"a target of its input {name} is down" if seen.has else f"its input {name} has no data: its target is down"
        )
    if seen.has:
        return ""
    if not seen.had:
        unsure = f"its input {name} has no data, and whether it had any when the alert began is not known any more"
        return "" if remembers else unsure
    if not seen.live:
        return f"its input {name} has no data, and what showed it is not there any more"
    if seen.alike or seen.passing:
        return ""
    return f"its input {name} has no data, though its target is up: has the metric another name now?"


def outdated(selector: str) -> str:
    """Why an alert is not believed to fire on what the selector has."""
    before = "it may do so on what was scraped before its rule was watched"
    return f"{before}: not all of its input {shown(selector)} is newer"


def unfounded(rules: Iterable[AlertRule]) -> str:
    """Why an alert whose inputs have no data is not believed to fire; empty for one that fires because of that."""
    if any("absent" in rule.query for rule in rules):
        return ""
    return "its inputs have no data now"


def rests(reading: Reading) -> bool:
    """Whether the verdict rests on its inputs: gone only while they live, and firing anew only on what they say now."""
    return reading.state == "Cleared" or (reading.fresh and reading.watched_since is not None)


def believed(reading: Reading, problem: str) -> Reading:
    """The verdict as far as its inputs let it be believed."""
    if not problem or not rests(reading):
        return reading
    if reading.state == "Firing":
        return replace(reading, fresh=False, message=f"the alert is firing, but {problem}")
    return replace(reading, state="Unknown", fresh=False, message=f"no alert is shown, but {problem}", inputs_gone=True)


def wanted(rules: Iterable[AlertRule]) -> tuple[Selector, ...]:
    """What the rules read, without what the server makes of its rules itself.

    Raises:
        NotUnderstood: a query cannot be followed.
    """
    found = dict.fromkeys(selector for rule in rules for selector in selectors(rule.query))
    return tuple(selector for selector in found if selector.name not in ("ALERTS", "ALERTS_FOR_STATE"))


def narrowing(target: ObjectRef, labels: Mapping[str, str], static: Collection[str]) -> tuple[str, ...]:
    """Matchers for the series that are about the target: what carries other values in these labels is not.

    Only labels that every alert about the target has alike: its name, not that of one pod. A series without the label
    stays, as it does in PromQL's own matching.

    Args:
        target: what the incident is about.
        labels: those of the alert.
        static: labels that the rule gives, which no series carries.
    """
    about = _of_node(target, labels) if target.kind == "Node" else _of_workload(target, labels)
    return tuple(f"{label}=~{quoted('|' + pattern)}" for label, pattern in about.items() if label not in static)


def _of_node(target: ObjectRef, labels: Mapping[str, str]) -> dict[str, str]:
    if labels.get("node") == target.name:
        return {"node": re.escape(target.name)}
    host = labels.get("instance", "").rsplit(":", 1)[0]
    return {"instance": f"{re.escape(host)}(:[0-9]+)?"} if host and "node" not in labels else {}


def _of_workload(target: ObjectRef, labels: Mapping[str, str]) -> dict[str, str]:
    names = {"namespace": target.namespace, target.kind.lower(): target.name}
    about = {label: re.escape(name) for label, name in names.items() if labels.get(label) == name}
    prefix = target.name[:POD_PREFIX]
    return about | ({"pod": f"{re.escape(prefix)}.*"} if labels.get("pod", "").startswith(prefix) else {})


@dataclass(frozen=True)
class Window:
    """The time in which the alert's rules read what made it fire, in seconds before now."""

    begins: int
    began: int
    """When the alert became active."""

    @classmethod
    def of(cls, rules: Collection[AlertRule], active_at: datetime) -> Window:
        """Both times are the server's own, so that no two clocks are compared."""
        age = max(rule.last_evaluation for rule in rules) - active_at
        back = max(longest_range(rule.query) for rule in rules) + LOOKBACK
        began = int(min(max(age, timedelta(0)), LONGEST).total_seconds()) + 1
        return cls(began + int(min(back, LONGEST).total_seconds()), began)

    def remembered(self, texts: Iterable[str]) -> str:
        """Whether there is any data of when the alert began: of these selectors, or of any target."""
        span = f"[{self.begins - self.began}s] offset {self.began}s"
        return "count(" + " or ".join(f"count_over_time({text}{span})" for text in (*texts, "up")) + ")"


@dataclass(frozen=True)
class Questions:
    """PromQL about one selector: each answer is a number; none, or nothing, means no.

    What an evaluation saw is asked as of then, by PromQL's `@` (Prometheus 2.33 and newer, and all that speak its
    language): else the first scrape after one that failed would speak for what was evaluated between the two.
    """

    selector: Selector
    narrow: tuple[str, ...]
    window: Window
    evaluated: datetime
    """When the rule was evaluated, by the server's clock."""

    @property
    def text(self) -> str:
        """The selector as it is asked for."""
        return self.selector.narrowed(*self.narrow)

    @property
    def synthetic(self) -> bool:
        """Whether it is what Prometheus says of a target itself, whether up or down."""
        return self.selector.name == "up" or self.selector.name.startswith("scrape_")

    @property
    def has(self) -> str:
        """See `Seen.has`."""
        return f"count({self.text}{self._then})"

    def before(self, moment: datetime) -> str:
        """How many of the samples that the evaluation saw are older than that moment of the server's clock."""
        return f"count(timestamp({self.text}{self._then}) < {moment.timestamp():.3f})"

    @property
    def _then(self) -> str:
        return f" @ {self.evaluated.timestamp():.3f}"

    @property
    def had(self) -> str:
        """See `Seen.had`."""
        return f"count(count_over_time({self.text}[{self.window.begins}s]))"

    @property
    def _fed(self) -> str:
        return f"count by (job, instance) (count_over_time({self.text}[{self.window.begins}s]))"

    def targets(self, up: int) -> str:
        """How many targets that fed it were up (1), or down (0), then."""
        return f"count({self._fed} and on (job, instance) (up{self._then} == {up}))"

    @property
    def alike(self) -> str:
        """See `Seen.alike`."""
        return f"count({self.selector.name}{self._then} and on (job, instance) {self._fed})"

    @property
    def passing(self) -> str:
        """See `Seen.passing`."""
        span = f"[{BEFORE}s] offset {self.window.begins}s"
        scrapes = f"max(count_over_time(up{span}) and on (job, instance) {self._fed})"
        return f"count(0.9 * {scrapes} > (max(count_over_time({self.text}{span})) or vector(0)))"
