"""Why nothing is done now: the reasons in an Incident's `status.holds`."""

from __future__ import annotations

from goldseam.engine.reasons.entry import NOTHING, Entry
from goldseam.engine.reasons.nodes import OF_NODES

HOLDS: tuple[Entry, ...] = (
    Entry(
        "Paused",
        "A Pause stops new work.",
        "When you are done: `goldseam resume`, or delete the Pause. It also ends by itself.",
        "paused",
    ),
    Entry(
        "EverythingPaused",
        "A Pause of level Everything stops even what is owed: replicas stay up, nodes stay cordoned.",
        "`goldseam resume`, or delete the Pause. It also ends by itself.",
        "paused",
    ),
    Entry("Suspended", "The policy has `spec.suspend: true`.", "Set it to false where the policy is kept.", "paused"),
    Entry(
        "Ignored",
        'The target carries the annotation `goldseam.dev/ignore: "true"`.',
        "Remove the annotation to let Goldseam act on the target.",
        "paused",
    ),
    Entry(
        "NotRead",
        "Something that matters for the decision could not be read.",
        "The message says what and why. Nothing is done until it can be read.",
        "unread",
    ),
    Entry(
        "PolicyInvalid",
        "The policy was changed while the incident was open, and is invalid now.",
        "`kubectl describe` the policy: its condition Stalled says which field is wrong and what to write.",
        "policy",
    ),
    Entry(
        "ModeLowered",
        "The policy's mode, or the Guardrails' ceiling for the namespace, was lowered to Observe.",
        "Nothing, if that was meant. Else raise `spec.mode`, or `maxMode` in the Guardrails.",
        "mode",
    ),
    Entry("AlertPending", "The alert is pending: its `for` is not over yet.", NOTHING, "source"),
    Entry(
        "AlertFiring",
        "The alert fires, but its rule is failing, or was not seen to be evaluated lately.",
        "Look at the rule's health in Prometheus (Status, Rules). A stale alert allows no action.",
        "source",
    ),
    Entry("AlertCleared", "The alert is gone; what is owed waits until that is sure.", NOTHING, "source"),
    Entry(
        "AlertUnknown",
        "What the alert's state is cannot be told: the source does not answer, does not have the rule, or is closed to"
        " the policy.",
        "`kubectl describe alertsource`: SourceReachable has the error. Absence of an alert is not recovery.",
        "source",
    ),
    Entry(
        "InputsGone",
        "No alert is shown, but what its rule reads has no data, its target is down, or that could not be asked.",
        "The message names the input: bring its exporter or target back. An exporter that is dead looks as healthy as"
        " a system that is well.",
        "source",
    ),
    Entry(
        "NotEvaluatedSince",
        "The rule has not been evaluated since the last action has settled, so it says nothing about its effect.",
        "Nothing: it goes on with the rule's next evaluation. If it never comes, look at Prometheus.",
        "source",
    ),
    Entry(
        "Inconclusive",
        "Whether the last action helped cannot be told: a query has no answer, or the alert is unknown.",
        "The message names it. People are told after the policy's `unknownTimeout`.",
        "source",
    ),
    Entry(
        "Silenced",
        "People silenced the alert in Alertmanager, or another alert inhibits it. That time does not count towards"
        " thresholds by which people are called.",
        "End the silence there to let Goldseam act; the message says whose it is.",
        "silenced",
    ),
    Entry(
        "SilenceUnknown",
        "Alertmanager is configured and could not be asked whether people have silenced the alert.",
        "The message has the error. Nothing is done until it answers; `onAlertmanagerDown: Proceed` of the AlertSource"
        " lets workloads be acted on all the same.",
        "silenced",
    ),
    Entry(
        "OutsideWindow",
        "No window of the Guardrails that concerns the target is open.",
        "Wait, or change `windows` in the Guardrails. People are told when it lasts as long as `unknownTimeout`.",
        "window",
    ),
    Entry("Frozen", "A freeze of the Guardrails holds.", "Wait, or end the freeze in the Guardrails.", "window"),
    Entry(
        "ProtectedNamespace",
        "The target's namespace is one of the Guardrails' `protectedNamespaces`, or Goldseam's own.",
        "Nothing, if that was meant. Else take the namespace off the list.",
        "permission",
        refuses=True,
    ),
    Entry(
        "TargetChanged",
        "The policy was changed, and is about another target now.",
        "Nothing: a new incident handles the new target.",
        "policy",
        refuses=True,
    ),
    Entry(
        "OtherNamespace",
        "The Incident speaks of an object outside its own namespace. Somebody else than Goldseam wrote it so.",
        "Find out who writes Incidents there. The admission policy goldseam-incidents refuses it.",
        "policy",
        refuses=True,
    ),
    Entry(
        "NamespaceNotSelected",
        "The cluster policy's `namespaceSelector` does not select the target's namespace (any more).",
        "Nothing, if that was meant. Else label the namespace, or change the selector.",
        "policy",
        refuses=True,
    ),
    Entry(
        "NodeNotSelected",
        "The cluster policy's `nodeSelector` does not select the node (any more).",
        "Nothing, if that was meant. Else label the node, or change the selector.",
        "policy",
        refuses=True,
    ),
    Entry(
        "RungRemoved",
        "The policy's ladder was changed, and does not allow this rung any more.",
        "Nothing: the next rung is tried. An edit may narrow an open incident, never widen it.",
        "policy",
        refuses=True,
    ),
    Entry(
        "ActionForbidden",
        "The Guardrails' `allowedActions` for the namespace do not have the action.",
        "Nothing, if that was meant. Else add the action there.",
        "permission",
        refuses=True,
    ),
    Entry(
        "TemplateForbidden",
        "The Guardrails do not list the kind that a `template` makes, or not in that namespace, or it is protected.",
        "Add the kind or the namespace to `templates` of the Guardrails, or take the rung out.",
        "permission",
        refuses=True,
    ),
    Entry(
        "ForceForbidden",
        "The rung says `atDeadline: Force`, and the Guardrails' `allowForcedDrain` does not name the node.",
        "Write `Uncordon` or `LeaveCordoned`, or name the node there.",
        "permission",
        refuses=True,
    ),
    Entry(
        "OutOfServiceForbidden",
        "The rung says `outOfService`, and the Guardrails' `allowOutOfService` does not name the node.",
        "Name the node there, if a silent machine is surely off; else take the rung out.",
        "permission",
        refuses=True,
    ),
    Entry(
        "ChangesUnknown",
        "The rung has `skipIfChangedWithin`, and no revision of the target tells yet when its template was changed.",
        "Look whether its ReplicaSets or ControllerRevisions were deleted, or belong to nobody; a rollout makes one.",
        "history",
    ),
    Entry(
        "ChangedLately",
        "The target's template was changed less than the rung's `skipIfChangedWithin` before the alert began.",
        "Look at the change that the message names: it is the likeliest cause. Roll it back, or mend it.",
        "history",
        refuses=True,
    ),
    Entry(
        "FailedLately",
        "The same rung did not help the same target less than its `skipIfFailedWithin` ago.",
        "Look for the cause: the alert comes back, and what is tried does not cure it.",
        "history",
        refuses=True,
    ),
    Entry(
        "OtherIncident",
        "Another incident is acting on the same target, or runs a Job of the same CronJob.",
        NOTHING,
        "busy",
    ),
    Entry(
        "OtherPolicy",
        "Another policy handles the same target and comes first: the namespaced one before the cluster's, then the"
        " older one.",
        "Let one policy own the target: two ladders on one object surprise everybody.",
        "busy",
    ),
    Entry(
        "RolloutInProgress",
        "A rollout of the target is in progress.",
        "Nothing, unless it hangs: one past its `progressDeadlineSeconds` no longer holds.",
        "busy",
    ),
    Entry(
        "StillRunning",
        "The Job that a rung has started takes longer than the rung's timeout. Nothing else is tried beside it.",
        "Wait, or delete the Job: then people take over. Raise the rung's `timeout`, or set `activeDeadlineSeconds` in"
        " the CronJob: by that it fails, and the next rung is tried.",
        "busy",
    ),
    Entry(
        "NotAllThere",
        "Pods would be evicted one by one, and one is missing already, on its way out, or not available yet.",
        "Nothing, unless it stays away: the message says which. `kubectl describe` it, or the workload. The rung is"
        " passed over when that takes longer than its `timeout`.",
        "busy",
    ),
    Entry(
        "NeverAllThere",
        "Pods would be evicted one by one, and one was missing or not available for longer than the rung may take.",
        "Find out why it does not come or go: `kubectl describe` the workload and the pod that the message names.",
        "busy",
        refuses=True,
    ),
    Entry(
        "Cooldown",
        "The policy acted on this target in an earlier incident a short while ago.",
        "Wait, or shorten `limits.cooldown`. An alert that comes back so soon wants a person.",
        "cooldown",
    ),
    Entry(
        "PolicyBudget",
        "The policy has used up `limits.actions`.",
        "Wait, or raise it. Ask first why the alert comes so often.",
        "budget",
    ),
    Entry(
        "NamespaceBudget",
        "The namespace has used up the Guardrails' `budgets.namespace`.",
        "Wait, or let a cluster admin raise it.",
        "budget",
    ),
    Entry(
        "ClusterBudget",
        "The cluster has used up the Guardrails' `budgets.cluster`.",
        "Wait, or raise it. So much healing at once has one cause: look for it.",
        "budget",
    ),
    Entry(
        "LedgerIncomplete",
        "More was spent than the Guardrails' status holds: its oldest entries went, and the budget reaches that far.",
        "Wait until the budget's time is over. `status.completeSince` of the Guardrails says since when all is known.",
        "budget",
    ),
    Entry("Concurrent", "The policy is at work on `limits.concurrent` other targets.", NOTHING, "budget"),
    Entry(
        "NodesInTurn",
        "Other nodes wait as well and need it more. The one that is not ready for longest goes first, in whole minutes,"
        " then the one with most pods stuck on it; zones take turns. The message has the node's place.",
        "Nothing: it comes up as those before it are done. What holds the first of the line is on that one's incident.",
        "nodes",
    ),
    Entry(
        "NodesAtOnce",
        "Goldseam has as many nodes cordoned, or is at work on as many, as the Guardrails' `budgets.nodes.atOnce`"
        " allows; or one of the control plane, of which this is another one; or is about to cordon all others that are"
        " in service. A node that people have cordoned counts while it is drained, rebooted or mended.",
        "Nothing: it goes on when one of them is back, or its step has ended. Else uncordon it, or raise the cap; of"
        " the control plane one goes at once whatever the cap is.",
        "nodes",
    ),
    Entry(
        "NodesPerZone",
        "Goldseam has as many nodes of the zone cordoned, or is at work on as many, as `budgets.nodes.perZone` allows.",
        "Nothing: it goes on when one of them is back, or its step has ended.",
        "nodes",
    ),
    Entry(
        "BreakerTripped",
        "So many workloads (or nodes) are unhealthy at once that restarting them one by one helps nobody.",
        "Look for the common cause: network, storage, a release, a node pool. It re-arms by itself as they recover.",
        "breaker",
    ),
    Entry(
        "BreakerUnknown",
        "How much is unhealthy could not be counted.",
        "The message has the error. Nothing is done until it can be counted.",
        "breaker",
    ),
    Entry(
        "AlertStorm",
        "Alerts of many rules in many namespaces began at once: perhaps it is monitoring that is ill.",
        "Look at Prometheus and its targets first. It ends by itself when fewer alerts begin.",
        "storm",
    ),
    Entry(
        "HeldInGit",
        "Argo CD or Flux held the replicas in Git earlier in the incident; a write by `/scale`, by whomever, hides it.",
        "Add the lines of the policy's condition Uncontested, which tell it to leave the field alone, then the"
        " annotation that the message names.",
        "owner",
        refuses=True,
    ),
    Entry(
        "HeldDown",
        "Another incident has scaled the target down on purpose, and owes it back.",
        "Nothing: it comes back when that incident's alert is over; or take that incident over by `goldseam undo`.",
        "owner",
        refuses=True,
    ),
    Entry(
        "TooFewLeft",
        "The action would leave fewer ready pods than `limits.minAvailable`.",
        "Nothing: the next rung is tried. A single pod that is not surged cannot be restarted under the default of"
        " 50%: run two, or set `minAvailable: 0` where a gap is acceptable.",
        "headroom",
        refuses=True,
    ),
    Entry(
        "BreaksDisruptionBudget",
        "The action would take more ready pods at once than a PodDisruptionBudget lets go. A rollout would not ask it.",
        "Nothing: the next rung is tried. `deletePods` goes through the Eviction API, one pod after the other as the"
        " budget allows; a Deployment with maxSurge and `maxUnavailable: 0` takes no ready pod away.",
        "headroom",
        refuses=True,
    ),
    Entry(
        "DisruptionUnknown",
        "A PodDisruptionBudget that covers the pods was changed, and is not counted yet.",
        "Nothing: it takes a second. Where it stays so, kube-controller-manager's disruption controller does not run.",
        "headroom",
    ),
    Entry(
        "IncidentsUnprotected",
        "The admission policy goldseam-incidents is missing or does not deny, so anybody could forge an Incident.",
        "Install deploy/kustomize/base completely.",
        "permission",
    ),
    Entry(
        "PermissionUnknown",
        "Whether the policy's identity may do it could not be asked.",
        "The message has the error. Nothing is done until it can be asked.",
        "permission",
    ),
    Entry(
        "PermissionMissing",
        "The policy's identity may not do it.",
        "Install the component of deploy/kustomize that the policy's condition Permitted names, or bind the right.",
        "permission",
        refuses=True,
    ),
    Entry(
        "DataLoss",
        "The rung is destructive, and a threshold of the runbook that has `dataLoss: true` was crossed.",
        "Decide by hand. Nothing destructive is run once data may be lost.",
        "destructive",
        refuses=True,
    ),
    Entry(
        "DataLossUnknown",
        "The rung is destructive, and whether data is lost cannot be told: the threshold's query has no answer.",
        "The message names the threshold and why. Nothing is asked or done until it can be told.",
        "destructive",
    ),
    Entry(
        "Unconfirmed",
        "The rung is destructive, and there is no Response of a person that approves it as it is written down.",
        "Nothing, if the approval was taken back. Else find out who wrote the Incident so.",
        "destructive",
        refuses=True,
    ),
    Entry(
        "ResponsesUnprotected",
        "The admission policy goldseam-people is missing or does not deny, so anybody could approve in another's name.",
        "Install deploy/kustomize/base completely.",
        "approval",
    ),
    Entry(
        "ApprovalNeeded",
        "A person has to say yes, and nobody has answered yet.",
        "`goldseam show` the incident, then `goldseam approve` or `goldseam deny` it.",
        "approval",
    ),
    Entry("Denied", "A person said no.", "Nothing: the next rung is tried.", "approval", refuses=True),
    Entry(
        "Unanswered",
        "Nobody answered within `approval.timeout`.",
        "Nothing: `approval.onTimeout` says whether people take over or the next rung is tried.",
        "approval",
        refuses=True,
    ),
    *OF_NODES,
)
