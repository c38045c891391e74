"""Incidents about a node, each short: a drain under a budget, one that ends by force, one that keeps a single replica
up and takes the node's Medik8s lease, and one after which the node reboots.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.objects_on_cluster import budget, cluster_policy, deployment, pause
from tests.support.operator_process import NAMESPACE
from tests.support.plane import eventually
from tests.support.tales import OURS, QUICK, SETTLE, Effect, Json, Stage, Tale, opened, told, what

REBOOTS = "goldseam-reboot"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/medik8s-leases/leases"
OTHERS = "node-healthcheck"
BOOT_ID = "goldseam.dev/boot-id"


class Drain(Tale):
    """A node is drained under a disruption budget, and comes back when the alert is gone."""

    name, alert, apart = "drain", "MatrixNodeTrouble", False
    ladder: tuple[Json, ...] = ({"drain": {}, "timeout": "30s"},)
    pods = 3

    def __init__(self, stage: Stage, number: int) -> None:
        super().__init__(stage, number)
        self.node = f"node-{number % 4}"
        self.policy = self.namespace
        self.labels = {"node": self.node}
        self._theirs = False
        """Whether a person has cordoned the node, so that it is theirs to uncordon."""

    @property
    def _path(self) -> str:
        return f"/api/v1/nodes/{self.node}"

    def prepare(self) -> None:
        """All pods on the one node."""
        self.direct.must("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        others = [f"/api/v1/nodes/node-{n}" for n in range(4) if f"node-{n}" != self.node]
        for path in others:
            self.direct.must("PATCH", path, {"spec": {"unschedulable": True}})
        self._settle()
        for path in others:
            self.direct.must("PATCH", path, {"spec": {"unschedulable": None}})
        self.fire()

    def _settle(self) -> None:
        """Of the pods two of three may be away at once."""
        self._run(maxUnavailable=2)
        eventually(lambda: self._budget().get("disruptionsAllowed") == 2, "the budget to allow two disruptions")

    def _run(self, **allowed: Any) -> None:
        """Pods, and a budget for them."""
        ns = self.namespace
        self.direct.must("POST", f"/apis/policy/v1/namespaces/{ns}/poddisruptionbudgets", budget(ns, "api", **allowed))
        self.direct.must("POST", self._deployments, deployment(ns, "api", self.pods))

    @property
    def _deployments(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments"

    def _budget(self) -> Json:
        found = self.direct.get(f"/apis/policy/v1/namespaces/{self.namespace}/poddisruptionbudgets/api")
        status: Json = found.get("status", {})
        return status

    def _ready(self, name: str) -> int:
        return int(self.direct.get(f"{self._deployments}/{name}").get("status", {}).get("readyReplicas") or 0)

    def begin(self) -> None:
        """About this node only: the alert of the run before may be shown a moment longer."""
        alert = {"name": self.alert, "matchers": [f'node="{self.node}"']}
        body = cluster_policy(self.policy, *(rung | SETTLE for rung in self.ladder), alert=alert, **QUICK)
        self.direct.must("POST", f"{OURS}/clusterremediationpolicies", body)

    def _on_the_node(self) -> list[Json]:
        pods = self.direct.items(f"/api/v1/namespaces/{self.namespace}/pods")
        return [pod for pod in pods if pod["spec"].get("nodeName") == self.node]

    def healed(self) -> bool:
        """Every pod is elsewhere."""
        return not self._on_the_node()

    def incidents(self) -> list[Json]:
        """Those of its policy."""
        found = self.direct.items(f"{OURS}/namespaces/{NAMESPACE}/incidents")
        return [incident for incident in found if incident["spec"]["policyRef"]["name"] == self.policy]

    def effects(self) -> list[Effect]:
        """Writes to the node, evictions, and the incidents that were opened about the node."""
        return [effect for entry in self.writes() if (effect := self._effect(entry))]

    def _effect(self, entry: Json) -> Effect | None:
        ref, sent = entry["objectRef"], entry.get("requestObject") or {}
        if ref["resource"] == "nodes" and ref["name"] == self.node:
            return Effect(what(entry), str(sent["spec"]["unschedulable"]), sent["metadata"]["uid"])
        if ref.get("subresource") == "eviction" and ref["namespace"] == self.namespace:
            return Effect(what(entry), "", sent["deleteOptions"]["preconditions"]["uid"])
        found = opened(entry)
        return found if found and sent["spec"]["policyRef"]["name"] == self.policy else None

    def state(self) -> Json:
        """The node, where the pods are, and the story of the incident."""
        return {
            "cordoned": bool(self.direct.get(self._path)["spec"].get("unschedulable")),
            "pods left": len(self._on_the_node()),
            "incidents": [told(incident) for incident in self.incidents()],
        }

    def owed(self) -> list[str]:
        """A cordon of ours."""
        node = self.direct.get(self._path)
        cordoned = [e for e in self.effects() if e.what == "patch nodes" and e.value == "True"]
        mine = any(effect.uid == node["metadata"]["uid"] for effect in cordoned)
        left = bool(node["spec"].get("unschedulable")) and mine and not self._theirs
        return ["the node is still cordoned"] if left else []

    def pause(self) -> None:
        """For this cluster policy."""
        body = pause(NAMESPACE, policy=self.policy)
        self.direct.must("POST", f"{OURS}/namespaces/{NAMESPACE}/pauses", body)

    def revert(self) -> None:
        """A person uncordons it; or cordons it, where nobody has."""
        cordoned = self.direct.get(self._path)["spec"].get("unschedulable")
        self._theirs = not cordoned
        self.direct.must("PATCH", self._path, {"spec": {"unschedulable": None if cordoned else True}})

    def replace(self) -> None:
        """The machine joins again as a new one."""
        node = self.direct.must("GET", self._path)
        self.direct.gone(self._path)
        eventually(lambda: not self.direct.get(self._path), "the node to be gone")
        meta = {"name": self.node, "labels": node["metadata"]["labels"]}
        status = {key: node["status"][key] for key in ("capacity", "allocatable", "nodeInfo", "addresses")}
        body = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "status": status}
        self.target = self.direct.must("POST", "/api/v1/nodes", body)["metadata"]["uid"]

    def leave(self) -> None:
        """The policy ends its incidents; the node is free again."""
        self.relent()
        self.direct.gone(f"{OURS}/namespaces/{NAMESPACE}/pauses")
        self.direct.gone(f"{OURS}/clusterremediationpolicies/{self.policy}")
        eventually(lambda: not self.incidents() or self.over(), f"the incidents of {self.policy} to be closed", 60)
        self.direct.must("PATCH", self._path, {"spec": {"unschedulable": None}})
        self.direct.gone(self._deployments)


class ForcedDrain(Drain):
    """A drain whose budget lets nobody go for now; what is left at its deadline is deleted."""

    name, alert = "forced", "MatrixForcedTrouble"
    ladder = ({"drain": {"deadline": "5s", "atDeadline": "Force"}, "timeout": "30s"},)
    pods = 2

    def _settle(self) -> None:
        """A third pod, which no node takes, is waited for by the budget."""
        self._run(minAvailable=self.pods)
        stuck = {
            "metadata": {"name": "stuck", "labels": {"app": "api"}},
            "spec": {"nodeSelector": {"no": "node"}, "containers": [{"name": "a", "image": "x"}]},
        }
        self.direct.must("POST", self._pods, stuck)
        wanted = {"expectedPods": self.pods + 1, "currentHealthy": self.pods, "disruptionsAllowed": 0}
        eventually(lambda: wanted.items() <= self._budget().items(), "the budget to be used up")

    @property
    def _pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    def _effect(self, entry: Json) -> Effect | None:
        ref = entry["objectRef"]
        if (entry["verb"], ref["resource"], ref.get("namespace")) == ("delete", "pods", self.namespace):
            return Effect(what(entry), "", entry["requestObject"]["preconditions"]["uid"])
        return super()._effect(entry)

    def leave(self) -> None:
        """The pod that no node takes goes, too."""
        super().leave()
        self.direct.gone(f"{self._pods}/stuck")


class SingleDrain(Drain):
    """The only pod of a Deployment is kept up by a restart, on a node with a Medik8s lease."""

    name, alert = "single", "MatrixSingleTrouble"
    turns = (*Drain.turns, "another takes the lease")
    pods = 1

    def __init__(self, stage: Stage, number: int) -> None:
        super().__init__(stage, number)
        self._lease = f"{LEASES}/node-{self.node}"
        self._lost: int | None = None
        """Where another operator has taken the lease: how much Goldseam had done until then."""

    def _settle(self) -> None:
        """No budget: nothing but the restart keeps it up."""
        self.direct.gone(self._lease)
        self.direct.must("POST", self._deployments, deployment(self.namespace, "api", self.pods))
        eventually(lambda: self._ready("api") == self.pods, "the pod to be ready")

    def changes(self) -> dict[str, Callable[[], None]]:
        """Another operator, too, wants the node."""
        return {**super().changes(), "another takes the lease": self.lose}

    def lose(self) -> None:
        """As if ours had lapsed while nobody renewed it."""
        body = {
            "metadata": {"name": f"node-{self.node}"},
            "spec": {
                "holderIdentity": OTHERS,
                "leaseDurationSeconds": 3600,
                "renewTime": "2099-01-01T00:00:00.000000Z",
            },
        }
        there = self.direct.get(self._lease)
        self.direct.must(*(("PATCH", self._lease) if there else ("POST", LEASES)), body)
        self._lost = len(self.effects())

    def _effect(self, entry: Json) -> Effect | None:
        """The restart. The lease is a lock that lapses: who took it and died need not give it back."""
        ref, sent = entry["objectRef"], entry.get("requestObject") or {}
        if (ref["resource"], ref.get("namespace")) == ("deployments", self.namespace):
            return Effect(what(entry), "the template", sent["metadata"]["uid"])
        return super()._effect(entry)

    def owed(self) -> list[str]:
        """A lease that was somebody else's, or what was done while it was; or one of ours without an end."""
        spec = self.direct.get(self._lease).get("spec", {})
        holder = spec.get("holderIdentity")
        wrong = []
        if self._lost is not None:
            wrong += [
                f"while another had the lease: {effect}" for effect in self.effects()[self._lost :] if hurts(effect)
            ]
            wrong += [f"the lease of another is {holder}'s now"] if holder != OTHERS else []
        if holder == "goldseam" and not (spec.get("renewTime") and spec.get("leaseDurationSeconds") == 3600):
            wrong.append("the lease never lapses")
        return super().owed() + wrong

    def leave(self) -> None:
        """Nobody has the node any more."""
        super().leave()
        self.direct.gone(self._lease)


def hurts(effect: Effect) -> bool:
    """Whether it takes anything from the node: that is not so of an incident, nor of an uncordon."""
    return effect.what != "create incidents" and (effect.what != "patch nodes" or effect.value == "True")


class Reboot(Drain):
    """A node that no drain cures reboots, once it is empty. The test is the kubelet and systemd: a Job that was let
    run, pinned to the boot of now, gives the node another bootID."""

    name, alert = "reboot", "MatrixRebootTrouble"
    ladder = (
        {"drain": {"singleReplicas": "Evict"}, "timeout": "30s", "goOn": "WhenDone"},
        {"reboot": {}, "timeout": "30s"},
    )
    turns = (*Drain.turns, "the node reboots")
    pods = 1

    def __init__(self, stage: Stage, number: int) -> None:
        super().__init__(stage, number)
        self._boots = 0

    @property
    def _boot(self) -> str:
        return f"boot-{self.number}-{self._boots}"

    def _settle(self) -> None:
        """It is evicted, and down for a moment."""
        self._report()
        self.direct.must("POST", self._deployments, deployment(self.namespace, "api", self.pods))
        eventually(lambda: self._ready("api") == self.pods, "the pod to be ready")

    def _report(self) -> None:
        self.direct.must("PATCH", f"{self._path}/status", {"status": {"nodeInfo": {"bootID": self._boot}}})

    def boot(self) -> None:
        """The machine goes down, and comes up again."""
        self._boots += 1
        self._report()

    def changes(self) -> dict[str, Callable[[], None]]:
        """The node may go down by itself, too."""
        return {**super().changes(), "the node reboots": self.boot}

    def healed(self) -> bool:
        """It has rebooted. What is asked of the node is done here: nobody else would do it."""
        if any(self._runs(job) for job in self.direct.items(f"/apis/batch/v1/namespaces/{REBOOTS}/jobs")):
            self.boot()
        return self._boots > 0

    def _runs(self, job: Json) -> bool:
        template = job["spec"]["template"]
        pin = template["spec"].get("nodeName"), template["metadata"].get("annotations", {}).get(BOOT_ID)
        return not job["spec"].get("suspend") and pin == (self.node, self._boot)

    def over(self) -> bool:
        """It may be asked to reboot at the last moment, and must not do so twice for one Job."""
        self.healed()
        return super().over()

    def _effect(self, entry: Json) -> Effect | None:
        ref, sent = entry["objectRef"], entry.get("requestObject") or {}
        if ref.get("namespace") == REBOOTS:
            return Effect(what(entry), "", sent["metadata"].get("name") or sent["metadata"]["uid"])
        return super()._effect(entry)

    def state(self) -> Json:
        """How often it has rebooted, too."""
        return {**super().state(), "boots": self._boots}

    def leave(self) -> None:
        """Its Jobs go."""
        super().leave()
        self.direct.gone(f"/apis/batch/v1/namespaces/{REBOOTS}/jobs?propagationPolicy=Background")
