"""What an incident found: what changed on its target before the alert, and how things were before anything was done."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from goldseam.api.base import Record, Time

ChangeText = Annotated[str, Field(max_length=128)]


class Change(Record):
    """Something that changed on the target shortly before the alert began."""

    at: Time
    """When, by the API server's clock."""
    what: ChangeText
    """What changed, such as `image of container api`."""
    before: ChangeText = ""
    """The value before; empty where it is not known or not shown."""
    after: ChangeText = ""
    """The value since; empty where it is not shown."""
    by: ChangeText = ""
    """Who changed it: the field manager, as managedFields name it; empty where that cannot be told."""


class Evidence(Record):
    """How something was before anything was changed."""

    at: Time
    """When it was read."""
    about: Annotated[str, Field(max_length=128)]
    """What it is about, such as `Pod api-1`."""
    text: Annotated[str, Field(max_length=256)]
    """How it was."""
    missing: bool = False
    """Whether it could not be read; then the text says why."""
    log: Annotated[str, Field(max_length=2048)] | None = None
    """Of a container: the end of what it wrote, without what looks like a secret."""
