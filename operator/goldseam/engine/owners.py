"""Who else owns a field or an object, and by what that is seen.

The last word has `managedFields` (KEP-555): labels and annotations only say who brought the object, not who owns the
field. Where a tool applies on the client's side, its `last-applied-configuration` says the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from goldseam.engine.objects import Json, annotation, controller, managers_of, metadata, value_at

ARGO = "Argo CD Application"
KUSTOMIZATION = "Flux Kustomization"
HELM_RELEASE = "Flux HelmRelease"
SCALED_OBJECT = "KEDA ScaledObject"

YIELDED = "goldseam.dev/gitops-ignores"
"""The annotation by which a person says that GitOps was told to leave alone what Goldseam changes on the object.

Whether it was told cannot be seen there: an Application's `ignoreDifferences` leave managedFields as they are.
"""

TRACKING = "argocd.argoproj.io/tracking-id"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KEDA_LABEL = "scaledobject.keda.sh/name"
_PAUSE = "autoscaling.keda.sh/paused"
PAUSED_REPLICAS = f"{_PAUSE}-replicas"
PAUSING = (_PAUSE, PAUSED_REPLICAS, f"{_PAUSE}-scale-in", f"{_PAUSE}-scale-out")
_NO = ("0", "f", "F", "false", "False", "FALSE")  # what Go's strconv.ParseBool takes for no

_ARGO_MANAGER = "argocd-controller"
_FLUX = {
    "kustomize-controller": (KUSTOMIZATION, "kustomize.toolkit.fluxcd.io"),
    "helm-controller": (HELM_RELEASE, "helm.toolkit.fluxcd.io"),
}
GITOPS = frozenset({_ARGO_MANAGER, *_FLUX})
"""The field managers of GitOps tools."""


@dataclass(frozen=True)
class Owner:
    """Somebody who would undo a change of ours."""

    kind: str
    name: str
    """Empty where it cannot be told."""
    evidence: str
    """By what it is seen, for people."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else self.kind


def controller_owner(obj: Json) -> Owner | None:
    """The object that controls this one and may rebuild it whenever it likes."""
    ref = controller(obj)
    return Owner(str(ref.get("kind")), str(ref.get("name")), "ownerReferences") if ref else None


def aimed_at(target: Json, found: Iterable[Json], field: str = "scaleTargetRef", default: str = "") -> list[Json]:
    """Those whose reference `field` is to the target; `default`: the kind that one without a kind is about."""

    def aims(obj: Json) -> bool:
        ref = (obj.get("spec") or {}).get(field) or {}
        return (ref.get("kind") or default, ref.get("name")) == (target.get("kind"), metadata(target).get("name"))

    return [obj for obj in found if aims(obj)]


def autoscalers_of(target: Json, hpas: Iterable[Json]) -> list[Json]:
    """The HorizontalPodAutoscalers whose `scaleTargetRef` is the target."""
    return aimed_at(target, hpas)


def scaled_objects_of(target: Json, scaled_objects: Iterable[Json]) -> list[Json]:
    """The KEDA ScaledObjects whose `scaleTargetRef` is the target."""
    return aimed_at(target, scaled_objects, default="Deployment")


def paused_by(scaled: Json) -> str:
    """The annotation by which somebody paused the ScaledObject in any way; empty where nobody did.

    Source: KEDA `apis/keda/v1alpha1/scaledobject_types.go`; what is no boolean there means yes.
    """
    for name in PAUSING:
        value = annotation(scaled, name)
        if value is not None and (name == PAUSED_REPLICAS or value not in _NO):
            return name
    return ""


def rollout_of(target: Json, rollouts: Iterable[Json]) -> Owner | None:
    """The Argo Rollout that takes its pod template from this Deployment, and runs the pods in its stead."""
    found = aimed_at(target, rollouts, "workloadRef")
    return Owner("Rollout", str(metadata(found[0]).get("name")), "workloadRef") if found else None


def sized_by(target: Json, vpas: Iterable[Json]) -> str:
    """The VerticalPodAutoscaler of the target; empty where there is none."""
    return next((str(metadata(vpa).get("name")) for vpa in aimed_at(target, vpas, "targetRef")), "")


def keda_owner(hpa: Json) -> Owner | None:
    """The ScaledObject that made the HorizontalPodAutoscaler: KEDA writes it anew, with its own floor."""
    ref = controller(hpa)
    if ref is not None and ref.get("kind") == "ScaledObject":
        return Owner(SCALED_OBJECT, str(ref.get("name")), "ownerReferences")
    name = _labels(hpa).get(KEDA_LABEL)
    return Owner(SCALED_OBJECT, str(name), f"label {KEDA_LABEL}") if name else None


def gitops_owner(obj: Json, field: str) -> Owner | None:
    """The GitOps tool that holds this field in Git and would put it back; None where a person says that it does not."""
    if yielded(obj):
        return None
    return _in_managed_fields(obj, field) or _in_last_applied(obj, field)


def tool(obj: Json, manager: str) -> str:
    """A field manager, and the GitOps object that it works for: `argocd-controller (Argo CD Application shop)`."""
    if manager == _ARGO_MANAGER:
        return f"{manager} ({Owner(ARGO, _application(obj), '')})"
    if manager in _FLUX:
        kind, prefix = _FLUX[manager]
        return f"{manager} ({Owner(kind, _flux_name(obj, prefix), '')})"
    return manager


def yielded(obj: Json) -> bool:
    """Whether a person says that GitOps leaves alone what Goldseam changes on the object."""
    return annotation(obj, YIELDED) == "true"


def _in_managed_fields(obj: Json, field: str) -> Owner | None:
    """Flux owns what it applied. Argo CD owns whatever it wrote: it applies on either side, under one manager.

    helm-controller writes by Update, too, what it never corrects later; only an Apply entry is kept.
    """
    for manager, operation, subresource in managers_of(obj, field):
        if subresource:
            continue
        if manager == _ARGO_MANAGER:
            return Owner(ARGO, _application(obj), f"field manager {manager}")
        if manager in _FLUX and operation == "Apply":
            kind, prefix = _FLUX[manager]
            return Owner(kind, _flux_name(obj, prefix), f"field manager {manager}")
    return None


def _in_last_applied(obj: Json, field: str) -> Owner | None:
    """Argo CD's client-side apply: our own write through `/scale` takes the field out of its managedFields."""
    application = _application(obj)
    applied = annotation(obj, LAST_APPLIED)
    if not application or applied is None:
        return None
    try:
        held = value_at(json.loads(applied), field) != "null"
    except (ValueError, RecursionError):  # whoever may edit the object may write anything here
        return None
    return Owner(ARGO, application, f"annotation {LAST_APPLIED}") if held else None


def _application(obj: Json) -> str:
    """The Application in the tracking id `app:group/Kind:namespace/name`; one that names another object is a copy."""
    parts = (annotation(obj, TRACKING) or "").split(":")
    meta = metadata(obj)
    itself = f"{meta.get('namespace')}/{meta.get('name')}"
    return parts[0] if len(parts) == 3 and parts[2] == itself else ""


def _flux_name(obj: Json, prefix: str) -> str:
    namespace, name = _flux_place(obj, prefix)
    return f"{namespace}/{name}" if namespace and name else name


def _flux_place(obj: Json, prefix: str) -> tuple[str, str]:
    labels = _labels(obj)
    return str(labels.get(f"{prefix}/namespace") or ""), str(labels.get(f"{prefix}/name") or "")


def kustomization_of(obj: Json) -> tuple[str, str] | None:
    """Namespace and name of the Flux Kustomization that the object's labels name."""
    namespace, name = _flux_place(obj, _FLUX["kustomize-controller"][1])
    return (namespace, name) if name and namespace else None


def application_of(obj: Json) -> tuple[str, str] | None:
    """Namespace and name of the Argo CD Application that the tracking id names: `namespace_name` where Applications may
    be in any namespace (argo-cd `docs/operator-manual/app-any-namespace.md`), else that of Argo CD itself."""
    namespace, underscore, name = _application(obj).rpartition("_")
    return (namespace if underscore else "argocd", name) if name else None


def _labels(obj: Json) -> Json:
    found: Json = metadata(obj).get("labels") or {}
    return found
