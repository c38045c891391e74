"""What a write is pinned to, beside the object that it writes to."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from goldseam.api.base import Record


class NodePin(Record):
    """One boot of one node: after the next boot the write is of no effect."""

    name: Annotated[str, Field(max_length=253)]
    """The node's name."""
    boot_id: Annotated[str, Field(max_length=128)]
    """The node's `status.nodeInfo.bootID` when it was planned."""
