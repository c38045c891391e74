"""The condition `NodesFit` of policies for nodes: what would be refused on the nodes that there are, and by the
Guardrails, said before there is any incident. Like `Uncontested` it is judged anew from time to time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from goldseam.actions.drain import kept_for_us
from goldseam.actions.nodes import last_one
from goldseam.actions.reboot import unfit
from goldseam.actions.registry import ACTIONS
from goldseam.api import conditions as c
from goldseam.api.conditions import Condition, condition
from goldseam.api.guardrails import GuardrailsSpec
from goldseam.api.node_actions import Cordon, Drain, OutOfService, Reboot
from goldseam.api.policy import ClusterRemediationPolicySpec
from goldseam.engine import reboots
from goldseam.engine.matching import PolicySpec, allows, protected, selector_of_nodes
from goldseam.engine.node_lease import closed
from goldseam.engine.node_lists import node_list
from goldseam.engine.objects import Json, cordoned, metadata, of_control_plane
from goldseam.engine.placement import strict_taints
from goldseam.engine.proposal import World
from goldseam.engine.replicas import SELECTOR
from goldseam.ports import Cluster
from goldseam.resources import CRON_JOBS, GUARDRAILS, NODES, PODS
from goldseam.services.limits import in_force
from goldseam.services.node_leases import TAKES, with_lease
from goldseam.services.node_names import selects_too_much
from goldseam.services.reads import Reads


@dataclass(frozen=True)
class Finding:
    """Something that would be refused."""

    reason: str
    message: str
    rungs: frozenset[int]
    """The numbers of the rungs that are refused on every node."""


@dataclass(frozen=True)
class Fit:
    """What is found out of a policy for nodes."""

    condition: Condition | None = None
    """`NodesFit`; None where it cannot be told."""
    nowhere: str = ""
    """Why it can act on no node at all; empty where it can, or where that is not known."""


def may_not_fit(spec: PolicySpec) -> bool:
    """Whether it can be told of a policy: it takes nodes out of service, or selects them."""
    return spec.target.kind == "Node" and (any(_taking(spec)) or selector_of_nodes(spec) is not None)


def _taking(spec: PolicySpec) -> Iterator[tuple[int, Cordon | Drain | OutOfService | Reboot]]:
    """The rungs that take a node out of service: the number of each, and how it is told to."""
    for number, rung in enumerate(spec.ladder, 1):
        if told := rung.cordon or rung.drain or rung.out_of_service or rung.reboot:
            yield number, told


def _acting(spec: PolicySpec) -> frozenset[int]:
    """The rungs that do something to a node by themselves: an uncordon follows a cordon, and so does a reboot, where
    the ladder has one. The others only tell people, look or wait."""
    empties = any(rung.cordon or rung.drain for rung in spec.ladder)
    following = {"uncordon", "reboot"} if empties else {"uncordon"}
    rungs = enumerate(spec.ladder, 1)
    return frozenset(number for number, rung in rungs if rung.action in ACTIONS and rung.action not in following)


async def nodes_fit(cluster: Cluster, spec: PolicySpec, generation: int, now: datetime, home: str = "") -> Fit:
    """What is found out; nothing of a policy of which it cannot be told. `home`: the operator's own namespace."""
    if not may_not_fit(spec):
        return Fit()
    assert isinstance(spec, ClusterRemediationPolicySpec)
    reads = Reads(cluster)
    nodes, (limits, problem) = await reads.all(NODES), in_force(await reads.one(GUARDRAILS, "", "cluster"))
    rebooting, leasing = await _rebooting(spec, reads), await _leasing(spec, reads)
    unknown = reads.unknown + ([problem] if problem else [])
    if unknown:
        return Fit(condition(c.NODES_FIT, None, c.UNREACHABLE, f"not read: {', '.join(unknown)}", generation, now))
    meant = _meant(spec, nodes)
    if not meant and spec.target.name is not None:
        message = f"Node {spec.target.name} does not exist (yet)"
        return Fit(condition(c.NODES_FIT, None, c.NO_TARGET, message, generation, now), message)
    found = [*_findings(spec, nodes, meant, limits), *rebooting, *leasing]
    if not found:
        beside = await _of_drains(spec, nodes, meant, reads.aside(), home)
        message = "; ".join((_told(spec, len(nodes), meant), *beside))
        return Fit(condition(c.NODES_FIT, True, c.NODES_TOLD, message, generation, now))
    message = "; ".join(one.message for one in found)
    nowhere = _acting(spec) <= frozenset[int]().union(*(one.rungs for one in found))
    judged = condition(c.NODES_FIT, False, found[0].reason, message, generation, now)
    return Fit(judged, message if nowhere else "")


def _told(spec: ClusterRemediationPolicySpec, nodes: int, meant: list[Json]) -> str:
    """On how many nodes it may act. Those of the control plane are left alone where every rung leaves them alone."""
    closed = {number for number, told in _taking(spec) if not told.control_plane}
    anyone = not closed or _acting(spec) - closed
    free = [node for node in meant if anyone or not of_control_plane(node)]
    message = f"it may act on {len(free)} of {nodes} nodes"
    if kept := len(meant) - len(free):
        message += f"; not on {kept} of the control plane, for no rung says `controlPlane: true`"
    return message


async def _of_drains(
    spec: ClusterRemediationPolicySpec, nodes: tuple[Json, ...], meant: list[Json], reads: Reads, home: str
) -> list[str]:
    """What more is seen by which drains would be refused; what cannot be read is not told, for it decides nothing."""
    free = _free([rung.drain for rung in spec.ladder if rung.drain], meant)
    said = []
    if free and _only_tainted_beside(free, nodes):
        said.append("what would be left in service has taints: no drain, where a pod does not tolerate them")
    ours = await reads.all(PODS, home, labels=SELECTOR) if free and home else ()
    if kept := sorted(kept_for_us(ours) & {str(metadata(node).get("name")) for node in free}):
        said.append(f"no drain of {', '.join(kept[:3])}: Goldseam runs there, with no other replica ready elsewhere")
    return said


def _only_tainted_beside(free: list[Json], nodes: tuple[Json, ...]) -> bool:
    """Whether, whichever of these goes, there are others in service, and all of them have taints."""
    tainted = {metadata(node).get("uid"): bool(strict_taints(node)) for node in node_list(nodes).in_service}
    untainted = {uid for uid, has in tainted.items() if not has}
    going = [metadata(node).get("uid") for node in free]
    return all(untainted <= {uid} and any(other != uid for other in tainted) for uid in going)


async def _rebooting(spec: ClusterRemediationPolicySpec, reads: Reads) -> list[Finding]:
    """Why its reboots would be refused on any node."""
    rungs = [number for number, rung in enumerate(spec.ladder, 1) if rung.reboot is not None]
    refused = unfit(await reads.one(CRON_JOBS, reboots.NAMESPACE, reboots.CRON_JOB)) if rungs else None
    if refused is None:
        return []
    return [Finding(c.REBOOT_UNFIT, f"rung {rungs[0]}: {refused.message}", frozenset(rungs))]


async def _leasing(spec: ClusterRemediationPolicySpec, reads: Reads) -> list[Finding]:
    """Where nodes have Medik8s leases: whether Goldseam may read them. Any name does: there need be none yet."""
    rungs = [number for number, rung in enumerate(spec.ladder, 1) if rung.action in TAKES]
    if not rungs or "lease" not in (await with_lease(World(None), spec.target.name or "any", reads)).closed:
        return []
    message = f"rung {rungs[0]}: {closed('the Leases in it')}: until then the rung is passed over"
    return [Finding(c.NODE_LEASE_CLOSED, message, frozenset(rungs))]


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
        yield Finding(c.NOT_SELECTIVE, why, _acting(spec))
        return
    yield from _last(spec, nodes, meant)
    yield from _uncordoned(spec, meant)
    closed = [number for number, told in _taking(spec) if not told.control_plane]
    if closed and meant and all(of_control_plane(node) for node in meant):
        message = f"rung {closed[0]}: every node that it may act on is of the control plane: write `controlPlane: true`"
        yield Finding(c.CONTROL_PLANE_NODE, f"{message} if they may go", frozenset(closed))
    yield from _forbidden(spec, meant, limits)


def _last(spec: ClusterRemediationPolicySpec, nodes: tuple[Json, ...], meant: list[Json]) -> Iterator[Finding]:
    """No other node would be in service. Whether nodes are Ready changes by the minute, so where there are several it
    is told as of now, and is no word on whether there is any that the policy could act on."""
    emptying = {number: told for number, told in _taking(spec) if isinstance(told, Cordon | Drain)}
    if len(nodes) == 1 and emptying:
        message = "there is one node only, and the last one in service is neither cordoned nor drained"
        yield Finding(c.LAST_NODE, message, frozenset(emptying))
        return
    free = _free(emptying.values(), meant)
    refused = [one for node in free if not cordoned(node) and (one := last_one(World(node, nodes=nodes)))]
    if free and len(refused) == len(free):
        several = f"none of the {len(nodes)} nodes is Ready and schedulable, so none is cordoned or drained"
        why = refused[0].message if len(free) == 1 else several
        yield Finding(c.LAST_NODE, f"rung {min(emptying)}: as it is now, {why}", frozenset())


def _uncordoned(spec: ClusterRemediationPolicySpec, meant: list[Json]) -> Iterator[Finding]:
    """Reboots of nodes that nothing has taken out of service; people may have."""
    rungs = frozenset(place + 1 for place in reboots.uncordoned(spec.ladder))
    if rungs:
        everywhere = frozenset[int]() if any(cordoned(node) for node in meant) else rungs
        message = f"rung {min(rungs)}: {reboots.NOT_CORDONED}: put one with drain there, or cordon the node by hand"
        yield Finding(c.NOT_CORDONED, message, everywhere)


def _forbidden(spec: ClusterRemediationPolicySpec, meant: list[Json], limits: GuardrailsSpec) -> Iterator[Finding]:
    """What the Guardrails do not allow."""
    forcing = {n: told for n, told in _taking(spec) if isinstance(told, Drain) and told.at_deadline == "Force"}
    if forcing and (refused := _not_named(forcing.values(), meant, limits.allow_forced_drain)):
        said = (
            f"rung {min(forcing)}: atDeadline is Force, and allowForcedDrain of the Guardrails does not name {refused}"
        )
        everywhere = frozenset(forcing if refused.everywhere else ())
        yield Finding(c.FORCE_FORBIDDEN, f"{said}: there the drain is not begun", everywhere)
    taking = {n: told for n, told in _taking(spec) if isinstance(told, OutOfService)}
    if taking and (refused := _not_named(taking.values(), meant, limits.allow_out_of_service)):
        said = f"rung {min(taking)}: allowOutOfService of the Guardrails does not name {refused}"
        everywhere = frozenset(taking if refused.everywhere else ())
        yield Finding(c.OUT_OF_SERVICE_FORBIDDEN, f"{said}: there the rung is passed over", everywhere)


@dataclass(frozen=True)
class Unnamed:
    """Nodes that no pattern of the Guardrails names, of so many."""

    names: list[str]
    of: int

    @property
    def everywhere(self) -> bool:
        """Whether it is all of them."""
        return len(self.names) == self.of

    def __str__(self) -> str:
        shown = ", ".join(self.names[:3]) + (f" and {len(self.names) - 3} more" if len(self.names) > 3 else "")
        return f"{shown} ({len(self.names)} of {self.of} nodes that it may act on)"


def _not_named(rungs: Iterable[Drain | OutOfService], meant: list[Json], patterns: list[str]) -> Unnamed | None:
    """Those that no pattern names, of the nodes that these rungs take; None where there is none such."""
    names = sorted(str(metadata(node).get("name")) for node in _free(rungs, meant))
    refused = [name for name in names if not protected(name, patterns)]
    return Unnamed(refused, len(names)) if refused else None


def _free(rungs: Iterable[Cordon | Drain | OutOfService], meant: list[Json]) -> list[Json]:
    """Those that one of these rungs may take: of the control plane only where one has opted in."""
    found = list(rungs)
    every = any(told.control_plane for told in found)
    return [node for node in meant if found and (every or not of_control_plane(node))]
