"""What people say to a question: what counts, what does not and why, and what follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from goldseam.api.incident import ApprovalRecord, ResponseRecord, Step, Write
from goldseam.engine import approvals
from goldseam.engine.proposal import Proposal
from goldseam.engine.situation import Situation, Word
from tests.unit.test_guards import NOW, TARGET, situation, spec
from tests.unit.test_obligations import debt

PLAN = Proposal((), "restart Deployment shop/api", ())
ASKS = spec(approval={"rungs": ["restart"]})
SECOND = timedelta(seconds=1)
HALF = timedelta(minutes=30)


def question(**fields: Any) -> ApprovalRecord:
    base = {"step": "1-restart", "rung": 0, "plan_hash": "hash", "requested_at": NOW - HALF, "expires_at": NOW + HALF}
    return ApprovalRecord(**(base | fields))


def word(decision: Any = "Approve", **fields: Any) -> Word:
    base = Word("uid-word", "word", decision, "1-restart", "hash", "jane", NOW)
    return replace(base, **fields)


def asked(*questions: ApprovalRecord, words: tuple[Word, ...] = (), **status: Any) -> Situation:
    base = situation(plan=PLAN, spec=ASKS, words=words)
    return replace(base, status=base.status.model_copy(update={"approvals": list(questions)} | status))


def states(s: Situation, now: datetime = NOW) -> list[str]:
    return [a.state for a in approvals.heard(s, now).approvals]


def why_not(said: Word, *questions: ApprovalRecord, **status: Any) -> str:
    s = asked(*(questions or (question(),)), **status)
    return approvals.ignored(s, s.status, said)


def test_an_answer_is_taken_with_the_name_the_time_and_the_reason() -> None:
    for decision, state in (("Approve", "Approved"), ("Deny", "Denied")):
        found = approvals.heard(asked(question(), words=(word(decision, reason="I looked"),)), NOW)
        (answered,) = found.approvals
        assert (answered.state, answered.by, answered.decided_at, answered.reason) == (state, "jane", NOW, "I looked")
        assert [r.uid for r in found.responses] == ["uid-word"]
        assert found.timeline[-1].message == f"jane: 1-restart is {state.lower()}: I looked"


def test_only_the_question_that_it_is_about_is_answered() -> None:
    others = (question(step="2-restart"), question(plan_hash="other"), question(state="Replaced"))
    assert states(asked(*others, question(), words=(word(),))) == ["Waiting", "Waiting", "Replaced", "Approved"]


def test_a_word_is_taken_once() -> None:
    said = ResponseRecord(uid="uid-word", decision="Approve", by="jane", at=NOW)
    found = approvals.heard(asked(question(), words=(word("Deny"),), responses=[said]), NOW)
    assert (found.responses, [a.state for a in found.approvals]) == ([said], ["Waiting"])
    assert why_not(word("Deny"), responses=[said]) == ""


@pytest.mark.parametrize(
    ("said", "asked_for", "why"),
    [
        (word(trusted=False), {}, "is a system account"),
        (word(step="7-scale"), {}, "does not ask about '7-scale'"),
        (word(plan_hash="other"), {}, "the plan has changed since"),
        (word(), {"state": "Replaced"}, "the plan has changed since"),
        (word(at=NOW + HALF + SECOND), {}, "it was not said between"),
        (word(at=NOW - HALF - SECOND), {}, "it was not said between"),
        (word(), {"state": "Denied", "by": "joe"}, "joe denied it first"),
        (word(), {"state": "Approved", "by": "joe"}, "joe approved it already"),
        (word(), {"state": "Expired"}, "nobody answered in time"),
    ],
)
def test_an_answer_that_does_not_count_says_why(said: Word, asked_for: dict[str, Any], why: str) -> None:
    assert why in why_not(said, question(**asked_for))


@pytest.mark.parametrize("said", [word(), word("Deny"), word(at=NOW + HALF), word(at=NOW - HALF)])
def test_an_answer_in_time_counts(said: Word) -> None:
    assert why_not(said) == ""


def test_an_answer_in_the_second_of_the_question_counts_for_the_server_tells_no_parts_of_seconds() -> None:
    asked_at = NOW.replace(microsecond=900_000)
    assert why_not(word(at=NOW), question(requested_at=asked_at)) == ""


def test_a_deny_counts_over_an_approval_that_was_not_used_yet() -> None:
    assert why_not(word("Deny"), question(state="Approved", by="joe")) == ""


def test_the_newest_question_about_the_plan_is_the_one_that_is_answered() -> None:
    older = question(requested_at=NOW - 3 * HALF, expires_at=NOW - 2 * HALF)
    assert why_not(word(), older, question()) == ""


def test_an_answer_to_a_step_that_has_begun_comes_too_late() -> None:
    step = Step(id="1-restart", rung=0, action="restart", intent_at=NOW)
    assert "was begun or passed over already" in why_not(word(), steps=[step])
    assert why_not(word(), steps=[step.model_copy(update={"id": "2-restart"})]) == ""


def test_without_the_admission_policy_no_word_counts() -> None:
    s = replace(asked(question(), words=(word(),)), words_protected=False)
    assert "goldseam-people" in approvals.ignored(s, s.status, word())
    assert states(s) == ["Waiting"]


@pytest.mark.parametrize("decision", ["Acknowledge", "Undo"])
def test_an_acknowledgement_and_an_undo_need_no_question_but_an_open_incident(decision: str) -> None:
    assert why_not(word(decision, step="", plan_hash="")) == ""
    assert why_not(word(decision), closed_at=NOW) == "the incident is over"


def test_an_acknowledgement_changes_nothing_else() -> None:
    found = approvals.heard(asked(question(), words=(word("Acknowledge", reason="on it"),)), NOW)
    assert (found.phase, found.handed_over, [a.state for a in found.approvals]) == ("Investigating", False, ["Waiting"])
    assert found.timeline[-1].message == "jane has seen it: on it"


def test_eight_acknowledgements_are_heard_at_once_and_an_answer_is_heard_however_many_there_are() -> None:
    many = [word("Acknowledge", uid=f"uid-{number}") for number in range(12)]
    found = approvals.heard(asked(question(), words=(*many, word())), NOW)
    assert [r.uid for r in found.responses] == [*(f"uid-{number}" for number in range(8)), "uid-word"]
    assert [a.state for a in found.approvals] == ["Approved"]


def test_many_who_take_over_at_once_are_each_heard_once_though_nobody_could_be_told() -> None:
    words = tuple(word("Undo", uid=f"uid-{number}", reason=str(number)) for number in range(20))
    s = asked(words=words, obligations=[debt()])
    first = approvals.heard(s, NOW)
    assert [r.uid for r in first.responses] == [f"uid-{number}" for number in range(8)]
    assert (first.handed_over, first.obligations[0].due_at) == (True, NOW)
    assert approvals.heard(replace(s, status=first), NOW) == first


def test_who_takes_over_is_heard_however_many_were_before_if_anything_is_left_to_do() -> None:
    many = [word("Acknowledge", uid=f"uid-{number}") for number in range(8)]
    for status in ({"handed_over": True, "obligations": [debt()]}, {"obligations": [debt(due_at=NOW)]}):
        found = approvals.heard(asked(words=(*many, word("Undo")), **status), NOW)
        assert (found.responses[-1].uid, found.handed_over, found.obligations[0].due_at) == ("uid-word", True, NOW)


def test_a_person_who_takes_over_ends_the_acting_and_makes_debts_due() -> None:
    owed = [debt(), debt(key="k", due_at=NOW - HALF)]
    found = approvals.heard(asked(words=(word("Undo", reason="I do it"),), phase="Fixing", obligations=owed), NOW)
    assert (found.phase, found.handed_over) == ("Escalated", True)
    assert [o.due_at for o in found.obligations] == [NOW, NOW - HALF]
    assert found.timeline[-1].message == "jane takes over and wants undone what was changed: I do it"
    for phase in ("Monitoring", "Resolved", "Abandoned"):
        kept = approvals.heard(asked(words=(word("Undo"),), phase=phase), NOW)
        assert (kept.phase, kept.handed_over) == (phase, True)


def test_a_question_and_an_approval_end_with_their_time() -> None:
    end = NOW + HALF
    for state, later in (
        ("Waiting", "Expired"),
        ("Approved", "Replaced"),
        ("Denied", "Denied"),
        ("Expired", "Expired"),
    ):
        s = asked(question(state=state))
        assert states(s, end) == [state]
        assert states(s, end + SECOND) == [later]


def test_the_current_question_is_the_newest_about_the_next_step_as_it_would_be_done_now() -> None:
    mine = approvals.plan_hash(asked(), PLAN)
    old, new = question(plan_hash=mine, by="old"), question(plan_hash=mine, by="new")
    assert approvals.current(asked(old, new)) == new
    for other in (question(), question(plan_hash=mine, step="2-restart"), question(plan_hash=mine, state="Replaced")):
        assert approvals.current(asked(other)) is None
    assert approvals.current(replace(asked(new), plan=None)) is None
    assert approvals.current(asked(new, rung=1)) is None, "the ladder is used up"


def test_another_value_is_another_plan_and_other_pods_are_not() -> None:
    def plan(want: str, pod: str) -> str:
        patch = Write(verb="Patch", object=TARGET, field="spec.replicas", want=want)
        evict = Write(verb="Evict", object=TARGET.model_copy(update={"kind": "Pod", "name": pod, "uid": pod}))
        return approvals.plan_hash(asked(), replace(PLAN, writes=(patch, evict)))

    assert plan("8", "api-1") == plan("8", "api-2")
    assert plan("8", "api-1") != plan("9", "api-1")


def test_a_new_question_replaces_those_that_wait_or_were_not_used_and_sixteen_are_kept() -> None:
    before = [question(state=state) for state in ("Waiting", "Approved", "Denied", "Expired")]
    s = asked(*before)
    found = approvals.asked(s, s.status, PLAN, NOW).approvals
    assert [a.state for a in found] == ["Replaced", "Replaced", "Denied", "Expired", "Waiting"]
    assert (found[-1].requested_at, found[-1].expires_at) == (NOW, NOW + HALF)
    many = asked(*[question(state="Denied")] * 16)
    kept = approvals.asked(many, many.status, PLAN, NOW).approvals
    assert (len(kept), kept[-1].state) == (16, "Waiting")


def test_something_is_due_while_a_question_waits() -> None:
    assert approvals.due(asked(question(state="Denied"), question()).status)
    assert not approvals.due(asked(question(state="Denied")).status)
