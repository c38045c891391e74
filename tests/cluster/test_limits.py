"""What the operator can do with every piece installed, and what the pieces' admission policies refuse it.

The operator's requests are dry runs with its own token: they are judged like any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.as_operator import Answer, AsOperator
from tests.support.objects_on_cluster import rollout, scaled_object
from tests.support.plane import Plane, eventually

NAMESPACE = "limits"
LABELS = {"app": "web"}
MARKS = {"goldseam.dev/token": "t1", "goldseam.dev/incident": "i1"}


def workload(kind: str, name: str = "web", namespace: str = NAMESPACE, **spec: Any) -> dict[str, Any]:
    """A workload whose pods fit no node, so that nothing runs."""
    pods = {
        "metadata": {"labels": LABELS},
        "spec": {"nodeSelector": {"no": "node"}, "containers": [{"name": "web", "image": "web:1"}]},
    }
    meta = {
        "name": name,
        "namespace": namespace,
        "labels": {"team": "shop"},
        "annotations": {"goldseam.dev/ignore": "true", "note": "a"},
    }
    body = {"selector": {"matchLabels": LABELS}, "template": pods, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": body}


def world() -> list[dict[str, Any]]:
    meta = {"name": "web", "namespace": NAMESPACE}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        workload("Deployment", replicas=5),
        workload("Deployment", "off", replicas=0),
        workload("Deployment", "system", "kube-system", replicas=5),
        workload("StatefulSet", replicas=5, serviceName="web"),
        workload("DaemonSet"),
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": meta,
            "spec": {"scaleTargetRef": target, "minReplicas": 5, "maxReplicas": 12},
        },
        scaled_object(NAMESPACE, "web", minReplicaCount=5, maxReplicaCount=12),
        scaled_object(NAMESPACE, "idle", minReplicaCount=1, maxReplicaCount=12),
        rollout(NAMESPACE, "web", 5),
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta,
            "spec": {"nodeSelector": {"no": "node"}, "containers": [{"name": "web", "image": "web:1"}]},
        },
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "limits-node", "labels": {"zone": "a"}}},
    ]


@pytest.fixture(scope="module")
def as_operator(installed: Plane, neighbours: Plane, operator_kubeconfig: Path) -> Iterator[AsOperator]:
    """kubectl with the operator's token, in a world with something to change and every policy in force."""
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": world()})
    installed.must("apply", "--server-side", "-f", "-", input=objects)
    operator = AsOperator(installed, operator_kubeconfig)
    for change in (
        *("scaling to zero", "another image", "the ceiling", "labels of a node"),
        *("the maximum of a scaled object", "a rollout to zero"),
    ):
        eventually(lambda change=change: "denied request" in patched(operator, *REFUSED[change][:2]).stderr, change)
    eventually(lambda: "denied request" in evicted(operator, eviction()).stderr, "an eviction without a uid")
    yield operator
    installed.kubectl("delete", "--wait=false", "-f", "-", input=objects)


def patched(operator: AsOperator, what: str, patch: dict[str, Any], namespace: str = NAMESPACE, *more: str) -> Answer:
    kind, _, subresource = what.partition("/")
    name = {"node": "limits-node"}.get(kind, "web")
    flags = ["--subresource", subresource] if subresource else []
    where = ["-n", namespace, "--type", "merge", "--dry-run=server"]
    return operator("patch", kind, more[0] if more else name, *flags, *where, "-p", json.dumps(patch))


def template(**parts: Any) -> dict[str, Any]:
    return {"spec": {"template": parts}}


def annotated(**patch: Any) -> dict[str, Any]:
    """The patch together with our marks, as the operator writes it."""
    return {**patch, "metadata": {"annotations": MARKS}}


RESTART = annotated(**template(metadata={"annotations": {"goldseam.dev/token": "t1"}}))

ALLOWED = [
    ("deployment/scale", {"spec": {"replicas": 9}}),
    ("deployment/scale", {"spec": {"replicas": 3}}),
    ("statefulset/scale", {"spec": {"replicas": 3}}),
    ("deployment", RESTART),
    ("statefulset", RESTART),
    ("daemonset", RESTART),
    ("hpa", annotated(spec={"minReplicas": 9})),
    ("hpa", annotated(spec={"minReplicas": 3})),
    ("hpa", annotated(spec={"minReplicas": 30, "maxReplicas": 30})),
    ("hpa", annotated(spec={"maxReplicas": 6})),
    ("scaledobject", annotated(spec={"minReplicaCount": 12})),
    ("scaledobject", annotated(spec={"minReplicaCount": 3})),
    ("rollout/scale", {"spec": {"replicas": 9}}),
    ("rollout/scale", {"spec": {"replicas": 3}}),
    ("node", annotated(spec={"unschedulable": True})),
]


@pytest.mark.parametrize(("what", "patch"), ALLOWED, ids=lambda value: value if isinstance(value, str) else "")
def test_the_operator_can_do_what_a_piece_is_for(as_operator: AsOperator, what: str, patch: dict[str, Any]) -> None:
    answer = patched(as_operator, what, patch)
    assert answer.returncode == 0, answer.stderr
    assert "Warning" not in answer.stderr


PODS = "must not change the pods"
SPEC = "must not change anything in spec but the template"
MARK = "goldseam.dev/token only"
LABEL = "must not change labels, owners or finalizers"
NOTE = "goldseam.dev/token and goldseam.dev/incident only"
FLOOR = "may change minReplicas and maxReplicas only"
CEILING = "may raise maxReplicas only to the new minReplicas"
KEDA = "may change minReplicaCount only"
NODE = "may change spec.unschedulable only"
IMAGE = template(spec={"containers": [{"name": "web", "image": "evil:1"}]})
OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "d7c8c1c5-3a3c-4c4c-8d3e-2a4b1c0f9e11"}

REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "scaling to zero": ("deployment/scale", {"spec": {"replicas": 0}}, "must not scale to zero"),
    "scaling below half": ("deployment/scale", {"spec": {"replicas": 2}}, "more than half of the replicas"),
    "scaling a set below half": ("statefulset/scale", {"spec": {"replicas": 2}}, "more than half of the replicas"),
    "scaling beyond reason": ("deployment/scale", {"spec": {"replicas": 10_001}}, "more than 10000"),
    "another image": ("deployment", IMAGE, PODS),
    "another image in a set": ("statefulset", IMAGE, PODS),
    "another image on every node": ("daemonset", IMAGE, PODS),
    "another account": ("deployment", template(spec={"serviceAccountName": "admin"}), PODS),
    "replicas without the scale piece": ("deployment", {"spec": {"replicas": 50}}, SPEC),
    "another strategy": ("deployment", {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 5}}}}, SPEC),
    "a paused rollout": ("deployment", {"spec": {"paused": True}}, SPEC),
    "a field taken away": ("deployment", {"spec": {"strategy": None, "minReadySeconds": 9}}, SPEC),
    "labels of pods": ("deployment", template(metadata={"labels": {"x": "y"}}), "labels of the pods"),
    "other marks on pods": ("deployment", template(metadata={"annotations": {"inject": "yes"}}), MARK),
    "labels of a workload": ("deployment", {"metadata": {"labels": {"team": "x"}}}, LABEL),
    "labels taken away": ("deployment", {"metadata": {"labels": None}}, LABEL),
    "owners": ("deployment", {"metadata": {"ownerReferences": [OWNER]}}, LABEL),
    "finalizers": ("deployment", {"metadata": {"finalizers": ["x.example.com/y"]}}, LABEL),
    "annotations": ("deployment", {"metadata": {"annotations": {"note": "b"}}}, NOTE),
    "a person's ignore mark": ("deployment", {"metadata": {"annotations": {"goldseam.dev/ignore": None}}}, NOTE),
    "the ceiling": ("hpa", {"spec": {"maxReplicas": 50}}, CEILING),
    "a ceiling above the floor": ("hpa", {"spec": {"minReplicas": 20, "maxReplicas": 50}}, CEILING),
    "a ceiling beyond reason": ("hpa", {"spec": {"minReplicas": 10_001, "maxReplicas": 10_001}}, CEILING),
    "a ceiling below half": ("hpa", {"spec": {"maxReplicas": 5}}, "more than half of maxReplicas"),
    "another target": ("hpa", {"spec": {"scaleTargetRef": {"name": "other"}}}, FLOOR),
    "the ceiling by the old version": ("hpa.v1.autoscaling", {"spec": {"maxReplicas": 50}}, CEILING),
    "a floor below half": ("hpa", {"spec": {"minReplicas": 2}}, "more than half of minReplicas"),
    "labels of an autoscaler": ("hpa", {"metadata": {"labels": {"a": "b"}}}, LABEL),
    "annotations of an autoscaler": ("hpa", {"metadata": {"annotations": {"a": "b"}}}, NOTE),
    "the maximum of a scaled object": ("scaledobject", {"spec": {"maxReplicaCount": 50}}, KEDA),
    "another trigger": ("scaledobject", {"spec": {"triggers": [{"type": "cpu", "metadata": {}}]}}, KEDA),
    "a scaled object below half": ("scaledobject", {"spec": {"minReplicaCount": 2}}, "more than half of minReplica"),
    "a scaled object's floor taken away": ("scaledobject", {"spec": {"minReplicaCount": None}}, "more than half"),
    "a pause of KEDA": ("scaledobject", {"metadata": {"annotations": {"autoscaling.keda.sh/paused": "true"}}}, NOTE),
    "a rollout to zero": ("rollout/scale", {"spec": {"replicas": 0}}, "must not scale to zero"),
    "a rollout below half": ("rollout/scale", {"spec": {"replicas": 2}}, "more than half of the replicas"),
    "labels of a node": ("node", {"metadata": {"labels": {"zone": "b"}}}, LABEL),
    "annotations of a node": ("node", {"metadata": {"annotations": {"a": "b"}}}, NOTE),
    "taints of a node": ("node", {"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}}, NODE),
}


@pytest.mark.parametrize("change", REFUSED)
def test_admission_refuses_what_the_right_would_let_through(as_operator: AsOperator, change: str) -> None:
    what, patch, message = REFUSED[change]
    answer = patched(as_operator, what, patch)
    assert answer.returncode != 0, "it was let through"
    assert "denied request" in answer.stderr
    assert message in answer.stderr


@pytest.mark.parametrize(("what", "patch"), [("deployment/scale", {"spec": {"replicas": 9}}), ("deployment", RESTART)])
def test_protected_namespaces_are_out_of_reach(as_operator: AsOperator, what: str, patch: dict[str, Any]) -> None:
    answer = patched(as_operator, what, patch, "kube-system", "system")
    assert "the namespace is protected from Goldseam" in answer.stderr


@pytest.mark.parametrize("floor", [0, None])
def test_the_last_step_down_of_a_scaled_object_is_from_one(as_operator: AsOperator, floor: int | None) -> None:
    answer = patched(as_operator, "scaledobject", annotated(spec={"minReplicaCount": floor}), NAMESPACE, "idle")
    assert answer.returncode == 0, answer.stderr


def test_a_rollout_itself_is_out_of_reach(as_operator: AsOperator) -> None:
    answer = patched(as_operator, "rollout", {"spec": {"replicas": 9}})
    assert "cannot patch resource" in answer.stderr


def test_what_was_switched_off_stays_off(as_operator: AsOperator) -> None:
    answer = patched(as_operator, "deployment/scale", {"spec": {"replicas": 1}}, NAMESPACE, "off")
    assert "must not switch on" in answer.stderr


def test_a_large_workload_fits_the_cost_budget(as_operator: AsOperator) -> None:
    variables = [{"name": f"V{number}", "value": "x" * 200} for number in range(100)]
    containers = [{"name": f"c{number}", "image": "web:1", "env": variables} for number in range(20)]
    large = workload("Deployment", "large", replicas=0)
    large["spec"]["template"]["spec"]["containers"] = containers
    assert as_operator.plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(large)).returncode == 0
    answer = patched(as_operator, "deployment", RESTART, NAMESPACE, "large")
    assert answer.returncode == 0, answer.stderr
    assert PODS in patched(as_operator, "deployment", IMAGE, NAMESPACE, "large").stderr


def eviction(**options: Any) -> dict[str, Any]:
    meta = {"name": "web", "namespace": NAMESPACE}
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": meta,
        "deleteOptions": {"dryRun": ["All"], **options},
    }


def evicted(operator: AsOperator, body: dict[str, Any]) -> Answer:
    meta = body["metadata"]
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/eviction"
    return operator("create", "--raw", path, "-f", "-", body=body)


def test_an_eviction_must_name_the_very_pod_and_leave_it_its_time(as_operator: AsOperator) -> None:
    uid = as_operator.plane.kubectl("-n", NAMESPACE, "get", "pod", "web", "-o", "jsonpath={.metadata.uid}").stdout
    known = {"preconditions": {"uid": uid}}
    answer = evicted(as_operator, eviction(**known))
    assert answer.returncode == 0, answer.stderr
    assert "must name the pod's uid" in evicted(as_operator, eviction()).stderr
    without = {key: value for key, value in eviction().items() if key != "deleteOptions"}
    assert "must name the pod's uid" in evicted(as_operator, without).stderr
    assert "its own grace period" in evicted(as_operator, eviction(**known, gracePeriodSeconds=0)).stderr


def test_pods_of_protected_namespaces_go_only_where_nodes_may_be_drained(as_operator: AsOperator) -> None:
    plane, binding = as_operator.plane, "goldseam-nodes"
    pods = eventually(
        lambda: [p for p in plane.all("pods", "kube-system") if "system" in p["metadata"]["name"]], "pods"
    )
    meta = {key: pods[0]["metadata"][key] for key in ("name", "namespace")}
    body = eviction(preconditions={"uid": pods[0]["metadata"]["uid"]}) | {"metadata": meta}
    assert evicted(as_operator, body).returncode == 0
    role = plane.must("get", "clusterrole", binding, "-o", "json")
    without = {**json.loads(role), "rules": [{"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]}]}
    plane.must("replace", "-f", "-", input=json.dumps(without))
    try:
        eventually(lambda: "may not drain nodes" in evicted(as_operator, body).stderr, "the eviction to be refused")
    finally:
        plane.must("replace", "--force", "-f", "-", input=role)
    eventually(lambda: evicted(as_operator, body).returncode == 0, "the eviction to be let through")
