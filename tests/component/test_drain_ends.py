"""How a drain ends that does not end by itself: by its deadline, which stands on the node."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from goldseam.api.runbook import RunbookSpec
from goldseam.engine.cordons import AT_DEADLINE, DEADLINE
from goldseam.services.sweep import sweep
from tests.component.test_node_incidents import crempol, left, node, pod
from tests.support.harness import NAMESPACE, Harness

Json = dict[str, Any]
PAUSE = {"metadata": {"name": "p", "namespace": NAMESPACE}, "spec": {"reason": "we are deploying", "cluster": True}}
PAUSE_ALL = {**PAUSE, "spec": {**PAUSE["spec"], "level": "Everything"}}


def drain(at_deadline: str = "Uncordon", **told: Any) -> Json:
    return {"drain": {"deadline": "20s", "atDeadline": at_deadline, **told}}


async def opened(
    *ladder: Json,
    allowed: list[str] | None = None,
    namespace: str = "shop",
    budget: int = 1,
    book: Json | None = None,
    **spec: Any,
) -> Harness:
    """A node with three pods, of which a PodDisruptionBudget lets so many go. `book`: the spec of the runbook."""
    runbook = RunbookSpec.model_validate(book) if book else None
    h = Harness(crempol(*ladder, **spec), node("n1"), "nodes", runbook=runbook)
    h.cluster.add("nodes", node("n2"))
    for number in range(3):
        body = pod(f"p{number}")
        body["metadata"]["namespace"] = namespace
        h.cluster.add("pods", body)
    h.cluster.add("pods", pod("daemon", kind="DaemonSet"))
    spec = {"allowForcedDrain": allowed} if allowed is not None else {}
    h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": spec})
    h.cluster.budget = budget
    await h.start()
    await h.open()
    return h


def marks(h: Harness) -> Json:
    found: Json = h.live()["metadata"].get("annotations") or {}
    return {name: value for name, value in found.items() if name in (DEADLINE, AT_DEADLINE)}


def made(h: Harness, verb: str) -> list[str]:
    return [path for what, path, _, _ in h.cluster.writes if what == verb]


def cordoned(h: Harness) -> bool:
    return bool(h.live()["spec"].get("unschedulable"))


async def test_at_its_deadline_a_drain_has_failed_and_the_node_comes_back_before_anything_else() -> None:
    h = await opened(drain(), {"wait": {"duration": "10m"}})
    await h.settle(15)
    assert cordoned(h)
    await h.settle(10)
    step = h.status.steps[0]
    assert (step.outcome, cordoned(h), h.status.owes) == ("Failed", False, 0)
    assert step.message.startswith("its deadline, 12:00:20 UTC, has passed; 2 of 3 pods are still on Node n1: shop/p1")
    assert "disruption budget" in step.message
    after = [s.purpose for s in h.status.steps[1:]]
    assert after[0] == "Undo", "before the next rung"


async def test_the_deadline_stands_on_the_node_and_goes_with_the_cordon() -> None:
    h = await opened(drain())
    await h.settle(5)
    assert h.status.steps[0].deadline_at == h.status.steps[0].intent_at + timedelta(seconds=20)
    assert marks(h) == {DEADLINE: "2026-11-23T12:00:20Z"}
    await h.settle(30)
    assert (cordoned(h), marks(h)) == (False, {})


@pytest.mark.parametrize("rung", [drain(), {"cordon": {}, "timeout": "10s"}])
async def test_what_an_earlier_drain_had_left_on_the_node_is_not_said_of_this_one(rung: Json) -> None:
    h = await opened(rung)
    notes = h.live()["metadata"].setdefault("annotations", {})
    notes.update({AT_DEADLINE: "LeaveCordoned", DEADLINE: "2026-11-01T00:00:00Z"})
    await h.settle(5)
    assert cordoned(h)
    assert marks(h) == ({DEADLINE: "2026-11-23T12:00:20Z"} if "drain" in rung else {})


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_node_that_is_left_cordoned_a_second_time_says_so_again_also_through_a_death(after: bool) -> None:
    h = await opened(drain("LeaveCordoned"))
    old = {AT_DEADLINE: "LeaveCordoned", DEADLINE: "2026-11-01T00:00:00Z"}  # `kubectl uncordon` leaves it there
    h.live()["metadata"].setdefault("annotations", {}).update(old)
    h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + 3, after
    await h.settle_through_crashes(30)
    assert h.status.steps[0].outcome == "Failed"
    assert (cordoned(h), marks(h)[AT_DEADLINE]) == (True, "LeaveCordoned")
    assert await sweep(h.cluster, h.book, h.clock.now() + timedelta(hours=1), NAMESPACE) == []


async def test_a_drain_without_a_deadline_has_the_time_of_its_rung() -> None:
    h = await opened({"drain": {}, "timeout": "2m"})
    await h.settle(5)
    assert marks(h) == {DEADLINE: "2026-11-23T12:02:00Z"}


async def test_a_drain_after_a_cordon_says_on_the_node_until_when_too() -> None:
    h = await opened({"cordon": {}, "timeout": "10s"}, drain())
    await h.settle(8)
    assert (cordoned(h), marks(h)) == (True, {})
    await h.settle(15)
    assert marks(h) == {DEADLINE: h.status.steps[1].deadline_at.strftime("%Y-%m-%dT%H:%M:%SZ"), AT_DEADLINE: "Uncordon"}  # type: ignore[union-attr]


async def test_a_drain_whose_pods_are_gone_in_time_is_not_ended_by_its_deadline() -> None:
    h = await opened(drain("LeaveCordoned"), budget=9)
    await h.settle(40)
    assert h.status.steps[0].phase == "Acted"
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.steps[0].outcome, h.status.phase, cordoned(h), marks(h)) == ("Passed", "Resolved", False, {})


async def test_time_in_which_the_first_write_was_held_back_is_not_the_drains() -> None:
    h = await opened(drain())
    h.cluster.mute = {"nodes//n1"}
    await h.settle(0.1)
    h.cluster.mute = set()
    h.cluster.add("pauses", PAUSE)
    await h.settle(40)
    assert not cordoned(h)
    h.cluster.remove("pauses", NAMESPACE, "p")
    begun = h.clock.now()
    await h.settle(10)
    step = h.status.steps[0]
    assert (cordoned(h), step.outcome) == (True, None)
    assert step.deadline_at is not None
    assert step.deadline_at - begun >= timedelta(seconds=20)
    assert marks(h)[DEADLINE] == step.deadline_at.strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_left_cordoned_it_owes_nothing_and_says_how_to_uncordon() -> None:
    h = await opened(drain("LeaveCordoned"))
    await h.settle(5)
    assert marks(h) == {DEADLINE: "2026-11-23T12:00:20Z", AT_DEADLINE: "LeaveCordoned"}
    await h.settle(30)
    assert (h.status.steps[0].outcome, cordoned(h), h.status.owes) == ("Failed", True, 0)
    (owed,) = h.status.obligations
    said = (
        "Node n1 stays cordoned (atDeadline: LeaveCordoned): `kubectl uncordon n1` once it is mended. Its drain has"
        " failed: its deadline, 12:00:20 UTC, has passed; 2 of 3 pods are still on Node n1: shop/p1"
    )
    assert owed.state == "Void"
    assert owed.message.startswith(said)
    assert "disruption budget" in owed.message
    said = owed.message
    assert ("LeftCordoned", said) in [(entry.kind, entry.message) for entry in h.status.timeline]
    told = [note for note in h.chronicle.events.values() if note.startswith(said)]
    assert len(told) == 2, "on the Incident and on the node"
    h.alert_state = "Cleared"
    await h.settle(60)
    assert cordoned(h)


async def test_who_is_called_after_it_was_left_cordoned_hears_what_to_do_and_why() -> None:
    h = await opened(drain("LeaveCordoned"))
    await h.settle(120)
    (call,) = h.status.escalations
    assert (call.threshold, h.status.phase) == ("ladderExhausted", "Escalated")
    for said in (call.message, h.status.message):
        assert "the ladder is used up and the alert still fires. Node n1 stays cordoned (atDeadline: LeaveC" in said
        assert "`kubectl uncordon n1` once it is mended. Its drain has failed: its deadline, 12:00:20 UTC, has" in said
        assert "2 of 3 pods are still on Node n1: shop/p1" in said
    assert call.message.endswith("Tried: drain (Failed).")


async def test_a_node_that_was_left_cordoned_is_not_taken_for_a_forgotten_one() -> None:
    h = await opened(drain("LeaveCordoned"))
    await h.settle(5)
    name = next(h.cluster.all("incidents"))["metadata"]["name"]
    h.cluster.remove("incidents", NAMESPACE, name)
    await h.start()
    late = h.clock.now() + timedelta(seconds=30)
    assert await sweep(h.cluster, h.book, late, NAMESPACE) == []
    adopted = await sweep(h.cluster, h.book, h.clock.now(), NAMESPACE)
    assert [incident.spec.target.name for incident in adopted] == ["n1"], "before its deadline it was not left"


async def test_a_later_drain_does_not_say_of_a_node_that_was_left_cordoned_that_it_comes_back() -> None:
    h = await opened(drain("LeaveCordoned"), drain("Uncordon"), {"wait": {"duration": "10m"}})
    await h.settle(60)
    assert [(step.action, step.outcome) for step in h.status.steps[:2]] == [("drain", "Failed"), ("drain", "Failed")]
    assert marks(h)[AT_DEADLINE] == "LeaveCordoned"
    assert (await sweep(h.cluster, h.book, h.clock.now(), NAMESPACE), cordoned(h)) == ([], True)


@pytest.mark.parametrize("allowed", [["n1"], ["n*"], ["*"]])
async def test_what_is_left_is_deleted_where_policy_and_guardrails_say_so(allowed: list[str]) -> None:
    h = await opened(drain("Force"), allowed=allowed)
    await h.settle(15)
    assert (left(h), made(h, "delete")) == ({"p1", "p2", "daemon"}, [])
    await h.settle(10)
    assert left(h) == {"daemon"}
    assert made(h, "delete") == ["pods/shop/p1", "pods/shop/p2"]
    assert all(body == {"uid": body["uid"]} for what, _, _, body in h.cluster.writes if what == "delete")
    assert "delete 2 pods left on Node n1 at the deadline of its drain: shop/p1, shop/p2" in [
        entry.message for entry in h.status.timeline if entry.kind == "Forced"
    ]
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.steps[0].outcome, h.status.phase, cordoned(h), h.status.owes) == ("Passed", "Resolved", False, 0)


@pytest.mark.parametrize("allowed", [None, [], ["n2", "m*"]])
async def test_where_the_guardrails_do_not_name_the_node_a_forced_drain_is_not_begun(allowed: list[str] | None) -> None:
    h = await opened(drain("Force"), allowed=allowed)
    await h.settle(10)
    assert (h.status.steps[0].outcome, cordoned(h), made(h, "evict")) == ("Refused", False, [])
    assert h.status.steps[0].message == (
        "the Guardrails do not allow a drain of Node n1 to end by force: write another `atDeadline`, or name the node"
        " in their `allowForcedDrain`"
    )


async def ended_in_vain(h: Harness, why: str) -> None:
    """Nothing was deleted, and the node came back."""
    await h.settle(30)
    assert made(h, "delete") == []
    assert (h.status.steps[0].outcome, cordoned(h), h.status.owes) == ("Failed", False, 0)
    assert why in h.status.steps[0].message


async def test_guardrails_that_were_narrowed_meanwhile_bind_at_the_deadline() -> None:
    h = await opened(drain("Force"), allowed=["*"])
    await h.settle(10)
    h.cluster.edit("guardrails", "", "cluster", {"spec": {"allowForcedDrain": []}})
    await ended_in_vain(h, "nothing is deleted by force: the Guardrails do not allow a drain of Node n1")


async def test_during_a_pause_nothing_is_deleted() -> None:
    h = await opened(drain("Force"), allowed=["*"])
    await h.settle(10)
    h.cluster.add("pauses", PAUSE)
    await ended_in_vain(h, "nothing is deleted by force: Pause goldseam-system/p holds")


async def test_without_the_right_to_delete_a_forced_drain_is_not_begun() -> None:
    h = await opened(drain("Force"), allowed=["*"])
    h.cluster.denied = {"delete pods"}
    await h.settle(10)
    assert (h.status.steps[0].outcome, cordoned(h)) == ("Refused", False)
    assert "may not delete pods: install the component forced-drain" in h.status.steps[0].message


async def test_a_right_that_is_taken_away_meanwhile_is_missed_at_the_deadline() -> None:
    h = await opened(drain("Force"), allowed=["*"])
    await h.settle(10)
    h.cluster.denied = {"delete pods"}
    await ended_in_vain(h, "may not delete pods")


async def test_pods_of_a_protected_namespace_are_evicted_and_never_deleted() -> None:
    h = await opened(drain("Force"), allowed=["*"], namespace="kube-system")
    await h.settle(10)
    assert made(h, "evict") == ["pods/kube-system/p0"]
    await ended_in_vain(h, "pod kube-system/p1 is in a namespace that is protected by the Guardrails")


async def test_what_is_on_its_way_out_is_not_deleted_again() -> None:
    h = await opened(drain("Force"), allowed=["*"], budget=9)
    await h.settle(0.1)
    for name in ("p1", "p2"):
        if ("pods", "shop", name) in h.cluster.objects:
            h.cluster.remove("pods", "shop", name)
    hanging = pod("p1")
    hanging["metadata"] |= {"uid": h.status.steps[0].writes[-2].object.uid, "deletionTimestamp": "2026-11-23T12:00:01Z"}
    h.cluster.add("pods", hanging)
    await ended_in_vain(h, "every pod that is left is on its way out already")


async def test_a_deletion_that_admission_refuses_ends_like_a_drain_that_has_failed() -> None:
    h = await opened(drain("Force"), allowed=["*"])
    await h.settle(10)
    h.cluster.refused = {"pods/shop/p1", "pods/shop/p2"}
    await h.settle(20)
    assert cordoned(h), "they have the time that their pods ask for"
    await h.settle(70)
    assert (h.status.steps[0].outcome, cordoned(h), h.status.owes) == ("Failed", False, 0)
    assert "an admission policy refused it" in h.status.steps[0].message


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_forced_drain_killed_at_any_write_ends_each_pod_once_and_gives_the_node_back(after: bool) -> None:
    points = 0
    for point in range(1, 60):
        h = await opened(drain("Force"), allowed=["*"])
        h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + point, after
        killed = await h.settle_through_crashes(40)
        h.alert_state = "Cleared"
        killed |= await h.settle_through_crashes(60)
        if not killed:
            break
        points += 1
        ended = made(h, "evict") + made(h, "delete")
        assert len(ended) == len(set(ended)) == 3, f"killed at write {point}"
        assert (cordoned(h), marks(h)) == (False, {}), f"killed at write {point}"
        assert (h.status.phase, h.status.owes) == ("Resolved", 0), f"killed at write {point}"
    assert points >= 8


@pytest.mark.parametrize("name", ["p1", "daemon"])
async def test_a_forged_deletion_is_not_made(name: str) -> None:
    """Whoever can write Incidents gains nothing by it: not before the deadline, nor of what no drain evicts."""
    h = await opened(drain("Force"), allowed=["*"])
    await h.settle(5)
    (incident,) = list(h.cluster.all("incidents"))
    steps = incident["status"]["steps"]
    uid = h.cluster.objects["pods", "shop", name]["metadata"]["uid"]
    ref = {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": name, "uid": uid}
    steps[0]["writes"].append({"verb": "Delete", "object": ref, "state": "Pending"})
    h.cluster.edit("incidents", NAMESPACE, incident["metadata"]["name"], {"status": {"steps": steps}})
    await h.settle(10)
    assert made(h, "delete") == []
    assert (h.status.steps[0].outcome, cordoned(h)) == ("Failed", False)


async def test_a_node_that_the_policy_does_not_select_any_more_is_left_alone() -> None:
    h = await opened(drain())
    spec = {"target": {"nodeSelector": {"matchLabels": {"pool": "a"}}}}
    h.cluster.edit("clusterremediationpolicies", "", "nodes", {"spec": spec})
    await h.settle(5)
    assert (h.status.steps[0].outcome, cordoned(h)) == ("Refused", False)
    assert h.status.steps[0].message == "Node n1 is not one that nodeSelector selects (any more)"
