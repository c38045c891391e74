"""Which PersistentVolumes are attached to a node."""

from __future__ import annotations

from dataclasses import replace

from goldseam.actions.nodes import node_ref
from goldseam.engine.proposal import World
from goldseam.resources import VOLUME_ATTACHMENTS
from goldseam.services.reads import Reads


async def with_attached(world: World, reads: Reads) -> World:
    """The world of a node with the volumes that are attached to it, by one list: the API server selects
    VolumeAttachments by no field but their name.

    A volume is attached until its VolumeAttachment is gone. Where the right to read them is missing, that is said, and
    nothing waits for it.
    """
    if world.target is None:
        return world
    aside, name = reads.aside(), node_ref(world.target).name
    found = [attachment.get("spec") or {} for attachment in await aside.all(VOLUME_ATTACHMENTS)]
    if aside.closed:
        return replace(world, closed=world.closed | {"attachments"})
    reads.unknown += aside.unknown
    volumes = ((spec.get("source") or {}).get("persistentVolumeName") for spec in found if spec.get("nodeName") == name)
    return replace(world, attached=frozenset(str(volume) for volume in volumes if volume))
