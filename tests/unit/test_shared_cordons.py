"""A cordon that several incidents build on: who owes it, who hands it on, and who pays."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from goldseam.actions.nodes import marking, shared
from goldseam.actions.registry import ACTIONS
from goldseam.api.incident import Step, Verdict, Write
from goldseam.api.ladder import Cordon, Drain, Uncordon
from goldseam.engine import closing, obligations
from goldseam.engine.cordons import AT_DEADLINE, AT_DEADLINE_FIELD, DEADLINE, UNSCHEDULABLE
from goldseam.engine.decide import decide
from goldseam.engine.objects import INCIDENT
from goldseam.engine.proposal import NothingToDo, Proposal, World
from goldseam.engine.shared_cordons import is_lent, keeper, left_by, needing
from goldseam.engine.situation import Other, Situation
from tests.support.objects import Json, manages, node, pod
from tests.unit.test_guards import NOW, other
from tests.unit.test_obligations import NODE, cordon, debt, owing

OURS = node(cordoned="goldseam")
LENT = World(target=OURS, nodes=(OURS, node("worker-2")), lent=True, now=NOW)


def sharing(*others: Other, phase: str = "Resolved", **fields: Any) -> Situation:
    """An incident that owes the node; by default it is due."""
    s = owing(
        cordon(**fields.pop("debt", {})), namespace="", operator_namespace="", phase=phase, others=others, **fields
    )
    return replace(s, world=replace(s.world, now=NOW))


def needs(**fields: Any) -> Other:
    return other(**({"obligations": (cordon(),)} | fields))


def noted(**annotations: str) -> Json:
    found = node(cordoned="goldseam")
    found["metadata"]["annotations"] = {**found["metadata"]["annotations"], **annotations}
    return found


def test_whoever_is_due_hands_it_on_to_one_that_is_not_whichever_is_older() -> None:
    for uid in ("", "zzz"):
        s = sharing(needs(uid=uid), debt={"due_at": NOW - timedelta(seconds=1)})
        assert [o.state for o in obligations.examined(s, NOW).obligations] == ["Open"], "none is the heir by its uid"
        found = closing.undone(s, NOW)
        assert found is not None
        assert (found.kind, found.reason, found.status.owes) == ("end", "HandedOn", 0)
        assert found.status.timeline[-1].message == (
            "Node worker-1 stays cordoned for Incident shop/other, which owes that, too"
        )


def test_what_has_fallen_due_in_this_very_look_is_written_before_it_is_handed_on() -> None:
    found = closing.undone(sharing(needs(), debt={"due_at": NOW}), NOW)
    assert found is not None
    assert (found.kind, found.reason, len(found.status.open_obligations())) == ("wait", "Owing", 1)


@pytest.mark.parametrize(
    "none",
    [
        {"active": False},
        {"obligations": (cordon(due_at=NOW),)},
        {"obligations": (cordon(state="Paid"),)},
        {"obligations": (cordon(object=NODE.model_copy(update={"uid": "u"}), key="u:spec.unschedulable"),)},
        {"obligations": (cordon(kind="Untaint"),)},
        {"obligations": ()},
        {"uid": "uid-incident"},
    ],
)
def test_who_is_due_itself_or_owes_something_else_takes_nothing_over(none: dict[str, Any]) -> None:
    s = sharing(needs(**none), debt={"due_at": NOW})
    found = closing.undone(s, NOW)
    assert found is not None
    assert found.kind == "undo"


def test_what_is_not_due_is_not_handed_on() -> None:
    assert closing.undone(sharing(needs(), phase="Escalated"), NOW) is None


def test_nothing_is_handed_on_before_it_is_written_down_that_it_is_due() -> None:
    """Else two that are over at the same moment would each leave it to the other one."""
    s = sharing(needs(), phase="Monitoring")
    verdict = Verdict(state="Cleared", fresh=True, since=NOW - timedelta(hours=1))
    found = decide(replace(s, status=s.status.model_copy(update={"verdict": verdict})), NOW)
    assert (found.reason, found.status.phase) == ("Resolved", "Resolved")
    assert [o.state for o in found.status.obligations] == ["Open"]


def test_while_something_could_not_be_read_nothing_is_handed_on() -> None:
    found = closing.undone(sharing(needs(), debt={"due_at": NOW}, unknown=("nodes",)), NOW)
    assert found is not None
    assert found.kind == "hold"


def test_an_undo_that_was_written_down_is_not_made_when_another_one_needs_the_node_by_now() -> None:
    s = sharing(debt={"due_at": NOW})
    step = obligations.undo(s.status.obligations[0], s, NOW)
    assert [obligations.may_undo(write, s, step) for write in step.writes] == [True]
    late = replace(s, others=(needs(),))
    assert [obligations.may_undo(write, late, step) for write in step.writes] == [False]


def test_only_a_cordon_is_shared_so() -> None:
    s = owing(debt(due_at=NOW), others=(other(obligations=(debt(),)),))
    assert keeper(s.status.obligations[0], s) is None


def test_a_node_is_lent_while_any_incident_owes_it() -> None:
    assert is_lent(OURS, sharing())
    assert is_lent(OURS, sharing(needs(active=False), debt={"state": "Paid"}))
    assert not is_lent(OURS, sharing(needs(obligations=()), debt={"state": "Void"}))
    assert not is_lent(node("worker-2"), sharing(needs()))
    assert needing("u", sharing(needs())) is None


def test_who_builds_on_a_cordon_of_ours_that_is_owed_owes_it_too() -> None:
    (owed,) = shared(OURS, LENT)
    assert (owed.key, owed.kind, owed.original, owed.want) == (cordon().key, "Uncordon", "null", "true")


def test_a_cordon_that_nobody_owes_or_that_a_person_has_put_is_not_owed_again() -> None:
    assert shared(OURS, replace(LENT, lent=False)) == ()
    for theirs in (node(cordoned="kubectl-cordon"), node()):
        assert shared(theirs, LENT) == ()
    both = node(cordoned="goldseam")
    both["metadata"]["managedFields"] = [manages("goldseam", UNSCHEDULABLE), manages("people", UNSCHEDULABLE)]
    assert shared(both, LENT) == (), "they mean to keep it"


def test_a_drain_there_marks_the_node_as_its_own_and_owes_it() -> None:
    found = ACTIONS["drain"].plan(Drain(), replace(LENT, pods=(pod("api-1"),)), "token")
    assert isinstance(found, Proposal)
    assert [write.field for write in found.writes] == [AT_DEADLINE_FIELD, ""]
    assert ([o.key for o in found.obligations], found.takes_nodes) == ([cordon().key], 0)


@pytest.mark.parametrize("deadline", ["2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z"], ids=["past", "to come"])
def test_a_mark_of_the_same_words_is_written_anew_for_it_says_whose_drain_was_the_last(deadline: str) -> None:
    there = noted(**{AT_DEADLINE: "LeaveCordoned", DEADLINE: deadline})
    (write,) = marking(there, "LeaveCordoned", replace(LENT, target=there))
    assert (write.before, write.want) == ('"LeaveCordoned"', '"LeaveCordoned"')
    assert marking(there, "LeaveCordoned", replace(LENT, target=there, lent=False)) == ()


def test_what_is_done_already_is_owed_by_who_goes_on_from_there() -> None:
    for found in (ACTIONS["cordon"].plan(Cordon(), LENT, "t"), ACTIONS["drain"].plan(Drain(), LENT, "t")):
        assert isinstance(found, NothingToDo)
        assert [o.key for o in found.obligations] == [cordon().key]


def test_a_rung_uncordons_nothing_that_another_incident_needs() -> None:
    assert isinstance(ACTIONS["uncordon"].plan(Uncordon(), LENT, "t"), Proposal)
    found = ACTIONS["uncordon"].plan(Uncordon(), replace(LENT, needed_by="shop/other"), "t")
    assert isinstance(found, NothingToDo)
    assert found.message == (
        "Node worker-1 stays cordoned: Incident shop/other needs that still, and uncordons it in the end"
    )


def leaving(**annotations: str) -> Json:
    marks = {AT_DEADLINE: "LeaveCordoned", DEADLINE: NOW.strftime("%Y-%m-%dT%H:%M:%SZ"), INCIDENT: "shop/other"}
    return noted(**marks | annotations)


def test_what_another_one_has_left_for_people_is_not_owed_any_more() -> None:
    left = other(left=frozenset({cordon().key}))
    for phase in ("Resolved", "Fixing", "Escalated"):
        (found,) = obligations.examined(sharing(left, phase=phase, machine=leaving()), NOW).obligations
        assert (found.state, found.message) == (
            "Void",
            "Incident shop/other has left Node worker-1 cordoned for people to mend (atDeadline: LeaveCordoned)",
        )
    assert not is_lent(leaving(), sharing(left)), "nor does anybody else who comes before that is written"


@pytest.mark.parametrize(
    ("who", "machine"),
    [
        (other(left=frozenset()), leaving()),
        (other(left=frozenset({"u:spec.unschedulable"})), leaving()),
        (other(left=frozenset({cordon().key})), leaving(**{INCIDENT: "shop/mine"})),
        (other(left=frozenset({cordon().key})), leaving(**{AT_DEADLINE: "Uncordon"})),
        (other(left=frozenset({cordon().key})), leaving(**{DEADLINE: "2099-01-01T00:00:00Z"})),
    ],
    ids=["it was not left", "another node", "cordoned anew", "not to be left", "not yet"],
)
def test_what_was_not_left_or_was_cordoned_anew_since_is_owed(who: Other, machine: Json) -> None:
    s = sharing(who, machine=machine, phase="Escalated")
    assert left_by(s.status.obligations[0], s) == ""


def wrote(state: str, field: str = UNSCHEDULABLE) -> Step:
    write = Write(verb="Patch", object=NODE, field=field, before="null", want="true", state=state)
    return Step(id="1-cordon", rung=0, action="cordon", intent_at=NOW, writes=[write])
