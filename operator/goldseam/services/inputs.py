"""Asks the alert source about what an alert's rule reads, only while an incident is open: whether it is still there,
where the alert would count as over; whether it was read lately, where it fires and has not been watched for long."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from goldseam.engine import inputs
from goldseam.engine.inputs import MOST, Questions, Seen, Window
from goldseam.engine.matching import PolicySpec
from goldseam.engine.series import NotUnderstood, Selector
from goldseam.engine.verdict import Reading
from goldseam.engine.views import IncidentView
from goldseam.errors import GoldseamError, Unavailable
from goldseam.ports import AlertRule, Clock, Metrics
from goldseam.services.sources import Source

KEPT = 10.0
"""Seconds for which an answer is taken again while the alert stays away."""
NOT_YET = 2.0
"""Seconds after which it is asked again, at the earliest, whether what an alert fires on was read lately."""
AT_ONCE = 2
"""Alerts that each source is asked for at the same time; the others wait, so that verifying queries have their turn."""
REMEMBERED = 20_000


@dataclass(frozen=True)
class _Answer:
    at: float
    since: datetime | None
    """Of which time it was asked; None for an alert that is away."""
    problem: str

    def holds(self, reading: Reading, now: float) -> bool:
        """Whether it is an answer still. What was read since then, stays so."""
        if self.since != reading.watched_since:
            return False
        lasts = KEPT if self.since is None else NOT_YET
        return (self.since is not None and not self.problem) or now - self.at <= lasts


class Inputs:
    """Lets a verdict be Cleared only while its inputs are alive, and Firing only on what is so now."""

    def __init__(self, source: Callable[[str], Source | None], clock: Clock) -> None:
        self._source, self._clock = source, clock
        self._slots: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))
        self._answers: dict[str, _Answer] = {}

    async def judged(self, incident: IncidentView, spec: PolicySpec, reading: Reading) -> Reading:
        """The verdict, with its inputs asked for where it rests on them."""
        if not inputs.rests(reading):
            self._answers.pop(incident.uid, None)
            return reading
        known = self._answers.get(incident.uid)
        if known is None or not known.holds(reading, self._clock.monotonic()):
            since = reading.watched_since
            problem = await self._problem(incident, spec, since)
            known = _Answer(self._clock.monotonic(), since, problem)
            if len(self._answers) >= REMEMBERED:
                self._answers.clear()
            self._answers[incident.uid] = known
            self._look_again(spec, known)
        return inputs.believed(reading, known.problem)

    def _look_again(self, spec: PolicySpec, known: _Answer) -> None:
        """What fires on old samples is evaluated on new ones soon, and the next regular read may be minutes away."""
        source = self._source(spec.source_ref.name)
        if source is None or known.since is None or not known.problem:
            return
        rules = source.rules_of(spec.alert.name)
        source.hint_later(max([NOT_YET, *(rule.interval.total_seconds() for rule in rules)]))

    def as_last_judged(self, incident: IncidentView, reading: Reading) -> Reading:
        """The verdict, with what was answered last; nothing is asked."""
        known = self._answers.get(incident.uid)
        same = known is not None and known.since == reading.watched_since
        return inputs.believed(reading, known.problem if known and same else "")

    async def _problem(self, incident: IncidentView, spec: PolicySpec, since: datetime | None) -> str:
        source = self._source(spec.source_ref.name)
        rules = source.rules_of(spec.alert.name) if source else ()
        if source is None or not rules:
            return "its rule is gone"
        try:
            wanted = inputs.wanted(rules)
        except NotUnderstood as error:
            return f"what its rule reads cannot be found in its query: {error}"
        if len(wanted) > MOST:
            return f"its rules read {len(wanted)} inputs, and no more than {MOST} are asked for"
        asking = _Asking(source.promql, incident, rules)
        patience = 2 * source.spec.timeout.total_seconds()
        try:
            async with asyncio.timeout(patience), self._slots[source.name]:
                if since is None:
                    return await asking.problem(wanted)
                return await asking.outdated(wanted, since)
        except TimeoutError:
            return f"whether its inputs have data was not answered within {patience:g} s"
        except GoldseamError as error:
            return f"whether its inputs have data could not be asked: {error}"


class _Asking:
    """The questions about one incident's alert."""

    def __init__(self, promql: Metrics, incident: IncidentView, rules: Collection[AlertRule]) -> None:
        self._promql, self._rules = promql, rules
        self._window = Window.of(rules, incident.spec.alert.active_at)
        static = {label for rule in rules for label in rule.labels}
        self._narrow = inputs.narrowing(incident.spec.target, incident.spec.alert.labels, static)

    async def problem(self, wanted: Collection[Selector]) -> str:
        """Why the alert is not over; empty when its inputs are alive."""
        seen = [await self._seen(selector, evaluated) for selector, evaluated in self._read()]
        unknown = [one for one in seen if not (one.has or one.down or one.had)]
        remembers = not unknown or await self._yes(self._window.remembered(s.narrowed() for s in wanted))
        return inputs.doubt(seen, remembers=remembers)

    async def outdated(self, wanted: Collection[Selector], since: datetime) -> str:
        """Why the alert is not believed to fire; empty when nothing that it may fire on is older."""
        any_data, evaluated = not wanted, min(rule.last_evaluation for rule in self._rules)
        for selector in wanted:
            for narrow in dict.fromkeys((self._narrow, ())):
                about = Questions(selector, narrow, self._window, evaluated)
                if await self._yes(about.before(since)):
                    return inputs.outdated(str(selector))
                if await self._yes(about.has):
                    any_data = True
                    break
        return "" if any_data else inputs.unfounded(self._rules)

    def _read(self) -> Collection[tuple[Selector, datetime]]:
        """What each of the rules reads, and when it was last evaluated."""
        read = ((selector, rule) for rule in self._rules for selector in inputs.wanted([rule]))
        return dict.fromkeys((selector, rule.last_evaluation) for selector, rule in read)

    async def _seen(self, selector: Selector, evaluated: datetime) -> Seen:
        """As narrow as the series about the target can be found: a label may have got its value in the query."""
        seen = Seen(str(selector), has=False)
        for narrow in dict.fromkeys((self._narrow, ())):
            seen = await self._asked(Questions(selector, narrow, self._window, evaluated))
            if seen.has or seen.down or seen.had:
                break
        return seen

    async def _asked(self, about: Questions) -> Seen:
        has = await self._yes(about.has)
        down = not about.synthetic and await self._yes(about.targets(up=0))
        seen = Seen(str(about.selector), has, down)
        if has or down or not await self._yes(about.had):
            return seen
        if not await self._yes(about.targets(up=1)):
            return Seen(str(about.selector), has, had=True)
        alike = about.selector.name != "" and await self._yes(about.alike)
        passing = not alike and await self._yes(about.passing)
        return Seen(str(about.selector), has, had=True, live=True, alike=alike, passing=passing)

    async def _yes(self, question: str) -> bool:
        samples = await self._promql.query(question)
        if samples.warnings:
            raise Unavailable(f"the answer is partial: {samples.warnings[0]}")
        if any(math.isnan(value) for value in samples.values):
            raise Unavailable("the answer is not a number")
        return any(value > 0 for value in samples.values)
