"""What stands on a node that Goldseam has cordoned, and what is made of it later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from goldseam.actions.forced import plan
from goldseam.actions.nodes import cordoning, marking
from goldseam.api.incident import ObjectRef, Step, Write
from goldseam.api.ladder import Drain
from goldseam.engine.cordons import AT_DEADLINE, DEADLINE, left_for_good, marks
from goldseam.engine.lineage import judged
from goldseam.engine.proposal import NothingToDo, Plan, Proposal, Right, World, place
from goldseam.services.act import body
from tests.support.objects import node, pod

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OTHER = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="api", uid="u")
FORCE = Drain(at_deadline="Force")


def uncordoning(want: str) -> Write:
    return cordoning(node())[0].model_copy(update={"before": "true", "want": want})


def test_a_cordon_says_until_when_in_utc() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=2)))
    assert marks([cordoning(node())[0]], there) == {DEADLINE: "2026-11-23T12:00:00Z", AT_DEADLINE: None}
    assert marks([cordoning(node())[0]], None) == {DEADLINE: None, AT_DEADLINE: None}, "no old one stays"


@pytest.mark.parametrize("want", ["null", "false"])
def test_an_uncordon_takes_the_marks_away(want: str) -> None:
    assert marks([uncordoning(want)], NOW) == {DEADLINE: None, AT_DEADLINE: None}


def test_no_other_object_is_marked() -> None:
    assert marks([Write(verb="Patch", object=OTHER, field="spec.replicas", want="0")], NOW) == {}


def test_one_request_carries_cordon_token_and_both_marks() -> None:
    writes = [cordoning(node())[0], *marking(node(), "LeaveCordoned", World(target=node(), now=NOW))]
    found = body(writes, "the-token", "goldseam-system/i", None, NOW)
    assert found["spec"] == {"unschedulable": True}
    assert found["metadata"]["annotations"] == {
        "goldseam.dev/token": "the-token",
        "goldseam.dev/incident": "goldseam-system/i",
        "goldseam.dev/drain-deadline": "2026-11-23T12:00:00Z",
        "goldseam.dev/at-deadline": "LeaveCordoned",
    }


@pytest.mark.parametrize("at_deadline", ["LeaveCordoned", "Force"])
def test_what_an_earlier_drain_has_left_there_is_said_anew_with_the_cordon(
    at_deadline: str,
) -> None:
    there = node()
    there["metadata"]["annotations"] = {AT_DEADLINE: at_deadline, DEADLINE: "2026-11-01T00:00:00Z"}
    writes = [cordoning(there)[0], *marking(there, at_deadline, World(target=there, now=NOW))]
    assert body(writes, "t", "goldseam-system/i", None, NOW)["metadata"]["annotations"][AT_DEADLINE] == at_deadline
    step = Step(id="1-drain", rung=0, action="drain", intent_at=NOW, writes=writes, token="t")
    world = World(target=there, touched={place("Node", "", there["metadata"]["name"]): there})
    assert [write.state for write in judged(step, world).writes] == ["Pending", "Pending"], "both go in one request"
    del there["metadata"]["annotations"][AT_DEADLINE]  # somebody tidies up before it was made
    step = judged(step, world)
    assert [write.state for write in step.writes] == ["Pending", "Pending"]
    there["metadata"]["annotations"] |= {AT_DEADLINE: at_deadline, "goldseam.dev/token": "t"}
    assert judged(step, world).writes[1].state == "Done"


def left(deadline: str | None = "2026-11-23T12:00:00Z", at: str | None = "LeaveCordoned", by: str = "goldseam") -> bool:
    found = node(cordoned=by)
    notes = {DEADLINE: deadline, AT_DEADLINE: at}
    known = found["metadata"].get("annotations", {})
    found["metadata"]["annotations"] = known | {k: v for k, v in notes.items() if v is not None}
    return left_for_good(found, NOW)


def test_a_node_whose_mark_says_so_is_left_from_its_deadline_on() -> None:
    assert left()
    assert not left("2026-11-23T12:00:01Z")
    assert not left(at="Uncordon")
    assert not left(at=None)
    assert not left(by="kubectl-cordon")


@pytest.mark.parametrize("deadline", [None, "", "soon", "2026-11-23T11:00:00"])
def test_a_mark_that_somebody_else_has_written_leaves_no_node(deadline: str | None) -> None:
    assert not left(deadline)


def forced(*pods: dict[str, Any], frozen: list[str], told: Drain = FORCE, gone: bool = False) -> Plan:
    refs = [ObjectRef(api_version="v1", kind="Pod", namespace="shop", name=name, uid=f"uid-{name}") for name in frozen]
    writes = [Write(verb="Evict", object=ref) for ref in refs]
    step = Step(id="1-drain", rung=0, action="drain", intent_at=NOW, writes=writes)
    return plan(told, World(target=None if gone else node(), pods=pods), step)


def test_what_the_drain_had_written_down_and_is_there_still_is_deleted_by_its_uid() -> None:
    found = forced(pod("a"), pod("b"), pod("new"), frozen=["a", "b", "gone"])
    assert isinstance(found, Proposal)
    assert [(w.verb, w.object.name, w.object.uid) for w in found.writes] == [
        ("Delete", "a", "uid-a"), ("Delete", "b", "uid-b"),
    ]  # fmt: skip
    assert found.rights == (Right("delete", "", "pods"),)


@pytest.mark.parametrize(
    "spared",
    [
        pod("a", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        pod("a", "DaemonSet"),
        pod("a", metadata={"annotations": {"kubernetes.io/config.mirror": "x"}}),
        pod("a", metadata={"labels": {"app.kubernetes.io/name": "goldseam"}}),
    ],
)
def test_what_a_drain_leaves_or_what_goes_by_itself_is_not_deleted(spared: dict[str, Any]) -> None:
    assert isinstance(forced(spared, frozen=["a"]), NothingToDo)


def test_without_the_policys_word_nothing_is_deleted() -> None:
    assert isinstance(forced(pod("a"), frozen=["a"], told=Drain()), NothingToDo)
    assert not isinstance(forced(pod("a"), frozen=["a"], gone=True), Proposal)
