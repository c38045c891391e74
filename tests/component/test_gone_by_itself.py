"""A pod that has gone by itself is nothing that Goldseam did: no drain is begun by it, so none is over its deadline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import patch

import pytest

from tests.component import test_drain_ends as ends
from tests.component.test_drain_ends import cordoned, drain, made
from tests.component.test_forced_drains import FORCE, TAKEN
from tests.component.test_shared_cordons import CORDON, PEOPLE, named, opened
from tests.component.test_withdrawn_steps import Withdraw, clears, killed_before_the_cordon, lost, proposes
from tests.support.harness import Harness
from tests.support.toycluster import Killed


async def killed_before_anything(h: Harness, settle: Callable[[float], Awaitable[None]], seconds: float = 20) -> None:
    """The drain is written down; it dies before the first request to the node or to a pod."""
    write = h.cluster._write

    def dies(verb: str, key: Any, *rest: Any) -> Any:
        if key[0] == "nodes" or verb == "evict":
            raise Killed
        return write(verb, key, *rest)

    with patch.object(h.cluster, "_write", dies), pytest.raises(Killed):
        await settle(seconds)


@pytest.mark.parametrize("at", ["Force", "Uncordon", "LeaveCordoned"])
async def test_a_pod_that_has_gone_by_itself_lets_no_deadline_pass_of_a_drain_on_a_shared_cordon(at: str) -> None:
    h = await opened(named("first", CORDON, PEOPLE), pods=3)
    h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": {"allowForcedDrain": ["*"]}})
    await h.settle_all(50)
    await h.joined(named("second", drain(at), PEOPLE))
    await killed_before_anything(h, h.settle_all)
    h.cluster.remove("pods", "shop", "p0")
    h.clock.advance(60)
    await h.start()
    await h.settle_all(10)
    assert (made(h, "delete"), made(h, "evict")) == ([], ["pods/shop/p1", "pods/shop/p2"])
    assert h.statuses()[1].steps[0].outcome is None


@pytest.mark.parametrize("at", ["Force", "Uncordon"])
async def test_a_pod_that_has_gone_by_itself_lets_no_deadline_pass_of_a_drain_on_a_persons_cordon(at: str) -> None:
    h = await ends.opened(drain(at), allowed=["*"], budget=9)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon")
    await killed_before_anything(h, h.settle)
    h.cluster.remove("pods", "shop", "p0")
    h.clock.advance(60)
    await h.start()
    await h.settle(10)
    assert (made(h, "delete"), made(h, "evict")) == ([], ["pods/shop/p1", "pods/shop/p2"])
    assert h.status.steps[0].outcome is None


@pytest.mark.parametrize("withdraw", [lost, proposes, clears])
async def test_a_pod_that_has_gone_by_itself_makes_no_drain_begun_of_a_node_that_a_person_has_cordoned(
    withdraw: Withdraw,
) -> None:
    h = await ends.opened(drain(), book=TAKEN, budget=9)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon")
    await killed_before_anything(h, h.settle)
    withdraw(h)
    h.cluster.remove("pods", "shop", "p0")
    await h.start()
    await h.settle(20)
    assert (made(h, "evict"), h.status.steps[0].outcome) == ([], "NotTaken")


async def test_a_drain_on_a_persons_cordon_of_which_no_budget_lets_a_pod_go_ends_by_force_where_that_is_asked_for() -> (
    None
):
    h = await ends.opened(FORCE, allowed=["*"], budget=0)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon")
    await h.settle(60)
    assert len(made(h, "delete")) == 3


async def test_a_pod_that_has_gone_by_itself_makes_nobody_say_that_the_alert_is_gone_after_what_was_done() -> None:
    h = await ends.opened(drain(), budget=9)
    await killed_before_the_cordon(h)
    clears(h)
    h.cluster.remove("pods", "shop", "p0")
    await h.start()
    await h.settle(60)
    assert (h.status.steps[0].outcome, cordoned(h)) == ("NotTaken", False)
    assert h.status.kpis.self_resolved
    assert h.status.message == "the alert is gone by itself"


async def test_nothing_is_deleted_by_force_of_which_no_eviction_was_tried_for_want_of_the_nodes_lease() -> None:
    h = await ends.opened(FORCE, allowed=["*"], budget=9)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon")
    h.cluster.add("namespaces", {"metadata": {"name": "medik8s-leases"}})
    h.cluster.refused = {"leases/medik8s-leases/node-n1"}
    await h.settle(30)
    h.cluster.refused = set()
    await h.settle(30)
    assert made(h, "delete") == []


async def test_what_was_evicted_before_a_kill_is_not_said_to_have_gone_by_itself() -> None:
    h = await ends.opened(drain(), book=TAKEN, budget=9)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon")
    write = h.cluster._write

    def dies(verb: str, *rest: Any) -> Any:
        if verb == "evict" and len(made(h, "evict")) == 2:
            raise Killed
        return write(verb, *rest)

    with patch.object(h.cluster, "_write", dies), pytest.raises(Killed):
        await h.settle(20)
    assert len(made(h, "evict")) == 2
    clears(h)
    await h.start()
    await h.settle(60)
    assert h.status.message == "the alert is gone after what was done"


async def test_a_lease_that_cannot_be_had_does_not_hide_what_a_budget_said_when_it_was_tried() -> None:
    h = await ends.opened(FORCE, allowed=["*"], budget=0)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon")
    for name in ("p1", "p2"):
        h.cluster.remove("pods", "shop", name)
    await h.settle(10)
    assert "budget" in h.status.steps[0].writes[0].message
    h.cluster.add("namespaces", {"metadata": {"name": "medik8s-leases"}})
    h.cluster.refused = {"leases/medik8s-leases/node-n1"}
    await h.settle(11)
    h.cluster.refused = set()
    await h.settle(60)
    assert made(h, "delete") == ["pods/shop/p0"]
