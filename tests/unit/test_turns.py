"""Many nodes and few at once: the worst goes first, zones take turns, and each is told its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from goldseam.api.incident import HoldRecord, IncidentStatus, PolicyRef, Step, Write
from goldseam.api.policy import ClusterRemediationPolicySpec
from goldseam.engine.decide import decide
from goldseam.engine.guards.order import BEFORE_ACTING, RESUMING, holding, not_asked
from goldseam.engine.guards.turn import turn
from goldseam.engine.matching import PolicyKey
from goldseam.engine.objects import CONTROL_PLANE, metadata
from goldseam.engine.proposal import Proposal, World
from goldseam.engine.situation import InLine, Ledger, LivePolicy, Other, Situation, Spent
from goldseam.engine.turns import IN_TURN, Waiting, admitted, band, in_line, in_turn, line_of, said, stuck
from tests.unit.test_guards import NOW, TARGET, guardrails, node, situation

KEY = PolicyKey("ClusterRemediationPolicy", "", "heal")
FOREIGN = PolicyKey("ClusterRemediationPolicy", "", "others")


def waits(name: str, zone: str = "a", minutes: float | None = 10, pods: int = 0, policy: PolicyKey = KEY) -> Waiting:
    since = None if minutes is None else NOW - timedelta(minutes=minutes)
    return Waiting(f"uid-{name}", policy, name, zone, since, pods, NOW)


def names(line: Iterable[Waiting]) -> list[str]:
    return [one.node for one in line]


def test_the_one_that_is_not_ready_for_longest_goes_first() -> None:
    assert names(in_turn([waits("b", minutes=5), waits("c", minutes=20), waits("a", minutes=None)], {})) == [
        *("c", "b", "a")
    ]


def test_of_those_of_one_minute_the_one_with_most_pods_goes_first() -> None:
    earlier, fuller = waits("earlier", minutes=10.4), waits("fuller", minutes=10.1, pods=9)
    assert names(in_turn([earlier, fuller], {})) == ["fuller", "earlier"]
    assert names(in_turn([replace(earlier, stuck=9), fuller], {})) == ["earlier", "fuller"]
    assert names(in_turn([waits("b"), waits("a")], {})) == ["a", "b"], "all else the same, by name"


def test_zones_take_turns_and_the_one_with_the_worst_node_begins() -> None:
    a = [waits("a1", minutes=30), waits("a2", minutes=20), waits("a3", minutes=15)]
    b = [waits("b1", "b", minutes=10), waits("b2", "b", minutes=5)]
    assert names(in_turn([*b, *a], {})) == ["a1", "b1", "a2", "b2", "a3"]


def test_the_zone_that_was_served_longest_ago_is_next() -> None:
    both = [waits("a1", minutes=30), waits("b1", "b", minutes=10)]
    assert names(in_turn(both, {"a": NOW})) == ["b1", "a1"]
    assert names(in_turn(both, {"a": NOW - timedelta(minutes=9), "b": NOW})) == ["a1", "b1"]


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        ({}, {"a1", "a2", "b1"}),
        ({"": 2}, {"a1", "a2"}),
        ({"": 2, "zone/a": 1}, {"a1", "b1"}),
        ({"": 2, "zone/a": 0}, {"b1"}),
        ({"": 0}, set()),
        ({str(KEY): 1, "": 3}, {"a1"}),
        ({str(FOREIGN): 0, "": 3}, {"a1", "a2", "b1"}),
        ({"": -1}, set()),
    ],
)
def test_as_many_go_as_all_caps_together_let(room: dict[str, int], expected: set[str]) -> None:
    line = [waits("a1"), waits("a2"), waits("b1", "b")]
    assert admitted(line, room) == {f"uid-{name}" for name in expected}


def test_of_the_control_plane_one_goes_and_those_behind_it_go_nevertheless() -> None:
    masters = [replace(waits(name), control_plane=True) for name in ("m1", "m2")]
    assert admitted([*masters, waits("a1")], {"": 2, CONTROL_PLANE: 1}) == {"uid-m1", "uid-a1"}
    assert admitted([*masters, waits("a1")], {"": 2, CONTROL_PLANE: 0}) == {"uid-a1"}


def pod(kind: str, phase: str = "Running", **meta: Any) -> dict[str, Any]:
    return {"metadata": {"ownerReferences": [{"kind": kind, "controller": True}], **meta}, "status": {"phase": phase}}


def test_pods_that_would_have_to_run_elsewhere_are_stuck_also_half_deleted() -> None:
    going = pod("ReplicaSet", deletionTimestamp="2026-11-23T11:00:00Z")
    stays = [pod("DaemonSet"), pod("Node"), pod("Job", "Succeeded"), pod("Job", "Failed")]
    assert stuck([going, pod("StatefulSet"), {"metadata": {}}, *stays]) == 3


@pytest.mark.parametrize(
    ("place", "expected"),
    [(1, (1, 1)), (10, (10, 10)), (11, (11, 20)), (20, (11, 20)), (21, (21, 50)), (51, (51, 100)), (200, (101, 200))],
)
def test_places_are_told_exactly_up_to_ten_and_then_in_bands(place: int, expected: tuple[int, int]) -> None:
    assert band(place) == expected
    assert band(501) == (501, 1000)


def test_a_place_is_told_with_those_before_it() -> None:
    line = [waits(f"n{number:03}") for number in range(200)]
    assert said(line[:5], "uid-n001") == (2, "waits for its turn: 2nd of 5 nodes, behind n000")
    assert said(line, "uid-n004") == (
        5,
        "waits for its turn: 5th of at most 200 nodes, behind n000, n001, n002 and 1 more",
    )
    far = "waits for its turn: 101st to 200th of at most 200 nodes, worst first, zones in turn"
    assert {said(line, one.uid) for one in line[100:]} == {(200, far)}


def not_ready(name: str, zone: str, minutes: int) -> dict[str, Any]:
    since = (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": "Ready", "status": "Unknown", "lastTransitionTime": since}
    found = node(name, zone, ours=False)
    return {**found, "spec": {}, "status": {"conditions": [condition]}}


def rival(name: str, policy: PolicyKey = KEY, **line: Any) -> Other:
    fields: dict[str, Any] = {"until": NOW + timedelta(minutes=1), **line}
    return Other(
        f"goldseam-system/{name}", f"incident-{name}", NOW, name, policy, None,
        claims=True, busy=False, labels={}, active=True, line=InLine(**fields),
    )  # fmt: skip


def policy_of(concurrent: int) -> Any:
    return ClusterRemediationPolicySpec.model_validate(
        {
            "mode": "Act",
            "alert": {"name": "A"},
            "ladder": [{"drain": {}}],
            "target": {"kind": "Node"},
            "limits": {"concurrent": concurrent},
        }
    )


def drains(*rivals: Other, minutes: int = 10, free: int = 1, **fields: Any) -> Situation:
    """Our node `mine` of zone a is not ready for 10 minutes; b for 30, c for 5, both of other zones."""
    mine = not_ready("mine", "a", minutes)
    mine["metadata"]["uid"] = "uid-mine"
    nodes = (mine, not_ready("b", "b", 30), not_ready("c", "c", 5))
    target = TARGET.model_copy(update={"kind": "Node", "namespace": "", "name": "mine", "uid": "uid-mine"})
    ref = PolicyRef(kind="ClusterRemediationPolicy", name="heal", uid="uid-policy")
    base = situation(
        namespace="goldseam-system",
        spec_=situation().spec.model_copy(update={"target": target, "policy_ref": ref}),
        plan=Proposal((), "drain", (), takes_nodes=1),
        world=World(target=mine, nodes=nodes),
        guardrails=guardrails(budgets={"nodes": {"atOnce": free}}),
        spec=policy_of(5),
        policy=LivePolicy(KEY, "uid-policy", 1, NOW, policy_of(5)),
    )
    return replace(base, others=rivals, **fields)


def test_a_worse_node_that_waits_goes_first() -> None:
    hold = turn(drains(rival("b"), rival("c")), NOW)
    assert hold is not None
    assert (hold.kind, hold.reason, hold.place) == ("Wait", IN_TURN, 2)
    assert hold.message == "waits for its turn: 2nd of 3 nodes, behind b"


@pytest.mark.parametrize(
    "s",
    [
        drains(rival("c")),
        drains(rival("b"), free=2),
        drains(rival("b", until=NOW - timedelta(seconds=1))),
        drains(rival("b", FOREIGN, own_limits=True)),
        drains(replace(rival("b"), claims=False)),
        drains(replace(rival("b"), line=None)),
        drains(rival("elsewhere")),
        drains(rival("b"), plan=Proposal((), "uncordon", ())),
        drains(rival("b"), status=situation().status.model_copy(update={"mode": "Observe"})),
    ],
    ids=[
        *(
            "it is the worst",
            "there is room for both",
            "nobody has looked at it for long",
            "its policy is at its limit",
        ),
        *("it observes", "it waits for something else", "its node is gone", "no node is taken", "we observe"),
    ],
)
def test_it_is_its_turn_though_another_is_open(s: Situation) -> None:
    assert turn(s, NOW) is None


def test_what_holds_all_of_a_policy_keeps_its_order() -> None:
    assert turn(drains(rival("b", own_limits=True)), NOW) is not None


def test_a_step_that_is_written_down_waits_for_nobodys_turn() -> None:
    write = Write(verb="Evict", object=TARGET)
    step = Step(id="1-drain", rung=0, action="drain", intent_at=NOW, writes=[write])
    s = drains(rival("b"), status=situation().status.model_copy(update={"steps": [step]}))
    assert turn(s, NOW) is None
    assert turn not in RESUMING


def test_a_zone_has_had_its_turn_only_since_the_first_of_the_line_was_opened() -> None:
    def served(ago: timedelta) -> Situation:
        ledger = Ledger((Spent("p", "Node//b", NOW - ago, 1), Spent("p", "Node//gone", NOW, 1)))
        return drains(rival("b"), ledger=ledger)

    assert names(line_of(served(timedelta(seconds=30)), NOW)) == ["mine", "b"]
    assert names(line_of(served(timedelta(minutes=3)), NOW)) == ["b", "mine"]


def test_only_the_first_of_the_line_is_held_by_caps_and_budgets_and_tells_people() -> None:
    busy = Other("x", "x", NOW, "else", KEY, None, claims=True, busy=True, labels={}, active=True)
    s = drains(rival("b"), busy, guardrails=guardrails(budgets={"nodes": {"atOnce": 1}}))
    taken = (*s.world.nodes, node("x", "z"))
    s = replace(s, world=replace(s.world, nodes=taken), pinned=policy_of(1))
    assert [hold.reason for hold in holding(BEFORE_ACTING, s, NOW)] == [IN_TURN]
    assert {guard.__name__ for guard in not_asked("Act", [IN_TURN])} == {"budget", "concurrent", "node_caps"}
    far = {guard.__name__ for guard in not_asked("Act", [IN_TURN], far_back=True)}
    assert far == {"budget", "concurrent", "node_caps", "permission"}
    first = replace(s, others=(busy,))
    assert [hold.reason for hold in holding(BEFORE_ACTING, first, NOW)] == ["Concurrent", "NodesAtOnce"]
    waiting = decide(s, NOW).status
    later = decide(replace(s, status=waiting), NOW + timedelta(hours=1))
    assert later.status.escalations == [], "people hear of the first only"
    alone = replace(first, status=decide(first, NOW).status)
    assert decide(alone, NOW + timedelta(hours=1)).status.escalations != []


def test_a_place_is_written_anew_only_when_it_is_another_one() -> None:
    s = drains(rival("b"), rival("c"))
    status = decide(s, NOW).status
    assert status.holds[0].place == 2
    later = NOW + timedelta(seconds=20)
    assert decide(replace(s, status=status), later).status == status, "nothing has changed"
    fewer = decide(replace(s, status=status, others=(rival("b"),)), later).status
    assert fewer.message == "on hold: waits for its turn: 2nd of 2 nodes, behind b"
    assert fewer.holds[0].since == status.holds[0].since


def held(*reasons: str, guard: str = "nodes", again: timedelta = timedelta(minutes=15)) -> IncidentStatus:
    holds = [
        HoldRecord(guard=guard, kind="Wait", reason=r, message="", since=NOW, look_again_at=NOW + again)
        for r in reasons
    ]
    return IncidentStatus(mode="Act", holds=holds)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, None),
        (IncidentStatus(mode="Act"), InLine(NOW + timedelta(seconds=30))),
        (IncidentStatus(mode="Act", rung=1), None),
        (held("NodesInTurn"), InLine(NOW + timedelta(minutes=25))),
        (held("NodesAtOnce", "ClusterBudget"), InLine(NOW + timedelta(minutes=25))),
        (held("NodesAtOnce", "Concurrent"), InLine(NOW + timedelta(minutes=25), own_limits=True)),
        (held("NodesAtOnce", "Silenced"), None),
        (held("ApprovalNeeded", guard="approval"), None),
        (held("NodesInTurn").model_copy(update={"mode": "Observe"}), None),
        (held("NodesInTurn").model_copy(update={"phase": "Escalated"}), None),
        (held("NodesInTurn").model_copy(update={"handed_over": True}), None),
        (held("NodesInTurn").model_copy(update={"steps": [Step(id="1", rung=0, action="drain", intent_at=NOW)]}), None),
    ],
)
def test_who_is_held_by_nothing_but_caps_and_turns_is_in_line(
    status: IncidentStatus | None, expected: InLine | None
) -> None:
    assert in_line(status, NOW) == expected


def test_nodes_that_say_nothing_of_since_when_come_last() -> None:
    s = drains(rival("b"))
    dumb = {"metadata": metadata(s.world.nodes[1]), "status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    s = replace(s, world=replace(s.world, nodes=(s.world.nodes[0], dumb)))
    assert names(line_of(s, NOW)) == ["mine", "b"]
