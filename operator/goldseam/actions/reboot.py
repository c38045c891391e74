"""reboot: have a node that is cordoned and empty reboot once, by one Job that is pinned to one boot of that node.

Whether it has rebooted the node alone tells, by its bootID. How the Job ends does not: the machine goes down under its
pod, so that it may end well, fail (a kubelet that shuts down says so of its pods), or stay as it is.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from goldseam.actions.drain import going
from goldseam.actions.job import CREATING, switched_off
from goldseam.actions.nodes import belongs, endangered, node_ref, shared, theirs
from goldseam.actions.replies import GONE, bounded, refusal
from goldseam.api.base import Model
from goldseam.api.incident import Step, Write
from goldseam.api.ladder import Reboot
from goldseam.api.pins import NodePin
from goldseam.engine.jobs import ended, is_of, job_name, made_by, suspended, title
from goldseam.engine.objects import (
    TOKEN,
    Json,
    annotation,
    condition_of,
    cordoned,
    cordoned_by_us,
    ends_at,
    is_ready,
    metadata,
    reference,
)
from goldseam.engine.objects import title as pod_title
from goldseam.engine.proposal import Action, Effect, Plan, Proposal, Refusal, World, always
from goldseam.engine.reboots import CRON_JOB, NAMESPACE, boot_id, is_silent, keeps_the_pin, node_of
from goldseam.engine.record import cut

RUNNING = replace(CREATING, namespace=NAMESPACE, piece="reboot")
"""The right to run that one CronJob."""


def plan(parameters: Model, world: World, token: str) -> Plan:
    """One Job of the CronJob as it is now, for this boot of the node."""
    assert isinstance(parameters, Reboot)
    if world.target is None:
        return GONE
    if refused := endangered(world, opted_in=parameters.control_plane) or unfit(world.cron_job):
        return refused
    assert world.cron_job is not None
    return _not_now(world.target, world, token) or _not_empty(world.target, world) or _proposed(world, token)


def unfit(cron_job: Json | None) -> Refusal | None:
    """Why no node is rebooted by this CronJob, whichever it is."""
    if cron_job is None or metadata(cron_job).get("deletionTimestamp"):
        missing = f"there is no CronJob {NAMESPACE}/{CRON_JOB}: install the component reboot of deploy/kustomize"
        return refusal("CronJobMissing", missing)
    ref = reference(cron_job, "batch/v1", "CronJob")
    if off := switched_off(cron_job, ref):
        return off
    why = keeps_the_pin(cron_job)
    return refusal("CronJobUnfit", f"{ref}: {why}") if why else None


def _not_empty(node: Json, world: World) -> Refusal | None:
    """Nothing that a drain would evict may be on it, nor what is on its way out and has time left for that."""
    ref = node_ref(node)
    if not cordoned(node):
        return refusal("NotCordoned", f"{ref} takes new pods: put a rung with drain before the reboot")
    if left := going(world):
        names = bounded([pod_title(pod) for pod in left])
        return refusal("NotDrained", f"pods on {ref} would go down with it: {names}; put a rung with drain before")
    if ending := [pod for pod in world.pods if not belongs(pod) and _has_time(pod, world.now)]:
        return Refusal(
            "PodsEnding", cut(f"pods on {ref} are ending: {bounded([pod_title(p) for p in ending])}"), waits=True
        )
    return None


def _has_time(pod: Json, now: datetime) -> bool:
    """Whether it is terminating, and its grace period is not over."""
    until = ends_at(pod)
    return until is not None and until > now


def _not_now(node: Json, world: World, token: str) -> Refusal | None:
    ref = node_ref(node)
    if is_silent(node):
        message = (
            f"the kubelet of {ref} reports nothing (Ready is Unknown), so no Job runs there: let its machine be"
            " restarted from outside, as by action template and a remediation of Medik8s"
        )
        return refusal("KubeletSilent", message)
    if not boot_id(node):
        return refusal("BootIdUnknown", f"{ref} has no status.nodeInfo.bootID, so nothing would show that it rebooted")
    for job in world.jobs:
        if _is_at_work(job, world, token):
            name = metadata(job).get("name")
            return Refusal("JobRunning", cut(f"Job {NAMESPACE}/{name} is at work on {ref}"), waits=True)
    return None


def _is_at_work(job: Json, world: World, token: str) -> bool:
    """Whether another step, or a person, reboots the node just now. What was never released does not run."""
    assert world.cron_job is not None
    assert world.target is not None
    where = node_of(job) == metadata(world.target).get("name")
    mine = is_of(job, str(metadata(world.cron_job).get("uid"))) and annotation(job, TOKEN) != token
    return where and mine and not suspended(job) and not _is_over(job)


def _is_over(job: Json) -> bool:
    """Whether it has ended, or will start no pod any more. `Failed` comes only once its pod is gone, which on a silent
    node is never; `FailureTarget` comes before (Kubernetes documentation, Jobs, "Termination of Job pods")."""
    return bool(ended(job)) or condition_of(job, "FailureTarget").get("status") == "True"


def _proposed(world: World, token: str) -> Proposal:
    assert world.target is not None
    assert world.cron_job is not None
    node, ref = world.target, reference(world.cron_job, "batch/v1", "CronJob")
    generation = int(metadata(world.cron_job).get("generation") or 0)
    pod: dict[str, Any] = world.cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    images = bounded([str(container.get("image")) for container in pod.get("containers") or ()])
    pin = NodePin(name=node_ref(node).name, boot_id=boot_id(node))
    want = json.dumps(job_name(ref.name, token))
    return Proposal(
        writes=(Write(verb="Create", object=ref, generation=generation, want=want, node=pin),),
        summary=cut(f"reboot {node_ref(node)} by {ref}, as of generation {generation}, image {images}{theirs(node)}"),
        rights=(RUNNING,),
        obligations=shared(node, world),
        takes_nodes=0 if cordoned_by_us(node) else 1,
    )


def observe(step: Step, world: World) -> Effect:
    """Done when the node runs under another bootID, and is Ready. While its Job is at work nothing else is tried."""
    node = world.target
    write = next((write for write in step.writes if write.verb == "Create" and write.node is not None), None)
    if node is None or write is None or write.node is None:
        return _awaited(GONE.message)
    ref = node_ref(node)
    if boot_id(node) not in ("", write.node.boot_id):
        if is_ready(node):
            return Effect(True, cut(f"{ref} has rebooted and is Ready"), "Ended")
        return _awaited(f"{ref} to be Ready: it has rebooted")
    job = made_by(write, world)
    if job is not None and not suspended(job) and not _is_over(job):
        return Effect(False, cut(f"{ref} to reboot: {title(write)} is at work"), "Runs")
    how = "is gone" if job is None else f"has ended ({ended(job) or 'Failed'})"
    return _awaited(f"{ref} to report another bootID: {title(write)} {how}")


def _awaited(message: str) -> Effect:
    """Whatever `verify.rollout` says: an alert that is over does not make a node one that is back."""
    return Effect(False, cut(message), asked_for=True)


ACTION = Action(
    "reboot",
    frozenset({"Node"}),
    plan,
    observe,
    always(RUNNING),
    looks_at=frozenset({"jobs"}),
    fields=frozenset({"Job of CronJob"}),
)
