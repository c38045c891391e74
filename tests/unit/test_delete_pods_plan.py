"""deletePods: which pods go, how many of them, and which stay whatever is wrong with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from goldseam.actions.delete_pods import ACTION
from goldseam.api.incident import Step, Write
from goldseam.api.ladder import DeletePods
from goldseam.engine import lineage
from goldseam.engine.proposal import Effect, NothingToDo, Plan, Proposal, Refusal, Right, World
from tests.support.objects import owned_by, pod, replica_set, troubled, workload

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ALL = ("CrashLoopBackOff", "NotReady", "ContainerCreating", "Failed")
LOOPING = troubled("api-1", "CrashLoopBackOff")


def world(*pods: Any, target: Any = None, sets: Any = None) -> World:
    owners = (replica_set(),) if sets is None else sets
    return World(target=target or workload(replicas=8), pods=pods, replica_sets=owners, now=NOW)


def plan(*pods: Any, states: tuple[str, ...] = ALL, most: int | str = 8, lasting: str = "5m", **fields: Any) -> Plan:
    parameters = DeletePods.model_validate({"states": states, "atMost": most, "for": lasting})
    return ACTION.plan(parameters, world(*pods, **fields), "token")


def names(found: Plan) -> list[str]:
    return [write.object.name for write in found.writes] if isinstance(found, Proposal) else []


def test_a_pod_in_trouble_is_evicted_by_its_uid_and_nothing_of_the_target_is_written() -> None:
    found = plan(LOOPING, pod("api-2"))
    assert isinstance(found, Proposal)
    (write,) = found.writes
    assert (write.verb, write.object.kind, write.object.uid, write.field) == ("Evict", "Pod", "uid-api-1", "")
    assert found.rights == (Right("create", "", "pods", "eviction", "shop"),)
    assert (found.takes_ready, found.takes_nodes, found.obligations) == (0, 0, ())
    assert found.summary == (
        "evict 1 pod of Deployment shop/api that is CrashLoopBackOff or NotReady for 5m or ContainerCreating for 5m or"
        " Failed: api-1"
    )


OLD, YOUNG = "2026-11-23T11:55:00Z", "2026-11-23T11:55:01Z"


@pytest.mark.parametrize(
    ("obj", "states"),
    [
        (LOOPING, {"CrashLoopBackOff", "NotReady"}),
        (troubled("a", "CrashLoopBackOff", since=YOUNG), {"CrashLoopBackOff"}),
        (troubled("a", "CrashLoopBackOff", since=YOUNG, phase="Pending", init=True), {"CrashLoopBackOff"}),
        (troubled("a", since=OLD), {"NotReady"}),
        (troubled("a", since=YOUNG), set()),
        (troubled("a", "ContainerCreating", phase="Pending", since=OLD), {"ContainerCreating"}),
        (troubled("a", "PodInitializing", phase="Pending", since=OLD), {"ContainerCreating"}),
        (troubled("a", "ContainerCreating", phase="Pending", since=YOUNG), set()),
        (troubled("a", "ImagePullBackOff", phase="Pending", since=OLD), set()),
        (troubled("a", phase="Pending", since=OLD), set()),
        (troubled("a", phase="Failed", since=YOUNG), {"Failed"}),
        (troubled("a", phase="Succeeded", since=OLD), set()),
        (pod("a") | {"metadata": LOOPING["metadata"]}, set()),
    ],
)
def test_each_state_is_what_it_is_called(obj: Any, states: set[str]) -> None:
    assert {state for state in ALL if names(plan(obj, states=(state,)))} == states


def ran(seconds: int, *, restarts: int = 3, now: str = "running", ago: int = 5, ready: bool = False) -> Any:
    """A pod whose container's last run took so long, and which runs for `ago` seconds now, or has just ended."""
    began = NOW - timedelta(seconds=ago)
    over = {
        "startedAt": (began - timedelta(seconds=seconds + 60)).isoformat(),
        "finishedAt": (began - timedelta(seconds=60)).isoformat(),
    }
    found = troubled("api-1", since=YOUNG)
    state = {"running": {"startedAt": began.isoformat()}} if now == "running" else {"terminated": {"exitCode": 1}}
    found["status"]["containerStatuses"] = [
        {"restartCount": restarts, "state": state, "lastState": {"terminated": over}}
    ]
    found["status"]["conditions"][0]["status"] = "True" if ready else "False"
    return found


@pytest.mark.parametrize(
    ("obj", "loops"),
    [
        (ran(30), True),
        (ran(30, now="terminated"), True),
        (ran(30, restarts=2), False),
        (ran(600), False),
        (ran(30, ago=599), True),
        (ran(30, ago=600), False),
        (ran(30, ago=59, ready=True), True),
        (ran(30, ago=60, ready=True), False),
        (troubled("a", since=YOUNG) | {"spec": {}}, False),
    ],
)
def test_between_two_back_offs_it_loops_still(obj: Any, loops: bool) -> None:
    assert bool(names(plan(obj, states=("CrashLoopBackOff",)))) is loops


def test_one_that_is_still_being_started_is_given_its_time() -> None:
    starting = troubled("api-1")
    starting["status"]["containerStatuses"] = [{"started": False, "state": {"running": {}}}]
    assert names(plan(starting)) == ["api-1"], "a run that says no beginning is no run"
    starting["status"]["containerStatuses"] = [{"started": False, "state": {"running": {"startedAt": OLD}}}]
    assert names(plan(starting)) == []


def test_an_init_container_that_works_takes_as_long_as_it_takes_and_a_sidecar_runs_for_ever() -> None:
    coming = troubled("api-1", "PodInitializing", phase="Pending")
    coming["status"]["initContainerStatuses"] = [{"name": "migrate", "state": {"running": {"startedAt": OLD}}}]
    assert names(plan(coming)) == []
    coming["spec"]["initContainers"] = [{"name": "migrate", "restartPolicy": "Always"}]
    assert names(plan(coming)) == ["api-1"]


def test_those_that_have_ended_go_last_for_they_were_replaced_already() -> None:
    assert names(plan(troubled("a", phase="Failed"), LOOPING, most=1)) == ["api-1"]


def test_a_condition_that_says_no_time_proves_nothing() -> None:
    timeless = troubled("api-1")
    del timeless["status"]["conditions"][0]["lastTransitionTime"]
    assert names(plan(timeless)) == []
    timeless["status"]["conditions"] = []
    assert names(plan(timeless)) == []


def test_only_the_targets_own_pods_go_whatever_its_selector_selects() -> None:
    bare = troubled("bare", "CrashLoopBackOff")
    del bare["metadata"]["ownerReferences"]
    assert names(plan(troubled("other", "CrashLoopBackOff", owner="uid-other-set"), bare)) == []
    assert names(plan(LOOPING, sets=(replica_set(owner="uid-somebody-elses"),))) == []
    direct = troubled("api-0", "CrashLoopBackOff", owner="uid-api")
    assert names(plan(direct, target=workload("StatefulSet"), sets=())) == ["api-0"]
    assert names(plan(direct, target=workload("DaemonSet"), sets=())) == ["api-0"]


def test_one_that_is_on_its_way_out_is_left_to_go() -> None:
    leaving = troubled("api-1", "CrashLoopBackOff", metadata={"deletionTimestamp": "2026-11-23T11:59:00Z"})
    assert names(plan(leaving)) == []


def test_one_that_must_not_be_disturbed_stays_and_where_all_are_such_it_is_refused() -> None:
    marked = troubled("api-1", "CrashLoopBackOff", metadata={"annotations": {"karpenter.sh/do-not-disrupt": "true"}})
    assert names(plan(marked, troubled("api-2", "CrashLoopBackOff"))) == ["api-2"]
    found = plan(marked)
    assert isinstance(found, Refusal)
    assert (found.reason, found.evictable) == ("DoNotDisrupt", frozenset())
    assert "api-1" in found.message


@pytest.mark.parametrize(
    ("most", "replicas", "gone"),
    [(1, 8, 1), (3, 8, 3), ("25%", 8, 2), ("30%", 8, 2), ("10%", 8, 1), ("100%", 8, 5), (100, 8, 5), ("50%", 1, 1)],
)
def test_no_more_go_at_once_than_the_policy_allows_but_one_always(most: int | str, replicas: int, gone: int) -> None:
    pods = [troubled(f"api-{number}", "CrashLoopBackOff") for number in range(5)]
    found = plan(*pods, most=most, target=workload(replicas=replicas))
    assert names(found) == [f"api-{number}" for number in range(gone)]
    assert isinstance(found, Proposal)
    assert found.evictable == {f"uid-api-{number}" for number in range(5)}
    assert found.summary.startswith("evict 5 pods of" if gone == 5 else f"evict {gone} of 5 pods of")


def test_one_that_is_ready_though_a_container_loops_goes_last_and_counts_as_taken() -> None:
    ready = troubled("api-0", "CrashLoopBackOff")
    ready["status"]["conditions"][0]["status"] = "True"
    found = plan(ready, LOOPING)
    assert isinstance(found, Proposal)
    assert names(found) == ["api-1", "api-0"]
    assert found.takes_ready == 1


def test_where_no_pod_is_in_trouble_there_is_nothing_to_do() -> None:
    found = plan(pod("api-1"), states=("NotReady", "Failed"), lasting="10m")
    assert isinstance(found, NothingToDo)
    assert found.message == "no pod of Deployment shop/api is NotReady for 10m or Failed"
    assert found.evictable == frozenset()


def test_a_target_that_is_gone_is_refused() -> None:
    found = ACTION.plan(DeletePods.model_validate({"states": ["Failed"]}), World(target=None), "token")
    assert isinstance(found, Refusal)
    assert found.reason == "TargetGone"


def step(*writes: Write) -> Step:
    return Step(id="1-deletePods", rung=0, action="deletePods", intent_at=NOW, writes=list(writes))


def written(*pods: Any) -> tuple[Write, ...]:
    found = plan(*pods)
    assert isinstance(found, Proposal)
    return found.writes


def states(step: Step) -> list[tuple[str, str, bool]]:
    return [(write.object.name, write.state, lineage.was_spared(write)) for write in step.writes]


def test_one_that_got_well_before_it_went_stays() -> None:
    both = step(*written(LOOPING, troubled("api-2", "CrashLoopBackOff")))
    left = lineage.spared(both, plan(troubled("api-2", "CrashLoopBackOff"), pod("api-1")))
    assert states(left) == [("api-1", "Done", True), ("api-2", "Pending", False)]
    none = lineage.spared(both, plan(pod("api-1"), pod("api-2")))
    assert all(lineage.was_spared(write) for write in none.writes)
    assert lineage.spared(both, None) == both
    made = step(*(write.model_copy(update={"state": "Done"}) for write in both.writes))
    assert lineage.spared(made, plan(pod("api-1"))) == made
    assert not any(lineage.was_spared(write) for write in made.writes)


def test_of_what_is_written_down_no_more_goes_than_one_step_may_take() -> None:
    three = [troubled(f"api-{number}", "CrashLoopBackOff") for number in range(3)]
    much = step(*written(*three))
    assert states(lineage.spared(much, plan(*three, most=1))) == [
        ("api-0", "Pending", False),
        ("api-1", "Done", True),
        ("api-2", "Done", True),
    ]
    begun = much.model_copy(update={"writes": [much.writes[0].model_copy(update={"state": "Done"}), *much.writes[1:]]})
    assert [spared for _, _, spared in states(lineage.spared(begun, plan(*three[1:], most=1)))] == [False, True, True]


def test_the_rest_of_a_step_may_be_given_up_and_what_was_made_stays_made() -> None:
    writes = written(LOOPING, troubled("api-2", "CrashLoopBackOff"))
    begun = step(writes[0].model_copy(update={"state": "Done"}), writes[1])
    left = lineage.without_the_rest(begun, "the policy was changed")
    assert states(left) == [("api-1", "Done", False), ("api-2", "Done", True)]
    assert left.writes[1].message == "it stays: the policy was changed"


def test_it_has_run_its_course_when_they_are_gone_and_the_target_is_complete() -> None:
    (write,) = written(LOOPING)
    done = step(write.model_copy(update={"state": "Done"}))

    def seen(*pods: Any, ready: int = 8) -> Effect:
        return ACTION.observe(done, world(*pods, target=workload(replicas=8, ready=ready)))

    assert seen(LOOPING).message == "pod api-1 of Deployment shop/api is not gone yet"
    assert not seen(LOOPING).done
    assert not seen(ready=7).done
    assert seen().done
    spared = lineage.spared(step(write), plan(pod("api-1")))
    assert ACTION.observe(spared, world(pod("api-1"))).done
    assert not ACTION.observe(done, World(target=None)).done


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"states": []}, "states"),
        ({"states": ["Failed", "Failed"]}, "each state at most once"),
        ({"states": ["Broken"]}, "states"),
        ({"states": ["Failed"], "atMost": 0}, "atMost: must be at least 1, or 1%"),
        ({"states": ["Failed"], "atMost": "0%"}, "atMost: must be at least 1, or 1%"),
        ({"states": ["Failed"], "atMost": "110%"}, "atMost"),
        ({"states": ["Failed"], "atMost": -1}, "atMost"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_field(fields: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DeletePods.model_validate(fields)


def test_a_live_policy_covers_what_it_would_do_itself_and_no_more() -> None:
    live = DeletePods.model_validate({"states": ["Failed", "NotReady"], "for": "5m", "atMost": 3})

    def covered(**change: Any) -> bool:
        return live.covers(DeletePods.model_validate({"states": ["NotReady"], "for": "5m", "atMost": 3} | change))

    assert covered()
    assert covered(atMost=2, **{"for": "6m"})
    assert not covered(states=["CrashLoopBackOff"])
    assert not covered(**{"for": "4m"})
    assert not covered(atMost=4)
    assert not covered(atMost="1%"), "which is more is a matter of the moment"


PODS = st.tuples(
    st.sampled_from(["", *ALL, "ImagePullBackOff"]),
    st.sampled_from(["Running", "Pending", "Failed"]),
    st.booleans(),
    st.integers(0, 20),
)


@given(st.lists(PODS, max_size=12), st.integers(1, 12))
def test_whatever_the_pods_it_evicts_no_more_than_allowed_and_afterwards_nothing(
    found: list[tuple[str, str, bool, int]], most: int
) -> None:
    pods = []
    for number, (reason, phase, ours, minutes) in enumerate(found):
        since = (NOW - timedelta(minutes=minutes)).isoformat()
        owner = "uid-set" if ours else "uid-other"
        pods.append(troubled(f"api-{number}", reason, phase=phase, since=since, owner=owner))
    first = plan(*pods, most=most)
    gone = set(names(first))
    assert len(gone) <= most
    assert gone <= {f"api-{n}" for n, (_, _, ours, _) in enumerate(found) if ours}
    if isinstance(first, Proposal):
        assert all(write.verb == "Evict" for write in first.writes)
        left = [one for one in pods if f"uid-{one['metadata']['name']}" not in (first.evictable or ())]
        assert isinstance(plan(*left, most=most), NothingToDo)


def test_pods_of_another_kind_of_owner_are_not_taken() -> None:
    foreign = pod("api-9", ready=False) | {
        "metadata": LOOPING["metadata"] | {"ownerReferences": owned_by("Job", "job")}
    }
    assert names(plan(foreign)) == []
