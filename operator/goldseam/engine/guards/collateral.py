"""Guard: somebody is at work on a workload whose pods would go with their node, or wants it left alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from goldseam.api.incident import ObjectRef
from goldseam.engine.guards.budget import limits
from goldseam.engine.guards.hold import Hold
from goldseam.engine.guards.paused import in_words
from goldseam.engine.objects import IGNORE, Json, Workload, annotation, condition_of, metadata, reference
from goldseam.engine.owners import autoscalers_of
from goldseam.engine.record import cut
from goldseam.engine.situation import Situation


def collateral(s: Situation, now: datetime) -> Hold | None:
    """Somebody is at work on a workload with pods on the node, was so just before, or wants it left alone.

    Its autoscaler, or an incident of its own; it was acted on less than `limits.cooldown` ago; or it is paused. Where
    its pods are on a machine that is off, only the last is asked: what else is under way waits for these pods.
    """
    switched_off = s.rung is not None and s.rung.out_of_service is not None
    hit = [(reference(one.workload), one.workload) for one in s.world.hit or ()]
    hit.sort(key=lambda one: str(one[0]))  # else which one is named changed with which pods are ready
    for ref, workload in hit:
        for question in _QUESTIONS[:1] if switched_off else _QUESTIONS:
            if hold := question(s, workload, ref, now):
                return hold
    return None


def _paused(s: Situation, workload: Json, ref: ObjectRef, now: datetime) -> Hold | None:
    if pause := s.pauses_of_hit.get(ref.uid):
        return Hold("collateral", "Wait", "WorkloadPaused", _about(ref, in_words(pause)), pause.ends)
    if annotation(workload, IGNORE) == "true":
        return Hold("collateral", "Wait", "WorkloadPaused", _about(ref, f"it carries the annotation {IGNORE}"))
    return None


def _rolls_out(s: Situation, workload: Json, ref: ObjectRef, now: datetime) -> Hold | None:
    """Not for one that is stuck; of a bare ReplicaSet nothing is rolled out."""
    found = Workload(workload)
    if ref.kind == "ReplicaSet" or not found.updating or found.stuck:
        return None
    return Hold("collateral", "Wait", "WorkloadBusy", _about(ref, f"a rollout of it is in progress ({found.progress})"))


def _scales(s: Situation, workload: Json, ref: ObjectRef, now: datetime) -> Hold | None:
    """An HPA that has no metrics wants what it wanted once, or nothing, and scales nobody (ScalingActive)."""
    near = [hpa for hpa in s.world.hpas if metadata(hpa).get("namespace") == ref.namespace]
    for hpa in autoscalers_of(workload, near):
        status = hpa.get("status") or {}
        there, wanted = status.get("currentReplicas"), status.get("desiredReplicas")
        if condition_of(hpa, "ScalingActive").get("status") == "True" and there != wanted:
            name = metadata(hpa).get("name")
            return Hold(
                "collateral",
                "Wait",
                "WorkloadBusy",
                _about(ref, f"HorizontalPodAutoscaler {name} scales it from {there} to {wanted}"),
            )
    return None


def _acted_on(s: Situation, workload: Json, ref: ObjectRef, now: datetime) -> Hold | None:
    """By an incident of its own namespace: one of another says nothing of it."""
    for other in s.others:
        if other.works_on == ref.uid and other.name.startswith(f"{ref.namespace}/"):
            return Hold("collateral", "Wait", "WorkloadBusy", _about(ref, f"Incident {other.name} is acting on it"))
    return None


def _lately(s: Situation, workload: Json, ref: ObjectRef, now: datetime) -> Hold | None:
    name = f"{ref.kind}/{ref.namespace}/{ref.name}"
    last = max((entry.last for entry in s.ledger.entries if entry.target == name), default=None)
    ends = now if last is None else last + max(each.cooldown for each in limits(s))
    if last is None or ends <= now:
        return None
    message = f"it was acted on at {last:%H:%M:%S} UTC; limits.cooldown ends at {ends:%H:%M:%S} UTC"
    return Hold("collateral", "Wait", "WorkloadCooldown", _about(ref, message), ends)


_QUESTIONS: Sequence[Callable[[Situation, Json, ObjectRef, datetime], Hold | None]] = (
    _paused,
    _rolls_out,
    _scales,
    _acted_on,
    _lately,
)


def _about(ref: ObjectRef, why: str) -> str:
    return cut(f"{ref} has pods on the node: {why}")
