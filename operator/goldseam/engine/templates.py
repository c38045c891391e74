"""The object that `template` makes: its name, our marks, what an alert's labels put into it, and whether it may be.

What a label holds takes the place of a text that is nothing but a variable, as a value of the object and never as part
of a document that is parsed: whatever it is, it stays one text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from goldseam.api.expressions import VARIABLE
from goldseam.api.guardrails import GuardrailsSpec
from goldseam.api.incident import ObjectRef
from goldseam.api.templates import Template, TemplateKind
from goldseam.engine import naming
from goldseam.engine.matching import protected
from goldseam.engine.objects import TOKEN, Json, annotation
from goldseam.engine.proposal import World, place
from goldseam.engine.queries import value_of

ACTION = "template"
MANAGED_BY = "app.kubernetes.io/managed-by"
_NAME = "goldseam-"


def named(token: str) -> str:
    """The object's name: whoever makes it again, makes the same."""
    return f"{_NAME}{token}"


def token_of(ref: ObjectRef) -> str:
    """The token by which it is named."""
    return ref.name.removeprefix(_NAME)


def object_of(template: Template, values: Mapping[str, str], token: str) -> dict[str, Any]:
    """The object with its variables filled in, its name and our marks.

    Raises:
        Undefined: a variable has no value.
    """
    made: dict[str, Any] = _filled(template.object.dump(), values)
    meta = made.setdefault("metadata", {})
    labels = {**meta.get("labels", {}), MANAGED_BY: "goldseam"}
    marks = {**meta.get("annotations", {}), TOKEN: token}
    made["metadata"] = {**meta, "name": named(token), "labels": labels, "annotations": marks}
    return made


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, values) for inner in value]
    found = re.fullmatch(VARIABLE, value) if isinstance(value, str) else None
    return value_of(found[1], values) if found else value


def digest(made: Mapping[str, Any]) -> str:
    """Stands for the object: an Incident has no room for it."""
    return naming.digest("template", json.dumps(made, sort_keys=True))


def reference(template: Template, token: str) -> ObjectRef:
    """The object, which has no uid yet."""
    wanted = template.object
    where = wanted.metadata.namespace or ""
    return ObjectRef(api_version=wanted.api_version, kind=wanted.kind, namespace=where, name=named(token), uid="")


def found(world: World, ref: ObjectRef) -> Json | None:
    """The object of that name, whoever made it."""
    return world.touched.get(place(ref.kind, ref.namespace, ref.name))


def is_ours(obj: Json, token: str) -> bool:
    """Whether a step of this token made it."""
    return bool(token) and annotation(obj, TOKEN) == token


def why_not(template: Template, limits: GuardrailsSpec, home: str) -> str:
    """Why the Guardrails do not let it be made; empty where they do. `home`: the operator's own namespace."""
    wanted, where = template.object, template.object.metadata.namespace
    kind = TemplateKind(api_version=wanted.api_version, kind=wanted.kind, resource=template.resource)
    title = f"{wanted.kind} ({template.resource}, {wanted.api_version})"
    listed = [entry for entry in limits.templates if entry.model_copy(update={"namespaces": []}) == kind]
    if not listed:
        return f"{title} is no kind that the Guardrails list in spec.templates: its admin has to add it there"
    if where is None:
        allowed = any(not entry.namespaces for entry in listed)
        return (
            "" if allowed else f"object.metadata.namespace: the Guardrails allow {title} in namespaces only: name one"
        )
    if not any(where in entry.namespaces for entry in listed):
        return f"the Guardrails do not list namespace {where} for {title} (spec.templates[].namespaces)"
    if protected(where, [*limits.protected_namespaces, home]):
        return f"namespace {where} is protected by the Guardrails (protectedNamespaces): nothing is made there"
    return ""
