"""A workload is restarted by evictions, pod by pod, with the ServiceAccount's rights; the audit log is the judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from goldseam.engine.objects import REVISION, is_ready
from tests.cluster.test_delete_pods import budget, pods
from tests.support.objects_on_cluster import (
    deployment,
    effects,
    holding,
    outcomes,
    policy,
    reached,
    running,
    status,
    writes_of_operator,
)
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually
from tests.support.sampling import SLOW

Trouble = Callable[..., None]
Json = dict[str, Any]
EVICTION: Json = {"restart": {"method": "Eviction"}, "timeout": "120s"}
AUTO: Json = {"restart": {}, "timeout": "120s"}
ON_DELETE = {"updateStrategy": {"type": "OnDelete"}}


def evictions(plane: Plane, namespace: str) -> list[tuple[str, datetime]]:
    """Which pods the operator has evicted, and when the API server had accepted it."""
    return [
        (entry["objectRef"]["name"], datetime.fromisoformat(entry["stageTimestamp"]))
        for entry in writes_of_operator(plane)
        if entry["objectRef"].get("namespace") == namespace and entry["objectRef"].get("subresource") == "eviction"
    ]


def evicted(plane: Plane, namespace: str) -> list[str]:
    """Their names."""
    return [name for name, _ in evictions(plane, namespace)]


def workload(kind: str, namespace: str, **spec: Any) -> Json:
    """A StatefulSet of three pods, or a DaemonSet."""
    found = deployment(namespace, "db", **spec)
    if kind == "DaemonSet":
        del found["spec"]["replicas"]
    return found | {"kind": kind}


def ready_pods(plane: Plane, namespace: str) -> dict[str, Json]:
    """The pods that are ready and not on their way out."""
    return {name: pod for name, pod in pods(plane, namespace).items() if is_ready(pod)}


def all_ready(plane: Plane, namespace: str, count: int) -> dict[str, Json]:
    """So many pods, once they are ready."""

    def ask() -> dict[str, Json]:
        found = ready_pods(plane, namespace)
        return found if len(found) == count else {}

    return eventually(ask, f"{count} ready pods", 60)


def uids(found: dict[str, Json]) -> set[str]:
    """Which pods these are."""
    return {pod["metadata"]["uid"] for pod in found.values()}


def since_when_ready(pod: Json) -> datetime:
    """When the pod became ready, to the second."""
    found = next(one for one in pod["status"]["conditions"] if one["type"] == "Ready")
    return datetime.fromisoformat(found["lastTransitionTime"])


def test_a_stateful_set_that_replaces_no_pod_by_itself_is_restarted_pod_by_pod(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    least = timedelta(seconds=3)
    target = workload("StatefulSet", namespace, minReadySeconds=3, **ON_DELETE)
    installed.apply(target, policy(namespace, AUTO, target={"kind": "StatefulSet"}))
    before = all_ready(installed, namespace, 3)
    trouble(1, statefulset="db")
    eventually(lambda: len(evictions(installed, namespace)) == 3, "three evictions", 120)
    after = all_ready(installed, namespace, 3)
    assert not uids(before) & uids(after)
    made = evictions(installed, namespace)
    assert [name for name, _ in made] == ["db-2", "db-1", "db-0"]
    for (name, _), (_, following) in pairwise(made):
        assert since_when_ready(after[name]) + least <= following, f"{name} was not available yet"
    trouble(0, statefulset="db")
    assert outcomes(reached(installed, namespace, "Resolved")) == [("restart", "Passed")]
    assert effects(installed, namespace) == ["create pods/eviction"] * 3


def test_a_daemon_set_that_replaces_no_pod_by_itself_is_restarted_pod_by_pod(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    target = workload("DaemonSet", namespace, **ON_DELETE)
    installed.apply(target, policy(namespace, AUTO, target={"kind": "DaemonSet"}))
    nodes = len(installed.all("nodes"))
    before = all_ready(installed, namespace, nodes)
    trouble(1, daemonset="db")
    eventually(lambda: len(evictions(installed, namespace)) == nodes, "as many evictions as nodes", 120)
    after = all_ready(installed, namespace, nodes)
    assert not uids(before) & uids(after)
    successors = {pod["spec"]["nodeName"]: pod for pod in after.values()}
    for (name, _), (_, following) in pairwise(evictions(installed, namespace)):
        successor = successors[before[name]["spec"]["nodeName"]]
        assert since_when_ready(successor) <= following, f"{name} had no ready successor yet"
    trouble(0, daemonset="db")
    assert outcomes(reached(installed, namespace, "Resolved")) == [("restart", "Passed")]


def test_a_partitioned_stateful_set_is_restarted_and_each_pod_keeps_its_template(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    target = workload("StatefulSet", namespace, updateStrategy={"rollingUpdate": {"partition": 2}})
    installed.apply(target, policy(namespace, AUTO, target={"kind": "StatefulSet"}))
    first = all_ready(installed, namespace, 3)
    target["spec"]["template"]["metadata"]["annotations"] = {"example.com/canary": "yes"}
    installed.apply(target)
    eventually(lambda: not uids(first) >= uids(ready_pods(installed, namespace)), "the canary", 60)
    before = all_ready(installed, namespace, 3)
    trouble(1, statefulset="db")
    eventually(lambda: len(evictions(installed, namespace)) == 3, "three evictions", 120)
    after = all_ready(installed, namespace, 3)
    assert not uids(before) & uids(after)
    assert revisions(after) == revisions(before)
    assert len(set(revisions(after).values())) == 2


def revisions(found: dict[str, Json]) -> dict[str, str]:
    """Of which template each pod is."""
    return {name: pod["metadata"]["labels"][REVISION] for name, pod in found.items()}


def test_a_template_that_was_not_rolled_out_is_not_rolled_out_by_a_restart(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    target = workload("StatefulSet", namespace, **ON_DELETE)
    installed.apply(target, policy(namespace, AUTO, {"notify": {}}, target={"kind": "StatefulSet"}))
    all_ready(installed, namespace, 3)
    target["spec"]["template"]["metadata"]["annotations"] = {"example.com/new": "yes"}
    installed.apply(target)
    trouble(1, statefulset="db")
    found = eventually(lambda: outcomes(status(installed, namespace)), "the rung to be refused")
    assert found[0] == ("restart", "Refused")
    assert "template that was not rolled out yet" in status(installed, namespace)["steps"][0]["message"]
    assert effects(installed, namespace) == []


def test_while_a_pod_is_on_its_way_out_nothing_is_begun(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    target = workload("StatefulSet", namespace)
    installed.apply(target, policy(namespace, EVICTION, target={"kind": "StatefulSet"}))
    all_ready(installed, namespace, 3)
    finalizers(installed, namespace, "db-1", ["example.com/keep"])
    installed.must("delete", "pod", "db-1", "-n", namespace, "--wait=false")
    eventually(lambda: "db-1" not in pods(installed, namespace), "the pod to be on its way out")
    trouble(1, statefulset="db")
    message = holding(installed, namespace, "NotAllThere")["message"]
    assert "1 pod that must be there (on its way out: db-1)" in message
    assert status(installed, namespace)["steps"] == []
    finalizers(installed, namespace, "db-1", None)
    eventually(lambda: len(evictions(installed, namespace)) == 3, "three evictions", 120)


def finalizers(plane: Plane, namespace: str, name: str, wanted: list[str] | None) -> None:
    """Keep a pod from vanishing, or let it go."""
    body = json.dumps({"metadata": {"finalizers": wanted}})
    plane.must("patch", "pod", name, "-n", namespace, "--type=merge", "-p", body)


def test_a_pod_that_cannot_be_made_anew_ends_the_rung_and_the_others_stay(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    rung = {**EVICTION, "timeout": "15s"}
    installed.apply(deployment(namespace, "api"), policy(namespace, rung, {"notify": {}}))
    running(installed, namespace, "api", 3)
    meta = {"name": "full", "namespace": namespace}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": "0"}}}
    installed.apply(quota)
    eventually(lambda: installed.get("resourcequota", "full", namespace).get("status", {}).get("hard"), "the quota")
    trouble(1, deployment="api")
    said = "1 of 3 pods evicted, waiting for 1 pod that must be there"
    eventually(lambda: said in status(installed, namespace).get("message", ""), "how far it is", 60)
    found = eventually(lambda: outcomes(status(installed, namespace))[1:], "the next rung", 60)
    assert found[0][0] == "notify"
    step = status(installed, namespace)["steps"][0]
    assert step["outcome"] == "Failed"
    assert said in step["message"]
    assert len(evictions(installed, namespace)) == 1
    assert len(pods(installed, namespace)) == 2


def test_those_that_are_not_ready_go_first_and_together(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "api", 4), policy(namespace, EVICTION))
    running(installed, namespace, "api", 4)
    before = pods(installed, namespace)
    sick = set(sorted(before)[:2])
    installed.must("annotate", "pod", *sick, "-n", namespace, "sim.kwok/unready=true")
    running(installed, namespace, "api", 2)
    trouble(1, deployment="api")
    eventually(lambda: len(evictions(installed, namespace)) == 4, "four evictions", 120)
    assert set(evicted(installed, namespace)[:2]) == sick
    after = all_ready(installed, namespace, 4)
    assert not uids(before) & uids(after)
    third, fourth = (at for _, at in evictions(installed, namespace)[2:])
    ready_before = sorted(since_when_ready(pod) for pod in after.values())
    assert ready_before[1] <= third, "both that were not ready had ready successors"
    assert ready_before[2] <= fourth


def test_a_budget_that_allows_no_eviction_holds_and_is_named(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "api"), budget(namespace, "api", minAvailable=3))
    installed.apply(policy(namespace, {**EVICTION, "timeout": "10s"}, {"notify": {}}))
    running(installed, namespace, "api", 3)
    trouble(1, deployment="api")
    found = eventually(lambda: outcomes(status(installed, namespace))[1:], "the next rung", 60)
    assert found[0][0] == "notify"
    (first, *others) = status(installed, namespace)["steps"][0]["writes"]
    assert "disruption budget" in first["message"]
    assert not any(write.get("message") for write in others), "one at a time"
    assert effects(installed, namespace) == []


@SLOW
def test_once_the_alert_is_gone_the_other_pods_stay(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    slow = deployment(namespace, "api", 4, minReadySeconds=20)
    installed.apply(slow, policy(namespace, EVICTION))
    running(installed, namespace, "api", 4)
    trouble(1, deployment="api")
    eventually(lambda: len(evictions(installed, namespace)) == 1, "the first eviction", 90)
    trouble(0, deployment="api")
    found = reached(installed, namespace, "Resolved")
    assert outcomes(found) == [("restart", "Passed")]
    assert len(evictions(installed, namespace)) == 1


@pytest.mark.parametrize("method", ["Auto", "Eviction"])
def test_a_deployment_that_another_controller_owns_is_restarted_and_nothing_of_it_is_written(
    method: str, installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    owned = deployment(namespace, "api", 2)
    owned["metadata"]["ownerReferences"] = [owner(installed, namespace)]
    installed.apply(owned, policy(namespace, {"restart": {"method": method}, "timeout": "120s"}))
    running(installed, namespace, "api", 2)
    before = installed.get("deployment", "api", namespace)["metadata"]["generation"]
    first = set(pods(installed, namespace))
    trouble(1, deployment="api")
    eventually(lambda: not first & pods(installed, namespace).keys(), "both pods to be others", 90)
    running(installed, namespace, "api", 2)
    assert installed.get("deployment", "api", namespace)["metadata"]["generation"] == before
    assert effects(installed, namespace) == ["create pods/eviction"] * 2


def owner(plane: Plane, namespace: str) -> Json:
    """An object that says that it controls others."""
    meta = {"name": "shop", "namespace": namespace}
    plane.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    uid = plane.get("configmap", "shop", namespace)["metadata"]["uid"]
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": "shop", "uid": uid, "controller": True}


def test_in_mode_observe_it_says_what_it_would_evict_and_evicts_nothing(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "api"), policy(namespace, EVICTION, mode="Observe"))
    running(installed, namespace, "api", 3)
    trouble(1, deployment="api")
    eventually(lambda: outcomes(status(installed, namespace)) == [("restart", "Observed")], "a step")
    message = status(installed, namespace)["steps"][0]["message"]
    assert message.startswith(f"would restart Deployment {namespace}/api by evicting its pods one by one (3 pods)")
    assert message.endswith("(the server-side dry run was accepted)")
    assert effects(installed, namespace) == []
