"""Whose alert it is, and which object it names."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.api.policy import ClusterRemediationPolicySpec, RemediationPolicySpec
from goldseam.engine.matching import NoTarget, PolicyKey, TargetKey, allows, concerns, matches, protected, target_of


def namespaced(alert: dict[str, Any] | None = None, **target: Any) -> RemediationPolicySpec:
    spec = {"alert": {"name": "A", **(alert or {})}, "target": target, "ladder": [{"restart": {}}]}
    return RemediationPolicySpec.model_validate(spec)


def for_nodes(**target: Any) -> ClusterRemediationPolicySpec:
    return ClusterRemediationPolicySpec.model_validate(
        {"alert": {"name": "A"}, "target": target, "ladder": [{"drain": {}}]}
    )


@pytest.mark.parametrize(
    ("matcher", "labels", "expected"),
    [
        ('severity="critical"', {"severity": "critical"}, True),
        ('severity="critical"', {"severity": "critical-ish"}, False),
        ('severity!="critical"', {}, True),
        ('severity=""', {}, True),
        ('pod=~"api-.*"', {"pod": "api-1"}, True),
        ('pod=~"api"', {"pod": "api-1"}, False),
        ('pod!~"api-.*"', {"pod": "api-1"}, False),
        ('pod=~"api-.*|"', {}, True),
        (r'path="a\"b\\c"', {"path": 'a"b\\c'}, True),
        (r'path="two\nlines"', {"path": "two\nlines"}, True),
        ('path="🦉"', {"path": "🦉"}, True),
        ('path="é"', {"path": "e\u0301"}, False),  # composed, and not: Prometheus compares code points
        ('path=~"x+"', {"path": "x" * 10_000}, True),
    ],
)
def test_matchers_have_the_semantics_of_prometheus(matcher: str, labels: dict[str, str], expected: bool) -> None:
    assert matches(labels, [matcher]) is expected


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("a.b", "a\nb", True),  # Python: . is no line break
        ("a$", "a\n", False),  # Python: $ is also before the last line break
        (r"\\d+", "٣", False),  # Python: any script's digits
        (r"\\w+", "é", False),
        (r"\\pL+", "é", True),  # Python has no \p
        (r"a\\z", "a", True),  # Python 3.11 has no \z
        (r"\\Qa.b\\E", "a.b", True),
        ("[[:alpha:]]+", "abc", True),
        ("(?U)a+", "aa", True),
    ],
)
def test_a_regular_expression_means_what_it_means_to_prometheus_where_pythons_differ(
    pattern: str, value: str, expected: bool
) -> None:
    assert matches({"pod": value}, [f'pod=~"{pattern}"']) is expected
    assert matches({"pod": value}, [f'pod!~"{pattern}"']) is not expected


def test_a_regular_expression_that_would_explode_answers_at_once() -> None:
    assert not matches({"pod": "a" * 10_000 + "!"}, ['pod=~"(a+)+"'])


def test_a_namespaced_policy_sees_its_own_namespace_only() -> None:
    assert concerns(namespaced(), "shop", {"namespace": "shop"})
    assert not concerns(namespaced(), "shop", {"namespace": "bank"})
    assert not concerns(namespaced(), "shop", {})


def test_scope_any_adds_alerts_without_a_namespace_but_never_those_of_another() -> None:
    spec = namespaced({"scope": "Any"}, name="api")
    assert concerns(spec, "shop", {})
    assert not concerns(spec, "shop", {"namespace": "bank"})


def test_a_cluster_policy_sees_every_namespace() -> None:
    assert concerns(for_nodes(), "", {"namespace": "bank"})


@pytest.mark.parametrize(
    ("spec", "labels", "expected"),
    [
        (namespaced(name="api"), {"deployment": "other"}, TargetKey("Deployment", "shop", "api")),
        (namespaced(), {"deployment": "api", "pod": "x"}, TargetKey("Deployment", "shop", "api")),
        (namespaced(kind="StatefulSet"), {"statefulset": "db"}, TargetKey("StatefulSet", "shop", "db")),
        (namespaced(), {"pod": "api-1"}, TargetKey("Pod", "shop", "api-1")),
    ],
)
def test_a_workload_is_named_by_the_policy_or_else_by_the_labels(
    spec: RemediationPolicySpec, labels: dict[str, str], expected: TargetKey
) -> None:
    assert target_of(spec, "shop", labels) == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"node": "n1"}, TargetKey("Node", "", "n1")),
        ({"instance": "10.0.0.7:9100"}, TargetKey("Node", "", "10.0.0.7")),
        ({"instance": "n1"}, TargetKey("Node", "", "n1")),
        ({"instance": "N1.Example.COM:9100"}, TargetKey("Node", "", "n1.example.com")),
        ({"node": "Worker-1"}, TargetKey("Node", "", "worker-1")),
        ({"instance": "[FD00::0:7]:9100"}, TargetKey("Node", "", "fd00::7")),
        ({"instance": "[fd00::7]"}, TargetKey("Node", "", "fd00::7")),
        ({"instance": "fd00::7"}, TargetKey("Node", "", "fd00::7")),
        ({"instance": "[::ffff:10.0.0.7]:9100"}, TargetKey("Node", "", "10.0.0.7")),
        ({"node": "10.0.0.7"}, TargetKey("Node", "", "10.0.0.7")),
        ({"node": "n1", "instance": "n2:9100"}, TargetKey("Node", "", "n1")),
    ],
)
def test_a_node_is_named_by_its_label_or_its_instance(labels: dict[str, str], expected: TargetKey) -> None:
    assert target_of(for_nodes(), "", labels) == expected


def test_a_fixed_node_needs_no_label() -> None:
    assert target_of(for_nodes(name="n1"), "", {}) == TargetKey("Node", "", "n1")


@pytest.mark.parametrize(
    "value",
    [
        "[::1",
        "[]:9100",
        "[n1]:9100",
        "fe80::1%eth0",
        "http://n1:9100/metrics",
        "n1,n2",
        "n1:",
        ":9100",
        "n1:123456",
        "-",
    ],
)
def test_an_instance_that_is_neither_name_nor_address_is_said_to_be_so(value: str) -> None:
    found = target_of(for_nodes(), "", {"instance": value})
    assert isinstance(found, NoTarget)
    assert "the alert's label instance" in found.message


def test_a_label_in_capitals_is_no_name_of_a_workload() -> None:
    assert isinstance(target_of(namespaced(), "shop", {"deployment": "A"}), NoTarget)


@pytest.mark.parametrize("value", ["../../secrets", "a/b", "x" * 300, "a..b", "%2e", "ä"])
def test_a_label_that_is_no_name_reaches_no_url(value: str) -> None:
    for spec, label in ((namespaced(), "deployment"), (for_nodes(), "node")):
        found = target_of(spec, "shop", {label: value})
        assert isinstance(found, NoTarget)
        assert "is not the name of an object" in found.message


def test_labels_that_name_nothing_say_what_to_set() -> None:
    for spec in (namespaced(), for_nodes()):
        found = target_of(spec, "shop", {})
        assert isinstance(found, NoTarget)
        assert "set spec.target.name" in found.message


def test_a_cluster_policy_checks_the_namespace_that_a_label_claims() -> None:
    selector = {"matchLabels": {"team": "a"}}
    spec = ClusterRemediationPolicySpec.model_validate(
        {
            "alert": {"name": "A"},
            "target": {"kind": "Deployment", "namespaceSelector": selector},
            "ladder": [{"restart": {}}],
        }
    )
    assert target_of(spec, "", {"namespace": "shop", "deployment": "api"}) == TargetKey("Deployment", "shop", "api")
    assert isinstance(target_of(spec, "", {"namespace": "../x", "deployment": "api"}), NoTarget)
    assert isinstance(target_of(spec, "", {"deployment": "api"}), NoTarget)


def test_a_selector_needs_all_of_its_labels() -> None:
    assert allows({"a": "1"}, {"a": "1", "b": "2"})
    assert not allows({"a": "1", "c": "3"}, {"a": "1", "b": "2"})


@pytest.mark.parametrize(
    ("namespace", "expected"), [("kube-system", True), ("kubeless", False), ("argocd", True), ("argocd-x", False)]
)
def test_protected_namespaces_may_have_stars(namespace: str, expected: bool) -> None:
    assert protected(namespace, ["kube-*", "argocd"]) is expected


def test_what_has_no_namespace_shows_people_no_empty_one() -> None:
    assert PolicyKey("RemediationPolicy", "shop", "api").title == "RemediationPolicy shop/api"
    assert PolicyKey("ClusterRemediationPolicy", "", "nodes").title == "ClusterRemediationPolicy nodes"
