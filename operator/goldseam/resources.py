"""The kinds that Goldseam reads and writes, as the API server addresses them."""

from __future__ import annotations

from goldseam.api.base import GROUP, VERSION
from goldseam.api.incident import ObjectRef
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
    "Rollout": Resource("argoproj.io", "v1alpha1", "rollouts"),
}
REPLICA_SETS = Resource("apps", "v1", "replicasets")
CONTROLLER_REVISIONS = Resource("apps", "v1", "controllerrevisions")
REVISIONS = {"ReplicaSet": REPLICA_SETS, "ControllerRevision": CONTROLLER_REVISIONS}
"""What keeps former templates."""
EVENTS = Resource("", "v1", "events")
PODS = Resource("", "v1", "pods")
NODES = Resource("", "v1", "nodes", namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
CONFIG_MAPS = Resource("", "v1", "configmaps")
SECRETS = Resource("", "v1", "secrets")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts")
HPAS = Resource("autoscaling", "v2", "horizontalpodautoscalers")
PDBS = Resource("policy", "v1", "poddisruptionbudgets")
CLAIMS = Resource("", "v1", "persistentvolumeclaims")
VOLUMES = Resource("", "v1", "persistentvolumes", namespaced=False)
VOLUME_ATTACHMENTS = Resource("storage.k8s.io", "v1", "volumeattachments", namespaced=False)
CRON_JOBS = Resource("batch", "v1", "cronjobs")
JOBS = Resource("batch", "v1", "jobs")
SCALED_OBJECTS = Resource("keda.sh", "v1alpha1", "scaledobjects")
VPAS = Resource("autoscaling.k8s.io", "v1", "verticalpodautoscalers")
GITOPS = {
    "Kustomization": Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations"),
    "Application": Resource("argoproj.io", "v1alpha1", "applications"),
}
"""What delivers workloads from Git."""
ADMISSION_POLICIES = Resource("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", namespaced=False)
ADMISSION_BINDINGS = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", namespaced=False
)
LEASES = Resource("coordination.k8s.io", "v1", "leases")

TARGETS = {**WORKLOADS, "Node": NODES}
WRITABLE = {
    **TARGETS,
    "HorizontalPodAutoscaler": HPAS,
    "ScaledObject": SCALED_OBJECTS,
    "Pod": PODS,
    "ConfigMap": CONFIG_MAPS,
    "CronJob": CRON_JOBS,
    "Job": JOBS,
}
"""What a write may speak of, by kind."""


def custom(ref: ObjectRef, plural: str) -> Resource:
    """The kind of an object that a template makes."""
    group, _, version = ref.api_version.partition("/")
    return Resource(group, version, plural, namespaced=bool(ref.namespace))
