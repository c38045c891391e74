"""The condition `Uncontested` of policies: who would undo, or refuse, what the ladder does to the target, said before
there is any incident.

The target is read when the policy is judged, and then each ten minutes or more seldom (`goldseam.services.judging`):
nobody tells when Argo CD takes a Deployment over.
"""

from __future__ import annotations

from datetime import datetime

from goldseam.actions.registry import ACTIONS
from goldseam.api import conditions as c
from goldseam.api.conditions import Condition, condition
from goldseam.api.incident import ObjectRef
from goldseam.api.policy import RemediationPolicySpec
from goldseam.engine.matching import PolicyKey, PolicySpec
from goldseam.engine.proposal import Part, Refusal, World
from goldseam.ports import Cluster
from goldseam.resources import TARGETS
from goldseam.services.reads import Reads
from goldseam.services.world import read_parts


def may_be_contested(spec: PolicySpec) -> bool:
    """Whether it can be told of a policy: it names its target, and one of its actions writes what others may own."""
    named = isinstance(spec, RemediationPolicySpec) and spec.target.name is not None
    return named and any(action.contested for rung in spec.ladder if (action := ACTIONS.get(rung.action)))


async def uncontested(
    cluster: Cluster, key: PolicyKey, spec: PolicySpec, generation: int, now: datetime
) -> Condition | None:
    """The condition; None where it cannot be told."""
    if not may_be_contested(spec):
        return None
    kind, name = spec.target.kind, str(spec.target.name)
    ref = ObjectRef(api_version=TARGETS[kind].api_version, kind=kind, namespace=key.namespace, name=name, uid="")
    reads, parts = Reads(cluster), _parts(spec)
    world = await read_parts(ref, parts, reads)
    if reads.unknown:
        return condition(c.UNCONTESTED, None, c.UNREACHABLE, f"not read: {', '.join(reads.unknown)}", generation, now)
    if world.target is None:
        return condition(c.UNCONTESTED, None, c.NO_TARGET, f"{ref} does not exist (yet)", generation, now)
    found = _refusals(spec, world)
    if found:
        message = "; ".join(f"rung {number}: {refusal.message}" for number, refusal in found)
        return condition(c.UNCONTESTED, False, found[0][1].reason, message, generation, now)
    return condition(c.UNCONTESTED, True, c.NOBODY_ELSE, f"nobody else keeps the ladder from {ref}", generation, now)


def _parts(spec: PolicySpec) -> frozenset[Part]:
    used = (ACTIONS[rung.action] for rung in spec.ladder if rung.action in ACTIONS)
    return frozenset(part for action in used if action.contested for part in action.looks_at)


def _refusals(spec: PolicySpec, world: World) -> list[tuple[int, Refusal]]:
    """What each rung would be refused for, and its number; the same words once."""
    found: dict[str, tuple[int, Refusal]] = {}
    for number, rung in enumerate(spec.ladder, start=1):
        action = ACTIONS.get(rung.action)
        if action is not None and action.contested and (refusal := action.contested(rung.parameters, world)):
            found.setdefault(refusal.message, (number, refusal))
    return list(found.values())
