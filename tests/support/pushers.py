"""The real Prometheus and the real Alertmanager, set to push as docs/how-to/push.md says."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.support.plane import Plane, eventually
from tests.support.pushing import configured

Json = Any
NAMES = "ApiHighErrorRate|WorkerBacklog"
"""The alerts that the documents' examples let through."""


def prometheus_config(ports: list[int], token: Path, names: str = NAMES) -> Json:
    """The documents' Alertmanager for `prometheus.yml`, at these ports of this machine instead of a name in DNS."""
    (found,) = yaml.safe_load(configured("prometheus.yml"))["alerting"]["alertmanagers"]
    del found["dns_sd_configs"]
    found["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
    found["authorization"]["credentials_file"] = str(token)
    found["alert_relabel_configs"][0]["regex"] = names
    return found


def alertmanager_config(url: str, token: Path, people: str = "", names: str = NAMES) -> Json:
    """The documents' `alertmanager.yml`, with Goldseam at this URL; `people` is a webhook's URL, if there is one."""
    found = yaml.safe_load(configured("alertmanager.yml"))
    ours, (theirs, goldseam) = found["route"]["routes"][0], found["receivers"]
    ours["matchers"] = [f'alertname=~"{names}"']
    (webhook,) = goldseam["webhook_configs"]
    webhook["url"] = url + "/webhook"
    webhook["http_config"]["authorization"]["credentials_file"] = str(token)
    if people:
        theirs["webhook_configs"] = [{"url": people}]
        found["route"] |= {"group_wait": "0s", "group_by": ["..."]}  # what other tests left firing makes nobody wait
    return found


@contextmanager
def prometheus_pushes(plane: Plane, ports: list[int], token: Path, names: str = NAMES) -> Iterator[None]:
    """The control plane's Prometheus pushes also to these ports."""
    file = plane.home / "prometheus" / "prometheus.yml"
    before = file.read_text()
    config = json.loads(before)
    config["alerting"]["alertmanagers"].append(prometheus_config(ports, token, names))
    file.write_text(json.dumps(config))
    wanted = {f"127.0.0.1:{port}" for port in ports}
    try:
        plane.reload()
        # an alert that fires before they are taken in is sent to them a minute later
        eventually(lambda: wanted <= _receivers(plane), "Prometheus to know to whom it pushes")
        yield
    finally:
        file.write_text(before)
        plane.reload()


def _receivers(plane: Plane) -> set[str]:
    """Host and port of those to whom Prometheus sends alerts now."""
    with urllib.request.urlopen(f"{plane.prometheus}/api/v1/alertmanagers", timeout=10) as answer:
        active = json.load(answer)["data"]["activeAlertmanagers"]
    return {urlsplit(each["url"]).netloc for each in active}


@contextmanager
def alertmanager_routes(plane: Plane, config: Json) -> Iterator[None]:
    """The control plane's Alertmanager works by this configuration."""
    file = plane.home / "alertmanager" / "alertmanager.yml"
    before = file.read_text()
    file.write_text(json.dumps(config))
    try:
        _reload(plane)
        yield
    finally:
        file.write_text(before)
        _reload(plane)


def _reload(plane: Plane) -> None:
    request = urllib.request.Request(plane.env["ALERTMANAGER_URL"] + "/-/reload", method="POST")
    urllib.request.urlopen(request, timeout=30).close()


def notification_errors(plane: Plane, port: int) -> float:
    """How many pushes to this port Prometheus counts as failed."""
    with urllib.request.urlopen(plane.prometheus + "/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = [
        line for line in lines if line.startswith("prometheus_notifications_errors_total{") and f":{port}/" in line
    ]
    assert found, "Prometheus does not know the port"
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)
