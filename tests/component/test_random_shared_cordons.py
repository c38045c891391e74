"""Whatever happens to incidents that share a cordon, it comes back when none needs it, and not before (Hypothesis)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from hypothesis import example, given, settings

from tests.support.random_cordons import Events, Start, happening, lived, starts

FEWER = settings(max_examples=settings.default.max_examples // 3)
"""Of lives that last long."""
SHARED = Start((("cordon",), ("drain",)), ("Act", "Act"), (0, 20), pods=2, budget=1_000, calm=60, beside=0)
"""The first one has cordoned the node in vain, and the second one has emptied it."""
LEFT = replace(SHARED, ladders=(("cordon",), ("leave",)), budget=0)
AT_ONCE = replace(SHARED, ladders=(("drain",), ("drain",)), delays=(0, 2), calm=5, beside=3)
REBOOTED = replace(SHARED, ladders=(("cordon",), ("drain on", "reboot")), calm=30)
EACH_OTHER = replace(SHARED, ladders=(("drain", "uncordon"), ("drain", "uncordon")), delays=(20, 0))


@FEWER
@example(SHARED, [("clear", 0, 25), ("clear", 1, 25)])
@example(SHARED, [("clear", 1, 25)])
@example(replace(SHARED, beside=7), [("clear all", 0, 25)])
@example(replace(SHARED, beside=3), [("undo all", 0, 8), ("clear all", 0, 25)])
@example(SHARED, [("kill after", 0, 1), ("clear", 0, 25)])
@example(SHARED, [("soon cordon anew", 0, 3), ("clear all", 0, 25)])
@example(LEFT, [("clear", 0, 25)])
@example(AT_ONCE, [("undo", 0, 45)])
@example(REBOOTED, [("clear", 0, 25)])
@example(replace(SHARED, ladders=(("cordon",), ("uncordon",))), [])
@example(EACH_OTHER, [])
@given(starts(), happening(14))
def test_a_cordon_that_several_share_is_neither_lost_nor_broken(start: Start, events: Events) -> None:
    life, forgotten = asyncio.run(lived(start, events))
    assert life.judge.wrong == [], "at each write, and between any two looks"
    assert forgotten == [], "nodes that nobody owes"
    statuses = life.h.statuses()
    assert [status.owes for status in statuses] == [0] * len(statuses)
    assert all(status.closed_at and status.message for status in statuses)
    assert life.h.cordoned is (life.judge.by == "person" or life.judge.left)
