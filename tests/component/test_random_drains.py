"""Whatever the cluster looks like, and whatever happens meanwhile: a drain hurts nobody, and ends (Hypothesis)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.judged_drains import ENDED
from tests.support.random_drains import CROWDED, EVENTS, QUIET, SLOW, App, Events, Life, Start, lived, starts

FEWER = settings(max_examples=settings.default.max_examples // 3)
"""Of lives that last long."""
CALM = App((0,), "Deployment", {}, {}, sick=False)
STUCK = App((0,), "Deployment", {}, {}, sick=True, undying=True)


def happening(kinds: tuple[str, ...], most: int) -> st.SearchStrategy[Events]:
    return st.lists(st.tuples(st.sampled_from(kinds), st.integers(1, 60)), max_size=most)


def nobody_is_hurt(life: Life) -> None:
    """What holds at any moment, however it ends."""
    toy, start = life.toy, life.start
    assert toy.broken == []
    assert toy.at_once == [], "of a workload with volumes one pod goes after the other"
    assert toy.taken <= start.at_once
    assert toy.of_one_zone <= start.per_zone
    ended = [body["uid"] for verb, _, _, body in life.h.cluster.writes if verb in ("evict", "delete")]
    assert len(ended) == len(set(ended))
    assert life.judge.wrong == [], "at each write"
    assert life.judge.late == [], "a drain is over in time, and then gives back the node that it has not emptied"
    assert life.unsaid() == []


@example(Start(("a", "b", "b"), (CROWDED, CROWDED), 2, 1, 1, evict=True, start=3.0, theirs=True), [])
@example(Start(("a", "a", "b"), (CROWDED,), 2, 2, 1, evict=True, start=3.0), [])
@example(SLOW, [("die deleting", 20), ("clear", 5)])
@example(SLOW, [("die deleting", 20), ("forbid", 5)])
@example(SLOW, [("forbid", 40)])
@example(SLOW, [("clear", 40)])
@example(SLOW, [("pause", 40)])
@example(replace(SLOW, deadline="", at_deadline="Uncordon"), [("pause", 50)])
@example(replace(SLOW, deadline="", at_deadline="Uncordon"), [("uncordon", 50)])
@example(replace(SLOW, deadline="", at_deadline="Uncordon"), [("cordon anew", 50)])
@example(replace(SLOW, at_deadline="LeaveCordoned"), [("time", 40)])
@example(replace(SLOW, at_deadline="Uncordon", start=3.0, grace=40.0), [("time", 40)])
@example(replace(SLOW, calm=0.0), [("kill before", 3), ("away", 12), ("time", 30)])
@example(replace(SLOW, apps=(CALM, CROWDED), calm=0.0), [("refuse", 40)])
@given(starts(), happening(EVENTS, 8))
def test_no_budget_is_broken_no_cap_is_passed_and_every_node_comes_back(start: Start, events: Events) -> None:
    life = asyncio.run(lived(start, events))
    nobody_is_hurt(life)
    statuses = life.h.statuses()
    assert {status.phase for status in statuses} <= set(ENDED), statuses[0].message
    assert [status.owes for status in statuses] == [0] * len(statuses)
    assert life.unexplained() == set(), "it is uncordoned, or it is said why not, or whose it is now"


@FEWER
@example(replace(SLOW, zones=("a", "a", "a"), apps=(CROWDED, STUCK), drained=2, theirs=True), [])
@example(replace(SLOW, calm=0.0), [("pause", 5), ("unpause", 30)])
@example(replace(SLOW, calm=0.0), [("unreadable", 5), ("readable", 30)])
@example(Start(("a", "b", "b"), (CROWDED,), 2, 1, 1, evict=True, start=3.0), [])
@given(starts(), happening(EVENTS, 6))
def test_where_nothing_ever_gets_better_each_drain_ends_or_says_what_it_waits_for(start: Start, events: Events) -> None:
    life = asyncio.run(lived(start, events, healed=False))
    nobody_is_hurt(life)
    for incident in life.h.cluster.all("incidents"):
        assert life.judge.explains(incident), incident["status"]
    assert life.unexplained() == set()


@given(starts(), happening(QUIET, 6))
def test_nobody_who_had_a_ready_pod_is_ever_without_one_unless_the_policy_says_so(start: Start, events: Events) -> None:
    alone = replace(start, at_once=1, evict=False, at_deadline="Uncordon")
    life = asyncio.run(lived(alone, events))
    assert {name: least for name, least in life.toy.least.items() if not least} == {}


def test_there_are_lives_in_which_a_drain_restarts_and_empties_its_node() -> None:
    life = asyncio.run(lived(Start(("a", "b"), (CALM, CALM), 1, 1, 1, evict=False, start=3.0), []))
    assert [step.outcome for step in life.h.statuses()[0].steps if step.action == "drain"] == ["Passed"]
    assert {w.object.kind for w in life.h.statuses()[0].steps[0].writes} == {"Node", "Deployment", "Pod"}


def test_there_are_lives_in_which_what_is_left_at_the_deadline_is_deleted() -> None:
    life = asyncio.run(lived(SLOW, [("time", 40)]))
    assert set(life.toy.forced) == {"n0"}
    assert [step.outcome for step in life.h.statuses()[0].steps if step.action == "drain"] == ["Passed"]
