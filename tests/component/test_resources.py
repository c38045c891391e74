"""Resources of a container: raised, put back, never twice, and never somebody else's."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from goldseam.engine import naming
from goldseam.engine.objects import RESTART, value_at
from goldseam.ports import Json
from tests.support.harness import Harness, deployment, policy

RAISE: Json = {"resources": {"container": "api", "limits": {"memory": "1Gi"}}}
MEMORY = "spec.template.spec.containers[name=api].resources.limits.memory"
CPU = MEMORY.replace("memory", "cpu")
TARGET = "deployments/shop/api"
FREE = {"cooldown": "0s", "concurrent": 5}


def sized() -> Json:
    target = deployment(3)
    limits = {"limits": {"memory": "512Mi", "cpu": "1"}, "requests": {"memory": "256Mi"}}
    target["spec"]["template"]["spec"]["containers"] = [
        {"name": "proxy", "image": "proxy:1"},
        {"name": "api", "image": "api:1", "resources": limits},
    ]
    return target


async def opened(*ladder: Json, **spec: Any) -> Harness:
    account = {"serviceAccountName": "remediator"}
    h = Harness(policy(*(ladder or (RAISE,)), **(account | spec)), sized(), "deployments")
    h.cluster.add("serviceaccounts", {"metadata": {"name": "remediator", "namespace": "shop"}})
    await h.start()
    await h.open()
    return h


def effects(h: Harness) -> list[str]:
    return [path for _, path, _, _ in h.cluster.writes if path == TARGET]


def limit(h: Harness, field: str = MEMORY) -> str:
    return value_at(h.live(), field).strip('"')


def token(h: Harness) -> str:
    return value_at(h.live(), RESTART).strip('"')


def containers(**limits: str) -> Json:
    """A patch as a person would send it."""
    found: list[Json] = sized()["spec"]["template"]["spec"]["containers"]
    found[1]["resources"]["limits"] |= limits
    return {"spec": {"template": {"spec": {"containers": found}}}}


async def test_the_limit_is_raised_and_afterwards_put_back() -> None:
    h = await opened()
    before = copy.deepcopy(h.live()["spec"]["template"]["spec"])
    await h.settle(20)
    assert (effects(h), limit(h)) == ([TARGET], "1Gi")
    assert token(h) == h.status.steps[0].token
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (effects(h), limit(h)) == ([TARGET, TARGET], "512Mi")
    assert h.live()["spec"]["template"]["spec"] == before
    assert token(h) == h.status.steps[1].token
    assert (h.status.phase, [o.state for o in h.status.obligations]) == ("Resolved", ["Paid"])
    assert h.status.steps[1].message == (
        "lower limits.memory of container api from 1Gi to 512Mi, and restart Deployment shop/api"
    )


async def test_what_was_raised_together_comes_back_by_one_rollout() -> None:
    told = {"container": "api", "limits": {"memory": "1Gi", "cpu": "2"}, "requests": {"memory": "512Mi"}}
    h = await opened({"resources": told})
    await h.settle(20)
    assert (effects(h), limit(h), limit(h, CPU), h.status.owes) == ([TARGET], "1Gi", "2", 3)
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (effects(h), limit(h), limit(h, CPU)) == ([TARGET, TARGET], "512Mi", "1")
    assert [o.state for o in h.status.obligations] == ["Paid"] * 3


async def test_what_is_not_to_be_reverted_stays() -> None:
    h = await opened(resolve={"after": "10s", "revert": False})
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (limit(h), [o.state for o in h.status.obligations]) == ("1Gi", ["Void"])


async def test_a_limit_that_a_person_changed_is_theirs_and_people_are_told() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.edit("deployments", "shop", "api", containers(memory="2Gi"))
    await h.settle(20)
    assert h.status.phase == "Escalated"
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (effects(h), limit(h)) == ([TARGET], "2Gi")


async def test_of_two_limits_the_one_that_a_person_changed_stays_and_the_other_comes_back() -> None:
    h = await opened({"resources": {"container": "api", "limits": {"memory": "1Gi", "cpu": "2"}}})
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(20)
    h.cluster.edit("deployments", "shop", "api", containers(memory="3Gi", cpu="2"))
    await h.settle(180)
    assert (limit(h), limit(h, CPU)) == ("3Gi", "1")
    assert sorted(o.state for o in h.status.obligations) == ["Lost", "Paid"]


async def test_another_image_that_a_person_rolls_out_is_kept_when_the_limit_comes_back() -> None:
    h = await opened()
    await h.settle(20)
    found = containers(memory="1Gi")
    found["spec"]["template"]["spec"]["containers"][1]["image"] = "api:2"
    h.cluster.edit("deployments", "shop", "api", found)
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (limit(h), h.status.owes) == ("512Mi", 0)
    assert h.live()["spec"]["template"]["spec"]["containers"][1]["image"] == "api:2"


async def test_while_nothing_is_known_of_the_alert_the_limit_stays() -> None:
    h = await opened()
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(15)
    h.knows = False
    await h.settle(120)
    assert limit(h) == "1Gi"
    h.knows = True
    await h.settle(120)
    assert limit(h) == "512Mi"


async def test_it_comes_back_after_a_rollout_that_is_in_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    h = await opened()
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(15)
    monkeypatch.setattr(h, "controllers", lambda: None)
    h.cluster.objects["deployments", "shop", "api"]["status"]["updatedReplicas"] = 1
    await h.settle(120)
    assert limit(h) == "1Gi"
    assert [(hold.reason, hold.kind) for hold in h.status.holds] == [("RolloutInProgress", "Wait")]
    monkeypatch.undo()
    await h.settle(120)
    assert (limit(h), h.status.owes) == ("512Mi", 0)


async def test_it_comes_back_once_a_budget_lets_the_pods_go() -> None:
    h = await opened()
    await h.settle(20)
    target = h.cluster.objects["deployments", "shop", "api"]
    target["spec"]["template"]["metadata"]["labels"] = {"app": "api"}
    target["spec"]["strategy"] = {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    selector = {"matchLabels": {"app": "api"}}
    budget = {"metadata": {"name": "api", "namespace": "shop"}, "spec": {"selector": selector}}
    closed = {"observedGeneration": 1, "disruptionsAllowed": 0}
    h.cluster.add("poddisruptionbudgets", budget | {"status": closed})
    h.alert_state = "Cleared"
    await h.settle(120)
    assert limit(h) == "1Gi"
    assert ("BreaksDisruptionBudget", "Wait") in [(hold.reason, hold.kind) for hold in h.status.holds]
    h.cluster.objects["poddisruptionbudgets", "shop", "api"]["status"]["disruptionsAllowed"] = 1
    await h.settle(120)
    assert (limit(h), h.status.owes) == ("512Mi", 0)


async def test_budgets_that_cannot_be_read_keep_it_from_coming_back() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.unreadable.add("poddisruptionbudgets")
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (limit(h), h.status.owes) == ("1Gi", 1)


async def test_a_target_that_was_scaled_meanwhile_gets_its_limit_back() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 2}})
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (limit(h), h.status.owes) == ("512Mi", 0)


async def test_more_than_four_times_as_much_comes_back_on_the_way_it_went() -> None:
    def more(memory: str, **fields: Any) -> Json:
        return {"resources": {"container": "api", "limits": {"memory": memory}}, "name": f"to-{memory}", **fields}

    h = await opened(more("2Gi", timeout="15s"), more("8Gi"), limits=FREE)
    await h.settle(60)
    assert limit(h) == "8Gi"
    h.alert_state = "Cleared"
    await h.settle(200)
    assert (limit(h), h.status.owes) == ("512Mi", 0)
    wants = [w.want for step in h.status.steps for w in step.writes if w.field == MEMORY]
    assert wants == ['"2Gi"', '"8Gi"', '"2Gi"', '"512Mi"']


async def test_what_has_changed_since_it_was_looked_at_is_looked_at_anew() -> None:
    h = await opened()
    h.cluster.stale.add(TARGET)
    await h.settle(30)
    assert (effects(h), limit(h)) == ([TARGET], "1Gi")


async def test_a_write_whose_reply_is_lost_is_not_repeated() -> None:
    h = await opened()
    h.cluster.deaf.add(TARGET)
    await h.settle(30)
    assert (effects(h), h.status.steps[0].phase) == ([TARGET], "Acted")


async def test_where_it_is_refused_nothing_is_owed() -> None:
    h = await opened(RAISE, {"escalate": {}})
    h.cluster.refused.add(TARGET)
    await h.settle(30)
    assert (effects(h), h.status.steps[0].outcome) == ([], "Refused")
    assert "an admission policy refused it" in h.status.steps[0].message
    assert [o.state for o in h.status.obligations] == ["Void"]


async def test_an_undo_that_is_refused_stays_owed_and_is_tried_again() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.refused.add(TARGET)
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (limit(h), h.status.owes) == ("1Gi", 1)
    h.cluster.refused.clear()
    await h.settle(120)
    assert (limit(h), h.status.owes) == ("512Mi", 0)


async def test_a_replaced_target_is_not_written_to_and_nothing_is_owed_for_it() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.remove("deployments", "shop", "api")
    other = sized()
    other["metadata"]["uid"] = "uid-other"
    h.cluster.add("deployments", other)
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (effects(h), limit(h)) == ([TARGET], "512Mi")
    assert [o.state for o in h.status.obligations] == ["Void"]


@pytest.mark.parametrize("refused", [False, True])
async def test_of_two_incidents_on_one_limit_the_first_value_comes_back(refused: bool) -> None:
    h = await opened({**RAISE, "timeout": "15s"}, {"escalate": {}}, limits=FREE)
    await h.settle(30)
    assert (h.status.phase, limit(h)) == ("Escalated", "1Gi")
    more = {"resources": {"container": "api", "limits": {"memory": "2Gi"}}}
    second = policy(more, limits=FREE, serviceAccountName="remediator")
    second["metadata"]["name"] = "other"
    h.policy = h.cluster.add("remediationpolicies", second)
    await h.open()
    if refused:
        h.cluster.refused.add(TARGET)
    await h.settle_all(60)
    assert limit(h) == ("1Gi" if refused else "2Gi")
    h.cluster.refused.clear()
    h.alert_state = "Cleared"
    await h.settle_all(180)
    assert limit(h) == "512Mi"
    assert [s.owes for s in h.statuses()] == [0, 0]


async def test_without_the_right_nothing_is_written() -> None:
    h = await opened(RAISE, {"escalate": {}})
    h.cluster.denied.add("deployments")
    await h.settle(30)
    assert effects(h) == []
    assert "component resources" in h.status.steps[0].message


async def test_observing_it_is_only_said() -> None:
    h = await opened(mode="Observe")
    await h.settle(30)
    assert effects(h) == []
    assert "would raise limits.memory from 512Mi to 1Gi" in h.status.steps[0].message


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_killed_operator_makes_each_write_once_and_pays_what_it_owes(after: bool) -> None:
    met = 0
    for point in range(1, 40):
        h = await opened()
        h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + point, after
        killed = await h.settle_through_crashes(20)
        h.alert_state = "Cleared"
        killed |= await h.settle_through_crashes(150)
        if not killed:
            break
        met += 1
        assert effects(h) == [TARGET, TARGET], f"killed at write {point}"
        assert (limit(h), h.status.owes) == ("512Mi", 0), f"killed at write {point}"
    assert met >= 8


@pytest.mark.parametrize("purpose", ["Rung", "Undo"])
async def test_between_the_intent_and_the_write_an_autoscaler_may_scale_the_target(purpose: str) -> None:
    h = await opened()
    if purpose == "Undo":
        await h.settle(20)
        h.alert_state = "Cleared"
    h.cluster.mute.add(TARGET)
    await h.settle(5 if purpose == "Rung" else 60)
    step = h.status.open_step()
    assert step is not None
    assert (step.purpose, step.phase) == (purpose, "Intended")
    h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 4}}, manager="kube-controller-manager")
    h.cluster.mute.clear()
    await h.settle(120)
    assert limit(h) == ("1Gi" if purpose == "Rung" else "512Mi")


async def forged(h: Harness, *, step: bool, **debt: Any) -> None:
    """An Incident that claims to owe another value than was there; `step`: and to be putting it back."""
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "api"}
    ref["uid"] = h.live()["metadata"]["uid"]
    owed = {"key": f"{ref['uid']}:{MEMORY}", "kind": "ResourcesBack", "object": ref, "field": MEMORY,
            "original": '"1Mi"', "want": '"512Mi"', "state": "Open"} | debt  # fmt: skip
    (incident,) = h.cluster.all("incidents")
    write = {"verb": "Patch", "object": ref, "field": owed["field"], "before": owed["want"], "want": owed["original"]}
    name = "9-undo"
    token, at = naming.token(incident["metadata"]["uid"], name), h.clock.now().isoformat()
    undo = {"id": name, "rung": 0, "action": "undo", "purpose": "Undo", "writes": [write], "token": token,
            "intentAt": at}  # fmt: skip
    status = {"obligations": [owed], "owes": 1, "steps": [undo] if step else []}
    h.cluster.edit("incidents", "shop", incident["metadata"]["name"], {"status": status})


IMAGE = "spec.template.spec.containers[name=api].image"


@pytest.mark.parametrize("step", [False, True], ids=["debt", "step"])
@pytest.mark.parametrize(
    "debt",
    [
        {},  # there, but not by us
        {"field": CPU, "want": '"1"', "original": '"1m"'},  # not what the policy raises
        {"field": IMAGE, "want": '"api:1"', "original": '"evil:1"'},
        {"field": MEMORY.replace("=api", "=proxy"), "want": "null", "original": '"1Mi"'},
        {"original": '"evil"'},
        {"original": '"-1"'},
        {"original": "null"},
        {"original": '"512Gi"'},
    ],
)
async def test_a_forged_debt_writes_nothing(step: bool, debt: Json) -> None:
    h = await opened()
    before = copy.deepcopy(h.live()["spec"])
    h.alert_state = "Cleared"
    await forged(h, step=step, **debt)
    await h.start()
    await h.settle(180)
    assert h.live()["spec"] == before
    assert effects(h) == []


async def test_a_forged_debt_of_another_namespace_writes_nothing() -> None:
    h = await opened()
    await h.settle(20)
    incident = copy.deepcopy(next(h.cluster.all("incidents")))
    incident["metadata"] |= {"namespace": "evil", "uid": "forged"}
    incident["status"]["kpis"]["detectedAt"] = (h.clock.now() + timedelta(days=1)).isoformat()
    incident["status"]["obligations"][0]["original"] = '"1Mi"'
    h.cluster.add("incidents", incident)
    await h.start()
    h.alert_state = "Cleared"
    await h.settle_all(180)
    assert limit(h) == "512Mi"


@pytest.mark.parametrize(
    ("field", "want"), [(MEMORY, '"4Gi"'), (IMAGE, '"evil:1"'), (MEMORY.replace("=api", "=proxy"), '"1Gi"')]
)
async def test_a_step_that_was_written_by_somebody_else_is_planned_anew(field: str, want: str) -> None:
    h = await opened()
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "api"}
    ref["uid"] = h.live()["metadata"]["uid"]
    write = {"verb": "Patch", "object": ref, "field": field, "before": value_at(h.live(), field), "want": want}
    step = {"id": "1-resources", "rung": 0, "action": "resources", "writes": [write], "token": "t"}
    status = {"steps": [{**step, "intentAt": h.clock.now().isoformat()}], "phase": "Fixing"}
    (incident,) = h.cluster.all("incidents")
    h.cluster.edit("incidents", "shop", incident["metadata"]["name"], {"status": status})
    await h.start()
    await h.settle(30)
    assert h.status.steps[0].outcome == "NotTaken"
    assert limit(h) == "1Gi"
    assert h.live()["spec"]["template"]["spec"]["containers"][1]["image"] == "api:1"
