"""The faults of the API server and of the operator, for the writes that are no plain change of a target: a value of a
ConfigMap that is put back, and a Job that is made and then let run. The audit log is the judge: each write takes effect
once, what is owed is paid, and what is refused is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.test_jobs import JOB, complete, cron_job, jobs
from tests.cluster.test_jobs import heal as heal_by_job
from tests.cluster.test_patch_config import PATCH, settings, value, world
from tests.faults.test_quotas import in_force, quota
from tests.support.admission import NAME, SAYS, Webhook, admission_webhook
from tests.support.faults import Delayed, Seen, dropped, refused
from tests.support.objects_on_cluster import (
    effects,
    incident,
    outcomes,
    policy,
    reached,
    refusals,
    running,
    status,
)
from tests.support.operator_process import OperatorProcess, service_account
from tests.support.operator_process import running as running_operator
from tests.support.pieces import ACCOUNT
from tests.support.plane import Plane, eventually
from tests.support.proxy import FaultProxy, Strike, When, fault_proxy

Trouble = Callable[..., None]
Json = dict[str, Any]
SLOW: Json = {**PATCH, "timeout": "180s"}
SLOW_JOB: Json = {**JOB, "timeout": "180s"}
NEXT: Json = {"wait": {"duration": "1m"}}
SET, READ = "patch configmaps", "patch deployments"
RUN_ONCE = ["create jobs", "patch jobs"]


@pytest.fixture
def proxy(installed: Plane) -> Iterator[FaultProxy]:
    with fault_proxy(installed) as between:
        yield between


@dataclass
class Nth:
    """The request of that label that comes as so-manieth, from 1, and those after it."""

    label: str
    nth: int = 1
    _seen: int = 0

    def __call__(self, seen: Seen) -> bool:
        self._seen += seen.label == self.label
        return seen.label == self.label and self._seen >= self.nth


def configured(plane: Plane, namespace: str, *ladder: Json) -> None:
    """A Deployment that reads a ConfigMap, and a policy that sets a value there."""
    plane.apply(*world(namespace), policy(namespace, *ladder, serviceAccountName=ACCOUNT))
    running(plane, namespace, "api", 3)


def set_and_put_back(plane: Plane, namespace: str, trouble: Trouble) -> None:
    """The value is there and read, and after the end the old one."""
    eventually(lambda: effects(plane, namespace)[:2] == [SET, READ], "the value and the restart", 120)
    running(plane, namespace, "api", 3)
    trouble(0, deployment="api")
    found = reached(plane, namespace, "Resolved")
    assert outcomes(found) == [("patchConfig", "Passed")]
    eventually(lambda: status(plane, namespace).get("owes", 0) == 0, "the value to be put back", 120)
    assert value(plane, namespace) == "info"
    assert effects(plane, namespace) == [SET, READ] * 2


def ran_once(plane: Plane, namespace: str, trouble: Trouble) -> None:
    """One Job was made, and let run."""
    complete(plane, namespace)
    trouble(0, deployment="api")
    found = reached(plane, namespace, "Resolved")
    assert outcomes(found) == [("job", "Passed")]
    assert effects(plane, namespace) == RUN_ONCE


ANSWERS = {
    "lost": (dropped(), 1),
    "late": (Delayed(12), 1),
    "conflicts": (refused(409, "Conflict"), 3),
    "errors": (refused(500, "InternalError"), 3),
}
WRITES = [("PATCH configmaps", 1), ("PATCH deployments", 1), ("PATCH configmaps", 2), ("PATCH deployments", 2)]
OF_THE_VALUE = pytest.mark.parametrize(
    ("label", "nth"), WRITES, ids=["the value", "its restart", "the old value", "the restart after it"]
)


@OF_THE_VALUE
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_value_is_set_and_put_back_once_however_badly_it_is_answered(
    label: str, nth: int, answer: str, pieces: Plane, namespace: str, source: str, proxy: FaultProxy,
    trouble: Trouble, tmp_path: Path,
) -> None:  # fmt: skip
    configured(pieces, namespace, SLOW)
    effect, times = ANSWERS[answer]
    proxy.strike = strike = Strike(Nth(label, nth), effect, times=times)
    with running_operator(service_account(pieces, tmp_path, proxy.url), tmp_path / "operator.log"):
        trouble(1, deployment="api")
        set_and_put_back(pieces, namespace, trouble)
    assert len(strike.struck) == times


@OF_THE_VALUE
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_operator_sets_a_value_and_puts_it_back_once(
    label: str, nth: int, when: When, pieces: Plane, namespace: str, source: str, proxy: FaultProxy,
    trouble: Trouble, tmp_path: Path,
) -> None:  # fmt: skip
    """Killed before, it was written down and not made; killed after, it is met again by the same token."""
    configured(pieces, namespace, SLOW)
    kubeconfig = service_account(pieces, tmp_path, proxy.url)
    with running_operator(kubeconfig, tmp_path / "first.log") as first:
        proxy.strike = strike = Strike(Nth(label, nth), when, first.kill)
        trouble(1, deployment="api")
        if nth == 2:
            eventually(lambda: effects(pieces, namespace) == [SET, READ], "the value and the restart")
            running(pieces, namespace, "api", 3)
            trouble(0, deployment="api")
        assert strike.done.wait(90), label
        first.process.wait(10)
    with running_operator(kubeconfig, tmp_path / "second.log"):
        set_and_put_back(pieces, namespace, trouble)


@pytest.mark.parametrize("label", ["POST jobs", "PATCH jobs"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_job_is_made_and_let_run_once_however_badly_it_is_answered(
    label: str, answer: str, with_jobs: Plane, allowed: str, source: str, proxy: FaultProxy,
    trouble: Trouble, tmp_path: Path,
) -> None:  # fmt: skip
    with_jobs.apply(heal_by_job(allowed, SLOW_JOB))
    effect, times = ANSWERS[answer]
    proxy.strike = strike = Strike(Nth(label), effect, times=times)
    with running_operator(service_account(with_jobs, tmp_path, proxy.url), tmp_path / "operator.log"):
        trouble(1, deployment="api")
        ran_once(with_jobs, allowed, trouble)
    assert len(strike.struck) == times


def replaced(plane: Plane, body: Json) -> Callable[[], None]:
    """The object is deleted, and another one of its name is created."""

    def replace() -> None:
        meta = body["metadata"]
        plane.must("delete", body["kind"], meta["name"], "-n", meta["namespace"], "--wait=true")
        plane.apply(body)

    return replace


def test_a_config_map_that_is_replaced_while_the_value_is_on_its_way_is_left_alone(
    pieces: Plane,
    namespace: str,
    source: str,
    proxy: FaultProxy,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    configured(pieces, namespace, SLOW, NEXT)
    proxy.strike = strike = Strike(Nth("PATCH configmaps"), "held", replaced(pieces, settings(namespace)))
    with running_operator(service_account(pieces, tmp_path, proxy.url), tmp_path / "operator.log"):
        trouble(1, deployment="api")
        found = reached(pieces, namespace, "Escalated")
    assert strike.answer in (409, 422)
    assert outcomes(found) == [("patchConfig", "Superseded")]
    assert [debt["state"] for debt in found["obligations"]] == ["Void"]
    assert (effects(pieces, namespace), value(pieces, namespace)) == ([], "info")


def test_a_cron_job_that_is_replaced_while_its_job_is_on_its_way_is_planned_anew_and_one_job_runs(
    with_jobs: Plane,
    allowed: str,
    source: str,
    proxy: FaultProxy,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    """The API server takes a Job whose owner is gone: it is never let run, and the garbage collector takes it."""
    with_jobs.apply(heal_by_job(allowed, SLOW_JOB))
    proxy.strike = strike = Strike(Nth("POST jobs"), "held", replaced(with_jobs, cron_job(allowed)))
    with running_operator(service_account(with_jobs, tmp_path, proxy.url), tmp_path / "operator.log"):
        trouble(1, deployment="api")
        eventually(lambda: effects(with_jobs, allowed).count("patch jobs") == 1, "a Job to be let run", 90)
        uid = with_jobs.get("cronjob", "restore", allowed)["metadata"]["uid"]
        of_the_new = [j for j in jobs(with_jobs, allowed) if j["metadata"]["ownerReferences"][0]["uid"] == uid]
        assert [job["spec"]["suspend"] for job in of_the_new] == [False]
        steps = status(with_jobs, allowed)["steps"]
    assert strike.answer == 201
    assert [step.get("outcome") for step in steps][:2] == ["NotTaken", None]
    assert effects(with_jobs, allowed) == ["create jobs", *RUN_ONCE]


def test_a_job_that_is_replaced_while_its_release_is_on_its_way_does_not_run_and_people_are_told(
    with_jobs: Plane,
    allowed: str,
    source: str,
    proxy: FaultProxy,
    trouble: Trouble,
    tmp_path: Path,
) -> None:
    with_jobs.apply(heal_by_job(allowed, SLOW_JOB, NEXT))

    def replace() -> None:
        (job,) = jobs(with_jobs, allowed)
        meta = {key: job["metadata"][key] for key in ("name", "namespace", "annotations", "ownerReferences")}
        spec = {"suspend": True, "template": {"spec": job["spec"]["template"]["spec"]}}
        replaced(with_jobs, {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec})()

    proxy.strike = strike = Strike(Nth("PATCH jobs"), "held", replace)
    with running_operator(service_account(with_jobs, tmp_path, proxy.url), tmp_path / "operator.log"):
        trouble(1, deployment="api")
        found = reached(with_jobs, allowed, "Escalated")
    assert strike.answer in (409, 422)
    assert "whether it ran is not known" in found["steps"][0]["message"]
    assert effects(with_jobs, allowed) == ["create jobs"]


def test_a_job_for_which_the_quota_has_no_room_is_refused_with_its_words_and_the_next_rung_comes(
    with_jobs: Plane,
    allowed: str,
    operator: OperatorProcess,
    trouble: Trouble,
) -> None:
    with_jobs.apply(quota(allowed, **{"count/jobs.batch": "0"}), heal_by_job(allowed, SLOW_JOB, NEXT))
    in_force(with_jobs, allowed)
    trouble(1, deployment="api")
    eventually(lambda: len(outcomes(status(with_jobs, allowed))) == 2, "the next rung", 90)
    assert outcomes(status(with_jobs, allowed))[0] == ("job", "Refused")
    assert "exceeded quota" in status(with_jobs, allowed)["steps"][0]["message"]
    assert effects(with_jobs, allowed) == []


@dataclass(frozen=True)
class Guarded:
    """A write that a webhook is asked about."""

    group: str
    resource: str
    operation: str
    before: list[str]
    """What was written before it, and stays."""


CONFIG = Guarded("", "configmaps", "UPDATE", [])
CREATED = Guarded("batch", "jobs", "CREATE", [])
RELEASED = Guarded("batch", "jobs", "UPDATE", ["create jobs"])


def asked(plane: Plane, namespace: str, write: Guarded) -> Any:
    return admission_webhook(plane, namespace, write.group, write.resource, write.operation)


def test_a_value_that_a_webhook_denies_is_not_owed_and_the_next_rung_comes(
    pieces: Plane,
    namespace: str,
    operator: OperatorProcess,
    trouble: Trouble,
) -> None:
    configured(pieces, namespace, SLOW, NEXT)
    with asked(pieces, namespace, CONFIG) as webhook:
        denied(pieces, namespace, webhook, "patchConfig", trouble)
    assert [debt["state"] for debt in status(pieces, namespace)["obligations"]] == ["Void"]
    assert (effects(pieces, namespace), value(pieces, namespace)) == ([], "info")


@pytest.mark.parametrize("write", [CREATED, RELEASED], ids=["made", "let run"])
def test_a_job_that_a_webhook_denies_does_not_run_and_the_next_rung_comes(
    write: Guarded,
    with_jobs: Plane,
    allowed: str,
    operator: OperatorProcess,
    trouble: Trouble,
) -> None:
    with_jobs.apply(heal_by_job(allowed, SLOW_JOB, NEXT))
    with asked(with_jobs, allowed, write) as webhook:
        denied(with_jobs, allowed, webhook, "job", trouble)
    assert effects(with_jobs, allowed) == write.before
    left = "was made, but never let run: delete it" in status(with_jobs, allowed)["steps"][0]["message"]
    assert left is bool(write.before)


def denied(plane: Plane, namespace: str, webhook: Webhook, action: str, trouble: Trouble) -> None:
    """The rung is refused, and who denied it is said; the words of a webhook may be anything, and are not repeated."""
    webhook.mood = "denies"
    trouble(1, deployment="api")
    eventually(lambda: len(outcomes(status(plane, namespace))) == 2, "the next rung", 90)
    assert outcomes(status(plane, namespace))[0] == (action, "Refused")
    assert webhook.asked
    message = status(plane, namespace)["steps"][0]["message"]
    assert f"the admission webhook {NAME} denied it" in message
    assert SAYS not in message


def test_a_value_whose_webhook_does_not_answer_is_set_and_put_back_once_it_does(
    pieces: Plane,
    namespace: str,
    operator: OperatorProcess,
    trouble: Trouble,
) -> None:
    configured(pieces, namespace, SLOW)
    with asked(pieces, namespace, CONFIG) as webhook:
        hung(pieces, namespace, webhook, trouble)
        set_and_put_back(pieces, namespace, trouble)


@pytest.mark.parametrize("write", [CREATED, RELEASED], ids=["made", "let run"])
def test_a_job_whose_webhook_does_not_answer_runs_once_when_it_does(
    write: Guarded,
    with_jobs: Plane,
    allowed: str,
    operator: OperatorProcess,
    trouble: Trouble,
) -> None:
    with_jobs.apply(heal_by_job(allowed, SLOW_JOB))
    with asked(with_jobs, allowed, write) as webhook:
        hung(with_jobs, allowed, webhook, trouble)
        ran_once(with_jobs, allowed, trouble)


def hung(plane: Plane, namespace: str, webhook: Webhook, trouble: Trouble) -> None:
    """The API server has given up waiting for it, more than once, and nothing has come of that."""
    webhook.mood = "hangs"
    trouble(1, deployment="api")
    eventually(lambda: sum(text.startswith("500 ") for text in refusals(plane, namespace)) >= 2, "two answers", 90)
    assert incident(plane, namespace)["status"]["phase"] == "Fixing"
    webhook.mood = "allows"
