"""What stands in the conditions of policies, AlertSources, Runbooks and Guardrails."""

from __future__ import annotations

from goldseam.api import conditions as c
from goldseam.engine.lint import findings as f
from goldseam.engine.reasons.entry import Entry

_BIND = (
    "Install the component that the message names, or bind the right to the policy's `serviceAccountName`; of one that"
    " names none to the group `goldseam:policies:<namespace>`, and of a cluster policy, which has none, to the group"
    " `goldseam:cluster-policies`."
)

CONDITIONS: tuple[Entry, ...] = (
    Entry(
        c.NO_NODE_FITS,
        "The policy is valid and waits for its alert, but as the nodes and the Guardrails are now there is no node that"
        " it could act on. It stays Ready, for nodes come and go.",
        "See the condition NodesFit.",
        c.READY,
    ),
    Entry(
        c.ARMED,
        "The policy is valid and waits for its alert. The message says so where nobody could be told of an incident:"
        " no contact of its Runbook has a channel, and its AlertSource names no Alertmanager.",
        "",
        c.READY,
    ),
    Entry(c.ACCEPTED, "The spec is valid.", "", c.READY),
    Entry(c.SUSPENDED, "The policy has `spec.suspend: true`.", "Set it to false where the policy is kept.", c.READY),
    Entry(
        c.INVALID_SPEC,
        "The spec is invalid.",
        "See the condition Stalled.",
        c.READY,
    ),
    Entry(
        c.PERMISSION_MISSING,
        "The policy is in mode Act, and a right that its ladder needs is missing.",
        _BIND,
        c.READY,
    ),
    Entry(
        c.TEMPLATE_FORBIDDEN,
        "The policy is in mode Act, and the Guardrails do not list what a `template` of its ladder makes.",
        "Add the kind or the namespace to `templates` of the Guardrails, or take the rung out.",
        c.READY,
    ),
    Entry(
        c.SOURCE_REFUSED,
        "The AlertSource is not for policies of this namespace, or takes no queries from them: nothing is opened, and"
        " open incidents hold.",
        "Name another source in `spec.sourceRef`, remove `verify.queries`, or ask the admin to widen"
        " `allowedNamespaces` or `tenantQueries` of the AlertSource.",
        c.READY,
    ),
    Entry(
        c.INVALID_SPEC,
        "The spec is invalid, and nothing is done until it is changed. For the Guardrails the last valid limits stay"
        " in force (`status.effective`).",
        "The message says which field is wrong and what to write instead.",
        c.STALLED,
    ),
    Entry(c.PERMISSION_GRANTED, "All rights that the ladder needs are there.", "", c.PERMITTED),
    Entry(
        c.PERMISSION_MISSING,
        "A right that the ladder needs is missing.",
        _BIND,
        c.PERMITTED,
    ),
    Entry(
        c.TEMPLATE_FORBIDDEN,
        "The Guardrails do not list the kind that a `template` makes, or not in that namespace, or it is protected.",
        "Add the kind or the namespace to `templates` of the Guardrails, or take the rung out.",
        c.PERMITTED,
    ),
    Entry(c.UNREACHABLE, "The rights could not be asked for.", "The message has the error.", c.PERMITTED),
    Entry(c.READ, "The source was read.", "", c.SOURCE_REACHABLE),
    Entry(
        c.UNREACHABLE,
        "The source, or one server of a pair, does not answer, or what it answers cannot be trusted.",
        "The message has the error. Until it is read again nothing is done on its alerts; where one of a pair is away,"
        " only what the other shows is.",
        c.SOURCE_REACHABLE,
    ),
    Entry(c.ANSWERED, "The source has answered a query.", "", c.QUERIES),
    Entry(
        c.UNREACHABLE,
        "The source answers no queries, so no alert of it counts as over: an exporter that is dead could not be told"
        " from a system that is well.",
        "The message has the error. Where `spec.url` is a vmalert or a Thanos Ruler, name vmselect or Thanos Query in"
        " `spec.queryUrl`.",
        c.QUERIES,
    ),
    Entry(c.BEATS, "The source's heartbeat fires freshly.", "", c.HEARTBEAT),
    Entry(
        c.LOST,
        "The source's heartbeat does not fire freshly, on all servers of a pair: no alert is over, and where no server"
        " shows it, none is acted on.",
        "Load a rule of that name that always fires, such as Watchdog of kube-prometheus, or correct"
        " `spec.heartbeat.alert`. If it was there, Prometheus does not evaluate its rules.",
        c.HEARTBEAT,
    ),
    Entry(c.EVALUATED, "Every rule that a policy waits for was seen to be evaluated lately.", "", c.RULES_EVALUATED),
    Entry(
        c.NOT_EVALUATED,
        "A rule that a policy waits for fails, or is not evaluated in time: nothing is done on its alert.",
        "Look at the rule in Prometheus (Status, Rule health): it has the error, and how long the group takes.",
        c.RULES_EVALUATED,
    ),
    Entry(
        c.WATCHING,
        "A rule has not been seen to be evaluated again yet, since it is watched.",
        "Nothing: it takes two of the rule's intervals.",
        c.RULES_EVALUATED,
    ),
    Entry(
        c.UNREACHABLE,
        "The source cannot be read, so whether its rules are evaluated is not known.",
        "See the condition SourceReachable.",
        c.RULES_EVALUATED,
    ),
    Entry(c.ANSWERS, "Every Alertmanager of the source answers.", "", c.ALERTMANAGER_REACHABLE),
    Entry(
        c.UNREACHABLE,
        "An Alertmanager does not answer, or what it answers cannot be trusted.",
        "The message has the error. While no other one of its cluster answers, nothing is done on the source's alerts"
        " (or workloads only are acted on, with `onAlertmanagerDown: Proceed`).",
        c.ALERTMANAGER_REACHABLE,
    ),
    Entry(c.KEPT, "Alertmanager took the last silence: nobody is called while it heals.", "", c.PAGE_GATE),
    Entry(c.NOT_TRIED, "No silence was needed yet.", "", c.PAGE_GATE),
    Entry(
        c.REFUSED,
        "Alertmanager did not take the last silence: people are called as ever, and healing goes on.",
        "The message says why. Let Goldseam write silences there (`POST /api/v2/silences`), or set"
        " `pageGate: Disabled`.",
        c.PAGE_GATE,
    ),
    Entry(c.DISABLED, "The source has `pageGate: Disabled`.", "", c.PAGE_GATE),
    Entry(c.RULE_PRESENT, "The source has a rule of the alert's name.", "", c.RULE_FOUND),
    Entry(
        c.RULE_MISSING,
        "The source has no alerting rule of that name: the policy never matches.",
        "Load the rule into Prometheus, or correct `spec.alert.name`.",
        c.RULE_FOUND,
    ),
    Entry(
        c.SOURCE_REFUSED,
        "The AlertSource is closed to the policy, so it is not told what rules there are.",
        "See the condition Ready.",
        c.RULE_FOUND,
    ),
    Entry(
        c.SOURCE_MISSING,
        "The AlertSource that the policy names does not exist.",
        "Create it, or name another in `spec.sourceRef`.",
        c.RULE_FOUND,
    ),
    Entry(
        c.UNREACHABLE,
        "The AlertSource has not been read yet.",
        "See its condition SourceReachable.",
        c.RULE_FOUND,
    ),
    Entry(c.FITS, "Nothing that is known of the alert's rules speaks against the policy.", "", c.PLAUSIBLE),
    Entry(
        c.SOURCE_MISSING,
        "The AlertSource that the policy names does not exist.",
        "Create it, or name another in `spec.sourceRef`.",
        c.PLAUSIBLE,
    ),
    Entry(c.UNREACHABLE, "The AlertSource has not been read yet.", "See its condition SourceReachable.", c.PLAUSIBLE),
    Entry(
        c.SOURCE_REFUSED,
        "The AlertSource is closed to the policy, so it is not told what rules there are.",
        "See the condition Ready.",
        c.PLAUSIBLE,
    ),
    Entry(
        f.NOT_DEFINED,
        "The source has no alerting rule of that name: the policy never matches.",
        "Load the rule into Prometheus, or correct `spec.alert.name`.",
        c.PLAUSIBLE,
    ),
    Entry(
        f.OTHER_NAMESPACE,
        "A policy sees only alerts that carry its own namespace, and no alert of that name can.",
        "Keep `namespace` in the rule's query, set it as a label of the rule, or write `scope: Any` and `target.name`.",
        c.PLAUSIBLE,
    ),
    Entry(
        f.NEVER_MATCHES,
        "No alert of that name can satisfy one of the policy's matchers.",
        "The message says what the rule sets, or why the label is never there. Correct the matcher or the rule.",
        c.PLAUSIBLE,
    ),
    Entry(
        f.OTHER_CLUSTER,
        "No alert of that name can satisfy `spec.matchers` of the AlertSource.",
        "Correct those matchers, or the rule's labels.",
        c.PLAUSIBLE,
    ),
    Entry(
        f.NO_TARGET,
        "The labels that name the target are never on the alert.",
        "Name the object in `spec.target.name`, keep the label in the rule's query, or set it as a label of the rule.",
        c.PLAUSIBLE,
    ),
    Entry(
        f.NEVER_PASSES,
        "What a rung waits for before it has passed (`settle`, the queries' `for`) is longer than its timeout.",
        "Write the timeout that the message names, or a shorter `settle` or `for`.",
        c.PLAUSIBLE,
    ),
    Entry(
        f.NOT_CORDONED,
        "A rung says `reboot`, and no rung before it cordons or drains: a node that takes new pods is not rebooted.",
        "Put a rung with `drain` before it, or cordon such nodes by hand first.",
        c.PLAUSIBLE,
    ),
    Entry(
        f.LOOKS_BACK,
        "The alert's rule, or a query of `verify`, looks back further than the rung has time.",
        "Write the timeout that the message names, or use a shorter range.",
        c.PLAUSIBLE,
    ),
    Entry(
        f.NO_VALUE,
        "A variable in a query of `verify` never has a value, so that the query is never asked.",
        "Take a variable that has one, or write the value itself.",
        c.PLAUSIBLE,
    ),
    Entry(
        c.NOBODY_ELSE,
        "Nobody is seen who would undo, or keep Goldseam from, what the ladder does to the target that the policy"
        " names. Where it is False, the reason is one of those for which an action does not fit its target.",
        "",
        c.UNCONTESTED,
    ),
    Entry(
        c.NO_TARGET,
        "The target that the policy names does not exist.",
        "Correct `spec.target`, if it is not to be created yet.",
        c.UNCONTESTED,
    ),
    Entry(c.UNREACHABLE, "Who else owns the target could not be read.", "The message has the error.", c.UNCONTESTED),
    Entry(
        c.NODES_TOLD,
        "Nothing is seen on the nodes, or in the Guardrails, that would keep a policy for nodes from its ladder.",
        "",
        c.NODES_FIT,
    ),
    Entry(
        c.NOT_SELECTIVE,
        "The policy's `nodeSelector` selects none of the nodes, or every one: it opens no incident.",
        "Write a label that some nodes have, and not all.",
        c.NODES_FIT,
    ),
    Entry(
        c.LAST_NODE,
        "The last node in service is neither cordoned nor drained: there is one only, or the others are not Ready and"
        " schedulable as it is now.",
        "Add a node, or see why the others are not in service.",
        c.NODES_FIT,
    ),
    Entry(
        c.NOT_CORDONED,
        "A rung says `reboot`, and no rung before it cordons or drains: a node that takes new pods is not rebooted.",
        "Put a rung with `drain` before it, or cordon such nodes by hand first.",
        c.NODES_FIT,
    ),
    Entry(
        c.CONTROL_PLANE_NODE,
        "All nodes that the policy may act on are of the control plane, and a rung has no `controlPlane: true`.",
        "Write it in the rung if they may go, or select other nodes.",
        c.NODES_FIT,
    ),
    Entry(
        c.REBOOT_UNFIT,
        "A rung says `reboot`, and the CronJob `goldseam-reboot/reboot` is missing, switched off, or not such that a"
        " node reboots once.",
        "Install `components/reboot`, or change the CronJob as the message says.",
        c.NODES_FIT,
    ),
    Entry(
        c.NODE_LEASE_CLOSED,
        "The namespace `medik8s-leases` exists, and Goldseam has no right to its Leases: rungs that take a node out of"
        " service are passed over.",
        "Bind the ClusterRole of component `medik8s` there, as docs/actions/drain-preflight.md says.",
        c.NODES_FIT,
    ),
    Entry(
        c.FORCE_FORBIDDEN,
        "A rung says `atDeadline: Force`, and the Guardrails' `allowForcedDrain` does not name all nodes that the"
        " policy may act on: on the others the drain is not begun.",
        "Select nodes that it names, write another `atDeadline`, or let an admin name them there.",
        c.NODES_FIT,
    ),
    Entry(
        c.OUT_OF_SERVICE_FORBIDDEN,
        "A rung says `outOfService`, and the Guardrails' `allowOutOfService` does not name all nodes that the policy"
        " may act on.",
        "Name them there, or select others; on those that it names the rung is tried.",
        c.NODES_FIT,
    ),
    Entry(c.NO_TARGET, "The node that the policy names does not exist.", "Correct `spec.target.name`.", c.NODES_FIT),
    Entry(
        c.UNREACHABLE,
        "Nodes, Guardrails, the CronJob of reboots, or what there is of Medik8s leases could not be read.",
        "The message has the error.",
        c.NODES_FIT,
    ),
    Entry(
        c.NO_TARGET,
        "The alert fires, and its labels name no object that may be acted on.",
        "The message says which label is missing or wrong. Name the object in `spec.target.name`, or add the label to"
        " the rule.",
        c.TARGET_FOUND,
    ),
)
