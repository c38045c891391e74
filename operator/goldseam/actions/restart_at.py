"""A restart of an Argo Rollout by its own controller: `spec.restartAt`, as `kubectl argo rollouts restart` writes it.

The controller evicts what was created before that time, as long as all but `maxUnavailable` pods (of which at least one
may go) are available: with more missing it restarts none, not even those that are broken (argo-rollouts 1.9
`rollout/restart.go`). The time is one second after the newest pod was made, by the API server's clock: no other is
compared.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from goldseam.actions import pods
from goldseam.actions.ownership import by_controller, by_gitops
from goldseam.actions.replies import effect, refusal
from goldseam.actions.replies import pods as counted
from goldseam.actions.rollout import course
from goldseam.actions.writes import patch
from goldseam.api.incident import Step
from goldseam.engine.objects import RESTART_AT, Json, Workload, metadata, reference, share, value_at
from goldseam.engine.owners import controller_owner, gitops_owner
from goldseam.engine.proposal import Effect, Plan, Proposal, Refusal, Right, World

ASKING = Right("patch", "argoproj.io", "rollouts", piece="rollouts-restart")
"""The right to have Rollouts restarted."""
_INSTEAD = "write method: Eviction"


def plan(workload: Workload, world: World, right: Right) -> Plan:
    """The time into the Rollout."""
    ref, own = reference(workload.obj), pods.running(world)
    if refused := _refused(workload, own):
        return refused
    newest = max(datetime.fromisoformat(str(metadata(pod)["creationTimestamp"])) for pod in own)
    at = (newest + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Proposal(
        writes=(patch(ref, workload.obj, RESTART_AT, json.dumps(at)),),
        summary=f"restart {ref} by restartAt ({counted(len(own))})",
        rights=(right,),
        takes_ready=min(_at_once(workload), workload.ready),
        by_eviction=True,
    )


def _refused(workload: Workload, own: list[Json]) -> Refusal | None:
    obj, ref = workload.obj, reference(workload.obj)
    if owner := controller_owner(obj):
        return by_controller(owner, ref, "a restart half-way", _INSTEAD)
    if owner := gitops_owner(obj, RESTART_AT):
        return by_gitops(owner, ref, RESTART_AT)
    if not own or workload.available <= workload.replicas - _at_once(workload):
        few = f"{workload.available} of {workload.replicas} pods of {ref} are available"
        return refusal("RestartHeldBack", f"{few}, too few for Argo Rollouts to restart any: {_INSTEAD}")
    return None


def _at_once(workload: Workload) -> int:
    """How many the controller lets be unavailable while it restarts."""
    canary: Json = (workload.spec.get("strategy") or {}).get("canary") or {}
    return max(share(canary.get("maxUnavailable", "25%"), workload.replicas, up=False), 1)


def restarted(step: Step, world: World) -> Effect:
    """Done when the controller says that it has restarted all as of that time, and all are available."""
    assert world.target is not None
    at, workload = value_at(world.target, RESTART_AT), Workload(world.target)
    if at != step.writes[0].want:
        return effect(False, f"{RESTART_AT} of {reference(world.target)} is not what the restart has set")
    if json.dumps(workload.status.get("restartedAt")) != at:
        return effect(False, f"{reference(world.target)} is being restarted by its controller: {workload.progress}")
    return course(workload)
