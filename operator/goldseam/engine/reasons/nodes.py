"""Why nothing is done to a node now: reasons that only node actions give."""

from __future__ import annotations

from goldseam.engine.reasons.entry import NOTHING, Entry

OF_NODES: tuple[Entry, ...] = (
    Entry(
        "NodeLeaseHeld",
        "Another operator, such as one of Medik8s, holds the node's Lease in `medik8s-leases`: it is at work there.",
        "Nothing: it goes on when the Lease is given back, or has lapsed.",
        "leased",
    ),
    Entry(
        "NodeLeaseClosed",
        "The namespace `medik8s-leases` exists, and Goldseam has no right to its Leases.",
        "Bind the ClusterRole of component `medik8s` there, as docs/actions/drain-preflight.md says.",
        "leased",
        refuses=True,
    ),
    Entry(
        "WorkloadPaused",
        "A workload that has pods on the node is paused: by a Pause of its namespace or of itself, or by the annotation"
        ' `goldseam.dev/ignore: "true"`.',
        "End the Pause, or remove the annotation, when you are done.",
        "collateral",
    ),
    Entry(
        "WorkloadBusy",
        "A workload that has pods on the node is being rolled out, or scaled by its HPA, or another Incident acts on"
        " it.",
        NOTHING,
        "collateral",
    ),
    Entry(
        "WorkloadCooldown",
        "Goldseam acted a short while ago on a workload that has pods on the node.",
        NOTHING,
        "collateral",
    ),
)

OF_OUT_OF_SERVICE: tuple[Entry, ...] = (
    Entry(
        "KubeletReports",
        "The node's kubelet reports, be it that the node is not Ready: its machine is on.",
        "Put a rung with `drain` before or after it: there pods can be evicted.",
        "outOfService",
    ),
    Entry(
        "SilenceUnknown",
        "The kubelet is silent, and the node's Lease in `kube-node-lease`, or its condition Ready, does not say since"
        " when.",
        "Look whether kubelets renew Leases in this cluster.",
        "outOfService",
    ),
    Entry(
        "NotSilentForLong",
        "The kubelet is silent for less than the rung's `unreachableFor`. This one waits.",
        NOTHING,
        "outOfService",
    ),
    Entry(
        "NobodyIsHeard",
        "The kubelet is silent, and so is every other one: the control plane may be cut off from the nodes. This one"
        " waits.",
        "Look why no kubelet renews its Lease. Where there is one node only, this never ends.",
        "outOfService",
    ),
    Entry(
        "PerhapsOn",
        "The kubelet is silent, and the cloud provider does not say that the machine is shut down.",
        "Switch the machine off, and set the taint by hand. Write `when: Unreachable` only where a silent machine is"
        " surely off.",
        "outOfService",
    ),
    Entry(
        "HeartbeatsClosed",
        "Goldseam has no right to read the Leases in `kube-node-lease`.",
        "Install `components/out-of-service`.",
        "outOfService",
    ),
)

OF_REBOOTS: tuple[Entry, ...] = (
    Entry(
        "NotCordoned",
        "The node takes new pods: a reboot would take them down.",
        "Put a rung with `drain` before the one with `reboot`, or cordon the node by hand.",
        "reboot",
    ),
    Entry(
        "NotDrained",
        "Pods are on the node that a drain would evict.",
        "Put a rung with `drain` before the one with `reboot`; if it did not end, see why.",
        "reboot",
    ),
    Entry(
        "PodsEnding",
        "Pods on the node are terminating, and their grace period is not over. This one waits.",
        NOTHING,
        "reboot",
    ),
    Entry(
        "KubeletSilent",
        "The node's kubelet reports nothing any more, so that no Job runs there.",
        "Have the machine restarted from outside, by hand or by a remediation of Medik8s (`template`).",
        "reboot",
    ),
    Entry(
        "BootIdUnknown",
        "The node does not say under which bootID it runs, so that nothing would show that it has rebooted.",
        "Reboot it by hand.",
        "reboot",
    ),
    Entry(
        "CronJobUnfit",
        "By the CronJob `goldseam-reboot/reboot` a node might reboot twice, or long after it was asked to.",
        "Change it as the message says; that of `components/reboot` is right.",
        "reboot",
    ),
)
