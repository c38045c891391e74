"""Beside the real operator of KEDA: the ScaledObject has the last word about its HorizontalPodAutoscaler."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.neighbours import Neighbour
from tests.support.objects_on_cluster import (
    deployment,
    effects,
    outcomes,
    policy,
    reached,
    running,
    scaled_object,
    status,
)
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
Json = dict[str, Any]
SCALE: Json = {"scale": {"replicas": 5}, "timeout": "120s"}
BOUNDS = {"minReplicaCount": 2, "maxReplicaCount": 10}
HPA = "keda-hpa-api"


def begin(plane: Plane, namespace: str, has: int = 2, **bounds: int) -> None:
    """A Deployment under KEDA, once KEDA has brought it to so many replicas."""
    plane.apply(deployment(namespace, "api", 2), scaled_object(namespace, "api", pollingInterval=2, **bounds))
    expected = bounds.get("minReplicaCount", 1)  # of an HPA it is never 0
    eventually(lambda: floor(plane, namespace) == expected, "KEDA's HorizontalPodAutoscaler")
    eventually(lambda: replicas(plane, namespace) == has, f"{has} replicas")
    running(plane, namespace, "api", has)


def floor(plane: Plane, namespace: str) -> int:
    """The floor of KEDA's HorizontalPodAutoscaler; 0 while there is none."""
    return int(plane.get("hpa", HPA, namespace).get("spec", {}).get("minReplicas", 0))


def replicas(plane: Plane, namespace: str) -> int:
    """How many replicas `api` is to have."""
    return int(plane.get("deployment", "api", namespace)["spec"]["replicas"])


def asked(plane: Plane, namespace: str) -> int | None:
    """The ScaledObject's `minReplicaCount`."""
    found: int | None = plane.get("scaledobject", "api", namespace)["spec"].get("minReplicaCount")
    return found


def healed(plane: Plane, namespace: str) -> None:
    """Wait until the incident is over, and nothing is owed any more."""
    assert outcomes(reached(plane, namespace, "Resolved")) == [("scale", "Passed")]
    eventually(lambda: status(plane, namespace)["owes"] == 0, "the floor to be put back")
    assert [debt["state"] for debt in status(plane, namespace)["obligations"]] == ["Paid"]
    assert set(effects(plane, namespace)) == {"patch scaledobjects"}


def test_the_floor_of_the_scaled_object_is_raised_keda_follows_and_it_is_put_back(
    installed: Plane, namespace: str, keda: Neighbour, operator: OperatorProcess, trouble: Trouble
) -> None:
    begin(installed, namespace, **BOUNDS)
    installed.apply(policy(namespace, SCALE))
    trouble(1, deployment="api")
    running(installed, namespace, "api", 5)
    assert (asked(installed, namespace), floor(installed, namespace)) == (5, 5)
    assert effects(installed, namespace) == ["patch scaledobjects"]
    trouble(0, deployment="api")
    healed(installed, namespace)
    assert asked(installed, namespace) == 2
    eventually(lambda: floor(installed, namespace) == 2, "KEDA to follow")


def test_what_keda_has_idled_is_woken_by_its_floor_and_idled_again(
    installed: Plane, namespace: str, keda: Neighbour, operator: OperatorProcess, trouble: Trouble
) -> None:
    """Zero replicas are KEDA's own doing there, not a person's who switched it off."""
    begin(installed, namespace, has=0)
    installed.apply(policy(namespace, SCALE))
    trouble(1, deployment="api")
    running(installed, namespace, "api", 5)
    trouble(0, deployment="api")
    healed(installed, namespace)
    assert asked(installed, namespace) is None
    eventually(lambda: replicas(installed, namespace) == 0, "KEDA to idle it")


def test_what_keda_keeps_idle_until_a_trigger_is_active_is_left_alone(
    installed: Plane, namespace: str, keda: Neighbour, operator: OperatorProcess, trouble: Trouble
) -> None:
    """With `idleReplicaCount` KEDA does not go by its floor."""
    begin(installed, namespace, has=0, idleReplicaCount=0, **BOUNDS)
    installed.apply(policy(namespace, SCALE))
    trouble(1, deployment="api")
    reached(installed, namespace, "Escalated")
    assert "has idleReplicaCount" in status(installed, namespace)["steps"][0]["message"]
    assert (effects(installed, namespace), replicas(installed, namespace)) == ([], 0)
    body = json.dumps({"spec": {"minReplicaCount": 5}})
    installed.must("patch", "scaledobject", "api", "-n", namespace, "--type=merge", "-p", body)
    eventually(lambda: floor(installed, namespace) == 5, "KEDA to follow")
    assert replicas(installed, namespace) == 0


@pytest.mark.parametrize("mark", ["paused=true", "paused-replicas=2", "paused-scale-in=true", "paused-scale-out=true"])
def test_what_somebody_paused_is_left_alone_until_the_annotation_is_gone(
    installed: Plane, namespace: str, keda: Neighbour, operator: OperatorProcess, trouble: Trouble, mark: str
) -> None:
    """Also where KEDA has deleted its HorizontalPodAutoscaler for it, and nobody seems to scale the Deployment."""
    begin(installed, namespace, **BOUNDS)
    name = f"autoscaling.keda.sh/{mark.partition('=')[0]}"
    annotate(installed, namespace, f"autoscaling.keda.sh/{mark}")
    gone = "scale" not in mark
    eventually(lambda: (floor(installed, namespace) == 0) == gone, "KEDA to pause")
    installed.apply(policy(namespace, SCALE, {"wait": {"duration": "15s"}, "timeout": "60s"}, SCALE))
    trouble(1, deployment="api")
    eventually(lambda: outcomes(status(installed, namespace))[:1] == [("scale", "Refused")], "a refusal")
    assert name in json.dumps(status(installed, namespace)["steps"][0])
    assert (effects(installed, namespace), replicas(installed, namespace)) == ([], 2)
    annotate(installed, namespace, f"{name}-")
    running(installed, namespace, "api", 5)
    assert effects(installed, namespace) == ["patch scaledobjects"]


def annotate(plane: Plane, namespace: str, mark: str) -> None:
    """As a person does it."""
    plane.must("annotate", "scaledobject", "api", "-n", namespace, mark)


def test_keda_takes_back_a_floor_that_is_written_to_its_autoscaler(
    installed: Plane, namespace: str, keda: Neighbour
) -> None:
    """Which is why Goldseam does not write it there."""
    begin(installed, namespace, **BOUNDS)
    before = len(keda.writes(namespace, "horizontalpodautoscalers"))
    body = json.dumps({"spec": {"minReplicas": 5}})
    installed.must("patch", "hpa", HPA, "-n", namespace, "--type=merge", "-p", body)
    eventually(lambda: len(keda.writes(namespace, "horizontalpodautoscalers")) > before, "KEDA's answer")
    eventually(lambda: floor(installed, namespace) == 2, "the floor of the ScaledObject")
