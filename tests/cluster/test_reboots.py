"""A node reboots once, with the ServiceAccount's rights and the piece `reboot` in force; the audit log is the judge.

Here no machine goes down: that it does is the kubelet's and systemd's part. What is proven is which Job is made, what
admission lets through, and when the node counts as back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stolen.attempts import merged, reboot_of
from tests.support.as_operator import Answer, AsOperator
from tests.support.nodes_on_cluster import cordoned
from tests.support.objects_on_cluster import (
    cluster_policy,
    condition,
    deployment,
    effects,
    forgotten,
    outcomes,
    running,
)
from tests.support.operator_process import NAMESPACE, OperatorProcess
from tests.support.plane import ROOT, Plane, eventually

Trouble = Callable[..., None]
Json = dict[str, Any]
REBOOTS = "goldseam-reboot"
FILES = ("namespace", "cronjob", "rights", "limits")
LADDER: tuple[Json, ...] = (
    {"drain": {}, "timeout": "120s", "goOn": "WhenDone"},
    {"reboot": {}, "timeout": "120s"},
    {"notify": {}},
)


def flags(piece: str, *names: str) -> list[str]:
    where = ROOT / "deploy" / "kustomize" / "components" / piece
    return [flag for name in names for flag in ("-f", str(where / f"{name}.yaml"))]


@pytest.fixture(scope="module")
def as_operator(installed: Plane, operator_kubeconfig: Path) -> Iterator[AsOperator]:
    """The piece that is not in the overlay, for this file only; and the operator's token."""
    installed.must("delete", "namespace", REBOOTS, "--ignore-not-found")  # another file may have left it on its way out
    installed.must("apply", "--server-side", *flags("reboot", *FILES))
    someone = AsOperator(installed, operator_kubeconfig)
    eventually(lambda: created(someone, {"spec": {"suspend": False}}).stderr.count("must be suspended"), "the limits")
    eventually(lambda: created(someone, {}).returncode == 0, "its parameter to be seen", 60)
    yield someone
    installed.must("delete", "--ignore-not-found", *flags("reboot", *FILES))


def created(operator: AsOperator, changes: Json) -> Answer:
    """The answer to the Job of a reboot, with changes, as a dry run."""
    uid = operator.plane.get("cronjob", "reboot", REBOOTS)["metadata"]["uid"]
    body = json.loads(json.dumps(merged(reboot_of(REBOOTS), changes)).replace("${cronjob}", uid))
    return operator("create", "--dry-run=server", "-f", "-", body=body)


@pytest.fixture
def node(as_operator: AsOperator, namespace: str) -> Iterator[str]:
    """A node with pods of `api`, that says under which bootID it runs."""
    plane = as_operator.plane
    plane.apply(deployment(namespace, "api", 4))
    running(plane, namespace, "api", 4)
    found = plane.all("pods", namespace)[0]["spec"]["nodeName"]
    booted(plane, found, "boot-1")
    yield found
    plane.kubectl("label", "node", found, "sim.kwok/notready-")
    plane.kubectl("uncordon", found)
    plane.kubectl("delete", "jobs", "--all", "-n", REBOOTS)


def booted(plane: Plane, node: str, boot: str) -> None:
    """What the kubelet says after a boot."""
    body = json.dumps({"status": {"nodeInfo": {"bootID": boot}}})
    plane.must("patch", "node", node, "--subresource=status", "--type=merge", "-p", body)


def incident_of(plane: Plane, node: str) -> Json:
    """The status of the node's incident; empty while there is none."""
    found = [one for one in plane.all("incidents", NAMESPACE) if one["spec"]["target"]["name"] == node]
    return dict(found[0].get("status", {})) if found else {}


def test_a_drained_node_is_rebooted_by_one_job_and_given_back_once_it_is_ready(
    as_operator: AsOperator, operator: OperatorProcess, node: str, trouble: Trouble
) -> None:
    plane = as_operator.plane
    plane.apply(cluster_policy("reboot", *LADDER, alert={"name": "NodeTrouble"}))
    trouble(1, alert="NodeTrouble", node=node)

    def ended() -> Json:
        found = plane.all("jobs", REBOOTS)
        assert len(found) <= 1, f"{len(found)} Jobs"
        conditions = found[0].get("status", {}).get("conditions", []) if found else []
        return found[0] if any((c["type"], c["status"]) == ("Complete", "True") for c in conditions) else {}

    job = eventually(ended, "the Job to have run", 180)
    assert job["spec"]["template"]["spec"]["nodeName"] == node
    assert job["spec"]["template"]["metadata"]["annotations"] == {"goldseam.dev/boot-id": "boot-1"}
    plane.must("label", "node", node, "sim.kwok/notready=true")
    says(plane, node, "to report another bootID")
    booted(plane, node, "boot-2")
    says(plane, node, "to be Ready: it has rebooted")
    assert outcomes(incident_of(plane, node)) == [("drain", "WentOn"), ("reboot", None)]
    assert cordoned(plane, node)
    plane.must("label", "node", node, "sim.kwok/notready-")
    eventually(lambda: incident_of(plane, node)["steps"][1].get("ranUntil"), "the node to be back", 60)
    trouble(0, alert="NodeTrouble", node=node)
    eventually(lambda: incident_of(plane, node)["phase"] == "Resolved", "the end", 60)
    eventually(lambda: not cordoned(plane, node), "the node to be given back", 60)
    assert outcomes(incident_of(plane, node))[1] == ("reboot", "Passed")
    assert effects(plane, REBOOTS) == ["create jobs", "patch jobs"]
    forgotten(plane)


def says(plane: Plane, node: str, words: str) -> None:
    eventually(lambda: words in incident_of(plane, node).get("message", ""), words, 60)


def test_with_the_piece_jobs_beside_it_a_reboot_is_let_through_and_nothing_else_there(as_operator: AsOperator) -> None:
    plane = as_operator.plane
    plane.must("apply", "--server-side", *flags("jobs", "rights", "limits"))
    try:
        marks = {"goldseam.dev/incident": "default/web"}
        elsewhere = {"metadata": {"namespace": "default", "annotations": marks}}
        eventually(lambda: "must not reach the node" in created(as_operator, elsewhere).stderr, "the limits of jobs")
        assert created(as_operator, {}).returncode == 0
        image = {"spec": {"template": {"spec": {"containers": [{"name": "reboot", "image": "evil:1"}]}}}}
        assert "must have the pod of the CronJob" in created(as_operator, image).stderr
    finally:
        plane.must("delete", "--ignore-not-found", *flags("jobs", "rights", "limits"))


def test_where_its_cron_job_is_not_there_nothing_is_let_through_and_the_policy_says_so(
    as_operator: AsOperator, operator: OperatorProcess
) -> None:
    plane, body = as_operator.plane, reboot_of(REBOOTS)
    plane.must("delete", "cronjob", "reboot", "-n", REBOOTS)
    try:
        body = json.loads(json.dumps(body).replace("${cronjob}", "d7c8c1c5-3a3c-4c4c-8d3e-2a4b1c0f9e11"))
        harm = ("create", "--dry-run=server", "-f", "-")
        eventually(lambda: "no params found" in as_operator(*harm, body=body).stderr, "its absence to be seen")
        pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a:1"}]}
        own = {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": pod}}}
        own["metadata"] = {"name": "own", "namespace": "default"}
        mine = plane.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(own))
        assert mine.returncode == 0, f"Jobs of others, elsewhere: {mine.stderr}"
        plane.apply(cluster_policy("reboot", *LADDER, alert={"name": "NodeTrouble"}))
        found = eventually(
            lambda: condition(plane, "clusterremediationpolicy", "reboot", "", "NodesFit").get("message"),
            "a condition",
            60,
        )
        assert "rung 2: there is no CronJob goldseam-reboot/reboot: install the component reboot" in found
    finally:
        plane.must("apply", "--server-side", *flags("reboot", "cronjob"))
        eventually(lambda: created(as_operator, {}).returncode == 0, "its parameter to be seen", 60)
