"""What a guard answers when it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from goldseam.engine.situation import Situation

NOT_ALL_THERE = "NotAllThere"
"""The reason of a hold for pods that must be there."""
COUNTING = frozenset({NOT_ALL_THERE, "WorkloadBusy", "StillRunning"})
"""The reasons of holds that say how far something is."""


@dataclass(frozen=True)
class Hold:
    """Why nothing is done now. `Wait`: looked at again. `Refuse`: the rung is passed over."""

    guard: str
    kind: Literal["Wait", "Refuse"]
    reason: str
    message: str
    until: datetime | None = None
    """When it ends by itself, where that is known."""
    place: int | None = None
    """The incident's place in its line, as it is told."""


Guard = Callable[[Situation, datetime], Hold | None]
"""From a situation and the time to a hold, or None where the guard lets through."""
