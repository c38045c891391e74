"""What is pinned: one object, by its uid; one boot of a node."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from goldseam.api.base import Record, Uid

LONGEST_BOOT_ID = 128
"""Characters of a bootID; Linux has 36."""


class NodePin(Record):
    """One boot of one node: after the next boot the write is of no effect."""

    name: Annotated[str, Field(max_length=253)]
    """The node's name."""
    boot_id: Annotated[str, Field(max_length=LONGEST_BOOT_ID)]
    """The node's `status.nodeInfo.bootID` when it was planned."""


class ObjectRef(Record):
    """One object of the cluster, pinned by its uid."""

    api_version: Annotated[str, Field(max_length=253)]
    """The object's apiVersion."""
    kind: Annotated[str, Field(max_length=63)]
    """The object's kind."""
    namespace: Annotated[str, Field(max_length=63)] = ""
    """The object's namespace; empty for cluster-scoped kinds."""
    name: Annotated[str, Field(max_length=253)]
    """The object's name."""
    uid: Uid
    """The object's uid: another object of the same name is another object."""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"
