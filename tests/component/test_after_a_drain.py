"""When a drain is done, and how pods with volumes go, on a toy cluster whose pods and volumes take their time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.component.test_node_incidents import crempol, node
from tests.support.harness import Harness
from tests.support.toypods import ToyPods

Json = dict[str, Any]
DRAIN: Json = {"drain": {"singleReplicas": "Evict"}, "timeout": "30m", "goOn": "WhenDone"}
NEXT: Json = {"wait": {"duration": "2h"}}


def prepared(drain: Json | None = None, *more: Json, **toy: Any) -> tuple[Harness, ToyPods]:
    """An incident about node `n1`, which is not opened yet."""
    h = Harness(crempol(drain or DRAIN, *(more or (NEXT,))), node("n1"), "nodes")
    h.cluster.add("nodes", node("n2"))
    return h, ToyPods(h, **toy)


async def begun(h: Harness, toy: ToyPods) -> None:
    toy.work()
    await h.start()
    await h.open()


def evicted(h: Harness) -> list[str]:
    return [path.rpartition("/")[2] for verb, path, _, _ in h.cluster.writes if verb == "evict"]


def cordoned(h: Harness) -> bool:
    return bool(h.live()["spec"].get("unschedulable"))


def ended(h: Harness) -> tuple[str | None, str]:
    """How the drain ended."""
    step = h.status.steps[0]
    return step.outcome, step.message


async def until(h: Harness, outcome: str, seconds: float = 1_000) -> None:
    await h.settle(seconds, lambda status: bool(status.steps) and status.steps[0].outcome == outcome)
    assert ended(h)[0] == outcome, h.status.message


def listed(h: Harness) -> list[str]:
    """What is listed from now on, by plural."""
    asked: list[str] = []
    read = h.cluster.list

    async def spied(resource: Any, *args: Any, **more: Any) -> Any:
        asked.append(resource.plural)
        return await read(resource, *args, **more)

    h.cluster.list = spied  # type: ignore[method-assign]
    return asked


async def test_a_drain_is_done_when_the_workloads_that_it_hit_are_ready_again() -> None:
    h, toy = prepared(start=60.0)
    toy.deploy("web", ["n1", "n1", "n2"])
    toy.deploy("api", ["n1", "n2"])
    toy.deploy("else", ["n2"])
    await begun(h, toy)
    await h.settle(30)
    assert sorted(evicted(h)) == ["api-4", "web-1", "web-2"]
    assert h.status.steps[0].outcome is None
    assert h.status.message == (
        "drain: what was evicted is gone from Node n1 (3 pods), 0 of 2 workloads are ready again;"
        " waiting for Deployment shop/api (1 of 2 pods ready), Deployment shop/web (1 of 3 pods ready)"
    )
    await until(h, "WentOn", 60)
    assert ended(h)[1].startswith(
        "what was evicted is gone from Node n1 (3 pods), 2 of 2 workloads are ready again; the alert still fires"
    )


async def test_what_does_not_get_ready_is_waited_for_for_five_minutes_and_then_named() -> None:
    h, toy = prepared()
    toy.deploy("web", ["n1", "n1", "n2"])
    toy.deploy("api", ["n1", "n2"])
    toy.sick = {"web"}
    await begun(h, toy)
    await h.settle(280)
    assert h.status.steps[0].outcome is None
    assert h.status.message.endswith(
        "1 of 2 workloads are ready again; waiting for Deployment shop/web (1 of 3 pods ready)"
    )
    await until(h, "WentOn", 60)
    assert "; not waited for any longer: Deployment shop/web (1 of 3 pods ready);" in ended(h)[1]
    assert (cordoned(h), h.status.owes) == (True, 1), "it is empty, and the next rung may reboot it"


async def test_an_alert_that_is_gone_waits_for_that_too_before_the_node_is_given_back() -> None:
    h, toy = prepared(DRAIN | {"goOn": "WhenNotHelped"}, start=60.0)
    toy.deploy("web", ["n1", "n2"])
    await begun(h, toy)
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(20)
    assert (h.status.steps[0].outcome, cordoned(h)) == (None, True)
    await until(h, "Passed", 60)
    assert ended(h)[1] == (
        "the alert is Cleared, what was evicted is gone from Node n1 (1 pod), 1 of 1 workload is ready again"
    )


@pytest.mark.parametrize(("goes_on", "outcome"), [("WhenDone", "WentOn"), ("WhenNotHelped", "Failed")])
async def test_the_rungs_time_is_not_longer_for_that_nor_is_an_empty_node_given_back(
    goes_on: str, outcome: str
) -> None:
    h, toy = prepared(DRAIN | {"timeout": "60s", "goOn": goes_on})
    toy.deploy("web", ["n1", "n2"])
    toy.sick = {"web"}
    await begun(h, toy)
    await h.settle(50)
    assert h.status.steps[0].outcome is None
    await until(h, outcome, 20)
    assert (cordoned(h), h.status.owes) == (True, 1)


async def test_at_its_deadline_an_empty_node_is_not_given_back_for_what_is_not_ready_yet() -> None:
    h, toy = prepared({"drain": {"singleReplicas": "Evict", "deadline": "30s"}, "timeout": "30m", "goOn": "WhenDone"})
    toy.deploy("web", ["n1", "n2"])
    toy.sick = {"web"}
    await begun(h, toy)
    await h.settle(120)
    assert (h.status.steps[0].outcome, cordoned(h)) == (None, True)


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_workload_that_is_deleted_meanwhile_or_replaced_is_waited_for_by_nobody(replaced: bool) -> None:
    h, toy = prepared()
    toy.deploy("web", ["n1", "n2"])
    toy.sick = {"web"}
    await begun(h, toy)
    await h.settle(60)
    assert h.status.steps[0].outcome is None
    if replaced:
        h.cluster.objects["deployments", "shop", "web"]["metadata"]["uid"] = "another"
    else:
        h.cluster.remove("deployments", "shop", "web")
    await until(h, "WentOn", 60)


async def test_pods_of_one_workload_with_volumes_go_one_after_the_other_and_no_others_wait_for_them() -> None:
    h, toy = prepared(detach=20.0)
    toy.with_claims = {"db"}
    toy.deploy("db", ["n1", "n1", "n1"], "StatefulSet")
    toy.deploy("web", ["n1", "n1", "n1"])
    await begun(h, toy)
    await h.settle(10)
    assert sorted(evicted(h)) == ["db-3", "web-4", "web-5", "web-6"]
    assert h.status.message == ("drain: 4 of 6 pods evicted, waiting for PersistentVolume data-db-3 to be detached")
    await until(h, "WentOn")
    assert [name for name in evicted(h) if "db" in name] == ["db-3", "db-2", "db-1"]
    assert toy.at_once == []
    assert "its volumes are detached" in ended(h)[1]
    plan = h.status.steps[0].preflight or []
    assert plan[-2] == (
        "one after the other, each when the volumes of the one before are detached: StatefulSet shop/db (3 pods)"
    )


async def test_a_drain_is_done_when_the_volumes_of_its_pods_are_detached() -> None:
    h, toy = prepared(detach=90.0)
    toy.with_claims = {"db"}
    toy.deploy("db", ["n1", "n2"], "StatefulSet")
    await begun(h, toy)
    await h.settle(60)
    assert h.status.message == (
        "drain: what was evicted is gone from Node n1 (1 pod), 1 of 1 workload is ready again;"
        " waiting for PersistentVolume data-db-1 to be detached"
    )
    await until(h, "WentOn", 60)


async def test_a_volume_that_is_never_detached_holds_the_next_pod_for_five_minutes() -> None:
    h, toy = prepared(detach=10_000.0)
    toy.with_claims = {"db"}
    toy.deploy("db", ["n1", "n1"], "StatefulSet")
    await begun(h, toy)
    await h.settle(280)
    assert evicted(h) == ["db-2"]
    await h.settle(60)
    assert evicted(h) == ["db-2", "db-1"]
    await until(h, "WentOn", 400)
    assert "not waited for any longer: PersistentVolume data-db-1 to be detached" in ended(h)[1]
    assert "PersistentVolume data-db-2" in ended(h)[1], "neither is the one before"


async def test_without_the_right_to_see_it_volumes_are_not_waited_for_and_that_is_said() -> None:
    h, toy = prepared(detach=10_000.0)
    toy.with_claims = {"db"}
    toy.deploy("db", ["n1", "n1"], "StatefulSet")
    h.cluster.forbidden = {"volumeattachments"}
    await begun(h, toy)
    await until(h, "WentOn", 90)
    assert evicted(h) == ["db-2", "db-1"]
    unseen = "whether volumes are detached is not known, for the operator has no right to list volumeattachments"
    assert unseen in ended(h)[1]
    assert unseen in (h.status.steps[0].preflight or [])


async def test_while_volumes_cannot_be_read_nothing_is_touched_and_nothing_is_said_to_be_done() -> None:
    h, toy = prepared(detach=60.0)
    toy.with_claims = {"db"}
    toy.deploy("db", ["n1", "n2"], "StatefulSet")
    h.cluster.unreadable = {"volumeattachments"}
    await begun(h, toy)
    await h.settle(20)
    assert (evicted(h), cordoned(h)) == ([], False)
    assert h.status.holds[0].reason == "NotRead"
    h.cluster.unreadable = set()
    await h.settle(10)
    h.cluster.unreadable = {"volumeattachments"}
    await h.settle(120)
    assert (evicted(h), h.status.steps[0].outcome) == (["db-1"], None)
    h.cluster.unreadable = set()
    await until(h, "WentOn", 60)


async def test_volumes_are_asked_about_only_where_a_pod_has_a_claim_and_while_they_are_waited_for() -> None:
    h, toy = prepared()
    toy.deploy("web", ["n1", "n2"])
    asked = listed(h)
    await begun(h, toy)
    await until(h, "WentOn")
    assert "volumeattachments" not in asked
    h, toy = prepared(DRAIN | {"goOn": "WhenNotHelped"})
    toy.with_claims = {"db"}
    toy.deploy("db", ["n1", "n2"], "StatefulSet")
    await begun(h, toy)
    await h.settle(60)
    asked = listed(h)
    await h.settle(60)
    assert "pods" in asked
    assert "volumeattachments" not in asked, "once it is done they are not asked about again"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_any_write_pods_with_volumes_go_once_and_one_after_the_other(after: bool) -> None:
    points = 0
    for point in range(1, 80):
        h, toy = prepared()
        toy.with_claims = {"db"}
        toy.deploy("db", ["n1", "n1", "n1"], "StatefulSet")
        await begun(h, toy)
        h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + point, after
        killed = await h.settle_through_crashes(120)
        h.alert_state = "Cleared"
        killed |= await h.settle_through_crashes(60)
        if not killed:
            break
        points += 1
        assert evicted(h) == ["db-3", "db-2", "db-1"], f"killed at write {point}"
        assert toy.at_once == [], f"killed at write {point}"
        assert (cordoned(h), h.status.phase) == (False, "Resolved"), f"killed at write {point}"
    assert points >= 10


async def test_a_drain_whose_deadline_passes_while_a_volume_is_waited_for_names_it() -> None:
    h, toy = prepared({"drain": {"singleReplicas": "Evict", "deadline": "30s"}, "timeout": "5m"}, detach=10_000.0)
    toy.with_claims = {"db"}
    toy.deploy("db", ["n1", "n1"])
    await begun(h, toy)
    await until(h, "Failed", 60)
    assert "1 of 2 pods evicted, waiting for PersistentVolume" in ended(h)[1]
    assert "to be detached; 1 of 2 pods are still on Node n1: shop/db-" in ended(h)[1]
