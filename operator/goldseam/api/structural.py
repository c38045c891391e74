"""The rules of a structural schema, and ours: everything has a bound, so that CEL rules fit the API server's budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]

_INT_OR_STRING = "x-kubernetes-int-or-string"
_ANYTHING = "x-kubernetes-preserve-unknown-fields"
_TYPES = ("object", "array", "string", "integer", "boolean")
_KNOWN = {
    *("description", "type", "format", "enum", "default", "required", "properties", "items", "additionalProperties"),
    *("minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", _INT_OR_STRING, _ANYTHING),
}


class NotStructural(TypeError):
    """The schema says something that the API server refuses, or that has no bound."""


def check(schema: Schema, path: str = "") -> Schema:
    """Return the schema when it and all its parts keep the rules.

    Raises:
        NotStructural: naming the path and the rule.
    """
    for rule in _RULES:
        if problem := rule(schema):
            raise NotStructural(f"{path or 'schema'}: {problem}")
    for name, part in _parts(schema):
        check(part, f"{path}.{name}" if path else name)
    return schema


def _parts(schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield from schema.get("properties", {}).items()
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield name, schema[name]


def _unknown_word(schema: Schema) -> str:
    unknown = sorted(schema.keys() - _KNOWN)
    return f"{', '.join(unknown)} is not used in our schemas" if unknown else ""


def _no_type(schema: Schema) -> str:
    if schema.get("type") in _TYPES or schema.get(_INT_OR_STRING):
        return ""
    return f"type must be one of {', '.join(_TYPES)}, not {schema.get('type')}"


def _no_description(schema: Schema) -> str:
    described = "description" in schema or "properties" not in schema
    missing = [name for name, part in schema.get("properties", {}).items() if "description" not in part]
    if described and not missing:
        return ""
    return f"no description: {', '.join(missing) or 'of the model itself'}"


def _null_default(schema: Schema) -> str:
    return "default must not be null" if "default" in schema and schema["default"] is None else ""


def _required_and_default(schema: Schema) -> str:
    both = [name for name in schema.get("required", ()) if "default" in schema["properties"].get(name, {})]
    return f"required, and with a default: {', '.join(both)}" if both else ""


def _both_kinds_of_object(schema: Schema) -> str:
    return (
        "properties and additionalProperties exclude each other"
        if {"properties", "additionalProperties"} <= (schema.keys())
        else ""
    )


def _unbounded(schema: Schema) -> str:
    kind = schema.get("type")
    if ((kind == "string" and "enum" not in schema) or schema.get(_INT_OR_STRING)) and "maxLength" not in schema:
        return "a string needs maxLength"
    if kind == "array" and "maxItems" not in schema:
        return "a list needs maxItems"
    if kind == "integer" and "minimum" not in schema:
        return "an integer needs a minimum"
    if "additionalProperties" in schema and "maxProperties" not in schema:
        return "a map needs maxProperties"
    return ""


def _shapeless(schema: Schema) -> str:
    if schema.get("type") == "array" and "items" not in schema:
        return "a list needs items"
    if schema.get("type") != "object" or schema.get(_ANYTHING):
        return ""
    return "" if {"properties", "additionalProperties"} & schema.keys() else "an object needs properties"


def _list_without_keys(schema: Schema) -> str:
    if schema.get("x-kubernetes-list-type") != "map":
        return ""
    known = schema.get("items", {}).get("properties", {})
    keys = schema.get("x-kubernetes-list-map-keys", [])
    return "" if keys and set(keys) <= known.keys() else "a list of type map needs keys that its entries have"


_RULES: tuple[Callable[[Schema], str], ...] = (
    _unknown_word,
    _no_type,
    _no_description,
    _null_default,
    _required_and_default,
    _both_kinds_of_object,
    _unbounded,
    _shapeless,
    _list_without_keys,
)
