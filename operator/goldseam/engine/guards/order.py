"""The guards in their order: the first that holds decides, all that hold are shown on the incident."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from goldseam.engine.guards.budget import budget, cooldown, node_caps
from goldseam.engine.guards.busy import busy
from goldseam.engine.guards.harm import headroom, owner, permission, protection
from goldseam.engine.guards.hold import Guard, Hold
from goldseam.engine.guards.knowledge import invalid, source, unread
from goldseam.engine.guards.narrow import narrowed
from goldseam.engine.guards.paused import everything_paused, paused
from goldseam.engine.situation import Situation

BEFORE_ACTING: Sequence[Guard] = (
    paused,  # somebody asked us to stop
    unread,  # something that matters could not be read
    invalid,  # the policy cannot be understood now
    source,  # the alert is not freshly firing
    protection,  # the namespace is protected
    narrowed,  # the policy does not allow it any more
    busy,  # somebody else is at work on the target
    cooldown,  # we were here a short while ago
    budget,  # policy, namespace or cluster have had their share
    node_caps,  # enough nodes are out of service for us
    owner,  # somebody else owns the knob
    headroom,  # too few ready pods would be left
    permission,  # the policy's identity may not do it
)
"""Before a step's first write."""

RESUMING: Sequence[Guard] = tuple(guard for guard in BEFORE_ACTING if guard not in (cooldown, budget))
"""Before the first write of an intent that was written before: the ledger counts it already."""

REHEARSAL: Sequence[Guard] = tuple(guard for guard in BEFORE_ACTING if guard is not permission)
"""In mode Observe: rights are not needed yet, and what is missing is part of the record."""

BETWEEN_WRITES: Sequence[Guard] = (paused, unread)
"""Before a step's later writes: the step is under way, and half a drain is worse than a whole one."""

BEFORE_UNDOING: Sequence[Guard] = (everything_paused, unread)
"""Before an obligation is paid; `obligations` adds the source for what takes capacity away."""


def holding(guards: Sequence[Guard], s: Situation, now: datetime) -> list[Hold]:
    """All guards that hold, in order."""
    return [hold for guard in guards if (hold := guard(s, now)) is not None]
