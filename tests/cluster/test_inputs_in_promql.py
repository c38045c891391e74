"""The questions about an input, answered by Prometheus' own engine on series of two hours (promtool's unit tests)."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from goldseam.engine.inputs import Questions, Window
from goldseam.engine.series import Selector
from tests.support.plane import Plane

INPUT = Selector("waiting", 'reason="CrashLoopBackOff"')
NARROW = ('namespace=~"|shop"',)
WINDOW = Window(begins=1800, began=1500)
"""It is asked after 120 minutes; the alert became active 25 minutes before, and its rule looked back 5."""
EVALUATED = datetime(1970, 1, 1, 1, 58, 30, tzinfo=UTC)
"""A minute and a half before: promtool's clock begins with that of Unix."""
WORKER = 'job="ksm",instance="a"'
SERIES = f'waiting{{{WORKER},namespace="shop",reason="CrashLoopBackOff"}}'
OTHER = f'waiting{{{WORKER},namespace="shop",reason="ContainerCreating"}}'
UP = f"up{{{WORKER}}}"
ALWAYS, DOWN = "1x120", "1x110 0x9"
ENDED, CAME, FLAPPED = "1x114 stale _x4", "_x92 1x20 _x8", "1x50 _x10 1x48 _x10"

CASES = {
    "alive": ({SERIES: ALWAYS, UP: ALWAYS}, {"has"}),
    "its target is down": ({SERIES: ENDED, UP: DOWN}, {"had", "down"}),
    "one of two targets is down": (
        {SERIES: ALWAYS, UP: ALWAYS, SERIES.replace('"a"', '"b"'): ENDED, UP.replace('"a"', '"b"'): DOWN},
        {"has", "down"},
    ),
    "a target that never fed it is down": ({SERIES: ALWAYS, UP: ALWAYS, 'up{job="x",instance="y"}': "0x120"}, {"has"}),
    "its target is gone": ({SERIES: ENDED, UP: ENDED}, {"had"}),
    "it was there always, and is not any more": ({SERIES: ENDED, UP: ALWAYS}, {"had", "up"}),
    "its target shows the metric with other labels": (
        {SERIES: ENDED, OTHER: ALWAYS, UP: ALWAYS},
        {"had", "up", "alike"},
    ),
    "it came with the trouble and went with it": ({SERIES: CAME, UP: ALWAYS}, {"had", "up", "passing"}),
    "it came and went before": ({SERIES: FLAPPED, UP: ALWAYS}, {"had", "up", "passing"}),
    "it never had data": ({UP: ALWAYS}, set()),
    "the scrape before the evaluation failed, and the next one did not": (
        {SERIES: "1x117 stale 1x1", UP: "1x117 0 1x1"},
        {"had", "down"},
    ),
    "the scrape before the evaluation did not fail, and the next ones did": (
        {SERIES: "1x118 stale _", UP: "1x118 0x1"},
        {"has"},
    ),
    "it is another namespace's": ({SERIES.replace("shop", "other"): ALWAYS, UP: ALWAYS}, set()),
    "it has no namespace": ({SERIES.replace('namespace="shop",', ""): ALWAYS, UP: ALWAYS}, {"has"}),
}


@pytest.mark.parametrize(("series", "yes"), list(CASES.values()), ids=list(CASES))
def test_each_question_means_in_promql_what_it_says(
    series: dict[str, str], yes: set[str], cluster: Plane, tmp_path: Path
) -> None:
    asked = Questions(INPUT, NARROW, WINDOW, EVALUATED)
    questions = {
        "has": asked.has,
        "had": asked.had,
        "down": asked.targets(up=0),
        "up": asked.targets(up=1),
        "alike": asked.alike,
        "passing": asked.passing,
        "remembers": WINDOW.remembered([asked.text]),
    }
    if "has" in yes:  # what has data had data
        yes = yes | {"had", "up", "alike"}
    if "alike" in yes:  # then it is not asked whether it comes and goes
        del questions["passing"]
    assert answered(cluster, tmp_path, series, questions) == yes | {"remembers"}


def test_a_server_without_data_of_that_time_does_not_remember(cluster: Plane, tmp_path: Path) -> None:
    fresh = {SERIES: "_x100 1x20", UP: "_x100 1x20"}
    questions = {"remembers": WINDOW.remembered(["waiting"])}
    assert answered(cluster, tmp_path, fresh, questions) == set()


def answered(plane: Plane, home: Path, series: dict[str, str], questions: dict[str, str]) -> set[str]:
    """The questions whose answer is a number above 0, by promtool: a test that expects nothing fails for these."""
    program = plane.program("promtool")
    groups = {
        name: {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [{"expr": f"({question}) > 0", "eval_time": "120m", "exp_samples": []}],
        }
        for name, question in questions.items()
    }
    found = set()
    for name, group in groups.items():
        file = home / f"{name}.yml"
        file.write_text(json.dumps({"evaluation_interval": "1m", "tests": [group]}))
        done = subprocess.run([program, "test", "rules", str(file)], capture_output=True, text=True, timeout=60)
        said = done.stdout + done.stderr
        assert done.returncode == 0 or "exp: nil" in said or "got:" in said, said
        if done.returncode:
            found.add(name)
    return found
