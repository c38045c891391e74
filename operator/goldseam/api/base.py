"""What all models share: the base class, the field types, and the way to write one rule for two judges."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from goldseam.api.constraints import Between, Pattern, cel_matches
from goldseam.api.durations import DURATION_PATTERN, DURATION_WORDS
from goldseam.api.durations import format_duration as format_duration
from goldseam.api.durations import parse_duration as parse_duration
from goldseam.api.matchers import Matcher as Matcher
from goldseam.api.matchers import parse_matcher as parse_matcher

GROUP = "goldseam.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


@dataclass(frozen=True)
class Rule:
    """One rule between the fields of a model, for two judges: the parity test holds the two sides together."""

    cel: str
    """What the API server evaluates; `self` is the model. Empty where the schema says so by itself: list type map."""
    message: str
    """Which field of the model is wrong, as `field: …`, and what to write instead."""
    holds: Callable[[Any], bool]
    """The same for pydantic: given the model, does it hold?"""
    reason: str = ""
    """The API server's reason for the refusal; empty: FieldValueInvalid."""

    @property
    def field(self) -> str:
        """The field of the model that is wrong, such as `target.name`; empty where it is the model as a whole."""
        field, colon, _ = self.message.partition(": ")
        return field if colon and " " not in field else ""

    @property
    def words(self) -> str:
        """The message without the field."""
        return self.message.removeprefix(f"{self.field}: ") if self.field else self.message

    def validation(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations`."""
        entry = {"rule": self.cel, "message": self.message}
        if self.field and not self.field.startswith("metadata."):  # the API server takes no path into metadata
            entry |= {"message": self.words, "fieldPath": f".{self.field}"}
        if self.reason:
            entry["reason"] = self.reason
        return entry


_NOBODY_ASKS: set[str] = set()
"""Which fields were given, nobody asks; pydantic keeps a set of them in every object, a third of what that takes."""


class Model(BaseModel):
    """A part of an object that people write. An unknown field is an error: it may be a limit that we do not know."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        broken = [rule for rule in self.RULES if not rule.holds(self)]
        if broken:
            text = "; ".join(rule.message for rule in broken)
            raise PydanticCustomError("rules", "{text}", {"text": text, "rules": broken})
        object.__setattr__(self, "__pydantic_fields_set__", _NOBODY_ASKS)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        if cls.RULES:
            target = handler.resolve_ref_schema(schema)
            target["x-kubernetes-validations"] = [rule.validation() for rule in cls.RULES if rule.cel]
        return schema

    def dump(self) -> dict[str, Any]:
        """The JSON form, as the API server holds it: camelCase, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Record(Model):
    """A part of an object that the operator writes: fields of a newer version are passed over."""

    model_config = ConfigDict(extra="ignore")


AnyDuration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": 16,
            "x-kubernetes-validations": [
                {"rule": f"self != '' && {cel_matches(DURATION_PATTERN)}", "message": DURATION_WORDS}
            ],
        }
    ),
]
"""A length of time such as `90s`, `5m`, `1h30m`, for fields that state their own bounds."""

Duration = Annotated[AnyDuration, Between("0s", "168h")]
"""A length of time such as `90s`, `5m`, `1h30m`; at most seven days."""


_TIME_WORDS = "must be a time such as 2025-11-24T08:00:00Z (a date-time)"
_RFC3339 = re.compile(
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[-+][0-9]{2}:[0-9]{2})$"
)


def _read_time(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError(_TIME_WORDS)
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError as error:  # the 30th of February
        raise ValueError(_TIME_WORDS) from error


def _utc(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:  # the last hours of the year 9999, west of Greenwich
        raise ValueError(_TIME_WORDS) from error


def format_time(value: datetime) -> str:
    """Write a time as RFC 3339 in UTC with microseconds, as Kubernetes' MicroTime does."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Time = Annotated[
    datetime,
    BeforeValidator(_read_time),
    AfterValidator(_utc),
    PlainSerializer(format_time),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 64}),
]
"""A moment, in UTC."""

Name = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Pattern(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "must be a name of lower-case letters, digits, - and ."),
]
"""The name of an object (a DNS subdomain, RFC 1123)."""

Namespace = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "must be a name of lower-case letters, digits and -"),
]
"""The name of a namespace (a DNS label, RFC 1123)."""

ShortName = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Pattern(r"^[a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?$", "must be a name of letters, digits, -, _ and ."),
]
"""A name inside an object: a rung, a contact, a level, a threshold."""

Mode = Literal["Observe", "Propose", "Act"]
"""How far a policy goes, from least to most."""

Switch = Literal["Enabled", "Disabled"]
"""Whether something is done."""

Text = Annotated[str, Field(max_length=512)]
"""A sentence for people."""

Uid = Annotated[str, Field(max_length=64)]
"""An object's `metadata.uid`."""

Count = Annotated[int, Field(ge=1, le=10_000, json_schema_extra={"format": "int32"})]
"""A number of things, at least one."""

_COUNT_OR_PERCENT = "must be a count from 0 to 100000, or a percentage from 0% to 100%"
_PERCENT = re.compile(r"^(100|[1-9]?[0-9])%$")


def _int_or_percent(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(_COUNT_OR_PERCENT)
    if not (_PERCENT.fullmatch(value) if isinstance(value, str) else 0 <= value <= 100_000):
        raise ValueError(_COUNT_OR_PERCENT)
    return value


IntOrPercent = Annotated[
    int | str,
    BeforeValidator(_int_or_percent),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "maxLength": 6,
            "x-kubernetes-validations": [
                {
                    "rule": "type(self) == string ? self.matches('^(100|[1-9]?[0-9])%$') : self >= 0 && self <= 100000",
                    "message": _COUNT_OR_PERCENT,
                }
            ],
        }
    ),
]
"""A count, or a percentage such as `50%`."""

Number = Annotated[
    str,
    Field(min_length=1, max_length=32),
    Pattern(r"^[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$", 'must be a decimal in quotes, such as "0.05"'),
]
"""A decimal as text, such as `"0.05"`: Kubernetes APIs carry no floats."""


def unique(names: Sequence[str]) -> bool:
    """No name appears twice."""
    return len(set(names)) == len(names)
