"""Who owns a field, and by what it is seen."""

from __future__ import annotations

import json

import pytest

from goldseam.engine import owners
from tests.support.objects import hpa, manages, owned_by, workload

REPLICAS = "spec.replicas"
TRACKED = {owners.TRACKING: "storefront:apps/Deployment:shop/api"}


def applied(**spec: object) -> dict[str, str]:
    return {owners.LAST_APPLIED: json.dumps({"kind": "Deployment", "spec": spec})}


def marked(
    annotations: dict[str, str], *entries: dict[str, object], labels: dict[str, str] | None = None
) -> dict[str, object]:
    meta = {"annotations": annotations, "managedFields": list(entries), "labels": labels or {}}
    return workload(metadata=meta)


def test_a_field_that_argo_cd_applied_on_the_server_is_its_own() -> None:
    owner = owners.gitops_owner(marked(TRACKED, manages("argocd-controller", REPLICAS, operation="Apply")), REPLICAS)
    assert owner is not None
    assert (owner.kind, owner.name) == (owners.ARGO, "storefront")
    assert str(owner) == "Argo CD Application storefront"


def test_a_field_that_argo_cd_wrote_is_its_own_even_without_a_tracking_id() -> None:
    owner = owners.gitops_owner(marked({}, manages("argocd-controller", REPLICAS)), REPLICAS)
    assert owner is not None
    assert str(owner) == "Argo CD Application"


def test_our_own_write_does_not_hide_a_field_that_argo_cd_last_applied() -> None:
    ours = manages("goldseam", REPLICAS, subresource="scale")
    owner = owners.gitops_owner(marked(TRACKED | applied(replicas=3), ours), REPLICAS)
    assert owner is not None
    assert owner.kind == owners.ARGO
    assert owners.LAST_APPLIED in owner.evidence


def test_a_field_that_argo_cd_did_not_apply_is_free() -> None:
    assert owners.gitops_owner(marked(TRACKED | applied(paused=True)), REPLICAS) is None


def test_what_people_applied_with_kubectl_is_free() -> None:
    assert (
        owners.gitops_owner(marked(applied(replicas=3), manages("kubectl-client-side-apply", REPLICAS)), REPLICAS)
        is None
    )


@pytest.mark.parametrize("tracking", ["storefront:apps/Deployment:shop/other", "storefront", ""])
def test_the_tracking_id_of_another_object_is_a_copy(tracking: str) -> None:
    assert owners.gitops_owner(marked({owners.TRACKING: tracking} | applied(replicas=3)), REPLICAS) is None


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "3", "[]", '{"spec": 3}'])
def test_an_annotation_that_is_no_manifest_owns_nothing(text: str) -> None:
    assert owners.gitops_owner(marked(TRACKED | {owners.LAST_APPLIED: text}), REPLICAS) is None


def test_a_field_that_flux_applied_is_its_own() -> None:
    labels = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    entry = manages("kustomize-controller", REPLICAS, "spec.template", operation="Apply")
    owner = owners.gitops_owner(marked({}, entry, labels=labels), REPLICAS)
    assert str(owner) == "Flux Kustomization flux-system/apps"


def test_flux_without_a_namespace_label_is_named_all_the_same() -> None:
    labels = {"helm.toolkit.fluxcd.io/name": "shop"}
    entry = manages("helm-controller", REPLICAS, operation="Apply")
    assert str(owners.gitops_owner(marked({}, entry, labels=labels), REPLICAS)) == "Flux HelmRelease shop"


def test_what_flux_applied_without_the_field_is_free() -> None:
    entry = manages("kustomize-controller", "spec.template", operation="Apply")
    labels = {"kustomize.toolkit.fluxcd.io/name": "apps"}
    assert owners.gitops_owner(marked({}, entry, labels=labels), REPLICAS) is None


def test_what_a_helm_release_once_wrote_is_not_corrected_and_so_is_free() -> None:
    labels = {"app.kubernetes.io/managed-by": "Helm", "helm.toolkit.fluxcd.io/name": "shop"}
    entries = [manages("helm-controller", REPLICAS), manages("helm", REPLICAS, operation="Apply")]
    assert owners.gitops_owner(marked({}, *entries, labels=labels), REPLICAS) is None


def test_a_write_through_a_subresource_is_nobodys_manifest() -> None:
    entry = manages("argocd-controller", REPLICAS, subresource="scale")
    assert owners.gitops_owner(marked(TRACKED, entry), REPLICAS) is None


def test_a_person_may_say_that_gitops_ignores_the_field() -> None:
    entry = manages("argocd-controller", REPLICAS, operation="Apply")
    assert owners.gitops_owner(marked(TRACKED | {owners.YIELDED: "true"}, entry), REPLICAS) is None
    assert owners.gitops_owner(marked(TRACKED | {owners.YIELDED: "false"}, entry), REPLICAS) is not None


def test_only_a_controlling_owner_counts() -> None:
    assert str(owners.controller_owner(workload(metadata={"ownerReferences": owned_by("Shop", "main")}))) == "Shop main"
    loose = workload(metadata={"ownerReferences": owned_by("Shop", "main", controller=False)})
    assert owners.controller_owner(loose) is None
    assert owners.controller_owner(workload()) is None


def test_an_autoscaler_is_found_by_kind_and_name() -> None:
    others = [hpa(name="b", target={"name": "web"}), hpa(name="c", target={"kind": "Rollout"}), {"metadata": {}}]
    assert owners.autoscalers_of(workload(), [*others, hpa()]) == [hpa()]
    assert owners.autoscalers_of(workload("StatefulSet"), [hpa()]) == []


def test_an_autoscaler_of_keda_is_seen_by_its_owner_or_its_label() -> None:
    by_owner = owners.keda_owner(hpa(ownerReferences=owned_by("ScaledObject", "queue")))
    by_label = owners.keda_owner(hpa(labels={owners.KEDA_LABEL: "queue"}))
    assert str(by_owner) == str(by_label) == "KEDA ScaledObject queue"
    assert owners.keda_owner(hpa(ownerReferences=owned_by("Shop", "main"))) is None
    assert owners.keda_owner(hpa()) is None
