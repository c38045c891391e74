"""Jobs that are made from a CronJob, as `kubectl create job --from` makes them (kubectl, `create_job.go`).

A Job begins suspended, and is released only once it is written down that it is there. So one that is not there any more
is never made a second time, however soon it ended and was tidied away: it was recorded before it could run.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from goldseam.api.incident import Step, Write
from goldseam.engine.objects import INCIDENT, TOKEN, Json, annotation, condition_of, controlled_by, metadata
from goldseam.engine.proposal import World, place
from goldseam.engine.reboots import is_pinned, pinned

GENERATION = "goldseam.dev/generation"
"""Of which generation of its CronJob a Job is: what was approved is what runs."""
TTL = "ttlSecondsAfterFinished"
SEEN_FOR = 3600
"""Seconds for which a Job that has ended is kept at least."""
MANUAL = "cronjob.kubernetes.io/instantiate"
_LONGEST = 63 - 17
"""Characters of the CronJob's name in the Job's: its pods carry that as a label, and a token follows it."""


def job_name(cron_job: str, token: str) -> str:
    """The Job's name: whoever makes it again, makes the same."""
    return f"{cron_job[:_LONGEST].rstrip('-.')}-{token}"


def job_from(cron_job: Json, write: Write, incident: str) -> dict[str, Any]:
    """The Job as kubectl makes it, with our marks, and suspended.

    No `blockOwnerDeletion`, as kubectl: it would ask for a right on the CronJob's finalizers.
    """
    template: Json = cron_job["spec"]["jobTemplate"]
    marks = {TOKEN: named(write).rpartition("-")[2], INCIDENT: incident, GENERATION: str(write.generation)}
    ref = write.object
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": ref.name, "uid": ref.uid, "controller": True}
    spec = {**(template.get("spec") or {}), "suspend": True}
    if TTL in spec:  # its end must be seen, also by the leader that comes after one that has died
        spec[TTL] = max(int(spec[TTL]), SEEN_FOR)
    if write.node is not None:
        spec = pinned(spec, write.node)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": named(write),
            "namespace": ref.namespace,
            "labels": dict(metadata(template).get("labels") or {}),
            "annotations": {MANUAL: "manual", **(metadata(template).get("annotations") or {}), **marks},
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def named(write: Write) -> str:
    """The name of the Job that the write makes; empty where it is none of ours."""
    try:
        name = json.loads(write.want)
    except ValueError:
        return ""
    return name if isinstance(name, str) else ""


def title(write: Write) -> str:
    """The Job, for messages."""
    return f"Job {write.object.namespace}/{named(write)}"


def made_by(write: Write, world: World) -> Json | None:
    """The Job of that name, whoever made it."""
    return world.touched.get(place("Job", write.object.namespace, named(write)))


def is_of(job: Json, cron_job: str) -> bool:
    """Whether the CronJob of that uid controls the Job."""
    return controlled_by(job, cron_job)


def is_ours(job: Json, write: Write, token: str) -> bool:
    """Whether the write made it: its token, of that CronJob, as that was when it was planned, for that boot."""
    marks = annotation(job, TOKEN), annotation(job, GENERATION)
    mine = marks == (token, str(write.generation)) and bool(token) and is_of(job, write.object.uid)
    return mine and is_pinned(job, write)


def suspended(job: Json) -> bool:
    """Whether it has not been released yet."""
    return bool((job.get("spec") or {}).get("suspend"))


def ended(job: Json) -> Literal["", "Complete", "Failed"]:
    """How it has ended; empty while it has not (kubernetes `pkg/controller/job`, IsJobFinished)."""
    if condition_of(job, "Complete").get("status") == "True":
        return "Complete"
    return "Failed" if condition_of(job, "Failed").get("status") == "True" else ""


def why_failed(job: Json) -> str:
    """The reason that its controller gives, such as `BackoffLimitExceeded`."""
    failed = condition_of(job, "Failed")
    reason = str(failed.get("reason")) if failed.get("status") == "True" else ""
    return reason if re.fullmatch(r"[A-Za-z]{1,64}", reason) else "no reason given"


def waiting(step: Step) -> str:
    """A Job of the step that was made and never released, for people, who may delete it; empty where there is none."""
    left = [title(w) for w in step.writes if w.verb == "Create" and w.before and w.state in ("Pending", "Refused")]
    return f"; {left[0]} was made, but never let run: delete it" if left else ""
