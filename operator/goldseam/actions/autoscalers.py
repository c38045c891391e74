"""The floor of whoever scales the target by itself: a HorizontalPodAutoscaler, or a KEDA ScaledObject, which makes one.

An HPA puts replicas back within 15 s, but keeps to its floor, even without metrics (kubernetes
`pkg/controller/podautoscaler`). KEDA writes its HPA anew from the ScaledObject (KEDA `controllers/keda/hpa.go`), so
there it is the ScaledObject's floor.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from goldseam.actions.ownership import by_controller, by_gitops, by_keda
from goldseam.actions.replies import nothing, refusal
from goldseam.actions.writes import owed, patch
from goldseam.api.incident import ObjectRef
from goldseam.api.scaling import Scale
from goldseam.engine.objects import Json, metadata, reference, value_at
from goldseam.engine.obligations import CEILING, FLOOR
from goldseam.engine.owners import (
    autoscalers_of,
    controller_owner,
    gitops_owner,
    keda_owner,
    paused_by,
    scaled_objects_of,
)
from goldseam.engine.proposal import Plan, Proposal, Refusal, Right, World


@dataclass(frozen=True)
class Kind:
    """A kind of autoscaler, and where it has its bounds."""

    api_version: str
    name: str
    plural: str
    floor: str
    ceiling: str
    least: int
    """The floor where it says none."""
    most: int
    """The ceiling where it says none."""
    raises_ceiling: bool
    """Whether the ceiling may be raised too."""
    piece: str
    """The component of `deploy/kustomize` that brings the right to patch it."""

    @property
    def fields(self) -> frozenset[str]:
        """What is written of it, as `proposal.written` says it."""
        bounds = (self.floor, self.ceiling) if self.raises_ceiling else (self.floor,)
        return frozenset(f"{self.name} {bound}" for bound in bounds)


HPA = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", FLOOR, CEILING, 1, 0, True, "hpa")
KEDA = Kind(
    "keda.sh/v1alpha1",
    "ScaledObject",
    "scaledobjects",
    "spec.minReplicaCount",
    "spec.maxReplicaCount",
    0,
    100,
    False,
    "keda",
)


@dataclass(frozen=True)
class Autoscaler:
    """One autoscaler of the target."""

    kind: Kind
    obj: Json

    @property
    def ref(self) -> ObjectRef:
        """A reference to it."""
        return reference(self.obj, self.kind.api_version, self.kind.name)

    @property
    def floor(self) -> int:
        """Its floor."""
        value = json.loads(value_at(self.obj, self.kind.floor))
        return self.kind.least if value is None else int(value)

    @property
    def ceiling(self) -> int:
        """Its maximum."""
        value = json.loads(value_at(self.obj, self.kind.ceiling))
        return self.kind.most if value is None else int(value)

    @property
    def wakes(self) -> bool:
        """Whether it brings a target with 0 replicas to its floor: KEDA does, but not with `idleReplicaCount`, which
        stays until a trigger is active (KEDA `pkg/scaling/executor/scale_scaledobjects.go`)."""
        return self.kind is KEDA and value_at(self.obj, "spec.idleReplicaCount") == "null"


def autoscaler(world: World) -> Autoscaler | Refusal | None:
    """The one that scales the target; None where nobody does. Two of them fight, whatever is written to either."""
    assert world.target is not None
    hpas = autoscalers_of(world.target, world.hpas)
    scaled = scaled_objects_of(world.target, world.scaled_objects)
    names = {str(metadata(obj).get("name")) for obj in scaled}
    foreign = [hpa for hpa in hpas if (owner := keda_owner(hpa)) is None or owner.name not in names]
    found = [*(Autoscaler(KEDA, obj) for obj in scaled), *(Autoscaler(HPA, obj) for obj in foreign)]
    if len(found) > 1:
        two = " and ".join(f"{one.ref.kind} {one.ref.name}" for one in found[:2])
        return refusal("TwoAutoscalers", f"{two} both scale {reference(world.target)} and fight: delete one of them")
    return found[0] if found else None


def by_autoscaler(scaler: Autoscaler, target: ObjectRef) -> Refusal:
    """What is taken away below what it wants, it brings back; and to lower its maximum is to fight it for good."""
    pause = ", or pause it (annotation autoscaling.keda.sh/paused-replicas)" if scaler.kind is KEDA else ""
    field = scaler.kind.ceiling.removeprefix("spec.")
    return refusal(
        "Autoscaled",
        f"{scaler.ref} scales {target} and would undo direction: Down: lower its {field} by hand{pause}",
    )


def raised(scaler: Autoscaler, target: ObjectRef, parameters: Scale) -> Plan:
    """Raise the floor, and where the policy says so the maximum with it."""
    want, ref = parameters.replicas, scaler.ref
    if scaler.kind is HPA and (keda := keda_owner(scaler.obj)):  # its ScaledObject may not be read
        return by_keda(keda, ref, want)
    if mark := paused_by(scaler.obj) if scaler.kind is KEDA else "":
        return refusal("KedaPaused", f"somebody paused {ref} (annotation {mark}), and so {target} stays as it is")
    above = want > scaler.ceiling
    if above and not (scaler.kind.raises_ceiling and parameters.raise_max):
        return _above(scaler, target, want)
    if scaler.floor >= want:
        return nothing(f"the floor of {ref} is {scaler.floor} already; it has not brought {target} there yet")
    if scaler.floor < scaler.kind.least:
        return refusal("FloorOfZero", f"{ref} has {scaler.kind.floor} 0, which Goldseam may not bring back: write 1")
    return _owned(scaler, above=above) or _proposed(scaler, target, want, above=above)


def _above(scaler: Autoscaler, target: ObjectRef, want: int) -> Refusal:
    field, ref = scaler.kind.ceiling.removeprefix("spec."), scaler.ref
    allow = ", or raiseMax: true" if scaler.kind.raises_ceiling else ""
    return refusal(
        "AboveHpaMaximum",
        f"{ref} allows at most {scaler.ceiling} replicas of {target}, and {want} are asked for: write {field}: {want}"
        f" there, or at most replicas: {scaler.ceiling}{allow} in the policy",
    )


def _owned(scaler: Autoscaler, *, above: bool) -> Refusal | None:
    if owner := controller_owner(scaler.obj):
        return by_controller(owner, scaler.ref, "a change of its floor")
    for field in (scaler.kind.floor, *([scaler.kind.ceiling] if above else [])):
        if owner := gitops_owner(scaler.obj, field):
            return by_gitops(owner, scaler.ref, field)
    return None


def _proposed(scaler: Autoscaler, target: ObjectRef, want: int, *, above: bool) -> Proposal:
    kind, ref = scaler.kind, scaler.ref
    floor = patch(ref, scaler.obj, kind.floor, json.dumps(want))
    original = json.dumps(scaler.floor) if kind is HPA else floor.before  # the API server writes an HPA's default
    writes, obligations, also = [floor], [owed("FloorBack", floor, original)], ""
    if above:
        ceiling = patch(ref, scaler.obj, kind.ceiling, json.dumps(want))
        writes, obligations = [ceiling, floor], [*obligations, owed("CeilingBack", ceiling, ceiling.before)]
        also = f" and its maximum from {scaler.ceiling} to {want}"
    return Proposal(
        writes=tuple(writes),
        summary=f"raise the floor of {ref} from {scaler.floor} to {want}{also} (it owns the replicas of {target})",
        rights=(Right("patch", kind.api_version.split("/")[0], kind.plural, "", ref.namespace, ref.name, kind.piece),),
        obligations=tuple(obligations),
    )
