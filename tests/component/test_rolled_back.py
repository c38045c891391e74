"""A version that was rolled back finds Incidents of the newer one that it cannot read: it leaves them alone."""

from __future__ import annotations

import pytest

from goldseam.engine.views import IncidentView, of_a_newer_version, view
from goldseam.ports import Json
from goldseam.services.look import OVER
from goldseam.services.waking import Waker
from tests.component.test_waking import FIRING, SOURCE
from tests.support.harness import Harness, deployment, policy

RESTART = {"restart": {}}


async def begun(*, other: Json | None = None) -> Harness:
    """An incident that has begun on its target, and of which the newer version has written `other` in its status, or a
    field of its policy."""
    h = Harness(policy(RESTART), deployment(), "deployments")
    await h.start()
    await h.open()
    await h.settle(5)
    status = theirs(h)["status"]
    status |= other or {}
    if other is None:
        status["policySnapshot"]["spec"]["ofTomorrow"] = True
    await h.start()
    return h


def theirs(h: Harness) -> Json:
    """The Incident."""
    return next(h.cluster.all("incidents"))


async def test_nothing_is_written_for_it_and_it_is_kept_in_mind() -> None:
    h = await begun()
    (incident,) = h.book.all()
    writes = len(h.cluster.writes)
    assert await h.looker.look(incident.uid) == OVER
    assert len(h.cluster.writes) == writes
    assert h.book.all() == [incident]


async def test_it_does_not_keep_the_others_from_being_woken() -> None:
    h = await begun()
    h.policy["metadata"]["name"] = "second"
    await h.open()
    woken: list[str] = []
    await h.settle(5)
    uids = {incident.uid for incident in h.book.all() if not incident.of_a_newer_version}

    def counts(incident: IncidentView) -> bool:
        return incident.pinned.runbook_ref is None

    Waker(h.book, lambda _: FIRING, counts, woken.append, h.looker.newly).answered(SOURCE, "tripped")
    assert set(woken) == uids
    assert len(uids) == 1


@pytest.mark.parametrize("readable", [True, False])
async def test_whoever_has_the_same_target_waits_for_it(readable: bool) -> None:
    h = await begun(other=None if readable else {"obligations": [{"kind": "Refuel"}]})
    obj = theirs(h)
    assert of_a_newer_version(obj)
    assert (view(obj) is not None) == readable
    h.book.reserve(obj)
    h.policy["metadata"]["name"] = "second"
    h.policy["metadata"]["uid"] = "uid-of-the-second"
    h.cluster.add("remediationpolicies", h.policy)
    writes = len(h.cluster.writes)
    await h.open()
    second = next(incident for incident in h.book.all() if not incident.of_a_newer_version)
    for _ in range(3):
        await h.looker.look(second.uid)
        h.clock.advance(15)
    held = h.book.get(second.uid)
    assert held is not None
    assert held.status is not None
    assert [hold.reason for hold in held.status.holds][:1] == ["OtherIncident"]
    assert obj["metadata"]["name"] in held.status.holds[0].message
    assert not [path for _, path, _, _ in h.cluster.writes[writes:] if "deployments" in path]


async def test_what_people_say_of_it_waits_for_the_newer_version() -> None:
    h = await begun(other={"obligations": [{"kind": "Refuel"}]})
    meta = theirs(h)["metadata"]
    spec = {"incidentRef": {"name": meta["name"], "uid": meta["uid"]}, "decision": "Undo", "by": "jane"}
    response = h.cluster.add("responses", {"metadata": {"name": "no", "namespace": "shop"}, "spec": spec})
    await h.looker.hearing.unheard(response)
    assert not response.get("status")
    h.cluster.edit("incidents", "shop", meta["name"], {"status": {"closedAt": "2026-11-23T12:00:00Z"}})
    await h.looker.hearing.unheard(response)
    assert response["status"]["state"] == "Ignored"
