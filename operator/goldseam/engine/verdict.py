"""From answers of the rules API to verdicts: what is known of an alert, and how freshly.

Absence of an alert is not recovery, and presence is no proof. Freshness is `lastEvaluation` seen to advance on our own
monotonic clock; two machines' clocks are never compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from goldseam.api.outcomes import VerdictState
from goldseam.engine.alerts import NEVER, ActiveAlert, AlertRule, RulesAnswer

LOOKBACK = timedelta(minutes=5)
"""How old a sample may be that an evaluation takes: Prometheus' `query.lookback-delta`."""

UNCLEAR = "it is not known yet what another alert of this name is about"


@dataclass(frozen=True)
class RuleWatch:
    """What was seen of one rule so far. Times are seconds of our monotonic clock."""

    rule: AlertRule
    steady_since: float
    """Since when every read showed the rule healthy and evaluated in time."""
    begun: datetime
    """The evaluation that was shown then, or the first one if there was none; by the server's clock. What was sampled
    later was sampled while the rule was watched."""
    advances: int = 0
    """How often its evaluation was seen to advance since then."""
    advanced_at: float = 0.0
    """When it was last seen to advance."""
    evaluated_after: float = 0.0
    """The latest moment of which we know that the evaluation shown ended after it."""
    read_at: float = 0.0

    @property
    def began_after(self) -> float:
        """The latest moment of which we know that the evaluation shown began after it: a slow one shows old data."""
        return self.evaluated_after - self.rule.evaluation_time.total_seconds()


@dataclass(frozen=True)
class History:
    """What was seen of one alert source so far."""

    rules: Mapping[str, RuleWatch] = field(default_factory=dict)
    by_name: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    read_at: float | None = None
    """When the last good answer came; None before the first one."""
    problem: str = "it has not been read yet"
    """Why the last read told nothing; empty when it did."""
    missing: str = ""
    """Which servers of an HA pair did not answer, and why."""
    servers: int = 1
    """How many answered."""
    asked: frozenset[str] | None = None
    """The names of the rules that the last answer is about; None: all."""

    def watches(self, alert: str) -> tuple[RuleWatch, ...]:
        """What was seen of the rules of this name."""
        return tuple(self.rules[key] for key in self.by_name.get(alert, ()))

    def knows(self, alert: str) -> bool:
        """Whether it can be told if there is a rule of that name: the last answer is about it."""
        return self.read_at is not None and (self.asked is None or alert in self.asked)


@dataclass(frozen=True)
class Reading:
    """The verdict on one alert for one target."""

    state: VerdictState
    fresh: bool
    message: str
    evaluated_after: datetime | None = None
    """The evaluation came after this moment, by our own clock."""
    look_back: timedelta = timedelta(0)
    """How far the rule looks back, plus two of its intervals."""
    watched_since: datetime | None = None
    """Where it may rest on what was sampled before its rules were watched, which may be of a server's earlier life:
    since when they are, by the server's clock."""
    inputs_gone: bool = False
    """Whether it is Unknown only because what the rule reads is gone, or that could not be asked."""
    unclear: bool = False
    """Whether one of the alerts that are shown is about something that was not looked up yet, maybe this."""


def observe(history: History, answer: RulesAnswer, now: float, poll: timedelta = timedelta(0)) -> History:
    """Add one good answer, read at `now` (monotonic seconds) of a source that is read every `poll`."""
    warned = "; ".join(answer.warnings)
    broken = bool(warned) or (history.read_at is not None and bool(history.problem))
    rules = {rule.key: _watch(history.rules.get(rule.key), rule, now, poll, broken) for rule in answer.rules}
    names: dict[str, list[str]] = {}
    for rule in answer.rules:
        names.setdefault(rule.name, []).append(rule.key)
    problem = f"the answer is partial: {warned}" if warned else ""
    by_name = {name: tuple(keys) for name, keys in names.items()}
    return History(rules, by_name, now, problem, answer.missing, answer.servers, answer.asked)


def failed(history: History, problem: str) -> History:
    """Note that a read failed: what was seen before stays, but watching begins anew with the next answer."""
    return replace(history, problem=problem)


def _watch(seen: RuleWatch | None, rule: AlertRule, now: float, poll: timedelta, broken: bool) -> RuleWatch:
    if seen is None:
        return RuleWatch(rule, now, _begun(rule), read_at=now)
    advanced = rule.last_evaluation > seen.rule.last_evaluation
    new = replace(
        seen,
        rule=rule,
        read_at=now,
        begun=rule.last_evaluation if seen.begun == NEVER else seen.begun,
        advances=seen.advances + advanced,
        advanced_at=now if advanced else seen.advanced_at,
        evaluated_after=seen.read_at if advanced else seen.evaluated_after,
    )
    went_back = rule.last_evaluation < seen.rule.last_evaluation
    restarted = rule.server_started > seen.rule.server_started
    gap = now - seen.read_at > 3 * max(rule.interval, poll).total_seconds() + 60
    if broken or went_back or restarted or gap or rule.health != "ok" or (new.advances and not _in_time(new, now)):
        return replace(new, steady_since=now, begun=_begun(rule), advances=0)
    return new


def _begun(rule: AlertRule) -> datetime:
    """From which evaluation on a rule is watched: what is read at once may be rules of one life of the server and the
    start of the next, and what was sampled between the two is of before. `NEVER` where there was no evaluation."""
    return NEVER if rule.last_evaluation == NEVER else max(rule.last_evaluation, rule.server_started)


def _in_time(watch: RuleWatch, now: float) -> bool:
    """Whether the rule was evaluated lately: within two intervals, and the time between the reads that showed it."""
    patience = 2 * watch.rule.interval.total_seconds() + (watch.advanced_at - watch.evaluated_after)
    return now - watch.advanced_at <= max(patience, 3.0)


def verdict(
    history: History,
    alert: str,
    ours: Callable[[ActiveAlert], bool | None],
    now: float,
    today: datetime,
    poll: timedelta,
    namespace: str | None = None,
    likely: Mapping[str, str] | None = None,
) -> Reading:
    """What is known of the alerts of this name that are `ours`.

    Args:
        history: what was seen of the source.
        alert: the alert's name.
        ours: whether an active alert concerns this policy and target; None where that is not known: such an alert is
            no proof that it fires, nor does it let it be gone.
        now: monotonic seconds.
        today: the time of day at `now`.
        poll: how often the source is read.
        namespace: where known, the namespace that `ours` asks for, so that no others need to be looked at.
        likely: the labels of an alert that is `ours` most likely. It is asked about first, for one that shows is
            enough: of a thousand alerts for a thousand incidents each would else be asked about for each.
    """
    watches = history.watches(alert)
    if history.read_at is None:
        return Reading("Unknown", False, f"the alert source tells nothing: {history.problem}")
    if not history.knows(alert):
        return Reading("Unknown", False, f"the alert source has not been asked for the rule {alert} yet")
    if not watches:
        return Reading("Unknown", False, f"the alert source has no rule named {alert}")
    look_back = max(looks_back(watch.rule) for watch in watches)
    late = now - history.read_at > max(3 * poll.total_seconds(), 10.0)
    dead = f"the alert source has not answered lately: {history.problem}" if late else ""
    for state in ("firing", "pending"):
        showing = [w for w in watches if any(a.state == state and ours(a) for a in _in(w.rule, namespace, likely))]
        if showing:
            return _present(state, showing, now, today, dead or history.problem, look_back)
    unclear = any(ours(alert) is None for watch in watches for alert in watch.rule.alerts_in(namespace))
    doubt = dead or history.problem or history.missing or _unlike(watches, history.servers)
    doubt = doubt or (UNCLEAR if unclear else "")
    return replace(_absent(watches, now, today, doubt, look_back), unclear=unclear)


def _in(rule: AlertRule, namespace: str | None, likely: Mapping[str, str] | None) -> Iterator[ActiveAlert]:
    yield from rule.labelled(likely, namespace) if likely is not None else ()
    yield from rule.alerts_in(namespace)


def heartbeat(history: History, alert: str, now: float) -> tuple[bool, str]:
    """Whether any server of the source shows its heartbeat, and what is wrong where not all of them do.

    An alert that always fires is the one proof that rules are evaluated, and that an answer shows what fires.
    """
    watches = history.watches(alert)
    beating = {w.rule.replica for w in watches if _is_fresh(w, now) and any(a.state == "firing" for a in w.rule.alerts)}
    lost = len(beating) < history.servers
    return bool(beating), f"the heartbeat {alert} does not fire freshly" if lost else ""


def believed(reading: Reading, beats: tuple[bool, str]) -> Reading:
    """The verdict as far as the source's heartbeat lets it be believed."""
    any_beats, problem = beats
    if not problem or (any_beats and reading.state == "Firing"):
        return reading
    if reading.state == "Firing":
        return replace(reading, fresh=False, message=f"the alert was firing when last seen, but {problem}")
    return replace(reading, state="Unknown", fresh=False, message=f"no alert is shown, but {problem}")


def unevaluated(history: History, now: float) -> dict[str, str]:
    """The rules that are not evaluated well, in a word each: `failing`, `late`, or `unseen` so far.

    The words are steady, for they stand in a status; the verdict has the details.
    """
    found = {}
    for watch in history.rules.values():
        if watch.rule.health not in ("ok", "unknown"):
            found[watch.rule.name] = "failing"
        elif watch.advances and not _in_time(watch, now):
            found[watch.rule.name] = "late"
        elif not watch.advances:
            found.setdefault(watch.rule.name, "unseen")
    return found


def _is_fresh(watch: RuleWatch, now: float) -> bool:
    return bool(watch.advances) and _in_time(watch, now) and watch.rule.health == "ok"


def _present(
    state: str, watches: Sequence[RuleWatch], now: float, today: datetime, problem: str, look_back: timedelta
) -> Reading:
    if state == "pending":
        return Reading("Pending", False, "the alert is pending", look_back=look_back)
    fresh = [w for w in watches if _is_fresh(w, now)]
    if fresh and not problem:
        after = _moment(max(w.began_after for w in fresh), now, today)
        since = None if any(_outlives(w) for w in fresh) else max(w.begun for w in fresh)
        return Reading("Firing", True, "the alert is firing", after, look_back, since)
    why = problem or _why_stale(watches[0])
    return Reading("Firing", False, f"the alert was firing when last seen, but {why}", look_back=look_back)


def _outlives(watch: RuleWatch) -> bool:
    """Whether the evaluation that is shown can rest on nothing of before the rule was watched."""
    reaches = LOOKBACK + longest_range(watch.rule.query)
    return watch.began_after - watch.steady_since > reaches.total_seconds()


def _absent(watches: Sequence[RuleWatch], now: float, today: datetime, problem: str, look_back: timedelta) -> Reading:
    doubts = [doubt for watch in watches if (doubt := _doubt(watch, now))]
    if problem or doubts:
        return Reading("Unknown", False, f"no alert is shown, but {problem or doubts[0]}", look_back=look_back)
    after = _moment(min(w.began_after for w in watches), now, today)
    return Reading("Cleared", True, "the rule is healthy and the alert is gone", after, look_back)


def _unlike(watches: Sequence[RuleWatch], servers: int) -> str:
    """Why the servers of a pair are no two opinions on this rule."""
    has = len({watch.rule.replica for watch in watches})
    return f"only {has} of {servers} servers have the rule {watches[0].rule.name}" if has < servers else ""


def _doubt(watch: RuleWatch, now: float) -> str:
    rule = watch.rule
    if rule.health != "ok" or (watch.advances and not _in_time(watch, now)):
        return _why_stale(watch)
    needed = rule.hold + 2 * rule.interval
    watched = timedelta(seconds=now - watch.steady_since)
    if watch.advances < 2 or watched <= needed:
        return (
            f"rule {rule.name} has not been watched without a break for long enough yet"
            f" (two evaluations and more than {int(needed.total_seconds())} s)"
        )
    return ""


def _why_stale(watch: RuleWatch) -> str:
    rule = watch.rule
    if rule.health != "ok":
        return f"rule {rule.name} is in health {rule.health}: {rule.last_error[:200] or 'no error given'}"
    if not watch.advances:
        return f"rule {rule.name} has not been seen to be evaluated again yet"
    return (
        f"rule {rule.name} has not been evaluated lately, though its interval is {int(rule.interval.total_seconds())} s"
    )


def _moment(then: float, now: float, today: datetime) -> datetime:
    return today.astimezone(UTC) - timedelta(seconds=now - then)


def looks_back(rule: AlertRule) -> timedelta:
    """How long the rule may fire on after its cause is gone: as far as it looks back, plus two of its intervals."""
    return longest_range(rule.query) + rule.keep_firing + 2 * rule.interval


_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')
_DURATIONS = re.compile(r"(?:\[|:|\boffset\s+-?)\s*((?:[0-9]+(?:ms|[smhdwy]))+)")
_PARTS = re.compile(r"([0-9]+)(ms|[smhdwy])")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}


@lru_cache(maxsize=4096)
def longest_range(query: str) -> timedelta:
    """The longest time in a PromQL expression: ranges, subqueries and offsets. Text is read, so it may be too long."""
    longest = 0.0
    for text in _DURATIONS.findall(_STRINGS.sub('""', query)):
        total = sum(int(number) * _UNITS[unit] for number, unit in _PARTS.findall(text))
        longest = max(longest, total)
    return timedelta(seconds=min(longest, 30 * 86_400))
