"""A sample of the lying Prometheus (tests/faults has them all), and what looks like it and is none."""

from __future__ import annotations

from pathlib import Path

from tests.support.lying import world
from tests.support.objects_on_cluster import outcomes, reached
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually


def test_an_exporter_that_dies_in_a_healing_is_no_recovery_and_a_pod_that_is_gone_is(
    installed: Plane, namespace: str, operator: OperatorProcess, tmp_path: Path
) -> None:
    with world(installed, namespace, operator, tmp_path / "prometheus") as troubled:
        troubled.begin()
        troubled.exporter.kill()
        eventually(lambda: not troubled.prometheus.shown(), "the alert to be gone")
        troubled.stands_still("no alert is shown, but its input queue_size has no data: its target is down")
        troubled.exporter.shows = (
            f'queue_size{{namespace="{namespace}",deployment="other"}} 1',
            f'capacity{{namespace="{namespace}"}} 1',
        )
        troubled.exporter.start()  # it lives, and has nothing to say of what it does not see any more
        assert outcomes(reached(installed, namespace, "Resolved")) == [("scale", "Passed")]
