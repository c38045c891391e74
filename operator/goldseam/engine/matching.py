"""Which alert is whose, and which object it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

from goldseam.api.base import parse_matcher
from goldseam.api.policy import ClusterRemediationPolicySpec, RemediationPolicySpec
from goldseam.engine.hosts import host_of

Labels = Mapping[str, str]
PolicySpec = RemediationPolicySpec | ClusterRemediationPolicySpec

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_NAMESPACE = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """A policy's identity by name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"

    @property
    def title(self) -> str:
        """For people: `RemediationPolicy shop/api`, `ClusterRemediationPolicy nodes`."""
        return titled(str(self))


@dataclass(frozen=True, slots=True)
class TargetKey:
    """An object's identity by name. Kind `Pod` means: the pod's topmost owner, which has to be looked up; and kind
    `Node`, where a label says it: the node that has this name or address."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


def titled(key: str) -> str:
    """For people, what the ledger has as `<kind>/<namespace>/<name>`: what has no namespace shows no empty one."""
    kind, _, rest = key.partition("/")
    return f"{kind} {rest.removeprefix('/')}"


@dataclass(frozen=True)
class NoTarget:
    """The alert names no object that may be acted on, and why."""

    message: str


@lru_cache(maxsize=4096)
def _compiled(text: str) -> tuple[str, str, str, Any]:
    label, operator, value = parse_matcher(text)
    return label, operator, value, re2.compile(f"(?s:{value})") if "~" in operator else None


def matches(labels: Labels, matchers: Iterable[str]) -> bool:
    """Whether the labels satisfy all matchers, with Prometheus' semantics.

    A label that is not there counts as empty; regular expressions are anchored, and `.` is any character, also a line
    break (Prometheus 3, model/labels/regexp.go).
    """
    return all(_one(labels, *_compiled(text)) for text in matchers)


def _one(labels: Labels, label: str, operator: str, value: str, pattern: Any) -> bool:
    actual = labels.get(label, "")
    hit = actual == value if pattern is None else pattern.fullmatch(actual) is not None
    return hit if operator in ("=", "=~") else not hit


def concerns(spec: PolicySpec, namespace: str, labels: Labels) -> bool:
    """Whether an alert with these labels is the policy's business.

    A namespaced policy sees only alerts that carry its own namespace, and with scope Any also those that carry none.
    """
    if not matches(labels, spec.alert.matchers):
        return False
    if isinstance(spec, ClusterRemediationPolicySpec):
        return True
    of = labels.get("namespace", "")
    return of == namespace or (spec.alert.scope == "Any" and of == "")


def target_of(spec: PolicySpec, namespace: str, labels: Labels) -> TargetKey | NoTarget:
    """The object that the alert names for this policy. Labels are somebody else's input: they are checked as names.

    Raises nothing: what cannot be used is a `NoTarget` with the reason.
    """
    kind = spec.target.kind
    if kind == "Node":
        return _node(spec.target.name, labels)
    where = namespace or labels.get("namespace", "")
    if not _NAMESPACE.match(where) or len(where) > 63:
        return NoTarget(f"the alert's label namespace ({where[:80]!r}) is not the name of a namespace")
    if spec.target.name:
        return TargetKey(kind, where, spec.target.name)
    for label, meant in ((kind.lower(), kind), ("pod", "Pod")):
        if labels.get(label):
            return _checked(meant, where, label, labels[label])
    return NoTarget(f"the alert has neither the label {kind.lower()} nor pod: set spec.target.name")


def _node(name: str | None, labels: Labels) -> TargetKey | NoTarget:
    if name:
        return TargetKey("Node", "", name)
    label = label_of_node(labels)
    if not label:
        return NoTarget("the alert has neither the label node nor instance: set spec.target.name")
    if host := host_of(labels[label]):
        return TargetKey("Node", "", host)
    return NoTarget(f"the alert's label {label} ({labels[label][:80]!r}) is not the name of an object")


def label_of_node(labels: Labels) -> str:
    """The label that says which node an alert is about; empty where there is none."""
    return next((label for label in ("node", "instance") if labels.get(label)), "")


def _checked(kind: str, namespace: str, label: str, value: str) -> TargetKey | NoTarget:
    if len(value) > 253 or ".." in value or not _NAME.match(value):
        return NoTarget(f"the alert's label {label} ({value[:80]!r}) is not the name of an object")
    return TargetKey(kind, namespace, value)


def asks_queries(spec: PolicySpec) -> bool:
    """Whether the policy has queries of its own: to verify by, or to write down what they answer."""
    return any(rung.verify.queries or (rung.collect is not None and rung.collect.queries) for rung in spec.ladder)


def selector_of_nodes(spec: PolicySpec) -> Labels | None:
    """The labels that a node must carry for the policy; None where it takes any."""
    found = spec.target.node_selector if isinstance(spec, ClusterRemediationPolicySpec) else None
    return found.match_labels if found is not None else None


def allows(selector: Mapping[str, str], labels: Labels) -> bool:
    """Whether the labels satisfy a `matchLabels` selector."""
    return all(labels.get(key) == value for key, value in selector.items())


def protected(namespace: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns covers the namespace; `*` stands for any characters."""
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), namespace) for pattern in patterns)
