"""Those who act at the same moment share what they read; whoever acts later reads it anew."""

from __future__ import annotations

import asyncio
from typing import Any

from goldseam.errors import Unavailable
from goldseam.ports import LINE, Line, waiting_in
from goldseam.resources import HPAS, PAUSES, RESPONSES
from goldseam.services.gather import Opened
from goldseam.services.lately import AT_ONCE, SHARED_FOR, Lately
from goldseam.services.live_policies import live_policy
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
        h.looker.newly.opened(incident.uid, opening)
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


def pause(h: Harness, namespace: str) -> None:
    """Somebody pauses a namespace."""
    spec = {"reason": f"a release of {namespace}"}
    h.cluster.add("pauses", {"metadata": {"name": "stop", "namespace": namespace}, "spec": spec})


async def waiting(*, on_pods: bool = False) -> tuple[Harness, list[tuple[str, str]]]:
    """An incident that waits for a budget of pods that is not counted, or for the end of a Pause; what is to be known
    of the policy was read, and the watch has shown it. And what is asked from now on."""
    target = deployment()
    target["spec"]["strategy"] = {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    target["spec"]["template"]["metadata"]["labels"] = {"app": "api"}
    h = Harness(policy({"restart": {}}), target, "deployments")
    selector = {"matchLabels": {"app": "api"}}
    pdb = {"metadata": {"name": "api", "namespace": "shop", "generation": 1}, "spec": {"selector": selector}}
    if on_pods:
        h.cluster.add("poddisruptionbudgets", pdb | {"status": {}})
    else:
        pause(h, "shop")
    await h.start()
    await h.open()
    await h.settle(5)
    assert [hold.guard for hold in h.status.holds] == ["headroom" if on_pods else "paused"], h.status
    h.catalogue.arm(live_policy("RemediationPolicy", h.policy))
    h.looker.gatherer._lately = Lately(h.clock)
    await h.look()
    return h, slowed(h)


async def test_one_that_waits_reads_itself_and_its_target_and_nothing_else() -> None:
    h, asked = await waiting()
    await h.look()
    assert sorted(asked) == [("get", "deployments"), ("get", "incidents")]


async def test_pauses_and_responses_are_one_list_of_the_cluster_for_all_that_wait() -> None:
    h, asked = await waiting()
    h.clock.advance(SHARED_FOR + 1)
    await h.look()
    await h.look()
    assert asked.count(("list", "pauses")) == asked.count(("list", "responses")) == 1


async def test_a_pause_of_another_namespace_holds_nobody_here() -> None:
    h, _ = await waiting()
    h.cluster.remove("pauses", "shop", "stop")
    pause(h, "elsewhere")
    h.looker.gatherer._lately = Lately(h.clock)
    await h.settle(5)
    assert acted(h)


async def test_a_response_of_another_namespace_is_no_word_on_it() -> None:
    h, _ = await waiting()
    incident = h.book.all()[0]
    assert incident.status is not None
    spec = {"incidentRef": {"name": incident.name, "uid": incident.uid}, "decision": "Acknowledge", "by": "jane"}
    for namespace, words in (("elsewhere", 0), ("shop", 1)):
        h.cluster.add("responses", {"metadata": {"name": "no", "namespace": namespace}, "spec": spec})
        h.looker.gatherer._lately = Lately(h.clock)
        s = await h.looker.gatherer.situation(incident, incident.status, h.clock.now(), to_act=False)
        assert len(s.words) == words


async def test_where_one_list_of_the_cluster_fails_each_reads_its_own() -> None:
    h, asked = await waiting()
    list_all = h.cluster.list

    async def refused(resource: Any, namespace: str = "", **which: Any) -> Any:
        if resource in (PAUSES, RESPONSES) and not namespace:
            raise Unavailable("HTTP 500")
        return await list_all(resource, namespace, **which)

    h.cluster.list = refused  # type: ignore[method-assign]
    h.clock.advance(SHARED_FOR + 1)
    await h.look()
    assert [hold.guard for hold in h.status.holds] == ["paused"]
    assert ("list", "pauses") in asked
    assert ("get", "remediationpolicies") not in asked, "nothing was decided anew: the Pause was known"


async def test_a_policy_that_the_watch_shows_too_late_is_read_before_anything_is_done() -> None:
    h, _ = await waiting()
    h.policy["spec"]["suspend"] = True
    h.policy["metadata"]["generation"] = 2
    h.cluster.objects["remediationpolicies", "shop", "api"] = h.policy
    h.cluster.remove("pauses", "shop", "stop")
    h.looker.gatherer._lately = Lately(h.clock)
    await h.settle(5)
    assert [hold.reason for hold in h.status.holds] == ["Suspended"]
    assert not acted(h)


async def test_a_policy_is_read_anew_when_the_watch_shows_another_generation() -> None:
    h, asked = await waiting()
    body = h.policy | {"metadata": h.policy["metadata"] | {"generation": 7}}
    h.catalogue.arm(live_policy("RemediationPolicy", body))
    await h.look()
    assert ("get", "remediationpolicies") in asked


async def test_a_policy_that_says_something_else_than_the_snapshot_is_read_at_each_look() -> None:
    h, asked = await waiting()
    h.policy["spec"]["flapWindow"] = "7m"
    h.policy["metadata"]["generation"] = 2
    h.cluster.objects["remediationpolicies", "shop", "api"] = h.policy
    h.catalogue.arm(live_policy("RemediationPolicy", h.policy))
    for looks in (1, 2, 3):
        await h.look()
        assert asked.count(("get", "remediationpolicies")) == looks
        h.clock.advance(SHARED_FOR + 1)


async def test_budgets_of_pods_are_read_while_one_of_them_holds() -> None:
    h, asked = await waiting(on_pods=True)
    await h.look()
    assert ("list", "poddisruptionbudgets") in asked


async def test_where_many_are_opened_at_once_what_was_read_for_that_is_not_read_again_to_wait() -> None:
    h = Harness(policy({"restart": {}}), deployment(), "deployments")
    pause(h, "shop")
    await h.start()
    await h.open(begun=False)
    (incident,) = h.book.all()
    opening = Opened(h.clock.monotonic(), live_policy("RemediationPolicy", h.policy), h.live())
    h.looker.newly.opened(incident.uid, opening)
    h.looker._preparing = asyncio.Semaphore(0)
    asked = slowed(h)
    await h.looker.look(incident.uid)
    assert [hold.guard for hold in h.status.holds] == ["paused"]
    assert not {("get", "remediationpolicies"), ("get", "deployments"), ("list", "responses")} & set(asked)
