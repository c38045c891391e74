"""outOfService: what has to be known before a node is taken for one whose machine is off, and what is written then."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from goldseam.actions.out_of_service import ACTION
from goldseam.api.incident import ObjectRef, Obligation, Step, Write
from goldseam.api.ladder import OutOfService
from goldseam.engine import out_of_service as off
from goldseam.engine.cordons import marks
from goldseam.engine.lineage import still_ours
from goldseam.engine.objects import CONTROL_PLANE, patch_of, value_at
from goldseam.engine.proposal import Effect, NothingToDo, Plan, Proposal, Refusal, Right, World, place
from goldseam.services.act import body
from tests.support.objects import Json, heartbeats, node, pod

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SINCE, LATELY = "2026-11-23T11:49:00Z", "2026-11-23T11:59:55.123456Z"
SHUT_DOWN: Json = {"key": off.SHUT_DOWN, "effect": "NoSchedule"}
OURS: Json = {"key": off.KEY, "value": off.VALUE, "effect": off.EFFECT, "timeAdded": "2026-11-23T12:00:00Z"}
THEIRS: Json = {"key": off.KEY, "value": off.VALUE, "effect": off.EFFECT}
UNREACHABLE = OutOfService(when="Unreachable")


def dead(**changes: Any) -> Json:
    """A node whose machine is off, as its cloud provider says."""
    return node(**({"ready": None, "since": SINCE, "taints": (SHUT_DOWN,)} | changes))


def world(target: Json | None = None, **more: Any) -> World:
    target = dead() if target is None else target
    fields: Json = {"nodes": (target, node("worker-2")), "heartbeats": heartbeats("2026-11-23T11:48:12Z", LATELY)}
    return World(target=target, **({"now": NOW, "pods": (pod("api-0"),)} | fields | more))


def plan(seen: World | None = None, told: OutOfService | None = None) -> Plan:
    return ACTION.plan(told or OutOfService(), world() if seen is None else seen, "the-token")


def refused(seen: World, told: OutOfService | None = None) -> Refusal:
    found = plan(seen, told)
    assert isinstance(found, Refusal)
    return found


def test_a_dead_node_is_cordoned_and_tainted_by_one_request_and_both_are_owed() -> None:
    found = plan()
    assert isinstance(found, Proposal)
    assert [(w.field, w.before, json.loads(w.want)) for w in found.writes] == [
        ("spec.unschedulable", "null", True),
        (off.FIELD, "null", OURS),
    ]
    assert {w.resource_version for w in found.writes} == {"300"}
    assert [(o.kind, o.original, o.want) for o in found.obligations] == [
        ("Uncordon", "null", "true"),
        ("Untaint", "null", found.writes[1].want),
    ]
    assert found.rights == (
        Right("patch", "", "nodes", name="worker-1"),
        Right("out-of-service", "", "nodes", name="worker-1"),
    )
    assert (found.takes_nodes, found.asks_about) == (1, ("ShutDown",))
    assert found.summary == (
        "cordon and take Node worker-1 out of service: Kubernetes deletes 1 pod by force and detaches volumes:"
        " shop/api-0"
    )


def test_what_is_known_of_the_machine_stands_before_the_question() -> None:
    claim = {"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]}
    found = plan(world(pods=(pod("api-0"), pod("db-0", "StatefulSet", spec=claim))))
    assert isinstance(found, Proposal)
    assert found.preflight == (
        "the kubelet is silent since 2026-11-23 11:49:00 UTC, while other nodes renew their Leases",
        "the cloud provider says that the machine is shut down (taint node.cloudprovider.kubernetes.io/shutdown)",
        "2 pods would be deleted by force, and the volumes of 1 detached, mounted or not",
    )
    bare = plan(world(pods=(pod("api-0"),)))
    assert isinstance(bare, Proposal)
    assert bare.preflight[-1] == "1 pod would be deleted by force, and none of them has a volume to detach"
    guessed = plan(world(dead(taints=())), UNREACHABLE)
    assert isinstance(guessed, Proposal)
    assert guessed.asks_about == ("Unreachable",)
    assert guessed.preflight[1] == (
        "nobody says that the machine is off (taint node.cloudprovider.kubernetes.io/shutdown); the policy says that a"
        " silent one is: Unreachable"
    )


def test_the_write_is_pinned_to_the_last_renewal_and_carries_the_mark() -> None:
    found = plan()
    assert isinstance(found, Proposal)
    assert [write.renewed for write in found.writes] == [None, "2026-11-23T11:48:12Z"]
    sent = body(found.writes, "the-token", "goldseam-system/i", dead())
    assert sent["spec"] == {"unschedulable": True, "taints": [SHUT_DOWN, OURS]}
    assert sent["metadata"]["annotations"][off.MARK] == "2026-11-23T12:00:00Z"
    back = found.writes[1].model_copy(update={"before": found.writes[1].want, "want": "null"})
    assert marks([back], None) == {off.MARK: None}


@pytest.mark.parametrize("by", ["goldseam", "kubectl-cordon"])
def test_a_node_that_is_cordoned_already_is_tainted_only_and_stays_whose_it_is(by: str) -> None:
    found = plan(world(dead(cordoned=by)))
    assert isinstance(found, Proposal)
    assert [write.field for write in found.writes] == [off.FIELD]
    assert [o.kind for o in found.obligations] == ["Untaint"]
    assert found.takes_nodes == (0 if by == "goldseam" else 1)
    assert ("it will not be uncordoned" in found.summary) == (by != "goldseam")


@pytest.mark.parametrize("ready", [True, False])
def test_a_kubelet_that_reports_anything_is_on_a_machine_that_runs(ready: bool) -> None:
    found = refused(world(dead(ready=ready)), UNREACHABLE)
    assert (found.reason, found.waits) == ("KubeletReports", False)
    assert found.message.startswith(f"Node worker-1: its kubelet reports (Ready is {ready}), so its machine is on")


@pytest.mark.parametrize(
    ("target", "leases"),
    [
        (dead(since="2026-11-23T11:50:01Z"), heartbeats("2026-11-23T11:48:00Z", LATELY)),
        (dead(), heartbeats("2026-11-23T11:51:00Z", LATELY)),
        (dead(), heartbeats("2026-11-23T12:30:00Z", LATELY)),
    ],
    ids=["by the node", "by its Lease", "by a Lease of the future"],
)
def test_it_waits_until_both_lease_and_node_have_been_silent_for_long_enough(target: Json, leases: Any) -> None:
    found = refused(world(target, heartbeats=leases), UNREACHABLE)
    assert (found.reason, found.waits) == ("NotSilentForLong", True)
    assert found.until is not None
    assert found.until > NOW


def test_how_long_it_waits_is_known() -> None:
    found = refused(world(now=NOW - timedelta(minutes=5)), UNREACHABLE)
    assert found.until == datetime(2026, 11, 23, 11, 59, tzinfo=UTC)
    assert found.message == "the kubelet of Node worker-1 is silent since 11:49:00 UTC, not yet for 10m"


@pytest.mark.parametrize("others", ["", "2026-11-23T11:49:30Z", "nonsense"], ids=["none", "silent too", "unknown"])
def test_where_no_other_kubelet_is_heard_of_it_may_be_the_control_plane_that_is_cut_off(others: str) -> None:
    found = refused(world(heartbeats=heartbeats("2026-11-23T11:48:12Z", others)))
    assert (found.reason, found.waits) == ("NobodyIsHeard", True)


def test_a_clock_of_ours_that_is_ahead_shortens_nothing() -> None:
    ahead = world(dead(since="2026-11-23T11:59:00Z"), now=NOW + timedelta(hours=3))
    assert refused(ahead).reason == "NobodyIsHeard"


@pytest.mark.parametrize(
    ("target", "leases", "said"),
    [
        (dead(since=""), heartbeats("2026-11-23T11:48:00Z", LATELY), "its condition Ready does not say so"),
        (dead(), heartbeats("", LATELY), "its Lease does not say so"),
        (dead(), (), "its Lease does not say so"),
        (dead(since="2026-11-23T11:00:00"), heartbeats("2026-11-23T11:48:00Z", LATELY), "its condition Ready"),
    ],
)
def test_what_does_not_say_since_when_is_not_guessed(target: Json, leases: Any, said: str) -> None:
    found = refused(world(target, heartbeats=leases), UNREACHABLE)
    assert (found.reason, found.waits) == ("SilenceUnknown", False)
    assert said in found.message


def test_leases_that_may_not_be_read_are_named_with_the_piece() -> None:
    found = refused(world(heartbeats=(), closed=frozenset({"heartbeats"})))
    assert found.reason == "HeartbeatsClosed"
    assert "install the component out-of-service" in found.message


def test_a_silent_machine_is_not_off_unless_its_provider_or_the_policy_says_so() -> None:
    running = world(dead(taints=({"key": "a", "effect": "NoExecute"},)))
    found = refused(running)
    assert (found.reason, found.waits) == ("PerhapsOn", False)
    assert "write `when: Unreachable` only if a silent machine is surely off" in found.message
    assert isinstance(plan(running, UNREACHABLE), Proposal)


@pytest.mark.parametrize(
    ("taint", "mark", "said"),
    [
        (OURS, "2026-11-23T12:00:00Z", "set by Goldseam"),
        (OURS, "2026-11-23T11:00:00Z", "not by Goldseam: it will not be taken away"),
        (OURS, "", "not by Goldseam"),
        (THEIRS, "2026-11-23T12:00:00Z", "not by Goldseam"),
        (OURS | {"value": "other"}, "2026-11-23T12:00:00Z", "not by Goldseam"),
    ],
)
def test_a_taint_that_is_there_is_left_and_its_time_tells_whose_it_is(taint: Json, mark: str, said: str) -> None:
    target = dead(taints=(SHUT_DOWN, taint))
    target["metadata"]["annotations"] = {off.MARK: mark} if mark else {}
    found = plan(world(target))
    assert isinstance(found, NothingToDo)
    assert said in found.message


@pytest.mark.parametrize("pods", [(), (pod("ds", "DaemonSet"),), (pod("old", phase="Succeeded"),)])
def test_where_no_pod_is_missed_elsewhere_there_is_nothing_to_do(pods: Any) -> None:
    assert isinstance(plan(world(pods=pods)), NothingToDo)


def test_pods_that_hang_half_deleted_are_what_it_is_for() -> None:
    hanging = pod("api-0", metadata={"deletionTimestamp": "2026-11-23T11:55:00Z"})
    assert isinstance(plan(world(pods=(hanging,))), Proposal)


def test_a_node_of_the_control_plane_is_left_unless_the_rung_opts_in_and_no_other_one_is_away() -> None:
    target = dead(labels={CONTROL_PLANE: ""})
    assert refused(world(target)).reason == "ControlPlaneNode"
    opted = OutOfService(control_plane=True)
    assert isinstance(plan(world(target), opted), Proposal)
    other = node("worker-2", ready=False, labels={CONTROL_PLANE: ""})
    assert refused(world(target, nodes=(target, other)), opted).reason == "ControlPlaneAtRisk"


def test_it_is_done_when_nobody_is_missed_or_when_the_node_speaks_again() -> None:
    step = Step(id="1-outOfService", rung=0, action="outOfService", intent_at=NOW)
    left = ACTION.observe(step, world())
    assert left == Effect(False, "1 pod still on Node worker-1: shop/api-0")
    assert ACTION.observe(step, world(pods=())).done
    assert ACTION.observe(step, world(dead(ready=False))).message == "the kubelet of Node worker-1 reports again"
    assert ACTION.observe(step, replace(world(), target=None)).done


@pytest.mark.parametrize(
    ("mine", "other", "covered"),
    [
        ({}, {}, True),
        ({}, {"when": "Unreachable"}, False),
        ({"when": "Unreachable"}, {"when": "ShutDown"}, True),
        ({}, {"unreachableFor": "1h"}, True),
        ({"unreachableFor": "1h"}, {}, False),
        ({}, {"controlPlane": True}, False),
    ],
)
def test_an_incident_takes_no_node_sooner_or_on_less_knowledge_than_its_policy_says_now(
    mine: Json, other: Json, covered: bool
) -> None:
    assert OutOfService.model_validate(mine).covers(OutOfService.model_validate(other)) is covered


def test_what_another_incident_has_cordoned_is_owed_with_the_taint() -> None:
    found = plan(world(dead(cordoned="goldseam"), lent=True))
    assert isinstance(found, Proposal)
    assert [write.field for write in found.writes] == [off.FIELD]
    assert [o.kind for o in found.obligations] == ["Uncordon", "Untaint"]


def test_only_our_own_taint_is_still_ours() -> None:
    ref = ObjectRef(api_version="v1", kind="Node", name="worker-1", uid="uid-worker-1")
    owed = Obligation(key="k", kind="Untaint", object=ref, field=off.FIELD, original="null", want=off.taint(NOW))
    at = place("Node", "", "worker-1")
    assert still_ours(owed, World(target=None, touched={at: dead(taints=(SHUT_DOWN, OURS))}))
    for other in (THEIRS, OURS | {"timeAdded": "2026-11-23T12:00:01Z"}):
        assert not still_ours(owed, World(target=None, touched={at: dead(taints=(other,))}))


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        (None, {"key": "a"}, [{"key": "a"}]),
        ([{"key": "b"}], {"key": "a"}, [{"key": "b"}, {"key": "a"}]),
        ([{"key": "a", "value": "1"}, {"key": "b"}], {"key": "a"}, [{"key": "a"}, {"key": "b"}]),
        ([{"key": "a"}, {"key": "b"}], None, [{"key": "b"}]),
        ([{"key": "b"}], None, [{"key": "b"}]),
    ],
)
def test_one_entry_of_a_list_is_set_or_taken_away_and_the_others_stay(before: Any, value: Any, after: Any) -> None:
    obj = {"spec": {"taints": before} if before is not None else {}}
    assert patch_of({"spec.taints[key=a]": value}, obj) == {"spec": {"taints": after}}
    assert value_at({"spec": {"taints": after}}, "spec.taints[key=a]") == json.dumps(value)


def test_a_taint_that_was_planned_a_moment_ago_is_the_same_one() -> None:
    ref = ObjectRef(api_version="v1", kind="Node", name="worker-1", uid="u")

    def write(want: str) -> Write:
        return Write(verb="Patch", object=ref, field=off.FIELD, want=want)

    earlier, now, later = (write(off.taint(NOW + timedelta(minutes=minutes))) for minutes in (-1, 0, 1))
    assert off.alike(earlier, [now]) == now
    assert off.alike(later, [now]) == later, "from the future"
    assert off.alike(earlier, []) == earlier
    forged = write(json.dumps(THEIRS | {"key": "a"}))
    assert off.alike(forged, [now]) == forged
