"""scale beside HPA, KEDA, Argo Rollouts, Argo CD, Flux and people, on a real control plane with the operator's rights.

The HPA is real, with its controller. Of KEDA and Argo Rollouts there are the kinds, of Argo CD and Flux the way in
which they own fields: server-side apply under their field managers, applied again as they do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from goldseam.engine.owners import YIELDED
from tests.support.objects_on_cluster import (
    condition,
    deployment,
    effects,
    outcomes,
    policy,
    reached,
    refusals,
    rollout,
    running,
    scaled_object,
    scaler,
    status,
)
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually
from tests.support.sampling import sampled


def replica_set(rollout: Json, uid: str) -> Json:
    """The ReplicaSet of a Rollout."""
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": rollout["metadata"]["name"], "uid": uid}
    meta = rollout["metadata"] | {"ownerReferences": [owner | {"controller": True}]}
    meta |= {"labels": rollout["spec"]["template"]["metadata"]["labels"]}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": rollout["spec"]}


Trouble = Callable[..., None]
Json = dict[str, Any]


def applied(plane: Plane, manager: str, obj: Json) -> None:
    """Server-side apply under a field manager, as a GitOps tool does it, again and again."""
    how = ("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "-f", "-")
    plane.must(*how, input=json.dumps(obj))


def paid(plane: Plane, namespace: str) -> list[str]:
    """The states of all that was owed, once nothing is owed any more."""
    eventually(lambda: status(plane, namespace).get("owes") == 0, "the debts to be paid")
    return [o["state"] for o in status(plane, namespace)["obligations"]]


def test_an_hpa_below_what_is_asked_for_is_raised_with_its_maximum_and_both_come_back(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    ladder = {"scale": {"replicas": 8, "raiseMax": True}, "timeout": "120s"}
    installed.apply(deployment(namespace, "api", 2), scaler(namespace, "api", 2, 5), policy(namespace, ladder))
    running(installed, namespace, "api", 2)
    trouble(1, deployment="api")
    running(installed, namespace, "api", 8)
    assert effects(installed, namespace) == ["patch horizontalpodautoscalers"]
    trouble(0, deployment="api")
    reached(installed, namespace, "Resolved")
    assert paid(installed, namespace) == ["Paid", "Paid"]
    spec = installed.get("hpa", "api", namespace)["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    assert (
        effects(installed, namespace) == ["patch horizontalpodautoscalers"] * 4
    )  # both; the floor 4, 2; the maximum 5
    assert not [found for found in refusals(installed, namespace) if "horizontalpodautoscalers" in found]


def test_an_hpa_is_left_at_its_maximum_where_the_policy_does_not_say_so_and_that_is_known_before(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    ladder = ({"scale": {"replicas": 8}}, {"wait": {"duration": "1h"}, "timeout": "2h"})
    named = policy(namespace, *ladder, target={"name": "api"})
    installed.apply(deployment(namespace, "api", 2), scaler(namespace, "api", 2, 5), named)
    running(installed, namespace, "api", 2)
    warned(installed, namespace, "AboveHpaMaximum")
    trouble(1, deployment="api")
    eventually(lambda: outcomes(status(installed, namespace)) == [("scale", "Refused"), ("wait", None)], "a refusal")
    assert effects(installed, namespace) == []


def warned(plane: Plane, namespace: str, reason: str) -> str:
    """The message of the policy's condition Uncontested, once it has this reason."""

    def ask() -> str:
        found = condition(plane, "remediationpolicy", "heal", namespace, "Uncontested")
        return found.get("message", "") if found.get("reason") == reason else ""

    return eventually(ask, f"Uncontested to be {reason}")


@pytest.mark.parametrize("bounds", [{"minReplicaCount": 1, "maxReplicaCount": 20}, {}])
def test_the_floor_of_a_scaled_object_is_raised_and_comes_back_as_it_was(
    neighbours: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, bounds: dict[str, int]
) -> None:
    rung = {"scale": {"replicas": 4}, "timeout": "60s", "verify": {"settle": "1s", "rollout": False}}
    objects = (deployment(namespace, "api", 2), scaled_object(namespace, "api", **bounds))
    neighbours.apply(*objects, policy(namespace, rung))
    running(neighbours, namespace, "api", 2)
    trouble(1, deployment="api")
    eventually(lambda: floor(neighbours, namespace) == 4, "the floor to be raised")
    trouble(0, deployment="api")
    reached(neighbours, namespace, "Resolved")
    assert paid(neighbours, namespace) == ["Paid"]
    assert floor(neighbours, namespace) == bounds.get("minReplicaCount")
    assert set(effects(neighbours, namespace)) == {"patch scaledobjects"}


def floor(plane: Plane, namespace: str) -> int | None:
    found: int | None = plane.get("scaledobjects.keda.sh", "api", namespace)["spec"].get("minReplicaCount")
    return found


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        ({"autoscaling.keda.sh/paused": "true"}, "KedaPaused"),
        ({"autoscaling.keda.sh/paused-replicas": "2"}, "KedaPaused"),
    ],
)
def test_a_scaled_object_that_somebody_paused_is_left_alone(
    neighbours: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, mark: Json, reason: str
) -> None:
    ladder = ({"scale": {"replicas": 4}}, {"wait": {"duration": "1h"}, "timeout": "2h"})
    objects = (deployment(namespace, "api", 2), scaled_object(namespace, "api", annotations=mark))
    neighbours.apply(*objects, policy(namespace, *ladder, target={"name": "api"}))
    running(neighbours, namespace, "api", 2)
    assert "somebody paused ScaledObject" in warned(neighbours, namespace, reason)
    trouble(1, deployment="api")
    eventually(lambda: outcomes(status(neighbours, namespace)) == [("scale", "Refused"), ("wait", None)], "a refusal")
    assert effects(neighbours, namespace) == []


def test_a_rollout_is_scaled_by_its_own_scale_and_put_back(
    neighbours: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    rung = {"scale": {"replicas": 8}, "timeout": "60s", "verify": {"settle": "1s", "rollout": False}}
    made = rollout(namespace, "api", 3)
    neighbours.apply(made, policy(namespace, rung, target={"kind": "Rollout", "name": "api"}))
    where = ("-n", namespace, "--subresource=status", "--type=merge")
    settled = {"status": {"observedGeneration": "1", "currentPodHash": "a", "stableRS": "a", "readyReplicas": 3}}
    neighbours.must("patch", "rollouts.argoproj.io", "api", *where, "-p", json.dumps(settled))
    trouble(1)
    eventually(lambda: replicas(neighbours, namespace) == 8, "eight replicas")
    behind = {"status": {"observedGeneration": "2"}}
    neighbours.must("patch", "rollouts.argoproj.io", "api", *where, "-p", json.dumps(behind))
    trouble(0)
    reached(neighbours, namespace, "Resolved")
    assert paid(neighbours, namespace) == ["Paid"]
    assert replicas(neighbours, namespace) == 3
    assert effects(neighbours, namespace) == ["patch rollouts/scale"] * 3


def test_a_rollout_is_restarted_as_of_its_newest_pod_and_over_when_its_controller_says_so(
    neighbours: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    rung = {"restart": {"method": "Template"}, "timeout": "60s", "verify": {"settle": "1s", "rollout": False}}
    made = rollout(namespace, "api", 2)
    neighbours.apply(made)
    uid = neighbours.get("rollouts.argoproj.io", "api", namespace)["metadata"]["uid"]
    neighbours.apply(replica_set(made, uid))  # as the controller of Argo Rollouts makes it
    where = ("-n", namespace, "--subresource=status", "--type=merge", "-p")
    settled = {"observedGeneration": "1", "currentPodHash": "a", "stableRS": "a", "readyReplicas": 2}
    neighbours.must("patch", "rollouts.argoproj.io", "api", *where, json.dumps({"status": settled}))
    made_at = eventually(lambda: born(neighbours, namespace), "its pods")
    neighbours.apply(policy(namespace, rung, target={"kind": "Rollout", "name": "api"}))
    trouble(1)

    def asked() -> str:
        return str(neighbours.get("rollouts.argoproj.io", "api", namespace)["spec"].get("restartAt", ""))

    at = eventually(asked, "restartAt")
    assert datetime.fromisoformat(at) - made_at == timedelta(seconds=1)
    restarted = {"observedGeneration": "2", "restartedAt": at}
    neighbours.must("patch", "rollouts.argoproj.io", "api", *where, json.dumps({"status": restarted}))
    trouble(0)
    reached(neighbours, namespace, "Resolved")
    assert outcomes(status(neighbours, namespace)) == [("restart", "Passed")]
    assert effects(neighbours, namespace) == ["patch rollouts"]


def born(plane: Plane, namespace: str) -> datetime | None:
    """When the newest of the two pods was made, once both are there."""
    found = [datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) for pod in plane.all("pods", namespace)]
    return max(found) if len(found) == 2 else None


def replicas(plane: Plane, namespace: str) -> int:
    return int(plane.get("rollouts.argoproj.io", "api", namespace)["spec"]["replicas"])


def test_a_deployment_whose_pods_a_rollout_runs_is_left_alone(
    neighbours: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}
    runs = rollout(namespace, "canary", 2, workloadRef=ref)
    del runs["spec"]["template"], runs["spec"]["selector"]
    ladder = ({"scale": {"replicas": 4}}, {"wait": {"duration": "1h"}, "timeout": "2h"})
    neighbours.apply(deployment(namespace, "api", 0), runs, policy(namespace, *ladder, target={"name": "api"}))
    assert "target: {kind: Rollout, name: canary}" in warned(neighbours, namespace, "UnderRollout")
    trouble(1, deployment="api")
    eventually(lambda: outcomes(status(neighbours, namespace)) == [("scale", "Refused"), ("wait", None)], "a refusal")
    assert effects(neighbours, namespace) == []


LINES = {
    "argocd-controller": "ignoreDifferences: [{group: apps, kind: Deployment, managedFieldsManagers: [goldseam]}]",
    "kustomize-controller": "ignore: [{paths: [/spec/replicas], target: {kind: Deployment, name: worker}}]",
    "helm-controller": "driftDetection: {ignore: [{paths: [/spec/replicas]",
}


@pytest.mark.parametrize("manager", sampled(list(LINES)))
def test_what_is_in_git_is_warned_of_before_and_then_refused_and_once_allowed_being_undone_stops_us(
    manager: str, installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    in_git = deployment(namespace, "worker")
    applied(installed, manager, in_git)
    ladder = ({"scale": {"replicas": 8}}, {"wait": {"duration": "15s"}}, {"scale": {"replicas": 9}, "timeout": "60s"})
    installed.apply(policy(namespace, *ladder, target={"name": "worker"}))
    running(installed, namespace, "worker", 3)
    assert LINES[manager] in warned(installed, namespace, "OwnedByGitOps")
    trouble(1, deployment="worker")
    eventually(lambda: outcomes(status(installed, namespace))[:1] == [("scale", "Refused")], "a refusal")
    assert LINES[manager] in status(installed, namespace)["steps"][0]["message"]
    assert effects(installed, namespace) == []
    installed.must("annotate", "deployment", "worker", "-n", namespace, f"{YIELDED}=true")
    running(installed, namespace, "worker", 9)
    applied(installed, manager, in_git)  # the lines were not added after all
    found = reached(installed, namespace, "Escalated")
    assert f"RevertedBy={manager}: spec.replicas of Deployment" in json.dumps(found["steps"])
    trouble(0, deployment="worker")
    reached(installed, namespace, "Resolved")
    assert effects(installed, namespace) == ["patch deployments/scale"]
    assert installed.get("deployment", "worker", namespace)["spec"]["replicas"] == 3


def test_flux_that_leaves_replicas_out_of_git_and_goldseam_live_in_peace(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    """What the page advises: the field is not in Git, and applied again and again nothing of ours is undone."""
    in_git = deployment(namespace, "worker")
    applied(installed, "platform-team", in_git)  # who set the number once; without an owner it falls back to 1
    del in_git["spec"]["replicas"]
    applied(installed, "kustomize-controller", in_git)
    rung = {"scale": {"replicas": 8}, "timeout": "120s"}
    installed.apply(policy(namespace, rung, target={"name": "worker"}))
    warned(installed, namespace, "NobodyElse")
    trouble(1, deployment="worker")
    running(installed, namespace, "worker", 8)
    applied(installed, "kustomize-controller", in_git)
    trouble(0, deployment="worker")
    reached(installed, namespace, "Resolved")
    assert paid(installed, namespace) == ["Paid"]
    assert installed.get("deployment", "worker", namespace)["spec"]["replicas"] == 3


def test_replicas_that_are_in_no_manifest_come_back_though_nobody_owns_them(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    """A number that is a default has no owner, and of a write by `/scale` to it the API server keeps no record."""
    without = deployment(namespace, "worker")
    del without["spec"]["replicas"]
    applied(installed, "kustomize-controller", without)
    installed.apply(policy(namespace, {"scale": {"replicas": 4}, "timeout": "120s"}))
    running(installed, namespace, "worker", 1)
    trouble(1, deployment="worker")
    running(installed, namespace, "worker", 4)
    trouble(0, deployment="worker")
    assert outcomes(reached(installed, namespace, "Resolved")) == [("scale", "Passed")]
    assert paid(installed, namespace) == ["Paid"]
    assert installed.get("deployment", "worker", namespace)["spec"]["replicas"] == 1


def test_a_quota_is_on_the_incident_not_a_timeout(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    meta = {"name": "small", "namespace": namespace}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": "4"}}}
    rung = {"scale": {"replicas": 8}, "timeout": "120s"}
    installed.apply(quota, deployment(namespace, "api", 2), policy(namespace, rung))
    running(installed, namespace, "api", 2)
    trouble(1, deployment="api")
    said = "no pods are made: exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4"
    eventually(lambda: said in status(installed, namespace).get("message", ""), "the quota to be named")


def test_pods_that_fit_no_node_are_on_the_incident(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    crowded = deployment(namespace, "api", 2)
    container = crowded["spec"]["template"]["spec"]["containers"][0]
    container["ports"] = [{"containerPort": 80, "hostPort": 18080}]  # one on each node
    nodes = len(installed.all("nodes"))
    rung = {"scale": {"replicas": nodes + 2}, "timeout": "120s"}
    installed.apply(crowded, policy(namespace, rung))
    running(installed, namespace, "api", 2)
    trouble(1, deployment="api")
    said = "pods cannot be scheduled (`kubectl describe pod` says why): api-"
    eventually(lambda: said in status(installed, namespace).get("message", ""), "the pods to be named")
