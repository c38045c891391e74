"""A pydantic model as the structural OpenAPI v3 schema of a CustomResourceDefinition.

What a structural schema is: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from goldseam.api.base import Record
from goldseam.api.durations import format_duration
from goldseam.api.structural import NotStructural, check

Schema = dict[str, Any]

_DROPPED = ("title", "$defs", "$ref", "examples", "readOnly", "writeOnly", "deprecated")
_ORDER = ("description", "type", "format", "enum", "default")
_LAST = ("required", "properties", "items", "additionalProperties")


def schema(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, checked.

    A `Record` is written by the operator, always in full, so its schema has no defaults: they would claim at creation
    what nobody has looked at.

    Raises:
        NotStructural: when the model has something that no structural schema can say.
    """
    raw = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generator)
    return check(_Converter(raw.get("$defs", {}), not issubclass(model, Record)).convert(raw, model.__name__))


class _Generator(GenerateJsonSchema):
    """pydantic's own generator, with defaults as the API server holds them."""

    def encode_default(self, dft: Any) -> Any:
        return _as_json(dft)


def _as_json(value: Any) -> Any:
    """A default in full, for the API server judges it by the rules before it fills in the defaults inside it."""
    if isinstance(value, BaseModel):
        return _as_json(value.model_dump(mode="json", by_alias=True))
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, list):
        return [_as_json(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _as_json(entry) for key, entry in value.items() if not _says_nothing(entry)}
    return value


def _says_nothing(value: Any) -> bool:
    """An empty text, list or map says no more than its absence."""
    return value is None or value in ("", [], {})


class _Converter:
    """Rewrites JSON Schema 2020-12, node by node."""

    def __init__(self, definitions: Mapping[str, JsonSchemaValue], defaults: bool) -> None:
        self.definitions = definitions
        self.defaults = defaults

    def convert(self, node: JsonSchemaValue, path: str, within: tuple[str, ...] = ()) -> Schema:
        """The structural form of one node; `within` are the models that it stands in."""
        node, within = self._resolved(node, path, within)
        node = _without_null(node, path)
        made = {key: value for key, value in node.items() if key not in _DROPPED}
        if "description" in made:
            made["description"] = _prose(made["description"])
        if "const" in made:
            made["enum"] = [made.pop("const")]
        if not self.defaults or _says_nothing(made.get("default")):
            made.pop("default", None)
        if made.get("type") == "object":
            self._object(made, path, within)
        elif made.get("type") == "array":
            if "prefixItems" in made:
                raise NotStructural(f"{path}: a tuple cannot be said; use a list or a model")
            made["items"] = self.convert(made.get("items", {}), f"{path}[]", within)
        return _ordered(made)

    def _resolved(
        self, node: JsonSchemaValue, path: str, within: tuple[str, ...]
    ) -> tuple[JsonSchemaValue, tuple[str, ...]]:
        """The node with its reference replaced by what it refers to; what stands beside the reference wins."""
        optional = _without_null(node, path)
        if "$ref" not in optional:
            return optional, within
        name = optional["$ref"].rsplit("/", 1)[-1]
        if name in within:
            raise NotStructural(f"{path}: {name} contains itself")
        return {**self.definitions[name], **optional}, (*within, name)

    def _object(self, made: Schema, path: str, within: tuple[str, ...]) -> None:
        values, names = made.pop("additionalProperties", None), made.pop("propertyNames", None)
        if "properties" in made:
            made["properties"] = {
                name: self.convert(part, f"{path}.{name}", within) for name, part in made["properties"].items()
            }
        elif isinstance(values, dict):
            made["additionalProperties"] = self.convert(values, f"{path}.*", within)
            made.setdefault("x-kubernetes-validations", []).append(_key_rule(names or {}, path))


def _without_null(node: JsonSchemaValue, path: str) -> JsonSchemaValue:
    """`X | None` is X: the API server drops nulls, and what is absent is None to us."""
    branches = node.get("anyOf") or node.get("oneOf")
    if branches is None:
        return node
    rest = [branch for branch in branches if branch.get("type") != "null"]
    if len(rest) != 1:
        raise NotStructural(f"{path}: a union cannot be said; use one optional field for each choice")
    return {**rest[0], **{key: value for key, value in node.items() if key not in ("anyOf", "oneOf", "discriminator")}}


def _key_rule(names: Mapping[str, Any], path: str) -> dict[str, str]:
    """Keys of maps have no schema of their own, so their length is a rule."""
    if "maxLength" not in names:
        raise NotStructural(f"{path}: the keys need a maxLength")
    low, high = names.get("minLength", 0), names["maxLength"]
    return {
        "rule": f"self.all(key, size(key) >= {low} && size(key) <= {high})",
        "message": f"keys must have {low} to {high} characters",
    }


def _prose(text: str) -> str:
    """Paragraphs without the line breaks of the source file: who shows them breaks them anew."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _ordered(made: Schema) -> Schema:
    bounds = sorted(key for key in made if key not in _ORDER and key not in _LAST)
    return {key: made[key] for key in (*_ORDER, *bounds, *_LAST) if key in made}
