"""Why an action does not fit its target: the reasons of holds by guard `owner`. The next rung is tried."""

from __future__ import annotations

from goldseam.engine.reasons.entry import Entry

REFUSALS: tuple[Entry, ...] = (
    Entry("TargetGone", "The object was deleted while it was planned for.", "Nothing.", "every action"),
    Entry(
        "OwnedByController",
        "Another controller owns the object and would undo the change.",
        "Write the policy for the owner that the message names, or change the owner by hand.",
        "scale, restart, patchConfig, rollback",
    ),
    Entry(
        "OwnedByKeda",
        "KEDA made the HPA and would undo a change of its floor, and its ScaledObject may not be read.",
        "Set `minReplicaCount` in the ScaledObject, or let Goldseam do it, as the message says.",
        "scale",
    ),
    Entry(
        "KedaPaused",
        "Somebody paused the ScaledObject that scales the workload, by an annotation that the message names.",
        "Remove the annotation when the pause is over.",
        "scale",
    ),
    Entry(
        "UnderRollout",
        "A Rollout of Argo Rollouts runs the pods of the Deployment (`workloadRef`).",
        "Write the policy for the Rollout that the message names.",
        "scale",
    ),
    Entry(
        "OwnedByGitOps",
        "Argo CD or Flux applies the field, and would undo the change.",
        "Add the lines of the message, which tell it to leave the field alone; a template is rolled back in Git.",
        "scale, patchConfig, rollback",
    ),
    Entry(
        "SwitchedOff",
        "The workload has 0 replicas: somebody switched it off.",
        "Scale it up by hand if it should run.",
        "scale",
    ),
    Entry(
        "CronJobMissing",
        "There is no CronJob of that name in the target's namespace, or it is being deleted.",
        "Create it, or name another in the policy's `job.cronJob`.",
        "job",
    ),
    Entry(
        "CronJobSuspended",
        "The CronJob, or what it says of its Jobs, has `suspend: true`: somebody switched it off.",
        "Let it run again. One that is for Goldseam and people only has a schedule that never comes: `0 0 31 2 *`.",
        "job",
    ),
    Entry(
        "JobRunning",
        "A Job of the CronJob is at work, and its `concurrencyPolicy` is not Allow, or the rung is destructive, or it"
        " is one of Goldseam's. This one waits: the next rung is not tried.",
        "Nothing: it goes on when that Job has ended. Delete the Job if it hangs.",
        "job",
    ),
    Entry("TwoAutoscalers", "Two autoscalers scale the same object and fight.", "Delete one of them.", "scale"),
    Entry(
        "AboveHpaMaximum",
        "The maximum of the HPA or ScaledObject is lower than what the policy asks for.",
        "Raise it, ask for less in the policy, or for an HPA write `raiseMax: true` there.",
        "scale",
    ),
    Entry(
        "FloorOfZero",
        "The HPA has `minReplicas: 0`, which Goldseam may not bring back.",
        "Write `minReplicas: 1`.",
        "scale",
    ),
    Entry(
        "RolloutPaused",
        "The Deployment has `spec.paused: true`.",
        "Resume the rollout.",
        "restart, patchConfig, rollback",
    ),
    Entry(
        "RolloutInProgress",
        "A rollout is in progress: a restart on top of it would hide what it does.",
        "Wait for it, or roll it back.",
        "restart, patchConfig",
    ),
    Entry(
        "ForeignToken",
        "The annotation `goldseam.dev/token` on the pod template was not written by Goldseam.",
        "Remove it.",
        "restart, patchConfig, rollback",
    ),
    Entry(
        "UpdateOnDelete",
        "The workload replaces a pod only once it is deleted (`updateStrategy: OnDelete`).",
        "Delete its pods one by one.",
        "restart, patchConfig, rollback",
    ),
    Entry(
        "Partitioned",
        "The StatefulSet's `partition` keeps some pods as they are: only part of them would restart.",
        "Set the partition to 0, or restart by hand.",
        "restart, patchConfig, rollback",
    ),
    Entry(
        "ConfigMapMissing",
        "There is no ConfigMap of that name in the target's namespace.",
        "Create it, or name another in `configMap`.",
        "patchConfig",
    ),
    Entry(
        "ConfigMapImmutable",
        "The ConfigMap has `immutable: true`.",
        "Make a new one by hand, and let the workload refer to it.",
        "patchConfig",
    ),
    Entry(
        "ConfigKeyMissing",
        "The ConfigMap has no such key.",
        "Correct `key`, or write `addKey: true`.",
        "patchConfig",
    ),
    Entry(
        "ConfigValueUnfit",
        "The value is binary, or too long to be kept on the Incident, so that it could not be put back.",
        "Change it by hand.",
        "patchConfig",
    ),
    Entry(
        "ConfigMapUnused",
        "The target's template does not refer to that key of the ConfigMap, so a restart would change nothing.",
        "Correct `configMap` or `key`, or refer to it in the template.",
        "patchConfig",
    ),
    Entry(
        "RevisionUnseen",
        "No revision holds the template that the workload has: its controller has not made it yet, or kept another.",
        "Nothing; or roll back by hand.",
        "rollback",
    ),
    Entry(
        "NoRecentRollout",
        "What runs was rolled out longer than `window` before the alert began, so it is hardly its cause.",
        "Nothing: the next rung is tried.",
        "rollback",
    ),
    Entry(
        "RolledOutSince",
        "What runs was rolled out after the alert began: somebody is at work on it.",
        "Nothing: the next rung is tried.",
        "rollback",
    ),
    Entry(
        "RevisionGone",
        "The revision before is not kept any more.",
        "Raise `spec.revisionHistoryLimit`, or deploy the former version by hand.",
        "rollback",
    ),
    Entry(
        "OtherIdentity",
        "The former template has another ServiceAccount, or shares other namespaces of its node.",
        "Roll it back by hand.",
        "rollback",
    ),
    Entry(
        "ControlPlaneAtRisk",
        "The node is of the control plane, and another such node is out of service: etcd could lose its majority.",
        "Bring the other one back first.",
        "cordon, drain",
    ),
    Entry("OwnPod", "Goldseam itself runs on the node.", "Move its pod to another node first.", "drain"),
    Entry(
        "UnmanagedPods",
        "Pods on the node have no controller, and nothing would bring them back.",
        "Delete or move them by hand first.",
        "drain",
    ),
    Entry(
        "NeverDisrupted",
        "A PodDisruptionBudget wants as many ready pods as there are, so that no pod of its is ever evicted.",
        "Let it allow one pod to be away (`maxUnavailable: 1`), or run one replica more.",
        "drain",
    ),
    Entry(
        "TwoDisruptionBudgets",
        "Two PodDisruptionBudgets cover a pod, and the Eviction API refuses to evict such a one.",
        "Change the selectors so that one budget covers it.",
        "drain",
    ),
    Entry(
        "DoNotDisrupt",
        "A pod carries Karpenter's or the Cluster Autoscaler's mark that it must not be evicted.",
        "Wait for the pod to finish, or remove the mark.",
        "deletePods, drain",
    ),
    Entry("TooManyPods", "More pods would have to go than one drain evicts.", "Drain the node by hand.", "drain"),
    Entry(
        "NowhereToGo",
        "There is no other node that is Ready and would take the pods.",
        "Bring a node back, or add one.",
        "drain",
    ),
)
