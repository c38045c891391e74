"""All actions that write, by name."""

from __future__ import annotations

from collections.abc import Mapping

from goldseam.actions import cordon, delete_pods, drain, job, patch_config, restart, rollback, scale, uncordon
from goldseam.engine.proposal import Action, Right

ACTIONS: Mapping[str, Action] = {
    "scale": scale.ACTION,
    "restart": restart.ACTION,
    "deletePods": delete_pods.ACTION,
    "patchConfig": patch_config.ACTION,
    "rollback": rollback.ACTION,
    "job": job.ACTION,
    "cordon": cordon.ACTION,
    "drain": drain.ACTION,
    "uncordon": uncordon.ACTION,
}

_PIECES = {"horizontalpodautoscalers": "hpa", "scaledobjects": "keda", "rollouts": "rollouts"}


def piece(right: Right, action: str) -> str:
    """The component of `deploy/kustomize` that brings this right of an action."""
    return right.piece or _PIECES.get(right.resource) or (ACTIONS[action].component if action in ACTIONS else "")
