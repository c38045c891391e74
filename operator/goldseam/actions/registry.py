"""All actions that write, by name."""

from __future__ import annotations

from collections.abc import Mapping

from goldseam.actions import (
    cordon,
    delete_pods,
    drain,
    job,
    out_of_service,
    patch_config,
    reboot,
    resources,
    restart,
    rollback,
    scale,
    template,
    uncordon,
)
from goldseam.engine.proposal import Action

ACTIONS: Mapping[str, Action] = {
    "scale": scale.ACTION,
    "restart": restart.ACTION,
    "deletePods": delete_pods.ACTION,
    "patchConfig": patch_config.ACTION,
    "resources": resources.ACTION,
    "rollback": rollback.ACTION,
    "job": job.ACTION,
    "cordon": cordon.ACTION,
    "drain": drain.ACTION,
    "outOfService": out_of_service.ACTION,
    "reboot": reboot.ACTION,
    "uncordon": uncordon.ACTION,
    "template": template.ACTION,
}
