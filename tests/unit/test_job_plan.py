"""job: which Job is made of which CronJob, what it waits for, and how its course is judged."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from goldseam.actions.job import ACTION
from goldseam.api.incident import ObjectRef, Step, Write
from goldseam.api.ladder import Job
from goldseam.api.policy import RemediationPolicySpec
from goldseam.api.runbook import RunbookSpec
from goldseam.engine import jobs, lineage
from goldseam.engine.proposal import Effect, Plan, Proposal, Refusal, Right, World, place
from tests.support.objects import Json, workload

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOKEN = "0123456789abcdef"
CRON = ObjectRef(api_version="batch/v1", kind="CronJob", namespace="shop", name="restore", uid="uid-cron")
WRITE = Write(verb="Create", object=CRON, generation=3, want=f'"restore-{TOKEN}"')
PLACE = place("Job", "shop", f"restore-{TOKEN}")


def cron_job(name: str = "restore", images: tuple[str, ...] = ("postgres:17",), **spec: Any) -> Json:
    pod = {"containers": [{"name": f"c{i}", "image": image} for i, image in enumerate(images)]}
    meta = {"namespace": "shop", "name": name, "uid": "uid-cron", "generation": 3, "resourceVersion": "7"}
    return {"metadata": meta, "spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}, **spec}}


def job(token: str | None = TOKEN, owner: str = "uid-cron", *, generation: str = "3", **more: Any) -> Json:
    """A Job of the CronJob; with a token one of ours."""
    marks = {} if token is None else {"goldseam.dev/token": token, jobs.GENERATION: generation}
    meta: Json = {"namespace": "shop", "name": f"restore-{token}", "uid": "uid-job", "resourceVersion": "9"}
    meta |= {"annotations": marks, "ownerReferences": [{"kind": "CronJob", "uid": owner, "controller": True}]}
    return {"metadata": meta, "spec": {"suspend": more.pop("suspend", False)}, "status": more}


def finished(kind: str, reason: str = "") -> Json:
    return job(conditions=[{"type": kind, "status": "True", "reason": reason}])


def plan(found: Json | None = None, *beside: Json, destructive: bool = False, target: Any = None) -> Plan:
    parameters = Job.model_validate({"cronJob": "restore", "destructive": destructive})
    return ACTION.plan(parameters, World(target=target or workload(), cron_job=found, jobs=beside), TOKEN)


def observed(found: Json | None, *, before: str = '"uid-job"', target: Any = None, **step: Any) -> Effect:
    fields: Json = {"id": "1-job", "rung": 0, "action": "job", "token": TOKEN, "intent_at": NOW}
    writes = [WRITE.model_copy(update={"before": before, "state": "Done"})]
    return ACTION.observe(
        Step(**({**fields, "writes": writes} | step)), World(target=target or workload(), touched={PLACE: found})
    )


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_one_job_is_planned_named_by_the_token_with_the_cron_job_pinned(kind: str) -> None:
    found = plan(cron_job(), target=workload(kind))
    assert isinstance(found, Proposal)
    assert found.writes == (WRITE,)
    assert found.rights == (Right("create", "batch", "jobs", "", "shop"),)
    assert (found.takes_ready, found.takes_nodes, found.obligations) == (0, 0, ())
    assert found.summary == "run CronJob shop/restore once, as of generation 3, image postgres:17"


def test_what_is_destructive_says_so_first() -> None:
    found = plan(cron_job(images=("a", "b", "c", "d")), destructive=True)
    assert isinstance(found, Proposal)
    assert found.summary == "DESTRUCTIVE: run CronJob shop/restore once, as of generation 3, image a, b, c and 1 more"


@given(st.text(alphabet="abcxyz019.-", min_size=1, max_size=253))
def test_a_jobs_name_is_a_label_and_tells_the_token(name: str) -> None:
    found = jobs.job_name(name, TOKEN)
    assert len(found) <= 63
    assert found.endswith(f"-{TOKEN}")
    assert name.startswith(found.removesuffix(f"-{TOKEN}"))
    assert not re.search(r"[.-]-[0-9a-f]{16}$", found)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "CronJobMissing"),
        (cron_job() | {"metadata": cron_job()["metadata"] | {"deletionTimestamp": "now"}}, "CronJobMissing"),
        (cron_job(suspend=True), "CronJobSuspended"),
        (cron_job(jobTemplate={"spec": {"suspend": True}}), "CronJobSuspended"),
        (cron_job(suspend=True, jobTemplate={}), "CronJobSuspended"),
    ],
)
def test_what_is_not_there_or_switched_off_is_refused(found: Json | None, reason: str) -> None:
    answer = plan(found)
    assert isinstance(answer, Refusal)
    assert (answer.reason, answer.waits) == (reason, False)


def test_the_target_is_gone() -> None:
    gone = ACTION.plan(Job(cron_job="restore"), World(target=None, cron_job=cron_job()), TOKEN)
    assert isinstance(gone, Refusal)
    assert gone.reason == "TargetGone"


OTHERS = job(None)
ANOTHER = job("another-token")


@pytest.mark.parametrize(
    ("beside", "concurrency", "destructive", "waits"),
    [
        (OTHERS, "Allow", False, False),
        (OTHERS, None, False, False),
        (OTHERS, "Forbid", False, True),
        (OTHERS, "Replace", False, True),
        (OTHERS, "Allow", True, True),
        (ANOTHER, "Allow", False, True),  # an attempt before, or another incident's
        (job("another-token", suspend=True), "Forbid", True, False),  # never let run
        (job(None, suspend=True), "Forbid", False, True),  # waits in a queue
        (job(), "Forbid", True, False),  # our own
        (job(None, owner="uid-else"), "Forbid", True, False),
        (job(None, conditions=[{"type": "Complete", "status": "True"}]), "Forbid", True, False),
        (job(None, conditions=[{"type": "Failed", "status": "True"}]), "Forbid", True, False),
        (job(None, conditions=[{"type": "FailureTarget", "status": "True"}]), "Forbid", True, True),
        (job(None, conditions=[{"type": "Complete", "status": "False"}]), "Forbid", True, True),
    ],
)
def test_it_waits_for_a_job_that_is_at_work(
    beside: Json, concurrency: str | None, destructive: bool, waits: bool
) -> None:
    spec = {} if concurrency is None else {"concurrencyPolicy": concurrency}
    answer = plan(cron_job(**spec), beside, destructive=destructive)
    assert isinstance(answer, Refusal if waits else Proposal)
    if isinstance(answer, Refusal):
        assert (answer.reason, answer.waits) == ("JobRunning", True)


def test_a_job_is_made_as_kubectl_makes_it() -> None:
    template = {"metadata": {"labels": {"a": "b"}, "annotations": {"goldseam.dev/token": "x", "c": "d"}}}
    spec = {"ttlSecondsAfterFinished": 7200, "template": {}}
    found = jobs.job_from(cron_job(jobTemplate=template | {"spec": spec}), WRITE, "shop/heal")
    assert found["metadata"]["name"] == f"restore-{TOKEN}"
    assert found["metadata"]["labels"] == {"a": "b"}
    assert found["metadata"]["annotations"] == {
        "cronjob.kubernetes.io/instantiate": "manual", "c": "d",
        "goldseam.dev/token": TOKEN, "goldseam.dev/incident": "shop/heal", "goldseam.dev/generation": "3",
    }  # fmt: skip
    (owner,) = found["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "restore", "uid": "uid-cron", "controller": True,
    }  # fmt: skip
    assert found["spec"] == spec | {"suspend": True}


def judged(found: Json | None, write: Write = WRITE) -> Write:
    step = Step(id="1-job", rung=0, action="job", token=TOKEN, intent_at=NOW, writes=[write])
    return lineage.judged(step, World(target=workload(), touched={PLACE: found})).writes[0]


SEEN = WRITE.model_copy(update={"before": '"uid-job"', "resource_version": "9"})


@pytest.mark.parametrize(
    ("found", "before", "state"),
    [
        (None, WRITE, "Pending"),
        (job(suspend=True), WRITE, "Pending"),
        (job(), WRITE, "Done"),
        (job("other"), WRITE, "Superseded"),
        (job(None), WRITE, "Superseded"),
        (job(owner="uid-else"), WRITE, "Superseded"),
        (job(generation="2"), WRITE, "Superseded"),
        (None, SEEN, "Superseded"),
        (job(suspend=True), SEEN, "Pending"),
        (job(), SEEN, "Done"),
        (job(), SEEN.model_copy(update={"before": '"uid-else"'}), "Superseded"),
        (job(), SEEN.model_copy(update={"before": "no json"}), "Superseded"),
    ],
)
def test_what_became_of_it_is_told_by_the_job_itself(found: Json | None, before: Write, state: str) -> None:
    after = judged(found, before)
    assert after.state == state
    if state == "Pending":
        assert (after.before, after.resource_version) == (("", "") if found is None else ('"uid-job"', "9"))


def test_a_job_that_was_seen_and_is_gone_is_not_made_again() -> None:
    gone = f"Job shop/restore-{TOKEN} is gone, and whether it ran is not known: it is not made again"
    assert judged(None, SEEN).message == gone


@pytest.mark.parametrize(
    ("effect", "done", "course", "message"),
    [
        (observed(job(active=1)), False, "Runs", f"Job shop/restore-{TOKEN} to end: 1 pods active, 0 failed"),
        (observed(job()), False, "Runs", f"Job shop/restore-{TOKEN} to end: 0 pods active, 0 failed"),
        (observed(finished("Complete")), True, "Ended", "3 of 3 pods updated, 3 ready"),
        (observed(finished("Complete"), target=workload(ready=2)), False, "Ended",
         "Deployment shop/api: 3 of 3 pods updated, 2 ready"),
        (observed(finished("Failed", "DeadlineExceeded")), False, "Failed",
         f"Job shop/restore-{TOKEN} has failed: DeadlineExceeded"),
        (observed(finished("Failed", "<script>")), False, "Failed",
         f"Job shop/restore-{TOKEN} has failed: no reason given"),
        (observed(None), False, "Vanished",
         f"Job shop/restore-{TOKEN} is gone, and how it ended is not known: it was deleted, or its ttl is over"),
        (observed(job(), before='"uid-else"'), False, "Vanished",
         f"Job shop/restore-{TOKEN} is gone, and how it ended is not known: it was deleted, or its ttl is over"),
        (observed(None, before=""), False, "", f"Job shop/restore-{TOKEN} is not there yet"),
        (observed(job(), before=""), False, "", f"Job shop/restore-{TOKEN} is not there yet"),
        (observed(None, ran_until=NOW), True, "", "3 of 3 pods updated, 3 ready"),
        (observed(None, writes=[]), True, "", "3 of 3 pods updated, 3 ready"),
    ],
)  # fmt: skip
def test_its_course_is_what_the_job_says(effect: Effect, done: bool, course: str, message: str) -> None:
    assert (effect.done, effect.course, effect.message) == (done, course, message)


def test_without_a_target_nothing_is_done() -> None:
    step = Step(id="1-job", rung=0, action="job", token=TOKEN, intent_at=NOW, writes=[WRITE])
    assert ACTION.observe(step, World(target=None)) == Effect(False, "the target is gone")


@given(st.text(max_size=40))
def test_whatever_an_incident_says_of_the_name_it_is_a_text(want: str) -> None:
    assert isinstance(jobs.named(replace_want(want)), str)


def replace_want(want: str) -> Write:
    return WRITE.model_copy(update={"want": want})


@pytest.mark.parametrize("want", ["7", "null", "[]", "{", ""])
def test_what_is_no_name_names_nothing(want: str) -> None:
    assert jobs.named(replace_want(want)) == ""


def parameters(name: str = "restore", *, destructive: bool = False) -> Job:
    return Job(cron_job=name, destructive=destructive)


@pytest.mark.parametrize(
    ("live", "pinned", "covered"),
    [
        (parameters(), parameters(), True),
        (parameters(), parameters("other"), False),
        (parameters(), parameters(destructive=True), True),
        (parameters(destructive=True), parameters(), False),
    ],
)
def test_a_policy_that_calls_it_destructive_now_is_not_covered_by_one_that_did_not(
    live: Job, pinned: Job, covered: bool
) -> None:
    assert live.covers(pinned) is covered


def test_a_namespaced_policy_that_runs_jobs_names_an_account() -> None:
    spec = {"alert": {"name": "A"}, "ladder": [{"job": {"cronJob": "restore"}}]}
    with pytest.raises(ValidationError, match=r"serviceAccountName: needed for job.*may create jobs\.batch"):
        RemediationPolicySpec.model_validate(spec)
    RemediationPolicySpec.model_validate(spec | {"serviceAccountName": "remediator"})


@pytest.mark.parametrize("name", ["", "UPPER", "a b", "../x", "-a", "x" * 254])
def test_a_cron_job_has_a_name(name: str) -> None:
    with pytest.raises(ValidationError):
        Job.model_validate({"cronJob": name})


@pytest.mark.parametrize(
    ("fields", "stops"), [({}, True), ({"acting": "Continue"}, False), ({"dataLoss": False}, False)]
)
def test_acting_ends_when_data_is_lost_unless_said_otherwise(fields: Json, stops: bool) -> None:
    loss = {"name": "loss", "level": "P", "dataLoss": True, "when": {"unresolvedFor": "5m"}}
    levels = {"contacts": [{"name": "lead"}], "levels": [{"name": "P", "contact": "lead"}]}
    (threshold,) = RunbookSpec.model_validate({**levels, "thresholds": [loss | fields]}).thresholds
    assert threshold.stops is stops


def test_a_job_that_never_ran_is_named_for_people() -> None:
    step = Step(id="1-job", rung=0, action="job", token=TOKEN, intent_at=NOW, writes=[SEEN])
    assert jobs.waiting(step) == f"; Job shop/restore-{TOKEN} was made, but never let run: delete it"
    assert jobs.waiting(step.model_copy(update={"writes": [WRITE]})) == ""
    assert jobs.waiting(step.model_copy(update={"writes": [SEEN.model_copy(update={"state": "Done"})]})) == ""


def test_a_write_that_makes_a_job_says_no_more_than_an_incident_may_hold() -> None:
    found = plan(cron_job("a" * 253, images=("i" * 400,) * 5))
    assert isinstance(found, Proposal)
    assert len(found.summary.encode()) <= 512
    assert Write.model_validate(found.writes[0].dump()) == replace(found).writes[0]
    assert len(json.loads(found.writes[0].want)) == 63


@pytest.mark.parametrize(("ttl", "kept"), [(5, 3600), (86_400, 86_400)])
def test_a_job_stays_long_enough_for_its_end_to_be_seen(ttl: int, kept: int) -> None:
    spec = {"template": {"spec": {"containers": []}}, "ttlSecondsAfterFinished": ttl}
    found = jobs.job_from(cron_job(jobTemplate={"spec": spec}), WRITE, "shop/heal")
    assert found["spec"]["ttlSecondsAfterFinished"] == kept
