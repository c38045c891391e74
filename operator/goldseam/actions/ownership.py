"""Refusals for what somebody else would undo, each with what to do instead."""

from __future__ import annotations

from goldseam.actions.replies import refusal
from goldseam.api.incident import ObjectRef
from goldseam.engine.objects import Json, pointer_of
from goldseam.engine.owners import ARGO, HELM_RELEASE, YIELDED, Owner
from goldseam.engine.proposal import Refusal


def by_controller(owner: Owner, ref: ObjectRef, what: str, instead: str = "") -> Refusal:
    """Another controller may rebuild the object from its own spec at any time; `instead`: what to do about it."""
    instead = instead or f"change {owner} instead"
    return refusal("OwnedByController", f"{owner} controls {ref} and would undo {what}: {instead}")


def by_keda(owner: Owner, hpa: ObjectRef, want: int) -> Refusal:
    """KEDA writes its HorizontalPodAutoscaler anew from the ScaledObject, which cannot be read here."""
    return refusal(
        "OwnedByKeda",
        f"{owner} made {hpa} and would undo a change of its floor: set minReplicaCount: {want} in the ScaledObject, or"
        " let Goldseam do it (component keda of deploy/kustomize)",
    )


def by_rollout(owner: Owner, ref: ObjectRef) -> Refusal:
    """Argo Rollouts takes the template of the Deployment, keeps it at its own number, mostly 0, and runs the pods."""
    message = f"{owner} runs the pods of {ref} ({owner.evidence}): write target: {{kind: Rollout, name: {owner.name}}}"
    return refusal("UnderRollout", f"{message} in the policy")


def by_gitops(owner: Owner, ref: ObjectRef, field: str, obj: Json | None = None) -> Refusal:
    """The field is in Git; `obj`: where it is one of an entry of a list. The lines to add tell the tool to leave alone
    what Goldseam writes; the annotation tells us.

    Sources: Argo CD `docs/user-guide/diffing.md` and `sync-options.md`; Flux `docs/spec/v1/kustomizations.md` (Ignore
    Rules, kustomize-controller 1.9) and `docs/spec/v2/helmreleases.md`. Taking the field out of Git is no advice
    to give without a warning: its last owner gone, the API server puts its default back, which is 1 replica.
    The annotation belongs into Git: what `kubectl annotate` writes, Flux takes away again (its `pkg/ssa`, patch.go).
    """
    pointer = pointer_of(obj or {}, field)
    message = (
        f"{owner} owns {field} of {ref} ({owner.evidence}) and would undo a change. Add to the {owner.kind}:"
        f' {_lines(owner, ref, pointer)}; then annotate the {ref.kind} in Git: {YIELDED}: "true"'
    )
    return refusal("OwnedByGitOps", message)


def _lines(owner: Owner, ref: ObjectRef, pointer: str) -> str:
    group = ref.api_version.rpartition("/")[0] or '""'
    if owner.kind == ARGO:
        return (
            f"ignoreDifferences: [{{group: {group}, kind: {ref.kind}, managedFieldsManagers: [goldseam]}}] and"
            " syncPolicy: {syncOptions: [RespectIgnoreDifferences=true]}"
        )
    rule = f"[{{paths: [{pointer}], target: {{kind: {ref.kind}, name: {ref.name}}}}}]"
    if owner.kind == HELM_RELEASE:
        return f"driftDetection: {{ignore: {rule}}}"
    once = " (Kubernetes then sets it to 1 once)" if pointer.endswith("eplicas") else ""
    return f"ignore: {rule} (Flux 2.9), or leave the field out of Git{once}"
