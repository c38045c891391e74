"""What a table of reasons holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One reason."""

    name: str
    """The word itself."""
    meaning: str
    """What has happened."""
    remedy: str
    """What people do about it."""
    source: str = ""
    """Who says so: a guard's name on the incident, an action, the type of a condition."""
    refuses: bool = False
    """Of a hold: whether the rung is passed over. Else it waits, and looks again."""


NOTHING = "Nothing: it goes on by itself."
"""What people do about what ends by itself."""
