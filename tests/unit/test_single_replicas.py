"""A drain and the workloads that have no ready pod but on its node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from goldseam.actions.drain import ACTION
from goldseam.api.ladder import Drain
from goldseam.engine.cordons import AT_DEADLINE
from goldseam.engine.objects import RESTART
from goldseam.engine.proposal import Hit, Plan, Proposal, Refusal, Right, World, place
from tests.support.objects import node, owned_by, pod, workload
from tests.unit.test_drain_plan import evicted, pdb

Json = dict[str, Any]
MARK = {"metadata": {"annotations": {"goldseam.dev/token": "token"}}}
STUCK = {"type": "Progressing", "reason": "ProgressDeadlineExceeded"}


def labelled(*names: str, ready: bool = True) -> tuple[Json, ...]:
    return tuple(pod(name, ready=ready, metadata={"labels": {"app": "api"}}) for name in names)


def around(
    target: Json | None = None,
    pods: tuple[Json, ...] = (),
    *,
    cordoned: str = "",
    touched: Json | None = None,
    extra: tuple[Json, ...] = (),
    **more: Any,
) -> World:
    """A node with pods of one workload, by default of a Deployment with one replica, and with others."""
    pods, node_ = pods or labelled("api-1"), node(cordoned=cordoned)
    if cordoned:  # by this very drain
        node_["metadata"]["annotations"] = {**node_["metadata"]["annotations"], AT_DEADLINE: "Uncordon"}
    hit = Hit(target or workload(replicas=1), frozenset(one["metadata"]["uid"] for one in pods))
    known = {place("Deployment", "shop", "api"): touched} if touched else {}
    return World(
        target=node_, pods=(*pods, *extra), nodes=(node_, node("worker-2")), hit=(hit,), touched=known, **more
    )  # fmt: skip


def plan(world: World, how: str = "Restart") -> Plan:
    return ACTION.plan(Drain(single_replicas=how), world, "token")  # type: ignore[arg-type]


def proposed(world: World, how: str = "Restart") -> Proposal:
    found = plan(world, how)
    assert isinstance(found, Proposal), found
    return found


def refused(world: World, reason: str) -> str:
    found = plan(world)
    assert isinstance(found, Refusal), found
    assert found.reason == reason
    assert "Deployment shop/api" in found.message or "StatefulSet shop/api" in found.message
    return found.message


def test_a_deployment_with_its_only_ready_pod_on_the_node_is_restarted_and_that_pod_is_not_evicted() -> None:
    found = proposed(around(cordoned="goldseam", extra=(pod("web-1"),)))
    assert [(w.verb, w.object.name, w.field, w.want) for w in found.writes[:1]] == [
        ("Patch", "api", RESTART, '"token"')
    ]
    assert found.writes[0].generation is None, "an autoscaler may write it in between"
    assert [w.object.name for w in found.turn.first(found.writes)] == ["api", "web-1"]
    assert Right("patch", "apps", "deployments", namespace="shop", name="api") in found.rights
    assert found.summary == "drain Node worker-1: restart 1 workload that would be down, evict 1 pod"
    assert "restarted first, so that they are never without a ready pod: Deployment shop/api (1 pod)" in found.preflight
    assert "1 round of evictions at least: 1 pod under no budget may go at once" in found.preflight


def test_it_is_not_restarted_before_the_node_is_seen_to_be_cordoned() -> None:
    found = proposed(around())
    assert [w.verb for w in found.writes] == ["Patch", "Patch", "Evict"]
    assert [w.object.kind for w in found.turn.first(found.writes)] == ["Node"]


def test_several_replicas_that_are_all_on_the_node_would_be_down_just_as_well() -> None:
    found = proposed(around(workload(replicas=2), labelled("api-1", "api-2")))
    assert [w.object.kind for w in found.writes] == ["Node", "Deployment", "Pod", "Pod"]


@pytest.mark.parametrize(
    ("target", "pods"),
    [
        (workload(replicas=2), labelled("api-1")),
        (workload(replicas=1, ready=0), labelled("api-1", ready=False)),
        (workload(replicas=3, ready=1), labelled("api-1", ready=False)),
    ],
    ids=["a ready one elsewhere", "none ready", "the ready one elsewhere"],
)
def test_a_workload_that_is_no_worse_without_these_pods_is_evicted(target: Json, pods: tuple[Json, ...]) -> None:
    found = proposed(around(target, pods))
    assert [w.object.kind for w in found.writes] == ["Node", "Pod"]
    assert found.turn.first(found.writes) == found.writes


def test_what_has_begun_to_move_is_held_whatever_becomes_of_others() -> None:
    stateful = Hit(workload("StatefulSet", 1, metadata={"name": "db", "uid": "uid-db"}), frozenset({"uid-db-0"}))
    world = moving(extra=(pod("db-0", "StatefulSet"),))
    found = plan(replace(world, hit=(*(world.hit or ()), stateful)))
    assert isinstance(found, Refusal)
    assert found.turn.held == {"uid-api-1"}
    assert found.turn.waits_for


def test_a_budget_that_wants_one_keeps_the_last_one_while_the_other_is_away() -> None:
    left = workload("StatefulSet", 2, ready=1)
    assert evicted(plan(around(left, labelled("api-1"), pdbs=(pdb(expected=2, wanted=1, healthy=1),)))) == ["api-1"]
    assert "StatefulSet shop/api" in refused(
        around(left, labelled("api-1"), pdbs=(pdb(expected=3, wanted=1, healthy=2),)), "SingleReplica"
    )


def test_a_budget_that_keeps_one_of_them_is_enough() -> None:
    both = labelled("api-1", "api-2")
    found = proposed(around(workload(replicas=2), both, pdbs=(pdb(expected=2, wanted=1, healthy=2),)))
    assert [w.object.kind for w in found.writes] == ["Node", "Pod", "Pod"]


@pytest.mark.parametrize(
    "budget",
    [
        pdb(expected=2, wanted=0, healthy=2),
        pdb(expected=4, wanted=2, healthy=4),
        pdb(expected=2, wanted=1, healthy=2, spec={"selector": {"matchLabels": {"app": "web"}}}),
        pdb(expected=2, wanted=1, healthy=2, metadata={"namespace": "bank"}),
        pdb(expected=2, wanted=1, healthy=2, metadata={"generation": 2}),
    ],
    ids=["lets all go", "kept by others", "of other pods", "of others", "not counted"],
)
def test_a_budget_that_may_let_the_last_one_go_is_not(budget: Json) -> None:
    found = proposed(around(workload(replicas=2), labelled("api-1", "api-2"), pdbs=(budget,)))
    assert "Deployment" in [w.object.kind for w in found.writes]


def test_a_budget_that_never_lets_the_only_pod_go_does_not_stop_a_drain_that_restarts_it() -> None:
    strict = pdb(expected=1, wanted=1, healthy=1)
    assert "Deployment" in [w.object.kind for w in proposed(around(pdbs=(strict,))).writes]
    found = plan(around(pdbs=(strict,)), "Evict")
    assert isinstance(found, Refusal)
    assert found.reason == "NeverDisrupted"


RECREATE = {"strategy": {"type": "Recreate"}}
OWNED = workload(replicas=1, metadata={"ownerReferences": owned_by("Shop", "mine")})
TAKES_IT = {"strategy": {"rollingUpdate": {"maxUnavailable": 1}}}


@pytest.mark.parametrize(
    ("target", "reason", "why"),
    [
        (workload("StatefulSet", 1), "SingleReplica", "a StatefulSet cannot be restarted with the new pod first"),
        (workload(replicas=1, spec=RECREATE), "SingleReplica", "(strategy Recreate, maxUnavailable)"),
        (workload(replicas=1, spec=TAKES_IT), "SingleReplica", "(strategy RollingUpdate, maxUnavailable)"),
        (workload(replicas=1, spec={"paused": True}), "RolloutPaused", "(spec.paused)"),
        (OWNED, "OwnedByController", "Shop mine controls"),
    ],
)  # fmt: skip
def test_what_cannot_be_restarted_so_refuses_the_drain_before_anything_is_touched(
    target: Json, reason: str, why: str
) -> None:
    assert why in refused(around(target), reason)
    found = proposed(around(target), "Evict")
    assert [w.object.kind for w in found.writes] == ["Node", "Pod"]
    assert found.turn.first(found.writes) == found.writes
    assert found.preflight[-1].startswith("without a ready pod until one is ready elsewhere (singleReplicas: Evict): ")


def test_a_protected_namespace_is_not_restarted_in() -> None:
    assert "namespace shop is protected" in refused(around(protected=("kube-*", "shop")), "SingleReplica")
    assert "namespace shop is protected" in refused(around(OWNED, protected=("shop",)), "SingleReplica")


DATA = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}


@pytest.mark.parametrize("modes", [["ReadWriteOnce"], ["ReadWriteOncePod"], ["ReadWriteMany"], []])
def test_a_volume_of_one_node_keeps_a_new_pod_waiting_for_the_old_one(modes: list[str]) -> None:
    volumes = {"shop/data": {"metadata": {"name": "pv-7"}, "spec": {"accessModes": modes}}}
    world = around(pods=(pod("api-1", spec=DATA),), volumes=volumes)
    if "Once" in str(modes):
        assert "PersistentVolume pv-7 can be used on one node at a time" in refused(world, "SingleReplica")
    else:
        assert "Deployment" in [w.object.kind for w in proposed(world).writes]


def test_a_rollout_that_would_break_a_budget_is_no_way_out() -> None:
    target = workload(replicas=3, spec={"strategy": {"rollingUpdate": {"maxUnavailable": 2}}})
    used_up = pdb(expected=9, wanted=5, healthy=6)
    message = refused(around(target, labelled("a", "b", "c"), pdbs=(used_up,)), "SingleReplica")
    assert "its rollout would take 2 pods at once, and PodDisruptionBudget shop/api lets 1 go" in message


def test_an_unfit_workload_that_is_not_down_refuses_nothing() -> None:
    assert evicted(plan(around(workload("StatefulSet", 3)))) == ["api-1"]


def moving(status: Json | None = None, **more: Any) -> World:
    """The step has restarted the Deployment; its old pod is on the node still."""
    behind = {"replicas": 2, "updatedReplicas": 1, "readyReplicas": 1}
    marked = workload(replicas=1, spec={"template": MARK}, status=behind | (status or {}))
    return around(marked, cordoned="goldseam", touched=marked, **more)


def test_while_it_moves_its_pods_are_waited_for_and_others_go() -> None:
    found = proposed(moving(extra=(pod("web-1"),)))
    assert [w.verb for w in found.writes] == ["Evict", "Evict"], "it is not restarted again"
    assert [w.object.name for w in found.turn.first(found.writes)] == ["web-1"]
    assert found.turn.waits_for == "Deployment shop/api to have its pods elsewhere"
    assert (found.turn.hopeless, dict(found.turn.courses)) == ("", {})


def test_a_restart_that_does_not_come_up_within_its_own_deadline_is_told_and_ends_the_waiting() -> None:
    found = plan(moving({"conditions": [STUCK]}))
    assert found.turn.hopeless.startswith(
        "Deployment shop/api was restarted, and did not come up elsewhere within its progressDeadlineSeconds"
    )
    assert found.turn.courses == {"uid-api": found.turn.hopeless}
    unseen = plan(moving({"conditions": [STUCK], "observedGeneration": 3}))
    assert unseen.turn.hopeless == "", "that was said of the rollout before"


def test_what_holds_its_pods_back_holds_even_when_the_drain_would_not_begin_now() -> None:
    found = plan(moving(extra=(pod("lonely", ""),)))
    assert isinstance(found, Refusal)
    assert found.turn.held == {"uid-api-1"}


def test_how_it_went_is_told_when_its_pods_have_left() -> None:
    marked = workload(replicas=1, spec={"template": MARK})
    world = World(
        target=node(cordoned="goldseam"), hit=(), touched={place("Deployment", "shop", "api"): marked}
    )  # fmt: skip
    assert plan(world).turn.courses == {"uid-api": "Deployment shop/api was restarted, and is ready elsewhere"}


def test_what_was_written_down_to_be_restarted_is_restarted_though_it_has_another_pod_by_now() -> None:
    grown = workload(replicas=2)
    found = proposed(around(grown, cordoned="goldseam", touched=grown))
    assert [w.object.kind for w in found.writes] == ["Deployment", "Pod"]


def test_without_knowing_the_workloads_nothing_is_restarted_nor_held() -> None:
    node_ = node()
    found = proposed(World(target=node_, pods=labelled("api-1"), nodes=(node_, node("worker-2"))))
    assert [w.object.kind for w in found.writes] == ["Node", "Pod"]


def test_neither_way_allows_the_other() -> None:
    assert Drain().covers(Drain(single_replicas="Restart"))
    assert not Drain().covers(Drain(single_replicas="Evict"))
    assert not Drain(single_replicas="Evict").covers(Drain())
