"""Have the queries of `verify` and of thresholds an answer that decides, and have their variables a value?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from goldseam.api.expressions import VARIABLE
from goldseam.api.runbook import RunbookSpec
from goldseam.api.verifying import Bounded
from goldseam.engine.alerts import AlertRule
from goldseam.engine.lint import findings as f
from goldseam.engine.lint.alert import can_be_ours, is_ours
from goldseam.engine.lint.carried import shown, value_of
from goldseam.engine.lint.findings import Asked, Finding, Known, Policy
from goldseam.engine.matching import NoTarget, target_of
from goldseam.engine.queries import Undefined, filled, judged

NEVER = "it is Inconclusive, and the rung never passes"
NOT_CROSSED = "it crosses nothing"
LABEL = "alert.labels."


@dataclass(frozen=True)
class Question:
    """What to ask the server instead of a query with variables."""

    text: str
    partly: bool
    """Whether a variable had no value, and any text was put in: only whether the server takes it can be told."""


class _Anything(dict[str, str]):
    """Values, and a text for each that is not there."""

    def get(self, key: str, default: object = None) -> str:
        return super().get(key) or "unknown"


def questions(policy: Policy, known: Known) -> dict[str, Question]:
    """By expression: what to ask. Variables stand for what the policy, its rules or an active alert say."""
    values = _values(policy, known)
    found: dict[str, Question] = {}
    for _, query in _queries(policy):
        try:
            found[query.expr] = Question(filled(query.expr, values), partly=False)
        except Undefined:
            found[query.expr] = Question(filled(query.expr, _Anything(values)), partly=True)
    return found


def of_thresholds(runbook: RunbookSpec) -> dict[str, Question]:
    """By expression: what to ask for a runbook's thresholds. Of which incident is not known."""
    found = [query.expr for _, query in _bounds(runbook)]
    return {expr: Question(filled(expr, _Anything()), partly="${" in expr) for expr in found}


def _values(policy: Policy, known: Known) -> Mapping[str, str]:
    spec, ours = policy.spec, [rule for rule in known.rules if can_be_ours(policy, known, rule)]
    labels = {label: value_of(rule, label).known or "" for rule in ours for label in rule.labels}
    alerts = [alert.labels for rule in ours for alert in rule.alerts if is_ours(policy, known, alert.labels)]
    labels |= alerts[0] if alerts else {}
    target = target_of(spec, policy.namespace or "", labels)
    name = "" if isinstance(target, NoTarget) or target.kind != spec.target.kind else target.name
    namespace = "" if spec.target.kind == "Node" else policy.namespace or labels.get("namespace", "")
    found = {"target.kind": spec.target.kind, "target.name": name, "target.namespace": namespace}
    return found | {"alert.name": spec.alert.name} | {f"{LABEL}{key}": value for key, value in labels.items()}


def _queries(policy: Policy) -> Iterator[tuple[str, Bounded]]:
    for number, rung in enumerate(policy.spec.ladder):
        for place, query in enumerate(rung.verify.queries):
            yield f"spec.ladder[{number}].verify.queries[{place}].expr", query


def _bounds(runbook: RunbookSpec) -> Iterator[tuple[str, Bounded]]:
    for number, threshold in enumerate(runbook.thresholds):
        if threshold.when is not None and threshold.when.query is not None:
            yield f"spec.thresholds[{number}].when.query.expr", threshold.when.query


def with_values(policy: Policy, known: Known) -> Iterator[Finding]:
    """A variable of a query that never has a value: the query is never asked."""
    ours = [rule for rule in known.rules if can_be_ours(policy, known, rule)]
    for where, query in _queries(policy):
        for name in dict.fromkeys(re.findall(VARIABLE, query.expr)):
            if why := _empty(policy, ours, name):
                message = f"${{{name}}} never has a value ({why}): the query is not asked, {NEVER}"
                yield Finding("Error", f.NO_VALUE, where, message, "take a variable that has one, or write the value")


def _empty(policy: Policy, rules: Sequence[AlertRule], name: str) -> str:
    """Why the variable never has a value; empty where it may have one."""
    if name == "target.namespace":
        return "a node has no namespace" if policy.spec.target.kind == "Node" else ""
    label = name.removeprefix(LABEL)
    if label == name or not rules:
        return ""
    values = [value_of(rule, label) for rule in rules if not shown(rule, label)]
    gone = len(values) == len(rules) and all(value.known == "" for value in values)
    return f"the alert never carries the label {label}: {values[0].why}" if gone else ""


def with_data(policy: Policy, known: Known) -> Iterator[Finding]:
    """A query of `verify` that the server does not take, or whose answer does not decide now."""
    return _each(_queries(policy), known.answers, NEVER)


def thresholds_with_data(runbook: RunbookSpec, answers: Mapping[str, Asked]) -> Iterator[Finding]:
    """A query of a threshold that the server does not take, or whose answer does not decide now."""
    return _each(_bounds(runbook), answers, NOT_CROSSED)


def _each(queries: Iterator[tuple[str, Bounded]], answers: Mapping[str, Asked], never: str) -> Iterator[Finding]:
    for where, query in queries:
        if query.expr in answers:
            yield from _of(where, query, answers[query.expr], never)


def _of(where: str, query: Bounded, asked: Asked, never: str) -> Iterator[Finding]:
    if asked.refusal:
        fix = "correct the expression; its result must be an instant vector or a scalar"
        yield Finding("Error", f.BROKEN_QUERY, where, f"the query cannot be evaluated: {asked.refusal}", fix)
    elif asked.failure:
        message = f"the server does not answer the query now: {asked.failure}; while it does not, {never}"
        fix = "try the expression on the server; it may ask for too much"
        yield Finding("Warning", f.FAILED_QUERY, where, message, fix)
    elif asked.samples is None or asked.partly:
        return
    elif asked.samples.warnings:
        message = f"the answer to the query has warnings ({asked.samples.warnings[0]}): while it has, {never}"
        yield Finding("Warning", f.WARNED, where, message, "ask for what the server can answer in full")
    elif (answer := judged(query, asked.samples.values)).state == "Unknown":
        fix = "correct its names and labels, or append `or vector(0)`; a division by 0 is NaN"
        message = f"{answer.message} now: while that is so, {never}"
        yield Finding("Warning", f.NO_DATA, where, message, fix)
