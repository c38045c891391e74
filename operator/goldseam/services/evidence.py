"""What a Job has said before it ended: the end of its newest pod's log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goldseam.api.incident import IncidentStatus
from goldseam.engine.jobs import ended, is_ours, made_by
from goldseam.engine.objects import controlled_by, metadata
from goldseam.engine.proposal import World
from goldseam.engine.record import cut
from goldseam.engine.redaction import LINES, end_of
from goldseam.resources import PODS
from goldseam.services.reads import Reads

JOB_NAME = "batch.kubernetes.io/job-name"


async def last_words(status: IncidentStatus, world: World, reads: Reads) -> str:
    """Of the Job that the open step has started, once it has ended; empty before that, and once it was kept."""
    step = status.open_step()
    if step is None or step.phase != "Acted" or step.ran_until is not None:
        return ""
    write = next((write for write in step.writes if write.verb == "Create"), None)
    job = made_by(write, world) if write is not None else None
    if write is None or write.node is not None:  # of a reboot the node tells how it went
        return ""
    if job is None or not is_ours(job, write, step.token) or not ended(job):
        return ""
    return await _log(job, reads)


async def _log(job: Mapping[str, Any], reads: Reads) -> str:
    meta, aside = metadata(job), reads.aside()  # it is worth nothing to a decision: none waits for it
    found = await aside.all(PODS, str(meta["namespace"]), labels=f"{JOB_NAME}={meta['name']}")
    if aside.unknown:
        return cut(f"the log was not read: {aside.unknown[0]}")
    pods = [pod for pod in found if controlled_by(pod, meta["uid"])]
    if not pods:
        return "the log was not read: none of the Job's pods is left"
    newest = max(pods, key=lambda pod: str(metadata(pod).get("creationTimestamp") or ""))
    log, problem = await reads.log(str(meta["namespace"]), str(metadata(newest)["name"]), _container(newest), LINES)
    return cut(f"the log was not read: {problem}") if problem else end_of(log) or "the log is empty"


def _container(pod: Mapping[str, Any]) -> str:
    """The first container that ended in vain, or else the first."""
    for one in (pod.get("status") or {}).get("containerStatuses") or ():
        if ((one.get("state") or {}).get("terminated") or {}).get("exitCode"):
            return str(one["name"])
    return str(pod["spec"]["containers"][0]["name"])
