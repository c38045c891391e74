"""restart by evictions: for whom, whose turn it is, and when it is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.actions.restart import ACTION
from goldseam.api.incident import Step
from goldseam.api.ladder import Restart
from goldseam.engine.objects import is_ready
from goldseam.engine.proposal import NothingToDo, Plan, Proposal, Refusal, Right, World
from tests.support.objects import owned_by, pod, replica_set, troubled, workload
from tests.unit.test_guards import NOW

LEAVING = {"deletionTimestamp": "2026-11-23T11:59:00Z"}
ON_DELETE = {"updateStrategy": {"type": "OnDelete"}}


def well(name: str, *, ready: bool = True, **meta: Any) -> Any:
    """A pod of the workload."""
    found = troubled(name, metadata=meta)
    found["status"]["conditions"][0]["status"] = "True" if ready else "False"
    return found


def of(kind: str, name: str, *, revision: str = "api-1", **fields: Any) -> Any:
    """A pod of the StatefulSet or DaemonSet."""
    found = well(name, labels={"controller-revision-hash": revision}, **fields)
    found["metadata"]["ownerReferences"] = [{"kind": kind, "name": "api", "uid": "uid-api", "controller": True}]
    return found


def ended(name: str, phase: str) -> Any:
    """What is left of a pod that was evicted, or has run its course."""
    return well(name, ready=False) | {"status": {"phase": phase}}


def plan(*pods: Any, target: Any = None, method: Any = "Eviction") -> Plan:
    world = World(target=target or workload(), pods=pods, replica_sets=(replica_set(),), now=NOW)
    return ACTION.plan(Restart(method=method), world, "token")


def proposal(*pods: Any, **fields: Any) -> Proposal:
    found = plan(*pods, **fields)
    assert isinstance(found, Proposal), found
    return found


ALL = tuple(well(f"api-{number}") for number in range(3))


@pytest.mark.parametrize(
    ("target", "evicts"),
    [
        (workload(), False),
        (workload(metadata={"ownerReferences": owned_by("Shop", "main")}), True),
        (workload(metadata={"ownerReferences": owned_by("Shop", "main", controller=False)}), False),
        (workload("StatefulSet", spec=ON_DELETE), True),
        (workload("DaemonSet", spec=ON_DELETE), True),
        (workload("StatefulSet", spec={"updateStrategy": {"rollingUpdate": {"partition": 1}}}), True),
        (workload(spec={"paused": True}), False),
    ],
)
def test_auto_evicts_where_a_mark_on_the_template_would_be_undone_or_would_not_reach_all(
    target: Any, evicts: bool
) -> None:
    assert ACTION.picks_pods(Restart(), target) is evicts
    assert ACTION.picks_pods(Restart(method="Eviction"), target)
    assert not ACTION.picks_pods(Restart(method="Template"), target)


def test_each_pod_is_evicted_by_its_uid_and_nothing_of_the_workload_is_written() -> None:
    found = proposal(*ALL, target=workload(metadata={"ownerReferences": owned_by("Shop", "main")}), method="Auto")
    assert [(w.verb, w.object.uid, w.field) for w in found.writes] == [
        ("Evict", f"uid-api-{number}", "") for number in (2, 1, 0)
    ]
    assert found.rights == (Right("create", "", "pods", "eviction", "shop"),)
    assert found.rights[0].piece == "pods"
    assert found.summary == "restart Deployment shop/api by evicting its pods one by one (3 pods)"


def test_of_ready_pods_one_goes_at_a_time() -> None:
    found = proposal(*ALL)
    assert (found.takes_ready, [write.object.name for write in found.turn.first(found.writes)]) == (1, ["api-2"])


SICK = well("api-2", ready=False)
SETS = tuple(of("StatefulSet", f"api-{number}") for number in range(3))
DAEMONS = tuple(of("DaemonSet", f"api-{number}") for number in range(3))


@pytest.mark.parametrize(
    ("pods", "target", "waits_for"),
    [
        (ALL[:2], workload(ready=2), "1 pod that must be there"),
        (ALL[:1], workload(ready=3), "2 pods that must be there"),
        (ALL, workload(ready=2), "all pods to be available (2 of 3 are)"),  # its status may lag
        (ALL, workload(spec={"minReadySeconds": 30}, status={"availableReplicas": 2}), "available (2 of 3 are)"),
        (
            DAEMONS,
            workload("DaemonSet", spec={"minReadySeconds": 30}, status={"numberAvailable": 1}),
            "available (1 of 3 are)",
        ),
        ((*ALL[:1], SICK), workload(ready=1), "1 pod that must be there"),  # one that is missing keeps the sick, too
        ((*ALL[:2], ended("api-2", "Failed")), workload(), "1 pod that must be there"),
        ((*ALL[:2], ended("api-2", "Succeeded")), workload(), "1 pod that must be there"),
        (
            (*SETS[:2], of("StatefulSet", "api-2", **LEAVING)),
            workload("StatefulSet"),
            "1 pod that must be there (on its way out: api-2)",
        ),
        (DAEMONS, workload("DaemonSet", status={"numberMisscheduled": 1}), "1 pod that must be there"),
        (
            (*DAEMONS, of("DaemonSet", "api-3", **LEAVING)),
            workload("DaemonSet"),
            "1 pod that must be there (on its way out: api-3)",
        ),
    ],
)
def test_while_one_is_missing_or_not_available_none_goes(pods: Any, target: Any, waits_for: str) -> None:
    found = proposal(*pods, target=target)
    assert (found.turn.first(found.writes), found.takes_ready) == ((), 0)
    assert found.turn.waits_for.endswith(waits_for)


@pytest.mark.parametrize(
    ("pods", "target"),
    [
        (ALL, workload(spec={"minReadySeconds": 30}, status={"availableReplicas": 3})),
        ((*DAEMONS, of("DaemonSet", "api-3")), workload("DaemonSet", status={"numberMisscheduled": 1})),
        ((*ALL, well("api-4", **LEAVING)), workload()),  # its successor is there already
    ],
)
def test_once_all_are_available_one_goes(pods: Any, target: Any) -> None:
    found = proposal(*pods, target=target)
    assert (len(found.turn.first(found.writes)), found.takes_ready) == (1, 1)


def test_those_that_are_not_ready_may_go_at_once() -> None:
    sick = (well("api-1", ready=False), SICK)
    found = proposal(well("api-0"), *sick, target=workload(ready=1))
    assert [write.object.name for write in found.writes] == ["api-2", "api-1", "api-0"]
    assert [write.object.name for write in found.turn.first(found.writes)] == ["api-2", "api-1"]
    assert found.takes_ready == 0


def test_while_a_new_pod_is_not_ready_none_of_the_others_goes() -> None:
    step = proposal(*ALL).writes
    now = proposal(well("api-0"), well("api-1", ready=False), well("new", ready=False), target=workload(ready=1))
    assert [write for write in step if now.turn.has(write, step)] == []
    assert now.turn.waits_for == "pod api-1, new to be ready"


def test_what_is_left_of_pods_that_have_ended_is_left_alone() -> None:
    found = proposal(*ALL, ended("api-8", "Failed"), ended("api-9", "Succeeded"))
    assert [write.object.name for write in found.writes] == ["api-2", "api-1", "api-0"]
    assert found.evictable == {"uid-api-0", "uid-api-1", "uid-api-2"}


PODS = st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from(["Running", "Failed", "Pending"])), max_size=6)


@given(pods=PODS, replicas=st.integers(1, 5), kind=st.sampled_from(["Deployment", "DaemonSet"]))
def test_whatever_is_there_a_ready_pod_goes_alone_and_only_while_none_is_missing(
    pods: list[tuple[bool, bool, str]], replicas: int, kind: str
) -> None:
    made = [
        well(f"api-{number}", ready=ready, **({} if stays else LEAVING))
        for number, (ready, stays, _) in enumerate(pods)
    ]
    for pod_, (_, _, phase) in zip(made, pods, strict=True):
        pod_["status"]["phase"] = phase
        if kind == "DaemonSet":
            pod_["metadata"]["ownerReferences"][0]["uid"] = "uid-api"
    there = [pod_ for pod_, (_, stays, phase) in zip(made, pods, strict=True) if stays and phase != "Failed"]
    ready_now = sum(is_ready(pod_) for pod_ in there)
    found = plan(*made, target=workload(kind, replicas, ready=ready_now))
    if not isinstance(found, Proposal):
        return
    turn = {write.object.uid for write in found.turn.first(found.writes)}
    takes_ready = [pod_ for pod_ in there if pod_["metadata"]["uid"] in turn and is_ready(pod_)]
    assert not turn or len(there) >= replicas
    assert not takes_ready or (len(turn) == 1 and ready_now == len(there))
    assert len(takes_ready) <= found.takes_ready


@pytest.mark.parametrize(
    ("pods", "target", "reason"),
    [
        (ALL, workload(status={"updatedReplicas": 1}), "RolloutInProgress"),
        (
            (*SETS[:2], of("StatefulSet", "api-2", revision="api-0")),
            workload("StatefulSet", spec=ON_DELETE),
            "PendingTemplate",
        ),
        (SETS, workload("StatefulSet", spec=ON_DELETE, status={"updateRevision": "api-2"}), "PendingTemplate"),
        (
            DAEMONS,
            workload("DaemonSet", spec=ON_DELETE, status={"currentNumberScheduled": 3, "updatedNumberScheduled": 2}),
            "PendingTemplate",
        ),
        ((*ALL, well("x", annotations={"karpenter.sh/do-not-disrupt": "true"})), None, "DoNotDisrupt"),
        (tuple(well(f"api-{number}") for number in range(257)), workload(replicas=257), "TooManyPods"),
    ],
)
def test_what_would_not_run_its_course_is_refused(pods: Any, target: Any, reason: str) -> None:
    found = plan(*pods, target=target)
    assert isinstance(found, Refusal)
    assert found.reason == reason


@pytest.mark.parametrize(
    ("pods", "target"),
    [  # neither status counts the pod that was evicted as one of the newest template
        (
            (*SETS[:2], of("StatefulSet", "api-2", **LEAVING)),
            workload("StatefulSet", spec=ON_DELETE, status={"updatedReplicas": 2}),
        ),
        (
            DAEMONS[:2],
            workload("DaemonSet", spec=ON_DELETE, status={"currentNumberScheduled": 2, "updatedNumberScheduled": 2}),
        ),
    ],
)
def test_a_pod_that_was_evicted_is_no_template_that_is_not_rolled_out(pods: Any, target: Any) -> None:
    assert proposal(*pods, target=target).turn.waits_for.startswith("1 pod that must be there")


def test_the_pods_of_a_stuck_rollout_may_be_restarted() -> None:
    stuck = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    found = proposal(*ALL[:2], SICK, target=workload(ready=2, status={"updatedReplicas": 1, "conditions": stuck}))
    assert [write.object.name for write in found.turn.first(found.writes)] == ["api-2"]


def test_of_a_deployment_that_is_paused_or_recreates_pods_go_one_by_one_too() -> None:
    for spec in ({"paused": True}, {"strategy": {"type": "Recreate"}}):
        assert proposal(*ALL, target=workload(spec=spec)).takes_ready == 1


def test_pods_below_a_partition_go_too() -> None:
    canary = {"updateRevision": "api-2", "updatedReplicas": 1}
    target = workload("StatefulSet", spec={"updateStrategy": {"rollingUpdate": {"partition": 2}}}, status=canary)
    found = proposal(*SETS[:2], of("StatefulSet", "api-2", revision="api-2"), target=target, method="Auto")
    assert [write.object.name for write in found.writes] == ["api-2", "api-1", "api-0"]


def test_where_no_pod_is_there_yet_it_waits_and_where_none_is_wanted_there_is_nothing_to_do() -> None:
    found = proposal(pod("of-others"))
    assert (found.writes, found.turn.waits_for) == ((), "3 pods that must be there")
    assert found.evictable == set(), "nor is any of those that were written down"
    assert isinstance(plan(target=workload(replicas=0)), NothingToDo)


@pytest.mark.parametrize(("since", "waits"), [("11:55:00", True), ("11:54:59", False)])
def test_of_a_daemon_set_a_pod_that_hangs_on_a_dead_node_does_not_hold_the_others(since: str, waits: bool) -> None:
    hanging = of("DaemonSet", "api-2", ready=False, deletionTimestamp=f"2026-11-23T{since}Z")
    found = proposal(*DAEMONS[:2], hanging, target=workload("DaemonSet", ready=2))
    assert bool(found.turn.waits_for) is waits
    other = (*SETS[:2], of("StatefulSet", "api-2", deletionTimestamp="2026-11-23T11:00:00Z"))
    assert proposal(*other, target=workload("StatefulSet", ready=2)).turn.waits_for, "its successor has its name"


def test_it_has_run_its_course_when_the_pods_of_the_intent_are_gone_and_all_are_ready() -> None:
    writes = [write.model_copy(update={"state": "Done"}) for write in proposal(*ALL).writes]
    step = Step(id="1-restart", rung=0, action="restart", intent_at=NOW, writes=writes)
    fresh = tuple(well(f"new-{number}") for number in range(3))
    assert not ACTION.observe(step, World(target=workload(), pods=(*fresh[:2], ALL[0]))).done
    assert not ACTION.observe(step, World(target=workload(ready=2), pods=fresh)).done
    assert ACTION.observe(step, World(target=workload(), pods=fresh)).done


def test_the_right_that_is_needed_follows_the_method() -> None:
    assert [right.piece for right in ACTION.needs(Restart(), "Deployment")] == ["restart"]
    assert [right.piece for right in ACTION.needs(Restart(method="Eviction"), "Deployment")] == ["pods"]


def test_auto_covers_each_method_and_no_method_covers_another() -> None:
    methods: tuple[Any, ...] = ("Auto", "Template", "Eviction")
    covered = {(a, b) for a in methods for b in methods if Restart(method=a).covers(Restart(method=b))}
    assert covered == {("Auto", b) for b in methods} | {("Template", "Template"), ("Eviction", "Eviction")}
