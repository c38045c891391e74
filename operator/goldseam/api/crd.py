"""A kind as a CustomResourceDefinition."""

from __future__ import annotations

from typing import Any

from goldseam.api.base import GROUP, VERSION, Record
from goldseam.api.kinds import Column, Kind
from goldseam.api.schema import Schema, schema

_API_VERSION = "The version of the schema that this object is written in: goldseam.dev/v1alpha1."
_KIND = "The kind of this object: {name}."

UNSEEN = {"observedGeneration": -1}
"""The status that an object has from its creation on: kstatus then waits for the operator instead of calling it ready
(https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md)."""


def crd(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "goldseam"}},
        "spec": {
            "group": GROUP,
            "names": _names(kind),
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [_version(kind)],
        },
    }


def _names(kind: Kind) -> dict[str, Any]:
    names: dict[str, Any] = {
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": kind.plural,
        "singular": kind.singular,
        "categories": ["goldseam"],
    }
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    return names


def _version(kind: Kind) -> dict[str, Any]:
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return {**version, "schema": {"openAPIV3Schema": root_schema(kind)}}


def _column(column: Column) -> dict[str, Any]:
    made: dict[str, Any] = {"name": column.name, "type": column.kind, "jsonPath": column.path}
    if column.description:
        made["description"] = column.description
    if column.wide:
        made["priority"] = 1
    return made


def root_schema(kind: Kind) -> Schema:
    """The schema of the whole object."""
    root: Schema = {"description": kind.description, "type": "object"}
    if kind.rules:
        root["x-kubernetes-validations"] = [rule.validation() for rule in kind.rules]
    if kind.spec_required:
        root["required"] = ["spec"]
    root["properties"] = {
        "apiVersion": {"description": _API_VERSION, "type": "string"},
        "kind": {"description": _KIND.format(name=kind.name), "type": "string"},
        "metadata": {"type": "object"},
        "spec": _with_default(schema(kind.spec), None if kind.spec_required else {}),
        "status": _with_default(schema(kind.status), None if issubclass(kind.spec, Record) else UNSEEN),
    }
    return root


def _with_default(part: Schema, default: dict[str, Any] | None) -> Schema:
    if default is None:
        return part
    return {"description": part["description"], "type": part["type"], "default": default, **part}
