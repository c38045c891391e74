"""Do the times of a rung leave room for it to pass?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from goldseam.api.durations import format_duration
from goldseam.api.ladder import Rung
from goldseam.engine.alerts import AlertRule
from goldseam.engine.lint import findings as f
from goldseam.engine.lint.findings import Finding, Known, Policy
from goldseam.engine.situation import LEAST_TIMEOUT
from goldseam.engine.verdict import longest_range, looks_back

TELLING = frozenset({"collect", "wait", "notify", "escalate"})
"""Actions whose rungs are over by themselves: their timeout and their checks are not waited for."""
MINUTE = timedelta(minutes=1)
_OFFSETS = re.compile(r"\boffset\s+-?\s*(?:[0-9]+(?:ms|[smhdwy]))+")


def _acting(policy: Policy) -> Iterator[tuple[int, Rung]]:
    return ((n, rung) for n, rung in enumerate(policy.spec.ladder) if rung.action not in TELLING)


def _time_of(rung: Rung, known: Known | None) -> tuple[timedelta, bool]:
    """How long the rung has, and whether that is known: without a timeout it depends on the rule."""
    if rung.timeout is not None:
        return rung.timeout, True
    rules = known.rules if known else ()
    return max((LEAST_TIMEOUT, *(looks_back(rule) for rule in rules))), bool(rules)


def passing(policy: Policy, known: Known | None) -> Iterator[Finding]:
    """A rung whose own checks need longer than it has: it never passes."""
    for number, rung in _acting(policy):
        has, certain = _time_of(rung, known)
        verify = rung.verify
        held = max((query.hold_for for query in verify.queries), default=timedelta(0))
        needs = verify.settle + held
        if needs < has:
            continue
        message = f"{_needing(verify.settle, held)}, and the rung has {_said(has, certain)}: it never passes"
        where = f"spec.ladder[{number}].timeout"
        fix = f"write timeout: {format_duration(minutes(needs + MINUTE))} or more"
        yield Finding("Error" if certain else "Warning", f.NEVER_PASSES, where, message, fix)


def queries_look_back(policy: Policy, known: Known | None) -> Iterator[Finding]:
    """A query of `verify` that looks back further than the rung has time."""
    for number, rung in _acting(policy):
        has, certain = _time_of(rung, known)
        for place, query in enumerate(rung.verify.queries):
            back = _range(query.expr)
            if back > has:
                where = f"spec.ladder[{number}].verify.queries[{place}].expr"
                message = (
                    f"the query looks back {format_duration(back)}, and the rung has {_said(has, certain)}:"
                    " it still counts what was before the action when that is over"
                )
                yield Finding("Warning", f.LOOKS_BACK, where, message, _longer(back))


def rule_looks_back(policy: Policy, known: Known) -> Iterator[Finding]:
    """A rule that looks back further than the rung has time: the alert may not be gone when the next rung is tried."""
    back = reach(known.rules)
    for number, rung in _acting(policy):
        if rung.timeout is not None and back > rung.timeout:
            message = (
                f"the alert's rule looks back {format_duration(back)} (two of its intervals included), and the rung has"
                f" {format_duration(rung.timeout)}: the next rung may be tried though this one has helped"
            )
            yield Finding("Warning", f.LOOKS_BACK, f"spec.ladder[{number}].timeout", message, _longer(back))


def reach(rules: Iterable[AlertRule]) -> timedelta:
    """How long the alert of these rules may fire on after its cause is gone."""
    return max((_range(r.query) + r.keep_firing + 2 * r.interval for r in rules), default=timedelta(0))


def _range(query: str) -> timedelta:
    """How far a query's ranges reach. An offset is left out: it compares with another time, and ends by itself."""
    return longest_range(_OFFSETS.sub("", query))


def _longer(back: timedelta) -> str:
    longest = timedelta(hours=168)
    if back >= longest:
        return "use a shorter range"
    return f"write timeout: {format_duration(minutes(back))} or more, or use a shorter range"


def minutes(length: timedelta) -> timedelta:
    """Rounded up to whole minutes."""
    return -(-length // MINUTE) * MINUTE


def _needing(settle: timedelta, held: timedelta) -> str:
    if not held:
        return f"settle takes {format_duration(settle)}"
    longest = f"the longest for of its queries ({format_duration(held)})"
    return f"settle ({format_duration(settle)}) and {longest} take {format_duration(settle + held)}"


def _said(has: timedelta, certain: bool) -> str:
    more = "" if certain else ", or as long as the alert's rule looks back"
    return f"{format_duration(has)}{more}"
