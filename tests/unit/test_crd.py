"""From a kind to a CustomResourceDefinition."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from goldseam.api.crd import crd, root_schema
from goldseam.api.kinds import KINDS, Kind
from goldseam.api.ladder import ACTIONS
from goldseam.api.schema import Schema

WRITTEN = [kind for kind in KINDS if kind.name != "Incident"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_becomes_a_crd(kind: Kind) -> None:
    made = crd(kind)
    (version,) = made["spec"]["versions"]
    assert made["metadata"]["name"] == f"{kind.plural}.goldseam.dev"
    assert made["spec"]["names"]["categories"] == ["goldseam"]
    assert made["spec"]["scope"] == ("Namespaced" if kind.namespaced else "Cluster")
    assert version["subresources"] == {"status": {}}
    assert [column["name"] for column in version["additionalPrinterColumns"]][-1] in ("Age", "Message")


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.name)
def test_what_people_write_says_from_the_start_that_nobody_has_seen_it(kind: Kind) -> None:
    assert root_schema(kind)["properties"]["status"]["default"] == {"observedGeneration": -1}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_only_guardrails_need_no_spec(kind: Kind) -> None:
    root = root_schema(kind)
    assert ("spec" in root.get("required", [])) == (kind.name != "Guardrails")
    assert root["properties"]["spec"].get("default") == ({} if kind.name == "Guardrails" else None)


def test_no_default_makes_an_action() -> None:
    for kind in ("RemediationPolicy", "ClusterRemediationPolicy"):
        (found,) = [k for k in KINDS if k.name == kind]
        rung = root_schema(found)["properties"]["spec"]["properties"]["ladder"]["items"]["properties"]
        assert rung.keys() >= set(ACTIONS)
        assert not [action for action in ACTIONS if "default" in rung[action]]


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.name)
def test_every_default_is_also_said_in_words(kind: Kind) -> None:
    spec = root_schema(kind)["properties"]["spec"]
    silent = [
        path
        for path, part in _fields(spec, "spec")
        if "default" in part and part.get("type") != "object" and "default" not in part["description"].lower()
    ]
    assert silent == []


def _fields(part: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    for name, below in part.get("properties", {}).items():
        yield f"{path}.{name}", below
        yield from _fields(below, f"{path}.{name}")
    if "items" in part:
        yield from _fields(part["items"], f"{path}[]")
