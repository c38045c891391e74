"""A CronJob is run once: whatever dies, whoever else makes Jobs, and a destructive one on a person's word only."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from goldseam.api.runbook import RunbookSpec
from goldseam.engine import naming
from goldseam.engine.jobs import GENERATION
from goldseam.engine.objects import INCIDENT, TOKEN
from goldseam.ports import Json
from tests.support.harness import Harness, deployment, policy
from tests.support.toycluster import Killed

JOB = {"job": {"cronJob": "postgres-restore"}}
RESTORE = {"job": {"cronJob": "postgres-restore", "destructive": True}}
NEXT = {"restart": {}}
KEY = ("cronjobs", "shop", "postgres-restore")
LOSS = {
    "contacts": [{"name": "lead"}],
    "levels": [{"name": "Primary", "contact": "lead"}],
    "thresholds": [
        {"name": "data-loss", "level": "Primary", "dataLoss": True, "when": {"query": {"expr": "loss", "above": "0"}}}
    ],
}


def cron_job(**spec: Any) -> Json:
    pod = {"containers": [{"name": "restore", "image": "postgres:17"}], "restartPolicy": "Never"}
    template = {
        "metadata": {"labels": {"app": "restore"}, "annotations": {"team": "platform"}},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }
    meta = {"name": "postgres-restore", "namespace": "shop"}
    return {"metadata": meta, "spec": {"schedule": "0 0 31 2 *", "jobTemplate": template, **spec}}


async def opened(*ladder: Json, runbook: Json | None = None, cron: Json | None = None, **spec: Any) -> Harness:
    rungs = policy(*(ladder or (JOB, NEXT)), serviceAccountName="remediator", **spec)
    book = RunbookSpec.model_validate(runbook) if runbook else None
    h = Harness(rungs, deployment(3), "deployments", runbook=book)
    h.cluster.add("serviceaccounts", {"metadata": {"name": "remediator", "namespace": "shop"}})
    h.cluster.add("cronjobs", cron or cron_job())
    await h.start()
    await h.open()
    return h


def jobs(h: Harness) -> list[Json]:
    return list(h.cluster.all("jobs"))


def made(h: Harness) -> list[str]:
    """Every Job that was created, also those that are gone."""
    return [path for verb, path, _, _ in h.cluster.writes if verb == "create" and path.startswith("jobs/")]


def released(h: Harness) -> list[str]:
    return [
        path
        for verb, path, _, body in h.cluster.writes
        if path.startswith("jobs/") and body.get("spec") == {"suspend": False}
    ]


def end(h: Harness, kind: str = "Complete", reason: str = "") -> None:
    """The Job's controller has seen its pods end."""
    (job,) = [one for one in jobs(h) if not one.get("status")]
    job["status"] = {"conditions": [{"type": kind, "status": "True", "reason": reason}]}
    h.cluster.edit("jobs", "shop", job["metadata"]["name"], {})


def pod_of(h: Harness, log: str | None) -> None:
    (job,) = jobs(h)
    owner = {"kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"], "controller": True}
    labels = {"batch.kubernetes.io/job-name": job["metadata"]["name"]}
    meta = {"name": "restore-x", "namespace": "shop", "labels": labels, "ownerReferences": [owner]}
    h.cluster.add("pods", {"metadata": meta, "spec": {"containers": [{"name": "restore"}]}})
    if log is not None:
        h.cluster.logs["restore-x"] = log


def approve(h: Harness, name: str = "word", by: str = "jane", decision: str = "Approve") -> None:
    question = h.status.approvals[-1]
    spec = {
        "incidentRef": {"name": next(h.cluster.all("incidents"))["metadata"]["name"]},
        "decision": decision, "by": by, "step": question.step, "planHash": question.plan_hash,
    }  # fmt: skip
    spec["incidentRef"]["uid"] = next(h.cluster.all("incidents"))["metadata"]["uid"]
    h.cluster.add("responses", {"metadata": {"name": name, "namespace": "shop"}, "spec": spec})


def outcomes(h: Harness) -> list[tuple[str, str | None]]:
    return [(step.action, step.outcome) for step in h.status.steps]


async def test_it_is_made_as_kubectl_makes_it_and_runs_once_it_is_recorded() -> None:
    h = await opened()
    await h.settle(20)
    (job,) = jobs(h)
    (step,) = h.status.steps
    meta = job["metadata"]
    assert meta["name"] == f"postgres-restore-{step.token}"
    assert meta["labels"] == {"app": "restore"}
    assert meta["annotations"] == {
        "cronjob.kubernetes.io/instantiate": "manual", "team": "platform", TOKEN: step.token, GENERATION: "1",
        INCIDENT: f"shop/{next(h.cluster.all('incidents'))['metadata']['name']}",
    }  # fmt: skip
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "postgres-restore", "controller": True}
    assert meta["ownerReferences"] == [{**owner, "uid": h.cluster.objects[KEY]["metadata"]["uid"]}]
    template = cron_job()["spec"]["jobTemplate"]["spec"]
    assert job["spec"] == {**template, "suspend": False}
    assert (len(made(h)), len(released(h)), step.phase) == (1, 1, "Acted")
    recorded = [body for _, path, _, body in h.cluster.writes if "status" in path or path.startswith("jobs/")]
    uids = [i for i, body in enumerate(recorded) if meta["uid"] in str((body.get("status") or {}).get("steps"))]
    let_run = next(i for i, body in enumerate(recorded) if body.get("spec") == {"suspend": False})
    assert min(uids) < let_run, "what runs was recorded before"


async def test_when_it_has_ended_well_the_alert_has_the_rungs_time_to_clear_and_its_log_is_kept() -> None:
    h = await opened({**JOB, "timeout": "60s"}, NEXT)
    await h.settle(50)
    pod_of(h, "restoring\npassword=hunter2\ndone\n")
    end(h)
    await h.settle(40)
    (step,) = h.status.steps
    assert (step.phase, step.evidence) == ("Acted", "restoring\npassword=<hidden>\ndone")
    assert step.ran_until is not None
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.phase, outcomes(h)) == ("Resolved", [("job", "Passed")])


async def test_where_it_does_not_help_the_next_rung_is_tried_after_its_time() -> None:
    h = await opened({**JOB, "timeout": "60s"}, NEXT)
    await h.settle(30)
    end(h)
    await h.settle(55)
    assert outcomes(h) == [("job", None)]
    await h.settle(20)
    assert outcomes(h) == [("job", "Failed"), ("restart", None)]
    assert h.status.steps[0].evidence == "the log was not read: none of the Job's pods is left"


async def test_one_that_fails_is_over_at_once_and_says_why() -> None:
    h = await opened()
    await h.settle(10)
    pod_of(h, None)
    end(h, "Failed", "BackoffLimitExceeded")
    await h.settle(10)
    assert outcomes(h) == [("job", "Failed"), ("restart", None)]
    (step, _) = h.status.steps
    assert step.message == f"Job shop/postgres-restore-{step.token} has failed: BackoffLimitExceeded"
    assert step.evidence == "the log was not read: GET shop/restore-x/log: the kubelet does not answer"


async def test_pods_that_cannot_be_listed_hold_nothing_up() -> None:
    h = await opened()
    await h.settle(10)
    h.cluster.unreadable.add("pods")
    end(h, "Failed", "DeadlineExceeded")
    await h.settle(10)
    assert outcomes(h)[0] == ("job", "Failed")
    assert h.status.steps[0].evidence == "the log was not read: pods (HTTP 503)"


async def test_however_long_it_runs_nothing_else_is_tried_beside_it_and_people_are_told() -> None:
    h = await opened(JOB, NEXT, unknownTimeout="5m")
    await h.settle(200)
    assert outcomes(h) == [("job", None)]
    assert [hold.reason for hold in h.status.holds] == ["StillRunning"]
    await h.settle(400)
    assert outcomes(h) == [("job", None)]
    assert [e.threshold for e in h.status.escalations] == ["heldTooLong"]
    end(h)
    await h.settle(5)
    assert h.status.holds == []
    h.alert_state = "Cleared"
    await h.settle(60)
    assert h.status.phase == "Resolved"


@pytest.mark.parametrize("rung", [JOB, RESTORE], ids=["job", "destructive"])
async def test_of_one_that_is_gone_before_its_end_was_seen_nobody_knows_and_people_decide(rung: Json) -> None:
    h = await opened({**rung, "attempts": 3}, NEXT)
    await h.settle(10)
    if h.status.approvals:
        approve(h)
        await h.settle(10)
    assert len(released(h)) == 1
    h.cluster.remove("jobs", "shop", jobs(h)[0]["metadata"]["name"])
    await h.settle(60)
    assert (outcomes(h), h.status.phase) == ([("job", "Inconclusive")], "Escalated")
    assert "how it ended is not known" in h.status.steps[0].message
    assert h.status.escalations[-1].threshold == "inconclusive"
    assert len(made(h)) == 1
    h.alert_state = "Cleared"
    await h.settle(60)
    assert h.status.phase == "Resolved"
    h.alert_state = "Firing"
    await h.settle(60)
    assert (len(made(h)), h.status.phase) == (1, "Escalated")


async def test_another_job_of_the_same_name_tells_nothing_of_ours() -> None:
    h = await opened({**JOB, "attempts": 3}, NEXT)
    await h.settle(10)
    (job,) = jobs(h)
    h.cluster.remove("jobs", "shop", job["metadata"]["name"])
    again = {**job, "metadata": {**job["metadata"], "uid": "another"}}
    h.cluster.add("jobs", again | {"status": {"conditions": [{"type": "Complete", "status": "True"}]}})
    await h.settle(20)
    assert outcomes(h) == [("job", "Inconclusive")]


async def test_each_attempt_is_a_job_of_its_own_and_starts_once_the_one_before_has_ended() -> None:
    h = await opened({**JOB, "attempts": 2}, NEXT)
    await h.settle(10)
    end(h, "Failed")
    await h.settle(15)
    assert len(made(h)) == 2
    end(h, "Failed")
    await h.settle(20)
    assert outcomes(h) == [("job", "Failed"), ("job", "Failed"), ("restart", None)]
    assert len(made(h)) == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda h: h.cluster.remove(*KEY), "there is no CronJob shop/postgres-restore"),
        (lambda h: h.cluster.edit(*KEY, {"spec": {"suspend": True}}), "is suspended (spec.suspend)"),
        (lambda h: h.cluster.edit(*KEY, {"spec": {"jobTemplate": {"spec": {"suspend": True}}}}), "wait for somebody"),
    ],
)
async def test_a_cron_job_that_is_missing_or_switched_off_is_refused_with_words(
    change: Callable[[Harness], Any], reason: str
) -> None:
    h = await opened()
    change(h)
    await h.settle(10)
    assert made(h) == []
    assert outcomes(h) == [("job", "Refused"), ("restart", None)]
    assert reason in h.status.steps[0].message


@pytest.mark.parametrize("rung", [JOB, RESTORE])
@pytest.mark.parametrize("concurrency", ["Allow", "Forbid", "Replace"])
async def test_beside_a_job_that_is_at_work_it_waits_where_the_cron_job_or_the_rung_says_so(
    concurrency: str, rung: Json
) -> None:
    h = await opened(rung, NEXT, cron=cron_job(concurrencyPolicy=concurrency))
    owner = {"kind": "CronJob", "uid": h.cluster.objects[KEY]["metadata"]["uid"], "controller": True}
    meta = {"name": "scheduled", "namespace": "shop", "ownerReferences": [owner]}
    h.cluster.add("jobs", {"metadata": meta, "spec": {}})
    await h.settle(20)
    free = concurrency == "Allow" and rung is JOB
    assert len(made(h)) == (1 if free else 0)
    if not free:
        assert [hold.reason for hold in h.status.holds] == ["JobRunning"]
        assert h.status.holds[0].message == "Job shop/scheduled of CronJob shop/postgres-restore is at work"
        assert h.status.approvals == []
        h.cluster.remove("jobs", "shop", "scheduled")
        await h.settle(20)
        assert len(made(h)) == (1 if rung is JOB else 0)


async def test_the_jobs_of_others_hold_nothing_up() -> None:
    h = await opened(JOB, NEXT, cron=cron_job(concurrencyPolicy="Forbid"))
    owner = {"kind": "CronJob", "uid": "another", "controller": True}
    h.cluster.add("jobs", {"metadata": {"name": "other", "namespace": "shop", "ownerReferences": [owner]}})
    await h.settle(10)
    assert len(made(h)) == 1


async def through_a_death(kill_at: int, after: bool, *, tidied: bool = False) -> tuple[Harness, bool]:
    """The operator dies at one of its writes; a Job that has run by then may be gone before it is back."""
    h = await opened()
    h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + kill_at, after
    killed = False
    try:
        await h.settle(20)
    except Killed:
        killed = True
    h.cluster.kill_at = None
    for job in jobs(h) if tidied else []:
        if not job["spec"]["suspend"]:
            h.cluster.remove("jobs", "shop", job["metadata"]["name"])
    await h.start()
    await h.settle(20)
    return h, killed


@pytest.mark.parametrize("tidied", [False, True], ids=["there", "tidied"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_killed_operator_makes_it_once_and_lets_it_run_once(after: bool, tidied: bool) -> None:
    met = 0
    for kill_at in range(1, 12):
        h, killed = await through_a_death(kill_at, after, tidied=tidied)
        met += killed
        assert len(made(h)) == 1, f"killed at write {kill_at}"
        assert len(released(h)) == 1, f"killed at write {kill_at}"
    assert met >= 5


@pytest.mark.parametrize("fault", ["deaf", "stale"])
async def test_a_reply_that_is_lost_and_a_conflict_make_no_second_job(fault: str) -> None:
    h = await opened()
    token = "postgres-restore-" + _first_token(h)
    getattr(h.cluster, fault).add(f"jobs/shop/{token}")
    await h.settle(30)
    assert (len(made(h)), len(released(h))) == (1, 1)
    assert h.status.steps[0].phase == "Acted"


def _first_token(h: Harness) -> str:
    return naming.token(next(h.cluster.all("incidents"))["metadata"]["uid"], "1-job")


async def test_a_job_of_that_name_by_somebody_else_is_left_alone_and_people_are_told() -> None:
    h = await opened()
    meta = {"name": f"postgres-restore-{_first_token(h)}", "namespace": "shop"}
    h.cluster.add("jobs", {"metadata": meta, "spec": {"suspend": True}})
    await h.settle(20)
    assert released(h) == []
    assert made(h) == []
    assert h.status.phase == "Escalated"
    assert "was made by somebody else" in h.status.steps[0].message


@pytest.mark.parametrize("path", ["refused", "mute"])
async def test_what_admission_refuses_or_nobody_answers_comes_to_an_end(path: str) -> None:
    h = await opened()
    getattr(h.cluster, path).add(f"jobs/shop/postgres-restore-{_first_token(h)}")
    await h.settle(90)
    assert outcomes(h)[0] == ("job", "Refused" if path == "refused" else "Failed")
    assert outcomes(h)[1][0] == "restart"
    assert made(h) == []


async def intended(*ladder: Json, approved: bool = False) -> Harness:
    """The intent is written down, and the operator dies before the Job is made."""
    for kill_at in range(1, 12):
        h = await opened(*ladder)
        if approved:
            await h.settle(10)
            approve(h)
        h.cluster.kill_at = h.cluster.attempts + kill_at
        try:
            await h.settle(20)
        except Killed:
            h.cluster.kill_at = None
            step = h.status.open_step()
            if step is not None and not made(h):
                return h
    raise AssertionError("never killed between intent and act")


async def test_what_was_approved_is_what_runs_a_cron_job_that_has_changed_is_planned_anew() -> None:
    h = await intended()
    h.cluster.edit(*KEY, {"spec": {"schedule": "1 1 1 1 *"}})
    await h.start()
    await h.settle(20)
    assert outcomes(h) == [("job", "NotTaken"), ("job", None)]
    (job,) = jobs(h)
    assert job["metadata"]["annotations"][GENERATION] == "2"


async def test_one_that_changes_between_the_look_and_the_act_does_not_run() -> None:
    h = await opened()
    get = h.cluster.get

    async def meanwhile(resource: Any, namespace: str, name: str, subresource: str = "") -> Json:
        if resource.plural == "cronjobs" and h.status.open_step() is not None and not made(h):
            h.cluster.get = get  # type: ignore[method-assign]
            h.cluster.edit(*KEY, {"spec": {"schedule": "1 1 1 1 *"}})
        return await get(resource, namespace, name, subresource)

    h.cluster.get = meanwhile  # type: ignore[method-assign]
    await h.settle(20)
    assert [(step.outcome, step.writes[0].generation) for step in h.status.steps] == [("NotTaken", 1), (None, 2)]
    assert len(made(h)) == 1


async def test_an_alert_that_is_over_before_it_is_made_leaves_nothing_behind() -> None:
    h = await intended()
    h.alert_state = "Cleared"
    await h.start()
    await h.settle(60)
    assert (made(h), outcomes(h), h.status.phase) == ([], [("job", "NotTaken")], "Resolved")


async def test_a_job_that_was_made_and_never_let_run_is_named() -> None:
    h = await opened()
    h.cluster.kill_at, h.cluster.kill_after = None, True
    for kill_at in range(1, 12):
        h = await opened()
        h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + kill_at, True
        try:
            await h.settle(20)
        except Killed:
            h.cluster.kill_at = None
            if made(h) and not released(h):
                break
    h.alert_state = "Cleared"
    await h.start()
    await h.settle(60)
    (step,) = h.status.steps
    assert step.outcome == "NotTaken"
    assert step.message.endswith(f"Job shop/postgres-restore-{step.token} was made, but never let run: delete it")
    assert released(h) == []


async def test_destructive_is_asked_about_each_time_though_the_policy_says_nothing_of_it() -> None:
    h = await opened({**RESTORE, "attempts": 2}, NEXT)
    await h.settle(20)
    assert (made(h), h.status.phase) == ([], "AwaitingApproval")
    assert h.status.approvals[-1].summary == (
        "DESTRUCTIVE: run CronJob shop/postgres-restore once, as of generation 1, image postgres:17"
    )
    approve(h)
    await h.settle(20)
    assert len(released(h)) == 1
    end(h, "Failed")
    await h.settle(30)
    assert (len(made(h)), h.status.phase) == (1, "AwaitingApproval")
    approve(h, "again")
    await h.settle(20)
    assert len(made(h)) == 2


async def test_without_an_answer_people_take_over_though_the_policy_says_skip() -> None:
    h = await opened(RESTORE, NEXT, approval={"timeout": "1m", "onTimeout": "Skip"})
    await h.settle(100)
    assert (made(h), h.status.phase, outcomes(h)) == ([], "Escalated", [("job", "Unanswered")])


async def test_what_is_denied_is_passed_over() -> None:
    h = await opened(RESTORE, NEXT)
    await h.settle(10)
    approve(h, decision="Deny")
    await h.settle(10)
    assert (made(h), outcomes(h)) == ([], [("job", "Denied"), ("restart", None)])


async def test_a_delegate_does_not_approve_what_is_destructive() -> None:
    account = "system:serviceaccount:bots:approver"
    h = await opened(RESTORE, NEXT)
    h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": {"approvalDelegates": [account]}})
    await h.settle(10)
    approve(h, by=account)
    await h.settle(20)
    assert (made(h), h.status.approvals[-1].state) == ([], "Waiting")
    said = h.cluster.objects["responses", "shop", "word"]["status"]
    assert said["message"] == f"{account} is a system account, and what is destructive is approved by a person"


async def test_an_approval_that_is_taken_back_before_it_is_made_holds() -> None:
    h = await intended(RESTORE, NEXT, approved=True)
    h.cluster.remove("responses", "shop", "word")
    await h.start()
    await h.settle(20)
    assert (made(h), outcomes(h)) == ([], [("job", "NotTaken"), ("restart", None)])


async def test_an_approved_restore_whose_operator_dies_runs_once() -> None:
    h = await intended(RESTORE, NEXT, approved=True)
    await h.start()
    await h.settle(20)
    assert (len(made(h)), len(released(h))) == (1, 1)


async def test_when_the_cron_job_changes_after_the_approval_it_is_asked_anew() -> None:
    h = await intended(RESTORE, NEXT, approved=True)
    h.cluster.edit(*KEY, {"spec": {"schedule": "1 1 1 1 *"}})
    await h.start()
    await h.settle(20)
    assert (made(h), h.status.phase) == ([], "AwaitingApproval")
    assert h.status.approvals[-1].summary.endswith("as of generation 2, image postgres:17")


@pytest.mark.parametrize("acting", ["Stop", "Continue"])
async def test_once_data_is_lost_nothing_destructive_is_run_whatever_was_approved(acting: str) -> None:
    book = copy.deepcopy(LOSS)
    book["thresholds"][0]["acting"] = acting  # type: ignore[index]
    h = await opened(RESTORE, NEXT, runbook=book)
    h.promql.answers["loss"] = (0.0,)
    await h.settle(20)
    h.clock.advance(15)
    approve(h)
    h.promql.answers["loss"] = (1.0,)
    await h.settle(100)
    assert made(h) == []
    if acting == "Continue":
        assert outcomes(h)[0] == ("job", "Refused")
        assert "data-loss" in h.status.steps[0].message
    else:
        assert h.status.phase == "Escalated"


async def test_while_it_cannot_be_told_whether_data_is_lost_nothing_destructive_is_asked_about() -> None:
    h = await opened(RESTORE, NEXT, runbook=LOSS)
    await h.settle(20)
    assert (made(h), h.status.approvals) == ([], [])
    assert [hold.reason for hold in h.status.holds][:1] == ["DataLossUnknown"]


def forge(h: Harness, *, approved: bool = False, **step: Any) -> None:
    """Somebody with every right on Incidents writes the step, as if it had been decided."""
    uid = h.cluster.objects[KEY]["metadata"]["uid"]
    token = _first_token(h)
    ref = {"apiVersion": "batch/v1", "kind": "CronJob", "namespace": "shop", "name": "postgres-restore", "uid": uid}
    write = {"verb": "Create", "object": ref, "generation": 1, "want": f'"postgres-restore-{token}"'}
    write |= step.pop("write", {})
    body = {"id": "1-job", "rung": 0, "action": "job", "token": token, "writes": [write], **step}
    (incident,) = h.cluster.all("incidents")
    status: Json = {"steps": [{**body, "intentAt": h.clock.now().isoformat()}], "phase": "Fixing"}
    h.cluster.edit("incidents", "shop", incident["metadata"]["name"], {"status": status})


async def test_a_forged_step_runs_nothing_that_the_policy_does_not_run() -> None:
    for ladder, step in (
        ((NEXT,), {}),
        ((NEXT,), {"purpose": "Undo"}),
        ((JOB,), {"purpose": "Undo"}),
        ((JOB,), {"write": {"generation": 7}}),
        ((JOB,), {"write": {"want": '"another-name"'}}),
        ((JOB,), {"write": {"want": "7"}}),
        ((JOB,), {"write": {"want": "no json"}}),
        ((JOB,), {"token": "another"}),
    ):
        h = await opened(*ladder)
        forge(h, **copy.deepcopy(step))
        await h.looker.look(next(h.cluster.all("incidents"))["metadata"]["uid"])
        await h.looker.look(next(h.cluster.all("incidents"))["metadata"]["uid"])
        assert not any(_first_token(h) in path or "another" in path for path in made(h)), (step, h.status.message)


async def test_a_forged_step_of_another_cron_job_runs_nothing() -> None:
    h = await opened(JOB)
    other = cron_job()
    other["metadata"]["name"] = "drop-all"
    uid = h.cluster.add("cronjobs", other)["metadata"]["uid"]
    forge(
        h,
        write={
            "object": {"apiVersion": "batch/v1", "kind": "CronJob", "namespace": "shop", "name": "drop-all", "uid": uid}
        },
    )
    await h.settle(20)
    assert {job["metadata"]["ownerReferences"][0]["name"] for job in jobs(h)} == {"postgres-restore"}


async def test_a_forged_destructive_step_needs_a_persons_own_word() -> None:
    h = await opened(RESTORE, NEXT)
    forge(h)
    await h.settle(20)
    assert (made(h), outcomes(h)[0]) == ([], ("job", "NotTaken"))
    assert "no Response of a person approves it" in h.status.steps[0].message


async def test_a_forged_approval_is_no_word() -> None:
    h = await opened(RESTORE, NEXT)
    await h.settle(10)
    (incident,) = h.cluster.all("incidents")
    question = incident["status"]["approvals"][0] | {"state": "Approved", "by": "jane"}
    h.cluster.edit("incidents", "shop", incident["metadata"]["name"], {"status": {"approvals": [question]}})
    await h.settle(10)
    assert (made(h), outcomes(h)[0]) == ([], ("job", "Refused"))


async def test_in_mode_observe_it_is_rehearsed_and_nothing_is_made() -> None:
    h = await opened(RESTORE, NEXT, mode="Observe")
    await h.settle(10)
    assert made(h) == []
    assert "the server-side dry run was accepted" in h.status.steps[0].message


async def test_nothing_is_made_that_the_policys_account_may_not_make() -> None:
    h = await opened()
    h.cluster.denied.add("jobs")
    await h.settle(10)
    assert (made(h), outcomes(h)) == ([], [("job", "Refused"), ("restart", None)])
    assert "may not create jobs.batch in namespace shop" in h.status.steps[0].message
