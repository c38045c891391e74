"""May the policy do it? A SubjectAccessReview as the policy's own identity, before every act."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from goldseam.actions.registry import ACTIONS
from goldseam.api.incident import IncidentStatus, ObjectRef
from goldseam.api.ladder import Rung
from goldseam.api.policy import RemediationPolicySpec
from goldseam.engine.matching import PolicyKey, PolicySpec
from goldseam.engine.proposal import Proposal, Right
from goldseam.engine.situation import LivePolicy, Permission, Situation
from goldseam.engine.views import IncidentView
from goldseam.errors import GoldseamError, NotFound
from goldseam.ports import Access, Clock, Cluster
from goldseam.resources import ADMISSION_BINDINGS, ADMISSION_POLICIES, SERVICE_ACCOUNTS, TARGETS
from goldseam.services.world import to_plan

INCIDENTS_POLICY = "goldseam-incidents"
PEOPLE_POLICY = "goldseam-people"
REMEMBERED = 600.0
"""Seconds for which a yes is shown on an incident that is held. A no is asked for anew each time, as before an act."""


def identity(policy: PolicyKey, service_account: str | None) -> tuple[str, tuple[str, ...]]:
    """The user and groups of a policy: its ServiceAccount's, or its own."""
    if service_account:
        where = policy.namespace
        theirs = ("system:serviceaccounts", f"system:serviceaccounts:{where}", "system:authenticated")
        return f"system:serviceaccount:{where}:{service_account}", theirs
    if policy.kind == "ClusterRemediationPolicy":
        return f"goldseam:cluster-policy:{policy.name}", ("goldseam:cluster-policies",)
    groups = ("goldseam:policies", f"goldseam:policies:{policy.namespace}")
    return f"goldseam:policy:{policy.namespace}:{policy.name}", groups


@dataclass(frozen=True)
class Ahead:
    """What is being asked for already, for one decision of one policy, while its plan is not known yet."""

    policy: LivePolicy
    rights: tuple[Right, ...]
    answers: asyncio.Task[tuple[bool, list[Right]]]
    """Whether Incidents are protected, and which of the rights are missing."""

    def end(self) -> None:
        """Nobody waits for it any more; an error that nobody waited for is nobody's."""
        self.answers.cancel()
        self.answers.add_done_callback(lambda task: task.cancelled() or task.exception())


def foreseen(rung: Rung, target: ObjectRef) -> tuple[Right, ...]:
    """The rights that the rung's plan will need, as far as they are known before anything was read."""
    found = ACTIONS[rung.action].needs(rung.parameters, target.kind) if rung.action in ACTIONS else ()
    names = {TARGETS[target.kind].plural: target.name} | dict(rung.parameters.names)
    return tuple(
        replace(right, namespace=right.namespace or target.namespace, name=names.get(right.resource, ""))
        for right in found
    )


class Permissions:
    """Asks the API server."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster, self._clock = cluster, clock
        self._allowed_until: dict[tuple[str, tuple[Right, ...]], float] = {}

    def ahead(self, incident: IncidentView, status: IncidentStatus, policy: LivePolicy) -> Ahead | None:
        """Begin to ask for the rights that the next plan will hardly do without, beside what it is made from; None
        where nothing is to be planned."""
        if policy.spec is None or not to_plan(incident.pinned, status):
            return None
        rights = foreseen(incident.pinned.ladder[status.rung], incident.spec.target)
        return Ahead(policy, rights, asyncio.create_task(self._answers(policy, rights)))

    async def _answers(self, policy: LivePolicy, rights: tuple[Right, ...]) -> tuple[bool, list[Right]]:
        """Whether Incidents are protected, and which of the rights the policy does not have."""
        assert policy.spec is not None
        return await asyncio.gather(self.in_force(INCIDENTS_POLICY), self.denied(policy.key, policy.spec, rights))

    async def _after(self, ahead: Ahead, policy: LivePolicy, rights: tuple[Right, ...]) -> tuple[bool, list[Right]]:
        """The same, where some are asked for already."""
        assert policy.spec is not None
        rest = tuple(right for right in rights if right not in ahead.rights)
        protected, missing = await ahead.answers
        missing = missing + (await self.denied(policy.key, policy.spec, rest) if rest else [])
        return protected, [right for right in rights if right in missing]

    async def asked(
        self, s: Situation, plan: Proposal, *, remembered: bool = False, ahead: Ahead | None = None
    ) -> Situation:
        """The situation with what the policy may do, and whether Incidents are protected.

        `remembered`: a yes of the last ten minutes is enough, for it is only shown. `ahead`: what was asked for this
        very decision, and is not asked again where it is of the policy as it stands.
        """
        if s.policy is None or s.policy.spec is None:
            return s  # nothing is planned for it; what is owed is paid with the operator's own rights
        key, now = (f"{s.policy.uid}@{s.policy.generation}", plan.rights), self._clock.monotonic()
        if remembered and now < self._allowed_until.get(key, float("-inf")):
            return s
        self._allowed_until.pop(key, None)
        try:
            known = ahead if ahead is not None and ahead.policy == s.policy else None
            asking = self._after(known, s.policy, plan.rights) if known else self._answers(s.policy, plan.rights)
            protected, denied = await asking
        except GoldseamError as error:
            return replace(s, permission=Permission(problem=f"rights could not be asked for: {error}"))
        if protected and not denied:
            still = {k: until for k, until in self._allowed_until.items() if now < until}
            self._allowed_until = {**still, key: now + REMEMBERED}
        hints = tuple(_advice(right, s.policy.key) for right in denied)
        return replace(s, permission=Permission(denied=hints), incidents_protected=protected)

    async def denied(self, key: PolicyKey, spec: PolicySpec, rights: tuple[Right, ...]) -> list[Right]:
        """The rights that the policy does not have.

        Raises:
            GoldseamError: it could not be asked.
        """
        account = spec.service_account_name if isinstance(spec, RemediationPolicySpec) else None
        if account and not await self._exists(key.namespace, account):
            return list(rights)  # a SubjectAccessReview says yes for an account that does not exist
        user, groups = identity(key, account)
        allowed = await asyncio.gather(*(self._cluster.allowed(_access(user, groups, right)) for right in rights))
        return [right for right, yes in zip(rights, allowed, strict=True) if not yes]

    async def _exists(self, namespace: str, account: str) -> bool:
        try:
            await self._cluster.get(SERVICE_ACCOUNTS, namespace, account)
        except NotFound:
            return False
        return True

    async def in_force(self, policy: str) -> bool:
        """Whether this admission policy and its binding are there, and refuse what they do not allow.

        Read anew each time: between two words, or two acts, it may go.

        Raises:
            GoldseamError: it could not be read.
        """
        try:
            _, bound = await asyncio.gather(
                self._cluster.get(ADMISSION_POLICIES, "", policy), self._cluster.get(ADMISSION_BINDINGS, "", policy)
            )
        except NotFound:
            return False
        binding = bound.get("spec") or {}
        return binding.get("policyName") == policy and "Deny" in (binding.get("validationActions") or ())


def _access(user: str, groups: tuple[str, ...], right: Right) -> Access:
    return Access(user, groups, right.verb, right.group, right.resource, right.subresource, right.namespace, right.name)


def _advice(right: Right, policy: PolicyKey) -> str:
    return (
        f"{policy.title} may not {right}: install the component {right.piece} of deploy/kustomize, or bind the right to"
        " the policy's identity"
    )
