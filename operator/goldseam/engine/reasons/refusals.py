"""Why an action does not fit its target: the reasons of holds by guard `owner`. The next rung is tried."""

from __future__ import annotations

from goldseam.engine.reasons.entry import Entry

REFUSALS: tuple[Entry, ...] = (
    Entry("TargetGone", "The object was deleted while it was planned for.", "Nothing.", "every action"),
    Entry(
        "OwnedByController",
        "Another controller owns the object and would undo the change.",
        "Write the policy for the owner that the message names, or change the owner by hand.",
        "scale, restart",
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
        "Add the lines of the message, which tell it to leave the field alone.",
        "scale, restart",
    ),
    Entry(
        "SwitchedOff",
        "The workload has 0 replicas: somebody switched it off.",
        "Scale it up by hand if it should run.",
        "scale",
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
    Entry("RolloutPaused", "The Deployment has `spec.paused: true`.", "Resume the rollout.", "restart"),
    Entry(
        "RolloutInProgress",
        "A rollout is in progress: a restart on top of it would hide what it does.",
        "Wait for it, or roll it back.",
        "restart",
    ),
    Entry(
        "ForeignToken",
        "The annotation `goldseam.dev/token` on the pod template was not written by Goldseam.",
        "Remove it.",
        "restart",
    ),
    Entry(
        "UpdateOnDelete",
        "The workload replaces a pod only once it is deleted (`updateStrategy: OnDelete`).",
        "Delete its pods one by one.",
        "restart",
    ),
    Entry(
        "Partitioned",
        "The StatefulSet's `partition` keeps some pods as they are: only part of them would restart.",
        "Set the partition to 0, or restart by hand.",
        "restart",
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
