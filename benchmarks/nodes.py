"""nodes: many nodes that are not ready at once under one rule: how soon each is decided on, and what it costs.

SIZES=nodes:down:pods,…: so many nodes, of which so many are not ready at once, each of these with so many pods. First
1,500 with 200 down and 20 pods each; then the size of NVSentinel's published test, 1,500 nodes with 750 to be drained
and 15 pods each (its node drainer's scale test of December 2025, case Inf3: 11,250 pods, about 44 minutes). Each size
has a control plane of its own.

KWOK plays the nodes that are down and ends their pods. The others are Node objects only, and the controller that marks
nodes by their leases is off: 1,500 leases would keep both cores busy. Pods are made bound, for a scheduler alone binds
30 a second; what replaces them is left to no scheduler.

A decision is an Incident's first: a step, or a hold that says what it waits for. `decisions_per_s` is from the first
Incident's opening to the last one's decision. One that is held first and acts soon after has two: only the first
counts here. `cordons_per_s` is of the first CAP nodes, which no cap holds up; `evictions_per_s` from the first eviction
to the last. `caps_only_s` is from the alert's beginning until nothing but caps and turns holds anything, and all the
room that they leave is used. Then they are drained, CAP (20) nodes at once, until all are or LIMIT (900) seconds are
over: a node that is empty is ready again, and its alert over. RATE: requests in a second, at the most.

It fails unless all of them are shown as one group, the first CAP are of all zones alike (where all of these are out
before the first one is back), and no more than CAP were ever out at once, by the audit log.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.idle import cpu_seconds, rss_mb
from benchmarks.stage import installed, operator, report, source
from tests.support.direct import Direct
from tests.support.exporter import Exporter, exporter
from tests.support.nodes_on_cluster import node_writes, out_together
from tests.support.objects_on_cluster import cluster_policy, guardrails
from tests.support.operator_process import NAMESPACE, OperatorProcess
from tests.support.plane import Plane, eventually

Json = dict[str, Any]
SIZES = os.environ.get("SIZES", "1500:200:20,1500:750:15").split(",")
CAP = int(os.environ.get("CAP", "20"))
LIMIT = float(os.environ.get("LIMIT", "900"))
RATE = os.environ.get("RATE", "500")
"""Requests in a second that the operator may make (GOLDSEAM_REQUESTS_PER_SECOND); its default of 100 would be the only
brake."""
SPACE = "fleet"
USER = "system:serviceaccount:goldseam-system:goldseam"
ZONES = ("zone-a", "zone-b", "zone-c")
CONTROLLERS = (
    "*,-node-lifecycle-controller,-persistentvolume-attach-detach-controller,-persistentvolume-expander-controller,"
    "-certificatesigningrequest-signing-controller"
)
PATIENCE = 900.0
WORDS = ("NodesInTurn", "NodesAtOnce", "NodesPerZone", "Concurrent")
"""The reasons of caps and turns."""


@dataclass(frozen=True)
class Size:
    """How many nodes, how many of them down, how many pods on each of these."""

    nodes: int
    down: int
    pods: int

    @classmethod
    def read(cls, text: str) -> Size:
        """From `nodes:down:pods`."""
        nodes, down, pods = (int(part) for part in text.split(":"))
        if not 0 < down < nodes or pods < 1:
            raise SystemExit(f"SIZES: {text}: some nodes must be down and some not, with a pod at least on each")
        return cls(nodes, down, pods)

    @property
    def names(self) -> list[str]:
        """The nodes that will be down: KWOK's."""
        return [f"node-{number}" for number in range(self.down)]


def spare(number: int) -> Json:
    """A node that nobody plays: it is ready, and stays so."""
    labels = {"kubernetes.io/hostname": f"spare-{number}", "topology.kubernetes.io/zone": ZONES[number % len(ZONES)]}
    room = {"cpu": "32", "memory": "256Gi", "pods": "110"}
    at = "2026-01-01T00:00:00Z"
    ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": at, "lastTransitionTime": at}
    status = {"capacity": room, "allocatable": room, "conditions": [ready]}
    meta = {"name": f"spare-{number}", "labels": labels}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "status": status}


def pod(node: str, number: int) -> Json:
    """A pod that is bound already."""
    meta = {"name": f"{node}-{number}", "namespace": SPACE, "labels": {"on": node}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {**containers(), "nodeName": node}}


def containers() -> Json:
    """What each pod runs, and that a node that is not ready keeps it."""
    stays = [{"key": f"node.kubernetes.io/{name}", "operator": "Exists"} for name in ("not-ready", "unreachable")]
    container = {"name": "app", "image": "busybox:1.37", "resources": {"requests": {"cpu": "10m"}}}
    return {"containers": [container], "tolerations": stays}


def replica_set(node: str, pods: int) -> Json:
    """Who adopts a node's pods, and makes new ones that no scheduler looks at."""
    template = {"metadata": {"labels": {"on": node}}, "spec": {**containers(), "schedulerName": "nobody"}}
    spec = {"replicas": pods, "selector": {"matchLabels": {"on": node}}, "template": template}
    meta = {"name": node, "namespace": SPACE}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": spec}


def posted(api: Direct, path: str, objects: Iterable[Json]) -> None:
    """Make them, some at a time."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda obj: api.must("POST", path, obj), objects))


def prepared(plane: Plane, size: Size) -> None:
    """Nodes, pods, the policy, and limits that leave only the caps."""
    api = Direct(plane.kubeconfig)
    posted(api, "/api/v1/nodes", (spare(number) for number in range(size.nodes - size.down)))
    for node in plane.all(
        "nodes"
    ):  # admission marks each as not ready, and the controller that would take that back is off
        api.must("PATCH", f"/api/v1/nodes/{node['metadata']['name']}", {"spec": {"taints": None}})
    plane.namespace(SPACE)
    eventually(lambda: plane.get("serviceaccount", "default", SPACE), "the namespace to be ready")
    posted(api, f"/api/v1/namespaces/{SPACE}/pods", (pod(n, i) for n in size.names for i in range(size.pods)))
    posted(api, f"/apis/apps/v1/namespaces/{SPACE}/replicasets", (replica_set(n, size.pods) for n in size.names))
    wanted = size.down * size.pods

    def settled() -> bool:
        found = plane.all("replicasets", SPACE)
        return sum((r.get("status") or {}).get("readyReplicas", 0) for r in found) == wanted

    eventually(settled, "all pods to be ready and owned", PATIENCE)
    plenty = [{"count": 10_000, "per": "1h"}]
    caps = {"cluster": plenty, "nodes": {"atOnce": CAP, "perZone": CAP}}
    share = 100 if size.down / size.nodes >= 0.3 else 30
    plane.apply(guardrails(budgets=caps, breaker={"percent": share}))
    limits = {"actions": plenty, "concurrent": 10_000, "cooldown": "1s"}
    alert = {"name": "NodeTrouble"}
    # each ReplicaSet has all its pods on one node, and no scheduler looks at what replaces them
    rung = {"drain": {"singleReplicas": "Evict"}, "verify": {"rollout": False}, "timeout": "15m"}
    plane.apply(cluster_policy("drain", rung, alert=alert, limits=limits))
    plane.rules("nodes", [{"alert": "NodeTrouble", "expr": 'trouble{about="NodeTrouble"} > 0'}])


@dataclass
class Run:
    """What happens from the moment at which the nodes are down."""

    plane: Plane
    size: Size
    exporting: Exporter
    process: OperatorProcess
    rss: float = 0.0
    first: dict[str, datetime] = field(default_factory=dict)
    """When each Incident, by its uid, was decided on first, as far as it was seen: it is looked for each 3 s."""
    _over: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._api = Direct(self.plane.kubeconfig)

    def incidents(self) -> list[Json]:
        """All of them."""
        self.rss = max(self.rss, rss_mb(self.process))
        return self.plane.all("incidents", NAMESPACE)

    def down(self) -> None:
        """All at once."""
        for name in self.size.names:
            self._api.must("PATCH", f"/api/v1/nodes/{name}", {"metadata": {"labels": {"sim.kwok/notready": "true"}}})
        for name in self.size.names:
            self.exporting.set(1, about="NodeTrouble", node=name)

    def decided(self) -> list[Json]:
        """The incidents, once each has its first decision."""

        def all_decided() -> list[Json]:
            time.sleep(3)  # each look at all of them costs what it measures
            found = self.incidents()
            told = {i["metadata"]["uid"]: at for i in found if (at := _decided_at(i)) is not None}
            self.first = told | self.first
            return found if len(told) == self.size.down else []

        return eventually(all_decided, "a decision on every node", PATIENCE)

    def one_group(self) -> None:
        """All of them are shown together, before the first is well again for good."""
        shown = lambda: self.plane.get("guardrails", "cluster").get("status", {}).get("nodeGroups", [])  # noqa: E731
        eventually(lambda: [group["nodes"] for group in shown()] == [self.size.down], "one group of all nodes", 60)

    def drained(self) -> int:
        """Until all are, or the time is over; how many were."""
        deadline = time.monotonic() + LIMIT
        while len(self._over) < self.size.down and time.monotonic() < deadline:
            time.sleep(2)
            self._turn()
        drained = len(self._over)
        for name in self.size.names:
            self.exporting.set(0, about="NodeTrouble", node=name)
        eventually(lambda: not self._out(), "the nodes to be back", PATIENCE)
        return drained

    def _out(self) -> set[str]:
        cordoned = self._api.items("/api/v1/nodes?fieldSelector=spec.unschedulable%3Dtrue")
        return {node["metadata"]["name"] for node in cordoned}

    def _empty(self, node: str) -> bool:
        """Asked for each node: all pods of all nodes, each two seconds, would be half of what is measured."""
        on = f"/api/v1/namespaces/{SPACE}/pods?limit=1&fieldSelector=spec.nodeName%3D{node}"
        return not self._api.items(on)

    def _turn(self) -> None:
        """Nodes that are out of service and empty are well again."""
        out = self._out()
        self.rss = max(self.rss, rss_mb(self.process))
        for name in filter(self._empty, out - self._over):
            body = {"metadata": {"labels": {"sim.kwok/notready": None}}}
            self._api.must("PATCH", f"/api/v1/nodes/{name}", body)
            self.exporting.set(0, about="NodeTrouble", node=name)
            self._over.add(name)


def _decided_at(incident: Json) -> datetime | None:
    """When its first step or its hold was written."""
    status = incident.get("status") or {}
    first = [step["intentAt"] for step in status.get("steps") or []][:1]
    first += [hold["since"] for hold in status.get("holds") or []][:1]
    return min(map(datetime.fromisoformat, first)) if first else None


def _reasons(incidents: Iterable[Json]) -> set[str]:
    return {hold["reason"] for i in incidents for hold in (i.get("status") or {}).get("holds") or []}


def requests(plane: Plane) -> Iterator[Json]:
    """All of the operator's, but for its Lease."""
    for entry in plane.audit():
        if entry["user"].get("username") == USER and (entry.get("objectRef") or {}).get("resource") != "leases":
            yield entry


def count(entries: Iterable[Json], which: Callable[[Json], bool] = lambda _: True) -> int:
    """How many of them."""
    return sum(map(which, entries))


def status_write(entry: Json) -> bool:
    """Whether it is an accepted write of an Incident's status."""
    ref = entry.get("objectRef") or {}
    written = (entry["verb"], ref.get("resource"), ref.get("subresource")) == ("patch", "incidents", "status")
    return written and entry.get("responseStatus", {}).get("code", 0) < 300


def rate(entries: Iterable[Json], verb: str, resource: str, first: int | None = None) -> float:
    """How many writes of this kind were accepted in a second, from the first to the last; of the `first` ones only. Of
    nodes: cordons."""
    found = []
    for entry in entries:
        ref, sent = entry.get("objectRef") or {}, entry.get("requestObject") or {}
        kind = "/".join(filter(None, (ref.get("resource"), ref.get("subresource"))))
        wanted = (entry["verb"], kind) == (verb, resource) and entry.get("responseStatus", {}).get("code", 0) < 300
        if wanted and (resource != "nodes" or sent.get("spec", {}).get("unschedulable")):
            found.append(datetime.fromisoformat(entry["requestReceivedTimestamp"]))
    found = sorted(found)[:first]
    return round((len(found) - 1) / (found[-1] - found[0]).total_seconds(), 1) if len(found) > 1 else 0.0


def begun_with(out: Iterable[set[str]], wanted: int) -> set[str]:
    """The first nodes that were out; none where one of them was back before so many were: who came first is not told
    by that any more."""
    first: set[str] = set()
    for nodes in out:
        if first - nodes:
            break
        first = nodes
    return first if len(first) >= wanted else set()


def measured(size: Size) -> dict[str, float]:
    """One size, on a control plane of its own."""
    controllers = f"--controller-manager-arg=--controllers={CONTROLLERS}"
    with installed(size.down, controllers) as (plane, home), exporter(plane) as exporting:
        prepared(plane, size)
        source(plane, "5s")
        with operator(plane, home, requests_per_second=RATE) as process:
            time.sleep(10)  # the source is read, and the policy judged
            return _measured(Run(plane, size, exporting, process), home)


def _measured(run: Run, home: Path) -> dict[str, float]:
    plane, size, before = run.plane, run.size, count(requests(run.plane))
    cpu, begun = cpu_seconds(run.process), time.monotonic()
    run.down()
    decided = run.decided()
    last = max(moment for i in decided if (moment := _decided_at(i)) is not None)
    opened = [datetime.fromisoformat(i["status"]["kpis"]["detectedAt"]) for i in decided]
    firing = min(datetime.fromisoformat(i["spec"]["alert"]["activeAt"]) for i in decided)
    deciding = count(requests(plane)) - before
    run.one_group()
    print(f"  decided; held by: {', '.join(sorted(_reasons(decided))) or 'nothing'}", flush=True)
    drained = run.drained()
    took, entries = time.monotonic() - begun, list(requests(plane))
    out = out_together(node_writes(plane))
    most = max(map(len, out))
    zones = Counter(int(name.removeprefix("node-")) % len(ZONES) for name in begun_with(out, min(CAP, size.down)))
    assert most <= CAP, f"{most} nodes were out at once"
    assert not zones or max(zones.values()) - min(zones.values()) <= 1, f"not zones in turn: {zones}"
    return {
        "decisions_per_s": round(size.down / (max(run.first.values()) - min(opened)).total_seconds(), 1),
        "caps_only_s": round((last - firing).total_seconds(), 1),
        "other_holds": len(_reasons(decided) - set(WORDS)),
        "requests_to_decide_per_node": round(deciding / size.down, 1),
        "drained": drained,
        "drained_in_s": round(took, 1),
        "most_at_once": most,
        "cordons_per_s": rate(entries, "patch", "nodes", CAP),
        "evictions_per_s": rate(entries, "create", "pods/eviction"),
        "rss_mb": round(run.rss, 1),
        "cpu_s": round(cpu_seconds(run.process) - cpu, 1),
        "requests_per_node": round((len(entries) - before) / max(drained, 1), 1),
        "status_writes_per_node": round(count(entries, status_write) / size.down, 1),
    }


def main() -> None:
    """Each size; the first one's figures are those of the goals."""
    found: dict[str, dict[str, float]] = {}
    for text in SIZES:
        found[text] = measured(Size.read(text))
        print(f"  {text}: {json.dumps(found[text])}", flush=True)
    each = {f"{name} {text}": value for text, row in found.items() for name, value in row.items()}
    report(f"nodes:down:pods, {CAP} nodes at once", {**each, **found[SIZES[0]]})


if __name__ == "__main__":
    main()
