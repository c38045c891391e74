"""What an answer of the API server means: causes are kept, bodies are not."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from goldseam.adapters.kube import _path
from goldseam.adapters.kube_errors import translated
from goldseam.errors import (
    AlreadyExists,
    BudgetExhausted,
    Conflict,
    Fenced,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Outdated,
    Throttled,
    Unavailable,
)
from goldseam.ports import Resource


def answer(reason: str, message: str = "", *causes: dict[str, str]) -> bytes:
    return json.dumps(
        {"kind": "Status", "reason": reason, "message": message, "details": {"causes": list(causes)}}
    ).encode()


@pytest.mark.parametrize(
    ("status", "body", "creating", "error"),
    [
        (404, answer("NotFound"), False, NotFound),
        (409, answer("AlreadyExists"), True, AlreadyExists),
        (409, answer("Conflict"), False, Conflict),
        (410, answer("Expired"), False, Gone),
        (429, answer("TooManyRequests", "", {"reason": "DisruptionBudget"}), False, BudgetExhausted),
        (429, answer("TooManyRequests"), False, Throttled),
        (403, answer("Forbidden"), False, Forbidden),
        (401, answer("Unauthorized"), False, Forbidden),
        (400, answer("BadRequest"), False, Invalid),
        (422, answer("Invalid", "", {"field": "spec.replicas", "message": "must be positive"}), False, Invalid),
        (422, answer("Invalid", "", {"field": "metadata.uid", "message": "field is immutable"}), False, Conflict),
        (422, answer("Invalid", "status.epoch: never goes down"), False, Fenced),
        (500, b"<html>", False, Unavailable),
        (503, b"", False, Unavailable),
    ],
)
def test_each_answer_has_its_error(status: int, body: bytes, creating: bool, error: type[Exception]) -> None:
    assert type(translated(status, {}, body, "PATCH /x", creating=creating)) is error


def test_a_message_names_the_field_and_never_quotes_an_object() -> None:
    secret = "password=hunter2 " * 100
    said = str(translated(422, {}, answer("Invalid", secret, {"field": "spec.x", "message": "is wrong"}), "PATCH /x"))
    assert "spec.x: is wrong" in said
    assert "hunter2" not in said
    assert len(str(translated(500, {}, answer("Internal", "x" * 5_000), "GET /x"))) < 400


def test_retry_after_is_honoured_up_to_a_bound() -> None:
    soon, late = (translated(429, {"Retry-After": text}, b"", "GET /x") for text in ("3", "3600"))
    assert isinstance(soon, Throttled)
    assert isinstance(late, Throttled)
    assert (soon.delay, late.delay) == (timedelta(seconds=3), timedelta(seconds=10))


@pytest.mark.parametrize("name", ["../secrets", "a/b", "..", "a%2fb", "x" * 300, " ", "-a"])
def test_what_is_no_name_never_becomes_a_path(name: str) -> None:
    with pytest.raises(Invalid):
        _path(Resource("apps", "v1", "deployments"), "shop", name)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((Resource("", "v1", "pods"), "shop", "a", "eviction"), "/api/v1/namespaces/shop/pods/a/eviction"),
        ((Resource("apps", "v1", "deployments"), ""), "/apis/apps/v1/deployments"),
        ((Resource("", "v1", "nodes", namespaced=False), "", "n"), "/api/v1/nodes/n"),
    ],
)
def test_paths_are_those_of_the_api(arguments: tuple[Any, ...], expected: str) -> None:
    assert _path(*arguments) == expected


def test_a_field_that_our_crd_does_not_know_means_that_the_crds_are_older() -> None:
    cause = {"field": "patch", "message": 'Invalid value: "{}": strict decoding error: unknown field "status.x"'}
    ours = "PATCH /apis/goldseam.dev/v1alpha1/namespaces/a/incidents/b/status"
    said = translated(422, {}, answer("Invalid", "", cause), ours)
    assert type(said) is Outdated
    assert "upgrade the CRDs" in str(said)
    assert type(translated(422, {}, answer("Invalid", "", cause), "PATCH /apis/apps/v1/x")) is Invalid
    quoted = {"field": "spec.x", "message": 'Invalid value: "strict decoding error: unknown field": no'}
    assert type(translated(422, {}, answer("Invalid", "", quoted), ours)) is Invalid
