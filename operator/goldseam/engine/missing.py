"""What is missing yet before a rung has helped, and how that is said.

What is said names times that do not move: the words of an incident that waits change only when something else is
waited for, for each change is a write.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from goldseam.api.durations import format_duration
from goldseam.api.incident import Step
from goldseam.api.ladder import Rung
from goldseam.engine import record
from goldseam.engine.situation import Situation

TOLD = 3
"""Things that a step still waited for when its time was over, of which people are told in words."""


def settled_at(step: Step, rung: Rung) -> datetime:
    """From when on an evaluation says something of the step's effect."""
    assert step.acted_at is not None
    return step.acted_at + (timedelta(0) if rung.wait is not None else rung.verify.settle)


def settling(step: Step, rung: Rung) -> str:
    """The evaluation that is waited for, for people: true before the step has settled, and after that."""
    at, settle = f"{settled_at(step, rung):%H:%M:%S} UTC", rung.verify.settle
    if rung.wait is not None or not settle:
        return f"an evaluation of the alert's rule after {at}"
    return f"an evaluation of the alert's rule after settle ({format_duration(settle)}), which ends at {at}"


def evaluated_since(s: Situation, step: Step, rung: Rung) -> bool:
    """Whether the evaluation that is shown began after the step had settled: else it says nothing of its effect."""
    after = s.reading.evaluated_after
    return after is not None and after >= settled_at(step, rung)


def gone(s: Situation, step: Step, rung: Rung) -> bool:
    """Whether the alert is over, as evaluated after the step had settled."""
    return s.reading.state == "Cleared" and s.reading.fresh and evaluated_since(s, step, rung)


def still_missing(s: Situation, step: Step, rung: Rung, now: datetime) -> list[str]:
    """All that the rung has not yet, the most important first."""
    missing = [] if gone(s, step, rung) else [_of_the_alert(s, step, rung)]
    if s.effect is not None and not s.effect.done and (rung.verify.rollout or s.effect.asked_for):
        first = s.effect.trouble or s.effect.asked_for or rung.go_on == "WhenDone"
        missing.insert(0 if first else len(missing), s.effect.message)
    broken = [answer.message for answer in s.answers if answer.state != "Holds"]
    longest = max((query.hold_for for query in rung.verify.queries), default=timedelta(0))
    if rung.verify.queries and not broken and (step.holding_since is None or now - step.holding_since < longest):
        broken.append("the queries to hold for their time")
    return missing + broken


def _of_the_alert(s: Situation, step: Step, rung: Rung) -> str:
    """An alert that is Cleared already is not what is waited for, but that it is so still once the step has settled."""
    if s.reading.state != "Cleared" or not s.reading.fresh:
        return f"the alert to be Cleared after {rung.title} ({s.reading.message})"
    verdict = s.status.verdict
    known = verdict is not None and verdict.state == "Cleared"
    since = f" since {verdict.since:%H:%M:%S} UTC" if known and verdict is not None else ""
    return f"{settling(step, rung)}; the alert is Cleared{since}"


def waiting_for(s: Situation, rung: Rung, missing: list[str]) -> str:
    """What was only asked for was not done yet: pods may be on the node still, and a node may not have rebooted."""
    course = "begun" if s.effect is not None and not s.effect.done else "done"
    return f"{rung.title} was {course}; waiting for: {missing[0]}"


def next_comes(s: Situation, step: Step, rung: Rung) -> str:
    """Of a rung that only prepares the next one, and is done (`goOn: WhenDone`): when that comes. Empty for others, and
    once the alert is seen to be gone."""
    if rung.go_on != "WhenDone" or s.effect is None or not s.effect.done or s.reading.state == "Cleared":
        return ""
    ladder = s.pinned.ladder
    after = f"the next rung ({ladder[step.rung + 1].title})" if step.rung + 1 < len(ladder) else "the end of the ladder"
    if not evaluated_since(s, step, rung):
        return f"{rung.title} is done; {after} comes with {settling(step, rung)}, if the alert still fires"
    return f"{rung.title} is done; {after} comes once the alert is known to fire still ({s.reading.message})"


def all_of(missing: list[str]) -> str:
    """All that was still waited for, bounded: each of several is cut, and of many the last are counted only."""
    if len(missing) == 1:
        return missing[0]
    rest = len(missing) - TOLD
    told = "; and for ".join(record.cut(one, 140) for one in missing[:TOLD])
    return f"{told}; and {rest} more" if rest > 0 else told
