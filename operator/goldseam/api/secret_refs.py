"""References to Secrets in the operator's own namespace."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from goldseam.api.base import Model, Name
from goldseam.api.constraints import Pattern


class SecretRef(Model):
    """A Secret in the operator's own namespace."""

    name: Name
    """The Secret's name."""


class SecretKeyRef(Model):
    """One key of a Secret in the operator's own namespace."""

    name: Name
    """The Secret's name."""
    key: Annotated[
        str,
        Field(min_length=1, max_length=253),
        Pattern(r"^[-._a-zA-Z0-9]+$", "must be a key of a Secret: letters, digits, -, _ and ."),
    ]
    """The key inside the Secret."""
