"""What goes wrong around a node while it is drained: it dies, returns, is another one; budgets, webhooks and the API
server stand in the way; people want it, too. Each time the drain comes to its end, and the node to whom it belongs.

A drain is met in its middle: the pods of `free` are gone, and the budget of `api` lets nobody go, for one of its pods
elsewhere is not ready.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controlplane.nodes import manifest
from tests.support.admission import NAME, admission_webhook
from tests.support.objects_on_cluster import (
    budget,
    cluster_policy,
    deployment,
    forgotten,
    outcomes,
    running,
    writes_of_operator,
)
from tests.support.operator_process import NAMESPACE, OperatorProcess, service_account
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.proxy import FaultProxy, fault_proxy

Trouble = Callable[..., None]
Json = dict[str, Any]
pytestmark = pytest.mark.timeout(600)
HELD = "its disruption budget lets nothing go now"


@dataclass(frozen=True)
class Scene:
    """A node, and the pods on it."""

    plane: Plane
    namespace: str
    node: str
    uid: str
    trouble: Trouble
    free: dict[str, str]
    """Pods without a budget: their uids by name."""
    held: dict[str, str]
    """The one pod whose budget lets it go once `opened`."""

    def begins(self, **told: Any) -> None:
        """The alert, and a policy that drains."""
        rung = {"drain": told, "timeout": "180s"}
        limits = {"cooldown": "1h"}
        self.plane.apply(cluster_policy("drain", rung, {"notify": {}}, alert={"name": "NodeTrouble"}, limits=limits))
        self.trouble(1, alert="NodeTrouble", node=self.node)

    def half_way(self, **told: Any) -> None:
        """It has begun, and what is left waits for its budget."""
        self.begins(**told)
        eventually(lambda: self.left() == set(self.held), "the drain to come to its middle", 90)

    def left(self) -> set[str]:
        """The pods that the record says are not evicted yet, and why; empty while some of it is not recorded."""
        writes = [write for step in self.record().get("steps", [])[:1] for write in step["writes"]]
        pending = {w["object"]["name"]: w.get("message", "") for w in writes if w["state"] != "Done"}
        return set(pending) if all(HELD in message for message in pending.values()) else set()

    def opened(self) -> None:
        """From now on the budget lets one go."""
        elsewhere = [name for name, pod in self._pods("api").items() if pod["spec"]["nodeName"] != self.node]
        self.plane.must("annotate", "pod", *elsewhere, "-n", self.namespace, "sim.kwok/unready-")
        eventually(lambda: allowed(self.plane, self.namespace) > 0 or not self._pods_here(), "the budget to let one go")

    def _pods(self, app: str) -> dict[str, Json]:
        pods = self.plane.all("pods", self.namespace)
        return {pod["metadata"]["name"]: pod for pod in pods if pod["metadata"]["labels"]["app"] == app}

    def _pods_here(self) -> list[Json]:
        return [pod for pod in self.plane.all("pods", self.namespace) if pod["spec"].get("nodeName") == self.node]

    def empty(self) -> bool:
        """Whether no pod is on the node, not even one that is ending."""
        return not self._pods_here()

    def there(self) -> Json:
        """The pod of the budget, while it is there."""
        (name,) = self.held
        found = self.plane.get("pod", name, self.namespace)
        return found if found.get("metadata", {}).get("uid") == self.held[name] else {}

    def evicted(self) -> list[str]:
        """The uids of the pods that the operator has evicted, each time."""
        wanted = [w for w in writes_of_operator(self.plane) if w["objectRef"].get("subresource") == "eviction"]
        mine = [w for w in wanted if w["objectRef"]["namespace"] == self.namespace]
        return sorted(w["requestObject"]["deleteOptions"]["preconditions"]["uid"] for w in mine)

    def record(self) -> Json:
        """The status of the incident about the node; empty while there is none."""
        found = [one for one in self.plane.all("incidents", NAMESPACE) if one["spec"]["target"]["uid"] == self.uid]
        return dict(found[0].get("status", {})) if found else {}

    def cordoned(self) -> bool:
        return bool(self.plane.get("node", self.node)["spec"].get("unschedulable"))

    def comes_to(self, outcome: str) -> str:
        """What is said of the drain, once it has come to this."""

        def ask() -> str:
            steps = self.record().get("steps", [])
            return str(steps[0]["message"]) if steps and steps[0].get("outcome") == outcome else ""

        return eventually(ask, f"the drain to be {outcome}", 120)

    def given_back(self) -> None:
        """The node takes pods again, and nothing is owed."""
        eventually(lambda: not self.cordoned(), "the node to be back", 90)
        eventually(lambda: self.record().get("owes", 0) == 0, "nothing to be owed", 60)

    def passes(self) -> None:
        """Every pod has gone once, and when the alert is over the node is back."""
        eventually(self.empty, "the node to be empty", 120)
        self.trouble(0, alert="NodeTrouble", node=self.node)
        eventually(lambda: self.record().get("phase") == "Resolved", "the end", 90)
        self.given_back()
        assert outcomes(self.record()) == [("drain", "Passed")]
        assert self.evicted() == sorted([*self.free.values(), *self.held.values()]), "each once"

    def ends(self) -> None:
        """The alert is over; nothing is owed."""
        self.trouble(0, alert="NodeTrouble", node=self.node)
        forgotten(self.plane)

    def owed(self) -> tuple[str, str]:
        """What became of the one obligation, and why."""
        (one,) = self.record()["obligations"]
        return one["state"], one.get("message", "")


def allowed(plane: Plane, namespace: str) -> int:
    return int(plane.get("pdb", "api", namespace).get("status", {}).get("disruptionsAllowed") or 0)


@pytest.fixture
def scene(installed: Plane, namespace: str, trouble: Trouble) -> Iterator[Scene]:
    installed.apply(deployment(namespace, "free", 8), deployment(namespace, "api", 4))
    installed.apply(budget(namespace, "api", maxUnavailable=1))
    running(installed, namespace, "free", 8)
    running(installed, namespace, "api", 4)
    where: dict[str, dict[str, dict[str, str]]] = {}
    for pod in installed.all("pods", namespace):
        here = where.setdefault(pod["spec"]["nodeName"], {"free": {}, "api": {}})
        here[pod["metadata"]["labels"]["app"]][pod["metadata"]["name"]] = pod["metadata"]["uid"]
    node = next(name for name, here in where.items() if here["free"] and len(here["api"]) == 1)
    other = next(name for node_, here in where.items() if node_ != node for name in here["api"])
    installed.must("annotate", "pod", other, "-n", namespace, "sim.kwok/unready=true")
    eventually(lambda: allowed(installed, namespace) == 0, "the budget to be used up")
    uid = installed.get("node", node)["metadata"]["uid"]
    yield Scene(installed, namespace, node, uid, trouble, where[node]["free"], where[node]["api"])
    installed.kubectl("label", "node", node, "type=kwok", "--overwrite")
    installed.kubectl("uncordon", node)


@contextmanager
def dead(plane: Plane, node: str) -> Iterator[None]:
    """Its kubelet says nothing and ends no pod, until the context is left."""
    plane.must("label", "node", node, "type-")
    try:
        yield
    finally:
        plane.must("label", "node", node, "type=kwok", "--overwrite")
        for pod in plane.all("pods"):  # a kubelet that is back ends what was to end; KWOK has forgotten it
            if pod["spec"].get("nodeName") == node and pod["metadata"].get("deletionTimestamp"):
                where = ("-n", pod["metadata"]["namespace"])
                plane.kubectl("delete", "pod", pod["metadata"]["name"], *where, "--force", "--grace-period=0")


def test_a_node_that_dies_during_its_drain_is_given_back_at_the_deadline_and_the_pods_that_hang_are_named(
    operator: OperatorProcess, scene: Scene
) -> None:
    scene.half_way(deadline="30s")
    with dead(scene.plane, scene.node):
        scene.opened()
        said = scene.comes_to("Failed")
        scene.given_back()
        assert f"1 of {len(scene.free) + 1} pods are still on Node {scene.node}: {scene.namespace}/" in said
        assert next(iter(scene.held)) in said
        assert scene.there()["metadata"]["deletionTimestamp"], "nobody can end it"
        assert scene.owed()[0] == "Paid"
    eventually(lambda: not scene.there(), "it to end with the node's return")
    scene.ends()
    assert scene.evicted() == sorted([*scene.free.values(), *scene.held.values()]), "each once"


def test_a_node_that_dies_during_its_drain_and_returns_is_drained_to_the_end(
    operator: OperatorProcess, scene: Scene
) -> None:
    def silent() -> bool:
        conditions = scene.plane.get("node", scene.node)["status"]["conditions"]
        return any((c["type"], c["status"]) == ("Ready", "Unknown") for c in conditions)

    scene.half_way()
    with dead(scene.plane, scene.node):
        scene.opened()
        eventually(lambda: scene.there()["metadata"].get("deletionTimestamp"), "the last one to be evicted", 60)
        eventually(silent, "the node to be given up by its cluster", 120)
        assert outcomes(scene.record()) == [("drain", None)], "nothing has failed yet"
        assert scene.cordoned()
    scene.passes()
    scene.ends()


def test_a_node_that_is_replaced_during_its_drain_is_left_alone(operator: OperatorProcess, scene: Scene) -> None:
    scene.half_way()
    scene.plane.must("delete", "node", scene.node)
    scene.plane.must("create", "-f", "-", input=json.dumps(manifest(int(scene.node.removeprefix("node-")))))
    newcomer = scene.plane.get("node", scene.node)["metadata"]["uid"]
    eventually(lambda: scene.record().get("phase") == "Abandoned", "the incident to end", 60)
    wanted = ("Void", f"Node {scene.node} is gone or was replaced")
    eventually(lambda: scene.owed() == wanted, "nothing to be owed", 60)
    scene.opened()
    scene.ends()
    assert scene.evicted() == sorted(scene.free.values()), "those of before"
    assert not scene.cordoned()
    assert newcomer not in [sent["metadata"].get("uid") for sent in _to_nodes(scene.plane)]


def _to_nodes(plane: Plane) -> list[Json]:
    """What the operator has sent to nodes."""
    return [w["requestObject"] for w in writes_of_operator(plane) if w["objectRef"]["resource"] == "nodes"]


def test_a_budget_that_lets_nobody_go_until_the_deadline_is_named_and_the_node_given_back(
    operator: OperatorProcess, scene: Scene
) -> None:
    scene.begins(deadline="6s")
    said = scene.comes_to("Failed")
    scene.given_back()
    assert f"{HELD}: PodDisruptionBudget {scene.namespace}/api" in said
    scene.ends()
    assert scene.evicted() == sorted(scene.free.values())


def test_a_webhook_that_denies_evictions_is_named_and_the_node_given_back_at_the_deadline(
    operator: OperatorProcess, scene: Scene
) -> None:
    with admission_webhook(scene.plane, scene.namespace, "", "pods/eviction", "CREATE") as webhook:
        webhook.mood = "denies"
        scene.opened()
        scene.begins(deadline="6s")
        said = scene.comes_to("Failed")
        scene.given_back()
    assert f"the admission webhook {NAME} denied it" in said
    assert webhook.asked
    scene.ends()
    assert scene.evicted() == []


def test_once_a_webhook_denies_evictions_no_more_the_drain_goes_on(operator: OperatorProcess, scene: Scene) -> None:
    with admission_webhook(scene.plane, scene.namespace, "", "pods/eviction", "CREATE") as webhook:
        webhook.mood = "denies"
        scene.opened()
        scene.begins()
        eventually(lambda: webhook.asked > len(scene.free) + 1, "it to be asked again", 60)
        webhook.mood = "allows"
        scene.passes()
    scene.ends()


@pytest.fixture
def proxy(installed: Plane) -> Iterator[FaultProxy]:
    with fault_proxy(installed) as between:
        yield between


@pytest.mark.parametrize("long", [False, True], ids=["a moment", "longer than the lease"])
def test_a_drain_during_which_the_api_server_is_away_goes_on_where_it_stood(
    long: bool, source: str, proxy: FaultProxy, scene: Scene, tmp_path: Path
) -> None:
    account = service_account(scene.plane, tmp_path, proxy.url)
    with running_operator(account, tmp_path / "first.log") as first:
        scene.half_way()
        proxy.leave()
        scene.opened()
        if long:
            assert first.process.wait(60) == 1, "its lease could not be renewed"
        assert scene.evicted() == sorted(scene.free.values())
        proxy.come_back()
        if not long:
            scene.passes()
            assert first.process.poll() is None
    if long:
        with running_operator(account, tmp_path / "second.log"):
            scene.passes()
    scene.plane.must("delete", "incidents", "--all", "-n", NAMESPACE)


def test_who_uncordons_a_node_during_its_drain_has_it_and_nothing_more_is_evicted(
    operator: OperatorProcess, scene: Scene
) -> None:
    scene.half_way()
    scene.plane.must("uncordon", scene.node)
    eventually(lambda: scene.record().get("phase") == "Escalated", "people to be told", 60)
    assert f"Node {scene.node} was uncordoned while it was drained" in scene.comes_to("Superseded")
    scene.opened()
    scene.ends()
    assert scene.there(), "the last one stays"
    assert scene.evicted() == sorted(scene.free.values())
    assert not scene.cordoned()


def test_who_cordons_it_anew_during_its_drain_has_it_too_and_keeps_it_cordoned(
    operator: OperatorProcess, scene: Scene
) -> None:
    scene.half_way()
    scene.plane.must("uncordon", scene.node)
    scene.plane.must("cordon", scene.node)
    eventually(lambda: scene.record().get("phase") == "Escalated", "people to be told", 60)
    scene.comes_to("Superseded")
    scene.opened()
    scene.ends()
    assert scene.evicted() == sorted(scene.free.values())
    assert scene.cordoned()


def test_a_node_that_a_person_has_cordoned_is_drained_and_stays_cordoned(
    operator: OperatorProcess, scene: Scene
) -> None:
    before = len(_to_nodes(scene.plane))
    scene.plane.must("cordon", scene.node)
    scene.opened()
    scene.begins()
    eventually(scene.empty, "the node to be empty", 90)
    scene.trouble(0, alert="NodeTrouble", node=scene.node)
    eventually(lambda: scene.record().get("closedAt"), "the end", 90)
    assert outcomes(scene.record()) == [("drain", "Passed")]
    assert scene.record().get("obligations", []) == []
    assert scene.cordoned()
    assert [sent for sent in _to_nodes(scene.plane)[before:] if "unschedulable" in sent.get("spec", {})] == []
    scene.ends()


def test_a_person_who_drains_the_same_node_is_in_nobodys_way(operator: OperatorProcess, scene: Scene) -> None:
    """`kubectl drain` sends no cordon for a node that is cordoned already: it is given back, and an Event says so."""
    known = {event["metadata"]["resourceVersion"] for event in scene.plane.all("events")}
    scene.half_way()
    command = ["kubectl", "--kubeconfig", scene.plane.kubeconfig, "drain", scene.node, "--timeout=120s"]
    options = ["--ignore-daemonsets", "--delete-emptydir-data"]
    person = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert person.stdout is not None
        eventually(lambda: "evicting pod" in person.stdout.readline(), "the person to be held up by the budget, too")
        scene.opened()
        assert person.wait(120) == 0
        eventually(scene.empty, "the node to be empty", 90)
    finally:
        person.kill()
        person.wait(10)
    scene.trouble(0, alert="NodeTrouble", node=scene.node)
    eventually(lambda: scene.record().get("phase") == "Resolved", "the end", 90)
    scene.given_back()
    assert outcomes(scene.record()) == [("drain", "Passed")]
    assert len(set(scene.evicted())) == len(scene.evicted()), "each once"

    def said() -> bool:
        new = [e for e in scene.plane.all("events") if e["metadata"]["resourceVersion"] not in known]
        return ("Undo", scene.node) in [(e.get("reason"), e["involvedObject"]["name"]) for e in new]

    eventually(said, "the Event on the node, which tells who has given it back")
    forgotten(scene.plane)
