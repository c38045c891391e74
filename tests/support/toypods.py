"""The controllers of a toy cluster: pods that start and take their time, rolling updates, a scheduler, and budgets.

Enough for a drain to be watched from the outside: who has a ready pod at any moment, and what each budget would say.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from goldseam.engine.detaching import PATIENCE
from goldseam.engine.disruption import DisruptionBudget
from goldseam.engine.objects import (
    RESTART,
    ZONE,
    Workload,
    controller,
    cordoned_by_us,
    is_ready,
    metadata,
    share,
    value_at,
)
from goldseam.engine.placement import in_service, may_run
from goldseam.engine.strategy import rolling, strategy
from goldseam.errors import BudgetExhausted, NotFound, Terminal
from goldseam.ports import Resource
from tests.support.harness import Harness

Json = dict[str, Any]
DEADLINE = timedelta(seconds=600)


@dataclass
class ToyPods:
    """Takes the place of the harness's own controllers."""

    h: Harness
    start: float = 3.0
    """Seconds until a pod is ready."""
    sick: set[str] = field(default_factory=set)
    """The workloads whose new pods never get ready."""
    least: dict[str, int] = field(default_factory=dict)
    """By the workload's name: how few ready pods it ever had since it had some."""
    broken: list[str] = field(default_factory=list)
    """Which budget was broken, and how."""
    taken: int = 0
    """How many nodes were cordoned by us, or drained, at the same time at most."""
    of_one_zone: int = 0
    """The same, of one zone."""
    detach: float = 4.0
    """Seconds until the volume of a pod that is gone is detached from its node."""
    grace: float = 0.0
    """Seconds until a pod that is to go is gone."""
    undying: set[str] = field(default_factory=set)
    """The workloads whose pods never end: they stay `Terminating`."""
    forced: list[str] = field(default_factory=list)
    """The nodes of the pods that were deleted past their budgets."""
    with_claims: set[str] = field(default_factory=set)
    """The workloads of which each pod has a volume of its own, for one node at a time."""
    at_once: list[str] = field(default_factory=list)
    """Which pod was evicted while a volume of its workload was still to be detached from the node."""
    whole: set[str] = field(default_factory=set)
    """The budgets that were kept so far; one of which more is asked from now on is none until it is kept again."""
    _loose: dict[str, datetime] = field(default_factory=dict)
    """Since when no pod on its node uses an attached volume, by the VolumeAttachment's name."""
    _made: int = 0

    def __post_init__(self) -> None:
        self.h.controllers = self.work  # type: ignore[method-assign]
        self.h.cluster.evict = self.evict  # type: ignore[method-assign]
        self._delete = self.h.cluster.delete
        self.h.cluster.delete = self.delete  # type: ignore[method-assign]

    def deploy(
        self, name: str, nodes: list[str], kind: str = "Deployment", ages: Sequence[float] = (), **spec: Any
    ) -> None:
        """A workload of as many pods on these nodes. `ages`: of each, in seconds; by default all are ready."""
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "x"}]}}
        body = {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"},
            "spec": {"replicas": len(nodes), "selector": {"matchLabels": labels}, "template": template} | spec,
        }
        self.h.cluster.add("deployments" if kind == "Deployment" else "statefulsets", body)
        found = self._workload(name)
        for node, age in zip(nodes, ages or [self.start] * len(nodes), strict=True):
            pod = self._pod(found, node=node, ready=age >= self.start)
            if ages:
                pod["metadata"]["creationTimestamp"] = _stamp(self.now - timedelta(seconds=age))

    def budget(self, name: str, app: str, **spec: Any) -> None:
        """A PodDisruptionBudget of a workload's pods."""
        selector = {"selector": {"matchLabels": {"app": app}}}
        self.h.cluster.add(
            "poddisruptionbudgets", {"metadata": {"name": name, "namespace": "shop"}, "spec": selector | spec}
        )

    @property
    def now(self) -> datetime:
        """The time."""
        return self.h.clock.moment

    def pods(self, app: str = "") -> list[Json]:
        """All pods, or those of one workload."""
        found = self.h.cluster.all("pods")
        return [pod for pod in found if app in ("", (metadata(pod).get("labels") or {}).get("app"))]

    def _workload(self, name: str) -> Json:
        objects = self.h.cluster.objects
        return objects.get(("deployments", "shop", name)) or objects["statefulsets", "shop", name]

    def _workloads(self) -> Iterator[Json]:
        yield from (*self.h.cluster.all("deployments"), *self.h.cluster.all("statefulsets"))

    def _owner(self, workload: Json) -> Json:
        """What owns the pods: of a Deployment the ReplicaSet of its template as it is now."""
        if workload["kind"] == "StatefulSet":
            return {"apiVersion": "apps/v1", "kind": "StatefulSet", **_named(workload)}
        cluster, version = self.h.cluster, value_at(workload, RESTART).strip('"')
        name = f"{workload['metadata']['name']}-{version}"
        if ("replicasets", "shop", name) not in cluster.objects:
            above = {"apiVersion": "apps/v1", "kind": "Deployment", "controller": True, **_named(workload)}
            cluster.add("replicasets", {"metadata": {"name": name, "namespace": "shop", "ownerReferences": [above]}})
        return {"apiVersion": "apps/v1", "kind": "ReplicaSet", **_named(cluster.objects["replicasets", "shop", name])}

    def _pod(self, workload: Json, node: str = "", *, ready: bool = False) -> Json:
        self._made += 1
        name = f"{workload['metadata']['name']}-{self._made}"
        meta = {
            "name": name,
            "namespace": "shop",
            "labels": {"app": workload["metadata"]["name"]},
            "ownerReferences": [self._owner(workload) | {"controller": True}],
        }
        spec = workload["spec"]["template"]["spec"] | ({"nodeName": node} if node else {}) | self._claim(meta)
        status = {"phase": "Running" if node else "Pending", "conditions": _ready(ready)}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status}
        return self.h.cluster.add("pods", body)

    def _claim(self, pod: Json) -> Json:
        """The volumes of a new pod, with what they stand for."""
        app, name = pod["labels"]["app"], f"data-{pod['name']}"
        if app not in self.with_claims:
            return {}
        claim = {"metadata": {"name": name, "namespace": "shop"}, "spec": {"volumeName": name}}
        volume = {"metadata": {"name": name, "labels": {"app": app}}, "spec": {"accessModes": ["ReadWriteOnce"]}}
        self.h.cluster.add("persistentvolumeclaims", claim)
        self.h.cluster.add("persistentvolumes", volume)
        return {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]}

    def _attach(self) -> None:
        """As the attach-detach controller: a volume is attached where a pod uses it, and detached a while after."""
        used = {
            f"data-{pod['metadata']['name']}": pod["spec"]["nodeName"]
            for pod in self.pods()
            if pod["spec"].get("volumes") and pod["spec"].get("nodeName")
        }
        objects = self.h.cluster.objects
        for volume, node in used.items():
            name = f"{volume}-on-{node}"
            if ("volumeattachments", "", name) not in objects:
                labels = objects["persistentvolumes", "", volume]["metadata"]["labels"]
                spec = {"nodeName": node, "source": {"persistentVolumeName": volume}}
                self.h.cluster.add("volumeattachments", {"metadata": {"name": name, "labels": labels}, "spec": spec})
        for name in [one["metadata"]["name"] for one in self.h.cluster.all("volumeattachments")]:
            volume, _, node = name.rpartition("-on-")
            if used.get(volume) == node:
                continue
            if self.now - self._loose.setdefault(name, self.now) >= timedelta(seconds=self.detach):
                self.h.cluster.remove("volumeattachments", "", name)

    def attached(self, pod: Json) -> list[str]:
        """The volumes of the pod's workload that are attached to its node and that no pod uses there, for not too
        long."""
        app, node = (metadata(pod).get("labels") or {}).get("app", ""), pod["spec"].get("nodeName")
        here = {pod["metadata"]["name"] for pod in self.pods(app) if pod["spec"].get("nodeName") == node}
        return [
            spec["source"]["persistentVolumeName"]
            for one in self.h.cluster.all("volumeattachments")
            if one["metadata"]["labels"]["app"] == app
            and (spec := one["spec"])["nodeName"] == node
            and spec["source"]["persistentVolumeName"].removeprefix("data-") not in here
            and self.now - self._loose.get(one["metadata"]["name"], self.now) < PATIENCE
        ]

    def work(self) -> None:
        """One round of every controller."""
        for pod in self.pods():
            (self._finish if _ends(pod) else self._run)(pod)
        self._attach()
        for workload in list(self._workloads()):
            self._reconcile(workload)
            self._tell(workload)
        self._count()
        self.watch()

    def _run(self, pod: Json) -> None:
        if not pod["spec"].get("nodeName"):
            places = [n for n in self.h.cluster.all("nodes") if in_service(n) and may_run(pod, n)]
            if not places:
                return
            loads = {n["metadata"]["name"]: 0 for n in places}
            for other in self.pods():
                if other["spec"].get("nodeName") in loads:
                    loads[other["spec"]["nodeName"]] += 1
            pod["spec"] = pod["spec"] | {"nodeName": min(loads, key=lambda name: (loads[name], name))}
            pod["status"] = {"phase": "Running", "conditions": _ready(ready=False)}
        age = self.now - datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
        if age >= timedelta(seconds=self.start) and pod["metadata"]["labels"]["app"] not in self.sick:
            pod["status"]["conditions"] = _ready(ready=True)

    def _reconcile(self, workload: Json) -> None:
        """Kubernetes' own order: first what is missing, then new pods beside old ones, then old ones away."""
        mine, wanted = self._active(workload), workload["spec"]["replicas"]
        owner = self._owner(workload)["uid"]
        old = [pod for pod in mine if (controller(pod) or {}).get("uid") != owner]
        found = Workload(workload)
        if not old:
            for _ in range(wanted - len(mine)):
                self._pod(workload)
            return
        if strategy(found).get("type") == "Recreate":
            for pod in old:
                self._end(pod)
            return
        surge = share(rolling(found).get("maxSurge", "25%"), wanted, up=True)
        away = share(rolling(found).get("maxUnavailable", "25%"), wanted, up=False)
        away = 1 if surge == away == 0 else away
        for _ in range(min(wanted + surge - len(mine), wanted - len(mine) + len(old))):
            self._pod(workload)
        spare = sum(map(_serves, mine)) - (wanted - away)
        for pod in sorted(old, key=_serves):
            if not _serves(pod) or spare > 0:
                spare -= _serves(pod)
                self._end(pod)

    def _active(self, workload: Json) -> list[Json]:
        """Its pods: of a Deployment without those that are ending, which have been replaced already."""
        mine = self.pods(workload["metadata"]["name"])
        return mine if workload["kind"] == "StatefulSet" else [pod for pod in mine if not _ends(pod)]

    def _end(self, pod: Json) -> None:
        """It has its time to end, from now on."""
        if not _ends(pod):
            pod["metadata"]["deletionTimestamp"] = _stamp(self.now + timedelta(seconds=self.grace))
        self._finish(pod)

    def _finish(self, pod: Json) -> None:
        over = datetime.fromisoformat(pod["metadata"]["deletionTimestamp"]) <= self.now
        if over and pod["metadata"]["labels"]["app"] not in self.undying:
            self.h.cluster.remove("pods", "shop", pod["metadata"]["name"])

    def _tell(self, workload: Json) -> None:
        mine, owner = self._active(workload), self._owner(workload)["uid"]
        new = [pod for pod in mine if (controller(pod) or {}).get("uid") == owner]
        ready = sum(map(_serves, mine))
        began = max((datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) for pod in new), default=self.now)
        late = self.now - began > timedelta(seconds=workload["spec"].get("progressDeadlineSeconds", 600))
        stuck = late and not all(map(_serves, new))
        reason = "ProgressDeadlineExceeded" if stuck else "NewReplicaSetAvailable"
        workload["status"] = {
            "observedGeneration": workload["metadata"]["generation"],
            "replicas": len(mine),
            "readyReplicas": ready,
            "updatedReplicas": len(new),
            "conditions": [{"type": "Progressing", "reason": reason}],
        }

    def _count(self) -> None:
        for pdb in self.h.cluster.all("poddisruptionbudgets"):
            covered = self._covered(pdb)
            expected = sum(w["spec"]["replicas"] for w in self._workloads() if _covers(pdb, w["metadata"]["name"]))
            spec = pdb["spec"]
            if "minAvailable" in spec:
                desired = share(spec["minAvailable"], expected, up=True)
            else:
                desired = expected - share(spec["maxUnavailable"], expected, up=True)
            healthy = sum(map(_serves, covered))
            pdb["status"] = {
                "observedGeneration": pdb["metadata"]["generation"],
                "expectedPods": expected,
                "desiredHealthy": max(desired, 0),
                "currentHealthy": healthy,
                "disruptionsAllowed": max(healthy - max(desired, 0), 0),
            }

    def _covered(self, pdb: Json) -> list[Json]:
        return [pod for pod in self.pods() if DisruptionBudget(pdb).covers(metadata(pod).get("labels") or {})]

    def _budgets_of(self, pod: Json) -> list[Json]:
        labels = metadata(pod).get("labels") or {}
        return [p for p in self.h.cluster.all("poddisruptionbudgets") if DisruptionBudget(p).covers(labels)]

    async def evict(self, namespace: str, name: str, uid: str, *, dry_run: bool = False) -> None:
        """As the Eviction API."""
        pod = self.h.cluster.objects.get(("pods", namespace, name))
        if pod is None or pod["metadata"]["uid"] != uid:
            raise NotFound(name)
        asked = self._budgets_of(pod)
        if len(asked) > 1:
            raise Terminal("This pod has more than one PodDisruptionBudget")
        for pdb in asked if _serves(pod) else ():
            if pdb["status"]["disruptionsAllowed"] <= 0:
                raise BudgetExhausted(f"Cannot evict {name}")
        if dry_run:
            return

        def take() -> Json:
            self.at_once += [f"{name} beside {volume}" for volume in self.attached(pod)]
            for pdb in asked if _serves(pod) else ():
                pdb["status"]["disruptionsAllowed"] -= 1
            self._end(pod)
            return pod

        self.h.cluster._write("evict", ("pods", namespace, name), {"uid": uid}, take)
        self.watch()

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """As the API server, which asks no budget: those of the pod are counted anew from then on."""
        pod = self.h.cluster.objects.get((resource.plural, namespace, name))
        if resource.plural != "pods" or pod is None or pod["metadata"]["uid"] != uid:
            await self._delete(resource, namespace, name, uid)
            return

        def take() -> Json:
            self.forced.append(pod["spec"]["nodeName"])
            self.whole -= {pdb["metadata"]["name"] for pdb in self._budgets_of(pod)}
            self._end(pod)
            return pod

        self.h.cluster._write("delete", ("pods", namespace, name), {"uid": uid}, take)

    def watch(self) -> None:
        """Note what must never be: called after whatever happens."""
        for workload in self._workloads():
            name = workload["metadata"]["name"]
            ready = sum(map(_serves, self.pods(name)))
            if ready or name in self.least:
                self.least[name] = min(self.least.get(name, ready), ready)
        for pdb in self.h.cluster.all("poddisruptionbudgets"):
            name, desired = pdb["metadata"]["name"], pdb["status"]["desiredHealthy"]
            healthy = sum(map(_serves, self._covered(pdb)))
            if healthy >= desired:
                self.whole.add(name)
            elif name in self.whole:
                self.broken.append(f"{name}: {healthy} of {desired} at {self.now:%H:%M:%S}")
        taken = self.ours() | self.drained()
        self.taken = max(self.taken, len(taken))
        zones = Counter(
            metadata(n)["labels"].get(ZONE) for n in self.h.cluster.all("nodes") if metadata(n)["name"] in taken
        )
        self.of_one_zone = max(self.of_one_zone, *zones.values(), 0)

    def ours(self) -> set[str]:
        """Which nodes are cordoned by us."""
        shown = map(self.h.cluster._shown, self.h.cluster.all("nodes"))
        return {node["metadata"]["name"] for node in shown if cordoned_by_us(node)}

    def drained(self) -> set[str]:
        """Which nodes are being drained, whoever has cordoned them."""
        return {
            incident["spec"]["target"]["name"]
            for incident in self.h.cluster.all("incidents")
            for step in (incident.get("status") or {}).get("steps") or ()
            if step["action"] == "drain" and step["purpose"] == "Rung" and step["phase"] != "Done" and step["writes"]
        }


def _named(obj: Json) -> Json:
    return {"name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}


def _ready(ready: bool) -> list[Json]:
    return [{"type": "Ready", "status": json.dumps(ready).capitalize()}]


def _ends(pod: Json) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _serves(pod: Json) -> bool:
    """Whether it counts as one that is there: who is ending is ready, and gone for everybody else."""
    return is_ready(pod) and not _ends(pod)


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _covers(pdb: Json, app: str) -> bool:
    return DisruptionBudget(pdb).covers({"app": app})
