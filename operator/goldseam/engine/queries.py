"""Queries of policies and runbooks: filling their variables in, and judging what they found.

Labels are other people's input: each stays the value of one matcher.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

from goldseam.api.expressions import TOKENS, VARIABLE
from goldseam.api.incident import IncidentSpec
from goldseam.api.matchers import quoted
from goldseam.api.verifying import Bounded
from goldseam.engine.record import shown
from goldseam.engine.situation import QueryAnswer

LONGEST = 1_024
"""Characters of a label that an Incident keeps: one that is as long may have been cut, and would match other series."""

_VARIABLE = re.compile(VARIABLE)
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


class Undefined(Exception):
    """A variable has no value that could be filled in; the message says which, and why."""


def variables(spec: IncidentSpec) -> dict[str, str]:
    """What an incident's variables stand for."""
    target, alert = spec.target, spec.alert
    found = {"target.kind": target.kind, "target.name": target.name, "target.namespace": target.namespace}
    return found | {"alert.name": alert.name} | {f"alert.labels.{key}": value for key, value in alert.labels.items()}


def filled(expression: str, values: Mapping[str, str]) -> str:
    """The expression with its variables filled in: quoted for a string, and for a regular expression where one stands.

    Raises:
        Undefined: a variable has no value. An empty one is none: a matcher would then select what lacks the label.
    """

    def matcher(token: re.Match[str]) -> str:
        if not token["operator"]:
            return token[0]
        quote = _in_pattern if "~" in token["operator"] else _in_string
        return _VARIABLE.sub(lambda found: quote(value_of(found[1], values)), token[0])

    return TOKENS.sub(matcher, expression)


def value_of(name: str, values: Mapping[str, str]) -> str:
    """What a variable stands for.

    Raises:
        Undefined: it has no value, or none that is whole.
    """
    value = values.get(name, "")
    if not value:
        what = name.removeprefix("alert.labels.")
        raise Undefined(f"the alert has no label {what}" if what != name else f"${{{name}}} is empty here")
    if len(value) >= LONGEST:
        raise Undefined(f"${{{name}}} has {LONGEST} characters or more, and may have been cut")
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in value):
        raise Undefined(f"${{{name}}} is not valid Unicode")
    return value


Quote = Callable[[str], str]


def _in_string(value: str) -> str:
    """For a double-quoted string, whose quotes are there."""
    return quoted(value)[1:-1]


def _in_pattern(value: str) -> str:
    """For a regular expression, as regexp.QuoteMeta does, in such a string."""
    return _in_string(_META.sub(r"\\\g<0>", value))


SHOWN = 3
"""Values that a message shows."""


def judged(query: Bounded, values: Sequence[float]) -> QueryAnswer:
    """Whether the values keep the query's bounds.

    NaN is not known. As with Kleene's "and" and "or", it matters only where the other values do not decide.
    """
    wanted = " and ".join(
        f"{word} {bound}" for word, bound in (("above", query.above), ("below", query.below)) if bound
    )
    inside = [value for value in values if _keeps(query, value)]
    outside = [value for value in values if not math.isnan(value) and not _keeps(query, value)]
    outside.sort(reverse=query.below is not None)  # the worst first
    total, unknown = len(values), len(values) - len(inside) - len(outside)
    any_is_enough = query.match == "Any"
    if unknown == total:
        return QueryAnswer("Unknown", f"query {shown(query.expr)!r} has no data" + (" but NaN" if values else ""))
    if len(outside) == total if any_is_enough else outside:
        which = "one of " if any_is_enough and total > 1 else ""
        return QueryAnswer("Broken", f"{which}{shown(query.expr)} to be {wanted} ({_seen(outside, total)})")
    if inside if any_is_enough else len(inside) == total:
        return QueryAnswer("Holds", f"{shown(query.expr)} is {wanted} ({_seen(inside, total)})")
    return QueryAnswer("Unknown", f"query {shown(query.expr)!r}: {unknown} of {total} are NaN")


def _keeps(query: Bounded, value: float) -> bool:
    """NaN keeps no bound."""
    return (query.below is None or value < float(query.below)) and (query.above is None or value > float(query.above))


def _seen(values: Sequence[float], of: int) -> str:
    """The first few of the values that decided."""
    if of == 1:
        return f"it is {_number(values[0])}"
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return f"{len(values)} of {of} series: {', '.join(map(_number, values[:SHOWN]))}{more}"


def _number(value: float) -> str:
    """As Prometheus writes it, with six digits that count."""
    return f"{'+' if value > 0 else '-'}Inf" if math.isinf(value) else f"{value:g}"
