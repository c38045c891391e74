"""cordon and uncordon: what is ours is undone by us, what is not is left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from goldseam.actions import cordon, uncordon
from goldseam.api.incident import Step
from goldseam.api.ladder import Cordon, Rung, Uncordon
from goldseam.engine.objects import CONTROL_PLANE
from goldseam.engine.proposal import Action, Effect, NothingToDo, Plan, Proposal, Refusal, Right, World
from tests.support.objects import MARK, node

RIGHT = Right("patch", "", "nodes", name="worker-1")
MASTER = {CONTROL_PLANE: ""}


def plan(
    target: dict[str, Any] | None, *nodes: dict[str, Any], control_plane: bool = True, alone: bool = False
) -> Plan:
    known = (*([target] if target is not None else []), *nodes, *([] if alone else [node("worker-9")]))
    return cordon.ACTION.plan(Cordon(control_plane=control_plane), World(target=target, nodes=known), "token")


def undo(target: dict[str, Any] | None) -> Plan:
    return uncordon.ACTION.plan(Uncordon(), World(target=target), "token")


def test_a_node_is_cordoned_and_that_is_owed() -> None:
    found = plan(node())
    assert isinstance(found, Proposal)
    (write,), (owed,) = found.writes, found.obligations
    assert found.summary == "cordon Node worker-1"
    assert (write.object.uid, write.resource_version, write.generation) == ("uid-worker-1", "300", None)
    assert (write.verb, write.field, write.before, write.want) == ("Patch", "spec.unschedulable", "null", "true")
    assert (owed.kind, owed.key, owed.original, owed.want) == (
        "Uncordon", "uid-worker-1:spec.unschedulable", "null", "true",
    )  # fmt: skip
    assert (found.rights, found.takes_nodes, found.takes_ready) == ((RIGHT,), 1, 0)


def test_a_node_that_we_cordoned_is_left_as_it_is() -> None:
    found = plan(node(cordoned="goldseam"))
    assert isinstance(found, NothingToDo)
    assert found.message == "Node worker-1 is cordoned already, by Goldseam"


def test_a_node_that_a_person_cordoned_stays_theirs() -> None:
    found = plan(node(cordoned="kubectl-cordon"))
    assert isinstance(found, NothingToDo)
    assert "will not be uncordoned" in found.message


@pytest.mark.parametrize("other", [node("m-2", ready=False, labels=MASTER), node("m-2", cordoned="x", labels=MASTER)])
def test_a_control_plane_node_stays_while_another_one_is_out_of_service(other: dict[str, Any]) -> None:
    found = plan(node("m-1", labels=MASTER), other, node("m-3", labels=MASTER))
    assert isinstance(found, Refusal)
    assert found.reason == "ControlPlaneAtRisk"
    assert "m-2 is out of service" in found.message


def test_a_control_plane_node_may_go_while_the_others_serve() -> None:
    assert isinstance(plan(node("m-1", ready=False, labels=MASTER), node("m-2", labels=MASTER)), Proposal)


def test_a_control_plane_node_stays_unless_the_policy_says_that_it_may_go() -> None:
    found = plan(node("m-1", labels=MASTER), node("m-2", labels=MASTER), control_plane=False)
    assert isinstance(found, Refusal)
    assert (found.reason, "write `controlPlane: true`" in found.message) == ("ControlPlaneNode", True)
    assert isinstance(plan(node(), control_plane=False), Proposal)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([], "it is the only node"),
        ([node("w-2", ready=False)], "no node would be in service: the other one is not Ready and schedulable"),
        ([node("w-2", cordoned="kubectl-cordon"), node("w-3", ready=False)], "of the 2 other nodes none"),
    ],
)
def test_the_last_node_in_service_stays(others: list[dict[str, Any]], said: str) -> None:
    found = plan(node(), *others, alone=True)
    assert isinstance(found, Refusal)
    assert (found.reason, said in found.message) == ("LastNode", True)
    assert isinstance(plan(node(), *others, node("w-9"), alone=True), Proposal)


def test_a_policy_that_was_narrowed_to_workers_covers_no_rung_that_takes_others() -> None:
    wide, narrow = Rung(cordon=Cordon(control_plane=True)), Rung(cordon=Cordon())
    assert wide.covers(narrow)
    assert not narrow.covers(wide)


def test_workers_out_of_service_do_not_hold_a_control_plane_node() -> None:
    assert isinstance(plan(node("m-1", labels=MASTER), node("w", ready=False)), Proposal)


def test_a_control_plane_node_out_of_service_does_not_hold_a_worker() -> None:
    assert isinstance(plan(node(), node("m-1", ready=False, labels=MASTER)), Proposal)


def test_what_we_cordoned_is_uncordoned() -> None:
    found = undo(node(cordoned="goldseam"))
    assert isinstance(found, Proposal)
    (write,) = found.writes
    assert (write.field, write.before, write.want) == ("spec.unschedulable", "true", "null")
    assert (found.summary, found.rights, found.obligations, found.takes_nodes) == (
        "uncordon Node worker-1", (RIGHT,), (), 0,
    )  # fmt: skip


def test_what_a_person_cordoned_is_not_uncordoned() -> None:
    found = undo(node(cordoned="kubectl-cordon"))
    assert isinstance(found, NothingToDo)
    assert "kubectl uncordon worker-1" in found.message


def test_our_mark_alone_does_not_make_a_cordon_ours() -> None:
    again = node(cordoned="kubectl-cordon")
    again["metadata"]["annotations"] = MARK
    assert isinstance(undo(again), NothingToDo)


def test_a_node_in_service_needs_no_uncordon() -> None:
    found = undo(node())
    assert isinstance(found, NothingToDo)
    assert found.message == "Node worker-1 is not cordoned"


def test_a_node_that_is_gone_is_refused() -> None:
    for found in (plan(None), undo(None)):
        assert isinstance(found, Refusal)
        assert found.reason == "TargetGone"


def observed(action: Action, target: dict[str, Any] | None) -> Effect:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return action.observe(Step(id="1-x", rung=0, action=action.name, intent_at=now), World(target=target))


def test_each_is_done_when_the_node_says_so() -> None:
    out = node(cordoned="goldseam")
    assert observed(cordon.ACTION, out) == Effect(True, "Node worker-1 is cordoned")
    assert observed(cordon.ACTION, node()) == Effect(False, "Node worker-1 is not cordoned yet")
    assert observed(uncordon.ACTION, node()) == Effect(True, "Node worker-1 is schedulable")
    assert observed(uncordon.ACTION, out) == Effect(False, "Node worker-1 is still cordoned")
    assert not observed(cordon.ACTION, None).done
    assert not observed(uncordon.ACTION, None).done
