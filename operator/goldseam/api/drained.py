"""What an Incident keeps of a drain for what comes after an eviction: volumes that let go, workloads that get well."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from goldseam.api.base import Record, Text, Time, Uid
from goldseam.api.pins import ObjectRef


class PodVolumes(Record):
    """The volumes of one pod that were attached to its node when its drain began."""

    names: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=64)]
    """The PersistentVolumes."""
    workload: Uid = ""
    """The uid of the pod's controller, of whose pods one goes at a time; empty where all these volumes can be used on
    several nodes at once."""
    gone_at: Time | None = None
    """When the pod was first seen to be gone."""


class Aftermath(Record):
    """What a drain waits for once its pods are gone: that their workloads are ready again, and their volumes detached.

    It is waited for five minutes, and no longer than the rung's time; then the drain is done nevertheless.
    """

    workloads: Annotated[list[ObjectRef], Field(max_length=256)] = []
    """The workloads that had pods on the node, each the topmost controller."""
    since: Time | None = None
    """When the pods were first seen to be gone."""
    until: Time | None = None
    """When all of it was seen to be so, or was not waited for any longer."""
    message: Text = ""
    """How it ended: what was there, and what was not."""
