"""A first policy for an alert, as far as its rules and its active alerts tell what it must say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from goldseam.api.durations import format_duration
from goldseam.api.matchers import quoted
from goldseam.engine.alerts import AlertRule
from goldseam.engine.lint.carried import shown, untold, value_of
from goldseam.engine.lint.times import minutes, reach
from goldseam.engine.situation import LEAST_TIMEOUT

MOST_SEVERE = ("critical", "page", "error", "major", "high", "warning", "minor", "info", "none")
KINDS = ("Deployment", "StatefulSet", "DaemonSet")
LONGEST = timedelta(hours=168)
UNKNOWN = "name-of-the-workload"
"""Where the alert names no workload and one is needed."""


class SeveralNamespaces(ValueError):
    """The alert is of several namespaces, and a policy is of one."""


@dataclass(frozen=True)
class Field:
    """A value, and by what it is known; the value is empty where the field is left out."""

    value: str
    why: str = ""


@dataclass(frozen=True)
class Draft:
    """What the policy says."""

    alert: str
    kind: str
    """`Node`: it is a ClusterRemediationPolicy."""
    namespace: Field
    matcher: Field
    any_scope: bool
    target_kind: Field
    target_name: Field
    timeout: Field


def drafted(rules: Sequence[AlertRule], namespace: str | None) -> Draft:
    """The policy for the alert of these rules, which is at least one.

    Raises:
        SeveralNamespaces: its alerts are of several namespaces, and none was given.
    """
    of_node = namespace is None and _carried(rules, "node") and not any(_carried(rules, x) for x in _named_by())
    any_scope = not of_node and not _can_carry(rules, "namespace")
    kind, name = _target(rules, fixed=any_scope)
    return Draft(
        alert=rules[0].name,
        kind="Node" if of_node else "Workload",
        namespace=Field("") if of_node else _namespace(rules, namespace, any_scope),
        matcher=_severity(rules),
        any_scope=any_scope,
        target_kind=Field("Node", "the alert's label node says which") if of_node else kind,
        target_name=Field("") if of_node else name,
        timeout=_timeout(rules),
    )


def _named_by() -> tuple[str, ...]:
    return (*(kind.lower() for kind in KINDS), "pod")


def _can_carry(rules: Sequence[AlertRule], label: str) -> bool:
    return any(value_of(rule, label).known != "" or shown(rule, label) for rule in rules)


def _carried(rules: Sequence[AlertRule], label: str) -> bool:
    """Whether a rule, its query or an active alert has the label."""
    return _can_carry(rules, label) and not untold(rules, label)


def _values(rules: Sequence[AlertRule], label: str) -> list[str]:
    """The values that are known: those that rules fix, and those of active alerts."""
    found = {value_of(rule, label).known or "" for rule in rules}
    found |= {alert.labels.get(label, "") for rule in rules for alert in rule.alerts}
    return sorted(found - {""})


def _namespace(rules: Sequence[AlertRule], given: str | None, any_scope: bool) -> Field:
    if given is not None:
        return Field(given, "the only one that it acts in")
    known = _values(rules, "namespace")
    if len(known) > 1:
        more = ", ..." if len(known) > 5 else ""
        raise SeveralNamespaces(f"the alert is of the namespaces {', '.join(known[:5])}{more}")
    if known:
        return Field(known[0], "that of the alert, and the only one that it acts in")
    said = "the alert does not say one" if any_scope else "no alert is active that would say which"
    return Field("", f"namespace: that of the workload ({said}); without it, that of your kubectl's context")


def _severity(rules: Sequence[AlertRule]) -> Field:
    known = {rule.labels["severity"] for rule in rules if "severity" in rule.labels}
    static = [value for value in known if value and "{{" not in value]
    if not static:
        return Field("")
    ranked = sorted(static, key=lambda v: (MOST_SEVERE.index(v.lower()) if v.lower() in MOST_SEVERE else 99, v))
    others = ", ".join(ranked[1:4])
    why = f"other rules of this name have {others}: they are not meant" if others else "as the rule sets it"
    return Field(f"severity={quoted(ranked[0])}", why)


def _target(rules: Sequence[AlertRule], *, fixed: bool) -> tuple[Field, Field]:
    """Kind and name; `fixed`: a name is needed, though the alert has one."""
    for kind in KINDS:
        if _carried(rules, kind.lower()):
            return Field(kind, f"the alert's label {kind.lower()} says which"), _name(rules, kind.lower(), fixed)
    if _carried(rules, "pod") and not fixed:
        pods = _values(rules, "pod")
        kind = "StatefulSet" if pods and all(re.search(r"-[0-9]+$", pod) for pod in pods) else "Deployment"
        return Field(kind, "guessed: what owns the alert's pod, Deployment, StatefulSet or DaemonSet"), Field("")
    why = "not known: the alert names no workload. Write the one to act on"
    return Field("Deployment", "or StatefulSet, DaemonSet"), Field(UNKNOWN, why)


def _name(rules: Sequence[AlertRule], label: str, fixed: bool) -> Field:
    known = _values(rules, label)
    if not fixed:
        return Field("")
    if len(known) == 1 and re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", known[0]):
        return Field(known[0], "as the alert says; needed with scope: Any")
    return Field(UNKNOWN, "not known, and needed with scope: Any. Write the one to act on")


def _timeout(rules: Sequence[AlertRule]) -> Field:
    back = reach(rules)
    length = min(max(LEAST_TIMEOUT, minutes(back)), LONGEST)
    looks = f"the alert may fire for {format_duration(back)} after its cause is gone"
    return Field(format_duration(length), looks if back > LEAST_TIMEOUT else "how long the rung may take to help")
