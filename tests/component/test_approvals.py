"""Questions to people and their answers, on a toy cluster and a virtual clock."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.api.incident import ApprovalRecord
from tests.support.harness import Harness, deployment, policy

SCALE = {"scale": {"replicas": 8}}
RESTART = {"restart": {}}


async def asked(*ladder: dict[str, Any], mode: str = "Propose", **spec: Any) -> Harness:
    h = Harness(policy(*(ladder or (SCALE,)), mode=mode, **spec), deployment(3), "deployments")
    await h.start()
    await h.open()
    await h.settle(10)
    return h


def question(h: Harness) -> ApprovalRecord:
    return h.status.approvals[-1]


def say(h: Harness, decision: str, name: str = "word", by: str = "jane", **fields: Any) -> None:
    incident = next(h.cluster.all("incidents"))["metadata"]
    spec = {"incidentRef": {"name": incident["name"], "uid": incident["uid"]}, "decision": decision, "by": by}
    if decision in ("Approve", "Deny"):
        spec |= {"step": question(h).step, "planHash": question(h).plan_hash}
    h.cluster.add("responses", {"metadata": {"name": name, "namespace": "shop"}, "spec": spec | fields})


def answer_to(h: Harness, name: str = "word") -> tuple[str, str]:
    status = h.cluster.objects["responses", "shop", name].get("status") or {}
    return status.get("state", ""), status.get("message", "")


def replicas(h: Harness) -> int:
    return int(h.live()["spec"]["replicas"])


async def test_mode_propose_asks_before_it_does_anything_and_people_are_told() -> None:
    h = await asked()
    assert h.status.phase == "AwaitingApproval"
    assert replicas(h) == 3
    assert question(h).summary == "scale Deployment shop/api from 3 to 8 replicas"
    command = f"goldseam approve {h.book.all()[0].name} -n shop"
    assert any(command in note for note in h.people.events.values()), "it works as it stands there"


async def test_what_is_approved_is_done_once_and_the_name_is_on_the_incident() -> None:
    h = await asked()
    say(h, "Approve", reason="go on")
    await h.settle(20)
    assert replicas(h) == 8
    assert (question(h).state, question(h).by, question(h).reason) == ("Approved", "jane", "go on")
    assert [(r.decision, r.by) for r in h.status.responses] == [("Approve", "jane")]
    assert answer_to(h)[0] == "Counted"


async def test_what_is_denied_is_passed_over_and_the_next_rung_asks_for_itself() -> None:
    h = await asked(SCALE, RESTART)
    say(h, "Deny")
    await h.settle(20)
    assert [(s.action, s.outcome) for s in h.status.steps] == [("scale", "Denied")]
    assert question(h).step == "2-restart"
    assert h.status.phase == "AwaitingApproval"


async def test_the_first_deny_wins_over_an_approval_that_was_not_used_yet() -> None:
    h = await asked()
    say(h, "Approve", "yes")
    say(h, "Deny", "no", by="joe")
    await h.settle(20)
    assert replicas(h) == 3
    assert h.status.steps[0].outcome == "Denied"


async def test_without_an_answer_people_take_over() -> None:
    h = await asked(SCALE, RESTART, approval={"timeout": "1m"})
    await h.settle(80)
    assert h.status.phase == "Escalated"
    assert question(h).state == "Expired"
    assert replicas(h) == 3


async def test_without_an_answer_skip_passes_over_the_rung_and_approves_nothing() -> None:
    h = await asked(SCALE, RESTART, approval={"timeout": "1m", "onTimeout": "Skip"})
    await h.settle(70)
    assert [(s.action, s.outcome) for s in h.status.steps] == [("scale", "Unanswered")]
    assert question(h).step == "2-restart"
    assert h.live()["metadata"]["generation"] == 1


async def test_nobody_is_asked_for_what_the_policy_may_not_do() -> None:
    h = Harness(policy(SCALE, RESTART, mode="Propose"), deployment(3), "deployments")
    h.cluster.denied.add("deployments/scale")
    await h.start()
    await h.open()
    await h.settle(10)
    assert [(s.action, s.outcome) for s in h.status.steps] == [("scale", "Refused")]
    assert "install the component scale" in h.status.steps[0].message
    assert [(a.step, a.state) for a in h.status.approvals] == [("2-restart", "Waiting")]


async def test_a_right_that_is_given_is_seen_at_once() -> None:
    h = await paused_without_rights()
    h.cluster.denied.clear()
    h.cluster.remove("pauses", "shop", "p")
    await h.settle(20)
    assert replicas(h) == 8


async def test_what_the_policy_may_not_do_is_listed_beside_what_else_holds() -> None:
    h = await paused_without_rights()
    assert [hold.reason for hold in h.status.holds] == ["Paused", "PermissionMissing"]


async def paused_without_rights() -> Harness:
    h = Harness(policy(SCALE), deployment(3), "deployments")
    h.cluster.denied.add("deployments/scale")
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"reason": "x"}})
    await h.start()
    await h.open()
    await h.settle(10)
    return h


async def test_while_something_holds_a_yes_to_the_rights_is_remembered_for_a_while() -> None:
    h = Harness(policy(SCALE), deployment(3), "deployments")
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"reason": "x"}})
    await h.start()
    await h.open()
    really, asked_for = h.cluster.allowed, list[str]()

    async def counted(access: Any) -> bool:
        asked_for.append(access.resource)
        return await really(access)

    h.cluster.allowed = counted  # type: ignore[method-assign]
    await h.settle(50)
    assert len(asked_for) == 1
    h.cluster.denied.add("deployments/scale")
    h.cluster.remove("pauses", "shop", "p")
    await h.settle(5)
    assert replicas(h) == 3, "before an act it is asked anew"


async def test_nobody_is_asked_about_what_may_not_be_done_any_more() -> None:
    h = Harness(policy(SCALE, mode="Propose"), deployment(3), "deployments")
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"reason": "x"}})
    await h.start()
    await h.open()
    await h.settle(50)
    h.cluster.denied.add("deployments/scale")
    h.cluster.remove("pauses", "shop", "p")
    await h.settle(20)
    assert h.status.approvals == []
    assert [step.outcome for step in h.status.steps] == ["Refused"]


async def test_only_the_rungs_that_the_policy_lists_need_approval_in_mode_act() -> None:
    h = await asked(SCALE, RESTART, mode="Act", approval={"rungs": ["restart"]})
    await h.settle(75)
    assert replicas(h) == 8
    assert (h.status.phase, question(h).step) == ("AwaitingApproval", "2-restart")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"planHash": "0000"}, "plan has changed"),
        ({"step": "7-restart"}, "does not ask about '7-restart'"),
        ({"by": "system:serviceaccount:argocd:argocd"}, "system account"),
    ],
)
async def test_an_approval_of_something_else_or_by_a_machine_does_not_count(fields: dict[str, str], why: str) -> None:
    h = await asked()
    say(h, "Approve", **fields)
    await h.settle(20)
    assert replicas(h) == 3
    assert answer_to(h)[0] == "Ignored"
    assert why in answer_to(h)[1]


async def test_an_approval_for_another_uid_does_not_count() -> None:
    h = await asked()
    say(h, "Approve", incidentRef={"name": next(h.cluster.all("incidents"))["metadata"]["name"], "uid": "another"})
    await h.settle(20)
    assert replicas(h) == 3


async def test_a_delegate_that_the_guardrails_list_may_approve_and_is_recorded_as_what_it_is() -> None:
    h = await asked()
    bot = "system:serviceaccount:chatops:bot"
    spec = {"approvalDelegates": [bot]}
    h.cluster.objects["guardrails", "", "cluster"]["spec"] = spec
    say(h, "Approve", by=bot)
    await h.settle(20)
    assert replicas(h) == 8
    assert question(h).by == bot


def weaken(h: Harness, how: str, name: str) -> None:
    """Take away what makes an admission policy refuse."""
    kind = "validatingadmissionpolicies" if how == "no policy" else "validatingadmissionpolicybindings"
    changed = {"only an audit": {"validationActions": ["Audit"]}, "of another policy": {"policyName": "another"}}
    if how in changed:
        h.cluster.edit(kind, "", name, {"spec": changed[how]})
    else:
        h.cluster.remove(kind, "", name)


WEAKENED = pytest.mark.parametrize("how", ["no policy", "no binding", "only an audit", "of another policy"])


@WEAKENED
async def test_without_an_admission_policy_that_refuses_nobody_is_asked_and_no_answer_counts(how: str) -> None:
    h = Harness(policy(SCALE, mode="Propose"), deployment(3), "deployments")
    weaken(h, how, "goldseam-people")
    await h.start()
    await h.open()
    await h.settle(10)
    assert h.status.approvals == []
    assert [hold.reason for hold in h.status.holds] == ["ResponsesUnprotected"]


@WEAKENED
async def test_an_answer_does_not_count_from_the_moment_that_the_admission_policy_refuses_nothing(how: str) -> None:
    h = await asked()
    say(h, "Acknowledge", "before")
    await h.settle(5)
    weaken(h, how, "goldseam-people")
    say(h, "Approve")
    await h.settle(10)
    assert (answer_to(h, "before")[0], answer_to(h)[0]) == ("Counted", "Ignored")
    assert replicas(h) == 3


@WEAKENED
async def test_nothing_is_done_from_the_moment_that_incidents_are_not_protected(how: str) -> None:
    h = await asked(SCALE, RESTART, mode="Act")
    assert replicas(h) == 8
    weaken(h, how, "goldseam-incidents")
    await h.settle(80)
    assert [hold.reason for hold in h.status.holds] == ["IncidentsUnprotected"]
    assert [s.action for s in h.status.steps] == ["scale"]


async def test_a_word_that_was_ignored_stays_ignored_though_what_it_lacked_is_there_later() -> None:
    h = await asked()
    binding = h.cluster.objects["validatingadmissionpolicybindings", "", "goldseam-people"]
    h.cluster.remove("validatingadmissionpolicybindings", "", "goldseam-people")
    say(h, "Approve")
    await h.settle(10)
    assert answer_to(h)[0] == "Ignored"
    h.cluster.add("validatingadmissionpolicybindings", binding)
    await h.settle(60)
    assert replicas(h) == 3
    assert question(h).state == "Waiting"
    assert answer_to(h)[0] == "Ignored"


async def test_however_many_speak_each_is_heard_once_and_then_it_is_quiet() -> None:
    h = await asked()
    for number in range(20):
        say(h, "Acknowledge", f"word-{number:02}", reason=f"no. {number}")
    await h.settle(30)
    heard = [entry.message for entry in h.status.timeline if entry.kind == "Acknowledged"]
    assert heard == [f"jane has seen it: no. {number}" for number in range(20)]
    assert {answer_to(h, f"word-{number:02}")[0] for number in range(20)} == {"Counted"}
    written = len(h.cluster.writes)
    await h.settle(20)
    assert len(h.cluster.writes) == written


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_word_is_neither_lost_nor_heard_twice_though_the_operator_is_killed_at_any_write(after: bool) -> None:
    points = 0
    for point in range(1, 60):
        h = await asked()
        for number in range(20):
            say(h, "Acknowledge", f"word-{number:02}", reason=f"no. {number}")
        say(h, "Approve", "yes")
        h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + point, after
        if not await h.settle_through_crashes(30):
            break
        points += 1
        heard = [entry.message for entry in h.status.timeline if entry.kind == "Acknowledged"]
        assert sorted(heard) == sorted(f"jane has seen it: no. {n}" for n in range(20)), f"killed at write {point}"
        assert (replicas(h), answer_to(h, "yes")[0]) == (8, "Counted"), f"killed at write {point}"
        assert [s.action for s in h.status.steps] == ["scale"], f"killed at write {point}"
    assert points >= 22


async def test_a_word_whose_author_cannot_be_answered_is_heard_once_all_the_same() -> None:
    h = await asked(mode="Act")
    for number in range(20):
        say(h, "Acknowledge", f"word-{number:02}", reason=f"no. {number}")
        h.cluster.refused.add(f"responses/shop/word-{number:02}/status")
    await h.settle(60)
    heard = [entry.message for entry in h.status.timeline if entry.kind == "Acknowledged"]
    assert len(heard) == len(set(heard))
    h.cluster.refused.clear()
    await h.settle(60)
    heard = [entry.message for entry in h.status.timeline if entry.kind == "Acknowledged"]
    assert sorted(heard) == sorted(f"jane has seen it: no. {n}" for n in range(20))


async def test_an_answer_after_the_time_is_up_does_not_count() -> None:
    h = await asked(SCALE, RESTART, approval={"timeout": "1m", "onTimeout": "Skip"})
    old = question(h)
    await h.settle(65)
    say(h, "Approve", step=old.step, planHash=old.plan_hash)
    await h.settle(10)
    assert answer_to(h)[0] == "Ignored"
    assert replicas(h) == 3


async def test_when_the_plan_changes_it_is_asked_anew() -> None:
    h = await asked()
    first = question(h)
    h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 4}}, "kubectl-scale")
    await h.settle(10)
    say(h, "Approve", step=first.step, planHash=first.plan_hash)
    await h.settle(10)
    assert question(h).plan_hash == first.plan_hash, "it is the value that is approved, not the way to it"
    assert replicas(h) == 8


async def test_an_approval_that_could_not_be_used_in_time_is_asked_anew() -> None:
    h = await asked(SCALE, approval={"timeout": "1m"})
    say(h, "Approve")
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"reason": "x"}})
    await h.settle(90)
    assert replicas(h) == 3
    h.cluster.remove("pauses", "shop", "p")
    await h.settle(10)
    assert [a.state for a in h.status.approvals] == ["Replaced", "Waiting"]
    assert replicas(h) == 3


async def test_an_acknowledgement_is_recorded_and_stops_nothing() -> None:
    h = await asked(mode="Act")
    say(h, "Acknowledge", reason="on it")
    await h.settle(5)
    assert [(r.decision, r.by, r.reason) for r in h.status.responses] == [("Acknowledge", "jane", "on it")]
    assert h.status.phase == "Fixing"


async def test_undo_hands_over_and_puts_back_as_soon_as_the_alert_is_gone() -> None:
    h = await asked(SCALE, RESTART, mode="Act", resolve={"after": "1h"})
    assert replicas(h) == 8
    say(h, "Undo", reason="we fail over by hand")
    await h.settle(200)
    assert h.status.phase == "Escalated"
    assert replicas(h) == 8, "capacity is not taken away while the alert fires"
    assert [s.action for s in h.status.steps] == ["scale"]
    h.alert_state = "Cleared"
    await h.settle(30)
    assert replicas(h) == 3
    assert h.status.owes == 0


async def test_a_raised_mode_does_not_spare_an_open_incident_its_questions() -> None:
    h = await asked()
    h.cluster.edit("remediationpolicies", "shop", "api", {"spec": {"mode": "Act"}})
    await h.settle(30)
    assert replicas(h) == 3
    assert h.status.phase == "AwaitingApproval"


async def test_a_lowered_mode_makes_an_open_incident_ask() -> None:
    h = await asked(SCALE, RESTART, mode="Act")
    h.cluster.edit("remediationpolicies", "shop", "api", {"spec": {"mode": "Propose"}})
    await h.settle(90)
    assert question(h).step == "2-restart"
    assert [s.action for s in h.status.steps] == ["scale"]
