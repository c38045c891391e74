"""The taint that says that a machine is off goes once its kubelet speaks, whatever else is under way on that node."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from goldseam.engine.matching import PolicyKey
from goldseam.engine.situation import Other
from tests.component.test_node_incidents import pod
from tests.component.test_out_of_service import PEOPLE, TAKE, collect, opened, outcomes, speaks, taints

DRAIN: dict[str, Any] = {"drain": {"deadline": "1h"}, "timeout": "1h"}


async def test_it_goes_while_a_drain_of_the_same_incident_evicts_what_is_left() -> None:
    h = await opened({**TAKE, "timeout": "20s"}, DRAIN, PEOPLE)
    h.cluster.add("pods", pod("tolerates"))
    h.cluster.budget = 0
    await h.settle(40)
    assert (len(taints(h)), outcomes(h)) == (1, [("outOfService", "Failed"), ("drain", None)])
    speaks(h)
    await h.settle(10)
    assert taints(h) == []
    assert outcomes(h) == [("outOfService", "Failed"), ("drain", None), ("undo", "Undone")]
    h.cluster.budget = 9
    await h.settle(30)
    assert "p/shop/tolerates" not in h.cluster.objects, "the drain goes on"


async def test_it_goes_while_another_incident_is_at_work_on_the_node() -> None:
    h = await opened({**TAKE, "timeout": "20s"}, PEOPLE)
    await h.settle(60)
    key = PolicyKey("ClusterRemediationPolicy", "", "others")
    uid, now = h.live()["metadata"]["uid"], datetime(2026, 11, 23, 12, tzinfo=UTC)
    rival = Other("another", "uid-another", now, uid, key, None, True, True, {}, True, ())
    h.looker.gatherer._others = lambda _: (rival,)
    speaks(h)
    await h.settle(30)
    assert taints(h) == []


async def test_where_the_policy_is_deleted_while_it_goes_nothing_is_watched_any_more() -> None:
    h = await opened()
    await h.settle(10)
    h.cluster.mute = {"nodes//n1"}
    speaks(h)
    await h.settle(3)
    assert [s.purpose for s in h.status.steps if s.phase != "Done"] == ["Rung", "Undo"]
    h.cluster.remove("clusterremediationpolicies", "", "nodes")
    await h.settle(10)
    assert h.status.phase == "Abandoned"
    assert [s.outcome for s in h.status.steps if s.purpose == "Rung"] == ["Superseded"]
    h.cluster.mute = set()
    collect(h)
    await h.settle(30)
    assert (taints(h), h.status.owes, h.status.phase) == ([], 0, "Abandoned")
