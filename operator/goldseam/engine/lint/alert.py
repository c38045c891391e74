"""Does the alert exist, and can any alert of that name be the policy's, with a target?"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from goldseam.api.matchers import parse_matcher
from goldseam.api.policy import RemediationPolicySpec
from goldseam.engine.alerts import AlertRule
from goldseam.engine.lint import findings as f
from goldseam.engine.lint.carried import can_match, shown, untold, value_of, why_not
from goldseam.engine.lint.findings import Finding, Known, Policy
from goldseam.engine.matching import Labels, NoTarget, concerns, matches, target_of


def defined(policy: Policy, known: Known) -> Iterator[Finding]:
    """An alert that no rule defines: the policy can never match."""
    if not known.rules:
        yield missing(policy.spec.alert.name, known)


def missing(name: str, known: Known) -> Finding:
    """What is said of an alert that no rule defines, with what may have been meant."""
    near = get_close_matches(name, known.names, n=3, cutoff=0.6)
    instead = f"write {' or '.join(near)}, or load the rule" if near else "load the rule, or correct the name"
    message = f"{known.source} has no alerting rule named {name}: the policy never matches"
    return Finding("Error", f.NOT_DEFINED, "spec.alert.name", message, instead)


def matched(policy: Policy, known: Known) -> Iterator[Finding]:
    """No alert of that name can be the policy's, by its namespace, its matchers or those of the AlertSource."""
    obstacles = [_obstacle(policy, known, rule) for rule in known.rules]
    if obstacles and all(obstacles):
        found = next(one for one in obstacles if one)
        more = f" (none of the {len(obstacles)} rules of that name fits)" if len(obstacles) > 1 else ""
        yield Finding(found.severity, found.code, found.field, found.message + more, found.instead)


def can_be_ours(policy: Policy, known: Known, rule: AlertRule) -> bool:
    """Whether an alert of the rule can be the policy's, for all that is known."""
    return _obstacle(policy, known, rule) is None


def _obstacle(policy: Policy, known: Known, rule: AlertRule) -> Finding | None:
    """The first reason why no alert of the rule can be the policy's."""
    if _shown(policy, known, rule):
        return None
    return next((one for one in (*_namespace(policy, rule), *_matchers(policy, rule), *_cluster(known, rule))), None)


def _shown(policy: Policy, known: Known, rule: AlertRule) -> bool:
    """Whether one of its active alerts is the policy's: what is there needs no inference."""
    return any(is_ours(policy, known, alert.labels) for alert in rule.alerts)


def is_ours(policy: Policy, known: Known, labels: Labels) -> bool:
    """Whether an alert with these labels is the policy's business."""
    own = _own(policy, labels)
    theirs = policy.namespace is None and not own and isinstance(policy.spec, RemediationPolicySpec)
    return not theirs and concerns(policy.spec, own, labels) and matches(labels, known.matchers)


def _own(policy: Policy, labels: Labels) -> str:
    """The policy's namespace; where the file does not say it, any may be meant."""
    return labels.get("namespace", "") if policy.namespace is None else policy.namespace


def _namespace(policy: Policy, rule: AlertRule) -> Iterator[Finding]:
    spec = policy.spec
    if not isinstance(spec, RemediationPolicySpec):
        return
    found, any_scope = value_of(rule, "namespace"), spec.alert.scope == "Any"
    if found.known == "" and not any_scope:
        message = f"the alert never carries the label namespace, by which a policy knows its own: {found.why}"
        fix = "keep namespace in the rule's query (by), or set it as a label of the rule"
        yield Finding(
            "Error", f.OTHER_NAMESPACE, "spec.alert", message, f"{fix}; else write scope: Any and target.name"
        )
    elif policy.namespace is None:
        return
    elif found.known and found.known != policy.namespace:
        message = f"the policy sees only alerts of its own namespace {policy.namespace}, and {found.why}"
        fix = f"put the policy into namespace {found.known}, or name another alert"
        yield Finding("Error", f.OTHER_NAMESPACE, "spec.alert", message, fix)
    elif not any_scope and not can_match(rule, matcher := f'namespace="{policy.namespace}"'):
        message = f"the policy sees only alerts of its own namespace {policy.namespace}, and {why_not(rule, matcher)}"
        yield Finding(
            "Error", f.OTHER_NAMESPACE, "spec.alert", message, "name another alert, or change the rule's query"
        )


def _matchers(policy: Policy, rule: AlertRule) -> Iterator[Finding]:
    for number, matcher in enumerate(policy.spec.alert.matchers):
        if not can_match(rule, matcher):
            message = f"no alert satisfies {matcher}: {why_not(rule, matcher)}"
            where = f"spec.alert.matchers[{number}]"
            yield Finding("Error", f.NEVER_MATCHES, where, message, _written(rule, matcher))


def _cluster(known: Known, rule: AlertRule) -> Iterator[Finding]:
    for matcher in known.matchers:
        if not can_match(rule, matcher):
            message = f"{known.source} takes only alerts with {matcher}: {why_not(rule, matcher)}"
            fix = "correct spec.matchers of the AlertSource, or the rule"
            yield Finding("Error", f.OTHER_CLUSTER, "spec.sourceRef", message, fix)


def _written(rule: AlertRule, matcher: str) -> str:
    label, _, _ = parse_matcher(matcher)
    value = value_of(rule, label).known
    if value and '"' not in value and "\\" not in value:
        return f'write {label}="{value}", or take the matcher out'
    return "take the matcher out, or change the rule"


def named(policy: Policy, known: Known) -> Iterator[Finding]:
    """The alert carries no label that names the target."""
    ours = [rule for rule in known.rules if can_be_ours(policy, known, rule)]
    nameless = [rule for rule in ours if not _can_name(policy, rule)]
    if nameless:
        wanted = _wanted(policy)
        whose = "the alert" if len(nameless) == len(ours) else f"the alert of {len(nameless)} of {len(ours)} rules"
        empty = next(group for group in wanted if not _can_carry(nameless[0], group))
        why = value_of(nameless[0], empty[0]).why
        message = f"{whose} never carries the label {_either(empty)}, by which the target is named: {why}"
        severity: f.Severity = "Error" if len(nameless) == len(ours) else "Warning"
        yield Finding(severity, f.NO_TARGET, "spec.target", message, _name_it(empty))
    elif found := _nameless_alerts(policy, known, ours):
        yield found


def _wanted(policy: Policy) -> list[tuple[str, ...]]:
    """The labels that name the target, as `matching.target_of` asks for them: of each group at least one."""
    target = policy.spec.target
    if target.kind == "Node":
        return [] if target.name else [("node", "instance")]
    wanted: list[tuple[str, ...]] = [] if isinstance(policy.spec, RemediationPolicySpec) else [("namespace",)]
    return wanted if target.name else [*wanted, (target.kind.lower(), "pod")]


def _can_name(policy: Policy, rule: AlertRule) -> bool:
    return all(_can_carry(rule, group) for group in _wanted(policy))


def _can_carry(rule: AlertRule, group: tuple[str, ...]) -> bool:
    return any(value_of(rule, label).known != "" or shown(rule, label) for label in group)


def _either(labels: tuple[str, ...]) -> str:
    return " or ".join(labels)


def _name_it(labels: tuple[str, ...]) -> str:
    other = "" if labels == ("namespace",) else "write spec.target.name, or "
    return f"{other}keep {_either(labels)} in the rule's query (by), or set it as a label of the rule"


def _nameless_alerts(policy: Policy, known: Known, ours: list[AlertRule]) -> Finding | None:
    """Alerts that are active now and name no object."""
    alerts = [
        target_of(policy.spec, _own(policy, alert.labels), alert.labels)
        for rule in ours
        for alert in rule.alerts
        if is_ours(policy, known, alert.labels)
    ]
    missing = [one for one in alerts if isinstance(one, NoTarget)]
    if not missing:
        return None
    message = f"{len(missing)} of {len(alerts)} active alerts name no target: {missing[0].message}"
    severity: f.Severity = "Error" if len(missing) == len(alerts) else "Warning"
    return Finding(
        severity, f.NO_TARGET, "spec.target", message, "write spec.target.name, or correct the rule's labels"
    )


def told(policy: Policy, known: Known) -> Iterator[Finding]:
    """Labels of which nothing tells whether the alert carries them."""
    ours = [rule for rule in known.rules if can_be_ours(policy, known, rule)]
    if not ours:
        return
    labels = [parse_matcher(matcher)[0] for matcher in policy.spec.alert.matchers]
    if isinstance(policy.spec, RemediationPolicySpec) and policy.spec.alert.scope == "Namespace":
        labels.append("namespace")
    open_ones = [label for label in labels if untold(ours, label)]
    open_ones += [_either(group) for group in _wanted(policy) if all(untold(ours, label) for label in group)]
    if open_ones:
        which = ", ".join(dict.fromkeys(open_ones))
        message = f"whether the alert carries {which} cannot be told: no alert is active, and the rule leaves it open"
        yield Finding("Note", f.UNTOLD, "spec.alert", message, "look at an alert of that name when it is active")
