"""Whose turn it is, where many nodes need work and the caps let few of them: the worst first, zones in turn.

Worst is the node that is not ready for longest, in whole minutes; of those the one with most pods stuck on it. A node
that is ready comes after all that are not. Zones take turns, and the one goes first that was served longest ago since
the first of those that wait was opened; where none was, the one with the worst node.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from goldseam.api.incident import ENDED, IncidentStatus
from goldseam.engine.matching import PolicyKey
from goldseam.engine.node_lists import node_list, not_ready_since
from goldseam.engine.objects import CONTROL_PLANE, ZONE, Json, controller, is_over, metadata, of_control_plane
from goldseam.engine.situation import InLine, Other, Situation

IN_TURN = "NodesInTurn"
"""The reason of the hold that tells an incident's place."""
OWN_LIMITS = frozenset({"PolicyBudget", "Concurrent"})
"""Limits of one policy, which hold back no other."""
CAPS = frozenset({IN_TURN, "NodesAtOnce", "NodesPerZone", "ClusterBudget"}) | OWN_LIMITS
"""Who is held by these only is in line: everything else lets it through."""
NEW = timedelta(seconds=30)
"""How long an incident counts that was not looked at yet, so that the first ones do not go before worse ones."""
SILENT = timedelta(minutes=10)
"""How long one counts that should have been looked at again: who cannot be looked at holds up nobody for ever."""
EXACT = 10
"""Places up to this one are told exactly; those behind are told when they come into another band."""
_MANAGED_BY_NODE = ("DaemonSet", "Node")
"""The kinds of owner whose pods stay on a node: those of DaemonSets, and static ones."""


@dataclass(frozen=True)
class Waiting:
    """An incident that waits for its turn."""

    uid: str
    policy: PolicyKey
    node: str
    zone: str
    not_ready_since: datetime | None
    stuck: int
    """Pods that are stuck on the node."""
    opened: datetime
    control_plane: bool = False
    """Whether the node is of the control plane: of these one goes at once."""

    @property
    def badness(self) -> tuple[bool, datetime, int, datetime, str]:
        """The worst node has the least."""
        since = self.not_ready_since or self.opened
        minute = since.replace(second=0, microsecond=0)
        return self.not_ready_since is None, minute, -self.stuck, since, self.node


def stuck(pods: Iterable[Json]) -> int:
    """How many pods of a node somebody misses: those that would have to run elsewhere, also where they hang half
    deleted."""
    return sum(not is_over(pod) and (controller(pod) or {}).get("kind") not in _MANAGED_BY_NODE for pod in pods)


def in_line(status: IncidentStatus | None, opened: datetime) -> InLine | None:
    """Whether the incident of this status waits for its turn only; also one that was opened just now."""
    if status is None or status.mode == "Observe" or status.handed_over or status.phase in (*ENDED, "Escalated"):
        return None
    if status.open_step() is not None:
        return None
    if not status.holds:
        new = status.phase == "Investigating" and not status.steps and not status.rung
        return InLine(opened + NEW) if new else None
    held = [hold for hold in status.holds if hold.guard != "approval"]
    reasons = {hold.reason for hold in held}
    if not reasons or not reasons <= CAPS:
        return None
    again = min(hold.look_again_at or hold.since for hold in held)
    return InLine(again + SILENT, own_limits=bool(reasons & OWN_LIMITS))


def in_turn(waiting: Iterable[Waiting], served: Mapping[str, datetime]) -> list[Waiting]:
    """In the order of their turn. `served`: when a node of each zone was last taken out of service."""
    zones: dict[str, list[Waiting]] = defaultdict(list)
    for one in sorted(waiting, key=lambda one: one.badness):
        zones[one.zone].append(one)
    never = datetime.min.replace(tzinfo=UTC)
    order = sorted(zones, key=lambda zone: (served.get(zone, never), zones[zone][0].badness))
    place = {zone: number for number, zone in enumerate(order)}
    rounds = ((number, place[zone], one) for zone in order for number, one in enumerate(zones[zone]))
    return [one for _, _, one in sorted(rounds, key=lambda entry: entry[:2])]


def admitted(line: Sequence[Waiting], room: Mapping[str, int]) -> frozenset[str]:
    """Who may go now. `room`: how much there is for all (``""``), for a zone (`zone/NAME`), for the control plane (the
    label of its nodes), for a policy; where it says nothing there is no limit."""
    left, found = dict(room), set()
    for one in line:
        keys = ("", f"zone/{one.zone}", str(one.policy), *((CONTROL_PLANE,) if one.control_plane else ()))
        needs = [key for key in keys if key in left]
        if all(left[key] > 0 for key in needs):
            found.add(one.uid)
            for key in needs:
                left[key] -= 1
    return frozenset(found)


def line_of(s: Situation, now: datetime) -> list[Waiting]:
    """The incident and all that wait with it, in the order of their turn."""
    known = node_list(s.world.nodes)
    others = (other for other in s.others if other.target_uid in known.by_uid and _counts(other, s, now))
    found = [
        _waiting(node, known.not_ready_since(node), one.uid, one.policy, one.opened, one.line)
        for one in others
        for node in [known.by_uid[one.target_uid]]
    ]
    if (node := s.world.target) is not None:  # it was read by itself, maybe later than the list
        mine, since = InLine(now, stuck=stuck(s.world.pods)), not_ready_since(node)
        found.append(_waiting(node, since, s.uid, _policy(s), s.status.kpis.detected_at or now, mine))
    return in_turn(found, _served(s, min((one.opened for one in found), default=now)))


def _policy(s: Situation) -> PolicyKey:
    ref = s.spec.policy_ref
    return PolicyKey(ref.kind, ref.namespace, ref.name)


def _counts(other: Other, s: Situation, now: datetime) -> bool:
    """Whether it is in the incident's line: what limits of its own policy hold is in the way of that policy only."""
    if other.line is None or other.uid == s.uid or not other.claims or now > other.line.until:
        return False
    return not other.line.own_limits or other.policy == _policy(s)


def _waiting(
    node: Json, since: datetime | None, uid: str, policy: PolicyKey, opened: datetime, line: InLine | None
) -> Waiting:
    pods = line.stuck if line is not None else 0
    name, zone = str(metadata(node).get("name")), zone_of(node)
    return Waiting(uid, policy, name, zone, since, pods, opened, of_control_plane(node))


def zone_of(node: Json) -> str:
    """The node's zone; empty where it has none."""
    return str((metadata(node).get("labels") or {}).get(ZONE, ""))


def _served(s: Situation, since: datetime) -> dict[str, datetime]:
    """When a node of each zone was last worked on, not before `since`."""
    nodes = node_list(s.world.nodes).by_name
    found: dict[str, datetime] = {}
    for entry in sorted(s.ledger.entries, key=lambda entry: entry.last):
        kind, _, name = entry.target.partition("//")
        if kind == "Node" and name in nodes and entry.last >= since:
            found[zone_of(nodes[name])] = entry.last
    return found


def said(line: Sequence[Waiting], uid: str) -> tuple[int, str]:
    """The place of an incident in the line, as it is told, and in words: both change seldom, however many wait."""
    place = next(number for number, one in enumerate(line, 1) if one.uid == uid)
    of = f"{len(line)}" if len(line) <= EXACT else f"at most {band(len(line))[1]}"
    if place > EXACT:
        first, last = band(place)
        which = f"{_ordinal(first)} to {_ordinal(last)} of {of} nodes"
        return last, f"waits for its turn: {which}, worst first, zones in turn"
    ahead = [one.node for one in line[: place - 1]]
    rest = f" and {len(ahead) - 3} more" if len(ahead) > 3 else ""
    return place, f"waits for its turn: {_ordinal(place)} of {of} nodes, behind {', '.join(ahead[:3])}{rest}"


def far_back(status: IncidentStatus) -> bool:
    """Whether the incident waits so far back in a line that its place is not told exactly."""
    return any(hold.place is not None and hold.place > EXACT for hold in status.holds)


def band(place: int) -> tuple[int, int]:
    """From which place to which one is told as the same: 11 to 20, 21 to 50, 51 to 100, 101 to 200 and so on."""
    if place <= EXACT:
        return place, place
    first, last = EXACT + 1, 2 * EXACT
    while place > last:
        first, last = last + 1, last * 5 // 2 if str(last)[0] == "2" else last * 2
    return first, last


def _ordinal(number: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ends.get(number % 10, 'th')}"
