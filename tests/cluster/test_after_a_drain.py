"""When a drain is done, and how pods with volumes go, on the real control plane; VolumeAttachments are made by hand,
for no attach-detach controller runs here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster.test_evictions import evicted
from tests.support.nodes_on_cluster import cordoned, first_step, incident, on_node
from tests.support.objects_on_cluster import cluster_policy, deployment, forgotten, running
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually

Json = dict[str, Any]
Trouble = Callable[..., None]
NODE = "node-0"


def volume(namespace: str, pod: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{namespace}-{pod}"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "claimRef": {"namespace": namespace, "name": f"data-{pod}"},
            "csi": {"driver": "csi.example.com", "volumeHandle": f"{namespace}-{pod}"},
        },
    }


def attachment(namespace: str, pod: str) -> Json:
    name = f"{namespace}-{pod}"
    spec = {"attacher": "csi.example.com", "nodeName": NODE, "source": {"persistentVolumeName": name}}
    return {"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": name}, "spec": spec}


def database(namespace: str) -> Json:
    """A StatefulSet of two pods, each with a volume."""
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    return deployment(namespace, "db", 2, volumeClaimTemplates=[claim]) | {"kind": "StatefulSet"}


@pytest.fixture
def attached(installed: Plane, namespace: str) -> Iterator[None]:
    """The database on one node, its volumes attached there."""
    others = [f"node-{number}" for number in range(1, 4)]
    installed.must("cordon", *others)
    pods = ("db-0", "db-1")
    try:
        installed.apply(*(volume(namespace, pod) for pod in pods), database(namespace))
        running(installed, namespace, "db", 2, "StatefulSet")
        installed.apply(*(attachment(namespace, pod) for pod in pods))
        installed.must("uncordon", *others)
        yield
    finally:
        installed.must("uncordon", *others)
        for pod in pods:
            installed.remove("volumeattachment", f"{namespace}-{pod}")
            installed.remove("persistentvolume", f"{namespace}-{pod}")


def _says(plane: Plane, words: str) -> bool:
    return words in str(incident(plane, NODE).get("status", {}).get("message", ""))


@pytest.mark.usefixtures("attached")
def test_pods_with_volumes_go_one_after_the_other_and_the_drain_is_done_when_all_is_well_again(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    rung = {"drain": {"singleReplicas": "Evict"}, "timeout": "300s", "goOn": "WhenDone"}
    installed.apply(cluster_policy("drain", rung, {"wait": {"duration": "10m"}}, alert={"name": "NodeTrouble"}))
    trouble(1, alert="NodeTrouble", node=NODE)
    waits = f"drain: 1 of 2 pods evicted, waiting for PersistentVolume {namespace}-db-1 to be detached"
    eventually(lambda: _says(installed, waits), "the first volume to be waited for", 90)
    assert evicted(installed, namespace) == ["db-1"]
    installed.remove("volumeattachment", f"{namespace}-db-1")
    waits = f"waiting for PersistentVolume {namespace}-db-0 to be detached"
    eventually(lambda: _says(installed, waits), "the second volume to be waited for", 90)
    assert evicted(installed, namespace) == ["db-1", "db-0"]
    assert not on_node(installed, namespace, NODE)
    assert first_step(installed, NODE).get("outcome") is None
    installed.remove("volumeattachment", f"{namespace}-db-0")
    eventually(lambda: first_step(installed, NODE).get("outcome") == "WentOn", "the drain to be done", 90)
    message = first_step(installed, NODE)["message"]
    assert "1 of 1 workload is ready again, its volumes are detached; the alert still fires" in message
    trouble(0, alert="NodeTrouble", node=NODE)
    eventually(lambda: not cordoned(installed, NODE), "the node to be back", 90)
    forgotten(installed)
