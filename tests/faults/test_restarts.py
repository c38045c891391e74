"""The faults of the API server and of the operator for both ways of a restart: a mark in the template, which has it
rolled out, and evictions, pod by pod. The audit log is the judge: each takes effect once, and what is refused is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.test_evictions import EVICTION, evicted, finalizers, workload
from tests.faults.test_other_writes import ANSWERS, NEXT, Guarded, Nth, denied, hung, replaced
from tests.faults.test_quotas import in_force, quota
from tests.support.admission import Webhook, admission_webhook
from tests.support.objects_on_cluster import deployment, effects, outcomes, policy, reached, running, status
from tests.support.operator_process import OperatorProcess, service_account
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.proxy import FaultProxy, Strike, When, fault_proxy

Trouble = Callable[..., None]
Json = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """One way of a restart."""

    method: str
    label: str
    """Its write, as the proxy calls it."""
    made: list[str]
    """What is written in all, of three pods."""
    guarded: Guarded
    """Its write, as a webhook is asked about it."""

    def rung(self, timeout: str = "180s") -> Json:
        return {"restart": {"method": self.method}, "timeout": timeout}


MARK = Way("Template", "PATCH deployments", ["patch deployments"], Guarded("apps", "deployments", "UPDATE", []))
EVICTIONS = Way(
    "Eviction", "POST pods/eviction", ["create pods/eviction"] * 3, Guarded("", "pods/eviction", "CREATE", [])
)
BOTH = pytest.mark.parametrize("way", [MARK, EVICTIONS], ids=["mark", "evictions"])


@pytest.fixture
def proxy(installed: Plane) -> Iterator[FaultProxy]:
    with fault_proxy(installed) as between:
        yield between


def healed_by(plane: Plane, namespace: str, *ladder: Json, **spec: Any) -> None:
    """A Deployment of three pods, and a policy that restarts it."""
    plane.apply(deployment(namespace, "api", **spec), policy(namespace, *ladder))
    running(plane, namespace, "api", 3)


def restarted_once(plane: Plane, namespace: str, way: Way, trouble: Trouble) -> None:
    """All of it was written once, the pods are there, and it has helped."""
    eventually(lambda: len(effects(plane, namespace)) >= len(way.made), "the restart", 150)
    running(plane, namespace, "api", 3)
    trouble(0, deployment="api")
    assert outcomes(reached(plane, namespace, "Resolved")) == [("restart", "Passed")]
    assert effects(plane, namespace) == way.made
    assert len(set(evicted(plane, namespace))) == len(evicted(plane, namespace)), "each pod once"


@BOTH
@pytest.mark.parametrize("answer", ANSWERS)
def test_it_is_restarted_once_however_badly_the_write_is_answered(
    way: Way, answer: str, installed: Plane, namespace: str, source: str, proxy: FaultProxy,
    trouble: Trouble, tmp_path: Path,
) -> None:  # fmt: skip
    healed_by(installed, namespace, way.rung())
    effect, times = ANSWERS[answer]
    proxy.strike = strike = Strike(Nth(way.label), effect, times=times)
    with running_operator(service_account(installed, tmp_path, proxy.url), tmp_path / "operator.log"):
        trouble(1, deployment="api")
        restarted_once(installed, namespace, way, trouble)
    assert len(strike.struck) == times


@BOTH
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_operator_restarts_it_once(
    way: Way, when: When, installed: Plane, namespace: str, source: str, proxy: FaultProxy,
    trouble: Trouble, tmp_path: Path,
) -> None:  # fmt: skip
    """Killed before, it was written down and not made; killed after, it is met again: the mark by its token, an
    eviction by the uid of the pod that is gone."""
    healed_by(installed, namespace, way.rung())
    kubeconfig = service_account(installed, tmp_path, proxy.url)
    with running_operator(kubeconfig, tmp_path / "first.log") as first:
        proxy.strike = strike = Strike(Nth(way.label), when, first.kill)
        trouble(1, deployment="api")
        assert strike.done.wait(90), way.label
        first.process.wait(10)
    with running_operator(kubeconfig, tmp_path / "second.log"):
        restarted_once(installed, namespace, way, trouble)


def test_a_deployment_that_is_replaced_while_the_mark_is_on_its_way_does_not_get_it(
    installed: Plane,
    namespace: str,
    source: str,
    proxy: FaultProxy,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    """The newcomer, of which the alert speaks as well, has an incident of its own."""
    healed_by(installed, namespace, MARK.rung(), NEXT)
    old = installed.get("deployment", "api", namespace)["metadata"]["uid"]
    proxy.strike = strike = Strike(Nth(MARK.label), "held", replaced(installed, deployment(namespace, "api")))

    def of_the_old() -> list[tuple[str, str | None]]:
        found = [i for i in installed.all("incidents", namespace) if i["spec"]["target"]["uid"] == old]
        return [step for step in outcomes(found[0].get("status", {})) if step[1] is not None] if found else []

    with running_operator(service_account(installed, tmp_path, proxy.url), tmp_path / "operator.log"):
        trouble(1, deployment="api")
        assert eventually(of_the_old, "what became of it", 120) == [("restart", "Superseded")]
    assert strike.answer in (409, 422)


def test_a_pod_that_is_replaced_while_its_eviction_is_on_its_way_stays(
    installed: Plane,
    namespace: str,
    source: str,
    proxy: FaultProxy,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    """Of a StatefulSet the newcomer has the old one's name."""
    installed.apply(workload("StatefulSet", namespace))
    installed.apply(policy(namespace, EVICTIONS.rung(), target={"kind": "StatefulSet"}))
    uid = lambda: installed.get("pod", "db-2", namespace).get("metadata", {}).get("uid")  # noqa: E731
    eventually(lambda: installed.get("statefulset", "db", namespace)["status"].get("readyReplicas") == 3, "three pods")
    old = uid()

    def replace() -> None:
        installed.must("delete", "pod", "db-2", "-n", namespace, "--wait=true")
        eventually(lambda: uid() not in (None, old), "the new one")

    proxy.strike = strike = Strike(Nth(EVICTIONS.label), "held", replace)
    with running_operator(service_account(installed, tmp_path, proxy.url), tmp_path / "operator.log"):
        trouble(1, statefulset="db")
        eventually(lambda: len(evicted(installed, namespace)) == 2, "the others to be evicted", 120)
    assert strike.answer in (404, 409)
    assert evicted(installed, namespace) == ["db-1", "db-0"]


def test_a_restart_for_which_the_quota_has_no_room_fails_and_says_what_it_waited_for(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    healed_by(installed, namespace, MARK.rung("20s"), NEXT, strategy={"rollingUpdate": {"maxUnavailable": 0}})
    installed.apply(quota(namespace, pods="3"))
    in_force(installed, namespace)
    trouble(1, deployment="api")
    eventually(lambda: len(outcomes(status(installed, namespace))) == 2, "the next rung", 120)
    step = status(installed, namespace)["steps"][0]
    assert (step["action"], step["outcome"]) == ("restart", "Failed")
    assert "exceeded quota" in step["message"]
    assert installed.get("deployment", "api", namespace)["status"]["readyReplicas"] == 3, "nobody is without pods"


@BOTH
def test_what_a_webhook_denies_is_said_and_the_next_rung_comes(
    way: Way, installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    healed_by(installed, namespace, way.rung("20s"), NEXT)
    with asked(installed, namespace, way) as webhook:
        if way is MARK:
            denied(installed, namespace, webhook, "restart", trouble)
        else:
            not_let_go(installed, namespace, webhook, trouble)
    assert effects(installed, namespace) == []


def not_let_go(plane: Plane, namespace: str, webhook: Webhook, trouble: Trouble) -> None:
    """An eviction that is denied may be allowed a moment later, as by a budget: it has the rung's time."""
    webhook.mood = "denies"
    trouble(1, deployment="api")
    eventually(lambda: len(outcomes(status(plane, namespace))) == 2, "the next rung", 120)
    step = status(plane, namespace)["steps"][0]
    assert (step["outcome"], bool(webhook.asked)) == ("Failed", True)
    assert "could not be carried out in time" in step["message"]


@BOTH
def test_a_webhook_that_does_not_answer_delays_the_restart_and_nothing_else(
    way: Way, installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    healed_by(installed, namespace, way.rung())
    with asked(installed, namespace, way) as webhook:
        hung(installed, namespace, webhook, trouble)
        restarted_once(installed, namespace, way, trouble)


def asked(plane: Plane, namespace: str, way: Way) -> Any:
    return admission_webhook(plane, namespace, way.guarded.group, way.guarded.resource, way.guarded.operation)


@pytest.fixture
def full(installed: Plane) -> Iterator[Callable[[], None]]:
    """Have no node take a new pod, until the test is over."""
    names = [node["metadata"]["name"] for node in installed.all("nodes")]
    yield lambda: [installed.must("cordon", name) for name in names] and None
    for name in names:
        installed.must("uncordon", name)


def test_pods_that_never_get_ready_fail_the_restart_and_the_old_ones_stay(
    installed: Plane, namespace: str, operator: OperatorProcess, full: Callable[[], None], trouble: Trouble
) -> None:
    healed_by(installed, namespace, MARK.rung("20s"), NEXT, strategy={"rollingUpdate": {"maxUnavailable": 0}})
    full()
    trouble(1, deployment="api")
    eventually(lambda: len(outcomes(status(installed, namespace))) == 2, "the next rung", 120)
    step = status(installed, namespace)["steps"][0]
    assert (step["action"], step["outcome"]) == ("restart", "Failed")
    assert "1 of 3 pods updated, 3 ready" in step["message"]
    assert effects(installed, namespace) == MARK.made


def test_a_pod_that_never_ends_fails_the_restart_and_the_others_stay(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble
) -> None:
    installed.apply(workload("StatefulSet", namespace))
    rung = {**EVICTION, "timeout": "20s"}
    installed.apply(policy(namespace, rung, NEXT, target={"kind": "StatefulSet"}))
    eventually(lambda: installed.get("statefulset", "db", namespace)["status"].get("readyReplicas") == 3, "three pods")
    finalizers(installed, namespace, "db-2", ["example.com/keep"])
    trouble(1, statefulset="db")
    eventually(lambda: len(outcomes(status(installed, namespace))) == 2, "the next rung", 120)
    step = status(installed, namespace)["steps"][0]
    assert (step["outcome"], evicted(installed, namespace)) == ("Failed", ["db-2"])
    assert "on its way out: db-2" in step["message"]
    finalizers(installed, namespace, "db-2", None)
