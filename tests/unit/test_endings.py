"""How an incident ends, or comes back: each condition by itself, and each moment to the second."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from goldseam.api.incident import HoldRecord, IncidentStatus, Step, Verdict
from goldseam.engine import answers, closing
from goldseam.engine.proposal import World
from goldseam.engine.situation import PauseInForce, Situation
from goldseam.engine.verdict import Reading
from tests.support.objects import workload
from tests.unit.test_guards import NOW, situation, spec
from tests.unit.test_obligations import GONE, cordon, debt, owing
from tests.unit.test_open_steps import FIRST, WRITE, open_step

FLAP = timedelta(minutes=15)
SECOND = timedelta(seconds=1)
BACK = Reading("Firing", True, "the alert is firing", NOW)


def at(phase: str, s: Situation | None = None, **fields: Any) -> Situation:
    """A situation whose incident is in a phase; `resolved_at` goes to its figures."""
    s = s or situation()
    update: dict[str, Any] = {"phase": phase} | fields
    if "resolved_at" in update:
        update["kpis"] = s.status.kpis.model_copy(update={"resolved_at": update.pop("resolved_at")})
    return replace(s, status=s.status.model_copy(update=update))


def why(s: Situation) -> str:
    found = closing.abandoned(s, NOW)
    return found.message if found else ""


def test_what_it_is_about_is_gone_so_it_is_abandoned() -> None:
    assert why(at("Fixing")) == ""
    assert why(at("Fixing", situation(world=World(target=None)))) == "Deployment shop/api is gone"
    newcomer = workload(metadata={"uid": "uid-newcomer"})
    assert "was replaced" in why(at("Fixing", situation(world=World(target=newcomer))))
    assert why(at("Fixing", situation(policy=None))) == "the policy was deleted"
    again = replace(situation().policy, uid="uid-of-the-next-one")  # type: ignore[type-var]
    assert why(at("Fixing", situation(policy=again))) == "the policy was deleted"


def test_it_is_not_abandoned_on_missing_knowledge_and_not_once_it_is_over() -> None:
    gone = situation(world=World(target=None))
    assert why(at("Fixing", replace(gone, unknown=("deployments (503)",)))) == ""
    for phase in ("Resolved", "Abandoned"):
        assert why(at(phase, gone)) == ""


def test_a_policy_that_is_suspended_for_as_long_as_its_flap_window_is_meant_for_good() -> None:
    def suspended(ago: timedelta, *, still: bool = True, reason: str = "Suspended") -> str:
        hold = HoldRecord(guard="paused", kind="Wait", reason=reason, message="", since=NOW - ago)
        return why(at("Fixing", situation(spec=spec(suspend=still)), holds=[hold]))

    assert "suspended for longer" in suspended(FLAP)
    assert suspended(FLAP - SECOND) == ""
    assert suspended(FLAP, still=False) == ""
    assert suspended(FLAP, reason="Paused") == ""


def test_a_step_of_what_is_abandoned_keeps_the_debt_of_what_was_made_only() -> None:
    made = WRITE.model_copy(update={"state": "Done"})
    for writes, state in (((FIRST, WRITE), "Void"), ((made,), "Open")):
        found = closing.abandoned(replace(open_step(writes=writes), policy=None), NOW)
        assert found is not None
        assert (found.status.phase, found.status.steps[0].outcome) == ("Abandoned", "Superseded")
        assert [o.state for o in found.status.obligations] == [state]
    undo = closing.abandoned(replace(open_step(purpose="Undo"), policy=None), NOW)
    assert undo is not None
    assert [o.state for o in undo.status.obligations] == ["Open"], "what is being paid is owed still"


def test_what_may_have_been_made_when_it_is_abandoned_is_asked_from_the_world() -> None:
    found = closing.abandoned(replace(open_step(workload(replicas=8)), policy=None), NOW)
    assert found is not None
    assert [o.state for o in found.status.obligations] == ["Open"], "it was made, though that was not recorded"


def test_what_is_due_is_undone_the_oldest_first() -> None:
    soon, later = NOW - 2 * SECOND, NOW - SECOND
    s = owing(debt(due_at=later), cordon(due_at=soon), phase="Abandoned")
    found = closing.undone(s, NOW)
    assert found is not None
    assert (found.kind, found.message, found.step) == ("undo", "uncordon Node worker-1", "1-undo")
    assert [step.id for step in found.status.steps] == ["1-undo"]


def test_nothing_is_undone_before_its_time_and_at_its_time_it_is() -> None:
    assert closing.undone(owing(debt(due_at=NOW + SECOND)), NOW) is None
    assert closing.undone(owing(debt()), NOW) is None
    found = closing.undone(owing(debt(due_at=NOW)), NOW)
    assert found is not None
    assert found.kind == "undo"


def test_what_may_not_be_undone_yet_is_held() -> None:
    pause = PauseInForce("shop/pause", "Everything", "deploying", NOW + timedelta(hours=1))
    found = closing.undone(owing(debt(due_at=NOW), pauses=(pause,)), NOW)
    assert found is not None
    assert (found.kind, found.reason, found.status.steps) == ("hold", "EverythingPaused", [])


def test_an_alert_that_is_back_in_time_reopens_the_incident_and_the_calm_does_not_count() -> None:
    s = at("Resolved", situation(reading=BACK), resolved_at=NOW - FLAP + SECOND, paused_for=timedelta(minutes=1))
    before = s.status.kpis.model_copy(update={"self_resolved": True})
    found = closing.reopened(replace(s, status=s.status.model_copy(update={"kpis": before})), NOW)
    assert found is not None
    status = found.status
    assert not status.kpis.self_resolved
    assert (status.phase, status.reopened, status.kpis.resolved_at) == ("Investigating", 1, None)
    assert status.paused_for == FLAP - SECOND + timedelta(minutes=1)
    assert found.message == "the alert is back 899 s after the incident was resolved"


@pytest.mark.parametrize(
    "change",
    [
        {"resolved_at": NOW - FLAP},
        {"resolved_at": None},
        {"phase": "Abandoned"},
        {"closed_at": NOW},
        {"reading": Reading("Firing", False, "stale")},
        {"reading": GONE},
        {"unknown": ("pods (503)",)},
        {"policy": None},
    ],
)
def test_it_is_reopened_in_no_other_case(change: dict[str, Any]) -> None:
    outer = {key: change[key] for key in ("reading", "unknown", "policy") if key in change}
    inner = {key: value for key, value in change.items() if key not in outer}
    phase = str(inner.pop("phase", "Resolved"))
    s = at(phase, situation(**({"reading": BACK} | outer)), **({"resolved_at": NOW - SECOND} | inner))
    assert closing.reopened(s, NOW) is None


def test_the_calm_is_counted_for_a_week_at_most() -> None:
    week = timedelta(days=7)
    base = situation(reading=BACK, spec=spec(flapWindow="168h"))
    s = at("Resolved", base, resolved_at=NOW - week + SECOND, paused_for=timedelta(hours=2))
    found = closing.reopened(s, NOW)
    assert found is not None
    assert found.status.paused_for == week


def test_while_it_owes_it_waits_for_the_next_debt_to_fall_due() -> None:
    def again(*due: timedelta) -> timedelta:
        found = closing.over(owing(*(debt(key=str(d), due_at=NOW + d) for d in due)), NOW)
        assert found is not None
        assert found.reason == "Owing"
        return found.look_again

    assert again(9 * SECOND, 5 * SECOND) == 5 * SECOND
    assert again(timedelta(hours=2)) == answers.IDLE
    assert again(-SECOND) == timedelta(0)
    unknown = closing.over(owing(debt()), NOW)
    assert unknown is not None
    assert unknown.look_again == answers.IDLE
    assert closing.over(at("Fixing"), NOW) is None


def closed(s: Situation) -> tuple[str, bool, timedelta]:
    found = closing.over(s, NOW)
    assert found is not None
    return found.reason, closing.is_over(found.status), found.look_again


def test_it_is_closed_after_its_flap_window() -> None:
    assert closed(at("Resolved", resolved_at=NOW - FLAP + SECOND)) == ("FlapWindow", False, SECOND)
    assert closed(at("Resolved", resolved_at=NOW)) == ("FlapWindow", False, timedelta(minutes=10))
    assert closed(at("Resolved", resolved_at=NOW - FLAP)) == ("Resolved", True, timedelta(minutes=10))
    assert closed(at("Abandoned", resolved_at=NOW)) == ("Abandoned", True, timedelta(minutes=10))


def test_what_cannot_come_back_does_not_wait_for_it_unless_that_is_not_known() -> None:
    orphan = at("Resolved", situation(policy=None), resolved_at=NOW)
    assert closed(orphan)[1]
    assert not closed(replace(orphan, unknown=("policy (503)",)))[1]


def test_it_is_closed_once() -> None:
    found = closing.over(at("Abandoned", closed_at=NOW - FLAP), NOW)
    assert found is not None
    assert found.status.closed_at == NOW - FLAP


def cleared(since: timedelta, reading: Reading = GONE, **fields: Any) -> IncidentStatus | None:
    verdict = Verdict(state="Cleared", fresh=True, since=NOW - since)
    found = closing.cleared(at("Fixing", situation(reading=reading), verdict=verdict, **fields), NOW)
    return found.status if found else None


def test_an_alert_that_is_surely_gone_is_watched_and_then_resolved() -> None:
    watched = cleared(timedelta(minutes=5) - SECOND)
    assert watched is not None
    assert watched.phase == "Monitoring"
    over = cleared(timedelta(minutes=5))
    assert over is not None
    assert (over.phase, over.kpis.resolved_at, over.kpis.self_resolved) == ("Resolved", NOW, True)
    assert over.message == "the alert is gone by itself"
    kpis = situation().status.kpis.model_copy(update={"first_action_at": NOW})
    healed = cleared(timedelta(minutes=5), kpis=kpis)
    assert healed is not None
    assert (healed.kpis.self_resolved, healed.message) == (False, "the alert is gone after what was done")


def test_what_was_made_though_no_answer_came_was_done() -> None:
    made = WRITE.model_copy(update={"state": "Done"})
    step = Step(id="1-scale", rung=0, action="scale", intent_at=NOW, writes=[made], phase="Done")
    kpis = situation().status.kpis.model_copy(update={"first_action_at": NOW})
    over = cleared(timedelta(minutes=5), kpis=kpis, steps=[step])
    assert over is not None
    assert (over.kpis.self_resolved, over.kpis.first_action_at) == (False, NOW)


@pytest.mark.parametrize("acted_at", [None, NOW])
def test_what_was_written_down_and_held_back_until_the_alert_was_gone_was_not_done(acted_at: datetime | None) -> None:
    step = Step(id="1-scale", rung=0, action="scale", intent_at=NOW, writes=[WRITE], acted_at=acted_at)
    kpis = situation().status.kpis.model_copy(update={"first_action_at": NOW})
    over = cleared(timedelta(minutes=5), kpis=kpis, steps=[step.model_copy(update={"phase": "Done"})])
    assert over is not None
    assert (over.kpis.self_resolved, over.kpis.first_action_at) == (acted_at is None, acted_at)
    assert over.message == f"the alert is gone {'after what was done' if acted_at else 'by itself'}"


def test_an_alert_that_may_still_fire_resolves_nothing() -> None:
    for reading in (BACK, Reading("Cleared", False, "stale"), Reading("Unknown", False, "no answer")):
        assert cleared(timedelta(hours=1), reading) is None
    assert closing.cleared(at("Fixing", situation(reading=GONE), verdict=None), NOW) is None
