"""A drain of the node that the leader itself runs on: another one leads before the leader's pod goes."""

from __future__ import annotations

from typing import Any

from goldseam.services.act import Actor, Own
from tests.component.test_node_incidents import crempol, left, node, pod
from tests.support.harness import NAMESPACE, Harness

Json = dict[str, Any]


def ours(name: str, where: str) -> Json:
    made = pod(name, where)
    made["metadata"] |= {"namespace": NAMESPACE, "labels": {"app.kubernetes.io/name": "goldseam"}}
    return made


async def led_by(h: Harness, name: str) -> list[str]:
    """The operator is the one in the pod of that name. Returns who has handed over."""
    handed: list[str] = []
    await h.start()
    h.looker.actor = Actor(h.cluster, Own(NAMESPACE, name, lambda: handed.append(name)))
    return handed


async def stage(*replicas: tuple[str, str]) -> Harness:
    h = Harness(crempol({"drain": {"deadline": "50s"}}), node("n1"), "nodes")
    h.cluster.add("nodes", node("n2"))
    h.cluster.add("pods", pod("p0"))
    for name, where in replicas:
        h.cluster.add("pods", ours(name, where))
    return h


def evicted(h: Harness) -> list[str]:
    return [path for verb, path, _, _ in h.cluster.writes if verb == "evict"]


async def test_the_leader_hands_over_and_the_next_one_evicts_its_pod_in_the_same_step() -> None:
    h = await stage(("goldseam-a", "n1"), ("goldseam-b", "n2"))
    handed = await led_by(h, "goldseam-a")
    await h.open()
    await h.settle(5)
    assert handed, "it has asked to be ended"
    assert (evicted(h), left(h)) == (["pods/shop/p0"], {"goldseam-a", "goldseam-b"})
    assert h.status.steps[0].writes[-1].message == (
        "Goldseam itself runs in it, and hands over: goldseam-b goes on and evicts it"
    )
    assert await led_by(h, "goldseam-b") == []
    await h.settle(5)
    assert evicted(h) == ["pods/shop/p0", f"pods/{NAMESPACE}/goldseam-a"]
    h.alert_state = "Cleared"
    await h.settle(60)
    assert [(s.action, s.outcome) for s in h.status.steps if s.purpose == "Rung"] == [("drain", "Passed")]
    assert (h.status.phase, h.live()["spec"].get("unschedulable"), h.status.owes) == ("Resolved", None, 0)


async def test_a_leader_elsewhere_evicts_a_standby_as_any_other_pod() -> None:
    h = await stage(("goldseam-a", "n1"), ("goldseam-b", "n2"))
    handed = await led_by(h, "goldseam-b")
    await h.open()
    await h.settle(5)
    assert (handed, left(h)) == ([], {"goldseam-b"})


async def test_the_only_replica_does_not_begin() -> None:
    h = await stage(("goldseam-a", "n1"))
    handed = await led_by(h, "goldseam-a")
    await h.open()
    await h.settle(5)
    assert (handed, evicted(h), h.live()["spec"].get("unschedulable")) == ([], [], None)
    assert "no other replica of it is ready on another node" in h.status.steps[0].message


async def test_a_replica_that_is_lost_meanwhile_keeps_the_leader_where_it_is_and_the_node_comes_back() -> None:
    h = await stage(("goldseam-a", "n1"), ("goldseam-b", "n2"))
    handed = await led_by(h, "goldseam-a")
    h.cluster.stale = {"pods/shop/p0"}
    await h.open()
    evict = h.cluster.evict

    async def evict_and_lose(namespace: str, name: str, uid: str, *, dry_run: bool = False) -> None:
        if ("pods", NAMESPACE, "goldseam-b") in h.cluster.objects:
            h.cluster.remove("pods", NAMESPACE, "goldseam-b")
        await evict(namespace, name, uid, dry_run=dry_run)

    h.cluster.evict = evict_and_lose  # type: ignore[method-assign]
    await h.settle(20)
    assert (handed, left(h)) == ([], {"goldseam-a"})
    assert "no other replica of it is ready" in h.status.steps[0].writes[-1].message
    await h.settle(60)
    assert (h.status.steps[0].outcome, h.live()["spec"].get("unschedulable"), h.status.owes) == ("Failed", None, 0)
