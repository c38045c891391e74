"""A drain that ends by force asks everything once more: whatever was said, done or found out meanwhile counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest

from goldseam.api.ladder import Drain
from goldseam.engine.situation import Silence
from goldseam.errors import Unavailable
from goldseam.ports import Access
from tests.component.test_careful_drains import owned, prepared
from tests.component.test_drain_ends import PAUSE, cordoned, drain, ended_in_vain, made, opened
from tests.component.test_jobs import LOSS
from tests.component.test_node_incidents import left, pod
from tests.support.harness import Harness
from tests.support.toycluster import Killed

FORCE = drain("Force")
TAKEN = LOSS | {"thresholds": [LOSS["thresholds"][0] | {"acting": "Stop"}]}  # type: ignore[operator]


def forget(h: Harness, what: str) -> None:
    """As where Goldseam, or what it asks, was started anew a moment ago."""

    async def silent(access: Access) -> bool:
        raise Unavailable("no answer")

    h.knows = what != "the alert"
    h.fresh = what != "a fresh alert"
    h.alert_state = "Pending" if what == "whether it fires again" else "Firing"
    h.cluster.unreadable = {"pauses"} if what == "the Pauses" else set()
    h.silence = Silence("Unknown", "Alertmanager has not answered yet") if what == "the silences" else Silence()
    h.cluster.__dict__.pop("allowed", None)
    if what == "the rights":
        h.cluster.allowed = silent  # type: ignore[method-assign]


LACKS = ("the alert", "a fresh alert", "whether it fires again", "the silences", "the rights")


@pytest.mark.parametrize("what", LACKS)
async def test_what_is_not_known_at_the_deadline_is_waited_for_and_nothing_is_deleted_on_it(what: str) -> None:
    h = await opened(FORCE, allowed=["*"])
    await h.settle(10)
    forget(h, what)
    await h.settle(60)
    assert (made(h, "delete"), cordoned(h), h.status.steps[0].outcome) == ([], True, None)
    assert h.status.message.startswith("on hold: its deadline has passed, and nothing is deleted by force before")
    forget(h, "nothing")
    await h.settle(5)
    assert made(h, "delete") == ["pods/shop/p1", "pods/shop/p2"]
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.steps[0].outcome, h.status.phase, cordoned(h), h.status.owes) == ("Passed", "Resolved", False, 0)


async def test_what_is_not_known_for_too_long_after_the_deadline_ends_the_drain_in_vain_and_people_know() -> None:
    h = await opened(FORCE, allowed=["*"], unknownTimeout="60s")
    await h.settle(10)
    forget(h, "the alert")
    await h.settle(65)
    assert (h.status.steps[0].outcome, cordoned(h)) == (None, True)
    await ended_in_vain(h, "nothing is deleted by force: the alert source tells nothing")
    assert "unknownTimeout" in [one.threshold for one in h.status.escalations]


async def test_that_it_is_another_thing_each_time_that_is_not_known_makes_the_wait_no_longer() -> None:
    h = await opened(FORCE, allowed=["*"], unknownTimeout="60s")
    await h.settle(10)
    for what in ("the alert", "a fresh alert", "the Pauses", "the silences", "the rights"):
        forget(h, what)
        await h.settle(9)
    assert (h.status.steps[0].outcome, made(h, "delete")) == (None, [])
    await ended_in_vain(h, "nothing is deleted by force: ")


async def test_a_pod_that_ends_by_itself_meanwhile_makes_the_wait_no_longer() -> None:
    h = await opened(FORCE, allowed=["*"], unknownTimeout="60s")
    await h.settle(10)
    forget(h, "the silences")
    await h.settle(45)
    h.cluster.remove("pods", "shop", "p1")
    await h.settle(5)
    assert (h.status.steps[0].outcome, made(h, "delete")) == (None, [])
    await ended_in_vain(h, "nothing is deleted by force: Alertmanager has not answered yet")


async def test_once_a_threshold_says_that_people_take_over_nothing_is_deleted_by_force() -> None:
    h = await opened(FORCE, allowed=["*"], book=TAKEN)
    await h.settle(10)
    h.promql.answers["loss"] = (1.0,)
    await ended_in_vain(h, "nothing is deleted by force: a threshold of the runbook says that people take over")


async def test_after_a_long_wait_for_what_was_not_known_the_alert_has_as_long_to_go_as_without_it() -> None:
    h = await opened(FORCE | {"timeout": "40s"}, allowed=["*"])
    await h.settle(10)
    forget(h, "a fresh alert")
    await h.settle(120)
    forget(h, "nothing")
    await h.settle(10)
    assert left(h) == {"daemon"}
    ends = h.status.steps[0].deadline_at
    assert ends is not None
    await h.settle((ends - h.clock.now()).total_seconds() + 15)
    assert h.status.steps[0].outcome is None, "20 s of its time are left after its deadline"
    await h.settle(10)
    assert h.status.steps[0].outcome == "Failed"


async def test_where_something_speaks_against_it_nobody_waits_for_what_is_not_known() -> None:
    h = await opened(FORCE, allowed=["*"])
    await h.settle(10)
    forget(h, "the alert")
    h.cluster.add("pauses", PAUSE)
    await ended_in_vain(h, "nothing is deleted by force: Pause goldseam-system/p holds")


async def test_where_nothing_could_be_deleted_anyway_nobody_waits_for_what_is_not_known() -> None:
    h = await opened(FORCE, allowed=["*"], namespace="kube-system")
    await h.settle(10)
    forget(h, "the alert")
    await ended_in_vain(h, "nothing is deleted by force: ")


async def test_an_alert_that_is_gone_while_its_freshness_was_waited_for_ends_the_drain_in_vain() -> None:
    h = await opened(FORCE, allowed=["*"])
    await h.settle(10)
    forget(h, "a fresh alert")
    await h.settle(20)
    forget(h, "nothing")
    h.alert_state = "Cleared"
    await ended_in_vain(h, "nothing is deleted by force: ")


@pytest.mark.parametrize("known", [False, True])
async def test_a_process_that_is_started_after_the_deadline_deletes_what_is_left_once_it_has_seen_the_alert(
    known: bool,
) -> None:
    h = await opened(FORCE, allowed=["*"])
    await h.settle(10)
    h.clock.advance(60)
    h.fresh = known
    await h.start()
    await h.settle(5)
    h.fresh = True
    await h.settle(5)
    assert made(h, "delete") == ["pods/shop/p1", "pods/shop/p2"]


async def killed_as_it_deletes(h: Harness, *, deleted: int = 0) -> None:
    """It dies when that is written down, before so many pods and one more are deleted; the deadline was at 20 s."""
    write, begun = h.cluster._write, len(made(h, "delete"))

    def dies(verb: str, *rest: Any) -> Any:
        if verb == "delete" and len(made(h, "delete")) - begun == deleted:
            raise Killed
        return write(verb, *rest)

    with patch.object(h.cluster, "_write", dies), pytest.raises(Killed):
        await h.settle(60)


@pytest.mark.parametrize("deleted", [0, 1])
async def test_who_is_started_before_all_is_deleted_waits_for_what_is_not_known_and_deletes_the_rest(
    deleted: int,
) -> None:
    h = await opened(FORCE, allowed=["*"])
    await killed_as_it_deletes(h, deleted=deleted)
    forget(h, "the alert")
    await h.start()
    await h.settle(180)
    assert (len(made(h, "delete")), h.status.steps[0].outcome, cordoned(h)) == (deleted, None, True)
    nothing = "nothing more" if deleted else "nothing"
    assert h.status.message.startswith(f"on hold: its deadline has passed, and {nothing} is deleted by force before")
    forget(h, "nothing")
    await h.settle(5)
    assert made(h, "delete") == ["pods/shop/p1", "pods/shop/p2"]
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.steps[0].outcome, h.status.phase, cordoned(h), h.status.owes) == ("Passed", "Resolved", False, 0)


@pytest.mark.parametrize("deleted", [0, 1])
async def test_who_is_started_before_all_is_deleted_deletes_no_more_of_it_once_the_alert_is_gone_and_says_why(
    deleted: int,
) -> None:
    h = await opened(FORCE, allowed=["*"])
    await killed_as_it_deletes(h, deleted=deleted)
    h.alert_state = "Cleared"
    await h.start()
    await h.settle(180)
    assert (len(made(h, "delete")), h.status.steps[0].outcome, cordoned(h)) == (deleted, "Failed", False)
    assert f"nothing{' more' * deleted} is deleted by force: " in h.status.steps[0].message


async def test_a_mode_that_is_lowered_as_the_deadline_passes_deletes_nothing_not_even_to_rehearse_it() -> None:
    h = await opened(FORCE, allowed=["*"])

    async def lowered(*_: str) -> None:
        if h.status.steps and h.clock.now() - h.status.steps[0].intent_at >= timedelta(seconds=20):
            h.cluster.edit("clusterremediationpolicies", "", "nodes", {"spec": {"mode": "Observe"}})

    h.looker.refresh = lowered
    await h.settle(40)
    assert made(h, "delete") == []
    assert {"p1", "p2"} <= left(h)


async def test_a_pause_in_a_namespace_of_the_pods_that_are_left_is_heard_at_the_deadline() -> None:
    h = await prepared(*owned(), ladder=FORCE)
    h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": {"allowForcedDrain": ["*"]}})
    h.cluster.budget = 0
    await h.settle(10)
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"reason": "leave shop alone"}})
    await h.settle(25)
    assert made(h, "delete") == []
    assert "nothing is deleted by force" in h.status.steps[0].message
    assert "leave shop alone" in h.status.steps[0].message


@pytest.mark.parametrize("anew", [False, True])
async def test_on_a_node_that_a_person_uncordoned_meanwhile_nothing_is_deleted(anew: bool) -> None:
    h = await opened(FORCE, allowed=["*"])
    await h.settle(10)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}})
    if anew:
        h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon")
    await h.settle(25)
    assert made(h, "delete") == []
    assert {"p1", "p2"} <= left(h)


async def test_a_deadline_that_passes_while_everything_is_read_forces_nothing_that_was_planned_before_it() -> None:
    h = await opened(FORCE, allowed=["*"])
    assess = h.looker.fleet.assess

    async def late(*given: Any) -> Any:
        steps = h.status.steps
        passed = (h.clock.now() - steps[0].intent_at).total_seconds() if steps else 0
        if given and given[0] is not None and 14 < passed < 20:
            h.clock.advance(20.1 - passed)
        return await assess(*given)

    h.looker.fleet.assess = late  # type: ignore[method-assign]
    await h.settle(30)
    forced = [entry.message for entry in h.status.timeline if entry.kind == "Forced"]
    assert forced, "a moment later"
    assert all("delete" in message for message in forced)
    assert set(made(h, "delete")) == {"pods/shop/p1", "pods/shop/p2"}


async def test_an_eviction_that_a_budget_holds_still_holds_up_no_deletion() -> None:
    h = await opened(FORCE, allowed=["*"], budget=0)
    ours = {"app.kubernetes.io/name": "goldseam"}  # such a pod is never deleted
    h.cluster.edit("pods", "shop", "p0", {"metadata": {"labels": ours}})
    h.cluster.add("pods", pod("other", "n2") | {"metadata": {"name": "other", "namespace": "shop", "labels": ours}})
    await h.settle(40)
    assert made(h, "delete") == ["pods/shop/p1", "pods/shop/p2"]
    assert "p0" in left(h)


def test_an_incident_ends_no_drain_by_force_sooner_than_its_policy_says_now() -> None:
    def forced(**fields: Any) -> Drain:
        return Drain.model_validate({"atDeadline": "Force", **fields})

    hour = forced(deadline="1h")
    assert hour.covers(forced(deadline="1h"))
    assert hour.covers(forced(deadline="2h"))
    assert not hour.covers(forced(deadline="1s"))
    assert not forced().covers(forced(deadline="1s"))
    assert hour.covers(Drain.model_validate({"deadline": "1s"})), "the node comes back sooner"


@pytest.mark.parametrize("at_deadline", ["Uncordon", "LeaveCordoned", "Force"])
@pytest.mark.parametrize("acted", [False, True], ids=["evicting", "ending"])
@pytest.mark.parametrize("theirs", [False, True], ids=["our cordon", "their cordon"])
async def test_who_uncordons_the_node_just_before_the_deadline_has_it_and_it_is_not_cordoned_again(
    at_deadline: str, acted: bool, theirs: bool
) -> None:
    h = await opened({**drain(at_deadline), "attempts": 2}, allowed=["*"])
    if theirs:
        h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": True}}, "kubectl-cordon")
    await h.settle(5)
    for name in ("p1", "p2") if acted else ():  # they are evicted, and do not end
        h.cluster.edit("pods", "shop", name, {"metadata": {"deletionTimestamp": "2026-11-23T12:10:00Z"}})
    await h.settle(5)
    assert h.status.steps[0].phase == ("Acted" if acted else "Intended")
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl-uncordon")
    h.clock.advance(15)
    await h.settle(60)
    assert (h.status.phase, [(s.action, s.outcome) for s in h.status.steps]) == ("Escalated", [("drain", "Superseded")])
    assert "stays cordoned" not in str(h.status.timeline)
    assert (h.status.owes, made(h, "delete"), h.live()["spec"].get("unschedulable")) == (0, [], None)
