"""The attempts of a thief agree with the rights that the pieces grant, and each piece says what it leaves.

What the API server answers is in tests/cluster/test_stolen_token.py.
"""

from __future__ import annotations

import pytest

from tests.stolen import table
from tests.stolen.attempts import (
    ALL,
    COLUMNS,
    LEFT,
    METHODS,
    RBAC,
    SCHEMA,
    Attempt,
    attempts,
    pieces_of,
    rights_with,
    world,
)
from tests.stolen.pieces import BASE, OPERATOR, PIECES, READING, granted, of_piece

ATTEMPTS = tuple(attempts())
POLICIES = {
    piece: {o["metadata"]["name"] for o in objects if o["kind"] == "ValidatingAdmissionPolicy"}
    for piece, objects in {"base": BASE, **{piece: of_piece(piece) for piece in PIECES}}.items()
}
FOR_PEOPLE = {"goldseam-people"}
"""Admission policies that judge what others than the operator write: to the operator, RBAC says no before them."""


@pytest.mark.parametrize("column", COLUMNS)
def test_an_attempt_is_refused_for_want_of_a_right_exactly_where_no_piece_grants_it(column: str) -> None:
    grants = rights_with(column)
    for attempt in ATTEMPTS:
        answers = attempt.answers(column)
        advice = f"attempts.yaml, {attempt.what!r}, with {column}: "
        if attempt.permitted(grants):
            assert RBAC not in answers, f"{advice}RBAC grants it: say which admission policy refuses it, or `left`"
        else:
            assert answers == {RBAC}, f"{advice}no right is granted: say nothing about {column}"


def test_there_are_many_attempts_each_with_a_name_of_its_own() -> None:
    assert len(ATTEMPTS) >= 40
    assert len({attempt.what for attempt in ATTEMPTS}) == len(ATTEMPTS)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.what)
def test_an_attempt_names_what_there_is(attempt: Attempt) -> None:
    assert set(attempt.answer) <= set(COLUMNS)
    for column, answer in attempt.answer.items():
        known = POLICIES["base"].union(*(POLICIES[piece] for piece in pieces_of(column)))
        assert answer in known | {LEFT, SCHEMA}
    refused = set(attempt.answer.values()) - {LEFT, SCHEMA}
    assert bool(refused) == bool(attempt.says), "of a refusal by an admission policy, its words are told"


@pytest.mark.parametrize("piece", PIECES)
def test_each_right_of_a_piece_and_each_of_its_admission_policies_has_been_tried(piece: str) -> None:
    asked = {(a.verb, a.kind[0], "/".join(part for part in a.kind[1:] if part)) for a in ATTEMPTS}
    writes = {grant[:3] for grant in granted(of_piece(piece), OPERATOR) if grant[0] in set(METHODS) - READING}
    assert writes <= asked, f"{piece}: add attempts to attempts.yaml that ask for {writes - asked}"
    columns = [column for column in COLUMNS if piece in column.split("+")]
    answers = {a for attempt in ATTEMPTS for column in columns for a in attempt.answers(column)}
    missing = POLICIES[piece] - answers
    assert not missing, f"{piece}: add attempts to attempts.yaml that {missing} refuse"
    assert LEFT in answers, f"{piece}: say in attempts.yaml what is left for a thief"


def test_each_admission_policy_of_the_base_that_judges_the_operator_has_been_tried() -> None:
    answers = {answer for attempt in ATTEMPTS for answer in attempt.answers("base")}
    assert POLICIES["base"] - FOR_PEOPLE <= answers


def test_a_piece_that_does_not_say_what_it_lets_through_or_leaves_or_serves_makes_no_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = {"kind": "ValidatingAdmissionPolicy", "metadata": {"name": "goldseam-new"}}
    monkeypatch.setattr(table, "PIECES", ["new"])
    for notes, missing in (
        ({}, "goldseam-new has no annotation goldseam.dev/lets-through"),
        ({"goldseam.dev/lets-through": "x"}, "goldseam-new has no annotation goldseam.dev/leaves"),
        (
            {"goldseam.dev/lets-through": "x", "goldseam.dev/leaves": "y"},
            "new: say in an annotation goldseam.dev/serves",
        ),
    ):
        objects = [{**policy, "metadata": {**policy["metadata"], "annotations": notes}}]
        monkeypatch.setattr(table, "of_piece", lambda piece, objects=objects: objects)
        with pytest.raises(ValueError, match=missing):
            table.page()


def test_why_a_piece_is_off_by_default_stands_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"goldseam.dev/{key}": "said" for key in ("serves", "lets-through", "leaves")}
    notes = {**names, "goldseam.dev/off-by-default": "any image that an earlier revision had"}
    policy = {"kind": "ValidatingAdmissionPolicy", "metadata": {"name": "goldseam-new", "annotations": notes}}
    monkeypatch.setattr(table, "PIECES", ["new"])
    monkeypatch.setattr(table, "of_piece", lambda piece: [policy])
    assert "- `new`: any image that an earlier revision had" in table.page()


def test_where_a_piece_lets_through_what_another_refuses_the_file_says_what_both_do() -> None:
    attempt = Attempt("evict", "create pods/eviction", {"pods": "goldseam-pods", "nodes": LEFT})
    with pytest.raises(ValueError, match=r"say in attempts\.yaml what overlays/all answers"):
        attempt.answers(ALL)


@pytest.mark.parametrize(
    ("ask", "at", "path"),
    [
        ("patch deployments.apps/scale", "a/b", "/apis/apps/v1/namespaces/a/deployments/b/scale"),
        ("create pods", "a/", "/api/v1/namespaces/a/pods"),
        ("create pods/eviction", "a/b", "/api/v1/namespaces/a/pods/b/eviction"),
        ("list secrets", "", "/api/v1/secrets"),
        ("patch nodes/status", "b", "/api/v1/nodes/b/status"),
        ("delete guardrails.goldseam.dev", "b", "/apis/goldseam.dev/v1alpha1/guardrails/b"),
    ],
)
def test_an_attempt_is_asked_at_its_place_and_leaves_nothing(ask: str, at: str, path: str) -> None:
    assert Attempt("x", ask, {}, at=at).path.split("?") == [path, "dryRun=All&fieldManager=goldseam"]


def test_the_attempts_are_about_objects_that_are_there() -> None:
    places = {(o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in [*world(), *BASE]}
    places.add(("stolen", "kube-root-ca.crt"))  # Kubernetes puts it into each namespace
    for attempt in ATTEMPTS:
        if any(answer != RBAC for column in COLUMNS for answer in attempt.answers(column)) and attempt.place[1]:
            assert attempt.place in places, attempt.what
