"""template: what it makes of the policy's words and the alert's labels, and what it never makes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.actions.template import ACTION, observe, plan
from goldseam.api.guardrails import GuardrailsSpec
from goldseam.api.incident import Step
from goldseam.api.templates import NEVER, Template, TemplateKind
from goldseam.engine.objects import TOKEN
from goldseam.engine.proposal import Effect, Proposal, Refusal, World, place
from goldseam.engine.templates import MANAGED_BY, why_not
from tests.support.objects import node, workload
from tests.unit.test_guards import NOW

Json = dict[str, Any]
WANTED = {"apiVersion": "a.example.com/v1", "kind": "Remediation", "resource": "remediations"}
NAME = "goldseam-the-token"


def told(spec: Json | None = None, namespace: str | None = "mending", **more: Any) -> Template:
    meta = {"namespace": namespace} if namespace else {}
    made = {"apiVersion": WANTED["apiVersion"], "kind": WANTED["kind"], "metadata": meta, "spec": spec or {}}
    return Template.model_validate({"resource": WANTED["resource"], "object": made, **more})


def world(target: Json | None = None, obj: Json | None = None, **values: str) -> World:
    touched = {place("Remediation", "mending", NAME): obj}
    return World(target=target or node(), values=values, touched=touched)


def planned(parameters: Template, **values: str) -> Proposal:
    found = plan(parameters, world(**values), "the-token")
    assert isinstance(found, Proposal), found
    return found


def test_it_makes_the_object_under_the_steps_name_with_our_marks_and_owes_to_take_it_away() -> None:
    found = planned(told({"strategy": "A", "count": 3}))
    assert found.body == {
        "apiVersion": "a.example.com/v1",
        "kind": "Remediation",
        "metadata": {
            "name": NAME,
            "namespace": "mending",
            "labels": {MANAGED_BY: "goldseam"},
            "annotations": {TOKEN: "the-token"},
        },
        "spec": {"strategy": "A", "count": 3},
    }
    (write,), (owed,) = found.writes, found.obligations
    assert (write.verb, str(write.object), write.resource) == ("Make", f"Remediation mending/{NAME}", "remediations")
    assert (owed.kind, owed.object, owed.resource, owed.want) == ("Remove", write.object, "remediations", write.want)
    assert [str(right) for right in found.rights] == [
        f"{verb} remediations.a.example.com in namespace mending" for verb in ("create", "delete")
    ]
    assert found.summary == f"make Remediation mending/{NAME} for Node worker-1, and delete it afterwards"


def test_what_is_kept_is_not_owed_and_needs_no_right_to_delete() -> None:
    found = planned(told(keep=True))
    assert (found.obligations, [right.verb for right in found.rights]) == ((), ["create"])


def test_another_object_has_another_digest_so_that_a_person_is_asked_anew() -> None:
    assert planned(told({"a": "${alert.labels.x}"}), **{"alert.labels.x": "1"}).writes != (
        planned(told({"a": "${alert.labels.x}"}), **{"alert.labels.x": "2"}).writes
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.characters(exclude_characters="$"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)


def shape(value: Any) -> Any:
    """The value without its texts."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return "" if isinstance(value, str) else value


@given(label=st.text(min_size=1, max_size=40), rest=JSON)
def test_a_label_changes_one_text_and_no_structure_whatever_it_holds(label: str, rest: Any) -> None:
    parameters = told({"filled": ["${alert.labels.x}", {"y": "${alert.labels.x}"}], "rest": rest})
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in label):
        return
    body = planned(parameters, **{"alert.labels.x": label}).body
    assert body is not None
    assert body["spec"]["filled"] == [label, {"y": label}]
    assert shape(body["spec"]) == shape(parameters.object.spec)
    assert body["spec"]["rest"] == rest


def test_what_a_label_holds_is_not_filled_in_again() -> None:
    body = planned(told({"a": "${alert.labels.x}"}), **{"alert.labels.x": "${alert.name}", "alert.name": "n"}).body
    assert body is not None
    assert body["spec"] == {"a": "${alert.name}"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "the alert has no label x"),
        ({"alert.labels.x": ""}, "the alert has no label x"),
        ({"alert.labels.x": "y" * 1024}, "may have been cut"),
    ],
)
def test_a_variable_without_a_whole_value_is_refused(values: dict[str, str], words: str) -> None:
    found = plan(told({"a": "${alert.labels.x}"}), world(**values), "the-token")
    assert isinstance(found, Refusal)
    assert (found.reason, words in found.message) == ("TemplateUndefined", True)


@pytest.mark.parametrize("group", NEVER)
@pytest.mark.parametrize("version", ["{}/v1", "some.{}/v1beta1"])
def test_groups_that_bring_code_or_rights_are_neither_made_nor_allowed(group: str, version: str) -> None:
    for model, more in ((TemplateKind, {}), (Template, {"object": {}})):
        broken = {**WANTED, "apiVersion": version.format(group)}
        fields = {"resource": "x", "object": {**broken, "resource": None}} if more else broken
        if more:
            del fields["object"]["resource"]
        with pytest.raises(ValueError, match="are never made"):
            model.model_validate(fields)


@pytest.mark.parametrize("version", ["v1", "apps/v1", "batch/v1", "rbac.authorization.k8s.io/v1", "autoscaling/v2"])
def test_kinds_of_kubernetes_itself_are_neither_made_nor_allowed(version: str) -> None:
    with pytest.raises(ValueError, match="never made"):
        TemplateKind.model_validate({**WANTED, "apiVersion": version})


@pytest.mark.parametrize("version", ["cluster.x-k8s.io/v1beta1", "self-node-remediation.medik8s.io/v1alpha1", "a.b/v1"])
def test_another_domain_that_ends_alike_is_no_group_of_kubernetes(version: str) -> None:
    assert TemplateKind.model_validate({**WANTED, "apiVersion": version}).namespaces == []


def limits(*namespaces: str, **more: Any) -> GuardrailsSpec:
    return GuardrailsSpec.model_validate({"templates": [{**WANTED, "namespaces": list(namespaces)}], **more})


@pytest.mark.parametrize(
    ("allowed", "namespace", "words"),
    [
        (limits("mending"), "mending", ""),
        (limits(), None, ""),
        (GuardrailsSpec(), "mending", "is no kind that the Guardrails list"),
        (limits("other"), "mending", "do not list namespace mending"),
        (limits(), "mending", "do not list namespace mending"),
        (limits("mending"), None, "in namespaces only: name one"),
        (limits("kube-system"), "kube-system", "is protected by the Guardrails"),
        (limits("home"), "home", "is protected by the Guardrails"),
        (limits("mending", protectedNamespaces=["mend*"]), "mending", "is protected by the Guardrails"),
    ],
)
def test_what_the_guardrails_do_not_list_is_not_made(
    allowed: GuardrailsSpec, namespace: str | None, words: str
) -> None:
    found = why_not(told(namespace=namespace), allowed, "home")
    assert words in found
    assert bool(found) == bool(words)


def course(target: Json, obj: Json | None, **more: Any) -> Effect:
    parameters = told(**more)
    step = Step(id="1-template", rung=0, action="template", intent_at=NOW, writes=list(planned(parameters).writes))
    seen = world(target, obj)
    awaited = parameters.done_when and (parameters.done_when.type, parameters.done_when.status)
    return observe(step, World(target=seen.target, touched=seen.touched, awaited=awaited))


def made(*conditions: Json, token: str = "the-token") -> Json:
    return {"metadata": {"annotations": {TOKEN: token}}, "status": {"conditions": list(conditions)}}


WAITS = {"doneWhen": {"type": "Succeeded"}}


def test_without_a_condition_it_is_done_when_it_was_made_even_if_it_is_gone_since() -> None:
    assert course(node(), made()).done
    assert course(node(), None).done


def test_of_a_workload_all_pods_must_be_there_then() -> None:
    assert course(workload(), made()).done
    assert not course(workload(ready=1), made()).done


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({}, "it has no such condition yet"),
        ({"type": "Succeeded", "status": "False", "reason": "Started"}, "it is False: Started"),
        ({"type": "Succeeded", "status": "odd\ntext", "reason": "more odd text"}, "it is Unknown)"),
        ({"type": "Other", "status": "True"}, "it has no such condition yet"),
    ],
)
def test_while_the_condition_is_missing_it_says_how_far_it_is(condition: Json, words: str) -> None:
    found = course(node(), made(condition), **WAITS)
    assert (found.done, found.asked_for, found.course, words in found.message) == (False, True, "", True)


def test_with_the_condition_it_is_done() -> None:
    assert course(node(), made({"type": "Succeeded", "status": "True"}), **WAITS).done


@pytest.mark.parametrize("obj", [None, made(token="another")])
def test_one_that_is_gone_before_it_had_the_condition_has_vanished(obj: Json | None) -> None:
    assert course(node(), obj, **WAITS).course == "Vanished"


def test_the_node_counts_for_the_caps_of_nodes() -> None:
    assert planned(told()).takes_nodes == 1
    found = ACTION.plan(told(), world(workload()), "the-token")
    assert isinstance(found, Proposal)
    assert found.takes_nodes == 0
