"""Many decide at the same time: what is read for it is read side by side, what is decided is decided one by one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from goldseam.engine.alerts import ActiveAlert
from goldseam.engine.objects import CONTROL_PLANE
from goldseam.engine.views import IncidentView
from goldseam.errors import Unavailable
from goldseam.ports import LINE, Json, Line, waiting_in
from goldseam.services.book import CROWD
from goldseam.services.gather import Opened
from goldseam.services.lately import SHARED_FOR, Lately
from goldseam.services.live_policies import live_policy
from goldseam.services.look import PREPARED_AT_ONCE, STILL_NEW
from tests.component.test_node_incidents import crempol, node
from tests.support.harness import START, Harness, VirtualClock, deployment, policy

SCALE: Json = {"scale": {"replicas": 8}}


async def opened(count: int, **spec: Any) -> Harness:
    """So many incidents of one policy, each about a Deployment of its own; every request takes a moment."""
    h = Harness(policy({"restart": {}}, target={}, **spec), deployment(), "deployments")
    plenty = [{"count": 100, "per": "1h"}]
    limits = {"breaker": {"atLeast": 100}, "budgets": {"cluster": plenty, "namespace": plenty}}
    h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": limits})
    await h.start()
    await h.open(begun=False)
    for number in range(1, count):
        target = deployment()
        target["metadata"] |= {"name": f"api-{number}", "uid": f"uid-{number}"}
        h.target = h.cluster.add("deployments", target)
        await h.open(begun=False)
    slowed(h)
    return h


def slowed(h: Harness) -> list[tuple[str, str]]:
    """Each request lets others go on before it is answered. Gives the reads, as verb and plural."""
    asked: list[tuple[str, str]] = []
    for verb in ("get", "list", "patch"):
        setattr(h.cluster, verb, _slow(getattr(h.cluster, verb), verb, asked))
    return asked


def _slow(call: Any, verb: str, asked: list[tuple[str, str]]) -> Any:
    async def called(*args: Any, **options: Any) -> Any:
        asked.append((verb, args[0].plural))
        await asyncio.sleep(0)
        return await call(*args, **options)

    return called


async def looked_at_together(h: Harness) -> None:
    await asyncio.gather(*(h.looker.look(incident.uid) for incident in h.book.all()))


def acted(h: Harness) -> list[str]:
    """The incidents that have done something."""
    return [
        i.title
        for i in h.book.all()
        if i.status and any(write.state == "Done" for s in i.status.steps for write in s.writes)
    ]


async def test_of_many_that_decide_at_once_no_more_act_than_the_budget_allows() -> None:
    h = await opened(12, limits={"actions": [{"count": 3, "per": "1h"}], "concurrent": 50})
    await looked_at_together(h)
    assert len(acted(h)) == 3
    assert sum(entry.count for entry in h.ledger.ledger.entries) == 3


async def test_of_many_that_decide_at_once_no_more_are_at_work_than_the_policy_allows() -> None:
    h = await opened(12, limits={"actions": [{"count": 50, "per": "1h"}], "concurrent": 2})
    await looked_at_together(h)
    assert len(acted(h)) == 2


def counted(h: Harness, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For each time that all is read for a decision: for how many it was at that moment."""
    now, counts, prepared = 0, [], h.looker._prepared

    async def count(*args: Any) -> Any:
        nonlocal now
        now += 1
        counts.append(now)
        try:
            return await prepared(*args)
        finally:
            now -= 1

    monkeypatch.setattr(h.looker, "_prepared", count)
    return counts


async def test_what_was_read_too_long_ago_is_read_again_before_it_is_decided_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    h = await opened(2, limits={"actions": [{"count": 50, "per": "1h"}], "concurrent": 50})
    spend, first = h.ledger.spend, True

    async def slow(*args: Any) -> None:
        nonlocal first
        if first:  # while the one is written, the other waits, and somebody asks us to stop
            first = False
            for _ in range(50):
                await asyncio.sleep(0)
            h.clock.advance(STILL_NEW + 1)
            spec = {"reason": "stop", "expiresAt": "2026-11-23T18:00:00Z"}
            h.cluster.add("pauses", {"metadata": {"name": "stop", "namespace": "shop"}, "spec": spec})
        await spend(*args)

    prepared = counted(h, monkeypatch)
    monkeypatch.setattr(h.ledger, "spend", slow)
    await looked_at_together(h)
    assert (len(acted(h)), len(prepared)) == (1, 3)


async def two_nodes(*, control_plane: bool, at_once: int) -> Harness:
    """Two incidents of two policies, about two nodes; every request takes a moment."""
    label = {CONTROL_PLANE: ""} if control_plane else {}
    nodes = [node(name) for name in ("n1", "n2", "n3")]
    for one in nodes:
        one["metadata"]["labels"] = {**one["metadata"]["labels"], **label}
    h = Harness(crempol({"cordon": {"controlPlane": control_plane}}), nodes[0], "nodes")
    limits = {"breaker": {"atLeast": 100}, "budgets": {"nodes": {"atOnce": at_once, "perZone": at_once}}}
    h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": limits})
    others = [h.cluster.add("nodes", other) for other in nodes[1:]]
    await h.start()
    await h.open(begun=False)
    second = crempol({"cordon": {"controlPlane": control_plane}})
    second["metadata"]["name"] = "nodes-too"
    h.policy, h.target = h.cluster.add("clusterremediationpolicies", second), others[0]
    await h.open(begun=False)
    slowed(h)
    return h


def cordoned_nodes(h: Harness) -> list[str]:
    return [n["metadata"]["name"] for n in h.cluster.all("nodes") if (n.get("spec") or {}).get("unschedulable")]


@pytest.mark.parametrize(
    ("control_plane", "at_once", "cordoned"), [(False, 1, 1), (False, 2, 2), (True, 1, 1), (True, 2, 1)]
)
async def test_of_two_that_decide_at_once_no_more_nodes_are_taken_than_allowed(
    control_plane: bool, at_once: int, cordoned: int
) -> None:
    h = await two_nodes(control_plane=control_plane, at_once=at_once)
    await looked_at_together(h)
    assert len(cordoned_nodes(h)) == cordoned
    await looked_at_together(h)
    assert len(cordoned_nodes(h)) == cordoned
    held = [[hold.reason for hold in status.holds] for status in h.statuses() if not status.steps]
    assert held == [["NodesAtOnce"]] * (2 - cordoned), "it waits, and does not fail"


async def test_of_two_on_one_target_that_decide_at_once_one_acts() -> None:
    free = {"cooldown": "0s", "concurrent": 5}
    h = Harness(policy({"restart": {}}, limits=free), deployment(), "deployments")
    await h.start()
    await h.open(begun=False)
    second = policy({"restart": {}}, limits=free)
    second["metadata"]["name"] = "other"
    h.policy = h.cluster.add("remediationpolicies", second)
    await h.open(begun=False)
    slowed(h)
    await looked_at_together(h)
    assert len(acted(h)) == 1


async def test_only_so_many_are_read_for_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    h = await opened(30, limits={"actions": [{"count": 50, "per": "1h"}], "concurrent": 50})
    prepared = counted(h, monkeypatch)
    await looked_at_together(h)
    assert (max(prepared), len(acted(h))) == (PREPARED_AT_ONCE, 30)


@pytest.mark.parametrize(("concurrent", "read_for"), [(2, CROWD + 2), (50, 30)])
async def test_in_a_crowd_of_one_policy_all_is_read_only_for_those_that_nothing_holds(
    concurrent: int, read_for: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"actions": [{"count": 50, "per": "1h"}], "concurrent": concurrent}
    h = await opened(30, limits=limits)
    prepared = counted(h, monkeypatch)
    for incident in h.book.all():
        await h.looker.look(incident.uid)
    assert len(acted(h)) == min(concurrent, 30)
    assert len(prepared) <= read_for
    assert all(i.status is not None and (i.status.holds or i.status.steps) for i in h.book.all()), "all are decided on"


async def test_incidents_of_which_people_have_taken_over_are_no_crowd() -> None:
    h = await opened(CROWD + 3, limits={"actions": [{"count": 50, "per": "1h"}], "concurrent": 50})
    incidents = h.book.all()
    for incident in incidents[:-1]:
        await h.looker.look(incident.uid)
        known = h.book.get(incident.uid)
        assert known is not None
        assert known.status is not None
        over = known.status.model_copy(update={"phase": "Escalated", "handed_over": True, "steps": []})
        h.book.put(replace(known, status=over))
    assert not h.book.crowded(incidents[0].policy)


async def just_opened() -> tuple[Harness, IncidentView, list[tuple[str, str]]]:
    h = await opened(1)
    asked: list[tuple[str, str]] = slowed(h)
    incident = h.book.all()[0]
    h.looker.newly.opened(
        incident.uid, Opened(h.clock.monotonic(), live_policy("RemediationPolicy", h.policy), h.target)
    )
    return h, incident, asked


async def test_what_was_opened_just_now_is_not_read_again_before_its_first_status() -> None:
    h, incident, asked = await just_opened()
    await h.look()
    known = {("get", "incidents"), ("get", "remediationpolicies"), ("list", "responses")}
    assert known & set(asked) == set()
    assert ("get", "deployments") not in asked
    assert asked.count(("patch", "incidents")) == 3, "the first status, the intent, and what came of it"
    assert acted(h) == [incident.title]


async def test_what_was_read_for_the_opening_long_ago_is_read_again() -> None:
    h, incident, asked = await just_opened()
    h.clock.advance(STILL_NEW + 1)
    await h.look()
    assert asked.count(("get", "remediationpolicies")) == 1
    assert asked.count(("get", "deployments")) == 1
    assert acted(h) == [incident.title]


async def test_a_policy_that_cannot_be_read_is_not_one_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    h = await opened(1)
    incident, getting = h.book.all()[0], h.cluster.get

    async def get(*args: Any) -> Json:
        if args[0].plural == "remediationpolicies":
            raise Unavailable("no answer")
        return await getting(*args)

    with monkeypatch.context() as away:
        away.setattr(h.cluster, "get", get)
        with pytest.raises(Unavailable):
            await h.look()
    assert h.book.all() == [incident]
    await h.look()
    assert acted(h) == [incident.title]


async def test_a_trip_that_could_not_be_written_is_written_later(monkeypatch: pytest.MonkeyPatch) -> None:
    h = await opened(1)
    h.cluster.objects["guardrails", "", "cluster"]["spec"]["breaker"] = {"atLeast": 1}
    patching = h.cluster.patch

    async def patch(*args: Any, **options: Any) -> Json:
        raise Unavailable("no answer")

    with monkeypatch.context() as away:
        away.setattr(h.cluster, "patch", patch)
        await h.fleet.assess()
    assert h.cluster.patch == patching
    await h.fleet.assess()
    assert h.cluster.objects["guardrails", "", "cluster"]["status"]["breaker"]["state"] == "Tripped"


@pytest.mark.parametrize("gone", [False, True])
async def test_where_all_that_fires_cannot_be_read_nothing_is_done_though_the_rules_are_known(gone: bool) -> None:
    h, _, _ = await just_opened()
    h.alert_state = "Cleared" if gone else "Firing"

    async def unread(_: str) -> str:
        return "HTTP 503"

    h.looker.refresh_firing = unread
    await h.look()
    assert h.status.steps == []
    assert (h.status.holds[0].reason, "HTTP 503" in h.status.holds[0].message) == (
        ("AlertUnknown" if gone else "AlertFiring"),
        True,
    )
    assert h.status.phase == "Investigating"


async def test_all_that_fires_is_read_beside_everything_else_and_counted_then() -> None:
    h, incident, asked = await just_opened()
    firing = ActiveAlert({"alertname": "A", "namespace": "n"}, {}, "firing", START)
    h.cluster.objects["guardrails", "", "cluster"]["spec"]["storm"] = {"rules": 1, "namespaces": 1}

    async def read(_: str) -> str:
        while ("list", "pauses") not in asked:  # which is read for the decision, too
            await asyncio.sleep(0)
        h.firing = [("default", firing)]
        return ""

    h.looker.refresh_firing = read
    async with asyncio.timeout(5):
        await h.look()
    assert acted(h) == []
    assert [hold.reason for hold in h.status.holds] == ["AlertStorm"]
    assert incident.uid in {one.uid for one in h.book.all()}


async def test_where_somebody_else_began_on_it_nothing_is_done() -> None:
    h, incident, _ = await just_opened()
    h.cluster.edit("incidents", incident.namespace, incident.name, {"metadata": {"labels": {"theirs": "yes"}}})
    await h.look()
    assert h.live()["spec"]["template"] == deployment()["spec"]["template"]
    assert not h.ledger.ledger.entries
    await h.look()
    assert acted(h) == [incident.title], "the next look reads it"


async def carried_out() -> Harness:
    """An incident whose scaling was done, and seen to be done."""
    h = Harness(policy(SCALE), deployment(3), "deployments")
    await h.start()
    await h.open()
    await h.look()
    h.controllers()
    await h.look()
    return h


async def test_a_step_that_was_carried_out_is_written_together_with_what_is_waited_for() -> None:
    h = await carried_out()
    (step,) = h.status.steps
    assert (step.phase, h.status.message[:31]) == ("Acted", "scale was done; waiting for: th")


async def test_queries_are_asked_when_the_step_was_carried_out_not_before() -> None:
    verify = {"queries": [{"expr": "up", "above": "0"}], "settle": "0s"}
    h = Harness(policy({**SCALE, "verify": verify}), deployment(3), "deployments")
    await h.start()
    await h.open()
    await h.look()
    h.clock.advance(3600)  # the operator was away, and the step's time is over: it did not fail because of that
    h.controllers()
    await h.look()
    (step,) = h.status.steps
    assert (step.phase, step.outcome) == ("Acted", None)


async def test_a_step_that_is_watched_costs_no_list_of_autoscalers_and_one_read_of_its_target() -> None:
    h = await carried_out()
    asked = slowed(h)
    h.clock.advance(5)
    await h.look()
    assert ("list", "horizontalpodautoscalers") not in asked
    assert asked.count(("get", "deployments")) == 2, "the Deployment and its scale"


async def test_what_falls_due_later_is_not_urgent_yet() -> None:
    h = Harness(policy(SCALE, resolve={"after": "10s", "revertAfter": "60s"}), deployment(3), "deployments")
    await h.start()
    await h.open()
    lines: list[tuple[str, Line]] = []
    getting = h.cluster.get

    async def get(*args: Any) -> Json:
        lines.append((h.status.phase, LINE.get()))
        return await getting(*args)

    h.cluster.get = get  # type: ignore[method-assign,assignment]
    await h.settle(30)
    h.alert_state = "Cleared"
    await h.settle(200)
    assert h.live()["spec"]["replicas"] == 3
    assert {line for phase, line in lines if phase == "Fixing"} <= {Line.ACTING, Line.LOOKING}
    assert Line.URGENT in {line for phase, line in lines if phase == "Resolved"}


class Asked:
    """Answers with how often it was asked; fails when told to."""

    def __init__(self) -> None:
        self.times, self.fails = 0, False

    async def __call__(self) -> int:
        self.times += 1
        mine = self.times
        await asyncio.sleep(0)
        if self.fails:
            raise Unavailable("no answer")
        return mine


async def test_an_answer_is_shared_for_a_while_also_while_it_is_asked_for() -> None:
    clock, ask = VirtualClock(), Asked()
    lately = Lately(clock)
    assert await asyncio.gather(*(lately.answer(("pauses", "a", ""), ask) for _ in range(3))) == [1, 1, 1]
    clock.advance(SHARED_FOR)
    assert await lately.answer(("pauses", "a", ""), ask) == 1
    clock.advance(0.1)
    assert await lately.answer(("pauses", "a", ""), ask) == 2


async def test_what_has_changed_is_asked_for_anew_though_it_is_being_asked_for() -> None:
    lately, ask = Lately(VirtualClock()), Asked()
    before = asyncio.create_task(lately.answer(("pauses", "a", ""), ask))
    other = await lately.answer(("responses", "a", ""), Asked())
    lately.forget("pauses")
    assert await lately.answer(("pauses", "a", ""), ask) == 2
    assert await before == 1
    assert await lately.answer(("responses", "a", ""), ask) == other, "of other kinds nothing is forgotten"


async def test_an_error_is_not_kept() -> None:
    lately, ask = Lately(VirtualClock()), Asked()
    ask.fails = True
    both = (lately.answer(("pauses", "a", ""), ask) for _ in range(2))
    assert [str(e) for e in await asyncio.gather(*both, return_exceptions=True)] == 2 * ["no answer"]
    ask.fails = False
    assert await lately.answer(("pauses", "a", ""), ask) == 2


async def suspended(**spec: Any) -> Harness:
    """An incident that waits; what its look has read is shared with the next, and no watch shows what has changed."""
    h = Harness(policy(spec.pop("rung", {"restart": {}}), suspend=True, **spec), deployment(), "deployments")
    await h.start()
    h.looker.gatherer._lately = Lately(h.clock)
    await h.open()
    await h.look()
    assert h.status.holds[0].reason == "Suspended"
    return h


def pause_and_resume(h: Harness) -> None:
    spec = {"reason": "stop", "expiresAt": "2026-11-23T18:00:00Z"}
    h.cluster.add("pauses", {"metadata": {"name": "stop", "namespace": "shop"}, "spec": spec})
    h.policy = h.cluster.edit("remediationpolicies", "shop", "api", {"spec": {"suspend": False}})
    lately = h.looker.gatherer._lately
    assert lately is not None
    lately.forget("remediationpolicies")  # which the watch has shown, and the Pause not yet


@pytest.mark.parametrize("rung", [{"restart": {}}, {"escalate": {}}, {"notify": {}}], ids=lambda rung: next(iter(rung)))
async def test_whoever_acts_or_calls_people_asks_anew(rung: Json) -> None:
    h = await suspended(rung=rung)
    pause_and_resume(h)
    await h.look()
    assert h.clock.now() == START
    assert (acted(h), h.status.escalations, h.status.rung) == ([], [], 0)
    assert h.status.holds[0].reason == "Paused"


async def test_whoever_only_waits_asks_for_what_is_shared_once() -> None:
    h = await suspended()
    asked = slowed(h)
    for _ in range(3):
        await h.look()
    assert [what for what in asked if what[1] in ("pauses", "responses", "guardrails")] == []
    h.clock.advance(SHARED_FOR + 1)
    await h.look()
    assert asked.count(("list", "responses")) == 1


async def test_a_yes_that_came_in_time_counts_though_the_watch_has_not_shown_it() -> None:
    h = Harness(policy({"restart": {}}, mode="Propose", approval={"timeout": "5m"}), deployment(), "deployments")
    await h.start()
    await h.open()
    await h.settle(5)
    (question,) = h.status.approvals
    h.looker.gatherer._lately = Lately(h.clock)
    h.clock.advance((question.expires_at - h.clock.now()).total_seconds() - 5)
    await h.look()
    incident = next(h.cluster.all("incidents"))["metadata"]
    spec = {"incidentRef": {"name": incident["name"], "uid": incident["uid"]}, "decision": "Approve", "by": "jane"}
    spec |= {"step": question.step, "planHash": question.plan_hash}
    h.cluster.add("responses", {"metadata": {"name": "yes", "namespace": "shop"}, "spec": spec})
    h.clock.advance(6)
    await h.look()
    assert [response.by for response in h.status.responses] == ["jane"]


async def test_what_is_urgent_waits_for_no_answer_to_others() -> None:
    h = await suspended()
    asked = slowed(h)
    with waiting_in(Line.URGENT):
        incident = h.book.all()[0]
        assert incident.status is not None
        await h.looker.gatherer.situation(incident, incident.status, h.clock.now(), to_act=False)
    assert ("list", "pauses") in asked
