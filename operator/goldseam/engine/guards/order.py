"""The guards in their order: the first that holds decides, all that hold are shown on the incident."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from goldseam.engine.guards.asking import approval, ceiling, lowered
from goldseam.engine.guards.breaker import breaker, storm
from goldseam.engine.guards.budget import budget, concurrent, cooldown, node_caps
from goldseam.engine.guards.busy import busy
from goldseam.engine.guards.collateral import collateral
from goldseam.engine.guards.destructive import destructive
from goldseam.engine.guards.forcing import forcing, switched_off
from goldseam.engine.guards.harm import disruption, headroom, owner, permission, protection
from goldseam.engine.guards.history import changed, failed
from goldseam.engine.guards.hold import Guard, Hold
from goldseam.engine.guards.knowledge import invalid, source, unread
from goldseam.engine.guards.leased import leased
from goldseam.engine.guards.narrow import narrowed
from goldseam.engine.guards.paused import everything_paused, paused
from goldseam.engine.guards.silenced import silenced
from goldseam.engine.guards.templates import templates
from goldseam.engine.guards.turn import turn
from goldseam.engine.guards.window import freeze, window
from goldseam.engine.situation import Situation
from goldseam.engine.turns import IN_TURN

BEFORE_ACTING: Sequence[Guard] = (
    paused,  # somebody asked us to stop
    unread,  # something that matters could not be read
    invalid,  # the policy cannot be understood now
    lowered,  # the mode was lowered to Observe
    source,  # the alert is not freshly firing
    silenced,  # people silenced it, or another alert inhibits it
    window,  # outside the hours in which anything may be done
    freeze,  # nothing may be done these days
    protection,  # the namespace is protected
    narrowed,  # the policy does not allow it any more
    ceiling,  # the namespace does not allow the action
    templates,  # the kind to be made is not one that the admin allows
    forcing,  # the node is not one on which a drain may end by force
    switched_off,  # the node is not one that may be taken for switched off
    changed,  # the target was changed just before: it would be of no use
    failed,  # the same did not help a short while ago
    busy,  # somebody else is at work on the target
    cooldown,  # we were here a short while ago
    turn,  # other nodes are worse
    budget,  # policy, namespace or cluster have had their share
    concurrent,  # the policy is at work on enough other targets
    node_caps,  # enough nodes are out of service for us
    leased,  # another operator is at work on the node
    breaker,  # too much is unhealthy at once
    storm,  # monitoring itself may be broken
    owner,  # somebody else owns the knob
    headroom,  # too few ready pods would be left
    disruption,  # a PodDisruptionBudget would be broken
    collateral,  # somebody is at work on what would go with the node
    destructive,  # data is lost, or nobody stands for it
    permission,  # the policy's identity may not do it
    approval,  # a person has to say yes
)
"""Before a step's first write."""

_ONCE = (cooldown, turn, budget, concurrent, approval)
RESUMING: Sequence[Guard] = tuple(guard for guard in BEFORE_ACTING if guard not in _ONCE)
"""Before the first write of an intent that was written before: the ledger counts it already, and it was approved."""

_OF_THE_FIRST = (budget, concurrent, node_caps)
"""Not asked for a node whose turn it is not: these hold the first of the line, and people are told of that one only."""

_OF_ACTING = (permission, approval)
REHEARSAL: Sequence[Guard] = tuple(guard for guard in BEFORE_ACTING if guard not in _OF_ACTING)
"""In mode Observe: rights and approvals are not needed, and what is missing is part of the record."""

OF_A_PLAN: Sequence[Guard] = (ceiling, node_caps, owner, headroom, disruption, collateral, permission, approval)
"""These judge what would be done; while something could not be read that is not known, and they let through."""

BETWEEN_WRITES: Sequence[Guard] = (paused, unread, busy, leased)
"""Before a step's later writes: the step is under way, and half a drain is worse than a whole one."""

_OF_THE_DRAIN = (ceiling, protection, changed, failed, node_caps, owner, headroom, disruption, destructive)
BEFORE_FORCING: Sequence[Guard] = tuple(guard for guard in RESUMING if guard not in _OF_THE_DRAIN)
"""Before what is left at the deadline of a drain is deleted: all that was asked before it was begun, but for what only
speaks of how a drain begins."""

BEFORE_UNDOING: Sequence[Guard] = (everything_paused, unread)
"""Before an obligation is paid; `obligations` adds the source for what takes capacity away."""


def not_asked(mode: str, reasons: Iterable[str], *, far_back: bool = False) -> Sequence[Guard]:
    """The guards that were not asked, by the mode of the incident and the reasons that hold: they are not `ok`.
    `far_back`: whether it waits so far back in a line that nobody asked what its identity may do."""
    reasons = set(reasons)
    if "NotRead" in reasons:
        return OF_A_PLAN
    if mode == "Observe" or reasons & {"ModeLowered", "PolicyInvalid"}:
        return _OF_ACTING
    return (*_OF_THE_FIRST, *((permission,) if far_back else ())) if IN_TURN in reasons else ()


def holding(guards: Sequence[Guard], s: Situation, now: datetime) -> list[Hold]:
    """All guards that hold, in order."""
    found: list[Hold] = []
    for guard in guards:
        behind = any(hold.reason == IN_TURN for hold in found)
        if not (behind and guard in _OF_THE_FIRST) and (hold := guard(s, now)) is not None:
            found.append(hold)
    return found
