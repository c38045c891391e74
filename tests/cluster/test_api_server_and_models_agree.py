"""The API server (schema, CEL) and the models (pydantic) judge alike, so that an object that is accepted is understood.

Nothing is stored: every request is a dry run.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from goldseam.api.crd import root_schema
from goldseam.api.kinds import BY_NAME
from goldseam.api.problems import InvalidSpec, read_spec
from goldseam.api.schema import Schema
from tests.support.direct import Direct
from tests.support.manifests import BROKEN, EXAMPLES, STALLED, Manifest, name_of

pytestmark = pytest.mark.usefixtures("crds")

DRY_RUN = ("create", "--dry-run=server", "--validate=strict", "-f", "-")
GUARDRAILS_DRY_RUN = "/apis/goldseam.dev/v1alpha1/guardrails?dryRun=All&fieldValidation=Strict"
FULLEST = {
    *("policy-full", "node-uncordon", "cluster-workloads", "alertsource-shared", "runbook", "guardrails"),
    *(
        "policy-patch-config",
        "policy-rollback",
        "postgres-restore",
        "pause-policy",
        "pause-target",
        "pause-cluster",
        "response-approve",
    ),
}


def as_text(manifest: Manifest) -> str:
    """The manifest for a namespace that is there in every cluster."""
    found = manifest.object
    if BY_NAME[found["kind"]].namespaced:
        found["metadata"]["namespace"] = "default"
    return json.dumps(found)


def author(obj: dict[str, Any]) -> list[str]:
    """kubectl's options to speak as the one whom the object names: the admission policy accepts no other, once it is
    installed."""
    by = obj["spec"].get("by")
    return ["--as", by, "--as-group", "system:masters"] if by else []


def judged(obj: dict[str, Any]) -> str:
    """What the models have against the object; empty when they accept it."""
    try:
        read_spec(obj["kind"], obj)
    except InvalidSpec as invalid:
        return str(invalid)
    return ""


@pytest.mark.parametrize("manifest", EXAMPLES, ids=name_of)
def test_both_accept_an_example_and_fill_in_the_same_defaults(cluster: Any, manifest: Manifest) -> None:
    answer = cluster.kubectl(*DRY_RUN, *author(manifest.object), "-o", "json", input=as_text(manifest))
    assert answer.returncode == 0, answer.stderr
    stored = json.loads(answer.stdout)
    assert stored["status"] == {"observedGeneration": -1}, "kstatus would call it ready before anybody has looked"
    found = manifest.object
    assert read_spec(found["kind"], stored) == read_spec(found["kind"], found)


@pytest.mark.parametrize("manifest", BROKEN, ids=name_of)
def test_both_refuse_a_broken_manifest_in_words_that_help(cluster: Any, manifest: Manifest) -> None:
    answer = cluster.kubectl(*DRY_RUN, "-n", "default", input=as_text(manifest))
    assert answer.returncode != 0, f"accepted, although: {manifest.reason}"
    assert manifest.missing(answer.stderr) == [], answer.stderr
    assert manifest.missing(judged(manifest.object)) == []


@pytest.mark.parametrize("manifest", STALLED, ids=name_of)
def test_the_models_refuse_what_the_api_server_cannot_judge(cluster: Any, manifest: Manifest) -> None:
    answer = cluster.kubectl(*DRY_RUN, "-n", "default", input=as_text(manifest))
    assert answer.returncode == 0, answer.stderr
    assert manifest.missing(judged(manifest.object)) == []


@pytest.mark.timeout(900)  # hundreds of requests, beside another control plane
@pytest.mark.parametrize("manifest", [m for m in EXAMPLES if m.path.stem in FULLEST], ids=name_of)
def test_both_judge_a_changed_example_alike(cluster: Any, manifest: Manifest) -> None:
    changed = list(variants(manifest))
    accepted = accepted_by_the_api_server(cluster, [obj for _, obj in changed], author(manifest.object))
    differing = [
        f"{change}: API server {'accepts' if theirs else 'refuses'}, models say {ours or 'nothing'}"
        for (change, _), theirs, ours in zip(changed, accepted, [judged(obj) for _, obj in changed], strict=True)
        if theirs == bool(ours)
    ]
    assert len(changed) > 20
    assert not all(accepted)
    assert differing == []


def accepted_by_the_api_server(cluster: Any, objects: list[dict[str, Any]], author: list[str]) -> list[bool]:
    """One request for each object, by one kubectl where the names can differ."""
    if objects[0]["kind"] == "Guardrails" and cluster.ours:
        direct = Direct(cluster.kubeconfig)
        return [direct.ask("POST", GUARDRAILS_DRY_RUN, obj)[0] < 300 for obj in objects]
    if objects[0]["kind"] == "Guardrails":
        return [cluster.kubectl(*DRY_RUN, *author, input=json.dumps(obj)).returncode == 0 for obj in objects]
    named = [{**obj, "metadata": {"name": f"v{number}", "namespace": "default"}} for number, obj in enumerate(objects)]
    if not BY_NAME[objects[0]["kind"]].namespaced:
        named = [{**obj, "metadata": {"name": obj["metadata"]["name"]}} for obj in named]
    text = "\n---\n".join(json.dumps(obj) for obj in named)
    made = cluster.kubectl(*DRY_RUN, *author, "-o", "name", input=text).stdout
    names = {line.split("/")[-1] for line in made.split()}
    return [f"v{number}" in names for number in range(len(objects))]


def variants(manifest: Manifest) -> Iterator[tuple[str, dict[str, Any]]]:
    """The example with one thing changed and what that was: left out, out of bounds, another type."""
    base = manifest.object
    spec = root_schema(BY_NAME[base["kind"]])["properties"]["spec"]
    for path, part in places(spec, base["spec"]):
        if path == ("by",):  # judged by the admission policy too, once it is installed
            continue
        if path:
            yield f"without {path}", changed_at(base, path, None)
        for value in wrong_values(part):
            yield f"{path or 'spec'} = {json.dumps(value)[:60]}", changed_at(base, path, value)


def places(
    part: Schema, value: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Schema]]:
    """Every place of the value, with the schema of what stands there."""
    yield path, part
    if isinstance(value, dict) and "properties" in part:
        for name, below in value.items():
            yield from places(part["properties"][name], below, (*path, name))
    if isinstance(value, list):
        for index, below in enumerate(value):
            yield from places(part["items"], below, (*path, index))


def wrong_values(part: Schema) -> list[Any]:
    """Values at the bounds of a place, and beyond them."""
    kind = part.get("type")
    if "enum" in part:
        return ["NoSuchThing", "", False, 3]
    if kind == "integer":
        low, high = part["minimum"], part.get("maximum", 2**31)
        return [low, low - 1, high, high + 1, str(low), 1.5, True, []]
    if kind == "boolean":
        return [True, "true", 1]
    if kind == "array":
        return [[], {}, "x", [{}] * (part["maxItems"] + 1)]
    if kind == "object":
        return [{}, {"noSuchField": 1}, [], "x"]
    if kind == "string":
        return [
            "",
            "x",
            "0",
            "5m",
            "A B",
            "x" * part["maxLength"],
            "x" * (part["maxLength"] + 1),
            "ü",
            "a\n",
            7,
            True,
            {},
        ]
    return [-1, 0, 100_000, 100_001, "0%", "100%", "101%", "x", "", "50", True, 1.5, []]  # a count or a percentage


def changed_at(base: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """A copy with another value at the place; None leaves it out."""
    changed = copy.deepcopy(base)
    holder: Any = changed
    steps: tuple[str | int, ...] = ("spec", *path)
    for step in steps[:-1]:
        holder = holder[step]
    if value is None:
        del holder[steps[-1]]
    else:
        holder[steps[-1]] = value
    return changed
