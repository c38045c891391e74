"""Back to the former template: once, as a whole, and only while everything is as it was when that was decided."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from goldseam.engine.objects import RESTART, value_at
from goldseam.ports import Json
from tests.support.harness import START, Harness, deployment, policy
from tests.support.objects import kept, template

OLD, NEW = template("web:1"), template("web:2", hostAliases=[{"ip": "::1"}])
SHORTLY = (START - timedelta(minutes=10)).isoformat()
LONG_AGO = (START - timedelta(days=3)).isoformat()
TARGET = "deployments/shop/api"
BACK = {"rollback": {}}


async def opened(*ladder: Json, **spec: Any) -> Harness:
    target = deployment(3)
    target["spec"] |= {"template": NEW, "selector": {"matchLabels": {"app": "api"}}}
    h = Harness(policy(*(ladder or (BACK,)), **({"serviceAccountName": "r"} | spec)), target, "deployments")
    h.cluster.add("serviceaccounts", {"metadata": {"name": "r", "namespace": "shop"}})
    for number, (what, created) in enumerate(((OLD, LONG_AGO), (NEW, SHORTLY)), start=1):
        h.cluster.add("replicasets", kept(number, what, created, owner=h.target["metadata"]["uid"]))
    await h.start()
    await h.open()
    return h


def effects(h: Harness) -> list[str]:
    return [path for _, path, _, _ in h.cluster.writes if path == TARGET]


def image(h: Harness) -> str:
    found: str = h.live()["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


async def test_the_former_template_comes_back_as_a_whole_and_stays() -> None:
    h = await opened()
    await h.settle(20)
    assert effects(h) == [TARGET]
    assert h.live()["spec"]["template"] == template(
        "web:1", annotations={"goldseam.dev/token": h.status.steps[0].token}
    )
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (h.status.phase, h.status.steps[0].outcome, h.status.obligations) == ("Resolved", "Passed", [])
    assert effects(h) == [TARGET]


async def test_what_was_rolled_out_long_ago_is_not_touched_and_the_next_rung_comes() -> None:
    h = await opened({"rollback": {"window": "5m"}}, {"escalate": {}})
    await h.settle(20)
    assert (effects(h), h.status.steps[0].outcome, h.status.phase) == ([], "Refused", "Escalated")
    assert "more than 5m before the alert began" in h.status.steps[0].message


async def test_it_does_not_wait_for_the_rollout_that_it_undoes() -> None:
    h = await opened()
    h.controllers = lambda: h.live().__setitem__(  # type: ignore[method-assign]
        "status", {"observedGeneration": h.live()["metadata"]["generation"], "replicas": 4, "updatedReplicas": 1}
    )
    await h.settle(20)
    assert (effects(h), image(h)) == ([TARGET], "web:1")


async def test_it_waits_for_the_controller_that_has_not_seen_the_newest_template() -> None:
    h = await opened()
    h.cluster.edit("deployments", "shop", "api", {"spec": {"template": template("web:3")}})
    h.controllers = lambda: None  # type: ignore[method-assign]
    await h.settle(20)
    assert effects(h) == []
    assert h.status.holds[0].reason == "RolloutInProgress"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_killed_operator_rolls_back_once(after: bool) -> None:
    met = 0
    for point in range(1, 20):
        h = await opened()
        h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + point, after
        killed = await h.settle_through_crashes(20)
        h.alert_state = "Cleared"
        killed |= await h.settle_through_crashes(60)
        if not killed:
            break
        met += 1
        assert (effects(h), image(h)) == ([TARGET], "web:1"), f"killed at write {point}"
        assert h.status.phase == "Resolved"
    assert met >= 5


async def test_a_write_whose_reply_is_lost_is_not_repeated() -> None:
    h = await opened()
    h.cluster.deaf.add(TARGET)
    await h.settle(20)
    assert (effects(h), h.status.steps[0].phase) == ([TARGET], "Acted")


async def intended(**spec: Any) -> Harness:
    """The intent is written down, and the API server says that the object has changed."""
    h = await opened(BACK, {"escalate": {}}, **spec)
    h.cluster.mute.add(TARGET)
    await h.settle(10)
    assert h.status.steps[0].phase == "Intended"
    h.cluster.mute.clear()
    return h


async def test_what_somebody_deploys_meanwhile_is_not_rolled_back() -> None:
    h = await intended()
    fix = template("web:3")
    h.cluster.edit("deployments", "shop", "api", {"spec": {"template": fix}})
    later = h.clock.now().isoformat()
    h.cluster.add("replicasets", kept(3, fix, later, owner=h.target["metadata"]["uid"]))
    await h.settle(30)
    assert (effects(h), image(h)) == ([], "web:3")
    assert h.status.phase == "Escalated"


@pytest.mark.parametrize("gone", [True, False])
async def test_a_former_template_that_is_gone_or_another_by_then_is_not_brought_back(gone: bool) -> None:
    h = await intended()
    if gone:
        h.cluster.remove("replicasets", "shop", "api-1")
    else:
        other = kept(1, template("evil:1"), LONG_AGO, owner=h.target["metadata"]["uid"])
        h.cluster.edit("replicasets", "shop", "api-1", {"spec": other["spec"]})
    await h.settle(20)
    assert h.status.steps[0].outcome == "NotTaken"
    assert image(h) == ("web:2" if gone else "evil:1"), "what is kept there now is planned anew, and said"


async def test_a_template_that_somebody_changes_between_the_look_and_the_write_is_theirs() -> None:
    h = await opened(BACK, {"escalate": {}})
    read = h.cluster.get
    seen = 0

    async def get(resource: Any, namespace: str, name: str, subresource: str = "") -> Json:
        nonlocal seen
        if resource.plural == "replicasets":  # while the write is made
            seen += 1
            if seen == 1:
                h.cluster.edit("deployments", "shop", "api", {"spec": {"template": template("web:3")}})
        return await read(resource, namespace, name, subresource)

    h.cluster.get = get  # type: ignore[method-assign]
    await h.settle(20)
    assert seen == 1
    assert (effects(h), image(h)) == ([], "web:3")


async def test_what_a_person_deploys_afterwards_is_theirs_and_people_are_told() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.edit("deployments", "shop", "api", {"spec": {"template": {"metadata": {"annotations": None}}}})
    await h.settle(20)
    assert h.status.phase == "Escalated"
    assert value_at(h.live(), RESTART) == "null"


async def test_who_rolls_forward_and_keeps_our_mark_on_the_template_is_seen_too_and_left_alone() -> None:
    h = await opened(BACK, {"restart": {}})
    await h.settle(20)
    containers = {"containers": [{"name": "app", "image": "web:2"}]}
    h.cluster.edit("deployments", "shop", "api", {"spec": {"template": {"spec": containers}}}, "kubectl-set")
    await h.settle(120)
    assert (h.status.phase, h.status.steps[0].outcome) == ("Escalated", "Superseded")
    assert h.status.message.startswith("RevertedBy=kubectl-set: Deployment shop/api has another template than the one")
    assert (effects(h), image(h)) == ([TARGET], "web:2")


async def test_a_restart_by_a_person_after_a_rollback_is_no_roll_forward() -> None:
    h = await opened()
    await h.settle(20)
    again = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}
    h.cluster.edit("deployments", "shop", "api", {"spec": {"template": again}})
    await h.settle(20)
    assert (h.status.phase, h.status.steps[0].outcome) == ("Fixing", None)


@pytest.mark.parametrize("purpose", ["Rung", "Undo"])
async def test_a_forged_step_brings_back_nothing_that_the_plan_does_not(purpose: str) -> None:
    h = await opened(BACK, {"escalate": {}})
    evil = h.cluster.add("replicasets", kept(9, template("evil:1"), LONG_AGO, owner="uid-of-nobody"))
    (incident,) = h.cluster.all("incidents")
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "api"}
    source = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "namespace": "shop", "name": "api-9"}
    pin = {"object": source | {"uid": evil["metadata"]["uid"]}, "digest": "0" * 16}
    write = {"verb": "Patch", "object": ref | {"uid": h.target["metadata"]["uid"]}, "field": RESTART,
             "before": "null", "want": '"t"', "template": pin}  # fmt: skip
    at = h.clock.now().isoformat()
    step = {"id": "1-x", "rung": 0, "action": "rollback", "purpose": purpose, "token": "t", "intentAt": at}
    forged = {"status": {"steps": [step | {"writes": [write]}]}}
    h.cluster.edit("incidents", "shop", incident["metadata"]["name"], forged)
    await h.start()
    await h.settle(20)
    assert h.status.steps[0].outcome == "NotTaken"
    assert image(h) == "web:1", "planned anew, it is the revision before"


async def test_without_the_right_to_roll_back_nothing_is_written() -> None:
    h = await opened(BACK, {"escalate": {}})
    allowed = h.cluster.allowed

    async def asked(access: Any) -> bool:
        return access.verb != "rollback" and await allowed(access)

    h.cluster.allowed = asked  # type: ignore[method-assign]
    await h.settle(20)
    assert effects(h) == []
    assert "may not rollback deployments.apps in namespace shop: install the component rollback" in (
        h.status.steps[0].message
    )


async def test_revisions_that_cannot_be_read_are_waited_for() -> None:
    h = await opened()
    h.cluster.unreadable.add("replicasets")
    await h.settle(30)
    assert effects(h) == []
    assert "replicasets" in h.status.holds[0].message


async def test_whoever_is_asked_for_approval_is_told_what_would_come_back() -> None:
    h = await opened(mode="Propose")
    await h.settle(20)
    assert effects(h) == []
    assert "(app: web:1 → web:2)" in h.status.approvals[0].summary
    h.cluster.edit("replicasets", "shop", "api-1", {"spec": {"template": template("web:0")}})
    await h.settle(20)
    assert [question.state for question in h.status.approvals] == ["Replaced", "Waiting"]


async def test_observing_it_is_only_said() -> None:
    h = await opened(mode="Observe")
    await h.settle(30)
    assert effects(h) == []
    assert "would roll Deployment shop/api back to revision 1" in h.status.steps[0].message
