"""What was written down and is not done yet, when people have the word by then: it is not carried out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest

from goldseam.api.runbook import RunbookSpec
from tests.component.test_approvals import say
from tests.component.test_delete_pods import evicted
from tests.component.test_delete_pods import opened as workload
from tests.component.test_drain_ends import PAUSE, PAUSE_ALL, cordoned, drain, made, opened
from tests.component.test_forced_drains import FORCE, TAKEN, forget, killed_as_it_deletes
from tests.component.test_one_by_one import OWN, RESTART, replaced
from tests.component.test_reboots import made as jobs
from tests.component.test_reboots import opened as rebooting
from tests.component.test_reboots import outcomes, released
from tests.support.harness import NAMESPACE, Harness
from tests.support.toycluster import Killed

Withdraw = Callable[[Harness], None]
PEOPLE = {"escalate": {}}


def live(h: Harness, **spec: Any) -> None:
    """The policy is edited."""
    h.cluster.edit("clusterremediationpolicies", "", "nodes", {"spec": spec})


def heeds_the_runbook(h: Harness) -> None:
    """Data that is lost ends all acting."""
    h.runbook = h.catalogue.runbooks["default"] = RunbookSpec.model_validate(TAKEN)
    h.policy["spec"]["runbookRef"] = {"name": "default"}


def lost(h: Harness) -> None:
    h.promql.answers["loss"] = (1.0,)


def clears(h: Harness) -> None:
    h.alert_state = "Cleared"


def proposes(h: Harness) -> None:
    live(h, mode="Propose")


def lists_the_drain(h: Harness) -> None:
    live(h, approval={"rungs": ["drain"]})


def protects(h: Harness) -> None:
    h.cluster.edit("guardrails", "", "cluster", {"spec": {"protectedNamespaces": ["shop"]}})


async def killed_before_the_cordon(h: Harness) -> None:
    """What is to be done is written down, and it dies."""
    write = h.cluster._write

    def dies(verb: str, key: Any, *rest: Any) -> Any:
        if key[0] == "nodes":
            raise Killed
        return write(verb, key, *rest)

    with patch.object(h.cluster, "_write", dies), pytest.raises(Killed):
        await h.settle(20)
    assert (h.status.steps[-1].phase, cordoned(h)) == ("Intended", False)


async def test_a_drain_that_is_not_begun_is_not_once_a_threshold_says_that_people_take_over() -> None:
    h = await opened(drain(), book=TAKEN, budget=9)
    await killed_before_the_cordon(h)
    lost(h)
    await h.start()
    await h.settle(20)
    assert (made(h, "evict"), cordoned(h), h.status.owes) == ([], False, 0)
    assert (h.status.phase, h.status.steps[0].outcome) == ("Escalated", "NotTaken")
    assert "a threshold of the runbook says that people take over" in h.status.steps[0].message


@pytest.mark.parametrize("withdraw", [lost, proposes, clears])
async def test_a_pod_that_has_gone_by_itself_makes_no_drain_begun(withdraw: Withdraw) -> None:
    h = await opened(drain(), book=TAKEN, budget=9)
    await killed_before_the_cordon(h)
    withdraw(h)
    h.cluster.remove("pods", "shop", "p0")
    await h.start()
    await h.settle(20)
    assert (made(h, "evict"), cordoned(h), h.status.steps[0].outcome) == ([], False, "NotTaken")


@pytest.mark.parametrize("withdraw", [proposes, lists_the_drain])
async def test_a_drain_that_is_not_begun_is_asked_for_once_a_person_has_to_say_yes(withdraw: Withdraw) -> None:
    h = await opened(drain(), budget=9)
    await killed_before_the_cordon(h)
    withdraw(h)
    await h.start()
    await h.settle(20)
    assert (made(h, "evict"), cordoned(h), h.status.phase) == ([], False, "AwaitingApproval")
    say_yes(h)
    await h.settle(20)
    assert (len(made(h, "evict")), cordoned(h)) == (3, True)


def say_yes(h: Harness) -> None:
    incident = next(h.cluster.all("incidents"))["metadata"]
    say(h, "Approve", incidentRef={"name": incident["name"], "uid": incident["uid"]})
    h.cluster.add("responses", h.cluster.objects.pop(("responses", "shop", "word")) | {"metadata": WORD})


WORD = {"name": "word", "namespace": NAMESPACE}


async def test_what_a_pause_has_held_back_is_asked_for_when_the_mode_was_lowered_meanwhile() -> None:
    h = await opened(drain(), budget=9)
    h.cluster.mute = {"nodes//n1"}
    await h.settle(0.1)
    h.cluster.mute = set()
    h.cluster.add("pauses", PAUSE)
    await h.settle(40)
    proposes(h)
    h.cluster.remove("pauses", NAMESPACE, "p")
    await h.settle(10)
    assert (made(h, "evict"), cordoned(h), h.status.phase) == ([], False, "AwaitingApproval")


async def test_what_a_person_has_approved_is_carried_out_by_the_next_process_without_a_second_question() -> None:
    h = await opened(drain(), budget=9, mode="Propose")
    await h.settle(10)
    say_yes(h)
    await killed_before_the_cordon(h)
    h.clock.advance(3_600)  # nobody could answer any more
    await h.start()
    await h.settle(20)
    assert (len(made(h, "evict")), cordoned(h), len(h.status.approvals)) == (3, True, 1)


@pytest.mark.parametrize(("withdraw", "phase"), [(lost, "Escalated"), (proposes, "AwaitingApproval")])
async def test_a_job_that_reboots_is_not_released_once_people_have_the_word(withdraw: Withdraw, phase: str) -> None:
    h = await rebooting()
    heeds_the_runbook(h)
    write = h.cluster._write

    def pauses(verb: str, key: Any, *rest: Any) -> Any:
        done = write(verb, key, *rest)
        if (verb, key[0]) == ("create", "jobs"):
            h.cluster.add("pauses", PAUSE)
        return done

    with patch.object(h.cluster, "_write", pauses):
        await h.settle(40)
    assert (len(jobs(h)), released(h)) == (1, [])
    withdraw(h)
    await h.settle(70)
    h.cluster.remove("pauses", NAMESPACE, "p")
    await h.settle(20)
    assert (released(h), outcomes(h)[1], h.status.phase) == ([], ("reboot", "NotTaken"), phase)


async def test_evictions_of_a_restart_end_once_a_threshold_says_that_people_take_over() -> None:
    h = await workload(RESTART, pods=OWN)
    heeds_the_runbook(h)
    await h.settle(10)
    assert evicted(h) == ["a-3"]
    lost(h)
    await h.settle(70)
    replaced(h, "new-1")
    await h.settle(600)
    assert (evicted(h), h.status.phase) == (["a-3"], "Escalated")


async def test_a_drain_that_is_begun_is_carried_on_for_half_a_drain_helps_nobody() -> None:
    h = await opened({"drain": {}, "timeout": "10m"}, PEOPLE, book=TAKEN)
    await h.settle(10)
    assert len(made(h, "evict")) == 1
    lost(h)
    await h.settle(70)
    h.cluster.budget = 9
    await h.settle(20)
    assert len(made(h, "evict")) == 3
    await h.settle(700)
    assert (h.status.phase, outcomes(h)[0]) == ("Escalated", ("drain", "Failed"))


@pytest.mark.parametrize("withdraw", [protects, lost, proposes])
@pytest.mark.parametrize("deleted", [0, 1])
async def test_who_is_started_before_all_is_deleted_by_force_deletes_no_more_once_it_would_not_be_decided_on(
    withdraw: Withdraw, deleted: int
) -> None:
    h = await opened(FORCE, allowed=["*"], book=TAKEN)
    await killed_as_it_deletes(h, deleted=deleted)
    withdraw(h)
    await h.start()
    await h.settle(60)
    assert (len(made(h, "delete")), h.status.steps[0].outcome, cordoned(h)) == (deleted, "Failed", False)
    assert f"nothing{' more' * deleted} is deleted by force: " in h.status.steps[0].message


async def test_what_was_deleted_to_the_last_pod_before_it_could_be_written_down_is_done_whatever_is_forbidden_now() -> (
    None
):
    h = await opened(FORCE, allowed=["*"], book=TAKEN)
    write = h.cluster._write

    def dies(verb: str, *rest: Any) -> Any:
        done = write(verb, *rest)
        if verb == "delete" and len(made(h, "delete")) == 2:
            raise Killed
        return done

    with patch.object(h.cluster, "_write", dies), pytest.raises(Killed):
        await h.settle(60)
    lost(h)
    await h.start()
    await h.settle(20)
    assert (cordoned(h), h.status.owes, h.status.steps[0].outcome) == (True, 1, None)


async def test_a_namespace_that_is_protected_while_the_first_are_deleted_keeps_the_rest() -> None:
    h = await many(14)
    write = h.looker.records.write

    async def between(*given: Any) -> Any:
        done = await write(*given)
        if made(h, "delete"):
            protects(h)
        return done

    h.looker.records.write = between  # type: ignore[method-assign]
    await h.settle(40)
    assert 0 < len(made(h, "delete")) < 14
    assert h.status.steps[0].outcome == "Failed"


async def test_once_a_yes_is_needed_nothing_is_deleted_by_force_that_nobody_was_asked_for() -> None:
    h = await opened(FORCE, allowed=["*"])
    await h.settle(10)
    proposes(h)
    await h.settle(30)
    assert (made(h, "delete"), h.status.steps[0].outcome, cordoned(h)) == ([], "Failed", False)
    assert "nothing is deleted by force: a person has to say yes now" in h.status.steps[0].message


async def many(pods: int) -> Harness:
    """A forced drain with so many pods that a budget holds."""
    h = await opened(FORCE, allowed=["*"], budget=0)
    body = h.cluster.objects["pods", "shop", "p0"]
    for number in range(3, pods):
        meta = body["metadata"] | {"name": f"p{number}", "uid": f"uid-p{number}"}
        h.cluster.add("pods", {**body, "metadata": meta})
    return h


def ending(h: Harness, seconds: float) -> None:
    """Who is deleted takes so long to end."""
    clock = h.clock

    async def delete(resource: Any, namespace: str, name: str, uid: str) -> None:
        key = resource.plural, namespace, name

        def take() -> Any:
            until = clock.now() + timedelta(seconds=seconds)
            h.cluster.objects[key]["metadata"]["deletionTimestamp"] = until.strftime("%Y-%m-%dT%H:%M:%SZ")
            return h.cluster.objects[key]

        h.cluster._write("delete", key, {"uid": uid}, take)

    others = h.controllers

    def kubelet() -> None:
        others()
        now = clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        for pod in list(h.cluster.all("pods")):
            if pod["metadata"].get("deletionTimestamp", "9") <= now:
                h.cluster.remove("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])

    h.cluster.delete = delete  # type: ignore[method-assign]
    h.controllers = kubelet  # type: ignore[method-assign]


@pytest.mark.parametrize("dies", [False, True])
async def test_what_held_a_deletion_up_is_not_taken_from_the_time_that_pods_have_to_end(dies: bool) -> None:
    h = await many(3)
    ending(h, 20)
    if dies:
        await killed_as_it_deletes(h)
        forget(h, "the alert")
        await h.start()
    else:
        h.cluster.mute = {f"pods/shop/p{number}" for number in range(3)}
        await h.settle(25)
    ends = h.status.steps[0].deadline_at
    assert ends is not None
    await h.settle((ends - h.clock.now()).total_seconds() - 8)
    assert made(h, "delete") == []
    forget(h, "nothing")
    h.cluster.mute = set()
    await h.settle(6)
    assert len(made(h, "delete")) == 3, "some seconds before its deadline"
    await h.settle(40)
    assert (h.status.steps[0].outcome, cordoned(h)) == (None, True)


async def test_a_pod_that_takes_hours_to_end_is_waited_for_ten_minutes_and_named() -> None:
    h = await many(3)
    ending(h, 100_000)
    await h.settle(20 + 600 + 20)
    assert (len(made(h, "delete")), h.status.steps[0].outcome) == (3, None)
    await h.settle(30)
    assert (h.status.steps[0].outcome, cordoned(h)) == ("Failed", False)
    assert "waiting for ;" not in h.status.steps[0].message
    assert "shop/p0" in h.status.steps[0].message


async def test_an_uncordon_that_a_pause_of_everything_holds_back_does_not_say_that_the_alert_is_back() -> None:
    h = await opened(drain(), PEOPLE, budget=0)
    await h.settle(18)
    h.cluster.refused = {"nodes//n1"}
    await h.settle(8)
    h.cluster.add("pauses", PAUSE_ALL)
    h.cluster.refused = set()
    await h.settle(20)
    assert h.status.message.startswith("on hold: Pause goldseam-system/p stops everything")
    assert "the alert is back" not in str(h.status)
    h.cluster.remove("pauses", NAMESPACE, "p")
    await h.settle(30)
    assert (h.status.phase, h.status.owes, cordoned(h)) == ("Escalated", 0, False)


async def test_who_cordons_the_node_just_before_goldseam_does_is_not_said_to_have_uncordoned_it() -> None:
    h = await opened(drain(), PEOPLE, budget=9)
    write, done = h.cluster._write, []

    def first(verb: str, key: Any, *rest: Any) -> Any:
        if key[0] == "nodes" and not done:
            done.append(h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon"))
            raise Killed
        return write(verb, key, *rest)

    with patch.object(h.cluster, "_write", first), pytest.raises(Killed):
        await h.settle(20)
    await h.start()
    await h.settle(20)
    assert (h.status.phase, made(h, "evict"), cordoned(h), h.status.owes) == ("Escalated", [], True, 0)
    assert h.status.message.endswith("Node n1 was cordoned by somebody else while it was drained")
