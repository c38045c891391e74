"""The ladder: its rungs, what each does, and how each is verified."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field
from pydantic.alias_generators import to_snake

from goldseam.api.base import AnyDuration, Duration, IntOrPercent, Model, Name, Rule, ShortName, Text
from goldseam.api.constraints import Between, Pattern
from goldseam.api.expressions import Expression
from goldseam.api.node_actions import Cordon as Cordon
from goldseam.api.node_actions import Drain as Drain
from goldseam.api.node_actions import OutOfService as OutOfService
from goldseam.api.node_actions import Reboot as Reboot
from goldseam.api.node_actions import Uncordon as Uncordon
from goldseam.api.parameters import Parameters as Parameters
from goldseam.api.parameters import Resources as Resources
from goldseam.api.scaling import Scale as Scale
from goldseam.api.templates import Template as Template
from goldseam.api.verifying import Verify


class Restart(Parameters):
    """Restart every pod of the target, by a rolling restart, as `kubectl rollout restart` does, or one by one."""

    method: Literal["Auto", "Template", "Eviction"] = "Auto"
    """`Template`: an annotation of the pod template, so that the target's controller replaces its pods. `Eviction`: one
    pod after the other is evicted, the next one when all are ready again; nothing of the target is written. `Auto`
    (default): `Eviction` where another controller owns the target and would undo the annotation, or where the
    target's strategy would not replace all pods (`OnDelete`, `partition`), and for a Rollout; else `Template`. For a
    Rollout `Template` sets `spec.restartAt`, and its controller restarts none while too many are not available."""

    def covers(self, other: Any) -> bool:
        """The same method; `Auto` covers both."""
        return self.method in ("Auto", other.method)


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


ConfigKey = Annotated[
    str,
    Field(min_length=1, max_length=200),
    Pattern(r"^[-._a-zA-Z0-9]+$", "must be a key of letters, digits, -, _ and ."),
]
"""A key of a ConfigMap's `data`; it stands in the path of a field, which has at most 253 characters."""

ConfigValue = Annotated[
    str,
    Field(max_length=255),
    Pattern(r"^[\n\t -~]*$", "must be plain ASCII: an Incident keeps the value as JSON of at most 512 characters"),
]
"""A value of a ConfigMap: as JSON at most 512 characters, each of 255 escaped."""


class PatchConfig(Parameters):
    """Set one key of one ConfigMap in the target's namespace, then restart the target, so that it takes effect. Only in
    a RemediationPolicy that names a `serviceAccountName`.

    The old value is written down, and put back when the incident is over, by the same two writes.
    """

    config_map: Name
    """The ConfigMap's name; the target's pods must refer to it."""
    key: ConfigKey
    """The key of its `data`."""
    value: ConfigValue
    """The value that is set: plain ASCII, for an Incident keeps it, and whoever reads the Incident reads it."""
    add_key: bool = False
    """Whether a key that is not there is added, and removed later. Default: false, and the rung is passed over."""

    def covers(self, other: Any) -> bool:
        """The very same value."""
        same = (self.config_map, self.key, self.value) == (other.config_map, other.key, other.value)
        return same and self.add_key >= other.add_key

    @property
    def names(self) -> dict[str, str]:
        """The ConfigMap."""
        return {"configmaps": self.config_map}


class Rollback(Parameters):
    """Go back to the revision before the one that was rolled out shortly before the alert began. Only in a
    RemediationPolicy that names a `serviceAccountName`.

    Nothing is owed for it: people roll forward again, by whatever they deploy with.
    """

    window: Annotated[AnyDuration, Between("1m", "24h")] = timedelta(minutes=30)
    """How long before the alert became active the revision was rolled out at the most, from 1m to 24h. Default: 30m."""

    def covers(self, other: Any) -> bool:
        """As short a time, or a shorter one."""
        return bool(self.window >= other.window)


class Job(Parameters):
    """Run a CronJob of the target's namespace once, now, as `kubectl create job --from=cronjob/NAME` does, and wait for
    it to end. A RemediationPolicy needs a `serviceAccountName` for it, for what the Job's pods may do is not bound.

    The Job is named by the step, so that it runs once whatever happens to the operator. The end of its log is kept.
    """

    cron_job: Name
    """The CronJob's name. It must not be suspended."""
    destructive: bool = False
    """Whether running it at the wrong time loses data, as a restore does: then a person approves every single run,
    `approval.onTimeout: Skip` does not count, and it is never run once a threshold of the runbook that has `dataLoss:
    true` was crossed. Default: false."""

    def covers(self, other: Any) -> bool:
        """The same CronJob, and destructive if this one is."""
        return bool(self.cron_job == other.cron_job and other.destructive >= self.destructive)


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
    logs: bool = False
    """Whether the end of the logs of its three worst pods is written down, without what looks like a secret; only where
    the Namespace has the label `goldseam.dev/collect-logs: "true"`, for whoever reads the Incident reads them. Default:
    false."""

    def covers(self, other: Any) -> bool:
        """The same queries or fewer, and logs only where it reads them, too."""
        return set(other.queries) <= set(self.queries) and self.logs >= other.logs


class Escalate(Parameters):
    """Hand the incident to people and stop acting. Only as the last rung."""

    level: ShortName | None = None
    """A level of the runbook. Without one: its first level."""


ActionName = Literal[
    "scale",
    "restart",
    "deletePods",
    "patchConfig",
    "resources",
    "rollback",
    "job",
    "cordon",
    "drain",
    "outOfService",
    "reboot",
    "uncordon",
    "template",
    "collect",
    "wait",
    "notify",
    "escalate",
]
ACTIONS: tuple[ActionName, ...] = get_args(ActionName)
"""The names of all actions: exactly one of them on each rung."""
_ATTRIBUTES = {action: to_snake(action) for action in ACTIONS}

_ONE_ACTION = " + ".join(f"(has(self.{action}) ? 1 : 0)" for action in ACTIONS) + " == 1"


def _one_action(rung: Any) -> bool:
    return sum(getattr(rung, attribute) is not None for attribute in _ATTRIBUTES.values()) == 1


_UNSKIPPED = ("collect", "wait", "notify", "escalate")
NODE_ACTIONS = ("cordon", "drain", "outOfService", "reboot", "uncordon")
ACCOUNT_ACTIONS = ("patchConfig", "resources", "rollback")
"""What needs a ServiceAccount of its own: admission cannot tie it down far enough to allow it to every policy."""
WORKLOAD_ACTIONS = ("scale", "restart", "deletePods", *ACCOUNT_ACTIONS, "job")
ROLLOUT_ACTIONS = ("scale", "restart")


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
        Rule(
            f"!has(self.goOn) || self.goOn != 'WhenDone' || !{_has(_UNSKIPPED)}",
            f"goOn: WhenDone is not for {', '.join(_UNSKIPPED)}, after which the ladder goes on anyway",
            lambda r: r.go_on != "WhenDone" or not _does(r, _UNSKIPPED),
        ),
        Rule(
            "!has(self.drain) || !has(self.drain.deadline) || !has(self.timeout)"
            " || duration(self.drain.deadline) <= duration(self.timeout)",
            "drain.deadline: must not be longer than the rung's timeout",
            lambda r: None in (r.drain, r.timeout) or (r.drain.deadline or r.timeout) <= r.timeout,
        ),
    )

    name: ShortName | None = None
    """What the rung is called in messages. Default: the name of its action."""
    timeout: Duration | None = None
    """How long the rung may take to clear the alert, from the first write on, before the next one is tried.

    Default: 10m, or as long as the alert's rule looks back plus two of its intervals, whichever is longer."""
    attempts: Annotated[int, Field(ge=1, le=5, json_schema_extra={"format": "int32"})] = 1
    """How often the rung is tried before the next one; each attempt has the whole timeout. Default: 1."""
    go_on: Literal["WhenNotHelped", "WhenDone"] = "WhenNotHelped"
    """When the next rung is tried. `WhenNotHelped` (default): when this one has not cleared the alert in its time.
    `WhenDone`: as soon as what it does is done, the rule was evaluated after that (`verify.settle`), and the alert
    still fires; for what only prepares the next rung, as a drain does for a reboot. It has not failed then."""
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
    patch_config: PatchConfig | None = None
    resources: Resources | None = None
    rollback: Rollback | None = None
    job: Job | None = None
    cordon: Cordon | None = None
    drain: Drain | None = None
    out_of_service: OutOfService | None = None
    reboot: Reboot | None = None
    uncordon: Uncordon | None = None
    template: Template | None = None
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
    def destructive(self) -> bool:
        """Whether a person must approve it, each time, whatever else the policy says."""
        return self.job is not None and self.job.destructive

    @property
    def title(self) -> str:
        """What the rung is called in messages."""
        return self.name or self.action
