"""Retention with the operator's own rights: what is over goes, what owes stays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from goldseam.adapters.clock import SystemClock
from goldseam.adapters.kube import connect
from goldseam.services.retention import Retention
from tests.support.objects_on_cluster import deployment, policy, response, running
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]


class Later(SystemClock):
    """The clock of an operator that has run for 40 days."""

    def now(self) -> datetime:
        return super().now() + timedelta(days=40)


def tidied(kubeconfig: Path) -> int:
    """One round of retention."""

    async def tidy() -> int:
        async with connect(str(kubeconfig), "goldseam/test") as cluster:
            return await Retention(cluster, Later()).round()

    return asyncio.run(tidy())


def about(name: str) -> dict[str, Any]:
    """The alert of one Deployment, and of no other."""
    return {"name": "Trouble", "matchers": [f'deployment="{name}"']}


def test_after_its_time_an_incident_goes_with_its_responses_and_one_that_owes_stays(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Trouble, operator_kubeconfig: Path
) -> None:
    def incidents() -> dict[str, dict[str, Any]]:
        return {i["spec"]["target"]["name"]: i for i in installed.all("incidents", namespace)}

    installed.apply(deployment(namespace, "over"), deployment(namespace, "owes"))
    installed.apply(
        policy(namespace, {"wait": {"duration": "1s"}}, name="over", alert=about("over"), mode="Observe"),
        policy(namespace, {"scale": {"replicas": 5}, "timeout": "120s"}, name="owes", alert=about("owes")),
    )
    running(installed, namespace, "owes", 3)
    trouble(1, deployment="over")
    eventually(lambda: "over" in incidents(), "the incident")
    trouble(0, deployment="over")

    def ended() -> dict[str, Any]:
        found = incidents()["over"]
        return found if found.get("status", {}).get("closedAt") else {}

    over = eventually(ended, "its end")
    trouble(1, deployment="owes")
    running(installed, namespace, "owes", 5)
    me = installed.must("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    word = json.dumps(response(over, "Acknowledge", me))
    installed.must("create", "-f", "-", input=word)
    assert tidied(operator_kubeconfig) >= 1, "it is the whole cluster's round: other tests leave incidents, too"
    assert list(incidents()) == ["owes"]
    assert installed.all("responses", namespace) == []
    tidied(operator_kubeconfig)
    assert list(incidents()) == ["owes"], "however often"
