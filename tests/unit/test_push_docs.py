"""What docs/how-to/push.md tells people to write, as far as no server is needed to judge it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from goldseam.adapters.receiver import FORMS
from tests.support.pushing import configured

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "tests" / "data" / "prometheus-operator" / "alertmanagers.yaml"
SERVICE = ROOT / "deploy" / "kustomize" / "components" / "receiver" / "service.yaml"
TYPES = {"array": list, "boolean": bool, "integer": int, "object": dict, "string": str}

Json = Any


def problems(value: Json, schema: Json, where: str) -> Iterator[str]:
    """What a value has that the published schema does not."""
    if "type" in schema and not isinstance(value, TYPES[schema["type"]]):
        yield f"{where} is no {schema['type']}"
        return
    if value not in schema.get("enum", [value]) or not re.match(schema.get("pattern", ""), str(value)):
        yield f"{where} must not be {value}"
    for number, item in enumerate(value if "items" in schema else ()):
        yield from problems(item, schema["items"], f"{where}[{number}]")
    for name, part in value.items() if "properties" in schema else ():
        if name in schema["properties"]:
            yield from problems(part, schema["properties"][name], f"{where}.{name}")
        else:
            yield f"{where}.{name} is unknown"
    yield from (f"{where}.{name} is missing" for name in schema.get("required", ()) if name not in value)


def schema() -> Json:
    return {"type": "array", "items": {"type": "object"} | yaml.safe_load(SCHEMA.read_text())}


def test_the_example_for_prometheus_operator_has_only_fields_of_its_published_schema() -> None:
    prometheus, role, binding = yaml.safe_load_all(configured("prometheus-operator"))
    assert list(problems(prometheus["spec"]["alerting"]["alertmanagers"], schema(), "alertmanagers")) == []
    assert binding["roleRef"]["name"] == role["metadata"]["name"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "a"}, "port is missing"),
        ({"name": "a", "port": 1, "alert_relabel_configs": []}, "alert_relabel_configs is unknown"),
        ({"name": "a", "port": 1, "apiVersion": "v3"}, "apiVersion must not be v3"),
        ({"name": "a", "port": 1, "timeout": "fast"}, "timeout must not be fast"),
        ({"name": "a", "port": 1, "alertRelabelings": [{"source_labels": []}]}, "source_labels is unknown"),
        ({"name": 1, "port": 1}, "name is no string"),
    ],
)
def test_what_the_schema_does_not_have_would_be_noticed(wrong: Json, said: str) -> None:
    (found,) = problems([wrong], schema(), "alertmanagers")
    assert found.endswith(said)


def test_every_example_leads_to_the_service_and_a_form_that_is_there() -> None:
    service = yaml.safe_load(SERVICE.read_text())
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    (port,) = service["spec"]["ports"]
    prometheus = yaml.safe_load(configured("prometheus.yml"))["alerting"]["alertmanagers"][0]["dns_sd_configs"][0]
    assert (prometheus["names"], prometheus["port"]) == ([f"{name}.{namespace}.svc"], port["port"])
    operator = next(yaml.safe_load_all(configured("prometheus-operator")))["spec"]["alerting"]["alertmanagers"][1]
    assert (operator["name"], operator["namespace"], operator["port"]) == (name, namespace, port["name"])
    (webhook,) = yaml.safe_load(configured("alertmanager.yml"))["receivers"][1]["webhook_configs"]
    assert webhook["url"] in {f"http://{name}.{namespace}.svc:{port['port']}{path}" for path in FORMS}
