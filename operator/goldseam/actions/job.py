"""job: run a CronJob once, now, as `kubectl create job --from` does, and wait for it to end.

Whether a Job is at work beside it is asked of the Jobs themselves: the CronJob's `status.active` knows only those that
its controller has made (kubernetes `pkg/controller/cronjob`, `syncCronJob`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from goldseam.actions.replies import GONE, bounded, effect, refusal
from goldseam.actions.rollout import course
from goldseam.api.base import Model
from goldseam.api.incident import ObjectRef, Step, Write
from goldseam.api.ladder import Job
from goldseam.engine.jobs import ended, is_of, job_name, made_by, suspended, title, why_failed
from goldseam.engine.objects import TOKEN, Json, Workload, annotation, metadata, reference
from goldseam.engine.proposal import Action, Effect, Plan, Proposal, Refusal, Right, World, always
from goldseam.engine.record import cut

KINDS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
CREATING = Right("create", "batch", "jobs", piece="jobs")
"""The right to run Jobs."""


def plan(parameters: Model, world: World, token: str) -> Plan:
    """One Job, named by the step's token, of the CronJob as it is now: its uid and generation are pinned."""
    assert isinstance(parameters, Job)
    if world.target is None:
        return GONE
    cron_job, namespace = world.cron_job, reference(world.target).namespace
    if cron_job is None or metadata(cron_job).get("deletionTimestamp"):
        missing = f"there is no CronJob {namespace}/{parameters.cron_job}: create it, or name another in job.cronJob"
        return refusal("CronJobMissing", missing)
    ref = reference(cron_job, "batch/v1", "CronJob")
    return (
        switched_off(cron_job, ref)
        or _beside(parameters, world, ref, token)
        or _proposed(parameters, ref, cron_job, token)
    )


def switched_off(cron_job: Json, ref: ObjectRef) -> Refusal | None:
    """Somebody wants no Job of it to run."""
    spec: Json = cron_job["spec"]
    if spec.get("suspend"):
        message = (
            f"{ref} is suspended (spec.suspend): somebody switched it off. One that only Goldseam and people run has a"
            ' schedule that never comes, "0 0 31 2 *"'
        )
        return refusal("CronJobSuspended", message)
    if (spec["jobTemplate"].get("spec") or {}).get("suspend"):
        message = f"the Jobs of {ref} wait for somebody to release them (spec.jobTemplate.spec.suspend): take it away"
        return refusal("CronJobSuspended", message)
    return None


def _beside(parameters: Job, world: World, ref: ObjectRef, token: str) -> Refusal | None:
    """A Job of the CronJob is at work. Beside one of ours, and for what is destructive, none is ever started."""
    assert world.cron_job is not None
    alone = parameters.destructive or world.cron_job["spec"].get("concurrencyPolicy", "Allow") != "Allow"
    for job in _at_work(world, ref, token):
        if alone or annotation(job, TOKEN) is not None:
            name = metadata(job).get("name")
            return Refusal("JobRunning", cut(f"Job {ref.namespace}/{name} of {ref} is at work"), waits=True)
    return None


def _at_work(world: World, ref: ObjectRef, token: str) -> Iterator[Json]:
    for job in world.jobs:
        never_released = annotation(job, TOKEN) is not None and suspended(job)
        if is_of(job, ref.uid) and not ended(job) and not never_released and annotation(job, TOKEN) != token:
            yield job


def _proposed(parameters: Job, ref: ObjectRef, cron_job: Json, token: str) -> Proposal:
    generation = int(metadata(cron_job).get("generation") or 0)
    pod: Json = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    images = bounded([str(container.get("image")) for container in pod.get("containers") or ()])
    danger = "DESTRUCTIVE: " if parameters.destructive else ""
    return Proposal(
        writes=(Write(verb="Create", object=ref, generation=generation, want=json.dumps(job_name(ref.name, token))),),
        summary=cut(f"{danger}run {ref} once, as of generation {generation}, image {images}"),
        rights=(replace(CREATING, namespace=ref.namespace),),
    )


def observe(step: Step, world: World) -> Effect:
    """Done when the Job is complete, and then the target has all its pods, ready. It fails when the Job fails. Of one
    that is gone before its end was seen nobody knows whether it has done its work, or half of it, or runs on."""
    if world.target is None:
        return effect(False, GONE.message)
    write = next((write for write in step.writes if write.verb == "Create"), None)
    if write is None or step.ran_until is not None:
        return course(Workload(world.target))
    job = made_by(write, world)
    if not write.before:
        return effect(False, f"{title(write)} is not there yet")
    if job is None or json.dumps(metadata(job).get("uid")) != write.before:
        gone = f"{title(write)} is gone, and how it ended is not known: it was deleted, or its ttl is over"
        return Effect(False, cut(gone), "Vanished")
    if ended(job) == "Failed":
        return Effect(False, cut(f"{title(write)} has failed: {why_failed(job)}"), "Failed")
    if ended(job) == "Complete":
        return replace(course(Workload(world.target)), course="Ended")
    return Effect(False, cut(f"{title(write)} to end: {_progress(job)}"), "Runs")


def _progress(job: Json) -> str:
    status: Json = job.get("status") or {}
    return f"{status.get('active') or 0} pods active, {status.get('failed') or 0} failed"


ACTION = Action(
    "job",
    KINDS,
    plan,
    observe,
    always(CREATING),
    looks_at=frozenset({"jobs"}),
    fields=frozenset({"Job of CronJob"}),
)
