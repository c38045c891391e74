"""What people read when their object is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.api.policy import RemediationPolicySpec
from goldseam.api.problems import LONGEST, InvalidSpec, field_path, read_spec


def policy(**changes: Any) -> dict[str, Any]:
    return {"spec": {"alert": {"name": "A"}, "target": {"name": "api"}, "ladder": [{"restart": {}}], **changes}}


def said(kind: str, obj: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidSpec) as caught:
        read_spec(kind, obj)
    return str(caught.value).splitlines()


def test_a_valid_spec_becomes_the_model_of_its_kind() -> None:
    spec = read_spec("RemediationPolicy", policy(mode="Act"))
    assert isinstance(spec, RemediationPolicySpec)
    assert spec.mode == "Act"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"ladder": [{"scale": {"replicas": -1}}]}, "spec.ladder[0].scale.replicas: must be at least 0, not -1"),
        (
            {"ladder": [{"scale": {"replicas": 0, "direction": "Down"}}]},
            "spec.ladder[0].scale.replicas: 0 switches the target off: write direction: Down and allowZero: true with"
            " it, or at least 1",
        ),
        (
            {"ladder": [{"scale": {"replicas": 10_001}}]},
            "spec.ladder[0].scale.replicas: must be at most 10000, not 10001",
        ),
        (
            {"ladder": [{"scale": {"replicas": "3"}}]},
            'spec.ladder[0].scale.replicas: must be an integer (a whole number, without quotes), not "3"',
        ),
        (
            {"ladder": [{"scale": {"replicas": 1.5}}]},
            "spec.ladder[0].scale.replicas: must be an integer (a whole number, without quotes), not 1.5",
        ),
        ({"ladder": [{"scale": {}}]}, "spec.ladder[0].scale.replicas: is required"),
        ({"ladder": []}, "spec.ladder: must not be empty; at least 1 is needed"),
        ({"ladder": [{"restart": {}}] * 9}, "spec.ladder: must have at most 8 entries, not 9"),
        ({"ladder": {"restart": {}}}, 'spec.ladder: must be a list, not {"restart": {}}'),
        ({"mode": "Dry"}, 'spec.mode: must be Observe, Propose or Act, not "Dry"'),
        ({"suspend": "yes"}, 'spec.suspend: must be a boolean (true or false, without quotes), not "yes"'),
        ({"component": 7}, "spec.component: must be a string (a text in quotes), not 7"),
        ({"component": "x" * 129}, "spec.component: must have at most 128 characters, not 129"),
        ({"alert": {"name": ""}}, "spec.alert.name: must not be empty; at least 1 is needed"),
        ({"target": "api"}, 'spec.target: must be an object with fields, not "api"'),
        ({"escalateAfter": "1d"}, "spec.escalateAfter: must be a duration such as 90s, 5m or 1h30m"),
        ({"escalateAfter": "169h"}, "spec.escalateAfter: must be at most 168h"),
        (
            {"cooldown": "5m"},
            "spec.cooldown: is an unknown field; check its name and its indentation",
        ),
        (
            {"alert": {"name": "A", "matchers": ["a=b"]}},
            'spec.alert.matchers[0]: must be a label matcher such as severity="critical" or pod=~"api-.*"',
        ),
        (
            {"alert": {"name": "A", "matchers": ['pod=~"("']}},
            "spec.alert.matchers[0]: the regular expression ( is not valid RE2: missing ): (",
        ),
        (
            {"limits": {"minAvailable": "150%"}},
            "spec.limits.minAvailable: must be a count from 0 to 100000, or a percentage from 0% to 100%",
        ),
    ],
    ids=lambda value: value.split(": ", 1)[0] if isinstance(value, str) else "",
)
def test_a_problem_names_the_field_and_says_what_to_write(changes: dict[str, Any], line: str) -> None:
    assert said("RemediationPolicy", policy(**changes)) == [line]


def test_a_broken_rule_names_its_field() -> None:
    assert said("RemediationPolicy", policy(ladder=[{"escalate": {}}, {"drain": {}}])) == [
        "spec.ladder: escalate hands the incident to people, so it can only be the last rung",
        "spec.ladder: cordon, drain, outOfService, reboot and uncordon act on nodes: write a ClusterRemediationPolicy",
    ]


def test_a_rule_about_a_part_as_a_whole_names_the_part() -> None:
    (line,) = said("RemediationPolicy", policy(ladder=[{"restart": {}}, {"name": "nothing"}]))
    assert line.startswith("spec.ladder[1]: a rung needs exactly one action: write one of scale, restart,")


def test_a_literal_that_is_true_is_written_as_in_yaml() -> None:
    runbook = {
        "contacts": [{"name": "c"}],
        "levels": [{"name": "l", "contact": "c"}],
        "thresholds": [{"name": "t", "level": "l", "when": {"ladderExhausted": False}}],
    }
    assert said("Runbook", {"spec": runbook}) == ["spec.thresholds[0].when.ladderExhausted: must be true, not false"]


def test_at_most_three_problems_are_told() -> None:
    lines = said("RemediationPolicy", policy(mode="A", suspend=1, component=2, escalateAfter="x", unknownTimeout="y"))
    assert len(lines) == 3
    assert lines[-1].endswith(" (and 2 more)")


def test_a_misspelt_field_comes_before_the_one_that_is_missing() -> None:
    lines = said("AlertSource", {"spec": {"URL": "http://prometheus:9090"}})
    assert [line.split(":")[0] for line in lines] == ["spec.URL", "spec.url"]


def test_a_message_is_bounded_whatever_people_wrote() -> None:
    long = "x" * 100_000
    changes = {"mode": long, "target": {long: 1}, "alert": {"name": "A", "matchers": [f'a=~"{"(" * 200}"']}}
    text = "\n".join(said("RemediationPolicy", policy(**changes)))
    assert len(text) <= LONGEST
    assert long not in text


def test_a_message_never_has_the_address_of_a_web_page() -> None:
    text = "\n".join(said("RemediationPolicy", policy(mode=1, suspend=[], ladder=3)))
    assert "http" not in text


@pytest.mark.parametrize("obj", [{}, {"spec": None}], ids=["absent", "null"])
def test_a_missing_spec_is_said(obj: dict[str, Any]) -> None:
    assert said("RemediationPolicy", obj) == ["spec: is required"]


@pytest.mark.parametrize("spec", [[], "text", 3, True])
def test_a_spec_of_another_type_is_said(spec: Any) -> None:
    (line,) = said("RemediationPolicy", {"spec": spec})
    assert line.startswith("spec: must be an object with fields, not ")


def test_guardrails_without_spec_are_the_defaults() -> None:
    cluster = {"metadata": {"name": "cluster"}}
    assert read_spec("Guardrails", cluster) == read_spec("Guardrails", {**cluster, "spec": {}})


def test_guardrails_of_another_name_are_refused() -> None:
    assert said("Guardrails", {"metadata": {"name": "mine"}}) == [
        "metadata.name: must be cluster, for there is one Guardrails object"
    ]


def test_a_kind_that_does_not_exist_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        read_spec("Answer", {"spec": {}})


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ((), "spec"),
        (("ladder", 1, "scale"), "spec.ladder[1].scale"),
        (("matchLabels", "app.kubernetes.io/name"), "spec.matchLabels[app.kubernetes.io/name]"),
        (("matchLabels", "team", "[key]"), "spec.matchLabels.team"),
    ],
)
def test_a_field_is_named_as_kubernetes_does(location: tuple[int | str, ...], path: str) -> None:
    assert field_path(location) == path


def test_a_policy_that_no_incident_could_hold_is_refused_with_its_size() -> None:
    query = {"expr": "x" * 1000, "below": "1"}
    ladder = [{"restart": {}, "verify": {"queries": [query] * 4}}] * 8
    (line,) = said("RemediationPolicy", policy(ladder=ladder, runbookRef={"name": "x"}, component="x" * 100) | {})
    assert line.startswith("spec: has ")
    assert line.endswith("every Incident keeps a copy: at most 32768")
