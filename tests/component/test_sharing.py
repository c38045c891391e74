"""Those who act at the same moment share what they read; whoever acts later reads it anew."""

from __future__ import annotations

import asyncio
from typing import Any

from goldseam.ports import LINE, Line, waiting_in
from goldseam.resources import HPAS
from goldseam.services.gather import Opened, live_policy
from goldseam.services.lately import AT_ONCE, Lately
from tests.component.test_deciding import SCALE, acted, looked_at_together, opened, slowed
from tests.support.harness import Harness, deployment, policy


async def both_opened(*, later: float = 0.0) -> tuple[Harness, list[tuple[str, str]]]:
    """Two incidents that were opened just now, and so many seconds one after the other."""
    free = {"actions": [{"count": 50, "per": "1h"}], "concurrent": 50}
    h = await opened(2, limits=free)
    h.looker.together = Lately(h.clock, AT_ONCE, (HPAS,))
    asked = slowed(h)
    for incident in h.book.all():
        ref = incident.spec.target
        target = h.cluster.objects["deployments", ref.namespace, ref.name]
        opening = Opened(h.clock.monotonic(), live_policy("RemediationPolicy", h.policy), target)
        h.looker.opened(incident.uid, opening)
    if later:
        first, second = h.book.all()
        await h.looker.look(first.uid)
        h.clock.advance(later)
        await h.looker.look(second.uid)
    else:
        await looked_at_together(h)
    return h, asked


async def test_pauses_are_read_once_for_those_who_act_at_the_same_moment() -> None:
    h, asked = await both_opened()
    assert len(acted(h)) == 2
    assert asked.count(("list", "pauses")) == 2, "of the target's namespace, and of the operator's"


async def test_whoever_acts_a_moment_later_reads_the_pauses_anew() -> None:
    h, asked = await both_opened(later=AT_ONCE + 0.01)
    assert len(acted(h)) == 2
    assert asked.count(("list", "pauses")) == 4


async def test_autoscalers_are_shared_too_and_for_that_moment_only() -> None:
    h = Harness(policy(SCALE), deployment(), "deployments")
    await h.start()
    await h.open()
    h.looker.together = Lately(h.clock, AT_ONCE, (HPAS,))
    asked, incident = slowed(h), h.book.all()[0]
    assert incident.status is not None
    for seconds, lists in ((0.0, 1), (AT_ONCE / 2, 1), (AT_ONCE, 2)):
        h.clock.advance(seconds)
        await h.looker.gatherer.situation(incident, incident.status, h.clock.now(), together=h.looker.together)
        assert asked.count(("list", "horizontalpodautoscalers")) == lists


async def test_what_is_urgent_asks_anew_and_others_share_its_answer() -> None:
    h = Harness(policy(SCALE), deployment(), "deployments")
    lately = Lately(h.clock, AT_ONCE)
    hanging, asked = asyncio.Event(), 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        mine = asked
        if mine == 1:
            await hanging.wait()
        return mine

    first = asyncio.create_task(lately.answer(("pauses", "shop", ""), ask))
    await asyncio.sleep(0)
    assert await asyncio.wait_for(lately.answer(("pauses", "shop", ""), ask, anew=True), 5) == 2
    assert await lately.answer(("pauses", "shop", ""), ask) == 2
    hanging.set()
    assert await first == 1


async def test_an_urgent_decision_waits_for_no_answer_to_others() -> None:
    h, asked = await both_opened()
    before, incident = asked.count(("list", "pauses")), h.book.all()[0]
    assert incident.status is not None
    situation: Any = h.looker.gatherer.situation
    with waiting_in(Line.URGENT):
        assert LINE.get() is Line.URGENT
        await situation(incident, incident.status, h.clock.now(), together=h.looker.together)
    assert asked.count(("list", "pauses")) == before + 2
