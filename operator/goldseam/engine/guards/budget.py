"""Guards: cooldown, budgets, and the caps for nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from goldseam.api.policy import ActionCount, Limits
from goldseam.engine.guards.hold import Hold
from goldseam.engine.matching import PolicyKey
from goldseam.engine.node_lists import node_list
from goldseam.engine.objects import CONTROL_PLANE, Json, cordoned, cordoned_by_us, metadata, of_control_plane
from goldseam.engine.proposal import Proposal
from goldseam.engine.situation import Ledger, Situation, Spent
from goldseam.engine.turns import Waiting, zone_of


def limits(s: Situation) -> list[Limits]:
    """Those of the policy when the incident was opened, and those of now: both bind."""
    return [s.pinned.limits, *([s.policy.spec.limits] if s.policy and s.policy.spec else [])]


def cooldown(s: Situation, now: datetime) -> Hold | None:
    """The policy acted on this target in an earlier incident a short while ago.

    What the ledger has since this incident was opened is its own: a reservation made before the operator was killed.
    """
    opened = s.status.kpis.detected_at or now
    mine = (s.policy_name, s.target_name)
    last = [e.last for e in s.ledger.entries if (e.policy, e.target) == mine and e.last < opened]
    ends = max(last) + max(each.cooldown for each in limits(s)) if last else now
    if ends <= now:
        return None
    message = (
        f"the policy acted on this target at {max(last):%H:%M:%S} UTC; limits.cooldown ends at {ends:%H:%M:%S} UTC"
    )
    return Hold("cooldown", "Wait", "Cooldown", message, ends)


def budget(s: Situation, now: datetime) -> Hold | None:
    """The policy, its namespace or the cluster has used up its actions."""
    namespace = s.spec.target.namespace
    scopes: list[tuple[str, Iterable[ActionCount], Callable[[Spent], bool]]] = [
        ("policy", [count for each in limits(s) for count in each.actions], lambda e: e.policy == s.policy_name),
        ("cluster", s.guardrails.budgets.cluster, lambda e: True),
    ]
    if namespace:
        scopes.insert(1, ("namespace", s.guardrails.budgets.namespace, lambda e: e.target.split("/")[1] == namespace))
    for scope, counts, mine in scopes:
        for limit in counts:
            if hold := _over(scope, limit, [e for e in s.ledger.entries if mine(e)], s.ledger, now):
                return hold
    return None


def _over(scope: str, limit: ActionCount, entries: list[Spent], ledger: Ledger, now: datetime) -> Hold | None:
    begin = now - limit.per
    if ledger.complete_since is not None and ledger.complete_since > begin:
        ends = ledger.complete_since + limit.per
        return Hold("budget", "Wait", "LedgerIncomplete", f"what the {scope} has spent before is not known", ends)
    spent = sorted((e for e in entries if e.last > begin), key=lambda e: e.last)
    used = sum(e.count for e in spent)
    if used < limit.count:
        return None
    hours = limit.per / timedelta(hours=1)
    message = f"the {scope} has used its budget of {limit.count} actions in {hours:g} h"
    return Hold("budget", "Wait", f"{scope.capitalize()}Budget", message, spent[0].last + limit.per)


def concurrent(s: Situation, now: datetime) -> Hold | None:
    """The policy is at work on as many other targets as it may at once."""
    mine = s.policy.key if s.policy else None
    names = sorted(other.name for other in s.others if other.busy and other.policy == mine)
    most = _most(s)
    if len(names) < most:
        return None
    message = f"limits.concurrent is {most}, and the policy is at work in {', '.join(names[:3])}"
    return Hold("budget", "Wait", "Concurrent", message)


def _most(s: Situation) -> int:
    return min(each.concurrent for each in limits(s))


def node_caps(s: Situation, now: datetime) -> Hold | None:
    """So many nodes are out of service for us already, in the cluster or in the node's zone."""
    if not isinstance(s.plan, Proposal) or not s.plan.takes_nodes or s.world.target is None:
        return None
    begun = _begun(s)
    ours = _taken(s, begun)
    caps = s.guardrails.budgets.nodes
    zone = zone_of(s.world.target)
    if len(ours) >= caps.at_once:
        return Hold("nodes", "Wait", "NodesAtOnce", _capped(ours, f"Guardrails allow {_nodes(caps.at_once)} at once"))
    if zone and len(near := [node for node in ours if zone_of(node) == zone]) >= caps.per_zone:
        most = f"Guardrails allow {_nodes(caps.per_zone)} per zone"
        return Hold("nodes", "Wait", "NodesPerZone", _capped(near, most, f" in {zone}"))
    if of_control_plane(s.world.target) and (rivals := [node for node in ours if of_control_plane(node)]):
        return Hold("nodes", "Wait", "NodesAtOnce", _capped(rivals, "one node of the control plane goes at once"))
    going = [node for node in begun if not cordoned(node)]
    if going and not _stays_in_service(s, going):
        message = f"Goldseam is about to cordon {_names(going)}, and no other node would be left in service"
        return Hold("nodes", "Wait", "NodesAtOnce", message)
    return None


def _stays_in_service(s: Situation, going: list[Json]) -> bool:
    """Whether any node is left. The plan was made by a list in which those that are going are in service still."""
    gone = {s.spec.target.uid, *(str(metadata(node).get("uid")) for node in going)}
    return node_list(s.world.nodes).serves_without(gone)


def room(s: Situation, line: Iterable[Waiting]) -> dict[str, int]:
    """How many nodes more the caps let go now: in all, in the zones of those in line, and for the incident's policy."""
    ours = _taken(s, _begun(s))
    caps, taken = s.guardrails.budgets.nodes, Counter(zone_of(node) for node in ours)
    zones = {one.zone for one in line} - {""}
    mine = PolicyKey(s.spec.policy_ref.kind, s.spec.policy_ref.namespace, s.spec.policy_ref.name)
    busy = sum(other.busy and other.policy == mine for other in s.others)
    found = {f"zone/{zone}": caps.per_zone - taken[zone] for zone in zones}
    masters = sum(map(of_control_plane, ours))
    return found | {"": caps.at_once - len(ours), CONTROL_PLANE: 1 - masters, str(mine): _most(s) - busy}


def _taken(s: Situation, begun: list[Json]) -> list[Json]:
    """The other nodes that are out of service for us."""
    ours = node_list(s.world.nodes).cordoned_by_us
    return [*(node for node in ours if metadata(node).get("uid") != s.spec.target.uid), *begun]


def _begun(s: Situation) -> list[Json]:
    """The nodes that another incident has decided to cordon, and that were not yet cordoned when they were read; and
    those that bear no mark of ours and are drained, rebooted or mended all the same, as one that others have cordoned.

    A step that is written down already does not wait for those of others: else two would wait for each other.
    """
    if s.status.open_step() is not None:
        return []
    debts = [(other, o) for other in s.others for o in other.obligations if o.state == "Open"]
    owed = {o.object.uid for _, o in debts if o.kind in ("Uncordon", "Untaint")}
    owed |= {other.target_uid for other, o in debts if o.kind == "Remove"}  # who mends it takes it out of service
    owed |= {other.target_uid for other in s.others if other.takes}  # and so does who works on it just now
    known = node_list(s.world.nodes).by_uid
    begun = (known[uid] for uid in sorted(owed - {s.spec.target.uid}) if uid in known)
    return [node for node in begun if not cordoned_by_us(node)]


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def _capped(ours: list[Json], what: str, where: str = "") -> str:
    """Those that others have cordoned it has not taken out of service, but works on."""
    theirs = [node for node in ours if cordoned(node) and not cordoned_by_us(node)]
    taken = [node for node in ours if node not in theirs]
    does = [f"has taken {_names(taken)} out of service"] if taken else []
    does += [f"is at work on {_names(theirs)}, cordoned by others"] if theirs else []
    return f"{what}, and{where} Goldseam {' and '.join(does)}"


def _names(nodes: list[Json]) -> str:
    return ", ".join(sorted(str(metadata(n).get("name")) for n in nodes)[:3])
