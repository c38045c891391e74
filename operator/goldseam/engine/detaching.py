"""The volumes of pods that a drain ends: which of them the node has not let go yet."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from goldseam.api.incident import Step, Write
from goldseam.engine.objects import metadata
from goldseam.engine.proposal import World

PATIENCE = timedelta(minutes=5)
"""For how long, once pods are gone, it is waited for that their volumes are detached and their workloads ready again.

A volume that its node has unmounted is detached within seconds to a minute. One that it has not, the attach-detach
controller takes away after six minutes (`ReconcilerMaxWaitForUnmountDuration` in kubernetes
`pkg/controller/volume/attachdetach/attach_detach_controller.go`): that is waited for by nobody here.
"""


def seen(step: Step, world: World) -> Step:
    """The step with when its pods with volumes were first seen to be gone."""
    here = on_node(world)

    def looked_at(write: Write) -> Write:
        volumes = write.volumes
        if volumes is None or volumes.gone_at is not None or write.object.uid in here:
            return write
        return write.model_copy(update={"volumes": volumes.model_copy(update={"gone_at": world.now})})

    return step.model_copy(update={"writes": [looked_at(write) for write in step.writes]})


def on_node(world: World) -> frozenset[str]:
    """The uids of the pods that are on the node, be it on their way out."""
    return frozenset(str(metadata(pod).get("uid")) for pod in world.pods)


def still_attached(writes: Iterable[Write], world: World) -> list[str]:
    """The volumes that the node has not let go, of those of these pods that are gone; what another one of them uses on
    the node, it need not let go. None where it is not known."""
    here, moved = on_node(world), [write for write in writes if write.volumes is not None]
    used = {name for write in moved if write.object.uid in here for name in _names(write)}
    free = {name for write in moved if write.object.uid not in here for name in _names(write)}
    return sorted(name for name in free - used if name in (world.attached or ()))


def _names(write: Write) -> list[str]:
    return write.volumes.names if write.volumes is not None else []


def waited_for(write: Write, world: World) -> bool:
    """Whether the pod of the write is gone, and not for so long that its volumes are not waited for any more."""
    if write.volumes is None or write.object.uid in on_node(world):
        return False
    return write.volumes.gone_at is None or world.now < write.volumes.gone_at + PATIENCE
