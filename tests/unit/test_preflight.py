"""The plan of a drain before anything is touched: what it says, and for which pods it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from goldseam.actions import preflight
from goldseam.actions.drain import ACTION
from goldseam.actions.preflight import claims
from goldseam.api.ladder import Drain
from goldseam.engine.proposal import Plan, Proposal, Refusal, World
from tests.support.objects import node, pod
from tests.unit.test_drain_plan import pdb
from tests.unit.test_placement import apart, needs, sized, wants

Json = dict[str, Any]
HUGE = {"containers": [needs("3", "2Gi")]}


def world(*pods: Json, nodes: tuple[Json, ...] = (), **more: Any) -> World:
    target = node(labels={"kubernetes.io/hostname": "worker-1"})
    return World(target=target, pods=pods, nodes=(target, *(nodes or (sized(memory="8Gi"),))), **more)


def plan(found: World) -> Plan:
    return ACTION.plan(Drain(), found, "token")


def said(found: World) -> tuple[str, ...]:
    made = plan(found)
    assert isinstance(made, Proposal), made
    assert all(len(line) <= 512 for line in made.preflight)
    assert len(made.preflight) <= 16
    return made.preflight


def refused(found: World) -> tuple[str, str]:
    made = plan(found)
    assert isinstance(made, Refusal), made
    return made.reason, made.message


def test_it_says_what_goes_of_whom() -> None:
    first = said(world(pod("api-1"), pod("api-2", ready=False), pod("db-0", "StatefulSet"), pod("proxy", "DaemonSet")))
    assert first[0] == (
        "3 pods would go (1 not ready, which go first): 2 of ReplicaSet shop/of-it, 1 of StatefulSet shop/of-it"
    )


def test_it_adds_up_the_budgets_over_all_pods_of_the_node() -> None:
    pods = [pod(f"api-{n}") for n in range(5)]
    lines = said(world(*pods, pdbs=(pdb(expected=6, wanted=4, healthy=5),)))
    assert (
        "PodDisruptionBudget shop/api covers 5 pods of these: 2 of all its pods may be away at once, 1 now"
        " (5 healthy, 4 wanted), so 3 rounds"
    ) in lines
    assert "3 rounds of evictions at least: every pod that is evicted is under a budget" in lines


def test_pods_under_no_budget_go_at_once() -> None:
    assert "1 round of evictions at least: 2 pods under no budget may go at once" in said(
        world(pod("api-1"), pod("api-2"))
    )


def test_it_says_of_one_pod_that_it_is_one() -> None:
    lines = said(world(pod("api-1"), pdbs=(pdb(expected=6, wanted=4, healthy=5),)))
    assert "1 round of evictions at least: the pod that is evicted is under a budget" in lines


@pytest.mark.parametrize(
    ("policy", "healthy", "rounds", "free"),
    [
        ({"unhealthyPodEvictionPolicy": "AlwaysAllow"}, 3, "1 round", "2 of these are"),
        ({}, 5, "1 round", "2 of these are"),
        ({}, 3, "3 rounds", ""),
    ],
    ids=["always allowed", "the others are enough", "too few healthy ones"],
)
def test_a_pod_that_is_not_ready_takes_no_round_of_a_budget_that_lets_it_go(
    policy: Json, healthy: int, rounds: str, free: str
) -> None:
    pods = pod("api-1"), pod("api-2", ready=False), pod("api-3", ready=False)
    lines = said(world(*pods, pdbs=(pdb(expected=6, wanted=5, healthy=healthy, spec=policy),)))
    end = f"; {free} not ready, and go without waiting for it" if free else ""
    assert lines[1].endswith(f"({healthy} healthy, 5 wanted), so {rounds}{end}")
    assert f"{rounds} of evictions at least: every pod that is evicted is under a budget" in lines


def test_it_says_nothing_of_budgets_where_no_pod_is_evicted() -> None:
    """What only leaves by a restart of its Deployment is under no budget, and no eviction."""
    assert not any("budget" in line for line in preflight.lines([pod("api-1")], [], world(pod("api-1"))))


def test_pods_that_request_nothing_and_keep_apart_are_said_to() -> None:
    shy = pod("a", spec={"affinity": apart()})
    assert said(world(shy))[-1].endswith("1 pod requests nothing, and keeps apart")
    mates = [pod(name, spec={"affinity": apart()}) for name in "bc"]
    assert said(world(shy, *mates))[-1].endswith("3 pods request nothing, and keep apart")


def test_a_budget_that_is_not_counted_says_so() -> None:
    lines = said(world(pod("api-1"), pdbs=(pdb(metadata={"generation": 2}),)))
    assert any(line.endswith("the cluster has not counted yet how many it lets go") for line in lines)


def test_it_is_bounded_whatever_the_node_holds() -> None:
    volumes = {"volumes": [{"emptyDir": {}}, {"hostPath": {}}]}
    marks = [{"labels": {"n": str(n)}, "uid": str(n)} for n in range(200)]
    pods = [pod(f"{n}-{'a' * 240}", spec=volumes, metadata=mark) for n, mark in enumerate(marks)]
    budgets = [pdb(f"{n}-{'b' * 200}", spec={"selector": {"matchLabels": {"n": str(n)}}}) for n in range(200)]
    lines = said(world(*pods, pdbs=tuple(budgets)))
    assert "and 192 more budgets, each of 1 round or less" in lines


def test_it_says_what_is_lost_and_what_is_left_behind() -> None:
    lines = said(world(pod("a", spec={"volumes": [{"emptyDir": {}}]}), pod("b", spec={"volumes": [{"hostPath": {}}]})))
    assert "lost: the emptyDir volumes of 1 pod: shop/a" in lines
    assert "left behind: what 1 pod wrote to hostPath volumes: shop/b" in lines


def test_it_says_whether_there_is_room_and_how_that_is_known() -> None:
    before = world(pod("a", spec=HUGE))
    assert said(before)[-1] == "capacity: 1 other node is Ready and in service; 1 pod requests cpu 3, memory 2048Mi"
    told = said(replace(before, room={"worker-2": ()}))[-1]
    assert told.endswith(", and there is room for it on the 1 that was asked")
    assert said(world(pod("a")))[-1].endswith(
        "the pods request nothing, so that nothing can be told of their room there"
    )


def test_a_pod_for_which_there_is_no_room_stops_the_drain_before_anything_is_touched() -> None:
    taken = pod("other", spec={"nodeName": "worker-2", "containers": [needs("2")]})
    reason, message = refused(world(pod("a", spec=HUGE), room={"worker-2": (taken,)}))
    assert reason == "NoRoomElsewhere"
    assert message.startswith("pod shop/a requests cpu 3, memory 2048Mi, and none of the 1 other node has room for it")


def test_two_pods_do_not_take_the_same_room() -> None:
    pair = (pod("a", spec=HUGE), pod("b", spec=HUGE))
    reason, message = refused(world(*pair, room={"worker-2": ()}))
    assert (reason, "shop/b" in message) == ("NoRoomElsewhere", True)
    two = (sized(memory="8Gi"), sized(memory="8Gi") | {"metadata": node("worker-3")["metadata"]})
    assert isinstance(plan(world(*pair, nodes=two, room={"worker-2": (), "worker-3": ()})), Proposal)


def test_a_small_pod_does_not_take_the_room_of_a_large_one() -> None:
    small = pod("a", spec={"containers": [needs("2", "1Gi")]})
    tight = (sized("3", memory="8Gi"), sized("2", memory="8Gi") | {"metadata": node("worker-3")["metadata"]})
    found = world(small, pod("b", spec=HUGE), nodes=tight, room={"worker-2": (), "worker-3": ()})
    assert isinstance(plan(found), Proposal)


def test_a_node_that_was_not_asked_is_no_room_and_without_asking_nothing_is_judged() -> None:
    assert refused(world(pod("a", spec=HUGE), room={}))[0] == "NoRoomElsewhere"
    assert isinstance(plan(world(pod("a", spec=HUGE))), Proposal)


def test_pods_that_keep_apart_need_a_node_each() -> None:
    shy = pod("a", spec={"affinity": apart()})
    mate = pod("b", metadata={"labels": {"app": "api"}})
    assert refused(world(shy, room={"worker-2": (mate,)}))[0] == "NoRoomElsewhere"


def test_a_pod_that_no_other_node_may_take_is_named() -> None:
    reason, message = refused(world(pod("a"), pod("b", spec={"nodeSelector": {"disk": "ssd"}})))
    assert reason == "NowhereToGo"
    assert "pod shop/b of Node worker-1" in message


LOCAL = {"metadata": {"name": "pv-7"}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [
    wants("In", "worker-1", key="kubernetes.io/hostname")]}}}}  # fmt: skip
CLAIM = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}]}


def test_a_pod_with_its_data_on_the_node_stops_the_drain() -> None:
    found = world(pod("db-0", "StatefulSet", spec=CLAIM), volumes={"shop/data-db-0": LOCAL})
    reason, message = refused(found)
    assert reason == "LocalStorage"
    assert message.startswith("pod shop/db-0 has its data on Node worker-1 only (PersistentVolume pv-7)")


@pytest.mark.parametrize("terms", [None, [wants("Exists", key="kubernetes.io/hostname")]])
def test_a_volume_that_others_reach_stops_nothing(terms: list[Json] | None) -> None:
    anywhere = {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}} if terms else {}
    other = sized() | {"metadata": node("worker-2", labels={"kubernetes.io/hostname": "worker-2"})["metadata"]}
    volumes = {"shop/data-db-0": {"metadata": {"name": "pv-7"}, "spec": anywhere}}
    assert isinstance(plan(world(pod("db-0", "StatefulSet", spec=CLAIM), nodes=(other,), volumes=volumes)), Proposal)


def test_a_volume_of_the_zone_keeps_its_pod_there() -> None:
    zonal = {"metadata": {"name": "pv-7"}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [
        wants("In", "a", key="zone")]}}}}  # fmt: skip
    far, near = node("worker-2", labels={"zone": "b"}), node("worker-3", ready=False, labels={"zone": "a"})
    found = world(pod("db-0", "StatefulSet", spec=CLAIM), nodes=(far, near), volumes={"shop/data-db-0": zonal})
    assert refused(found)[0] == "NowhereToGo"


def test_the_claim_of_an_ephemeral_volume_is_named_by_the_pod() -> None:
    assert claims(
        pod("a", spec={"volumes": [{"name": "tmp", "ephemeral": {}}, *CLAIM["volumes"], {"emptyDir": {}}]})
    ) == [
        "shop/a-tmp",
        "shop/data-db-0",
    ]


@pytest.mark.parametrize("in_list", [True, False])
@pytest.mark.parametrize("live", [True, None])
def test_the_node_itself_is_no_refuge_whatever_the_list_says_of_it(in_list: bool, live: bool | None) -> None:
    """The list was read a moment before the node."""
    here = {"kubernetes.io/hostname": "worker-1"}
    found = world(pod("tied", spec={"nodeSelector": here}))
    nodes = (node(ready=in_list, labels=here), *found.nodes[1:])
    found = replace(found, target=node(ready=live, labels=here), nodes=nodes)
    assert refused(found)[0] == "NowhereToGo"
    found = replace(found, pods=(pod("free"),))
    assert any("1 other node is Ready" in line for line in said(found))
