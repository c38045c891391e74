"""What an earlier release wrote is read by this one, and nothing of it is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldseam.api.kinds import BY_NAME
from goldseam.api.problems import read_spec
from goldseam.engine.views import merge_patch, view
from tests.support.releases import RELEASES, Json, examples, incident, incidents, title

EXAMPLES = [(release.name, obj) for release in RELEASES for obj in examples(release)]


def test_every_release_left_crds_examples_and_incidents_in_several_states() -> None:
    assert RELEASES
    for release in RELEASES:
        assert {file.stem for file in (release / "crds").glob("*.yaml")} > {"incidents", "remediationpolicies"}
        assert examples(release)
        found = [incident(file)["status"] for file in (release / "incidents").glob("*.json")]
        assert {"Open", "Paid"} <= {o["state"] for status in found for o in status["obligations"]}
        assert {"Intended", "Acted", "Done"} <= {s["phase"] for status in found for s in status["steps"]}


@pytest.mark.parametrize("file", incidents(), ids=title)
def test_a_stored_incident_is_read_and_written_back_as_it_was(file: Path) -> None:
    stored = incident(file)
    read = view(stored)
    assert read is not None
    assert read.status is not None
    assert read.spec.dump() == stored["spec"]
    assert merge_patch(stored["status"], read.status.dump()) == {}, "an upgrade alone rewrites nothing"


@pytest.mark.parametrize("file", incidents(), ids=title)
def test_what_a_stored_incident_owes_and_has_under_way_is_taken_up(file: Path) -> None:
    stored = incident(file)["status"]
    read = view(incident(file))
    assert read is not None
    assert read.status is not None
    assert [o.key for o in read.status.open_obligations()] == [
        o["key"] for o in stored["obligations"] if o["state"] == "Open"
    ]
    step = read.status.open_step()
    under_way = [step.id] if step else []
    assert under_way == [s["id"] for s in stored["steps"] if s["phase"] != "Done"]
    assert read.over == ("closedAt" in stored)


@pytest.mark.parametrize(("release", "obj"), EXAMPLES, ids=[f"{r}-{o['metadata']['name']}" for r, o in EXAMPLES])
def test_what_people_wrote_for_a_release_is_still_understood(release: str, obj: Json) -> None:
    if obj["kind"] in BY_NAME:
        read_spec(obj["kind"], obj)
