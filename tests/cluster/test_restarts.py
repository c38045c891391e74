"""A restart by a mark on the template: what each kind and strategy makes of it, on the real control plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.test_evictions import all_ready, uids, workload
from tests.support.objects_on_cluster import deployment, effects, outcomes, policy, reached, running, status
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
Json = dict[str, Any]
RESTART: Json = {"restart": {"method": "Template"}, "timeout": "120s"}
HALF = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%"}}}


@pytest.mark.parametrize(("kind", "spec"), [("StatefulSet", {}), ("DaemonSet", HALF)])
def test_every_pod_is_another_one_after_one_write(
    kind: str, spec: Json, installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(workload(kind, namespace, **spec), policy(namespace, RESTART, target={"kind": kind}))
    count = 3 if kind == "StatefulSet" else len(installed.all("nodes"))
    before = all_ready(installed, namespace, count)
    trouble(1, **{kind.lower(): "db"})
    eventually(lambda: not uids(before) & uids(all_ready(installed, namespace, count)), "all pods to be others", 90)
    trouble(0, **{kind.lower(): "db"})
    assert outcomes(reached(installed, namespace, "Resolved")) == [("restart", "Passed")]
    assert effects(installed, namespace) == [f"patch {kind.lower()}s"]


@pytest.mark.parametrize(
    ("kind", "spec", "said"),
    [
        ("Deployment", {"paused": True}, "is paused (spec.paused)"),
        ("Deployment", {"strategy": {"type": "Recreate"}}, "it would leave 0 of 3 pods ready"),
        ("StatefulSet", {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}, "write method: Eviction"),
        ("StatefulSet", {"updateStrategy": {"rollingUpdate": {"partition": 1}}}, "write method: Eviction"),
    ],
)
def test_what_would_not_run_its_course_or_cost_all_pods_is_refused_before_any_write(
    kind: str, spec: Json, said: str, installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    target = workload(kind, namespace)  # a paused Deployment makes no pods
    installed.apply(target, policy(namespace, RESTART, {"notify": {}}, target={"kind": kind}))
    all_ready(installed, namespace, 3)
    target["spec"] |= spec
    installed.apply(target)
    trouble(1, **{kind.lower(): "db"})
    found = eventually(lambda: outcomes(status(installed, namespace)), "the rung to be refused")
    assert found[0] == ("restart", "Refused")
    assert said in status(installed, namespace)["steps"][0]["message"]
    assert effects(installed, namespace) == []


def test_where_downtime_is_allowed_recreate_restarts_all_at_once(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    limits = {"minAvailable": 0}
    installed.apply(
        deployment(namespace, "db", strategy={"type": "Recreate"}), policy(namespace, RESTART, limits=limits)
    )
    before = all_ready(installed, namespace, 3)
    trouble(1, deployment="db")
    eventually(lambda: not uids(before) & uids(all_ready(installed, namespace, 3)), "all pods to be others", 90)
    trouble(0, deployment="db")
    assert outcomes(reached(installed, namespace, "Resolved")) == [("restart", "Passed")]


def test_a_rollout_that_is_stuck_is_restarted(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    target = deployment(namespace, "api", progressDeadlineSeconds=3)
    installed.apply(target, policy(namespace, RESTART))
    running(installed, namespace, "api", 3)
    target["spec"]["template"]["metadata"]["annotations"] = {"sim.kwok/unready": "true"}
    installed.apply(target)

    def stuck() -> bool:
        conditions = installed.get("deployment", "api", namespace)["status"].get("conditions", [])
        return any(one.get("reason") == "ProgressDeadlineExceeded" for one in conditions)

    eventually(stuck, "the rollout to be past its deadline", 60)
    trouble(1, deployment="api")
    eventually(lambda: effects(installed, namespace) == ["patch deployments"], "the restart", 60)
