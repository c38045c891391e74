"""Whatever the cluster looks like, and whatever happens meanwhile: a drain hurts nobody, and ends (Hypothesis)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.random_drains import ENDED, EVENTS, QUIET, App, Events, Life, Start, lived, starts

FEWER = settings(max_examples=settings.default.max_examples // 3)
"""Of lives that last long."""
CROWDED = App((0, 0, 1, 1), "Deployment", {"maxUnavailable": 1}, {}, sick=False)


def happening(kinds: tuple[str, ...], most: int) -> st.SearchStrategy[Events]:
    return st.lists(st.tuples(st.sampled_from(kinds), st.integers(1, 60)), max_size=most)


def nobody_is_hurt(life: Life) -> None:
    """What holds at any moment, however it ends."""
    toy, start = life.toy, life.start
    assert toy.broken == []
    assert toy.at_once == [], "of a workload with volumes one pod goes after the other"
    assert toy.taken <= start.at_once
    assert toy.of_one_zone <= start.per_zone
    assert life.astray == [], "of the control plane, without `controlPlane: true` or beside another one"
    ended = [body["uid"] for verb, _, _, body in life.h.cluster.writes if verb in ("evict", "delete")]
    assert len(ended) == len(set(ended))
    if toy.forced:
        assert start.at_deadline == "Force"
        assert {"*", *toy.forced} & set(start.allowed)


@example(Start(("a", "b", "b"), (CROWDED, CROWDED), 2, 1, 1, evict=True, start=3.0, theirs=True), [])
@given(starts(), happening(EVENTS, 8))
def test_no_budget_is_broken_no_cap_is_passed_and_every_node_comes_back(start: Start, events: Events) -> None:
    life = asyncio.run(lived(start, events))
    nobody_is_hurt(life)
    statuses = life.h.statuses()
    assert {status.phase for status in statuses} <= set(ENDED), statuses[0].message
    assert [status.owes for status in statuses] == [0] * len(statuses)
    assert life.unexplained() == set(), "it is uncordoned, or it is said why not, or whose it is now"


@FEWER
@given(starts(), happening(EVENTS, 6))
def test_where_nothing_ever_gets_better_each_drain_ends_or_says_what_it_waits_for(start: Start, events: Events) -> None:
    life = asyncio.run(lived(start, events, healed=False))
    nobody_is_hurt(life)
    for status in life.h.statuses():
        assert status.phase in ENDED or status.holds, status.message
    assert life.unexplained() == set()


@given(starts(), happening(QUIET, 6))
def test_nobody_who_had_a_ready_pod_is_ever_without_one_unless_the_policy_says_so(start: Start, events: Events) -> None:
    alone = replace(start, at_once=1, evict=False, at_deadline="Uncordon")
    life = asyncio.run(lived(alone, events))
    assert {name: least for name, least in life.toy.least.items() if not least} == {}


def test_there_are_lives_in_which_a_drain_restarts_and_empties_its_node() -> None:
    calm = App((0,), "Deployment", {}, {}, sick=False)
    life = asyncio.run(lived(Start(("a", "b"), (calm, calm), 1, 1, 1, evict=False, start=3.0), []))
    assert [step.outcome for step in life.h.statuses()[0].steps if step.action == "drain"] == ["Passed"]
    assert {w.object.kind for w in life.h.statuses()[0].steps[0].writes} == {"Node", "Deployment", "Pod"}
