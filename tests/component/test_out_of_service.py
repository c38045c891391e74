"""A node whose machine is off is taken out of service once that is known, and its taint goes once it speaks again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from goldseam.api.incident import ObjectRef, Obligation
from goldseam.engine import out_of_service as off
from goldseam.engine.matching import PolicyKey
from goldseam.engine.out_of_service import FIELD, KEY, MARK
from goldseam.engine.situation import Other
from goldseam.resources import LEASES
from goldseam.services.sweep import sweep
from tests.component.test_careful_drains import owned
from tests.component.test_node_incidents import crempol, node, pod
from tests.support.harness import NAMESPACE, Harness

Json = dict[str, Any]
SILENT, HOUR = "2026-11-23T11:30:00Z", "2026-11-23T23:00:00Z"
TAKE: Json = {"outOfService": {"when": "Unreachable"}}
PEOPLE: Json = {"escalate": {}}
LEASE = ("kube-node-lease", "n1")


def says(ready: str, since: str = SILENT) -> Json:
    return {"conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": since}]}


def lease(name: str, at: str) -> Json:
    return {"metadata": {"namespace": "kube-node-lease", "name": name}, "spec": {"renewTime": at}}


async def opened(*ladder: Json, allowed: list[str] | None = None, since: str = SILENT, **spec: Any) -> Harness:
    """A node whose kubelet is silent, with two pods that hang half deleted, and one of a DaemonSet."""
    target = node("n1")
    target["status"] = says("Unknown", since)
    h = Harness(crempol(*(ladder or (TAKE, PEOPLE)), **spec), target, "nodes")
    h.cluster.add("nodes", node("n2"))
    h.cluster.add("leases", lease("n1", since))
    h.cluster.add("leases", lease("n2", HOUR))
    for name in ("p1", "p2"):
        hanging = pod(name)
        hanging["metadata"]["deletionTimestamp"] = "2026-11-23T11:40:00Z"
        h.cluster.add("pods", hanging)
    h.cluster.add("pods", pod("daemon", kind="DaemonSet"))
    limits = {"allowOutOfService": ["n1"] if allowed is None else allowed}
    h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": limits})
    await h.start()
    await h.open()
    return h


def taints(h: Harness) -> list[Json]:
    return [one for one in h.live()["spec"].get("taints") or [] if one["key"] == KEY]


def cordoned(h: Harness) -> bool:
    return bool(h.live()["spec"].get("unschedulable"))


def set_by_us(h: Harness) -> list[Json]:
    """Each taint that was set, and each time that it was taken away."""
    bodies = [body["spec"] for _, path, _, body in h.cluster.writes if path == "nodes//n1"]
    return [spec["taints"] for spec in bodies if "taints" in spec]


def outcomes(h: Harness) -> list[tuple[str, str | None]]:
    return [(step.action, step.outcome) for step in h.status.steps]


def collect(h: Harness) -> None:
    """What the pod garbage collector does."""
    for name in ("p1", "p2"):
        h.cluster.remove("pods", "shop", name)


def speaks(h: Harness, ready: str = "True") -> None:
    h.cluster.edit("nodes", "", "n1", {"status": says(ready)}, "kubelet")


def person(h: Harness, *theirs: Json) -> None:
    h.cluster.edit("nodes", "", "n1", {"spec": {"taints": list(theirs)}}, "kubectl-taint")


async def test_a_dead_node_is_tainted_once_and_given_back_when_the_alert_is_gone() -> None:
    h = await opened()
    await h.settle(20)
    (taint,) = taints(h)
    assert taint == {"key": KEY, "value": "nodeshutdown", "effect": "NoExecute", "timeAdded": taint["timeAdded"]}
    assert h.live()["metadata"]["annotations"][MARK] == taint["timeAdded"]
    assert (cordoned(h), h.status.owes) == (True, 2)
    assert h.status.steps[0].preflight is not None, "what is known stands there before"
    collect(h)
    speaks(h)
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (outcomes(h)[0], h.status.phase, h.status.owes) == (("outOfService", "Passed"), "Resolved", 0)
    assert (taints(h), cordoned(h), MARK in h.live()["metadata"]["annotations"]) == ([], False, False)
    assert len(set_by_us(h)) == 2
    assert sorted(o.state for o in h.status.obligations) == ["Paid", "Paid"]


@pytest.mark.parametrize("ready", ["True", "False"])
async def test_the_taint_goes_as_soon_as_the_kubelet_speaks_whatever_is_watched_meanwhile(ready: str) -> None:
    h = await opened()
    await h.settle(10)
    assert taints(h)
    speaks(h, ready)
    await h.settle(3)
    assert (taints(h), cordoned(h)) == ([], True), "it takes no new pods before the alert is gone"
    assert outcomes(h) == [("outOfService", None), ("undo", "Undone")]
    assert h.status.phase == "Fixing"
    await h.settle(20)
    assert h.status.phase == "Fixing", "it is watched on, and nobody is taken to have meddled"
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.phase, h.status.owes, cordoned(h)) == ("Resolved", 0, False)


async def test_it_goes_though_people_have_the_incident() -> None:
    h = await opened({**TAKE, "timeout": "20s"}, PEOPLE)
    await h.settle(60)
    assert (h.status.phase, len(taints(h))) == ("Escalated", 1)
    speaks(h)
    await h.settle(30)
    assert taints(h) == []


async def test_where_the_node_never_comes_back_the_taint_goes_with_the_incident() -> None:
    h = await opened()
    await h.settle(10)
    h.cluster.remove("clusterremediationpolicies", "", "nodes")
    await h.settle(20)
    assert (h.status.phase, taints(h), cordoned(h), h.status.owes) == ("Abandoned", [], False, 0)


async def test_it_waits_until_the_kubelet_is_silent_for_as_long_as_the_policy_says() -> None:
    h = await opened(since="2026-11-23T11:52:00Z")
    await h.settle(110)
    assert (taints(h), cordoned(h), h.status.steps) == ([], False, [])
    assert [(hold.reason, hold.kind) for hold in h.status.holds] == [("NotSilentForLong", "Wait")]
    await h.settle(15)
    (taint,) = taints(h)
    assert "2026-11-23T12:02:00Z" <= taint["timeAdded"] <= "2026-11-23T12:02:10Z"


@pytest.mark.parametrize("allowed", [[], ["n2", "m*"]])
async def test_where_the_guardrails_do_not_name_the_node_nothing_is_done(allowed: list[str]) -> None:
    h = await opened(allowed=allowed)
    await h.settle(10)
    assert (outcomes(h)[0], cordoned(h), taints(h)) == (("outOfService", "Refused"), False, [])
    assert "name it in their `allowOutOfService`" in h.status.steps[0].message


async def test_without_its_right_nothing_is_done_and_the_piece_is_named() -> None:
    h = await opened()
    h.cluster.denied = {"out-of-service nodes"}
    await h.settle(10)
    assert (outcomes(h)[0], taints(h)) == (("outOfService", "Refused"), [])
    assert "install the component out-of-service" in h.status.steps[0].message


async def test_where_the_leases_may_not_be_read_nothing_is_done() -> None:
    h = await opened()
    h.cluster.forbidden = {"leases"}
    await h.settle(10)
    assert (outcomes(h)[0], taints(h)) == (("outOfService", "Refused"), [])
    h = await opened()
    h.cluster.unreadable = {"leases"}
    await h.settle(10)
    assert (h.status.holds[0].reason, taints(h)) == ("NotRead", [])


def between(h: Harness, change: Any) -> None:
    """Have something happen between the intent and the write: when the Lease is read once more."""
    get = h.cluster.get

    async def first(resource: Any, *where: Any) -> Json:
        if resource == LEASES:
            h.cluster.get = get  # type: ignore[method-assign]
            change()
        return await get(resource, *where)

    h.cluster.get = first  # type: ignore[method-assign]


async def test_a_kubelet_that_renews_its_lease_between_intent_and_write_is_left_alone() -> None:
    h = await opened()
    between(h, lambda: h.cluster.edit("leases", *LEASE, {"spec": {"renewTime": "2026-11-23T12:00:00Z"}}, "kubelet"))
    await h.settle(10)
    assert (set_by_us(h), cordoned(h)) == ([], False)
    assert "NotSilentForLong" in [hold.reason for hold in h.status.holds]
    assert h.status.steps[0].writes[0].message.endswith("has renewed its Lease since")
    speaks(h)
    await h.settle(10)
    assert (outcomes(h)[0], h.status.owes, set_by_us(h)) == (("outOfService", "NotTaken"), 0, [])
    assert "its kubelet reports (Ready is True), so its machine is on" in h.status.steps[0].message


async def test_a_node_that_is_ready_between_intent_and_write_is_left_alone() -> None:
    h = await opened()
    between(h, lambda: speaks(h))
    await h.settle(10)
    assert (set_by_us(h), cordoned(h), h.status.owes) == ([], False, 0)
    assert outcomes(h)[0] == ("outOfService", "NotTaken")


async def test_a_person_who_takes_the_taint_away_while_the_node_is_silent_has_the_last_word() -> None:
    h = await opened()
    await h.settle(10)
    person(h)
    await h.settle(60)
    assert (len(set_by_us(h)), taints(h), h.status.phase) == (1, [], "Escalated")
    assert "Lost" in [o.state for o in h.status.obligations]


async def test_a_person_who_takes_it_away_once_the_node_speaks_has_done_what_was_owed() -> None:
    h = await opened()
    await h.settle(10)
    person(h)
    speaks(h)
    await h.settle(10)
    assert (h.status.phase, len(set_by_us(h))) == ("Fixing", 1)
    assert {o.kind: o.state for o in h.status.obligations} == {"Uncordon": "Open", "Untaint": "Paid"}


async def test_a_taint_that_somebody_set_anew_is_theirs_and_stays() -> None:
    h = await opened()
    await h.settle(10)
    theirs = {"key": KEY, "value": "nodeshutdown", "effect": "NoExecute"}
    person(h, theirs)
    speaks(h)
    h.alert_state = "Cleared"
    await h.settle(90)
    assert (taints(h), len(set_by_us(h))) == ([theirs], 1)


async def test_one_that_was_there_before_is_neither_set_nor_taken_away() -> None:
    h = await opened()
    theirs = {"key": KEY, "value": "nodeshutdown", "effect": "NoExecute"}
    person(h, theirs)
    await h.settle(10)
    assert (outcomes(h)[0], set_by_us(h), cordoned(h)) == (("outOfService", "NothingToDo"), [], False)
    assert taints(h) == [theirs]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_any_write_the_node_is_tainted_once_and_given_back(after: bool) -> None:
    points = 0
    for point in range(1, 60):
        h = await opened()
        h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + point, after
        killed = await h.settle_through_crashes(20)
        collect(h)
        speaks(h)
        h.alert_state = "Cleared"
        killed |= await h.settle_through_crashes(60)
        if not killed:
            break
        points += 1
        assert len(set_by_us(h)) == 2, f"killed at write {point}"
        assert (taints(h), cordoned(h)) == ([], False), f"killed at write {point}"
        assert (h.status.phase, h.status.owes) == ("Resolved", 0), f"killed at write {point}"
    assert points >= 8


async def test_a_taint_that_could_not_be_set_at_once_is_set_by_the_same_step() -> None:
    h = await opened()
    h.cluster.mute = {"nodes//n1"}
    await h.settle(20)
    assert set_by_us(h) == []
    h.cluster.mute = set()
    await h.settle(20)
    assert (len(h.status.steps), len(set_by_us(h))) == (1, 1)
    owed = next(o for o in h.status.obligations if o.kind == "Untaint")
    assert off.added(owed.want) == taints(h)[0]["timeAdded"], "as it was written down"


async def test_a_taint_whose_record_is_lost_is_adopted_and_taken_away() -> None:
    h = await opened()
    await h.settle(10)
    name = next(h.cluster.all("incidents"))["metadata"]["name"]
    h.cluster.remove("incidents", NAMESPACE, name)
    await h.start()
    (adopted,) = await sweep(h.cluster, h.book, h.clock.now(), NAMESPACE)
    assert "n1 was cordoned and taken out of service by Goldseam" in h.status.message
    h.book.put(adopted)
    await h.settle(30)
    assert (taints(h), cordoned(h), h.status.owes) == ([], False, 0)
    person(h, {"key": KEY, "value": "nodeshutdown", "effect": "NoExecute"})
    assert await sweep(h.cluster, h.book, h.clock.now(), NAMESPACE) == [], "nobody owes what somebody else has set"


async def test_the_question_to_people_stays_the_same_while_it_is_considered() -> None:
    h = await opened(approval={"rungs": ["outOfService"], "timeout": "1h"})
    await h.settle(120)
    assert h.status.phase == "AwaitingApproval"
    (question,) = h.status.approvals
    assert question.preflight is not None
    assert question.preflight[0].startswith("the kubelet is silent since 2026-11-23 11:30:00 UTC")
    assert set_by_us(h) == []
    incident = next(h.cluster.all("incidents"))["metadata"]
    spec = {"incidentRef": {"name": incident["name"], "uid": incident["uid"]}, "decision": "Approve", "by": "jane"}
    spec |= {"step": question.step, "planHash": question.plan_hash}
    h.cluster.add("responses", {"metadata": {"name": "word", "namespace": NAMESPACE}, "spec": spec})
    await h.settle(10)
    assert len(taints(h)) == 1


async def test_a_pause_in_the_namespace_of_its_pods_is_heard() -> None:
    h = await opened()
    for plural, obj in owned("p3"):
        if plural != "nodes":
            h.cluster.add(plural, obj)
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"reason": "leave shop alone"}})
    await h.settle(20)
    assert (set_by_us(h), h.status.holds[0].reason) == ([], "WorkloadPaused")
    h.cluster.remove("pauses", "shop", "p")
    await h.settle(20)
    assert len(taints(h)) == 1


async def test_the_medik8s_lease_is_kept_until_the_node_takes_pods_again() -> None:
    h = await opened()
    h.cluster.add("namespaces", {"metadata": {"name": "medik8s-leases"}})
    await h.settle(10)
    held = h.cluster.objects["leases", "medik8s-leases", "node-n1"]
    assert (held["spec"]["holderIdentity"], len(taints(h))) == ("goldseam", 1)
    speaks(h)
    await h.settle(10)
    assert (taints(h), held["spec"]["holderIdentity"]) == ([], "goldseam")
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (cordoned(h), "holderIdentity" in held["spec"]) == (False, False)


async def test_a_node_that_somebody_else_cordoned_counts_under_the_caps_while_it_is_out_of_service() -> None:
    h = await opened()
    meta = h.cluster.objects["nodes", "", "n2"]["metadata"]
    ref = ObjectRef(api_version="v1", kind="Node", name="n2", uid=meta["uid"])
    key, want = f"{meta['uid']}:{FIELD}", off.taint(h.clock.now())
    debt = Obligation(key=key, kind="Untaint", object=ref, field=FIELD, original="null", want=want)
    policy = PolicyKey("ClusterRemediationPolicy", "", "other")
    other = Other("o", "u", h.clock.now(), meta["uid"], policy, None, True, False, {}, True, (debt,))
    h.book.others = lambda _: (other,)  # type: ignore[method-assign]
    h.looker.gatherer._others = h.book.others
    await h.settle(10)
    assert (set_by_us(h), h.status.holds[0].reason) == ([], "NodesAtOnce")


async def test_a_forged_taint_is_not_set() -> None:
    """Whoever can write Incidents gains nothing by it: not on a node whose kubelet speaks."""
    h = await opened()
    h.cluster.mute = {"nodes//n1"}
    await h.settle(0.1)
    (incident,) = list(h.cluster.all("incidents"))
    steps = incident["status"]["steps"]
    assert FIELD in [write["field"] for write in steps[0]["writes"]]
    for write in steps[0]["writes"]:
        write.pop("renewed", None)
    h.cluster.edit("incidents", NAMESPACE, incident["metadata"]["name"], {"status": {"steps": steps}})
    speaks(h)
    h.cluster.mute = set()
    await h.settle(10)
    assert (set_by_us(h), cordoned(h)) == ([], False)


async def test_a_forged_debt_takes_nobody_elses_taint_away() -> None:
    h = await opened()
    theirs = {"key": KEY, "value": "nodeshutdown", "effect": "NoExecute"}
    person(h, theirs)
    (incident,) = list(h.cluster.all("incidents"))
    meta = h.live()["metadata"]
    ref = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": meta["uid"]}
    want = json.dumps(theirs, sort_keys=True)
    debt = {"key": "k", "kind": "Untaint", "object": ref, "field": off.FIELD, "original": "null", "want": want}
    h.cluster.edit("incidents", NAMESPACE, incident["metadata"]["name"], {"status": {"obligations": [debt], "owes": 1}})
    await h.start()
    speaks(h)
    await h.settle(20)
    assert (taints(h), set_by_us(h)) == ([theirs], [])


async def test_a_drain_of_a_node_whose_kubelet_is_silent_says_why_its_pods_do_not_end() -> None:
    h = await opened({"drain": {"deadline": "10s"}, "timeout": "20s"})
    h.cluster.add("pods", pod("p4"))
    h.cluster.budget = 0
    await h.settle(30)
    assert "see action outOfService" in h.status.steps[0].message
