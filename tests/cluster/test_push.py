"""Hints: the real Prometheus and the real Alertmanager push, as the documents say; the truth is read, and it decides.

The source's interval is five minutes, longer than any wait here: whatever is seen in time was seen because of a push.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.support.objects_on_cluster import (
    alert_source,
    condition,
    deployment,
    effects,
    policy,
    running,
    source_says,
    status,
)
from tests.support.operator_process import OperatorProcess, free_port, standing_by
from tests.support.operator_process import running as running_operator
from tests.support.plane import Plane, eventually
from tests.support.pushers import alertmanager_config, alertmanager_routes, notification_errors, prometheus_pushes
from tests.support.pushing import TOKEN, alert, push, webhook

Trouble = Callable[..., None]
WOKEN = r"goldseam_source_reads_woken_total\S*"
ALERT = "ApiHighErrorRate"
RUNG = {"scale": {"replicas": 4}, "timeout": "10m"}


def requests(form: str, outcome: str) -> str:
    return rf"goldseam_receiver_requests_total\{{form=\"{form}\",outcome=\"{outcome}\"\}}"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    return file


@pytest.fixture
def settings(token: Path) -> dict[str, str]:
    """An operator's that receives hints."""
    return {"receiver_port": str(free_port()), "receiver_host": "127.0.0.1", "receiver_token_file": str(token)}


@pytest.fixture
def port(settings: dict[str, str]) -> int:
    return int(settings["receiver_port"])


@pytest.fixture
def ready(installed: Plane, namespace: str, trouble: Trouble) -> None:
    """The rule, its workload, a policy, and a source that is read every five minutes."""
    trouble(0, alert=ALERT, deployment="api")
    installed.apply(alert_source(installed.prometheus, interval="5m"))
    installed.apply(deployment(namespace, "api"), policy(namespace, RUNG, alert={"name": ALERT}))
    running(installed, namespace, "api", 3)


@pytest.fixture
def receiving(
    installed: Plane,
    namespace: str,
    ready: None,
    operator_kubeconfig: Path,
    settings: dict[str, str],
    tmp_path: Path,
) -> Iterator[OperatorProcess]:
    """An operator that has read its source once, and knows of the policy: else a push is passed over, and Prometheus
    sends the next one after a minute."""
    with running_operator(operator_kubeconfig, tmp_path / "operator.log", **settings) as process:
        eventually(lambda: source_says(installed, "SourceReachable")[0] == "True", "the source to be read")
        eventually(lambda: condition(installed, "rempol", "heal", namespace, "Ready"), "the policy to be known")
        yield process


def pushed(port: int, body: Any, path: str = "/api/v2/alerts", token: str = TOKEN) -> int:
    """The status of one push of our own."""
    return asyncio.run(push(f"http://127.0.0.1:{port}", body, path, token))[0]


def test_a_push_of_the_real_prometheus_is_acted_on_though_the_source_is_read_every_five_minutes(
    installed: Plane, namespace: str, receiving: OperatorProcess, trouble: Trouble, token: Path, port: int
) -> None:
    with prometheus_pushes(installed, [port], token):
        trouble(1, alert=ALERT, deployment="api")
        running(installed, namespace, "api", 4)
        assert notification_errors(installed, port) == 0
    assert effects(installed, namespace) == ["patch deployments/scale"]
    assert receiving.metric(WOKEN) >= 1


def test_a_webhook_of_the_real_alertmanager_is_acted_on_and_people_are_paged_as_ever(
    installed: Plane, namespace: str, receiving: OperatorProcess, trouble: Trouble, token: Path, port: int
) -> None:
    paged: list[str] = []

    class People(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paged.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), People)
    Thread(target=server.serve_forever, daemon=True).start()
    config = alertmanager_config(f"http://127.0.0.1:{port}", token, f"http://127.0.0.1:{server.server_address[1]}")
    with alertmanager_routes(installed, config):
        trouble(1, alert=ALERT, deployment="api")
        running(installed, namespace, "api", 4)
        eventually(lambda: any(namespace in page for page in paged), "people to be paged")
    server.shutdown()
    assert effects(installed, namespace) == ["patch deployments/scale"]
    assert receiving.metric(requests("webhook", "taken")) >= 1


def test_a_forged_push_opens_nothing_and_ends_nothing(
    installed: Plane, namespace: str, receiving: OperatorProcess, trouble: Trouble, token: Path, port: int
) -> None:
    def read_again(body: Any, path: str) -> None:
        before = receiving.metric(WOKEN)

        def woken() -> bool:  # a push for a policy that the operator has not seen yet is passed over
            assert pushed(port, body, path) == 200
            return receiving.metric(WOKEN) > before

        eventually(woken, "the truth to be read")

    forged = alert(ALERT, namespace=namespace, deployment="api")
    for _ in range(2):
        read_again([forged], "/api/v2/alerts")
        read_again(webhook({**forged, "status": "firing"}), "/webhook")
    assert status(installed, namespace) == {}
    trouble(1, alert=ALERT, deployment="api")
    eventually(lambda: pushed(port, [forged]) == 200 and status(installed, namespace), "the real one to be seen")
    running(installed, namespace, "api", 4)
    ended = {**forged, "status": "resolved", "endsAt": datetime(2026, 1, 1, tzinfo=UTC).isoformat()}
    for _ in range(3):
        read_again([ended], "/api/v2/alerts")
        read_again(webhook(ended, status="resolved"), "/webhook")
    found = status(installed, namespace)
    assert (found["phase"], found["verdict"]["state"], found["verdict"]["fresh"]) == ("Fixing", "Firing", True)
    assert effects(installed, namespace) == ["patch deployments/scale"]


def test_a_wrong_token_is_refused_and_a_token_is_exchanged_without_a_restart(
    receiving: OperatorProcess, token: Path, port: int
) -> None:
    new = "the-next-token-of-these-tests"
    assert (pushed(port, [alert()]), pushed(port, [alert()], token=new)) == (200, 401)
    token.write_text(f"{TOKEN}\n{new}\n")
    eventually(lambda: pushed(port, [alert()], token=new) == 200, "the new token to be taken")
    assert pushed(port, [alert()]) == 200, "both are valid for a while"
    token.write_text(new)
    eventually(lambda: pushed(port, [alert()]) == 401, "the old token to be refused")
    assert pushed(port, [alert()], token=new) == 200


def test_with_two_replicas_the_one_that_leads_acts_and_the_other_is_no_failure(
    installed: Plane,
    namespace: str,
    receiving: OperatorProcess,
    operator_kubeconfig: Path,
    settings: dict[str, str],
    trouble: Trouble,
    token: Path,
    port: int,
    tmp_path: Path,
) -> None:
    other = free_port()
    options = settings | {"receiver_port": str(other)}
    with (
        standing_by(operator_kubeconfig, tmp_path / "second.log", **options) as second,
        prometheus_pushes(installed, [other, port], token),
    ):
        trouble(1, alert=ALERT, deployment="api")
        running(installed, namespace, "api", 4)
        eventually(lambda: second.metric(requests("alerts", "standby")), "the other to have dropped its own")
        assert (notification_errors(installed, other), notification_errors(installed, port)) == (0, 0)
        assert pushed(other, webhook(alert(ALERT)), "/webhook") == 503, "Alertmanager tries again"
        receiving.kill()
        eventually(second.ready, "the other to lead")
        assert pushed(other, webhook(alert(ALERT)), "/webhook") == 200
    assert effects(installed, namespace) == ["patch deployments/scale"]
