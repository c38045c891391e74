"""A node is drained, rebooted once and given back; whatever dies, whoever meddles, and when it never comes back."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest

from goldseam.engine.matching import PolicyKey
from goldseam.engine.reboots import BOOT_ID
from goldseam.engine.situation import Other
from tests.component.test_node_incidents import crempol, node, pod
from tests.support.harness import Harness
from tests.support.objects import reboot_cron_job
from tests.support.toycluster import Killed

Json = dict[str, Any]
DRAIN: Json = {"drain": {}, "timeout": "10m", "goOn": "WhenDone"}
REBOOT: Json = {"reboot": {}, "timeout": "5m"}
PEOPLE: Json = {"escalate": {}}


def booted(boot: str, ready: str = "True") -> Json:
    return {"conditions": [{"type": "Ready", "status": ready}], "nodeInfo": {"bootID": boot}}


async def opened(*ladder: Json, ready: str = "False", pods: int = 2, **spec: Any) -> Harness:
    target = node("n1")
    target["status"] = booted("boot-1", ready)
    h = Harness(crempol(*(ladder or (DRAIN, REBOOT, PEOPLE)), **spec), target, "nodes")
    h.cluster.add("nodes", node("n2"))
    for number in range(pods):
        h.cluster.add("pods", pod(f"p{number}"))
    h.cluster.add("cronjobs", reboot_cron_job())
    h.cluster.budget = 1_000
    await h.start()
    await h.open()
    return h


def made(h: Harness) -> list[str]:
    """Every Job that was created, also those that are gone."""
    return [path for verb, path, _, _ in h.cluster.writes if verb == "create" and path.startswith("jobs/")]


def released(h: Harness) -> list[str]:
    return [path for verb, path, _, body in h.cluster.writes if body.get("spec") == {"suspend": False}]


def outcomes(h: Harness) -> list[tuple[str, str | None]]:
    return [(step.action, step.outcome) for step in h.status.steps]


def kubelet(h: Harness, boot: str, ready: str = "True") -> None:
    """What the node says of itself."""
    h.cluster.edit("nodes", "", "n1", {"status": booted(boot, ready)}, "kubelet")


def cordoned(h: Harness) -> bool:
    return bool(h.live()["spec"].get("unschedulable"))


def end(h: Harness, *kinds: str) -> None:
    """How the Job's controller sees it."""
    (job,) = h.cluster.all("jobs")
    conditions = [{"type": kind, "status": "True"} for kind in kinds]
    h.cluster.edit("jobs", "goldseam-reboot", job["metadata"]["name"], {"status": {"conditions": conditions}})


async def test_a_drained_node_is_rebooted_once_and_uncordoned_when_the_alert_is_gone() -> None:
    h = await opened()
    await h.settle(30)
    (job,) = h.cluster.all("jobs")
    assert outcomes(h) == [("drain", "WentOn"), ("reboot", None)]
    assert job["spec"]["template"]["spec"]["nodeName"] == "n1"
    assert job["spec"]["template"]["metadata"]["annotations"] == {BOOT_ID: "boot-1"}
    assert (len(made(h)), len(released(h)), cordoned(h)) == (1, 1, True)
    kubelet(h, "boot-1", "Unknown")
    await h.settle(40)
    kubelet(h, "boot-2", "False")
    await h.settle(10)
    assert h.status.message == "reboot was begun; waiting for: Node n1 to be Ready: it has rebooted"
    kubelet(h, "boot-2")
    await h.settle(10)
    assert h.status.steps[-1].ran_until is not None
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.phase, outcomes(h)[:2]) == ("Resolved", [("drain", "WentOn"), ("reboot", "Passed")])
    assert (cordoned(h), h.status.owes, len(made(h))) == (False, 0, 1)


async def test_an_alert_that_is_over_does_not_end_the_incident_before_the_node_is_back() -> None:
    h = await opened()
    await h.settle(30)
    end(h, "Complete")
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.phase, cordoned(h)) == ("Fixing", True)
    kubelet(h, "boot-2")
    await h.settle(60)
    assert (h.status.phase, cordoned(h)) == ("Resolved", False)


async def test_one_that_never_comes_back_has_failed_and_stays_cordoned_and_people_are_told() -> None:
    h = await opened()
    await h.settle(30)
    kubelet(h, "boot-1", "Unknown")
    end(h, "FailureTarget")
    await h.settle(360)
    assert outcomes(h) == [("drain", "WentOn"), ("reboot", "Failed"), ("escalate", "Told")]
    assert "to report another bootID" in h.status.steps[1].message
    assert (h.status.phase, cordoned(h), h.status.owes, len(made(h))) == ("Escalated", True, 1, 1)


async def test_a_node_that_reboots_is_given_back_when_it_is_back_though_its_policy_was_deleted() -> None:
    h = await opened()
    await h.settle(30)
    h.cluster.remove("clusterremediationpolicies", "", h.policy["metadata"]["name"])
    kubelet(h, "boot-1", "Unknown")
    await h.settle(60)
    assert (h.status.phase, cordoned(h)) == ("Fixing", True)
    kubelet(h, "boot-2")
    await h.settle(30)
    assert (h.status.phase, h.status.owes, cordoned(h)) == ("Abandoned", 0, False)


async def test_it_is_given_back_when_the_time_for_that_is_over_and_at_once_where_it_was_not_told_to_reboot() -> None:
    for told in (True, False):
        h = await opened(*([DRAIN, REBOOT, PEOPLE] if told else [{"drain": {}, "timeout": "10m"}, PEOPLE]))
        await h.settle(30)
        if told:
            end(h, "FailureTarget")
        h.cluster.remove("clusterremediationpolicies", "", h.policy["metadata"]["name"])
        await h.settle(60)
        assert (h.status.phase, cordoned(h)) == (("Fixing", True) if told else ("Abandoned", False))
        await h.settle(400)
        assert (h.status.phase, h.status.owes, cordoned(h)) == ("Abandoned", 0, False)


async def test_its_debt_is_paid_though_nothing_is_known_of_the_alert_any_more_either() -> None:
    h = await opened()
    await h.settle(30)
    end(h, "Complete")
    h.cluster.remove("clusterremediationpolicies", "", h.policy["metadata"]["name"])
    h.knows = False
    await h.settle(60)
    assert cordoned(h)
    await h.settle(400)
    assert (h.status.phase, h.status.owes, cordoned(h)) == ("Abandoned", 0, False)


async def test_one_that_did_not_reboot_is_not_given_back_for_that_and_the_next_rung_is_tried() -> None:
    h = await opened(DRAIN, REBOOT, {"wait": {"duration": "10m"}})
    await h.settle(30)
    end(h, "Failed")
    await h.settle(330)
    assert outcomes(h) == [("drain", "WentOn"), ("reboot", "Failed"), ("wait", None)]
    assert cordoned(h)


async def test_how_its_job_ends_says_nothing_for_the_machine_goes_down_under_its_pod() -> None:
    h = await opened()
    await h.settle(30)
    end(h, "Failed")
    await h.settle(60)
    assert outcomes(h)[1] == ("reboot", None)
    name = next(h.cluster.all("jobs"))["metadata"]["name"]
    h.cluster.remove("jobs", "goldseam-reboot", name)
    await h.settle(60)
    assert outcomes(h)[1] == ("reboot", None)
    kubelet(h, "boot-2")
    h.alert_state = "Cleared"
    await h.settle(60)
    assert outcomes(h)[1] == ("reboot", "Passed")


async def test_a_node_that_is_back_with_its_alert_still_firing_was_rebooted_in_vain() -> None:
    h = await opened()
    await h.settle(30)
    kubelet(h, "boot-2", "True")
    await h.settle(360)
    assert outcomes(h) == [("drain", "WentOn"), ("reboot", "Failed"), ("escalate", "Told")]
    assert len(made(h)) == 1


async def test_while_its_job_is_at_work_nothing_else_is_tried_whatever_the_time() -> None:
    h = await opened()
    await h.settle(400)
    assert outcomes(h)[1] == ("reboot", None)
    assert h.status.holds[0].reason == "StillRunning"


async def test_before_its_pods_are_gone_a_node_is_not_rebooted() -> None:
    h = await opened(REBOOT, PEOPLE)
    await h.settle(30)
    assert (outcomes(h), made(h)) == ([("reboot", "Refused"), ("escalate", "Told")], [])
    assert "takes new pods" in h.status.steps[0].message


async def test_a_drain_that_did_not_end_is_followed_by_no_reboot() -> None:
    h = await opened({**DRAIN, "timeout": "30s"}, REBOOT, PEOPLE)
    h.cluster.budget = 0
    await h.settle(90)
    assert [step.outcome for step in h.status.steps if step.action == "reboot"] == ["Refused"]
    assert (made(h), cordoned(h)) == ([], False)


async def test_a_node_whose_kubelet_is_silent_is_left_to_others() -> None:
    h = await opened(ready="Unknown")
    await h.settle(30)
    assert outcomes(h)[1] == ("reboot", "Refused")
    assert "reports nothing" in h.status.steps[1].message
    assert made(h) == []


async def test_a_person_who_uncordons_the_node_before_the_reboot_has_the_incident() -> None:
    h = await opened(DRAIN, {**REBOOT, "name": "reboot"}, PEOPLE, approval={"rungs": ["reboot"]})
    await h.settle(30)
    assert (outcomes(h), h.status.phase) == ([("drain", "WentOn")], "AwaitingApproval")
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl-cordon")
    await h.settle(60)
    assert (h.status.phase, made(h)) == ("Escalated", [])


async def test_a_yes_for_one_boot_is_none_for_the_next() -> None:
    h = await opened(DRAIN, REBOOT, PEOPLE, approval={"rungs": ["reboot"]})
    await h.settle(30)
    asked = h.status.approvals[-1]
    kubelet(h, "boot-2", "False")
    meta = next(h.cluster.all("incidents"))["metadata"]
    ref = {"name": meta["name"], "uid": meta["uid"]}
    word = {"incidentRef": ref, "decision": "Approve", "by": "jane", "step": asked.step, "planHash": asked.plan_hash}
    h.cluster.add("responses", {"metadata": {"name": "word", "namespace": meta["namespace"]}, "spec": word})
    await h.settle(30)
    assert (h.status.phase, made(h)) == ("AwaitingApproval", [])
    assert [a.state for a in h.status.approvals] == ["Replaced", "Waiting"]


async def test_a_node_that_has_rebooted_before_its_job_was_let_run_is_looked_at_anew() -> None:
    h = await opened()
    await h.settle(60, until=lambda _: bool(made(h)))
    assert released(h) == []
    kubelet(h, "boot-2", "False")
    await h.settle(30)
    first, second = [step for step in h.status.steps if step.action == "reboot"]
    assert first.outcome == "NotTaken"
    assert "was made, but never let run: delete it" in first.message
    assert second.writes[0].node is not None
    assert second.writes[0].node.boot_id == "boot-2"
    assert [path.rpartition("-")[2] for path in released(h)] == [second.token]
    assert len(list(h.cluster.all("jobs"))) == 2


async def test_a_node_that_is_replaced_meanwhile_is_not_rebooted_and_nothing_is_owed() -> None:
    h = await opened()
    await h.settle(60, until=lambda _: bool(made(h)))
    h.cluster.remove("nodes", "", "n1")
    h.cluster.add("nodes", node("n1") | {"status": booted("boot-9")})
    await h.settle(30)
    assert (h.status.phase, h.status.owes, released(h)) == ("Abandoned", 0, [])


@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_any_write_it_makes_one_job_and_lets_it_run_once(after: bool) -> None:
    whole = await opened()
    await whole.settle(30)
    kubelet(whole, "boot-2")
    whole.alert_state = "Cleared"
    await whole.settle(60)
    for number in range(1, whole.cluster.attempts + 1):
        h = await opened()
        h.cluster.kill_at, h.cluster.kill_after = number, after
        with contextlib.suppress(Killed):
            await h.settle(30)
        h.cluster.kill_at = None
        await h.start()
        await h.settle(60)
        assert (len(made(h)), len(released(h))) == (1, 1), number
        kubelet(h, "boot-2")
        h.alert_state = "Cleared"
        await h.settle(90)
        assert (h.status.phase, cordoned(h), h.status.owes) == ("Resolved", False, 0), number


async def test_a_node_that_a_person_gives_back_while_it_reboots_counts_for_the_caps_until_it_is_back() -> None:
    h = await opened(limits={"concurrent": 5})
    second = h.cluster.add("nodes", node("n2b"))
    await h.settle(30)
    (first,) = h.book.all()
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl-uncordon")
    await h.settle(20)
    assert (h.status.phase, h.status.handed_over, len(released(h))) == ("Escalated", True, 1)
    assert "what was begun goes on all the same" in str(h.status.timeline)
    h.target = second
    await h.open()
    (other,) = (incident for incident in h.book.all() if incident.uid != first.uid)

    async def held() -> list[tuple[str, str]]:
        for uid in (first.uid, other.uid, other.uid):
            h.clock.advance(20)
            await h.looker.look(uid)
        known = h.book.get(other.uid)
        assert known is not None
        assert known.status is not None
        return [(hold.reason, hold.message) for hold in known.status.holds]

    taken = "Guardrails allow 1 node at once, and Goldseam has taken n1 out of service"
    assert await held() == [("NodesAtOnce", taken)]
    end(h, "Complete")
    assert await held() == [("NodesAtOnce", taken)], "it has not rebooted yet"
    kubelet(h, "boot-2")
    assert await held() == []
    assert h.cluster.objects["nodes", "", "n2b"]["spec"]["unschedulable"] is True


async def test_an_incident_that_names_another_node_or_boot_reboots_nothing_by_that() -> None:
    whole = await opened()
    await whole.settle(30)
    paths = [path for _, path, _, _ in whole.cluster.writes]
    create = next(number for number, path in enumerate(paths, 1) if path.startswith("jobs/"))
    for forgery in ({"name": "n2"}, {"bootId": "boot-0"}):
        h = await opened()
        h.cluster.kill_at = create
        with contextlib.suppress(Killed):
            await h.settle(30)
        h.cluster.kill_at = None
        incident = next(h.cluster.all("incidents"))
        incident["status"]["steps"][-1]["writes"][0]["node"] |= forgery
        meta = incident["metadata"]
        h.cluster.edit("incidents", meta["namespace"], meta["name"], {"status": incident["status"]})
        await h.start()
        await h.settle(30)
        (job,) = h.cluster.all("jobs")
        template = job["spec"]["template"]
        assert (template["spec"]["nodeName"], template["metadata"]["annotations"][BOOT_ID]) == ("n1", "boot-1")
        assert [(s.action, s.outcome) for s in h.status.steps[1:]] == [("reboot", "NotTaken"), ("reboot", None)]


async def test_the_medik8s_lease_of_the_node_is_taken_for_the_reboot_and_waited_for() -> None:
    h = await opened(REBOOT, PEOPLE, pods=0)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon")
    h.cluster.add("namespaces", {"metadata": {"name": "medik8s-leases"}})
    theirs = {
        "holderIdentity": "node-healthcheck",
        "leaseDurationSeconds": 40,
        "renewTime": "2026-11-23T12:00:00.000000Z",
    }
    h.cluster.add("leases", {"metadata": {"name": "node-n1", "namespace": "medik8s-leases"}, "spec": theirs})
    await h.settle(30)
    assert ([hold.reason for hold in h.status.holds], made(h)) == (["NodeLeaseHeld"], [])
    await h.settle(30)
    lease = h.cluster.objects["leases", "medik8s-leases", "node-n1"]
    assert (lease["spec"]["holderIdentity"], len(made(h))) == ("goldseam", 1)
    kubelet(h, "boot-2")
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.phase, cordoned(h)) == ("Resolved", True), "what a person has cordoned stays theirs"


async def test_a_node_that_another_incident_reboots_is_one_that_is_out_of_service() -> None:
    h = await opened(REBOOT, PEOPLE, pods=0)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon")
    other = h.cluster.objects["nodes", "", "n2"]["metadata"]["uid"]
    key = PolicyKey("ClusterRemediationPolicy", "", "other")
    rival = Other("o", "o", h.clock.now(), other, key, None, claims=True, busy=True, labels={}, active=True, takes=True)
    h.looker.gatherer._others = lambda _: (rival,)
    await h.settle(30)
    assert ([hold.reason for hold in h.status.holds], made(h)) == (["NodesAtOnce"], [])
    h.looker.gatherer._others = lambda _: (replace(rival, takes=False),)
    await h.settle(30)
    assert len(made(h)) == 1
