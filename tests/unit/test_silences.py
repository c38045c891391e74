"""Which alert in Alertmanager is the rule's, and whether others hold it back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from goldseam.engine.silences import KnownAlert, KnownSilence, held_by_others, like_alerts, same_alerts
from tests.unit.test_guards import NOW

OURS = {"alertname": "A", "namespace": "shop", "pod": "api-1"}


def silence(name: str, created_by: str) -> KnownSilence:
    return KnownSilence(name, (), "", NOW, created_by, "", True, timedelta(minutes=1))


@pytest.mark.parametrize(
    ("theirs", "is_same"),
    [
        (OURS, True),
        (OURS | {"cluster": "prod-1"}, True),
        (OURS | {"replica": "b"}, True),
        (OURS | {"pod": "api-2"}, False),
        ({"alertname": "A", "namespace": "shop"}, False),
        ({"alertname": "B", "namespace": "shop", "pod": "api-1"}, False),
    ],
)
def test_an_alert_is_the_rules_when_it_carries_all_its_labels(theirs: dict[str, str], is_same: bool) -> None:
    assert bool(same_alerts(OURS | {"replica": "a"}, [KnownAlert(theirs)], ())) == is_same


def test_an_alert_of_another_cluster_is_another_one() -> None:
    known = [KnownAlert(OURS | {"cluster": "prod-2"})]
    assert same_alerts(OURS, known, ['cluster="prod-1"']) == []
    assert like_alerts(OURS, known, ['cluster="prod-1"']) == []


def test_in_doubt_an_alert_that_lost_labels_on_its_way_is_the_rules_unless_one_has_them_all() -> None:
    bare, whole = KnownAlert({"alertname": "A", "namespace": "shop"}), KnownAlert(OURS)
    other = KnownAlert({"alertname": "A", "namespace": "other"})
    added = KnownAlert({"alertname": "A", "cluster": "prod-1"})
    assert like_alerts(OURS, [bare, other, added], ()) == [bare, added]
    assert like_alerts(OURS, [bare, whole], ()) == [whole]


@pytest.mark.parametrize(
    ("alert", "held"),
    [
        ({}, False),
        ({"silenced_by": ("gate",)}, False),
        ({"silenced_by": ("gate", "jane")}, True),
        ({"silenced_by": ("unheard-of",)}, True),
        ({"inhibited_by": ("x",)}, True),
        ({"silenced_by": ("gate",), "inhibited_by": ("x",)}, True),
    ],
)
def test_our_own_gate_does_not_hold_us_back_and_everything_else_does(alert: dict[str, Any], held: bool) -> None:
    known = {"gate": silence("gate", "goldseam:shop/heal-1"), "jane": silence("jane", "jane")}
    assert held_by_others(KnownAlert(OURS, **alert), known) == held
