"""The kinds that Goldseam reads and writes, as the API server addresses them."""

from __future__ import annotations

from goldseam.api.base import GROUP, VERSION
from goldseam.api.kinds import KINDS
from goldseam.ports import Resource

OURS = {kind.name: Resource(GROUP, VERSION, kind.plural, kind.namespaced) for kind in KINDS}
INCIDENTS = OURS["Incident"]
GUARDRAILS = OURS["Guardrails"]
PAUSES = OURS["Pause"]
RESPONSES = OURS["Response"]

WORKLOADS = {
    "Deployment": Resource("apps", "v1", "deployments"),
    "StatefulSet": Resource("apps", "v1", "statefulsets"),
    "DaemonSet": Resource("apps", "v1", "daemonsets"),
}
REPLICA_SETS = Resource("apps", "v1", "replicasets")
CONTROLLER_REVISIONS = Resource("apps", "v1", "controllerrevisions")
EVENTS = Resource("", "v1", "events")
PODS = Resource("", "v1", "pods")
NODES = Resource("", "v1", "nodes", namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
SECRETS = Resource("", "v1", "secrets")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts")
HPAS = Resource("autoscaling", "v2", "horizontalpodautoscalers")
ADMISSION_POLICIES = Resource("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", namespaced=False)
ADMISSION_BINDINGS = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", namespaced=False
)
LEASES = Resource("coordination.k8s.io", "v1", "leases")

TARGETS = {**WORKLOADS, "Node": NODES}
WRITABLE = {**TARGETS, "HorizontalPodAutoscaler": HPAS, "Pod": PODS}
"""What a write may speak of, by kind."""
