"""drain: which pods go, in which order, which ones stop it, and when it is done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.actions.drain import ACTION
from goldseam.actions.nodes import MIRROR
from goldseam.actions.pods import MOST_PODS
from goldseam.api.incident import Step
from goldseam.api.ladder import Drain, Rung
from goldseam.engine.cordons import AT_DEADLINE_FIELD
from goldseam.engine.objects import CONTROL_PLANE, metadata
from goldseam.engine.proposal import Effect, NothingToDo, Plan, Proposal, Refusal, Right, World
from tests.support.objects import node, pod

PATCHING = Right("patch", "", "nodes", name="worker-1")
EVICTING = Right("create", "", "pods", "eviction")
DELETING = Right("delete", "", "pods")
LOCAL = {"volumes": [{"name": "data", "persistentVolumeClaim": {}}, {"name": "tmp", "emptyDir": {}}]}


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def plan(
    *pods: dict[str, Any],
    target: dict[str, Any] | None = None,
    nodes: list[dict[str, Any]] | None = None,
    pdbs: tuple[dict[str, Any], ...] = (),
    replicas: tuple[dict[str, Any], ...] = (),
    returning: frozenset[str] = frozenset(),
    **told: Any,
) -> Plan:
    target = target or node()
    others = [node("worker-2")] if nodes is None else nodes
    nodes_now = (target, *others)
    world = World(target=target, pods=pods, nodes=nodes_now, pdbs=pdbs, ours=replicas, coming_back=returning, now=NOW)
    return ACTION.plan(Drain.model_validate(told), world, "token")


def pdb(name: str = "api", *, expected: int = 3, wanted: int = 2, healthy: int = 3, **more: Any) -> dict[str, Any]:
    """A PodDisruptionBudget of every pod in `shop`."""
    counts = {"expectedPods": expected, "desiredHealthy": wanted, "currentHealthy": healthy}
    return {
        "metadata": {"namespace": "shop", "name": name, "generation": 1} | more.get("metadata", {}),
        "spec": {"selector": {}} | more.get("spec", {}),
        "status": {"observedGeneration": 1, "disruptionsAllowed": max(healthy - wanted, 0), **counts},
    }


def proposal(*pods: dict[str, Any], target: dict[str, Any] | None = None) -> Proposal:
    found = plan(*pods, target=target)
    assert isinstance(found, Proposal), found
    return found


def evicted(found: Plan) -> list[str]:
    assert isinstance(found, Proposal), found
    return [write.object.name for write in found.writes if write.verb == "Evict"]


def refused(found: Plan) -> str:
    assert isinstance(found, Refusal), found
    assert len(found.message) <= 512
    return found.reason


def noted(name: str, **annotations: str) -> dict[str, Any]:
    return pod(name, metadata={"annotations": {key.replace("__", "/"): value for key, value in annotations.items()}})


def test_the_node_is_cordoned_before_its_pods_are_evicted() -> None:
    found = proposal(pod("api-1"), pod("api-2"))
    assert found.summary == "cordon and drain Node worker-1: evict 2 pods"
    assert [write.verb for write in found.writes] == ["Patch", "Evict", "Evict"]
    assert found.writes[0].field == "spec.unschedulable"
    eviction = found.writes[1]
    assert (str(eviction.object), eviction.object.uid) == ("Pod shop/api-1", "uid-api-1")
    assert eviction.object.api_version == "v1"
    assert [o.kind for o in found.obligations] == ["Uncordon"]
    assert (found.rights, found.takes_nodes) == ((PATCHING, EVICTING), 1)


def test_a_node_that_we_cordoned_before_is_only_emptied() -> None:
    found = proposal(pod("api-1"), target=node(cordoned="goldseam"))
    assert [write.verb for write in found.writes] == ["Patch", "Evict"]
    assert (found.writes[0].field, found.writes[0].want) == (AT_DEADLINE_FIELD, '"Uncordon"'), "and says until when"
    assert found.summary == "drain Node worker-1: evict 1 pod"
    assert (found.obligations, found.rights, found.takes_nodes) == ((), (PATCHING, EVICTING), 0)


@pytest.mark.parametrize("at_deadline", ["LeaveCordoned", "Force"])
def test_what_comes_at_the_deadline_is_said_with_the_cordon_and_asked_with_the_plan(at_deadline: str) -> None:
    found = plan(pod("api-1"), atDeadline=at_deadline)
    assert isinstance(found, Proposal)
    assert [(write.verb, write.want) for write in found.writes] == [
        ("Patch", "true"), ("Patch", f'"{at_deadline}"'), ("Evict", ""),
    ]  # fmt: skip
    assert len(found.obligations) == 1
    forces = at_deadline == "Force"
    assert (DELETING in found.rights, found.asks_about) == (forces, ("Force",) if forces else ())
    assert found.summary.endswith("; pods that are left at its deadline are deleted") == forces


def test_on_a_node_that_a_person_cordoned_no_mark_of_ours_is_left() -> None:
    assert evicted(found := plan(pod("api-1"), target=node(cordoned="kubectl-cordon"), atDeadline="LeaveCordoned"))
    assert isinstance(found, Proposal)
    assert [write.verb for write in found.writes] == ["Evict"]


def test_a_node_that_a_person_cordoned_is_emptied_and_stays_theirs() -> None:
    found = proposal(pod("api-1"), target=node(cordoned="kubectl-cordon"))
    assert (found.obligations, found.takes_nodes) == ((), 1)
    assert found.summary.endswith("somebody else cordoned it: it will not be uncordoned")


def test_a_node_without_pods_to_evict_is_cordoned_all_the_same() -> None:
    found = proposal(pod("proxy", "DaemonSet"))
    assert found.summary == "cordon and drain Node worker-1: there is no pod to evict"
    assert [write.verb for write in found.writes] == ["Patch"]
    assert found.rights == (PATCHING,)


def test_a_budget_that_never_lets_a_pod_go_stops_the_drain_before_the_node_is_cordoned() -> None:
    found = plan(pod("api-1"), pdbs=(pdb(wanted=3),))
    assert refused(found) == "NeverDisrupted"
    assert isinstance(found, Refusal)
    assert found.message.startswith("PodDisruptionBudget shop/api never lets pod shop/api-1 go (3 healthy, 3 wanted)")


def test_a_budget_that_is_used_up_for_now_is_waited_for() -> None:
    assert evicted(plan(pod("api-1"), pdbs=(pdb(healthy=2),))) == ["api-1"]


def test_a_budget_that_is_not_counted_yet_is_asked_when_the_pod_is_evicted() -> None:
    assert evicted(plan(pod("api-1"), pdbs=(pdb(wanted=3, metadata={"generation": 2}),))) == ["api-1"]


def test_two_budgets_on_one_pod_stop_the_drain_for_the_eviction_api_refuses_such_a_pod() -> None:
    found = plan(pod("api-1"), pdbs=(pdb(), pdb("all")))
    assert refused(found) == "TwoDisruptionBudgets"
    assert isinstance(found, Refusal)
    assert "PodDisruptionBudget shop/api, PodDisruptionBudget shop/all" in found.message


@pytest.mark.parametrize(
    "away",
    [
        pdb(wanted=3, metadata={"namespace": "bank"}),
        pdb(wanted=3, spec={"selector": {"matchLabels": {"app": "web"}}}),
        pdb(wanted=3, spec={"selector": None}),
    ],
)
def test_a_budget_of_others_is_none_of_the_drains(away: dict[str, Any]) -> None:
    assert evicted(plan(pod("api-1"), pdbs=(away,))) == ["api-1"]


@pytest.mark.parametrize(
    ("spec", "healthy", "goes"),
    [({}, 3, True), ({}, 2, False), ({"unhealthyPodEvictionPolicy": "AlwaysAllow"}, 2, True)],
)
def test_a_pod_that_is_not_ready_goes_where_the_budget_lets_the_unready_go(
    spec: dict[str, Any], healthy: int, goes: bool
) -> None:
    found = plan(pod("api-1", ready=False), pdbs=(pdb(wanted=3, healthy=healthy, spec=spec),))
    assert isinstance(found, Proposal if goes else Refusal)


def test_a_pod_that_does_not_run_yet_asks_no_budget() -> None:
    assert evicted(plan(pod("api-1", phase="Pending", ready=False), pdbs=(pdb(wanted=3, healthy=0),))) == ["api-1"]


@pytest.mark.parametrize("by", ["goldseam", "kubectl-cordon"])
def test_a_cordoned_node_without_pods_is_drained_already(by: str) -> None:
    assert isinstance(plan(target=node(cordoned=by)), NothingToDo)


def test_what_would_not_leave_is_left_alone() -> None:
    found = proposal(
        pod("static", "Node", metadata={"annotations": {MIRROR: "x"}}),
        pod("proxy", "DaemonSet"),
        pod("done", "Job", phase="Succeeded"),
        pod("broken", "", phase="Failed"),
        pod("going", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        pod("api-1"),
    )
    assert evicted(found) == ["api-1"]


KINDS = st.sampled_from(["ReplicaSet", "StatefulSet", "DaemonSet", "Job"])


@given(st.lists(st.tuples(KINDS, st.booleans(), st.sampled_from(["Running", "Pending", "Failed"])), max_size=30))
def test_a_drain_never_touches_pods_of_daemonsets_and_never_names_a_pod_twice(
    pods: list[tuple[str, bool, str]],
) -> None:
    made = [pod(f"{kind.lower()}-{i}", kind, ready=ready, phase=phase) for i, (kind, ready, phase) in enumerate(pods)]
    found = plan(*made)
    names = evicted(found)
    assert not [name for name in names if name.startswith("daemonset")]
    assert sorted(names) == sorted({n for n, (k, _, p) in zip([m["metadata"]["name"] for m in made], pods, strict=True)
                                    if k != "DaemonSet" and p != "Failed"})  # fmt: skip


def test_unready_pods_go_first_and_statefulsets_last_from_their_highest_ordinal() -> None:
    found = proposal(
        pod("db-2", "StatefulSet"),
        pod("db-10", "StatefulSet"),
        pod("api-1"),
        pod("api-0", ready=False),
        pod("db-0", "StatefulSet", ready=False),
        pod("job", "Job"),
    )
    assert evicted(found) == ["api-0", "db-0", "api-1", "job", "db-10", "db-2"]


def test_a_name_without_an_ordinal_is_taken_as_it_is() -> None:
    assert evicted(plan(pod("odd", "StatefulSet"), pod("db-1", "StatefulSet"))) == ["db-1", "odd"]


def test_lost_local_storage_is_counted() -> None:
    found = proposal(pod("api-1", spec=LOCAL), pod("api-2"))
    assert evicted(found) == ["api-1", "api-2"]
    assert found.summary.endswith("evict 2 pods; the emptyDir volumes of 1 are lost")


def test_pods_that_nobody_would_bring_back_stop_it() -> None:
    found = plan(*(pod(f"lonely-{i}", "") for i in range(5)), pod("api-1"))
    assert refused(found) == "UnmanagedPods"
    assert isinstance(found, Refusal)
    assert "shop/lonely-0, shop/lonely-1, shop/lonely-2 and 2 more" in found.message


@pytest.mark.parametrize(
    "annotations",
    [{"karpenter.sh__do-not-disrupt": "true"}, {"cluster-autoscaler.kubernetes.io__safe-to-evict": "false"}],
)
def test_a_pod_that_must_not_be_disturbed_stops_it(annotations: dict[str, str]) -> None:
    found = plan(pod("api-1"), noted("batch", **annotations))
    assert refused(found) == "DoNotDisrupt"
    assert isinstance(found, Refusal)
    assert "shop/batch" in found.message


def test_marks_that_allow_a_disturbance_stop_nothing() -> None:
    marks = {"karpenter.sh__do-not-disrupt": "false", "cluster-autoscaler.kubernetes.io__safe-to-evict": "true"}
    assert evicted(plan(noted("batch", **marks))) == ["batch"]


@pytest.mark.parametrize(
    ("value", "begun", "protected"),
    [
        ("10m", timedelta(minutes=9), True),
        ("10m", timedelta(minutes=10), False),
        ("1h30m", timedelta(minutes=89), True),
        ("10m", None, True),
        ("1.5h", timedelta(days=9), True),
        ("true", timedelta(days=9), True),
        ("", timedelta(0), False),
    ],
    ids=["within", "over", "hours", "not started", "cannot be read", "for ever", "empty"],
)
def test_a_mark_may_be_for_a_time_from_the_pods_start_on(value: str, begun: timedelta | None, protected: bool) -> None:
    batch = noted("batch", **{"karpenter.sh__do-not-disrupt": value})
    batch["status"] |= {} if begun is None else {"startTime": (NOW - begun).isoformat()}
    assert isinstance(plan(batch), Refusal) is protected


def test_it_never_evicts_goldseam_itself() -> None:
    labels = {"app.kubernetes.io/name": "goldseam"}
    assert refused(plan(pod("goldseam-1", metadata={"namespace": "ops", "labels": labels}))) == "OwnPod"


def ours(name: str, where: str = "worker-2", **more: Any) -> dict[str, Any]:
    """One of the operator's own pods."""
    labels = {"app.kubernetes.io/name": "goldseam"}
    meta = {"namespace": "ops", "labels": labels} | more.pop("metadata", {})
    return pod(name, spec={"nodeName": where}, metadata=meta, **more)


def test_its_own_pod_goes_last_where_another_one_can_lead() -> None:
    own = ours("a-goldseam", "worker-1")
    assert evicted(plan(own, pod("api-1"), pod("db-0", "StatefulSet"), replicas=(own, ours("b")))) == [
        "api-1", "db-0", "a-goldseam",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        ours("b", "worker-1"),
        ours("b", ready=False),
        ours("b", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        ours("b", metadata={"namespace": "elsewhere"}),
        ours("b", metadata={"labels": {}}),
        ours("b", ""),
    ],
)
def test_a_replica_that_cannot_lead_meanwhile_is_none(other: dict[str, Any]) -> None:
    own = ours("a", "worker-1")
    assert refused(plan(own, pod("api-1"), replicas=(own, other))) == "OwnPod"


def test_one_drain_evicts_so_many_pods_and_no_more() -> None:
    pods = [pod(f"api-{i}") for i in range(MOST_PODS + 1)]
    assert len(evicted(plan(*pods[:-1]))) == MOST_PODS
    assert refused(plan(*pods)) == "TooManyPods"


def tainted(key: str, effect: str = "NoSchedule", name: str = "worker-2", value: str | None = None) -> dict[str, Any]:
    made = node(name)
    made["spec"]["taints"] = [{"key": key, "effect": effect} | ({"value": value} if value else {})]
    return made


@pytest.mark.parametrize(
    "others",
    [
        [],
        [node("worker-2", ready=False)],
        [node("worker-2", cordoned="kubectl-cordon")],
        [tainted(CONTROL_PLANE)],
        [tainted("gone", "NoExecute")],
    ],
)
def test_pods_that_have_nowhere_to_go_stay(others: list[dict[str, Any]]) -> None:
    assert refused(plan(pod("api-1"), nodes=others)) == "NowhereToGo"


def test_a_node_of_the_same_pool_takes_the_pods() -> None:
    gpu, other = tainted("gpu", name="worker-1", value="a"), tainted("gpu", value="a")
    trained = pod("api-1", spec={"tolerations": [{"key": "gpu", "value": "a"}]})
    assert evicted(plan(trained, target=gpu, nodes=[other])) == ["api-1"]
    assert refused(plan(trained, target=gpu, nodes=[tainted("gpu", value="b")])) == "NowhereToGo"
    assert refused(plan(pod("api-1"), target=gpu, nodes=[other])) == "NowhereToGo"


def test_a_preference_keeps_no_pod_away() -> None:
    assert evicted(plan(pod("api-1"), nodes=[tainted("slow", "PreferNoSchedule")])) == ["api-1"]


def test_a_condition_that_both_nodes_have_is_not_one_that_pods_tolerate() -> None:
    full = "node.kubernetes.io/disk-pressure"
    assert refused(plan(pod("api-1"), target=tainted(full, name="worker-1"), nodes=[tainted(full)])) == "NowhereToGo"


def test_a_control_plane_node_is_not_drained_while_another_one_is_out_of_service() -> None:
    master = {CONTROL_PLANE: ""}
    others = [node("m-2", ready=False, labels=master), node("worker-2")]
    target = node("m-1", labels=master)
    assert refused(plan(pod("api-1"), target=target, nodes=others, controlPlane=True)) == "ControlPlaneAtRisk"


def test_a_control_plane_node_does_not_fail_over_one_that_we_have_taken_and_bring_back() -> None:
    """It waits for that (guard `node_caps`); unless both are out already, or only people can bring it back."""
    master = {CONTROL_PLANE: ""}
    others = [node("m-2", ready=False, cordoned="goldseam", labels=master), node("worker-2")]
    back = frozenset(str(metadata(other)["uid"]) for other in others)
    at_once = partial(plan, pod("api-1"), nodes=others, returning=back, controlPlane=True)
    assert evicted(at_once(target=node("m-1", labels=master))) == ["api-1"]
    assert refused(at_once(target=node("m-1", cordoned="goldseam", labels=master))) == "ControlPlaneAtRisk"
    assert refused(at_once(target=node("m-1", labels=master), returning=frozenset())) == "ControlPlaneAtRisk"
    both = [*others, node("m-3", cordoned="kubectl", labels=master)]
    found = at_once(target=node("m-1", labels=master), nodes=both)
    assert isinstance(found, Refusal)
    assert "and m-3 is out of service already" in found.message


def test_a_control_plane_node_is_drained_only_where_the_policy_says_so() -> None:
    target = node("m-1", labels={CONTROL_PLANE: ""})
    assert refused(plan(pod("api-1"), target=target)) == "ControlPlaneNode"
    assert evicted(plan(pod("api-1"), target=target, controlPlane=True)) == ["api-1"]


def test_a_policy_that_was_narrowed_to_workers_drains_no_other_node() -> None:
    wide, narrow = Rung(drain=Drain(control_plane=True)), Rung(drain=Drain())
    assert wide.covers(narrow)
    assert not narrow.covers(wide)


def test_a_refusal_fits_an_incident_whatever_the_names() -> None:
    assert refused(plan(*(pod(f"{i}-{'a' * 240}", "") for i in range(9)))) == "UnmanagedPods"


def test_a_node_that_is_gone_is_refused() -> None:
    assert refused(ACTION.plan(Drain(), World(target=None), "token")) == "TargetGone"


def observed(
    *pods: dict[str, Any], gone: bool = False, message: str = "", target: dict[str, Any] | None = None
) -> Effect:
    writes = [w.model_copy(update={"message": message}) for w in proposal(pod("api-1"), pod("api-2")).writes]
    step = Step(id="1-drain", rung=0, action="drain", intent_at=NOW, writes=writes)
    return ACTION.observe(step, World(target=None if gone else target or node(), pods=pods))


def test_it_is_done_when_every_pod_is_gone() -> None:
    assert observed(pod("proxy", "DaemonSet")) == Effect(True, "what was evicted is gone from Node worker-1 (2 pods)")


def test_a_pod_that_is_still_there_is_named_with_what_holds_it() -> None:
    assert observed(pod("api-2")) == Effect(False, "1 of 2 pods are still on Node worker-1: shop/api-2")
    held = observed(pod("api-2"), message="held by PodDisruptionBudget api")
    assert held.message.endswith("shop/api-2 (held by PodDisruptionBudget api)")
    long = f"POST /api/v1/namespaces/shop/pods/{'a' * 60}/eviction: Forbidden: admission webhook: closed on Sundays"
    assert observed(pod("api-2"), message=long).message.endswith(f"shop/api-2 ({long})"), "with its last word"


def test_another_pod_of_the_same_name_is_another_pod() -> None:
    assert observed(pod("api-1", metadata={"uid": "another"})).done


def test_a_node_that_vanished_is_empty() -> None:
    assert observed(gone=True) == Effect(True, "the node is gone")


def test_that_evicted_pods_do_not_end_for_their_kubelet_is_silent_is_said_before_anything_else() -> None:
    silent = node() | {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
    found = observed(pod("api-2"), target=silent)
    assert (found.done, found.trouble) == (False, True)
    assert "shop/api-2; its kubelet reports nothing, so pods that were evicted do not end there" in found.message
    assert not observed(pod("api-2")).trouble
