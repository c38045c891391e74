"""What the world shows of a write: done, not done, or moved by somebody else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from goldseam.api.incident import ObjectRef, Obligation, Step, Write
from goldseam.engine.lineage import judged, still_ours
from goldseam.engine.owners import YIELDED
from goldseam.engine.proposal import World, place
from tests.support.objects import Json, manages, node, pod, scale_of, workload

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOKEN = "0123456789abcdef"
API = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="api", uid="uid-api")
NODE = ObjectRef(api_version="v1", kind="Node", name="worker-1", uid="uid-worker-1")
POD = ObjectRef(api_version="v1", kind="Pod", namespace="shop", name="api-1", uid="uid-api-1")


def patch(**fields: Any) -> Write:
    """From 3 to 8 replicas, as planned when the Deployment had generation 4."""
    base = {"verb": "Patch", "object": API, "field": "spec.replicas", "before": "3", "want": "8"}
    return Write(**(base | {"resource_version": "99", "generation": 4} | fields))


def after(write: Write, *objects: Json, scale: Json | None = None) -> Write:
    """The write, as it is judged where these objects are."""
    touched = {
        place(o.get("kind", "Pod"), o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in objects
    }
    if scale is not None:
        touched[place("Deployment", "shop", "api", "scale")] = scale
    step = Step(id="1", rung=0, action="x", token=TOKEN, intent_at=NOW, writes=[write])
    (found,) = judged(step, World(target=None, touched=touched)).writes
    return found


def marked(replicas: int, token: str = TOKEN) -> Json:
    return workload(replicas=replicas, metadata={"annotations": {"goldseam.dev/token": token}})


def test_the_wanted_value_means_done_whoever_saw_it_done() -> None:
    assert after(patch(), workload(replicas=8)).state == "Done"
    assert after(patch(), marked(8)).state == "Done"


def test_nobody_wrote_since_so_it_was_not_made_and_gets_a_new_pin() -> None:
    found = after(patch(), workload())
    assert (found.state, found.resource_version, found.generation) == ("Pending", "100", 4)


def test_the_value_before_is_no_proof_where_somebody_wrote_since() -> None:
    """A-B-A: it may have been made, and taken back."""
    found = after(patch(generation=3), workload())
    assert (found.state, found.message) == ("Superseded", "somebody set spec.replicas of Deployment shop/api to 3")


def test_a_write_that_was_surely_not_made_is_pinned_anew_whatever_was_written_since() -> None:
    found = after(patch(generation=3, resource_version=""), workload())
    assert (found.state, found.resource_version, found.generation) == ("Pending", "100", 4)


def test_our_token_beside_the_value_before_means_that_somebody_took_it_back() -> None:
    assert after(patch(), marked(3)).state == "Superseded"
    assert after(patch(), marked(3, "another")).state == "Pending"


def test_another_value_names_whoever_set_it() -> None:
    by = {"managedFields": [manages("goldseam", "spec.replicas"), manages("kubectl-scale", "spec.replicas")]}
    found = after(patch(), workload(replicas=5, metadata=by))
    assert (found.state, found.message) == ("Superseded", "kubectl-scale set spec.replicas of Deployment shop/api to 5")


@pytest.mark.parametrize("objects", [(), (workload(replicas=8, metadata={"uid": "uid-newcomer"}),)])
def test_what_is_gone_or_was_replaced_is_left_alone(objects: tuple[Json, ...]) -> None:
    found = after(patch(), *objects)
    assert (found.state, found.message) == ("Superseded", "Deployment shop/api is gone or was replaced")


def test_what_was_judged_once_is_not_judged_again() -> None:
    for state in ("Done", "Refused", "Superseded"):
        assert after(patch(state=state), workload(replicas=5)).state == state
        assert after(patch(state=state), workload(replicas=8)).state == state


def test_through_a_scale_it_is_the_generation_of_its_object_that_tells() -> None:
    write = patch(subresource="scale")
    assert after(write, workload(), scale=scale_of(workload())).state == "Pending"
    moved = workload(metadata={"generation": 6})
    assert after(write, moved, scale=scale_of(moved)).state == "Superseded"
    scaled = workload(replicas=8)
    assert after(write, scaled, scale=scale_of(scaled)).state == "Done"


def test_a_scale_has_no_room_for_a_token_so_none_is_looked_for_there() -> None:
    scale = scale_of(workload())
    scale["metadata"]["annotations"] = {"goldseam.dev/token": TOKEN}
    assert after(patch(subresource="scale"), workload(), scale=scale).state == "Pending"


def test_a_node_has_no_generation_so_our_missing_token_tells() -> None:
    write = patch(object=NODE, field="spec.unschedulable", before="null", want="true", generation=None)
    found = after(write, node())
    assert (found.state, found.resource_version, found.generation) == ("Pending", "300", None)


@pytest.mark.parametrize(
    ("live", "state"),
    [
        (None, "Done"),
        (pod("api-1", metadata={"uid": "uid-of-the-next-one"}), "Done"),
        (pod("api-1", metadata={"deletionTimestamp": "2026-11-23T12:00:00Z"}), "Done"),
        (pod("api-1"), "Pending"),
    ],
)
def test_an_eviction_is_done_when_that_very_pod_is_gone_or_going(live: Json | None, state: str) -> None:
    write = Write(verb="Evict", object=POD, message="a PodDisruptionBudget holds it")
    found = after(write, *([live] if live else []))
    assert (found.state, found.message) == (state, "" if state == "Done" else write.message)


def way_down(replicas: int, *states: str) -> list[tuple[str, str]]:
    """The states, and the pins, of a way from 8 to 1, where so many replicas are there."""
    ways = zip(("8", "4", "2"), ("4", "2", "1"), states, strict=True)
    writes = [
        patch(
            subresource="scale", before=before, want=want, state=state, resource_version="99" if before == "8" else ""
        )
        for before, want, state in ways
    ]
    live = workload(replicas=replicas)
    touched = {place("Deployment", "shop", "api"): live, place("Deployment", "shop", "api", "scale"): scale_of(live)}
    step = Step(id="1", rung=0, action="x", token=TOKEN, intent_at=NOW, writes=writes)
    return [(w.state, w.resource_version) for w in judged(step, World(target=None, touched=touched)).writes]


def test_a_write_on_the_way_down_is_judged_and_pinned_once_the_one_before_is_made() -> None:
    waits = ("Pending", "")
    assert way_down(8, *3 * ["Pending"]) == [("Pending", "100"), waits, waits]
    assert way_down(4, *3 * ["Pending"]) == [("Done", "99"), ("Pending", "100"), waits], "the reply was lost"
    assert way_down(4, "Done", "Pending", "Pending") == [("Done", "99"), ("Pending", "100"), waits]
    assert way_down(2, "Done", "Pending", "Pending") == [("Done", "99"), ("Done", ""), ("Pending", "100")]
    assert way_down(6, "Done", "Pending", "Pending") == [("Done", "99"), ("Superseded", ""), waits]


def owed(obj: Json | None, main: Json | None, want: str = "8") -> bool:
    debt = Obligation(
        key="k", kind="ScaleBack", object=API, subresource="scale", field="spec.replicas", original="3", want=want
    )
    touched = {place("Deployment", "shop", "api"): main, place("Deployment", "shop", "api", "scale"): obj}
    return still_ours(debt, World(target=None, touched=touched))


def test_a_field_is_ours_while_it_holds_what_we_wrote_and_we_are_among_its_writers() -> None:
    ours = workload(replicas=8, metadata={"managedFields": [manages("goldseam", "spec.replicas", subresource="scale")]})
    assert owed(scale_of(ours), ours)
    theirs = workload(replicas=8, metadata={"managedFields": [manages("kubectl", "spec.replicas")]})
    assert not owed(scale_of(theirs), theirs)
    assert not owed(scale_of(ours | {"spec": {"replicas": 7}}), ours)


def test_a_number_that_nobody_owns_is_ours_while_it_is_what_we_wrote_for_a_write_by_scale_leaves_no_trace() -> None:
    nobodys = workload(replicas=8, metadata={"managedFields": [manages("kubectl", "spec.template")]})
    assert owed(scale_of(nobodys), nobodys)
    moved = workload(replicas=7, metadata={"managedFields": []})
    assert not owed(scale_of(moved), moved)


@pytest.mark.parametrize(
    ("beside", "annotations", "ours"),
    [
        ("kustomize-controller", {}, False),
        ("kustomize-controller", {YIELDED: "false"}, False),
        ("kustomize-controller", {YIELDED: "true"}, True),
        ("argocd-controller", {YIELDED: "true"}, True),
        ("kubectl", {YIELDED: "true"}, False),
    ],
)
def test_gitops_that_ignores_a_field_applies_our_value_and_it_stays_ours(
    beside: str, annotations: dict[str, str], ours: bool
) -> None:
    entries = [manages("goldseam", "spec.replicas", subresource="scale"), manages(beside, "spec.replicas")]
    shared = workload(replicas=8, metadata={"managedFields": entries, "annotations": annotations})
    assert owed(scale_of(shared), shared) == ours
    theirs = workload(replicas=8, metadata={"managedFields": entries[1:], "annotations": annotations})
    assert not owed(scale_of(theirs), theirs)


def test_where_nobody_is_known_to_own_replicas_the_value_tells() -> None:
    """So it is from zero on, which a Scale leaves out."""
    fields = [manages("kubectl", "spec.template")]
    for replicas, want, ours in ((0, "0", True), (8, "8", True), (3, "0", False), (0, "8", False)):
        live = workload(replicas=replicas, metadata={"managedFields": fields})
        assert owed(scale_of(live), live, want) is ours
    theirs = workload(replicas=0, metadata={"managedFields": [*fields, manages("kubectl", "spec.replicas")]})
    assert not owed(scale_of(theirs), theirs, "0")
    unknown = workload(replicas=0, metadata={"managedFields": []})
    assert not owed(scale_of(unknown), unknown, "0"), "somebody has taken them out: nothing is known"


def test_nothing_is_ours_of_what_is_gone() -> None:
    ours = workload(replicas=8, metadata={"managedFields": [manages("goldseam", "spec.replicas", subresource="scale")]})
    assert not owed(None, ours)
    assert not owed(scale_of(ours), None)
    replaced = scale_of(ours)
    replaced["metadata"]["uid"] = "uid-newcomer"
    assert not owed(replaced, ours)
