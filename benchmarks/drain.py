"""drain: ours against `kubectl drain` of the same version, on identical KWOK nodes in one run.

Four scenarios, each on a node that holds all their pods; a pod is ready 3 s after it was placed, and gone 1 s after it
was asked to go:

- `pdb`: 10 Deployments of 5 pods, each under a budget of `maxUnavailable: 1`
- `free`: 10 Deployments of 10 pods, without budgets
- `single`: 3 Deployments of one pod: for how long none of its pods serves
- `statefulset`: one of 5 pods under `maxUnavailable: 1`

A drain begins when the API server has accepted the cordon, and ends when the last pod is gone from the node; both by
this machine's clock, for both sides. The limit is what no drain can go below: under a budget of one, each pod but the
last waits until the one before it is replaced. So it is (5 - 1) x (time until a replacement is ready) + shutdown; for a
StatefulSet, which replaces a pod once it is gone, (5 - 1) x (shutdown + that) + shutdown; all as measured beside. A
violation is an app of which fewer pods served, at any time, than its budget wants.

ROUNDS (3) times, the sides in turn; the median counts. ONLY=pdb,single: only these.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from benchmarks.stage import installed, operator, report, source
from benchmarks.timeline import Timeline
from tests.support.direct import Direct
from tests.support.exporter import Exporter, exporter
from tests.support.objects_on_cluster import budget, cluster_policy, deployment, guardrails
from tests.support.operator_process import NAMESPACE
from tests.support.plane import Plane, eventually

Json = dict[str, Any]
ROUNDS = int(os.environ.get("ROUNDS", "3"))
START, SHUTDOWN = "3s", "1s"
SLOWED = {"sim.kwok/start-delay": START, "sim.kwok/shutdown": SHUTDOWN}
PATIENCE = 900.0
SIDES = ("kubectl", "goldseam")


@dataclass(frozen=True)
class Scenario:
    """What is on the node."""

    name: str
    apps: int
    replicas: int
    bound: bool = False
    """Whether a budget of `maxUnavailable: 1` covers each app."""
    stateful: bool = False

    def objects(self, namespace: str) -> Iterator[Json]:
        """The workloads, and their budgets."""
        for number in range(self.apps):
            made = deployment(namespace, f"app-{number}", self.replicas, annotations=SLOWED)
            yield stateful(made) if self.stateful else made
            if self.bound:
                yield budget(namespace, f"app-{number}", maxUnavailable=1)

    @property
    def least(self) -> int:
        """How many pods of an app its budget wants."""
        return self.replicas - 1 if self.bound else 0


SCENARIOS = (
    Scenario("pdb", 10, 5, bound=True),
    Scenario("free", 10, 10),
    Scenario("single", 3, 1),
    Scenario("statefulset", 1, 5, bound=True, stateful=True),
)
ONLY = os.environ.get("ONLY", ",".join(scenario.name for scenario in SCENARIOS)).split(",")


@dataclass(frozen=True)
class Outcome:
    """What one drain took, and cost."""

    seconds: float
    replaced: float
    """Seconds until all pods were replaced, too."""
    violations: int
    dark: float
    """Seconds in which an app had no pod that served: the longest of all apps."""
    limit: float


def stateful(made: Json) -> Json:
    """The Deployment as a StatefulSet."""
    spec = made["spec"] | {"serviceName": made["metadata"]["name"]}
    return made | {"kind": "StatefulSet", "spec": spec}


def placed(plane: Plane, scenario: Scenario, namespace: str, node: str) -> None:
    """All pods of the scenario on this node, and ready."""
    others = [n["metadata"]["name"] for n in plane.all("nodes") if n["metadata"]["name"] != node]
    schedulable(plane, others, False)
    plane.namespace(namespace)
    plane.apply(*scenario.objects(namespace))

    def ready() -> bool:
        found = [*plane.all("deployments", namespace), *plane.all("statefulsets", namespace)]
        return sum((w.get("status") or {}).get("readyReplicas", 0) for w in found) == scenario.apps * scenario.replicas

    eventually(ready, "all pods to be ready", PATIENCE)
    eventually(lambda: counted(plane, scenario, namespace), "the budgets to be counted", PATIENCE)
    schedulable(plane, others, True)


def counted(plane: Plane, scenario: Scenario, namespace: str) -> bool:
    """Whether each budget knows that one pod may go."""
    found = plane.all("poddisruptionbudgets", namespace)
    return all((pdb.get("status") or {}).get("disruptionsAllowed") == 1 for pdb in found)


def schedulable(plane: Plane, nodes: list[str], yes: bool) -> None:
    """Let pods come to these nodes, or none."""
    api = Direct(plane.kubeconfig)
    for node in nodes:
        api.must("PATCH", f"/api/v1/nodes/{node}", {"spec": {"unschedulable": None if yes else True}})


@contextmanager
def drained(plane: Plane, side: str, node: str, exporting: Exporter) -> Iterator[None]:
    """The drain under way; with the context the node comes back."""
    if side == "kubectl":
        command = ["kubectl", "--kubeconfig", plane.kubeconfig, "drain", node, "--ignore-daemonsets"]
        process = subprocess.Popen(
            command, env=os.environ | plane.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        yield
        assert process.wait(PATIENCE) == 0, process.stdout and process.stdout.read()
        schedulable(plane, [node], True)
        return
    exporting.set(1, about="NodeTrouble", node=node)
    yield
    exporting.set(0, about="NodeTrouble", node=node)
    eventually(lambda: not plane.get("node", node)["spec"].get("unschedulable"), "the node to be back", PATIENCE)
    eventually(lambda: all_over(plane), "the incident to be over", PATIENCE)


def all_over(plane: Plane) -> bool:
    """Whether every incident is a record only."""
    return all((i.get("status") or {}).get("closedAt") for i in plane.all("incidents", NAMESPACE))


def cordoned_at(plane: Plane, node: str, since: datetime) -> datetime | None:
    """When the API server had accepted the first change of the node by whom drains it."""
    for entry in plane.audit():
        ref, code = entry.get("objectRef") or {}, entry.get("responseStatus", {}).get("code", 0)
        mine = (entry["verb"], ref.get("resource"), ref.get("name")) == ("patch", "nodes", node) and code < 300
        at = datetime.fromisoformat(entry["stageTimestamp"])
        if mine and at >= since and "dryRun" not in entry["requestURI"] and not ref.get("subresource"):
            return at
    return None


def measured(plane: Plane, scenario: Scenario, side: str, number: int, exporting: Exporter) -> Outcome:
    """One drain, from an empty node to an empty node."""
    namespace, node = f"drain-{scenario.name}-{side}-{number}", f"node-{SIDES.index(side)}"
    placed(plane, scenario, namespace, node)
    pods = scenario.apps * scenario.replicas
    with Timeline().noting(plane, namespace) as line:
        eventually(lambda: line.serving() == pods, "all pods to be seen", PATIENCE)
        assert line.left_on(node) == pods
        epoch, begun = datetime.fromtimestamp(time.time(), UTC), time.monotonic()
        with drained(plane, side, node, exporting):
            eventually(lambda: line.left_on(node) == 0, "the node to be empty", PATIENCE)
            eventually(lambda: line.serving() == pods, "all pods to be replaced", PATIENCE)
            at = eventually(lambda: cordoned_at(plane, node, epoch), "the cordon to be in the audit log")
    cordoned = begun + (at - epoch).total_seconds()
    plane.remove("namespace", namespace)
    eventually(lambda: not plane.all("pods", namespace), "the pods to be gone", PATIENCE)
    return judged(scenario, line, node, cordoned)


def judged(scenario: Scenario, line: Timeline, node: str, cordoned: float) -> Outcome:
    """What the timeline says of it."""
    emptied, replaced = line.emptied_at(node), line.replaced_at(cordoned)
    end, rounds = max(emptied, replaced), scenario.replicas - 1
    each = line.startup(cordoned) + (line.shutdown() if scenario.stateful else 0.0)
    return Outcome(
        seconds=emptied - cordoned,
        replaced=end - cordoned,
        violations=sum(line.least(app, cordoned) < scenario.least for app in line.healthy),
        dark=max(line.dark(app, cordoned, end) for app in line.healthy),
        limit=(rounds * each if scenario.bound else 0.0) + line.shutdown(),
    )


def prepared(plane: Plane) -> None:
    """The policy, and limits that none of it meets."""
    plenty = [{"count": 10_000, "per": "1h"}]
    plane.apply(guardrails(budgets={"cluster": plenty}))
    limits = {"actions": plenty, "cooldown": "1s"}
    rung = {"drain": {}, "timeout": "15m"}
    plane.apply(cluster_policy("drain", rung, alert={"name": "NodeTrouble"}, limits=limits))
    plane.rules("drain", [{"alert": "NodeTrouble", "expr": 'trouble{about="NodeTrouble"} > 0'}])


def figures(found: dict[tuple[str, str], list[Outcome]]) -> dict[str, object]:
    """The medians of each scenario, and how the sides compare."""
    made: dict[str, object] = {}

    def median(scenario: str, side: str, of: Callable[[Outcome], float]) -> float:
        return statistics.median(of(outcome) for outcome in found[scenario, side])

    for name in dict.fromkeys(scenario for scenario, _ in found):
        ours, theirs = (median(name, side, lambda o: o.seconds) for side in ("goldseam", "kubectl"))
        made |= {
            f"{name}_s": round(ours, 2),
            f"{name}_kubectl_s": round(theirs, 2),
            f"ratio_{name}": round(ours / theirs, 3),
        }
        if name in ("pdb", "statefulset"):
            limit = median(name, "goldseam", lambda o: o.limit)
            made |= {f"limit_{name}_s": round(limit, 2), f"over_limit_{name}": round(ours / limit, 3)}
        if name == "single":
            made["downtime_single_s"] = round(median(name, "goldseam", lambda o: o.dark), 2)
            made["downtime_single_kubectl_s"] = round(median(name, "kubectl", lambda o: o.dark), 2)
        made[f"{name}_replaced_s"] = round(median(name, "goldseam", lambda o: o.replaced), 2)
        made[f"{name}_replaced_kubectl_s"] = round(median(name, "kubectl", lambda o: o.replaced), 2)
    for side in SIDES:
        key = "pdb_violations" if side == "goldseam" else "pdb_violations_kubectl"
        made[key] = sum(o.violations for (_, by), outcomes in found.items() if by == side for o in outcomes)
    return made


def main() -> None:
    """All scenarios, one run."""
    found: dict[tuple[str, str], list[Outcome]] = {}
    with installed(nodes=8) as (plane, home), exporter(plane) as exporting:
        prepared(plane)
        source(plane, "1s")
        with operator(plane, home):
            for number in range(ROUNDS):
                for scenario in (scenario for scenario in SCENARIOS if scenario.name in ONLY):
                    for side in SIDES if number % 2 == 0 else reversed(SIDES):
                        outcome = measured(plane, scenario, side, number, exporting)
                        found.setdefault((scenario.name, side), []).append(outcome)
                        print(f"  {number} {scenario.name} {side}: {json.dumps(outcome.__dict__)}", flush=True)
    report(
        f"drain of a node, from its cordon to its last pod, {ROUNDS} rounds; start {START}, shutdown {SHUTDOWN}",
        figures(found),
    )


if __name__ == "__main__":
    main()
