"""An undo that was tried and is not accepted: when people are told of it, what they are told, and for how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from goldseam.api.incident import Escalation, HoldRecord, Step, Verdict, Write
from goldseam.engine import closing, verify
from goldseam.engine.calls import still_calls
from goldseam.engine.escalation import crossed
from goldseam.engine.out_of_service import FIELD
from goldseam.engine.situation import Situation
from goldseam.engine.verdict import Reading
from tests.unit.test_guards import NOW
from tests.unit.test_obligations import GONE, NODE, cordon, owing

LIMIT, SECOND = timedelta(minutes=15), timedelta(seconds=1)
WHY = 'admission webhook "ours" denied the request'
BACK = Reading("Firing", True, "the alert is firing", NOW)
UNCORDON = Write(
    verb="Patch", object=NODE, resource_version="100", field="spec.unschedulable", before="true", want="null",
    message=WHY,
)  # fmt: skip


def tried(write: Write = UNCORDON, *, ago: timedelta = LIMIT, phase: str = "Fixing", **fields: Any) -> Situation:
    """An undo that was written down so long ago, and of which the API server has said something."""
    about = {"id": "2-undo", "purpose": "Undo", "rung": 0, "action": "undo", "message": "uncordon Node worker-1"}
    step = Step(**(about | fields.pop("step", {})), intent_at=NOW - ago, writes=[write])
    status = {key: fields.pop(key) for key in ("holds", "verdict", "paused_since") if key in fields}
    s = owing(cordon(due_at=NOW - ago), phase=phase, steps=[step], namespace="", operator_namespace="")
    firing = Verdict(state="Firing", fresh=True, since=NOW - ago, message="")
    return replace(s, status=s.status.model_copy(update={"owes": 1, "verdict": firing} | status), **fields)


def told(s: Situation) -> list[str]:
    return [one.threshold for one in crossed(s, NOW).escalations]


@pytest.mark.parametrize("phase", ["Fixing", "Monitoring", "Escalated", "Resolved", "Abandoned"])
def test_what_is_not_accepted_for_as_long_as_the_policy_says_is_told_in_any_phase(phase: str) -> None:
    assert told(tried(phase=phase)) == ["owedTooLong"]
    assert told(tried(phase=phase, ago=LIMIT - SECOND)) == []


def test_it_is_told_though_the_alert_has_cleared_and_while_people_want_quiet_for_the_alert() -> None:
    cleared = Verdict(state="Cleared", fresh=True, since=NOW, message="")
    assert told(tried(verdict=cleared)) == ["owedTooLong"]
    assert told(tried(paused_since=NOW)) == ["owedTooLong"]


def test_it_is_told_once() -> None:
    s = tried()
    again = crossed(replace(s, status=crossed(s, NOW)), NOW + timedelta(hours=1))
    assert [one.threshold for one in again.escalations] == ["owedTooLong"]


def test_first_comes_what_to_do_for_the_answer_may_be_long() -> None:
    (call,) = crossed(tried(UNCORDON.model_copy(update={"message": "x" * 512})), NOW).escalations
    assert call.message.startswith(
        "Alert A on Deployment shop/api: what is owed could not be put back for 15 min "
        "(by hand: `kubectl uncordon worker-1`): uncordon Node worker-1: not accepted: xxx"
    )


def test_many_words_of_what_is_undone_leave_room_for_the_answer() -> None:
    found = verify.under_way(tried(step={"message": "lower cpu and " * 30}), NOW)
    assert found is not None
    assert found.status.message.endswith(f"…: not accepted: {WHY}")


def test_the_command_that_takes_a_taint_away_is_said_and_none_where_the_words_say_as_much() -> None:
    (call,) = crossed(tried(UNCORDON.model_copy(update={"field": FIELD})), NOW).escalations
    assert "(by hand: `kubectl taint node worker-1 node.kubernetes.io/out-of-service-`): " in call.message
    (call,) = crossed(tried(UNCORDON.model_copy(update={"field": "spec.replicas"})), NOW).escalations
    assert f"for 15 min: uncordon Node worker-1: not accepted: {WHY}." in call.message


def test_what_nobody_has_tried_or_is_made_or_is_no_undo_is_not_told_as_owed() -> None:
    assert told(tried(UNCORDON.model_copy(update={"message": ""}))) == []
    assert told(tried(UNCORDON.model_copy(update={"state": "Done"}))) == []
    assert told(tried(step={"purpose": "Rung"})) == []
    assert told(tried(step={"phase": "Done", "outcome": "NotTaken"})) == []
    s = tried()
    assert told(replace(s, status=s.status.model_copy(update={"mode": "Observe"}), policy=None)) == []


def hold(guard: str) -> HoldRecord:
    return HoldRecord(guard=guard, kind="Wait", reason="X", message="not now", since=NOW - SECOND)


def test_while_people_hold_it_themselves_they_are_not_told_and_by_any_other_hold_they_are() -> None:
    assert told(tried(holds=[hold("paused")], phase="Resolved")) == []
    assert told(tried(holds=[hold("unread")], phase="Resolved")) == ["owedTooLong"]


def test_what_is_held_and_not_accepted_is_one_call() -> None:
    long = hold("unread").model_copy(update={"since": NOW - LIMIT})
    s = tried(holds=[long], phase="Resolved")
    (call,) = crossed(s, NOW).escalations
    assert (call.threshold, WHY in call.message) == ("owedTooLong", True)


def test_while_the_incident_goes_on_what_is_held_is_told_as_held() -> None:
    long = hold("unread").model_copy(update={"since": NOW - LIMIT})
    assert told(tried(UNCORDON.model_copy(update={"message": ""}), holds=[long])) == ["heldTooLong"]


def test_the_incident_says_what_was_answered_and_only_once_it_was() -> None:
    found = verify.under_way(tried(), NOW)
    assert found is not None
    assert (found.kind, found.reason) == ("act", "GoOn")
    assert found.status.message == f"uncordon Node worker-1: not accepted: {WHY}"
    fresh = tried(UNCORDON.model_copy(update={"message": ""}))
    fresh = replace(fresh, status=fresh.status.model_copy(update={"message": "uncordon Node worker-1"}))
    found = verify.under_way(fresh, NOW)
    assert found is not None
    assert found.status.message == "uncordon Node worker-1"


@pytest.mark.parametrize(
    ("phase", "owes", "accepted", "calls"),
    [
        ("Fixing", 1, False, True),
        ("Fixing", 1, True, False),
        ("Fixing", 0, False, False),
        ("Resolved", 1, False, True),
        ("Resolved", 1, True, True),
        ("Resolved", 0, True, False),
    ],
)
def test_people_are_called_for_it_until_it_is_put_back(phase: str, owes: int, accepted: bool, calls: bool) -> None:
    """Where all else is over, what is owed may be held instead."""
    write = UNCORDON.model_copy(update={"message": "" if accepted else WHY})
    status = tried(write, phase=phase).status.model_copy(update={"owes": owes})
    assert still_calls(status, Escalation(threshold="owedTooLong", at=NOW)) == calls


def resolved(s: Situation, ago: timedelta = SECOND) -> Situation:
    kpis = s.status.kpis.model_copy(update={"resolved_at": NOW - ago})
    return replace(s, status=s.status.model_copy(update={"phase": "Resolved", "kpis": kpis}))


def gives_way(s: Situation) -> bool:
    found = verify.under_way(s, NOW)
    assert found is not None
    assert (found.reason == "GoOn") == (found.status.steps[0].outcome is None)
    return found.reason == "NotTaken"


def test_an_uncordon_that_is_not_made_gives_way_to_an_alert_that_would_reopen_the_incident() -> None:
    assert gives_way(resolved(tried(reading=BACK)))
    assert not gives_way(resolved(tried(reading=BACK), timedelta(minutes=15))), "its flapWindow is over"
    assert not gives_way(resolved(tried(reading=GONE)))
    assert not gives_way(resolved(tried(reading=replace(BACK, fresh=False))))
    assert not gives_way(tried(reading=BACK)), "in phase Fixing the alert fires as ever"


def test_a_taint_goes_though_the_alert_is_back() -> None:
    s = resolved(tried(reading=BACK))
    step = s.status.steps[0]
    taint = step.model_copy(update={"writes": [UNCORDON.model_copy(update={"field": FIELD})]})
    assert closing.gives_way(s, step, NOW)
    assert not closing.gives_way(s, taint, NOW)
