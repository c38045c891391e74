"""CRDs of an older version: what cannot be recorded is not done, and people read what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.support.objects_on_cluster import deployment, effects, policy, running
from tests.support.operator_process import OperatorProcess
from tests.support.plane import ROOT, Plane, eventually

Trouble = Callable[..., None]


@pytest.fixture
def older(installed: Plane) -> Iterator[None]:
    """The kind Incident as it was before steps had writes with a token."""
    crd = json.loads(installed.must("get", "crd", "incidents.goldseam.dev", "-o", "json"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["status"]["properties"]["steps"]["items"]["properties"]["token"]
    installed.must("replace", "-f", "-", input=json.dumps(crd))
    yield
    upgrade(installed)


def upgrade(plane: Plane) -> None:
    plane.must("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "crds"))


def test_an_intent_that_the_crd_cannot_hold_is_not_acted_on_until_the_crds_are_upgraded(
    installed: Plane, namespace: str, older: None, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "worker"), policy(namespace, {"restart": {}, "timeout": "120s"}))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")

    def told() -> list[str]:
        events = installed.all("events.events.k8s.io", namespace)
        return [event["note"] for event in events if event.get("reason") == "CrdOutdated"]

    assert "upgrade the CRDs" in eventually(told, "an Event")[0]
    assert effects(installed, namespace) == []
    upgrade(installed)
    eventually(lambda: effects(installed, namespace) == ["patch deployments"], "the work to go on", 120)
