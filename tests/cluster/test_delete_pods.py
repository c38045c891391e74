"""Pods in trouble are evicted with the ServiceAccount's rights by the Eviction API; the audit log is the judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.support.objects_on_cluster import budget, deployment, effects, outcomes, policy, reached, running, status
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
Json = dict[str, Any]
DELETE: Json = {"deletePods": {"states": ["CrashLoopBackOff"], "atMost": "100%"}, "timeout": "60s"}


def pods(plane: Plane, namespace: str) -> dict[str, Json]:
    """The pods of `api` that are not on their way out, by name."""
    found = plane.all("pods", namespace)
    return {pod["metadata"]["name"]: pod for pod in found if not pod["metadata"].get("deletionTimestamp")}


def loops(plane: Plane, namespace: str, *names: str) -> None:
    """Let these pods say that their container dies again and again, as a kubelet does."""
    waiting = {"name": "app", "ready": False, "restartCount": 7, "image": "busybox:1.37", "imageID": ""}
    waiting["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    for name in names:  # the annotation: else the simulated kubelet starts them anew after ten seconds
        plane.must("annotate", "pod", name, "-n", namespace, "sim.kwok/crashloop=stays")
        conditions = pods(plane, namespace)[name]["status"]["conditions"]
        changed = [
            one | ({"status": "False"} if one["type"] in ("Ready", "ContainersReady") else {}) for one in conditions
        ]
        reported(plane, namespace, name, {"conditions": changed, "containerStatuses": [waiting]})


def reported(plane: Plane, namespace: str, name: str, said: Json) -> None:
    """Write a pod's status, as a kubelet does."""
    body = json.dumps({"status": said})
    plane.must("patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", body)


def test_those_that_crash_loop_go_and_their_siblings_stay(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "api"), policy(namespace, DELETE))
    running(installed, namespace, "api", 3)
    first, second, well = sorted(pods(installed, namespace))
    loops(installed, namespace, first, second)
    trouble(1, deployment="api")
    eventually(lambda: not {first, second} & pods(installed, namespace).keys(), "both to be gone")
    running(installed, namespace, "api", 3)
    trouble(0, deployment="api")
    found = reached(installed, namespace, "Resolved")
    assert well in pods(installed, namespace)
    assert effects(installed, namespace) == ["create pods/eviction"] * 2
    assert outcomes(found) == [("deletePods", "Passed")]


def test_a_budget_that_allows_no_eviction_is_named_and_the_next_rung_comes(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "api"), budget(namespace, "api", minAvailable=3))
    installed.apply(policy(namespace, {**DELETE, "timeout": "10s"}, {"restart": {}, "timeout": "60s"}))
    running(installed, namespace, "api", 3)
    one = min(pods(installed, namespace))
    loops(installed, namespace, one)
    trouble(1, deployment="api")
    said = eventually(lambda: message_of_write(installed, namespace), "what holds the eviction back")
    assert "disruption budget" in said
    eventually(lambda: "patch deployments" in effects(installed, namespace), "the restart", 60)
    assert "create pods/eviction" not in effects(installed, namespace)


def message_of_write(plane: Plane, namespace: str) -> str:
    """What the API server last said to the first write of the first step."""
    steps = status(plane, namespace).get("steps", [])
    return str(steps[0]["writes"][0].get("message", "")) if steps and steps[0].get("writes") else ""


def test_a_budget_that_was_loosened_lets_the_same_pod_go_and_one_that_is_well_again_stays(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "api"), budget(namespace, "api", minAvailable=3), policy(namespace, DELETE))
    running(installed, namespace, "api", 3)
    names = sorted(pods(installed, namespace))
    loops(installed, namespace, *names[:2])
    trouble(1, deployment="api")
    eventually(lambda: message_of_write(installed, namespace), "what holds the eviction back")
    good = pods(installed, namespace)[names[2]]["status"]
    well = {"conditions": good["conditions"], "containerStatuses": good["containerStatuses"]}
    reported(installed, namespace, names[1], well)
    installed.apply(budget(namespace, "api", minAvailable=1))
    eventually(lambda: names[0] not in pods(installed, namespace), "the pod to be gone", 60)
    eventually(lambda: status(installed, namespace)["steps"][0]["phase"] != "Intended", "the step to be made", 60)
    assert names[1] in pods(installed, namespace)
    assert effects(installed, namespace) == ["create pods/eviction"]


def test_a_policy_without_the_right_says_so_and_nothing_is_evicted(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "weak", "namespace": namespace}}
    installed.apply(account, deployment(namespace, "api"))
    installed.apply(policy(namespace, DELETE, {"notify": {}}, serviceAccountName="weak"))
    running(installed, namespace, "api", 3)
    loops(installed, namespace, min(pods(installed, namespace)))
    trouble(1, deployment="api")
    found = eventually(lambda: outcomes(status(installed, namespace)), "the rung to be refused")
    assert found[0] == ("deletePods", "Refused")
    assert effects(installed, namespace) == []


def test_whoever_is_asked_for_approval_is_told_which_pods_would_go(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "api"), policy(namespace, DELETE, mode="Propose"))
    running(installed, namespace, "api", 3)
    name = min(pods(installed, namespace))
    loops(installed, namespace, name)
    trouble(1, deployment="api")
    found = reached(installed, namespace, "AwaitingApproval")
    assert f"evict 1 pod of Deployment {namespace}/api that is CrashLoopBackOff: {name}" in json.dumps(found)
