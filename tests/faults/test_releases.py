"""CRDs are upgraded under running incidents, and downgraded again: nothing that was recorded is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldseam.engine.views import view
from tests.cluster.test_older_crds import upgrade
from tests.support.as_operator import AsOperator
from tests.support.plane import ROOT, Plane, eventually
from tests.support.releases import RELEASES, Json, crds, examples, incident, incidents, title

PRESENT = ROOT / "crds"


@pytest.fixture
def restored(installed: Plane) -> Iterator[None]:
    """The CRDs of this version, whatever a test has put in their place."""
    yield
    put(installed, crds(PRESENT))
    upgrade(installed)


@pytest.fixture
def as_operator(installed: Plane, operator_kubeconfig: Path) -> AsOperator:
    """Only the operator writes Incidents."""
    return AsOperator(installed, operator_kubeconfig)


def put(plane: Plane, definitions: list[Json]) -> None:
    """Replace CRDs by exactly these: an apply would leave the fields that another manager has added."""
    for crd in definitions:
        live = plane.get("crd", crd["metadata"]["name"])
        meta = {**crd["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
        plane.must("replace", "-f", "-", input=json.dumps({**crd, "metadata": meta}))


def stored(plane: Plane, as_operator: AsOperator, namespace: str, file: Path, **more: str) -> Json:
    """Write a stored Incident as the operator of its time did, but into this namespace; gives it as it must stay."""
    text = json.dumps(incident(file))
    found = json.loads(text.replace(f'"{incident(file)["metadata"]["namespace"]}"', f'"{namespace}"'))
    meta = {key: found["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    made = as_operator("create", "--validate=strict", "-f", "-", body={**found, "metadata": meta, "status": None})
    assert made.returncode == 0, made.stderr
    status = {**found["status"], **more}

    def written() -> bool:
        """Refused whole while the API server does not know a field yet."""
        return as_operator.set_status("Incident", meta["name"], namespace, status, "--validate=strict").returncode == 0

    eventually(written, "the CRD to be in force")
    found["status"] = status
    assert now(plane, found)["status"] == status
    return dict(found)


def now(plane: Plane, obj: Json) -> Json:
    """The same object as it is now."""
    return plane.get("incidents", obj["metadata"]["name"], obj["metadata"]["namespace"])


def newer() -> Json:
    """The kind Incident as a later version may have it: its status holds a field more."""
    (crd,) = (obj for obj in crds(PRESENT) if obj["spec"]["names"]["plural"] == "incidents")
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["status"]["properties"]["lesson"] = {"type": "string", "maxLength": 64}
    return crd


@pytest.mark.parametrize("file", incidents(), ids=title)
def test_an_upgrade_of_the_crds_keeps_an_incident_and_the_fence(
    installed: Plane, as_operator: AsOperator, namespace: str, restored: None, file: Path
) -> None:
    put(installed, crds(file.parents[1] / "crds"))
    before = stored(installed, as_operator, namespace, file)
    upgrade(installed)
    after = now(installed, before)
    assert (after["spec"], after["status"]) == (before["spec"], before["status"])
    read = view(after)
    assert read is not None
    assert read.status is not None
    epoch = before["status"]["epoch"]

    def write(number: int) -> str:
        status = read.status.model_copy(update={"epoch": number}).dump() if read.status else {}
        return as_operator.set_status("Incident", read.name, namespace, status, "--validate=strict").stderr

    assert "never goes down" in write(epoch - 1)
    assert now(installed, before)["status"] == before["status"], "what was refused changed nothing"
    assert write(epoch + 1) == ""
    assert now(installed, before)["status"] == {**before["status"], "epoch": epoch + 1}


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_older_crds_lose_nothing_that_a_newer_version_wrote(
    installed: Plane, as_operator: AsOperator, namespace: str, restored: None, release: Path
) -> None:
    put(installed, [newer()])
    file = sorted((RELEASES[-1] / "incidents").glob("*owed.json"))[0]
    before = stored(installed, as_operator, namespace, file, lesson="look at the cache first")
    put(installed, crds(release / "crds"))
    hidden = eventually(lambda: lessonless(installed, before), "the older CRD to be in force")
    assert hidden["status"]["obligations"] == before["status"]["obligations"], "the debts are seen"
    refused = as_operator.set_status(
        "Incident", hidden["metadata"]["name"], namespace, before["status"], "--validate=strict"
    )
    assert "unknown field" in refused.stderr or "field not declared in schema" in refused.stderr
    put(installed, [newer()])
    after = eventually(
        lambda: found if "lesson" in (found := now(installed, before))["status"] else {}, "it to be back"
    )
    assert (after["spec"], after["status"]) == (before["spec"], before["status"])


def lessonless(plane: Plane, obj: Json) -> Json:
    """The object once its new field is hidden."""
    found = now(plane, obj)
    return {} if "lesson" in found["status"] else found


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_what_people_wrote_for_a_release_is_still_accepted(installed: Plane, namespace: str, release: Path) -> None:
    for obj in examples(release):
        if "namespace" in obj["metadata"]:
            obj["metadata"]["namespace"] = namespace
        by = (obj.get("spec") or {}).get("by")  # nobody speaks in another's name
        user = ["--as", by, "--as-group", "system:masters"] if by else []
        apply = ("apply", "--server-side", "--validate=strict", "--dry-run=server", "-f", "-")
        installed.must(*user, *apply, input=json.dumps(obj))
