"""Whether the Guardrails let a policy make what its ladder makes, asked before there is any incident."""

from __future__ import annotations

from goldseam.engine.matching import PolicySpec
from goldseam.engine.templates import why_not
from goldseam.errors import NotFound, Unavailable
from goldseam.ports import Cluster
from goldseam.resources import GUARDRAILS
from goldseam.services.limits import in_force


def makes_objects(spec: PolicySpec) -> bool:
    """Whether a rung makes an object by `template`."""
    return any(rung.template is not None for rung in spec.ladder)


async def forbidden(cluster: Cluster, spec: PolicySpec, home: str) -> str:
    """Why the Guardrails do not let a rung make its object, with the rung's number; empty where they do.

    Raises:
        GoldseamError: the limits are not known.
    """
    if not makes_objects(spec):
        return ""
    try:
        limits, problem = in_force(await cluster.get(GUARDRAILS, "", "cluster"))
    except NotFound:
        limits, problem = in_force(None)
    if problem:
        raise Unavailable(problem)
    told = [(number, rung.template) for number, rung in enumerate(spec.ladder, start=1) if rung.template is not None]
    return "; ".join(f"rung {number}: {why}" for number, each in told if (why := why_not(each, limits, home)))
