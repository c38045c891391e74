"""What was found out is written together with what is waited for next, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from goldseam.engine.decide import decide
from goldseam.engine.situation import Decision, Situation
from tests.unit.test_guards import NOW, spec
from tests.unit.test_obligations import GONE, debt, deployed
from tests.unit.test_open_steps import WRITE, open_step

QUERY = {"expr": "errors", "below": "5"}
MADE = deployed(8, "goldseam")


def with_queries(s: Situation) -> Situation:
    """The same, where the rung is verified by a query."""
    pinned = spec(ladder=[{"restart": {}, "verify": {"queries": [QUERY]}}])
    return replace(s, pinned=pinned)


def decided(s: Situation) -> Decision:
    return decide(s, NOW)


def test_that_a_write_was_made_is_written_with_what_is_waited_for() -> None:
    found = decided(open_step(MADE))
    assert (found.reason, found.status.steps[0].phase) == ("Acted", "Acted")
    assert "waiting for: the alert to be Cleared" in found.status.message


def test_queries_are_asked_once_it_is_written_that_the_write_was_made() -> None:
    found = decided(with_queries(open_step(MADE)))
    assert (found.reason, found.status.steps[0].phase) == ("Acted", "Acted")
    assert "waiting for" not in found.status.message


def undone(original: int, now: int) -> Situation:
    """It is over, 8 replicas were wanted of `original`, and the Deployment is back at `now`, as its undo wanted."""
    write = WRITE.model_copy(update={"before": "8", "want": str(now)})
    owed = debt(original=str(original))
    s = open_step(deployed(now, "goldseam"), writes=(write,), purpose="Undo", reading=GONE, obligations=[owed])
    kpis = s.status.kpis.model_copy(update={"resolved_at": NOW})
    return replace(s, status=s.status.model_copy(update={"phase": "Resolved", "kpis": kpis}))


def test_that_something_was_undone_is_written_with_what_is_waited_for_whatever_verifies_the_rung() -> None:
    plain = decided(undone(3, 3))
    assert plain.reason == "Undone"
    assert plain.look_again > timedelta(0)
    assert decided(with_queries(undone(3, 3))).look_again == plain.look_again


def test_what_is_to_be_done_next_is_decided_by_a_look_of_its_own() -> None:
    found = decided(undone(1, 4))
    assert (found.kind, found.reason, found.look_again) == ("wait", "Undone", timedelta(0))
    assert found.status.open_step() is None
    assert [(o.state, o.want) for o in found.status.obligations] == [("Open", "4")]
