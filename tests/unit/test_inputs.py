"""The truth table of input liveness: when a healthy rule without an alert is no recovery."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldseam.api.incident import ObjectRef
from goldseam.engine.alerts import AlertRule
from goldseam.engine.inputs import Questions, Seen, Window, believed, doubt, narrowing, outdated, wanted
from goldseam.engine.series import Selector
from goldseam.engine.verdict import Reading

CLEARED = Reading("Cleared", True, "the rule is healthy and the alert is gone")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
X = "queue_size"

TABLE = [
    # has, down, had, live, alike, passing, the server's data goes back → why not; empty: alive
    ("it has data", Seen(X, True), True, ""),
    ("it has data, and one that fed it is down", Seen(X, True, down=True), True,
     "a target of its input queue_size is down"),
    ("no data, its target down", Seen(X, False, down=True), True,
     "its input queue_size has no data: its target is down"),
    ("never had data: absent(), a branch of or", Seen(X, False), True, ""),
    ("never had data, as far as is known", Seen(X, False), False,
     "its input queue_size has no data, and whether it had any when the alert began is not known any more"),
    ("had data, no target is there", Seen(X, False, had=True), True,
     "its input queue_size has no data, and what showed it is not there any more"),
    ("no data, its target up, the metric with other labels", Seen(X, False, had=True, live=True, alike=True), True, ""),
    ("no data, its target up, it comes and goes", Seen(X, False, had=True, live=True, passing=True), True, ""),
    ("no data, its target up, the metric gone", Seen(X, False, had=True, live=True), True,
     "its input queue_size has no data, though its target is up: has the metric another name now?"),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "remembers", "why"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_each_row_of_the_truth_table(seen: Seen, remembers: bool, why: str) -> None:
    assert doubt([seen], remembers=remembers) == why
    assert doubt([Seen("other", True), seen], remembers=remembers) == why, "one of several is enough"


BOOL = st.booleans()
SEEN = st.builds(Seen, st.just(X), BOOL, BOOL, BOOL, BOOL, BOOL, BOOL)
MISSING = (("has", False), ("down", True), ("live", False), ("alike", False), ("passing", False))


@settings(deadline=None)
@given(st.lists(SEEN, min_size=1, max_size=4), BOOL, st.data())
def test_less_data_never_makes_an_input_alive(seen: list[Seen], remembers: bool, data: st.DataObject) -> None:
    """Data that goes missing: an input that had data has none, its target goes down or away, the past is forgotten."""
    before = doubt(seen, remembers=remembers)
    which = data.draw(st.integers(0, len(seen) - 1))
    field, value = data.draw(st.sampled_from(MISSING))
    worse = replace(seen[which], **{field: value}, had=seen[which].had or seen[which].has)
    after = doubt([*seen[:which], worse, *seen[which + 1 :]], remembers=remembers)
    assert after or not before, "it was not alive, and is now"
    assert doubt(seen, remembers=False) or not before


def test_the_property_covers_every_field() -> None:
    assert {field.name for field in fields(Seen)} == {"selector", "had", *(name for name, _ in MISSING)}


def test_a_long_selector_is_shortened_for_people() -> None:
    assert len(doubt([Seen("x" * 5_000, False, down=True)], remembers=True)) < 200


def test_only_what_is_cleared_or_fires_anew_rests_on_its_inputs() -> None:
    found = believed(CLEARED, "its input x has no data")
    assert (found.state, found.fresh, found.inputs_gone) == ("Unknown", False, True)
    assert found.message == "no alert is shown, but its input x has no data"
    assert believed(CLEARED, "") == CLEARED
    firing = Reading("Firing", True, "the alert is firing")
    assert believed(firing, "its input x has no data") == firing
    anew = believed(replace(firing, watched_since=EPOCH), outdated("x"))
    assert (anew.state, anew.fresh) == ("Firing", False)
    assert anew.message == (
        "the alert is firing, but it may do so on what was scraped before its rule was watched: not all of its input x"
        " is newer"
    )


def rule(query: str, evaluated: float = 0.0) -> AlertRule:
    return AlertRule(
        name="A", group="g", query=query, health="ok", last_error="",
        last_evaluation=EPOCH + timedelta(seconds=evaluated), interval=timedelta(seconds=10), hold=timedelta(0),
        keep_firing=timedelta(0), labels={}, alerts=(),
    )  # fmt: skip


def test_rules_of_one_name_are_asked_for_together_without_what_the_server_makes_of_rules() -> None:
    found = wanted([rule("a > 1 and on() ALERTS{alertname='x'}"), rule("a > 2 or b unless ALERTS_FOR_STATE")])
    assert [str(selector) for selector in found] == ["a", "b"]


def test_the_window_begins_where_the_rule_looked_when_the_alert_became_active() -> None:
    found = Window.of([rule("rate(a[10m]) > 1", 3600.4), rule("a", 10)], EPOCH)
    assert (found.began, found.begins) == (3601, 3601 + 600 + 300)
    assert Window.of([rule("a", 10)], EPOCH + timedelta(hours=1)).began == 1, "a clock that went back"
    assert Window.of([rule("a", 10)], datetime.min.replace(tzinfo=UTC)).began == 14 * 86_400 + 1


def target(kind: str, name: str) -> ObjectRef:
    namespace = "" if kind == "Node" else "shop"
    return ObjectRef(api_version="v1", kind=kind, namespace=namespace, name=name, uid="u")


@pytest.mark.parametrize(
    ("about", "labels", "static", "matchers"),
    [
        (target("Deployment", "api"), {"namespace": "shop", "deployment": "api", "job": "x", "instance": "y"}, (),
         ('namespace=~"|shop"', 'deployment=~"|api"')),
        (target("Deployment", "api"), {"namespace": "shop", "pod": "api-5d-x7"}, (),
         ('namespace=~"|shop"', 'pod=~"|api.*"')),
        (target("Deployment", "api"), {"namespace": "other", "deployment": "db", "pod": "db-5d-x7"}, (), ()),
        (target("Deployment", "api"), {"namespace": "shop", "deployment": "api"}, ("deployment",),
         ('namespace=~"|shop"',)),
        (target("StatefulSet", "a" * 60), {"pod": "a" * 60 + "-0"}, (), (f'pod=~"|{"a" * 40}.*"',)),
        (target("Node", "n.1"), {"node": "n.1", "instance": "ksm:8080"}, (), ('node=~"|n\\\\.1"',)),
        (target("Node", "n1"), {"node": "n2", "instance": "10.0.0.1:9100"}, (), ()),
        (target("Node", "n1"), {"instance": "[fd00::1]:9100"}, (), ('instance=~"|\\\\[fd00::1\\\\](:[0-9]+)?"',)),
        (target("Node", "n1"), {"instance": "10.0.0.1:9100"}, (), ('instance=~"|10\\\\.0\\\\.0\\\\.1(:[0-9]+)?"',)),
    ],
)  # fmt: skip
def test_the_series_about_the_target_are_found_by_what_all_its_alerts_have_alike(
    about: ObjectRef, labels: dict[str, str], static: tuple[str, ...], matchers: tuple[str, ...]
) -> None:
    assert narrowing(about, labels, static) == matchers


def test_what_prometheus_says_of_a_target_itself_is_there_while_it_is_down() -> None:
    def synthetic(name: str) -> bool:
        return Questions(Selector(name), (), Window(10, 5), EPOCH).synthetic

    assert [synthetic(name) for name in ("up", "scrape_duration_seconds", "uptime")] == [True, True, False]


def test_each_question_asks_what_it_is_called() -> None:
    window = Window(begins=400, began=100)
    asked = Questions(Selector("queue_size", 'queue="a"'), ('pod=~"|api"',), window, EPOCH)
    text = 'queue_size{queue="a",pod=~"|api"}'
    fed = f"count by (job, instance) (count_over_time({text}[400s]))"
    then = f"@ {EPOCH.timestamp():.3f}"
    assert asked.has == f"count({text} {then})"
    assert asked.before(EPOCH) == f"count(timestamp({text} {then}) < {EPOCH.timestamp():.3f})"
    assert asked.had == f"count(count_over_time({text}[400s]))"
    assert asked.targets(up=0) == f"count({fed} and on (job, instance) (up {then} == 0))"
    assert asked.alike == f"count(queue_size {then} and on (job, instance) {fed})"
    span = "[3600s] offset 400s"
    scrapes = f"max(count_over_time(up{span}) and on (job, instance) {fed})"
    assert asked.passing == f"count(0.9 * {scrapes} > (max(count_over_time({text}{span})) or vector(0)))"
    since = "[300s] offset 100s"
    assert window.remembered(["a"]) == f"count(count_over_time(a{since}) or count_over_time(up{since}))"
