"""One rule, many nodes: another node's alert is not taken for this one's, on the real Prometheus and API server."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.cluster.test_drain_ends import incident_of
from tests.support.objects_on_cluster import cluster_policy, forgotten
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually
from tests.support.sampling import SLOW

Json = dict[str, Any]


def states(plane: Plane, node: str) -> list[str]:
    """The states of the node's alerts, as Prometheus shows them."""
    with urllib.request.urlopen(f"{plane.prometheus}/api/v1/alerts", timeout=10) as answer:
        alerts = json.load(answer)["data"]["alerts"]
    mine = (a for a in alerts if (a["labels"]["alertname"], a["labels"].get("node")) == ("NodeSick", node))
    return [alert["state"] for alert in mine]


@SLOW
def test_a_node_that_is_well_again_is_given_back_while_another_ones_alert_is_pending(
    installed: Plane, namespace: str, operator: OperatorProcess, trouble: Callable[..., None]
) -> None:
    sick, suspected = "node-1", "node-2"
    sure, unsure = (f'trouble{{about="Feed", sure="{sure}"}} > 0' for sure in ("yes", "no"))
    rules: list[Json] = [{"alert": "NodeSick", "expr": sure}, {"alert": "NodeSick", "expr": unsure, "for": "40s"}]
    installed.rules(f"{namespace}-sick", rules)
    try:
        settled = {"resolve": {"after": "15s", "revertAfter": "2s"}}
        installed.apply(cluster_policy("sick", {"cordon": {}, "timeout": "5m"}, alert={"name": "NodeSick"}, **settled))
        trouble(1, alert="Feed", node=sick, sure="yes")
        eventually(lambda: installed.get("node", sick)["spec"].get("unschedulable"), "the node to be cordoned", 60)
        trouble(0, alert="Feed", node=sick, sure="yes")
        eventually(lambda: incident_of(installed, sick).get("phase") == "Monitoring", "the alert to be gone", 90)
        trouble(1, alert="Feed", node=suspected, sure="no")
        eventually(lambda: states(installed, suspected) == ["pending"], "the other alert to be pending", 30)
        eventually(lambda: incident_of(installed, sick).get("phase") == "Resolved", "the end", 60)
        assert states(installed, suspected) == ["pending"], "still"
        eventually(lambda: not installed.get("node", sick)["spec"].get("unschedulable"), "the node to be back")
        trouble(0, alert="Feed", node=suspected, sure="no")
        eventually(lambda: incident_of(installed, sick).get("owes") == 0, "nothing to be owed")
        assert [step["outcome"] for step in incident_of(installed, sick)["steps"]] == ["Passed", "Undone"]
        assert not installed.get("node", suspected)["spec"].get("unschedulable")
        assert incident_of(installed, suspected) == {}
        forgotten(installed)
    finally:
        installed.rules(f"{namespace}-sick", [])
