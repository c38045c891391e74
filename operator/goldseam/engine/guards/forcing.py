"""Guards: pods that end by force, where the Guardrails do not allow that on their node."""

from __future__ import annotations

from datetime import datetime

from goldseam.engine.guards.hold import Hold
from goldseam.engine.matching import protected
from goldseam.engine.situation import Situation


def forcing(s: Situation, now: datetime) -> Hold | None:
    """The drain would delete what is left at its deadline, and the Guardrails do not allow that on the node."""
    if not forbids(s):
        return None
    return Hold("permission", "Refuse", "ForceForbidden", forbidden(s.spec.target.name))


def forbids(s: Situation) -> bool:
    """Whether they do."""
    drain = s.rung.drain if s.rung is not None else None
    forces = drain is not None and drain.at_deadline == "Force"
    return forces and not protected(s.spec.target.name, s.guardrails.allow_forced_drain)


def forbidden(node: str) -> str:
    """What people read."""
    return (
        f"the Guardrails do not allow a drain of Node {node} to end by force: write another `atDeadline`, or name the"
        " node in their `allowForcedDrain`"
    )


def switched_off(s: Situation, now: datetime) -> Hold | None:
    """The node would be taken for one whose machine is off, and the Guardrails do not allow that of it."""
    name = s.spec.target.name
    if s.rung is None or s.rung.out_of_service is None or protected(name, s.guardrails.allow_out_of_service):
        return None
    message = (
        f"the Guardrails do not allow Node {name} to be taken out of service as one whose machine is off: name it in"
        " their `allowOutOfService`"
    )
    return Hold("permission", "Refuse", "OutOfServiceForbidden", message)
