"""What a `collect` rung writes down: bounded, and nothing that an app, a probe or a person wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from goldseam.api.ladder import Collect, Rung
from goldseam.engine.evidence import logs_of, missing, of_events, of_object, of_pods, of_values, summary
from goldseam.engine.matching import asks_queries
from tests.support.objects import node, pod, troubled, workload
from tests.unit.test_guards import spec

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
Json = dict[str, Any]


def event(reason: str, ago: int = 60, **fields: Any) -> Json:
    about = {"kind": "Pod", "name": "api-1"}
    at = (NOW - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    words = "secret=hunter2"
    base: Json = {"metadata": {"name": reason}, "type": "Warning", "reason": reason, "message": words, "count": 7}
    return base | {"involvedObject": about, "lastTimestamp": at} | fields


def test_the_worst_pods_come_first_with_why_they_wait_and_how_they_ended() -> None:
    ill = troubled("api-9", "CrashLoopBackOff")
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "hunter2"}}
    ill["status"]["containerStatuses"] = [
        {"name": "app", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}
    ]
    head, first, second = of_pods([pod("api-1"), ill], NOW)
    assert (head.about, head.text) == ("pods", "1 of 2 ready")
    assert (first.about, first.text) == (
        "Pod api-9",
        "Running, not ready, 4 restarts, on worker-1; app waits (CrashLoopBackOff), last ended with 137 (OOMKilled)",
    )
    assert (second.about, second.text) == ("Pod api-1", "Running, ready, 0 restarts, on worker-1")


def test_a_pod_without_a_node_or_on_its_way_out_says_so() -> None:
    lost = pod("a", phase="Pending", ready=False, metadata={"deletionTimestamp": "2026-11-23T12:00:00Z"})
    lost["spec"], lost["status"]["reason"] = {}, "NodeLost"
    assert of_pods([lost], NOW)[1].text == "Pending, not ready, 0 restarts, on no node, on its way out, NodeLost"


def test_of_many_pods_the_worst_eight_are_shown_and_all_are_counted() -> None:
    found = of_pods([pod(f"api-{n:04}") for n in range(2_000)], NOW)
    assert (found[0].text, len(found)) == ("2000 of 2000 ready", 9)
    assert of_pods([], NOW)[0].text == "0 of 0 ready"


def test_events_are_named_by_reason_and_object_and_their_words_are_left_out() -> None:
    (found,) = of_events([event("BackOff")], NOW)
    assert (found.about, found.text) == (
        "event about Pod api-1",
        "BackOff (Warning), seen 7 times, last at 11:59:00 UTC",
    )


def test_the_newest_warnings_of_the_last_hour_are_shown() -> None:
    events = [event(f"R{n}", n) for n in range(20)]
    assert [one.text.split()[0] for one in of_events(events, NOW)] == [f"R{n}" for n in range(8)]
    assert of_events([event("Old", 3_600), event("Well", type="Normal")], NOW) == []


def test_an_event_of_the_new_kind_has_a_series_or_a_time_of_its_own() -> None:
    series = event(
        "A", count=None, lastTimestamp=None, series={"count": 3, "lastObservedTime": "2026-11-23T11:58:00.5Z"}
    )
    alone = event("B", count=None, lastTimestamp=None, eventTime="2026-11-23T11:57:00.000001Z")
    assert [one.text for one in of_events([alone, series], NOW)] == [
        "A (Warning), seen 3 times, last at 11:58:00 UTC",
        "B (Warning), seen 1 times, last at 11:57:00 UTC",
    ]
    assert of_events([event("C", lastTimestamp=None)], NOW) == [], "one that says no time proves nothing"


def test_of_a_node_what_is_bad_comes_first() -> None:
    sick = node(cordoned="kubectl")
    sick["status"]["conditions"] = [
        {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "hunter2"},
        {"type": "DiskPressure", "status": "False"},
        {"type": "MemoryPressure", "status": "True", "reason": "Low"},
    ]
    found = of_object("Node", sick, NOW)
    assert found.about == "Node worker-1"
    assert found.text == (
        "MemoryPressure=True (Low), Ready=True (KubeletReady), DiskPressure=False (no reason); unschedulable"
    )
    assert of_object("Deployment", workload(), NOW).text == "no conditions"


@pytest.mark.parametrize(
    ("values", "text"),
    [((), "no data"), ((3.0, 9.5), "9.5, 3"), ((float("nan"), 1.0), "1, nan"),
     (tuple(map(float, range(5))), "4, 3, 2, 1, 0"), (tuple(map(float, range(9))), "8, 7, 6, 5, 4 and 4 more")],
)  # fmt: skip
def test_the_values_of_a_query_are_shown_without_labels(values: tuple[float, ...], text: str) -> None:
    assert of_values("up", values, NOW).text == text


def test_everything_is_bounded_and_no_character_is_obeyed() -> None:
    evil = pod("a" * 500)
    evil["status"]["reason"] = "\x1b[2J" + "é" * 900
    for one in of_pods([evil], NOW):
        assert len(one.about) <= 128
        assert len(one.text) <= 256
        assert "\x1b" not in one.text
    assert len(missing(NOW, "query " + "x" * 900, "y" * 900).text) <= 256


def test_what_is_missing_is_named_in_the_summary() -> None:
    found = [*of_pods([], NOW), missing(NOW, "events", "HTTP 403")]
    assert summary(found) == "1 pieces of evidence; not read: events"
    assert found[1].text == "not read: HTTP 403"


def test_queries_of_a_collect_rung_are_the_policys_own() -> None:
    assert asks_queries(spec(ladder=[{"collect": {"queries": ["up"]}}]))
    assert not asks_queries(spec(ladder=[{"collect": {}}]))


def test_a_policy_that_asks_for_less_does_not_cover_more() -> None:
    one, two = Collect(queries=["a"]), Collect(queries=["a", "b"])
    assert two.covers(one)
    assert not one.covers(two)


@pytest.mark.parametrize(
    "rung",
    [
        {"collect": {"queries": ["a"] * 5}},
        {"collect": {"queries": [""]}},
        {"collect": {"queries": ["${target.name}"]}},
        {"collect": {"logs": "often"}},
        {"collect": {}, "skipIfFailedWithin": "2h"},
        {"collect": {}, "skipIfChangedWithin": "2h"},
    ],
)
def test_what_it_does_not_do_is_refused(rung: Json) -> None:
    with pytest.raises(ValidationError):
        Rung.model_validate(rung)


RUNS: Json = {"running": {}}
WAITS: Json = {"waiting": {"reason": "CrashLoopBackOff"}}
DIED: Json = {"terminated": {"exitCode": 1}}
WELL: Json = {"terminated": {"exitCode": 0}}


def container(name: str, state: Json, last: Json | None = None, *, ready: bool = False) -> Json:
    return {"name": name, "ready": ready, "state": state, "lastState": last or {}}


@pytest.mark.parametrize(
    ("init", "main", "told"),
    [
        ([], [], []),
        ([], [container("app", RUNS, ready=True)], [("app", False)]),
        ([], [container("app", RUNS, DIED)], [("app", True), ("app", False)]),
        ([], [container("app", WAITS, DIED)], [("app", True)]),
        ([], [container("app", WAITS)], []),
        ([], [container("a", RUNS, ready=True), container("b", DIED)], [("b", False)]),
        ([container("init", DIED)], [container("app", {"waiting": {"reason": "PodInitializing"}})], [("init", False)]),
        ([container("init", WELL)], [container("app", RUNS, DIED)], [("app", True), ("app", False)]),
    ],
)
def test_of_a_pod_the_logs_of_the_container_that_is_not_well_are_read(
    init: list[Json], main: list[Json], told: list[tuple[str, bool]]
) -> None:
    found = {"status": {"initContainerStatuses": init, "containerStatuses": main}}
    assert logs_of(found) == told


def test_a_live_policy_that_reads_no_logs_does_not_allow_them() -> None:
    assert Collect(logs=True).covers(Collect())
    assert Collect(logs=True).covers(Collect(logs=True))
    assert not Collect().covers(Collect(logs=True))
