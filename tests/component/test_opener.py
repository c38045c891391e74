"""From firing alerts to incidents: matched, resolved to one object, opened once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.api.incident import AlertRecord
from goldseam.engine.alerts import ActiveAlert, AlertRule, RulesAnswer
from goldseam.engine.matching import PolicyKey
from goldseam.engine.opening import first_status
from goldseam.engine.situation import LivePolicy
from goldseam.engine.views import view
from goldseam.errors import Forbidden, GoldseamError, Unavailable
from goldseam.ports import Page
from goldseam.services.book import IncidentBook
from goldseam.services.catalogue import Catalogue
from goldseam.services.gather import Opened
from goldseam.services.live_policies import live_policy
from goldseam.services.newly import Newly
from goldseam.services.opener import AT_ONCE, Opener
from goldseam.services.predecessors import Predecessors
from goldseam.services.sources import Listening, Source
from goldseam.services.targets import Targets
from goldseam.services.tenants import Tenants
from tests.support.harness import NAMESPACE, START, VirtualClock, deployment, policy
from tests.support.toycluster import ToyCluster

Json = dict[str, Any]


async def read(source: Source) -> None:
    """Read once, and tell the opener."""
    await source.read()
    await source._listening.answered(source)


class Stage:
    """A policy, a Deployment, and a source whose alerts the test chooses."""

    def __init__(self, *, matchers: list[str] | None = None, **spec: Any) -> None:
        self.clock = VirtualClock()
        self.cluster = ToyCluster(now=lambda: self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
        self.policy = self.cluster.add("remediationpolicies", policy({"restart": {}}, **{"target": {}, **spec}))
        self.target = self.cluster.add("deployments", deployment())
        self.book, self.catalogue = IncidentBook(NAMESPACE), Catalogue()
        self.problems: dict[PolicyKey, str] = {}
        self.woken: list[str] = []
        self.alerts: list[ActiveAlert] = []
        self.catalogue.arm(live_policy("RemediationPolicy", self.policy))
        self.tenants = Tenants(self.cluster, lambda _: None)
        self.opener = Opener(
            self.cluster,
            self.clock,
            self.catalogue,
            self.book,
            NAMESPACE,
            lambda uid, _: self.woken.append(uid),
            self._problem,
            self.tenants,
            Targets(self.cluster),
            Predecessors(self.cluster, NAMESPACE),
        )
        spec_of_source = AlertSourceSpec.model_validate({"url": "http://p", "matchers": matchers or []})
        self.source = Source("default", spec_of_source, self, self, self.clock, Listening(self.opener.answered))  # type: ignore[arg-type]

    def _problem(self, key: PolicyKey, message: str) -> None:
        self.problems[key] = message

    async def rules(self, names: frozenset[str] | None = None) -> RulesAnswer:
        zero = timedelta(0)
        rule = AlertRule(
            "Trouble", "g", "up", "ok", "", self.clock.now(), timedelta(seconds=1), zero, zero, {}, tuple(self.alerts)
        )
        return RulesAnswer((rule,))

    async def firing(self) -> tuple[ActiveAlert, ...]:
        return tuple(self.alerts)

    async def version(self) -> str:
        return "3"

    def fire(self, **labels: str) -> None:
        self.alerts.append(ActiveAlert({"alertname": "Trouble", "namespace": "shop"} | labels, {}, "firing", START))

    def end(self, incident: Json, status: Json) -> None:
        """Write an incident's status, as the looker does."""
        name = incident["metadata"]["name"]
        seen = view(self.cluster.edit("incidents", "shop", name, {"status": status}))
        assert seen is not None
        self.book.put(seen)

    async def turn(self, times: int = 2) -> list[Json]:
        for _ in range(times):
            await read(self.source)
            self.clock.advance(1)
        return list(self.cluster.all("incidents"))


async def test_a_fresh_alert_opens_one_incident_however_often_it_is_seen() -> None:
    stage = Stage()
    stage.fire(deployment="api")
    stage.fire(deployment="api", pod="another-series")
    (incident,) = await stage.turn(5)
    assert incident["spec"]["target"]["uid"] == stage.target["metadata"]["uid"]
    assert incident["metadata"]["name"].startswith("api-")


def crowd_of(stage: Stage, many: int) -> Newly:
    """So many alerts, each for a Deployment of its own; each incident is decided on as soon as it is opened."""
    newly = Newly()

    def decided_at_once(uid: str, opened: Opened | None) -> None:
        assert opened is not None
        newly.opened(uid, opened)
        newly.over(uid)
        stage.woken.append("all" if newly.seen.complete and newly.decided.complete else "some")

    stage.opener.wake, stage.opener.whole = decided_at_once, newly.over
    for number in range(many):
        stage.cluster.add("deployments", deployment(name=f"d{number}"))
        stage.fire(deployment=f"d{number}")
    return newly


@pytest.mark.parametrize(("many", "seen"), [(1, "all"), (2, "some"), (3 * AT_ONCE, "some")])
async def test_of_what_fires_together_nothing_is_all_of_it_before_all_is_opened(many: int, seen: str) -> None:
    stage = Stage()
    newly = crowd_of(stage, many)
    assert len(await stage.turn()) == many
    assert stage.woken == [seen] * many
    assert newly.decided.complete


async def test_alerts_that_open_nothing_hold_nobody_up() -> None:
    stage = Stage()
    newly, found, get = crowd_of(stage, 0), list[bool](), stage.cluster.get

    async def asked(*args: Any) -> Any:
        found.append(newly.seen.complete and newly.decided.complete)
        return await get(*args)

    stage.cluster.get = asked  # type: ignore[method-assign]
    for number in range(3 * AT_ONCE):
        stage.fire(pod=f"gone-{number}")
    assert await stage.turn() == []
    assert set(found) == {True}


def broken(stage: Stage, error: GoldseamError, *names: str) -> list[str]:
    """These Deployments cannot be read, once two reads have shown that the alerts are fresh. Gives what was asked."""
    asked, get = list[str](), stage.cluster.get

    async def answered(resource: Any, namespace: str, name: str, *more: Any) -> Any:
        if resource.plural == "deployments":
            asked.append(name)
            if name in names:
                raise error
        return await get(resource, namespace, name, *more)

    stage.cluster.get = answered  # type: ignore[method-assign]
    return asked


async def test_an_alert_that_cannot_be_looked_up_is_no_reason_not_to_open_the_others() -> None:
    stage, many = Stage(), 2 * AT_ONCE
    newly = crowd_of(stage, many)
    broken(stage, Forbidden("may not get d0"), *(f"d{number}" for number in range(AT_ONCE)))
    assert len(await stage.turn()) == many - AT_ONCE
    assert newly.decided.complete, "those that could not be opened are waited for no longer"


async def test_while_nothing_can_be_read_not_all_alerts_are_tried() -> None:
    stage, many = Stage(), 5 * AT_ONCE
    crowd_of(stage, many)
    asked = broken(stage, Unavailable("HTTP 503"), *(f"d{number}" for number in range(many)))
    assert await stage.turn() == []
    assert 0 < len(set(asked)) <= AT_ONCE


async def test_an_alert_that_was_seen_once_only_is_not_fresh() -> None:
    stage = Stage()
    stage.fire(deployment="api")
    assert await stage.turn(1) == []


async def test_a_pod_stands_for_its_topmost_owner() -> None:
    stage = Stage()
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api-1", "uid": "r", "controller": True}
    top = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "uid": "d", "controller": True}
    stage.cluster.add("pods", {"metadata": {"name": "api-1-x", "namespace": "shop", "ownerReferences": [owner]}})
    stage.cluster.add("replicasets", {"metadata": {"name": "api-1", "namespace": "shop", "ownerReferences": [top]}})
    stage.fire(pod="api-1-x")
    (incident,) = await stage.turn()
    assert incident["spec"]["target"]["name"] == "api"


async def test_an_alert_that_names_nothing_usable_is_said_on_the_policy() -> None:
    stage = Stage()
    stage.fire(pod="gone")
    assert await stage.turn() == []
    assert "belongs to nobody" in next(iter(stage.problems.values()))
    stage.alerts.clear()
    stage.fire(deployment="missing")
    assert await stage.turn() == []
    assert "does not exist" in next(iter(stage.problems.values()))


async def test_an_alert_of_another_cluster_or_namespace_opens_nothing() -> None:
    stage = Stage(matchers=['cluster="prod-1"'])
    stage.fire(deployment="api")
    stage.fire(deployment="api", cluster="prod-2")
    stage.fire(deployment="api", cluster="prod-1", namespace="bank")
    assert await stage.turn() == []
    stage.fire(deployment="api", cluster="prod-1")
    assert len(await stage.turn()) == 1


async def test_an_alert_must_fire_for_as_long_as_the_policy_says() -> None:
    stage = Stage(alert={"name": "Trouble", "for": "10s"})
    stage.fire(deployment="api")
    assert await stage.turn(8) == []
    assert len(await stage.turn(5)) == 1


async def test_how_long_an_alert_has_fired_is_not_forgotten_though_another_source_is_read_meanwhile() -> None:
    stage = Stage(alert={"name": "Trouble", "for": "10s"})
    stage.fire(deployment="api")
    other = Source("other", stage.source.spec, stage, stage, stage.clock, Listening(stage.opener.answered))  # type: ignore[arg-type]
    second = policy({"restart": {}}, target={"name": "nothing"})
    second["metadata"]["name"] = "second"
    stage.catalogue.arm(live_policy("RemediationPolicy", stage.cluster.add("remediationpolicies", second)))
    getting = stage.cluster.get

    async def get(*args: Any) -> Json:
        if args[-1] == "second":  # in the middle of the first source's answer
            await read(other)
        return await getting(*args)

    stage.cluster.get = get  # type: ignore[method-assign]
    assert await stage.turn(8) == []
    assert len(await stage.turn(5)) == 1


async def test_many_policies_are_opened_for_side_by_side_and_each_once() -> None:
    stage = Stage()
    for number in range(30):
        name = f"app-{number}"
        made = policy({"restart": {}}, target={"name": name})
        made["metadata"]["name"] = name
        stage.catalogue.arm(live_policy("RemediationPolicy", stage.cluster.add("remediationpolicies", made)))
        workload = deployment()
        workload["metadata"] = {"name": name, "namespace": "shop"}
        stage.cluster.add("deployments", workload)
    stage.fire(deployment="any")
    most, now = 0, 0
    creating = stage.cluster.create

    async def create(*args: Any) -> Json:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return await creating(*args)

    stage.cluster.create = create  # type: ignore[method-assign]
    opened = await stage.turn(4)
    assert len({i["spec"]["target"]["name"] for i in opened}) == len(opened) == 30
    assert 1 < most <= AT_ONCE


async def test_alerts_of_one_policy_are_opened_beside_each_other_and_one_for_each_target() -> None:
    stage = Stage()
    for number in range(20):
        stage.cluster.add("deployments", deployment() | {"metadata": {"name": f"app-{number}", "namespace": "shop"}})
        stage.fire(deployment=f"app-{number}", severity="warning")
        stage.fire(deployment=f"app-{number}", severity="critical")
    creating, most, now = stage.cluster.create, 0, 0

    async def create(*args: Any) -> Json:
        nonlocal most, now
        now += 1
        most = max(most, now)
        for _ in range(3):
            await asyncio.sleep(0)
        now -= 1
        return await creating(*args)

    listing, lists = stage.cluster.list, 0

    async def late(*args: Any, **which: Any) -> Page:
        nonlocal lists
        lists += 1
        for _ in range(20 * (lists % 2)):
            await asyncio.sleep(0)
        return await listing(*args, **which)

    stage.cluster.create, stage.cluster.list = create, late  # type: ignore[method-assign]
    opened = await stage.turn(4)
    assert len({i["spec"]["target"]["name"] for i in opened}) == len(opened) == 20
    assert 1 < most <= AT_ONCE


async def test_what_fires_for_longest_is_opened_first() -> None:
    stage = Stage()
    for number in range(3 * AT_ONCE):
        stage.cluster.add("deployments", deployment() | {"metadata": {"name": f"app-{number}", "namespace": "shop"}})
        stage.fire(deployment=f"app-{number}")
        stage.alerts[-1] = replace(stage.alerts[-1], active_at=START - timedelta(minutes=number))
    await stage.turn()
    opened = [stage.book.get(uid) for uid in stage.woken]
    first = {incident.spec.target.name for incident in opened[:AT_ONCE] if incident is not None}
    assert first == {f"app-{number}" for number in range(2 * AT_ONCE, 3 * AT_ONCE)}


async def test_a_new_incident_follows_the_one_that_is_over() -> None:
    stage = Stage()
    stage.fire(deployment="api")
    (first,) = await stage.turn()
    closed = {"phase": "Resolved", "closedAt": "2026-11-23T12:00:00Z"}
    stage.end(first, {"policySnapshot": {"spec": stage.policy["spec"]}, **closed})
    both = await stage.turn(1)
    assert len(both) == 2
    second = next(i for i in both if i["metadata"]["name"] != first["metadata"]["name"])
    assert second["spec"]["predecessor"] == first["metadata"]["uid"]


async def test_the_policy_and_what_is_likely_to_be_its_target_are_read_side_by_side_and_once() -> None:
    stage = Stage()
    stage.fire(deployment="api")
    asked: list[str] = []
    getting = stage.cluster.get

    async def get(*args: Any, **options: Any) -> Json:
        asked.append(args[0].plural)
        while len(asked) < 2:
            await asyncio.sleep(0)
        return await getting(*args, **options)

    assert await stage.turn(1) == []
    stage.cluster.get = get  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        assert len(await stage.turn(1)) == 1
    assert asked == ["remediationpolicies", "deployments"]


async def test_what_only_seemed_to_be_the_target_is_not_opened_for() -> None:
    """The policy was changed, and that has not been seen yet."""
    stage = Stage(target={"name": "api"})
    web = stage.cluster.add("deployments", deployment() | {"metadata": {"name": "web", "namespace": "shop"}})
    stage.cluster.edit("remediationpolicies", "shop", "api", {"spec": {"target": {"name": "web"}}})
    stage.fire()
    (incident,) = await stage.turn()
    assert incident["spec"]["target"]["uid"] == web["metadata"]["uid"]


async def test_what_is_likely_to_be_the_target_may_be_gone_or_unreadable_and_that_is_said() -> None:
    stage = Stage()
    stage.fire(deployment="gone")
    assert await stage.turn() == []
    assert list(stage.problems.values()) == ["Deployment shop/gone, which the alert names, does not exist"]
    stage.alerts.clear()
    stage.fire(deployment="api")
    stage.cluster.unreadable.add("deployments")
    assert await stage.turn() == []
    stage.cluster.unreadable.clear()
    assert len(await stage.turn()) == 1


async def test_what_lies_in_another_namespace_is_neither_its_predecessor_nor_taken_up() -> None:
    """Where an Incident of this policy and target belongs is known; elsewhere anybody may have put it."""
    stage = Stage()
    stage.fire(deployment="api")
    (mine,) = await stage.turn()
    closed = {"phase": "Resolved", "closedAt": "2026-11-23T12:00:00Z"}
    stage.end(mine, {"policySnapshot": {"spec": stage.policy["spec"]}, **closed})
    forged = {**mine["metadata"], "namespace": "theirs", "uid": "forged", "creationTimestamp": "2026-11-24T12:00:00Z"}
    stage.cluster.add("incidents", {**mine, "metadata": forged, "status": {}})
    found = [one for one in await stage.turn(1) if one["metadata"]["namespace"] == "shop"]
    assert [one["spec"].get("predecessor", "") for one in found] == ["", mine["metadata"]["uid"]]


async def test_an_incident_that_was_restored_with_another_uid_is_taken_up_and_no_second_one_opened() -> None:
    stage = Stage()
    stage.fire(deployment="api")
    (first,) = await stage.turn()
    stage.book.drop(first["metadata"]["uid"])
    stage.cluster.remove("incidents", "shop", first["metadata"]["name"])
    kept = {key: first["metadata"][key] for key in ("name", "namespace", "labels")}
    restored = stage.cluster.add("incidents", {"metadata": kept, "spec": first["spec"]})
    assert len(await stage.turn()) == 1
    assert [one.uid for one in stage.book.all()] == [restored["metadata"]["uid"]] == stage.woken[-1:]


async def test_an_incident_of_the_same_name_that_is_open_is_adopted() -> None:
    stage = Stage()
    stage.fire(deployment="api")
    (first,) = await stage.turn()
    stage.book.drop(first["metadata"]["uid"])
    first["metadata"]["labels"] = {}  # not found by the list, so that the name collides
    assert len(await stage.turn(1)) == 1
    assert stage.book.get(first["metadata"]["uid"]) is not None


async def test_a_suspended_policy_opens_nothing() -> None:
    stage = Stage(suspend=True)
    stage.fire(deployment="api")
    assert await stage.turn() == []


async def test_the_time_that_an_alert_must_fire_begins_anew_when_it_is_back() -> None:
    stage = Stage(alert={"name": "Trouble", "for": "10s"})
    stage.fire(deployment="api")
    await stage.turn(8)
    stage.alerts.clear()
    await stage.turn(20)
    stage.fire(deployment="api")
    assert await stage.turn(8) == []


async def test_an_alert_that_is_back_within_the_flap_window_opens_no_second_incident() -> None:
    stage = Stage()
    stage.fire(deployment="api")
    (first,) = await stage.turn()
    stage.end(first, {"phase": "Resolved", "policySnapshot": {"spec": stage.policy["spec"]}})
    assert len(await stage.turn()) == 1
    stage.end(first, {"closedAt": "2026-11-23T12:00:00Z"})
    assert len(await stage.turn()) == 2


async def test_what_another_policy_of_the_same_name_left_resolved_does_not_stand_in_the_way() -> None:
    stage = Stage()
    stage.fire(deployment="api")
    (first,) = await stage.turn()
    stage.end(first, {"phase": "Resolved", "policySnapshot": {"spec": stage.policy["spec"]}})
    stage.policy["metadata"]["uid"] = "another"
    stage.catalogue.arm(live_policy("RemediationPolicy", stage.policy))  # the watch has told of it
    assert len(await stage.turn()) == 2


async def test_an_alert_that_is_back_after_the_flap_window_opens_the_next_incident_though_something_is_owed() -> None:
    stage = Stage(flapWindow="60s")
    stage.fire(deployment="api")
    (first,) = await stage.turn()
    resolved = {"kpis": {"resolvedAt": "2026-11-23T12:00:10Z"}, "owes": 1}
    stage.end(first, {"phase": "Resolved", "policySnapshot": {"spec": stage.policy["spec"]}, **resolved})
    assert len(await stage.turn()) == 1
    stage.clock.advance(70)
    both = await stage.turn()
    assert [i["spec"].get("predecessor") for i in both] == ["", first["metadata"]["uid"]]


async def test_the_alerts_of_an_incident_are_those_that_fire_for_its_target_and_no_others() -> None:
    stage = Stage()
    stage.fire(deployment="api", pod="1")
    stage.fire(deployment="api", pod="2")
    stage.fire(deployment="other", pod="3")
    await stage.turn()
    (incident,) = stage.book.all()
    stage.end(next(iter(stage.cluster.all("incidents"))), first_status(live(stage), incident.spec, START).dump())
    (incident,) = stage.book.all()
    assert [labels["pod"] for labels in stage.opener.targets.alerts_of(incident, stage.source)] == ["1", "2"]


async def test_an_alert_of_a_pod_whose_owner_is_not_known_is_not_the_incidents_unless_it_opened_it() -> None:
    stage = Stage()
    stage.fire(deployment="api")
    await stage.turn()
    stage.end(
        next(iter(stage.cluster.all("incidents"))), first_status(live(stage), stage.book.all()[0].spec, START).dump()
    )
    (incident,) = stage.book.all()
    stage.alerts.clear()
    stage.fire(pod="unheard-of")
    await stage.source.read()
    assert stage.opener.targets.alerts_of(incident, stage.source) == [dict(incident.spec.alert.labels)]
    forged = replace(incident, spec=incident.spec.model_copy(update={"alert": forged_alert(namespace="kube-system")}))
    assert stage.opener.targets.alerts_of(forged, stage.source) == [], "of another namespace"
    other = replace(incident, spec=incident.spec.model_copy(update={"alert": forged_alert(alertname="Watchdog")}))
    assert stage.opener.targets.alerts_of(other, stage.source) == [], "another alert than the policy's"


def live(stage: Stage) -> LivePolicy:
    return live_policy("RemediationPolicy", stage.policy)


def forged_alert(**labels: str) -> AlertRecord:
    found = {"alertname": "Trouble", "namespace": "shop", "deployment": "api"} | labels
    return AlertRecord(name="Trouble", labels=found, active_at=START)


@pytest.mark.parametrize("whose", ["ours", "another policy's"])
@pytest.mark.parametrize("how", ["snapshot", "obligation"])
async def test_beside_an_incident_that_a_newer_version_has_begun_nothing_is_opened(whose: str, how: str) -> None:
    stage = Stage()
    stage.fire(deployment="api")
    (incident,) = await stage.turn()
    stage.book.drop(incident["metadata"]["uid"])
    status = {"phase": "Fixing", "mode": "Act", "kpis": {"detectedAt": "2026-11-23T12:00:00Z"}}
    status |= {"policySnapshot": {"spec": stage.policy["spec"] | ({"ofTomorrow": True} if how == "snapshot" else {})}}
    status |= {"obligations": [{"kind": "Refuel"}]} if how == "obligation" else {}
    name = incident["metadata"]["name"]
    stage.cluster.edit("incidents", "shop", name, {"status": status})
    if whose != "ours":
        stage.cluster.objects["incidents", "shop", name]["spec"]["policyRef"]["uid"] = "another"
    assert len(await stage.turn()) == 1
    stage.cluster.edit("incidents", "shop", name, {"status": {"closedAt": "2026-11-23T12:00:10Z"}})
    assert len(await stage.turn()) == 2
