"""The command line on the real control plane, with the rights of who is on call and of who is not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.objects_on_cluster import (
    deployment,
    effects,
    holding,
    incident,
    outcomes,
    policy,
    reached,
    running,
    status,
)
from tests.support.operator_process import OperatorProcess
from tests.support.people import Person, bound, user
from tests.support.plane import Plane, eventually, python

Trouble = Callable[..., None]
SCALE = {"scale": {"replicas": 8}, "timeout": "60s"}


def goldseam(person: Person, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command as this person, with nobody at a terminal."""
    command = [str(Path(python()).with_name("goldseam")), *args]
    env = {**os.environ, "KUBECONFIG": str(person.kubeconfig)}
    return subprocess.run(command, env=env, text=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)


@pytest.fixture
def jane(installed: Plane, namespace: str) -> Person:
    """On call."""
    return bound(installed, user(installed, "jane@aurum.com"), "goldseam-oncall", namespace)


@pytest.fixture
def joe(installed: Plane, namespace: str) -> Person:
    """A developer: may look."""
    return bound(installed, user(installed, "joe@aurum.com"), "view", namespace)


def troubled(plane: Plane, namespace: str, trouble: Trouble, mode: str) -> str:
    """The name of the incident of a worker in trouble."""
    plane.apply(deployment(namespace, "worker"), policy(namespace, SCALE, {"restart": {}}, mode=mode))
    running(plane, namespace, "worker", 3)
    trouble(1, deployment="worker")
    found = eventually(lambda: incident(plane, namespace), "the incident")
    return str(found["metadata"]["name"])


def test_who_is_on_call_looks_and_approves_and_a_developer_only_looks(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, jane: Person, joe: Person
) -> None:
    name = troubled(installed, namespace, trouble, "Propose")
    reached(installed, namespace, "AwaitingApproval")
    listed = goldseam(joe, "incidents", "-n", namespace)
    assert "AwaitingApproval" in listed.stdout, listed.stderr
    assert "scale Deployment" in goldseam(joe, "show", name, "-n", namespace).stdout
    refused = goldseam(joe, "approve", name, "-n", namespace, "--yes")
    assert refused.returncode == 1
    assert "Do you have the ClusterRole goldseam-oncall" in refused.stderr
    assert effects(installed, namespace) == []
    unsure = goldseam(jane, "approve", name, "-n", namespace)
    assert "give --yes" in unsure.stderr
    said = goldseam(jane, "approve", "deployment/worker", "-n", namespace, "--yes", "--reason", "go on")
    assert (said.returncode, "jane@aurum.com: Approve: counted" in said.stdout) == (0, True), said.stdout + said.stderr
    running(installed, namespace, "worker", 8)
    assert status(installed, namespace)["approvals"][0]["by"] == jane.name


def test_deny_ack_and_explain(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, jane: Person
) -> None:
    name = troubled(installed, namespace, trouble, "Propose")
    reached(installed, namespace, "AwaitingApproval")
    explained = goldseam(jane, "explain", name, "-n", namespace).stdout
    assert "WAITS  approval" in explained
    assert "ok     paused" in explained
    assert goldseam(jane, "deny", name, "-n", namespace, "--reason", "not now").returncode == 0
    eventually(lambda: outcomes(status(installed, namespace)) == [("scale", "Denied")], "the answer to count")
    assert goldseam(jane, "ack", name, "-n", namespace).returncode == 0
    assert [r["decision"] for r in status(installed, namespace)["responses"]] == ["Deny", "Acknowledge"]


def test_pause_holds_and_resume_lets_go(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, jane: Person, joe: Person
) -> None:
    assert goldseam(joe, "pause", "-n", namespace, "--reason", "x").returncode == 1
    paused = goldseam(jane, "pause", "-n", namespace, "--reason", "release 4.2", "--for", "30m")
    assert "Goldseam says: no new step is begun for namespace" in paused.stdout, paused.stdout + paused.stderr
    name = troubled(installed, namespace, trouble, "Act")
    assert "of jane@aurum.com holds until" in holding(installed, namespace, "Paused")["message"]
    assert "WAITS  paused" in goldseam(jane, "explain", name, "-n", namespace).stdout
    assert goldseam(jane, "resume", "-n", namespace).returncode == 0
    running(installed, namespace, "worker", 8)
    undone = goldseam(jane, "undo", name, "-n", namespace, "--yes")
    assert "spec.replicas goes from 8 back to 3" in undone.stdout, undone.stderr
    reached(installed, namespace, "Escalated")
    assert "Owed:" in goldseam(jane, "show", name, "-n", namespace).stdout


def test_it_is_a_plugin_of_kubectl_too(installed: Plane, namespace: str, jane: Person) -> None:
    path = os.pathsep.join([str(Path(python()).parent), os.environ["PATH"]])
    answer = subprocess.run(
        ["kubectl", "goldseam", "incidents", "-n", namespace],
        env={**os.environ, "KUBECONFIG": str(jane.kubeconfig), "PATH": path},
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert answer.stdout == f"No open incident in namespace {namespace}.\n", answer.stderr


def test_an_api_server_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        '{"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [],'
        '"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],'
        '"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}'
    )
    command = [str(Path(python()).with_name("goldseam")), "incidents", "--kubeconfig", str(config)]
    answer = subprocess.run(command, text=True, capture_output=True, timeout=60)
    assert answer.returncode == 1
    assert answer.stderr.startswith("goldseam: the API server cannot be reached")
    assert "Traceback" not in answer.stderr
