"""Evidence from the real API server, read with the ServiceAccount's rights; the audit log tells what was written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.objects_on_cluster import deployment, effects, outcomes, policy, running, status
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
Json = dict[str, Any]


def warning(namespace: str, pod: Json) -> Json:
    """An event as a kubelet writes it, now."""
    about = {"kind": "Pod", "namespace": namespace, "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    created = pod["metadata"]["creationTimestamp"]
    meta = {"namespace": namespace, "name": "a-warning"}
    words = {"type": "Warning", "reason": "BackOff", "message": "hunter2", "count": 3, "lastTimestamp": created}
    return {"apiVersion": "v1", "kind": "Event", "metadata": meta, "involvedObject": about} | words


def test_evidence_is_written_down_and_nothing_else_is_written(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    collect = {"collect": {"queries": ['trouble{deployment="${target.name}", namespace="${target.namespace}"}']}}
    installed.apply(deployment(namespace, "api"), policy(namespace, collect, {"notify": {}}))
    running(installed, namespace, "api", 3)
    installed.apply(warning(namespace, min(installed.all("pods", namespace), key=lambda p: p["metadata"]["name"])))
    trouble(1, deployment="api")
    eventually(lambda: outcomes(status(installed, namespace)), "the rung to be over", 60)
    found = status(installed, namespace)
    assert outcomes(found)[0] == ("collect", "Collected")
    said = {one["about"]: one["text"] for one in found["evidence"]}
    assert not [one for one in found["evidence"] if one.get("missing")]
    assert said["pods"] == "3 of 3 ready"
    assert "Available=True (MinimumReplicasAvailable)" in said["Deployment api"]
    assert any(about.startswith("event about Pod api-") and text.startswith("BackOff") for about, text in said.items())
    assert [text for about, text in said.items() if about.startswith("query trouble")] == ["1"]
    assert any(about.startswith("Node ") for about in said)
    assert "hunter2" not in str(found)
    assert effects(installed, namespace) == []
