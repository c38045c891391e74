"""The demo's parts that can be held to something without a cluster."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from pathlib import Path

import pytest
import yaml

from access import Access, ForeignClusterError, own_cluster, unclaimed
from goldseam.adapters.webhook import signed
from goldseam.api.problems import read_spec
from load_model import LoadModel, all_of_kwok
from receiver import Receiver, is_genuine
from scenes import handed_over, healed_by

DEMO = Path(__file__).resolve().parents[2] / "deploy" / "demo"
RUNBOOK = Path(__file__).resolve().parents[1] / "data" / "platform-oncall-runbook.md"


def pass_seconds(model: LoadModel, seconds: int, workers: int, pods: set[str] | None = None) -> None:
    for _ in range(seconds):
        model.tick(1.0, workers, pods or set(), {})


def test_the_queue_grows_with_three_ready_workers_and_is_emptied_by_ten() -> None:
    model = LoadModel()
    model.start_burst()
    pass_seconds(model, 10, 3)
    assert model.queue > 100
    pass_seconds(model, 30, 10)
    assert model.queue == 0
    pass_seconds(model, 30, 3)
    assert model.queue == 0, "the burst is over, and three workers are enough again"


def test_the_api_fails_until_every_pod_is_newer_than_the_fault() -> None:
    model = LoadModel()
    pass_seconds(model, 1, 3, {"a", "b"})
    model.poison_api()
    assert model.error_ratio > 0.05
    pass_seconds(model, 1, 3, {"b", "c", "d", "e"})
    assert model.error_ratio > 0.05, "more replicas do not help"
    pass_seconds(model, 1, 3, {"c", "d", "e"})
    assert model.error_ratio < 0.05


def test_nodes_are_exported_under_the_names_of_kube_state_metrics() -> None:
    model = LoadModel()
    model.tick(1.0, 3, [], {"node-0": False})
    assert 'kube_node_status_condition{node="node-0",condition="Ready",status="true"} 0' in model.metrics()


def test_a_node_is_made_to_fail_only_where_kwok_plays_all_of_them() -> None:
    played, real = {"metadata": {"labels": {"type": "kwok"}}}, {"metadata": {"name": "kind-control-plane"}}
    assert all_of_kwok([played, played])
    assert not all_of_kwok([played, real])


def test_a_message_signed_by_goldseam_is_genuine_and_any_other_is_not() -> None:
    body = b'{"id": "1", "text": "x"}'
    headers = signed("msg_1", 1_700_000_000, body, "s3cret")
    assert is_genuine(headers, body, "s3cret")
    assert not is_genuine(headers, body + b" ", "s3cret")
    assert not is_genuine({}, body, "s3cret")
    expected = hmac.new(b"s3cret", b"msg_1.1700000000." + body, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()


def test_a_message_that_comes_twice_is_kept_once() -> None:
    receiver = Receiver("s")
    for _ in range(2):
        receiver.take(b'{"id": "1", "text": "x"}', genuine=True)
    receiver.take(b"{}", genuine=False)
    assert (len(receiver.messages), receiver.refused) == (1, 1)


def test_a_cluster_that_is_not_its_own_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers = {"current-context": "prod", "view": "https://prod.example.com"}
    monkeypatch.setattr("access.Access.kubectl", lambda self, *args, **_: answers[args[1]])
    with pytest.raises(ForeignClusterError, match=r"--i-know-this-cluster=https://prod\.example\.com"):
        own_cluster("/elsewhere/config", str(tmp_path), "")
    own_cluster("/elsewhere/config", str(tmp_path), "https://prod.example.com")
    own_cluster(str(tmp_path / "pki" / "admin.kubeconfig"), str(tmp_path), "")
    answers["current-context"] = "kind-demo"
    own_cluster("/elsewhere/config", "", "")


@pytest.mark.parametrize("file", sorted(DEMO.rglob("policy.yaml")), ids=lambda f: f.parent.name)
def test_every_policy_of_the_demo_is_valid_and_has_its_rule(file: Path) -> None:
    policy = yaml.safe_load(file.read_text())
    read_spec(policy["kind"], policy)
    rules = yaml.safe_load((file.parent / "rules.yml").read_text())
    assert policy["spec"]["alert"]["name"] in {rule["alert"] for group in rules["groups"] for rule in group["rules"]}


def test_the_demos_runbook_quotes_the_lines_of_the_text() -> None:
    text = RUNBOOK.read_text(errors="replace").splitlines()
    runbook = yaml.safe_load(re.sub(r"\$\{WEBHOOK_URL\}", "http://x", (DEMO / "common" / "runbook.yaml").read_text()))
    read_spec("Runbook", runbook)
    for threshold in runbook["spec"]["thresholds"]:
        assert text[threshold["source"]["line"] - 1] == threshold["source"]["text"]


def test_what_somebody_else_made_is_never_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {
        "namespace/aurum-dev": {"metadata": {"name": "aurum-dev"}},
        "namespace/ours": {"metadata": {"labels": {"goldseam.dev/demo": "true"}}},
    }

    def get(_: Access, name: str) -> dict[str, object]:
        if name.startswith("runbook/"):
            raise RuntimeError('kubectl get: error: the server doesn\'t have a resource type "runbook"')
        return there.get(name, {"items": []})

    monkeypatch.setattr("access.Access.get", get)
    with pytest.raises(ForeignClusterError, match=r"namespace/aurum-dev exists already .* nothing was touched"):
        unclaimed(Access(""), "goldseam.dev/demo=true", ["namespace/ours", "runbook/default", "namespace/aurum-dev"])
    unclaimed(Access(""), "goldseam.dev/demo=true", ["namespace/ours", "runbook/default", "namespace/other"])


def ended(phase: str, *tried: tuple[str, str], debts: tuple[str, ...] = ("Paid",)) -> dict[str, object]:
    """An incident's status at its end, with an undo among the steps, which is no rung."""
    steps = [{"action": action, "outcome": outcome} for action, outcome in tried]
    return {
        "phase": phase,
        "owes": debts.count("Open"),
        "steps": [*steps, {"action": "scale", "purpose": "Undo", "outcome": "Passed"}],
        "obligations": [{"state": state, "message": f"it is {state}"} for state in debts],
    }


API = (("scale", "Failed"), ("restart", "Passed"))


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (ended("Resolved", *API), "healed"),
        ({}, ""),
        (ended("Monitoring", *API), ""),
        (ended("Resolved", *API, debts=("Open",)), ""),
        (ended("Resolved", *API, debts=("Lost",)), "not put back: ['it is Lost']"),
        (ended("Resolved", *API, debts=("Paid", "Void")), "not put back: ['it is Void']"),
        (ended("Resolved", *API, debts=()), "not put back: nothing was ever owed"),
        (ended("Resolved", ("scale", "Refused"), ("restart", "Passed")), "resolved by [('scale', 'Refused'), "),
        (ended("Resolved", ("restart", "Passed")), "resolved by [('restart', 'Passed')], "),
        (ended("Resolved"), "resolved by [], "),
        (ended("Escalated", *API), "ended as Escalated"),
        (ended("Abandoned", *API), "ended as Abandoned"),
    ],
)
def test_a_scene_is_healed_only_by_its_own_rungs_and_with_every_debt_paid(
    status: dict[str, object], result: str
) -> None:
    found = healed_by(*API)(status)
    assert found.startswith(result)
    assert bool(found) == bool(result)


@pytest.mark.parametrize(
    ("status", "told", "result"),
    [
        (ended("Escalated", ("wait", "Failed"), ("restart", "Refused")), True, "handed over"),
        (ended("Escalated", ("wait", "Failed"), ("restart", "Refused")), False, ""),
        (ended("Fixing", ("wait", "Failed")), True, ""),
        (ended("Escalated", ("wait", "Failed")), True, "handed over after [('wait', 'Failed')]"),
        (ended("Resolved", ("wait", "Failed"), ("restart", "Passed")), True, "ended as Resolved, though nothing"),
        (ended("Abandoned"), True, "ended as Abandoned, though nothing"),
    ],
)
def test_a_fault_that_nothing_fixes_is_handed_over_after_its_whole_ladder(
    status: dict[str, object], told: bool, result: str
) -> None:
    found = handed_over(lambda: told, ("wait", "Failed"), ("restart", "Refused"))(status)
    assert found.startswith(result)
    assert bool(found) == bool(result)
    assert (found == "handed over") == (result == "handed over")
