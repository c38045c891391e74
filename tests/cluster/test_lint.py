"""`goldseam lint` and `new` against the real Prometheus, and the condition `Plausible` of the running operator."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from goldseam.engine.labelsets import label_set, of_tree
from goldseam.engine.promql import tree
from tests.support.objects_on_cluster import condition, policy
from tests.support.operator_process import OperatorProcess, free_port
from tests.support.plane import Plane, eventually, python
from tests.unit.test_labelsets import CASES, UP

Trouble = Callable[..., None]
Json = dict[str, Any]


def goldseam(*args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the installed command where no cluster can be reached."""
    command = [str(Path(python()).with_name("goldseam")), *args]
    env = {**os.environ, "KUBECONFIG": "/nonexistent"}
    return subprocess.run(command, env=env, text=True, capture_output=True, timeout=120, input=stdin)


def rule(query: str, alert: str = "Trouble", **labels: str) -> Json:
    return {"alert": alert, "expr": query, "labels": labels}


@pytest.mark.parametrize("query", [case[0].replace("UP", UP) for case in CASES])
def test_prometheus_reads_an_expression_as_we_do(cluster: Plane, query: str) -> None:
    asked = f"{cluster.prometheus}/api/v1/parse_query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(asked, timeout=30) as answer:
        theirs = json.load(answer)["data"]
    assert of_tree(theirs) == label_set(query)
    assert outline(theirs) == outline(tree(query))


def outline(node: Any) -> Any:
    """The part of a tree that decides about labels."""
    kept = ("type", "op", "expr", "lhs", "rhs", "args", "name", "func", "grouping", "without", "matchers", "matching")
    more = ("card", "labels", "on", "include", "value", "param")
    if isinstance(node, list):
        return (
            sorted(map(json.dumps, map(outline, node)))
            if all("value" in one for one in node)
            else [*map(outline, node)]
        )
    if not isinstance(node, dict):
        return node
    selector = str(node.get("type")).endswith("Selector")
    return {k: outline(v) for k, v in node.items() if k in (*kept, *more) and not (selector and k == "name")}


def test_lint_ends_with_0_1_or_2_and_new_writes_what_the_api_server_takes(
    installed: Plane, namespace: str, trouble: Trouble
) -> None:
    trouble(1, alert="Backlog", deployment="worker")
    query = 'trouble{about="Backlog"}'
    rung = {"restart": {}, "timeout": "2m", "verify": {"queries": [{"expr": query, "below": "1"}]}}
    fits = policy(namespace, rung, alert={"name": "Backlog", "matchers": ['severity="critical"']})

    def linted(obj: Json, *more: str, url: str = installed.prometheus) -> subprocess.CompletedProcess[str]:
        return goldseam("lint", "-", "--source", url, *more, stdin=json.dumps(obj))

    eventually(lambda: linted(fits, "--strict").returncode == 0, "the metric to have been scraped")
    misspelt = linted({**fits, "spec": {**fits["spec"], "alert": {"name": "Backlok"}}}, "-o", "json")
    (found,) = [one for one in json.loads(misspelt.stdout)["findings"] if one["severity"] == "Error"]
    assert (misspelt.returncode, found["code"]) == (1, "AlertNotDefined")
    assert "Backlog" in found["instead"]
    fits["spec"]["ladder"][0]["verify"] = {"queries": [{"expr": "rate(x[5m)", "below": "1"}]}
    broken = linted(fits)
    assert (broken.returncode, "QueryInvalid" in broken.stdout) == (1, True), broken.stdout + broken.stderr
    away = linted(fits, url=f"http://127.0.0.1:{free_port()}")
    assert (away.returncode, away.stdout) == (2, "")
    assert "cannot connect: connection refused" in away.stderr

    shown = eventually(lambda: drafted(installed, "Backlog", namespace), "the alert to be active")
    obj = yaml.safe_load(shown)
    assert (obj["metadata"]["namespace"], obj["spec"]["target"]) == (namespace, {"kind": "Deployment"})
    assert goldseam("lint", "-", "--source", installed.prometheus, "--strict", stdin=shown).returncode == 0
    installed.must("apply", "--dry-run=server", "-f", "-", input=shown)


def drafted(plane: Plane, alert: str, namespace: str) -> str:
    """What `goldseam new` prints, once it knows the namespace by an active alert."""
    done = goldseam("new", "--alert", alert, "--source", plane.prometheus)
    assert done.returncode == 0, done.stderr
    return done.stdout if f"namespace: {namespace}" in done.stdout else ""


def test_the_operator_says_what_cannot_work_and_arms_the_policy_all_the_same(
    installed: Plane, namespace: str, operator: OperatorProcess
) -> None:
    def judged(status: str, reason: str) -> Json:
        found = condition(installed, "rempol", "heal", namespace, "Plausible")
        return found if (found.get("status"), found.get("reason")) == (status, reason) else {}

    installed.rules(namespace, [rule("sum by (deployment) (trouble) > 0")])
    try:
        installed.apply(policy(namespace, {"restart": {}}))
        found = eventually(lambda: judged("False", "OtherNamespace"), "the policy to say that it cannot match")
        assert "its query keeps only deployment" in found["message"]
        assert condition(installed, "rempol", "heal", namespace, "Ready")["status"] == "True"
        installed.rules(namespace, [rule("sum by (namespace, deployment) (trouble) > 0")])
        eventually(lambda: judged("True", "Fits"), "the policy to say that it can")
        installed.rules(namespace, [rule("trouble > 0", "Renamed")])
        eventually(lambda: judged("False", "AlertNotDefined"), "the policy to say that its rule is gone")
    finally:
        installed.rules(namespace, [])
