"""Where a pod may run, and whether there is room for it: what the scheduler would ask of a node.

Sources: kubernetes `pkg/scheduler/framework/plugins` (nodeaffinity, tainttoleration, noderesources, interpodaffinity,
volumebinding), `staging/src/k8s.io/component-helpers/resource/helpers.go` for what a pod requests. Not looked at are
preferences, host ports, topology spread, affinity to other pods, and anti-affinity beyond one node: these may still
keep a pod waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from goldseam.api.quantities import size_of
from goldseam.engine.objects import Json, cordoned, is_over, is_ready, metadata, selects

Amounts = Mapping[str, Decimal]
"""How much of each resource, in cores or bytes; of `pods` the number."""

HOSTNAME = "kubernetes.io/hostname"
_STRICT = ("NoSchedule", "NoExecute")


def strict_taints(node: Json) -> list[Json]:
    """The taints that keep new pods away."""
    return [taint for taint in (node.get("spec") or {}).get("taints") or [] if taint.get("effect") in _STRICT]


def in_service(node: Json) -> bool:
    """Whether it is Ready and takes new pods."""
    return is_ready(node) and not cordoned(node)


def may_run(pod: Json, node: Json, volumes: Iterable[Json] = ()) -> bool:
    """Whether taints, selector and affinity let the pod onto the node; `volumes`: its PersistentVolumes."""
    spec = pod.get("spec") or {}
    tolerated = all(_tolerates(spec.get("tolerations") or (), taint) for taint in strict_taints(node))
    labels = metadata(node).get("labels") or {}
    selected = all(labels.get(key) == value for key, value in (spec.get("nodeSelector") or {}).items())
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED)
    return tolerated and selected and _meets_any(affinity, node) and all(reaches(one, node) for one in volumes)


def one_node_only(volume: Json) -> bool:
    """Whether the PersistentVolume can be used on one node at a time; ReadWriteOnce is by node, not by pod."""
    modes = (volume.get("spec") or {}).get("accessModes") or ()
    return bool(modes) and not set(modes) & {"ReadWriteMany", "ReadOnlyMany"}


def reaches(volume: Json, node: Json) -> bool:
    """Whether the PersistentVolume can be used on the node."""
    return _meets_any(((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required"), node)


_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def _tolerates(tolerations: Iterable[Json], taint: Json) -> bool:
    """Source: `ToleratesTaint` in kubernetes `staging/src/k8s.io/api/core/v1/toleration.go`."""

    def fits(one: Json) -> bool:
        if one.get("effect") not in (None, "", taint.get("effect")):
            return False
        if one.get("key") and one["key"] != taint.get("key"):
            return False
        return one.get("operator") == "Exists" or (one.get("value") or "") == (taint.get("value") or "")

    return any(fits(one) for one in tolerations)


def _meets_any(selector: Json | None, node: Json) -> bool:
    """Whether the node is in a NodeSelector: one of its terms is enough, and an empty term selects nothing."""
    return selector is None or any(_meets(term, node) for term in selector.get("nodeSelectorTerms") or ())


def _meets(term: Json, node: Json) -> bool:
    labels, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    by_label = all(_holds(one, (metadata(node).get("labels") or {}).get(one.get("key"))) for one in labels)
    by_field = all(_holds(one, metadata(node).get("name")) for one in fields)  # the only field there is
    return bool(labels or fields) and by_label and by_field


def _holds(one: Json, value: object) -> bool:
    values: Sequence[Any] = one.get("values") or ()
    operator = one.get("operator")
    if operator in ("Gt", "Lt"):
        found, bound = _whole(value), _whole(values[0] if values else None)
        return found is not None and bound is not None and (found > bound if operator == "Gt" else found < bound)
    known = {"In": value in values, "NotIn": value not in values, "Exists": value is not None}
    return known.get(str(operator), value is None)


def _whole(value: object) -> int | None:
    text = str(value)
    return int(text) if text.lstrip("-").isdecimal() and text.isascii() and len(text) < 20 else None


def requested(pod: Json) -> Amounts:
    """What the pod requests: its containers and sidecars together, or as much as one of its init containers needs."""
    spec = pod.get("spec") or {}
    total = together(_requests(one) for one in spec.get("containers") or ())
    sidecars: dict[str, Decimal] = {}
    peak: dict[str, Decimal] = {}
    for one in spec.get("initContainers") or ():
        needs = _requests(one)
        if one.get("restartPolicy") == "Always":
            sidecars = together((sidecars, needs))
            needs = sidecars
        else:
            needs = together((sidecars, needs))
        peak = {key: max(peak.get(key, Decimal(0)), needs.get(key, Decimal(0))) for key in {*peak, *needs}}
    total = together((total, sidecars))
    found = {key: max(total.get(key, Decimal(0)), peak.get(key, Decimal(0))) for key in {*total, *peak}}
    found |= _requests(spec)  # of the pod as a whole, where somebody says so (KEP-2837)
    return {key: size for key, size in together((found, _sizes(spec.get("overhead")))).items() if size}


def _requests(one: Json) -> dict[str, Decimal]:
    return _sizes((one.get("resources") or {}).get("requests"))


def _sizes(amounts: Json | None) -> dict[str, Decimal]:
    return {str(key): size_of(str(value)) or Decimal(0) for key, value in (amounts or {}).items()}


def together(all_of: Iterable[Amounts]) -> dict[str, Decimal]:
    """As much as all of them."""
    total: dict[str, Decimal] = {}
    for amounts in all_of:
        for key, size in amounts.items():
            total[key] = total.get(key, Decimal(0)) + size
    return total


class Room:
    """What is left on a node by what its pods request."""

    def __init__(self, node: Json, pods: Iterable[Json]) -> None:
        there = [pod for pod in pods if not is_over(pod)]
        allocatable = _sizes((node.get("status") or {}).get("allocatable"))
        slots = allocatable.pop("pods", None)
        taken = together(map(requested, there))
        self.node = node
        self._pods = there
        self._apart = [pod for pod in there if any(avoided(pod))]
        self._slots = None if slots is None else int(slots) - len(there)
        self._left = {key: size - taken.get(key, Decimal(0)) for key, size in allocatable.items()}

    def takes(self, pod: Json) -> bool:
        """Whether the pod fits now, by what it requests, and beside whom it may run."""
        enough = all(size <= self._left.get(key, Decimal(0)) for key, size in requested(pod).items())
        return enough and self._slots != 0 and not self._kept_apart(pod)

    def put(self, pod: Json) -> None:
        """The pod is there from now on."""
        self._pods.append(pod)
        self._apart += [pod] if any(avoided(pod)) else []
        self._slots = None if self._slots is None else self._slots - 1
        for key, size in requested(pod).items():
            self._left[key] -= size

    def _kept_apart(self, pod: Json) -> bool:
        """Anti-affinity holds both ways: of who comes, and of who is there."""
        return _avoids(pod, self._pods) or any(_avoids(one, [pod]) for one in self._apart)


def avoided(pod: Json) -> Iterator[tuple[Json | None, frozenset[str]]]:
    """Beside whom it must not run on one node: label selectors, and the namespaces that each is about."""
    affinity = ((pod.get("spec") or {}).get("affinity") or {}).get("podAntiAffinity") or {}
    for term in affinity.get(_REQUIRED) or ():
        if term.get("topologyKey") == HOSTNAME and term.get("namespaceSelector") is None:
            yield term.get("labelSelector"), frozenset(term.get("namespaces") or [metadata(pod).get("namespace")])


def _avoids(pod: Json, others: Iterable[Json]) -> bool:
    terms = list(avoided(pod))
    return bool(terms) and any(
        metadata(other).get("namespace") in where and selects(selector, metadata(other).get("labels") or {})
        for other in others
        for selector, where in terms
    )


def in_order(pods: Iterable[Json]) -> list[Json]:
    """The largest first, so that they find room before the small ones have filled it."""

    def size(pod: Json) -> tuple[Decimal, Decimal]:
        amounts = requested(pod)
        return amounts.get("memory", Decimal(0)), amounts.get("cpu", Decimal(0))

    return sorted(pods, key=size, reverse=True)
