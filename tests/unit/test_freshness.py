"""A watch that cannot be opened any more is noticed, however quiet the cluster is."""

from __future__ import annotations

from goldseam.handlers.freshness import Freshness
from goldseam.handlers.watching import PLURALS

PATH = "/apis/goldseam.dev/v1alpha1/"


class Watched:
    """Watches that are opened again every 100 s, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.freshness = Freshness(PLURALS, 100.0, lambda: self.now)

    def opened(self, *plurals: str) -> None:
        for plural in plurals:
            self.freshness.answered(PATH + plural, "HTTP 200", good=True)


def test_watches_that_are_opened_again_and_again_are_fresh() -> None:
    watched = Watched()
    for _ in range(20):
        watched.now += 110
        watched.opened(*PLURALS)
        assert (watched.freshness.late, watched.freshness.dead) == ("", "")


def test_one_watch_that_is_not_opened_again_is_late_then_dead_with_its_last_answer() -> None:
    watched = Watched()
    for _ in range(3):
        watched.now += 100
        watched.opened(*(plural for plural in PLURALS if plural != "pauses"))
        watched.freshness.answered(PATH + "pauses", "HTTP 403", good=False)
    assert watched.freshness.late == "not watched for 200 s: pauses (HTTP 403)"
    assert watched.freshness.dead == ""
    watched.now += 201
    assert watched.freshness.dead.startswith("not watched for 500 s: pauses (HTTP 403)")


def test_a_watch_that_never_began_is_late_too() -> None:
    watched = Watched()
    watched.now = 201
    assert "runbooks (no answer yet)" in watched.freshness.late


def test_an_answer_about_another_kind_says_nothing() -> None:
    watched = Watched()
    watched.now = 201
    watched.freshness.answered("/apis/apps/v1/deployments", "HTTP 200", good=True)
    assert "deployments" not in watched.freshness.late
    assert all(plural in watched.freshness.late for plural in PLURALS)
