"""What the alerts of a rule can carry: by the rule's own labels, its query, and the alerts that are active."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from goldseam.api.matchers import parse_matcher, quoted
from goldseam.engine.alerts import AlertRule
from goldseam.engine.labelsets import label_set
from goldseam.engine.matching import matches

_COPIED = re.compile(r"\{\{-?\s*\$labels\.([a-zA-Z_][a-zA-Z0-9_]*)\s*-?\}\}")
_DROPPED = frozenset({"__name__"})
"""Prometheus takes the metric's name from every alert (rules/alerting.go)."""


@dataclass(frozen=True)
class Value:
    """What is known of one label of a rule's alerts."""

    known: str | None
    """The value that all of them have; empty: none carries it. None: that cannot be told."""
    why: str = ""
    """By what it is known, for people."""
    matchers: tuple[tuple[str, str], ...] = ()
    """Where the value is not known: operators and values that it satisfies."""


def value_of(rule: AlertRule, label: str) -> Value:
    """What the label of the rule's alerts is: the rule's own label comes before that of its query."""
    if label == "alertname":
        return Value(rule.name, f"it is {rule.name}")
    if label not in rule.labels:
        return _of_query(rule, label)
    text = rule.labels[label]
    if copied := _COPIED.fullmatch(text):
        return _of_query(rule, copied[1])
    if "{{" in text:
        return Value(None, f"the rule makes it of {text[:80]}")
    return Value(text, f'the rule sets {label}="{text[:80]}"')


def _of_query(rule: AlertRule, label: str) -> Value:
    series = label_set(rule.query)
    value = "" if label in _DROPPED else series.fixed(label)
    if value is None:
        return Value(None, matchers=series.matchers.get(label, ()))
    if value:
        return Value(value, f'its query takes only {label}="{value[:80]}"')
    if series.only is None or label in _DROPPED:
        return Value("", "its query drops it")
    kept = f"only {', '.join(sorted(series.only)[:8])}" if series.only else "no label"
    return Value("", f"its query keeps {kept}")


def can_match(rule: AlertRule, matcher: str) -> bool:
    """Whether an alert of the rule can satisfy the matcher, for all that is known."""
    label, operator, wanted = parse_matcher(matcher)
    found = value_of(rule, label)
    if found.known is not None:
        return matches({label: found.known}, [matcher])
    if operator != "=" or not wanted:
        return True
    return all(_holds(label, wanted, operator, value) for operator, value in found.matchers)


def _holds(label: str, wanted: str, operator: str, value: str) -> bool:
    try:
        return matches({label: wanted}, [f"{label}{operator}{quoted(value)}"])
    except ValueError:  # a label's name, or a regular expression, that we do not read: nothing is claimed
        return True


def why_not(rule: AlertRule, matcher: str) -> str:
    """Why no alert of the rule can satisfy the matcher, for people."""
    label, _, _ = parse_matcher(matcher)
    found = value_of(rule, label)
    if found.known is None:
        said = ", ".join(f'{label}{operator}"{value[:80]}"' for operator, value in found.matchers)
        return f"its query takes only {said}"
    return f"the alert never carries the label {label}: {found.why}" if not found.known else found.why


def shown(rule: AlertRule, label: str) -> bool:
    """Whether any of the rule's alerts that are active carries the label."""
    return any(alert.labels.get(label) for alert in rule.alerts)


def untold(rules: Iterable[AlertRule], label: str) -> bool:
    """Whether nothing tells if the alerts carry the label: no rule and no query speaks of it, and no alert shows it."""
    return not any(shown(rule, label) or _spoken_of(rule, label) for rule in rules)


def _spoken_of(rule: AlertRule, label: str) -> bool:
    series = label_set(rule.query)
    return (
        label in rule.labels
        or label in series.matchers
        or label in (series.only or ())
        or value_of(rule, label).known is not None
    )
