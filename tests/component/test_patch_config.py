"""A value of a ConfigMap: set, read by a restart, put back, and read again; never twice, and never somebody else's."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from goldseam.engine import naming
from goldseam.engine.objects import RESTART, value_at
from goldseam.ports import Json
from tests.support.harness import Harness, deployment, policy
from tests.support.objects import config_map

PATCH = {"patchConfig": {"configMap": "settings", "key": "LEVEL", "value": "warn"}}
CONFIG, TARGET = "configmaps/shop/settings", "deployments/shop/api"


async def opened(*ladder: Json, data: Json | None = None, **spec: Any) -> Harness:
    target = deployment(3)
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "settings"}}]
    account = {"serviceAccountName": "remediator"}
    h = Harness(policy(*(ladder or (PATCH,)), **(account | spec)), target, "deployments")
    h.cluster.add("serviceaccounts", {"metadata": {"name": "remediator", "namespace": "shop"}})
    h.cluster.add("configmaps", config_map(data))
    await h.start()
    await h.open()
    return h


def effects(h: Harness) -> list[str]:
    return [path for _, path, _, _ in h.cluster.writes if path in (CONFIG, TARGET)]


def values(h: Harness) -> Json:
    found: Json = h.cluster.objects["configmaps", "shop", "settings"].get("data", {})
    return found


def token(h: Harness) -> str:
    return value_at(h.live(), RESTART).strip('"')


async def test_the_value_is_set_and_read_and_afterwards_put_back_and_read_again() -> None:
    h = await opened()
    await h.settle(20)
    assert (effects(h), values(h)) == ([CONFIG, TARGET], {"LEVEL": "warn"})
    assert token(h) == h.status.steps[0].token
    h.alert_state = "Cleared"
    await h.settle(120)
    assert effects(h) == [CONFIG, TARGET, CONFIG, TARGET]
    assert values(h) == {"LEVEL": "info"}
    assert token(h) == h.status.steps[1].token
    assert (h.status.phase, [o.state for o in h.status.obligations]) == ("Resolved", ["Paid"])
    assert h.status.steps[1].message == (
        'put LEVEL of ConfigMap shop/settings back to "info", and restart Deployment shop/api'
    )


async def test_a_key_that_was_added_is_taken_out_again() -> None:
    h = await opened({"patchConfig": {**PATCH["patchConfig"], "addKey": True}}, data={"OTHER": "1"})
    await h.settle(20)
    assert values(h) == {"OTHER": "1", "LEVEL": "warn"}
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (values(h), h.status.owes) == ({"OTHER": "1"}, 0)


async def test_what_is_not_to_be_reverted_stays() -> None:
    h = await opened(resolve={"after": "10s", "revert": False})
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(120)
    assert values(h) == {"LEVEL": "warn"}
    assert [o.state for o in h.status.obligations] == ["Void"]


async def test_a_value_that_a_person_changed_is_theirs_and_people_are_told() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.edit("configmaps", "shop", "settings", {"data": {"LEVEL": "debug"}})
    await h.settle(20)
    assert h.status.phase == "Escalated"
    h.alert_state = "Cleared"
    await h.settle(120)
    assert values(h) == {"LEVEL": "debug"}
    assert effects(h) == [CONFIG, TARGET]


async def test_another_key_that_a_person_changed_is_no_concern_of_ours() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.edit("configmaps", "shop", "settings", {"data": {"OTHER": "1"}})
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (values(h), h.status.owes) == ({"LEVEL": "info", "OTHER": "1"}, 0)


async def test_while_nothing_is_known_of_the_alert_the_old_value_is_not_put_back() -> None:
    h = await opened()
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(15)
    h.knows = False
    await h.settle(120)
    assert values(h) == {"LEVEL": "warn"}
    h.knows = True
    await h.settle(120)
    assert values(h) == {"LEVEL": "info"}


@pytest.mark.parametrize("path", [CONFIG, TARGET])
async def test_what_has_changed_since_it_was_looked_at_is_looked_at_anew(path: str) -> None:
    h = await opened()
    h.cluster.stale.add(path)
    await h.settle(30)
    assert (effects(h), values(h)) == ([CONFIG, TARGET], {"LEVEL": "warn"})


@pytest.mark.parametrize("path", [CONFIG, TARGET])
async def test_a_write_whose_reply_is_lost_is_not_repeated(path: str) -> None:
    h = await opened()
    h.cluster.deaf.add(path)
    await h.settle(30)
    assert effects(h) == [CONFIG, TARGET]
    assert h.status.steps[0].phase == "Acted"


async def test_where_the_restart_is_refused_the_value_is_put_back_once_the_alert_is_gone() -> None:
    h = await opened(PATCH, {"escalate": {}})
    h.cluster.refused.add(TARGET)
    await h.settle(30)
    assert (h.status.steps[0].outcome, values(h)) == ("Refused", {"LEVEL": "warn"})
    h.cluster.refused.clear()
    h.alert_state = "Cleared"
    await h.settle(180)
    assert (values(h), h.status.owes) == ({"LEVEL": "info"}, 0)


async def test_where_the_value_is_refused_nothing_is_owed_and_nothing_restarted() -> None:
    h = await opened(PATCH, {"escalate": {}})
    h.cluster.refused.add(CONFIG)
    await h.settle(30)
    assert (effects(h), h.status.steps[0].outcome) == ([], "Refused")
    assert [o.state for o in h.status.obligations] == ["Void"]


async def test_a_replaced_config_map_is_not_written_to_and_nothing_is_owed_for_it() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.remove("configmaps", "shop", "settings")
    h.cluster.add("configmaps", config_map(uid="uid-new"))
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (effects(h), values(h)) == ([CONFIG, TARGET], {"LEVEL": "info"})
    assert [o.state for o in h.status.obligations] == ["Void"]


async def test_when_the_target_is_gone_its_value_is_put_back_and_nothing_is_left_to_restart() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.remove("deployments", "shop", "api")
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (effects(h), values(h)) == ([CONFIG, TARGET, CONFIG], {"LEVEL": "info"})
    assert (h.status.phase, h.status.owes) == ("Abandoned", 0)


async def test_a_workload_that_is_paused_by_then_gets_the_old_value_and_the_restart_nevertheless() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.edit("deployments", "shop", "api", {"spec": {"paused": True}})
    h.alert_state = "Cleared"
    await h.settle(120)
    assert effects(h) == [CONFIG, TARGET, CONFIG, TARGET]
    assert h.status.owes == 0


async def test_a_second_value_on_the_same_key_gives_back_the_first_original() -> None:
    second = {"patchConfig": {**PATCH["patchConfig"], "value": "error"}}
    h = await opened({**PATCH, "timeout": "15s"}, second)
    await h.settle(60)
    assert values(h) == {"LEVEL": "error"}
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (values(h), h.status.owes) == ({"LEVEL": "info"}, 0)


@pytest.mark.parametrize("refused", [False, True])
async def test_of_two_incidents_on_one_key_the_first_value_comes_back(refused: bool) -> None:
    free = {"cooldown": "0s", "concurrent": 5}
    h = await opened({**PATCH, "timeout": "15s"}, {"escalate": {}}, limits=free)
    await h.settle(30)
    assert (h.status.phase, values(h)) == ("Escalated", {"LEVEL": "warn"})
    second = policy(
        {"patchConfig": {**PATCH["patchConfig"], "value": "error"}}, limits=free, serviceAccountName="remediator"
    )
    second["metadata"]["name"] = "other"
    h.policy = h.cluster.add("remediationpolicies", second)
    await h.open()
    if refused:
        h.cluster.refused.add(CONFIG)
    await h.settle_all(60)
    assert values(h) == {"LEVEL": "warn" if refused else "error"}
    h.cluster.refused.clear()
    h.alert_state = "Cleared"
    await h.settle_all(180)
    assert values(h) == {"LEVEL": "info"}
    assert [s.owes for s in h.statuses()] == [0, 0]


async def test_a_config_map_that_may_not_be_read_is_waited_for() -> None:
    h = await opened()
    h.cluster.unreadable.add("configmaps")
    await h.settle(30)
    assert effects(h) == []
    assert "configmaps/settings" in h.status.holds[0].message


async def test_where_the_operator_has_no_right_to_read_it_the_component_that_brings_it_is_named() -> None:
    h = await opened(PATCH, {"escalate": {}})
    h.cluster.forbidden.add("configmaps")
    await h.settle(30)
    assert (effects(h), h.status.phase, h.status.steps[0].outcome) == ([], "Escalated", "Refused")
    assert "Goldseam itself may not get configmaps in namespace shop" in h.status.steps[0].message
    assert "install the component config of deploy/kustomize" in h.status.steps[0].message


async def test_what_is_owed_is_not_given_up_when_the_right_to_read_it_is_taken_away() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.forbidden.add("configmaps")
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (values(h), h.status.owes, h.status.holds[0].reason) == ({"LEVEL": "warn"}, 1, "NotRead")
    h.cluster.forbidden.clear()
    await h.settle(120)
    assert (values(h), h.status.owes) == ({"LEVEL": "info"}, 0)


async def test_without_the_right_nothing_is_written() -> None:
    h = await opened(PATCH, {"escalate": {}})
    h.cluster.denied.add("configmaps")
    await h.settle(30)
    assert effects(h) == []
    assert "component config" in h.status.steps[0].message


async def test_observing_it_is_only_said() -> None:
    h = await opened(mode="Observe")
    await h.settle(30)
    assert effects(h) == []
    assert "would set LEVEL of ConfigMap shop/settings" in h.status.steps[0].message


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
        assert effects(h) == [CONFIG, TARGET, CONFIG, TARGET], f"killed at write {point}"
        assert (values(h), h.status.owes) == ({"LEVEL": "info"}, 0), f"killed at write {point}"
    assert met >= 10


async def forged(h: Harness, *, step: bool, **debt: Any) -> None:
    """An Incident that claims to owe another value than the policy sets; `step`: and to be putting it back."""
    ref = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "settings", "uid": "uid-settings"}
    owed = {"key": "uid-settings:data[LEVEL]", "kind": "ConfigBack", "object": ref, "field": "data[LEVEL]",
            "original": '"evil"', "want": '"warn"', "state": "Open"} | debt  # fmt: skip
    (incident,) = h.cluster.all("incidents")
    write = {"verb": "Patch", "object": ref, "field": owed["field"], "before": owed["want"], "want": owed["original"]}
    name = "9-undo"
    token, at = naming.token(incident["metadata"]["uid"], name), h.clock.now().isoformat()
    undo = {"id": name, "rung": 0, "action": "undo", "purpose": "Undo", "writes": [write], "token": token,
            "intentAt": at}  # fmt: skip
    status = {"obligations": [owed], "owes": 1, "steps": [undo] if step else []}
    h.cluster.edit("incidents", "shop", incident["metadata"]["name"], {"status": status})


@pytest.mark.parametrize("step", [False, True], ids=["debt", "step"])
@pytest.mark.parametrize(
    ("data", "debt"),
    [
        ({"LEVEL": "warn"}, {}),  # there, but not by us
        ({"LEVEL": "info"}, {"want": '"info"'}),  # not what the policy sets
        ({"LEVEL": "info", "B": "x"}, {"field": "data[B]", "key": "uid-settings:data[B]", "want": '"x"'}),
        (
            {"LEVEL": "info"},
            {"field": "immutable", "key": "uid-settings:immutable", "want": "null", "original": "true"},
        ),
    ],
)
async def test_a_forged_debt_writes_nothing(step: bool, data: Json, debt: Json) -> None:
    h = await opened(data=data)
    before = copy.deepcopy(h.cluster.objects["configmaps", "shop", "settings"])
    h.alert_state = "Cleared"
    await forged(h, step=step, **debt)
    await h.start()
    await h.settle(180)
    assert h.cluster.objects["configmaps", "shop", "settings"] == before
    assert effects(h) == []


async def test_a_forged_debt_of_another_namespace_writes_nothing() -> None:
    h = await opened()
    await h.settle(20)
    incident = copy.deepcopy(next(h.cluster.all("incidents")))
    incident["metadata"] |= {"namespace": "evil", "uid": "forged"}
    incident["status"]["kpis"]["detectedAt"] = (h.clock.now() + timedelta(days=1)).isoformat()
    incident["status"]["obligations"][0]["original"] = '"evil"'
    h.cluster.add("incidents", incident)
    await h.start()
    h.alert_state = "Cleared"
    await h.settle_all(180)
    assert values(h) == {"LEVEL": "info"}


async def test_a_step_that_was_written_by_somebody_else_is_planned_anew() -> None:
    h = await opened(PATCH)
    h.cluster.kill_at, h.cluster.kill_after = None, False
    ref = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "settings", "uid": "uid-settings"}
    write = {"verb": "Patch", "object": ref, "field": "data[LEVEL]", "before": '"info"', "want": '"evil"'}
    step = {"id": "1-patchConfig", "rung": 0, "action": "patchConfig", "writes": [write], "token": "t"}
    status = {"steps": [{**step, "intentAt": h.clock.now().isoformat()}], "phase": "Fixing"}
    (incident,) = h.cluster.all("incidents")
    h.cluster.edit("incidents", "shop", incident["metadata"]["name"], {"status": status})
    await h.start()
    await h.settle(30)
    assert h.status.steps[0].outcome == "NotTaken"
    assert values(h) == {"LEVEL": "warn"}


async def stopped_half_way() -> tuple[Harness, str]:
    """Two workloads read one ConfigMap. The first incident has set its key, and before it restarts, a second one sets
    its own key of the same ConfigMap. The uid of the first incident."""
    h = await opened(PATCH, {"escalate": {}}, data={"LEVEL": "info", "MODE": "a"}, limits={"concurrent": 5})
    (mine,) = (obj["metadata"]["uid"] for obj in h.cluster.all("incidents"))
    h.cluster.mute.add(TARGET)  # the value is set, the restart gets no answer
    await h.settle(5)
    other = deployment(3, name="web")
    other["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "settings"}}]
    h.target = h.cluster.add("deployments", other)
    second = policy({"patchConfig": {**PATCH["patchConfig"], "key": "MODE", "value": "b"}}, target={"name": "web"},
                    serviceAccountName="remediator")  # fmt: skip
    second["metadata"]["name"] = "web"
    h.policy = h.cluster.add("remediationpolicies", second)
    await h.open()
    (theirs,) = (obj["metadata"]["uid"] for obj in h.cluster.all("incidents") if obj["metadata"]["uid"] != mine)
    for _ in range(4):
        await h.looker.look(theirs)
    assert values(h) == {"LEVEL": "warn", "MODE": "b"}
    return h, mine


async def test_a_second_incident_on_another_key_does_not_keep_the_first_from_its_restart() -> None:
    h, _ = await stopped_half_way()
    h.cluster.mute.clear()
    await h.settle_all(20)
    first, _ = h.statuses()
    assert [(step.action, step.phase, step.outcome) for step in first.steps] == [("patchConfig", "Acted", None)]
    assert value_at(h.cluster.objects["deployments", "shop", "api"], RESTART) == f'"{first.steps[0].token}"'
    h.alert_state = "Cleared"
    await h.settle_all(180)
    assert values(h) == {"LEVEL": "info", "MODE": "a"}
    assert [status.owes for status in h.statuses()] == [0, 0]


async def test_what_was_begun_is_never_said_to_be_not_taken_and_is_owed_still() -> None:
    h, _ = await stopped_half_way()
    h.cluster.edit("deployments", "shop", "api", {"spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}})
    h.cluster.mute.clear()
    await h.settle_all(10)
    first, _ = h.statuses()
    assert first.steps[0].outcome == "Failed"
    assert [(o.kind, o.state) for o in first.obligations] == [("ConfigBack", "Open")]
    h.alert_state = "Cleared"
    await h.settle_all(180)
    assert values(h) == {"LEVEL": "info", "MODE": "a"}


async def test_an_undo_whose_value_is_back_is_done_where_nothing_is_left_that_reads_it() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.mute.add(TARGET)
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (values(h), h.status.steps[1].outcome) == ({"LEVEL": "info"}, None)
    h.cluster.edit("deployments", "shop", "api", {"spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}})
    await h.settle(20)
    assert (h.status.steps[1].outcome, [o.state for o in h.status.obligations]) == ("Undone", ["Paid"])


def taken_one_at_a_time(h: Harness) -> None:
    """A restart of the target takes one ready pod away at a time, and a budget that covers it lets none go."""
    rolling = {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    labels = {"metadata": {"labels": {"app": "api"}}}
    h.cluster.edit("deployments", "shop", "api", {"spec": {"strategy": rolling, "template": labels}})
    budget = {"metadata": {"name": "api", "namespace": "shop"}, "spec": {"selector": {"matchLabels": {"app": "api"}}}}
    counts = {"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 3, "desiredHealthy": 3}
    h.cluster.add("poddisruptionbudgets", {**budget, "status": counts})


async def test_an_old_value_waits_for_the_disruption_budget_that_its_restart_would_break() -> None:
    h = await opened()
    await h.settle(20)
    taken_one_at_a_time(h)
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (values(h), h.status.owes) == ({"LEVEL": "warn"}, 1)
    assert [(hold.reason, hold.kind) for hold in h.status.holds] == [("BreaksDisruptionBudget", "Wait")]
    assert "PodDisruptionBudget shop/api lets 0 go" in h.status.holds[0].message
    h.cluster.edit("poddisruptionbudgets", "shop", "api", {"status": {"disruptionsAllowed": 1}})
    await h.settle(120)
    assert (values(h), h.status.owes) == ({"LEVEL": "info"}, 0)
    assert effects(h) == [CONFIG, TARGET, CONFIG, TARGET]


async def test_an_old_value_waits_for_a_rollout_that_somebody_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.edit("deployments", "shop", "api", {"spec": {"template": {"metadata": {"labels": {"v": "2"}}}}})
    monkeypatch.setattr(h, "controllers", lambda: None)
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (values(h), h.status.owes) == ({"LEVEL": "warn"}, 1)
    assert [hold.reason for hold in h.status.holds] == ["RolloutInProgress"]
    monkeypatch.undo()
    await h.settle(120)
    assert (values(h), h.status.owes) == ({"LEVEL": "info"}, 0)


async def test_once_the_old_value_is_back_its_restart_waits_too_and_is_not_lost() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.mute.add(TARGET)
    h.alert_state = "Cleared"
    await h.settle(60)
    assert values(h) == {"LEVEL": "info"}
    taken_one_at_a_time(h)
    h.cluster.mute.clear()
    await h.settle(60)
    assert effects(h) == [CONFIG, TARGET, CONFIG]
    assert [hold.reason for hold in h.status.holds] == ["BreaksDisruptionBudget"]
    h.cluster.remove("poddisruptionbudgets", "shop", "api")
    await h.settle(120)
    assert effects(h) == [CONFIG, TARGET, CONFIG, TARGET]
    assert h.status.owes == 0


async def test_what_was_set_is_put_back_though_the_policy_does_not_allow_it_any_more() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.edit("remediationpolicies", "shop", "api", {"spec": {"ladder": [{"escalate": {}}]}})
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (values(h), h.status.owes) == ({"LEVEL": "info"}, 0)
