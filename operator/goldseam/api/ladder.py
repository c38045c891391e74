"""The ladder: its rungs, what each does, and how each is verified."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field
from pydantic.alias_generators import to_snake

from goldseam.api.base import Duration, IntOrPercent, Model, Number, Rule, ShortName, Text
from goldseam.api.expressions import Expression

Replicas = Annotated[int, Field(ge=1, le=10_000, json_schema_extra={"format": "int32"})]


class Parameters(Model):
    """What an action is told to do."""

    def covers(self, other: Any) -> bool:
        """Whether they allow all that `other`, of the same action, asks for: a policy is narrowed at any time."""
        return True


class Scale(Parameters):
    """Bring the target to AT LEAST this many replicas. At or above it there is nothing to do, and the ladder goes on.

    Where a HorizontalPodAutoscaler owns the replicas, its `minReplicas` is raised instead, up to its `maxReplicas`.
    """

    replicas: Replicas
    """How many replicas there must be at least. Never lowers: what runs already above this number stays."""

    def covers(self, other: Any) -> bool:
        """Up to as many replicas."""
        return self.replicas >= int(other.replicas)


class Restart(Parameters):
    """Restart every pod of the target by a rolling restart, as `kubectl rollout restart` does."""


PodState = Literal["CrashLoopBackOff", "NotReady", "ContainerCreating", "Failed"]
"""What may be wrong with a pod."""


class DeletePods(Parameters):
    """Evict the pods of the target that are in trouble, so that its controller makes new ones; the others stay.

    Through the Eviction API, so that PodDisruptionBudgets are honoured. Which pods go is written down before the first
    one does; one that gets well meanwhile stays. Nothing of the target itself is written.
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.atMost) || (type(self.atMost) == string ? self.atMost != '0%' : self.atMost != 0)",
            "atMost: must be at least 1, or 1%",
            lambda d: d.at_most not in (0, "0%"),
        ),
        Rule("", "states: each state at most once", lambda d: len(set(d.states)) == len(d.states)),
    )

    states: Annotated[
        list[PodState], Field(min_length=1, max_length=4, json_schema_extra={"x-kubernetes-list-type": "set"})
    ]
    """Which pods are in trouble. `CrashLoopBackOff`: a container dies again and again. `NotReady`: it runs and is not
    ready. `ContainerCreating`: it has its node, and its containers do not come up. `Failed`: it has ended, in vain."""
    lasting: Annotated[Duration, Field(alias="for")] = Field(timedelta(minutes=5), alias="for", validate_default=True)
    """For how long a pod must be `NotReady` or `ContainerCreating`, by its node's clock. Default: 5m."""
    at_most: IntOrPercent = 1
    """How many pods one attempt evicts at most; a percentage is one of the wanted pods, rounded down, but at least one
    pod. Default: 1."""

    def covers(self, other: Any) -> bool:
        """The same states or fewer, for as long or longer, and not more pods. Of a count and a percentage neither
        covers the other: which is more is a matter of the moment."""
        if not set(other.states) <= set(self.states) or other.lasting < self.lasting:
            return False
        if isinstance(self.at_most, int) != isinstance(other.at_most, int):
            return False
        return _number(other.at_most) <= _number(self.at_most)


def _number(value: int | str) -> int:
    return value if isinstance(value, int) else int(value.removesuffix("%"))


class Cordon(Parameters):
    """Mark the node as unschedulable. Only in a ClusterRemediationPolicy.

    It is uncordoned when the incident ends, if it was Goldseam that cordoned it.
    """


class Drain(Parameters):
    """Cordon the node, then evict its pods through the Eviction API, so that PodDisruptionBudgets are honoured.
    Only in a ClusterRemediationPolicy.

    The node is uncordoned when the incident is resolved, and at once if the drain fails. Pods of DaemonSets and static
    pods stay.
    """


class Uncordon(Parameters):
    """Make the node schedulable again, if it was Goldseam that cordoned it. Only in a ClusterRemediationPolicy.

    What a person cordoned stays cordoned.
    """


class Wait(Parameters):
    """Do nothing for a while: the alert may clear by itself."""

    duration: Duration
    """How long to wait before the next rung, such as `5m`."""


class Notify(Parameters):
    """Tell people, and go on: a Kubernetes Event, and the channels of a contact in the runbook."""

    contact: ShortName | None = None
    """A contact of the runbook. Without one: the runbook's first level."""
    message: Text = ""
    """A sentence to add, such as what people should look at."""


class Collect(Parameters):
    """Write down how things are before anything is changed: the conditions of the target, its pods, their nodes, their
    warnings, and what queries answer. It changes nothing but the Incident, and never holds up the ladder.
    """

    queries: Annotated[list[Expression], Field(max_length=4)] = []
    """PromQL expressions whose values are written down, with variables as in `verify.queries`. Default: none."""

    def covers(self, other: Any) -> bool:
        """The same queries or fewer."""
        return set(other.queries) <= set(self.queries)


class Escalate(Parameters):
    """Hand the incident to people and stop acting. Only as the last rung."""

    level: ShortName | None = None
    """A level of the runbook. Without one: its first level."""


class Bounded(Model):
    """A PromQL expression and the bounds that the values of its result must keep.

    No data, a warning, or NaN where the other values do not decide, is Inconclusive: never a pass, never a failure.
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.below) || has(self.above)",
            "a query needs a bound: write below or above",
            lambda q: q.below is not None or q.above is not None,
        ),
    )

    expr: Expression
    """The PromQL expression: an instant vector or a scalar. The double-quoted values of its label matchers may hold the
    variables `${target.kind}`, `${target.name}`, `${target.namespace}`, `${alert.name}` and `${alert.labels.NAME}`, as
    in `up{pod=~"${target.name}-.*"}`; what they stand for is quoted, also for a regular expression. One that is empty
    or not there, or has 1,024 characters or more, makes the query Inconclusive."""
    below: Number | None = None
    """The values must be smaller than this decimal, such as `"0.05"`."""
    above: Number | None = None
    """The values must be greater than this decimal."""
    match: Literal["All", "Any"] = "All"
    """Of several series: `All` (default) must keep the bounds, or `Any` of them, at least one."""


class Query(Bounded):
    """A PromQL expression and the bounds that the values of its result must keep, once or for a while.

    No data, a warning, or NaN where the other values do not decide, is Inconclusive: never a pass, never a failure.
    """

    hold_for: Annotated[Duration, Field(alias="for")] = Field(timedelta(0), alias="for", validate_default=True)
    """For how long without a break the bounds must hold before the query has passed. Default: once is enough."""


class Verify(Model):
    """When a rung has helped. Always required: the alert is Cleared."""

    settle: Duration = timedelta(minutes=1)
    """After acting, what is seen within this time is not judged: metrics need time to show the effect. Default: 1m."""
    rollout: bool = True
    """Whether the target's rollout must be complete: all its replicas updated and ready. Default: true."""
    queries: Annotated[list[Query], Field(max_length=4)] = []
    """PromQL expressions that must hold, all of them."""


ActionName = Literal[
    "scale", "restart", "deletePods", "cordon", "drain", "uncordon", "collect", "wait", "notify", "escalate"
]
ACTIONS: tuple[ActionName, ...] = get_args(ActionName)
"""The names of all actions: exactly one of them on each rung."""
_ATTRIBUTES = {action: to_snake(action) for action in ACTIONS}

_ONE_ACTION = " + ".join(f"(has(self.{action}) ? 1 : 0)" for action in ACTIONS) + " == 1"


def _one_action(rung: Any) -> bool:
    return sum(getattr(rung, attribute) is not None for attribute in _ATTRIBUTES.values()) == 1


_UNSKIPPED = ("collect", "wait", "notify", "escalate")
NODE_ACTIONS = ("cordon", "drain", "uncordon")
WORKLOAD_ACTIONS = ("scale", "restart", "deletePods")


def _has(actions: Sequence[str]) -> str:
    return "(" + " || ".join(f"has(self.{action})" for action in actions) + ")"


def _does(rung: Any, actions: Sequence[str]) -> bool:
    """Whether it has one of the actions; one that has none, or two, is refused by a rule of its own."""
    return any(getattr(rung, to_snake(action)) is not None for action in actions)


class Rung(Model):
    """One step of the ladder: exactly one action, how long it may take, and how to see that it helped."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(_ONE_ACTION, f"a rung needs exactly one action: write one of {', '.join(ACTIONS)}", _one_action),
        Rule(
            f"!has(self.skipIfChangedWithin) || {_has(WORKLOAD_ACTIONS)}",
            f"skipIfChangedWithin: only on {', '.join(WORKLOAD_ACTIONS)}, for a node has no template that is changed",
            lambda r: r.skip_if_changed_within is None or _does(r, WORKLOAD_ACTIONS),
        ),
        Rule(
            f"!has(self.skipIfFailedWithin) || !{_has(_UNSKIPPED)}",
            f"skipIfFailedWithin: not on {', '.join(_UNSKIPPED)}, which do not fail",
            lambda r: r.skip_if_failed_within is None or not _does(r, _UNSKIPPED),
        ),
    )

    name: ShortName | None = None
    """What the rung is called in messages. Default: the name of its action."""
    timeout: Duration | None = None
    """How long the rung may take to clear the alert, from the first write on, before the next one is tried.

    Default: 10m, or as long as the alert's rule looks back plus two of its intervals, whichever is longer."""
    attempts: Annotated[int, Field(ge=1, le=5, json_schema_extra={"format": "int32"})] = 1
    """How often the rung is tried before the next one; each attempt has the whole timeout. Default: 1."""
    skip_if_changed_within: Duration | None = None
    """Pass over the rung if the target's pod template was changed, other than by a restart of Goldseam's, so shortly
    before the alert became active, or since: a restart does not cure a new image. Default: not asked."""
    skip_if_failed_within: Duration | None = None
    """Pass over the rung if an earlier incident of this policy has done the same, with the same parameters, to the same
    target within this time, and it did not help. Default: not asked."""
    verify: Verify = Verify()
    """When the rung has helped. Always required besides: the alert is Cleared."""
    # The actions: what each does is said once, by its model.
    scale: Scale | None = None
    restart: Restart | None = None
    delete_pods: DeletePods | None = None
    cordon: Cordon | None = None
    drain: Drain | None = None
    uncordon: Uncordon | None = None
    collect: Collect | None = None
    wait: Wait | None = None
    notify: Notify | None = None
    escalate: Escalate | None = None

    @property
    def action(self) -> ActionName:
        """The name of the rung's action."""
        return next(name for name, attribute in _ATTRIBUTES.items() if getattr(self, attribute) is not None)

    @property
    def parameters(self) -> Parameters:
        """The action's parameters."""
        parameters = getattr(self, _ATTRIBUTES[self.action])
        assert isinstance(parameters, Parameters)
        return parameters

    def covers(self, other: Rung) -> bool:
        """Whether it allows all that `other` does, and passes it over in no more cases."""
        skips = (
            (self.skip_if_changed_within, other.skip_if_changed_within),
            (self.skip_if_failed_within, other.skip_if_failed_within),
        )
        same = self.action == other.action and self.parameters.covers(other.parameters)
        return same and all(mine is None or (theirs is not None and theirs >= mine) for mine, theirs in skips)

    @property
    def title(self) -> str:
        """What the rung is called in messages."""
        return self.name or self.action
