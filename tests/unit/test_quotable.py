"""Of what others wrote into an error, known shapes are repeated and nothing else."""

from __future__ import annotations

import json

import pytest

from goldseam.adapters.kube_errors import translated
from goldseam.engine.quotable import quotable

SECRET = "env PASSWORD=hunter2"
QUOTA = "exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3"
RBAC = (
    'User "system:serviceaccount:goldseam-system:goldseam" cannot patch resource "deployments/scale" in API group'
    ' "apps" in the namespace "shop"'
)
PERSON = 'User "jane@aurum.com" cannot create resource "responses" in API group "goldseam.dev" in the namespace "shop"'
OURS = "ValidatingAdmissionPolicy 'goldseam-scale' with binding 'goldseam-scale' denied request: not below half"
THEIRS = f"ValidatingAdmissionPolicy 'no-latest' with binding 'no-latest' denied request: {SECRET}"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (f'pods "api-" is forbidden: {QUOTA}', QUOTA),
        (f'deployments.apps "api" is forbidden: {RBAC}', RBAC),
        (f"responses.goldseam.dev is forbidden: {PERSON}", PERSON),
        (f"it is forbidden: {OURS}", "the admission policy goldseam-scale denied it: not below half"),
        (f'deployments.apps "api" is forbidden: {THEIRS}', "the admission policy no-latest denied it"),
        (f'admission webhook "w.x.io" denied the request: {SECRET}', "the admission webhook w.x.io denied it"),
        (f'admission webhook "w.x.io" denied the request: {SECRET} {QUOTA}', "the admission webhook w.x.io denied it"),
        (f'failed calling webhook "w.x.io": {SECRET}', "the admission webhook w.x.io could not be called"),
        (
            f'pods "a" is forbidden: violates PodSecurity "restricted:latest": {SECRET}',
            'violates PodSecurity "restricted:latest"',
        ),
        (
            'cannot be handled as a Incident: strict decoding error: unknown field "spec.x"',
            'strict decoding error: unknown field "spec.x"',
        ),
        (f"something went wrong with {SECRET}", ""),
        (f'exceeded quota: "{SECRET}", requested: pods=1', ""),
        ("", ""),
    ],
)
def test_known_shapes_are_repeated_and_nothing_else(message: str, said: str) -> None:
    assert quotable(message) == said
    assert "hunter2" not in said


@pytest.mark.parametrize("reason", ["Forbidden", "Invalid", "InternalError", ""])
@pytest.mark.parametrize(
    "message",
    [
        f"the webhook denied the request: {SECRET}",
        f'admission webhook "w" denied the request: {SECRET}',
        SECRET,
        THEIRS,
    ],
)
@pytest.mark.parametrize("caused", [False, True], ids=["without causes", "with causes"])
def test_an_error_never_repeats_what_somebody_else_wrote(reason: str, message: str, caused: bool) -> None:
    answer = {"reason": reason, "message": message, "details": {"causes": [{"message": message}] if caused else []}}
    for status in (403, 422, 500):
        said = str(translated(status, {}, json.dumps(answer).encode(), "PATCH /x"))
        assert "hunter2" not in said
        assert said.startswith("PATCH /x: ")


def test_the_causes_in_a_webhooks_answer_are_its_own_words_too() -> None:
    causes = [{"field": "spec.template", "message": SECRET}]
    answer = {
        "reason": "Invalid",
        "message": 'admission webhook "w" denied the request: no',
        "details": {"causes": causes},
    }
    said = str(translated(422, {}, json.dumps(answer).encode(), "PATCH /x"))
    assert said == "PATCH /x: Invalid: the admission webhook w denied it"


def test_a_short_value_of_a_field_is_not_repeated_either() -> None:
    causes = [{"field": "spec.env", "message": 'Invalid value: "hunter2": must be something else'}]
    answer = {"reason": "Invalid", "message": "x", "details": {"causes": causes}}
    said = str(translated(422, {}, json.dumps(answer).encode(), "PATCH /x"))
    assert said == "PATCH /x: Invalid: spec.env: Invalid value: …: must be something else"
