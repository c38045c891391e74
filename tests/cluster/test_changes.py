"""What changed before an alert, told by the real controllers' revisions and the API server's managedFields."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.objects_on_cluster import deployment, effects, outcomes, policy, reached, running, status
from tests.support.operator_process import OperatorProcess
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.sampling import sampled

Trouble = Callable[..., None]
Json = dict[str, Any]
WARY: Json = {"restart": {}, "skipIfChangedWithin": "10s"}


def workload(kind: str, namespace: str) -> Json:
    """A workload `api` whose rollout needs no time."""
    found = deployment(namespace, "api", 3) | {"kind": kind}
    if kind != "Deployment":
        found["spec"] |= {"serviceName": "api"} if kind == "StatefulSet" else {}
    if kind == "DaemonSet":
        del found["spec"]["replicas"]
    return found


def revisions(plane: Plane, namespace: str, kind: str) -> list[Json]:
    return plane.all("replicasets" if kind == "Deployment" else "controllerrevisions", namespace)


def settled(plane: Plane, namespace: str, kind: str, count: int) -> None:
    """Wait until there are so many revisions, and none is younger than what the rung asks for."""
    late = 15.0

    def ask() -> bool:
        found = revisions(plane, namespace, kind)
        ages = [time.time() - datetime.fromisoformat(r["metadata"]["creationTimestamp"]).timestamp() for r in found]
        return len(ages) == count and all(age > late for age in ages)

    eventually(ask, f"{count} old revisions", 60)


def set_image(plane: Plane, namespace: str, kind: str, image: str) -> None:
    plane.must("set", "image", f"{kind.lower()}/api", f"app={image}", "-n", namespace)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_new_image_is_named_with_who_set_it_and_the_restart_is_passed_over(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, kind: str
) -> None:
    rules = policy(namespace, {**WARY, "skipIfChangedWithin": "10m"}, {"notify": {}}, target={"kind": kind})
    installed.apply(workload(kind, namespace), rules)
    eventually(lambda: len(revisions(installed, namespace, kind)) == 1, "the first revision")
    set_image(installed, namespace, kind, "busybox:1.36")
    eventually(lambda: len(revisions(installed, namespace, kind)) == 2, "the second revision")
    trouble(1, **{kind.lower(): "api"})
    found = eventually(lambda: outcomes(status(installed, namespace)), "the rung to be passed over", 60)
    assert found[0] == ("restart", "Refused")
    words = "image of container app: busybox:1.37 → busybox:1.36, by kubectl-set"
    assert words in status(installed, namespace)["steps"][0]["message"]
    changes = status(installed, namespace)["changes"]
    assert (changes[-1]["before"], changes[-1]["after"], changes[-1]["by"]) == (
        "busybox:1.37",
        "busybox:1.36",
        "kubectl-set",
    )
    assert effects(installed, namespace) == []


@pytest.mark.parametrize("kind", sampled(["StatefulSet", "Deployment"]))
def test_one_that_was_changed_long_ago_is_restarted(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, kind: str
) -> None:
    installed.apply(workload(kind, namespace), policy(namespace, WARY, target={"kind": kind}))
    settled(installed, namespace, kind, 1)
    trouble(1, **{kind.lower(): "api"})
    eventually(lambda: effects(installed, namespace), "the restart", 60)
    assert effects(installed, namespace) == [f"patch {kind.lower()}s"]


@pytest.mark.parametrize("kind", sampled(["Deployment", "StatefulSet", "DaemonSet"]))
def test_one_that_was_rolled_back_just_now_is_not_restarted(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, kind: str
) -> None:
    installed.apply(workload(kind, namespace), policy(namespace, WARY, {"notify": {}}, target={"kind": kind}))
    eventually(lambda: len(revisions(installed, namespace, kind)) == 1, "the first revision")
    set_image(installed, namespace, kind, "busybox:1.36")
    settled(installed, namespace, kind, 2)
    installed.must("rollout", "undo", f"{kind.lower()}/api", "-n", namespace)
    trouble(1, **{kind.lower(): "api"})
    found = eventually(lambda: outcomes(status(installed, namespace)), "the rung to be passed over", 60)
    assert found[0] == ("restart", "Refused")
    assert "busybox:1.36 → busybox:1.37" in status(installed, namespace)["steps"][0]["message"]
    assert effects(installed, namespace) == []


def test_our_own_restart_of_an_earlier_incident_is_no_change_but_what_failed_there_is_not_tried_again(
    installed: Plane,
    namespace: str,
    operator: OperatorProcess,
    trouble: Trouble,
    operator_kubeconfig: Path,
    tmp_path: Path,
) -> None:
    again = {**WARY, "skipIfFailedWithin": "1h", "timeout": "3s"}
    free = {"limits": {"cooldown": "0s", "actions": [{"count": 9, "per": "1h"}]}}
    installed.apply(deployment(namespace, "api"), policy(namespace, again, {"escalate": {}}, **free))
    running(installed, namespace, "api", 3)
    settled(installed, namespace, "Deployment", 1)
    trouble(1, deployment="api")
    first = reached(installed, namespace, "Escalated")
    assert outcomes(first)[0] == ("restart", "Failed")
    trouble(0, deployment="api")
    eventually(lambda: status(installed, namespace).get("closedAt"), "the incident to be over", 60)
    name = installed.all("incidents", namespace)[0]["metadata"]["name"]
    operator.kill()

    def second() -> Json:
        found = [i for i in installed.all("incidents", namespace) if i["metadata"]["name"] != name]
        return found[0] if found and found[0].get("status", {}).get("steps") else {}

    with running_operator(operator_kubeconfig, tmp_path / "second.log"):
        trouble(1, deployment="api")
        step = eventually(second, "the second incident's first step", 60)["status"]["steps"][0]
    assert (step["action"], step["outcome"]) == ("restart", "Refused")
    assert f"Incident {namespace}/{name}" in json.dumps(step)
    assert effects(installed, namespace) == ["patch deployments"]
