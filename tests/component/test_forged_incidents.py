"""What an Incident in another namespace claims of a target and of a debt: nobody believes it."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from goldseam.engine.views import view
from goldseam.services.book import IncidentBook, spent, target_key
from tests.support.harness import NAMESPACE, Harness, deployment, policy
from tests.support.objects import node

SCALE = {"scale": {"replicas": 8}}


async def acted(*ladder: dict[str, Any]) -> Harness:
    h = Harness(policy(*(ladder or (SCALE,))), deployment(3), "deployments")
    await h.start()
    await h.open()
    await h.settle(20)
    return h


def forge(h: Harness, namespace: str = "evil", **status: Any) -> dict[str, Any]:
    """A copy of the victim's Incident, as somebody with every right in another namespace makes it."""
    forged = copy.deepcopy(next(h.cluster.all("incidents")))
    forged["metadata"] |= {"namespace": namespace, "uid": "forged"}
    forged["status"] |= status
    return h.cluster.add("incidents", forged)


async def test_a_debt_is_not_taken_over_from_another_namespace() -> None:
    h = await acted()
    later = (h.clock.now() + timedelta(days=1)).isoformat()
    forge(h, kpis={"detectedAt": later}, epoch=2**50)
    await h.start()
    h.alert_state = "Cleared"
    await h.settle(60)
    assert [o.state for o in h.status.obligations] == ["Paid"]
    assert h.live()["spec"]["replicas"] == 3


async def test_what_must_come_back_is_not_said_by_another_namespace() -> None:
    h = await acted({"restart": {}, "timeout": "20s"}, SCALE)
    owed = {
        "key": f"{h.target['metadata']['uid']}:spec.replicas", "kind": "ScaleBack", "subresource": "scale",
        "object": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "api",
                   "uid": h.target["metadata"]["uid"]},
        "field": "spec.replicas", "original": "1", "want": "3", "state": "Open",
    }  # fmt: skip
    forge(h, steps=[], obligations=[owed], owes=1, phase="Abandoned")
    await h.start()
    await h.settle(60)
    assert [o.original for o in h.status.obligations] == ["3"]


async def test_another_namespace_does_not_hold_the_target() -> None:
    h = Harness(policy(SCALE), deployment(3), "deployments")
    await h.start()
    await h.open()
    step = {"id": "1-scale", "rung": 0, "action": "scale", "token": "t", "intentAt": h.clock.now().isoformat()}
    forge(h, steps=[step])
    await h.start()
    await h.settle(20)
    assert h.live()["spec"]["replicas"] == 8


async def test_a_high_number_in_another_namespace_does_not_keep_the_leader_from_writing() -> None:
    h = await acted({"restart": {}, "timeout": "20s"}, SCALE)
    forge(h, epoch=2**50)
    await h.start()
    h.cluster.refused.add("incidents/evil/" + next(h.cluster.all("incidents"))["metadata"]["name"] + "/status")
    await h.settle(40)
    assert h.live()["spec"]["replicas"] == 8


async def test_an_incident_elsewhere_does_not_handle_the_target_and_spends_no_budget_of_it() -> None:
    h = await acted()
    real, forged = view(next(h.cluster.all("incidents"))), view(forge(h))
    assert real is not None
    assert forged is not None
    book = IncidentBook(NAMESPACE)
    book.put(forged)
    assert book.handling(real.policy, real.spec.policy_ref.uid, target_key(real)) is None
    book.put(real)
    assert book.handling(real.policy, real.spec.policy_ref.uid, target_key(real)) == real
    assert list(spent([forged], NAMESPACE)) == []
    assert len(list(spent([real], NAMESPACE))) == 1


@pytest.mark.parametrize(("namespace", "handled"), [(NAMESPACE, True), ("evil", False)])
async def test_of_nodes_only_the_operators_namespace_speaks(namespace: str, handled: bool) -> None:
    cluster_policy = policy({"drain": {}}, target={"kind": "Node", "name": "n1"})
    cluster_policy["kind"] = "ClusterRemediationPolicy"
    del cluster_policy["metadata"]["namespace"]
    h = Harness(cluster_policy, node("n1"), "nodes")
    await h.start()
    await h.open()
    seen = view(forge(h, namespace))
    assert seen is not None
    book = IncidentBook(NAMESPACE)
    book.put(seen)
    found = book.handling(seen.policy, seen.spec.policy_ref.uid, target_key(seen))
    assert (found is not None) is handled
