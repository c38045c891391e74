"""Beside the real controller of Argo Rollouts: a Rollout runs the pods, whatever the Deployment says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.support.neighbours import Neighbour
from tests.support.objects_on_cluster import (
    deployment,
    effects,
    holding,
    outcomes,
    policy,
    reached,
    rollout,
    scaler,
    status,
)
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
Json = dict[str, Any]
SCALE: Json = {"scale": {"replicas": 5}, "timeout": "120s"}
CANARY: Json = {"canary": {"steps": [{"setWeight": 40}, {"pause": {}}]}}
OLD, NEW = "busybox:1.37", "busybox:1.38"


def running_on(namespace: str, image: str) -> Json:
    """The Rollout `api` of 3 pods; a new image stops after the first canary until somebody promotes it."""
    found = rollout(namespace, "api", 3, strategy=CANARY)
    found["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return found


def targeted(namespace: str, *ladder: Json) -> Json:
    """A policy for the Rollout `api`."""
    return policy(namespace, *ladder, target={"kind": "Rollout", "name": "api"})


def begin(plane: Plane, namespace: str) -> None:
    """The Rollout, once it runs."""
    plane.apply(running_on(namespace, OLD))
    eventually(lambda: healthy(plane, namespace, 3), "the Rollout to run its pods")


def healthy(plane: Plane, namespace: str, count: int) -> bool:
    """Whether the Rollout says that all is well, with so many pods that can serve."""
    found = plane.get("rollout", "api", namespace).get("status", {})
    return found.get("phase") == "Healthy" and found.get("availableReplicas") == count


def phase(plane: Plane, namespace: str) -> str:
    """What the Rollout says of itself."""
    return str(plane.get("rollout", "api", namespace).get("status", {}).get("phase"))


def images(plane: Plane, namespace: str) -> list[str]:
    """The images of the pods that are not on their way out."""
    live = [pod for pod in plane.all("pods", namespace) if not pod["metadata"].get("deletionTimestamp")]
    return sorted(pod["spec"]["containers"][0]["image"] for pod in live)


def update(plane: Plane, namespace: str) -> None:
    """Begin to roll out the new image, up to where the canary waits for a person."""
    plane.apply(running_on(namespace, NEW))
    eventually(lambda: phase(plane, namespace) == "Paused", "the canary to stand still")
    assert images(plane, namespace) != [OLD] * 3


def say(plane: Plane, namespace: str, **fields: bool) -> None:
    """What `kubectl argo rollouts abort` and `promote --full` do."""
    how = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": fields}))
    plane.must("patch", "rollout", "api", "-n", namespace, *how)


def healed(plane: Plane, namespace: str) -> None:
    """Wait until the incident is over, and nothing is owed any more."""
    assert outcomes(reached(plane, namespace, "Resolved")) == [("scale", "Passed")]
    eventually(lambda: status(plane, namespace)["owes"] == 0, "the debts to be paid")
    assert [debt["state"] for debt in status(plane, namespace)["obligations"]] == ["Paid"]


def test_a_rollout_is_scaled_until_its_pods_are_there_and_put_back(
    installed: Plane, namespace: str, argo_rollouts: Neighbour, operator: OperatorProcess, trouble: Trouble
) -> None:
    begin(installed, namespace)
    installed.apply(targeted(namespace, SCALE))
    trouble(1)
    eventually(lambda: healthy(installed, namespace, 5), "5 pods")
    trouble(0)
    healed(installed, namespace)
    eventually(lambda: healthy(installed, namespace, 3), "3 pods again")
    assert set(effects(installed, namespace)) == {"patch rollouts/scale"}


def test_a_rollout_under_an_hpa_is_helped_by_its_floor(
    installed: Plane, namespace: str, argo_rollouts: Neighbour, operator: OperatorProcess, trouble: Trouble
) -> None:
    under = scaler(namespace, "api", 2, 10)
    under["spec"]["scaleTargetRef"] = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "api"}
    begin(installed, namespace)
    installed.apply(under, targeted(namespace, SCALE))
    trouble(1)
    eventually(lambda: healthy(installed, namespace, 5), "5 pods")
    trouble(0)
    healed(installed, namespace)
    assert installed.get("hpa", "api", namespace)["spec"]["minReplicas"] == 2
    assert set(effects(installed, namespace)) == {"patch horizontalpodautoscalers"}


def test_a_rollout_on_its_steps_is_waited_for_and_scaled_once_it_is_promoted(
    installed: Plane, namespace: str, argo_rollouts: Neighbour, operator: OperatorProcess, trouble: Trouble
) -> None:
    begin(installed, namespace)
    update(installed, namespace)
    installed.apply(targeted(namespace, SCALE))
    trouble(1)
    holding(installed, namespace, "RolloutInProgress")
    assert effects(installed, namespace) == []
    say(installed, namespace, promoteFull=True)
    eventually(lambda: healthy(installed, namespace, 5), "5 pods")
    eventually(lambda: images(installed, namespace) == [NEW] * 5, "the old version to be gone")
    assert effects(installed, namespace) == ["patch rollouts/scale"]


def test_a_rollout_that_was_aborted_is_scaled_on_its_stable_pods(
    installed: Plane, namespace: str, argo_rollouts: Neighbour, operator: OperatorProcess, trouble: Trouble
) -> None:
    """The new version is given up, which does not make the old one less in need of help."""
    begin(installed, namespace)
    update(installed, namespace)
    say(installed, namespace, abort=True)
    eventually(lambda: phase(installed, namespace) == "Degraded", "the abort")
    installed.apply(targeted(namespace, SCALE))
    trouble(1)
    eventually(lambda: images(installed, namespace) == [OLD] * 5, "5 pods of the old version")
    trouble(0)
    healed(installed, namespace)
    eventually(lambda: images(installed, namespace) == [OLD] * 3, "3 pods of the old version")
    assert phase(installed, namespace) == "Degraded"


def test_a_rollout_is_restarted_by_its_controller_as_of_its_newest_pod(
    installed: Plane, namespace: str, argo_rollouts: Neighbour, operator: OperatorProcess, trouble: Trouble
) -> None:
    begin(installed, namespace)
    before = uids(installed, namespace)
    installed.apply(targeted(namespace, {"restart": {"method": "Template"}, "timeout": "180s"}))
    trouble(1)
    eventually(lambda: not before & uids(installed, namespace), "other pods", 120)
    trouble(0)
    assert outcomes(reached(installed, namespace, "Resolved")) == [("restart", "Passed")]
    found = installed.get("rollout", "api", namespace)
    assert found["spec"]["restartAt"] == found["status"]["restartedAt"]
    assert effects(installed, namespace) == ["patch rollouts"], "the evictions are those of its controller"


def test_a_rollout_is_restarted_pod_by_pod_by_default(
    installed: Plane, namespace: str, argo_rollouts: Neighbour, operator: OperatorProcess, trouble: Trouble
) -> None:
    begin(installed, namespace)
    before = uids(installed, namespace)
    installed.apply(targeted(namespace, {"restart": {}, "timeout": "180s"}))
    trouble(1)
    eventually(lambda: not before & uids(installed, namespace), "other pods", 120)
    trouble(0)
    assert outcomes(reached(installed, namespace, "Resolved")) == [("restart", "Passed")]
    assert effects(installed, namespace) == ["create pods/eviction"] * 3
    assert "restartAt" not in installed.get("rollout", "api", namespace)["spec"]


def test_a_deployment_whose_pods_a_rollout_runs_is_neither_switched_on_nor_restarted(
    installed: Plane, namespace: str, argo_rollouts: Neighbour, operator: OperatorProcess, trouble: Trouble
) -> None:
    """A Deployment under a `workloadRef` has no replicas: switching it on would double the pods."""
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}
    runs = rollout(namespace, "api", 3, workloadRef=ref, strategy={"canary": {}})
    del runs["spec"]["template"]
    installed.apply(deployment(namespace, "api", 0), runs)
    eventually(lambda: healthy(installed, namespace, 3), "the Rollout to run its pods")
    before = uids(installed, namespace)
    evict = {"deletePods": {"states": ["NotReady", "CrashLoopBackOff"]}}
    installed.apply(policy(namespace, SCALE, evict, {"restart": {}}))
    trouble(1, deployment="api")
    found = reached(installed, namespace, "Escalated")
    assert outcomes(found)[0] == ("scale", "Refused")
    assert "write target: {kind: Rollout, name: api}" in found["steps"][0]["message"]
    assert effects(installed, namespace) == []
    assert uids(installed, namespace) == before


def uids(plane: Plane, namespace: str) -> set[str]:
    """The uids of the namespace's pods."""
    return {pod["metadata"]["uid"] for pod in plane.all("pods", namespace)}
