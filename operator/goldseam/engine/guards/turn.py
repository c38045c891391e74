"""Guard: other nodes are worse, and the caps let few at once."""

from __future__ import annotations

from datetime import datetime

from goldseam.engine.guards.budget import room
from goldseam.engine.guards.hold import Hold
from goldseam.engine.proposal import Proposal
from goldseam.engine.situation import Situation
from goldseam.engine.turns import admitted, line_of, said


def turn(s: Situation, now: datetime) -> Hold | None:
    """Other nodes need it more and wait as well: the worst goes first, zones in turn. The first of the line is held by
    nothing but the caps and budgets themselves."""
    if not s.acts or s.status.open_step() is not None or s.world.target is None:
        return None
    if not isinstance(s.plan, Proposal) or not s.plan.takes_nodes:
        return None
    line = line_of(s, now)
    if line[0].uid == s.uid or s.uid in admitted(line, room(s, line)):
        return None
    place, message = said(line, s.uid)
    return Hold("nodes", "Wait", "NodesInTurn", message, place=place)
