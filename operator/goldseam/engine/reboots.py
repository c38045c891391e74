"""Reboots of nodes: where their CronJob is, and how a Job is pinned to one boot of one node.

The kubelet reports what `/proc/sys/kernel/random/boot_id` says (cadvisor, `machine/info.go`; kubernetes
`pkg/kubelet/nodestatus/setters.go`, MachineInfo). The Job's command compares that very file with the pin, so a pod that
runs after the boot, for whatever reason, does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from goldseam.api.incident import Write
from goldseam.api.ladder import Rung
from goldseam.api.pins import LONGEST_BOOT_ID, NodePin
from goldseam.engine.objects import Json, annotation, condition_of, metadata

NAMESPACE = "goldseam-reboot"
CRON_JOB = "reboot"
BOOT_ID = "goldseam.dev/boot-id"
"""The annotation of the Job's pod that says of which boot it is; its command reads it by the downward API."""


NOT_CORDONED = "reboot is refused on a node that takes new pods, and no rung before it cordons or drains"
"""What is said of a ladder with `uncordoned` reboots."""


def uncordoned(ladder: Iterable[Rung]) -> Iterator[int]:
    """The places, from 0 on, of the reboots that come to a node which the ladder itself has not taken out of service.
    Somebody else's controller may have, where a template is made for it, or a Job."""
    out = False
    for place, rung in enumerate(ladder):
        if rung.cordon or rung.drain or rung.out_of_service or rung.template or rung.job:
            out = True
        elif rung.uncordon:
            out = False
        elif rung.reboot and not out:
            yield place


def boot_id(node: Json) -> str:
    """Under which bootID the node says that it runs; empty where it does not say so, or says what is none."""
    said = str(((node.get("status") or {}).get("nodeInfo") or {}).get("bootID") or "")
    return said if len(said) <= LONGEST_BOOT_ID else ""


def is_silent(node: Json) -> bool:
    """Whether its kubelet reports nothing any more, so that no Job runs there (kubernetes
    `pkg/controller/nodelifecycle`: Ready becomes Unknown)."""
    return condition_of(node, "Ready").get("status") not in ("True", "False")


def pinned(spec: Mapping[str, Any], pin: NodePin) -> dict[str, Any]:
    """The Job's spec, for this boot of this node; no scheduler is asked, so a cordon is no obstacle."""
    template: Json = spec["template"]
    meta = metadata(template)
    marks = {**(meta.get("annotations") or {}), BOOT_ID: pin.boot_id}
    pod = {**template["spec"], "nodeName": pin.name}
    return {**spec, "template": {**template, "metadata": {**meta, "annotations": marks}, "spec": pod}}


def is_pinned(job: Json, write: Write) -> bool:
    """Whether the Job is for the node, and the boot, that the write names; any Job is where it names none."""
    if write.node is None:
        return True
    found = node_of(job), annotation((job.get("spec") or {}).get("template") or {}, BOOT_ID)
    return found == (write.node.name, write.node.boot_id)


def node_of(job: Json) -> str:
    """On which node the Job runs; empty where it names none."""
    template = (job.get("spec") or {}).get("template") or {}
    return str((template.get("spec") or {}).get("nodeName") or "")


def keeps_the_pin(cron_job: Json) -> str:
    """Why a Job of it might reboot a node twice, or long after it was asked to; empty where it does not."""
    spec: Json = cron_job["spec"]["jobTemplate"]["spec"]
    pod: Json = spec["template"]["spec"]
    if pod.get("restartPolicy") != "Never" or spec.get("backoffLimit") != 0:
        return "its pod would be started again: write restartPolicy: Never and backoffLimit: 0"
    if not spec.get("activeDeadlineSeconds"):
        return "a Job of it would wait without end for a silent node: write activeDeadlineSeconds, such as 300"
    if not any(_reads_the_pin(container) for container in pod.get("containers") or ()):
        return (
            f"none of its containers reads the annotation {BOOT_ID} (env, fieldRef): without it the command cannot"
            " tell whether the node has rebooted already"
        )
    return ""


def _reads_the_pin(container: Json) -> bool:
    fields = (((one.get("valueFrom") or {}).get("fieldRef") or {}) for one in container.get("env") or ())
    return any(field.get("fieldPath") == f"metadata.annotations['{BOOT_ID}']" for field in fields)
