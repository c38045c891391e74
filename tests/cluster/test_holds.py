"""Reasons not to act, each on the real control plane; the audit log says that nothing was done."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.support.objects_on_cluster import (
    condition,
    deployment,
    effects,
    holding,
    outcomes,
    pause,
    policy,
    reached,
    running,
    status,
)
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually
from tests.support.unprotected import without_protection

Trouble = Callable[..., None]
SCALE = {"scale": {"replicas": 8}, "timeout": "6s"}
RESTART = {"restart": {}, "timeout": "60s"}


def test_a_pause_in_the_middle_of_a_ladder_stops_the_next_rung(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "worker"), policy(namespace, SCALE, RESTART))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    running(installed, namespace, "worker", 8)
    installed.apply(pause(namespace))
    hold = holding(installed, namespace, "Paused")
    assert "we are deploying" in hold["message"]
    assert effects(installed, namespace) == ["patch deployments/scale"]
    installed.must("delete", "pause", "pause", "-n", namespace)
    eventually(lambda: "patch deployments" in effects(installed, namespace), "the next rung")


def test_nothing_is_done_while_prometheus_is_down(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "worker"), policy(namespace, SCALE, RESTART))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    running(installed, namespace, "worker", 8)
    dead = {"spec": {"url": "http://127.0.0.1:9"}}
    installed.must("patch", "alertsource", "default", "--type=merge", "-p", json.dumps(dead))
    hold = holding(installed, namespace, "Inconclusive")
    assert "cannot connect" in hold["message"]
    eventually(
        lambda: condition(installed, "alertsource", "default", "", "SourceReachable").get("status") == "False",
        "the source to say so",
    )
    assert condition(installed, "alertsource", "default", "", "Ready")["status"] == "True"
    assert effects(installed, namespace) == ["patch deployments/scale"]
    alive = {"spec": {"url": installed.prometheus}}
    installed.must("patch", "alertsource", "default", "--type=merge", "-p", json.dumps(alive))
    eventually(lambda: "patch deployments" in effects(installed, namespace), "the next rung")


def test_without_knowledge_of_the_alert_not_even_the_first_rung_is_tried(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "worker"), policy(namespace, SCALE), pause(namespace))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    holding(installed, namespace, "Paused")
    dead = {"spec": {"url": "http://127.0.0.1:9"}}
    installed.must("patch", "alertsource", "default", "--type=merge", "-p", json.dumps(dead))
    assert holding(installed, namespace, "AlertUnknown")["guard"] == "source"
    eventually(
        lambda: "cannot connect" in holding(installed, namespace, "AlertUnknown")["message"],
        "the reason: at first it has not been read yet",
    )
    installed.must("delete", "pause", "pause", "-n", namespace)
    eventually(
        lambda: [h["reason"] for h in status(installed, namespace)["holds"]] == ["AlertUnknown"], "only that to hold"
    )
    assert effects(installed, namespace) == []
    alive = {"spec": {"url": installed.prometheus}}
    installed.must("patch", "alertsource", "default", "--type=merge", "-p", json.dumps(alive))
    running(installed, namespace, "worker", 8)


def test_while_incidents_are_not_protected_nothing_is_done(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "worker"), policy(namespace, SCALE))
    running(installed, namespace, "worker", 3)
    with without_protection(installed):
        trouble(1, deployment="worker")
        hold = holding(installed, namespace, "IncidentsUnprotected")
        assert "install deploy/kustomize/base" in hold["message"]
        assert effects(installed, namespace) == []
    running(installed, namespace, "worker", 8)


def test_an_alert_of_another_namespace_never_counts(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "worker"), policy(namespace, RESTART))
    installed.apply(deployment(namespace, "other"), policy(namespace, RESTART, name="own", alert={"name": "Own"}))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker", namespace="somebody-else")
    trouble(1, alert="Own", deployment="other")
    eventually(lambda: "patch deployments" in effects(installed, namespace), "our own alert to be handled")
    assert {i["spec"]["target"]["name"] for i in installed.all("incidents", namespace)} == {"other"}


def test_an_invalid_policy_is_stalled_alone_and_armed_once_it_is_mended(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    broken = policy(namespace, RESTART, alert={"name": "Trouble", "matchers": ['deployment=~"(a"']})
    installed.apply(deployment(namespace, "worker"), broken, policy(namespace, RESTART, name="sound"))
    stalled = eventually(
        lambda: condition(installed, "rempol", "heal", namespace, "Stalled"), "the policy to be stalled"
    )
    assert "matchers" in stalled["message"]
    eventually(
        lambda: condition(installed, "rempol", "sound", namespace, "Ready").get("status") == "True", "the other one"
    )
    installed.apply(policy(namespace, RESTART))
    eventually(
        lambda: condition(installed, "rempol", "heal", namespace, "Ready").get("status") == "True", "it is armed"
    )
    assert not condition(installed, "rempol", "heal", namespace, "Stalled")


def test_a_missing_right_is_said_on_the_policy_and_refuses_the_rung(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "poor", "namespace": namespace}}
    installed.apply(deployment(namespace, "worker"), account)
    installed.apply(policy(namespace, RESTART, serviceAccountName="poor"))
    running(installed, namespace, "worker", 3)
    missing = eventually(
        lambda: (c := condition(installed, "rempol", "heal", namespace, "Permitted")).get("status") == "False" and c,
        "the missing right to be said",
    )
    assert "restart" in missing["message"]
    assert condition(installed, "rempol", "heal", namespace, "Ready")["reason"] == "PermissionMissing"
    trouble(1, deployment="worker")
    found = reached(installed, namespace, "Escalated")
    assert outcomes(found) == [("restart", "Refused")]
    assert effects(installed, namespace) == []


def test_of_two_policies_on_one_target_the_older_acts_and_the_other_says_so(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "worker"), policy(namespace, SCALE, name="a-older"))
    running(installed, namespace, "worker", 3)
    installed.apply(policy(namespace, RESTART, name="b-newer"))
    trouble(1, deployment="worker")

    def both() -> dict[str, dict]:
        found = {i["spec"]["policyRef"]["name"]: i.get("status", {}) for i in installed.all("incidents", namespace)}
        busy = [hold for hold in found.get("b-newer", {}).get("holds", []) if hold["guard"] == "busy"]
        return found | {"busy": busy[0]} if len(found) == 2 and busy else {}

    held = eventually(both, "two incidents, one of which lets the other go first")["busy"]
    names = {i["spec"]["policyRef"]["name"]: i["metadata"]["name"] for i in installed.all("incidents", namespace)}
    assert held["reason"] in ("OtherIncident", "OtherPolicy")
    assert f"Incident {namespace}/{names['a-older']}" in held["message"]
    running(installed, namespace, "worker", 8)
    assert "patch deployments" not in effects(installed, namespace)


def test_a_person_who_undoes_our_change_takes_over(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    ladder = ({"scale": {"replicas": 8}, "timeout": "60s"}, RESTART)
    installed.apply(deployment(namespace, "worker"), policy(namespace, *ladder))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    running(installed, namespace, "worker", 8)
    installed.must("scale", "deployment", "worker", "-n", namespace, "--replicas=4")
    found = reached(installed, namespace, "Escalated")
    assert found["escalations"][0]["threshold"] == "takenOver"
    trouble(0, deployment="worker")
    reached(installed, namespace, "Resolved")
    assert installed.get("deployment", "worker", namespace)["spec"]["replicas"] == 4
    assert effects(installed, namespace) == ["patch deployments/scale"]


def test_a_field_that_gitops_owns_is_left_alone_with_the_lines_to_add(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    manifest = deployment(namespace, "worker")
    installed.must("apply", "--server-side", "--field-manager=argocd-controller", "-f", "-", input=json.dumps(manifest))
    installed.apply(policy(namespace, {"scale": {"replicas": 8}}))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    found = reached(installed, namespace, "Escalated")
    assert outcomes(found) == [("scale", "Refused")]
    assert "RespectIgnoreDifferences" in found["steps"][0]["message"]
    assert effects(installed, namespace) == []


def test_a_target_that_does_not_exist_is_said_on_the_policy(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(policy(namespace, RESTART))
    trouble(1, deployment="nobody")
    said = eventually(lambda: condition(installed, "rempol", "heal", namespace, "TargetFound"), "it is said")
    assert "does not exist" in said["message"]
    trouble(0, deployment="nobody")
    trouble(1, deployment="../../../api/v1/secrets")
    eventually(
        lambda: (
            "is not the name of an object"
            in condition(installed, "rempol", "heal", namespace, "TargetFound").get("message", "")
        ),
        "it is said",
    )
    assert status(installed, namespace) == {}
    assert operator.process.poll() is None
