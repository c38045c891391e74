"""Watch, decide, act, verify, resolve: a real control plane, real Prometheus rules, the operator's own rights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from receiver import Receiver
from tests.support.objects_on_cluster import (
    budget,
    cluster_policy,
    deployment,
    effects,
    forgotten,
    outcomes,
    policy,
    reached,
    running,
    status,
)
from tests.support.operator_process import NAMESPACE, OperatorProcess
from tests.support.plane import ROOT, Plane, eventually

Trouble = Callable[..., None]


def runbook(url: str, secret: str, **threshold: Any) -> list[dict[str, Any]]:
    """A Runbook whose one threshold is crossed after 8 s, unless said otherwise, and the signing key of its webhook."""
    webhook = {"url": url, "signingSecretRef": {"name": "oncall", "key": "key"}}
    source = {"file": "runbook.md", "line": 292, "text": "- Service unavailable for >30 minutes"}
    spec = {
        "contacts": [{"name": "oncall", "channels": [{"webhook": webhook}]}],
        "levels": [{"name": "Primary", "contact": "oncall"}],
        "thresholds": [
            {"name": "long", "when": {"unresolvedFor": "8s"}, "level": "Primary", "source": source, **threshold}
        ],
    }
    key = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "oncall", "namespace": NAMESPACE}}
    book = {"apiVersion": "goldseam.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": "default"}, "spec": spec}
    return [key | {"stringData": {"key": secret}}, book]


def smallest(namespace: str, **spec: Any) -> dict[str, Any]:
    """The smallest policy of the examples, in this namespace."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "examples" / "policy-smallest.yaml").read_text())
    found["metadata"]["namespace"] = namespace
    found["spec"] |= spec
    return found


def test_the_smallest_policy_heals_as_it_stands(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "api", 2), smallest(namespace))
    running(installed, namespace, "api", 2)
    trouble(1, alert="ApiHighErrorRate")
    eventually(lambda: effects(installed, namespace) == ["patch deployments"], "the restart")


def test_the_smallest_policy_tells_people_by_an_event_where_there_is_no_runbook(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    assert installed.all("runbooks") == []
    installed.apply(deployment(namespace, "api", 2), smallest(namespace, escalateAfter="1s"))
    running(installed, namespace, "api", 2)
    trouble(1, alert="ApiHighErrorRate")

    def told() -> list[str]:
        events = installed.all("events.events.k8s.io", namespace)
        return [event["note"] for event in events if event.get("reason") == "Escalated"]

    assert "(escalateAfter of the policy is 1 s)" in eventually(told, "an Event")[0]


def test_scale_heals_by_a_query_and_is_undone(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    """The alert ends at once, and the query, which asks for another metric, is what is waited for."""
    query = {"expr": f'max(trouble{{about="Backlog",namespace="{namespace}"}})', "below": "100"}
    rung = {"scale": {"replicas": 8}, "timeout": "120s", "verify": {"settle": "1s", "queries": [query]}}
    installed.apply(deployment(namespace, "worker"), policy(namespace, rung))
    running(installed, namespace, "worker", 3)
    trouble(500, alert="Backlog")
    trouble(1, deployment="worker")
    running(installed, namespace, "worker", 8)
    trouble(0, deployment="worker")
    missing = "waiting for: max(trouble"
    eventually(lambda: missing in status(installed, namespace)["message"], "the query alone to be missing")
    assert [step["phase"] for step in status(installed, namespace)["steps"]] == ["Acted"]
    trouble(20, alert="Backlog")
    found = reached(installed, namespace, "Resolved")
    assert outcomes(found) == [("scale", "Passed")]
    eventually(lambda: status(installed, namespace)["owes"] == 0, "the debt to be paid")
    assert installed.get("deployment", "worker", namespace)["spec"]["replicas"] == 3


def test_an_hpa_is_helped_by_its_floor_and_a_restart_follows(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "api", "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"},
            "minReplicas": 2,
            "maxReplicas": 10,
        },
    }
    ladder = ({"scale": {"replicas": 5}, "timeout": "6s"}, {"restart": {}, "timeout": "60s"})
    installed.apply(deployment(namespace, "api", 2), hpa, policy(namespace, *ladder))
    running(installed, namespace, "api", 2)
    before = {pod["metadata"]["uid"] for pod in installed.all("pods", namespace)}
    trouble(1, deployment="api")
    running(installed, namespace, "api", 5)

    def all_new() -> bool:
        return not before & {pod["metadata"]["uid"] for pod in installed.all("pods", namespace)}

    eventually(all_new, "all pods to be new")
    trouble(0, deployment="api")
    found = reached(installed, namespace, "Resolved")
    assert outcomes(found) == [("scale", "Failed"), ("restart", "Passed")]
    eventually(lambda: status(installed, namespace)["owes"] == 0, "the debt to be paid")
    assert installed.get("hpa", "api", namespace)["spec"]["minReplicas"] == 2


def test_a_node_is_drained_under_its_budget_and_comes_back(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(deployment(namespace, "api", 6), budget(namespace, "api", maxUnavailable=1))
    running(installed, namespace, "api", 6)
    node = installed.all("pods", namespace)[0]["spec"]["nodeName"]
    installed.apply(cluster_policy("drain", {"drain": {}, "timeout": "90s"}, alert={"name": "NodeTrouble"}))
    trouble(1, alert="NodeTrouble", node=node)

    def empty() -> bool:
        return all(pod["spec"].get("nodeName") != node for pod in installed.all("pods", namespace))

    eventually(empty, "the node to be empty", 90)
    running(installed, namespace, "api", 6)
    assert installed.get("node", node)["spec"]["unschedulable"]
    trouble(0, alert="NodeTrouble", node=node)
    eventually(lambda: not installed.get("node", node)["spec"].get("unschedulable"), "the node to be back")
    found = next(i for i in installed.all("incidents", NAMESPACE) if i["spec"]["target"]["name"] == node)
    assert found["status"]["phase"] == "Resolved"
    forgotten(installed)


def test_a_ladder_that_is_used_up_is_handed_to_people(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    oncall = Receiver("s3cret")
    installed.apply(*runbook(oncall.url, "s3cret"))
    installed.apply(deployment(namespace, "db", 2), policy(namespace, {"restart": {}, "timeout": "5s"}))
    running(installed, namespace, "db", 2)
    trouble(1, deployment="db")
    found = reached(installed, namespace, "Escalated")
    assert outcomes(found) == [("restart", "Failed")]
    assert "ladderExhausted" in [e["threshold"] for e in found["escalations"]]
    line = "runbook.md:292: - Service unavailable for >30 minutes"
    eventually(lambda: any(line in message["text"] for message in oncall.messages), "the message with the line")
    assert oncall.refused == 0

    def told() -> bool:
        """Whether the Event is there; the runbook's threshold may be crossed first, and has an Event of its own."""
        events = installed.all("events.events.k8s.io", namespace)
        notes = [event["note"] for event in events if event.get("reason") == "Escalated"]
        return any("the ladder is used up" in note for note in notes)

    eventually(told, "an Event")
    eventually(lambda: status(installed, namespace)["escalations"][0].get("notified"), "the delivery to be recorded")


def test_a_threshold_by_query_that_says_stop_calls_people_before_anything_is_done(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    oncall = Receiver("s3cret")
    share = {"expr": f'max(trouble{{about="Share",namespace="{namespace}"}}) / 100', "above": "0.5"}
    installed.apply(*runbook(oncall.url, "s3cret", name="half", when={"query": share}, acting="Stop"))
    installed.apply(deployment(namespace, "db", 2), policy(namespace, {"restart": {}}))
    running(installed, namespace, "db", 2)
    trouble(62, alert="Share")
    trouble(1, deployment="db")
    found = reached(installed, namespace, "Escalated")
    assert [e["threshold"] for e in found["escalations"]] == ["half"]
    assert "is above 0.5 (it is 0.62)" in found["escalations"][0]["message"]
    eventually(lambda: any("(it is 0.62)" in message["text"] for message in oncall.messages), "the message")
    assert effects(installed, namespace) == []


def test_mode_observe_changes_nothing_outside_our_own_kinds(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    ladder = ({"scale": {"replicas": 8}, "timeout": "3s"}, {"restart": {}, "timeout": "3s"})
    installed.apply(deployment(namespace, "worker"), policy(namespace, *ladder, mode="Observe"))
    running(installed, namespace, "worker", 3)
    trouble(1, deployment="worker")
    eventually(lambda: len(status(installed, namespace).get("steps", [])) == 2, "both rungs to be rehearsed")
    steps = status(installed, namespace)["steps"]
    assert [step["outcome"] for step in steps] == ["Observed", "Observed"]
    assert all("dry run was accepted" in step["message"] for step in steps)
    assert effects(installed, namespace) == []
