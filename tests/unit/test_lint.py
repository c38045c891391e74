"""What of a policy cannot work, and that the checks do not cry wolf."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from goldseam.api.policy import ClusterRemediationPolicySpec, RemediationPolicySpec
from goldseam.engine.alerts import ActiveAlert, AlertRule, Samples
from goldseam.engine.lint.asked import Question, questions
from goldseam.engine.lint.findings import Asked, Finding, Known, Policy
from goldseam.engine.lint.order import lint

LATELY = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ANY, BARE, KEPT = "up == 0", "sum(x)", "sum by (namespace, deployment) (x)"


def rule(query: str = ANY, *alerts: dict[str, str], labels: dict[str, str] | None = None, **more: Any) -> AlertRule:
    active = tuple(ActiveAlert({"alertname": "Trouble"} | one, {}, "firing", LATELY) for one in alerts)
    base = AlertRule(
        name="Trouble", group="g", query=query, health="ok", last_error="", last_evaluation=LATELY,
        interval=MINUTE, hold=MINUTE, keep_firing=timedelta(0), labels=labels or {}, alerts=active,
    )  # fmt: skip
    return replace(base, **more)


def policy(namespace: str | None = "shop", **fields: Any) -> Policy:
    alert = {"name": "Trouble"} | fields.pop("alert", {})
    spec = {"alert": alert, "ladder": [{"restart": {}}, {"escalate": {}}]} | fields
    return Policy(RemediationPolicySpec.model_validate(spec), namespace)


def cluster_policy(**fields: Any) -> Policy:
    spec = {"alert": {"name": "Trouble"}, "ladder": [{"drain": {}}]} | fields
    return Policy(ClusterRemediationPolicySpec.model_validate(spec), "")


def found(policy: Policy, *rules: AlertRule, **known: Any) -> list[Finding]:
    return list(lint(policy, Known("AlertSource default", rules, **known)))


def codes(findings: list[Finding]) -> list[str]:
    return [f"{finding.severity} {finding.code} {finding.field}" for finding in findings]


def test_a_policy_that_fits_its_rule_has_no_finding() -> None:
    ours = {"namespace": "shop", "deployment": "api", "severity": "critical"}
    matching = policy(alert={"matchers": ['severity="critical"', 'team!="b"']})
    assert (
        found(
            matching,
            rule(KEPT, labels={"severity": "critical"}),
        )
        == []
    ), "by its definition alone"
    assert found(matching, rule(ANY, ours | {"team": "a"})) == [], "by an alert that is active"
    assert lint(matching) == (), "without a source"


def test_an_alert_that_no_rule_defines_is_an_error_with_what_may_be_meant() -> None:
    (finding,) = found(policy(), names=["Trubble", "Other", "TroubleAhead"])
    assert (finding.severity, finding.code, finding.field) == ("Error", "AlertNotDefined", "spec.alert.name")
    assert finding.message == "AlertSource default has no alerting rule named Trouble: the policy never matches"
    assert finding.instead == "write Trubble or TroubleAhead, or load the rule"
    assert found(policy())[0].instead == "load the rule, or correct the name"


@pytest.mark.parametrize(
    ("matcher", "labels", "query", "why"),
    [
        ('severity="page"', {"severity": "critical"}, KEPT, 'the rule sets severity="critical"'),
        ('severity=~"page|info"', {"severity": "critical"}, ANY, 'the rule sets severity="critical"'),
        ('severity!="critical"', {"severity": "critical"}, ANY, 'the rule sets severity="critical"'),
        ('severity=""', {"severity": "critical"}, ANY, 'the rule sets severity="critical"'),
        ('team="a"', {}, KEPT, "the alert never carries the label team: its query keeps only deployment, namespace"),
        ('team=~".+"', {}, KEPT, "the alert never carries the label team"),
        ('team="a"', {"team": ""}, ANY, 'the alert never carries the label team: the rule sets team=""'),
        ('team="a"', {"team": "{{ $labels.squad }}"}, KEPT, "the alert never carries the label team"),
        ('job="a"', {}, 'x{job="b"}', 'its query takes only job="b"'),
        ('job="a"', {}, 'x{job=~"b|c"}', 'its query takes only job=~"b|c"'),
        ('job="a"', {}, 'x{job!="a"}', 'its query takes only job!="a"'),
        ('alertname="Other"', {}, ANY, "it is Trouble"),
        ('__name__="up"', {}, ANY, "the alert never carries the label __name__: its query drops it"),
        ('x="1"', {}, "sum without (x) (y)", "never carries the label x: its query drops it"),
    ],
)
def test_a_matcher_that_no_alert_can_satisfy_is_an_error(
    matcher: str, labels: dict[str, str], query: str, why: str
) -> None:
    fixed = {"namespace": "shop", "deployment": "api"} | labels
    (finding,) = found(policy(alert={"matchers": ['alertname="Trouble"', matcher]}), rule(query, labels=fixed))
    assert codes([finding]) == ["Error MatcherNeverMatches spec.alert.matchers[1]"]
    assert finding.message.startswith(f"no alert satisfies {matcher}: ")
    assert why in finding.message
    assert "take the matcher out" in finding.instead


@pytest.mark.parametrize(
    ("matcher", "labels", "query"),
    [
        ('severity=~"page|crit.*"', {"severity": "critical"}, KEPT),
        ('team=""', {}, KEPT),
        ('team!="a"', {}, KEPT),
        ('team="a"', {"team": "{{ if eq $value 1.0 }}a{{ end }}"}, KEPT),
        ('job="b"', {}, 'x{job=~"b|c",job!="a"}'),
        ('job=~"a|b"', {}, 'x{job=~"b|c"}'),
        ('job="a"', {}, 'x{job=~"(?!a)"}'),
        ('pod="a"', {}, '{"odd.name"="b"}'),
        ('job="a\\"b"', {}, "x{job='a\"b'}"),
    ],
)
def test_a_matcher_that_may_be_satisfied_is_none(matcher: str, labels: dict[str, str], query: str) -> None:
    fixed = {"namespace": "shop", "deployment": "api"} | labels
    findings = found(policy(alert={"matchers": [matcher]}), rule(query, labels=fixed))
    assert [finding for finding in findings if finding.severity != "Note"] == []


def test_an_alert_that_is_there_needs_no_inference() -> None:
    """Whatever the tree says: a server may add labels that no query shows."""
    shown = {"namespace": "shop", "deployment": "api", "team": "a"}
    assert found(policy(alert={"matchers": ['team="a"']}), rule(BARE, shown)) == []


def test_of_several_rules_of_one_name_one_that_fits_is_enough() -> None:
    fixed = {"namespace": "shop", "deployment": "api"}
    two = (rule(labels=fixed | {"severity": "warning"}), rule(labels=fixed | {"severity": "critical"}))
    assert found(policy(alert={"matchers": ['severity="critical"']}), *two) == []
    (finding,) = found(policy(alert={"matchers": ['severity="page"']}), *two)
    assert finding.message.endswith("(none of the 2 rules of that name fits)")


def test_a_policy_sees_only_alerts_of_its_own_namespace() -> None:
    dropped = "sum by (deployment) (x)"
    (finding,) = found(policy(), rule(dropped))
    assert codes([finding]) == ["Error OtherNamespace spec.alert"]
    assert "never carries the label namespace" in finding.message
    assert "keeps only deployment" in finding.message
    (finding,) = found(policy(), rule(labels={"namespace": "bank", "deployment": "api"}))
    assert (finding.code, 'the rule sets namespace="bank"' in finding.message) == ("OtherNamespace", True)
    (finding,) = found(policy(), rule('x{namespace=~"bank|post"}'))
    assert 'its query takes only namespace=~"bank|post"' in finding.message


@pytest.mark.parametrize(
    ("spec", "known"),
    [
        (policy(alert={"scope": "Any"}, target={"name": "api"}), rule(BARE)),
        (policy(None), rule(labels={"namespace": "bank", "deployment": "api"})),
        (policy(), rule(labels={"namespace": "{{ $labels.namespace }}", "deployment": "api"})),
        (policy(), rule('x{namespace!~"kube-.*"}', labels={"pod": "x"})),
    ],
)
def test_a_namespace_that_may_be_its_own_is_no_finding(spec: Policy, known: AlertRule) -> None:
    assert [finding for finding in found(spec, known) if finding.severity != "Note"] == []


def test_with_scope_any_an_alert_of_another_namespace_is_still_not_its_own() -> None:
    spec = policy(alert={"scope": "Any"}, target={"name": "api"})
    assert codes(found(spec, rule(labels={"namespace": "bank"}))) == ["Error OtherNamespace spec.alert"]


def test_the_matchers_of_the_source_count_too() -> None:
    known = rule(labels={"namespace": "shop", "deployment": "api", "cluster": "dev"})
    (finding,) = found(policy(), known, matchers=('cluster="prod"',))
    assert codes([finding]) == ["Error OtherCluster spec.sourceRef"]
    assert finding.message == 'AlertSource default takes only alerts with cluster="prod": the rule sets cluster="dev"'


@pytest.mark.parametrize(
    ("spec", "query", "label"),
    [
        (policy(), "sum by (namespace) (x)", "deployment or pod"),
        (policy(target={"kind": "StatefulSet"}), KEPT, "statefulset or pod"),
        (cluster_policy(), "sum by (device) (x)", "node or instance"),
        (
            cluster_policy(
                target={"kind": "Deployment", "name": "api", "namespaceSelector": {"matchLabels": {"a": "b"}}},
                ladder=[{"restart": {}}],
            ),
            "sum by (deployment) (x)",
            "namespace",
        ),
    ],
)
def test_an_alert_that_never_names_the_target_is_an_error(spec: Policy, query: str, label: str) -> None:
    (finding,) = found(spec, rule(query))
    assert codes([finding]) == ["Error TargetNeverNamed spec.target"]
    assert f"the alert never carries the label {label}, by which the target is named" in finding.message


@pytest.mark.parametrize(
    ("spec", "query"),
    [
        (policy(target={"name": "api"}), "sum by (namespace) (x)"),
        (policy(), "sum by (namespace, pod) (x)"),
        (cluster_policy(), "sum by (instance) (x)"),
        (cluster_policy(target={"name": "n1"}), BARE),
    ],
)
def test_a_target_that_is_named_is_no_finding(spec: Policy, query: str) -> None:
    assert [finding for finding in found(spec, rule(query)) if finding.severity != "Note"] == []


def test_where_only_some_rules_or_alerts_name_no_target_it_is_a_warning() -> None:
    rules = (rule("sum by (namespace) (x)"), rule(KEPT))
    (finding,) = found(policy(), *rules)
    assert codes([finding]) == ["Warning TargetNeverNamed spec.target"]
    assert "the alert of 1 of 2 rules" in finding.message
    alerts = ({"namespace": "shop", "deployment": "api"}, {"namespace": "shop"}, {"namespace": "bank"})
    (finding,) = found(policy(), rule(ANY, *alerts))
    assert codes([finding]) == ["Warning TargetNeverNamed spec.target"]
    assert finding.message.startswith("1 of 2 active alerts name no target: the alert has neither the label deployment")
    assert found(policy(), rule(ANY, {"namespace": "shop"}))[0].severity == "Error"


def test_what_cannot_be_told_is_said_and_is_no_error() -> None:
    (finding,) = found(policy(alert={"matchers": ['team="a"']}), rule())
    assert codes([finding]) == ["Note CannotBeTold spec.alert"]
    assert finding.message.startswith("whether the alert carries team, namespace, deployment or pod cannot be told")
    assert found(policy(), rule(ANY, {"namespace": "shop", "pod": "api-1"})) == []
    assert found(policy(target={"name": "api"}), rule(labels={"namespace": "shop"})) == []


def verified(timeout: str | None = None, expr: str = "errors", **query: Any) -> Policy:
    rung: dict[str, Any] = {"restart": {}, "verify": {"queries": [{"expr": expr, "below": "1", **query}]}}
    return policy(target={"name": "api"}, ladder=[rung | ({"timeout": timeout} if timeout else {})])


OURS = rule(labels={"namespace": "shop"})


@pytest.mark.parametrize(
    ("spec", "severity", "says"),
    [
        (verified("5m", **{"for": "4m"}), "Error", "settle (1m) and the longest for of its queries (4m) take 5m"),
        (verified("5m", **{"for": "3m59s"}), "", ""),
        (verified(None, **{"for": "9m"}), "Error", "and the rung has 10m: it never passes"),
        (
            policy(target={"name": "api"}, ladder=[{"restart": {}, "timeout": "1m"}]),
            "Error",
            "settle takes 1m, and the rung has 1m",
        ),
        (policy(target={"name": "api"}, ladder=[{"wait": {"duration": "5m"}, "timeout": "30s"}]), "", ""),
    ],
)
def test_a_rung_whose_checks_need_longer_than_it_has_never_passes(spec: Policy, severity: str, says: str) -> None:
    findings = found(spec, replace(OURS, interval=timedelta(seconds=5)))
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    assert not severity or says in findings[0].message
    assert not severity or findings[0].code == "NeverPasses"


def test_without_a_source_a_rung_without_a_timeout_may_have_longer() -> None:
    (finding,) = lint(verified(None, **{"for": "15m"}))
    assert (finding.severity, finding.instead) == ("Warning", "write timeout: 17m or more")
    assert "10m, or as long as the alert's rule looks back" in finding.message
    slow = replace(OURS, query="rate(x[1h]) > 0")
    assert found(verified(None, **{"for": "15m"}), slow) == []


@pytest.mark.parametrize(
    ("timeout", "expr", "warned"),
    [
        ("10m", "sum(rate(x[15m]))", True),
        ("15m", "sum(rate(x[15m]))", False),
        ("10m", "rate(x[5m]) / rate(x[5m] offset 1w)", False),
        ("10m", 'x{path="[1h]"}', False),
        (None, "max_over_time(x[1h:1m])", True),
    ],
)
def test_a_query_that_looks_back_further_than_the_rung_has_time_is_a_warning(
    timeout: str | None, expr: str, warned: bool
) -> None:
    findings = lint(verified(timeout, expr))
    expected = ["Warning LooksBackTooFar spec.ladder[0].verify.queries[0].expr"] if warned else []
    assert codes(list(findings)) == expected


@pytest.mark.parametrize(
    ("timeout", "query", "warned"),
    [
        ("5m", "rate(x[5m]) > 0", True),
        ("7m", "rate(x[5m]) > 0", False),
        (None, "rate(x[6h]) > 0", False),
        ("5m", "x > x offset 1w", False),
    ],
)
def test_a_rule_that_looks_back_further_than_the_rung_has_time_is_a_warning(
    timeout: str | None, query: str, warned: bool
) -> None:
    ladder = [
        {"restart": {}} | ({"timeout": timeout} if timeout else {}),
        {"wait": {"duration": "1m"}, "timeout": "1s"},
    ]
    known = replace(OURS, query=query)
    findings = found(policy(target={"name": "api"}, ladder=ladder), known)
    assert codes(findings) == (["Warning LooksBackTooFar spec.ladder[0].timeout"] if warned else [])
    assert not warned or findings[0].instead == "write timeout: 7m or more, or use a shorter range"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Asked(Samples((1.0,))), None),
        (Asked(Samples(())), "Warning QueryWithoutData"),
        (Asked(Samples((0.0, float("nan")))), "Warning QueryWithoutData"),
        (Asked(Samples((2.0, float("nan")))), None),
        (Asked(Samples((1.0,), ("partial",))), "Warning QueryWarns"),
        (Asked(refusal="parse error"), "Error QueryInvalid"),
        (Asked(failure="no answer within 30 s"), "Warning QueryFailed"),
        (Asked(Samples(()), partly=True), None),
        (Asked(refusal="parse error", partly=True), "Error QueryInvalid"),
    ],
)
def test_a_query_that_would_be_inconclusive_is_said(answer: Asked, code: str | None) -> None:
    findings = found(verified(), OURS, answers={"errors": answer})
    assert codes(findings) == ([f"{code} spec.ladder[0].verify.queries[0].expr"] if code else [])
    assert found(verified(), OURS) == [], "what was not asked is not judged"


@pytest.mark.parametrize(
    ("expr", "labels", "why"),
    [
        ('x{a="${alert.labels.team}"}', KEPT, "the alert never carries the label team"),
        ('x{a="${alert.labels.namespace}"}', KEPT, ""),
        ('x{a="${alert.labels.team}"}', ANY, ""),
        ('x{a="${target.name}",b=~"${target.namespace}|${alert.name}"}', KEPT, ""),
    ],
)
def test_a_variable_that_never_has_a_value_is_an_error(expr: str, labels: str, why: str) -> None:
    findings = found(verified(None, expr), rule(labels))
    errors = [finding for finding in findings if finding.severity == "Error"]
    assert [finding.code for finding in errors] == (["VariableNeverFilled"] if why else [])
    assert all(why in finding.message for finding in errors)


def test_a_node_has_no_namespace_to_fill_in() -> None:
    queries = [{"expr": 'x{a="${target.namespace}"}', "below": "1"}]
    spec = cluster_policy(ladder=[{"cordon": {}, "verify": {"queries": queries}}])
    assert [finding.code for finding in found(spec, rule("sum by (node) (x)"))] == ["VariableNeverFilled"]


def test_variables_are_filled_in_by_what_is_known() -> None:
    expr = (
        'x{a="${target.kind}/${target.namespace}/${target.name}",b="${alert.labels.severity}",c=~"${alert.labels.pod}"}'
    )
    known = rule(KEPT, {"namespace": "shop", "pod": "a.b", "deployment": "api"}, labels={"severity": "page"})
    asked = questions(verified(None, expr), Known("s", (known,)))[expr]
    assert asked == Question('x{a="Deployment/shop/api",b="page",c=~"a\\\\.b"}', partly=False)
    other = rule(KEPT, {"namespace": "bank", "pod": "a.b"}, labels={"severity": "page"})
    asked = questions(verified(None, expr), Known("s", (other,)))[expr]
    assert asked == Question('x{a="Deployment/shop/api",b="page",c=~"unknown"}', partly=True)


@pytest.mark.parametrize(
    ("ladder", "places"),
    [
        ([{"reboot": {}}], [0]),
        ([{"notify": {}}, {"reboot": {}}, {"drain": {}}, {"reboot": {}}], [1]),
        ([{"drain": {}}, {"uncordon": {}}, {"reboot": {}}], [2]),
        ([{"cordon": {}}, {"reboot": {}}], []),
        ([{"outOfService": {}}, {"reboot": {}}], []),
    ],
)
def test_a_reboot_of_a_node_that_no_rung_has_cordoned_is_warned_of_without_a_source(
    ladder: list[dict[str, Any]], places: list[int]
) -> None:
    findings = list(lint(cluster_policy(ladder=ladder)))
    assert codes(findings) == [f"Warning NotCordoned spec.ladder[{place}].reboot" for place in places]


def test_errors_come_first() -> None:
    spec = verified("5m", "rate(x[1h])", **{"for": "5m"})
    findings = found(spec, OURS, answers={"rate(x[1h])": Asked(Samples(()))})
    assert [finding.severity for finding in findings] == ["Error", "Warning", "Warning"]
    assert all(finding.instead for finding in findings)
