"""Cost follows what changes: who is looked at when, and which policies are judged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.api.guardrails import Trip
from goldseam.api.incident import HoldRecord
from goldseam.api.policy import RemediationPolicySpec
from goldseam.engine.answers import SHORTLY
from goldseam.engine.matching import PolicyKey
from goldseam.engine.situation import Fleet
from goldseam.engine.verdict import History, Reading
from goldseam.engine.views import IncidentView
from goldseam.services.catalogue import Catalogue
from goldseam.services.judging import Judging
from goldseam.services.live_policies import live_policy
from goldseam.services.look import WAITING_AT_ONCE
from goldseam.services.permissions import Permissions
from goldseam.services.sources import Listening, Source
from goldseam.services.statuses import Statuses
from goldseam.services.tenants import Tenants
from goldseam.services.waking import BUSY, LATEST, SOONEST, Pace, Waker
from tests.support.harness import NAMESPACE, Harness, VirtualClock, deployment, policy
from tests.support.toycluster import ToyCluster

KEY = PolicyKey("RemediationPolicy", "shop", "api")
SOURCE: Any = SimpleNamespace(name="default", hinted=False)
FIRING, CLEARED = Reading("Firing", True, ""), Reading("Cleared", True, "")


async def held() -> tuple[Harness, IncidentView]:
    """An incident that waits, with nothing under way."""
    h = Harness(policy({"restart": {}}, suspend=True), deployment(), "deployments")
    await h.start()
    await h.open()
    await h.settle(5)
    return h, h.book.all()[0]


async def fixing() -> tuple[Harness, IncidentView]:
    """An incident at which something is under way."""
    h = Harness(policy({"scale": {"replicas": 8}}), deployment(), "deployments")
    await h.start()
    await h.open()
    await h.settle(5)
    return h, h.book.all()[0]


class Woken(list[str]):
    """Who was woken; a Waker over one incident."""

    def __init__(self, h: Harness, reading: Reading = FIRING, *, counts: bool = False) -> None:
        self.reading, self.newly = reading, h.looker.newly
        self.waker = Waker(h.book, lambda _: self.reading, lambda _: counts, self.append, self.newly)
        self.waker.answered(SOURCE, ())  # what was open before
        self.clear()


async def test_an_incident_that_waits_is_left_alone_while_its_verdict_stays() -> None:
    h, _ = await held()
    woken = Woken(h)
    for _ in range(5):
        woken.waker.answered(SOURCE, ())
    assert woken == []


async def test_that_how_everything_fares_was_counted_for_the_first_time_wakes_nobody() -> None:
    h, _ = await held()
    woken, h.fleet.fleet = Woken(h), Fleet()
    woken.waker.answered(SOURCE, h.fleet.tripped)
    woken.clear()
    await h.fleet.assess()
    assert h.fleet.fleet.breaker is not None
    woken.waker.answered(SOURCE, h.fleet.tripped)
    assert woken == []


async def test_when_what_could_not_be_counted_at_first_is_counted_or_something_trips_all_are_woken() -> None:
    h, incident = await held()
    woken, h.fleet.fleet = Woken(h), Fleet()
    tripped = Trip(state="Tripped", since=h.clock.now(), message="too many")
    for now in (Fleet(), Fleet(unknown="HTTP 503"), Fleet(), Fleet(breaker=tripped)):
        h.fleet.fleet = now
        woken.clear()
        woken.waker.answered(SOURCE, h.fleet.tripped)
        woken.waker.answered(SOURCE, h.fleet.tripped)
        assert woken == [incident.uid]


async def test_a_new_verdict_wakes_it_and_only_that_of_its_own_source() -> None:
    h, incident = await held()
    woken = Woken(h)
    woken.reading = CLEARED
    woken.waker.answered(SimpleNamespace(name="other", hinted=False), ())  # type: ignore[arg-type]
    assert woken == []
    woken.waker.answered(SOURCE, ())
    assert woken == [incident.uid]


async def test_one_at_which_something_is_under_way_is_looked_at_after_every_answer() -> None:
    h, incident = await fixing()
    woken = Woken(h)
    for _ in range(3):
        woken.waker.answered(SOURCE, ())
    assert woken == 3 * [incident.uid]


async def test_a_read_that_a_hint_woke_wakes_it_only_if_it_shows_something_new() -> None:
    h, incident = await fixing()
    woken = Woken(h)
    hinted: Any = SimpleNamespace(name="default", hinted=True)
    for _ in range(3):
        woken.waker.answered(hinted, ())
    assert woken == [], "a flood of hints is no flood of looks"
    woken.reading = CLEARED
    woken.waker.answered(hinted, ())
    assert woken == [incident.uid]


async def test_one_that_was_opened_just_now_has_no_status_yet_and_is_not_woken() -> None:
    h = Harness(policy({"restart": {}}), deployment(), "deployments")
    await h.start()
    await h.open(begun=False)
    woken = Woken(h, CLEARED)
    woken.waker.answered(SimpleNamespace(name="default", hinted=True), ())  # type: ignore[arg-type]
    assert woken == []


async def test_its_policy_a_tripped_breaker_and_what_concerns_all_wake_it() -> None:
    h, incident = await held()
    woken = Woken(h)
    woken.waker.policy(PolicyKey("RemediationPolicy", "shop", "another"))
    assert woken == []
    woken.waker.policy(KEY)
    woken.waker.answered(SOURCE, ("Tripped",))
    woken.waker.everybody()
    assert woken == 3 * [incident.uid]


async def test_another_incident_wakes_it_only_where_the_runbook_counts_systems() -> None:
    for counts in (False, True):
        h, incident = await held()
        woken = Woken(h, counts=counts)
        h.book.put(IncidentView("shop", "b", "b", "1", incident.created, incident.spec, incident.status))
        woken.waker.answered(SOURCE, ())
        assert (incident.uid in woken) == counts


def waiting(name: str, like: IncidentView, reason: str, created: str = "2026-11-23T12:00:00Z") -> IncidentView:
    """An incident of the same policy and target, held for this reason."""
    assert like.status is not None
    now = like.status.verdict.since  # type: ignore[union-attr]
    hold = HoldRecord(guard="budget", kind="Wait", reason=reason, message="", since=now, look_again_at=now)
    status = like.status.model_copy(update={"phase": "Investigating", "steps": [], "obligations": [], "holds": [hold]})
    return IncidentView("shop", name, name, "1", created, like.spec, status)


@pytest.mark.parametrize(
    ("reason", "woken_too"),
    [("Concurrent", True), ("OtherIncident", True), ("OtherPolicy", True), ("NodesAtOnce", True), ("Freeze", False)],
)
async def test_what_waits_for_another_incident_is_looked_at_when_that_one_lets_go(reason: str, woken_too: bool) -> None:
    h, incident = await fixing()
    woken = Woken(h)
    h.book.freed = woken.waker.freed
    h.book.put(waiting("b", incident, reason))
    h.book.put(incident)
    assert woken == [], "it is still at work"
    assert incident.status is not None
    steps = [step.model_copy(update={"phase": "Done", "outcome": "Passed"}) for step in incident.status.steps]
    status = incident.status.model_copy(update={"phase": "Monitoring", "steps": steps})
    h.book.put(replace(incident, status=status))
    assert ("b" in woken) == woken_too
    woken.clear()
    h.book.drop(incident.uid)
    assert ("b" in woken) == woken_too


async def test_of_many_that_wait_for_another_those_that_waited_longest_are_looked_at() -> None:
    h, incident = await fixing()
    woken = Woken(h)
    for number in range(30):
        h.book.put(waiting(f"b{number}", incident, "Concurrent", f"2026-11-23T12:00:{59 - number}Z"))
    woken.waker.freed(incident)
    assert woken == [f"b{number}" for number in range(29, 19, -1)]


async def test_what_waits_for_the_incidents_of_another_policy_or_target_is_left_alone() -> None:
    h, incident = await fixing()
    woken = Woken(h)
    ref = incident.spec.policy_ref.model_copy(update={"name": "another"})
    target = incident.spec.target.model_copy(update={"uid": "another"})
    other = replace(incident, spec=incident.spec.model_copy(update={"policy_ref": ref, "target": target}))
    for reason in ("Concurrent", "OtherIncident", "OtherPolicy"):
        h.book.put(waiting(f"b-{reason}", incident, reason))
    woken.waker.freed(other)
    assert woken == []


async def test_what_waits_is_looked_at_again_after_as_long_as_nothing_has_changed() -> None:
    _, incident = await held()
    clock = VirtualClock()
    pace = Pace(clock, lambda: 5_000)
    asked, spans = timedelta(hours=1), []
    for _ in range(12):
        spans.append(pace.again(incident, asked))
        clock.advance(spans[-1].total_seconds())
    assert spans[:4] == [SOONEST, SOONEST, timedelta(seconds=4), timedelta(seconds=8)]
    assert spans[-1] == LATEST
    pace.changed(incident.uid)
    assert pace.again(incident, asked) == SOONEST


async def test_the_fewer_are_open_the_sooner_each_is_looked_at_again() -> None:
    for count, latest in ((1, 15), (50, 15), (100, 30), (1_000, 300), (10_000, 300)):
        _, incident = await held()
        clock = VirtualClock()
        pace = Pace(clock, lambda count=count: count)  # type: ignore[misc]
        pace.again(incident, timedelta(hours=1))
        clock.advance(10_000)
        assert pace.again(incident, timedelta(hours=1)) == timedelta(seconds=latest)


async def test_what_is_under_way_is_looked_at_every_two_seconds_only_while_something_happens() -> None:
    _, incident = await fixing()
    clock = VirtualClock()
    pace = Pace(clock, lambda: 5_000)
    assert pace.again(incident, SHORTLY) == SOONEST
    clock.advance(10)
    assert pace.again(incident, SHORTLY) == timedelta(seconds=10)
    clock.advance(600)
    assert pace.again(incident, SHORTLY) == BUSY
    assert pace.again(incident, timedelta(seconds=1)) == timedelta(seconds=1), "a moment that is known"


@pytest.mark.parametrize(("place", "seconds"), [(None, 2), (10, 2), (20, 60)])
async def test_what_waits_far_back_in_a_line_is_looked_at_seldom(place: int | None, seconds: int) -> None:
    _, incident = await fixing()
    at_its_place = waiting("b", incident, "NodesInTurn")
    assert at_its_place.status is not None
    holds = [hold.model_copy(update={"place": place}) for hold in at_its_place.status.holds]
    there = replace(at_its_place, status=at_its_place.status.model_copy(update={"holds": holds, "owes": 0}))
    pace = Pace(VirtualClock(), lambda: 200)
    assert pace.again(there, timedelta(hours=1)) == timedelta(seconds=seconds)


async def test_a_moment_that_is_known_is_never_missed() -> None:
    _, incident = await held()
    clock = VirtualClock()
    pace = Pace(clock, lambda: 5_000)
    pace.again(incident, timedelta(hours=1))
    clock.advance(10_000)
    assert pace.again(incident, timedelta(seconds=30)) == timedelta(seconds=30)


async def test_the_moment_at_which_people_are_called_is_one_that_is_known() -> None:
    h = Harness(policy({"restart": {}}, escalateAfter="30m"), deployment(), "deployments")
    h.cluster.unreadable = {"pauses"}
    await h.start()
    await h.open()
    again = None
    while again is None or again < timedelta(seconds=15):
        h.clock.advance(1)
        again = await h.look()
    left = h.book.all()[0].pinned.unknown_timeout - (h.clock.now() - h.status.holds[0].since)
    assert again <= left
    await h.settle(16 * 60)
    assert [e.threshold for e in h.status.escalations] == ["heldTooLong"]
    await h.settle(16 * 60)
    assert [e.threshold for e in h.status.escalations] == ["heldTooLong", "escalateAfter"]


class Court:
    """Policies, and who judges them."""

    def __init__(self, rules: set[str] | None, matchers: list[str] | None = None) -> None:
        self.clock = VirtualClock()
        self.cluster = ToyCluster(now=lambda: self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
        self.catalogue = Catalogue()
        self.source = None if rules is None else self._source(rules, matchers or [])
        self.tenants = Tenants(self.cluster, lambda _: self.judging.changed(self.catalogue.armed))
        self.statuses = Statuses(
            self.cluster, self.clock, Permissions(self.cluster, self.clock), lambda _: self.source, self.tenants
        )
        self.judging = Judging(self.statuses, self.catalogue)

    def _source(self, rules: set[str], matchers: list[str]) -> Source:
        """One that was read, and that nobody reads any more."""
        nobody: Any = None
        spec = AlertSourceSpec.model_validate({"url": "http://p", "matchers": matchers})
        source = Source("default", spec, nobody, nobody, self.clock, Listening(nobody))
        source.history = History(by_name=dict.fromkeys(rules, ()), read_at=1.0, problem="")
        return source

    def see(self, name: str, body: dict[str, Any] | None = None) -> PolicyKey:
        """A policy comes by the watch."""
        if body is None:
            body = policy({"restart": {}})
            body["metadata"]["name"] = name
            body = self.cluster.add("remediationpolicies", body)
        found = live_policy("RemediationPolicy", body)
        if found.spec is not None:
            self.catalogue.arm(found)
        self.judging.seen(found.key, body, found.spec)
        return found.key

    def bodies(self) -> list[dict[str, Any]]:
        return list(self.cluster.all("remediationpolicies"))

    async def settled(self) -> int:
        """Let it judge what waits. Returns how many writes there were in all."""
        for _ in range(200):
            await asyncio.sleep(0)
        return len(self.cluster.writes)


@contextmanager
def at_work(court: Court) -> Iterator[None]:
    """It judges while the context lasts."""
    task = asyncio.create_task(court.judging.run())
    try:
        yield
    finally:
        task.cancel()


def condition_of(body: dict[str, Any], kind: str) -> str:
    """The status of a condition."""
    return next(str(e["status"]) for e in body["status"]["conditions"] if e["type"] == kind)


async def test_after_a_restart_a_policy_that_was_judged_costs_no_request() -> None:
    first = Court({"Trouble"})
    with at_work(first):
        for name in ("a", "b"):
            first.see(name)
        assert await first.settled() == 2
    again = Court({"Trouble"})
    again.cluster = first.cluster
    asked: list[Any] = []
    again.statuses._permissions.denied = lambda *a: asked.append(a)  # type: ignore[method-assign,assignment,return-value]
    with at_work(again):
        for body in first.bodies():
            again.see(body["metadata"]["name"], body)
        await again.settled()
    assert asked == []
    assert len(first.cluster.writes) == 2


async def test_however_many_wait_to_be_judged_few_are_kept_whole_and_each_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("goldseam.services.judging.KEPT", 3)
    court = Court({"Trouble"})
    for number in range(12):
        court.see(f"policy-{number}")
    assert sum(body is not None for body in court.judging._waiting.values()) == 3
    with at_work(court):
        assert await court.settled() == 12
    assert {condition_of(body, "RuleFound") for body in court.bodies()} == {"True"}


async def test_a_policy_that_cannot_be_read_again_now_is_judged_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goldseam.services.judging.KEPT", 0)
    monkeypatch.setattr("goldseam.services.judging.RETRY", 0.01)
    court = Court({"Trouble"})
    court.cluster.unreadable = {"remediationpolicies"}
    court.see("a")
    with at_work(court):
        assert await court.settled() == 0
        court.cluster.unreadable = set()
        async with asyncio.timeout(5):
            while not court.cluster.writes:
                await asyncio.sleep(0.01)
    assert condition_of(court.bodies()[0], "RuleFound") == "True"


async def test_a_rule_that_appears_is_said_on_the_policies_that_wait_for_it() -> None:
    rules: set[str] = set()
    court = Court(rules)
    with at_work(court):
        key = court.see("a")
        await court.settled()
        assert condition_of(court.bodies()[0], "RuleFound") == "False"
        court.see("a", court.bodies()[0])
        court.judging.changed([key])
        assert await court.settled() == 1, "nothing new, nothing written"
        rules.add("Trouble")
        court.statuses._source(key.name).history.by_name["Trouble"] = ()  # type: ignore[union-attr,index]
        court.judging.changed([key])
        await court.settled()
    assert condition_of(court.bodies()[0], "RuleFound") == "True"


async def test_an_invalid_policy_is_judged_once_and_again_when_it_is_mended() -> None:
    court = Court({"Trouble"})
    with at_work(court):
        court.see("a")
        await court.settled()
        broken = court.cluster.edit("remediationpolicies", "shop", "a", {"spec": {"ladder": []}})
        court.see("a", broken)
        await court.settled()
        assert condition_of(court.bodies()[0], "Stalled") == "True"
        writes = len(court.cluster.writes)
        court.see("a", court.bodies()[0])
        assert await court.settled() == writes
        mended = court.cluster.edit("remediationpolicies", "shop", "a", {"spec": {"ladder": [{"restart": {}}]}})
        court.see("a", mended)
        await court.settled()
    assert condition_of(court.bodies()[0], "Ready") == "True"


async def test_a_right_that_is_missing_is_asked_for_by_one_policy_of_its_kind_and_told_to_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    court = Court({"Trouble"})
    court.cluster.denied = {"deployments"}
    rounds = asyncio.Semaphore(0)
    real = asyncio.sleep

    async def rest(seconds: float) -> None:
        await (rounds.acquire() if seconds > 1 else real(seconds))

    with at_work(court):
        for name in ("a", "b", "c"):
            court.see(name)
        await court.settled()
        for body in court.bodies():
            court.see(body["metadata"]["name"], body)
        asked: list[str] = []
        ask = court.statuses.permitted

        async def permitted(key: PolicyKey, body: dict[str, Any]) -> bool:
            asked.append(key.name)
            return await ask(key, body)

        monkeypatch.setattr(court.statuses, "permitted", permitted)
        monkeypatch.setattr("goldseam.services.judging.asyncio.sleep", rest)
        checking = asyncio.create_task(court.judging.keep_checking())
        for turn in (1, 2):
            rounds.release()
            for _ in range(200):
                await real(0)
            assert len(asked) == turn
        assert len(set(asked)) == 2, "another one each time"
        court.cluster.denied = set()
        rounds.release()
        for _ in range(400):
            await real(0)
        checking.cancel()
    assert [condition_of(body, "Permitted") for body in court.bodies()] == ["True"] * 3


async def test_the_parsed_policy_of_an_incident_is_parsed_once_a_reading() -> None:
    _, incident = await held()
    assert isinstance(incident.pinned, RemediationPolicySpec)
    assert incident.pinned is incident.pinned


async def test_of_many_that_wait_a_few_look_at_the_same_time_and_each_has_its_look() -> None:
    h, incident = await held()
    views = [replace(incident, uid=f"b{number}", name=f"b{number}") for number in range(50)]
    for waiting_one in views:
        h.book.put(waiting_one)
    now, most, looked = 0, 0, set()

    async def read(known: IncidentView) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        looked.add(known.uid)

    h.looker.records.read = read  # type: ignore[method-assign,assignment]
    await asyncio.gather(*(h.looker.look(one.uid) for one in views))
    assert len(looked) == 50
    assert most == WAITING_AT_ONCE


async def test_those_that_are_in_line_when_it_stops_are_not_looked_at_any_more() -> None:
    h, incident = await held()
    read: list[str] = []
    going_on = asyncio.Event()

    async def reading(known: IncidentView) -> None:
        read.append(known.uid)
        await going_on.wait()

    h.looker.records.read = reading  # type: ignore[method-assign,assignment]
    views = [replace(incident, uid=f"b{number}", name=f"b{number}") for number in range(50)]
    for one in views:
        h.book.put(one)
    looks = [asyncio.create_task(h.looker.look(one.uid)) for one in views]
    while len(read) < WAITING_AT_ONCE:
        await asyncio.sleep(0)
    h.looker.stopping = lambda: True
    going_on.set()
    await asyncio.gather(*looks)
    assert len(read) == WAITING_AT_ONCE


async def test_one_at_which_something_is_under_way_waits_for_none_of_those_that_wait() -> None:
    h, incident = await fixing()
    looked = []

    async def read(known: IncidentView) -> None:
        looked.append(known.uid)
        if known.uid != incident.uid:
            await asyncio.Event().wait()

    h.looker.records.read = read  # type: ignore[method-assign,assignment]
    others = [waiting(f"b{number}", incident, "Freeze") for number in range(50)]
    for other in others:
        h.book.put(other)
    tasks = [asyncio.create_task(h.looker.look(other.uid)) for other in others]
    await asyncio.sleep(0)
    await h.looker.look(incident.uid)
    assert looked[-1] == incident.uid
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_leaders_number_costs_one_write_and_a_read_only_where_the_incident_has_changed() -> None:
    h, incident = await fixing()
    reads: list[str] = []
    getting = h.cluster.get

    async def get(*args: Any) -> Any:
        reads.append(args[0].plural)
        return await getting(*args)

    h.cluster.get = get  # type: ignore[method-assign]
    h.looker.epoch = lambda: 7
    await h.looker.records.stamp(incident)
    assert (h.status.epoch, reads) == (7, [])
    h.looker.epoch = lambda: 8
    await h.looker.records.stamp(incident)  # as it was before it was stamped: its version is not that of now
    assert (h.status.epoch, reads) == (8, ["incidents"])


async def test_of_nodes_those_are_looked_at_whose_turn_is_next() -> None:
    h, incident = await fixing()
    woken = Woken(h)
    target = incident.spec.target.model_copy(update={"kind": "Node"})
    about_a_node = replace(incident, spec=incident.spec.model_copy(update={"target": target}))
    for number in range(30):
        h.book.put(waiting(f"b{number}", about_a_node, "NodesInTurn", f"2026-11-23T12:00:{59 - number}Z"))
    h.book.order = lambda: tuple(f"b{number}" for number in range(3, 30))
    woken.waker.freed(incident)
    assert woken == [f"b{number}" for number in range(3, 13)]


async def a_line() -> tuple[Woken, Callable[[int], None]]:
    """Thirty nodes that wait for their turn, who is woken, and how the turn of one of them comes."""
    h, incident = await fixing()
    woken = Woken(h)
    h.book.freed, h.book.went = woken.waker.freed, woken.waker.went
    target = incident.spec.target.model_copy(update={"kind": "Node", "namespace": ""})
    of_cluster = incident.spec.policy_ref.model_copy(update={"kind": "ClusterRemediationPolicy", "namespace": ""})
    spec = incident.spec.model_copy(update={"target": target, "policy_ref": of_cluster})

    def in_line(number: int) -> IncidentView:
        return replace(waiting(f"b{number:02}", incident, "NodesInTurn"), namespace=NAMESPACE, spec=spec)

    for number in range(30):
        h.book.put(in_line(number))
    h.book.order = lambda: tuple(f"b{number:02}" for number in range(30))
    woken.clear()
    return woken, lambda number: h.book.put(replace(in_line(number), status=incident.status))


async def test_when_a_turn_has_come_the_next_one_after_those_that_were_woken_is_looked_at() -> None:
    woken, comes = await a_line()
    comes(0)
    assert woken == ["b10"]


async def test_the_turns_of_a_crowd_wake_those_who_came_forward_once_when_all_of_it_is_decided_on() -> None:
    woken, comes = await a_line()
    for new in ("one", "another"):
        woken.newly.decided.awaits(new)
    for number in range(5):
        comes(number)
    woken.newly.over("one")
    assert woken == []
    woken.newly.over("another")
    assert woken == [f"b{number:02}" for number in range(5, 15)]
    woken.clear()
    comes(5)
    assert woken == ["b15"]


async def test_who_leaves_the_line_lets_the_next_one_go() -> None:
    h, incident = await fixing()
    woken = Woken(h)
    h.book.freed = woken.waker.freed
    target = incident.spec.target.model_copy(update={"kind": "Node", "namespace": ""})
    of_cluster = incident.spec.policy_ref.model_copy(update={"kind": "ClusterRemediationPolicy", "namespace": ""})
    spec = incident.spec.model_copy(update={"target": target, "policy_ref": of_cluster})
    first = replace(waiting("first", incident, "NodesAtOnce"), namespace=NAMESPACE, spec=spec)
    h.book.put(replace(waiting("next", incident, "NodesInTurn"), namespace=NAMESPACE, spec=spec))
    h.book.put(first)
    assert woken == []
    silenced = waiting("first", incident, "Silenced").status
    h.book.put(replace(first, status=silenced))
    assert "next" in woken
