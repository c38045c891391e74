"""RemediationPolicy and ClusterRemediationPolicy: which alert, which target, which ladder."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from goldseam.api.base import (
    AnyDuration,
    Count,
    Duration,
    IntOrPercent,
    Matcher,
    Mode,
    Model,
    Name,
    Rule,
    ShortName,
    Switch,
    unique,
)
from goldseam.api.constraints import Between
from goldseam.api.ladder import ACCOUNT_ACTIONS, ACTIONS, NODE_ACTIONS, ROLLOUT_ACTIONS, WORKLOAD_ACTIONS, Rung


class NameRef(Model):
    """A reference to an object by its name."""

    name: Name
    """The object's name."""


class AlertSelector(Model):
    """Which alert the policy is about."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    """The alert's name: `alert:` of the Prometheus rule, the label `alertname`."""
    matchers: Annotated[list[Matcher], Field(max_length=16)] = []
    """Label matchers that the alert must satisfy, all of them, in Prometheus syntax, such as `severity="critical"`.

    Operators are =, !=, =~ and !~. Regular expressions are RE2 and anchored at both ends."""
    hold_for: Duration = Field(timedelta(0), alias="for")
    """Wait until the alert has been firing for this long, beyond the rule's own `for`. Default: 0s."""


class NamespacedAlertSelector(AlertSelector):
    """Which alert the policy is about, seen from a namespace."""

    scope: Literal["Namespace", "Any"] = "Namespace"
    """Whose alerts count. `Namespace` (default): only an alert that carries the label `namespace` with the policy's own
    namespace. `Any`: also alerts without that label; needs a fixed `target.name`. An alert of another namespace never
    counts."""


class WorkloadTarget(Model):
    """The workload to act on, in the policy's own namespace."""

    kind: Literal["Deployment", "StatefulSet", "DaemonSet", "Rollout"] = "Deployment"
    """The workload's kind; a Rollout is one of Argo Rollouts, and can be scaled and restarted. Default: Deployment."""
    name: Name | None = None
    """The workload's name. Without one the alert says it: by its label `deployment`, `statefulset`, `daemonset`
    or `rollout` (whichever fits `kind`), else by its label `pod` and that pod's owners."""


LabelValue = Annotated[str, Field(max_length=63)]
LabelKey = Annotated[str, Field(min_length=1, max_length=317)]


class NamespaceSelector(Model):
    """Selects namespaces by their labels."""

    match_labels: Annotated[dict[LabelKey, LabelValue], Field(min_length=1, max_length=16)]
    """Labels that the namespace must carry, all of them."""


class NodeSelector(Model):
    """Selects nodes by their labels."""

    match_labels: Annotated[dict[LabelKey, LabelValue], Field(min_length=1, max_length=16)]
    """Labels that the node must carry, all of them."""


class ClusterTarget(Model):
    """The node, or the workload in one of the selected namespaces, to act on."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.kind == 'Node' ? !has(self.namespaceSelector) : has(self.namespaceSelector)",
            "namespaceSelector: needed for workloads, not allowed for kind Node",
            lambda t: (t.namespace_selector is None) == (t.kind == "Node"),
        ),
        Rule(
            "!has(self.nodeSelector) || (self.kind == 'Node' && !has(self.name))",
            "nodeSelector: only for kind Node, and not beside a name, which says which node it is",
            lambda t: t.node_selector is None or (t.kind == "Node" and t.name is None),
        ),
    )

    kind: Literal["Node", "Deployment", "StatefulSet", "DaemonSet", "Rollout"] = "Node"
    """The target's kind. Default: Node."""
    name: Name | None = None
    """The target's name. Without one the alert says it: a node by its label `node`, else by `instance` (its name,
    InternalIP or Hostname, with or without a port); a workload by its labels as in a RemediationPolicy."""
    node_selector: NodeSelector | None = None
    """The nodes that may be acted on, by their labels. It must select some of the cluster's nodes, and not all of them.
    Default: any node that the alert names."""
    namespace_selector: NamespaceSelector | None = None
    """The namespaces whose workloads may be acted on; the alert's label `namespace` says which one it is."""


class ActionCount(Model):
    """At most so many actions in a sliding window of time."""

    count: Count
    """How many actions."""
    per: Annotated[AnyDuration, Between("1m", "168h")]
    """In which time, such as `1h`: from 1m to 168h (7 days)."""


class Limits(Model):
    """How much the policy may do."""

    cooldown: Duration = timedelta(minutes=30)
    """After an incident's last action on a target: how long a new incident of this policy leaves that target alone.
    Rungs of one incident do not wait for each other. Default: 30m."""
    actions: Annotated[list[ActionCount], Field(max_length=4)] = [
        ActionCount(count=3, per=timedelta(hours=1)),
        ActionCount(count=7, per=timedelta(hours=24)),
    ]
    """Budgets of this policy over all its targets. Default: 3 in 1h and 7 in 24h."""
    concurrent: Count = 1
    """How many targets the policy works on at the same time; a step that is still being verified counts. Default: 1."""
    min_available: IntOrPercent = "50%"
    """How many of the target's ready pods an action must leave in place, as a count or a percentage of its replicas
    (rounded up). An action that would take more away is refused. Replacing a pod that is not ready costs nothing.
    Default: 50%."""


class Resolve(Model):
    """When the incident is over, and what is undone then."""

    after: Duration = timedelta(minutes=5)
    """How long the alert must stay Cleared before the incident is Resolved. Default: 5m."""
    revert: bool = True
    """Whether what was changed for the incident (replicas, an HPA's floor) is put back. Nodes are always uncordoned.
    Default: true."""
    revert_after: Duration = timedelta(minutes=10)
    """How long after Resolved it is put back. Default: 10m."""


class Approval(Model):
    """Which rungs need a person's word, and what happens without it."""

    rungs: Annotated[list[ShortName], Field(max_length=8)] = []
    """The rungs that need approval, by their names (a rung without a name is called like its action). In mode Propose
    every rung needs it. Default: none."""
    timeout: Annotated[AnyDuration, Between("1m", "24h")] = timedelta(minutes=30)
    """How long a question stays open, from 1m to 24h. Default: 30m."""
    on_timeout: Literal["Escalate", "Skip"] = "Escalate"
    """When nobody has answered: `Escalate` (default) hands the incident to people; `Skip` passes over the rung, which
    approves nothing: the next rung asks again where it must."""


_TITLE_IS = "(has(l.name) ? l.name == r : " + " || ".join(f"(has(l.{a}) && r == '{a}')" for a in ACTIONS) + ")"
_APPROVED_RUNGS = Rule(
    "!has(self.approval) || !has(self.approval.rungs)"
    f" || self.approval.rungs.all(r, self.ladder.exists(l, {_TITLE_IS}))",
    "approval.rungs: names a rung that the ladder does not have; write the rung's name, or its action if it has none",
    lambda s: s.approval is None or set(s.approval.rungs) <= {rung.title for rung in s.ladder},
)
_UNIQUE_RUNGS = Rule(
    "self.ladder.all(r, !has(r.name) || self.ladder.exists_one(s, has(s.name) && s.name == r.name))",
    "ladder: two rungs have the same name; give each its own",
    lambda s: unique([r.name for r in s.ladder if r.name]),
)
_LADDER_ENDS = Rule(
    "self.ladder.size() < 2 || self.ladder.filter(r, has(r.escalate)).size() == 0"
    " || (self.ladder.filter(r, has(r.escalate)).size() == 1 && has(self.ladder[self.ladder.size() - 1].escalate))",
    "ladder: escalate hands the incident to people, so it can only be the last rung",
    lambda s: all(r.escalate is None for r in s.ladder[:-1]),
)


class _PolicySpec(Model):
    mode: Mode = "Observe"
    """`Observe` (default): record on an Incident what would be done, and do nothing. `Propose`: ask a person before
    every rung that changes anything. `Act`: do it."""
    suspend: bool = False
    """Switches the policy off for good, from Git. To stop it right now, create a Pause. Default: false."""
    source_ref: NameRef = NameRef(name="default")
    """The AlertSource that says whether the alert fires. Default: the one named `default`."""
    runbook_ref: NameRef | None = None
    """The Runbook with contacts and escalation thresholds. Default: the one named `default`, if there is one."""
    ladder: Annotated[
        list[Rung], Field(min_length=1, max_length=8, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ]
    """What to try, in this order, until the alert is gone. When it is used up, people are told."""
    resolve: Resolve = Resolve()
    """When the incident is over, and what is undone then."""
    escalate_after: Duration | None = None
    """Tell people when the alert has been active for this long, counted from its `activeAt`; acting goes on. Default:
    only what the runbook's thresholds say."""
    unknown_timeout: Duration = timedelta(minutes=15)
    """Tell people when for this long nothing could be known about the alert (Prometheus down, rule failing). Nothing is
    done meanwhile. Default: 15m."""
    flap_window: Duration = timedelta(minutes=15)
    """An alert that is back within this time after its incident was Resolved re-opens that incident, where its ladder
    stood, instead of beginning a new one. Default: 15m."""
    page_gate: Switch = "Enabled"
    """`Enabled` (default): while an incident is healed in mode Act, Alertmanager calls nobody for its alert; where the
    AlertSource names an Alertmanager and has `pageGate: Enabled`, too. `Disabled`: people are called as ever."""
    limits: Limits = Limits()
    """How much the policy may do."""
    approval: Approval | None = None
    """Which rungs need a person's word. Default: none, or every rung in mode Propose."""
    component: Annotated[str, Field(max_length=128)] = ""
    """What the target is to people, such as `worker`; used in messages."""


def _workload_ladder(spec: Any) -> bool:
    return all(r.action not in NODE_ACTIONS for r in spec.ladder)


def _has_rung_of(actions: tuple[str, ...]) -> str:
    return "self.ladder.exists(r, " + " || ".join(f"has(r.{a})" for a in actions) + ")"


_NODE_RUNGS, _WORKLOAD_RUNGS = _has_rung_of(NODE_ACTIONS), _has_rung_of(WORKLOAD_ACTIONS)
_ACCOUNT_RUNGS = _has_rung_of(ACCOUNT_ACTIONS)


def _account_ladder(spec: Any) -> bool:
    return any(r.action in ACCOUNT_ACTIONS for r in spec.ladder)


_NO_DAEMONSET_SCALED = Rule(
    "self.target.kind != 'DaemonSet' || !self.ladder.exists(r, has(r.scale))",
    "ladder: a DaemonSet has no replicas to scale",
    lambda s: s.target.kind != "DaemonSet" or all(r.scale is None for r in s.ladder),
)
_NOT_FOR_ROLLOUTS = tuple(action for action in WORKLOAD_ACTIONS if action not in ROLLOUT_ACTIONS)
_ROLLOUT_ONLY_SCALED = Rule(
    "self.target.kind != 'Rollout' || !self.ladder.exists(r, "
    + " || ".join(f"has(r.{a})" for a in _NOT_FOR_ROLLOUTS)
    + ")",
    f"ladder: of what acts on workloads, a Rollout takes {', '.join(ROLLOUT_ACTIONS)} only",
    lambda s: s.target.kind != "Rollout" or all(r.action not in _NOT_FOR_ROLLOUTS for r in s.ladder),
)
_ROLLOUT_UNJUDGED = Rule(
    "self.target.kind != 'Rollout' || !self.ladder.exists(r, has(r.skipIfChangedWithin))",
    "ladder: skipIfChangedWithin is not for a Rollout, whose former templates Goldseam does not read",
    lambda s: s.target.kind != "Rollout" or all(r.skip_if_changed_within is None for r in s.ladder),
)


class RemediationPolicySpec(_PolicySpec):
    """What to do when an alert of this namespace fires. Acts in its own namespace only."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        _UNIQUE_RUNGS,
        _LADDER_ENDS,
        _APPROVED_RUNGS,
        Rule(
            f"!{_NODE_RUNGS}",
            "ladder: cordon, drain, outOfService, reboot and uncordon act on nodes: write a ClusterRemediationPolicy",
            _workload_ladder,
        ),
        Rule(
            "!self.ladder.exists(r, has(r.template))",
            "ladder: template makes objects that belong to no tenant: write a ClusterRemediationPolicy",
            lambda s: all(r.template is None for r in s.ladder),
        ),
        _NO_DAEMONSET_SCALED,
        _ROLLOUT_ONLY_SCALED,
        _ROLLOUT_UNJUDGED,
        Rule(
            "self.alert.scope != 'Any' || has(self.target.name)",
            "target.name: needed where alert.scope is Any, for such an alert does not say whose it is",
            lambda s: s.alert.scope != "Any" or s.target.name is not None,
        ),
        Rule(
            "!has(self.serviceAccountName) || self.serviceAccountName != 'default'",
            "serviceAccountName: must not be default, which every pod of the namespace uses; name one of its own",
            lambda s: s.service_account_name != "default",
        ),
        Rule(
            f"has(self.serviceAccountName) || !{_ACCOUNT_RUNGS}",
            "serviceAccountName: needed for patchConfig, resources and rollback; name a ServiceAccount that has their"
            " rights",
            lambda s: s.service_account_name is not None or not _account_ladder(s),
        ),
        Rule(
            "has(self.serviceAccountName) || !self.ladder.exists(r, has(r.job))",
            "serviceAccountName: needed for job, whose pods may do whatever the CronJob says: name a ServiceAccount of"
            " this namespace that may create jobs.batch",
            lambda s: s.service_account_name is not None or all(r.job is None for r in s.ladder),
        ),
    )

    alert: NamespacedAlertSelector
    """Which alert the policy is about."""
    target: WorkloadTarget = WorkloadTarget()
    """What to act on. Default: the Deployment that the alert's labels name."""
    service_account_name: Name | None = None
    """A ServiceAccount of this namespace whose rights bound what the policy may do. Without one the policy is the user
    `goldseam:policy:<namespace>:<name>` in the groups `goldseam:policies` and `goldseam:policies:<namespace>`."""


class ClusterRemediationPolicySpec(_PolicySpec):
    """What to do when an alert about a node, or about a workload in one of the selected namespaces, fires."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        _UNIQUE_RUNGS,
        _LADDER_ENDS,
        _APPROVED_RUNGS,
        Rule(
            f"self.target.kind == 'Node' ? !{_WORKLOAD_RUNGS} : !{_NODE_RUNGS}",
            "ladder: cordon, drain, outOfService, reboot and uncordon are for kind Node; scale, restart, deletePods and"
            " job for workloads",
            lambda s: all(
                r.action not in (WORKLOAD_ACTIONS if s.target.kind == "Node" else NODE_ACTIONS) for r in s.ladder
            ),
        ),
        Rule(
            f"!{_ACCOUNT_RUNGS}",
            "ladder: patchConfig, resources and rollback need a ServiceAccount of the target's namespace: write a"
            " RemediationPolicy there",
            lambda s: not _account_ladder(s),
        ),
        _NO_DAEMONSET_SCALED,
        _ROLLOUT_ONLY_SCALED,
        _ROLLOUT_UNJUDGED,
    )

    alert: AlertSelector
    """Which alert the policy is about."""
    target: ClusterTarget = ClusterTarget()
    """What to act on. Default: the node that the alert's labels name."""


AnyPolicySpec = RemediationPolicySpec | ClusterRemediationPolicySpec
