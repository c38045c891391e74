"""What a leader sends that hung and was deposed is refused by the API server; the audit log shows it."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.objects_on_cluster import (
    deployment,
    effects,
    incident,
    outcomes,
    policy,
    reached,
    refusals,
    running,
    status,
)
from tests.support.operator_process import OperatorProcess, service_account, standing_by
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.proxy import Seen, Strike, fault_proxy

Trouble = Callable[..., None]


class Hangs:
    """The leader is stopped when it sends a certain write, which stays on the way until it is let go."""

    def __init__(self, leader: OperatorProcess, at: Callable[[Seen], bool]) -> None:
        self._leader, self._at, self._go = leader, at, threading.Event()
        self.write: Seen | None = None
        self.strike = Strike(self._is_it, "held", self._hang)

    def _is_it(self, seen: Seen) -> bool:
        self.write = seen if self._at(seen) else None
        return self.write is not None

    def _hang(self) -> None:
        self._leader.freeze()
        self._go.wait(240)

    def let_go(self) -> int:
        """Let the write arrive. Returns the status that the API server answers."""
        self._go.set()
        return eventually(lambda: self.strike.answer, "the late write to be answered")


def an_intent(seen: Seen) -> bool:
    steps = ((seen.body or {}).get("status") or {}).get("steps") or []
    return seen.label == "PATCH incidents/status" and any(step["phase"] == "Intended" for step in steps)


def leads(operator: OperatorProcess) -> None:
    eventually(operator.ready, "the other operator to lead")


def test_a_late_act_is_refused_though_the_value_is_again_what_it_was(
    installed: Plane, namespace: str, source: str, trouble: Trouble, tmp_path: Path
) -> None:
    """Between the late leader's reads and its write the new one has scaled up, and down again."""
    (tmp_path / "other").mkdir()
    other = service_account(installed, tmp_path / "other")
    with fault_proxy(installed) as proxy:
        account = service_account(installed, tmp_path, proxy.url)
        with (
            running_operator(account, tmp_path / "first.log") as first,
            standing_by(other, tmp_path / "second.log") as second,
        ):
            late = Hangs(first, lambda seen: seen.label == "PATCH deployments/scale")
            proxy.strike = late.strike
            ladder = {"scale": {"replicas": 5}, "timeout": "120s"}
            installed.apply(deployment(namespace, "worker"), policy(namespace, ladder))
            running(installed, namespace, "worker", 3)
            trouble(1, deployment="worker")
            assert late.strike.done.wait(60)
            leads(second)
            running(installed, namespace, "worker", 5)
            trouble(0, deployment="worker")
            reached(installed, namespace, "Resolved")
            eventually(lambda: status(installed, namespace)["owes"] == 0, "the debt to be paid")
            assert late.let_go() == 409
            first.thaw()
            assert first.process.wait(60) == 1
    assert installed.get("deployment", "worker", namespace)["spec"]["replicas"] == 3
    assert effects(installed, namespace) == ["patch deployments/scale"] * 2
    assert refusals(installed, namespace).count("409 patch deployments/scale") == 1


def test_a_late_intent_is_refused_on_an_incident_that_the_new_leader_has_only_marked(
    installed: Plane, namespace: str, source: str, trouble: Trouble, tmp_path: Path
) -> None:
    """The new leader cannot read the target, so that it has not got further than to write its number."""
    (tmp_path / "other").mkdir()
    unreadable = threading.Event()
    with fault_proxy(installed) as proxy, fault_proxy(installed) as before_second:
        reads = f"/namespaces/{namespace}/deployments"
        before_second.strike = Strike(lambda seen: reads in seen.path, "before", times=None, during=unreadable)
        account = service_account(installed, tmp_path, proxy.url)
        other = service_account(installed, tmp_path / "other", before_second.url)
        with (
            running_operator(account, tmp_path / "first.log") as first,
            standing_by(other, tmp_path / "second.log") as second,
        ):
            late = Hangs(first, an_intent)
            proxy.strike = late.strike
            installed.apply(
                deployment(namespace, "worker"), policy(namespace, {"scale": {"replicas": 5}, "timeout": "120s"})
            )
            running(installed, namespace, "worker", 3)
            trouble(1, deployment="worker")
            assert late.strike.done.wait(60)
            unreadable.set()
            before = incident(installed, namespace)["status"]
            leads(second)
            after = incident(installed, namespace)["status"]
            assert after == before | {"epoch": after["epoch"]}
            assert after["epoch"] > before["epoch"]
            assert late.let_go() in (409, 422)
            assert late.write is not None
            code, said = sent_again(account, late.write)
            assert code == 422, "also with the version of the object that is there now"
            assert "epoch" in said
            first.thaw()
            assert first.process.wait(60) == 1
            assert effects(installed, namespace) == []
            unreadable.clear()
            running(installed, namespace, "worker", 5)
            trouble(0, deployment="worker")
            found = reached(installed, namespace, "Resolved")
    assert outcomes(found) == [("scale", "Passed")]
    assert "422 patch incidents/status" in refusals(installed, namespace)


def sent_again(kubeconfig: Path, write: Seen) -> tuple[int, str]:
    """The same write, but with nothing that says which version of the object it is about; status and answer."""
    config = json.loads(kubeconfig.read_text())
    direct: dict[str, Any] = next(entry["cluster"] for entry in config["clusters"] if entry["name"] == "direct")
    body = {**write.body, "metadata": {}}
    request = urllib.request.Request(direct["server"] + write.path, json.dumps(body).encode(), method=write.method)
    request.add_header("Authorization", f"Bearer {config['users'][0]['user']['token']}")
    request.add_header("Content-Type", "application/merge-patch+json")
    authority = base64.b64decode(direct["certificate-authority-data"]).decode()
    tls = ssl.create_default_context(cadata=authority)
    try:
        with urllib.request.urlopen(request, context=tls, timeout=30) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
