"""Gather: everything that a decision looks at, by live reads. What cannot be read is named, never guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from goldseam.actions import forced
from goldseam.actions.registry import ACTIONS
from goldseam.api.guardrails import GuardrailsSpec
from goldseam.api.incident import IncidentStatus
from goldseam.api.policy import ClusterRemediationPolicySpec
from goldseam.engine import approvals, naming, record
from goldseam.engine.deadlines import is_to_be_forced
from goldseam.engine.matching import PolicySpec
from goldseam.engine.objects import cordoned_by_us, metadata
from goldseam.engine.opening import TARGET_LABEL
from goldseam.engine.past import failures
from goldseam.engine.proposal import Effect, Plan, World
from goldseam.engine.queries import variables
from goldseam.engine.shared_cordons import is_lent, needing
from goldseam.engine.situation import Failure, Fleet, LivePolicy, Other, Silence, Situation, coming_back
from goldseam.engine.verdict import Reading
from goldseam.engine.views import IncidentView, view
from goldseam.errors import GoldseamError
from goldseam.ports import LINE, Cluster, Json, Line
from goldseam.resources import (
    GUARDRAILS,
    INCIDENTS,
    NAMESPACES,
    NODES,
    PAUSES,
    RESPONSES,
)
from goldseam.services.catalogue import Catalogue
from goldseam.services.lately import Lately
from goldseam.services.ledger import LedgerBook
from goldseam.services.limits import in_force
from goldseam.services.live_policies import LivePolicies
from goldseam.services.pauses import in_force as pauses_in_force
from goldseam.services.pauses import of_hit
from goldseam.services.permissions import PEOPLE_POLICY
from goldseam.services.reads import Reads
from goldseam.services.surroundings import before_forcing
from goldseam.services.words import about
from goldseam.services.world import read_world, to_plan

ReadAlert = Callable[[IncidentView, PolicySpec], Awaitable[Reading]]
Others = Callable[[IncidentView], tuple[Other, ...]]
InForce = Callable[[str], Awaitable[bool]]
AskSilence = Callable[[IncidentView, Reading], Awaitable[Silence]]


@dataclass(frozen=True)
class Opened:
    """What was read for an incident that was created just now: its first look need not read it again, and nobody can
    have said anything about it."""

    at: float
    """When that was read, by the monotonic clock."""
    policy: LivePolicy
    target: Json
    crowd: str = ""
    """What fired together with it has this name; empty where nothing did."""


async def never_silenced(*_: object) -> Silence:
    """Where no Alertmanager is."""
    return Silence()


async def nothing_unknown(_: str) -> str:
    """Where no source tells what else fires."""
    return ""


class Gatherer:
    """Makes situations."""

    def __init__(
        self,
        cluster: Cluster,
        catalogue: Catalogue,
        ledger: LedgerBook,
        read_alert: ReadAlert,
        others: Others,
        fleet: Callable[[], Fleet],
        in_force: InForce,
        operator_namespace: str,
        silence: AskSilence = never_silenced,
        lately: Lately | None = None,
    ) -> None:
        """`lately`: what looks that do not act may share."""
        self._lately = lately
        self._cluster, self._catalogue, self._ledger = cluster, catalogue, ledger
        self.policies = LivePolicies(cluster, catalogue)
        self._read_alert, self._others, self._namespace = read_alert, others, operator_namespace
        self._fleet, self._in_force, self._silence = fleet, in_force, silence

    async def situation(
        self,
        incident: IncidentView,
        status: IncidentStatus,
        now: datetime,
        *,
        to_act: bool = True,
        opened: Opened | None = None,
        together: Lately | None = None,
    ) -> Situation:
        """All that is true about an incident now. What it takes to act is read anew, and so is what is urgent.

        `together`: what is read at the same moment for others, or for the same decision elsewhere, and is read once.
        """
        reads = self._reads(together, to_act=to_act)
        pinned = incident.pinned
        policy, world, guardrails, pauses, responses, alert = await asyncio.gather(
            self._policy(incident, reads, opened),
            read_world(incident, status, reads, opened.target if opened else None, to_act=to_act),
            reads.one(GUARDRAILS, "", "cluster"),
            self._pauses(incident.spec.target.namespace, reads),
            self._responses(incident, reads, opened),
            self._alert(incident, pinned),
        )
        limits, problem = in_force(guardrails)
        reads.unknown += [problem] if problem else []
        words = about(responses, incident.uid, limits)
        base = Situation(
            namespace=incident.namespace,
            name=incident.name,
            uid=incident.uid,
            spec=incident.spec,
            status=status,
            policy=policy,
            pinned=pinned,
            reading=alert[0],
            silence=alert[1],
            world=self._seen(await before_forcing(world, pinned, status, now, reads), incident, status, limits, now),
            guardrails=limits,
            ledger=self._ledger.ledger,
            others=self._others(incident),
            runbook=self._catalogue.runbook(pinned.runbook_ref.name if pinned.runbook_ref else None),
            words=words,
            fleet=self._fleet(),
            namespace_labels=await self._labels(incident, limits, policy, reads),
            operator_namespace=self._namespace,
        )
        if any(not word.counted for word in words) or (base.rung is not None and approvals.needed(base, base.rung)):
            base = replace(base, words_protected=await self._speakers_checked(reads))
        base = replace(base, failures=await self._failures(incident, status, reads))
        theirs = of_hit(await reads.all(PAUSES), base, now) if base.world.hit else {}
        in_place, unknown = pauses_in_force(pauses, base, now), tuple(reads.unknown)
        base = replace(base, pauses=in_place, pauses_of_hit=theirs, unknown=unknown, world=_beside(base))
        return replace(base, plan=_plan(base), effect=_effect(base))

    def _seen(
        self, world: World, incident: IncidentView, status: IncidentStatus, limits: GuardrailsSpec, now: datetime
    ) -> World:
        """The world, with when it was read, what is protected in it, and what the incident says of it."""
        protected = (*limits.protected_namespaces, self._namespace)
        return replace(_told(world, incident, status, now), protected=protected)

    def beside_others(self, incident: IncidentView, s: Situation) -> Situation:
        """The situation with what the other incidents have done, claimed and spent by now; nothing is read for it."""
        return replace(s, ledger=self._ledger.ledger, others=self._others(incident), fleet=self._fleet())

    async def _alert(self, incident: IncidentView, pinned: PolicySpec) -> tuple[Reading, Silence]:
        """What is known of the alert, and whether people have silenced it."""
        reading = await self._read_alert(incident, pinned)
        return reading, await self._silence(incident, reading)

    async def _labels(
        self, incident: IncidentView, limits: GuardrailsSpec, policy: LivePolicy | None, reads: Reads
    ) -> dict[str, str]:
        """The labels of the target's namespace, where a ceiling or a cluster policy asks for them."""
        namespace = incident.spec.target.namespace
        selects = policy is not None and isinstance(policy.spec, ClusterRemediationPolicySpec)
        if not namespace or not (limits.namespaces or selects):
            return {}
        obj = await reads.one(NAMESPACES, "", namespace)
        return dict(metadata(obj).get("labels") or {}) if obj else {}

    async def _speakers_checked(self, reads: Reads) -> bool:
        try:
            return await self._in_force(PEOPLE_POLICY)
        except GoldseamError as error:
            reads.unknown.append(f"the admission policy {PEOPLE_POLICY} ({error})")
            return False

    async def _failures(self, incident: IncidentView, status: IncidentStatus, reads: Reads) -> tuple[Failure, ...]:
        """What earlier incidents tried in vain, where the rung that may be next asks: one list, by label."""
        pinned = incident.pinned
        if not to_plan(pinned, status) or pinned.ladder[status.rung].skip_if_failed_within is None:
            return ()
        target = f"{TARGET_LABEL}={naming.label(incident.spec.target.uid)}"
        found = [view(obj) for obj in await reads.all(INCIDENTS, incident.namespace, labels=target)]
        return tuple(failures(incident, (past for past in found if past is not None)))

    def _reads(self, together: Lately | None, *, to_act: bool) -> Reads:
        """Reads that share with those who decide at the same moment; or, where nothing is to be done, with all that
        have looked for a while."""
        if to_act or LINE.get() is Line.URGENT or self._lately is None:
            return Reads(self._cluster, together)
        return Reads(self._cluster, self._lately, widely=True)

    async def _policy(self, incident: IncidentView, reads: Reads, opened: Opened | None) -> LivePolicy | None:
        if opened is not None:
            return opened.policy
        return await (self.policies.lately if reads.widely else self.policies.of)(incident, reads)

    async def _responses(self, incident: IncidentView, reads: Reads, opened: Opened | None) -> tuple[Json, ...]:
        if opened is not None:
            return ()
        return await reads.within(RESPONSES, incident.namespace, f"spec.incidentRef.uid={incident.uid}")

    async def at_safe_point(self, incident: IncidentView, s: Situation, now: datetime) -> Situation:
        """The situation with what may have changed between two writes: the Pauses, the other incidents, and a node."""
        assert incident.status is not None
        reads, target = Reads(self._cluster), s.spec.target
        pausing = self._pauses(target.namespace, reads)
        if target.kind == "Node":
            pauses, node = await asyncio.gather(pausing, reads.one(NODES, "", target.name))
            s = replace(s, world=replace(s.world, target=node))
        else:
            pauses = await pausing
        s = replace(s, status=incident.status, others=self._others(incident))
        return replace(s, pauses=pauses_in_force(pauses, s, now), unknown=tuple(reads.unknown))

    async def _pauses(self, namespace: str, reads: Reads) -> list[Json]:
        namespaces = {self._namespace, namespace or self._namespace}
        found = await asyncio.gather(*(reads.within(PAUSES, namespace) for namespace in sorted(namespaces)))
        return [pause for page in found for pause in page]


def _beside(s: Situation) -> World:
    """The world, with the nodes that the other incidents bring back, and who owes, and needs, the cordon of this one;
    only of nodes that is asked."""
    if s.spec.target.kind != "Node":
        return s.world
    other, node = needing(s.spec.target.uid, s), s.world.target
    lent = node is not None and cordoned_by_us(node) and is_lent(node, s)
    needed_by = other.name if other is not None else ""
    return replace(s.world, coming_back=coming_back(s.others), lent=lent, needed_by=needed_by)


def lent_since(s: Situation) -> bool:
    """Whether others owe, or need, the cordon of the node since it was gathered (`beside_others`): the plan goes by who
    does."""
    now = _beside(s)
    return (now.lent, now.needed_by) != (s.world.lent, s.world.needed_by)


def _plan(s: Situation) -> Plan | None:
    """What the rung whose turn it is would write."""
    rung, step = s.rung, s.status.open_step()
    if s.world.target is None or s.unknown:
        return None
    if rung is not None and rung.drain is not None and step is not None and is_to_be_forced(step, rung, s.world.now):
        return forced.plan(rung.drain, s.world, step)
    if rung is None or not to_plan(s.pinned, s.status) or rung.action not in ACTIONS:
        return None
    name = step.id if step is not None else record.next_step(s.status, rung.action)
    return ACTIONS[rung.action].plan(rung.parameters, s.world, naming.token(s.uid, name))


def _told(world: World, incident: IncidentView, status: IncidentStatus, now: datetime) -> World:
    """The world with what the incident, and the rung of its open step, say of it."""
    step, ladder = status.open_step(), incident.pinned.ladder
    template = ladder[step.rung].template if step is not None and step.rung < len(ladder) else None
    wanted = template.done_when if template is not None else None
    awaited = None if wanted is None else (wanted.type, wanted.status)
    begun, values = incident.spec.alert.active_at, variables(incident.spec)
    return replace(world, now=now, active_at=begun, values=values, awaited=awaited)


def _effect(s: Situation) -> Effect | None:
    step = s.status.open_step()
    if step is None or step.action not in ACTIONS or s.world.target is None:
        return None
    return ACTIONS[step.action].observe(step, s.world)
