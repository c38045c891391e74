"""What is done to nodes: cordon, drain, outOfService, reboot, uncordon. Only in a ClusterRemediationPolicy."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from goldseam.api.base import AnyDuration
from goldseam.api.constraints import Between
from goldseam.api.parameters import Parameters


class Cordon(Parameters):
    """Mark the node as unschedulable. Only in a ClusterRemediationPolicy.

    It is uncordoned when the incident ends, if it was Goldseam that cordoned it.
    """

    control_plane: bool = False
    """Whether a node of the control plane may be taken out of service, too: never a second one. Default: false, and the
    rung is passed over for such a node."""

    def covers(self, other: Any) -> bool:
        """Nodes of the control plane only where it takes them, too."""
        return bool(self.control_plane >= other.control_plane)


AtDeadline = Literal["Uncordon", "LeaveCordoned", "Force"]
"""What becomes of a node, and of the pods on it, when a drain has not ended in time."""


class Drain(Parameters):
    """Cordon the node, then evict its pods through the Eviction API, so that PodDisruptionBudgets are honoured.
    Only in a ClusterRemediationPolicy.

    The node is uncordoned when the incident is resolved, and at once if the drain fails. Pods of DaemonSets and static
    pods stay.
    """

    deadline: Annotated[AnyDuration, Between("1s", "168h")] | None = None
    """How long the pods may take to be gone, from the first write on; it stands on the node. Default: the timeout."""
    at_deadline: AtDeadline = "Uncordon"
    """When pods are left at the deadline, the drain has failed. `Uncordon` (default): the node is uncordoned, if it was
    Goldseam that cordoned it, before anything else is tried. `LeaveCordoned`: it stays cordoned until a person
    uncordons it. `Force`: the pods that are left are deleted, past their PodDisruptionBudgets, with the time to end
    that they ask for, and the drain goes on; only if they do not end it has failed, as with `Uncordon`. Only on nodes
    that the Guardrails name in `allowForcedDrain`."""
    control_plane: bool = False
    """Whether a node of the control plane may be drained, too: never a second one. Default: false, and the rung is
    passed over for such a node."""
    single_replicas: Literal["Restart", "Evict"] = "Restart"
    """What becomes of a workload that has no ready pod but on this node. `Restart` (default): a Deployment is restarted
    by its rolling update once the node is cordoned, so that a new pod is ready elsewhere before the old one goes; where
    that cannot be done, the rung is passed over. `Evict`: its pods are evicted, and it is down until new ones are
    ready."""

    def covers(self, other: Any) -> bool:
        """Nodes of the control plane only where it takes them, too, and by force only where it does so, and no sooner;
        single replicas are treated the same."""
        sooner = other.deadline is not None and (self.deadline is None or other.deadline < self.deadline)
        forces = other.at_deadline != "Force" or (self.at_deadline == "Force" and not sooner)
        alike = self.single_replicas == other.single_replicas
        return bool(forces and alike and self.control_plane >= other.control_plane)


class OutOfService(Parameters):
    """Say of a node whose machine is off that it is out of service: cordon it, and set the taint
    `node.kubernetes.io/out-of-service=nodeshutdown:NoExecute` (KEP-2268). Kubernetes then deletes its pods by force,
    and detaches their volumes at once. Only in a ClusterRemediationPolicy, and only on nodes that the Guardrails name
    in `allowOutOfService`.

    On a machine that runs still this loses data: a pod would write to a volume that another one writes to. The taint is
    taken away as soon as the kubelet reports again, and at the latest when the incident ends.
    """

    when: Literal["ShutDown", "Unreachable"] = "ShutDown"
    """By what it is known that the machine is off, beside its kubelet's silence. `ShutDown` (default): the cloud
    provider says so, by the taint `node.cloudprovider.kubernetes.io/shutdown`. `Unreachable`: nothing more is asked;
    only for machines that are surely off when they are silent for so long, as where a watchdog turns off or resets one
    that has lost the cluster."""
    unreachable_for: Annotated[AnyDuration, Between("5m", "168h")] = timedelta(minutes=10)
    """For how long its kubelet must be silent: its Lease in `kube-node-lease` not renewed, and Ready Unknown, while
    other nodes renew theirs. From 5m to 168h. Default: 10m."""
    control_plane: bool = False
    """Whether a node of the control plane may be taken, too: never while a second one is out of service. Default:
    false, and the rung is passed over for such a node."""

    def covers(self, other: Any) -> bool:
        """As sure, after as long a silence, or longer; nodes of the control plane only where it takes them, too."""
        sure = self.when in ("Unreachable", other.when) and self.unreachable_for <= other.unreachable_for
        return bool(sure and self.control_plane >= other.control_plane)


class Reboot(Parameters):
    """Have the node reboot, once: by one Job, pinned to the node, that is made from the CronJob `reboot` in namespace
    `goldseam-reboot`, and does nothing once the node runs under another bootID. Only in a ClusterRemediationPolicy.

    The node must be cordoned, and its pods gone: put `drain` before it. It is done when the node reports another bootID
    and is Ready.
    """

    control_plane: bool = False
    """Whether a node of the control plane may be rebooted, too: never while a second one is out of service. Default:
    false, and the rung is passed over for such a node."""

    def covers(self, other: Any) -> bool:
        """Nodes of the control plane only where it takes them, too."""
        return bool(self.control_plane >= other.control_plane)


class Uncordon(Parameters):
    """Make the node schedulable again, if it was Goldseam that cordoned it. Only in a ClusterRemediationPolicy.

    What a person cordoned stays cordoned.
    """
