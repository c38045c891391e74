"""The ladder: the rung whose turn it is, what it is passed over for, and what is written down before it is tried."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from goldseam.api.incident import Escalation, Step
from goldseam.api.runbook import RunbookSpec
from goldseam.engine import answers, climb, escalation
from goldseam.engine.guards.hold import Hold
from goldseam.engine.proposal import NothingToDo, Proposal
from goldseam.engine.situation import Decision, Permission, Situation
from goldseam.engine.verdict import Reading
from tests.unit.test_guards import NOW, other, situation, spec
from tests.unit.test_obligations import debt
from tests.unit.test_open_steps import PAUSE, WRITE

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
SCALE, RESTART = {"scale": {"replicas": 8}, "timeout": "5m"}, {"restart": {}}
PLAN = Proposal((WRITE,), "scale Deployment shop/api from 3 to 8 replicas", (), (debt(),))
BLIND = Reading("Unknown", False, "cannot connect")


def climbing(*ladder: dict[str, Any], mode: str = "Act", rung: int = 0, **fields: Any) -> Situation:
    """A situation on a rung of a ladder, by default the first, which has a plan. `status` lies over its status."""
    status = {"mode": mode, "rung": rung} | fields.pop("status", {})
    base = situation(**({"spec": spec(mode=mode, ladder=list(ladder or (SCALE,))), "plan": PLAN} | fields))
    return replace(base, status=base.status.model_copy(update=status))


def test_nobody_more_is_called_once_the_incident_holds_as_many_calls_as_it_may() -> None:
    """The CRD refuses a longer list, and nothing of the Incident could be written any more."""
    s = climbing()
    status = s.status
    for number in range(45):
        status = escalation.told(s, status, f"threshold-{number}", None, "it still fires", NOW)
    assert [e.threshold for e in status.escalations] == [f"threshold-{number}" for number in range(40)]
    assert status.timeline[-1].message.startswith("people: Alert A on Deployment shop/api: ")


@pytest.mark.parametrize(
    ("why", "said"),
    [("it is drained now", "it is drained now."), ("It is drained now.", "It is drained now."), ("Why? ", "Why?")],
)
def test_what_people_are_told_has_one_full_stop_whoever_wrote_it(why: str, said: str) -> None:
    told = escalation.told(climbing(), climbing().status, "notify", None, why, NOW).escalations[0].message
    assert told.endswith(f": {said} Nothing has been tried yet.")


def test_people_hear_why_what_was_tried_last_was_refused() -> None:
    refused = {"action": "drain", "phase": "Done", "outcome": "Refused", "intent_at": NOW}
    steps = [Step(id=f"{n}-drain", rung=n, message=f"why {n}", **refused) for n in (1, 2)]  # type: ignore[arg-type]
    status = climbing(status={"steps": steps}).status
    assert escalation.tried(status) == "Tried: drain (Refused), drain (Refused: why 2)."
    long = status.model_copy(update={"steps": [steps[0].model_copy(update={"message": "x" * 900})]})
    assert len(escalation.tried(long)) < 300


def tried(s: Situation) -> Decision:
    return climb.next_rung(s, NOW)


def ended(s: Situation) -> Decision:
    found = climb.handed_over(s, NOW)
    assert found is not None
    return found


def observed(ago: timedelta, **fields: Any) -> Situation:
    """In mode Observe, when the second rung was rehearsed some time ago, and the first one refused before."""
    first = {"id": "1-restart", "rung": 0, "action": "restart", "phase": "Done", "outcome": "Refused"}
    second = first | {"id": "2-scale", "rung": 1, "action": "scale", "outcome": "Observed"} | fields.pop("step", {})
    steps = [Step(**step, intent_at=NOW - ago) for step in (first, second)]
    return climbing(RESTART, SCALE, mode="Observe", rung=1, **fields, status={"steps": steps})


def test_a_threshold_that_says_stop_ends_the_acting_and_in_mode_observe_there_is_none_to_end() -> None:
    stop = {"name": "long", "when": {"unresolvedFor": "30s"}, "level": "Primary", "acting": "Stop"}
    book = RunbookSpec.model_validate(
        {"contacts": [{"name": "boss"}], "levels": [{"name": "Primary", "contact": "boss"}], "thresholds": [stop]}
    )
    crossed = {"escalations": [Escalation(threshold="long", level="Primary", at=NOW, message="")]}
    found = ended(climbing(runbook=book, status=crossed))
    assert (found.kind, found.reason) == ("escalate", "ThresholdStops")
    assert (found.status.phase, found.status.handed_over) == ("Escalated", True)
    assert climb.handed_over(climbing(mode="Observe", runbook=book, status=crossed), NOW) is None
    assert climb.handed_over(climbing(runbook=book), NOW) is None, "it was not crossed yet"


def test_a_used_up_ladder_hands_over_and_in_mode_observe_it_is_only_written_down_once() -> None:
    found = ended(climbing(rung=1))
    assert (found.kind, found.reason, found.status.handed_over) == ("escalate", "LadderExhausted", True)
    assert [e.threshold for e in found.status.escalations] == ["ladderExhausted"]
    watching = climbing(mode="Observe", rung=1)
    first = ended(watching)
    assert (first.kind, first.status.handed_over, first.status.phase) == ("wait", False, "Investigating")
    assert [entry.kind for entry in first.status.timeline] == ["WouldTell"]
    assert ended(replace(watching, status=first.status)).status == first.status
    assert ended(climbing(rung=1, reading=BLIND)).kind == "hold", "whether it still fires is not known"


def test_what_people_have_stays_with_them() -> None:
    for phase, kind in (("Investigating", "escalate"), ("Escalated", "wait")):
        found = ended(climbing(status={"handed_over": True, "phase": phase}))
        assert (found.kind, found.status.phase, found.status.handed_over) == (kind, "Escalated", True)


def test_a_rung_is_written_down_with_its_writes_its_debt_and_its_place_before_it_is_tried() -> None:
    found = tried(climbing())
    (step,) = found.status.steps
    assert (found.kind, found.step, step.id) == ("act", "1-scale", "1-scale")
    assert (step.rung, step.attempt, step.intent_at, step.phase) == (0, 1, NOW, "Intended")
    assert (step.writes, step.message) == ([WRITE], PLAN.summary)
    assert (found.status.phase, found.status.obligations) == ("Fixing", [debt()])


def test_an_attempt_is_counted_by_those_of_its_rung_that_did_not_help() -> None:
    failed = {"action": "scale", "phase": "Done", "outcome": "Failed", "intent_at": NOW}
    steps = [Step(id="1-scale", rung=0, **failed), Step(id="2-scale", rung=1, **failed)]
    last = tried(climbing(SCALE, SCALE, rung=1, status={"steps": steps})).status.steps[-1]
    assert (last.id, last.rung, last.attempt) == ("3-scale", 1, 2)


def test_the_moment_of_the_first_action_is_kept() -> None:
    assert tried(climbing()).status.kpis.first_action_at == NOW
    kpis = situation().status.kpis.model_copy(update={"first_action_at": NOW - MINUTE})
    assert tried(climbing(status={"kpis": kpis})).status.kpis.first_action_at == NOW - MINUTE


@pytest.mark.parametrize(
    ("uid", "owed", "original"),
    [
        ("uid-other", {}, "1"),
        ("uid-other", {"state": "Paid"}, "3"),
        ("uid-other", {"key": "uid-api:else"}, "3"),
        ("uid-incident", {}, "3"),
    ],
)
def test_what_an_older_incident_still_owes_is_what_must_come_back(
    uid: str, owed: dict[str, Any], original: str
) -> None:
    older = other(uid=uid, claims=False, obligations=(debt(original="1", **owed),))
    (debt_now,) = tried(climbing(others=(older,))).status.obligations
    assert (debt_now.original, debt_now.want) == (original, "8")


@pytest.mark.parametrize(
    ("said", "permission", "ends"),
    [
        ("", Permission(), "replicas"),
        ("the dry run was accepted", Permission(denied=("no",)), "replicas (the dry run was accepted)"),
        ("", Permission(denied=("no a", "no b")), "replicas (not permitted yet: no a; no b)"),
        ("", Permission(problem="HTTP 503"), "replicas (not permitted yet: HTTP 503)"),
    ],
)
def test_in_mode_observe_it_says_what_it_would_do_and_whether_it_might(
    said: str, permission: Permission, ends: str
) -> None:
    found = tried(climbing(mode="Observe", dry_run=said, permission=permission))
    (step,) = found.status.steps
    assert (found.kind, step.outcome, step.writes) == ("rehearse", "Observed", [])
    assert step.message.startswith("would scale Deployment shop/api")
    assert step.message.endswith(ends)
    assert found.status.obligations == []


def test_in_mode_observe_the_next_rung_has_its_turn_when_this_one_would_have_timed_out() -> None:
    early = tried(observed(5 * MINUTE - SECOND))
    assert (early.reason, early.look_again, early.status.rung) == ("Observed", SECOND, 1)
    late = tried(observed(5 * MINUTE))
    assert (late.reason, late.status.rung) == ("NextRung", 2)
    assert tried(observed(5 * MINUTE, reading=BLIND)).kind == "hold"


def test_only_a_rehearsal_of_this_very_rung_is_waited_for() -> None:
    for fields in ({"rung": 0}, {"outcome": "Refused"}):
        assert tried(observed(SECOND, step=fields)).kind == "rehearse"
    acting = climbing(status={"steps": observed(SECOND).status.steps})
    assert tried(acting).kind == "act"


def test_a_rung_is_passed_over_for_what_refuses_it_and_where_there_is_nothing_to_do() -> None:
    for fields, outcome in (
        ({"plan": NothingToDo("there are 8 already")}, "NothingToDo"),
        ({"permission": Permission(denied=("no",))}, "Refused"),
    ):
        found = tried(climbing(SCALE, RESTART, **fields))
        assert (found.reason, found.status.rung, found.status.steps[-1].outcome) == ("NextRung", 1, outcome)


def test_what_holds_now_is_waited_for_and_no_answer_any_more() -> None:
    for phase, later in (("AwaitingApproval", "Investigating"), ("Fixing", "Fixing")):
        found = tried(climbing(pauses=(PAUSE,), status={"phase": phase}))
        assert (found.kind, found.status.phase, found.status.rung) == ("hold", later, 0)


def test_what_writes_nothing_is_held_by_a_pause_and_not_by_what_guards_the_cluster() -> None:
    for rung in ({"wait": {"duration": "5m"}}, {"notify": {}}, {"escalate": {}}):
        s = climbing(rung, plan=None, others=(other(busy=True),), permission=Permission(denied=("no",)))
        assert tried(s).kind in ("wait", "escalate")
        assert tried(replace(s, pauses=(PAUSE,))).reason == "Paused"


def test_a_rung_that_tells_people_goes_on_and_one_that_escalates_ends_the_acting() -> None:
    told = tried(climbing({"notify": {"contact": "boss"}}, plan=None))
    assert (told.reason, told.status.rung, told.status.handed_over) == ("Told", 1, False)
    assert [(e.threshold, e.contact) for e in told.status.escalations] == [("notify-1-notify", "boss")]
    over = tried(climbing({"escalate": {}}, plan=None))
    assert (over.kind, over.status.phase, over.status.handed_over) == ("escalate", "Escalated", True)
    assert over.status.escalations[-1].message.endswith("Nothing has been tried yet."), "to tell people is no try"
    watching = tried(climbing({"escalate": {}}, mode="Observe", plan=None))
    assert (watching.reason, watching.status.rung, watching.status.handed_over) == ("WouldEscalate", 1, False)


@pytest.mark.parametrize(
    ("guard", "reason", "before", "after", "news"),
    [
        ("paused", "Paused", "Pause shop/a holds until 12:00", "Pause shop/a holds until 14:00", True),
        ("busy", "OtherIncident", "Incident shop/a-1 is acting", "Incident shop/a-2 is acting", True),
        ("collateral", "WorkloadPaused", "shop/db-1: paused", "shop/db-2: paused", True),
        ("collateral", "WorkloadBusy", "shop/db: a rollout (1 of 2)", "shop/db: Incident shop/a is acting", True),
        ("collateral", "WorkloadBusy", "shop/db: a rollout (1 of 2)", "shop/db: a rollout (2 of 2)", False),
        ("collateral", "WorkloadBusy", "shop/db-1: a rollout (1 of 2)", "shop/db-2: a rollout (1 of 2)", True),
        ("busy", "StillRunning", "job: it runs still (2 pods)", "job: it runs still (1 pods)", False),
    ],
)
def test_a_hold_names_what_holds_now_and_how_far_that_is_is_no_news(
    guard: str, reason: str, before: str, after: str, news: bool
) -> None:
    s = climbing()
    first = answers.held(s, s.status, [Hold(guard, "Wait", reason, before)], NOW).status
    later = answers.held(replace(s, status=first), first, [Hold(guard, "Wait", reason, after)], NOW + MINUTE).status
    told = after if news else before
    assert [(hold.message, hold.since) for hold in later.holds] == [(told, NOW)]
    assert later.message == f"on hold: {told}"
