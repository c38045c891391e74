"""From a model to a structural schema, and what the checker refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from goldseam.api.base import Count, Duration, IntOrPercent, Model, Record, Rule, Time
from goldseam.api.constraints import Pattern
from goldseam.api.schema import Schema, schema
from goldseam.api.structural import NotStructural, check

Short = Annotated[str, Field(max_length=10)]


class Inner(Model):
    """An inner part."""

    size: Count = 3
    """How large."""
    note: Short = ""
    """What to know."""


class Everything(Model):
    """One of each."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule("self.size > 1", "size: must be more", lambda e: True, "FieldValueForbidden"),
        Rule("size(self.words) < 3", "too many words", lambda e: True),
        Rule("", "parts: said by the schema itself", lambda e: True),
    )

    size: Annotated[int, Field(ge=1, le=9, json_schema_extra={"format": "int32"})]
    """How large
    it is.

    In metres."""
    words: Annotated[list[Short], Field(max_length=4)] = []
    """Words."""
    inner: Inner = Inner()
    """A part."""
    parts: Annotated[list[Inner], Field(max_length=2)] = [Inner(size=2)]
    """Parts."""
    maybe: Inner | None = None
    """A part that may be missing."""
    wait: Duration = timedelta(minutes=90)
    """How long."""
    share: IntOrPercent = "50%"
    """How many."""
    level: Literal["Low", "High"] = "Low"
    """How high."""
    sure: Literal[True] | None = None
    """Only ever true."""
    name: Annotated[Short, Pattern("^[a-z]*$", "must be small letters")] = "a"
    """What it is called."""
    labels: Annotated[dict[Annotated[str, Field(min_length=1, max_length=5)], Short], Field(max_length=3)] = {}
    """Labels."""
    at: Time | None = None
    """When."""


MADE = schema(Everything)
PARTS: dict[str, Any] = MADE["properties"]


def test_what_has_no_default_is_required() -> None:
    assert MADE["required"] == ["size"]


def test_a_description_is_the_docstring_without_the_line_breaks_of_the_source() -> None:
    assert PARTS["size"]["description"] == "How large it is.\n\nIn metres."


def test_the_field_says_more_than_the_model_that_it_holds() -> None:
    assert PARTS["inner"]["description"] == "A part."
    assert PARTS["parts"]["items"]["description"] == "An inner part."


def test_references_are_replaced_by_what_they_refer_to() -> None:
    assert PARTS["inner"]["properties"].keys() == {"size", "note"}
    assert not [word for word in _words(MADE) if word in ("$ref", "$defs", "title", "anyOf", "const")]


def test_defaults_are_in_the_schema_as_the_api_server_holds_them() -> None:
    defaults = {name: part["default"] for name, part in PARTS.items() if "default" in part}
    assert defaults == {
        "inner": {"size": 3},
        "parts": [{"size": 2}],
        "wait": "1h30m",
        "share": "50%",
        "level": "Low",
        "name": "a",
    }
    assert PARTS["inner"]["properties"]["size"]["default"] == 3


def test_what_may_be_missing_has_no_default_and_no_null() -> None:
    assert PARTS["maybe"]["type"] == "object"
    assert "default" not in PARTS["maybe"]
    assert PARTS["sure"] == {"description": "Only ever true.", "type": "boolean", "enum": [True]}


def test_bounds_are_kept() -> None:
    assert (PARTS["size"]["minimum"], PARTS["size"]["maximum"], PARTS["size"]["format"]) == (1, 9, "int32")
    assert (PARTS["words"]["maxItems"], PARTS["words"]["items"]["maxLength"]) == (4, 10)
    assert PARTS["labels"]["maxProperties"] == 3
    assert PARTS["labels"]["x-kubernetes-validations"] == [
        {
            "rule": "self.all(key, size(key) >= 1 && size(key) <= 5)",
            "message": "keys must have 1 to 5 characters",
        }
    ]


def test_a_pattern_comes_with_words() -> None:
    assert PARTS["name"]["x-kubernetes-validations"] == [
        {"rule": "self.matches(r'^[a-z]*$')", "message": "must be small letters"}
    ]


def test_a_rule_points_at_its_field() -> None:
    assert MADE["x-kubernetes-validations"] == [
        {"rule": "self.size > 1", "message": "must be more", "fieldPath": ".size", "reason": "FieldValueForbidden"},
        {"rule": "size(self.words) < 3", "message": "too many words"},
    ]


def test_a_record_has_no_defaults_because_the_operator_writes_all_of_it() -> None:
    class Seen(Record):
        """What was seen."""

        rules: Count = 5
        """How many."""

    assert "default" not in schema(Seen)["properties"]["rules"]


def refused(model: type[Model]) -> str:
    with pytest.raises(NotStructural) as caught:
        schema(model)
    return str(caught.value)


class Node(Model):
    """A tree."""

    below: Node | None = None
    """What hangs below."""


def test_a_recursive_model_is_refused() -> None:
    assert "Node contains itself" in refused(Node)


def test_a_union_is_refused() -> None:
    class Either(Model):
        """A or b."""

        it: Inner | Short
        """Which?"""

    assert refused(Either) == "Either.it: a union cannot be said; use one optional field for each choice"


def test_a_tuple_is_refused() -> None:
    class Pair(Model):
        """Two things."""

        pair: tuple[Count, Count]
        """Both."""

    assert "Pair.pair: a tuple cannot be said" in refused(Pair)


def test_a_map_with_unbounded_keys_is_refused() -> None:
    class Labels(Model):
        """Labels."""

        labels: Annotated[dict[str, Short], Field(max_length=3)]
        """Labels."""

    assert refused(Labels) == "Labels.labels: the keys need a maxLength"


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (str, "a string needs maxLength"),
        (list[Short], "a list needs maxItems"),
        (dict[Short, Short], "a map needs maxProperties"),
        (int, "an integer needs a minimum"),
        (float, "type must be one of object, array, string, integer, boolean, not number"),
        (Any, "type must be one of object, array, string, integer, boolean, not None"),
        (Annotated[set[Short], Field(max_length=3)], "uniqueItems is not used in our schemas"),
        (Annotated[str, Field(max_length=3, pattern="^a$")], "pattern is not used in our schemas"),
        (Annotated[int, Field(gt=3)], "exclusiveMinimum is not used in our schemas"),
        (timedelta, "a string needs maxLength"),
    ],
    ids=str,
)
def test_a_field_without_a_bound_is_refused(kind: Any, problem: str) -> None:
    class Holder(Model):
        """Holds one."""

        it: kind
        """It."""

    assert refused(Holder) == f"it: {problem}"


def test_a_field_without_a_description_is_refused() -> None:
    class Silent(Model):
        """Says nothing."""

        it: Count

    assert refused(Silent) == "schema: no description: it"


def test_a_model_without_a_description_is_refused() -> None:
    class Silent(Model):
        it: Count
        """It."""

    assert refused(Silent) == "schema: no description: of the model itself"


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({"type": "string", "maxLength": 3, "default": None}, "default must not be null"),
        ({"$ref": "#/x"}, "$ref is not used in our schemas"),
        ({"type": ["string", "null"], "maxLength": 3}, "type must be one of"),
        ({"type": "object"}, "an object needs properties"),
        ({"type": "array", "maxItems": 3}, "a list needs items"),
        ({"x-kubernetes-int-or-string": True}, "a string needs maxLength"),
        (
            {"type": "object", "properties": {}, "additionalProperties": {}, "description": "."},
            "properties and additionalProperties exclude each other",
        ),
        (
            {
                "type": "object",
                "description": ".",
                "required": ["a"],
                "properties": {"a": {"type": "boolean", "description": ".", "default": True}},
            },
            "required, and with a default: a",
        ),
        (
            {
                "type": "array",
                "maxItems": 3,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "boolean"},
            },
            "a list of type map needs keys that its entries have",
        ),
        ({"type": "array", "maxItems": 3, "items": {"type": "string"}}, "items: a string needs maxLength"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_checker_refuses(broken: Schema, problem: str) -> None:
    with pytest.raises(NotStructural, match=problem.replace("$", r"\$")):
        check(broken)


def test_what_the_api_server_shall_not_look_into_may_hold_anything() -> None:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    assert check(anything) == anything


def _words(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            yield key
            yield from _words(value)
    elif isinstance(part, list):
        for entry in part:
            yield from _words(entry)
