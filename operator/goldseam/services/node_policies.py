"""The condition `NodesFit` of policies for nodes: what would be refused on the nodes that there are, and by the
Guardrails, said before there is any incident. Like `Uncontested` it is judged anew from time to time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from goldseam.actions.reboot import unfit
from goldseam.api import conditions as c
from goldseam.api.conditions import Condition, condition
from goldseam.api.guardrails import GuardrailsSpec
from goldseam.api.node_actions import Cordon, Drain, OutOfService, Reboot
from goldseam.api.policy import ClusterRemediationPolicySpec
from goldseam.engine import reboots
from goldseam.engine.matching import PolicySpec, allows, protected, selector_of_nodes
from goldseam.engine.objects import Json, metadata, of_control_plane
from goldseam.ports import Cluster
from goldseam.resources import CRON_JOBS, GUARDRAILS, NODES
from goldseam.services.limits import in_force
from goldseam.services.node_names import selects_too_much
from goldseam.services.reads import Reads

Finding = tuple[str, str]
"""A reason and its message."""


def may_not_fit(spec: PolicySpec) -> bool:
    """Whether it can be told of a policy: it takes nodes out of service, or selects them."""
    return spec.target.kind == "Node" and (any(_taking(spec)) or selector_of_nodes(spec) is not None)


def _taking(spec: PolicySpec) -> Iterator[tuple[int, Cordon | Drain | OutOfService | Reboot]]:
    """The rungs that take a node out of service: the number of each, and how it is told to."""
    for number, rung in enumerate(spec.ladder, 1):
        if told := rung.cordon or rung.drain or rung.out_of_service or rung.reboot:
            yield number, told


async def nodes_fit(cluster: Cluster, spec: PolicySpec, generation: int, now: datetime) -> Condition | None:
    """The condition; None where it cannot be told."""
    if not may_not_fit(spec):
        return None
    assert isinstance(spec, ClusterRemediationPolicySpec)
    reads = Reads(cluster)
    nodes, (limits, problem) = await reads.all(NODES), in_force(await reads.one(GUARDRAILS, "", "cluster"))
    rebooting = await _rebooting(spec, reads)
    unknown = reads.unknown + ([problem] if problem else [])
    if unknown:
        return condition(c.NODES_FIT, None, c.UNREACHABLE, f"not read: {', '.join(unknown)}", generation, now)
    if not (meant := _meant(spec, nodes)):
        message = f"Node {spec.target.name} does not exist (yet)"
        if spec.target.name is not None:
            return condition(c.NODES_FIT, None, c.NO_TARGET, message, generation, now)
    if found := [*_findings(spec, nodes, meant, limits), *rebooting]:
        message = "; ".join(message for _, message in found)
        return condition(c.NODES_FIT, False, found[0][0], message, generation, now)
    message = f"it may act on {len(meant)} of {len(nodes)} nodes"
    return condition(c.NODES_FIT, True, c.NODES_TOLD, message, generation, now)


async def _rebooting(spec: ClusterRemediationPolicySpec, reads: Reads) -> list[Finding]:
    """Why its reboots would be refused on any node."""
    rungs = [number for number, rung in enumerate(spec.ladder, 1) if rung.reboot is not None]
    refused = unfit(await reads.one(CRON_JOBS, reboots.NAMESPACE, reboots.CRON_JOB)) if rungs else None
    return [(c.REBOOT_UNFIT, f"rung {rungs[0]}: {refused.message}")] if refused is not None else []


def _meant(spec: ClusterRemediationPolicySpec, nodes: tuple[Json, ...]) -> list[Json]:
    """The nodes that an alert may be about."""
    selector, name = selector_of_nodes(spec), spec.target.name
    if name is not None:
        return [node for node in nodes if metadata(node).get("name") == name]
    return [node for node in nodes if selector is None or allows(selector, metadata(node).get("labels") or {})]


def _findings(
    spec: ClusterRemediationPolicySpec, nodes: tuple[Json, ...], meant: list[Json], limits: GuardrailsSpec
) -> Iterator[Finding]:
    """All that would be refused, whatever the alert says."""
    selector = selector_of_nodes(spec)
    if selector is not None and (why := selects_too_much(selector, nodes)):
        yield c.NOT_SELECTIVE, why
        return
    if len(nodes) == 1 and any(rung.cordon or rung.drain for rung in spec.ladder):
        yield c.LAST_NODE, "there is one node only, and the last one in service is neither cordoned nor drained"
    closed = [number for number, told in _taking(spec) if not told.control_plane]
    if closed and meant and all(of_control_plane(node) for node in meant):
        message = f"rung {closed[0]}: every node that it may act on is of the control plane: write `controlPlane: true`"
        yield c.CONTROL_PLANE_NODE, f"{message} if they may go"
    yield from _forced(spec, meant, limits)


def _forced(spec: ClusterRemediationPolicySpec, meant: list[Json], limits: GuardrailsSpec) -> Iterator[Finding]:
    rungs = list(enumerate(spec.ladder, 1))
    forcing = [number for number, rung in rungs if rung.drain and rung.drain.at_deadline == "Force"]
    if forcing and (refused := _not_named(meant, limits.allow_forced_drain)):
        said = f"rung {forcing[0]}: atDeadline is Force, and allowForcedDrain of the Guardrails does not name {refused}"
        yield c.FORCE_FORBIDDEN, f"{said}: there the drain is not begun"
    taking = [number for number, rung in rungs if rung.out_of_service]
    if taking and (refused := _not_named(meant, limits.allow_out_of_service)):
        said = f"rung {taking[0]}: allowOutOfService of the Guardrails does not name {refused}"
        yield c.OUT_OF_SERVICE_FORBIDDEN, f"{said}: there the rung is passed over"


def _not_named(meant: list[Json], patterns: list[str]) -> str:
    """Which of the nodes no pattern names, for people; empty where there is none such."""
    names = sorted(str(metadata(node).get("name")) for node in meant)
    refused = [name for name in names if not protected(name, patterns)]
    shown = ", ".join(refused[:3]) + (f" and {len(refused) - 3} more" if len(refused) > 3 else "")
    return f"{shown} ({len(refused)} of {len(names)} nodes that it may act on)" if refused else ""
