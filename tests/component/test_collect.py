"""Evidence is written down before anything is changed, and nothing that cannot be read holds up the ladder."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from goldseam.ports import Json
from goldseam.services import collecting
from tests.support.harness import START, Harness, deployment, policy
from tests.support.objects import node, pod, troubled
from tests.support.toycluster import Killed

COLLECT: Json = {"collect": {"queries": ['up{job="${target.name}"}']}}
SCALE: Json = {"scale": {"replicas": 8}}
LABELS = {"app": "api"}


def event(about: str, reason: str = "BackOff") -> Json:
    at = (START - timedelta(seconds=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
    involved = {"kind": "Pod", "name": about, "uid": f"uid-{about}"}
    meta = {"namespace": "shop", "name": f"{about}.{reason}"}
    return {"metadata": meta, "involvedObject": involved, "type": "Warning", "reason": reason, "lastTimestamp": at}


async def opened(*ladder: Json, **spec: Any) -> Harness:
    target = deployment(3)
    target["spec"]["selector"] = {"matchLabels": LABELS}
    h = Harness(policy(*ladder, **spec), target, "deployments")
    for one in (
        troubled("ill", "CrashLoopBackOff", metadata={"labels": LABELS}),
        pod("well", metadata={"labels": LABELS}),
    ):
        h.cluster.add("pods", one)
    h.cluster.add("pods", pod("other", metadata={"labels": {"app": "web"}}))
    h.cluster.add(
        "nodes", {"metadata": {"name": "worker-1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    )
    for name in ("ill", "other"):
        h.cluster.add("events", event(name))
    h.promql.answers['up{job="api"}'] = (1.0, 0.0)
    await h.start()
    await h.open()
    return h


def found(h: Harness) -> dict[str, str]:
    return {one.about: one.text for one in h.status.evidence or ()}


def outcomes(h: Harness) -> list[tuple[str, str | None]]:
    return [(step.action, step.outcome) for step in h.status.steps]


def foreign(h: Harness) -> list[str]:
    """Paths of what was written outside our own kinds."""
    return [path for _, path, _, _ in h.cluster.writes if not path.startswith(("incidents", "guardrails"))]


async def test_what_is_found_is_on_the_incident_before_anything_is_changed() -> None:
    h = await opened(COLLECT, SCALE)
    await h.settle(1, until=lambda status: bool(status.steps))
    assert outcomes(h)[0] == ("collect", "Collected")
    assert foreign(h) == []
    await h.settle(20)
    assert outcomes(h) == [("collect", "Collected"), ("scale", None)]
    assert list(found(h)) == [
        "Deployment api", "pods", "Pod ill", "Pod well", "event about Pod ill", "Node worker-1",
        "query up{job=\"${target.name}\"}",
    ]  # fmt: skip
    assert found(h)['query up{job="${target.name}"}'] == "1, 0"
    assert h.status.steps[0].message == "7 pieces of evidence"


async def test_in_mode_observe_it_is_collected_too_for_it_changes_nothing() -> None:
    h = await opened(COLLECT, SCALE, mode="Observe")
    await h.settle(20)
    assert outcomes(h) == [("collect", "Collected"), ("scale", "Observed")]
    assert foreign(h) == []


@pytest.mark.parametrize("plural", ["events", "pods", "nodes"])
async def test_what_cannot_be_read_is_named_and_the_ladder_goes_on(plural: str) -> None:
    h = await opened(COLLECT, SCALE)
    h.cluster.unreadable.add(plural)
    await h.settle(20)
    assert outcomes(h) == [("collect", "Collected"), ("scale", None)]
    unread = [one for one in h.status.evidence or () if one.missing]
    assert len(unread) == 1
    assert unread[0].about in h.status.steps[0].message
    assert "HTTP 503" in unread[0].text


async def test_a_source_that_does_not_answer_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "PATIENCE", 0.05)
    h = await opened(COLLECT, SCALE)
    h.promql.hangs = True
    await h.settle(20)
    assert outcomes(h) == [("collect", "Collected"), ("scale", None)]
    assert [one.text for one in h.status.evidence or () if one.missing] == ["not read: no answer within 0.05 s"]


@pytest.mark.parametrize("broken", ["no such function", ""])
async def test_a_query_that_cannot_be_asked_is_named(broken: str) -> None:
    rung: Json = COLLECT if broken else {"collect": {"queries": ['up{a="${alert.labels.missing}"}']}}
    h = await opened(rung, SCALE)
    h.promql.broken = broken
    await h.settle(20)
    (one,) = [one for one in h.status.evidence or () if one.missing]
    assert (broken or "no label missing") in one.text


async def test_an_answer_that_nobody_understands_holds_up_nothing() -> None:
    h = await opened(COLLECT, SCALE)
    h.cluster.objects["pods", "shop", "ill"]["status"]["containerStatuses"] = [{"restartCount": "many"}]
    await h.settle(20)
    assert outcomes(h) == [("collect", "Collected"), ("scale", None)]
    assert [one.text for one in h.status.evidence or () if one.missing] == [
        "not read: the answer cannot be understood (ValueError)"
    ]


async def test_of_a_node_its_own_pods_and_events_are_written_down() -> None:
    rules = policy({"collect": {}}, {"escalate": {}}, target={"kind": "Node", "name": "worker-1"})
    rules["kind"] = "ClusterRemediationPolicy"
    del rules["metadata"]["namespace"]
    h = Harness(rules, node(ready=False), "nodes")
    h.cluster.add("pods", troubled("ill", "CrashLoopBackOff"))
    h.cluster.add("events", event("ill"))
    await h.start()
    await h.open()
    await h.settle(10)
    assert list(found(h)) == ["Node worker-1", "pods", "Pod ill", "event about Pod ill"]
    assert found(h)["Node worker-1"] == "Ready=False (no reason)"


async def test_nothing_is_collected_while_a_pause_or_a_stale_alert_holds() -> None:
    h = await opened(COLLECT, SCALE)
    h.fresh = False
    await h.settle(10)
    assert h.status.steps == []
    assert h.promql.asked == []
    h.fresh = True
    await h.settle(10)
    assert outcomes(h)[0] == ("collect", "Collected")


async def test_a_forged_incident_asks_no_query_that_the_policy_does_not_have() -> None:
    h = await opened(COLLECT, SCALE)
    forged = next(h.cluster.all("incidents"))
    forged["status"]["policySnapshot"]["spec"]["ladder"][0]["collect"]["queries"] = ["secrets_of_others"]
    await h.start()
    await h.settle(20)
    assert outcomes(h)[0] == ("collect", "Refused")
    assert h.promql.asked == []
    assert h.status.evidence is None


async def test_evidence_is_kept_within_its_bounds_however_often_it_is_collected() -> None:
    h = await opened(*[COLLECT] * 6, {"escalate": {}})
    await h.settle(30)
    assert [outcome for _, outcome in outcomes(h)] == ["Collected"] * 6 + ["Told"]
    assert len(h.status.evidence or ()) == 32


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_an_operator_that_is_killed_meanwhile_collects_once_and_goes_on(after: bool) -> None:
    for point in range(1, 8):
        h = await opened(COLLECT, SCALE)
        h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + point, after
        try:
            await h.settle(20)
        except Killed:
            h.cluster.kill_at = None
            await h.start()
            await h.settle(20)
        assert outcomes(h) == [("collect", "Collected"), ("scale", None)]
        assert len(h.status.evidence or ()) == 7
        assert foreign(h) == ["deployments/shop/api/scale"]


LOGS: Json = {"collect": {"logs": True}}
ILL = {
    "name": "app",
    "ready": False,
    "restartCount": 3,
    "state": {"running": {}},
    "lastState": {"terminated": {"exitCode": 1}},
}


async def logging(*ladder: Json, label: str | None = "true", container: Json = ILL, **spec: Any) -> Harness:
    """One pod of three is ill, and has a log, and one of the run before."""
    h = await opened(*ladder, **spec)
    labels = {} if label is None else {"goldseam.dev/collect-logs": label}
    h.cluster.add("namespaces", {"metadata": {"name": "shop", "labels": labels}})
    h.cluster.objects["pods", "shop", "ill"]["status"]["containerStatuses"] = [container]
    h.cluster.objects["pods", "shop", "well"]["status"]["containerStatuses"] = []
    h.cluster.logs |= {
        "ill": "starting\npassword=hunter2\n",
        "ill before": "connecting\npostgres://app:hunter2@db failed\n",
        "other": "not of the target",
    }
    return h


def logs(h: Harness) -> dict[str, str | None]:
    return {one.about: one.log for one in h.status.evidence or () if "log" in one.about}


async def test_the_ends_of_logs_are_written_down_without_what_looks_like_a_secret() -> None:
    h = await logging(LOGS, SCALE)
    await h.settle(20)
    assert outcomes(h) == [("collect", "Collected"), ("scale", None)]
    assert logs(h) == {
        "log of Pod ill app, the run before": "connecting\npostgres://<hidden>@db failed",
        "log of Pod ill app": "starting\npassword=<hidden>",
    }
    assert found(h)["log of Pod ill app"] == "its last 2 lines"


@pytest.mark.parametrize("label", [None, "false", "", "yes"])
async def test_where_the_namespace_does_not_allow_it_no_log_is_read_and_it_is_said(label: str | None) -> None:
    h = await logging(LOGS, SCALE, label=label)
    await h.settle(20)
    assert outcomes(h) == [("collect", "Collected"), ("scale", None)]
    assert logs(h) == {"logs": None}
    assert found(h)["logs"] == 'not read: namespace shop does not have the label goldseam.dev/collect-logs: "true"'
    assert h.cluster.logs_read == []


async def test_a_policy_that_does_not_ask_for_logs_gets_none() -> None:
    h = await logging(COLLECT, SCALE)
    await h.settle(20)
    assert logs(h) == {}
    assert h.cluster.logs_read == []


async def test_logs_are_bounded_in_lines_bytes_and_pods() -> None:
    h = await logging(LOGS, SCALE)
    for number in range(6):
        more = troubled(f"more-{number}", "", metadata={"labels": LABELS})
        more["status"]["containerStatuses"] = [ILL]
        h.cluster.add("pods", more)
        h.cluster.logs |= {f"more-{number}": "x" * 5_000, f"more-{number} before": "line\n" * 500}
    await h.settle(20)
    assert len(logs(h)) == 6, "of three pods two runs"
    assert all(log is not None and len(log.encode()) <= 2_003 and log.count("\n") < 20 for log in logs(h).values())


async def test_a_log_that_cannot_be_read_is_named_and_the_ladder_goes_on() -> None:
    h = await logging(LOGS, SCALE)
    del h.cluster.logs["ill before"]
    await h.settle(20)
    assert outcomes(h) == [("collect", "Collected"), ("scale", None)]
    (one,) = [one for one in h.status.evidence or () if one.missing]
    assert one.about == "log of Pod ill app, the run before"
    assert "the kubelet does not answer" in one.text


async def test_a_kubelet_that_hangs_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "PATIENCE", 0.05)
    h = await logging(LOGS, SCALE)
    h.cluster.logs_hang = True
    await h.settle(20)
    assert outcomes(h) == [("collect", "Collected"), ("scale", None)]
    assert [one.text for one in h.status.evidence or () if one.missing] == 2 * ["not read: no answer within 0.05 s"]
    assert "Pod ill" in found(h), "what could be read is there"


async def test_a_forged_incident_reads_no_log_that_the_policy_does_not_ask_for() -> None:
    h = await logging(COLLECT, SCALE)
    forged = next(h.cluster.all("incidents"))
    forged["status"]["policySnapshot"]["spec"]["ladder"][0]["collect"]["logs"] = True
    await h.start()
    await h.settle(20)
    assert outcomes(h)[0] == ("collect", "Refused")
    assert h.cluster.logs_read == []


async def test_of_the_pods_of_a_node_no_log_is_read() -> None:
    rules = policy(LOGS, {"escalate": {}}, target={"kind": "Node", "name": "worker-1"})
    rules["kind"] = "ClusterRemediationPolicy"
    del rules["metadata"]["namespace"]
    h = Harness(rules, node(ready=False), "nodes")
    h.cluster.add("pods", troubled("ill", "CrashLoopBackOff"))
    await h.start()
    await h.open()
    await h.settle(10)
    assert "of many namespaces" in found(h)["logs"]
    assert h.cluster.logs_read == []
