"""Whether what was done has helped: what is waited for, what is missing, and when it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldseam.api.incident import HoldRecord, Step, Verdict
from goldseam.engine import verify
from goldseam.engine.decide import decide
from goldseam.engine.inputs import believed
from goldseam.engine.proposal import Effect, Proposal
from goldseam.engine.situation import Decision, QueryAnswer, Situation, timeout
from goldseam.engine.verdict import Reading
from tests.unit.test_guards import NOW, TARGET, situation, spec
from tests.unit.test_obligations import debt
from tests.unit.test_open_steps import WRITE, open_step

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
ACTED = NOW - 2 * MINUTE
SETTLING = "the alert to be still Cleared as evaluated once restart has settled, at 11:59:00 UTC"
GONE = Reading("Cleared", True, "the alert is gone", ACTED + MINUTE)
FIRING = Reading("Firing", True, "the alert is firing", NOW)
DONE, ROLLING = Effect(True, "3 of 3 pods ready"), Effect(False, "2 of 3 pods ready")
HOLDS, BROKEN = QueryAnswer("Holds", "it is low"), QueryAnswer("Broken", "it is 7, not below 5")
QUERIES = {"queries": [{"expr": "errors", "below": "5", "for": "30s"}]}


def done(rung: dict[str, Any] | None = None, **fields: Any) -> Situation:
    """A rung that was carried out two minutes ago."""
    step = {"id": "1-restart", "rung": 0, "action": "restart", "phase": "Acted", "intent_at": ACTED, "acted_at": ACTED}
    step |= fields.pop("step", {})
    base = situation(**({"spec": spec(ladder=[{"restart": {}} | (rung or {})]), "reading": GONE} | fields))
    update = {"steps": [Step(**step)], "phase": "Fixing", "obligations": [debt()]}
    return replace(base, status=base.status.model_copy(update=update))


def judged(s: Situation) -> Decision:
    found = verify.judged(s, NOW)
    assert found is not None
    return found


def test_only_a_step_that_was_carried_out_is_judged() -> None:
    assert verify.judged(situation(), NOW) is None
    assert verify.judged(open_step(acted_at=ACTED), NOW) is None


def test_what_helped_says_what_is_well_again_and_since_when_it_is() -> None:
    found = judged(done(effect=DONE))
    assert found.message == "restart helped: the alert is Cleared, the rollout is complete"
    assert (found.status.phase, found.status.rung, found.status.kpis.fixed_at) == ("Monitoring", 1, NOW)
    plain = judged(done({"verify": {"rollout": False}}, effect=ROLLING))
    assert plain.message == "restart helped: the alert is Cleared"


def test_of_a_node_it_says_what_was_seen_there_for_nothing_is_rolled_out() -> None:
    cordoned = done(effect=Effect(True, "Node worker-1 is cordoned"))
    about = cordoned.spec.model_copy(update={"target": TARGET.model_copy(update={"kind": "Node", "namespace": ""})})
    assert judged(replace(cordoned, spec=about)).message == (
        "restart helped: the alert is Cleared, Node worker-1 is cordoned"
    )


def test_a_rung_that_only_waits_says_nothing_of_a_rollout() -> None:
    waited = done(spec=spec(ladder=[{"wait": {"duration": "5m"}}]), effect=None, step={"action": "wait"})
    assert judged(waited).message == "wait helped: the alert is Cleared"


@pytest.mark.parametrize("ago", [MINUTE, 60 * MINUTE])
def test_where_something_could_not_be_read_it_has_neither_helped_nor_failed(ago: timedelta) -> None:
    step = {"intent_at": NOW - ago, "acted_at": NOW - ago}
    for reading in (GONE, FIRING):
        found = judged(done(step=step, effect=DONE, reading=reading, unknown=("pods (HTTP 503)",)))
        assert (found.kind, found.reason, found.status.steps[0].phase) == ("hold", "NotRead", "Acted")
        assert "pods (HTTP 503)" in found.message


def test_the_first_moment_that_it_was_well_is_kept() -> None:
    s = done(effect=DONE)
    kpis = s.status.kpis.model_copy(update={"fixed_at": ACTED})
    assert judged(replace(s, status=s.status.model_copy(update={"kpis": kpis}))).status.kpis.fixed_at == ACTED


SETTLING = "an evaluation of the alert's rule after settle (1m), which ends at 11:59:00 UTC"


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        (FIRING, "the alert to be Cleared after restart (the alert is firing)"),
        (replace(GONE, fresh=False), "the alert to be Cleared after restart (the alert is gone)"),
        (replace(GONE, evaluated_after=None), f"{SETTLING}; the alert is Cleared"),
        (replace(GONE, evaluated_after=ACTED + MINUTE - SECOND), f"{SETTLING}; the alert is Cleared"),
    ],
)
def test_the_alert_must_be_gone_as_evaluated_after_it_had_settled(reading: Reading, message: str) -> None:
    found = judged(done(effect=DONE, reading=reading))
    assert found.reason == "Verifying"
    assert found.message == f"restart was done; waiting for: {message}"


def told(s: Situation, later: timedelta = timedelta(0)) -> str:
    return decide(s, NOW + later).message


def test_while_it_settles_an_alert_that_is_over_is_told_as_such_in_words_that_stay() -> None:
    early = done(effect=DONE, reading=replace(GONE, evaluated_after=None))
    status = early.status.model_copy(update={"verdict": Verdict(state="Cleared", fresh=True, since=ACTED + 5 * SECOND)})
    early = replace(early, status=status)
    assert told(early) == f"restart was done; waiting for: {SETTLING}; the alert is Cleared since 11:58:05 UTC"
    assert {told(early, number * SECOND) for number in range(120)} == {told(early)}


def test_without_a_time_to_settle_any_evaluation_after_it_counts() -> None:
    rung = {"verify": {"settle": "0s"}}
    early = judged(done(rung, effect=DONE, reading=replace(GONE, evaluated_after=ACTED - SECOND)))
    assert "waiting for: an evaluation of the alert's rule after 11:58:00 UTC; the alert is Cleared" in early.message


ON = {"goOn": "WhenDone"}


def prepared(*after: dict[str, Any], **fields: Any) -> Situation:
    """A rung that only prepares the next one, and was carried out two minutes ago."""
    return done(spec=spec(ladder=[{"restart": {}} | ON, *after]), **fields)


def test_what_only_prepares_the_next_rung_says_that_it_is_done_and_when_that_one_comes() -> None:
    early = prepared({"scale": {"replicas": 5}}, effect=DONE, reading=replace(FIRING, evaluated_after=ACTED))
    comes = "restart is done; the next rung (scale) comes with"
    assert told(early) == f"{comes} {SETTLING}, if the alert still fires"
    assert {told(early, number * SECOND) for number in range(120)} == {told(early)}
    last = prepared(effect=DONE, reading=replace(FIRING, evaluated_after=ACTED))
    assert told(last).startswith("restart is done; the end of the ladder comes with an evaluation")


def test_what_only_prepares_the_next_rung_says_what_is_not_known_or_not_done_yet() -> None:
    stale = Reading("Firing", False, "the alert was firing when last seen, but HTTP 502", NOW)
    assert told(prepared(effect=DONE, reading=stale)) == (
        "restart is done; the end of the ladder comes once the alert is known to fire still (the alert was firing when"
        " last seen, but HTTP 502)"
    )
    assert told(prepared(effect=ROLLING, reading=FIRING)) == "restart was begun; waiting for: 2 of 3 pods ready"
    over = prepared(effect=DONE, reading=replace(GONE, evaluated_after=None))
    assert told(over).startswith(f"restart was done; waiting for: {SETTLING}; the alert is Cleared")


@pytest.mark.parametrize(
    "ladder", [[{"restart": {}}], [{"restart": {}}, {"restart": {}}]], ids=["used up", "next rung"]
)
def test_what_comes_after_a_step_that_failed_waits_until_that_has_settled_and_says_so(ladder: list[Any]) -> None:
    s = done(spec=spec(ladder=ladder), reading=replace(FIRING, evaluated_after=ACTED))
    failed = s.status.steps[0].model_copy(update={"phase": "Done", "outcome": "Failed"})
    status = s.status.model_copy(update={"steps": [failed], "rung": 1, "phase": "Investigating", "obligations": []})
    found = decide(replace(s, status=status), NOW)
    assert (found.kind, found.reason) == ("hold", "NotEvaluatedSince")
    assert found.message == f"what comes after restart waits for {SETTLING}"


def test_what_was_only_asked_for_is_not_said_to_be_done() -> None:
    assert judged(done(effect=ROLLING, reading=FIRING)).message.startswith("restart was begun; waiting for: ")
    assert judged(done(effect=DONE, reading=FIRING)).message.startswith("restart was done; waiting for: ")


def test_the_rollout_must_be_complete_and_the_queries_must_hold() -> None:
    assert "2 of 3 pods ready" in judged(done(effect=ROLLING)).message
    assert "the alert to be Cleared" in judged(done(effect=ROLLING, reading=FIRING)).message, "what comes first"
    assert "it is 7" in judged(done({"verify": QUERIES}, effect=DONE, answers=(BROKEN,))).message


@pytest.mark.parametrize(("ago", "reason"), [(30 * SECOND, "Passed"), (29 * SECOND, "Verifying")])
def test_the_queries_must_hold_for_their_time_without_a_break(ago: timedelta, reason: str) -> None:
    s = done({"verify": QUERIES}, effect=DONE, answers=(HOLDS,), step={"holding_since": NOW - ago})
    assert judged(s).reason == reason
    first = judged(done({"verify": QUERIES}, effect=DONE, answers=(HOLDS,)))
    assert (first.reason, first.status.steps[0].holding_since) == ("Verifying", NOW)
    broken = judged(replace(s, answers=(HOLDS, BROKEN)))
    assert broken.status.steps[0].holding_since is None


def test_a_rung_has_its_time_and_then_it_has_failed() -> None:
    early = judged(done({"timeout": "121s"}, effect=DONE, reading=FIRING))
    assert (early.reason, early.look_again) == ("Verifying", SECOND)
    late = judged(done({"timeout": "120s"}, effect=DONE, reading=FIRING))
    assert (late.reason, late.status.steps[0].outcome, late.status.rung) == ("NextRung", "Failed", 1)
    assert [o.state for o in late.status.obligations] == ["Open"]


def test_without_a_timeout_it_has_ten_minutes_or_as_long_as_the_rule_looks_back() -> None:
    rung = spec().ladder[0]
    assert timeout(done(), rung) == timedelta(minutes=10)
    assert timeout(done(reading=replace(FIRING, look_back=timedelta(hours=1))), rung) == timedelta(hours=1)
    assert timeout(done(), spec(ladder=[{"restart": {}, "timeout": "5m"}]).ladder[0]) == timedelta(minutes=5)


@pytest.mark.parametrize(("left", "reason"), [(SECOND, "Verifying"), (timedelta(0), "StillRunning")])
def test_what_was_started_has_the_rungs_time_from_its_intent_on_and_then_it_is_told_that_it_takes_longer(
    left: timedelta, reason: str
) -> None:
    intended = NOW - timedelta(minutes=30) + left
    running = Effect(False, "Job shop/restore-1 to end", "Runs")
    found = judged(done({"timeout": "30m"}, effect=running, step={"intent_at": intended}))
    assert (found.reason, found.status.steps[0].outcome) == (reason, None)
    assert "restart" in found.message
    assert "waiting for Job shop/restore-1 to end" in found.message


@pytest.mark.parametrize(
    "blind",
    [
        {"reading": Reading("Unknown", False, "no answer")},
        {"reading": replace(FIRING, fresh=False)},
        {"reading": FIRING, "answers": (QueryAnswer("Unknown", "no data"),)},
    ],
)
def test_on_missing_knowledge_nothing_has_failed(blind: dict[str, Any]) -> None:
    found = judged(done({"timeout": "120s"}, effect=DONE, **blind))
    assert (found.kind, found.reason, found.status.steps[0].outcome) == ("hold", "Inconclusive", None)


def test_once_people_have_it_a_step_of_which_nothing_is_known_is_over_with_its_time() -> None:
    s = done({"timeout": "120s"}, effect=DONE, reading=Reading("Unknown", False, "no answer"))
    found = judged(replace(s, status=s.status.model_copy(update={"handed_over": True, "phase": "Escalated"})))
    assert (found.kind, found.status.steps[0].outcome) == ("wait", "Inconclusive")
    assert found.message == "whether restart helped cannot be told: no answer"


def test_a_step_does_not_fail_by_an_evaluation_that_began_before_it_had_settled() -> None:
    early = replace(FIRING, evaluated_after=NOW - timedelta(days=1))
    found = judged(done({"timeout": "120s"}, effect=DONE, reading=early))
    assert (found.kind, found.reason, found.status.steps[0].outcome) == ("hold", "Inconclusive", None)
    assert found.message == f"whether restart helped cannot be told: what is missing is {SETTLING}"


def test_where_the_inputs_are_gone_the_hold_says_so() -> None:
    gone = believed(replace(FIRING, state="Cleared"), "its input x has no data: its target is down")
    found = judged(done({"timeout": "120s"}, effect=DONE, reading=gone))
    assert (found.kind, found.reason, found.status.steps[0].outcome) == ("hold", "InputsGone", None)
    assert "its input x has no data" in found.message


def test_what_is_not_known_is_told_anew_when_it_is_something_else() -> None:
    def held(why: str, holds: list[HoldRecord]) -> list[HoldRecord]:
        s = done({"timeout": "120s"}, effect=DONE, reading=Reading("Unknown", False, why))
        return judged(replace(s, status=s.status.model_copy(update={"holds": holds}))).status.holds

    first = held("HTTP 502", [])
    assert held("HTTP 503", first) == first, "other numbers are no news"
    (other,) = held("cannot connect", first)
    assert (other.message.endswith("cannot connect"), other.since) == (True, first[0].since)


def test_what_failed_says_first_what_was_missing_most() -> None:
    found = judged(done({"timeout": "120s"}, effect=ROLLING, reading=FIRING))
    assert "waiting for the alert to be Cleared" in found.status.steps[0].message


def test_only_failures_of_the_rung_itself_count_as_its_attempts() -> None:
    def step(rung: int, outcome: Any) -> Step:
        return Step(id=f"{rung}-x", rung=rung, action="x", intent_at=NOW, phase="Done", outcome=outcome)

    steps = [step(0, "Failed"), step(1, "Failed"), step(1, "Passed"), step(1, "Failed")]
    status = situation().status.model_copy(update={"steps": steps})
    assert [verify.failures(status, rung) for rung in (0, 1, 2)] == [1, 2, 0]


def test_a_rung_with_attempts_left_is_tried_again() -> None:
    again = judged(done({"timeout": "120s", "attempts": 2}, effect=DONE, reading=FIRING))
    assert (again.reason, again.status.rung) == ("NextAttempt", 0)


@pytest.mark.parametrize(
    ("action", "effect", "due"),
    [("drain", ROLLING, True), ("cordon", ROLLING, True), ("drain", DONE, False), ("restart", ROLLING, False)],
)
def test_a_node_is_given_back_at_once_when_its_drain_was_not_finished(action: str, effect: Effect, due: bool) -> None:
    found = judged(done({"timeout": "120s"}, effect=effect, reading=FIRING, step={"action": action, "writes": []}))
    (owed,) = found.status.obligations
    assert owed.due_at is None, "a ScaleBack is not the drain's"
    s = done({"timeout": "120s"}, effect=effect, reading=FIRING, step={"action": action, "writes": [WRITE]})
    cordoned = s.status.model_copy(update={"obligations": [debt(kind="Uncordon")]})
    (owed,) = judged(replace(s, status=cordoned)).status.obligations
    assert (owed.due_at == NOW) is due


def waited(ago: timedelta, reading: Reading) -> Decision:
    wait = spec(ladder=[{"wait": {"duration": "2m"}}])
    step = {"action": "wait", "intent_at": NOW - ago, "acted_at": NOW - ago}
    return judged(done(spec=wait, step=step, reading=reading))


def test_a_wait_lasts_as_long_as_it_says_unless_the_alert_goes() -> None:
    early = waited(2 * MINUTE - SECOND, FIRING)
    assert (early.reason, early.look_again) == ("Waiting", SECOND)
    assert waited(2 * MINUTE, FIRING).reason == "NextRung"
    assert waited(2 * MINUTE, Reading("Unknown", False, "no answer")).kind == "hold"
    assert waited(MINUTE, replace(GONE, evaluated_after=NOW - MINUTE)).reason == "Passed"
    before = replace(GONE, evaluated_after=NOW - MINUTE - SECOND)
    assert waited(MINUTE, before).reason == "Waiting", "what was evaluated before the wait began says nothing"


def uncertain() -> st.SearchStrategy[Reading]:
    """Every verdict that is not sure."""
    state = st.sampled_from(("Firing", "Pending", "Cleared", "Unknown"))
    after = st.sampled_from((None, ACTED, NOW))
    plain = st.builds(Reading, state, st.just(False), st.just("not sure"), after)
    return st.one_of(plain, plain.map(lambda reading: replace(reading, state="Unknown", inputs_gone=True)))


@settings(deadline=None)
@given(uncertain(), st.sampled_from(("Investigating", "Fixing", "Monitoring", "Resolved")), st.integers(0, 7_200))
def test_on_a_verdict_that_is_not_sure_nothing_is_done_over_or_judged(
    reading: Reading, phase: str, passed: int
) -> None:
    now = NOW + timedelta(seconds=passed)
    plain = situation(plan=Proposal((), "restart Deployment shop/api", ()), reading=reading)
    known = Verdict(state=reading.state, since=NOW - timedelta(days=1))
    plain = replace(plain, status=plain.status.model_copy(update={"phase": phase, "verdict": known}))
    stepped = done({"timeout": "120s"}, effect=DONE, reading=reading)
    for s in (plain, stepped):
        found = decide(s, now)
        assert found.kind in ("hold", "wait", "end"), found
        assert found.status.rung == s.status.rung
        assert [step.outcome for step in found.status.steps] == [step.outcome for step in s.status.steps]
        assert (found.status.phase == "Resolved") == (s.status.phase == "Resolved")
